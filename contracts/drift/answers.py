"""Holds answers against what the spec declares: status, headers, content type, body, errors."""

from __future__ import annotations

import re
from typing import Any

from contracts.drift.bodies import Bodies, setting
from contracts.drift.differences import Differences
from contracts.drift.errors import Errors, word
from contracts.drift.headers import Headers
from contracts.drift.places import Edit, Place
from contracts.drift.requests import Requests
from contracts.drift.shapes import Shape, inferred
from contracts.drift.spec import DocumentedSpec
from contracts.journal import Exchange
from mockserver.provider import ErrorAnswer, Model, Operation
from mockserver.spec.pointer import MISSING

JSON = "application/json"
_NOT_MODIFIED = 304
#: What the pages of a site are made of.
_OF_PAGES = re.compile(r"text/(html|css|javascript|x-component)|application/(x-)?javascript|image/|font/")
_FILE_ROLES = ("result", "file")


class Answers:
    """Judges the answers of one journal."""

    def __init__(self, documented: DocumentedSpec, differences: Differences, bodies: Bodies) -> None:
        self._spec = documented
        self._provider = documented.provider
        self._found = differences
        self._bodies = bodies
        self._errors = Errors(documented, differences)
        self._headers = Headers(documented, differences, bodies)
        self._requests = Requests(documented, differences, bodies)

    def judge(self, exchange: Exchange, model: Model | None) -> None:
        """Judge one answer; `model` is that of its task."""
        operation = self._provider.operations.get(exchange.operation or "")
        if exchange.status is None or _is_of_http(exchange):
            return
        if operation is None:
            if exchange.role is None:
                self._undeclared(exchange)
            return
        place = self._spec.operation(operation, model)
        if exchange.role == "submit":
            self._requests.judge(exchange, operation)
        body, whole = exchange.answer, _is_whole(exchange)
        error = self._error_in(exchange, operation, place, body) if whole else None
        response = self._spec.response(place, exchange.status)
        self._found.tested["statuses"] += 1
        if response is None and error is None and not self._errors.of_status(exchange.status):
            self._status(exchange, operation, place)
        if operation.role in _FILE_ROLES:
            return
        self._headers.judge(exchange, operation, response, error)
        if response is not None and "content" in response.mapping():
            self._media(exchange, response)
        if not whole or exchange.method == "HEAD":
            return
        shape = self._shape_of(exchange, operation, response, error)
        if shape is not None:
            self._bodies.judge(exchange, shape, body, exchange.operation or "")
        if exchange.status >= 400 or error is not None:
            self._errors.judge(exchange, body)

    def _undeclared(self, exchange: Exchange) -> None:
        self._found.tested["operations"] += 1
        body = exchange.answer
        refusals = [self._provider.refusals[each] for each in ("unknown_path", "unsupported_method")]
        if (exchange.status or 0) >= 400:
            self._errors.judge(exchange, body)
            return
        meant = [each for each in refusals if any(self._errors.facts(each)) and self._errors.tells(each, body)]
        if meant:
            if not any(each.status == exchange.status for each in meant):
                self._errors.found_with_status(exchange, meant[0])
            return
        path = exchange.path.removeprefix(f"/{self._provider.name}/")
        path = path if path.startswith("/") else f"/{path}"
        place = Place(self._spec.files[0], ("paths",))
        made = {
            "operationId": word(f"{exchange.method} {path}"),
            "responses": {str(exchange.status): {"description": "As recorded"}},
            "x-mock": {"role": "balance", "reply": {"status": exchange.status, "body": exchange.answer}},
        }
        self._found.add(
            "operations",
            (exchange.method, path),
            [exchange],
            seen=f"{exchange.method} {path} answers {exchange.status}",
            asks="there is no such operation",
            place=place,
            edit=lambda _: Edit(place.at(path, exchange.method.lower()), made),
        )

    def _status(self, exchange: Exchange, operation: Operation, place: Place) -> None:
        status = exchange.status or 0
        responses = place.at("responses")
        target = responses.at(str(status))
        made: Any = responses.at(str(operation.status)).value
        if status >= 400 or made is MISSING:
            made = {"description": "As recorded"}
            media, body = _media_type(exchange), exchange.answer
            if body is not None or media:
                schema = {"type": "string"} if body is None else inferred([body])
                made["content"] = {media or JSON: {"schema": schema}}
        self._found.add(
            *("statuses", (status,), [exchange]),
            seen=f"{operation.id} answers {status}",
            asks=f"declared are {', '.join(responses.below()) or 'none'}",
            place=responses,
            edit=lambda _: Edit(target, made),
        )

    def _media(self, exchange: Exchange, response: Place) -> None:
        self._found.tested["media"] += 1
        content_type = _media_type(exchange)
        content = response.at("content")
        declared = [each.partition(";")[0].strip().lower() for each in content.below()]
        if any(each in (content_type, "*/*") for each in declared) or (not content_type and not exchange.answer_body):
            return
        body: Any = {"schema": inferred([exchange.answer]) if exchange.answer is not None else {"type": "string"}}
        self._found.add(
            *("media", (content_type,), [exchange]),
            seen=f"{exchange.operation} {exchange.status}: the content type is {content_type or 'missing'}",
            asks=f"declared is {', '.join(declared)}",
            place=content,
            edit=setting(content.at(content_type or "*/*"), value=body),
        )

    def _shape_of(
        self, exchange: Exchange, operation: Operation, response: Place | None, error: ErrorAnswer | None
    ) -> Shape | None:
        """Return the declared schema of an answer, or the template that it is made from."""
        status = exchange.status or 0
        media = _media_type(exchange)
        if response is not None and not (error is not None and status < 400):
            for name in response.at("content").below():
                if name.partition(";")[0].strip().lower() == media and "json" in media:
                    return self._bodies.shape(response.at("content", name, "schema"))
            if "content" in response.mapping():
                return None
        if error is not None or status >= 400:
            table = (
                [error]
                if error is not None
                else [each for each in self._errors.of_status(status) if self._errors.tells(each, exchange.answer)]
            )
            if not table:
                return None
            return self._bodies.template(self._spec.error_template(table[0]), (), False)
        if status == operation.status and operation.body is not None:
            reply = self._spec.reply(operation)
            if "body" not in self._spec.operation(operation).at("x-mock", "reply").mapping():
                return None
            return self._bodies.template(reply, self._spec.reply_patches(operation), True)
        return None

    def _error_in(self, exchange: Exchange, operation: Operation, place: Place, body: Any) -> ErrorAnswer | None:
        """Return the error that an answer with a status of success is, if it is none of the declared answers."""
        status = exchange.status or 0
        if status >= 400 or not isinstance(body, dict):
            return None
        errors = [
            each
            for each in self._provider.errors.values()
            if any(self._errors.facts(each)) and self._errors.tells(each, body)
        ]
        if not errors:
            return None
        response = self._spec.response(place, status)
        shape = self._shape_of(exchange, operation, response, None)
        if shape is not None and shape.accepts(body):
            return None
        here = next((each for each in errors if each.status == status), None)
        if here is not None:
            return here
        fitting = [
            each for each in errors if self._bodies.template(self._spec.error_template(each), (), False).accepts(body)
        ]
        if not fitting:
            return None
        reasons = list(self._provider.refusals.values())
        likely = max(fitting, key=reasons.count)
        self._errors.found_with_status(exchange, likely)
        return likely


def _is_of_http(exchange: Exchange) -> bool:
    """Tell whether it is of HTTP or of a site, not of the API: cached answers, permissions, pages and their parts."""
    if exchange.status == _NOT_MODIFIED or exchange.method in ("OPTIONS", "TRACE"):
        return True
    return (
        exchange.operation is None
        and (exchange.status or 0) < 400
        and _OF_PAGES.match(_media_type(exchange)) is not None
    )


def _media_type(exchange: Exchange) -> str:
    return (exchange.answer_header("Content-Type") or "").partition(";")[0].strip().lower()


def _is_whole(exchange: Exchange) -> bool:
    """Tell whether the journal has kept the whole body."""
    return len((exchange.answer_body or "").encode("utf-8", "replace")) >= exchange.answer_bytes
