"""Holds what was accepted against the models: their names, and the schemas of their bodies."""

from __future__ import annotations

from contracts.drift.bodies import Bodies
from contracts.drift.differences import Differences
from contracts.drift.places import Edit, Place
from contracts.drift.spec import DocumentedSpec
from contracts.journal import Exchange
from mockserver.engine.models import documented_model, nearest
from mockserver.provider import Model, Operation
from mockserver.spec.pointer import pointed


class Requests:
    """Judges the submits that were accepted."""

    def __init__(self, documented: DocumentedSpec, differences: Differences, bodies: Bodies) -> None:
        self._spec = documented
        self._found = differences
        self._bodies = bodies

    def judge(self, exchange: Exchange, operation: Operation) -> None:
        """Hold an accepted submit against the models."""
        body = exchange.json
        if exchange.status is None or exchange.status >= 300 or not isinstance(body, dict) or operation.model is None:
            return
        if exchange.served_as or not exchange.body_whole or exchange.task is None:
            return
        name = pointed(body, operation.model_keys)
        if not isinstance(name, str):
            return
        self._found.tested["models"] += 1
        model = documented_model(self._spec.provider, operation, name)
        if model is None:
            near = nearest(self._spec.provider, name, body, operation.model_keys)
            place = self._spec.model_place(near)
            aliases = place.mapping().get("aliases", [])
            self._found.add(
                *("models", (), [exchange]),
                seen=f"the model {name!r} is served",
                asks=f"there is no such model; the nearest is {near.name!r}",
                place=place,
                edit=lambda values: Edit(place.at("aliases"), list(dict.fromkeys([*aliases, *values]))),
                value=name,
            )
            return
        self._found.tested["requests"] += 1
        if not model.request.accepts(body):
            self._request(exchange, operation, model)

    def _request(self, exchange: Exchange, operation: Operation, model: Model) -> None:
        written = self._spec.model_place(model).mapping().get("request", "")
        schema = Place(self._spec.document_of(model), tuple(written.removeprefix("#/").split("/")))
        body = exchange.json
        if model.served_as:
            body = {**body, operation.model_keys[0]: model.shape} if len(operation.model_keys) == 1 else body
        for problem in self._bodies.shape(schema).problems(body):
            if problem.cause[0] == "unknown" and not model.request.unknown_fields(body):
                continue
            if problem.cause[0] == "unknown" or problem.kind in ("fields", "values"):
                self._bodies.problem("requests", exchange, problem, "the body of an accepted request: ")
