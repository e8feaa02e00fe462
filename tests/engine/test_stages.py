"""Callbacks that tell of states on the way: each is sent when the task enters its state."""

from __future__ import annotations

import orjson
import pytest
from support.engine import RECEIVER, START_MS, Client, due_deliveries
from support.kilns import FREE_ADDRESS, issues, kiln_client

from mockserver.engine.commands import run_command
from mockserver.engine.rules import Match, Schedule
from mockserver.faults.contradicting_callback import ContradictingCallback
from mockserver.faults.lost_callback import LostCallback
from mockserver.faults.skipped_state import SkippedState

_STAGES = """\
      drying: {stage: $task.status, percent: $task.progress}
      firing: {stage: $task.status, percent: $task.progress}
      quenching: $reply.showPiece
      withdrawn: {stage: $task.status}
      glazed: $reply.showPiece
"""
STAGES = ("      glazed: $reply.showPiece\n", _STAGES)
THROUGH = ("        kind: cancellation\n", "        kind: cancellation\n        through: {quenching: 4}\n")
ALL = (FREE_ADDRESS, STAGES, THROUGH)


def told(client: Client, until_ms: int) -> list[tuple[int, str]]:
    """Take what has fallen due; return the time and the event of each, and check that the body is of that time."""
    out = []
    for due_ms, delivery in due_deliveries(client.world, until_ms):
        assert orjson.loads(delivery.body).get("stage", delivery.event) == delivery.event
        assert dict(delivery.headers)["X-Kiln-Seal"].startswith("v1=")
        out.append((due_ms - START_MS, delivery.event))
    return out


def submitted(client: Client) -> str:
    """Submit a task with a receiver."""
    return str(client.submit(START_MS, callback=RECEIVER).task_id)


def test_each_state_is_told_when_it_is_entered() -> None:
    """The events of states come at their entry, and that of the end after them; other states send none."""
    client = kiln_client(*ALL)
    submitted(client)
    assert client.world.next_due_ms() == START_MS
    assert told(client, START_MS) == [(0, "drying")]
    assert client.world.next_due_ms() == START_MS + 10_000
    assert told(client, START_MS + 500_000) == [(10_000, "firing"), (120_000, "glazed")]


def test_a_late_look_tells_what_was() -> None:
    """What is taken from the queue late has the body of its own time, also if the task was cancelled since."""
    client = kiln_client(*ALL)
    task_id = submitted(client)
    client.send("DELETE", f"/pieces/{task_id}", START_MS + 50_000)
    run_command(client.world, task_id, "hold", START_MS + 50_000)
    run_command(client.world, task_id, "release", START_MS + 50_000)
    assert told(client, START_MS + 500_000) == [
        (0, "drying"),
        (10_000, "firing"),
        (50_000, "quenching"),
        (54_000, "withdrawn"),
    ]


@pytest.mark.parametrize("looks", [False, True], ids=["taken at once", "looked at"])
def test_a_held_task_enters_no_state(looks: bool) -> None:
    """While it is held nothing is told; after that everything is, once, also if it was held for no time at all."""
    client = kiln_client(*ALL)
    task_id = submitted(client)
    assert told(client, START_MS) == [(0, "drying")]
    for held_ms, released_ms in ((5_000, 5_000), (6_000, 106_000), (110_000, 110_000)):
        run_command(client.world, task_id, "hold", START_MS + held_ms)
        if looks:
            assert client.world.next_due_ms() == (START_MS + held_ms if held_ms == 110_000 else None)
        assert told(client, START_MS + released_ms) == ([(110_000, "firing")] if held_ms == 110_000 else [])
        run_command(client.world, task_id, "release", START_MS + released_ms)
    assert told(client, START_MS + 500_000) == [(220_000, "glazed")]


def test_an_early_end_tells_no_more_states() -> None:
    """A task that ends before a state does not enter it."""
    client = kiln_client(*ALL)
    task_id = submitted(client)
    run_command(client.world, task_id, "complete", START_MS + 5_000)
    assert told(client, START_MS + 500_000) == [(0, "drying"), (5_000, "glazed")]


def test_a_skipped_state_is_not_told() -> None:
    """What a fault lets a task skip, no callback tells of."""
    client = kiln_client(*ALL)
    client.world.faults.add(SkippedState(state="firing"), Match("kiln"), Schedule(), START_MS)
    submitted(client)
    assert told(client, START_MS + 500_000) == [(0, "drying"), (20_000, "glazed")]


def test_faults_about_ends_leave_states_alone() -> None:
    """A fault of callbacks applies to each; one about ends to that of the end."""
    client = kiln_client(*ALL)
    client.world.faults.add(ContradictingCallback(), Match("kiln"), Schedule(times=1), START_MS)
    submitted(client)
    changed = [bool(each.faults) for _, each in due_deliveries(client.world, START_MS + 500_000)]
    assert changed == [False, False, True]
    client.world.faults.add(LostCallback(), Match("kiln"), Schedule(times=1), START_MS)
    client.submit(START_MS, callback=RECEIVER)
    lost = [each.lost for _, each in due_deliveries(client.world, START_MS + 500_000)]
    assert lost == [True, False, False]


def test_without_a_receiver_nothing_is_told() -> None:
    """A submit without an address books nothing."""
    client = kiln_client(*ALL)
    client.submit(START_MS)
    assert client.world.next_due_ms() is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("      firing: {stage", "      fireing: {stage"), "is not a state of the lifecycle (did you mean firing?)"),
        (("      firing: {stage: $task.status", "      firing: {stage: $task.statis"), "(did you mean status?)"),
        (("      firing: {stage: $task.status", "      firing: {stage: $quote.credits"), "a callback has no $quote"),
    ],
)
def test_misuse_is_told_in_one_line(change: tuple[str, str], said: str) -> None:
    """A mistake is told once, with its line."""
    (line,) = issues(*ALL, change)
    assert said in line
    assert line.partition(":")[0].isdecimal()
