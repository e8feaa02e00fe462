"""Broken clients: each differs from a good one in one respect, and breaks one clause by it.

`@breaks` says which, what the verdict has to say, and what else cannot be kept then. Each is laid over the
good client of any provider to which the clause applies.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp

from contracts.clients.polite import ApiError, Asking, GaveUp, PoliteClient, Seen, TaskFailed

if TYPE_CHECKING:
    import tenacity

    from contracts.clients.polite import Answer
    from mockserver.provider import Provider

T = TypeVar("T")
Mixin = TypeVar("Mixin", bound=type[PoliteClient])


@dataclass(frozen=True)
class Mutant:
    """A way to go wrong."""

    name: str
    clause: str
    #: What the verdict says, as a regular expression.
    seen: str
    #: Other clauses that cannot be kept then.
    also: frozenset[str]
    applies: Callable[[Provider], bool]
    mixin: type[PoliteClient]

    def over(self, good: type[PoliteClient]) -> type[PoliteClient]:
        """Lay it over a good client."""
        return type(f"{self.name}{good.__name__}", (self.mixin, good), {})


_mutants: list[Mutant] = []


def mutants() -> tuple[Mutant, ...]:
    """Return them all."""
    return tuple(_mutants)


def _anywhere(_: Provider) -> bool:
    return True


def _calls_back(provider: Provider) -> bool:
    return provider.callbacks is not None


def _signs(provider: Provider) -> bool:
    return provider.callbacks is not None and provider.callbacks.signature is not None


def breaks(
    clause: str, seen: str, *also: str, applies: Callable[[Provider], bool] = _anywhere
) -> Callable[[Mixin], Mixin]:
    """Say what a client breaks."""

    def register(mixin: Mixin) -> Mixin:
        _mutants.append(Mutant(mixin.__name__, clause, seen, frozenset(also), applies, mixin))
        return mixin

    return register


# -- submitting -------------------------------------------------------------------------------------


@breaks("submit.body-as-documented", "duration")
class AsksForTooMuch(PoliteClient):
    """Asks for a video of 99 s."""

    def submit_request(self, prompt: str) -> tuple[str, dict[str, Any]]:
        path, body = super().submit_request(prompt)
        body.get("input", body)["duration"] = 99
        return path, body


@breaks("submit.says-json", "Content-Type is text/plain")
class SaysText(PoliteClient):
    """Sends JSON, and calls it text."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        request = self._http._request  # noqa: SLF001 - the one place where a header can be changed for all

        async def as_text(*args: Any, **options: Any) -> aiohttp.ClientResponse:
            if options.get("data") is not None:
                options["headers"] = {**options["headers"], "Content-Type": "text/plain"}
            return await request(*args, **options)

        object.__setattr__(self._http, "_request", as_text)


@breaks("auth.key-in-its-header", "no .* header|without the word Bearer")
class BareKey(PoliteClient):
    """Sends the key in another form than the document's."""

    def auth_headers(self) -> dict[str, str]:
        bearer = "Authorization" in super().auth_headers()
        return {"Authorization": self.api_key} if bearer else {"Authorization": f"Bearer {self.api_key}"}


@breaks("auth.key-nowhere-else", "stands in the address")
class KeyInAddress(PoliteClient):
    """Puts the key into the address as well."""

    def query_path(self, task_id: str) -> str:
        path = super().query_path(task_id)
        return f"{path}{'&' if '?' in path else '?'}key={self.api_key}"


@breaks(
    "submit.right-endpoint",
    "a video model was sent to",
    applies=lambda provider: any(each.role == "decoy" for each in provider.operations.values()),
)
class Chats(PoliteClient):
    """Sends the prompt to the endpoint for chats."""

    def submit_request(self, prompt: str) -> tuple[str, dict[str, Any]]:
        _, body = super().submit_request(prompt)
        return "/v1/chat/completions", {
            "model": body["model"],
            "messages": [{"role": "user", "content": prompt}],
        }


