"""Requests that stay open while their task goes on, without sockets: what each look leads to."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from multidict import CIMultiDict
from support.engine import START_MS, Client, due_deliveries, loads
from support.kilns import EVENTS, PREFERS, issues, kiln_client

from mockserver.engine.commands import run_command
from mockserver.engine.rules import Match, Schedule
from mockserver.engine.watching import Following, Step, watch_of
from mockserver.faults.null_field import NullField

FIXED = (PREFERS[0], "        wait: 300\n")
ASKED = (PREFERS[0], "        wait: {by: '$request.body#/copies', values: {'3': 5.5}, otherwise: 0}\n")
NAMELESS = ("        event: $task.status\n        every_s: 25\n        last: '[DONE]'\n", "")


#: The state so long after the submit.
STAGES = {5_000: "drying", 7_000: "drying", 60_000: "firing", 90_000: "firing", 120_000: "glazed"}


class Open:
    """An open request: what its looks have led to."""

    def __init__(self, client: Client, following: Following | None, now_ms: int) -> None:
        assert following is not None
        self.steps: list[tuple[int, Any]] = []
        self.over = self.dropped = False
        self.world = client.world
        self.watch = watch_of(following, self._send, self._drop)
        self.world.watches.add(self.watch, now_ms)

    def _send(self, now_ms: int, step: Step) -> None:
        if step.content:
            self.steps.append((now_ms - START_MS, step.content))
        self.over = step.next_ms is None

    def _drop(self) -> None:
        self.dropped = True

    def until(self, now_ms: int) -> list[tuple[int, Any]]:
        """Let time pass; return what was sent so far, with its time."""
        assert due_deliveries(self.world, now_ms) == []
        return self.steps


def submitting(client: Client, prefer: str | None = None, **fields: Any) -> Following | None:
    """Submit a task; return what the submit follows."""
    headers = CIMultiDict(client.headers())
    if prefer is not None:
        headers["Prefer"] = prefer
    content = orjson.dumps({**client.body(), **fields})
    assert client.send("POST", "/pieces", START_MS, body=content, headers=headers).status == 201
    return client.outcome.follows


def following(client: Client, task_id: str, now_ms: int) -> Open:
    """Follow the events of a task."""
    assert client.send("GET", f"/pieces/{task_id}/course", now_ms).content_type == "text/event-stream"
    return Open(client, client.outcome.follows, now_ms)


# -- a submit that waits ----------------------------------------------------------------------------


def test_the_answer_comes_at_the_end_of_the_task() -> None:
    """A wait that is longer than the task ends with it, and the answer shows the end."""
    client = kiln_client(FIXED)
    waiting = Open(client, submitting(client), START_MS)
    assert waiting.until(START_MS + 119_999) == []
    ((after_ms, response),) = waiting.until(START_MS + 120_000)
    assert (after_ms, loads(response)["stage"], response.status, waiting.over) == (120_000, "glazed", 201, True)
    assert dict(response.headers)["X-Kiln-Trace"]
    assert response.task_id == next(iter(client.state.tasks))
    assert client.world.next_due_ms() is None


@pytest.mark.parametrize(
    ("prefer", "after_ms"),
    [
        ("wait", 60_000),
        ("wait=5", 5_000),
        ("respond-async, wait=7", 7_000),
        ("Wait = 7; foo", 7_000),
        ("wait=999", 120_000),
        ("wait=90", 90_000),
        ("respond-async", None),
        ("waiting=9", None),
        ("wait=0", None),
        (None, None),
    ],
)
def test_as_long_as_the_client_prefers(prefer: str | None, after_ms: int | None) -> None:
    """`Prefer: wait` and `wait=SECONDS`; within the spec's limits; without it the answer comes at once."""
    client = kiln_client(PREFERS)
    followed = submitting(client, prefer)
    if after_ms is None:
        assert followed is None
        return
    waiting = Open(client, followed, START_MS)
    assert waiting.until(START_MS + after_ms - 1) == []
    ((at_ms, response),) = waiting.until(START_MS + after_ms)
    assert (at_ms, waiting.over) == (after_ms, True)
    assert loads(response)["stage"] == (
        "firing" if after_ms in (60_000, 90_000) else "glazed" if after_ms == 120_000 else "drying"
    )


