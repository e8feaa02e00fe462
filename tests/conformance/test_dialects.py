"""Every dialect, and none: what the engine answers fits the schemas of the document it was patched into.

Also what no run of the server shows: where each thing in a spec comes from.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from support.engine import SHIPPED, START_MS, Client, due_deliveries, loads, new_world

from mockserver.spec.document import Document, merge_patch, resolve
from mockserver.spec.vocabulary import builtin_specs, vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mockserver.engine.messages import Response

DAY_MS = 86_400_000
DOCUMENTS = {path.stem: Document.read(path).data for path in builtin_specs()}

TITLES = {data["x-document"]["title"] for data in DOCUMENTS.values()}


def lead(name: str) -> dict[str, Any]:
    """Return the document that leads a provider."""
    return next(data for data in DOCUMENTS.values() if data["x-mock"].get("provider") == name)


def variants() -> list[tuple[str, tuple[str, ...]]]:
    """Return every provider with none of its dialects, each of them, and all of them."""
    out: list[tuple[str, tuple[str, ...]]] = []
    for name in SHIPPED:
        dialects = tuple(lead(name)["x-mock"].get("dialects", {}))
        out += [(name, ()), *((name, (each,)) for each in dialects)]
        out += [(name, dialects)] if len(dialects) > 1 else []
    return out


def judge(data: dict[str, Any], operation_id: str, reply: Response) -> None:
    """See that a reply's status is declared for its operation, and that its body fits the declared schema."""
    operation = next(
        each
        for item in data["paths"].values()
        for each in item.values()
        if isinstance(each, dict) and each.get("operationId") == operation_id
    )
    declared = operation["responses"].get(str(reply.status))
    assert declared is not None, f"{operation_id} does not declare {reply.status}"
    declared = resolve(data, declared["$ref"]) if "$ref" in declared else declared
    schema = declared["content"]["application/json"]["schema"]
    validator = Draft202012Validator({**schema, "components": data["components"]})
    errors = [error.message for error in validator.iter_errors(json.loads(reply.body))]
    assert not errors, (operation_id, reply.status, errors, reply.body)


@pytest.mark.parametrize(("name", "dialects"), variants(), ids=str)
def test_answers_fit_their_schemas(name: str, dialects: tuple[str, ...]) -> None:
    """In every dialect each answer of a task's life, and each refusal, is as the patched document declares it."""
    data = lead(name)
    for dialect in dialects:
        data = merge_patch(data, data["x-mock"]["dialects"][dialect]["patch"])
    client = Client(new_world(dialects={name: list(dialects)}), name)
    submit, query = client.operation("submit").id, client.operation("query").id
    for model, text in itertools.product(client.provider.models, (None, "nsfw")):
        if model not in data["x-mock"]["models"]:
            continue  # another document's
        has_callback = client.provider.callbacks is not None
        body = client.body(model, callback="https://client.example/hook" if has_callback else None, text=text)
        reply = client.submit(START_MS, body)
        judge(data, submit, reply)
        if reply.task_id is None:
            continue
        for wait_ms in (0, 5_000, 30_000, 60_000, 300_000):
            judge(data, query, client.query(reply.task_id, START_MS + wait_ms))
        if has_callback:
            ((at_ms, delivery),) = due_deliveries(client.world, START_MS + DAY_MS)
            if delivery.body.startswith(b'{"created"'):
                assert delivery.body == client.query(reply.task_id, at_ms).body
    wrong: Any
    for wrong in ({}, {"model": 7}, {"model": "no such model"}, [], {**client.body(), "prompt": "", "input": {}}):
        judge(data, submit, client.submit(START_MS, wrong))
    client.account.charge(client.account.available_ucr, START_MS + DAY_MS)
    judge(data, submit, client.submit(START_MS + DAY_MS, client.body()))
    stranger = Client(client.world, name, "")
    judge(data, submit, stranger.submit(START_MS, client.body()))
    if client.has("balance"):
        judge(data, client.operation("balance").id, client.ask("balance", START_MS + DAY_MS))
    judge(data, query, client.query(client.provider.task_id(bytes(64), 0), START_MS + DAY_MS))


