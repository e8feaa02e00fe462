"""The search: it covers all conditions, finds violations that need several, and shrinks them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.traffic import providers

from contracts.clause import Clause, Exercised, Finding, Violation
from contracts.client import search as searching
from contracts.client.catalogue import conditions, most_important_first, sweep
from contracts.client.in_process import run_situation
from contracts.client.run import Run
from contracts.client.search import MOST_HANGS, Search
from contracts.client.situations import Situation
from contracts.clients import GOOD, subject
from contracts.clients.broken import mutants
from contracts.journal import Job, Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


GOOGLE, EVOLINK = "googlegeminiomni", "evolink"
PROVIDER = providers()[GOOGLE]

Shows = "Callable[[Situation], bool | None]"


def clause(id_: str, severity: Any = "must") -> Clause:
    """Make a clause that a planted run breaks, keeps or does not meet: what jobs say of it."""

    def judge(journal: Journal) -> Iterator[Finding]:
        for job in journal.jobs:
            name, _, what = job.said.partition(" ")
            if name == id_:
                yield Exercised() if what == "kept" else Violation((), what, "not this", "another")

    return Clause(id_, "A rule.", severity, (), True, lambda _: True, judge)


def search(shows: dict[str, Callable[[Situation], bool | None]], **more: Any) -> tuple[Search, list[Situation]]:
    """Make a search over runs that are made up: by clause, in which situations it is violated (None: not met)."""
    played: list[Situation] = []

    def run(situation: Situation) -> Run:
        played.append(situation)
        found = [(id_, shown(situation)) for id_, shown in shows.items()]
        jobs = tuple(
            Job(number, "", "returned", None, f"{id_} {situation if violated else 'kept'}", 0, 0)
            for number, (id_, violated) in enumerate(found, 1)
            if violated is not None
        )
        return Run(situation, Journal(PROVIDER, (), jobs))

    clauses = tuple(clause(id_) for id_ in shows)
    return Search(run, PROVIDER, (), clauses=clauses, **more), played


def met(situation: Situation, *groups: str) -> bool:
    """Tell whether something of one of the groups is met."""
    return any(condition.group in groups for condition in situation.conditions)


REFUSED = (
    "submit fails temporarily",
    "query fails temporarily",
    "submit always fails",
    "query always fails",
    "429 in bulk",
)
CALLED = (
    "callback duplicated",
    "callback lost",
    "callback late",
    "callback early",
    "callbacks without faults",
    "callback forged",
)


@pytest.mark.slow
def test_what_needs_two_things_at_once_is_found_and_made_small() -> None:
    """The planted violation is shown by the two things that it needs, and by nothing else."""

    def shows(situation: Situation) -> bool:
        return met(situation, *REFUSED) and met(situation, *CALLED)

    found, _ = search({"planted.both": shows}, callbacks=True, most_examples=600, seed=1)
    (verdict,) = found.run()
    assert verdict.judgement == "violated"
    smallest = found.smallest(verdict)
    assert smallest is not None
    assert len(smallest.conditions) == 2
    assert shows(smallest)
    assert (smallest.jobs, smallest.callbacks, smallest.seed) == (1, False, 0)
    assert verdict.situation == str(smallest)
    assert verdict.violations[0].seen == str(smallest)


def test_jobs_callbacks_and_the_seed_stay_where_they_are_needed() -> None:
    """Each is taken away only if the violation is there without it."""

    def three(situation: Situation) -> bool:
        return situation.jobs >= 3 and met(situation, "jobs in bulk", "429 in bulk", "submits refused in bulk")

    found, _ = search(
        {
            "planted.jobs": three,
            "planted.callbacks": lambda situation: situation.callbacks,
            "planted.seed": lambda situation: situation.seed % 2 == 1,
        },
        callbacks=True,
        most_examples=60,
        seed=4,
    )
    by_id = {verdict.clause.id: found.smallest(verdict) for verdict in found.run()}
    jobs, callbacks, seed = (by_id[f"planted.{name}"] for name in ("jobs", "callbacks", "seed"))
    assert jobs is not None
    assert callbacks is not None
    assert seed is not None
    assert jobs.jobs == 3 or not jobs.conditions
    assert (callbacks.callbacks, callbacks.jobs, callbacks.conditions, callbacks.seed) == (True, 1, (), 0)
    assert seed.seed % 2 == 1
    assert (seed.jobs, seed.conditions) == (1, ())


def test_what_is_counted() -> None:
    """In how many situations each was met and violated; those that only make another one small are not counted."""

    def some(situation: Situation) -> bool | None:
        return situation.jobs > 3 if situation.conditions else None

    shows: dict[str, Callable[[Situation], bool | None]] = {
        "planted.first": some,
        "planted.never": lambda _: None,
        "planted.kept": lambda _: False,
        "planted.last": some,
    }
    found, played = search(shows, most_examples=30)
    plain, _ = search(shows, most_examples=30, shrink=False)
    plain.run()
    drawn = list(plain.met)
    verdicts = {each.clause.id: each for each in found.run()}
    assert [each.judgement for each in found.verdicts()] == ["violated", "violated", "not exercised", "kept"]
    for id_, shown in shows.items():
        assert verdicts[id_].exercised_in == sum(shown(each) is not None for each in drawn)
        assert verdicts[id_].violated_in == sum(bool(shown(each)) for each in drawn)
    assert len(played) == len(set(played)) == len(found.met) > len(drawn)
    assert len(found.journals) == len(found.met)
    before = len(played)
    assert {each.clause.id: each for each in found.verdicts()} == verdicts
    assert len(played) == before


def test_what_is_found_only_while_another_is_made_small_counts_too() -> None:
    """It is violated in one situation, though none of those that were drawn shows it."""
    drawn, _ = search({"planted.plain": lambda _: False}, most_examples=20, shrink=False)
    drawn.run()

    found, played = search(
        {
            "planted.jobs": lambda situation: situation.jobs >= 2 and len(situation.conditions) == 2,
            "planted.hidden": lambda situation: situation not in drawn.met,
        },
        most_examples=20,
    )
    verdicts = {each.clause.id: each for each in found.run()}
    assert len(played) > len(drawn.met)
    hidden = verdicts["planted.hidden"]
    assert (hidden.judgement, hidden.violated_in) == ("violated", 1)
    assert found.smallest(hidden) not in drawn.met


def test_without_shrinking_the_smallest_that_was_met_is_shown() -> None:
    """Smallest by its faults, then by its jobs."""
    found, played = search({"planted.any": lambda situation: situation.jobs > 1}, most_examples=40, shrink=False)
    (verdict,) = found.run()
    smallest = found.smallest(verdict)
    assert smallest is not None
    assert smallest.size == min(each.size for each in played if each.jobs > 1)
    kept, _ = search({"planted.none": lambda _: False}, most_examples=0)
    (verdict,) = kept.run()
    assert kept.smallest(verdict) is None
    assert (verdict.situation, verdict.violations) == ("", ())


def test_where_nothing_was_met_nothing_is_kept() -> None:
    """Every clause is there, and was not exercised."""
    found, played = search({"planted.one": lambda _: True, "planted.two": lambda _: False}, time_budget_s=0.0)
    assert [(each.judgement, each.exercised_in) for each in found.run()] == [("not exercised", 0)] * 2
    assert played == []


def test_seeds() -> None:
    """The same seed gives the same situations in the same order, another one others; the tour comes first."""

    def drawn(seed: int) -> list[Situation]:
        found, played = search({}, callbacks=True, most_examples=50, seed=seed)
        found.run()
        return played

    first = drawn(11)
    assert drawn(11) == first
    planned = most_important_first(sweep(PROVIDER, callbacks=True, seed=11))
    assert first[: len(planned)] == list(dict.fromkeys(planned))
    others = set(drawn(12)[len(planned) :])
    assert len(others & set(first[len(planned) :])) <= 2
    assert len(first) > len(planned) + 30


def test_a_thinned_search_meets_all_until_its_clause_is_violated_and_a_third_of_the_rest() -> None:
    """What another clause finds does not thin it."""
    planned = Search(lambda _: Run(None, Journal(PROVIDER, ())), PROVIDER, ()).planned()
    late = planned[31]
    shows: dict[str, Callable[[Situation], bool | None]] = {"a": lambda each: each == late, "b": lambda _: True}
    found, played = search(shows, most_examples=0, shrink=False, thin_after="a")
    found.run()
    assert played == [*planned[:32], *planned[33::3]]


def test_progress_is_told() -> None:
    """After each situation, never back; in the end all is done."""
    told: list[tuple[int, int]] = []
    found, _ = search({}, most_examples=25, progress=lambda done, most: told.append((done, most)))
    found.run()
    most = len(sweep(PROVIDER, callbacks=False)) + 25
    assert told == sorted(told)
    assert told[0] == (1, most)
    assert told[-1] == (most, most)
    assert {each for _, each in told} == {most}


def test_the_time_budget_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is begun when it is over: no situation of the tour, no drawn one, none to make another small."""
    now = [0.0]
    monkeypatch.setattr(searching, "monotonic", lambda: now[0])

    def shows(_: Situation) -> bool:
        now[0] += 1
        return True

    found, played = search({"planted.any": shows}, time_budget_s=10.5, _started_s=0.0)
    (verdict,) = found.run()
    assert len(played) == 11
    assert (verdict.judgement, verdict.violated_in) == ("violated", 11)
    whole = len(sweep(PROVIDER, callbacks=False))
    now[0] = 0
    found, played = search({"planted.any": shows}, time_budget_s=whole + 4.5, _started_s=0.0)
    found.run()
    assert len(played) == whole + 5


