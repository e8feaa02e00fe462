"""Compile lifecycles: the states on the way, what is seen in each, and the ends.

A state is written in one of three ways that say the same; the first two are short for the third:

    queued: 3
    running: {from: 30, to: 60, progress: [1, 99]}
    running: {lasts_s: {from: 30, to: 60}, progress: {from: 1, to: 99}}

An end is a mapping with its `kind`, or the kind alone; a reason a mapping with its `message`, or the message alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mockserver.provider import End, Lifecycle, LogLine, Reason, State
from mockserver.spec.compile.context import Context
from mockserver.spec.document import Path_
from mockserver.spec.words import suggestion

_SWAP = "swap them"
_ONE_OF_EACH = {
    "success": "keep one end of each kind",
    "failure": "keep one end of each kind",
    "cancellation": "give one of the two `states`, which a task is cancelled in to end so",
}


def compile_lifecycle(context: Context, entry: dict[str, Any], path: Path_ = ("x-mock", "lifecycle")) -> Lifecycle:
    """Compile the states and ends of a lifecycle: at least one success and one failure."""
    states = tuple(_checked_state(context, name, state, (*path, "states")) for name, state in entry["states"].items())
    _check_progress(context, states, (*path, "states"))
    ends = {name: _end(context, name, as_mapping(end, "kind"), path) for name, end in entry["ends"].items()}
    by_kind = _ends_by_kind(context, entry, ends, path)
    cancellations = _cancellations(context, entry, ends, path)
    blank = End("", "failure", None, {})
    return Lifecycle(
        states,
        ends,
        by_kind.get("success", blank),
        by_kind.get("failure", blank),
        next((each for each in ends.values() if each.kind == "cancellation" and not each.states), None),
        {
            name: state["older_word"]
            for name, state in entry["states"].items()
            if isinstance(state, dict) and "older_word" in state
        },
        cancellations,
        {state.name: state for end in ends.values() for state in end.through},
        context.value(entry["log_line"], *path, "log_line") if "log_line" in entry else None,
    )


def state_of(name: str, entry: Any) -> State:
    """Compile a state, in whichever way it is written."""
    shortest_s, longest_s = seconds_of(entry)
    first, last = _range(entry.get("progress", 0) if isinstance(entry, dict) else 0)
    return State(name, round(shortest_s * 1000), round(longest_s * 1000), first, last)


def seconds_of(entry: Any) -> tuple[float, float]:
    """Return the shortest and the longest duration of a state, in whichever way it is written; or of `lasts_s`."""
    lasts_s = entry.get("lasts_s", entry) if isinstance(entry, dict) else entry
    return (lasts_s["from"], lasts_s["to"]) if isinstance(lasts_s, dict) else (lasts_s, lasts_s)


def as_mapping(entry: Any, key: str) -> dict[str, Any]:
    """Return an entry that may be written as the value of one of its keys."""
    return entry if isinstance(entry, dict) else {key: entry}


def _range(entry: Any) -> tuple[int, int]:
    """Return the first and the last of a range: `{from, to}`, `[first, last]`, or one number for both."""
    if isinstance(entry, dict):
        return entry["from"], entry["to"]
    return (entry[0], entry[1]) if isinstance(entry, list) else (entry, entry)


def _checked_state(context: Context, name: str, entry: Any, path: Path_) -> State:
    state = state_of(name, entry)
    if state.shortest_ms > state.longest_ms:
        place = "lasts_s" if "lasts_s" in entry else "from"
        context.report((*path, name, place), "`from` is greater than `to`", _SWAP)
    if isinstance(entry, dict) and {"from", "lasts_s"} <= set(entry):
        context.report((*path, name, "lasts_s"), "stands beside `from` and `to`", "keep one of the two")
    if not isinstance(entry, dict):
        return state
    queue = _range(entry["queue"]) if "queue" in entry else None
    if queue is not None and queue[0] < queue[1]:
        context.report((*path, name, "queue"), "the place in the queue must not rise", _SWAP)
    return replace(state, queue=queue, logs=_logs(context, entry, (*path, name)))


def _logs(context: Context, entry: dict[str, Any], path: Path_) -> tuple[LogLine, ...]:
    """Compile the lines of a log; those without a time of their own are spread evenly."""
    lines = []
    for index, each in enumerate(entry.get("logs", ())):
        line = as_mapping(each, "message")
        at_fraction = line.get("at_fraction", index / len(entry["logs"]))
        message = context.value(line["message"], *path, "logs", index)
        lines.append(LogLine(at_fraction, message, line.get("level")))
    return tuple(sorted(lines, key=lambda line: line.at_fraction))


def _check_progress(context: Context, states: tuple[State, ...], path: Path_) -> None:
    reached = 0
    for state in states:
        if not reached <= state.progress_from <= state.progress_to:
            context.report(
                (*path, state.name, "progress"),
                "progress must not decrease",
                "`from` must be at least the `to` of the state before, and `to` at least `from`",
            )
        reached = state.progress_to


def _end(context: Context, name: str, entry: dict[str, Any], path: Path_) -> End:
    progress = entry.get("progress", "last" if entry["kind"] != "success" else 100)
    return End(
        name=name,
        kind=entry["kind"],
        progress=None if progress == "last" else progress,
        reasons={
            code: Reason(code, reason["message"], reason.get("at_fraction", 1))
            for code, each in entry.get("reasons", {}).items()
            for reason in (as_mapping(each, "message"),)
        },
        states=frozenset(entry.get("states", ())),
        through=tuple(state_of(state, each) for state, each in entry.get("through", {}).items()),
        logs=_logs(context, entry, (*path, "ends", name)),
    )


def _cancellations(context: Context, entry: dict[str, Any], ends: dict[str, End], path: Path_) -> dict[str, End]:
    """Return the ends of cancelled tasks by the states that they are for; check the words of cancellations."""
    found: dict[str, End] = {}
    for name, end in ends.items():
        where = (*path, "ends", name)
        for key in ("states", "through"):
            if end.kind != "cancellation" and getattr(end, key):
                context.report((*where, key), f"is for a cancellation, and this is a {end.kind}", "remove it")
        for index, state in enumerate(entry["ends"][name]["states"] if end.states else ()):
            place = (*where, "states", index)
            if state not in entry["states"]:
                context.report(place, "is not a state on the way", suggestion(state, entry["states"]))
            elif state in found:
                context.report(place, f"is also a state of {found[state].name}", "keep it in one of the two")
            found.setdefault(state, end)
        for state in end.through:
            if state.name in entry["states"] or state.name in ends:
                context.report((*where, "through", state.name), "is also the name of another state", "rename it")
            if state.shortest_ms > state.longest_ms:
                context.report((*where, "through", state.name, "from"), "`from` is greater than `to`", _SWAP)
    return found


def _ends_by_kind(context: Context, entry: dict[str, Any], ends: dict[str, End], lifecycle: Path_) -> dict[str, End]:
    """Return the end of each kind; report what is missing, and what is there twice."""
    path = (*lifecycle, "ends")
    by_kind: dict[str, End] = {}
    kinds = {compiled.kind for compiled in ends.values()}
    for name, compiled in ends.items():
        if compiled.kind in by_kind and not compiled.states:
            missing = next((kind for kind in ("success", "failure") if kind not in kinds), None)
            fix = f"did you mean {missing}?" if missing else _ONE_OF_EACH[compiled.kind]
            context.report((*path, name), f"is a second end of kind {compiled.kind}", fix)
        if name in entry["states"]:
            context.report((*path, name), "is also the name of a state", "rename one of them")
        if not compiled.states:
            by_kind.setdefault(compiled.kind, compiled)
    for kind in ("success", "failure"):
        if kind not in kinds and len(kinds) == len(ends):
            context.report(path, f"has no end of kind {kind}", f"add one with kind: {kind}")
    return by_kind


def lifecycle_entries(mock: dict[str, Any]) -> dict[str | None, tuple[Path_, dict[str, Any]]]:
    """Return the lifecycles of all kinds of task by kind, with their places; None is the usual kind."""
    found: dict[str | None, tuple[Path_, dict[str, Any]]] = {None: (("x-mock", "lifecycle"), mock["lifecycle"])}
    for name, kind in mock.get("kinds", {}).items():
        path = ("x-mock", "kinds", name, "lifecycle")
        found[name] = (path, kind["lifecycle"]) if "lifecycle" in kind else found[None]
    return found


def state_names(context: Context) -> tuple[str, ...]:
    """Return the names of all states of tasks: on the way, on the way to an end, and the ends."""
    entries = [entry for _, entry in lifecycle_entries(context.mock).values()]
    return tuple(dict.fromkeys(name for entry in entries for name in names_in(entry)))


def names_in(entry: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of the states of a lifecycle."""
    through = (state for end in entry["ends"].values() for state in as_mapping(end, "kind").get("through", ()))
    return (*entry["states"], *through, *entry["ends"])