def test_what_a_body_asks_for() -> None:
    """The time may be an expression of the body."""
    client = kiln_client(ASKED)
    assert submitting(client, copies=2) is None
    assert Open(client, submitting(client, copies=3), START_MS).until(START_MS + 5_500)[0][0] == 5_500


@pytest.mark.parametrize("command", ["complete", "fail", "cancel"])
def test_a_command_ends_the_wait(command: Any) -> None:
    """A task that is ended by a command is answered at once; a held one when the wait is over."""
    client = kiln_client(FIXED)
    waiting = Open(client, submitting(client), START_MS)
    (task_id,) = client.state.tasks
    run_command(client.world, task_id, "hold", START_MS + 1_000)
    assert waiting.until(START_MS + 200_000) == []
    run_command(client.world, task_id, command, START_MS + 200_000)
    ((at_ms, response),) = waiting.until(START_MS + 200_000)
    assert at_ms == 200_000
    assert loads(response)["stage"] in {"complete": "glazed", "fail": "cracked", "cancel": "withdrawn"}[command]


def test_a_held_task_is_answered_when_the_wait_is_over() -> None:
    """It shows what had been reached."""
    client = kiln_client(FIXED)
    waiting = Open(client, submitting(client), START_MS)
    (task_id,) = client.state.tasks
    run_command(client.world, task_id, "hold", START_MS + 1_000)
    ((at_ms, response),) = waiting.until(START_MS + 400_000)
    assert (at_ms, loads(response)["stage"]) == (300_000, "drying")


def test_a_client_that_leaves_is_forgotten() -> None:
    """Nothing is looked at for it any more."""
    client = kiln_client(FIXED)
    waiting = Open(client, submitting(client), START_MS)
    client.world.watches.remove(waiting.watch)
    assert client.state.watches == {}
    assert client.world.next_due_ms() is None
    assert waiting.until(START_MS + 400_000) == []


def test_the_end_of_the_world_is_told() -> None:
    """Who waits in a world that is thrown away is told so."""
    client = kiln_client(FIXED)
    waiting = Open(client, submitting(client), START_MS)
    client.world.watches.drop_all()
    assert (waiting.dropped, waiting.steps, client.state.watches) == (True, [], {})


def test_faults_change_the_late_answer() -> None:
    """A fault of the submit's answer changes the one that is sent, and counts once."""
    client = kiln_client(FIXED)
    rule = client.world.faults.add(NullField(field="/ticket"), Match("kiln"), Schedule(times=1), START_MS)
    waiting = Open(client, submitting(client), START_MS)
    ((_, response),) = waiting.until(START_MS + 120_000)
    assert (loads(response)["ticket"], rule.hits) == (None, 1)
    assert len(response.faults) == 1


def test_a_refused_submit_does_not_wait() -> None:
    """What makes no task is answered at once."""
    client = kiln_client(FIXED)
    assert client.send("POST", "/pieces", START_MS, body=b"{}").status == 400
    assert client.outcome.follows is None


# -- a stream of events -----------------------------------------------------------------------------


def event(stage: str, percent: int, **more: Any) -> bytes:
    """Write an event of the kiln."""
    return b"event: " + stage.encode() + b"\ndata: " + orjson.dumps({"percent": percent, **more}) + b"\n\n"


def test_an_event_for_each_change() -> None:
    """The present state, each state and each interval in which something has changed, the end; then it is over."""
    client = kiln_client(EVENTS)
    task_id = str(client.submit(START_MS).task_id)
    stream = following(client, task_id, START_MS + 5_000)
    assert stream.steps == [(5_000, event("drying", 0))]
    sent = stream.until(START_MS + 500_000)
    links = client.links(task_id, START_MS + 500_000)
    assert sent == [
        (5_000, event("drying", 0)),
        (10_000, event("firing", 0)),
        (25_000, event("firing", 13)),
        (50_000, event("firing", 36)),
        (75_000, event("firing", 58)),
        (100_000, event("firing", 81)),
        (110_000, event("cooling", 90)),
        (120_000, event("glazed", 100, files=links) + b"data: [DONE]\n\n"),
    ]
    assert stream.over
    assert client.state.watches == {}


