"""A command in situations: for each a server of its own, and a process for each job."""

from __future__ import annotations

import asyncio
import re
import socket
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.commands.command import port_of, surroundings
from contracts.commands.outcome import Outcome, told
from contracts.commands.wardship import warded
from contracts.journal import Job, Journal, of_records
from contracts.reading import first_end
from contracts.runner import MOST_REQUESTS_PER_JOB, Run, prompt_of, shelf_of
from contracts.subject import Setting
from mockserver.edge.server import Server
from mockserver.media.cache import MediaCache
from mockserver.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from contracts.commands.command import Command
    from contracts.journal import Delivery, Record
    from contracts.situations import Situation
    from mockserver.provider import Provider

_LOOKS_EVERY_S = 0.1
#: How long the most patient of good clients waits, really, before it gives up; where no document says.
_LONGEST_PATIENCE_S = 600.0
#: Faults that end only with the client's patience, which is real seconds whatever the speed.
_WAITED_OUT = {"stuck": _LONGEST_PATIENCE_S, "held_open": 60.0, "lost_callback": 180.0}
_HERE = "127.0.0.1"


def hindrance(situation: Situation, provider: Provider, *, speed: float, time_limit_s: float) -> str:
    """Say why a command's behaviour in a situation would prove nothing; empty where it does."""
    if situation.jobs > 1:
        return "jobs are a process each, which cannot know of one another"
    poll = provider.client.poll
    for event in situation.events:
        needed_s = _WAITED_OUT.get(event.fault, 0.0)
        if event.fault == "stuck":
            needed_s = poll.give_up_after_s or (poll.at_most or 0) * (poll.interval_s or 0) * 1.2 or needed_s
        if needed_s >= time_limit_s:
            return f"{event.fault}: a good client may need {needed_s:g} s until it gives up, and has {time_limit_s:g} s"
        if speed != 1 and ("retry_after", "date") in event.with_:
            return "Retry-After is a date, and the server's clock and the client's go apart"
    return ""


def play_command(
    command: Command, provider: Provider, situation: Situation, *, speed: float, time_limit_s: float
) -> Run:
    """Let a command meet a situation.

    Args:
        command: the client.
        provider: whose API it is a client of.
        situation: what it is to meet; its jobs are done at once, by a process each.
        speed: seconds of the server's clock in one real second.
        time_limit_s: when a job that has not ended is stopped, in real seconds.
    """
    (run,) = play_commands(command, provider, [situation], speed=speed, time_limit_s=time_limit_s)
    return run


def play_commands(
    command: Command,
    provider: Provider,
    situations: Iterable[Situation],
    *,
    speed: float,
    time_limit_s: float,
    at_once: int = 1,
    most_requests: int = MOST_REQUESTS_PER_JOB,
    ended: Callable[[Run], object] = lambda _run: None,
) -> list[Run]:
    """Let a command meet situations, so many at once, each with a server of its own.

    Args:
        command: the client.
        provider: whose API it is a client of.
        situations: what it is to meet.
        speed: seconds of the server's clock in one real second.
        time_limit_s: when a job that has not ended is stopped, in real seconds.
        at_once: how many situations are met side by side.
        most_requests: how many requests a job may send before it is stopped, as one that asks without end.
        ended: is told of each run.
    """

    async def one(slots: asyncio.Semaphore, situation: Situation) -> Run:
        async with slots:
            run = await _Stage(command, provider, situation, speed, time_limit_s, most_requests).run()
        ended(run)
        return run

    async def all_of_them() -> list[Run]:
        slots = asyncio.Semaphore(at_once)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(slots, situation)) for situation in situations]
        return [task.result() for task in tasks]

    return asyncio.run(all_of_them())


