"""Delivers callbacks: takes due deliveries from the event queue, makes the attempts, reports the results.

A slow receiver does not delay others: each origin has its own queue and a limit of concurrent attempts. Waiting
for a receiver takes wall time, which is never scaled; after a timeout, the retry waits for the same time of a manual
clock. `CallbackDispatcher` is the main type.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import aiohttp

from mockserver.clock import Clock, TimeWouldGoBackError
from mockserver.edge.resolver import BlockedAddressError, CheckingResolver
from mockserver.engine.callbacks import Attempt, AttemptResult, Delivery
from mockserver.engine.targets import address_problem, literal_address
from mockserver.engine.world import World
from mockserver.journal.journal import Journal
from mockserver.journal.record import ReceiverResponse
from mockserver.provider import CallbackTarget, TargetMode

RESPONSE_BYTES_READ = 65_536
_LOG = logging.getLogger("mockserver")
_YIELD_EVERY = 64
_LONGEST_WAIT_S = 30.0
#: Exact; aiohttp's own timeouts are rounded up to a whole second of the loop's clock.
receiver_timeout = asyncio.timeout
#: How much wall time the receivers have during one advance of the clock; then attempts fail at once, as timeouts.
ADVANCE_S = 60.0
_LEAST_ATTEMPT_S = 0.05


class AdvanceUnderWayError(Exception):
    """The clock is being advanced, or callbacks of this instant are still being attempted."""

    def __init__(self) -> None:
        super().__init__("another request is moving the clock or a task; wait for its response")


class _Result(NamedTuple):
    """The result of one attempt."""

    outcome: AttemptResult
    status: int | None
    detail: str
    response: ReceiverResponse | None = None


async def _until_cancelled(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine function; end quietly when cancelled: a cancelled task keeps the frames it was cancelled in."""
    with contextlib.suppress(asyncio.CancelledError):
        await work()


def _too_late(patience_s: float, timeout_s: float) -> str:
    """Say which limit a receiver did not keep."""
    if patience_s < timeout_s:
        return f"an advance of the clock waits {ADVANCE_S:g} s for receivers in all"
    return f"no response within {timeout_s:g} s"


def _without_answer(error: Exception) -> _Result:
    """Say why a receiver could not be reached."""
    cause = error.__cause__ or getattr(error, "os_error", None) or error
    if isinstance(cause, BlockedAddressError) or isinstance(error, BlockedAddressError):
        return _Result("blocked", None, str(cause))
    return _Result("unreachable", None, f"{type(error).__name__}: {error}"[:300])


class Report(NamedTuple):
    """The callback attempts that an advance of the clock made."""

    attempts: int
    acknowledged: int
    failed: int


@dataclass(slots=True)
class _OriginQueue:
    """The deliveries that wait for one origin, and the number of its running workers."""

    waiting: deque[Delivery] = field(default_factory=deque)
    running: int = 0


