"""The clock: whole milliseconds that never go back, at any pace, or only when told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tables import for_each

from mockserver.clock import LAST_MS, MANUAL_START_MS, Clock, http_date, instant_of, iso_of


class Wall:
    """A wall clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now_s


def test_a_manual_clock_stands_still() -> None:
    """At speed 0 the wall's time changes nothing, and nothing ever comes by itself."""
    wall = Wall()
    clock = Clock(5_000, 0, wall)
    wall.now_s += 10**6
    assert (clock.now_ms(), clock.speed, clock.wall_wait_s(5_001)) == (5_000, 0, None)


def test_a_manual_clock_moves_on_command() -> None:
    """It reaches the exact millisecond; an instant that has passed, or is the present one, changes nothing."""
    clock = Clock(5_000, 0, Wall())
    for passed_ms in (5_000, 4_999, 0):
        clock.reach(passed_ms)
        assert clock.now_ms() == 5_000
    clock.reach(123_456_789)
    assert clock.now_ms() == 123_456_789


@pytest.mark.parametrize(("speed", "expected"), [(1, 2_500), (60, 150_000), (0.1, 250), (1000, 2_500_000)])
def test_a_running_clock_keeps_its_pace(speed: float, expected: int) -> None:
    """Two and a half seconds on the wall are so many milliseconds of mock time."""
    wall = Wall()
    clock = Clock(0, speed, wall)
    wall.now_s += 2.5
    assert clock.now_ms() == expected


def test_a_millisecond_counts_when_it_is_whole() -> None:
    """Time is counted in whole milliseconds, rounded down."""
    wall = Wall()
    clock = Clock(0, 1, wall)
    wall.now_s = 1000.0009
    assert clock.now_ms() == 0
    wall.now_s = 1000.0011
    assert clock.now_ms() == 1


def test_a_running_clock_runs_on_after_a_jump() -> None:
    """From the instant that it was moved to, time goes on at the same pace."""
    wall = Wall()
    clock = Clock(0, 2, wall)
    wall.now_s += 1
    clock.reach(10_000)
    assert clock.now_ms() == 10_000
    wall.now_s += 1
    assert clock.now_ms() == 12_000


def test_a_change_of_pace_counts_from_now_on() -> None:
    """What has passed at the old pace has passed; the new one begins now; 0 stops the clock where it is."""
    wall = Wall()
    clock = Clock(0, 1, wall)
    wall.now_s += 3
    clock.set_speed(10)
    assert (clock.now_ms(), clock.speed) == (3_000, 10)
    wall.now_s += 1
    assert clock.now_ms() == 13_000
    clock.set_speed(0)
    wall.now_s += 100
    assert clock.now_ms() == 13_000
    clock.set_speed(1)
    wall.now_s += 1
    assert clock.now_ms() == 14_000


@pytest.mark.parametrize("speed", [-1, -0.001, float("-inf")])
def test_time_cannot_run_backwards(speed: float) -> None:
    """A negative pace is refused at the start and later, and what was set stays."""
    with pytest.raises(ValueError, match="must not be negative"):
        Clock(0, speed, Wall())
    clock = Clock(0, 3, Wall())
    with pytest.raises(ValueError, match="must not be negative"):
        clock.set_speed(speed)
    assert clock.speed == 3


@for_each(("speed", "until_ms", "wait_s"), [(1, 5_000, 5), (60, 60_000, 1), (1, 0, 0), (1, -5, 0), (0.5, 1, 0.002)])
def test_the_wait_for_an_instant_is_told_in_wall_time(speed: float, until_ms: int, wait_s: float) -> None:
    """How long to sleep hangs on the pace; what has passed already needs no wait."""
    assert Clock(0, speed, Wall()).wall_wait_s(until_ms) == pytest.approx(wait_s)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.floats(0, 100)),
        st.tuples(st.just("jump"), st.integers(-5_000, 50_000)),
        st.tuples(st.just("speed"), st.sampled_from([0, 0.001, 0.5, 1, 60, 1e6])),
    )
)


@given(STEPS)
def test_time_never_goes_back(steps: list[tuple[str, float]]) -> None:
    """Under any waits, jumps and paces time never goes back, and an instant to come is reached exactly."""
    wall = Wall()
    clock = Clock(MANUAL_START_MS, 1, wall)
    last_ms = clock.now_ms()
    for step, value in steps:
        if step == "wait":
            wall.now_s += value
        elif step == "speed":
            before_ms = clock.now_ms()
            clock.set_speed(value)
            assert clock.now_ms() == before_ms
        else:
            before_ms = clock.now_ms()
            clock.reach(before_ms + int(value))
            assert clock.now_ms() == before_ms + max(0, int(value))
        assert clock.now_ms() >= last_ms
        assert isinstance(clock.now_ms(), int)
        last_ms = clock.now_ms()


@pytest.mark.parametrize(
    ("instant_ms", "three", "none"),
    [
        (MANUAL_START_MS, "2026-06-05T00:00:00.000Z", "2026-06-05T00:00:00Z"),
        (MANUAL_START_MS + 999, "2026-06-05T00:00:00.999Z", "2026-06-05T00:00:00Z"),
        (0, "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.001Z", "1970-01-01T00:00:00Z"),
    ],
)
def test_an_instant_is_written_in_utc(instant_ms: int, three: str, none: str) -> None:
    """ISO 8601 with a Z, with three digits of a second's fraction or none; the rest is cut, not rounded."""
    assert (iso_of(instant_ms), iso_of(instant_ms, digits=0)) == (three, none)


@for_each(
    ("text", "instant_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-06-05T00:00:00Z", MANUAL_START_MS),
        ("2026-06-05T02:00:00+02:00", MANUAL_START_MS),
        ("2026-06-05T00:00:00.250Z", MANUAL_START_MS + 250),
        ("2026-06-05T00:00Z", MANUAL_START_MS),
        ("20260605T000000Z", MANUAL_START_MS),
    ],
)
def test_an_instant_is_read_in_any_time_zone(text: str, instant_ms: int) -> None:
    """ISO 8601 in its usual forms is read, with Z or an offset."""
    assert instant_of(text) == instant_ms


@for_each("text", ["2026-06-05", "2026-06-05T00:00:00", "noon", "", "1780617600", "2026-13-01T00:00:00Z"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    """Text without a time zone, or that is no date, is refused."""
    with pytest.raises(ValueError, match=r"has no time zone|Invalid isoformat|month must be"):
        instant_of(text)


@given(st.integers(0, LAST_MS))
def test_what_is_written_is_read_back(instant_ms: int) -> None:
    """Every instant survives being written and read."""
    assert instant_of(iso_of(instant_ms)) == instant_ms
    assert instant_of(iso_of(instant_ms, digits=0)) == instant_ms // 1000 * 1000


def test_dates_past_the_last_are_written_as_the_last() -> None:
    """No instant is too late to be written: beyond the year 9999 stands its last second."""
    assert iso_of(10**18) == "9999-12-31T23:59:59.000Z"
    assert http_date(10**15) == "Fri, 31 Dec 9999 23:59:59 GMT"