class _Stage:
    """A server, and a process for each job."""

    def __init__(
        self,
        command: Command,
        provider: Provider,
        situation: Situation,
        speed: float,
        time_limit_s: float,
        most_requests: int,
    ) -> None:
        self._command = command
        self._provider = provider
        self._situation = situation
        self._speed = speed
        self._time_limit_s = time_limit_s
        self._most_requests = most_requests

    async def run(self) -> Run:
        """Do it all."""
        provider, situation = self._provider, self._situation
        # The provider is at the root, as it is in reality: its paths begin after the host.
        server_settings = Settings(
            port=0, clock="real", speed=self._speed, journal_entries=100_000, seed=0, only=provider.name
        )
        server = self._server = await Server.start(server_settings, [provider], media_cache=shelf_of(MediaCache))
        try:
            await server.runtime.start_scenario(situation.scenario())
            settings = self._settings()
            enough = asyncio.Event()
            watch = asyncio.create_task(self._watch(enough))
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(self._job(*each, enough)) for each in enumerate(settings, 1)]
            finally:
                watch.cancel()
            jobs = [task.result() for task in tasks]
            journals = of_records(server.runtime.journal.records(), [provider])
        finally:
            await server.close()
        journal = journals[0] if journals else Journal(provider, ())
        by_port = {port_of(setting): job for setting, job in zip(settings, jobs, strict=True) if setting.callback_url}
        journal = replace(journal, speed=self._speed, records=tuple(_fair(journal, by_port)))
        unseen = _never_seen(journal, server.base_url(provider.name))
        jobs = [replace(job, said="; ".join(filter(None, (job.said, unseen)))) for job in jobs]
        return Run(situation, replace(journal, jobs=tuple(jobs)), ())

    def _settings(self) -> list[Setting]:
        """Return what each job is told."""
        provider, base_url, jobs = self._provider, self._server.base_url(self._provider.name), self._situation.jobs
        if provider.callbacks is None or not self._situation.callbacks:
            return [Setting.of(provider, base_url)] * jobs
        return [Setting.of(provider, base_url, f"http://{_HERE}:{port}/callback") for port in _free_ports(jobs)]

    async def _job(self, number: int, setting: Setting, enough: asyncio.Event) -> Job:
        prompt = prompt_of(number)
        started_ms = self._server.runtime.clock.now_ms()
        with tempfile.TemporaryDirectory(prefix="contracts-", ignore_cleanup_errors=True) as aside:
            output = Path(aside) / "video.mp4"
            ending = await warded(
                self._command.filled(setting, prompt),
                surroundings(setting, prompt, output),
                self._command.cwd,
                Path(aside) / "ending.json",
                time_limit_s=self._time_limit_s,
                enough=enough,
            )
            ended_ms = self._server.runtime.clock.now_ms()
            why = f"{self._most_requests} requests for one job" if enough.is_set() else f"{self._time_limit_s:g} s"
            outcome: Outcome = told(ending, why, self._command.cwd or Path.cwd(), output)
        return Job(number, prompt, outcome.ended, outcome.size_bytes, outcome.said, started_ms, ended_ms)

    async def _watch(self, enough: asyncio.Event) -> None:
        """Stop commands that ask without end."""
        most = self._most_requests * self._situation.jobs
        while self._server.runtime.journal.last_seq < most:  # noqa: ASYNC110 - the journal tells nobody
            await asyncio.sleep(_LOOKS_EVERY_S)
        enough.set()


def _free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((_HERE, 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def _fair(journal: Journal, by_port: Mapping[int, Job]) -> Iterable[Record]:
    """Leave out callbacks that met nobody because the job was over, and its process, with its receiver, gone."""
    over_ms = {story.task: found[0].at_ms for story in journal.stories if (found := first_end(journal, story))}
    gone = {
        each.seq
        for each in journal.deliveries
        if each.outcome in ("unreachable", "timeout")
        and (job := by_port.get(_port_in(each))) is not None
        and each.at_ms >= min(job.ended_ms, over_ms.get(each.task, job.ended_ms))
    }
    return [each for each in journal.records if each.seq not in gone]


def _port_in(delivery: Delivery) -> int:
    found = re.match(r"\w+://[^/]*:(\d+)", delivery.url)
    return int(found[1]) if found else 0


def _never_seen(journal: Journal, base_url: str) -> str:
    """Say so if the command never came to the API."""
    if not journal.exchanges:
        return f"no request came to {base_url}"
    if any(each.operation is not None for each in journal.exchanges):
        return ""
    first = journal.exchanges[0]
    return f"requests came to {base_url}, but none that the API knows; the first was {first.method} {first.path}"
