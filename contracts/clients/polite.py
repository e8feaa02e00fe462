"""A client of an asynchronous video API that keeps the rules. Copy it together with your provider's file.

    async with EvoLink(base_url, api_key) as client:
        video = await client.generate("A red kite over the sea")

It submits once, waits (for a callback if it has a callback URL, and polls when the callback is overdue), and
downloads. What a passing trouble stops is tried again, after waits that grow; what is refused for good is
raised with the provider's reason.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar, Self, TypeVar

import aiohttp
import tenacity

T = TypeVar("T")

_MOST_EARLY = 1000
_growing = tenacity.wait_exponential(multiplier=1, max=60) + tenacity.wait_random(0, 0.5)


class ApiError(Exception):
    """The API refused; `status` is the HTTP status (or the code in the body), `request_id` is for its support."""

    def __init__(self, status: int, message: str, request_id: str | None = None, retry_after_s: float = 0) -> None:
        super().__init__(f"{status}: {message}" + (f" (request {request_id})" if request_id else ""))
        self.status = status
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class Busy(ApiError):  # noqa: N818 - it is not always the end
    """A temporary refusal: a retry may succeed."""


class Unreadable(Exception):  # noqa: N818
    """The answer cannot be read."""


class AnswerLost(Exception):  # noqa: N818
    """A submit was not answered: the task may exist and be charged. Check before repeating it."""


class TaskFailed(Exception):  # noqa: N818
    """The task ended without a video; the text is the provider's reason."""


class GaveUp(Exception):  # noqa: N818
    """The task did not end within its time limit."""


class BadFile(Exception):  # noqa: N818
    """The file could not be downloaded completely."""


@dataclass(frozen=True)
class Answer:
    """An answer of the API."""

    status: int
    body: Any


@dataclass(frozen=True)
class Seen:
    """A task as shown by an answer or a callback; `ended` is None while it is in progress."""

    ended: str | None = None
    url: str | None = None
    reason: str = ""


@dataclass
class Asking:
    """How often a task may still be polled, and until when."""

    left: int
    until_s: float


