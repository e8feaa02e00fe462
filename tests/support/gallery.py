"""Specs of the gallery, and what the clauses say of a client of one."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts.client.catalogue import sweep
from contracts.client.in_process import run_situation
from contracts.judge import judge_journal
from mockserver.spec.catalog import load_providers

if TYPE_CHECKING:
    from collections.abc import Collection

    from mockserver.provider import Provider

GALLERY = Path(__file__).parent.parent.parent / "specs" / "gallery"
MOST_LINES = 60


def overlay(name: str) -> Path:
    """Return an overlay of the gallery."""
    return GALLERY / f"{name}.overlay.yaml"


@cache
def provider_of(name: str) -> Provider:
    """Return the provider that an overlay makes."""
    return load_providers([overlay(name)], builtin=False)[0]


def verdicts_on(client: Any, name: str, conditions: Collection[str], *, callbacks: bool = False) -> dict[str, str]:
    """Run a client under some conditions; return the clauses that it tests: kept, or what is violated by what."""
    provider, found = provider_of(name), dict[str, str]()
    met = [each for each in sweep(provider, callbacks=callbacks) if str(each).startswith(tuple(conditions))]
    missing = [title for title in conditions if not any(str(each).startswith(title) for each in met)]
    assert missing == []
    for situation in met:
        run = run_situation(client, provider, situation)
        assert not run.unknown_addresses, run.unknown_addresses
        for verdict in judge_journal(run.journal):
            if verdict.judgement == "violated":
                found[verdict.clause.id] = f"{situation}: {verdict.violations[0].seen}"
            elif verdict.judgement == "kept":
                found.setdefault(verdict.clause.id, "kept")
    return found
