"""Commands for a server that runs: `tasks`, `requests`, `advance`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import click

from mockserver.cli.lines import line_of_record, say
from mockserver.cli.options import option
from mockserver.cli.remote import LONGEST_ADVANCE_S, Remote, which_server

_EVERY_S = 0.5
#: So many tasks or records are asked for at once, which is the most of tasks.
_AT_ONCE = 1000


def _common(command: Any) -> Any:
    """Add the options of all these commands."""
    return which_server(click.option("--session", metavar="NAME", help="The session (default: the main one).")(command))


def _following(command: Any) -> Any:
    """Add the options of what can be followed."""
    for each in (
        click.option("--json", "as_json", is_flag=True, help="Write JSON, one object in a line."),
        click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until Ctrl-C."),
        option("--provider", metavar="NAME", help="Only those of this provider."),
    ):
        command = each(command)
    return _common(command)


@click.command()
@click.option("--status", metavar="STATE", help="Only tasks in this state.")
@_following
def tasks(
    url: str | None,
    admin_token: str | None,
    session: str | None,
    provider: str | None,
    status: str | None,
    follow: bool,
    as_json: bool,
) -> None:
    """List the tasks of a server that runs, oldest first; with --follow, each change of a state."""
    remote = Remote(url, admin_token, session)
    shown: dict[str, str] = {}
    for _ in _times(follow=follow):
        wanted = {"provider": provider, "status": status, "limit": _AT_ONCE}
        for each in reversed(remote.ask("/tasks", ("tasks",), wanted)["tasks"]):
            if shown.get(each["id"]) == each["status"]:
                continue
            shown[each["id"]] = each["status"]
            say(json.dumps(each) if as_json else _task_line(each))


def _task_line(task: dict[str, Any]) -> str:
    ends = "" if task["ended"] else "held" if task["held"] else f"ends at {task['ends_at'][11:19]}"
    progress = "" if task["progress"] is None else f"{task['progress']} %"
    parts = (task["submitted_at"][11:19], task["provider"], task["id"], task["status"], progress, task["reason"], ends)
    return "  ".join(part for part in parts if part)


@click.command()
@click.option("--task", metavar="ID", help="Only those of this task.")
@_following
def requests(
    url: str | None,
    admin_token: str | None,
    session: str | None,
    provider: str | None,
    task: str | None,
    follow: bool,
    as_json: bool,
) -> None:
    """List the requests and callbacks of a server that runs, oldest first."""
    remote = Remote(url, admin_token, session)
    last = 0
    for _ in _times(follow=follow):
        while True:
            wanted = {"provider": provider, "task": task, "after": last, "limit": _AT_ONCE}
            found = remote.ask("/requests", ("records",), wanted)["records"]
            for each in found:
                last = each["seq"]
                say(json.dumps(each) if as_json else line_of_record(each).text())
            if len(found) < _AT_ONCE:
                break


def _times(*, follow: bool) -> Iterator[None]:
    """Say how often to ask: once, or until Ctrl-C."""
    yield None
    try:
        while follow:
            time.sleep(_EVERY_S)
            yield None
    except KeyboardInterrupt:
        return


@click.command()
@click.argument("seconds", type=click.FloatRange(min=0))
@_common
def advance(url: str | None, admin_token: str | None, session: str | None, seconds: float) -> None:
    """Advance the clock of a server that runs by SECONDS, and deliver the callbacks that fall due."""
    remote = Remote(url, admin_token, session)
    fields = ("now", "attempts", "acknowledged")
    found = remote.ask("/clock", fields, body={"advance_s": seconds}, longest_s=LONGEST_ADVANCE_S)
    click.echo(f"it is {found['now']}; callbacks: {found['attempts']} attempted, {found['acknowledged']} acknowledged")
