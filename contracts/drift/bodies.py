"""Holds bodies against schemas and templates of the spec."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from contracts.drift.differences import Differences
from contracts.drift.places import Edit, Place
from contracts.drift.shapes import Problem, Shape
from contracts.drift.templates import template_shape
from contracts.journal import Exchange, Record
from mockserver.recording.values import REDACTED


class Bodies:
    """The shapes of bodies, and what does not fit them."""

    def __init__(self, differences: Differences) -> None:
        self._found = differences
        self.shape = cache(Shape)
        self.template = cache(_template_of)

    def judge(self, record: Record, shape: Shape, body: Any, what: str) -> None:
        """Hold the body of an answer or a callback against a shape."""
        self._found.tested["fields"] += 1
        self._found.tested["values"] += 1
        text = record.answer_body if isinstance(record, Exchange) else record.body
        if body is None and (text or "").strip() != "null":
            place = shape.place
            self._found.add(
                *("media", ("not JSON",), [record]),
                seen=f"{what}: the body is not JSON" if text else f"{what}: the body is empty",
                asks="the body is JSON",
                place=place,
                edit=lambda _: None,
            )
            return
        status = f" {record.status}" if isinstance(record, Exchange) else ""
        for problem in shape.problems(body):
            self.problem(problem.kind, record, problem, f"{what}{status}: ")

    def problem(self, kind: str, record: Record, problem: Problem, prefix: str) -> None:
        """Report what does not fit a shape."""
        is_unknown = problem.cause[0] == "unknown"
        if isinstance(problem.value, str) and not is_unknown and REDACTED.search(problem.value):
            return  # what the journal has redacted is not known
        self._found.add(
            *(kind, problem.cause, [record]),
            seen=f"{prefix}{problem.seen}",
            asks=problem.asks,
            place=problem.place,
            edit=problem.edit,
            value=problem.value,
        )


def _template_of(place: Place, patches: tuple[Place, ...], constants: bool) -> Shape:
    return template_shape(place, patches, constants=constants)


def setting(place: Place, *, value: Any) -> Callable[[list[Any]], Edit]:
    """Return the edit that puts a value at a place, whatever was seen."""
    return lambda _values: Edit(place, value)
