"""`mockserver check`: report every issue of a user's specs, with file, line and fix.

The issues come all at once. Where the form of a spec is wrong, the checks of its meaning go on with what was probably
meant; where that is not known, they are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from mockserver.spec.compile import compile_providers
from mockserver.spec.document import Document, Path_, SpecError, SpecIssue
from mockserver.spec.files import read_files
from mockserver.spec.keys import keyword_mistakes, null_mistakes, number_mistakes
from mockserver.spec.mistakes import Mistake, repaired, tidied
from mockserver.spec.openapi import (
    misplaced_extensions,
    misspelt_extensions,
    openapi_mistakes,
    operation_mistakes,
    reference_mistakes,
)
from mockserver.spec.overlay import written_by_overlays
from mockserver.spec.plain import FILLED, completed, is_plain
from mockserver.spec.vocabulary import builtin_specs, vocabulary_mistakes

Check = Callable[[Document], Iterable[Mistake]]


def _of_overlays(check: Check, document: Document) -> Iterator[Mistake]:
    """Yield the mistakes that overlays have made; they need not say all that a spec needs."""
    is_partial = isinstance(document.data.get("x-mock", {}), dict)
    written = replace(document, data=written_by_overlays(document))
    for each in check(written) if document.origins else ():
        filled = each.kind == "missing key" and each.path in FILLED and is_partial
        if not filled and "overlay" in document.origin(each.path)[0].data:
            yield each


#: What stands in a later step may rest on what an earlier one repairs.
_STEPS: tuple[tuple[Check, ...], ...] = (
    (misspelt_extensions, null_mistakes),
    (openapi_mistakes,),
    (
        *(reference_mistakes, keyword_mistakes, operation_mistakes, misplaced_extensions),
        *(number_mistakes, vocabulary_mistakes),
    ),
)


#: The same for an overlay on a document without `x-mock`, which is not checked itself, and says no more than it wants.
_PLAIN_STEPS: tuple[tuple[Check, ...], ...] = tuple(
    (partial(_of_overlays, check),)
    for check in (misspelt_extensions, null_mistakes, number_mistakes, misplaced_extensions, vocabulary_mistakes)
)


def check_files(paths: Iterable[Path]) -> list[SpecIssue]:
    """Return the issues of these files: YAML, references, OpenAPI 3.1, x-mock, and consistency between files.

    A file that is `part_of` a provider may extend a built-in spec.
    """
    return checked(paths)[0]


def checked(paths: Iterable[Path], *, warns: bool = True) -> tuple[list[SpecIssue], list[Document]]:
    """Do the same, and return the documents as well: as they are written, if there are no issues.

    Warnings need the lines of the file, which takes as long as to read it again.
    """
    issues: list[SpecIssue] = []
    documents: list[Document] = []
    unclear = False
    unknown: set[Path_] = set()
    found = read_files(paths)
    issues += found.issues
    unclear |= bool(found.issues)
    if any(not each.fix.startswith("did you mean $") for each in found.issues):  # an action was not applied
        unknown.add(("paths",))
    for document in found.documents:
        plain = is_plain(document)
        mistakes, meant = _mistakes(document, _PLAIN_STEPS if plain else _STEPS)
        issues += [each.issue(document) for each in mistakes]
        unknown |= {_unknown_part(each) for each in mistakes if not isinstance(each.meant, str)}
        if plain:
            try:
                meant = completed(meant)
            except SpecError as error:
                issues += error.issues
                unclear = True
                continue
        issues += warnings_of(meant) if warns else []
        issues += [] if plain else _dialect_issues(meant, mistakes)
        if any(tidied(_of_overlays(vocabulary_mistakes, meant) if plain else vocabulary_mistakes(meant))):
            unclear = True
        else:
            documents.append(meant)
    if not (unclear and any("part_of" in each.data["x-mock"] for each in documents)):
        told = {(each.file, each.line) for each in issues if not each.is_warning}
        issues += [
            each
            for each in _meaning(documents, sure=all(each.is_warning for each in issues))
            if (each.file, each.line) not in told and not _is_consequence(each, unknown)
        ]
    return unique(issues), documents


def warnings_of(document: Document) -> list[SpecIssue]:
    """Return what is wrong with a document and keeps nothing from being served."""
    return [
        replace(written.issue(path, message, fix), is_warning=True) for written, path, message, fix in document.warnings
    ]


def _unknown_part(mistake: Mistake) -> Path_:
    """Return the part of a spec that cannot be judged because of a mistake: of a number, that number."""
    path = mistake.path
    if not isinstance(mistake.meant, int):
        return path[:2]
    return path[:3] if path[:2] == ("x-mock", "lifecycle") else path


def _is_consequence(issue: SpecIssue, unknown: set[Path_]) -> bool:
    """Tell whether an issue may only be there because it is not known what was meant in a part of the spec."""
    leans_on_paths = issue.path[:2] in (("x-mock", "results"), ("x-mock", "uploads"), ("x-mock", "callbacks"))
    return (
        any(issue.path[: len(part)] == part for part in unknown)
        or ("x-mock", "lifecycle") in unknown
        or (leans_on_paths and any(part[:1] == ("paths",) for part in unknown))
    )


def unique(issues: Iterable[SpecIssue]) -> list[SpecIssue]:
    """Return issues in the order of their lines; what is said twice of one line is told once."""
    found: dict[tuple[str, int | None, str], SpecIssue] = {}
    for issue in issues:
        found.setdefault((issue.file, issue.line, issue.said or issue.message), issue)
    return sorted(found.values(), key=lambda each: (each.file, each.line or 0))


def _mistakes(document: Document, steps: tuple[tuple[Check, ...], ...]) -> tuple[list[Mistake], Document]:
    """Return the mistakes in the form of a document, and the document as it was probably meant."""
    all_found: list[Mistake] = []
    for step in steps:
        told = {each.path for each in all_found}
        found = tidied(chain.from_iterable(check(document) for check in step))
        found = [each for each in found if not each.missing or (*each.path, each.missing) not in told]
        if found:
            document = repaired(document, found)
            all_found += found
    return all_found, document


def _dialect_issues(document: Document, known: list[Mistake]) -> Iterator[SpecIssue]:
    """Yield the mistakes outside `x-mock` that only a dialect has."""
    told = {(each.path, each.message) for each in known}
    for name, patch in _patches(document.data.get("x-mock")).items():
        patched = document.patched(patch)
        checks: list[Check] = [null_mistakes, number_mistakes, keyword_mistakes, reference_mistakes, operation_mistakes]
        if set(patch) - {"x-mock"}:
            checks.append(openapi_mistakes)
        for mistake in tidied(chain.from_iterable(check(patched) for check in checks)):
            if (mistake.path, mistake.message) not in told:
                issue = mistake.issue(patched)
                yield replace(issue, message=f"in the dialect {name}, {issue.message}")


def _patches(mock: Any) -> dict[str, Any]:
    found = mock.get("dialects") if isinstance(mock, dict) else None
    entries = found.items() if isinstance(found, dict) else ()
    return {
        name: each["patch"] for name, each in entries if isinstance(each, dict) and isinstance(each.get("patch"), dict)
    }


def _meaning(documents: list[Document], *, sure: bool) -> list[SpecIssue]:
    """Compile documents, and return what does not fit together; in each dialect as well.

    Where the form was wrong, and so is not `sure`, what was meant may be no spec that can be compiled.
    """
    everything = [*documents, *_leads_wanted(documents)]
    issues: list[SpecIssue] = []
    try:
        compile_providers(everything, {})
        for document in everything:
            mock = document.data["x-mock"]
            for name in _patches(mock):
                issues += _in_dialect(everything, mock.get("provider") or mock["part_of"], name)
    except SpecError as error:
        issues += error.issues
    except Exception:
        if sure:
            raise
    return issues


def _in_dialect(documents: list[Document], provider: str, dialect: str) -> list[SpecIssue]:
    try:
        compile_providers(documents, {provider: [dialect]})
    except SpecError as error:
        return error.issues
    return []


def _leads_wanted(documents: list[Document]) -> list[Document]:
    """Return the built-in main specs of providers that the checked documents are part of."""
    led = {document.data["x-mock"].get("provider") for document in documents}
    wanted = {document.data["x-mock"].get("part_of") for document in documents} - {None} - led
    if not wanted:
        return []
    shipped = [Document.read(path) for path in builtin_specs()]
    return [document for document in shipped if document.data["x-mock"].get("provider") in wanted]
