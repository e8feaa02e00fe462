"""What a recorded request says, for the expressions of a spec."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from contracts.journal import Exchange
from mockserver.engine.context import RequestContext
from mockserver.engine.messages import Request
from mockserver.provider import Operation
from mockserver.spec.document import PATH_PARAMETER


def asked(exchange: Exchange, operation: Operation) -> RequestContext:
    """Return the context in which expressions read a recorded request; there is no server's state in it."""
    scope = RequestContext.__new__(RequestContext)
    headers = {name.lower(): value for name, value in exchange.headers}
    scope.request = Request(exchange.method, exchange.path, headers, query_string=exchange.query)
    scope.body = exchange.json
    scope.path_values = _path_values(operation.path, exchange.path)
    return scope


def _path_values(template: str, path: str) -> Mapping[str, str]:
    """Return the parameters in a path, which may begin with more than the template does."""
    literals = PATH_PARAMETER.split(template)[::2]
    found = re.fullmatch(".*" + "([^/]+)".join(map(re.escape, literals)), path)
    names = PATH_PARAMETER.findall(template)
    return {} if found is None else {name: unquote(text) for name, text in zip(names, found.groups(), strict=True)}


def model_asked(exchange: Exchange, operation: Operation) -> Any:
    """Return the model that a submit names in the way that its operation says; None if there is none."""
    if operation.model_name:
        return operation.model_name
    value = exchange.json
    for key in (operation.model_field or "model").split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if value is None and operation.model is not None:
        value = operation.model(asked(exchange, operation))
    return value
