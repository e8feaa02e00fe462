"""Search for violations: run a client in many situations, and shrink each violation to a minimal case."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Protocol

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis.errors import NoSuchExample

from contracts.blame import grouped
from contracts.clause import SEVERITIES, Clause, Verdict
from contracts.client.catalogue import most_important_first, sweep
from contracts.client.draw import parts_of, situations
from contracts.client.output import ends_of
from contracts.client.run import Run
from contracts.client.situations import Situation
from contracts.journal import Journal
from contracts.judge import Applicable, applicable, basis_of, judge_by, ranked
from contracts.rules import Rule
from mockserver.provider import Provider

#: Of a thinned search, one of so many planned situations is run.
_THINNED = 3
#: How many smaller situations are tried for each violated clause.
_TRIES_TO_SHRINK = 60
#: After so many hangs, each of which takes real seconds, no further situation is run.
MOST_HANGS = 3
DEFAULT_EXAMPLES = 100


class _EnoughError(BaseException):
    """Stop drawing; hypothesis passes a BaseException on."""


class RunsSituation(Protocol):
    """Runs a client in a situation."""

    def __call__(self, situation: Situation) -> Run:
        """Return the result."""


@dataclass(slots=True)
class _Seen:
    """The results of one clause so far."""

    clause: Clause
    provider: str
    sources: tuple[str, ...]
    exercised: int = 0
    #: The smallest situation that shows a violation, best one without undocumented behaviour of the provider.
    smallest: tuple[Situation, Verdict] | None = None
    violated: int = 0
    #: Why it was not tested in some situation.
    reason: str = ""
    shrunk: bool = False


@dataclass(slots=True)
class Search:
    """A search for violations.

    Args:
        run_situation: runs the client in a situation.
        callbacks: whether the client can receive callbacks.
        jobs: whether it can do several jobs at once.
        seed: the random seed.
        most_examples: how many random situations are run, after the sweep over all conditions.
        time_budget_s: when to start no more situations, in real seconds; None is never.
        clauses: what to judge by; None is all.
        progress: called after each situation with the number done, and the largest number expected.
        shrink: whether violations are shrunk to smaller situations.
        thin_after: a clause; once it is violated, only every third of the remaining planned situations is run.
    """

    run_situation: RunsSituation
    provider: Provider
    rules: Iterable[Rule]
    callbacks: bool = False
    jobs: bool = True
    seed: int = 0
    most_examples: int = DEFAULT_EXAMPLES
    time_budget_s: float | None = None
    clauses: tuple[Clause, ...] | None = None
    progress: Callable[[int, int], None] = lambda _done, _most: None
    shrink: bool = True
    thin_after: str | None = None
    #: In how many situations the client hung.
    hangs: int = 0
    #: Whether the time budget cut the search short.
    out_of_time: bool = False
    met: dict[Situation, Run] = field(default_factory=dict)
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _verdicts: dict[Situation, dict[str, Verdict]] = field(default_factory=dict)
    _applicable: Applicable | None = None
    _shrinking: bool = False
    _started_s: float = field(default_factory=monotonic)

    def run(self) -> list[Verdict]:
        """Run the situations, shrink the violations, and return the verdicts; violations come first."""
        planned = self.planned()
        most = len(planned) + self.most_examples
        for number, situation in enumerate(planned):
            if self._over:
                break
            if number % _THINNED and self._is_thinned:
                continue
            self._run(situation)
            self.progress(len(self.met), most)
        if self.most_examples and not self._over:
            self._draw(most)
        self.progress(most, most)
        return self.verdicts()

    def planned(self) -> list[Situation]:
        """Return one situation for each condition, the most important first."""
        planned = sweep(self.provider, callbacks=self.callbacks, jobs=self.jobs, seed=self.seed)
        return most_important_first(planned)

    def add(self, situation: Situation, run: Run) -> None:
        """Add the result of a situation."""
        self.met[situation] = run
        self.hangs += run.hangs
        journal = replace(run.journal, records=(), jobs=()) if run.untested else run.journal
        verdicts = judge_by(self._chosen(), journal)
        self._verdicts[situation] = {verdict.clause.id: verdict for verdict in verdicts}
        for verdict in verdicts:
            self._note(situation, verdict)

    def _chosen(self) -> Applicable:
        if self._applicable is None:
            self._applicable = applicable(self.provider, self.clauses, self.rules)
            self._seen = {each.id: _Seen(each, self.provider.name, sources) for each, sources in self._applicable}
        return self._applicable

    def verdicts(self) -> list[Verdict]:
        """Shrink the violations, and return the verdicts over all situations so far."""
        self._chosen()
        while self.shrink and (large := [each for each in self._seen.values() if each.smallest and not each.shrunk]):
            for seen in large:
                self._shrink(seen)
        return ranked(grouped(self._verdict(each) for each in self._seen.values()))

    @property
    def journals(self) -> list[Journal]:
        """The traffic of every situation."""
        return [run.journal for run in self.met.values()]

    def smallest(self, verdict: Verdict) -> Situation | None:
        """Return the smallest situation in which a clause was violated."""
        found = self._seen[verdict.clause.id].smallest
        return None if found is None else found[0]

    @property
    def _is_thinned(self) -> bool:
        seen = self._seen.get(self.thin_after or "")
        return seen is not None and seen.smallest is not None

    @property
    def _over(self) -> bool:
        late = self.time_budget_s is not None and monotonic() - self._started_s > self.time_budget_s
        self.out_of_time = self.out_of_time or late
        return late or self.hangs >= MOST_HANGS

    def _draw(self, most: int) -> None:
        drawn = situations(self.provider, callbacks=self.callbacks, jobs=self.jobs)

        @hypothesis.seed(self.seed)
        @hypothesis.settings(
            max_examples=self.most_examples,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(drawn)
        def meet(situation: Situation) -> None:
            if self._over:
                raise _EnoughError
            self._run(situation)
            self.progress(len(self.met), most)

        with contextlib.suppress(_EnoughError):
            meet()

    def _run(self, situation: Situation) -> dict[str, Verdict]:
        """Run the client in a situation, once; return the verdicts by clause."""
        if situation not in self._verdicts:
            self.add(situation, self.run_situation(situation))
        return self._verdicts[situation]

    def _note(self, situation: Situation, verdict: Verdict) -> None:
        seen = self._seen[verdict.clause.id]
        # Situations that only occur while shrinking are not counted: they resemble those before.
        seen.reason = seen.reason or verdict.reason
        seen.exercised += verdict.judgement != "not exercised" and not self._shrinking
        if verdict.judgement == "violated":
            seen.violated += not self._shrinking
            if seen.smallest is None or _weight(situation, verdict) < _weight(*seen.smallest):
                seen.smallest = situation, verdict

    def _verdict(self, seen: _Seen) -> Verdict:
        judgement = "violated" if seen.smallest else "kept" if seen.exercised else "not exercised"
        violated = max(seen.violated, int(seen.smallest is not None))
        made = Verdict(
            seen.clause,
            seen.provider,
            judgement,  # type: ignore[arg-type]  # one of three
            sources=seen.sources,
            exercised_in=max(seen.exercised, violated),
            violated_in=violated,
            basis=basis_of(seen.sources),
            reason=seen.reason,
        )
        if seen.smallest is None:
            return made
        situation, verdict = seen.smallest
        output = ends_of(self.met[situation].output)
        return replace(
            made, violations=verdict.violations, situation=str(situation), speed=verdict.speed, output=output
        )

    def _shrink(self, seen: _Seen) -> None:
        """Remove every part of a situation that the violation does not need."""
        assert seen.smallest is not None
        situation, cause = seen.smallest[0], seen.smallest[1].cause
        self._shrinking = seen.shrunk = True

        def shows(smaller: Situation) -> bool:
            if self._over:
                return False
            verdict = self._run(smaller)[seen.clause.id]
            return verdict.judgement == "violated" and verdict.cause in ("", cause)

        try:
            found = hypothesis.find(
                parts_of(situation),
                shows,
                settings=hypothesis.settings(
                    max_examples=_TRIES_TO_SHRINK,
                    database=None,
                    deadline=None,
                    phases=[Phase.generate, Phase.shrink],
                    suppress_health_check=list(HealthCheck),
                    derandomize=True,
                ),
            )
        except NoSuchExample:
            found = situation
        finally:
            self._shrinking = False
        seen.smallest = found, self._verdicts[found][seen.clause.id]


def _weight(situation: Situation, verdict: Verdict) -> tuple[bool, int, tuple[int, int, int]]:
    """Say how well a situation shows a violation, the least best: by itself, at its gravest, and in a small one."""
    return bool(verdict.cause), SEVERITIES.index(verdict.severity), situation.size
