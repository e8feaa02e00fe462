"""The lifecycle: `status_at` of a task, and the effect of each command."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.engine import ALL, START_MS, Client, new_world, providers
from support.tables import for_each

from mockserver.engine.task import (
    NotHeldError,
    Task,
    TaskEndedError,
    TaskStatus,
    end_now,
    ended,
    hold,
    release,
    status_at,
)
from mockserver.provider import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mockserver.provider import End, Reason

KILN = providers()["kiln"]
LIFECYCLE = KILN.lifecycle
FLAW = LIFECYCLE.failure.reasons["flaw"]


def make_task(*lengths_ms: int, states: Sequence[State] = LIFECYCLE.states, end: End = LIFECYCLE.success) -> Task:
    """Make a task whose states last so long, submitted at instant 0."""
    client = Client(new_world(), "kiln")
    made = client.task(client.submit(START_MS).task_id)
    entered, at_ms = [], 0
    for length_ms in lengths_ms:
        at_ms += length_ms
        entered.append(at_ms)
    due_ms = entered.pop()
    return made._replace(
        model=replace(made.model, states=tuple(states)),
        submitted_ms=0,
        entered_ms=tuple(entered),
        due_ms=due_ms,
        ends_ms=due_ms,
        end=end,
    )


@pytest.fixture
def task() -> Task:
    """10 s drying, 100 s firing (0 to 90 %), 10 s cooling (90 to 99 %), then glazed."""
    return make_task(10_000, 100_000, 10_000)


@pytest.mark.parametrize(
    ("now_ms", "expected"),
    [
        (0, TaskStatus("drying", 0, False)),
        (9_999, TaskStatus("drying", 0, False)),
        (10_000, TaskStatus("firing", 0, False)),
        (11_111, TaskStatus("firing", 0, False)),
        (11_112, TaskStatus("firing", 1, False)),
        (60_000, TaskStatus("firing", 45, False)),
        (109_999, TaskStatus("firing", 89, False)),
        (110_000, TaskStatus("cooling", 90, False)),
        (119_999, TaskStatus("cooling", 98, False)),
        (120_000, TaskStatus("glazed", 100, True)),
        (10**15, TaskStatus("glazed", 100, True)),
    ],
)
def test_a_state_begins_at_its_very_millisecond(task: Task, now_ms: int, expected: TaskStatus) -> None:
    """Every state is entered at its instant, not a millisecond sooner or later; progress is linear between."""
    assert status_at(task, now_ms) == expected
    assert ended(task, now_ms) is expected.ended


def test_a_single_state_lasts_until_the_end() -> None:
    """A lifecycle of one state goes straight from it to the end."""
    task = make_task(500, states=[State("waiting", 500, 500, 10, 20)])
    assert [status_at(task, at) for at in (0, 250, 499, 500)] == [
        ("waiting", 10, False),
        ("waiting", 15, False),
        ("waiting", 19, False),
        ("glazed", 100, True),
    ]


def test_a_state_of_no_length_is_never_seen() -> None:
    """A state that lasts no time is passed through within the instant."""
    task = make_task(10, 0, 10)
    assert [status_at(task, at).status for at in (9, 10, 11)] == ["drying", "cooling", "cooling"]


def test_a_failure_keeps_the_progress_it_was_reached_with(task: Task) -> None:
    """An end whose progress is `last` keeps the progress that the task had reached."""
    failed = end_now(task, 60_000, LIFECYCLE.failure, FLAW)
    assert [status_at(failed, at) for at in (59_999, 60_000, 10**9)] == [
        ("firing", 44, False),
        ("cracked", 45, True),
        ("cracked", 45, True),
    ]


def test_an_end_may_have_a_progress_of_its_own(task: Task) -> None:
    """ToAPIs' failed tasks show progress 0, however far they had come."""
    end = providers()["toapis"].lifecycle.failure
    assert status_at(end_now(task, 100_000, end, None), 100_000) == ("failed", 0, True)


def test_a_held_task_stands_still(task: Task) -> None:
    """Nothing changes while a task is held, not even past the instant at which it was to end."""
    held = hold(task, 60_000)
    assert {status_at(held, at) for at in (60_000, 119_999, 120_000, 10**12)} == {("firing", 45, False)}
    assert not ended(held, 10**12)


