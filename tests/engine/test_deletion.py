"""Deletion: the task is gone, with its links; what it held is free again."""

from __future__ import annotations

import pytest
from support.engine import RECEIVER, START_MS, Client, due_deliveries, loads
from support.kilns import FREE_ADDRESS, issues, kiln_client

from mockserver.engine.keeping import Bounds
from mockserver.provider import UCR

_DELETE = """\
      x-mock:
        role: delete
        task: $request.path.ticket
        reply:
          status: 200
          body: {ticket: $task.id, stage: $task.status, gone: true}
  /quotes:
"""
#: The kiln deletes where it otherwise cancels.
_CANCELS = (
    "      x-mock:\n        role: cancel\n        task: $request.path.ticket\n        reply:\n          status: 200\n"
    "          body: *piece\n          in: *withFiles\n  /quotes:\n"
)
DELETES = (_CANCELS, _DELETE)
ENDED_ONLY = (
    _CANCELS,
    _DELETE.replace("role: delete\n", "role: delete\n        states: [glazed, cracked]\n"),
)


def delete(client: Client, task_id: str | None, now_ms: int) -> int:
    """Delete a task; return the status of the answer."""
    return client.send("DELETE", f"/pieces/{task_id}", now_ms).status


def test_a_deleted_task_is_gone() -> None:
    """The answer shows the task as it was; from then on it is unknown, unlisted, and its links lead nowhere."""
    client = kiln_client(DELETES)
    task = client.task(client.submit(START_MS).task_id)
    other = client.submit(START_MS).task_id
    (link, _) = client.links(task.id, task.ends_ms)
    assert client.fetch(link, task.ends_ms).status == 200
    reply = client.send("DELETE", f"/pieces/{task.id}", task.ends_ms)
    assert (reply.status, reply.task_id) == (200, task.id)
    assert loads(reply) == {"ticket": task.id, "stage": "glazed", "gone": True}
    for method in ("GET", "DELETE"):
        reply = client.send(method, f"/pieces/{task.id}", task.ends_ms)
        assert (reply.status, reply.error) == (404, "lost")
    assert client.fetch(link, task.ends_ms).status == 404
    listed = loads(client.ask("list", task.ends_ms))
    assert ([each["ticket"] for each in listed["pieces"]], listed["total"]) == ([other], 1)


def test_a_running_task_frees_its_credits_and_sends_no_callback() -> None:
    """Deleted before its end, a task costs nothing, runs no longer, and calls nobody back."""
    client = kiln_client(DELETES, FREE_ADDRESS)
    before = client.account.available_ucr
    task = client.task(client.submit(START_MS, callback=RECEIVER).task_id)
    assert client.account.available_ucr < before
    assert delete(client, task.id, START_MS + 50_000) == 200
    assert (client.account.available_ucr, client.account.spent_ucr) == (before, 0)
    assert client.account.running_tasks(START_MS + 50_000) == 0
    assert due_deliveries(client.world, task.ends_ms + 1) == []
    assert client.world.next_due_ms() is None


def test_an_ended_task_stays_charged() -> None:
    """What was made is paid for, also if it is deleted before anyone has read the balance."""
    client = kiln_client(DELETES)
    task = client.task(client.submit(START_MS).task_id)
    assert delete(client, task.id, task.ends_ms) == 200
    client.account.settle(task.ends_ms)
    assert client.account.spent_ucr == 7 * UCR


def test_in_some_states_only() -> None:
    """In another state than the listed ones, the provider's error is the answer, and the task is still there."""
    client = kiln_client(ENDED_ONLY)
    task = client.task(client.submit(START_MS).task_id)
    reply = client.send("DELETE", f"/pieces/{task.id}", START_MS)
    assert (reply.status, reply.error, reply.gate) == (409, "over", "delete")
    assert loads(reply)["about"] == "the task is drying"
    assert client.query(task.id, START_MS).status == 200
    assert delete(client, task.id, task.ends_ms) == 200


def test_only_its_owner_deletes_a_task() -> None:
    """To another key, the task is unknown."""
    client = kiln_client(DELETES)
    task_id = client.submit(START_MS).task_id
    assert delete(Client(client.world, "kiln", "pass-1111"), task_id, START_MS) == 404
    assert client.query(str(task_id), START_MS).status == 200


def test_deleted_tasks_make_room() -> None:
    """A deleted task does not count among those that the server keeps."""
    client = kiln_client(DELETES)
    client.state.kept_tasks.bounds = Bounds(2)
    first, second = client.submit(START_MS).task_id, client.submit(START_MS).task_id
    assert delete(client, second, START_MS) == 200
    third = client.submit(START_MS).task_id
    assert list(client.state.tasks) == [first, third]
    fourth = client.submit(START_MS).task_id
    assert list(client.state.tasks) == client.account.tasks == [third, fourth]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("states: [glazed, cracked]", "states: [glased, cracked]"),
            "is not a state of the lifecycle (did you mean gla",
        ),
        (("states: [glazed, cracked]", "states: []"), "[] has less than 1 item"),
        (("states: [glazed, cracked]", "state: [glazed]"), "unknown key: state (did you mean states?)"),
        (("role: delete\n", "role: delet\n"), "there is no role 'delet' (did you mean delete?)"),
        (("gone: true", "gone: $quote.credits"), "the answer to a delete has no $quote"),
    ],
)
def test_misuse_is_told_in_one_line(change: tuple[str, str], said: str) -> None:
    """A mistake is told once, with its line."""
    (told,) = issues(ENDED_ONLY, change)
    assert said in told
    assert told.partition(":")[0].isdecimal()
