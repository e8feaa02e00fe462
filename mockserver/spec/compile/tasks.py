"""Compile the lifecycle, the models with their prices, and the content policy."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from functools import partial
from typing import Any

from mockserver.chance import fraction
from mockserver.patterns import LinearPattern
from mockserver.provider import (
    UCR,
    ContentPolicy,
    Draw,
    Kind,
    Lifecycle,
    Model,
    Operation,
    Problem,
    Requirement,
    ResultKind,
    Schema,
    State,
)
from mockserver.spec.compile.bodies import request_of, request_schema
from mockserver.spec.compile.constants import check_amount, check_result_names
from mockserver.spec.compile.context import Context
from mockserver.spec.compile.lifecycles import seconds_of
from mockserver.spec.document import Document
from mockserver.spec.expressions import ExpressionError, compile_value, constant
from mockserver.spec.words import suggestion

_AMOUNTS_KEPT = 1024
_SWAP = "swap them"
_SCHEMA = "name a schema of components/schemas"


def compile_models(
    context: Context,
    lifecycle: Lifecycle,
    kinds: Mapping[str, Kind],
    results: Mapping[str, ResultKind],
    operations: Mapping[str, Operation],
) -> dict[str, Model]:
    """Compile the models of all documents."""
    models: dict[str, Model] = {}
    for document in context.documents:
        for name, entry in document.data["x-mock"]["models"].items():
            path = ("x-mock", "models", name)
            if name in models:
                context.report(path, "is also in another document of this provider", "keep one", document=document)
            kind = kinds.get(entry.get("kind", ""))
            if "kind" in entry and kind is None:
                fix = suggestion(entry["kind"], kinds)
                context.report((*path, "kind"), f"there is no kind {entry['kind']!r}", fix, document=document)
            models[name] = _model(context, document, name, entry, kind or Kind("", lifecycle), results, operations)
    _check_aliases(context)
    return models


def _check_aliases(context: Context) -> None:
    """Report aliases that stand for two models, or that a model has as its name."""
    taken = {name: name for document in context.documents for name in document.data["x-mock"]["models"]}
    for document in context.documents:
        for name, entry in document.data["x-mock"]["models"].items():
            for index, alias in enumerate(entry.get("aliases", ())):
                if alias in taken:
                    where = ("x-mock", "models", name, "aliases", index)
                    whose = "already the name of a model" if taken[alias] == alias else f"also one of {taken[alias]}"
                    context.report(where, f"{alias!r} is {whose}", "remove it", document=document)
                taken.setdefault(alias, name)


def _answers_to(context: Context, document: Document, name: str, entry: dict[str, Any]) -> Callable[[str], bool]:
    """Compile the aliases with wildcards and the patterns of a model into one test."""
    globs = [LinearPattern(_of_glob(each)) for each in entry.get("aliases", ()) if _is_glob(each)]
    patterns = [
        context.pattern(each, "x-mock", "models", name, "patterns", index, document=document)
        for index, each in enumerate(entry.get("patterns", ()))
    ]
    return lambda text: any(each.fullmatch(text) for each in (*globs, *patterns))


def _is_glob(alias: str) -> bool:
    return "*" in alias or "?" in alias


def _of_glob(text: str) -> str:
    """Write a text with the wildcards * and ? as a regular expression."""
    return "(?s)" + "".join({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in text)


def _model(
    context: Context,
    document: Document,
    name: str,
    entry: dict[str, Any],
    kind: Kind,
    results: Mapping[str, ResultKind],
    operations: Mapping[str, Operation],
) -> Model:
    path = ("x-mock", "models", name)
    request = (
        _request(context, document, (*path, "request"), entry["request"])
        if "request" in entry
        else request_of(operations.values(), name)
    )
    example = entry.get("example")
    if example is not None and not request.accepts(example):
        problem, fix = request.problems(example)[0], "change the example or the schema"
        context.report(
            (*path, "example"), f"does not match the request schema: {problem.message}", fix, document=document
        )
    for state in entry.get("lasts_s", {}):
        states = [each.name for each in kind.lifecycle.states]
        if state not in states:
            where = (*path, "lasts_s", state)
            context.report(where, "is not a state of the lifecycle", suggestion(state, states), document=document)
    check_result_names(context, document, (*path, "result"), entry.get("result"), list(results))
    price = entry["price"]
    for part in ("reserve", "settle"):
        check_amount(context, document, (*path, "price", part), price.get(part, {}))
    reserve = amount_of(context, document, price["reserve"], (*path, "price", "reserve"))
    settle = amount_of(context, document, price["settle"], (*path, "price", "settle")) if "settle" in price else None
    longer = entry.get("lasts_s", {})
    return Model(
        name=name,
        document=document.data["info"]["title"],
        request=request,
        example=example,
        reserve_ucr=reserve,
        settle_ucr=settle,
        result=kind.result
        if "result" not in entry and kind.result is not None
        else context.value(entry.get("result"), *path, "result", document=document),
        estimated_s=entry.get("estimated_s"),
        states=tuple(
            _lasting(state, longer[state.name]) if state.name in longer else state for state in kind.lifecycle.states
        ),
        lifecycle=kind.lifecycle,
        kind=kind.name or None,
        requirements=tuple(
            Requirement(
                left=context.value(each["left"], *path, "requirements", index, "left", document=document),
                strictly_less=each["is"] == "less_than",
                right=context.value(each["right"], *path, "requirements", index, "right", document=document),
                problem=Problem(each["message"], each.get("field")),
            )
            for index, each in enumerate(entry.get("requirements", ()))
        ),
        aliases=frozenset(each for each in entry.get("aliases", ()) if not _is_glob(each)),
        answers_to=_answers_to(context, document, name, entry),
        by_operation="request" not in entry,
    )


def _request(context: Context, document: Document, path: tuple[str | int, ...], pointer: str) -> Schema:
    schema: dict[str, Any] = {}
    try:
        schema = document.resolve(pointer)
    except KeyError:
        context.report(path, f"{pointer} does not exist in this document", _SCHEMA, document=document)
    return request_schema(context, document, schema, path, of_request=False)


def _lasting(state: State, lasts_s: Any) -> State:
    """Return a state with a duration of its own."""
    shortest_s, longest_s = seconds_of(lasts_s)
    return replace(state, shortest_ms=round(shortest_s * 1000), longest_ms=round(longest_s * 1000))


def amount_of(
    context: Context, document: Document, entry: dict[str, Any], path: tuple[str | int, ...]
) -> Callable[[Any], int]:
    """Compile an amount of credits, in micro-credits."""
    words = {"base_credits": 0, "each": 1, "credits_per_unit": 0, "factors": [], **entry}
    words.pop("decimals", None)
    for name in ("base_credits", "each", "credits_per_unit", "factors"):
        context.value(words[name], *path, name, document=document)  # reports issues with their path
    try:
        parts = compile_value(
            [words["base_credits"], words["each"], words["credits_per_unit"], *words["factors"]],
            context.mock.get("draws", ()),
        )
    except ExpressionError:
        parts = constant(())
    quantum = Decimal(1).scaleb(-entry.get("decimals", 2))
    known: dict[tuple[Any, ...], int] = {}

    def amount_ucr(request_context: Any) -> int:
        values = tuple(parts(request_context))
        try:
            found = known.get(values)
        except TypeError:  # a value that is not hashable
            values = tuple(map(_number, values))
            found = known.get(values)
        if found is None:
            base, units, per_unit, *factors = map(_number, values)
            total = math.prod(factors, start=base + units * per_unit)
            found = max(0, int(total.quantize(quantum, ROUND_HALF_UP) * UCR))
            if len(known) < _AMOUNTS_KEPT:
                known[values] = found
        return found

    return amount_ucr


def _number(value: Any) -> Decimal:
    """Read a template's value as a number; other types count as 0."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return Decimal(0)
    return Decimal(str(value))


