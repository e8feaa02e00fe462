"""Shared by all steps of compiling: the documents of one provider, and the issues found so far."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from mockserver.chance import IdFormat, id_format, possible_ids
from mockserver.patterns import InvalidPatternError, LinearPattern
from mockserver.provider import Dialect, Headers, Value
from mockserver.spec.compile.shorthand import written_out
from mockserver.spec.document import Document, SpecError, SpecIssue
from mockserver.spec.expressions import ExpressionError, compile_value, constant
from mockserver.spec.servers import base_paths
from mockserver.spec.vocabulary import check_vocabulary
from mockserver.spec.words import suggestion

#: The least number of different ids that a format must allow.
_FEWEST_IDS = 1_000_000_000
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: What an id may be made of: it stands in paths, where a client may not have quoted it.
_ID_TEXT = re.compile(r"[A-Za-z0-9._~:@+=!$&'()*,;{}-]+")
_LATIN = re.compile(r"[\x20-\xff]*")
_OF_EVERY_MESSAGE = frozenset(("content-length", "content-type", "transfer-encoding", "connection", "keep-alive"))
OF_ANSWERS = _OF_EVERY_MESSAGE | {"date"}
OF_CALLBACKS = _OF_EVERY_MESSAGE | {"host"}


def _texts(template: Any) -> list[str]:
    """Return the texts of a template."""
    if isinstance(template, dict):
        return [text for each in template.values() for text in _texts(each)]
    return [template] if isinstance(template, str) else []


class Context:
    """The documents of one provider with the chosen dialects applied; the first is the main spec."""

    def __init__(self, documents: list[Document], dialects: tuple[str, ...]) -> None:
        self.issues: list[SpecIssue] = []
        self.dialects = self._dialects(documents, dialects)
        lead, *parts = [self._in_dialects(document, dialects) for document in documents]
        data = written_out(lead.data)
        self.lead = lead if data is lead.data else replace(lead, data=data)
        self.documents = [self.lead, *parts]
        self.mock: dict[str, Any] = self.lead.data["x-mock"]

    def _dialects(self, documents: list[Document], switched_on: tuple[str, ...]) -> tuple[Dialect, ...]:
        known: dict[str, Dialect] = {}
        for document in documents:
            for name, entry in document.data["x-mock"].get("dialects", {}).items():
                known.setdefault(name, Dialect(name, entry["summary"], entry["source"], name in switched_on))
        for name in switched_on:
            if name not in known:
                self.issues.append(
                    documents[0].issue(
                        ("x-mock", "dialects"),
                        f"unknown dialect {name!r}",
                        suggestion(name, known),
                    )
                )
        return tuple(known.values())

    def _in_dialects(self, document: Document, switched_on: tuple[str, ...]) -> Document:
        """Apply the chosen dialects; the result must pass `check_vocabulary`, too."""
        for name in switched_on:
            entry = document.data["x-mock"].get("dialects", {}).get(name)
            if entry is None:
                continue
            document = document.patched(entry["patch"])
            try:
                check_vocabulary(document)
            except SpecError as error:
                raise SpecError(
                    [replace(issue, message=f"in the dialect {name}, {issue.message}") for issue in error.issues]
                ) from None
        return document

    def base_of(self, path: str) -> str:
        """Return what the servers of a path put before it."""
        item = self.lead.data["paths"].get(path)
        operation = item.get("get") if isinstance(item, dict) else None
        for holder in (operation, item, self.lead.data):
            if isinstance(holder, dict) and "servers" in holder:
                return base_paths(holder["servers"])[0]
        return ""

    def report(
        self, path: tuple[str | int, ...], message: str, fix: str = "", *, document: Document | None = None
    ) -> None:
        """Add an issue at a path of the main spec or of the given document."""
        self.issues.append((document or self.lead).issue(path, message, fix))

    def value(self, template: Any, *path: str | int, document: Document | None = None) -> Value:
        """Compile a template of the main spec or of the given document."""
        try:
            return compile_value(template, self.mock.get("draws", ()))
        except ExpressionError as error:
            self.report((*path, *error.path), str(error), error.fix, document=document)
            return constant(None)

    def headers(self, entry: dict[str, Any], *path: str | int, own: frozenset[str] = OF_ANSWERS) -> Headers:
        """Compile headers: names that may be sent, and templates of one line.

        Args:
            entry: the headers of the spec.
            path: where they stand.
            own: the names in lower case that the server itself sends.
        """
        seen: dict[str, str] = {}
        for name, text in entry.items():
            if not HEADER_NAME.fullmatch(name):
                self.report((*path, name), "is not a name of a header", "use letters, digits and hyphens")
            elif name.lower() in own:
                self.report((*path, name), "is sent by the server itself", "remove it")
            elif name.lower() in seen:
                self.report((*path, name), f"is the same header as {seen[name.lower()]}", "keep one")
            if any(not each.isprintable() or not _LATIN.fullmatch(each) for each in _texts(text)):
                self.report((*path, name), "cannot be sent in a header", "use one line of Latin-1 characters")
            seen.setdefault(name.lower(), name)
        return tuple((name, self.value(text, *path, name)) for name, text in entry.items())

    def id_format(self, text: str, *path: str | int) -> IdFormat:
        """Compile an id format."""
        try:
            made = id_format(text)
        except ValueError as error:
            self.report(path, str(error), "write text and placeholders, such as task-{base36:8}")
            return lambda _drawn, _unix_s: ""
        if not _ID_TEXT.fullmatch(text):
            self.report(path, f"{text!r} cannot stand in a path or a header", "use letters, digits and - . _ ~ : @ +")
        elif possible_ids(text) < _FEWEST_IDS:
            fix = "add a random part such as {base36:8}, {hex:12} or {uuid}"
            self.report(path, f"{text!r} allows too few different ids", fix)
        return made

    def pattern(
        self, text: str, *path: str | int, ignore_case: bool = False, document: Document | None = None
    ) -> LinearPattern:
        """Compile a regular expression of the main spec or of the given document."""
        try:
            return LinearPattern(text, ignore_case=ignore_case)
        except InvalidPatternError as error:
            fix = "write it as RE2 reads it: no look-around, no back-references"
            self.report(path, f"is not a regular expression: {error}", fix, document=document)
            return LinearPattern("")
