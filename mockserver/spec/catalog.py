"""Choose the specs to serve: the built-in ones, the user's own, or both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from mockserver.provider import Provider
from mockserver.spec.compile import compile_providers
from mockserver.spec.document import Document, SpecError, SpecIssue
from mockserver.spec.vocabulary import builtin_specs, check_vocabulary


def load_providers(
    specs: Iterable[str | Path] = (),
    *,
    builtin: bool = True,
    dialects: Mapping[str, Iterable[str]] | None = None,
    only: str | None = None,
) -> list[Provider]:
    """Read, check and compile specs; built-in specs are compiled once for each process.

    A user's spec replaces a built-in provider of the same name.

    Raises:
        SpecError: with every issue of every file.
    """
    own, chosen = [Path(spec) for spec in specs], {name: tuple(each) for name, each in (dialects or {}).items()}
    if builtin and not own:
        return list(_builtin_providers(tuple(chosen.items()), only))
    return _load(own, chosen, only, builtin=builtin)


@lru_cache(maxsize=8)
def _builtin_providers(dialects: tuple[tuple[str, tuple[str, ...]], ...], only: str | None) -> list[Provider]:
    return _load([], dict(dialects), only, builtin=True)


def _load(
    specs: list[Path], dialects: dict[str, tuple[str, ...]], only: str | None, *, builtin: bool
) -> list[Provider]:
    own = _checked(specs) if specs else []
    replaced = {document.data["x-mock"].get("provider") for document in own} - {None}
    shipped = _read(builtin_specs()) if builtin else []
    kept = [
        document
        for document in shipped
        if not replaced & {document.data["x-mock"].get("provider"), document.data["x-mock"].get("part_of")}
    ]
    documents = [*kept, *own]
    if not documents:
        raise SpecError([SpecIssue("specs", None, "no specs to serve", "add one with --spec FILE")])
    names = [document.data["x-mock"].get("provider") for document in documents]
    if only is not None and only not in names:
        known = ", ".join(sorted(name for name in names if name))
        raise SpecError([SpecIssue("only", None, f"unknown provider {only!r}", f"known: {known}")])
    if only is not None:
        documents = [
            document
            for document in documents
            if only in (document.data["x-mock"].get("provider"), document.data["x-mock"].get("part_of"))
        ]
        dialects = {name: chosen for name, chosen in dialects.items() if name == only}
    return compile_providers(documents, dialects)


def _checked(specs: list[Path]) -> list[Document]:
    from mockserver.spec.check import checked  # noqa: PLC0415 - its validator loads slowly

    issues, documents = checked(specs, warns=False)
    if issues:
        raise SpecError(issues)
    return documents


def _read(paths: Iterable[Path]) -> list[Document]:
    documents = [Document.read(path) for path in paths]
    for document in documents:
        check_vocabulary(document)
    return documents