def test_a_held_task_looks_the_same_at_earlier_instants(task: Task) -> None:
    """Holding does not rewrite the past."""
    held = hold(task, 60_000)
    assert [status_at(held, at) for at in (0, 10_000, 59_999)] == [status_at(task, at) for at in (0, 10_000, 59_999)]


def test_holding_twice_changes_nothing(task: Task) -> None:
    """A second hold gives the very same task, so nothing that waits for the first goes stale."""
    held = hold(task, 60_000)
    assert hold(held, 70_000) is held


def test_a_released_task_goes_on_from_where_it_stood(task: Task) -> None:
    """Status and progress are at the release what they were at the hold, and the rest is as long as it was to be."""
    released = release(hold(task, 60_000), 1_060_000)
    assert [status_at(released, at) for at in (1_060_000, 1_109_999, 1_110_000, 1_119_999, 1_120_000)] == [
        ("firing", 45, False),
        ("firing", 89, False),
        ("cooling", 90, False),
        ("cooling", 98, False),
        ("glazed", 100, True),
    ]


def test_several_holds_add_up(task: Task) -> None:
    """Each hold moves what is still to come by its own length, in whichever state it falls."""
    for held_ms, released_ms in ((5_000, 6_000), (20_000, 22_000), (113_000, 117_000)):
        before = status_at(task, held_ms)
        task = release(hold(task, held_ms), released_ms)
        assert status_at(task, released_ms) == before
    assert task.ends_ms == 127_000
    assert status_at(task, 126_999) == ("cooling", 98, False)
    assert status_at(task, 127_000) == ("glazed", 100, True)


def test_held_just_as_a_state_begins_it_stays_in_that_state(task: Task) -> None:
    """A hold at the millisecond at which a state is entered finds the task in it, and leaves it there."""
    released = release(hold(task, 110_000), 210_000)
    assert status_at(released, 209_999).status == "cooling"
    assert status_at(released, 219_999).status == "cooling"
    assert status_at(released, 220_000).status == "glazed"


@pytest.mark.parametrize(
    ("end", "reason"),
    [(LIFECYCLE.success, None), (LIFECYCLE.failure, FLAW), (LIFECYCLE.cancellation, None)],
    ids=["complete", "fail", "cancel"],
)
@pytest.mark.parametrize("held", [False, True])
def test_an_ending_command_ends_the_task_at_its_instant(
    task: Task, end: End, reason: Reason | None, held: bool
) -> None:
    """Complete, fail and cancel end a task now, held or not; it had not ended a millisecond before."""
    if held:
        task = hold(task, 30_000)
    done = end_now(task, 70_000, end, reason)
    assert (done.ends_ms, done.end, done.reason, done.held_ms) == (70_000, end, reason, None)
    assert status_at(done, 69_999).ended is False
    assert status_at(done, 70_000)[::2] == (end.name, True)
    assert done.revision > task.revision


def test_a_task_that_fails_while_held_fails_with_the_progress_it_was_held_at(task: Task) -> None:
    """A task makes no progress while it is held."""
    failed = end_now(hold(task, 60_000), 119_000, LIFECYCLE.failure, FLAW)
    assert status_at(failed, 119_000) == ("cracked", 45, True)