class PoliteClient:
    """What all providers have in common; each provider's class adds the rest.

    Args:
        base_url: where the provider's paths begin.
        api_key: the key.
        callback_url: where callbacks reach `handle_callback`; without one the client polls.
        callback_secret: what callbacks are signed with, where they are.
    """

    #: Seconds before the first query, and between two of them.
    first_wait_s: ClassVar[float] = 5.0
    poll_interval_s: ClassVar[float] = 10.0
    #: How long a task is waited for, and how often it is asked after at most.
    give_up_after_s: ClassVar[float] = 600.0
    most_polls: ClassVar[int] = 100
    #: How long a callback is waited for before the task is asked after.
    callback_patience_s: ClassVar[float] = 150.0
    #: Tries of one request, waits between them included: 1, 2, 4 s and a random part.
    tries: ClassVar[int] = 4
    #: How many tasks may be on their way at once.
    most_at_once: ClassVar[int] = 5
    busy_statuses: ClassVar[frozenset[int]] = frozenset((408, 429, 500, 502, 503, 504))
    signature_header: ClassVar[str | None] = None
    request_timeout_s: ClassVar[float] = 30.0

    def __init__(
        self,
        base_url: str,
        api_key: str,
        callback_url: str | None = None,
        callback_secret: str | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.api_key = api_key
        self.callback_url = callback_url
        self.callback_secret = callback_secret
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self.request_timeout_s))
        self._slots = asyncio.Semaphore(self.most_at_once)
        #: Tasks that are awaited, and tasks with callbacks that arrived before their id was known.
        self._waiting: dict[str, asyncio.Event] = {}
        self._early: OrderedDict[str, None] = OrderedDict()
        self._broke = False

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close its connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close its connections."""
        await self._http.close()

    # -- what a provider's own class says ---------------------------------------------------------

    def submit_request(self, prompt: str) -> tuple[str, dict[str, Any]]:
        """Return the path and the body of a submit."""
        raise NotImplementedError

    def query_path(self, task_id: str) -> str:
        """Return the path (and query) that shows a task."""
        raise NotImplementedError

    def task_id(self, body: Any) -> str:
        """Find the task id in the answer to a submit."""
        raise NotImplementedError

    def seen(self, body: Any) -> Seen:
        """Read a task from an answer. An unknown status is not an end."""
        raise NotImplementedError

    def called_back_about(self, event: Any) -> str | None:
        """Find the task id in a callback; None if its event does not matter."""
        raise NotImplementedError

    def auth_headers(self) -> dict[str, str]:
        """Return the headers that carry the key."""
        return {"Authorization": f"Bearer {self.api_key}"}

    def problem(self, answer: Answer) -> tuple[int, str] | None:
        """Return the status and message of a refusal; None if it is not one. Some are inside a 200."""
        if answer.status < 400:
            return None
        error = answer.body.get("error") if isinstance(answer.body, dict) else None
        message = error.get("message") if isinstance(error, dict) else error
        return answer.status, str(message or "no reason given")

    # -- one job ----------------------------------------------------------------------------------

    async def generate(self, prompt: str) -> bytes:
        """Make a video: submit, wait, download.

        Raises:
            ApiError: the API refused.
            AnswerLost: it is unknown whether the task exists.
            TaskFailed: the task failed.
            GaveUp: it took too long.
            BadFile: the file could not be fetched whole.
        """
        async with self._slots:
            task_id = await self.submit(prompt)
            seen = await self.finished(task_id)
            if seen.ended != "success" or seen.url is None:
                raise TaskFailed(seen.reason or f"the task ended as {seen.ended}")
            return await self.download(seen.url)

    async def submit(self, prompt: str) -> str:
        """Submit a job; return the task id."""
        try:
            answer = await self.with_retries(lambda: self.submit_once(prompt), repeatable=False)
        except ApiError as error:
            self._broke = self._broke or error.status == 402
            raise
        except (Unreadable, aiohttp.ClientError, TimeoutError) as error:
            raise AnswerLost("the submit was not answered; the task may exist and be charged") from error
        try:
            return self.task_id(answer.body)
        except (KeyError, TypeError):  # an error, although the status is a success
            inside = answer.body.get("error", answer.body)
            message = inside.get("message") if isinstance(inside, dict) else inside
            raise ApiError(answer.status, f"no task id in the answer: {message}") from None

    async def submit_once(self, prompt: str) -> Answer:
        """Send a submit, unless the account is known to have no credits."""
        if self._broke:
            raise ApiError(402, "the account has no credits; no more jobs are submitted")
        path, body = self.submit_request(prompt)
        return await self.request("POST", path, body)

    async def finished(self, task_id: str) -> Seen:
        """Wait until a task has ended, by callback or by polling."""
        asking = Asking(self.most_polls, asyncio.get_running_loop().time() + self.give_up_after_s)
        called_back = self._waiting[task_id] = asyncio.Event()
        if task_id in self._early:
            called_back.set()
        try:
            await self._pause(called_back, self.first_wait_s if self.callback_url is None else self.callback_patience_s)
            while True:
                seen = await self.look(task_id, asking)
                if seen is not None and seen.ended is not None and (seen.ended != "success" or seen.url):
                    return seen
                called_back.clear()
                await self._pause(called_back, self.poll_interval_s)
        finally:
            del self._waiting[task_id]

    async def look(self, task_id: str, asking: Asking) -> Seen | None:
        """Poll a task; None if it is not found (yet)."""
        try:
            answer = await self.with_retries(lambda: self.ask(task_id, asking))
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return self.seen(answer.body)

    async def ask(self, task_id: str, asking: Asking) -> Answer:
        """Query once, within the limits."""
        if not asking.left or asyncio.get_running_loop().time() > asking.until_s:
            raise GaveUp(f"{task_id} did not end within its time limit")
        asking.left -= 1
        return await self.request("GET", self.query_path(task_id))

    async def _pause(self, called_back: asyncio.Event, seconds: float) -> None:
        """Wait, at most until a callback arrives."""
        try:
            await asyncio.wait_for(called_back.wait(), seconds)
        except TimeoutError:
            return

    async def download(self, url: str) -> bytes:
        """Download the complete file from the link as given, without the key."""
        return await self.with_retries(lambda: self.fetch(url))

    async def fetch(self, url: str) -> bytes:
        """Download a file once."""
        async with self._http.get(url) as answer:
            if answer.status in self.busy_statuses:
                raise Busy(answer.status, "the file is temporarily unavailable")
            if answer.status != 200:
                raise BadFile(f"the link answered {answer.status}")
            if answer.content_type.startswith("text/"):
                raise Busy(answer.status, f"the link answered with {answer.content_type}, not with a video")
            content = await answer.read()
        if answer.content_length not in (None, len(content)):
            raise BadFile(f"received {len(content)} of {answer.content_length} bytes")
        return content

    # -- requests ---------------------------------------------------------------------------------

    async def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        """Make one request.

        Raises:
            ApiError: it was refused; `Busy` where another try may help.
        """
        headers = self.auth_headers()
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body)
        url = self.base_url + path
        # A redirect is not followed: it would take the key to another host.
        async with self._http.request(method, url, data=data, headers=headers, allow_redirects=False) as response:
            content = await response.read()
        try:
            value = json.loads(content)
        except ValueError:
            value = None
        answer = Answer(response.status, value)
        problem = self.problem(answer)
        if problem is not None:
            status, message = problem
            kind = Busy if status in self.busy_statuses else ApiError
            raise kind(status, message, response.headers.get("X-Request-Id"), retry_after_s(response.headers))
        if not isinstance(value, dict):
            raise Unreadable("the answer is not a JSON object")
        return answer

    async def with_retries(self, attempt: Callable[[], Awaitable[T]], *, repeatable: bool = True) -> T:
        """Retry while an attempt fails temporarily; raise the last error.

        If it is not repeatable, it is retried only after an answer that says that nothing was done.
        """
        passing = (Busy, Unreadable, aiohttp.ClientError, TimeoutError) if repeatable else (Busy,)
        async for each in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(passing),
            wait=self.wait_s,
            stop=tenacity.stop_after_attempt(self.tries),
            reraise=True,
        ):
            with each:
                return await attempt()
        raise AssertionError("tenacity ends with a result or an error")

    def wait_s(self, state: tenacity.RetryCallState) -> float:
        """Return how long to wait before the next attempt: 1, 2, 4 s with jitter, or as long as Retry-After says."""
        error = state.outcome.exception() if state.outcome is not None else None
        return max(_growing(state), error.retry_after_s if isinstance(error, ApiError) else 0)

    # -- callbacks --------------------------------------------------------------------------------

    async def handle_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        """Handle a callback; return the status to answer. Header names are in lower case.

        It only wakes the code that waits for the task, which then queries it, so that a callback that is
        repeated, comes in another order or tells something else than the API does no harm.
        """
        if not self.signed_well(headers, body):
            return 401
        try:
            event = json.loads(body)
        except ValueError:
            return 400
        if not isinstance(event, dict):
            return 400
        task_id = self.called_back_about(event)
        if task_id in self._waiting:
            self._waiting[task_id].set()
        elif task_id is not None:
            self._early[task_id] = None
            if len(self._early) > _MOST_EARLY:
                self._early.popitem(last=False)
        return 200

    def signed_well(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Check the signature over the raw body, in constant time."""
        if self.signature_header is None or self.callback_secret is None:
            return True
        wanted = hmac.new(self.callback_secret.encode(), body, hashlib.sha256).hexdigest()
        given = headers.get(self.signature_header.lower(), "")
        return hmac.compare_digest(wanted.encode(), given.encode(errors="replace"))


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Read Retry-After, in seconds or as a date; 0 if it is missing."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return 0.0
