"""Bodies: the prompt as it was given, documented fields only, and any success taken for one."""

from __future__ import annotations

from collections.abc import Iterator

from contracts.analysis import (
    accepted,
    model_of,
    patience_is_over,
    submits_of,
)
from contracts.clause import Exercised, Finding, Violation, check, clause
from contracts.journal import Journal
from contracts.sent import sent
from mockserver.engine.leaves import texts_in

_QUOTED = 60


@clause(
    "submit.prompt-unchanged",
    "Send the prompt unchanged: every letter, to its end, encoded once.",
    general=True,
    elsewhere="must",
)
def prompt_unchanged(journal: Journal) -> Iterator[Finding]:
    """Look for each job's prompt among the texts of its submits."""
    for job in journal.jobs:
        submits = submits_of(journal, job)
        if not submits and len(journal.jobs) == 1:
            submits = list(journal.of_role("submit"))
        for submit in submits:
            told = sent(journal, submit)
            if not submit.body_whole or told.value is None:
                continue
            texts = list(texts_in(told.value))
            if any(job.prompt in text for text in texts):
                yield Exercised()
                continue
            given = next((text for text in texts if job.mark in text), max(texts, key=len, default=""))
            yield Violation(
                (submit,),
                f"the prompt was sent as {_difference(job.prompt, given)}",
                f"the prompt of {len(job.prompt)} characters as it was given",
                "encode the body once, as JSON in UTF-8, with a JSON library; do not cut, escape or convert the prompt",
            )
            break


def _difference(prompt: str, given: str) -> str:
    """Show where a text first differs from a prompt."""
    at = next((n for n, (a, b) in enumerate(zip(prompt, given, strict=False)) if a != b), min(len(prompt), len(given)))
    part = given[max(0, at - _QUOTED // 2) : at + _QUOTED // 2]
    return f"{len(given)} characters, which differ from character {at + 1} on: …{part!r}…"


@clause(
    "submit.known-fields",
    "Send only fields that the document names: others are ignored, or misspelt.",
    covers=["*.submit.no-negative-prompt"],
    general=True,
    severity="should",
)
def known_fields(journal: Journal) -> Iterator[Finding]:
    """Find fields of a submit that its model's document does not have."""
    for submit in journal.of_role("submit"):
        model, body = model_of(journal, submit), submit.json
        if model is None or not isinstance(body, dict) or not submit.body_whole:
            continue
        unknown = model.request.unknown_fields(body)
        yield check(
            not unknown,
            (submit,),
            f"the body has {', '.join(unknown)}, which the document does not name",
            "documented fields only",
            "check the spelling; leave out what the model does not have",
        )


@clause(
    "submit.any-success",
    "Treat any 2xx answer to a submit as a success.",
    covers=["*.retry.any-success"],
)
def any_success(journal: Journal) -> Iterator[Finding]:
    """Find jobs that fail, or are submitted again, after a success with another status than 200."""
    for job in journal.jobs:
        submits = submits_of(journal, job)
        other = next((each for each in submits if accepted(each) and each.status != _usual(journal)), None)
        if other is None or job.ended == "never":
            continue
        asked = any(each.seq > other.seq and each.role != "submit" for each in journal.exchanges)
        asked = asked or patience_is_over(journal, other, (), job.ended_ms)
        again = any(each.seq > other.seq for each in submits)
        dropped = (
            job.ended == "raised" and not asked and not any(each.task == other.task for each in journal.deliveries)
        )
        yield check(
            not (again or dropped),
            (other,),
            f"job {job.number} {'was submitted again' if again else 'failed'} after {other.status} "
            f"({job.said[:_QUOTED]!r})",
            "the same as after 200",
            "test for a status from 200 to 299",
        )


def _usual(journal: Journal) -> int:
    """Return the status that the document shows for an accepted submit."""
    return next((each.status for each in journal.provider.operations.values() if each.role == "submit"), 200)
