"""Strict JSON: only unambiguous JSON is accepted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tables import for_each

from mockserver.engine.body import MAX_NESTING, BodyError, parse_json


@for_each(
    ("body", "value"),
    [
        (b"{}", {}),
        (b"[]", []),
        (b' \t\r\n{"a" : 1}\n ', {"a": 1}),
        (b'"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
        ('"\N{GRINNING FACE}"'.encode(), "\N{GRINNING FACE}"),
        ('{"подсказка":"кот"}'.encode(), {"подсказка": "кот"}),
        (b'"\\u0000"', "\0"),
        (b"18446744073709551615", 2**64 - 1),
        (b"-9223372036854775808", -(2**63)),
        (b"-0", 0),
        (b"1e2", 100.0),
        (b"0.1", 0.1),
        (b"true", True),
        (b"null", None),
    ],
)
def test_json_is_read(body: bytes, value: Any) -> None:
    """Every kind of JSON value is read as what it says."""
    assert parse_json(body) == value
    assert type(parse_json(body)) is type(value)


@pytest.mark.parametrize(
    "body",
    [b"18446744073709551616", b"-9223372036854775809", b"123456789012345678901234567890", b"1" + b"0" * 308],
)
def test_an_integer_beyond_64_bits_is_read_as_the_nearest_number(body: bytes) -> None:
    """An integer beyond 64 bits becomes the nearest float."""
    assert parse_json(body) == float(body)


@for_each(
    ("body", "words"),
    [
        (b"", "the body is empty"),
        (b" ", "empty"),
        (b"\xef\xbb\xbf{}", "is not valid JSON"),
        (b"\xff\xfe{\x00}\x00", "not valid"),
        (b'"\xff"', "not valid UTF-8"),
        (b'"\xed\xa0\x80"', "not valid"),
        (b'"\xc0\xaf"', "not valid"),
        (b'"\\ud800"', "surrogate"),
        (b'"\\udc00\\ud800"', "not valid JSON"),
        (b"NaN", "not valid JSON"),
        (b"[Infinity]", "not valid JSON"),
        (b"-Infinity", "not valid JSON"),
        (b"1e999", "infinity"),
        (b"1" * 5_000, "infinity"),
        (b"01", "not valid JSON"),
        (b"+1", "not valid JSON"),
        (b".5", "not valid JSON"),
        (b"1.", "not valid JSON"),
        (b"0x10", "not valid JSON"),
        (b"{'a':1}", "not valid JSON"),
        (b"{a:1}", "not valid JSON"),
        (b"[1,]", "trailing comma"),
        (b'{"a":1,}', "not valid JSON"),
        (b"[1 2]", "not valid JSON"),
        (b"{} {}", "not valid JSON"),
        (b"// x\n1", "not valid JSON"),
        (b'"a\nb"', "control character"),
        (b'"\\x41"', "not valid JSON"),
        (b"True", "not valid JSON"),
        (b'{"a"}', "not valid JSON"),
        (b"\x00", "not valid JSON"),
    ],
)
def test_what_is_not_json_is_refused_with_the_reason(body: bytes, words: str) -> None:
    """Invalid JSON, other encodings and the extensions of lenient parsers are refused with an explanation."""
    with pytest.raises(BodyError) as caught:
        parse_json(body)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 200


@for_each(
    "body",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"b":2,"a":3}',
        b'{"a" :1,"a" :2}',
        b'{"a"\n:1,"a"\t:2}',
        b'{"x":{"a":1,"a":2}}',
        b'[[{"a":1,"a":2}]]',
        b'{"a":1,"\\u0061":2}',
        b'{"\\"":1,"\\"":2}',
        b'{"":1,"":2}',
        b'{"a:":":","a:":":"}',
        b'{"a":{"b":1},"a":{"c":":"}}',
        b'{"a\\\\":1,"a\\\\":2}',
    ],
)
def test_a_key_that_stands_twice_is_refused(body: bytes) -> None:
    """Two equal keys in one object are refused at any depth and in any spelling."""
    with pytest.raises(BodyError, match="twice in one object"):
        parse_json(body)


def test_a_long_key_that_stands_twice_is_named_in_part() -> None:
    """The message shortens a long key."""
    key = "k" * 10_000
    with pytest.raises(BodyError) as caught:
        parse_json(f'{{"{key}":1,"{key}":2}}'.encode())
    assert len(str(caught.value)) < 200


@for_each(
    "body",
    [
        b'{"a":{"a":{"a":1}}}',
        b'[{"a":1},{"a":2}]',
        b'{"a":"a","A":"a"}',
        b'{"a":":","b":"::"}',
        b'{"a":"\\":\\"","b":"\\":"}',
        b'{"a":"{\\"a\\":1}"}',
        b'{"a":1,"a ":2}',
    ],
)
def test_equal_keys_in_different_objects_are_fine(body: bytes) -> None:
    """Keys must be unique only within one object; colons and quotes inside strings are not counted."""
    assert parse_json(body) == json.loads(body)


@for_each(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]"), ('{"a":[', "]}")])
@for_each("inner", ["1", "[]", '"["'])
def test_nesting_has_its_limit(opening: str, closing: str, inner: str) -> None:
    """So many levels are read and not one more, of whatever they are made; brackets in strings are no levels."""
    each = opening.count("[") + opening.count("{")
    levels = MAX_NESTING - inner.count("[]")
    fits = opening * (levels // each) + inner + closing * (levels // each)
    assert parse_json(fits.encode()) is not None
    with pytest.raises(BodyError, match=f"nested more than {MAX_NESTING} levels deep"):
        parse_json((opening * (levels // each + 1) + inner + closing * (levels // each + 1)).encode())


@for_each("levels", [101, 254, 256, 500, 1_000, 1_023, 1_024, 1_025, 5_000, 100_000, 1_000_000])
@for_each("shape", [b"[%b]", b'{"a":%b}', b'{"a":1,"a":%b}'])
def test_bottomless_nesting_is_refused(levels: int, shape: bytes) -> None:
    """A thousand levels, or a million, closed or not, are refused like any other bad body."""
    opening, closing = shape.split(b"%b")
    body = (opening * levels)[:1_000_000]
    for tail in (b"", b"1" + closing * levels):
        with pytest.raises(BodyError):
            parse_json(body + tail)


def test_width_is_not_depth() -> None:
    """A body with a hundred thousand brackets side by side is read."""
    assert len(parse_json(b"[" + b"{},[]," * 50_000 + b"0]")) == 100_001


# -- agreement with the standard library ------------------------------------------------------------


def oracle(body: bytes) -> Any:
    """Read strict JSON with the standard library.

    Raises:
        ValueError: it is not.
    """

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(items)) != len(items):
            raise ValueError("twice")
        return dict(items)

    def constant(name: str) -> Any:
        raise ValueError(name)

    value = json.loads(body.decode(), object_pairs_hook=pairs, parse_constant=constant)
    json.dumps(value, ensure_ascii=False).encode()
    _must_be_finite(value)
    return value


def _must_be_finite(value: Any) -> None:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            _must_be_finite(each)
    elif isinstance(value, int | float):
        try:
            finite = abs(float(value)) != float("inf")
        except OverflowError:
            finite = False
        if not finite:
            raise ValueError("infinite")


def alike(ours: Any, theirs: Any) -> bool:
    """Compare two readings; integers beyond 64 bits are floats in ours."""
    if isinstance(theirs, dict):
        return isinstance(ours, dict) and list(ours) == list(theirs) and all(alike(ours[k], theirs[k]) for k in theirs)
    if isinstance(theirs, list):
        return isinstance(ours, list) and len(ours) == len(theirs) and all(map(alike, ours, theirs))
    if isinstance(theirs, int) and not -(2**63) <= theirs < 2**64:
        return isinstance(ours, float) and ours == float(theirs)
    return bool(ours == theirs) and isinstance(ours, bool) == isinstance(theirs, bool)


def agrees(body: bytes) -> None:
    """Check that both read the same, or that both refuse."""
    try:
        theirs = oracle(body)
    except ValueError:
        with pytest.raises(BodyError):
            parse_json(body)
    else:
        assert alike(parse_json(body), theirs)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from([":", '":', '"', "\\", '{"a":1,"a":2}', "\u2028"])
)
KEYS = st.text(max_size=3) | st.sampled_from(["a", ":", '":', "\\", '"'])
VALUES = st.recursive(
    SCALARS,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(KEYS, children, max_size=4),
    max_leaves=12,
)
BLANKS = st.sampled_from(["", " ", "\n", "\t \r\n"])
SPELLED_KEYS = st.sampled_from(['"a"', '"\\u0061"', '"b"', '":"', '"\\""', '"\\":"', '"\\\\"', '"a:"', '""'])


@st.composite
def spelled(draw: st.DrawFn) -> str:
    """Write a JSON text by hand, in which keys may stand twice, with blanks anywhere."""

    def value(depth: int) -> str:
        kind = draw(st.integers(0, 3 if depth else 1))
        if kind == 0:
            return draw(SPELLED_KEYS)
        if kind == 1:
            return draw(st.sampled_from(["1", "-0", "1e5", "true", "null", '":"', '"\\":"', '"{\\"a\\":"']))
        between = "," + draw(BLANKS)
        if kind == 2:
            return "[" + between.join(value(depth - 1) for _ in range(draw(st.integers(0, 3)))) + "]"
        pairs = [
            draw(SPELLED_KEYS) + draw(BLANKS) + ":" + draw(BLANKS) + value(depth - 1)
            for _ in range(draw(st.integers(0, 3)))
        ]
        return "{" + draw(BLANKS) + between.join(pairs) + "}"

    return value(3)


@pytest.mark.slow
@settings(max_examples=120)
@given(VALUES, st.booleans(), st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : "), ("\n,", "\t:")]))
def test_what_the_standard_library_writes_is_read(value: Any, ascii_only: bool, separators: tuple[str, str]) -> None:
    """Any value, written with any blanks and with or without escapes, is read as the standard library reads it."""
    try:
        body = json.dumps(value, ensure_ascii=ascii_only, separators=separators).encode()
    except ValueError:
        return  # an integer of too many digits to be written at all
    agrees(body)


@pytest.mark.slow
@settings(max_examples=200)
@given(spelled())
def test_keys_that_stand_twice_are_found_however_they_are_spelled(text: str) -> None:
    """Of hand-written texts with escaped, blank-ridden and colon-laden keys exactly the unambiguous ones are read."""
    agrees(text.encode())


@pytest.mark.slow
@settings(max_examples=200)
@given(VALUES | spelled(), st.data())
def test_a_damaged_text_is_judged_alike(value: Any, data: st.DataObject) -> None:
    """A byte that is lost, doubled or changed leads both readers to the same verdict."""
    text = value if isinstance(value, str) else json.dumps(value)[:500]
    body = bytearray(text.encode("utf-8", "replace"))
    at = data.draw(st.integers(0, max(0, len(body) - 1)))
    damage = data.draw(st.sampled_from(["lose", "double", "change"]))
    if damage == "lose":
        del body[at : at + 1]
    elif damage == "double":
        body[at:at] = body[at : at + 1]
    else:
        body[at : at + 1] = data.draw(st.binary(min_size=1, max_size=1))
    agrees(bytes(body))


@settings(max_examples=300)
@given(st.binary(max_size=30) | st.text(alphabet='{}[]":,\\ u01eE+-.truefalsn\n', max_size=20).map(str.encode))
def test_any_bytes_are_judged_alike(body: bytes) -> None:
    """Whatever the bytes, they are read as the standard library reads them, or refused, and nothing else happens."""
    agrees(body)
