"""Recording: a provider's requests go on to the real one, and into the journal with its answers.

What the client gets is what the real one sends, byte for byte; bodies of result files are measured, not kept. Where
the recorder has an address that the provider can reach, the callback address of a submit is replaced by one of the
recorder's own; what arrives there is written down and sent on to the client's.

Whatever may create a task counts as a submit: besides those of the spec, each request that changes something and is
not known for something else, because a server may understand more ways to write a path than the spec says.
"""

from __future__ import annotations

import asyncio
from copy import deepcopy
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, TypeGuard
from urllib.parse import urlsplit

import aiohttp
import orjson
from aiohttp import hdrs, web
from yarl import URL

from mockserver.edge.addressing import Address
from mockserver.edge.hosts import host_port_of
from mockserver.edge.http_bytes import wire_response
from mockserver.edge.passing import MOST_KEPT_BYTES, Passing, plain, readable
from mockserver.edge.proxy import CONNECT_S, SILENCE_S, forwardable, words_of
from mockserver.edge.request_body import read_as_sent
from mockserver.edge.runtime import Runtime
from mockserver.edge.sessions import SESSION_HEADER
from mockserver.engine.accounts import Account
from mockserver.engine.callbacks import Attempt, AttemptResult, Delivery
from mockserver.engine.state import ProviderState
from mockserver.journal.redaction import without_secrets
from mockserver.provider import Callbacks
from mockserver.recording.records import task_id_in
from mockserver.recording.values import parse_json

#: Where callbacks of the real provider arrive, before the number of their submit.
CALLBACKS_PATH = "/__recorder/callbacks/"
_MOST_REQUEST_BYTES = 256_000_000
#: So much of a receiver's answer to a callback is read.
_MOST_ANSWER_BYTES = 1_000_000
#: Errors at which a request may have arrived.
_AFTER_SENDING = (aiohttp.ServerDisconnectedError, aiohttp.SocketTimeoutError, aiohttp.ClientPayloadError)


