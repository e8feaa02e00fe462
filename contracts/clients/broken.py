"""Broken clients (mutants): each differs from a good one in one respect, and violates one clause.

`@breaks` names the clause, what the verdict must say, and which other clauses are violated as a consequence. Each
is applied to the good client of every provider to which the clause applies.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import importlib
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp

from contracts.analysis import sends_callbacks, signs_callbacks
from contracts.clients.polite import Answer, ApiError, Asking, GaveUp, PoliteClient, Seen, TaskFailed
from mockserver.provider import Provider

if TYPE_CHECKING:
    import tenacity

T = TypeVar("T")
Mixin = TypeVar("Mixin", bound=type[PoliteClient])


@dataclass(frozen=True)
class Mutant:
    """One fault of a client."""

    name: str
    clause: str
    #: What the verdict says, as a regular expression.
    seen: str
    #: Other clauses that are violated as a consequence.
    also: frozenset[str]
    applies: Callable[[Provider], bool]
    mixin: type[PoliteClient]

    def over(self, good: type[PoliteClient]) -> type[PoliteClient]:
        """Apply it to a good client."""
        return type(f"{self.name}{good.__name__}", (self.mixin, good), {})


_mutants: list[Mutant] = []


def mutants() -> tuple[Mutant, ...]:
    """Return all mutants: those of this file and of `careless`."""
    importlib.import_module("contracts.clients.careless")
    return tuple(_mutants)


def breaks(
    clause: str, seen: str, *also: str, applies: Callable[[Provider], bool] = lambda _: True
) -> Callable[[Mixin], Mixin]:
    """Register a mutant with the clause that it violates."""

    def register(mixin: Mixin) -> Mixin:
        _mutants.append(Mutant(mixin.__name__, clause, seen, frozenset(also), applies, mixin))
        return mixin

    return register


# -- submitting -------------------------------------------------------------------------------------


@breaks("submit.body-as-documented", "duration", "outcome.makes-video")
class AsksForTooMuch(PoliteClient):
    """Asks for a video of 99 s."""

    def submit_request(self, prompt: str) -> tuple[str, dict[str, Any]]:
        path, body = super().submit_request(prompt)
        body.get("input", body)["duration"] = 99
        return path, body


@breaks("submit.content-type", "Content-Type is text/plain", "outcome.makes-video")
class SaysText(PoliteClient):
    """Sends JSON as text/plain."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        request = self._http._request  # noqa: SLF001 - the one place where a header can be changed for all

        async def as_text(*args: Any, **options: Any) -> aiohttp.ClientResponse:
            if options.get("data") is not None:
                options["headers"] = {**options["headers"], "Content-Type": "text/plain"}
            return await request(*args, **options)

        object.__setattr__(self._http, "_request", as_text)


@breaks("auth.key-in-its-header", "no .* header|without Bearer", "outcome.makes-video")
class BareKey(PoliteClient):
    """Sends the key in an undocumented form."""

    def auth_headers(self) -> dict[str, str]:
        bearer = "Authorization" in super().auth_headers()
        return {"Authorization": self.api_key} if bearer else {"Authorization": f"Bearer {self.api_key}"}


@breaks("auth.key-nowhere-else", "the key is in the URL")
class KeyInAddress(PoliteClient):
    """Puts the key into the URL, too."""

    def query_path(self, task_id: str) -> str:
        path = super().query_path(task_id)
        return f"{path}{'&' if '?' in path else '?'}key={self.api_key}"


@breaks(
    "submit.right-endpoint",
    "a video model was sent to",
    "outcome.makes-video",
    applies=lambda provider: any(each.role == "decoy" for each in provider.operations.values()),
)
class Chats(PoliteClient):
    """Sends the prompt to the chat endpoint."""

    def submit_request(self, prompt: str) -> tuple[str, dict[str, Any]]:
        _, body = super().submit_request(prompt)
        return "/v1/chat/completions", {
            "model": body["model"],
            "messages": [{"role": "user", "content": prompt}],
        }


