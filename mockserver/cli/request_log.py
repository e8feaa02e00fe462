"""The log of `serve`: each request and each callback in one line on standard error, and what the server warns of.

The journal is read every moment, so that requests do not wait for the terminal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
import orjson

from mockserver.cli.lines import Line, line_of, say
from mockserver.engine.task import status_at
from mockserver.journal.record import Exchange

if TYPE_CHECKING:
    from mockserver.edge.runtime import Runtime
    from mockserver.edge.server import Server
    from mockserver.journal.journal import Entry, Journal

_PERIOD_S = 0.1
#: A terminal cannot be read faster; of more lines in one period, the number is said.
MOST_LINES = 1000
_LOG = logging.getLogger("mockserver")
_LEVELS = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}


class RequestLog:
    """Writes the log of one server, in the form and down to the level that its settings name."""

    def __init__(self, server: Server) -> None:
        settings = server.settings
        self._server = server
        self._level = logging.ERROR if settings.quiet else _LEVELS[settings.log_level]
        self._as_json = settings.log_format == "json"
        #: The journals by session, and the number of the last entry of each that was printed.
        self._printed: dict[str | None, tuple[Journal, int]] = {}
        self._handler = logging.StreamHandler()
        self._handler.setFormatter(_JsonFormatter() if self._as_json else logging.Formatter("%(message)s"))
        _LOG.addHandler(self._handler)
        _LOG.setLevel(self._level)

    def close(self) -> None:
        """Print what is left, and end."""
        self.print_new()
        _LOG.removeHandler(self._handler)

    def say_listening(self, banner: str) -> None:
        """Say where the server listens."""
        if not self._as_json:
            click.echo(banner)
            return
        server = self._server
        facts = {
            "url": server.root_url,
            "seed": server.runtime.world.chance.seed,
            "providers": {each.name: server.base_url(each.name) for each in server.providers},
            "admin_token": server.admin_token,
        }
        click.echo(orjson.dumps({"level": "info", "message": "listening", **facts}), err=True)

    async def follow_until(self, stop: asyncio.Event) -> None:
        """Print what comes, until an event is set."""
        while not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), _PERIOD_S)
            except TimeoutError:
                self.print_new()

    def print_new(self) -> None:
        """Print what has come since the last time."""
        if self._level > logging.WARNING:  # no line is worse
            return
        lines = [line for line in self._new_lines() if _LEVELS[line.level] >= self._level]
        if not lines:
            return
        write = Line.json if self._as_json else Line.text
        written = [write(line) for line in lines[:MOST_LINES]]
        if len(lines) > MOST_LINES:
            more = f"{len(lines) - MOST_LINES:,} more requests and callbacks"
            written.append(orjson.dumps({"level": "info", "message": more}).decode() if self._as_json else f"… {more}")
        say("\n".join(written), err=True)

    def _new_lines(self) -> Iterator[Line]:
        """Give the lines of what is new, session by session."""
        sessions = self._server.sessions
        found = ((None, self._server.runtime), *((name, sessions.known(name)) for name in sessions))
        printed, self._printed = self._printed, {}
        for session, runtime in found:
            if runtime is None:
                continue
            journal = runtime.journal
            before, seq = printed.get(session, (journal, 0))
            self._printed[session] = journal, journal.last_seq
            entries = journal.entries(seq if before is journal else 0)
            if not entries:
                continue
            redact = journal.redaction()
            for entry in entries:
                line = line_of(entry, _state_of(entry, runtime), session)
                yield line._replace(target=redact.text(line.target))


def _state_of(entry: Entry, runtime: Runtime) -> str | None:
    """Return the state that an entry's task had then."""
    if not isinstance(entry, Exchange) or entry.provider is None or entry.response.task_id is None:
        return None
    state = runtime.world.providers.get(entry.provider)
    task = None if state is None else state.tasks.get(entry.response.task_id)
    return None if task is None else status_at(task, entry.at_ms).status


class _JsonFormatter(logging.Formatter):
    """Writes what the server warns of as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        return orjson.dumps({"level": record.levelname.lower(), "message": record.getMessage()}).decode()
