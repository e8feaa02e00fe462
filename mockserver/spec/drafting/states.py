"""Which field of an answer is a task's status, and what its words stand for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mockserver.spec.drafting.fields import Field, is_text, these, types_of, words_of

Kind = Literal["waiting", "running", "success", "failure", "cancellation"]

_WORDS: Mapping[Kind, frozenset[str]] = {
    "failure": these(
        "failed fail failure failing error errored rejected expired timeout timedout moderated nsfw blocked invalid "
        "unsuccessful crashed refused declined faulted"
    ),
    "cancellation": these("canceled cancelled cancel aborted terminated stopped revoked killed withdrawn"),
    "success": these(
        "succeeded succeed success successful completed complete done finished finish ready ok generated available "
        "processed ended fulfilled"
    ),
    "waiting": these(
        "queued queue queueing queuing enqueued pending submitted submitting created waiting wait accepted received "
        "scheduled new init initial initialized notstarted unstarted todo throttled"
    ),
    "running": these(
        "running run processing inprogress progress progressing generating active started starting working rendering "
        "dreaming executing ongoing preparing finalizing transcribing synthesizing computing busy preprocessing "
        "postprocessing validating"
    ),
}
#: Words that turn another one around, or say that there is no such task.
_NOT = frozenset(("not", "un", "partial", "partially", "unknown", "deleted", "canceling", "cancelling"))
_STATUS = frozenset(("status", "state", "phase", "stage", "condition"))
_DONE = frozenset(("done", "finished", "completed", "complete", "ready", "ended"))
_ELSEWHERE = frozenset(("error", "usage", "billing", "user", "account", "subscription", "links", "urls", "metadata"))
_QUOTED = re.compile(r"[`'\"]([A-Za-z][A-Za-z _-]{1,30})[`'\"]")
_NUMBERED = re.compile(r"\b([0-9]+)\s*(?::|=|-|\)|is|means)\s*([A-Za-z_]+)")
_BEST_OF_KIND = ("failed", "failure", "fail", "error", "succeeded", "success", "completed", "done")


def kind_of(word: str) -> Kind | None:
    """Return what a word of a status stands for; None where it is not known."""
    words = words_of(word)
    together = "".join(words)
    for kind, known in _WORDS.items():
        if together in known:
            return kind
    if _NOT & {*words}:
        return None
    return next((kind for kind, known in _WORDS.items() if known & {*words}), None)


@dataclass(frozen=True)
class Status:
    """A task's status in an answer: where, and what each state is shown as."""

    path: tuple[str, ...]
    #: The states in their order, and the ends by kind; each a word.
    states: tuple[str, ...]
    ends: Mapping[str, str]
    #: What states are shown as, where that is not the state's own name.
    shows: Mapping[str, Any] = field(default_factory=dict)
    #: Words of the document that are no state here.
    unused: tuple[str, ...] = ()

    @property
    def template(self) -> Any:
        """What a template says for it."""
        if not self.shows:
            return "$task.status"
        return {"by": "$task.status", "values": dict(self.shows)}


def weight(candidate: Field) -> int:
    """Return how much a field looks like the status of a task; 0 is not at all."""
    words, schema = candidate.words, candidate.schema
    if {*words_of(" ".join(candidate.path[:-1]))} & _ELSEWHERE:
        return 0
    named = 4 if {*words} <= _STATUS else 3 if _STATUS & {*words} else 0
    if named and is_text(schema):
        known = {kind_of(each) for each in words_in(schema)} - {None}
        if listed_in(schema) and "success" not in known:
            return 1
        return max(1, named + 3 * min(3, len(known)) - len(candidate.path))
    if named and "integer" in types_of(schema) and len(dict(_numbers(schema))) > 1:
        return named + 6
    if named and "integer" in types_of(schema) and len(_numbers_listed(schema)) > 1:
        return 1
    if types_of(schema) == ("boolean",) and _DONE & {*words} and len(words) <= 2:
        return 5 - len(candidate.path)
    return 0


def words_in(schema: Mapping[str, Any]) -> list[str]:
    """Return the words that a schema lists for a status, or that its description quotes and its examples show."""
    listed = listed_in(schema)
    if listed:
        return listed
    quoted = _QUOTED.findall(str(schema.get("description", "")))
    shown_ = [each for each in (schema.get("example"), schema.get("default")) if isinstance(each, str)]
    return [each for each in dict.fromkeys((*quoted, *shown_)) if kind_of(each)]


def listed_in(schema: Mapping[str, Any]) -> list[str]:
    """Return the words that a schema lists: no others may be sent."""
    enum = schema.get("enum")
    values = [*enum, schema.get("const")] if isinstance(enum, list) else [schema.get("const")]
    return [each for each in values if isinstance(each, str) and "$" not in each]


