"""Runs a Python client in a situation, in virtual time, and brings back what went over the wire.

Client, server and the receiver of callbacks live in one event loop whose seconds cost nothing. The same
client, situation and seed give the same traffic.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import hmac
import inspect
import logging
import random
import signal
import socket
import sys
import threading
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web

from contracts.journal import Job, Journal, Witness, of_records
from contracts.subject import Setting, SubjectError
from contracts.virtual.hands import Hand
from contracts.virtual.loop import StalledError, VirtualLoop
from contracts.virtual.patches import taking_part, virtual_time
from mockserver.clock import MANUAL_START_MS, Wall
from mockserver.edge.server import Server
from mockserver.media.cache import MediaCache
from mockserver.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    from contracts.situations import Situation
    from contracts.subject import Factory
    from mockserver.media.shape import Shape
    from mockserver.provider import Provider
    from mockserver.scenarios.read import Scenario

T = TypeVar("T")

#: A job that has not ended by then never will: all links have expired. Virtual time.
LONGEST_JOB_S = 30 * 86_400.0
#: How long callbacks are waited for after the last job. Virtual time.
_AFTERWARDS_S = 3 * 3600.0
#: A client that has made so many requests for one job is stopped.
MOST_REQUESTS_PER_JOB = 1000
#: A situation that takes longer than this, really, is given up: somebody computes without end.
_LONGEST_RUN_S = 20.0
#: How often it is said again, to one that does not hear it.
_SAID_AGAIN_S = 1.0
_PATIENCE_S = 1.0
_ROUNDS = 3
_START_S = MANUAL_START_MS / 1000
_HERE = "127.0.0.1"
#: Where the server and the receiver of callbacks are, for those in virtual time.
_PORT, _HOOK_PORT = 4010, 4011


class HangsError(KeyboardInterrupt):
    """The client keeps the processor, or the event loop, for itself.

    It is one of the few that an event loop neither keeps in a task nor only writes down.
    """


class _ShelfAtOnce(MediaCache):
    """Result files that are there at once: virtual time stands still while one is made."""

    async def file(self, shape: Shape) -> Path:
        return self.file_now(shape)


_shelves: dict[type[MediaCache], MediaCache] = {}
_first_makes_it = threading.Lock()


def shelf_of(kind: type[MediaCache]) -> MediaCache:
    """Return this process's shelf of result files, whichever thread asks; it is gone when the process ends."""
    with _first_makes_it:
        if kind not in _shelves:
            _shelves[kind] = kind()
            atexit.register(_shelves[kind].close)
        return _shelves[kind]


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a situation."""

    situation: Situation | None
    journal: Journal
    #: Addresses that the client tried to reach, and nobody is there.
    strays: tuple[str, ...] = ()
    #: Whether the client has a way to be called back.
    takes_callbacks: bool = False
    #: Whether it had to be given up, after real time.
    hangs: bool = False


def play(factory: Factory, provider: Provider, situation: Situation) -> Run:
    """Let a client meet a situation.

    Raises:
        SubjectError: the client cannot be made.
    """
    run = play_scenario(
        factory,
        provider,
        situation.scenario(),
        jobs=situation.jobs,
        callbacks=situation.callbacks,
        seed=situation.seed,
    )
    return replace(run, situation=situation)


def play_scenario(
    factory: Factory, provider: Provider, scenario: Scenario, *, jobs: int, callbacks: bool, seed: int
) -> Run:
    """Let a client do so many jobs at once in a scenario.

    Raises:
        SubjectError: the client cannot be made.
    """
    loop = VirtualLoop()
    chance = random.getstate()
    random.seed(seed)
    try:
        with virtual_time(loop, _START_S), _alarm(loop), _quiet():
            asyncio.set_event_loop(loop)
            loop.set_exception_handler(lambda _loop, _context: None)
            stage = _Stage(loop, factory, provider, scenario, jobs, callbacks=callbacks)
            try:
                return loop.run_until_complete(stage.run())
            except StalledError as error:
                return stage.so_far(str(error))
            except HangsError as error:
                return stage.so_far(str(error), hangs=True)
            except SystemExit as error:
                return stage.so_far(_wants_to_end(error))
            finally:
                _wind_up(loop)
    finally:
        asyncio.set_event_loop(None)
        loop.close()
        random.setstate(chance)


def _wants_to_end(error: SystemExit) -> str:
    return f"the client wanted to end the program: {error!r}"


#: How a loop may end that is wound up; RuntimeError is what it says when it is still to stop from the time before.
_ENDINGS = (StalledError, KeyboardInterrupt, SystemExit, RuntimeError)


def _wind_up(loop: VirtualLoop) -> None:
    """End what is left over, as `asyncio.run` does; but not for ever."""
    loop.let_go()
    for _ in range(_ROUNDS):
        left = asyncio.all_tasks(loop)
        if not left:
            break
        for task in left:
            task.cancel()
        with contextlib.suppress(*_ENDINGS):
            loop.run_until_complete(asyncio.wait(left, timeout=_PATIENCE_S))
    with contextlib.suppress(*_ENDINGS):
        loop.run_until_complete(asyncio.wait_for(loop.shutdown_asyncgens(), _PATIENCE_S))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what a client logs, and what its leftovers say, from the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def _alarm(loop: VirtualLoop) -> Iterator[None]:
    """Interrupt who computes without end, and let Ctrl-C end the run; only the main thread can be.

    What a signal raises where it meets the program may be lost in a callback of the garbage collector, or in a
    client that catches everything. So it is raised between two turns of the loop, and elsewhere only if there
    has been no turn for a while; and Ctrl-C once more at the end.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    stopped = False

    def ring(_number: int, _frame: FrameType | None) -> None:
        if not loop.is_running():
            return
        error, loop.overdue = loop.overdue, None
        if error is not None:  # there has been no turn since the last time
            raise error
        why = f"given up after {_LONGEST_RUN_S:g} real seconds: it does something without end"
        loop.overdue = KeyboardInterrupt() if stopped else HangsError(why)

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        if not loop.is_running():
            raise KeyboardInterrupt
        loop.overdue = KeyboardInterrupt()
        signal.setitimer(signal.ITIMER_REAL, _SAID_AGAIN_S, _SAID_AGAIN_S)

    with contextlib.ExitStack() as stack:
        stack.callback(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, ring))
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            stack.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, stop))
        stack.callback(signal.setitimer, signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_REAL, _LONGEST_RUN_S, _SAID_AGAIN_S)
        yield
    if stopped:
        raise KeyboardInterrupt


