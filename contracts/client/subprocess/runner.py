"""Run a command in situations: a server for each situation, and a process for each job."""

from __future__ import annotations

import asyncio
import re
import socket
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

from contracts.analysis import first_end
from contracts.client.run import MOST_REQUESTS_PER_JOB, Run, media_cache_of, prompt_of
from contracts.client.situations import Situation
from contracts.client.subject import Setting, give_address
from contracts.client.subprocess.command import Command, CommandError, environment, port_of
from contracts.client.subprocess.isolated import in_namespaces
from contracts.client.subprocess.outcome import Outcome, outcome_of, text_of
from contracts.client.subprocess.pace import Pace
from contracts.client.subprocess.supervise import supervise
from contracts.client.subprocess.time_scale import scaled_environment
from contracts.journal import Delivery, Job, Journal, Record, RunnerFacts, of_records
from mockserver.certificates import Authority, AuthorityError
from mockserver.edge.server import Server
from mockserver.launch.environment import ClientFiles
from mockserver.launch.isolation import Isolation
from mockserver.media.cache import MediaCache
from mockserver.provider import Provider
from mockserver.settings import Settings

_CHECK_EVERY_S = 0.1
_HERE = "127.0.0.1"


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
    (run,) = run_commands(command, provider, [(situation, Pace(speed, time_limit_s))])
    return run