@breaks("submit.not-again-after-refusal", "the same submit again after 4")
class TakesNoForBusy(PoliteClient):
    """Tries again after every refusal."""

    async def submit_once(self, prompt: str) -> Answer:
        self.busy_statuses = self.busy_statuses | {400, 401, 403, 422}  # type: ignore[misc]
        return await super().submit_once(prompt)


@breaks(
    "submit.one-task-a-job",
    "was submitted again",
    # Of the first task nothing is ever heard, and both take up room.
    *("callbacks.lost-made-up", "callbacks.early-kept", "limits.kept"),
)
class SubmitsTwice(PoliteClient):
    """Makes two tasks of a job, to have the better of them."""

    async def submit(self, prompt: str) -> str:
        await super().submit(prompt)
        return await super().submit(prompt)


@breaks("submit.not-again-after-lost-answer", "after an answer that was lost")
class SubmitsBlindly(PoliteClient):
    """Sends a submit again when no answer came."""

    async def patiently(self, attempt: Any, *, repeatable: bool = True) -> Any:  # noqa: ARG002
        return await super().patiently(attempt, repeatable=True)


# -- trying again -----------------------------------------------------------------------------------


def _advised(provider: Provider) -> bool:
    return any(advice.waits_s for advice in provider.client.retry)


