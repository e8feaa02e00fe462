"""Shared by the tests of specs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mockserver.spec import check

if TYPE_CHECKING:
    from mockserver.spec.document import Document
    from mockserver.spec.mistakes import Mistake

#: OpenAPI documents that were found valid, as text without `x-mock`: it takes a while to validate one.
_VALID: set[str] = set()


@pytest.fixture(autouse=True)
def _one_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each OpenAPI document that was found valid be so from then on, whatever its `x-mock` says."""
    first, (validated,), last = check._STEPS

    def remembered(document: Document) -> list[Mistake]:
        openapi = repr({key: value for key, value in document.data.items() if not key.startswith("x-")})
        if openapi in _VALID:
            return []
        found = list(validated(document))
        if not found:
            _VALID.add(openapi)
        return found

    monkeypatch.setattr(check, "_STEPS", (first, (remembered,), last))
