"""The one door to the server: every request goes out here, within the budget, and is written down.

An event loop in a thread of its own makes the requests, since only there can an answer that never ends be given up.
"""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from contracts.analysis import KEY_MARK
from contracts.journal import Exchange
from contracts.server.extract import Extractor
from contracts.server.refusals import refusal
from mockserver.engine.routes import Router

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from contracts.server.budget import Budget
    from contracts.server.pacing import Deadline, Pacing
    from contracts.server.spec import Spec
    from mockserver.provider import ErrorAnswer, Operation

T = TypeVar("T")
_SHOWN = 4_000
_LARGEST_BYTES = 512 << 20
_TRIES = 4
_SILENCES = 3


class UnreachableError(Exception):
    """Nobody listens there."""


class UnresponsiveError(Exception):
    """The server has stayed silent too often to go on."""


class UnsendableError(Exception):
    """A client cannot put this on the wire."""


@dataclass(frozen=True)
class Call:
    """A request and what came of it; `silence` says why no answer was read."""

    exchange: Exchange
    operation: Operation | None
    content: bytes
    headers: tuple[tuple[str, str], ...]
    refusal: ErrorAnswer | None
    transport_error: str | None
    seconds: float

    @property
    def status(self) -> int | None:
        """The answer's status."""
        return self.exchange.status

    @cached_property
    def json(self) -> Any:
        """The answer as JSON; None where it is none."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return None

    @property
    def fine(self) -> bool:
        """Whether the server did what it was asked."""
        return self.status is not None and 200 <= self.status < 300 and self.refusal is None

    @property
    def of_api(self) -> bool:
        """Whether the API itself answered, rather than the store of the files."""
        return self.operation is None or self.operation.role not in ("result", "file")


class Wire:
    """A client of one server, for `with`."""

    def __init__(
        self, spec: Spec, base_url: str, key: str, budget: Budget, deadline: Deadline, *, patience_s: float
    ) -> None:
        self.spec = spec
        self.base_url = base_url.rstrip("/")
        self.calls: list[Call] = []
        self.budget = budget
        self.pacing: Pacing
        self._key = key
        self._deadline = deadline
        self._patience_s = patience_s
        self._router = Router(spec.provider.routes)
        self._prefix = urlsplit(self.base_url).path
        self._costs = Extractor(spec, [template for each in spec.of_role("submit") for template in spec.reply(each.id)])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="contracts-wire", daemon=True)
        self._http: aiohttp.ClientSession

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        self._http = self.run(self._session())
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        self.run(self._http.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the wire's loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def now_ms(self) -> int:
        """Return the server's present instant, as far as it is known."""
        return self.pacing.now_ms()

    def key_headers(self, key: str | None = None) -> dict[str, str]:
        """Return the header that carries a key: the user's, where none is given."""
        rule, text = self.spec.provider.key, self._key if key is None else key
        return {rule.header: f"Bearer {text}" if rule.bearer else text}

    def ask(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        key: bool = True,
        patient: bool = True,
    ) -> Call:
        """Make a request to a path of the API or to an address; wait where a limit says so, and ask again.

        Raises:
            OverBudgetError: it could cost more than the user lets it.
            SilenceError: the server has stayed silent too often.
            TimeIsUpError: the user's time is over.
            UnreachableError: nobody listens there.
            UnsendableError: no client can send this.
        """
        url = target if "://" in target else self.base_url + target
        sent = {**(self.key_headers() if key else {}), **(headers or {})}
        call = self._once(method, url, sent, body)
        for _ in range(_TRIES - 1):
            wait_s = self._wait_s(call) if patient else None
            if wait_s is None:
                break
            self.pacing.wait(wait_s, f"the server answered {call.status}, and asks for patience")
            call = self._once(method, url, sent, body)
        return call

    def bare(self, method: str, url: str, body: Any = None) -> tuple[int, Any]:
        """Ask something that is no part of what is judged, such as a control plane; status 0 where nothing came."""
        data = b"" if body is None else json.dumps(body).encode()
        try:
            status, _, content = self.run(self._exchange(method, url, {"Content-Type": "application/json"}, data))
            return status, json.loads(content)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return 0, None

    def _wait_s(self, call: Call) -> float | None:
        """Return how long a limit asks to wait; None where the answer is about no limit."""
        refusals = self.spec.provider.refusals
        if call.refusal is None or call.refusal not in (
            refusals["rate_exceeded"],
            refusals["concurrency_exceeded"],
        ):
            return None
        asked = call.exchange.answer_header("Retry-After")
        return float(asked) if asked is not None and asked.isdecimal() else 60.0

    def _once(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Call:
        self._deadline.check()
        parts = urlsplit(url)
        operation = self._router.find(method, parts.path.removeprefix(self._prefix)).operation
        price_ucr = self.budget.open(operation, body)
        call = None
        try:
            call = self._sent(method, url, headers, body, operation)
        finally:
            stated = None if call is None else self._costs.read("$task.reserved_credits", call.json)
            taken = call is not None and (call.fine or call.transport_error is not None)
            self.budget.close(operation, price_ucr, stated, taken=taken)
        self.calls.append(call)
        if sum(each.transport_error is not None for each in self.calls) >= _SILENCES:
            raise UnresponsiveError
        return call

    def _sent(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, operation: Operation | None
    ) -> Call:
        started_s = self._loop.time()
        at_ms = self.pacing.now_ms()
        status: int | None = None
        fields: tuple[tuple[str, str], ...] = ()
        content, transport_error = b"", None
        try:
            status, fields, content = self.run(self._exchange(method, url, headers, body))
        except TimeoutError:
            transport_error = f"no whole answer within {self._patience_s:g} s"
        except aiohttp.InvalidURL as error:
            raise UnsendableError(str(error)) from None
        except aiohttp.ClientConnectorError as error:
            if not any(each.transport_error is None for each in self.calls):
                raise UnreachableError(
                    f"{self.base_url} cannot be reached: {error.os_error.strerror or error}"
                ) from None
            transport_error = f"no connection: {error.os_error.strerror or error}"
        except (aiohttp.ClientError, OSError) as error:
            transport_error = f"what came is no HTTP answer, or broke off: {_named(error)}"
        except ValueError as error:
            raise UnsendableError(str(error)) from None
        exchange = self._written(method, url, headers, body, operation, status, fields, content)
        call = Call(
            replace(exchange, at_ms=at_ms),
            operation,
            content,
            fields,
            None,
            transport_error,
            self._loop.time() - started_s,
        )
        return replace(call, refusal=refusal(self.spec, call))

    async def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None), skip_auto_headers=("User-Agent",), auto_decompress=True
        )

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
        async with (
            asyncio.timeout(self._patience_s),
            self._http.request(
                method, URL(url, encoded=True), headers=headers, data=body or None, allow_redirects=False
            ) as answer,
        ):
            content = await answer.content.read(_LARGEST_BYTES)
            while more := await answer.content.read(_LARGEST_BYTES - len(content)):
                content += more
            return answer.status, tuple(answer.headers.items()), content

    def _written(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        operation: Operation | None,
        status: int | None,
        fields: tuple[tuple[str, str], ...],
        content: bytes,
    ) -> Exchange:
        parts = urlsplit(url)
        own = self.spec.provider.key.header.lower()
        kept = tuple(
            (name, KEY_MARK + "the judge]" if name.lower() == own else value) for name, value in headers.items()
        )
        return Exchange(
            seq=len(self.calls) + 1,
            at_ms=0,
            operation=None if operation is None else operation.id,
            role=None if operation is None else operation.role,
            task=None,
            account=None,
            gate=None,
            error=None,
            faults=(),
            method=method,
            path=parts.path,
            query=parts.query,
            headers=kept,
            body=_shown(body),
            body_whole=len(body) <= _SHOWN,
            status=status,
            answer_headers=fields,
            answer_body=_shown(content),
            answer_bytes=len(content),
        )


def _shown(content: bytes) -> str | None:
    return content[:_SHOWN].decode("utf-8", "replace") if content else None


def _named(error: BaseException) -> str:
    return f"{type(error).__name__} {error}".strip().replace("\n", " ")[:200]
