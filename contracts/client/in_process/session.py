"""One run: a server, a client that does its jobs, and a receiver for its callbacks, in one virtual loop."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from mimetypes import guess_type
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from contracts.client.in_process.digest_spy import CompareDigestSpy
from contracts.client.in_process.printed import JOB
from contracts.client.run import MOST_REQUESTS_PER_JOB, Run, local_authority, media_cache_of, prompt_of
from contracts.client.subject import Factory, Setting, SubjectError, give_address
from contracts.client.virtual_time.loop import VirtualLoop
from contracts.client.virtual_time.parts import as_part, in_virtual_time
from contracts.client.virtual_time.threads import VirtualThread
from contracts.journal import Job, Journal, RunnerFacts, of_records
from mockserver.clock import MANUAL_START_MS, Wall
from mockserver.edge.arrival import Arrival
from mockserver.edge.server import Server
from mockserver.media.cache import MediaCache
from mockserver.media.shape import Shape
from mockserver.provider import Provider
from mockserver.scenarios.read import Scenario
from mockserver.settings import Settings

T = TypeVar("T")

#: A job that has not ended by then never will: all links have expired. Virtual time.
LONGEST_JOB_S = 30 * 86_400.0
#: How long callbacks are awaited after the last job. Virtual time.
_AFTERWARDS_S = 3 * 3600.0
#: What `time.time()` returns at the start.
START_S = MANUAL_START_MS / 1000
_HERE = "127.0.0.1"
_LONGEST_KEPT = 4000
#: The ports of the server and the callback receiver in virtual time.
_PORT, _HOOK_PORT = 4010, 4011


class _ImmediateMediaCache(MediaCache):
    """Result files that are ready at once: no virtual time passes while one is made.

    Its worker takes no part in virtual time: it outlives the run, and no client's end may cancel it.
    """

    def __init__(self) -> None:
        with as_part(None):
            super().__init__()

    async def file(self, shape: Shape) -> Path:
        with as_part(None):
            return self.file_now(shape)


def _ca() -> str:
    with as_part(None):  # it is read, and made, in real time
        return local_authority().certificate.read_text(encoding="ascii")


def exit_error(error: SystemExit) -> str:
    """Describe a client's call of `sys.exit`."""
    return f"the client tried to exit the program: {error!r}"


