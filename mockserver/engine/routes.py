"""Routing: finds the operation for a method and a path. The first two gates read what is found here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from mockserver.engine.messages import well_formed
from mockserver.provider import Operation, Route

_PARAMETER = re.compile(r"\{([^{}]+)\}")
_NO_VALUES: Mapping[str, str] = {}


class RouteMatch(NamedTuple):
    """The route and operation of a request; `route` is None for an unknown path, `operation` for an unknown method."""

    route: Route | None
    operation: Operation | None
    path_values: Mapping[str, str]


NOWHERE = RouteMatch(None, None, _NO_VALUES)


class Router:
    """The paths of one provider: plain ones in a table, `/tasks/{id}` by its prefix, other templates as patterns."""

    __slots__ = ("_known", "_plain", "_tailed", "_templated")

    def __init__(self, routes: Iterable[Route]) -> None:
        self._plain: dict[str, Route] = {}
        #: What is found for plain paths and the methods that they have.
        self._known: dict[tuple[str, str], RouteMatch] = {}
        self._tailed: list[tuple[str, str, Route]] = []
        self._templated: list[tuple[str, re.Pattern[str], tuple[str, ...], Route]] = []
        for route in routes:
            names = tuple(_PARAMETER.findall(route.path))
            pieces = _PARAMETER.split(route.path)[0::2]
            if len(names) == 1 and not pieces[1]:
                self._tailed.append((pieces[0], names[0], route))
            elif names:
                pattern = "([^/]+)".join(re.escape(piece) for piece in pieces)
                self._templated.append((pieces[0], re.compile(pattern), names, route))
            else:
                self._plain[route.path] = route
                for method, operation in route.operations.items():
                    self._known[route.path, method] = RouteMatch(route, operation, _NO_VALUES)

    def find(self, method: str, path: str) -> RouteMatch:
        """Match a raw (percent-encoded) path; HEAD is accepted where GET returns a file."""
        known = self._known.get((path, method))
        if known is not None:
            return known
        route = self._plain.get(path)
        if route is not None:
            return RouteMatch(route, _operation(route, method), _NO_VALUES)
        for start, name, tailed in self._tailed:
            if path.startswith(start) and (text := path[len(start) :]) and "/" not in text:
                values = {name: well_formed(unquote(text) if "%" in text else text)}
                return RouteMatch(tailed, _operation(tailed, method), values)
        for start, pattern, names, templated in self._templated:
            found = pattern.fullmatch(path) if path.startswith(start) else None
            if found is not None:
                values = {
                    name: well_formed(unquote(text) if "%" in text else text)
                    for name, text in zip(names, found.groups(), strict=True)
                }
                return RouteMatch(templated, _operation(templated, method), values)
        return NOWHERE


def _operation(route: Route, method: str) -> Operation | None:
    operation = route.operations.get(method)
    if operation is None and method == "HEAD":
        operation = route.operations.get("GET")
        if operation is not None and operation.role not in ("result", "file"):
            return None
    return operation


def allowed_methods(route: Route) -> str:
    """Return the value of the Allow header."""
    methods = set(route.operations)
    if any(operation.role in ("result", "file") for operation in route.operations.values()):
        methods.add("HEAD")
    return ", ".join(sorted(methods))
