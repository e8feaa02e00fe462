"""Mistakes that were found in real clients: one situation shows each, and a clause whose title names it catches it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.traffic import providers

from contracts.client.catalogue import conditions
from contracts.client.in_process.runner import run_situation
from contracts.client.situations import Situation
from contracts.clients import GOOD, subject
from contracts.clients.broken import mutants
from contracts.judge import judge_journal

if TYPE_CHECKING:
    from contracts.clients.polite import PoliteClient

EVOLINK, GOOGLE, TOAPIS = "evolink", "googlegeminiomni", "toapis"
MUTANTS = {each.name: each for each in mutants()}
#: By mutant: the provider and the condition that show its mistake.
SHOWN = {
    "PaysForPollErrors": (EVOLINK, "query always fails: 500"),
    "PaysForUnreadableAnswers": (EVOLINK, "answer to the submit truncated"),
    "PaysForBadFiles": (EVOLINK, "file refused: 500"),
    "TakesAnyBodyForATask": (EVOLINK, "error inside 200: submit"),
    "LosesLetters": (EVOLINK, "prompt: many scripts"),
    "CutsPrompts": (TOAPIS, "prompt: near the limit"),
    "EncodesTwice": (EVOLINK, "prompt: quotes and escapes"),
    "SendsUnknownFields": (EVOLINK, "no faults"),
    "ExpectsExactly200": (GOOGLE, "submit answered with 201"),
    "PollsThroughRetryAfter": (EVOLINK, "Retry-After again and again: query"),
    "MultipliesRetryAfter": (EVOLINK, "Retry-After again and again: submit"),
    "CountsAllErrors": (EVOLINK, "every second query fails"),
    "NeverRetries500": (TOAPIS, "submit fails temporarily: 500 x1"),
    "WaitsTenMinutes": (GOOGLE, "submit fails temporarily: 500 x1"),
    "NeverTimesOut": (EVOLINK, "poll held open for an hour"),
    "ConnectsForEachRequest": (EVOLINK, "task overdue"),
    "TakesAnyEventForTheEnd": (EVOLINK, "callback of an unknown event while the task is running"),
    "DropsTheToldReason": (GOOGLE, "task fails, reported by callback"),
    "SignsItsOwnJSON": (GOOGLE, "callback formatted otherwise: indented"),
    "AcceptsTheOldSecret": (GOOGLE, "callback forged: old secret"),
    "ExpectsTheEndAtOnce": (EVOLINK, "query lags behind the callback"),
    "WaitsForTheCancelled": (EVOLINK, "task cancelled"),
    "TakesProgressForTheEnd": (EVOLINK, "progress 100 before the end"),
    "AppendsTheWholeFile": (EVOLINK, "download breaks off: Range ignored"),
    "ResumesOneByteLate": (EVOLINK, "download breaks off: Range works"),
    "DownloadsTwice": (EVOLINK, "no faults"),
    "SavesWebPages": (EVOLINK, "web page instead of the file"),
    "MistakesSecondsForMilliseconds": (EVOLINK, "no faults"),
    "MakesAnEmptyFile": (EVOLINK, "link comes later"),
    "SavesUnderOneName": (EVOLINK, "jobs in bulk"),
    "ReadsSecondsOnly": (EVOLINK, "Retry-After in date"),
    "FollowsWithItsKey": (GOOGLE, "query redirected to another host"),
}


def violated(client: type[PoliteClient], name: str, condition: str) -> dict[str, str]:
    """Run a client under one condition; return what it violated, and what was seen."""
    provider = providers()[name]
    (chosen,) = (each for each in conditions(provider, callbacks=True) if each.name == condition)
    parts = () if chosen.is_plain else (chosen,)
    run = run_situation(subject(client), provider, Situation(name, parts, chosen.jobs, chosen.callbacks))
    return {each.clause.id: each.violations[0].seen for each in judge_journal(run.journal) if each.violations}


@pytest.mark.parametrize("mutant", SHOWN)
def test_a_mistake_is_caught_where_it_shows(mutant: str) -> None:
    """The clause that names the mistake catches it, and no clause that does not follow from it."""
    name, condition = SHOWN[mutant]
    found = violated(MUTANTS[mutant].over(GOOD[name]), name, condition)
    assert MUTANTS[mutant].clause in found
    assert set(found) <= {MUTANTS[mutant].clause, *MUTANTS[mutant].also}


@pytest.mark.parametrize(("name", "condition"), sorted(set(SHOWN.values())))
def test_a_good_client_is_not_accused_there(name: str, condition: str) -> None:
    """A careful client violates nothing in the same situations."""
    assert violated(GOOD[name], name, condition) == {}


@pytest.mark.parametrize("status", [201, 202])
def test_any_success_is_met_only_where_a_document_says_so(status: int) -> None:
    """A submit answered with 201 or 202 is a situation only at the provider whose document says any 2xx."""
    title = f"submit answered with {status}"
    for name, provider in providers().items():
        met = any(each.name == title for each in conditions(provider, callbacks=True))
        assert met == (name == GOOGLE)
    assert violated(GOOD[GOOGLE], GOOGLE, title) == {}
