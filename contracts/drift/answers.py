"""Holds answers and callbacks against what the spec declares: status, headers, content type, body, errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from contracts.drift.differences import Differences
from contracts.drift.headers import is_common
from contracts.drift.places import Edit, Place
from contracts.drift.shapes import Problem, Shape, inferred, template_shape
from contracts.drift.spec import DocumentedSpec
from contracts.journal import Delivery, Exchange, Record
from contracts.journal.model import header_of, parse_json
from mockserver.engine.keeping import EVICTED_HEADER
from mockserver.engine.models import documented_model, nearest
from mockserver.provider import ErrorAnswer, Model, Operation
from mockserver.spec.pointer import MISSING, pointed

JSON = "application/json"
_FACTS = ("status", "code", "type", "name")
_FILE_ROLES = ("result", "file")
_WORD = re.compile(r"[^a-z0-9]+")
_SECRET = re.compile(r"\[[^\]]+\]")


class Answers:
    """Judges the answers and callbacks of one journal."""

    def __init__(self, documented: DocumentedSpec, differences: Differences) -> None:
        self._spec = documented
        self._provider = documented.provider
        self._found = differences
        self._shape = cache(Shape)
        self._template = cache(_template_of)

    def judge(self, exchange: Exchange, model: Model | None) -> None:
        """Judge one answer; `model` is that of its task."""
        operation = self._provider.operations.get(exchange.operation or "")
        if exchange.status is None:
            return
        if operation is None:
            if exchange.role is None:
                self._undeclared(exchange)
            return
        place = self._spec.operation(operation, model)
        if exchange.role == "submit":
            self._submit(exchange, operation)
        body, whole = exchange.answer, _is_whole(exchange)
        error = self._error_in(exchange, operation, place, body) if whole else None
        response = self._spec.response(place, exchange.status)
        self._found.tested["statuses"] += 1
        if response is None and error is None and not self._table(exchange.status):
            self._status(exchange, operation, place)
        if operation.role in _FILE_ROLES:
            return
        self._headers(exchange, operation, response, error)
        if response is not None and "content" in response.mapping():
            self._media(exchange, response)
        if not whole or exchange.method == "HEAD":
            return
        shape = self._shape_of(exchange, operation, response, error)
        if shape is not None:
            self._body(exchange, shape, body, exchange.operation or "")
        if exchange.status >= 400 or error is not None:
            self._error(exchange, body)

    # -- operations and models ------------------------------------------------------------------

    def _undeclared(self, exchange: Exchange) -> None:
        self._found.tested["operations"] += 1
        body = exchange.answer
        refusals = [self._provider.refusals[each] for each in ("unknown_path", "unsupported_method")]
        if (exchange.status or 0) >= 400:
            self._error(exchange, body)
            return
        meant = [each for each in refusals if any(self._facts(each)) and self._tells(each, body)]
        if meant:
            if not any(each.status == exchange.status for each in meant):
                self._found_with_status(exchange, meant[0])
            return
        path = exchange.path.removeprefix(f"/{self._provider.name}/")
        path = path if path.startswith("/") else f"/{path}"
        place = Place(self._spec.files[0], ("paths",))
        made = {
            "operationId": _WORD.sub("_", f"{exchange.method} {path}".lower()).strip("_"),
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

    def _submit(self, exchange: Exchange, operation: Operation) -> None:
        body = exchange.json
        if exchange.status is None or exchange.status >= 300 or not isinstance(body, dict) or operation.model is None:
            return
        if exchange.served_as or not exchange.body_whole or exchange.task is None:
            return
        name = pointed(body, operation.model_keys)
        if not isinstance(name, str):
            return
        self._found.tested["models"] += 1
        model = documented_model(self._provider, operation, name)
        if model is None:
            near = nearest(self._provider, name, body, operation.model_keys)
            place = self._spec.model_place(near)
            aliases = place.mapping().get("aliases", [])
            self._found.add(
                *("models", (), [exchange]),
                seen=f"the model {name!r} is served",
                asks=f"there is no such model; the nearest is {near.name!r}",
                place=place,
                edit=lambda values: Edit(place.at("aliases"), [*aliases, *dict.fromkeys(values)]),
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
        for problem in self._shape(schema).problems(body):
            if problem.cause[0] == "unknown" and not model.request.unknown_fields(body):
                continue
            if problem.cause[0] == "unknown" or problem.kind in ("fields", "values"):
                self._problem("requests", exchange, problem, "the body of an accepted request: ")

    # -- status, headers, content type ----------------------------------------------------------

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

    def _headers(
        self, exchange: Exchange, operation: Operation, response: Place | None, error: ErrorAnswer | None
    ) -> None:
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
                        edit=_setting(header.at("required"), value=False),
                    )
                continue
            self._header_value(exchange, name, sent[name.lower()][1], header)
        known = {each.lower() for each in (*declared, *self._other_headers(operation, error))}
        for lower, (name, _) in sent.items():
            if lower in known or is_common(lower):
                continue
            if response is None:
                home = self._spec.operation(operation).at("responses", str(exchange.status))
                target, made = home, {"description": "As recorded", "headers": {name: {"schema": {"type": "string"}}}}
            else:
                target, made = response.at("headers", name), {"schema": {"type": "string"}}
            if lower == "retry-after":
                continue  # the table of errors says when that is sent
            self._found.add(
                *("headers", ("unknown", lower), [exchange]),
                seen=f"{operation.id} {exchange.status}: unknown header {name}",
                asks="there is no such header",
                place=target if response is None else response.at("headers"),
                edit=_setting(target, value=made),
            )

    def _header_value(self, exchange: Exchange, name: str, value: str, header: Place) -> None:
        schema = header.at("schema").followed()
        kind = schema.mapping().get("type")
        typed: Any = value
        if kind in ("integer", "number"):
            typed = parse_json(value)
        if kind == "boolean":
            typed = {"true": True, "false": False}.get(value, value)
        for problem in self._shape(schema).problems(typed):
            self._problem("headers", exchange, problem, f"the header {name}: ")

    def _other_headers(self, operation: Operation, error: ErrorAnswer | None) -> Iterator[str]:
        yield from (self._provider.request_id_header, EVICTED_HEADER)
        yield from (name for name, _ in operation.headers)
        errors = self._provider.errors.values() if error is None else (error,)
        yield from (name for each in errors for name, _ in each.headers)

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
            edit=_setting(content.at(content_type or "*/*"), value=body),
        )

    # -- bodies ---------------------------------------------------------------------------------

    def _shape_of(
        self, exchange: Exchange, operation: Operation, response: Place | None, error: ErrorAnswer | None
    ) -> Shape | None:
        """Return the declared schema of an answer, or the template that it is made from."""
        status = exchange.status or 0
        media = _media_type(exchange)
        if response is not None and not (error is not None and status < 400):
            for name in response.at("content").below():
                if name.partition(";")[0].strip().lower() == media and "json" in media:
                    return self._shape(response.at("content", name, "schema"))
            if "content" in response.mapping():
                return None
        if error is not None or status >= 400:
            table = (
                [error]
                if error is not None
                else [each for each in self._table(status) if self._tells(each, exchange.answer)]
            )
            if not table:
                return None
            return self._template(self._spec.error_template(table[0]), (), False)
        if status == operation.status and operation.body is not None:
            reply = self._spec.reply(operation)
            if "body" not in self._spec.operation(operation).at("x-mock", "reply").mapping():
                return None
            patches = self._spec.operation(operation).at("x-mock", "reply", "in")
            return self._template(reply, tuple(patches.at(name) for name in patches.below()), True)
        return None

    def _body(self, record: Record, shape: Shape, body: Any, what: str) -> None:
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
            self._problem(problem.kind, record, problem, f"{what}{status}: ")

    def _problem(self, kind: str, record: Record, problem: Problem, prefix: str) -> None:
        if isinstance(problem.value, str) and _SECRET.search(problem.value):
            return  # what the journal has redacted is not known
        self._found.add(
            *(kind, problem.cause, [record]),
            seen=f"{prefix}{problem.seen}",
            asks=problem.asks,
            place=problem.place,
            edit=problem.edit,
            value=problem.value,
        )

    def callback(self, delivery: Delivery, model: Model | None) -> None:
        """Judge the headers and the body of a callback."""
        callbacks = self._provider.callbacks
        if callbacks is None or delivery.attempt != 1:
            return
        self._found.tested["callbacks"] += 1
        events = self._spec.mock.at("callbacks", "events")
        if delivery.event not in callbacks.events:
            made = delivery_template(delivery)
            self._found.add(
                *("callbacks", ("event", delivery.event), [delivery]),
                seen=f"a callback for {delivery.event!r}",
                asks=f"callbacks are sent for {', '.join(callbacks.events)}",
                place=events,
                edit=lambda _: Edit(events.at(delivery.event), made),
            )
        signature = callbacks.signature
        if signature is not None and delivery.headers and header_of(delivery.headers, signature.header) is None:
            place = self._spec.mock.at("callbacks", "signature")
            self._found.add(
                *("callbacks", ("unsigned",), [delivery]),
                seen=f"a callback without {signature.header}",
                asks="callbacks are signed",
                place=place,
                edit=_setting(place, value=MISSING),
            )
        declared = self._spec.callback_body(model)
        if declared is not None:
            self._body(delivery, self._shape(declared), delivery.json, f"callback {delivery.event}")
        elif delivery.event in callbacks.events:
            template = events.at(delivery.event)
            if isinstance(template.value, dict):
                self._body(delivery, self._template(template, (), True), delivery.json, f"callback {delivery.event}")
            else:
                shape = self._replied(str(template.value))
                if shape is not None:
                    self._body(delivery, shape, delivery.json, f"callback {delivery.event}")

    def _replied(self, expression: str) -> Shape | None:
        """Return the shape of what a query returns, for `$reply.NAME`."""
        name, _, pointer = expression.removeprefix("$reply.").partition("#")
        operation = self._provider.operations.get(name)
        if operation is None or pointer:
            return None
        place = self._spec.operation(operation)
        patches = place.at("x-mock", "reply", "in")
        return self._template(self._spec.reply(operation), tuple(patches.at(each) for each in patches.below()), True)

    # -- errors ---------------------------------------------------------------------------------

    def _table(self, status: int) -> list[ErrorAnswer]:
        return [each for each in self._provider.errors.values() if each.status == status]

    def _facts(self, error: ErrorAnswer) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield what the body of an error shows of it, and where."""
        extractor = self._spec.error_facts[error.name]
        for fact in _FACTS:
            for pointer in extractor.of(f"$error.{fact}"):
                yield fact, pointer

    def _tells(self, error: ErrorAnswer, body: Any) -> bool:
        """Tell whether a body shows the code and the type of an error."""
        return all(_same(pointed(body, pointer, MISSING), getattr(error, fact)) for fact, pointer in self._facts(error))

    def _error_in(self, exchange: Exchange, operation: Operation, place: Place, body: Any) -> ErrorAnswer | None:
        """Return the error that an answer with a status of success is, if it is none of the declared answers."""
        status = exchange.status or 0
        if status >= 400 or not isinstance(body, dict):
            return None
        errors = [each for each in self._provider.errors.values() if any(self._facts(each)) and self._tells(each, body)]
        if not errors:
            return None
        response = self._spec.response(place, status)
        shape = self._shape_of(exchange, operation, response, None)
        if shape is not None and shape.accepts(body):
            return None
        here = next((each for each in errors if each.status == status), None)
        if here is not None:
            return here
        fitting = [each for each in errors if self._template(self._spec.error_template(each), (), False).accepts(body)]
        if not fitting:
            return None
        reasons = list(self._provider.refusals.values())
        likely = max(fitting, key=reasons.count)
        self._found_with_status(exchange, likely)
        return likely

    def _found_with_status(self, exchange: Exchange, error: ErrorAnswer) -> None:
        self._found.tested["errors"] += 1
        place = self._spec.mock.at("errors", error.name)
        made = {**place.mapping(), "status": exchange.status, "code": error.code}
        self._found.add(
            *("errors", ("status",), [exchange]),
            seen=f"the error {error.name} comes with the status {exchange.status}",
            asks=f"its status is {error.status}",
            place=place,
            edit=_setting(place, value=made),
        )

    def _error(self, exchange: Exchange, body: Any) -> None:
        """Hold the code and type of an error, and its Retry-After, against the table of errors."""
        table = self._table(exchange.status or 0)
        if not table or not isinstance(body, dict):
            return
        self._found.tested["errors"] += 1
        meant = [each for each in table if self._tells(each, body)]
        if meant:
            self._retry_after(exchange, meant)
            return
        if self._other_fact(exchange, table, body):
            return
        seen: dict[str, Any] = {fact: pointed(body, pointer) for fact, pointer in self._facts(table[0])}
        seen = {fact: value for fact, value in seen.items() if isinstance(value, str | int) and fact != "status"}
        if not seen:
            return  # the shape of the body says what is missing
        words = " and ".join(f"{fact} {value!r}" for fact, value in seen.items())
        known = ", ".join(f"{each.name} ({each.type or each.code})" for each in table)
        errors = self._spec.mock.at("errors")
        name = (
            _WORD.sub("_", str(seen.get("type") or seen.get("code") or seen.get("name")).lower()).strip("_") or "error"
        )
        while name in errors.mapping():
            name += "_2"
        message = next((value for value in _texts(body) if " " in value), "As recorded")
        made = {"status": exchange.status, **{key: seen[key] for key in ("code", "type") if key in seen}}
        self._found.add(
            *("errors", (exchange.status, words), [exchange]),
            seen=f"{exchange.operation or exchange.path} {exchange.status}: an error with {words}",
            asks=f"with this status there are {known}",
            place=errors,
            edit=_setting(errors.at(name), value={**made, "message": message.replace("{", "(").replace("$", "")}),
        )

    def _other_fact(self, exchange: Exchange, table: list[ErrorAnswer], body: Any) -> bool:
        """Report a field that shows another fact of an error than the template says."""
        for error in table:
            facts = list(self._facts(error))
            wrong = [each for each in facts if not _same(pointed(body, each[1], MISSING), getattr(error, each[0]))]
            if len(wrong) != 1 or len(facts) < 2:
                continue
            ((fact, pointer),) = wrong
            value = pointed(body, pointer, MISSING)
            other = next(
                (each for each in _FACTS if value not in (None, MISSING) and _same(value, getattr(error, each))), None
            )
            if other is None:
                continue
            place = self._in_template(self._spec.error_template(error), pointer)
            self._found.add(
                *("errors", ("fact", other), [exchange]),
                seen=f"{'.'.join(pointer)} of errors is their {other}: {value!r}",
                asks=f"it is $error.{fact}",
                place=place,
                edit=_setting(place, value=f"$error.{other}"),
            )
            return True
        return False

    def _in_template(self, template: Place, pointer: Iterable[str]) -> Place:
        for key in pointer:
            template = template.at(
                key if key in template.mapping() or f"{key}?" not in template.mapping() else f"{key}?"
            )
        return template

    def _retry_after(self, exchange: Exchange, errors: list[ErrorAnswer]) -> None:
        sent = exchange.answer_header("Retry-After") is not None
        if any(sent == (each.retry_after or each.retry_after_s is not None) for each in errors):
            return
        error = errors[0]
        place = self._spec.mock.at("errors", error.name)
        made = {key: each for key, each in place.mapping().items() if not key.startswith("retry_after")}
        self._found.add(
            *("errors", ("retry_after", sent), [exchange]),
            seen=f"{error.name} ({error.status}) comes {'with' if sent else 'without'} Retry-After",
            asks=f"it comes {'without' if sent else 'with'} it",
            place=place,
            edit=_setting(place, value={**made, "retry_after": True} if sent else made),
        )


def delivery_template(delivery: Delivery) -> Any:
    """Return a template for the body of a callback: the body itself."""
    return delivery.json if isinstance(delivery.json, dict) else {}


def _template_of(place: Place, patches: tuple[Place, ...], constants: bool) -> Shape:
    return template_shape(place, patches, constants=constants)


def _setting(place: Place, *, value: Any) -> Any:
    return lambda _values: Edit(place, value)


def _same(seen: Any, known: Any) -> bool:
    return bool(seen == known and isinstance(seen, bool) == isinstance(known, bool))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _media_type(exchange: Exchange) -> str:
    return (exchange.answer_header("Content-Type") or "").partition(";")[0].strip().lower()


def _is_whole(exchange: Exchange) -> bool:
    """Tell whether the journal has kept the whole body."""
    return len((exchange.answer_body or "").encode("utf-8", "replace")) >= exchange.answer_bytes
