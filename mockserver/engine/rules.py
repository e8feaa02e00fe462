"""Rules: where, when and how often a fault applies, and the table that finds the rules for a request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Protocol

from mockserver.chance import Chance, fraction
from mockserver.engine.faults import Fault, Injection, MatchContext, Moment, RuleRecord
from mockserver.engine.task import status_at
from mockserver.provider import Role

_TEXTS_REMEMBERED = 4096


class Pattern(Protocol):
    """A regular expression."""

    @property
    def pattern(self) -> str:
        """Its text."""

    def search(self, string: str, /) -> object:
        """Return something true where it occurs in a text."""


@dataclass(frozen=True, slots=True)
class Match:
    """What a rule applies to; None matches anything. `operation` is an operationId or a role."""

    provider: str | None = None
    operation: str | None = None
    key: str | None = None
    task: str | None = None
    model: str | None = None
    #: A regular expression to search for in the prompt.
    prompt: Pattern | None = None
    #: The exact prompt.
    text: str | None = None
    #: The state of the task.
    phase: str | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which matches of a rule are hits: by seconds of mock time since it was added, and by counts."""

    after: int = 0
    every: int = 1
    probability: float = 1.0
    from_s: float = 0.0
    until_s: float | None = None
    #: How long it applies after its first hit.
    for_s: float | None = None
    times: int | None = None