def run_commands(
    command: Command,
    provider: Provider,
    situations: Iterable[tuple[Situation, Pace]],
    *,
    at_once: int = 1,
    most_requests: int = MOST_REQUESTS_PER_JOB,
    ended: Callable[[Run], object] = lambda _run: None,
    until_s: float | None = None,
    least_limit_s: float = 60.0,
    callback_path: str = "/callback",
    isolate: bool = False,
) -> list[Run]:
    """Run a command in situations, several at once, each with its own server.

    Args:
        command: the client.
        provider: the provider whose API it uses.
        situations: the situations, each with its pace.
        at_once: how many situations run at once.
        most_requests: how many requests a job may send before it is stopped as endless.
        ended: called with each run.
        until_s: when no further situation is started, by `time.monotonic()`; such situations have no run.
        least_limit_s: how long a job may take at least, even if it lasts until after that.
        callback_path: the path of the callback URL.
        isolate: whether each situation is in a network of its own, with nothing else in it.

    Raises:
        CommandError: the CA can be neither read nor made.
    """
    try:
        files = ClientFiles.of(Authority())
    except AuthorityError as error:
        raise CommandError(str(error)) from None

    async def one(slots: asyncio.Semaphore, situation: Situation, pace: Pace) -> Run | None:
        async with slots:
            if until_s is not None and monotonic() > until_s:
                return None
            if until_s is not None:  # patience ends with the run
                pace = replace(pace, limit_s=min(pace.limit_s, max(until_s - monotonic(), least_limit_s)))
            session = _Session(command, provider, situation, pace, most_requests, callback_path, files)
            seen = await (in_namespaces(session.isolated) if isolate else session.run(media_cache_of(MediaCache)))
            run = _run_of(seen, provider, situation, pace)
        ended(run)
        return run

    async def run_all() -> list[Run]:
        slots = asyncio.Semaphore(at_once)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(slots, *each)) for each in situations]
        return [run for task in tasks if (run := task.result()) is not None]

    return asyncio.run(run_all())


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was seen of a situation, in plain values: it may come from another process."""

    records: list[dict[str, Any]]
    jobs: list[Job]
    #: The jobs, by the port that each receives callbacks at.
    by_port: dict[int, Job]
    base_url: str
    most_connections: int
    kept_from: tuple[str, ...]
    output: dict[int, str]


def _run_of(seen: _Seen, provider: Provider, situation: Situation, pace: Pace) -> Run:
    """Read what was seen."""
    journals = of_records(seen.records, [provider])
    journal = journals[0] if journals else Journal(provider, ())
    records = tuple(_drop_undeliverable(journal, seen.by_port))
    journal = replace(journal, speed=pace.speed, time_scale=pace.time_scale, records=records)
    note = _missing_requests(journal, seen.base_url)
    jobs = [replace(job, said="; ".join(filter(None, (job.said, note)))) for job in seen.jobs]
    facts = RunnerFacts(most_connections=seen.most_connections)
    journal = replace(journal, jobs=tuple(jobs), runner_facts=facts)
    return Run(situation, journal, unknown_addresses=seen.kept_from, output=seen.output)


class _Session:
    """A server, and a process for each job."""

    def __init__(
        self,
        command: Command,
        provider: Provider,
        situation: Situation,
        pace: Pace,
        most_requests: int,
        callback_path: str,
        files: ClientFiles,
    ) -> None:
        self._files = files
        self._command = command
        self._provider = provider
        self._situation = situation
        self._pace = pace
        # In scaled time more requests fit into a job of a client that only waits.
        self._most_requests = round(most_requests * max(1, pace.time_scale / 2))
        self._callback_path = callback_path
        self._output: dict[int, str] = {}

    async def isolated(self) -> _Seen:
        """Do the same in the namespaces that this process has entered; its result files are made there."""
        with tempfile.TemporaryDirectory(prefix="contracts-") as aside:
            media_cache = MediaCache(Path(aside))
            try:
                return await self.run(media_cache, isolate=True)
            finally:
                media_cache.close()

    async def run(self, media_cache: MediaCache, *, isolate: bool = False) -> _Seen:
        """Start the server, run the jobs, and return what was seen."""
        provider, situation = self._provider, self._situation
        # The provider is at the root, as in reality: its paths start after the host.
        # What Retry-After says is judged by the client's seconds, as the situation has them, whatever the speed.
        server_settings = Settings(
            port=0,
            clock="real",
            speed=self._pace.server_speed,
            retry_after="mock",
            journal_entries=100_000,
            seed=0,
            only=provider.name,
        )
        server = self._server = await Server.start(server_settings, [provider], media_cache=media_cache)
        isolation = Isolation(server, self._files) if isolate else None
        try:
            if isolation is not None:
                await isolation.start()
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
            records = list(server.runtime.journal.records())
        finally:
            if isolation is not None:
                isolation.close()
            await server.close()
        return _Seen(
            records,
            jobs,
            {port_of(setting): job for setting, job in zip(settings, jobs, strict=True) if setting.callback_url},
            server.base_url(provider.name),
            server.most_connections,
            tuple(each.host for each in server.kept_from),
            self._output,
        )

    def _settings(self) -> list[Setting]:
        """Return the setting of each job."""
        provider, base_url, jobs = self._provider, self._server.base_url(self._provider.name), self._situation.jobs
        callbacks = provider.callbacks
        # An account has one address, and each job its own receiver.
        if callbacks is None or not self._situation.callbacks or (jobs > 1 and not callbacks.url_keys):
            return [Setting.of(provider, base_url)] * jobs
        urls = [f"http://{_HERE}:{port}{self._callback_path}" for port in _free_ports(jobs)]
        runtime = self._server.runtime
        give_address(runtime.world.providers[provider.name], urls[0], runtime.clock.now_ms())
        return [Setting.of(provider, base_url, url) for url in urls]

    async def _job(self, number: int, setting: Setting, enough: asyncio.Event) -> Job:
        prompt = prompt_of(number, self._situation.scenario().prompt)
        started_ms = self._server.runtime.clock.now_ms()
        with tempfile.TemporaryDirectory(prefix="contracts-", ignore_cleanup_errors=True) as aside:
            output, limit_s = Path(aside) / "video.mp4", self._pace.limit_s
            ending = await supervise(
                self._command.filled(setting, prompt),
                scaled_environment(self._environment(setting, prompt, output), self._pace.time_scale, Path(aside)),
                self._command.cwd,
                Path(aside) / "ending.json",
                time_limit_s=limit_s,
                enough=enough,
            )
            self._output[number] = text_of(ending.out) + text_of(ending.err)
            ended_ms = self._server.runtime.clock.now_ms()
            why = f"{self._most_requests} requests for one job" if enough.is_set() else f"{limit_s:g} s"
            outcome: Outcome = outcome_of(ending, why, self._command.cwd or Path.cwd(), output)
        over = outcome.ended == "never" and not enough.is_set()
        stopped = f"stopped by the runner after {limit_s:g} s (--job-limit)" if over else ""
        return Job(number, prompt, outcome.ended, outcome.size_bytes, outcome.said, started_ms, ended_ms, stopped)

    def _environment(self, setting: Setting, prompt: str, output: Path) -> dict[str, str]:
        return environment(setting, prompt, output, self._files, self._provider.key_variables)

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
