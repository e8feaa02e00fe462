"""What the journal holds in one line each, for a terminal, or as JSON for a log."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import click
import orjson

from mockserver.clock import iso_of
from mockserver.journal.record import DeliveryAttempt, Exchange

#: Where the time of day begins and ends in an instant.
_TIME = slice(11, 23)
_COLOURS = {1: "cyan", 2: "green", 3: "cyan", 4: "yellow", 5: "red"}


def say(text: str, *, err: bool = False) -> None:
    """Print lines, coloured on a terminal unless NO_COLOR is set."""
    click.echo(text, err=err, color=False if os.environ.get("NO_COLOR") else None)


class Line(NamedTuple):
    """One exchange, or one attempt at a callback."""

    #: In mock time, ISO 8601.
    at: str
    #: `exchange` or `delivery`, as in the journal.
    kind: str
    provider: str | None
    method: str
    #: The request target, or the URL of the receiver.
    target: str
    #: None where there was no answer.
    status: int | None
    task: str | None
    #: The task's state; of a callback, its event.
    state: str | None
    #: The error, or why an attempt failed.
    error: str | None
    faults: tuple[str, ...]
    session: str | None = None

    def text(self) -> str:
        """Write the line for people, in colours; `say` leaves them out where they are not wanted."""
        status = "---" if self.status is None else str(self.status)
        status = click.style(status, fg=_COLOURS.get((self.status or 500) // 100, "red"))
        what = f"{self.method} {self.target}" if self.kind == "exchange" else f"callback {self.state} to {self.target}"
        task = None if self.task is None or self.task in self.target else self.task
        parts = [self.at[_TIME], self.provider or "-", status, what, task]
        if self.kind == "exchange":
            parts.append(self.state)
        if self.error is not None:
            parts.append(click.style(self.error, fg="yellow"))
        if self.faults:
            parts.append(click.style(f"fault: {', '.join(self.faults)}", fg="magenta"))
        if self.session is not None:
            parts.append(f"session {self.session}")
        return "  ".join(part for part in parts if part)

    def json(self) -> str:
        """Write the line for programs."""
        return orjson.dumps({"level": self.level, **self._asdict()}).decode()

    @property
    def level(self) -> str:
        """`warning` where the provider failed or a callback did not arrive, otherwise `info`."""
        has_failed = self.error is not None if self.kind == "delivery" else (self.status or 500) >= 500
        return "warning" if has_failed else "info"


def line_of(entry: Exchange | DeliveryAttempt, state: str | None, session: str | None = None) -> Line:
    """Make the line of an entry; its target is not redacted. `state` is the task's."""
    if isinstance(entry, Exchange):
        found = entry.response
        return Line(
            iso_of(entry.at_ms),
            "exchange",
            entry.provider,
            entry.method,
            entry.target,
            entry.status or None,
            found.task_id,
            state,
            found.error,
            found.faults,
            session,
        )
    delivery, attempt = entry.delivery, entry.attempt
    return Line(
        iso_of(entry.at_ms),
        "delivery",
        delivery.provider,
        "POST",
        delivery.url,
        attempt.status,
        delivery.task_id,
        delivery.event,
        _failure(attempt.outcome, attempt.detail),
        delivery.faults,
        session,
    )


def _failure(outcome: str, detail: str) -> str | None:
    """Say why an attempt at a callback failed; None where it did not."""
    return None if outcome == "acknowledged" else " ".join(f"{outcome} {detail}".split())


def line_of_record(record: dict[str, Any]) -> Line:
    """Make the line of a record, which does not tell the task's state."""
    request, response = record["request"], record["response"]
    is_exchange = record["kind"] == "exchange"
    if is_exchange:
        error = record["error"]
        target = f"{request['path']}?{request['query']}" if request["query"] else request["path"]
    else:
        error = _failure(record["outcome"], record["detail"])
        target = request["url"]
    return Line(
        record["at"],
        record["kind"],
        record["provider"],
        request["method"],
        target,
        None if response is None else response["status"],
        record["task"],
        None if is_exchange else record["event"],
        error,
        tuple(record["faults"]),
    )
