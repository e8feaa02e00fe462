"""Compile what the request body of an operation may be: JSON, a form, a multipart form, or any bytes.

A submit of JSON alone, whose models have their own schemas, needs none of this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, Literal

from mockserver.provider import ANYTHING, BodyForm, FormField, Operation, Schema
from mockserver.spec.compile.context import Context
from mockserver.spec.document import Document, Path_
from mockserver.spec.forms import form_reader
from mockserver.spec.media_types import JSON, is_json
from mockserver.spec.schema import compile_schema, lazy_request_schema

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
#: The most that a body may have by default, where it may be other than JSON.
MOST_OTHER_BYTES = 64 << 20
_ANY_JSON = (BodyForm(JSON, "json"),)
#: The roles whose requests carry what a task is made of.
_ROLES = ("submit", "estimate")


def compile_bodies(context: Context, place: Path_, entry: Mapping[str, Any]) -> tuple[BodyForm, ...]:
    """Compile the bodies of an operation; empty where its models alone say what its JSON must be."""
    content, where = _content(context, entry), (*place, "requestBody", "content")
    if entry["x-mock"]["role"] not in _ROLES:
        if not names_task(entry["x-mock"]):
            return ()
        return tuple(_form(context, (*where, name), name, media) for name, media in content.items()) or _ANY_JSON
    if not content:
        return () if _names_model(entry) else _ANY_JSON
    models = (model for each in context.documents for model in each.data["x-mock"]["models"].values())
    if all(map(is_json, content)) and all("request" in each for each in models):
        return ()
    made = [_form(context, (*where, name), name, media) for name, media in content.items()]
    return tuple(sorted(made, key=lambda each: each.kind != "json"))


def lazy_forms(context: Context, entry: Mapping[str, Any]) -> tuple[BodyForm, ...]:
    """Return the bodies of an operation that has no part in a task and takes forms; the forms are read when used."""
    content = _content(context, entry)
    if not any(_kind_of(name) in ("form", "multipart") for name in content):
        return ()
    return tuple(_lazy_form(context, name, media) for name, media in content.items())


def _lazy_form(context: Context, media_type: str, media: dict[str, Any]) -> BodyForm:
    schema, kind = media.get("schema"), _kind_of(media_type)
    name = media_type.partition(";")[0].strip().lower()
    if not isinstance(schema, dict) or kind == "raw":
        return BodyForm(name, kind)
    made = cache(partial(form_reader, context.lead, schema))

    def read(fields: Sequence[FormField]) -> Any:
        return made()(fields)

    return BodyForm(name, kind, lazy_request_schema(context.lead, schema), read)


def _kind_of(media_type: str) -> Literal["json", "form", "multipart", "raw"]:
    name = media_type.partition(";")[0].strip().lower()
    if is_json(name):
        return "json"
    return "form" if name == FORM else "multipart" if name == MULTIPART else "raw"


def names_task(mock: Mapping[str, Any]) -> bool:
    """Tell whether a field of the body names the task."""
    return str(mock.get("task", "")).startswith("$request.body")


def needs_body(context: Context, entry: Mapping[str, Any]) -> bool:
    """Tell whether a request without a body is refused."""
    return context.lead.followed(entry.get("requestBody", {})).get("required") is True or (
        names_task(entry["x-mock"]) or _names_model(entry)
    )


def _names_model(entry: Mapping[str, Any]) -> bool:
    """Tell whether the body of each request names the model."""
    mock = entry["x-mock"]
    return str(mock.get("model", "")).startswith("$request.body") and "default_model" not in mock


def _content(context: Context, entry: Mapping[str, Any]) -> dict[str, Any]:
    found = context.lead.followed(entry.get("requestBody", {})).get("content")
    return {name: each if isinstance(each, dict) else {} for name, each in found.items()} if found else {}


def _form(context: Context, where: Path_, media_type: str, media: dict[str, Any]) -> BodyForm:
    name, kind = media_type.partition(";")[0].strip().lower(), _kind_of(media_type)
    schema = media.get("schema")
    schema = schema if isinstance(schema, dict) else {}
    if kind == "json":
        return BodyForm(name, kind, _schema(context, where, schema))
    if kind == "raw":
        return BodyForm(name, kind)
    found = _schema(context, where, schema)
    encoding = media.get("encoding")
    return BodyForm(
        name,
        kind,
        found,
        form_reader(context.lead, schema),
        dict(_files(encoding if isinstance(encoding, dict) else {})),
    )


def _schema(context: Context, where: Path_, schema: dict[str, Any]) -> Schema:
    return request_schema(context, context.lead, schema, (*where, "schema"), of_request=True)


def request_schema(
    context: Context,
    document: Document,
    schema: dict[str, Any],
    path: Path_,
    *,
    of_request: bool,
    what: str = "is not a valid schema",
) -> Schema:
    """Compile what the body of a submit must be; report a schema that is not valid, and take anything instead.

    The callback address is left out: its form has rules of its own.
    """
    url = context.mock.get("callbacks", {}).get("url", "")
    lifted = tuple(url.partition("#/")[2].split("/")) if "#/" in url else None
    try:
        return compile_schema(document, schema, lifted, of_request=of_request)
    except (ValueError, KeyError) as error:
        problem = f"{what}: {str(error).partition(chr(10))[0]}"
        context.report(path, problem, "change the schema", document=document)
        return ANYTHING


def _files(encoding: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield which media types a document names for the fields of a form."""
    for name, each in encoding.items():
        types = each.get("contentType") if isinstance(each, dict) else None
        if isinstance(types, str):
            yield name, tuple(kind.partition(";")[0].strip().lower() for kind in types.split(","))


def request_of(operations: Iterable[Operation], name: str) -> Schema:
    """Return the request of a model that has none of its own: of the first operation whose requests can mean it."""
    for each in operations:
        if each.role in _ROLES and each.model_name in ("", name):
            for form in each.bodies:
                if form.schema is not None:
                    return form.schema
    return ANYTHING