def test_without_an_interval_states_alone() -> None:
    """Without `every_s` there is an event for each state, without `event` it has no name, without `last` no more."""
    client = kiln_client(EVENTS, NAMELESS)
    task_id = str(client.submit(START_MS).task_id)
    stream = following(client, task_id, START_MS)
    sent = [(at_ms, each.partition(b"\n")[0]) for at_ms, each in stream.until(START_MS + 500_000)]
    assert sent[:2] == [(0, b'data: {"percent":0}'), (110_000, b'data: {"percent":90}')]
    assert [at_ms for at_ms, _ in sent] == [0, 110_000, 120_000]


def test_an_ended_task_has_one_event() -> None:
    """Its stream is over at once."""
    client = kiln_client(EVENTS)
    task = client.task(client.submit(START_MS).task_id)
    stream = following(client, task.id, task.ends_ms)
    assert (len(stream.steps), stream.over) == (1, True)


def test_commands_are_seen_at_once() -> None:
    """Held, a task sends nothing; released and cancelled, it does, each at its instant."""
    client = kiln_client(EVENTS)
    task_id = str(client.submit(START_MS).task_id)
    stream = following(client, task_id, START_MS)
    stream.until(START_MS + 60_000)
    run_command(client.world, task_id, "hold", START_MS + 60_000)
    assert [at_ms for at_ms, _ in stream.until(START_MS + 500_000)] == [0, 10_000, 25_000, 50_000, 60_000]
    run_command(client.world, task_id, "release", START_MS + 500_000)
    assert stream.until(START_MS + 525_000)[5][0] == 525_000
    client.send("DELETE", f"/pieces/{task_id}", START_MS + 530_000)
    assert stream.until(START_MS + 530_000)[-1] == (530_000, event("withdrawn", 72) + b"data: [DONE]\n\n")
    assert stream.over


def test_a_stream_of_another_account_is_refused() -> None:
    """To another key, the task is unknown."""
    client = kiln_client(EVENTS)
    task_id = client.submit(START_MS).task_id
    other = Client(client.world, "kiln", "pass-1111")
    assert other.send("GET", f"/pieces/{task_id}/course", START_MS).status == 404
    assert other.outcome.follows is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ((PREFERS, ("prefer_s: 60", "prefer: 60")), "unknown key: prefer (did you mean prefer_s?)"),
        ((PREFERS, ("at_most_s: 200", "at_most_s: 20")), "is less than prefer_s (raise it, or lower prefer_s)"),
        ((PREFERS, ("at_most_s: 200", "at_most_s: long")), '"long" is not of type "number"'),
        ((FIXED, ("wait: 300", "wait: -1")), "-1 is less than the minimum of 0"),
        ((FIXED, ("wait: 300", "wait: $request.body#/copis")), "(did you mean copies?)"),
        ((FIXED, ("wait: 300", "wait: $task.elapsed_s")), "the time that a submit waits has no $task"),
        ((EVENTS, ("every_s: 25", "every: 25")), "unknown key: every (did you mean every_s?)"),
        ((EVENTS, ("every_s: 25", "every_s: 0")), "0 is less than or equal to the minimum of 0"),
        ((EVENTS, ("event: $task.status", "event: $task.statis")), "(did you mean status?)"),
        ((EVENTS, ("in: {glazed: {files", "in: {glased: {files")), "is not a state of the lifecycle (did you mean gla"),
        ((EVENTS, ("role: events", "role: event")), "there is no role 'event' (did you mean events?)"),
        (
            (("        role: estimate\n", "        role: estimate\n        wait: 3\n"),),
            "is for a submit: an estimate mak",
        ),
    ],
)
def test_misuse_is_told_in_one_line(changes: tuple[tuple[str, str], ...], said: str) -> None:
    """A mistake is told once, with its line."""
    (told,) = issues(*changes)
    assert said in told
    assert told.partition(":")[0].isdecimal()
