"""Holds headers against the declared ones. What HTTP, proxies and hosts send with any answer needs no declaration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from contracts.drift.bodies import Bodies, setting
from contracts.drift.differences import Differences
from contracts.drift.places import Place
from contracts.drift.spec import DocumentedSpec
from contracts.journal import Exchange
from mockserver.engine.keeping import EVICTED_HEADER
from mockserver.provider import ErrorAnswer, Operation
from mockserver.recording.headers import is_common
from mockserver.recording.values import parse_json


class Headers:
    """Judges the headers of answers."""

    def __init__(self, documented: DocumentedSpec, differences: Differences, bodies: Bodies) -> None:
        self._spec = documented
        self._found = differences
        self._bodies = bodies

    def judge(
        self, exchange: Exchange, operation: Operation, response: Place | None, error: ErrorAnswer | None
    ) -> None:
        """Hold the headers of an answer against those that the spec declares for it."""
        self._found.tested["headers"] += 1
        declared = {} if response is None else response.at("headers").mapping()
        sent = {name.lower(): (name, value) for name, value in exchange.answer_headers}
        for name in declared:
            assert response is not None
            header = response.at("headers", name).followed()
            rule = header.mapping()
            if name.lower() not in sent:
                if rule.get("required"):
                    self._found.add(
                        *("headers", ("missing",), [exchange]),
                        seen=f"{operation.id} {exchange.status}: the header {name} is missing",
                        asks=f"{name} is required",
                        place=header.at("required"),
                        edit=setting(header.at("required"), value=False),
                    )
                continue
            self._header_value(exchange, name, sent[name.lower()][1], header)
        known = {each.lower() for each in (*declared, *self._other_headers(operation, error))}
        for lower, (name, _) in sent.items():
            # The table of errors says when Retry-After is sent.
            if lower in known or is_common(lower) or lower == "retry-after":
                continue
            if response is None:
                home = self._spec.operation(operation).at("responses", str(exchange.status))
                target, made = home, {"description": "As recorded", "headers": {name: {"schema": {"type": "string"}}}}
            else:
                target, made = response.at("headers", name), {"schema": {"type": "string"}}
            self._found.add(
                *("headers", ("unknown", lower), [exchange]),
                seen=f"{operation.id} {exchange.status}: unknown header {name}",
                asks="there is no such header",
                place=target if response is None else response.at("headers"),
                edit=setting(target, value=made),
            )

    def _header_value(self, exchange: Exchange, name: str, value: str, header: Place) -> None:
        schema = header.at("schema").followed()
        kind = schema.mapping().get("type")
        typed: Any = value
        if kind in ("integer", "number"):
            typed = parse_json(value)
        if kind == "boolean":
            typed = {"true": True, "false": False}.get(value, value)
        for problem in self._bodies.shape(schema).problems(typed, f"the header {name}"):
            self._bodies.problem("headers", exchange, problem, "")

    def _other_headers(self, operation: Operation, error: ErrorAnswer | None) -> Iterator[str]:
        yield from (self._spec.provider.request_id_header, EVICTED_HEADER)
        yield from (name for name, _ in operation.headers)
        errors = self._spec.provider.errors.values() if error is None else (error,)
        yield from (name for each in errors for name, _ in each.headers)