class CallbackDispatcher:
    """Delivers the callbacks of one world; it starts at once, so it needs a running event loop.

    Args:
        per_origin: concurrent attempts to one receiver. With 1, the order of all requests to receivers is reproducible.
        receiver_ms: what the receivers' clocks show, for the times in signed callbacks; otherwise mock time.
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
        receiver_ms: Callable[[], int] | None = None,
    ) -> None:
        self._world = world
        self._clock = clock
        self._journal = journal
        self._per_origin = per_origin
        self._tls = tls
        self._user_agent = user_agent
        self._wall_s = wall_s
        self._receiver_ms = receiver_ms or clock.now_ms
        self._queues: dict[str, _OriginQueue] = {}
        #: For each task: how many deliveries are queued or being attempted, and the event set when all are done.
        self._queued: dict[str, int] = {}
        self._awaited: dict[str, asyncio.Event] = {}
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._advancing = False
        self._give_up_s = float("inf")
        self._draining = 0
        self._closed = False
        self._attempts = self._acknowledged = 0
        self._pump = asyncio.create_task(_until_cancelled(self._run), name="callbacks")

    async def close(self) -> None:
        """Stop, and cancel running attempts."""
        self._closed = True
        self._world.watches.drop_all()
        for task in (running := [self._pump, *self._workers]):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._queues.clear()
        self._idle.set()
        for awaited in self._awaited.values():
            awaited.set()
        for session in self._sessions.values():
            await session.close()

    def wake(self) -> None:
        """Check the event queue again: something was added."""
        self._wake.set()

    async def drain_due(self) -> None:
        """Wait until everything due at this instant has been attempted.

        Return at once if another call is already waiting, such as when a receiver sends a command from its
        handler, and on a running clock, which delivers by itself.
        """
        if self._advancing or self._draining or self._clock.speed:
            return
        self._draining += 1
        try:
            await self._deliver_due()
            await self._idle.wait()
        finally:
            self._draining -= 1

    async def deliver_now(self, task_id: str) -> None:
        """Wait until the due callbacks of one task have been attempted, on any clock.

        Return at once if another call waits for everything due, such as when a receiver submits from its handler.
        Callbacks of other tasks are not awaited: this request may come from one of their receivers.
        """
        if self._advancing or self._draining:
            return
        await self._deliver_due()
        if self._closed or task_id not in self._queued:
            return
        attempted = self._awaited[task_id] = asyncio.Event()
        try:
            await asyncio.wait_for(attempted.wait(), _LONGEST_WAIT_S)
        except TimeoutError:
            pass
        finally:
            del self._awaited[task_id]

    async def advance_to(self, instant_ms: int) -> Report:
        """Advance the clock, and deliver what falls due on the way in due order, retries included.

        Raises:
            TimeWouldGoBackError: the instant has passed.
            AdvanceUnderWayError: another call advances the clock or waits for due callbacks. A receiver may
                query from its handler, but not advance.
        """
        if self._advancing or self._draining:
            raise AdvanceUnderWayError
        clock, world = self._clock, self._world
        if instant_ms < (now_ms := clock.now_ms()):
            raise TimeWouldGoBackError(instant_ms, now_ms)
        attempts, acknowledged = self._attempts, self._acknowledged
        self._advancing = True
        self._give_up_s = self._wall_s() + ADVANCE_S
        try:
            await self._idle.wait()
            while not self._closed and (due_ms := world.next_due_ms()) is not None and due_ms <= instant_ms:
                clock.reach(due_ms)
                await self._deliver_due()
                await self._idle.wait()
            clock.reach(instant_ms)
        finally:
            self._advancing = False
            self._give_up_s = float("inf")
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
        """Move everything due to the queue of its origin; yield to other tasks now and then."""
        popped = 0
        while not self._closed:
            try:
                due = self._world.pop_due(self._clock.now_ms())
            except Exception as error:  # noqa: BLE001 - an error in one callback must not stop the others
                _LOG.error("cannot create a callback: %r", error)
                continue
            if due is None:
                break
            self._enqueue(due[1])
            popped += 1
            if popped % _YIELD_EVERY == 0:
                await asyncio.sleep(0)

    def _enqueue(self, delivery: Delivery) -> None:
        parts = urlsplit(delivery.url)
        origin = "" if self._per_origin == 1 else f"{parts.scheme}://{parts.netloc}"
        queue = self._queues.setdefault(origin, _OriginQueue())
        queue.waiting.append(delivery)
        self._queued[delivery.task_id] = self._queued.get(delivery.task_id, 0) + 1
        self._idle.clear()
        if queue.running < self._per_origin:
            queue.running += 1
            worker = asyncio.create_task(_until_cancelled(partial(self._work, origin, queue)))
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self, origin: str, queue: _OriginQueue) -> None:
        try:
            while queue.waiting:
                delivery = queue.waiting.popleft()
                try:
                    await self._attempt(delivery)
                except Exception as error:  # noqa: BLE001 - an error in one delivery must not stop the others
                    _LOG.error("cannot deliver %s: %r", delivery.id, error)
                self._attempted_one(delivery.task_id)
        finally:
            queue.running -= 1
            if not queue.running and not queue.waiting:
                self._queues.pop(origin, None)
            if not self._queues:
                self._idle.set()
                self._wake.set()

    def _attempted_one(self, task_id: str) -> None:
        """Count an attempted delivery of a task; after the last, wake those that wait for the task."""
        left = self._queued.pop(task_id) - 1
        if left:
            self._queued[task_id] = left
        elif (awaited := self._awaited.get(task_id)) is not None:
            awaited.set()

    async def _attempt(self, delivery: Delivery) -> None:
        began_ms = self._clock.now_ms()
        delivery.tell_time(self._receiver_ms)
        result = await self._post(delivery)
        self._attempts += 1
        self._acknowledged += result.outcome == "acknowledged"
        least_ms = round(delivery.rule.timeout_s * 1000) if result.outcome == "timeout" else 0
        took_ms = max(self._clock.now_ms() - began_ms, least_ms)
        attempt = Attempt(len(delivery.attempts) + 1, began_ms, *result[:3], took_ms)
        self._world.attempted(delivery, attempt)
        self._journal.delivery(delivery, attempt, result.response)
        if delivery.state == "waiting":
            self._wake.set()

    async def _post(self, delivery: Delivery) -> _Result:
        rule = delivery.rule
        if delivery.lost:
            return _Result("lost", None, "lost by an injected fault")
        patience_s = min(rule.timeout_s, max(_LEAST_ATTEMPT_S, self._give_up_s - self._wall_s()))
        try:
            host = unquote(urlsplit(delivery.url).hostname or "")
            # An address is not resolved; in any notation, because some versions of aiohttp also accept 2130706433.
            address = literal_address(host.rstrip("."))
            problem = None if address is None else address_problem(address, rule.target, self._world.rules.targets)
            if problem is not None:
                return _Result("blocked", None, f"{host} {problem}")
            session = self._session(delivery)
            async with (
                receiver_timeout(patience_s),
                session.post(
                    delivery.url,
                    data=delivery.body,
                    headers=delivery.headers,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None),
                ) as response,
            ):
                body = await response.content.read(RESPONSE_BYTES_READ)
                message = self._journal.receiver_response(response.headers, body)
                status = response.status
        except TimeoutError:
            return _Result("timeout", None, _too_late(patience_s, rule.timeout_s))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return _without_answer(error)
        is_good = status in rule.acknowledged
        return _Result("acknowledged" if is_good else "refused", status, "" if is_good else f"status {status}", message)

    def _session(self, delivery: Delivery) -> aiohttp.ClientSession:
        session = self._sessions.get(delivery.provider)
        if session is None:
            made = _session_of(delivery.rule.target, self._world.rules.targets, self._tls, self._user_agent)
            session = self._sessions[delivery.provider] = made
        return session


def _session_of(
    target: CallbackTarget, mode: TargetMode, tls: ssl.SSLContext | bool, user_agent: str
) -> aiohttp.ClientSession:
    """Make the client for the receivers of a provider's callbacks: it connects only where they may go."""
    resolver = CheckingResolver(lambda address: address_problem(address, target, mode))
    connector: Any = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, limit=0, ssl=tls)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": user_agent},
        auto_decompress=False,
    )