@dataclass(slots=True)
class _Receiver:
    """Where the callbacks of one submit are sent on to."""

    url: str
    state: ProviderState
    rule: Callbacks
    account: Account
    #: By task, how many attempts there were.
    attempts: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Recorder:
    """Stands between the clients of one server and the real providers.

    Args:
        most_submits: how many submits are sent on at most; each may cost money.
        upstream: the URL that requests go to; None: the provider's own host.
        callbacks_at: this server's URL, as the provider reaches it; None: callback addresses stay as they are.
        timeout_s: how long a client's body may take to arrive.
    """

    most_submits: int
    upstream: str | None = None
    callbacks_at: str | None = None
    timeout_s: float = 30.0
    #: How many submits were sent on, and how many were refused; how many of those sent on named a callback address
    #: that had to stay as it is; and how many callbacks came.
    submits: int = 0
    unrecorded: int = 0
    refused: int = 0
    callbacks: int = 0
    exchanges: int = 0
    _receivers: dict[str, _Receiver] = field(default_factory=dict)
    _session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections to the providers."""
        if self._session is not None:
            await self._session.close()

    async def provide(
        self, http_request: web.BaseRequest, address: Address, runtime: Runtime, name: str
    ) -> web.StreamResponse:
        """Send a request for a provider on, and its answer back; write both down, in one journal for all sessions."""
        state = runtime.world.providers[name]
        match = state.router.find(http_request.method, address.path)
        exchange = Passing(http_request, address, runtime, state, match.operation)
        body = await read_as_sent(http_request, _MOST_REQUEST_BYTES, self.timeout_s)
        if body.cut_short:
            return exchange.refused(400, "bad_body", "the body did not arrive whole, or is too long to be recorded")
        content = body.content
        exchange.note(readable(content, http_request.headers) or b"")
        headers = forwardable(http_request.headers)
        if exchange.may_create:
            if self.submits >= self.most_submits:
                self.refused += 1
                line = f"not sent: it may create a task, and --max-submits {self.most_submits} is reached"
                return exchange.refused(403, "max_submits", line)
            self.submits += 1
            with_own = self._with_own_callback(exchange)
            if with_own is not None:
                content = with_own
                headers.popall(hdrs.CONTENT_ENCODING, None)
        self.exchanges += 1
        url = self._url(state, http_request, address)
        for ours in (hdrs.HOST, hdrs.CONTENT_LENGTH, hdrs.ACCEPT_ENCODING, SESSION_HEADER):
            headers.popall(ours, None)
        headers[hdrs.ACCEPT_ENCODING] = "identity"  # so that the journal can be read
        try:
            answer = await self._asked().request(
                http_request.method,
                URL(url, encoded=True),
                headers=headers,
                data=BytesIO(content) if content else None,
                allow_redirects=False,
                middlewares=(_Once(),),
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            line = f"mockserver cannot reach {without_secrets(url)}: {words_of(error)}"
            if isinstance(error, _AFTER_SENDING):
                line = f"{without_secrets(url)} has not answered: {words_of(error)}; it may have accepted the request"
            return exchange.refused(502, "host_unreachable", line, url)
        except asyncio.CancelledError:
            exchange.unanswered(url)
            raise
        async with answer:
            return await exchange.passed_on(answer, url)

    def _asked(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S),
                skip_auto_headers=("Accept", "User-Agent", "Content-Type"),
            )
        return self._session

    def _url(self, state: ProviderState, http_request: web.BaseRequest, address: Address) -> str:
        """Return the address of the real one."""
        target = f"{address.path}?{address.query}" if address.query else address.path
        if self.upstream is not None:
            return f"{self.upstream.rstrip('/')}{target}"
        hosts = state.provider.hosts
        name, rest = http_request.headers.get(hdrs.HOST, ""), http_request.raw_path
        if not rest.startswith("/"):  # in absolute form, which says more than Host (RFC 9112, 3.2.2)
            name = rest.partition("://")[2].partition("/")[0].partition("?")[0]
        asked = host_port_of(name.lower())
        return f"https://{asked.host if asked is not None and asked.host in hosts else hosts[0]}{target}"

    # -- callbacks ------------------------------------------------------------------------------

    def _with_own_callback(self, exchange: Passing) -> bytes | None:
        """Return a submit's body in which the callback address is that of this server; None: it stays as it is."""
        state, rule = exchange.state, exchange.state.provider.callbacks
        if rule is None:
            return None
        try:
            body = orjson.loads(exchange.body)
            url = rule.url(exchange.context(body))
        except (orjson.JSONDecodeError, LookupError, TypeError):
            return None
        if not _is_address(url):  # the provider may refuse it
            return None
        if self.callbacks_at is None:
            self.unrecorded += 1
            return None
        number = str(len(self._receivers) + 1)
        self._receivers[number] = _Receiver(url, state, rule, exchange.account or exchange.nobody())
        return orjson.dumps(_replaced(body, rule.url_keys, f"{self.callbacks_at.rstrip('/')}{CALLBACKS_PATH}{number}"))

    async def receive(self, http_request: web.BaseRequest, runtime: Runtime) -> web.StreamResponse:
        """Send a callback of the real provider on to the client's receiver; write it down."""
        receiver = self._receivers.get(http_request.path.removeprefix(CALLBACKS_PATH))
        if receiver is None:
            return plain(http_request, 404, "no submit of this recording has this callback address")
        body = await read_as_sent(http_request, MOST_KEPT_BYTES, self.timeout_s)
        if body.cut_short:
            return plain(http_request, 400, "the callback did not arrive whole, or is too long")
        self.callbacks += 1
        now_ms = runtime.clock.now_ms()
        delivery = _delivery(receiver, http_request, body.content, now_ms)
        number = receiver.attempts[delivery.task_id] = receiver.attempts.get(delivery.task_id, 0) + 1
        headers = forwardable(http_request.headers)
        headers.popall(hdrs.HOST, None)
        headers.popall(hdrs.CONTENT_LENGTH, None)
        outcome: AttemptResult = "unreachable"
        try:
            async with self._asked().post(
                receiver.url,
                data=body.content,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=receiver.rule.timeout_s),
            ) as answer:
                content = await _beginning(answer.content, _MOST_ANSWER_BYTES)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            outcome = "timeout" if isinstance(error, TimeoutError) else "unreachable"
            line = f"the client's receiver did not answer: {words_of(error)}"
            runtime.journal.delivery(delivery, Attempt(number, now_ms, outcome, None, line), None)
            return plain(http_request, 502, line)
        outcome = "acknowledged" if answer.status in receiver.rule.acknowledged else "refused"
        told = runtime.journal.receiver_response(answer.headers.copy(), readable(content, answer.headers) or b"")
        took_ms = runtime.clock.now_ms() - now_ms
        runtime.journal.delivery(delivery, Attempt(number, now_ms, outcome, answer.status, "", took_ms), told)
        given = forwardable(answer.headers)
        kind = given.popall(hdrs.CONTENT_TYPE, ["application/octet-stream"])[0]
        given.popall(hdrs.CONTENT_LENGTH, None)
        return wire_response(http_request, answer.status, given.items(), kind, content, "")


class _Once:
    """Keeps aiohttp from sending a request a second time, as it does with some methods where a connection breaks."""

    def __init__(self) -> None:
        self._sent = False

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send a request on."""
        if self._sent:
            raise aiohttp.ServerDisconnectedError
        self._sent = True
        return await handler(request)


async def _beginning(content: aiohttp.StreamReader, most_bytes: int) -> bytes:
    """Read an answer, and no more of it than `most_bytes`."""
    read = bytearray()
    async for chunk in content.iter_any():
        read += chunk
        if len(read) >= most_bytes:
            break
    return bytes(read[:most_bytes])


def _replaced(body: Any, keys: tuple[str, ...], url: str) -> Any:
    """Return a body with another callback address."""
    new = deepcopy(body)
    place = new
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = url
    return new


def _delivery(receiver: _Receiver, http_request: web.BaseRequest, body: bytes, now_ms: int) -> Delivery:
    """Describe a callback that has come: its task and event are read from its body."""
    content = parse_json(body)
    texts = _texts_in(content)
    task = task_id_in(content, receiver.state.provider) or ""
    event = next((each for each in receiver.rule.events if each in texts), next(iter(receiver.rule.events)))
    return Delivery(
        id=f"recorded-{task or http_request.path.rpartition('/')[2]}-{event}",
        provider=receiver.state.provider.name,
        rule=receiver.rule,
        task_id=task,
        event=event,
        url=receiver.url,
        body=body,
        headers=tuple(forwardable(http_request.headers).items()),
        due_ms=now_ms,
        account=receiver.account,
        state="acknowledged",  # the journal names no further attempt: the provider knows of those
    )


def _is_address(url: Any) -> TypeGuard[str]:
    try:
        parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and host_port_of(parts.netloc.rpartition("@")[2]) is not None


def _texts_in(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for each in inner for text in _texts_in(each)]