@breaks("submit.not-again-after-refusal", "the same submit again after 4")
class TakesNoForBusy(PoliteClient):
    """Retries after every refusal."""

    async def submit_once(self, prompt: str) -> Answer:
        self.busy_statuses = self.busy_statuses | {400, 401, 403, 422}  # type: ignore[misc]
        return await super().submit_once(prompt)


@breaks(
    "submit.one-task-a-job",
    "was submitted again",
    # Of the first task nothing is ever heard, and both take up room.
    *("callbacks.lost-recovered-by-poll", "callbacks.early-kept", "limits.kept", "submit.not-again-after-lost-answer"),
    "submit.any-success",
)
class SubmitsTwice(PoliteClient):
    """Creates two tasks for one job."""

    async def submit(self, prompt: str) -> str:
        await super().submit(prompt)
        return await super().submit(prompt)


@breaks("submit.not-again-after-lost-answer", "the same submit again after its answer", "payment.unreadable-answer")
class SubmitsBlindly(PoliteClient):
    """Repeats a submit that was not answered."""

    async def with_retries(self, attempt: Any, *, repeatable: bool = True) -> Any:  # noqa: ARG002
        return await super().with_retries(attempt, repeatable=True)


# -- trying again -----------------------------------------------------------------------------------


def _asked_s(state: tenacity.RetryCallState) -> float:
    """Return the wait that the last answer's Retry-After asks for."""
    error = state.outcome.exception() if state.outcome is not None else None
    return error.retry_after_s if isinstance(error, ApiError) else 0


@breaks(
    "retry.waits-grow",
    "retried 1",
    # Where jitter is documented, a wait of a second may always be part of it.
    applies=lambda provider: any(advice.waits_s and not advice.jitter for advice in provider.client.retry),
)
class WaitsASecond(PoliteClient):
    """Always waits about a second."""

    def wait_s(self, state: tenacity.RetryCallState) -> float:
        return max(random.uniform(1, 1.4), _asked_s(state))


@breaks("retry.not-at-once", "retries in a row without a wait", "retry.waits-grow", "retry.jitter")
class TriesAtOnce(PoliteClient):
    """Hardly waits."""

    def wait_s(self, state: tenacity.RetryCallState) -> float:
        return _asked_s(state) or random.uniform(0.001, 0.02)


@breaks("retry.jitter", "each waited", applies=lambda provider: any(advice.jitter for advice in provider.client.retry))
class WaitsLikeAllOthers(PoliteClient):
    """Waits 1, 2, 4 s to the millisecond."""

    def wait_s(self, state: tenacity.RetryCallState) -> float:
        return max(2.0 ** (state.attempt_number - 1), _asked_s(state))


@breaks("retry.retry-after", "an answer with Retry-After")
class HearsNoRetryAfter(PoliteClient):
    """Does not read Retry-After."""

    def wait_s(self, state: tenacity.RetryCallState) -> float:
        return 2.0 ** (state.attempt_number - 1) + random.uniform(0, 0.5)


@breaks(
    "retry.at-most",
    "attempts, all answered",
    applies=lambda provider: any(advice.at_most is not None for advice in provider.client.retry),
)
class NeverStopsTrying(PoliteClient):
    """Makes twelve attempts."""

    tries = 12


@breaks(
    "retry.eases-off",
    "while 429 continued",
    applies=lambda provider: any(429 in advice.statuses for advice in provider.client.retry),
)
class PressesHarder(PoliteClient):
    """Shortens its waits."""

    def wait_s(self, state: tenacity.RetryCallState) -> float:
        return max((9, 4, 4)[min(state.attempt_number, 3) - 1] + random.uniform(0, 0.3), _asked_s(state))


# -- polling ----------------------------------------------------------------------------------------


@breaks("poll.first-wait", "the first query 0", applies=lambda provider: provider.client.poll.first_after_s is not None)
class AsksAtOnce(PoliteClient):
    """Polls as soon as the task exists."""

    first_wait_s = 0.1


