"""Compile the kinds of task beside the usual one, and the rule of a submit that goes on from another task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mockserver.provider import Kind, Lifecycle, ParentRule, ResultKind, Schema, StreamRule, WaitRule
from mockserver.spec.compile.bodies import request_schema
from mockserver.spec.compile.constants import check_amount, check_result_names
from mockserver.spec.compile.context import Context
from mockserver.spec.compile.lifecycles import compile_lifecycle, names_in, state_names
from mockserver.spec.compile.tasks import amount_of
from mockserver.spec.document import Path_
from mockserver.spec.words import suggestion


def compile_kinds(context: Context, usual: Lifecycle, results: Mapping[str, ResultKind]) -> dict[str, Kind]:
    """Compile the kinds; what one leaves out is as with the usual kind."""
    kinds: dict[str, Kind] = {}
    for name, entry in context.mock.get("kinds", {}).items():
        path = ("x-mock", "kinds", name)
        own = entry.get("lifecycle")
        price = entry.get("price", {})
        check_result_names(context, context.lead, (*path, "result"), entry.get("result"), list(results))
        for part in ("reserve", "settle"):
            check_amount(context, context.lead, (*path, "price", part), price.get(part, {}))
        amounts = {
            part: amount_of(context, context.lead, price[part], (*path, "price", part))
            for part in ("reserve", "settle")
            if part in price
        }
        kinds[name] = Kind(
            name=name,
            lifecycle=usual if own is None else compile_lifecycle(context, own, (*path, "lifecycle")),
            result=context.value(entry["result"], *path, "result") if "result" in entry else None,
            reserve_ucr=amounts.get("reserve"),
            settle_ucr=amounts.get("settle"),
        )
    return kinds


def kind_of(context: Context, kinds: Mapping[str, Kind], mock: Mapping[str, Any], where: Path_) -> Kind | None:
    """Return the kind of task that an operation or a model names."""
    name = mock.get("kind")
    if name is not None and name not in kinds:
        context.report((*where, "kind"), f"there is no kind {name!r}", suggestion(name, kinds))
    return None if name is None else kinds.get(name)


def states_for(context: Context, kind: str | None) -> tuple[str, ...]:
    """Return the states that the tasks of a kind may be in; of no kind in particular those of all."""
    own = (
        {} if kind is None else context.mock.get("kinds", {}).get(kind, {}).get("lifecycle", context.mock["lifecycle"])
    )
    return names_in(own) if own else state_names(context)


def parent_rule(
    context: Context, kinds: Mapping[str, Kind], mock: Mapping[str, Any], where: Path_
) -> ParentRule | None:
    """Compile where a submit names the task that it goes on from."""
    for key in ("kind", "parent", "wait"):
        if key in mock and mock["role"] == "estimate":
            context.report((*where, key), "is for a submit: an estimate makes no task", "remove it")
    if "parent" not in mock:
        return None
    written = mock["parent"]
    entry = written if isinstance(written, dict) else {"task": written}
    place = (*where, "parent")
    kind_of(context, kinds, entry, place)
    known = states_for(context, entry.get("kind"))
    _check_states(context, entry.get("states", ()), known, (*place, "states"))
    name = entry["task"].partition("#/")[2].replace("/", ".") or entry["task"].rpartition(".")[2]
    at = place if entry is not written else (*place, "task")
    return ParentRule(
        task=context.value(entry["task"], *at),
        field=name,
        kind=entry.get("kind"),
        states=frozenset(entry["states"]) if "states" in entry else None,
    )


def wait_rule(context: Context, mock: Mapping[str, Any], where: Path_) -> WaitRule | None:
    """Compile how long a submit waits for its task."""
    entry = mock.get("wait")
    if entry is None:
        return None
    if isinstance(entry, dict) and "prefer_s" in entry:
        at_most_s = entry["at_most_s"] if "at_most_s" in entry else entry["prefer_s"]
        if at_most_s < entry["prefer_s"]:
            context.report((*where, "wait", "at_most_s"), "is less than prefer_s", "raise it, or lower prefer_s")
        return WaitRule(prefer_s=entry["prefer_s"], at_most_s=at_most_s)
    return WaitRule(seconds=context.value(entry, *where, "wait"))


def stream_rule(context: Context, mock: Mapping[str, Any], where: Path_) -> StreamRule | None:
    """Compile how the events of a stream are sent."""
    if mock["role"] != "events":
        return None
    every_s = mock.get("every_s")
    return StreamRule(
        event=context.value(mock["event"], *where, "event") if "event" in mock else None,
        every_ms=None if every_s is None else max(1, round(every_s * 1000)),
        last=mock.get("last"),
    )


def _check_states(context: Context, states: Iterable[str], known: tuple[str, ...], path: Path_) -> None:
    for index, state in enumerate(states):
        if state not in known:
            context.report((*path, index), "is not a state of the lifecycle", suggestion(state, known))


def child_schema(context: Context, entry: Mapping[str, Any], where: Path_) -> Schema | None:
    """Compile what the body of a submit must be that goes on from another task: as its operation says."""
    if "parent" not in entry["x-mock"]:
        return None
    content: dict[str, Any] = context.lead.followed(entry.get("requestBody", {})).get("content", {})
    media: dict[str, Any] = next((each for name, each in content.items() if "json" in name), {})
    schema = media.get("schema", {})
    what = "has no valid request schema"
    return request_schema(context, context.lead, schema, where, of_request=True, what=what)
