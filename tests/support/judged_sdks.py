"""The specs of specs/gallery, and the verdicts on clients of theirs around official SDKs."""

from __future__ import annotations

from pathlib import Path

from contracts.client.campaign import Options, run_campaign
from mockserver.spec.vocabulary import specs_directory

GALLERY = specs_directory() / "gallery"
CLIENTS = Path(__file__).parents[1] / "gallery"


def judged(provider: str, overlay: Path, folder: Path) -> tuple[list[str], list[str]]:
    """Judge the client of a provider's SDK; return the clauses that it violates, and those that were not tested."""
    client = f"{CLIENTS / provider.replace('-', '_')}_client.py:Client"
    options = Options(
        provider=provider,
        client=client,
        command=None,
        spec=(overlay,),
        dialects=(),
        seed=0,
        most_examples=0,
        time_limit_s=None,
        callbacks=None,
        speed=None,
        time_scale=None,
        job_limit_s=60,
        scenario=None,
        jobs=1,
        callback_path="/callback",
        directory=folder,
    )
    verdicts = run_campaign(options).verdicts
    return tuple(  # type: ignore[return-value]
        sorted(each.clause.id for each in verdicts if each.judgement == judgement)
        for judgement in ("violated", "not exercised")
    )
