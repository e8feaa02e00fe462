"""Run a command in situations: a server for each situation, and a process for each job."""

from __future__ import annotations

import asyncio
import re
import socket
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from contracts.analysis import first_end
from contracts.client.run import MOST_REQUESTS_PER_JOB, Run, media_cache_of, prompt_of
from contracts.client.situations import Situation
from contracts.client.subject import Setting
from contracts.client.subprocess.command import Command, environment, port_of
from contracts.client.subprocess.outcome import Outcome, outcome_of
from contracts.client.subprocess.supervise import supervise
from contracts.journal import Delivery, Job, Journal, Record, RunnerFacts, of_records
from mockserver.edge.server import Server
from mockserver.faults import all_faults
from mockserver.media.cache import MediaCache
from mockserver.provider import Provider
from mockserver.settings import Settings

_CHECK_EVERY_S = 0.1
#: How long the most patient good client waits, in real time, before it gives up; if the document does not say.
_LONGEST_PATIENCE_S = 600.0
_HERE = "127.0.0.1"


def exclusion_reason(situation: Situation, provider: Provider, *, speed: float, time_limit_s: float) -> str:
    """Return why a situation cannot be judged with a command; empty if it can."""
    if situation.jobs > 1:
        return "each job is a process, which cannot know of the others"
    poll = provider.client.poll
    for event in situation.events:
        kind = all_faults()[event.fault]
        needed_s = kind.client_waits_s  # real seconds, whatever the speed
        if kind.never_finishes:
            document_s = poll.give_up_after_s or (poll.at_most or 0) * (poll.interval_s or 0) * 1.2
            needed_s = document_s or _LONGEST_PATIENCE_S
        if needed_s >= time_limit_s:
            return f"a good client may take {needed_s:g} s to give up, and --job-limit is {time_limit_s:g} s"
        if speed != 1 and ("retry_after", "date") in event.with_:
            return "Retry-After is a date, and the server's clock is faster than the client's"
    return ""


def run_command(
    command: Command, provider: Provider, situation: Situation, *, speed: float, time_limit_s: float
) -> Run:
    """Run a command in a situation.

    Args:
        command: the client.
        provider: the provider whose API it uses.
        situation: the situation; its jobs run at once, in one process each.
        speed: seconds of the server's clock in one real second.
        time_limit_s: when a job that has not ended is stopped, in real seconds.
    """
    (run,) = run_commands(command, provider, [situation], speed=speed, time_limit_s=time_limit_s)
    return run


def run_commands(
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
    """Run a command in situations, several at once, each with its own server.

    Args:
        command: the client.
        provider: the provider whose API it uses.
        situations: the situations.
        speed: seconds of the server's clock in one real second.
        time_limit_s: when a job that has not ended is stopped, in real seconds.
        at_once: how many situations run at once.
        most_requests: how many requests a job may send before it is stopped as endless.
        ended: called with each run.
    """

    async def one(slots: asyncio.Semaphore, situation: Situation) -> Run:
        async with slots:
            run = await _Session(command, provider, situation, speed, time_limit_s, most_requests).run()
        ended(run)
        return run

    async def run_all() -> list[Run]:
        slots = asyncio.Semaphore(at_once)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(slots, situation)) for situation in situations]
        return [task.result() for task in tasks]

    return asyncio.run(run_all())


class _Session:
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
        """Start the server, run the jobs, and return the result."""
        provider, situation = self._provider, self._situation
        # The provider is at the root, as in reality: its paths start after the host.
        server_settings = Settings(
            port=0, clock="real", speed=self._speed, journal_entries=100_000, seed=0, only=provider.name
        )
        server = self._server = await Server.start(server_settings, [provider], media_cache=media_cache_of(MediaCache))
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
        journal = replace(journal, speed=self._speed, records=tuple(_drop_undeliverable(journal, by_port)))
        note = _missing_requests(journal, server.base_url(provider.name))
        jobs = [replace(job, said="; ".join(filter(None, (job.said, note)))) for job in jobs]
        facts = RunnerFacts(most_connections=server.most_connections)
        return Run(situation, replace(journal, jobs=tuple(jobs), runner_facts=facts), ())

    def _settings(self) -> list[Setting]:
        """Return the setting of each job."""
        provider, base_url, jobs = self._provider, self._server.base_url(self._provider.name), self._situation.jobs
        if provider.callbacks is None or not self._situation.callbacks:
            return [Setting.of(provider, base_url)] * jobs
        return [Setting.of(provider, base_url, f"http://{_HERE}:{port}/callback") for port in _free_ports(jobs)]

    async def _job(self, number: int, setting: Setting, enough: asyncio.Event) -> Job:
        prompt = prompt_of(number, self._situation.scenario().prompt)
        started_ms = self._server.runtime.clock.now_ms()
        with tempfile.TemporaryDirectory(prefix="contracts-", ignore_cleanup_errors=True) as aside:
            output = Path(aside) / "video.mp4"
            ending = await supervise(
                self._command.filled(setting, prompt),
                environment(setting, prompt, output),
                self._command.cwd,
                Path(aside) / "ending.json",
                time_limit_s=self._time_limit_s,
                enough=enough,
            )
            ended_ms = self._server.runtime.clock.now_ms()
            why = f"{self._most_requests} requests for one job" if enough.is_set() else f"{self._time_limit_s:g} s"
            outcome: Outcome = outcome_of(ending, why, self._command.cwd or Path.cwd(), output)
        over = outcome.ended == "never" and not enough.is_set()
        stopped = f"stopped by the runner after {self._time_limit_s:g} s (--job-limit)" if over else ""
        return Job(number, prompt, outcome.ended, outcome.size_bytes, outcome.said, started_ms, ended_ms, stopped)

    async def _watch(self, enough: asyncio.Event) -> None:
        """Stop commands that send requests without end."""
        most = self._most_requests * self._situation.jobs
        while self._server.runtime.journal.last_seq < most:  # noqa: ASYNC110 - the journal has no event for it
            await asyncio.sleep(_CHECK_EVERY_S)
        enough.set()


def _free_ports(count: int) -> list[int]:
    """Find free ports."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((_HERE, 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def _drop_undeliverable(journal: Journal, by_port: Mapping[int, Job]) -> Iterable[Record]:
    """Leave out callbacks that arrived after the job had ended, when its receiver no longer existed."""
    over_ms = {trace.task: found[0].at_ms for trace in journal.traces if (found := first_end(journal, trace))}
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


def _missing_requests(journal: Journal, base_url: str) -> str:
    """Say so if no request of the command reached an operation of the API."""
    if not journal.exchanges:
        return f"no request reached {base_url}"
    if any(each.operation is not None for each in journal.exchanges):
        return ""
    first = journal.exchanges[0]
    return f"requests reached {base_url}, but none of its operations; the first was {first.method} {first.path}"
