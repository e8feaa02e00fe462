"""The clients that come with it: the good ones are clean, and each broken one differs in one respect."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given, settings
from support.traffic import providers

from contracts.clause import all_clauses
from contracts.client.campaign import stray_addresses
from contracts.client.draw import situations
from contracts.client.in_process.runner import run_situation
from contracts.client.situations import Situation
from contracts.client.subject import load
from contracts.clients import GOOD, subject
from contracts.clients.broken import Mutant, mutants
from contracts.clients.polite import PoliteClient
from contracts.judge import applicable, judge_by
from contracts.rules import documented_rules

NAMES = sorted(GOOD)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_good_client_is_clean(name: str) -> None:
    """In every situation, no clause is violated, every job ends, and no other address is contacted."""
    provider = providers()[name]
    chosen = applicable(provider, rules=documented_rules())
    callbacks = provider.callbacks is not None

    @settings(max_examples=30)
    @given(situations(provider, callbacks=callbacks))
    def check(situation: Situation) -> None:
        found = run_situation(subject(GOOD[name]), provider, situation)
        accused = [each for each in judge_by(chosen, found.journal) if each.judgement == "violated"]
        assert not accused, (str(situation), [(each.clause.id, each.violations[0].seen) for each in accused])
        assert {job.ended for job in found.journal.jobs} <= {"returned", "raised"}
        assert len(found.journal.jobs) == situation.jobs
        assert (list(stray_addresses(found)), found.hangs) == ([], False)

    check()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_good_client_can_be_named(name: str) -> None:
    """`module:client` gives it, for `contracts run`."""
    found = run_situation(load(f"contracts.clients.{name}:client"), providers()[name], Situation(name))
    assert [job.ended for job in found.journal.jobs] == ["returned"]
    assert all(job.size_bytes for job in found.journal.jobs)


def test_every_clause_has_a_breaker() -> None:
    """And every breaker has a clause, and knows the others that it cannot keep."""
    ids = {each.id for each in all_clauses()}
    assert {each.clause for each in mutants()} == ids
    assert all(each.also <= ids - {each.clause} for each in mutants())
    assert len({each.name for each in mutants()}) == len(mutants())


@pytest.mark.parametrize("mutant", mutants(), ids=lambda each: each.name)
def test_a_breaker_differs_in_what_it_says(mutant: Mutant) -> None:
    """It says in a sentence what it does wrong, and lays something of its own over the good client, and only there."""
    said = mutant.mixin.__doc__ or ""
    assert said.endswith(".")
    assert len(said.splitlines()) == 1
    assert mutant.seen
    bases = [each for each in mutant.mixin.__mro__ if each is not PoliteClient and issubclass(each, PoliteClient)]
    own = {name for each in bases for name in vars(each) if not name.startswith("__") or name == "__init__"}
    assert own, "it differs in nothing"
    applies = [name for name in NAMES if mutant.applies(providers()[name])]
    assert applies
    for name in applies:
        client = mutant.over(GOOD[name])
        assert issubclass(client, (mutant.mixin, GOOD[name]))
        changed = {each for each in dir(client) if inspect.getattr_static(client, each) is not _of(GOOD[name], each)}
        changed -= {"__module__", "__doc__", "__dict__", "__weakref__", "__orig_bases__", "__annotations__"}
        assert changed, f"over {name} it changes nothing"
        assert changed <= own


def _of(client: type, name: str) -> object:
    return inspect.getattr_static(client, name, None)