# -- one run ----------------------------------------------------------------------------------------


class _Stage:
    """A server, a client, and a receiver for its callbacks."""

    def __init__(
        self,
        loop: VirtualLoop,
        factory: Factory,
        provider: Provider,
        scenario: Scenario,
        jobs: int,
        *,
        callbacks: bool,
    ) -> None:
        self._loop = loop
        self._factory = factory
        self._provider = provider
        self._scenario = scenario
        self._jobs = jobs
        self._callbacks = callbacks
        self._client: Any = None
        self._server: Server | None = None
        self._hook: asyncio.Server | None = None
        self._ended: list[Job] = []
        self._enough = loop.create_future()
        self._comparing = _Comparing()

    async def run(self) -> Run:
        """Do it all."""
        server = self._server = await Server.start(
            Settings(port=0, public_url=f"http://{_HERE}:{_PORT}", clock="real", journal_entries=100_000, seed=0),
            [self._provider],
            wall=Wall(self._loop.time, lambda: _START_S + self._loop.now_s),
            media_cache=shelf_of(_ShelfAtOnce),
        )
        self._loop.known_as[_PORT] = server.port
        try:
            await server.runtime.start_scenario(self._scenario)
            hook = await self._receiver() if self._callbacks else None
            setting = Setting.of(self._provider, server.base_url(self._provider.name), hook)
            if hook is not None:
                self._comparing.start()
            try:
                await self._client_at_work(server, setting)
            finally:
                self._comparing.stop()
        finally:
            if self._hook is not None:
                self._hook.close()
            await server.close()
        return self.so_far()

    def so_far(self, why: str = "", *, hangs: bool = False) -> Run:
        """Return what has come of it; jobs that have not ended by now never will, for this reason."""
        records = () if self._server is None else self._server.runtime.journal.records()
        (journal,) = of_records(records, [self._provider]) or [Journal(self._provider, ())]
        ended = {job.number: job for job in self._ended}
        jobs = [
            ended.get(number) or Job(number, prompt_of(number), "never", None, why, MANUAL_START_MS, self._now_ms())
            for number in range(1, self._jobs + 1)
        ]
        journal = replace(journal, jobs=tuple(jobs), witness=self._comparing.witness())
        takes_callbacks = callable(getattr(self._client, "handle_callback", None))
        return Run(None, journal, tuple(dict.fromkeys(self._loop.strays)), takes_callbacks, hangs)

    async def _client_at_work(self, server: Server, setting: Setting) -> None:
        try:
            made = self._factory(setting)
            self._client = await made if inspect.isawaitable(made) else made
        except (Exception, SystemExit) as error:
            raise SubjectError(f"the client cannot be made: {type(error).__name__}: {error}") from error
        if not callable(getattr(self._client, "generate", None)):
            raise SubjectError(f"{type(self._client).__name__} has no method `generate`")
        self._loop.watch = lambda: self._watch(server)
        try:
            await asyncio.gather(*(self._job(number) for number in range(1, self._jobs + 1)))
            await self._afterwards(server)
        finally:
            self._loop.watch = None
            await self._part()

    def _watch(self, server: Server) -> None:
        """Stop jobs whose client asks without end."""
        if server.runtime.journal.last_seq >= MOST_REQUESTS_PER_JOB * self._jobs and not self._enough.done():
            self._enough.set_result(None)

    async def _job(self, number: int) -> None:
        prompt = prompt_of(number)
        started_ms = self._now_ms()
        work = asyncio.create_task(self._generated(prompt), name=f"job {number}")
        await asyncio.wait({work, self._enough}, timeout=LONGEST_JOB_S, return_when=asyncio.FIRST_COMPLETED)
        done = work.done()
        if not done:
            work.cancel()
            await asyncio.sleep(0)
        value, error = None, None
        why = ""
        if not done or work.cancelled():
            ended = "never"
            why = f"stopped after {MOST_REQUESTS_PER_JOB} requests a job" if self._enough.done() else ""
        elif (error := work.exception()) is not None:
            ended = "raised"
        else:
            ended, value = "returned", work.result()
        size = len(value) if isinstance(value, bytes | bytearray | memoryview) else None
        self._ended.append(Job(number, prompt, ended, size, _said(error) or why, started_ms, self._now_ms()))

    async def _generated(self, prompt: str) -> Any:
        try:
            return await self._called(self._client.generate, prompt)
        except SystemExit as error:
            raise RuntimeError(_wants_to_end(error)) from None

    def _now_ms(self) -> int:
        return MANUAL_START_MS + int(self._loop.now_s * 1000)

    async def _afterwards(self, server: Server) -> None:
        """Wait for the callbacks that are still to come."""
        until_s = self._loop.now_s + _AFTERWARDS_S
        while server.runtime.world.event_queue and self._loop.now_s < until_s:  # noqa: ASYNC110 - seconds are free
            await asyncio.sleep(60)
        await server.runtime.dispatcher.drain_due()

    async def _part(self) -> None:
        """Let the client go."""
        close = getattr(self._client, "aclose", None) or getattr(self._client, "close", None)
        if close is not None:
            closing = asyncio.create_task(self._closed(close))
            await asyncio.wait({closing}, timeout=60)

    async def _closed(self, close: Callable[[], Any]) -> None:
        with contextlib.suppress(Exception, SystemExit):
            await self._called(close)

    async def _called(self, function: Callable[..., Any], *given: Any) -> Any:
        """Call something of the client's: in the loop if it is async, in a thread of its own if not."""
        if inspect.iscoroutinefunction(function):
            return await function(*given)
        if not _blocks(function):
            made = function(*given)
            return await made if inspect.isawaitable(made) else made
        return await _in_thread(self._loop, function, *given)

    # -- callbacks --------------------------------------------------------------------------------

    async def _receiver(self) -> str:
        listener = socket.create_server((_HERE, 0))
        site = web.Server(self._called_back, access_log=None)
        self._hook = await self._loop.create_server(site, sock=listener)
        self._loop.known_as[_HOOK_PORT] = listener.getsockname()[1]
        return f"http://{_HERE}:{_HOOK_PORT}/callback"

    async def _called_back(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        handle = getattr(self._client, "handle_callback", None)
        if handle is None:
            return web.Response(status=404)
        headers = {name.lower(): value for name, value in request.headers.items()}
        with self._comparing.of(headers):
            try:
                status = await self._called(handle, headers, body)
            except SystemExit as error:
                raise RuntimeError(_wants_to_end(error)) from None
        return web.Response(status=status if isinstance(status, int) else 200)


def prompt_of(number: int) -> str:
    """Return the prompt of a job, by which it is known in the traffic."""
    return f"A red kite over the sea, take {number}."


def _blocks(function: Any) -> bool:
    """Tell whether calling something may block: it is a plain function, not one that gives a coroutine."""
    return inspect.isfunction(function) or inspect.ismethod(function) or inspect.isbuiltin(function)


async def _in_thread(loop: VirtualLoop, function: Callable[..., T], *given: Any) -> T:
    """Run something that blocks in a thread that takes part in virtual time."""
    out: asyncio.Future[T] = loop.create_future()
    hand = Hand(loop)

    def work() -> None:
        value: Any = None
        error: BaseException | None = None
        hand.begin()
        try:
            with taking_part(hand):
                value = function(*given)
        except BaseException as caught:  # noqa: BLE001 - it is given on
            error = caught
        hand.tell(end, value, error)
        hand.over()

    def end(value: Any, error: BaseException | None) -> None:
        hand.end()
        if out.done():
            return
        if isinstance(error, SystemExit):
            error = RuntimeError(_wants_to_end(error))
        if error is not None:
            out.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))
        else:
            out.set_result(value)

    threading.Thread(target=work, name="client", daemon=True).start()
    try:
        return await out
    except asyncio.CancelledError:
        hand.let_go()
        raise