def test_a_client_that_hangs_is_not_tried_for_ever() -> None:
    """After so many situations in which it had to be given up, no more are met."""
    made, played = search({"planted.any": lambda _: True}, most_examples=50)
    run = made.run_situation
    made.run_situation = lambda situation: replace(run(situation), hangs=situation.jobs == 1)
    (verdict,) = made.run()
    assert made.hangs == MOST_HANGS == len([each for each in played if each.jobs == 1])
    assert verdict.judgement == "violated"


def test_a_broken_client_is_caught_by_the_smallest_situation_that_shows_it() -> None:
    """A real client with two things at once: the violation of each is shown by one fault at most."""
    chosen = {each.name: each for each in mutants()}
    client = chosen["HearsNoRetryAfter"].over(GOOD[EVOLINK])
    provider = providers()[EVOLINK]
    menu = {each.name: each for each in conditions(provider, callbacks=False)}
    found = Search(lambda situation: run_situation(subject(client), provider, situation), provider, (), shrink=True)
    large = Situation(EVOLINK, (menu["Retry-After in seconds"], menu["file slow"]), 3, seed=5)
    found.add(large, found.run_situation(large))
    verdict = next(each for each in found.verdicts() if each.clause.id == "retry.retry-after")
    smallest = found.smallest(verdict)
    assert smallest is not None
    assert [each.name for each in smallest.conditions] == ["Retry-After in seconds"]
    assert (smallest.jobs, smallest.seed) == (1, 0)
    assert verdict.situation == str(smallest)
