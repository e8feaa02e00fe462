"""What is seen of a task on its way: progress as a fraction or absent, its place in the queue, its log."""

from __future__ import annotations

from typing import Any

import pytest
from support.engine import START_MS, Client, loads
from support.kilns import issues, kiln_client

from mockserver.clock import iso_of
from mockserver.engine.commands import run_command

STATES = (
    "      drying: {lasts_s: 10}\n      firing: {lasts_s: 100, progress: {from: 0, to: 90}}\n",
    """\
      drying:
        lasts_s: 10
        queue: [4, 0]
        logs: ['{$task.id} waits', {message: soon, at_fraction: 0.9, level: warning}]
      firing:
        lasts_s: 100
        progress: [0, 90]
        logs: ['it wishes: {$input#/wish}', glows, cools]
""",
)
END = ("glazed: {kind: success}", "glazed: {kind: success, logs: [done]}")
_SHOWN = """\
            percent: $task.progress_fraction
            place: $task.queue_position
            text: $task.log_text
            lines: $task.logs
"""
SHOWN = ("            percent: $task.progress\n", _SHOWN)
ABSENT = (
    "          in: &withFiles\n",
    "          in: &withFiles\n            drying: {percent: null, place: $task.queue_position}\n",
)
LINE = ("    ends:\n", "    log_line: {said: $log.message, at: $log.at_unix_ms, level?: $log.level}\n    ends:\n")
ALL = (STATES, END, SHOWN)


def seen(client: Client, task_id: str, after_s: float) -> Any:
    """Return what a query shows so long after the start."""
    return loads(client.query(task_id, START_MS + round(after_s * 1000)))


def test_progress_as_a_fraction() -> None:
    """It is a hundredth of the percent, and 1 at the end."""
    client = kiln_client(*ALL)
    task_id = str(client.submit(START_MS).task_id)
    assert [seen(client, task_id, each)["percent"] for each in (0, 10, 60, 110, 120)] == [0, 0, 0.45, 0.9, 1]


def test_progress_may_be_absent() -> None:
    """In the states where an answer takes it away, it is not there."""
    client = kiln_client(*ALL, ABSENT)
    task_id = str(client.submit(START_MS).task_id)
    assert "percent" not in seen(client, task_id, 5)
    assert seen(client, task_id, 10)["percent"] == 0


def test_the_place_in_the_queue_falls_with_time() -> None:
    """From the first to the last place, each for as long; null in states without a queue, and at the end."""
    client = kiln_client(*ALL)
    task_id = str(client.submit(START_MS).task_id)
    places = [seen(client, task_id, each)["place"] for each in (0, 1.999, 2, 4, 6, 8, 9.999, 10, 120)]
    assert places == [4, 4, 3, 2, 1, 0, 0, None, None]


def test_lines_appear_by_the_course_of_the_task() -> None:
    """Lines without a time are spread over their state, the first at its entry; those of an end come with it."""
    client = kiln_client(*ALL)
    task_id = str(client.submit(START_MS).task_id)
    wish = client.body()["wish"]
    lines = [f"{task_id} waits", "soon", f"it wishes: {wish}", "glows", "cools", "done"]
    times = [0, 9, 10, 43.333, 76.666, 120]
    for number, after_s in enumerate(times):
        assert seen(client, task_id, after_s - 0.001 if number else 0)["lines"] == lines[: number or 1]
        shown = seen(client, task_id, after_s)
        assert shown["lines"] == lines[: number + 1]
        assert shown["text"] == "\n".join(lines[: number + 1])


def test_a_line_is_written_as_the_spec_says() -> None:
    """`log_line` gives each line its shape, with its time and level."""
    client = kiln_client(*ALL, LINE)
    task_id = str(client.submit(START_MS).task_id)
    assert seen(client, task_id, 9)["lines"] == [
        {"said": f"{task_id} waits", "at": START_MS},
        {"said": "soon", "at": START_MS + 9_000, "level": "warning"},
    ]


def test_a_held_task_stands_still() -> None:
    """While it is held, no line appears and no place is gained; then it goes on, and what was said keeps its time."""
    client = kiln_client(*ALL, LINE)
    task_id = str(client.submit(START_MS).task_id)
    run_command(client.world, task_id, "hold", START_MS + 5_000)
    before = seen(client, task_id, 5)
    assert (before["place"], len(before["lines"])) == (2, 1)
    assert seen(client, task_id, 500) == before
    run_command(client.world, task_id, "release", START_MS + 500_000)
    assert seen(client, task_id, 500) == before
    assert [seen(client, task_id, each)["place"] for each in (500.999, 501, 503)] == [2, 1, 0]
    assert len(seen(client, task_id, 503.999)["lines"]) == 1
    assert seen(client, task_id, 504)["lines"][1]["at"] == START_MS + 504_000
    run_command(client.world, task_id, "hold", START_MS + 510_000)
    run_command(client.world, task_id, "release", START_MS + 610_000)
    ats = [each["at"] - START_MS for each in seen(client, task_id, 715)["lines"]]
    assert ats == [0, 504_000, 505_000, 638_333, 671_666, 715_000]


def test_nothing_is_said_after_an_early_end() -> None:
    """A task that fails or is cancelled says no more than it had said, and what its end says."""
    client = kiln_client(*ALL)
    first, second = (str(client.submit(START_MS).task_id) for _ in range(2))
    run_command(client.world, first, "fail", START_MS + 5_000)
    run_command(client.world, second, "complete", START_MS + 20_000)
    assert seen(client, first, 500)["lines"] == [f"{first} waits"]
    assert seen(client, second, 500)["lines"][2:] == [f"it wishes: {client.body()['wish']}", "done"]


def test_times_are_iso_where_asked() -> None:
    """The instant of a line has the notations of all instants."""
    client = kiln_client(*ALL, (LINE[0], LINE[1].replace("at_unix_ms", "at_iso")))
    task_id = str(client.submit(START_MS).task_id)
    assert seen(client, task_id, 9)["lines"][1]["at"] == iso_of(START_MS + 9_000, digits=0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("queue: [4, 0]", "queue: [0, 4]"), "the place in the queue must not rise (swap them)"),
        (("queue: [4, 0]", "queue: 4"), '4 is not of type "array"'),
        (("queue: [4, 0]", "queue: [4]"), "[4] has less than 2 items"),
        (("queue: [4, 0]", "queu: [4, 0]"), "unknown key: queu (did you mean queue?)"),
        (("at_fraction: 0.9", "at_fraction: 9"), "9 is greater than the maximum of 1"),
        (("{message: soon,", "{mesage: soon,"), "unknown key: mesage (did you mean message?)"),
        (("{$task.id} waits", "{$task.progress} waits"), "use another name of $task"),
        (("{$input#/wish}", "{$input#/wich}"), "no request schema has the field 'wich' (did you mean wish?)"),
        (("$log.message", "$log.mesage"), "$log has no 'mesage' (did you mean message?)"),
        (("ticket: $task.id, stage", "ticket: $task.queue_positions, stage"), "(did you mean queue_position?)"),
        (("ticket: $task.id, stage", "ticket: $log.message, stage"), "the answer to a submit has no $log"),
    ],
)
def test_misuse_is_told_in_one_line(change: tuple[str, str], said: str) -> None:
    """A mistake is told once, with its line."""
    (told,) = issues(*ALL, LINE, change)
    assert said in told
    assert told.partition(":")[0].isdecimal()
