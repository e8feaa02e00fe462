"""The one source of chance: bytes by name, and ids and fractions made of them."""

from __future__ import annotations

import re
import uuid
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tables import for_each

from mockserver.chance import DRAW_BYTES, Chance, fraction, id_format


def test_the_same_seed_and_name_give_the_same_bytes() -> None:
    """A draw hangs on the seed and its name, and on nothing that was drawn before."""
    one, other = Chance(7), Chance(7)
    for number in range(100):
        other.draw(f"noise/{number}")
    assert one.draw("a/b/1") == other.draw("a/b/1") == one.draw("a/b/1")
    assert len(one.draw("a/b/1")) == DRAW_BYTES


def test_draws_are_the_same_in_every_version() -> None:
    """A seed gives next year what it gives today."""
    assert Chance(1).draw("evolink/acct/task/0").hex()[:32] == "02a3d631d9983c96aed298a2cc416003"


@given(st.integers(0, 2**64), st.integers(0, 2**64), st.text(), st.text())
def test_another_seed_or_name_gives_other_bytes(seed: int, other_seed: int, name: str, other_name: str) -> None:
    """Two draws are equal only when both seed and name are."""
    equal = (seed, name) == (other_seed, other_name)
    assert (Chance(seed).draw(name) == Chance(other_seed).draw(other_name)) is equal


def test_the_seed_is_told() -> None:
    """A run can print the seed that it used."""
    assert Chance(42).seed == 42


@given(st.binary(min_size=DRAW_BYTES, max_size=DRAW_BYTES), st.integers(0, 7))
def test_a_fraction_is_at_least_0_and_less_than_1(drawn: bytes, slot: int) -> None:
    """Whatever was drawn, a fraction scales into a range without ever reaching its end."""
    assert 0 <= fraction(drawn, slot) < 1


def test_the_ends_of_a_fraction() -> None:
    """All bits clear is 0, all bits set is just below 1."""
    assert fraction(bytes(DRAW_BYTES), 0) == 0
    assert fraction(b"\xff" * DRAW_BYTES, 7) == 1 - 2**-32


def test_the_slots_of_a_draw_are_apart() -> None:
    """Each of the eight slots has four bytes of its own, from the end of the draw, away from those of ids."""
    for slot in range(8):
        drawn = bytearray(DRAW_BYTES)
        drawn[DRAW_BYTES - 4 * (slot + 1) : DRAW_BYTES - 4 * slot] = b"\x80\x00\x00\x00"
        assert [fraction(bytes(drawn), each) for each in range(8)] == [0.5 if each == slot else 0 for each in range(8)]
        assert set(drawn[:32]) == {0}


def test_fractions_are_spread_evenly() -> None:
    """Of many draws about a tenth falls into each tenth."""
    chance = Chance(3)
    counts = Counter(int(10 * fraction(chance.draw(str(number)), 0)) for number in range(10_000))
    assert all(850 < counts[tenth] < 1_150 for tenth in range(10))


FORMS = [
    ("task-{unix_s}-{base36:8}", r"task-1780617600-[0-9a-z]{8}"),
    ("video_01{base32:24}", r"video_01[0-9A-HJKMNP-TV-Z]{24}"),
    ("req_{hex:24}", r"req_[0-9a-f]{24}"),
    ("{digits:6}", r"[0-9]{6}"),
    ("{hex:1}", r"[0-9a-f]"),
    ("a-{base36:3}-{digits:5}-{hex:4}-z", r"a-[0-9a-z]{3}-[0-9]{5}-[0-9a-f]{4}-z"),
    ("{unix_s}", r"1780617600"),
    ("plain", r"plain"),
]


@for_each(("text", "form"), FORMS)
def test_an_id_has_the_form_that_was_written(text: str, form: str) -> None:
    """Text stays, and each placeholder becomes so many letters of its alphabet."""
    make, chance = id_format(text), Chance(5)
    for number in range(50):
        assert re.fullmatch(form, make(chance.draw(str(number)), 1_780_617_600))


def test_a_uuid_is_one_of_version_4() -> None:
    """Every drawn UUID is well-formed, of version 4 and the right variant."""
    make, chance = id_format("{uuid}"), Chance(5)
    for number in range(200):
        found = uuid.UUID(make(chance.draw(str(number)), 0))
        assert (found.version, found.variant) == (4, uuid.RFC_4122)


@for_each("text", ["{hex:12}", "{base36:8}", "{base32:10}", "{uuid}", "x{digits:12}", "{hex:6}{base36:6}"])
def test_ids_do_not_repeat(text: str) -> None:
    """Ten thousand draws give ten thousand ids."""
    make, chance = id_format(text), Chance(9)
    assert len({make(chance.draw(str(number)), 0) for number in range(10_000)}) == 10_000


@for_each("alphabet", ["hex", "base36", "base32", "digits"])
@for_each("length", [1, 2, 7, 32])
def test_every_letter_of_an_id_is_drawn(alphabet: str, length: int) -> None:
    """At each place of an id every letter of the alphabet turns up, about as often as the others."""
    make, chance = id_format(f"{{{alphabet}:{length}}}"), Chance(11)
    ids = [make(chance.draw(str(number)), 0) for number in range(3_000)]
    size = {"hex": 16, "base36": 36, "base32": 32, "digits": 10}[alphabet]
    for place in range(length):
        counts = Counter(each[place] for each in ids)
        assert len(counts) == size
        assert max(counts.values()) < 2.2 * 3_000 / size


@pytest.mark.parametrize("text", ["{hex:4}{hex:4}", "{base36:4}-{base36:4}", "{uuid}{hex:8}", "{digits:8}{digits:8}"])
def test_two_placeholders_draw_apart(text: str) -> None:
    """The parts of an id are not copies of each other."""
    make, chance = id_format(text), Chance(13)
    ids = [make(chance.draw(str(number)), 0).replace("-", "") for number in range(200)]
    assert sum(each[: len(each) // 2] == each[len(each) // 2 :] for each in ids) <= 1


@for_each("text", ["{hex}", "{hex:x}", "{unix}", "{base64:4}", "{", "}", "a{b}c", "{hex:4", "{{hex:4}}"])
def test_an_unknown_placeholder_is_refused(text: str) -> None:
    """A format that means nothing is refused with what could stand there."""
    with pytest.raises(ValueError, match=r"a placeholder must be one of \{unix_s\}"):
        id_format(text)


@for_each("text", ["{hex:100}", "{base36:60}", "{uuid}{uuid}{uuid}", "{base32:30}{base32:30}", "{digits:999}"])
def test_more_chance_than_a_draw_has_is_refused(text: str) -> None:
    """An id that could not be drawn whole is refused when the spec is read."""
    with pytest.raises(ValueError, match="a draw has 32 bytes for ids"):
        id_format(text)


@settings(max_examples=200)
@given(
    st.lists(
        st.sampled_from(["{unix_s}", "{uuid}", "{hex:5}", "{base36:3}", "{base32:4}", "{digits:2}", "-", "x"]),
        max_size=5,
    ),
    st.integers(0, 2**40),
)
def test_the_same_draw_gives_the_same_id(pieces: list[str], unix_s: int) -> None:
    """An id is a function of what was drawn and the second."""
    text = "".join(pieces)
    try:
        make = id_format(text)
    except ValueError as refused:
        assert pieces.count("{uuid}") >= 2, refused  # noqa: PT017 - the only ones that are too long
        return
    drawn = Chance(1).draw(text)
    assert make(drawn, unix_s) == make(drawn, unix_s)
    assert make(drawn, unix_s).count(str(unix_s)) >= min(1, pieces.count("{unix_s}"))
