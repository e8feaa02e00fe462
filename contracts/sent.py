"""What a submit says, as its operation reads it: its body, in JSON or a form, the model, and what the body must be."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from multidict import CIMultiDict

from contracts.journal import Exchange, Journal
from mockserver.edge.request_body import read_fields
from mockserver.engine.messages import Request
from mockserver.engine.parsing import fields_of, form_of
from mockserver.provider import ANYTHING, BodyForm, Model, Operation, Schema
from mockserver.spec.document import PATH_PARAMETER

_FORMS = ("form", "multipart")


class Sent(NamedTuple):
    """The body of a submit: a value, or why there is none; `form` is that of the operation's bodies that it has."""

    value: Any
    form: BodyForm | None = None
    problem: str = ""

    @property
    def is_form(self) -> bool:
        """Whether it is made of fields, not JSON."""
        return self.form is not None and self.form.kind in _FORMS


def operation_of(journal: Journal, submit: Exchange) -> Operation | None:
    """Return the operation of a submit."""
    return journal.provider.operations.get(submit.operation or "")


def sent(journal: Journal, submit: Exchange) -> Sent:
    """Return the body of a submit."""
    operation = operation_of(journal, submit)
    form = None
    if operation is not None and operation.bodies:
        form = form_of(operation, submit.header("Content-Type") or "", strict=False)
    if form is None or form.kind not in _FORMS:
        return Sent(submit.json, form)
    headers = CIMultiDict(submit.headers)
    body = (submit.body or "").encode()
    found = fields_of(Request("POST", submit.path, headers, body, fields=read_fields(body, headers)), form)
    return Sent(None, form, found.problem) if found.problem else Sent(form.read(found.fields), form)


def schema_for(operation: Operation | None, form: BodyForm | None, model: Model) -> Schema:
    """Return what the body of a submit must be: as the operation says for itself or its media type, or as the model."""
    if operation is not None and operation.request is not None:
        return operation.request
    if not model.by_operation:
        return model.request
    return ANYTHING if form is None or form.schema is None else form.schema


def named_outside(operation: Operation, submit: Exchange) -> Any:
    """Return the model that a submit means by its path, query or headers, or that every submit means."""
    if operation.model_name:
        return operation.model_name
    if operation.model is None or operation.parent is not None:
        return None
    fixed = PATH_PARAMETER.split(operation.path.removeprefix(operation.base))[0::2]
    found = re.search("([^/]+)".join(map(re.escape, fixed)) + "$", submit.path)
    values = () if found is None else map(unquote, found.groups())
    return operation.model(
        SimpleNamespace(
            body={},
            request=SimpleNamespace(method=submit.method, path=submit.path, query=dict(parse_qsl(submit.query))),
            path_values=dict(zip(PATH_PARAMETER.findall(operation.path), values, strict=False)),
            header=submit.header,
        )
    )
