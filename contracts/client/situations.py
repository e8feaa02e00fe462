"""Situations: what a client is exposed to, and how many jobs it does meanwhile.

A situation is a scenario of the mock server (a seed, an account, a timeline of faults) with a number of
concurrent jobs, with or without callbacks. It is made of conditions, which `catalogue` lists for a provider.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from mockserver.engine.faults import Exercise
from mockserver.scenarios.read import Scenario, of_data


@dataclass(frozen=True, slots=True)
class Event:
    """A fault on the timeline. It holds pairs instead of mappings, so that it can be compared and hashed."""

    fault: str
    with_: tuple[tuple[str, Any], ...] = ()
    where: tuple[tuple[str, str], ...] = ()
    when: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, fault: str, exercise: Exercise) -> Event:
        """Make the event of a fault's exercise."""
        return cls(
            fault,
            tuple(exercise.parameters.items()),
            () if exercise.operation is None else (("operation", exercise.operation),),
            tuple((name, value) for name in ("every", "times") if (value := getattr(exercise, name)) is not None),
        )

    def data(self, provider: str) -> dict[str, Any]:
        """Return it as a scenario file writes it."""
        out = {"fault": self.fault, "with": dict(self.with_), "when": dict(self.when)}
        return {name: part for name, part in out.items() if part} | {
            "where": {"provider": provider, **dict(self.where)}
        }


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing a client is exposed to: faults, or an account with little credit; `jobs` shows its effect best."""

    name: str
    events: tuple[Event, ...] = ()
    account: tuple[tuple[str, Any], ...] = ()
    jobs: int = 1
    callbacks: bool = False
    #: What the prompts have after their first sentence.
    prompt: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether nothing is changed: it differs from no faults in jobs or callbacks at most."""
        return not (self.events or self.account or self.prompt)

    @property
    def group(self) -> str:
        """The name without what tells its variants apart."""
        return self.name.partition(":")[0]


NO_FAULTS = Condition("no faults")


@dataclass(frozen=True, slots=True)
class Situation:
    """What a client is exposed to in one run."""

    provider: str
    conditions: tuple[Condition, ...] = ()
    jobs: int = 1
    callbacks: bool = False
    seed: int = 0
    #: A scenario from a file, instead of conditions.
    file: Scenario | None = field(default=None, hash=False)

    @property
    def events(self) -> tuple[Event, ...]:
        """The faults, in the order in which they are added."""
        return tuple(event for condition in self.conditions for event in condition.events)

    def data(self) -> dict[str, Any]:
        """Return it as the data of a scenario file."""
        account = {name: value for condition in self.conditions for name, value in condition.account}
        names = ", ".join(dict.fromkeys(condition.name for condition in self.conditions)) or NO_FAULTS.name
        out: dict[str, Any] = {"scenario": names[:100], "seed": self.seed}
        prompt = " ".join(condition.prompt for condition in self.conditions if condition.prompt)
        if prompt:
            out["prompt"] = prompt
        if account:
            out["accounts"] = [{"provider": self.provider, **account}]
        return {**out, "timeline": [event.data(self.provider) for event in self.events]}

    def scenario(self) -> Scenario:
        """Return it as a scenario."""
        return self.file or of_data(self.data())

    def yaml(self, head: str = "") -> str:
        """Write it as a scenario file, with `head` as a comment at the top."""
        comment = "".join(f"# {line}\n" for line in head.splitlines())
        return comment + yaml.safe_dump(self.data(), sort_keys=False, default_flow_style=None, width=100)

    @property
    def size(self) -> tuple[int, int, int]:
        """Its size: of two situations that show a violation, the smaller one is reported."""
        return len(self.events), self.jobs, len(self.conditions)

    def __str__(self) -> str:
        names = " + ".join(condition.name for condition in self.conditions) or (
            NO_FAULTS.name if self.file is None else self.file.name
        )
        jobs = "1 job" if self.jobs == 1 else f"{self.jobs} jobs"
        return f"{names}; {jobs}, {'callbacks' if self.callbacks else 'polling'}, seed {self.seed}"
