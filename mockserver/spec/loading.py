"""Loads the text of a spec: YAML and JSON as strict JSON values, within limits, whatever the text holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import yaml

#: Deeper nesting may exhaust the stack of PyYAML's C reader; nesting up to the second limit is always read.
_SAFE_NESTING = 5000
_SURE_NESTING = 100
#: The most values that aliases may repeat: a short text can expand to any number, and each is checked.
MOST_REPEATED = 10_000
_ENDLESS = 1 << 62
_LONGEST_WORD = 80
TOO_DEEP = "nested too deep"


def shortened(text: str, most: int = _LONGEST_WORD) -> str:
    """Return a user's text cut to fit into a line, with unprintable characters escaped."""
    seen = text[:most] + ("…" if len(text) > most else "")
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in seen)


def loaded(text: str) -> Any:
    """Load a text unless its nesting could exhaust the stack.

    Each level takes a bracket or a column of its line; most texts have too few of them.

    Raises:
        YAMLError: it is not YAML, or is nested too deep.
    """
    if text.lstrip()[:1] == "{" and (found := _loaded_json(text)) is not None:
        return found
    longest = max(map(len, text.splitlines()), default=0)
    if 2 * (text.count("[") + text.count("{") + longest) > _SAFE_NESTING:
        _check_nesting(text, _SAFE_NESTING)
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader, made stricter
    except RecursionError:
        _check_nesting(text, _SURE_NESTING)
        raise


def _loaded_json(text: str) -> Any:
    """Load a text that is JSON; None where it is something else, or YAML has a mistake in it to tell with its line."""
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        raise ValueError
    return out


def _no_number(_text: str) -> Any:
    raise ValueError


def is_bounded(data: Any) -> bool:
    """Tell whether aliases repeat few values of a document; in time linear in the text."""
    sizes: dict[int, int] = {}
    written = 0
    waiting: list[tuple[Any, bool]] = [(data, False)]
    while waiting:
        value, inner_known = waiting.pop()
        if not isinstance(value, dict | list) or (id(value) in sizes and not inner_known):
            continue
        inner = list(value.values() if isinstance(value, dict) else value)
        if not inner_known:
            sizes[id(value)] = _ENDLESS  # until it is known: an alias within itself has no end
            waiting.append((value, True))
            waiting += [(each, False) for each in inner]
            continue
        written += 1 + sum(not isinstance(each, dict | list) for each in inner)
        sizes[id(value)] = min(_ENDLESS, 1 + sum(sizes.get(id(each), 1) for each in inner))
    return sizes.get(id(data), 1) - written <= MOST_REPEATED


def _check_nesting(text: str, most: int) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > most:
                raise _wrong(event, TOO_DEEP)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _wrong(at: Any, what: str) -> yaml.MarkedYAMLError:
    """Return an error at the position of a node or an event."""
    return yaml.constructor.ConstructorError(None, None, what, at.start_mark)


class _Loader(yaml.CSafeLoader):
    """Reads YAML as JSON: no dates, bytes or sets; keys are strings and unique."""


def _mapping(loader: _Loader, node: yaml.Node) -> dict[str, Any]:
    if not isinstance(node, yaml.MappingNode):
        raise _wrong(node, "expected a mapping")
    out: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise _wrong(key_node, "a key must be a string")
        key = key_node.value
        if key in out:
            raise _wrong(key_node, f"duplicate key {shortened(key)!r}")
        out[key] = loader.construct_object(value_node, deep=True)
    return out


def _scalar(construct: Callable[[_Loader, Any], Any], kind: str) -> Callable[[_Loader, Any], Any]:
    def constructed(loader: _Loader, node: yaml.Node) -> Any:
        try:
            return construct(loader, node)
        except (ValueError, LookupError):
            raise _wrong(node, f"{shortened(str(node.value))!r} is not a {kind}") from None

    return constructed


def _text(loader: _Loader, node: Any) -> Any:
    return loader.construct_scalar(node)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _text)
_Loader.add_constructor("tag:yaml.org,2002:int", _scalar(_Loader.construct_yaml_int, "valid integer"))
_Loader.add_constructor("tag:yaml.org,2002:float", _scalar(_Loader.construct_yaml_float, "valid number"))
_Loader.add_constructor("tag:yaml.org,2002:bool", _scalar(_Loader.construct_yaml_bool, "valid boolean"))
for _tag in ("binary", "set", "omap", "pairs"):
    del _Loader.yaml_constructors[f"tag:yaml.org,2002:{_tag}"]