COMMANDS: dict[str, Callable[[Task, int], Task]] = {
    "hold": hold,
    "release": release,
    "complete": lambda task, now_ms: end_now(task, now_ms, LIFECYCLE.success, None),
    "fail": lambda task, now_ms: end_now(task, now_ms, LIFECYCLE.failure, FLAW),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("late_ms", [0, 1, 10**9])
def test_no_command_changes_a_task_that_has_ended(
    task: Task, command: Callable[[Task, int], Task], late_ms: int
) -> None:
    """From the millisecond of its end on, a task is refused every command, and told how it ended."""
    with pytest.raises(TaskEndedError, match=r"has ended \(glazed\) and is final"):
        command(task, task.ends_ms + late_ms)


def test_an_end_by_command_is_for_ever_too(task: Task) -> None:
    """A task that was cancelled cannot be completed afterwards."""
    assert LIFECYCLE.cancellation is not None
    cancelled = end_now(task, 50_000, LIFECYCLE.cancellation, None)
    with pytest.raises(TaskEndedError, match="withdrawn"):
        end_now(cancelled, 50_000, LIFECYCLE.success, None)


def test_only_a_held_task_can_be_released(task: Task) -> None:
    """Releasing a task that is not held is refused by name."""
    with pytest.raises(NotHeldError, match=f"task {task.id} is not held"):
        release(task, 1_000)


def test_commands_leave_the_old_task_as_it_was(task: Task) -> None:
    """A task is a value: a command gives a new one."""
    before = tuple(task)
    hold(task, 1_000)
    end_now(task, 2_000, LIFECYCLE.failure, FLAW)
    assert tuple(task) == before


@for_each("name", ALL)
def test_each_provider_goes_through_its_states_in_their_order(name: str) -> None:
    """Every state of the spec is entered in its order, in a length that it allows, and success comes last."""
    provider = providers()[name]
    for model in provider.models:
        client = Client(new_world(), name)
        task = client.task(client.submit(START_MS, model=model).task_id)
        starts = [task.submitted_ms, *task.entered_ms]
        assert len(starts) == len(task.model.states)
        for state, start, stop in zip(task.model.states, starts, [*task.entered_ms, task.ends_ms], strict=True):
            assert state.shortest_ms <= stop - start <= state.longest_ms
            assert status_at(task, start).status == status_at(task, stop - 1).status == state.name
        assert status_at(task, task.ends_ms) == (provider.lifecycle.success.name, 100, True)


#: What the providers' pages and documents call the ways that a task goes, and about how long it takes, in s.
WORDS = {
    "toapis": (["queued", "in_progress", "completed"], "failed", (60, 300)),
    "crun": (["pending", "running", "success"], "failed", (60, 300)),
    "evolink": (["pending", "processing", "completed"], "failed", (45, 90)),
    "googlegeminiomni": (["accepted", "generating", "done"], "failed", (45, 90)),
}


@pytest.mark.parametrize("name", WORDS)
def test_the_states_have_the_words_and_lengths_of_the_documents(name: str) -> None:
    """A client sees the documents' status words, in the documents' order, after about the documents' estimate."""
    words, failure, (least_s, most_s) = WORDS[name]
    provider = providers()[name]
    seen = [state.name for state in provider.lifecycle.states] + [provider.lifecycle.success.name]
    assert seen == words
    assert provider.lifecycle.failure.name == failure
    client = Client(new_world(), name)
    task = client.task(client.submit(START_MS).task_id)
    assert least_s * 1000 <= task.ends_ms - START_MS <= most_s * 1000


LENGTHS = st.lists(st.integers(0, 5_000), min_size=3, max_size=3)
STEPS = st.lists(
    st.tuples(st.integers(0, 3_000), st.sampled_from(["look", "hold", "release", "fail", "complete"])), max_size=12
)


@given(LENGTHS, STEPS)
def test_whatever_is_done_to_a_task_it_goes_forwards(lengths_ms: list[int], steps: list[tuple[int, str]]) -> None:
    """Under any commands at any instants the order of states holds, progress rises until a bad end, the end stays."""
    task = make_task(*lengths_ms)
    order = [state.name for state in LIFECYCLE.states]
    now_ms, last = 0, status_at(task, 0)
    for wait_ms, step in steps:
        now_ms += wait_ms
        if step != "look":
            try:
                changed = COMMANDS[step](task, now_ms)
            except (TaskEndedError, NotHeldError):
                pass
            else:
                if step in ("hold", "release"):
                    assert status_at(changed, now_ms) == status_at(task, now_ms)
                task = changed
        now = status_at(task, now_ms)
        if last.ended:
            assert now == last
        elif not now.ended:
            assert order.index(now.status) >= order.index(last.status)
        if now.status != "cracked" or not now.ended:
            assert now.progress >= last.progress
        assert 0 <= now.progress <= 100
        last = now