@breaks(
    "poll.interval",
    "apart",
    "outcome.follows-to-the-end",  # its queries are used up before its time is
    applies=lambda provider: provider.client.poll.interval_s is not None,
)
class AsksTooOften(PoliteClient):
    """Polls too often."""

    poll_interval_s = 2.5


@breaks(
    "poll.waits",
    "apart",
    # Its queries are used up before the task ends.
    *("outcome.follows-to-the-end", "outcome.makes-video"),
    *("callbacks.unknown-event-is-no-end", "callbacks.query-may-lag"),
    applies=lambda provider: provider.client.poll.interval_s is None,
)
class MistakesSecondsForMilliseconds(PoliteClient):
    """Gives the wait between polls in another unit than it is read in."""

    poll_interval_s = 0.01


@breaks("poll.stops-at-end", "more queries after the task was shown")
class AsksOn(PoliteClient):
    """Polls on after the end."""

    async def finished(self, task_id: str) -> Seen:
        seen = await super().finished(task_id)
        for _ in range(2):
            await asyncio.sleep(self.poll_interval_s)
            with contextlib.suppress(Exception):
                await self.ask(task_id, Asking(1, asyncio.get_running_loop().time() + 1))
        return seen


@breaks(
    "poll.gives-up",
    "queries of one task|after the submit",
    "outcome.ends",
    applies=lambda provider: (
        provider.client.poll.at_most is not None or provider.client.poll.give_up_after_s is not None
    ),
)
class WaitsForEver(PoliteClient):
    """Waits without limit."""

    give_up_after_s = 1e9
    most_polls = 1_000_000_000


@breaks("poll.unknown-status", "showed the unknown status")
class KnowsAllWords(PoliteClient):
    """Treats an unknown status as a failure."""

    def seen(self, body: Any) -> Seen:
        if "reviewing" in json.dumps(body).lower():
            return Seen("failed", reason="unknown status")
        return super().seen(body)


@breaks("poll.errors-are-retried", "polling stopped at its first error")
class StopsAtAnError(PoliteClient):
    """Gives a task up at the first failed poll."""

    async def look(self, task_id: str, asking: Asking) -> Seen | None:
        try:
            return self.seen((await self.ask(task_id, asking)).body)
        except ApiError as error:
            if error.status == 404:
                return None
            raise


@breaks(
    "poll.by-answered-id",
    "not named in any submit's answer",
    "callbacks.lost-recovered-by-poll",
    "callbacks.early-kept",
    "outcome.makes-video",
    "callbacks.failure-has-its-reason",
)
class AsksForAnother(PoliteClient):
    """Changes the task id before polling."""

    def query_path(self, task_id: str) -> str:
        return super().query_path(task_id[:-1] + ("0" if task_id[-1] != "0" else "1"))


# -- results ----------------------------------------------------------------------------------------


@breaks("results.fetched", "no download")
class FetchesNothing(PoliteClient):
    """Returns the link without a download."""

    async def download(self, url: str) -> Any:
        return url


@breaks("results.in-time", "after the link had expired", "outcome.returns-file")
class FetchesLate(PoliteClient):
    """Downloads the file eight days later."""

    async def download(self, url: str) -> bytes:
        await asyncio.sleep(8 * 86_400)
        return await super().download(url)


@breaks("results.without-key", "a download with", "auth.no-key-to-other-hosts")
class FetchesWithKey(PoliteClient):
    """Sends the key to the file host."""

    async def fetch(self, url: str) -> bytes:
        self._http.headers.update(self.auth_headers())
        return await super().fetch(url)


@breaks("results.link-as-given", "does not appear in any answer", "outcome.returns-file", "results.fetched")
class TidiesLinks(PoliteClient):
    """Removes parts of the link."""

    async def fetch(self, url: str) -> bytes:
        return await super().fetch(url.partition("?")[0].replace("/0.", "/00."))