class Session:
    """A server, a client, and a receiver for its callbacks."""

    def __init__(
        self,
        loop: VirtualLoop,
        factory: Factory,
        provider: Provider,
        scenario: Scenario,
        jobs: int,
        *,
        callbacks: str | None,
    ) -> None:
        self._loop = loop
        self._factory = factory
        self._provider = provider
        self._scenario = scenario
        self._jobs = jobs
        #: The path of the callback URL; None if there are no callbacks.
        self._callbacks = callbacks
        self._client: Any = None
        self._server: Server | None = None
        self._hook: asyncio.Server | None = None
        self._ended: list[Job] = []
        self._enough = loop.create_future()
        self._digest_spy = CompareDigestSpy()

    async def run(self) -> Run:
        """Start the server, run the client's jobs, and return the result."""
        server = self._server = await Server.start(
            Settings(
                port=0,
                public_url=f"http://{_HERE}:{_PORT}",
                clock="real",
                journal_entries=100_000,
                seed=0,
                webhook_url=self._account_url(),
            ),
            [self._provider],
            wall=Wall(self._loop.time, lambda: START_S + self._loop.now_s),
            media_cache=media_cache_of(_ImmediateMediaCache),
            authority=local_authority(),
        )
        self._loop.known_as[_PORT] = server.port
        by_name = socket.create_server((_HERE, 0))
        await server.also_listen(by_name, Arrival(by_name=True))
        self._loop.lead(server.mocked_hosts, by_name.getsockname()[1], _ca)
        try:
            await server.runtime.start_scenario(self._scenario)
            hook = await self._receiver() if self._callbacks is not None else None
            setting = Setting.of(self._provider, server.base_url(self._provider.name), hook)
            if hook is not None:
                runtime = server.runtime
                give_address(runtime.world.providers[self._provider.name], hook, runtime.clock.now_ms())
                self._digest_spy.start()
            try:
                await self._run_client(server, setting)
            finally:
                self._digest_spy.stop()
        finally:
            if self._hook is not None:
                self._hook.close()
            await server.close()
        return self.so_far()

    def so_far(self, why: str = "", *, hangs: bool = False, untested: str = "") -> Run:
        """Return the result so far; jobs that have not ended count as never ended, for the reason given."""
        records = () if self._server is None else self._server.runtime.journal.records()
        (journal,) = of_records(records, [self._provider]) or [Journal(self._provider, ())]
        ended = {job.number: job for job in self._ended}
        jobs = [
            ended.get(number)
            or Job(
                number, prompt_of(number, self._scenario.prompt), "never", None, why, MANUAL_START_MS, self._now_ms()
            )
            for number in range(1, self._jobs + 1)
        ]
        journal = replace(journal, jobs=tuple(jobs), runner_facts=self._facts())
        takes_callbacks = callable(getattr(self._client, "handle_callback", None))
        return Run(None, journal, tuple(dict.fromkeys(self._loop.unknown_addresses)), takes_callbacks, hangs, untested)

    def _facts(self) -> RunnerFacts:
        """Return what was observed beside the traffic."""
        connections = 0 if self._server is None else self._server.most_connections
        return replace(self._digest_spy.facts(), most_connections=connections)

    async def _run_client(self, server: Server, setting: Setting) -> None:
        try:
            made = self._factory(setting)
            self._client = await made if inspect.isawaitable(made) else made
        except (Exception, SystemExit) as error:
            raise SubjectError(f"cannot create the client: {type(error).__name__}: {error}") from error
        if not callable(getattr(self._client, "generate", None)):
            raise SubjectError(f"{type(self._client).__name__} has no method `generate`")
        self._loop.watch = lambda: self._watch(server)
        try:
            await asyncio.gather(*(self._job(number) for number in range(1, self._jobs + 1)))
            await self._await_callbacks(server)
        finally:
            self._loop.watch = None
            await self._close()

    def _watch(self, server: Server) -> None:
        """Stop the jobs of a client that sends requests without end."""
        if server.runtime.journal.last_seq >= MOST_REQUESTS_PER_JOB * self._jobs and not self._enough.done():
            self._enough.set_result(None)

    async def _job(self, number: int) -> None:
        prompt = prompt_of(number, self._scenario.prompt)
        started_ms = self._now_ms()
        JOB.set(number)
        work = asyncio.create_task(self._generate(prompt), name=f"job {number}")
        await asyncio.wait({work, self._enough}, timeout=LONGEST_JOB_S, return_when=asyncio.FIRST_COMPLETED)
        done = work.done()
        if not done:
            work.cancel()
            await asyncio.sleep(0)
        value, error = None, None
        why = ""
        if not done or work.cancelled():
            ended = "never"
            why = f"stopped after {MOST_REQUESTS_PER_JOB} requests per job" if self._enough.done() else ""
        elif (error := work.exception()) is not None:
            ended = "raised"
        else:
            ended, value = "returned", work.result()
        size, file = _made(value)
        said = _chain_text(error) or why
        job = Job(number, prompt, ended, size, said, started_ms, self._now_ms(), kept=_kept_on(error), file=file)
        self._ended.append(job)

    async def _generate(self, prompt: str) -> Any:
        try:
            return await self._call(self._client.generate, prompt)
        except SystemExit as error:
            raise RuntimeError(exit_error(error)) from None

    def _now_ms(self) -> int:
        return MANUAL_START_MS + int(self._loop.now_s * 1000)

    async def _await_callbacks(self, server: Server) -> None:
        """Wait for the callbacks that are still due, and for those that the client is handling."""
        until_s, world = self._loop.now_s + _AFTERWARDS_S, server.runtime.world
        while (world.event_queue or world.under_way) and self._loop.now_s < until_s:  # noqa: ASYNC110 - seconds are free
            await asyncio.sleep(60)

    async def _close(self) -> None:
        """Close the client, if it can be closed."""
        close = getattr(self._client, "aclose", None) or getattr(self._client, "close", None)
        if close is not None:
            closing = asyncio.create_task(self._call_quietly(close))
            await asyncio.wait({closing}, timeout=60)

    async def _call_quietly(self, close: Callable[[], Any]) -> None:
        with contextlib.suppress(Exception, SystemExit):
            await self._call(close)

    async def _call(self, function: Callable[..., Any], *given: Any) -> Any:
        """Call a function of the client: in the loop if it is async, otherwise in its own thread."""
        if inspect.iscoroutinefunction(function):
            return await function(*given)
        if not _blocks(function):
            made = function(*given)
            return await made if inspect.isawaitable(made) else made
        return await _in_thread(self._loop, function, *given)

    # -- callbacks --------------------------------------------------------------------------------

    def _account_url(self) -> str | None:
        """Return the callback URL as that of the account, where submits have no field for it."""
        rule = self._provider.callbacks
        return self._hook_url() if self._callbacks is not None and rule is not None and not rule.url_keys else None

    def _hook_url(self) -> str:
        return f"http://{_HERE}:{_HOOK_PORT}{self._callbacks}"

    async def _receiver(self) -> str:
        listener = socket.create_server((_HERE, 0))
        site = web.Server(self._handle_callback, access_log=None)
        self._hook = await self._loop.create_server(site, sock=listener)
        self._loop.known_as[_HOOK_PORT] = listener.getsockname()[1]
        return self._hook_url()

    async def _handle_callback(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        handle = getattr(self._client, "handle_callback", None)
        if handle is None:
            return web.Response(status=404)
        headers = {name.lower(): value for name, value in request.headers.items()}
        with self._digest_spy.watch(headers):
            try:
                status = await self._call(handle, headers, body)
            except SystemExit as error:
                raise RuntimeError(exit_error(error)) from None
        return web.Response(status=status if isinstance(status, int) else 200)


def _blocks(function: Any) -> bool:
    """Tell whether a call may block: the function is a plain one, not one that returns a coroutine."""
    return inspect.isfunction(function) or inspect.ismethod(function) or inspect.isbuiltin(function)


async def _in_thread(loop: VirtualLoop, function: Callable[..., T], *given: Any) -> T:
    """Run a blocking function in a thread that takes part in virtual time."""
    out: asyncio.Future[T] = loop.create_future()
    thread = VirtualThread(loop, loop.threads)

    context = contextvars.copy_context()

    def work() -> None:
        value: Any = None
        error: BaseException | None = None
        thread.begin()
        try:
            with in_virtual_time(loop, thread):
                value = context.run(function, *given)
        except BaseException as caught:  # noqa: BLE001 - it is passed on
            error = caught
        thread.call_in_loop(end, value, error)
        thread.over()

    def end(value: Any, error: BaseException | None) -> None:
        thread.end()
        if out.done():
            return
        if isinstance(error, SystemExit):
            error = RuntimeError(exit_error(error))
        if error is not None:
            out.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))
        else:
            out.set_result(value)

    with as_part(None):  # it takes part as the runner's thread
        threading.Thread(target=work, name="client", daemon=True).start()
    try:
        return await out
    except asyncio.CancelledError:
        thread.cancel()
        raise


def _made(value: Any) -> tuple[int | None, str]:
    """Return the size of a video that a client returned, as bytes or as a path, and the path."""
    if isinstance(value, bytes | bytearray | memoryview):
        return len(value), ""
    if not isinstance(value, str | Path) or not value:
        return None, ""
    with contextlib.suppress(OSError, ValueError):
        path = Path(value).resolve()
        if path.is_file() and (guess_type(path.name)[0] or "").startswith("video/"):
            return path.stat().st_size, str(path)
    return None, ""


def _chain_text(error: BaseException | None) -> str:
    """Write an error and its causes."""
    parts: list[str] = []
    while error is not None and len(parts) < 5:
        parts.append(f"{type(error).__name__}: {error}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "; ".join(parts)


def _kept_on(error: BaseException | None) -> str:
    """Write what an error and its causes hold beside their texts, such as a request id."""
    parts: list[str] = []
    while error is not None and len(parts) < 5:
        with contextlib.suppress(Exception):  # a client's `__repr__` may fail
            parts.append(repr({**vars(error), "args": error.args})[:_LONGEST_KEPT])
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "; ".join(parts)
