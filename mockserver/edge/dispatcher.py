"""Delivers callbacks: takes from the agenda what has fallen due, makes the attempt, reports how it went.

One receiver never holds up another: each origin has a lane of its own, with a bounded number of attempts
under way. A receiver's slowness is wall time; it is never scaled.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from mockserver.clock import TimeWouldGoBackError
from mockserver.engine.callbacks import Attempt, AttemptResult
from mockserver.engine.targets import address_problem

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from mockserver.clock import Clock
    from mockserver.engine.callbacks import Delivery
    from mockserver.engine.world import World
    from mockserver.journal import Answer, Journal
    from mockserver.provider import CallbackTarget, TargetMode

RESPONSE_BYTES_READ = 65_536
_LOG = logging.getLogger("mockserver")
_POPPED_AT_ONCE = 64
_LONGEST_WAIT_S = 30.0


class BlockedAddressError(OSError):
    """A receiver's name leads only to addresses that no callback may go to."""


class AdvanceUnderWayError(Exception):
    """The clock is already being moved, or must not be until this instant's callbacks have been attempted."""


class _Answer(NamedTuple):
    """How an attempt went on the wire."""

    outcome: AttemptResult
    status: int | None
    detail: str
    response: Answer | None = None


class _JudgingResolver(AbstractResolver):
    """Resolves a name once and lets through only addresses that may be called; the connection goes to these."""

    def __init__(self, target: CallbackTarget, mode: TargetMode) -> None:
        self._target = target
        self._mode: TargetMode = mode
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        problem = None
        allowed = []
        for result in found:
            why = address_problem(ipaddress.ip_address(result["host"]), self._target, self._mode)
            if why is None:
                allowed.append(result)
            problem = why or problem
        if not allowed and problem is not None:
            raise BlockedAddressError(f"{host} {problem}")
        return allowed

    async def close(self) -> None:
        await self._inner.close()


class Report(NamedTuple):
    """What an advance of the clock did."""

    attempts: int
    acknowledged: int
    failed: int


class _OriginQueue:
    """The deliveries that wait for one origin, and how many attempts are under way there."""

    __slots__ = ("running", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Delivery] = deque()
        self.running = 0


