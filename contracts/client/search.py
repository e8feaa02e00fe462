"""Judges a client by what it does in many situations, and finds the smallest one that shows each violation."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis.errors import NoSuchExample

from contracts.clause import Verdict
from contracts.client.situations import Situation, parts_of, situations, sweep
from contracts.judge import Applicable, applicable, judge_by, ranked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from contracts.clause import Clause
    from contracts.client.in_process.runner import Run
    from contracts.journal import Journal
    from contracts.rules import Rule
    from mockserver.provider import Provider

#: How many smaller situations are tried for each clause that was violated.
_TRIES_TO_SHRINK = 60
#: A client that has hung so often, for real seconds each time, is not made to meet anything else.
MOST_HANGS = 3
DEFAULT_EXAMPLES = 100


class _EnoughError(BaseException):
    """No more is drawn; as a BaseException, hypothesis lets it pass."""


class RunsSituation(Protocol):
    """Lets a client meet a situation."""

    def __call__(self, situation: Situation) -> Run:
        """Return what came of it."""


@dataclass(slots=True)
class _Seen:
    """What is known of a clause so far."""

    clause: Clause
    provider: str
    sources: tuple[str, ...]
    exercised: int = 0
    smallest: tuple[Situation, Verdict] | None = None
    violated: int = 0
    shrunk: bool = False


@dataclass(slots=True)
class Search:
    """A search for violations.

    Args:
        play: lets the client meet a situation.
        callbacks: whether the client can be called back.
        jobs: whether it can do several jobs at once.
        seed: of everything that is drawn.
        most_examples: how many situations are drawn, after the tour through all that there is to meet.
        time_budget_s: when it stops drawing, in real seconds; None is never.
        clauses: what to judge by; None is all.
        progress: told after each situation how many are done, and how many there may be.
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
    #: In how many situations the client had to be given up.
    hangs: int = 0
    #: Whether something was left out because the time was over.
    out_of_time: bool = False
    met: dict[Situation, Run] = field(default_factory=dict)
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _verdicts: dict[Situation, dict[str, Verdict]] = field(default_factory=dict)
    _applicable: Applicable | None = None
    _shrinking: bool = False
    _started_s: float = field(default_factory=monotonic)

    def run(self) -> list[Verdict]:
        """Meet the situations, shrink what was found, and return the verdicts; the violated ones come first."""
        planned = self.planned()
        most = len(planned) + self.most_examples
        for situation in planned:
            if self._over:
                break
            self._meet(situation)
            self.progress(len(self.met), most)
        if self.most_examples and not self._over:
            self._draw(most)
        self.progress(most, most)
        return self.verdicts()

    def planned(self) -> list[Situation]:
        """Return the tour through all that there is to meet."""
        return list(sweep(self.provider, callbacks=self.callbacks, jobs=self.jobs, seed=self.seed))

    def add(self, situation: Situation, run: Run) -> None:
        """Take in what came of a situation."""
        self.met[situation] = run
        self.hangs += run.hangs
        verdicts = judge_by(self._chosen(), run.journal)
        self._verdicts[situation] = {verdict.clause.id: verdict for verdict in verdicts}
        for verdict in verdicts:
            self._note(situation, verdict)

    def _chosen(self) -> Applicable:
        if self._applicable is None:
            self._applicable = applicable(self.provider, self.clauses, self.rules)
            self._seen = {each.id: _Seen(each, self.provider.name, sources) for each, sources in self._applicable}
        return self._applicable

    def verdicts(self) -> list[Verdict]:
        """Return what is to be said of all situations so far; first, what violates is made small."""
        self._chosen()
        while self.shrink and (large := [each for each in self._seen.values() if each.smallest and not each.shrunk]):
            for seen in large:
                self._shrink(seen)
        return ranked(self._verdict(each) for each in self._seen.values())

    @property
    def journals(self) -> list[Journal]:
        """Everything that went over the wire."""
        return [run.journal for run in self.met.values()]

    def smallest(self, verdict: Verdict) -> Situation | None:
        """Return the smallest situation in which a clause was violated."""
        found = self._seen[verdict.clause.id].smallest
        return None if found is None else found[0]

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
            self._meet(situation)
            self.progress(len(self.met), most)

        with contextlib.suppress(_EnoughError):
            meet()

    def _meet(self, situation: Situation) -> dict[str, Verdict]:
        """Let the client meet a situation, unless it has; return the verdicts by clause."""
        if situation not in self._verdicts:
            self.add(situation, self.run_situation(situation))
        return self._verdicts[situation]

    def _note(self, situation: Situation, verdict: Verdict) -> None:
        seen = self._seen[verdict.clause.id]
        # What is met only while something is made small is not counted: it is like what was met before.
        seen.exercised += verdict.judgement != "not exercised" and not self._shrinking
        if verdict.judgement == "violated":
            seen.violated += not self._shrinking
            if seen.smallest is None or situation.size < seen.smallest[0].size:
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
        )
        if seen.smallest is None:
            return made
        situation, verdict = seen.smallest
        return replace(made, violations=verdict.violations, situation=str(situation), speed=verdict.speed)

    def _shrink(self, seen: _Seen) -> None:
        """Take away from a situation what the violation can do without."""
        assert seen.smallest is not None
        situation = seen.smallest[0]
        self._shrinking = seen.shrunk = True

        def shows(smaller: Situation) -> bool:
            return not self._over and self._meet(smaller)[seen.clause.id].judgement == "violated"

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
