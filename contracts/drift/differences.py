"""What was found: each difference once, however often it was recorded, with the place and the edit of the spec."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts.clause import Clause, Verdict, Violation
from contracts.drift.places import Edit, Place
from contracts.journal import Record

#: The name of a kind of difference: a key of `RULES`.
Kind = str
#: What each kind of difference is held against: the rule that the spec states.
RULES: dict[Kind, str] = {
    "operations": "Every operation that answers is in the spec.",
    "models": "Every model that is served is in the spec.",
    "requests": "A body that is accepted fits the schema of its model.",
    "statuses": "Every status of an answer is declared for its operation or in the table of errors.",
    "headers": "Answers have the declared headers, with fitting values, and no others.",
    "media": "Answers have the declared content types.",
    "fields": "Bodies have the fields that the spec requires, and no unknown ones.",
    "values": "The fields of bodies have the declared types and values.",
    "errors": "Errors have the codes and types of the table of errors, and tell when to try again.",
    "states": "A task has only the states of the lifecycle.",
    "transitions": "A task goes through its states in the order of the lifecycle, and its end is final.",
    "progress": "The progress of a task does not fall, and is 100 at a success if the spec says so.",
    "durations": "The states of a task last as long as the lifecycle says.",
    "links": "Links to results last as long as the spec says.",
    "callbacks": "Callbacks are sent for the documented events, at the end of a task, and again after their waits.",
    "limits": "Requests are refused for their number as a plan says, and no others.",
}
_RECORDS_SHOWN = 3
_NUMBERS_SHOWN = 8
_VALUES_SHOWN = 4
#: Kinds whose differences may each have been seen with several values.
_KINDS_OF_VALUES = ("values", "requests", "models")
_NO_EDIT = "no edit of the spec says that; if the provider does it for sure, mock it with a fault (`mockserver faults`)"


@dataclass
class Difference:
    """One difference: what was seen and what the spec says there; `values` are what the edit is made from."""

    kind: Kind
    seen: str
    asks: str
    place: Place
    edit: Callable[[list[Any]], Edit | None]
    records: list[Record] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    #: The records that show it best, if they are not the first ones.
    shown: tuple[Record, ...] = ()

    @property
    def proposal(self) -> Edit | None:
        """The edit that would close it; None where the vocabulary cannot say what was seen, or says it already."""
        edit = self.edit(self.values)
        return None if edit is not None and edit.place.value == edit.value else edit

    @property
    def count(self) -> int:
        """In how many records it was seen."""
        return len({id(record) for record in self.records})

    @property
    def what(self) -> str:
        """What was seen, further values, and in which records."""
        numbers = [record.seq for record in {id(record): record for record in self.records}.values()]
        listed = ", ".join(f"#{number}" for number in numbers[:_NUMBERS_SHOWN])
        listed += ", …" if len(numbers) > _NUMBERS_SHOWN else ""
        times = f"record {listed}" if len(numbers) == 1 else f"{len(numbers)} records: {listed}"
        others = [each for each in dict.fromkeys(map(repr, self.values)) if each not in self.seen]
        more = f", and {', '.join(others[:_VALUES_SHOWN])}" if self.kind in _KINDS_OF_VALUES and others else ""
        more += ", …" if more and len(others) > _VALUES_SHOWN else ""
        return f"{self.seen}{more} ({times})"

    @property
    def where(self) -> str:
        """The line of the spec."""
        return f"{self.place} {self.place.pointer}"

    @property
    def fix(self) -> str:
        """The edit, in words."""
        edit = self.proposal
        return _NO_EDIT if edit is None else str(edit)

    def violation(self) -> Violation:
        """Write it as a violation of a clause."""
        shown = self.shown or tuple(self.records[:_RECORDS_SHOWN])
        return Violation(shown, self.what, f"{self.asks} ({self.where})", self.fix)


class Differences:
    """All differences of one journal, by their causes, and how often each kind was looked for."""

    def __init__(self) -> None:
        self.tested: Counter[Kind] = Counter()
        self._found: dict[tuple[object, ...], Difference] = {}

    def add(
        self,
        kind: Kind,
        cause: Sequence[object],
        records: Sequence[Record],
        *,
        seen: str,
        asks: str,
        place: Place,
        edit: Callable[[list[Any]], Edit | None],
        value: Any = None,
    ) -> None:
        """Add what some records show; differences of one kind, place and cause are one.

        Args:
            kind: the kind.
            cause: what tells it from other differences at the same place.
            records: the records that show it, the telling one last.
            seen: what was seen, in words.
            asks: what the spec says, in words.
            place: where it says so.
            edit: makes the edit from all values.
            value: what the edit is made from.
        """
        name = (kind, place.document.name, place.keys, *cause)
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = Difference(kind, seen, asks, place, edit, shown=tuple(records))
        found.records.append(records[-1])
        found.values.append(value)

    def all(self) -> list[Difference]:
        """Return the differences, by kind and then by when they were seen first."""
        kinds = list(RULES)
        return sorted(self._found.values(), key=lambda each: kinds.index(each.kind))

    def verdicts(self, provider: str) -> list[Verdict]:
        """Write each difference as a verdict, and each kind without one as kept or not tested."""
        found = self.all()
        out = [
            Verdict(
                _clause(each.kind),
                provider,
                "violated",
                (each.violation(),),
                sources=(each.where,),
                exercised_in=max(self.tested[each.kind], each.count),
                violated_in=each.count,
                basis="document",
                counts="record",
            )
            for each in found
        ]
        for kind in RULES.keys() - {each.kind for each in found}:
            tested = self.tested[kind]
            out.append(Verdict(_clause(kind), provider, "kept" if tested else "not exercised", basis="document"))
        return sorted(out, key=lambda each: list(RULES).index(each.clause.id.partition(".")[2]))


def _clause(kind: Kind) -> Clause:
    """Return the rule of a kind, as reports show it."""
    return Clause(
        f"drift.{kind}", RULES[kind], "must", (), general=True, applies=lambda _: True, judge=lambda _: iter(())
    )