@breaks("retry.waits-grow", "tried again 1", applies=_advised)
class WaitsASecond(PoliteClient):
    """Waits about a second, always."""

    def wait_s(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        return max(random.uniform(1, 1.4), error.retry_after_s if isinstance(error, ApiError) else 0)


@breaks("retry.not-at-once", r"tried again 0", "retry.waits-grow")
class TriesAtOnce(PoliteClient):
    """Hardly waits."""

    def wait_s(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        asked_s = error.retry_after_s if isinstance(error, ApiError) else 0
        return asked_s or random.uniform(0.01, 0.2)


@breaks(
    "retry.jitter",
    "each waited",
    applies=lambda provider: any(advice.jitter for advice in provider.client.retry),
)
class WaitsLikeAllOthers(PoliteClient):
    """Waits 1, 2, 4 s to the millisecond."""

    def wait_s(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        return max(2.0 ** (state.attempt_number - 1), error.retry_after_s if isinstance(error, ApiError) else 0)


@breaks("retry.retry-after", "an answer that said to wait")
class HearsNoRetryAfter(PoliteClient):
    """Does not read Retry-After."""

    def wait_s(self, state: tenacity.RetryCallState) -> float:
        return 2.0 ** (state.attempt_number - 1) + random.uniform(0, 0.5)


@breaks(
    "retry.at-most",
    "tries, all answered",
    applies=lambda provider: any(advice.at_most is not None for advice in provider.client.retry),
)
class NeverStopsTrying(PoliteClient):
    """Tries a dozen times."""

    tries = 12


@breaks(
    "retry.eases-off",
    "although 429 went on",
    applies=lambda provider: any(429 in advice.statuses for advice in provider.client.retry),
)
class PressesHarder(PoliteClient):
    """Waits less and less."""

    def wait_s(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        growing_s = (9, 4, 4)[min(state.attempt_number, 3) - 1] + random.uniform(0, 0.3)
        return max(growing_s, error.retry_after_s if isinstance(error, ApiError) else 0)


# -- polling ----------------------------------------------------------------------------------------


@breaks(
    "poll.first-wait",
    "the first query 0",
    applies=lambda provider: provider.client.poll.first_after_s is not None,
)
class AsksAtOnce(PoliteClient):
    """Asks as soon as the task is there."""

    first_wait_s = 0.1


@breaks(
    "poll.interval",
    "apart",
    "outcome.follows-to-the-end",  # its queries are used up before its time is
    applies=lambda provider: provider.client.poll.interval_s is not None,
)
class AsksTooOften(PoliteClient):
    """Asks more often than it should."""

    poll_interval_s = 2.5


@breaks("poll.stops-at-end", "more quer(y|ies) after the task was shown")
class AsksOn(PoliteClient):
    """Asks once more, to be sure."""

    async def finished(self, task_id: str) -> Seen:
        seen = await super().finished(task_id)
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
    """Has no end to waiting."""

    give_up_after_s = 1e9
    most_polls = 1_000_000_000


@breaks("poll.unknown-words", "showed the unknown word")
class KnowsAllWords(PoliteClient):
    """Takes a word that it does not know for a failure."""

    def seen(self, body: Any) -> Seen:
        if "reviewing" in json.dumps(body).lower():
            return Seen("failed", reason="the status is not one of those that there are")
        return super().seen(body)


@breaks("poll.errors-are-no-end", "polling stopped at its first error")
class StopsAtAnError(PoliteClient):
    """Gives a task up at the first error in answer to a query."""

    async def look(self, task_id: str, asking: Asking) -> Seen | None:
        try:
            return self.seen((await self.ask(task_id, asking)).body)
        except ApiError as error:
            if error.status == 404:
                return None
            raise


@breaks(
    "poll.by-answered-id",
    "no submit was answered with",
    "callbacks.lost-made-up",
    "callbacks.early-kept",
)
class AsksForAnother(PoliteClient):
    """Changes the id before it asks."""

    def query_path(self, task_id: str) -> str:
        return super().query_path(task_id[:-1] + ("0" if task_id[-1] != "0" else "1"))


# -- results ----------------------------------------------------------------------------------------


@breaks("results.fetched", "no download")
class FetchesNothing(PoliteClient):
    """Is content with the link."""

    async def download(self, url: str) -> Any:
        return url


@breaks("results.in-time", "after the link had expired", "outcome.comes-home")
class FetchesLate(PoliteClient):
    """Fetches the file eight days later."""

    async def download(self, url: str) -> bytes:
        await asyncio.sleep(8 * 86_400)
        return await super().download(url)


@breaks("results.without-key", "a download with")
class FetchesWithKey(PoliteClient):
    """Sends the key to whoever keeps the files."""

    async def fetch(self, url: str) -> bytes:
        self._http.headers.update(self.auth_headers())
        return await super().fetch(url)


@breaks("results.link-as-given", "which nobody gave", "outcome.comes-home", "results.fetched")
class TidiesLinks(PoliteClient):
    """Cuts off of a link what seems not to be needed."""

    async def fetch(self, url: str) -> bytes:
        return await super().fetch(url.partition("?")[0].replace("/0.", "/00."))


@breaks("results.whole", "bytes came, and nothing was fetched again", "outcome.success-is-real")
class KeepsHalves(PoliteClient):
    """Takes what came for the file."""

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
    """Has all its tasks made at once."""

    most_at_once = 1000


@breaks("limits.no-credits-stops", "another submit after 402")
class SpendsOn(PoliteClient):
    """Submits on when there are no credits."""

    most_at_once = 1

    async def submit_once(self, prompt: str) -> Answer:
        self._broke = False
        await asyncio.sleep(1)
        return await super().submit_once(prompt)


@breaks("limits.failed-not-blindly-again", "a fourth time")
class NeverTakesNo(PoliteClient):
    """Submits a job again when its task has failed, ten times."""

    async def generate(self, prompt: str) -> bytes:
        for _ in range(9):
            try:
                return await super().generate(prompt)
            except TaskFailed:
                continue
        return await super().generate(prompt)


# -- callbacks --------------------------------------------------------------------------------------


class _NeverAsks(PoliteClient):
    """Trusts in callbacks, where it gets any."""

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


@breaks("callbacks.acknowledged", "the receiver answered 410", "callbacks.unknown-events", applies=_calls_back)
class AcknowledgesNothing(PoliteClient):
    """Answers 410 to every callback."""

    async def handle_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        status = await super().handle_callback(headers, body)
        return 410 if status == 200 else status


@breaks("callbacks.in-time", "did not answer in time", applies=_calls_back)
class WorksInTheHandler(PoliteClient):
    """Does its work before it answers."""

    async def handle_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        status = await super().handle_callback(headers, body)
        await asyncio.sleep(20)
        return status


@breaks("callbacks.forged-refused", "was answered 200", applies=_signs)
class TrustsEverybody(PoliteClient):
    """Checks the signature, and goes on whatever comes out."""

    def signed_well(self, headers: Mapping[str, str], body: bytes) -> bool:
        super().signed_well(headers, body)
        return True


@breaks("callbacks.survived", "answered 500", applies=_calls_back)
class TrustsJSON(PoliteClient):
    """Does not expect a body that cannot be read."""

    async def handle_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        json.loads(body)
        return await super().handle_callback(headers, body)


@breaks("callbacks.unknown-events", "to an event that it does not know", applies=_calls_back)
class KnowsAllEvents(PoliteClient):
    """Refuses events that it does not know."""

    async def handle_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        status = await super().handle_callback(headers, body)
        return 422 if status == 200 and b"reviewing" in body else status


@breaks("callbacks.lost-made-up", "nobody asked after the task", applies=_calls_back)
class OnlyListens(_NeverAsks):
    """Never asks after a task whose callback does not come."""


@breaks("callbacks.one-effect", "the file was fetched again", applies=_calls_back)
class ActsOnEveryCallback(PoliteClient):
    """Fetches the file again whenever a callback comes."""

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


@breaks(
    "callbacks.early-kept",
    "nothing was made of it",
    "callbacks.lost-made-up",
    applies=_calls_back,
)
class ForgetsEarlyCallbacks(_NeverAsks):
    """Drops callbacks of tasks that it does not know yet."""

    async def handle_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        status = await super().handle_callback(headers, body)
        self._early.clear()
        return status


@breaks("callbacks.constant-time", "compare_digest was never called", applies=_signs)
class ComparesPlainly(PoliteClient):
    """Compares signatures with ==."""

    def signed_well(self, headers: Mapping[str, str], body: bytes) -> bool:
        if self.callback_secret is None or self.signature_header is None:
            return True
        wanted = hmac.new(self.callback_secret.encode(), body, hashlib.sha256).hexdigest()
        return wanted == headers.get(self.signature_header.lower(), "")


# -- outcomes ---------------------------------------------------------------------------------------


@breaks("outcome.ends", "had not ended", "poll.gives-up")
class AsksForEver(PoliteClient):
    """Asks until something comes of it, and nothing may."""

    give_up_after_s = 1e9
    most_polls = 1_000_000_000


@breaks("outcome.begins", "nothing had been asked of the API")
class NeverSubmits(PoliteClient):
    """Stumbles before it has asked for anything."""

    def submit_request(self, prompt: str) -> tuple[str, dict[str, Any]]:
        raise KeyError(f"no model is configured for {prompt!r}")


@breaks("outcome.success-is-real", "reported as done")
class CallsErrorsDone(PoliteClient):
    """Reports a job as done when the API refuses."""

    async def generate(self, prompt: str) -> Any:
        try:
            return await super().generate(prompt)
        except ApiError:
            return None


@breaks("outcome.failure-has-its-reason", "without the reason")
class HidesReasons(PoliteClient):
    """Says that something went wrong, and not what."""

    async def generate(self, prompt: str) -> bytes:
        try:
            return await super().generate(prompt)
        except TaskFailed:
            raise TaskFailed("something went wrong") from None


@breaks("outcome.comes-home", "job 1 failed with", "results.fetched")
class AsksTooMuchOfAnEnd(PoliteClient):
    """Refuses an answer at the end that has a field which it does not know."""

    def seen(self, body: Any) -> Seen:
        seen = super().seen(body)
        if seen.ended == "success" and "x_internal" in json.dumps(body):
            raise ValueError("the answer has a field that is not in the document")
        return seen


@breaks("outcome.follows-to-the-end", "when its task was still")
class AsksTooMuchOfAnswers(PoliteClient):
    """Refuses an answer that has a field which it does not know."""

    def seen(self, body: Any) -> Seen:
        seen = super().seen(body)
        if "x_internal" in json.dumps(body):
            raise ValueError("the answer has a field that is not in the document")
        return seen


@breaks("outcome.error-has-request-id", "the error of job")
class HidesRequestIds(PoliteClient):
    """Says that the API failed, and not in which request."""

    async def submit(self, prompt: str) -> str:
        try:
            return await super().submit(prompt)
        except ApiError as error:
            raise ApiError(error.status, "the API failed") from None