class CallbackDispatcher:
    """Drives the agenda of one world by one clock.

    Args:
        per_origin: attempts under way at once to one receiver. 1 makes the order of everything that
            receivers do repeatable; it is the default of the manual clock.
    """

    def __init__(
        self,
        world: World,
        clock: Clock,
        journal: Journal,
        *,
        per_origin: int,
        tls: ssl.SSLContext | bool = True,
        user_agent: str = "mockserver",
        wall_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._world = world
        self._clock = clock
        self._journal = journal
        self._per_origin = per_origin
        self._tls = tls
        self._user_agent = user_agent
        self._wall_s = wall_s
        self._lanes: dict[str, _OriginQueue] = {}
        #: How many deliveries of a task wait in a lane or are being attempted, and who waits for them.
        self._in_lanes: dict[str, int] = {}
        self._awaited: dict[str, asyncio.Event] = {}
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._advancing = False
        self._settling = 0
        self._closed = False
        self._pump: asyncio.Task[None] | None = None
        self._attempts = self._acknowledged = 0

    def start(self) -> None:
        """Begin to deliver what falls due."""
        self._pump = asyncio.create_task(self._run(), name="callbacks")

    async def close(self) -> None:
        """Stop; attempts under way are cut off, and whoever waits for them waits no longer."""
        self._closed = True
        running = [task for task in (self._pump, *self._workers) if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._lanes.clear()
        self._idle.set()
        for awaited in self._awaited.values():
            awaited.set()
        for session in self._sessions.values():
            await session.close()

    def wake(self) -> None:
        """Look at the agenda again: something was put on it."""
        self._wake.set()

    async def drain_due(self) -> None:
        """Wait until everything that is due at this instant has been attempted.

        Not where somebody waits for that already, as when a receiver gives commands from inside its handler,
        nor on a running clock, where what is due goes out by itself.
        """
        if self._advancing or self._settling or self._clock.speed:
            return
        self._settling += 1
        try:
            await self._deliver_due()
            await self._idle.wait()
        finally:
            self._settling -= 1

    async def deliver_now(self, task_id: str) -> None:
        """Wait until what is due of one task has been attempted, on any clock.

        Not where somebody waits for all that is due, as when a receiver submits from inside its handler; nor for
        other tasks' callbacks, of which this request may be a part.
        """
        if self._advancing or self._settling:
            return
        await self._deliver_due()
        if self._closed or task_id not in self._in_lanes:
            return
        attempted = self._awaited[task_id] = asyncio.Event()
        try:
            await asyncio.wait_for(attempted.wait(), _LONGEST_WAIT_S)
        except TimeoutError:
            pass
        finally:
            del self._awaited[task_id]

    async def advance_to(self, instant_ms: int) -> Report:
        """Move the clock on, doing on the way all that falls due, in due order, retries included.

        Raises:
            TimeWouldGoBackError: the instant has passed.
            AdvanceUnderWayError: the clock is already being moved, or somebody waits for this instant's
                callbacks; a receiver may query, but not advance.
        """
        if self._advancing or self._settling:
            raise AdvanceUnderWayError
        clock, world = self._clock, self._world
        if instant_ms < (now_ms := clock.now_ms()):
            raise TimeWouldGoBackError(instant_ms, now_ms)
        attempts, acknowledged = self._attempts, self._acknowledged
        self._advancing = True
        try:
            await self._idle.wait()
            while not self._closed and (due_ms := world.next_due_ms()) is not None and due_ms <= instant_ms:
                clock.reach(due_ms)
                await self._deliver_due()
                await self._idle.wait()
            clock.reach(instant_ms)
        finally:
            self._advancing = False
            self._wake.set()
        made, good = self._attempts - attempts, self._acknowledged - acknowledged
        return Report(made, good, made - good)

    async def _run(self) -> None:
        while True:
            due_ms = self._world.next_due_ms()
            wait_s = None if due_ms is None or self._advancing else self._clock.wall_wait_s(due_ms)
            if due_ms is not None and due_ms <= self._clock.now_ms() and not self._advancing:
                await self._deliver_due()
                continue
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait_s)

    async def _deliver_due(self) -> None:
        """Hand everything that is due to its lane; let others in between."""
        popped = 0
        while not self._closed:
            try:
                due = self._world.pop_due(self._clock.now_ms())
            except Exception as error:  # noqa: BLE001 - a callback that cannot be written must not stop the others
                _LOG.error("cannot make a callback: %r", error)
                continue
            if due is None:
                break
            self._hand_over(due[1])
            popped += 1
            if popped % _POPPED_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _hand_over(self, delivery: Delivery) -> None:
        parts = urlsplit(delivery.url)
        origin = "" if self._per_origin == 1 else f"{parts.scheme}://{parts.netloc}"
        lane = self._lanes.get(origin)
        if lane is None:
            lane = self._lanes[origin] = _OriginQueue()
        lane.waiting.append(delivery)
        self._in_lanes[delivery.task_id] = self._in_lanes.get(delivery.task_id, 0) + 1
        self._idle.clear()
        if lane.running < self._per_origin:
            lane.running += 1
            worker = asyncio.create_task(self._work(origin, lane))
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self, origin: str, lane: _OriginQueue) -> None:
        try:
            while lane.waiting:
                delivery = lane.waiting.popleft()
                try:
                    await self._attempt(delivery)
                except Exception as error:  # noqa: BLE001 - whatever goes wrong with one, the others go on
                    _LOG.error("cannot deliver %s: %r", delivery.id, error)
                self._out_of_lane(delivery.task_id)
        finally:
            lane.running -= 1
            if not lane.running and not lane.waiting:
                self._lanes.pop(origin, None)
            if not self._lanes:
                self._idle.set()
                self._wake.set()

    def _out_of_lane(self, task_id: str) -> None:
        """Take note that a delivery of a task has been attempted; when it was the last, nobody waits any longer."""
        left = self._in_lanes.pop(task_id) - 1
        if left:
            self._in_lanes[task_id] = left
        elif (awaited := self._awaited.get(task_id)) is not None:
            awaited.set()

    async def _attempt(self, delivery: Delivery) -> None:
        answer = await self._post(delivery)
        self._attempts += 1
        self._acknowledged += answer.outcome == "acknowledged"
        attempt = Attempt(
            len(delivery.attempts) + 1, self._clock.now_ms(), answer.outcome, answer.status, answer.detail
        )
        self._world.attempted(delivery, attempt)
        self._journal.delivery(delivery, attempt, answer.response)
        if delivery.state == "waiting":
            self._wake.set()

    async def _post(self, delivery: Delivery) -> _Answer:
        rule = delivery.rule
        if delivery.lost:
            return _Answer("lost", None, "lost on the way, as a fault had it")
        try:
            host = urlsplit(delivery.url).hostname or ""
            with contextlib.suppress(ValueError):
                problem = address_problem(ipaddress.ip_address(host), rule.target, self._world.rules.targets)
                if problem is not None:
                    return _Answer("blocked", None, f"{host} {problem}")
            session = self._session(delivery)
            async with session.post(
                delivery.url,
                data=delivery.body,
                headers=delivery.headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=rule.timeout_s),
            ) as response:
                body = await response.content.read(RESPONSE_BYTES_READ)
                message = self._journal.answer(response.headers, body)
                status = response.status
        except TimeoutError:
            return _Answer("timeout", None, f"no answer within {rule.timeout_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            cause = error.__cause__ or getattr(error, "os_error", None) or error
            if isinstance(cause, BlockedAddressError) or isinstance(error, BlockedAddressError):
                return _Answer("blocked", None, str(cause))
            return _Answer("unreachable", None, f"{type(error).__name__}: {error}"[:300])
        if status in rule.acknowledged:
            return _Answer("acknowledged", status, "", message)
        return _Answer("refused", status, f"status {status}", message)

    def _session(self, delivery: Delivery) -> aiohttp.ClientSession:
        name = delivery.provider
        session = self._sessions.get(name)
        if session is None:
            resolver = _JudgingResolver(delivery.rule.target, self._world.rules.targets)
            connector: Any = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, limit=0, ssl=self._tls)
            session = self._sessions[name] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": self._user_agent},
                auto_decompress=False,
            )
        return session