def compile_draws(context: Context) -> dict[str, Draw]:
    """Compile what the provider chooses for each task."""
    draws: dict[str, Draw] = {}
    for name, entry in context.mock.get("draws", {}).items():
        values = entry.get("of")
        if values is None:
            if entry["from"] > entry["to"]:
                context.report(("x-mock", "draws", name), "`from` is greater than `to`", _SWAP)
            values = range(entry["from"], max(entry["from"], entry["to"]) + 1)
        draws[name] = partial(_drawn, tuple(values) if isinstance(values, list) else values)
    return draws


def _drawn(values: Sequence[Any], drawn: bytes) -> Any:
    return values[int(fraction(drawn, 0) * len(values))]


def compile_content_policy(context: Context, lifecycle: Lifecycle) -> ContentPolicy | None:
    """Compile the content policy, if the spec has one."""
    entry = context.mock.get("content_policy")
    if entry is None:
        return None
    path = ("x-mock", "content_policy")
    reason = entry.get("reason")
    if entry["at"] == "generation" and lifecycle.failure.name and reason not in lifecycle.failure.reasons:
        context.report(
            (*path, "reason"),
            f"must be a reason of the failure; got {reason!r}",
            suggestion(reason, lifecycle.failure.reasons),
        )
    if entry["at"] == "submit" and reason is not None and not context.lead.guessed:
        context.report((*path, "reason"), "is for `at: generation`: a refused submit makes no task", "remove it")
    return ContentPolicy(
        texts=tuple(context.value(text, *path, "texts") for text in entry["texts"]),
        refuses=context.pattern(entry["refuses"], *path, "refuses", ignore_case=True).search,
        at_submit=entry["at"] == "submit",
        reason=reason if entry["at"] == "generation" else None,
    )
