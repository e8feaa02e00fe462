"""Faults: what they may touch, where and when a rule lets one strike, and the table that finds them.

A fault is a value with hooks; the files in mockserver/faults/ each hold one. A rule says where it applies,
when, and how often. The hooks of all rules that strike run in the order in which the rules were added:

    replace_response    a reply in the engine's place: nothing happens in the world           (a request)
    alter_view          what the answer will say of tasks: set up before the engine is asked  (a request)
    alter_response      the reply, changed                                                    (a request)
    alter_transmission  how the reply's bytes go out                                          (a request)
    alter_task          the task that a submit has made, before anybody knows of it           (a task)
    alter_deliveries    the deliveries that a callback becomes                                (a callback)

A hook that returns None has left everything as it was, and does not count as a hit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from mockserver.chance import fraction
from mockserver.engine.task import status_at

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mockserver.chance import Chance
    from mockserver.engine.callbacks import Delivery
    from mockserver.engine.context import RequestContext
    from mockserver.engine.operations import Response
    from mockserver.engine.state import ProviderState
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
_TEXTS_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Exercise:
    """One way to expose a client to a fault: with which parameters, at which operation, how often."""

    #: What reports call it; empty is the fault's name. What follows a colon tells variants apart.
    name: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    operation: Role | None = None
    times: int | None = None
    #: How many jobs at once show the effect best, and whether the client has to be called back.
    jobs: int = 1
    callbacks: bool = False


class Fault:
    """What goes wrong. A subclass is a frozen dataclass: its fields are its parameters."""

    name: ClassVar[str] = ""
    family: ClassVar[str] = ""
    #: What it breaks, and how a client would notice.
    effect: ClassVar[str] = ""
    symptom: ClassVar[str] = ""
    #: The roles of the operations that it can strike; None is all of them.
    roles: ClassVar[frozenset[Role] | None] = None
    #: Whether it is about signatures, which some providers do not put on their callbacks.
    needs_signature: ClassVar[bool] = False
    #: What it means for the client's duties; whoever judges clients reads these.
    #: An answer arrives at an unknown instant.
    delays_answer: ClassVar[bool] = False
    #: The job's result cannot be obtained, or need not be.
    hides_result: ClassVar[bool] = False
    #: An answer lacks usable links to the files.
    withholds_links: ClassVar[bool] = False
    #: An existing task is answered as unknown.
    hides_task: ClassVar[bool] = False
    #: The task stays unfinished, and the client has to give it up.
    never_finishes: ClassVar[bool] = False
    #: How long a careful client may wait because of it, in its own seconds.
    client_waits_s: ClassVar[float] = 0.0
    #: A callback's signature does not match its body.
    forges_signature: ClassVar[bool] = False
    #: A callback's body is not valid JSON.
    corrupts_callback: ClassVar[bool] = False
    #: A callback of an unknown event is sent.
    adds_unknown_event: ClassVar[bool] = False
    #: A callback's changed body is signed again, correctly.
    signs_again: ClassVar[bool] = False
    #: How to expose clients to it; empty is once, with its defaults. Or why clients are not exposed to it.
    exercised_with: ClassVar[tuple[Exercise, ...]] = ()
    not_for_clients: ClassVar[str] = ""

    @classmethod
    def moments(cls) -> frozenset[Moment]:
        """Return at which moments it has something to do: those of the hooks that it defines."""
        return frozenset(moment for hook, moment in _MOMENTS.items() if getattr(cls, hook) is not getattr(Fault, hook))

    def problem(self, provider: Provider) -> str | None:
        """Say what in the parameters means nothing to a provider; None where nothing is wrong."""
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
        """Say why it can never strike at a provider, whatever its parameters; None where it can."""
        if cls.family == "callbacks" and provider.callbacks is None:
            return f"{provider.title} sends no callbacks"
        if cls.needs_signature and provider.callbacks is not None and provider.callbacks.signature is None:
            return f"{provider.title} does not sign its callbacks"
        return None

    def replace_response(self, injection: Injection, context: RequestContext) -> Response | None:
        """Answer in the engine's place."""
        return None

    def alter_view(self, injection: Injection, context: RequestContext) -> None:
        """Set up the scope so that tasks are shown otherwise than they are; what does so lands the strike."""

    def alter_response(self, injection: Injection, context: RequestContext, response: Response) -> Response | None:
        """Change a reply."""
        return None

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        """Change how a reply goes out; True when something was changed."""
        return None

    def alter_task(self, injection: Injection, context: RequestContext, task: Task) -> Task | None:
        """Change a task's course before it begins."""
        return None

    def alter_deliveries(self, injection: Injection, deliveries: list[Delivery]) -> list[Delivery] | None:
        """Change the deliveries of a callback, or how many there are."""
        return None


