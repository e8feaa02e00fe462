"""The client of the server under test: it sends every request, within the budget, and records it.

An event loop in its own thread sends the requests, because only there an answer that never ends can be given up.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from contracts.analysis import KEY_MARK
from contracts.journal import Exchange
from contracts.server.budget import Budget
from contracts.server.call import Call
from contracts.server.extract import Extractor
from contracts.server.pacing import Deadline, Pacing
from contracts.server.refusals import refusal
from contracts.server.spec import Spec
from mockserver.engine.routes import Router
from mockserver.provider import Operation

T = TypeVar("T")
_SHOWN = 4_000
_LARGEST_BYTES = 512 << 20
_TRIES = 4
_MOST_UNANSWERED = 3


class UnreachableError(Exception):
    """Nothing listens at the address."""


class UnresponsiveError(Exception):
    """Too many requests were not answered."""


class UnsendableError(Exception):
    """No client can send this request."""


class ApiClient:
    """A client of one server; use it in a `with` statement."""

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
        self._thread = threading.Thread(target=self._loop.run_forever, name="contracts-client", daemon=True)
        self._http: aiohttp.ClientSession

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        self._http = self.run(self._session())
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.run(self._http.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the client's loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def now_ms(self) -> int:
        """Return the server's current time, as far as it is known."""
        return self.pacing.now_ms()

    def key_headers(self, key: str | None = None) -> dict[str, str]:
        """Return the header with a key: by default, the user's."""
        return self.spec.provider.key.header_with(self._key if key is None else key)

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
        """Send a request to a path of the API or to a URL; if a limit asks to wait, wait and repeat it.

        Raises:
            OverBudgetError: it could cost more than is left.
            SilenceError: the server has stayed silent too often.
            TimeIsUpError: the time limit is reached.
            UnreachableError: nothing listens at the address.
            UnsendableError: no client can send this request.
        """
        url = target if "://" in target else self.base_url + target
        sent = {**(self.key_headers() if key else {}), **(headers or {})}
        call = self._once(method, url, sent, body)
        for _ in range(_TRIES - 1):
            wait_s = self._wait_s(call) if patient else None
            if wait_s is None:
                break
            self.pacing.wait(wait_s, f"the server answered {call.status}, and asks to wait")
            call = self._once(method, url, sent, body)
        return call

    def bare(self, method: str, url: str, body: Any = None) -> tuple[int, Any]:
        """Send a request that is not judged, for example to a control plane; status 0 if no answer arrives."""
        data = b"" if body is None else json.dumps(body).encode()
        try:
            status, _, content = self.run(self._exchange(method, url, {"Content-Type": "application/json"}, data))
            return status, json.loads(content)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return 0, None

    def _wait_s(self, call: Call) -> float | None:
        """Return how long a limit asks to wait; None if the answer is not about a limit."""
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
        price_ucr = self.budget.reserve(operation, body)
        call = None
        try:
            call = self._sent(method, url, headers, body, operation)
        finally:
            stated = None if call is None else self._costs.read("$task.reserved_credits", call.json)
            accepted = call is not None and (call.fine or call.transport_error is not None)
            self.budget.settle(operation, price_ucr, stated, accepted=accepted)
        self.calls.append(call)
        if sum(each.transport_error is not None for each in self.calls) >= _MOST_UNANSWERED:
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
            transport_error = f"no complete answer within {self._patience_s:g} s"
        except aiohttp.InvalidURL as error:
            raise UnsendableError(str(error)) from None
        except aiohttp.ClientConnectorError as error:
            if not any(each.transport_error is None for each in self.calls):
                raise UnreachableError(f"cannot reach {self.base_url}: {error.os_error.strerror or error}") from None
            transport_error = f"no connection: {error.os_error.strerror or error}"
        except (aiohttp.ClientError, OSError) as error:
            transport_error = f"invalid or incomplete HTTP answer: {_named(error)}"
        except ValueError as error:
            raise UnsendableError(str(error)) from None
        key_header = self.spec.provider.key.header.lower()
        exchange = Exchange(
            seq=len(self.calls) + 1,
            at_ms=at_ms,
            operation=None if operation is None else operation.id,
            role=None if operation is None else operation.role,
            task=None,
            account=None,
            gate=None,
            error=None,
            faults=(),
            method=method,
            path=urlsplit(url).path,
            query=urlsplit(url).query,
            headers=tuple(
                (name, KEY_MARK + "contracts]" if name.lower() == key_header else value)
                for name, value in headers.items()
            ),
            body=_shown(body),
            body_whole=len(body) <= _SHOWN,
            status=status,
            answer_headers=fields,
            answer_body=_shown(content),
            answer_bytes=len(content),
        )
        call = Call(exchange, operation, content, fields, None, transport_error, self._loop.time() - started_s)
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


def _shown(content: bytes) -> str | None:
    return content[:_SHOWN].decode("utf-8", "replace") if content else None


def _named(error: BaseException) -> str:
    return f"{type(error).__name__} {error}".strip().replace("\n", " ")[:200]
