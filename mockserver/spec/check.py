"""`mockserver check`: report every issue of a user's specs, with file, line and fix."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mockserver.spec.compile import compile_providers
from mockserver.spec.document import Document, SpecError, SpecIssue
from mockserver.spec.keys import key_issues
from mockserver.spec.openapi import openapi_issues, reference_issues
from mockserver.spec.vocabulary import builtin_specs, check_vocabulary


def check_files(paths: Iterable[Path]) -> list[SpecIssue]:
    """Return the issues of these files: YAML, references, OpenAPI 3.1, x-mock, and consistency between files.

    A file that is `part_of` a provider may extend a built-in spec.
    """
    issues: list[SpecIssue] = []
    documents: list[Document] = []
    for path in paths:
        try:
            document = Document.read(path)
        except SpecError as error:
            issues += error.issues
            continue
        found = document_issues(document)
        if not found:
            documents.append(document)
        issues += found
    if issues:
        return issues
    try:
        providers = compile_providers([*documents, *_leads_wanted(documents)], {})
        for provider in providers:
            for dialect in provider.dialects:
                compile_providers([*documents, *_leads_wanted(documents)], {provider.name: [dialect.name]})
    except SpecError as error:
        issues += error.issues
    return issues


def document_issues(document: Document) -> list[SpecIssue]:
    """Return the issues of a single document."""
    issues = reference_issues(document) or key_issues(document) or openapi_issues(document)
    try:
        check_vocabulary(document)
    except SpecError as error:
        issues += error.issues
    return issues


def _leads_wanted(documents: list[Document]) -> list[Document]:
    """Return the built-in main specs of providers that the checked documents are part of."""
    led = {document.data["x-mock"].get("provider") for document in documents}
    wanted = {document.data["x-mock"].get("part_of") for document in documents} - {None} - led
    if not wanted:
        return []
    shipped = [Document.read(path) for path in builtin_specs()]
    return [document for document in shipped if document.data["x-mock"].get("provider") in wanted]
