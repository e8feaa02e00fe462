"""Several ways to end by a cancel: by the state in which it comes, and through states that take their time."""

from __future__ import annotations

import pytest
from support.engine import RECEIVER, START_MS, Client, due_deliveries, loads
from support.kilns import FREE_ADDRESS, issues, kiln_client

from mockserver.engine.commands import run_command
from mockserver.engine.task import TaskEndedError

_REASONS = "        reasons:\n          asked: {message: Its owner wanted it back}\n"
TWO = (
    "      withdrawn:\n        kind: cancellation\n" + _REASONS,
    "      returned: {kind: cancellation, states: [drying]}\n"
    "      withdrawn:\n        kind: cancellation\n        through: {quenching: 4, sweeping: {from: 2, to: 9}}\n"
    + _REASONS,
)
EVENT = (
    "      cracked: {bad: news",
    "      withdrawn: {ticket: $task.id, stage: $task.status}\n      cracked: {bad: news",
)
ONLY_FIRING = ("        role: cancel\n", "        role: cancel\n        states: [firing]\n")


def cancel(client: Client, task_id: str, now_ms: int) -> tuple[int, str]:
    """Cancel a task; return the status of the answer, and the state or the error in it."""
    reply = client.send("DELETE", f"/pieces/{task_id}", now_ms)
    return reply.status, str(loads(reply).get("stage") or reply.error)


def stage(client: Client, task_id: str, now_ms: int) -> tuple[str, int]:
    """Return the state and progress that a query shows."""
    body = loads(client.query(task_id, now_ms))
    return body["stage"], body["percent"]


def test_before_the_start_it_ends_otherwise() -> None:
    """In the states of an end a cancel leads there, at once; in all others to the end without states."""
    client = kiln_client(TWO)
    task_id = str(client.submit(START_MS).task_id)
    assert cancel(client, task_id, START_MS + 9_999) == (200, "returned")
    assert stage(client, task_id, START_MS + 10_000) == ("returned", 0)
    other = str(client.submit(START_MS).task_id)
    assert cancel(client, other, START_MS + 10_000) == (200, "quenching")


def test_through_states_to_the_end() -> None:
    """A cancelled task goes through the states on the way to its end, each for its time; its progress stays."""
    client = kiln_client(TWO, FREE_ADDRESS, EVENT)
    before = client.account.available_ucr
    task_id = str(client.submit(START_MS, callback=RECEIVER).task_id)
    at_ms = START_MS + 60_000
    assert cancel(client, task_id, at_ms) == (200, "quenching")
    ends_ms = client.task(task_id).ends_ms
    assert 6_000 <= ends_ms - at_ms <= 13_000
    seen = [stage(client, task_id, each) for each in (at_ms + 3_999, at_ms + 4_000, ends_ms - 1, ends_ms)]
    assert seen == [("quenching", 45), ("sweeping", 45), ("sweeping", 45), ("withdrawn", 45)]
    assert client.account.running_tasks(ends_ms - 1) == 1
    assert client.account.running_tasks(ends_ms) == 0
    assert client.account.available_ucr == before
    ((due_ms, delivery),) = due_deliveries(client.world, ends_ms)
    assert (due_ms, delivery.event) == (ends_ms, "withdrawn")


def test_cancelled_again_it_goes_on() -> None:
    """A second cancel on the way to the end changes nothing; after the end it is refused."""
    client = kiln_client(TWO)
    task_id = str(client.submit(START_MS).task_id)
    cancel(client, task_id, START_MS + 20_000)
    task = client.task(task_id)
    assert cancel(client, task_id, START_MS + 25_000) == (200, "sweeping")
    assert client.task(task_id) is task
    assert cancel(client, task_id, task.ends_ms) == (409, "over")


def test_the_way_to_the_end_is_the_same_for_one_seed() -> None:
    """A duration from a range is drawn for the task."""

    def ends(seed: int) -> list[int]:
        client = kiln_client(TWO, seed=seed)
        ids = [str(client.submit(START_MS).task_id) for _ in range(8)]
        for each in ids:
            cancel(client, each, START_MS + 20_000)
        return [client.task(each).ends_ms for each in ids]

    assert ends(7) == ends(7)
    assert len(set(ends(7))) > 4
    assert ends(7) != ends(8)


def test_on_the_way_it_can_be_held() -> None:
    """Held in a state on the way to its end, a task stays there; released, it goes on for what was left."""
    client = kiln_client(TWO)
    task_id = str(client.submit(START_MS).task_id)
    at_ms = START_MS + 60_000
    cancel(client, task_id, at_ms)
    ends_ms = client.task(task_id).ends_ms
    run_command(client.world, task_id, "hold", at_ms + 1_000)
    assert stage(client, task_id, at_ms + 50_000) == ("quenching", 45)
    run_command(client.world, task_id, "release", at_ms + 50_000)
    assert stage(client, task_id, at_ms + 52_999) == ("quenching", 45)
    assert stage(client, task_id, at_ms + 53_000) == ("sweeping", 45)
    assert client.task(task_id).ends_ms == ends_ms + 49_000
    run_command(client.world, task_id, "cancel", at_ms + 53_000)
    with pytest.raises(TaskEndedError):
        run_command(client.world, task_id, "hold", at_ms + 53_000)


def test_a_cancel_may_work_in_some_states_only() -> None:
    """In another state, the provider's error is the answer, and the task goes on."""
    client = kiln_client(ONLY_FIRING)
    task_id = str(client.submit(START_MS).task_id)
    assert cancel(client, task_id, START_MS) == (409, "over")
    assert cancel(client, task_id, START_MS + 10_000) == (200, "withdrawn")


def test_without_an_end_for_the_state_a_cancel_is_refused() -> None:
    """Where each end of a cancel is for some states, it is refused in the others."""
    client = kiln_client(("        kind: cancellation\n", "        kind: cancellation\n        states: [drying]\n"))
    first, second = (str(client.submit(START_MS).task_id) for _ in range(2))
    assert cancel(client, first, START_MS) == (200, "withdrawn")
    assert cancel(client, second, START_MS + 10_000) == (409, "over")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("states: [drying]", "states: [dryng]"), "is not a state on the way (did you mean drying?)"),
        ((", states: [drying]", ""), "is a second end of kind cancellation (give one of the two `states`"),
        (
            ("kind: cancellation, states", "kind: failure, states"),
            "is for a cancellation, and this is a failure (remove",
        ),
        (("quenching: 4", "quenching: soon"), '"soon" is not of type "number"'),
        (("quenching: 4", "firing: 4"), "is also the name of another state (rename it)"),
        (("{from: 2, to: 9}", "{from: 10, to: 9}"), "`from` is greater than `to` (swap them)"),
        (("{from: 2, to: 9}", "{from: 2}"), "missing required key `to`"),
        (("through: {quen", "trough: {quen"), "unknown key: trough (did you mean through?)"),
        (("        role: cancel\n", "        role: cancel\n        states: [sweping]\n"), "(did you mean sweeping?)"),
    ],
)
def test_misuse_is_told_in_one_line(change: tuple[str, str], said: str) -> None:
    """A mistake is told once, with its line."""
    (told,) = issues(TWO, change)
    assert said in told
    assert told.partition(":")[0].isdecimal()
