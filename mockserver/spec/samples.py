"""Makes a value that fits a JSON Schema: what the document shows where it does, drawn where it does not.

The same bytes always give the same value. Each part has a draw of its own, by its place, so a new field changes no
other one. A value is made for an answer, so fields that only requests have are left out.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from mockserver.chance import DRAW_BYTES, fraction
from mockserver.patterns import InvalidPatternError, LinearPattern
from mockserver.spec.document import followed

_DEEPEST = 24
#: From this depth on, and after so many values, only what is required is made: schemas refer to each other a lot.
_DEEPEST_OPTIONAL = 6
_MOST_OPTIONAL = 500
#: After so many values, none is made.
_MOST = 20_000
_MOST_ITEMS = 2
_LONGEST_TEXT = 4096
_LARGEST = 1000
_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "islet", "jetty", "kite", "lagoon")
_FIRST_DAY = datetime(2025, 1, 1, tzinfo=UTC)
_YEAR_S = 365 * 86_400
_BRANCHES = ("oneOf", "anyOf")
_BOUNDS: Mapping[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
}
#: Words of the types that keywords belong to, where a schema names no type.
_TYPE_OF = {
    "properties": "object",
    "required": "object",
    "additionalProperties": "object",
    "items": "array",
    "prefixItems": "array",
    "minItems": "array",
    "format": "string",
    "pattern": "string",
    "minLength": "string",
    "maxLength": "string",
    "minimum": "number",
    "maximum": "number",
    "multipleOf": "number",
}
_NONE: Any = object()


def sample(data: Mapping[str, Any], schema: Any, drawn: bytes) -> Any:
    """Return a value that fits a schema.

    Args:
        data: the document that its references lead into.
        schema: the schema.
        drawn: random bytes; the same give the same value.
    """
    made = _Maker(data, drawn).value(schema, "", ())
    return None if made is _NONE else made


def merged(data: Mapping[str, Any], schema: Any) -> dict[str, Any]:
    """Return a schema without branches and references: all of `allOf`, the first of the others that can be had."""
    node = followed(data, schema)
    out = _Maker(data, b"")._merged(node, (id(node),))  # noqa: SLF001 - of this module
    return {**out, "type": types} if (types := _with_null(data, node, out)) else out


def _with_null(data: Mapping[str, Any], node: Mapping[str, Any], out: Mapping[str, Any]) -> list[str] | None:
    """Return the types with null, where only a branch allows that."""
    branches = [followed(data, each) for word in _BRANCHES for each in node.get(word, ())]
    types = out.get("type")
    if not isinstance(types, str) or not any(each.get("type") == "null" for each in branches):
        return None
    return [types, "null"]


class _Maker:
    def __init__(self, data: Mapping[str, Any], drawn: bytes) -> None:
        self._data, self._key = data, drawn[:64]
        self._made_so_far = 0

    def value(self, schema: Any, place: str, within: tuple[int, ...]) -> Any:
        """Return a value; `_NONE` where the schema leads into itself, so that no end is in sight."""
        node = followed(self._data, schema)
        self._made_so_far += 1
        if len(within) > _DEEPEST or within.count(id(node)) > 1 or self._made_so_far > _MOST:
            return _NONE
        within = (*within, id(node))
        merged = self._merged(node, within)
        shown = _shown(merged)
        return self._made(merged, place, within) if shown is _NONE else shown

    def _merged(self, node: Mapping[str, Any], within: tuple[int, ...]) -> dict[str, Any]:
        """Return one schema without branches: all of `allOf`, the first of the others that can be had."""
        out: dict[str, Any] = {}
        for each in node.get("allOf", ()):
            part = followed(self._data, each)
            if within.count(id(part)) <= 1 and len(within) <= _DEEPEST:
                _merge(out, self._merged(part, (*within, id(part))))
        for word in _BRANCHES:
            branches = [followed(self._data, each) for each in node.get(word, ())]
            free = [each for each in branches if each.get("type") != "null" and id(each) not in within]
            chosen = next(iter(free or branches), None)
            if chosen is not None and len(within) <= _DEEPEST:
                _merge(out, self._merged(chosen, (*within, id(chosen))))
                self._discriminate(out, node, node[word][branches.index(chosen)])
        _merge(out, node)
        return out

    def _discriminate(self, out: dict[str, Any], node: Mapping[str, Any], branch: Any) -> None:
        """Let the field that tells the branches apart name the chosen one."""
        rule = node.get("discriminator")
        reference = branch.get("$ref") if isinstance(branch, dict) else None
        if not isinstance(rule, dict) or not isinstance(reference, str) or "propertyName" not in rule:
            return
        name = reference.rpartition("/")[2]
        mapping = rule.get("mapping")
        names = mapping.items() if isinstance(mapping, dict) else ()
        word = next((key for key, leads_to in names if leads_to in (reference, name)), name)
        field = followed(self._data, out.get("properties", {}).get(rule["propertyName"]))
        if "const" not in field and word in field.get("enum", (word,)):
            out["properties"] = {**out.get("properties", {}), rule["propertyName"]: {**field, "const": word}}

    def _made(self, schema: Mapping[str, Any], place: str, within: tuple[int, ...]) -> Any:
        types = schema.get("type", _NONE)
        kinds = types if isinstance(types, list) else [types]
        kind = next((each for each in kinds if each not in ("null", _NONE)), kinds[0] if kinds else _NONE)
        if kind is _NONE:
            kind = next((each for word, each in _TYPE_OF.items() if word in schema), "object" if not schema else _NONE)
        if kind == "object":
            made = self._object(schema, place, within)
        elif kind == "array":
            made = self._array(schema, place, within)
        else:
            made = self._plain(kind, schema, place)
        return None if made is _NONE and "null" in kinds else made

    def _plain(self, kind: Any, schema: Mapping[str, Any], place: str) -> Any:
        draw = self._draw(place)
        if kind == "string":
            return _text(schema, place, draw)
        if kind in ("integer", "number"):
            return _number(schema, draw, whole=kind == "integer")
        return draw(0) < 0.5 if kind == "boolean" else None

    def _object(self, schema: Mapping[str, Any], place: str, within: tuple[int, ...]) -> Any:
        out: dict[str, Any] = {}
        required = schema.get("required", ())
        properties = schema.get("properties", {})
        is_deep = place.count("/") >= _DEEPEST_OPTIONAL
        for name, raw in properties.items():
            is_left_out = raw is False or followed(self._data, raw).get("writeOnly") is True
            if is_left_out or (name not in required and (is_deep or self._made_so_far > _MOST_OPTIONAL)):
                continue
            made = self.value(raw, f"{place}/{name}", within)
            if made is not _NONE:
                out[name] = made
            elif name in required:
                return _NONE
        extra = schema.get("additionalProperties", True)
        for name in required:
            if name not in out and name not in properties:
                made = self.value(extra if isinstance(extra, dict) else {"type": "string"}, f"{place}/{name}", within)
                if made is _NONE:
                    return _NONE
                out[name] = made
        wanted = max(schema.get("minProperties", 0), int(isinstance(extra, dict) and bool(extra) and not properties))
        for word in _WORDS:
            if len(out) >= wanted or extra is False:
                break
            made = self.value(extra if isinstance(extra, dict) else {"type": "string"}, f"{place}/{word}", within)
            if made is _NONE:
                break
            out.setdefault(word, made)
        return out

    def _array(self, schema: Mapping[str, Any], place: str, within: tuple[int, ...]) -> Any:
        first = schema.get("prefixItems", ())
        items = schema.get("items", {})
        least, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
        out: list[Any] = []
        wanted = max(least, min(most, max(len(first), 0 if items is False else 1)))
        for index in range(int(wanted)):
            made = self.value(first[index] if index < len(first) else items, f"{place}/{index}", within)
            if made is _NONE:
                return _NONE if len(out) < least else out
            if not schema.get("uniqueItems") or made not in out:
                out.append(made)
        return out

    def _draw(self, place: str) -> Callable[[int], float]:
        drawn = hashlib.blake2b(place.encode(), key=self._key, digest_size=DRAW_BYTES).digest()
        return lambda slot: fraction(drawn, slot)


def _merge(out: dict[str, Any], schema: Mapping[str, Any]) -> None:
    """Add the rules of a schema to those of another; where both bound a value, the narrower counts."""
    for word, value in schema.items():
        if word in ("allOf", *_BRANCHES):
            continue
        if word == "properties":
            out[word] = {**out.get(word, {}), **{name: each for name, each in value.items() if each != {}}}
            out[word] |= {name: each for name, each in value.items() if name not in out[word]}
        elif word == "required":
            out[word] = list(dict.fromkeys([*out.get(word, ()), *value]))
        elif word in out and word in _BOUNDS:
            out[word] = _BOUNDS[word](out[word], value)
        elif word in ("enum", "type") and word in out:
            both = [each for each in _listed(out[word]) if each in _listed(value)]
            out[word] = both or value
        else:
            out[word] = value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _shown(schema: Mapping[str, Any]) -> Any:
    """Return what the schema itself shows of such a value."""
    for word in ("const", "example"):
        if word in schema:
            return schema[word]
    if isinstance(schema.get("examples"), list) and schema["examples"]:
        return schema["examples"][0]
    if schema.get("default") is not None:
        return schema["default"]
    words = [each for each in schema.get("enum", ()) if each is not None]
    return words[0] if words else _NONE


def _number(schema: Mapping[str, Any], draw: Callable[[int], float], *, whole: bool) -> float | int:
    step = schema.get("multipleOf") or 1
    least = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    most = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    if least == -math.inf:
        least = min(0, most - _LARGEST * step) if most != math.inf else 0
    if most == math.inf:
        most = least + _LARGEST * step
    if not whole and "multipleOf" not in schema:
        made: float = least + (most - least) * (0.25 + draw(0) / 2)
        rounded = round(made, 2)
        return rounded if least < rounded < most else made
    low = (
        math.floor(least / step) + 1 if schema.get("exclusiveMinimum", -math.inf) == least else math.ceil(least / step)
    )
    high = math.ceil(most / step) - 1 if schema.get("exclusiveMaximum", math.inf) == most else math.floor(most / step)
    steps: float = (low + int(draw(0) * max(1, high - low + 1))) * step
    return int(steps) if whole else steps


def _text(schema: Mapping[str, Any], place: str, draw: Callable[[int], float]) -> str:
    format_, pattern = schema.get("format"), schema.get("pattern")
    least, most = schema.get("minLength", 0), schema.get("maxLength", _LONGEST_TEXT)
    made: str = _FORMATS.get(format_, _words)(draw) if isinstance(format_, str) else _words(draw)
    if isinstance(pattern, str):
        return _matching(pattern, made, place, draw, (least, most))
    if len(made) < least:
        made = (made + "-" if made else "x") * (min(least, _LONGEST_TEXT) // max(1, len(made)) + 1)
        return made[: int(max(least, 1))]
    return made[: int(most)]


def _matching(pattern: str, made: str, place: str, draw: Callable[[int], float], bounds: tuple[float, float]) -> str:
    """Return a text that matches a pattern, if a simple one does."""
    try:
        fits = LinearPattern(pattern).search
    except InvalidPatternError:
        return made
    hexadecimal = f"{int(draw(1) * 2**32):08x}" * 8
    digits = f"{int(draw(2) * 10**9) + 10**9}" * 4
    name = place.rpartition("/")[2]
    start = pattern.removeprefix("^").replace("\\", "")
    literal = start[: next((at for at, sign in enumerate(start) if sign in "[(.*+?{|$"), len(start))]
    simple = (made, _uuid(draw), name, "a", "A", "1", "en", "EN", "USD", "#a1b2c3", "2025-01-01", "1.0.0", "12:00")
    longer = [text[:length] for text in (hexadecimal, digits, "abcd" * 16, "ABCD" * 16) for length in range(1, 65)]
    for text in (*simple, *longer):
        for each in (text, f"{literal}{text}"):
            if bounds[0] <= len(each) <= bounds[1] and fits(each):
                return each
    return made


def _words(draw: Callable[[int], float]) -> str:
    return "-".join(_WORDS[int(draw(slot) * len(_WORDS))] for slot in range(2))


def _uuid(draw: Callable[[int], float]) -> str:
    text = "".join(f"{int(draw(slot) * 2**32):08x}" for slot in range(4))
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def _instant(draw: Callable[[int], float]) -> datetime:
    return _FIRST_DAY + timedelta(seconds=int(draw(0) * _YEAR_S))


_FORMATS: Mapping[str, Callable[[Callable[[int], float]], str]] = {
    "date-time": lambda draw: _instant(draw).strftime("%Y-%m-%dT%H:%M:%SZ"),
    "date": lambda draw: _instant(draw).strftime("%Y-%m-%d"),
    "time": lambda draw: _instant(draw).strftime("%H:%M:%SZ"),
    "duration": lambda draw: f"PT{1 + int(draw(0) * 59)}M",
    "uuid": _uuid,
    "email": lambda draw: f"{_words(draw)}@example.com",
    "idn-email": lambda draw: f"{_words(draw)}@example.com",
    "hostname": lambda draw: f"{_words(draw)}.example.com",
    "idn-hostname": lambda draw: f"{_words(draw)}.example.com",
    "ipv4": lambda draw: f"192.0.2.{1 + int(draw(0) * 254)}",
    "ipv6": lambda draw: f"2001:db8::{1 + int(draw(0) * 65534):x}",
    "uri": lambda draw: f"https://example.com/{_words(draw)}",
    "url": lambda draw: f"https://example.com/{_words(draw)}",
    "iri": lambda draw: f"https://example.com/{_words(draw)}",
    "uri-reference": lambda draw: f"/{_words(draw)}",
    "iri-reference": lambda draw: f"/{_words(draw)}",
    "uri-template": lambda draw: f"/{_words(draw)}/{{id}}",
    "json-pointer": lambda draw: f"/{_words(draw)}",
    "regex": lambda _draw: "^[a-z]+$",
    "byte": lambda draw: base64.b64encode(_words(draw).encode()).decode(),
}
