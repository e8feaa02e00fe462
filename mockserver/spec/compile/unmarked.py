"""Compile an operation without `x-mock`: its request is checked, and it answers with an example.

The answer is the first success of the document: its example, or a value that is made from its schema, the same each
time for one seed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from mockserver.provider import Sample, Schema
from mockserver.spec.compile.context import OF_ANSWERS, Context
from mockserver.spec.media_types import JSON, is_json
from mockserver.spec.samples import sample
from mockserver.spec.schema import lazy_request_schema

_MOST_JSON_BYTES = 1 << 20
_MOST_OTHER_BYTES = 64 << 20
_OK = 200


class Asked(NamedTuple):
    """What the request of an operation must be."""

    schema: Schema | None
    required: bool
    media_types: tuple[str, ...]
    max_body_bytes: int


NOTHING_ASKED = Asked(None, required=False, media_types=(), max_body_bytes=_MOST_OTHER_BYTES)


def not_implemented(method: str, path: str) -> Sample:
    """Return the answer of an operation that is not to be answered."""
    message = f"{method.upper()} {path} is not mocked"
    body = orjson.dumps({"error": {"type": "not_implemented", "message": message}})
    return Sample(501, JSON, lambda _drawn: body)


def asked_of(context: Context, entry: Mapping[str, Any]) -> Asked:
    """Return what the document says of an operation's request body."""
    body = context.lead.followed(entry.get("requestBody", {}))
    found = body.get("content")
    content: dict[str, Any] = found if isinstance(found, dict) else {}
    types = tuple(content)
    media = next((each for name, each in content.items() if is_json(name)), None)
    schema = media.get("schema") if isinstance(media, dict) else None
    return Asked(
        schema=lazy_request_schema(context.lead, schema) if isinstance(schema, dict) else None,
        required=body.get("required") is True,
        media_types=types,
        max_body_bytes=_MOST_JSON_BYTES if all(map(is_json, types)) else _MOST_OTHER_BYTES,
    )


def sample_of(context: Context, entry: Mapping[str, Any]) -> Sample:
    """Return the answer that an operation gives as an example."""
    status, response = _chosen(context, entry.get("responses"))
    content = response.get("content")
    types = [*content] if isinstance(content, dict) else []
    if not types or status in (204, 205, 304):
        return Sample(status, JSON, lambda _drawn: b"", _headers(context, response))
    media_type = next((each for each in types if is_json(each)), types[0])
    media = content[media_type] if isinstance(content, dict) and isinstance(content[media_type], dict) else {}
    shown = media_type if "*" not in media_type else JSON
    return Sample(status, shown, _content(context, media, as_json=is_json(shown)), _headers(context, response))


def _chosen(context: Context, responses: Any) -> tuple[int, dict[str, Any]]:
    """Return the response of a success, or whatever there is."""
    known = {str(status).upper(): each for status, each in responses.items()} if isinstance(responses, dict) else {}
    exact = sorted(int(status) for status in known if status.isdecimal() and len(status) == 3)
    for status in exact:
        if status // 100 == 2:
            return status, context.lead.followed(known[str(status)])
    for word in ("2XX", "DEFAULT"):
        if word in known and (word != "DEFAULT" or not exact or exact[0] >= 400):
            return _OK, context.lead.followed(known[word])
    return (exact[0], context.lead.followed(known[str(exact[0])])) if exact else (_OK, {})


def _content(context: Context, media: Mapping[str, Any], *, as_json: bool) -> Callable[[bytes], bytes]:
    shown = list(_examples(context, media))
    if shown:
        written = _written(shown[0], as_json=as_json)
        return lambda _drawn: written
    data, schema = context.lead.data, media.get("schema")
    if not isinstance(schema, dict):
        return lambda _drawn: b"{}" if as_json else b""
    return lambda drawn: _written(sample(data, schema, drawn), as_json=as_json)


def _examples(context: Context, media: Mapping[str, Any]) -> Iterator[Any]:
    if "example" in media:
        yield media["example"]
    named = media.get("examples")
    for each in named.values() if isinstance(named, dict) else ():
        example = context.lead.followed(each)
        if "value" in example:
            yield example["value"]


def _written(value: Any, *, as_json: bool) -> bytes:
    if not as_json and isinstance(value, str):
        return value.encode("utf-8", "replace")
    try:
        return orjson.dumps(value)
    except TypeError:  # a number of more than 64 bits, or half a surrogate pair
        return json.dumps(value).encode()


def _headers(context: Context, response: Mapping[str, Any]) -> tuple[tuple[str, Callable[[bytes], str]], ...]:
    """Return the headers that the document shows or that every such answer has."""
    declared = response.get("headers")
    return tuple(
        (name, made)
        for name, each in (declared.items() if isinstance(declared, dict) else ())
        if name.lower() not in OF_ANSWERS and (made := _header(context, context.lead.followed(each))) is not None
    )


def _header(context: Context, header: Mapping[str, Any]) -> Callable[[bytes], str] | None:
    schema = header.get("schema")
    schema = schema if isinstance(schema, dict) else {}
    if "example" in header:
        text = _text(header["example"])
        return lambda _drawn: text
    if header.get("required") is True or "example" in context.lead.followed(schema):
        return lambda drawn: _text(sample(context.lead.data, schema, drawn))
    return None


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return "".join(each if " " <= each <= "\xff" and each.isprintable() else " " for each in text)