def things(data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give every operation, parameter, header, response, security scheme and property, with where it stands."""
    for path, item in data["paths"].items():
        for method, operation in item.items():
            if method not in ("get", "post", "put", "patch", "delete"):
                continue
            yield f"{method} {path}", operation
            for parameter in operation.get("parameters", ()):
                yield f"{method} {path} {parameter.get('name')}", parameter
            for status, response in operation["responses"].items():
                yield f"{method} {path} {status}", response
    for kind in ("securitySchemes", "headers", "responses", "parameters"):
        for name, each in data["components"].get(kind, {}).items():
            yield f"{kind} {name}", each
    for name, schema in data["components"]["schemas"].items():
        for key, each in schema.get("properties", {}).items():
            yield f"{name}.{key}", each


@pytest.mark.parametrize("stem", sorted(DOCUMENTS))
def test_everything_says_where_it_comes_from(stem: str) -> None:
    """Each operation, parameter, header, response, scheme and property has a source, of one of three standings."""
    data = DOCUMENTS[stem]
    for where, thing in things(data):
        if "$ref" not in thing:
            source = thing.get("x-source")
            assert source is not None, f"{where} has no x-source"
            title, sign, section = source.partition(" \u203a ")
            printed = title in TITLES and bool(sign) and bool(section)
            assert source in ("public pages 2026-11", "inferred") or printed, (where, source)
    for name, entry in data["x-mock"].get("errors", {}).items():
        assert "source" in entry, name


def test_rules_lead_to_where_they_went() -> None:
    """Every rule's pointer leads somewhere in its document, and no two rules have one id."""
    seen: set[str] = set()
    for data in DOCUMENTS.values():
        for rule in data["x-rules"]:
            resolve(data, rule["at"])
            assert rule["id"] not in seen
            assert rule["asks"] in ("client", "provider")
            seen.add(rule["id"])
    assert len(seen) > 200


def test_examples_fit_their_schemas() -> None:
    """Every example of a request or a response is what its own schema lets through."""
    count = 0
    for data in DOCUMENTS.values():
        for holder in walk(data):
            schema, examples = holder.get("schema"), holder.get("examples")
            if not isinstance(schema, dict) or not isinstance(examples, dict):
                continue
            validator = Draft202012Validator({**schema, "components": data["components"]})
            for name, example in examples.items():
                errors = [error.message for error in validator.iter_errors(example["value"])]
                assert not errors, (data["info"]["title"], name, errors)
                count += 1
    assert count > 50


def walk(value: Any) -> Iterator[dict[str, Any]]:
    """Give every mapping of a document."""
    if isinstance(value, dict):
        yield value
        for key, each in value.items():
            if key != "x-mock":  # the patches of dialects have schemas of their own
                yield from walk(each)
    elif isinstance(value, list):
        for each in value:
            yield from walk(each)


def test_the_vocabulary_is_a_schema_and_refuses_unknown_words() -> None:
    """x-mock.schema.json is a valid JSON Schema, and every object in it that has words allows no others."""
    Draft202012Validator.check_schema(vocabulary())
    for name, definition in vocabulary()["$defs"].items():
        if "properties" in definition and name != "operation":
            assert definition.get("additionalProperties") is False, name


def test_a_refusal_body_is_the_providers_own() -> None:
    """A wrong path and a wrong method are answered in the provider's shape too."""
    for name in SHIPPED:
        client = Client(new_world(), name)
        for method, path in (("GET", "/no/such/path"), ("DELETE", client.operation("submit").path)):
            answer = loads(client.send(method, path, START_MS))
            assert set(answer) in ({"error"}, {"code", "message", "data"}), (name, answer)