def _said(error: BaseException | None) -> str:
    """Write down an error, and what it was raised from."""
    parts: list[str] = []
    while error is not None and len(parts) < 5:
        parts.append(f"{type(error).__name__}: {error}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "; ".join(parts)


class _Comparing:
    """Sees whether signatures are compared in constant time: whether `hmac.compare_digest` is called.

    That is called by many names: clients have imported it, before this or only now.
    """

    _real: Callable[..., bool] = staticmethod(hmac.compare_digest)
    _calls = 0

    def __init__(self) -> None:
        self._places: list[tuple[dict[str, Any], str]] = []
        self._signed = self._compared = 0

    @staticmethod
    def _seen(a: Any, b: Any, /) -> bool:
        _Comparing._calls += 1
        return _Comparing._real(a, b)

    def start(self) -> None:
        """Begin to look."""
        self._places = [
            (vars(module), name)
            for module in list(sys.modules.values())
            if isinstance(module, ModuleType)
            for name, value in list(vars(module).items())
            if value is self._real
        ]
        for names, name in self._places:
            names[name] = self._seen

    def stop(self) -> None:
        """Look no longer."""
        for names, name in self._places:
            names[name] = self._real

    @contextlib.contextmanager
    def of(self, headers: dict[str, str]) -> Iterator[None]:
        """Look at the handling of one callback."""
        before = _Comparing._calls
        yield
        if any("signature" in name for name in headers):
            self._signed += 1
            self._compared += _Comparing._calls > before

    def witness(self) -> Witness:
        """Say what was seen."""
        return Witness(self._signed, self._compared)
