"""Reads the files that a user names: specs, OpenAPI documents, and overlays on them.

An overlay is applied to the document that its `extends` names, or to the document that is given beside it. Several on
one document are applied in their order, an overlay on an overlay after that one. Nothing is fetched.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from mockserver.spec.document import Document, SpecError, SpecIssue
from mockserver.spec.overlay import is_overlay, overlaid
from mockserver.spec.plain import completed, is_plain

_LONGEST_CHAIN = 50


class Files(NamedTuple):
    """What was read: documents with their overlays applied, and what is wrong."""

    documents: list[Document]
    issues: list[SpecIssue]


def read_files(paths: Iterable[Path]) -> Files:
    """Read files, and apply the overlays among them."""
    return _Reader(list(paths)).run()


def documents_of(paths: Iterable[Path]) -> list[Document]:
    """Do the same, and complete documents without `x-mock`.

    Raises:
        SpecError: a file cannot be read, or an overlay cannot be applied.
    """
    documents, issues = read_files(paths)
    if issues:
        raise SpecError(issues)
    return [completed(each) if is_plain(each) else each for each in documents]


def document_alone(path: Path) -> tuple[Document, Document]:
    """Return a document that nobody has annotated yet: as it is written, and completed.

    Raises:
        SpecError: it cannot be served, or says already how it is mocked.
    """
    raw = Document.read(path)
    if is_overlay(raw.data):
        raise SpecError([raw.issue((), "is an overlay", "name the document that it is for")])
    if not is_plain(raw):
        raise SpecError([raw.issue((), "is no OpenAPI document without x-mock", "see `mockserver check`")])
    return raw, completed(raw)


class _Reader:
    def __init__(self, paths: list[Path]) -> None:
        self._given = paths
        self._known: dict[Path, Document | None] = {}
        self._issues: list[SpecIssue] = []

    def run(self) -> Files:
        read = [(path, self._read(path)) for path in self._given]
        bare = [path for path, document in read if document is not None and not is_overlay(document.data)]
        overlays: dict[Path, list[Path]] = {}
        before: Path | None = None
        for path, document in read:
            if document is None:
                continue
            if not is_overlay(document.data):
                before = path
                overlays.setdefault(path.resolve(), [])
                continue
            beside = before or (bare[0] if len(bare) == 1 else None)
            chain = self._chain(path, document, beside)
            if chain is not None:
                applied = overlays.setdefault(chain[0], [])
                applied += [each for each in chain[1:] if each not in applied]
        documents = []
        for root, each in overlays.items():
            document = self._known[root]
            assert document is not None
            if each:
                document, issues = overlaid(document, [found for path in each if (found := self._known[path])])
                self._issues += issues
            documents.append(document)
        return Files(documents, self._issues)

    def _read(self, path: Path) -> Document | None:
        key = path.resolve()
        if key not in self._known:
            self._known[key] = None
            try:
                self._known[key] = Document.read(path)
            except SpecError as error:
                self._issues += error.issues
        return self._known[key]

    def _chain(self, path: Path, overlay: Document, beside: Path | None) -> list[Path] | None:
        """Return the document that an overlay is for, and the overlays on it in their order, this one last."""
        chain = [path.resolve()]
        while is_overlay(overlay.data):
            below = self._extended(overlay, beside)
            if below is None:
                return None
            if below.resolve() in chain:
                self._tell(overlay, "extends itself", "name the document")
                return None
            found = self._read(below)
            if found is None:
                return None
            chain.append(below.resolve())
            overlay = found
        return chain[::-1]

    def _extended(self, overlay: Document, beside: Path | None) -> Path | None:
        """Return the file that an overlay is applied to."""
        name = overlay.data.get("extends")
        if name is None:
            if beside is None:
                self._tell(overlay, "does not say which document it is for", "add `extends: FILE`")
            return beside
        if not isinstance(name, str) or not name:
            self._tell(overlay, f"must be the path of a file; got {name!r}", "write it as from this file's folder")
            return None
        if "://" in name and not name.startswith("file://"):
            if beside is None:
                fix = "save it, and write its path here; or give the file with --spec before this one"
                self._tell(overlay, f"{name!r} is not fetched", fix)
            return beside
        path = Path(os.path.normpath(Path(overlay.name).parent / unquote(name.removeprefix("file://"))))
        if not path.is_file():
            self._tell(overlay, f"the file {str(path)!r} does not exist", "a path is from this file's folder")
            return None
        return path

    def _tell(self, overlay: Document, message: str, fix: str) -> None:
        issue = overlay.issue(("extends",) if "extends" in overlay.data else (), message, fix)
        if issue not in self._issues:
            self._issues.append(issue)