class Rule:
    """A fault, where and when it applies, and how often it has."""

    __slots__ = (
        "_matches_by_account",
        "added_ms",
        "chance_name",
        "fault",
        "for_one_task",
        "id",
        "record",
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
        self.record = RuleRecord(when.times)
        #: It was requested with one task, and is removed once it has been applied.
        self.for_one_task = False
        self._matches_by_account: dict[str | None, int] = {}

    @property
    def matches(self) -> int:
        """How often it has matched."""
        return self.record.matches

    @property
    def hits(self) -> int:
        """How often its fault has changed something."""
        return self.record.hits

    @property
    def spent(self) -> bool:
        """Whether it has as many hits as it may have."""
        return self.record.spent

    def is_open(self, now_ms: int) -> bool:
        """Tell whether it may apply at an instant."""
        when, record = self.when, self.record
        since_ms = now_ms - self.added_ms
        return (
            not record.spent
            and since_ms >= when.from_s * 1000
            and (when.until_s is None or since_ms < when.until_s * 1000)
            and (when.for_s is None or record.first_hit_ms is None or now_ms < record.first_hit_ms + when.for_s * 1000)
        )

    def matches_facts(self, match_context: MatchContext) -> bool:
        """Tell whether it matches everything that does not change: all but the instant and the task's state."""
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
        """Tell whether the task is in the state that the rule is for."""
        phase, task = self.where.phase, match_context.task
        return phase is None or (task is not None and status_at(task, match_context.now_ms).status == phase)

    def try_inject(self, match_context: MatchContext, chance: Chance) -> Injection | None:
        """Count a match; return an injection where the schedule asks for one."""
        if not self.is_open(match_context.now_ms):
            return None
        when, record = self.when, self.record
        record.matches += 1
        number = self._matches_by_account.get(match_context.account_id, 0)
        self._matches_by_account[match_context.account_id] = number + 1
        if record.matches <= when.after or (record.matches - when.after - 1) % when.every:
            return None
        drawn = chance.draw(f"fault/{self.chance_name}/{match_context.account_id}/{number}")
        if when.probability < 1 and fraction(drawn, 0) >= when.probability:
            return None
        return Injection(self.fault, match_context, record, drawn)


class _Numbers:
    """Numbers that tell rules apart which are alike: the lowest that is free is taken."""

    __slots__ = ("_free", "_next")

    def __init__(self) -> None:
        self._free: list[int] = []
        self._next = 0

    def __bool__(self) -> bool:
        return len(self._free) < self._next

    def take(self) -> int:
        """Take the lowest."""
        if self._free:
            return heappop(self._free)
        self._next += 1
        return self._next - 1

    def give_back(self, number: int) -> None:
        """Make a number free."""
        heappush(self._free, number)


@dataclass(slots=True)
class RuleTable:
    """All rules of one world, indexed by their most selective condition."""

    chance: Chance
    rules: dict[str, Rule] = field(default_factory=dict)
    #: The rules of a bucket are the keys of a dict: they keep their order, and one is removed without a search.
    _buckets: dict[tuple[Moment, str, str | None], dict[Rule, None]] = field(default_factory=dict)
    _numbers: dict[str, _Numbers] = field(default_factory=dict)
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
            self._buckets.setdefault((moment, *_index_of(where)), {})[rule] = None
        self._pattern_hits.clear()
        self._remembered.clear()
        return rule

    def _chance_name(self, fault: Fault, where: Match) -> str:
        """Return the name that a rule draws by: its fault and match, so that other rules do not change its draws."""
        pattern = None if where.prompt is None else where.prompt.pattern
        fields = (where.provider, where.operation, where.key, where.task, where.model, pattern, where.text, where.phase)
        name = f"{fault.name}/{fields}"
        numbers = self._numbers.setdefault(name, _Numbers())
        return f"{name}/{numbers.take()}"

    def remove(self, rule_id: str) -> Rule:
        """Remove a rule.

        Raises:
            KeyError: no rule has this id.
        """
        rule = self.rules.pop(rule_id)
        del self._order[rule_id]
        name_of_chance, _, number = rule.chance_name.rpartition("/")
        numbers = self._numbers[name_of_chance]
        numbers.give_back(int(number))
        if not numbers:
            del self._numbers[name_of_chance]
        for moment in rule.fault.moments():
            name = (moment, *_index_of(rule.where))
            del self._buckets[name][rule]
            if not self._buckets[name]:
                del self._buckets[name]
        self._pattern_hits.clear()
        self._remembered.clear()
        return rule

    def clear(self) -> None:
        """Remove all rules."""
        for rule_id in list(self.rules):
            self.remove(rule_id)

    def find(
        self, moment: Moment, match_context: MatchContext, role: Role | None, remember_as: object = None
    ) -> list[Rule]:
        """Return the rules that apply, in the order in which they were added.

        The part that does not change (which rules are about this task, key and path) is remembered under the name
        `remember_as` until the rules change; `remembered` returns it.
        """
        found: list[Rule] = []
        buckets = self._buckets
        for name in self._index_keys(moment, match_context):
            if bucket := buckets.get(name):
                found += bucket
        if (moment, "prompt", None) in buckets:
            for text in match_context.texts:
                found += self._matching(moment, text)
        lasting = [
            rule
            for rule in found
            if (rule.fault.roles is None or moment != "request" or role in rule.fault.roles)
            and rule.matches_facts(match_context)
        ]
        if len(lasting) > 1:  # each once: two texts may match one rule, or an operation's id be its role
            lasting = sorted(dict.fromkeys(lasting), key=lambda rule: self._order[rule.id])
        if remember_as is not None and all(rule.where.phase is None for rule in lasting):
            if len(self._remembered) >= _TEXTS_REMEMBERED:
                self._remembered.clear()
            self._remembered[remember_as] = lasting
        return [rule for rule in lasting if rule.is_open(match_context.now_ms) and rule.in_phase(match_context)]

    def remembered(self, name: object, now_ms: int) -> list[Rule] | None:
        """Return the rules that were remembered under a name; None where none were."""
        lasting = self._remembered.get(name)
        return lasting and [rule for rule in lasting if rule.is_open(now_ms)]

    @staticmethod
    def _index_keys(moment: Moment, match_context: MatchContext) -> Iterator[tuple[Moment, str, str | None]]:
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
        """Return the rules whose pattern occurs in a text; worked out once for each text."""
        known = self._pattern_hits.get((moment, text))
        if known is None:
            known = [
                rule
                for rule in self._buckets[moment, "prompt", None]
                if rule.where.prompt is not None and rule.where.prompt.search(text)
            ]
            if len(self._pattern_hits) >= _TEXTS_REMEMBERED:
                self._pattern_hits.clear()
            self._pattern_hits[moment, text] = known
        return known

    def injections(self, rules: Iterable[Rule], match_context: MatchContext) -> list[Injection]:
        """Return an injection for each rule whose schedule asks for one."""
        return [injection for rule in rules if (injection := rule.try_inject(match_context, self.chance)) is not None]


def _index_of(where: Match) -> tuple[str, str | None]:
    """Return the most selective condition, by which a rule is indexed; those with a pattern are in one bucket."""
    for kind in ("task", "text", "key", "model", "prompt", "operation", "provider"):
        value = getattr(where, kind)
        if value is not None:
            return kind, None if kind == "prompt" else value
    return "any", None
