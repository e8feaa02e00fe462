"""What every step of compiling shares: the documents of one provider, and the issues found so far."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from mockserver.chance import IdFormat, id_format, possible_ids
from mockserver.provider import Dialect, Value
from mockserver.spec.document import Document, SpecError, SpecIssue
from mockserver.spec.expressions import ExpressionError, compile_value, constant
from mockserver.spec.vocabulary import check_vocabulary

#: A format that can say fewer ids than these runs out of them.
_FEWEST_IDS = 1_000_000_000


class Context:
    """The documents of one provider in the dialects that are switched on; the first leads it."""

    def __init__(self, documents: list[Document], dialects: tuple[str, ...]) -> None:
        self.issues: list[SpecIssue] = []
        self.dialects = self._dialects(documents, dialects)
        self.documents = [self._in_dialects(document, dialects) for document in documents]
        self.lead = self.documents[0]
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
                        f"there is no dialect {name!r}",
                        f"there are: {', '.join(known) or 'none'}",
                    )
                )
        return tuple(known.values())

    def _in_dialects(self, document: Document, switched_on: tuple[str, ...]) -> Document:
        """Apply the dialects that are switched on; what comes out must speak the vocabulary as well."""
        for name in switched_on:
            entry = document.data["x-mock"].get("dialects", {}).get(name)
            if entry is None:
                continue
            document = document.patched(entry["patch"])
            try:
                check_vocabulary(document)
            except SpecError as error:
                self.issues += [
                    replace(issue, message=f"in the dialect {name}, {issue.message}") for issue in error.issues
                ]
        return document

    def report(
        self, path: tuple[str | int, ...], message: str, fix: str = "", *, document: Document | None = None
    ) -> None:
        """Add an issue, at a path of the leading document or of the given one."""
        self.issues.append((document or self.lead).issue(path, message, fix))

    def value(self, template: Any, *path: str | int, document: Document | None = None) -> Value:
        """Compile a template of the leading document, or of the one that is named."""
        try:
            return compile_value(template)
        except ExpressionError as error:
            self.report((*path, *error.path), str(error), document=document)
            return constant(None)

    def id_format(self, text: str, *path: str | int) -> IdFormat:
        """Compile an id format."""
        try:
            made = id_format(text)
        except ValueError as error:
            self.report(path, str(error))
            return lambda _drawn, _unix_s: ""
        if possible_ids(text) < _FEWEST_IDS:
            fix = "write something like {base36:8}, {hex:12} or {uuid} into it"
            self.report(path, f"{text!r} has too little chance in it: ids would soon be the same", fix)
        return made

    def pattern(self, text: str, *path: str | int, flags: int = 0) -> re.Pattern[str]:
        """Compile a regular expression."""
        try:
            return re.compile(text, flags)
        except re.error as error:
            self.report(path, f"is not a regular expression: {error}")
            return re.compile("")