@breaks(
    "results.whole",
    "bytes were received, and the download was not repeated",
    "outcome.success-is-real",
    "results.is-a-video",
)
class KeepsHalves(PoliteClient):
    """Keeps a partial file."""

    async def fetch(self, url: str) -> bytes:
        content = bytearray()
        async with self._http.get(url) as answer:
            answer.raise_for_status()
            try:
                async for piece in answer.content.iter_any():
                    content += piece
            except aiohttp.ClientError:
                pass
        return bytes(content)


# -- limits and money -------------------------------------------------------------------------------


@breaks(
    "limits.kept",
    "submits were refused",
    applies=lambda provider: provider.plans[provider.default_plan].concurrent_tasks is not None,
)
class CrowdsIn(PoliteClient):
    """Submits all its jobs at once."""

    most_at_once = 1000


@breaks("limits.no-credits-stops", "more submits after 402")
class SpendsOn(PoliteClient):
    """Continues to submit without credits."""

    most_at_once = 1

    async def submit_once(self, prompt: str) -> Answer:
        self._broke = False
        await asyncio.sleep(1)
        return await super().submit_once(prompt)


@breaks("limits.failed-not-resubmitted", "a fourth time")
class NeverTakesNo(PoliteClient):
    """Submits a failed job again, ten times."""

    async def generate(self, prompt: str) -> bytes:
        for _ in range(9):
            try:
                return await super().generate(prompt)
            except TaskFailed:
                continue
        return await super().generate(prompt)


# -- callbacks --------------------------------------------------------------------------------------


class _NeverAsks(PoliteClient):
    """Relies on callbacks, if it receives any."""

    async def _told(self, task_id: str) -> None:
        event = self._waiting[task_id] = asyncio.Event()
        if task_id in self._early:
            event.set()
        try:
            await asyncio.wait_for(event.wait(), 3600)
        except TimeoutError:
            raise GaveUp(f"no callback about {task_id} came") from None
        finally:
            del self._waiting[task_id]

    async def finished(self, task_id: str) -> Seen:
        if self.callback_url is not None:
            await self._told(task_id)
        return await super().finished(task_id)


@breaks(
    "callbacks.acknowledged",
    "the receiver answered 410",
    "callbacks.unknown-events",
    "callbacks.signature-over-raw-bytes",
    applies=sends_callbacks,
)
class AcknowledgesNothing(PoliteClient):
    """Answers 410 to every callback."""

    async def handle_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        status = await super().handle_callback(headers, body)
        return 410 if status == 200 else status


@breaks("callbacks.in-time", "did not answer in time", applies=sends_callbacks)
class WorksInTheHandler(PoliteClient):
    """Works before it answers."""

    async def handle_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        status = await super().handle_callback(headers, body)
        await asyncio.sleep(20)
        return status


@breaks("callbacks.forged-refused", "was answered 200", applies=signs_callbacks)
class TrustsEverybody(PoliteClient):
    """Ignores the result of the signature check."""

    def signed_well(self, headers: Mapping[str, str], body: bytes) -> bool:
        super().signed_well(headers, body)
        return True


@breaks("callbacks.unreadable-handled", "answered 500", applies=sends_callbacks)
class TrustsJSON(PoliteClient):
    """Fails on a body that is not JSON."""

    async def handle_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        json.loads(body)
        return await super().handle_callback(headers, body)


@breaks("callbacks.unknown-events", "to an unknown event", applies=sends_callbacks)
class KnowsAllEvents(PoliteClient):
    """Refuses unknown events."""

    async def handle_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        status = await super().handle_callback(headers, body)
        return 422 if status == 200 and b"reviewing" in body else status


@breaks("callbacks.lost-recovered-by-poll", "the task was not polled", applies=sends_callbacks)
class OnlyListens(_NeverAsks):
    """Never polls a task whose callback does not arrive."""