@dataclass(frozen=True, slots=True)
class Match:
    """What a rule applies to; None is anything. `operation` is an operationId or a role."""

    provider: str | None = None
    operation: str | None = None
    key: str | None = None
    task: str | None = None
    model: str | None = None
    #: A regular expression that is searched for in the prompt.
    prompt: re.Pattern[str] | None = None
    #: The prompt itself, to the letter.
    text: str | None = None
    #: The state in which the task stands.
    phase: str | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a rule strikes, in what it matches: seconds of mock time since it was added, and counts."""

    after: int = 0
    every: int = 1
    probability: float = 1.0
    from_s: float = 0.0
    until_s: float | None = None
    #: How long it goes on after its first hit.
    for_s: float | None = None
    times: int | None = None


class MatchContext:
    """What is known of a request, a task or a callback, as far as rules ask for it."""

    __slots__ = ("account_id", "key", "model", "names", "now_ms", "path", "provider", "task", "task_id", "texts")

    def __init__(self, state: ProviderState, now_ms: int, names: tuple[str, ...], path: str = "") -> None:
        self.provider = state.provider.name
        self.now_ms = now_ms
        #: The request's path at the provider.
        self.path = path
        #: What the operation is called: its id, and its role.
        self.names = names
        self.key: str | None = None
        self.account_id: str | None = None
        self.task: Task | None = None
        self.task_id: str | None = None
        self.model: str | None = None
        self.texts: Sequence[str] = ()


class Rule:
    """A fault, where and when it strikes, and how often it has."""

    __slots__ = (
        "_first_hit_ms",
        "_matches_by_account",
        "added_ms",
        "chance_name",
        "fault",
        "hits",
        "id",
        "matches",
        "memory",
        "passing",
        "when",
        "where",
    )

    def __init__(
        self, rule_id: str, fault: Fault, where: Match, when: Schedule, added_ms: int, chance_name: str = "request"
    ) -> None:
        self.id = rule_id
        self.chance_name = chance_name
        self.fault = fault
        self.where = where
        self.when = when
        self.added_ms = added_ms
        self.hits = 0
        self.matches = 0
        #: What its fault keeps from one strike to the next, by task or by link.
        self.memory: dict[str, Any] = {}
        #: It was asked for with one task, and goes once it has struck.
        self.passing = False
        self._first_hit_ms: int | None = None
        self._matches_by_account: dict[str | None, int] = {}

    @property
    def spent(self) -> bool:
        """Whether it has struck as often as it may."""
        return self.when.times is not None and self.hits >= self.when.times

    def is_open(self, now_ms: int) -> bool:
        """Tell whether it may strike at an instant."""
        when = self.when
        since_ms = now_ms - self.added_ms
        return (
            not self.spent
            and since_ms >= when.from_s * 1000
            and (when.until_s is None or since_ms < when.until_s * 1000)
            and (when.for_s is None or self._first_hit_ms is None or now_ms < self._first_hit_ms + when.for_s * 1000)
        )

    def matches_facts(self, match_context: MatchContext) -> bool:
        """Tell whether it applies to what is known and does not change: all but the instant and the task's state."""
        where = self.where
        return (
            (where.provider is None or where.provider == match_context.provider)
            and (where.operation is None or where.operation in match_context.names)
            and (where.key is None or where.key in (match_context.key, match_context.account_id))
            and (where.task is None or where.task == match_context.task_id)
            and (where.model is None or where.model == match_context.model)
            and (where.text is None or where.text in match_context.texts)
            and (where.prompt is None or any(where.prompt.search(text) for text in match_context.texts))
        )

    def in_phase(self, match_context: MatchContext) -> bool:
        """Tell whether the task stands in the state that the rule is about."""
        phase = self.where.phase
        return phase is None or (
            match_context.task is not None and status_at(match_context.task, match_context.now_ms).status == phase
        )

    def try_inject(self, match_context: MatchContext, chance: Chance) -> Injection | None:
        """Count a match; return a strike if this is one of those that are to be hit."""
        if not self.is_open(match_context.now_ms):
            return None
        when = self.when
        self.matches += 1
        number = self._matches_by_account.get(match_context.account_id, 0)
        self._matches_by_account[match_context.account_id] = number + 1
        if self.matches <= when.after or (self.matches - when.after - 1) % when.every:
            return None
        drawn = chance.draw(f"fault/{self.chance_name}/{match_context.account_id}/{number}")
        if when.probability < 1 and fraction(drawn, 0) >= when.probability:
            return None
        return Injection(self, match_context, drawn)

    def hit(self, now_ms: int) -> None:
        """Count a hit."""
        self.hits += 1
        if self._first_hit_ms is None:
            self._first_hit_ms = now_ms


