"""Faults: what can go wrong, and the hooks by which a fault changes requests, tasks and callbacks.

A fault is a value with hooks; each file in mockserver/faults/ defines one. A rule (engine/rules.py) says where a
fault applies, when, and how often. The hooks of all rules that apply run in the order in which the rules were added:

    replace_response    a response instead of the engine's: nothing else happens          (a request)
    alter_view          how the response shows tasks                                      (a request)
    alter_response      the response                                                      (a request)
    alter_transmission  how the bytes of the response are sent                            (a request)
    alter_task          a new task, before its submit is answered                         (a task)
    alter_deliveries    the deliveries of a callback                                      (a callback)

A hook that returns None changes nothing and does not count as a hit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from mockserver.chance import fraction
from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext, View
from mockserver.engine.messages import Response
from mockserver.engine.task import Task
from mockserver.engine.transmission import Transmission
from mockserver.provider import Provider, Role

Moment = Literal["request", "task", "callback"]

_MOMENTS: dict[str, Moment] = {
    "replace_response": "request",
    "alter_view": "request",
    "alter_response": "request",
    "alter_transmission": "request",
    "alter_task": "task",
    "alter_deliveries": "callback",
}


class InvalidFaultError(ValueError):
    """A fault request names an unknown fault, or gives it an invalid parameter."""


@dataclass(frozen=True, slots=True)
class Exercise:
    """One way to expose a client to a fault: with which parameters, at which operation, how often."""

    #: What reports call it; empty is the fault's name. What follows a colon tells variants apart.
    name: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    operation: Role | None = None
    times: int | None = None
    #: Apply it only to every nth match.
    every: int | None = None
    #: How many jobs at once show the effect best, and whether the client has to be called back.
    jobs: int = 1
    callbacks: bool = False


class MatchContext:
    """What is known of a request, a task or a callback, as far as rules match on it."""

    __slots__ = ("account_id", "key", "model", "names", "now_ms", "path", "provider", "task", "task_id", "texts")

    def __init__(self, provider: str, now_ms: int, names: tuple[str, ...], path: str = "") -> None:
        self.provider = provider
        self.now_ms = now_ms
        #: The request's path at the provider.
        self.path = path
        #: The id and the role of the operation.
        self.names = names
        self.key: str | None = None
        self.account_id: str | None = None
        self.task: Task | None = None
        self.task_id: str | None = None
        self.model: str | None = None
        self.texts: Sequence[str] = ()


@dataclass(slots=True)
class RuleRecord:
    """How often a rule has matched and changed something, and what its fault keeps from one hit to the next."""

    #: The maximum number of hits; None means no limit.
    times: int | None = None
    matches: int = 0
    hits: int = 0
    first_hit_ms: int | None = None
    #: By task or by link, as the fault needs it.
    memory: dict[str, Any] = field(default_factory=dict)

    @property
    def spent(self) -> bool:
        """Whether the rule has as many hits as it may have."""
        return self.times is not None and self.hits >= self.times

    def add_hit(self, now_ms: int) -> None:
        """Count a hit."""
        self.hits += 1
        if self.first_hit_ms is None:
            self.first_hit_ms = now_ms


@dataclass(slots=True)
class Injection:
    """A fault that is about to be applied: what is known, the record of its rule, and its own randomness."""

    fault: Fault
    match_context: MatchContext
    record: RuleRecord
    drawn: bytes
    applied: bool = False

    @property
    def number(self) -> int:
        """Which hit of the rule this is, from 1."""
        return self.record.hits + (0 if self.applied else 1)

    def chance(self, slot: int = 0) -> float:
        """Return a number in [0, 1) that belongs to this injection; slots are 0 to 5."""
        return fraction(self.drawn, slot + 1)

    @property
    def may_apply(self) -> bool:
        """Whether it may still be applied: other injections may have used the rule up in the meantime."""
        return self.applied or not self.record.spent

    def mark_applied(self) -> None:
        """Count a hit, the first time that something is changed."""
        if not self.applied:
            self.applied = True
            self.record.add_hit(self.match_context.now_ms)


class Fault:
    """What goes wrong. A subclass is a frozen dataclass; its fields are its parameters."""

    name: ClassVar[str] = ""
    family: ClassVar[str] = ""
    #: What it breaks, and how a client notices.
    effect: ClassVar[str] = ""
    symptom: ClassVar[str] = ""
    #: The roles of the operations that it applies to; None is all of them.
    roles: ClassVar[frozenset[Role] | None] = None
    #: Whether it changes the signature of callbacks, which not every provider signs.
    needs_signature: ClassVar[bool] = False
    #: Whether the task's callback is delivered before the submit is answered.
    delivers_first: ClassVar[bool] = False
    #: Of callbacks, it is about those of ends alone, not about those of states on the way.
    of_ends: ClassVar[bool] = False
    #: The lines below say what it means for a client's duties; `contracts` reads them.
    #: No document describes it: a client that it leads astray has not broken a documented rule.
    undocumented: ClassVar[bool] = False
    #: An answer arrives at an unknown instant, or too late for the client.
    delays_answer: ClassVar[bool] = False
    #: An answer does not arrive whole, or cannot be read.
    breaks_answer: ClassVar[bool] = False
    #: The job's result cannot be obtained, or need not be.
    hides_result: ClassVar[bool] = False
    #: An answer lacks usable links to the files.
    withholds_links: ClassVar[bool] = False
    #: An existing task is answered as unknown.
    hides_task: ClassVar[bool] = False
    #: The task stays unfinished, and the client has to give it up.
    never_finishes: ClassVar[bool] = False
    #: The parameter that says how much longer the task takes, in seconds of mock time.
    prolongs_by: ClassVar[str] = ""
    #: How long a careful client may wait because of it, in its own seconds.
    client_waits_s: ClassVar[float] = 0.0
    #: A callback's signature does not match its body.
    forges_signature: ClassVar[bool] = False
    #: A callback's body is not valid JSON.
    corrupts_callback: ClassVar[bool] = False
    #: A callback of an unknown event is sent.
    adds_unknown_event: ClassVar[bool] = False
    #: A response shows a state that is not among the documented ones.
    shows_other_status: ClassVar[bool] = False
    #: A response with a 2xx status contains an error.
    hides_error: ClassVar[bool] = False
    #: A callback's changed body is signed again, correctly.
    signs_again: ClassVar[bool] = False
    #: A callback's bytes are formatted in another way; it means the same.
    reformats_callback: ClassVar[bool] = False
    #: A query shows the task as it was some time ago.
    lags: ClassVar[bool] = False
    #: A download is not the file that was made, although it looks complete.
    spoils_file: ClassVar[bool] = False
    #: A running task is shown with full progress.
    fills_progress: ClassVar[bool] = False
    #: A request is not answered for a long time.
    withholds_answer: ClassVar[bool] = False
    #: A request is redirected to another host.
    redirects: ClassVar[bool] = False
    #: The end of the id of a documented rule: clients are exposed to it only where a provider's document has the rule.
    asked_by: ClassVar[str] = ""
    #: How to expose clients to it; empty is once, with its defaults. Or why clients are not exposed to it.
    exercised_with: ClassVar[tuple[Exercise, ...]] = ()
    not_for_clients: ClassVar[str] = ""

    @classmethod
    def moments(cls) -> frozenset[Moment]:
        """Return the moments of the hooks that it defines."""
        return frozenset(moment for hook, moment in _MOMENTS.items() if getattr(cls, hook) is not getattr(Fault, hook))

    def problem(self, provider: Provider) -> str | None:
        """Return which parameter a provider does not know; None where all are valid."""
        return None

    @classmethod
    def exercises(cls, provider: Provider) -> Iterable[Exercise]:  # noqa: ARG003 - its subclasses use it
        """Return how to expose a provider's clients to it."""
        if cls.exercised_with or cls.not_for_clients:
            return cls.exercised_with
        if "request" not in cls.moments():
            return (Exercise(callbacks=cls.family == "callbacks"),)
        return (Exercise(operation="query" if cls.roles is None else None, times=1),)

    @classmethod
    def never_at(cls, provider: Provider) -> str | None:
        """Return why it cannot apply to a provider, whatever its parameters; None where it can."""
        if cls.family == "callbacks" and provider.callbacks is None:
            return f"{provider.title} sends no callbacks"
        if cls.needs_signature and provider.callbacks is not None and provider.callbacks.signature is None:
            return f"{provider.title} does not sign its callbacks"
        return None

    def replace_response(self, injection: Injection, context: RequestContext) -> Response | None:
        """Respond instead of the engine."""
        return None

    def alter_view(self, injection: Injection, context: RequestContext, view: View) -> View | None:
        """Change how the response shows tasks; the change itself marks the injection as applied."""
        return None

    def alter_response(self, injection: Injection, context: RequestContext, response: Response) -> Response | None:
        """Change a response."""
        return None

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        """Change how a response is sent; True where something was changed."""
        return None

    def alter_task(self, injection: Injection, context: RequestContext, task: Task) -> Task | None:
        """Change a new task."""
        return None

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        """Change the deliveries of a callback, or their number."""
        return None


class FaultDirectives:
    """Reads fault requests from requests; this one finds none (see mockserver/faults/directives.py)."""

    def in_headers(self, headers: Mapping[str, str]) -> list[Fault]:
        """Return the faults that a request's headers ask for.

        Raises:
            InvalidFaultError: they name an unknown fault, or give it an invalid parameter.
        """
        return []

    def in_prompt(self, text: str) -> list[tuple[Fault, str | None, int | None]]:
        """Return the faults of the test values in a prompt: each with an operation, and how often.

        Raises:
            InvalidFaultError: a test value is unknown.
        """
        return []