@breaks("callbacks.idempotent", "the file was downloaded again", applies=sends_callbacks)
class ActsOnEveryCallback(PoliteClient):
    """Downloads the file again at every callback."""

    async def handle_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        status = await super().handle_callback(headers, body)
        if status == 200:
            task_id = self.called_back_about(json.loads(body))
            url = self.__dict__.setdefault("links", {}).get(task_id)
            if url is not None:
                self.__dict__["again"] = asyncio.create_task(self.fetch(url))
        return status

    async def finished(self, task_id: str) -> Seen:
        seen = await super().finished(task_id)
        self.__dict__.setdefault("links", {})[task_id] = seen.url
        return seen


@breaks("callbacks.early-kept", "was not used", "callbacks.lost-recovered-by-poll", applies=sends_callbacks)
class ForgetsEarlyCallbacks(_NeverAsks):
    """Drops callbacks of tasks that are not known yet."""

    async def handle_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        status = await super().handle_callback(headers, body)
        self._early.clear()
        return status


@breaks("callbacks.constant-time", "without a call of hmac.compare_digest", applies=signs_callbacks)
class ComparesPlainly(PoliteClient):
    """Compares signatures with ==."""

    def signed_well(self, headers: Mapping[str, str], body: bytes) -> bool:
        if self.callback_secret is None or self.signature_header is None:
            return True
        wanted = hmac.new(self.callback_secret.encode(), body, hashlib.sha256).hexdigest()
        return wanted == headers.get(self.signature_header.lower(), "")


# -- outcomes ---------------------------------------------------------------------------------------


@breaks("outcome.ends", "did not end", "poll.gives-up")
class AsksForEver(WaitsForEver):
    """Polls without limit."""


@breaks("outcome.begins", "before any request to the API", "outcome.makes-video")
class NeverSubmits(PoliteClient):
    """Fails before its first request."""

    def submit_request(self, prompt: str) -> tuple[str, dict[str, Any]]:
        raise KeyError(f"no model is configured for {prompt!r}")


@breaks(
    "outcome.makes-video",
    "although nothing went wrong at the provider",
    *("outcome.follows-to-the-end", "callbacks.lost-recovered-by-poll", "callbacks.early-kept"),
    "callbacks.failure-has-its-reason",  # it asks no more
)
class AsksElsewhere(PoliteClient):
    """Polls at a path that does not exist."""

    def query_path(self, task_id: str) -> str:
        raise ApiError(404, f"there is no path for {task_id}")


@breaks("outcome.success-is-real", "reported as done", "results.is-a-video", "submit.error-inside-success")
class CallsErrorsDone(PoliteClient):
    """Reports a job as done when the API refuses."""

    async def generate(self, prompt: str) -> Any:
        try:
            return await super().generate(prompt)
        except ApiError:
            return None


@breaks("outcome.failure-has-its-reason", "without the reason")
class HidesReasons(PoliteClient):
    """Reports a failure without its reason."""

    async def generate(self, prompt: str) -> bytes:
        try:
            return await super().generate(prompt)
        except TaskFailed:
            raise TaskFailed("something went wrong") from None


@breaks("outcome.returns-file", "job 1 failed with", "results.fetched")
class AsksTooMuchOfAnEnd(PoliteClient):
    """Refuses a final answer with an unknown field."""

    only_an_end = True

    def seen(self, body: Any) -> Seen:
        seen = super().seen(body)
        if (seen.ended == "success" or not self.only_an_end) and "x_internal" in json.dumps(body):
            raise ValueError("the answer has a field that is not in the document")
        return seen


@breaks("outcome.follows-to-the-end", "when its task was still")
class AsksTooMuchOfAnswers(AsksTooMuchOfAnEnd):
    """Refuses any answer with an unknown field."""

    only_an_end = False


@breaks("outcome.error-has-request-id", "the error of job", "submit.error-inside-success")
class HidesRequestIds(PoliteClient):
    """Reports an API failure without the request id."""

    async def submit(self, prompt: str) -> str:
        try:
            return await super().submit(prompt)
        except ApiError as error:
            raise ApiError(error.status, "the API failed") from None
