"""Shapes: schemathesis makes requests for every operation, and holds every answer against the spec."""

from __future__ import annotations

import copy
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any
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
from contracts.server.client import UnresponsiveError, UnsendableError
from contracts.server.evidence import Misshapen
from contracts.server.pacing import TimeIsUpError
from contracts.server.spec import METHODS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contracts.server.client import Call, Wire
    from contracts.server.evidence import Evidence
    from mockserver.provider import Provider

#: What each law of shape is judged by, and what it asks for.
CHECKS = {
    "shapes.status": (status_code_conformance, "a status that the document declares for the operation"),
    "shapes.content-type": (content_type_conformance, "a content type that the document declares"),
    "shapes.headers": (response_headers_conformance, "the headers that the document declares"),
    "shapes.body": (response_schema_conformance, "a body as the document's schema has it"),
}
REFUSED = "shapes.bad-data-refused"
_KEPT = 3


class Conformance:
    """All operations of a provider's documents, to be asked and judged."""

    def __init__(self, wire: Wire, evidence: Evidence, *, max_examples: int, seed: int) -> None:
        self._wire = wire
        self._evidence = evidence
        self._max_examples = max_examples
        self._seed = seed
        self._over: BaseException | None = None
        self._skipped = 0
        self._found: dict[tuple[str, str], list[Misshapen]] = {}

    @cached_property
    def _schemas(self) -> list[Any]:
        return [
            schemathesis.openapi.from_dict(
                _readable(document, self._evidence.spec.provider), config=schemathesis.Config()
            )
            for document in self._evidence.spec.documents
        ]

    def judge_seen(self) -> None:
        """Hold what was seen so far against the leading document."""
        operations = {each.definition.raw["operationId"]: each for each in self._operations(self._schemas[0])}
        for call in self._evidence.answered():
            operation = operations.get(call.exchange.operation)
            whole = call.exchange.header("Range") is None  # a part is asked for by HTTP's own rules
            if operation is not None and call.operation is not None and whole:
                values = {each.name: "any" for each in call.operation.parameters if each.place == "path"}
                self._judge(operation.Case(path_parameters=values), call, CHECKS)
        self._report()

    def ask(self) -> None:
        """Ask every operation, with good data and with bad.

        Raises:
            SilenceError: the server has stayed silent too often.
            TimeIsUpError: the user's time is over.
        """
        for schema in self._schemas if self._max_examples else ():
            for operation in self._operations(schema):
                for mode in GenerationMode if self._can_be_bad(operation) else (GenerationMode.POSITIVE,):
                    self._ask(operation, mode)
                    if self._over is not None:
                        self._report()
                        raise self._over
        self._report()
        if self._skipped:
            self._evidence.notes.append(
                f"{self._skipped} generated requests could have cost more than was left, and were not sent"
            )

    def _operations(self, schema: Any) -> Iterator[Any]:
        for found in schema.get_all_operations():
            operation = found.ok()
            elsewhere = schema.raw_schema["paths"][operation.path].get("servers")
            if not elsewhere or self._wire.pacing.movable:
                yield operation

    def _can_be_bad(self, operation: Any) -> bool:
        """Tell whether a request can be wrong by the schema: not where it is a path with texts in it, and no more."""
        raw = operation.definition.raw
        known = self._evidence.spec.provider.operations[raw["operationId"]]
        return "requestBody" in raw or any(each.place == "query" or each.type != "string" for each in known.parameters)

    def _ask(self, operation: Any, mode: GenerationMode) -> None:
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
        def look(case: Any) -> None:
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
                look()
        except (SkipTest, HypothesisException, SchemathesisError):
            return  # there is nothing of this kind to generate, such as bad data where nothing is sent

    def _sent(self, case: Any, mode: GenerationMode) -> tuple[Call, requests.PreparedRequest]:
        how = case.as_transport_kwargs(base_url=self._wire.base_url)
        if mode.is_positive and isinstance(how.get("json"), dict):
            how["json"] = self._without_callback(how["json"])
        words = ("method", "url", "headers", "params", "data", "json", "files", "cookies")
        try:
            request = requests.Request(**{word: how[word] for word in words if word in how}).prepare()
        except (requests.RequestException, ValueError) as error:
            raise UnsendableError(str(error)) from None
        body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
        headers = {
            name: value if isinstance(value, str) else value.decode("latin-1")
            for name, value in request.headers.items()
            if name in ("Accept", "Content-Type") or name in (case.headers or {})
        }
        call = self._wire.ask(
            request.method or "GET",
            request.url or "",
            headers={**headers, **self._wire.key_headers()},
            body=body,
            key=False,
        )
        return call, request

    def _has_its_file(self, case: Any, call: Call) -> bool:
        """Tell whether an upload has its file: on the wire that is bytes, and no longer of a wrong type."""
        uploads = self._evidence.spec.provider.uploads
        upload = uploads is not None and call.operation is not None and call.operation.role == "upload"
        return upload and uploads is not None and isinstance(case.body, dict) and uploads.field in case.body

    def _without_callback(self, body: dict[str, Any]) -> dict[str, Any]:
        """Leave the callback's address out: nobody is to be called who has not asked for it."""
        callbacks = self._evidence.spec.provider.callbacks
        return body if callbacks is None else {key: each for key, each in body.items() if key != callbacks.url_keys[0]}

    def _judge(
        self, case: Any, call: Call, checks: dict[str, Any], request: requests.PreparedRequest | None = None
    ) -> None:
        response = schemathesis.Response(
            status_code=call.status or 0,
            headers=_listed(call.headers),
            content=call.content,
            request=request or requests.Request(call.exchange.method, self._wire.base_url).prepare(),
            elapsed=call.seconds,
            verify=True,
        )
        for law, (check, asks) in checks.items():
            self._evidence.shaped.add(law)
            try:
                case.validate_response(response, checks=[check])
            except FailureGroup as group:
                for failure in group.exceptions:
                    self._keep(law, call, failure, asks)
            except Failure as failure:
                self._keep(law, call, failure, asks)

    def _keep(self, law: str, call: Call, failure: Any, asks: str) -> None:
        """Keep a few of a kind for each operation, those with the shortest requests."""
        seen = " ".join(f"{failure.title}: {failure.message}".split())
        kept = self._found.setdefault((law, f"{call.exchange.operation} {call.status}"), [])
        kept.append(Misshapen(law, call, _cut(seen), asks))
        kept.sort(key=lambda each: len(each.call.exchange.body or "") + len(each.call.exchange.query))
        del kept[_KEPT:]

    def _report(self) -> None:
        self._evidence.misshapen = [each for kept in self._found.values() for each in kept]


def _readable(document: dict[str, Any], provider: Provider) -> dict[str, Any]:
    """Prepare a document: the judge itself sees to the key, and x-mock's errors stand for those not declared.

    An operation that does not even declare what comes of a missing key leaves its errors to x-mock's table.
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
