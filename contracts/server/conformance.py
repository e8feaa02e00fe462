"""Conformance: schemathesis generates requests for every operation, and checks every answer against the spec."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from functools import cached_property
from typing import Any
from unittest import SkipTest

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as seeded
from hypothesis.errors import HypothesisException, HypothesisWarning
from schemathesis import GenerationMode
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.errors import SchemathesisError
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from contracts.server.budget import OverBudgetError
from contracts.server.call import Call
from contracts.server.client import ApiClient, UnresponsiveError, UnsendableError
from contracts.server.evidence import Evidence, NonConforming
from contracts.server.pacing import TimeIsUpError
from contracts.server.spec import METHODS
from mockserver.provider import Provider

#: The check of each clause on conformance, and what it asks for.
CHECKS = {
    "shapes.status": (status_code_conformance, "a status that is documented for the operation"),
    "shapes.content-type": (content_type_conformance, "a documented content type"),
    "shapes.headers": (response_headers_conformance, "the documented headers"),
    "shapes.body": (response_schema_conformance, "a body that matches the documented schema"),
}
REFUSED = "shapes.bad-data-refused"
_KEPT = 3


class Conformance:
    """Tests all operations of a provider's documents."""

    def __init__(self, client: ApiClient, evidence: Evidence, *, max_examples: int, seed: int) -> None:
        self._client = client
        self._evidence = evidence
        self._max_examples = max_examples
        self._seed = seed
        self._over: BaseException | None = None
        self._skipped = 0
        self._found: dict[tuple[str, str], list[NonConforming]] = {}

    @cached_property
    def _schemas(self) -> list[Any]:
        return [
            schemathesis.openapi.from_dict(
                _readable(document, self._evidence.spec.provider), config=schemathesis.Config()
            )
            for document in self._evidence.spec.documents
        ]

    def judge_seen(self) -> None:
        """Check the answers so far against the main document."""
        operations = {each.definition.raw["operationId"]: each for each in self._operations(self._schemas[0])}
        for call in self._evidence.answered():
            operation = operations.get(call.exchange.operation)
            whole = call.exchange.header("Range") is None  # HTTP itself defines partial requests
            if operation is not None and call.operation is not None and whole:
                values = {each.name: "any" for each in call.operation.parameters if each.place == "path"}
                self._judge(operation.Case(path_parameters=values), call, CHECKS)
        self._report()

    def ask(self) -> None:
        """Send valid and invalid requests to every operation.

        Raises:
            UnresponsiveError: too many requests were not answered.
            TimeIsUpError: the time limit is reached.
        """
        for schema in self._schemas if self._max_examples else ():
            for operation in self._operations(schema):
                for mode in GenerationMode if self._can_be_bad(operation) else (GenerationMode.POSITIVE,):
                    self._test(operation, mode)
                    if self._over is not None:
                        self._report()
                        raise self._over
        self._report()
        if self._skipped:
            self._evidence.notes.append(
                f"{self._skipped} generated requests were not sent: they could have cost more than the budget"
            )

    def _operations(self, schema: Any) -> Iterator[Any]:
        for found in schema.get_all_operations():
            operation = found.ok()
            elsewhere = schema.raw_schema["paths"][operation.path].get("servers")
            if not elsewhere or self._client.pacing.movable:
                yield operation

    def _can_be_bad(self, operation: Any) -> bool:
        """Tell whether a request can be invalid by the schema: not if it is only a path with strings in it."""
        raw = operation.definition.raw
        known = self._evidence.spec.provider.operations[raw["operationId"]]
        return "requestBody" in raw or any(each.place == "query" or each.type != "string" for each in known.parameters)

    def _test(self, operation: Any, mode: GenerationMode) -> None:
        @seeded(self._seed)
        @settings(
            max_examples=self._max_examples,
            database=None,
            deadline=None,
            derandomize=False,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Any) -> None:
            if self._over is not None:
                return
            try:
                call, request = self._sent(case, mode)
            except (TimeIsUpError, UnresponsiveError) as error:
                self._over = error
                return
            except OverBudgetError:
                self._skipped += 1
                return
            except UnsendableError:
                return
            if call.transport_error is None:
                self._judge(case, call, CHECKS, request)
                if mode.is_negative and not self._has_its_file(case, call):
                    self._judge(case, call, {REFUSED: (negative_data_rejection, "a refusal")}, request)

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", HypothesisWarning)
                check()
        except (SkipTest, HypothesisException, SchemathesisError):
            return  # nothing of this kind can be generated, such as invalid data where none is sent

    def _sent(self, case: Any, mode: GenerationMode) -> tuple[Call, requests.PreparedRequest]:
        parts = case.as_transport_kwargs(base_url=self._client.base_url)
        if mode.is_positive and isinstance(parts.get("json"), dict):
            parts["json"] = self._without_callback(parts["json"])
        names = ("method", "url", "headers", "params", "data", "json", "files", "cookies")
        try:
            request = requests.Request(**{name: parts[name] for name in names if name in parts}).prepare()
        except (requests.RequestException, ValueError) as error:
            raise UnsendableError(str(error)) from None
        body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
        headers = {
            name: value if isinstance(value, str) else value.decode("latin-1")
            for name, value in request.headers.items()
            if name in ("Accept", "Content-Type") or name in (case.headers or {})
        }
        call = self._client.ask(
            request.method or "GET",
            request.url or "",
            headers={**headers, **self._client.key_headers()},
            body=body,
            key=False,
        )
        return call, request

    def _has_its_file(self, case: Any, call: Call) -> bool:
        """Tell whether an upload has its file: as bytes, it has no wrong type any more."""
        uploads = self._evidence.spec.provider.uploads
        upload = uploads is not None and call.operation is not None and call.operation.role == "upload"
        return upload and uploads is not None and isinstance(case.body, dict) and uploads.field in case.body

    def _without_callback(self, body: dict[str, Any]) -> dict[str, Any]:
        """Leave out the callback address: no third party may be called."""
        callbacks = self._evidence.spec.provider.callbacks
        keys = () if callbacks is None else callbacks.url_keys[:1]
        return {key: each for key, each in body.items() if key not in keys}

    def _judge(
        self, case: Any, call: Call, checks: dict[str, Any], request: requests.PreparedRequest | None = None
    ) -> None:
        response = schemathesis.Response(
            status_code=call.status or 0,
            headers=_listed(call.headers),
            content=call.content,
            request=request or requests.Request(call.exchange.method, self._client.base_url).prepare(),
            elapsed=call.seconds,
            verify=True,
        )
        for clause, (check, asks) in checks.items():
            self._evidence.tested.add(clause)
            try:
                case.validate_response(response, checks=[check])
            except FailureGroup as group:
                for failure in group.exceptions:
                    self._keep(clause, call, failure, asks)
            except Failure as failure:
                self._keep(clause, call, failure, asks)

    def _keep(self, clause: str, call: Call, failure: Any, asks: str) -> None:
        """Keep a few of each kind for each operation, those with the shortest requests."""
        seen = " ".join(f"{failure.title}: {failure.message}".split())
        kept = self._found.setdefault((clause, f"{call.exchange.operation} {call.status}"), [])
        kept.append(NonConforming(clause, call, _cut(seen), asks))
        kept.sort(key=lambda each: len(each.call.exchange.body or "") + len(each.call.exchange.query))
        del kept[_KEPT:]

    def _report(self) -> None:
        self._evidence.nonconforming = [each for kept in self._found.values() for each in kept]


def _readable(document: dict[str, Any], provider: Provider) -> dict[str, Any]:
    """Prepare a document: remove its security, which the client handles, and add undeclared errors from x-mock.

    An operation that does not declare the error for a missing key leaves its errors to x-mock's table.
    """
    data = copy.deepcopy(document)
    data.pop("security", None)
    data.get("components", {}).pop("securitySchemes", None)
    errors = {str(each.status): {"description": each.name} for each in provider.errors.values()}
    keyless = str(provider.refusals["missing_key"].status)
    for item in data["paths"].values():
        for operation in (item[method] for method in METHODS if method in item):
            operation.pop("security", None)
            declared = operation["responses"]
            secured = provider.operations[operation["operationId"]].secured
            if (secured and keyless not in declared) or all(status.startswith("2") for status in declared):
                operation["responses"] = {**errors, **declared}
    return data


def _listed(headers: tuple[tuple[str, str], ...]) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for name, value in headers:
        out.setdefault(name.lower(), []).append(value)
    return out


def _cut(text: str, most: int = 400) -> str:
    return text if len(text) <= most else text[:most] + "…"
