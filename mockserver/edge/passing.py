"""One exchange of a recording: a request on its way to the real provider, and the answer on its way back.

Both are written down once, however the exchange ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import hdrs, web

from mockserver.edge.addressing import Address
from mockserver.edge.http_bytes import wire_response
from mockserver.edge.proxy import forwardable
from mockserver.edge.request_body import decoded
from mockserver.edge.runtime import Runtime
from mockserver.engine.accounts import Account
from mockserver.engine.admission import presented_key
from mockserver.engine.context import RequestContext
from mockserver.engine.messages import Request, Response
from mockserver.engine.state import ProviderState
from mockserver.journal.record import Exchange as JournalEntry
from mockserver.journal.redaction import secrets_in, without_secrets
from mockserver.provider import Operation

if TYPE_CHECKING:
    from multidict import CIMultiDict

#: What a provider has in an operation for files.
_FILES = frozenset(("result", "file"))
#: What a provider has in an operation that creates tasks, or in one that only looks so.
_CREATING = frozenset(("submit", "decoy"))
#: Methods by which nothing is created, and headers and a parameter by which
#: some servers take another method than that of the request.
_SAFE = frozenset((hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS))
_OTHER_METHOD = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")
_OTHER_METHOD_PARAMETER = "_method="
#: What a path of a known operation that is no submit has only if it is meant to lead elsewhere.
_DETOURS = ("%", "..", "//", ";", "\\")
#: Longer answers are sent on, and cut in the journal.
MOST_KEPT_BYTES = 16_000_000
#: So much of a request is searched for secrets.
_MOST_SEARCHED_BYTES = 1_000_000
#: So many secrets are looked for in all that is written.
_MOST_SECRETS = 1000
_TEXT = ("application/json", "text/")


class Passing:
    """One exchange on its way between a client and the real provider."""

    def __init__(
        self,
        http_request: web.BaseRequest,
        address: Address,
        runtime: Runtime,
        state: ProviderState,
        operation: Operation | None,
    ) -> None:
        self._http_request = http_request
        self._runtime = runtime
        self._operation = operation
        self._path = address.path
        self._query = address.query
        self._now_ms = self._runtime.clock.now_ms()
        self.state = state
        self.body = b""
        self._request = Request(http_request.method, address.path, http_request.headers, b"", address.query)
        key = presented_key(state.provider.key, self._request)
        #: Of the key that was sent, which the journal takes for a secret from now on.
        self.account = None if key is None else state.account(key, self._now_ms)

    def note(self, body: bytes) -> None:
        """Note the body of the request, and which secrets the request has: the answer may repeat them."""
        self.body = body
        known = self._runtime.foreign_secrets
        if len(known) < _MOST_SECRETS:
            target = self._http_request.raw_path
            known |= secrets_in(self._http_request.headers.items(), target, body[:_MOST_SEARCHED_BYTES])

    @property
    def may_create(self) -> bool:
        """Whether it may create a task, and so cost money."""
        operation = self._operation
        if any(name in self._http_request.headers for name in _OTHER_METHOD):
            return True
        if _OTHER_METHOD_PARAMETER in self._query:
            return True
        if self._http_request.method in _SAFE:
            return False
        if operation is None or operation.role in _CREATING:
            return True
        return any(each in self._path for each in _DETOURS)

    def nobody(self) -> Account:
        """Return the account of requests that have no key."""
        return self.state.account("", self._now_ms)

    def context(self, body: Any) -> RequestContext:
        """Return what the provider's expressions read."""
        context = RequestContext(self.state, self._now_ms)
        context.request, context.body, context.operation = self._request, body, self._operation
        return context

    def refused(self, status: int, error: str, line: str, url: str | None = None) -> web.StreamResponse:
        """Answer in our own words; write it down."""
        content = f"{line}\n".encode()
        self._journal(
            self._response(status, "proxy", error, url), {"Content-Type": "text/plain"}, content, len(content)
        )
        return plain(self._http_request, status, line)

    def unanswered(self, url: str) -> None:
        """Write down a request that was sent, and has no answer because the recording ends."""
        self._journal(self._response(0, None, "cut", url), {}, None, 0)

    async def passed_on(self, answer: aiohttp.ClientResponse, url: str) -> web.StreamResponse:
        """Send an answer back as it comes; write it down when it has ended."""
        http_request = self._http_request
        headers = forwardable(answer.headers)
        sent = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
        if hdrs.CONTENT_TYPE not in headers:
            sent.headers.pop(hdrs.CONTENT_TYPE, None)
        is_file = self._operation is not None and self._operation.role in _FILES
        kept = bytearray() if not is_file and _is_text(headers) else None
        size_bytes, whole = 0, False
        began_ms = self._runtime.clock.now_ms()
        try:
            await sent.prepare(http_request)
            async for chunk in answer.content.iter_any():
                size_bytes += len(chunk)
                if kept is not None and len(kept) < MOST_KEPT_BYTES:
                    kept += chunk
                await sent.write(chunk)
            await sent.write_eof()
            whole = True
        except (aiohttp.ClientError, OSError):
            if http_request.transport is not None:
                http_request.transport.abort()
        finally:
            took = {"transfer_s": (self._runtime.clock.now_ms() - began_ms) / 1000} if is_file else {}
            response = self._response(answer.status, None, None if whole else "cut", url, **took)
            text = None if kept is None else readable(bytes(kept), answer.headers)
            if text is not None and kept is not None and len(kept) == size_bytes:
                size_bytes = len(text)
            self._journal(response, answer.headers.copy(), text, size_bytes)
        return sent

    def _response(self, status: int, gate: str | None, error: str | None, url: str | None, **facts: Any) -> Response:
        return Response(
            status,
            b"",
            gate=gate,
            error=error,
            operation=None if self._operation is None else self._operation.id,
            account_id=None if self.account is None else self.account.id,
            remarks=None if url is None else {"upstream": without_secrets(url), **facts},
        )

    def _journal(self, response: Response, headers: Mapping[str, str], content: bytes | None, size_bytes: int) -> None:
        request = self._http_request
        self._runtime.journal.exchange(
            JournalEntry(
                self._now_ms,
                self.state.provider.name,
                response,
                request.method,
                without_secrets(request.raw_path),
                request.headers,
                self.body,
                response.status,
                headers,
                content,
                size_bytes,
            )
        )


def readable(content: bytes, headers: Mapping[str, str]) -> bytes | None:
    """Return a body without its coding; None where it cannot be undone, so that no secret in it can be found."""
    coding = headers.get(hdrs.CONTENT_ENCODING)
    if coding is None or not content:
        return content
    body = decoded(content, coding, MOST_KEPT_BYTES)
    return None if body.unreadable or body.oversized else body.content


def _is_text(headers: CIMultiDict[str]) -> bool:
    kind = headers.get(hdrs.CONTENT_TYPE, "").lower()
    return kind.startswith(_TEXT) or "json" in kind


def plain(http_request: web.BaseRequest, status: int, line: str) -> web.StreamResponse:
    """Answer in our own words."""
    return wire_response(http_request, status, (), "text/plain; charset=utf-8", f"{line}\n".encode(), "")