@dataclass(slots=True)
class Injection:
    """A rule that is about to strike: what is known, and its own chance."""

    rule: Rule
    match_context: MatchContext
    drawn: bytes
    applied: bool = False

    @property
    def fault(self) -> Fault:
        """What is to go wrong."""
        return self.rule.fault

    @property
    def number(self) -> int:
        """Which hit of the rule this is, from 1."""
        return self.rule.hits + (0 if self.applied else 1)

    def chance(self, slot: int = 0) -> float:
        """Return a number in [0, 1) of this strike's own; there are six slots."""
        return fraction(self.drawn, slot + 1)

    @property
    def may_apply(self) -> bool:
        """Whether it may still strike: others may have used the rule up while this one waited."""
        return self.applied or not self.rule.spent

    def mark_applied(self) -> None:
        """Say that something was changed; counted once."""
        if not self.applied:
            self.applied = True
            self.rule.hit(self.match_context.now_ms)


@dataclass(slots=True)
class FaultTable:
    """All rules of one world, found by their most telling condition."""

    chance: Chance
    rules: dict[str, Rule] = field(default_factory=dict)
    _buckets: dict[tuple[Moment, str, str | None], list[Rule]] = field(default_factory=dict)
    _by_pattern: dict[Moment, list[Rule]] = field(default_factory=dict)
    _pattern_hits: dict[tuple[Moment, str], list[Rule]] = field(default_factory=dict)
    _remembered: dict[object, list[Rule]] = field(default_factory=dict)
    _added: int = 0
    _order: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.rules)

    def add(self, fault: Fault, where: Match, when: Schedule, now_ms: int) -> Rule:
        """Add a rule."""
        self._added += 1
        rule = Rule(f"flt_{self._added}", fault, where, when, now_ms, self._chance_name(fault, where))
        self.rules[rule.id] = rule
        self._order[rule.id] = self._added
        for moment in fault.moments():
            self._home(moment, rule).append(rule)
        self._pattern_hits.clear()
        self._remembered.clear()
        return rule

    def _chance_name(self, fault: Fault, where: Match) -> str:
        """Name what a rule draws by: what it is and where it applies, so that no other rule changes its draws."""
        pattern = None if where.prompt is None else where.prompt.pattern
        words = (where.provider, where.operation, where.key, where.task, where.model, pattern, where.text, where.phase)
        name = f"{fault.name}/{words}"
        taken = {each.chance_name for moment in fault.moments() for each in self._peers(moment, where)}
        number = 0
        while f"{name}/{number}" in taken:
            number += 1
        return f"{name}/{number}"

    def _peers(self, moment: Moment, where: Match) -> Sequence[Rule]:
        """Return the rules that stand where a rule with these conditions stands, or would stand."""
        home = _home_of(where)
        if home is None:
            return self._by_pattern.get(moment, ())
        return self._buckets.get((moment, *home), ())

    def remove(self, rule_id: str) -> Rule:
        """Take a rule away.

        Raises:
            KeyError: there is none with this id.
        """
        rule = self.rules.pop(rule_id)
        del self._order[rule_id]
        for moment in rule.fault.moments():
            self._leave_home(moment, rule)
        self._pattern_hits.clear()
        self._remembered.clear()
        return rule

    def clear(self) -> None:
        """Take all rules away."""
        for rule_id in list(self.rules):
            self.remove(rule_id)

    def _home(self, moment: Moment, rule: Rule) -> list[Rule]:
        """Return the list that a rule stands in."""
        home = _home_of(rule.where)
        if home is None:
            return self._by_pattern.setdefault(moment, [])
        return self._buckets.setdefault((moment, *home), [])

    def _leave_home(self, moment: Moment, rule: Rule) -> None:
        """Take a rule off its list, and an empty list away."""
        peers = self._home(moment, rule)
        peers.remove(rule)
        home = _home_of(rule.where)
        if peers:
            return
        if home is None:
            del self._by_pattern[moment]
        else:
            del self._buckets[moment, *home]

    def find(
        self, moment: Moment, match_context: MatchContext, role: Role | None, remember_as: object = None
    ) -> list[Rule]:
        """Return the rules that apply to what is known, in the order in which they were added.

        What always stays so (which rules are about this task, key and path) is remembered under a name, if one is
        given, until the rules change; `remembered` finds it again.
        """
        found: list[Rule] = []
        buckets = self._buckets
        for name in self._names(moment, match_context):
            if bucket := buckets.get(name):
                found += bucket
        if moment in self._by_pattern:
            for text in match_context.texts:
                found += self._matching(moment, text)
        lasting = [
            rule
            for rule in found
            if (rule.fault.roles is None or moment != "request" or role in rule.fault.roles)
            and rule.matches_facts(match_context)
        ]
        if len(lasting) > 1:  # each once: two texts may lead to one rule, or an operation's id be its role
            lasting = sorted(dict.fromkeys(lasting), key=lambda rule: self._order[rule.id])
        if remember_as is not None and all(rule.where.phase is None for rule in lasting):
            if len(self._remembered) >= _TEXTS_REMEMBERED:
                self._remembered.clear()
            self._remembered[remember_as] = lasting
        return [rule for rule in lasting if rule.is_open(match_context.now_ms) and rule.in_phase(match_context)]

    def remembered(self, name: object, now_ms: int) -> list[Rule] | None:
        """Return the rules that were found under a name before; None where that is not known."""
        lasting = self._remembered.get(name)
        return lasting and [rule for rule in lasting if rule.is_open(now_ms)]

    @staticmethod
    def _names(moment: Moment, match_context: MatchContext) -> Iterator[tuple[Moment, str, str | None]]:
        yield moment, "any", None
        yield moment, "provider", match_context.provider
        for each in match_context.names:
            yield moment, "operation", each
        if match_context.task_id is not None:
            yield moment, "task", match_context.task_id
        if match_context.key is not None:
            yield moment, "key", match_context.key
        if match_context.account_id is not None and match_context.account_id != match_context.key:
            yield moment, "key", match_context.account_id
        if match_context.model is not None:
            yield moment, "model", match_context.model
        for text in match_context.texts:
            yield moment, "text", text

    def _matching(self, moment: Moment, text: str) -> list[Rule]:
        """Return the rules whose pattern is in a text; worked out once for each text."""
        known = self._pattern_hits.get((moment, text))
        if known is None:
            known = [
                rule
                for rule in self._by_pattern[moment]
                if rule.where.prompt is not None and rule.where.prompt.search(text)
            ]
            if len(self._pattern_hits) >= _TEXTS_REMEMBERED:
                self._pattern_hits.clear()
            self._pattern_hits[moment, text] = known
        return known

    def injections(self, rules: Iterable[Rule], match_context: MatchContext) -> list[Injection]:
        """Let rules decide whether they strike."""
        return [injection for rule in rules if (injection := rule.try_inject(match_context, self.chance)) is not None]


def _home_of(where: Match) -> tuple[str, str | None] | None:
    """Return the condition that tells most, by which a rule is found; None where that is its pattern."""
    for kind in ("task", "text", "key", "model"):
        value = getattr(where, kind)
        if value is not None:
            return kind, value
    if where.prompt is not None:
        return None
    for kind in ("operation", "provider"):
        value = getattr(where, kind)
        if value is not None:
            return kind, value
    return "any", None


class InvalidFaultError(ValueError):
    """Words that were to name a fault do not."""


class FaultDirectives:
    """Reads wishes for faults out of requests; this one reads none (see mockserver/faults/directives.py)."""

    def in_headers(self, headers: Mapping[str, str]) -> list[Fault]:
        """Return the faults that a request's headers ask for.

        Raises:
            FaultWordsError: they name none, or give it a parameter that it does not have.
        """
        return []

    def in_prompt(self, text: str) -> list[tuple[Fault, str | None, int | None]]:
        """Return the faults that the test values in a prompt stand for: each with an operation, and how often.

        Raises:
            FaultWordsError: they name none.
        """
        return []