def _numbers(schema: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Yield what the numbers of a status stand for."""
    names = schema.get("x-enum-varnames", schema.get("x-enumNames"))
    enum = schema.get("enum")
    if isinstance(names, list) and isinstance(enum, list) and len(names) == len(enum):
        yield from ((int(number), str(name)) for number, name in zip(enum, names, strict=True))
        return
    for number, word in _NUMBERED.findall(str(schema.get("description", ""))):
        if kind_of(word):
            yield int(number), word


def status_of(candidate: Field) -> Status | None:
    """Return the states that a field shows; None where its words do not tell a success from a failure."""
    schema = candidate.schema
    if types_of(schema) == ("boolean",):
        shows = {"running": False, "succeeded": True, "failed": True}
        return Status(candidate.path, ("running",), {"success": "succeeded", "failure": "failed"}, shows)
    if "integer" in types_of(schema):
        numbers = {word.lower(): number for number, word in _numbers(schema)}
        made = _sorted(candidate.path, list(numbers))
        if made is None:
            return None
        kept = (*made.states, *made.ends.values())
        return Status(candidate.path, made.states, made.ends, {word: numbers[word] for word in kept}, made.unused)
    words = words_in(schema)
    if listed_in(schema) or schema.get("enum"):
        return _sorted(candidate.path, words) if words else None
    return _completed(candidate.path, words)


def _completed(path: tuple[str, ...], words: Sequence[str]) -> Status:
    """Return the states of a status that no enum lists: the words that are known, and the usual for the others."""
    found: dict[str | None, list[str]] = {}
    for word in words:
        found.setdefault(kind_of(word), []).append(word)
    spelled = str.upper if words and all(map(str.isupper, words)) else str
    spelled = str.capitalize if words and all(each.istitle() for each in words) else spelled
    states = [*found.get("waiting", ()), *found.get("running", ())] or [spelled("queued"), spelled("running")]
    ends = {
        "success": min(found.get("success", [spelled("succeeded")]), key=_rank),
        "failure": min(found.get("failure", [spelled("failed")]), key=_rank),
        **({"cancellation": found["cancellation"][0]} if "cancellation" in found else {}),
    }
    return Status(path, tuple(states), ends)


def _numbers_listed(schema: Mapping[str, Any]) -> list[int]:
    enum = schema.get("enum")
    return [each for each in enum if isinstance(each, int)] if isinstance(enum, list) else []


def guessed(candidate: Field) -> Status | None:
    """Return the states of a field whose words say nothing: in their order, success and failure come last."""
    values: list[Any] = [*(listed_in(candidate.schema) or _numbers_listed(candidate.schema))]
    if len(values) < 2 or len({*map(str, values)}) < len(values):
        return None
    names = [each if isinstance(each, str) else f"state_{each}" for each in values]
    shows = dict(zip(names, values, strict=True))
    if len(values) == 2:
        ends = {"success": names[1], "failure": "failed"}
        shows["failed"] = values[1]
        return Status(candidate.path, (names[0],), ends, shows)
    ends = {"success": names[-2], "failure": names[-1]}
    return Status(candidate.path, tuple(names[:-2]), ends, {} if names == values else shows)


def _sorted(path: tuple[str, ...], words: Sequence[str]) -> Status | None:
    kinds = {word: kind_of(word) for word in words}
    states = [word for word in words if kinds[word] == "waiting"]
    states += [word for word in words if kinds[word] == "running"]
    ends: dict[str, str] = {}
    for kind in ("success", "failure", "cancellation"):
        of_kind = [word for word in words if kinds[word] == kind]
        if of_kind:
            ends[kind] = min(of_kind, key=_rank)
    unclear = [word for word in words if kinds[word] is None]
    if "success" not in ends or (not states and not unclear):
        return None
    states = states or unclear[:1]
    shows: dict[str, Any] = {}
    if "failure" not in ends:  # no word says it: it looks like a cancellation, or like a success without a result
        ends["failure"] = "failed"
        shows = {each: each for each in (*states, *ends.values())}
        shows["failed"] = ends.get("cancellation", ends["success"])
    kept = (*states, *ends.values())
    return Status(path, tuple(states), ends, shows, tuple(word for word in words if word not in kept))


def _rank(word: str) -> int:
    plain = "".join(words_of(word))
    return _BEST_OF_KIND.index(plain) if plain in _BEST_OF_KIND else len(_BEST_OF_KIND)


def statuses(fields: Iterable[Field]) -> list[Field]:
    """Return the fields that may be a status, the likeliest first."""
    found = [(weight(each), each) for each in fields]
    return [each for much, each in sorted(found, key=lambda pair: -pair[0]) if much > 0]
