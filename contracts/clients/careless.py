"""More broken clients: each makes a mistake that was found in clients of others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from contracts.analysis import sends_callbacks, signs_callbacks
from contracts.clients.broken import breaks
from contracts.clients.polite import (
    Answer,
    ApiError,
    Asking,
    BadFile,
    Busy,
    GaveUp,
    PoliteClient,
    Seen,
    TaskFailed,
    Unreadable,
)
from mockserver.engine.signing import old_secret_of

if TYPE_CHECKING:
    import tenacity

# -- money ------------------------------------------------------------------------------------------


@breaks("payment.poll-errors", "after polls of its task had failed", "submit.one-task-a-job")
class PaysForPollErrors(PoliteClient):
    """Submits the job again when polls fail."""

    async def finished(self, task_id: str) -> Seen:
        try:
            return await super().finished(task_id)
        except (ApiError, Unreadable, aiohttp.ClientError, TimeoutError):
            prompt = self.__dict__["prompts"][task_id]
            return await super().finished(await super().submit(prompt))

    async def submit(self, prompt: str) -> str:
        task_id = await super().submit(prompt)
        self.__dict__.setdefault("prompts", {})[task_id] = prompt
        return task_id


@breaks(
    "payment.unreadable-answer",
    "after an unreadable answer with status 200",
    "submit.one-task-a-job",
    "submit.not-again-after-lost-answer",
)
class PaysForUnreadableAnswers(PoliteClient):
    """Submits the job again when the answer cannot be read."""

    async def submit_once(self, prompt: str) -> Answer:
        try:
            return await super().submit_once(prompt)
        except (Unreadable, aiohttp.ClientPayloadError):
            await asyncio.sleep(1)
            return await super().submit_once(prompt)


@breaks("payment.bad-file", "after a failed download", "limits.kept", "submit.one-task-a-job")
class PaysForBadFiles(PoliteClient):
    """Makes the video again when its file cannot be downloaded."""

    async def generate(self, prompt: str) -> bytes:
        try:
            return await super().generate(prompt)
        except BadFile:
            return await super().generate(prompt)

    async def download(self, url: str) -> bytes:
        try:
            return await super().download(url)
        except (ApiError, aiohttp.ClientError) as error:
            raise BadFile(str(error)) from error


@breaks("submit.error-inside-success", "of a task that does not exist|without the message", "outcome.ends")
class TakesAnyBodyForATask(PoliteClient):
    """Takes whatever has status 200 for a new task."""

    def task_id(self, body: Any) -> str:
        try:
            return super().task_id(body)
        except (KeyError, TypeError):
            return "None"

    def problem(self, answer: Answer) -> tuple[int, str] | None:
        inside = answer.status == 200 and isinstance(answer.body, dict) and "code" in answer.body
        return None if inside and not answer.body.get("data") else super().problem(answer)


# -- bodies -----------------------------------------------------------------------------------------


class _ChangesPrompts(PoliteClient):
    """Does something to its prompts."""

    def changed(self, prompt: str) -> str:
        """Return the prompt as it is sent."""
        raise NotImplementedError

    def submit_request(self, prompt: str) -> tuple[str, dict[str, Any]]:
        return super().submit_request(self.changed(prompt))


@breaks("submit.prompt-unchanged", "the prompt was sent as")
class LosesLetters(_ChangesPrompts):
    """Sends question marks instead of letters that are not ASCII."""

    def changed(self, prompt: str) -> str:
        return prompt.encode("ascii", "replace").decode()


@breaks("submit.prompt-unchanged", "the prompt was sent as 500 characters")
class CutsPrompts(_ChangesPrompts):
    """Cuts prompts at 500 characters."""

    def changed(self, prompt: str) -> str:
        return prompt[:500]


@breaks("submit.prompt-unchanged", "the prompt was sent as")
class EncodesTwice(_ChangesPrompts):
    """Writes a prompt as JSON, and the body with it as JSON again."""

    def changed(self, prompt: str) -> str:
        return json.dumps(prompt)[1:-1]


@breaks("submit.known-fields", "negative_prompt")
class SendsUnknownFields(PoliteClient):
    """Sends fields of another API."""

    def submit_request(self, prompt: str) -> tuple[str, dict[str, Any]]:
        path, body = super().submit_request(prompt)
        body.get("input", body)["negative_prompt"] = "blurred"
        return path, body


@breaks("submit.any-success", "failed after 201", "outcome.follows-to-the-end")
class ExpectsExactly200(PoliteClient):
    """Takes every status but 200 for a failure."""

    def problem(self, answer: Answer) -> tuple[int, str] | None:
        found = super().problem(answer)
        return (answer.status, "unexpected status") if found is None and answer.status != 200 else found


# -- waiting ----------------------------------------------------------------------------------------


@breaks("retry.retry-after", "an answer with Retry-After", "outcome.follows-to-the-end")
class PollsThroughRetryAfter(PoliteClient):
    """Does not read Retry-After where a poll is refused."""

    async def ask(self, task_id: str, asking: Asking) -> Answer:
        try:
            return await super().ask(task_id, asking)
        except ApiError as error:
            error.retry_after_s = 0
            raise


@breaks(
    "retry.reads-dates",
    "a Retry-After that is a date",
    *("outcome.follows-to-the-end", "poll.errors-are-retried", "retry.server-errors", "results.fetched"),
)
class ReadsSecondsOnly(PoliteClient):
    """Reads Retry-After as a number, also where it is a date."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        request = self._http._request  # noqa: SLF001 - the one place that all requests go through

        async def reading(*args: Any, **options: Any) -> aiohttp.ClientResponse:
            response = await request(*args, **options)
            int(response.headers.get("Retry-After", "0"))
            return response

        object.__setattr__(self._http, "_request", reading)


@breaks("retry.wait-as-asked", "each after Retry-After")
class MultipliesRetryAfter(PoliteClient):
    """Doubles what Retry-After says each time."""

    def wait_s(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        asked_s = error.retry_after_s if isinstance(error, ApiError) else 0
        return max(super().wait_s(state), asked_s * 2.0 ** (state.attempt_number - 1))


@breaks("poll.errors-in-a-row", "at its error number 3")
class CountsAllErrors(PoliteClient):
    """Gives a task up at its third failed poll, whatever came in between."""

    async def ask(self, task_id: str, asking: Asking) -> Answer:
        errors = self.__dict__.setdefault("errors", {})
        try:
            return await super().ask(task_id, asking)
        except ApiError as error:
            errors[task_id] = errors.get(task_id, 0) + 1
            if errors[task_id] >= 3 and error.status in self.busy_statuses:
                raise GaveUp(f"too many errors: {error}") from error
            raise


@breaks("retry.server-errors", "at its first 500")
class NeverRetries500(PoliteClient):
    """Takes 500 for final."""

    async def submit_once(self, prompt: str) -> Answer:
        try:
            return await super().submit_once(prompt)
        except Busy as error:
            if error.status == 500:
                raise ApiError(error.status, "the server failed", error.request_id) from error
            raise


@breaks(
    "retry.short-delays",
    "retried 600",
    "poll.errors-are-retried",
    "outcome.follows-to-the-end",
    "poll.gives-up",
    "results.fetched",
)
class WaitsTenMinutes(PoliteClient):
    """Waits ten minutes before a retry."""

    def wait_s(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        late = isinstance(error, ApiError) and not error.retry_after_s
        return 600.0 + super().wait_s(state) % 1 if late else super().wait_s(state)


@breaks(
    "requests.timeout", "a request that was not answered", "outcome.returns-file", "results.fetched", "poll.gives-up"
)
class NeverTimesOut(PoliteClient):
    """Has no timeout."""

    request_timeout_s = 1e9


@breaks("requests.connections", "connections were open at once")
class ConnectsForEachRequest(PoliteClient):
    """Opens a connection for each request, and closes none of them until its end."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.__dict__["sessions"] = [self._http]

    async def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        connector = aiohttp.TCPConnector(keepalive_timeout=3600)
        timeout = aiohttp.ClientTimeout(total=self.request_timeout_s)
        self._http = aiohttp.ClientSession(timeout=timeout, connector=connector)
        self.__dict__["sessions"].append(self._http)
        return await super().request(method, path, body)

    async def aclose(self) -> None:
        for each in self.__dict__["sessions"]:
            await each.close()


# -- callbacks --------------------------------------------------------------------------------------


class _Believes(PoliteClient):
    """Takes a callback's word, without a query."""

    def outcome_of(self, event: Any) -> Seen | None:
        """Read an event; return None where it is not an end."""
        text = json.dumps(event)
        ends = {
            "failed": "failed",
            "cancelled": "cancelled",
            "completed": "success",
            "done": "success",
            "success": "success",
        }
        words = [str(value).rpartition(".")[2] for value in _strings(event)]
        found = next((ends[word] for word in words if word in ends), None)
        return None if found is None else Seen(found, reason=text)

    async def handle_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        status = await super().handle_callback(headers, body)
        with contextlib.suppress(ValueError, AttributeError):
            event = json.loads(body)
            task_id = next((each for each in self._waiting if each in body.decode()), None)
            if status == 200 and task_id is not None:
                self.__dict__.setdefault("told", {})[task_id] = self.outcome_of(event)
                self._waiting[task_id].set()
        return status


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict | list):
        return [each for one in (value.values() if isinstance(value, dict) else value) for each in _strings(one)]
    return [value] if isinstance(value, str) else []


@breaks(
    "callbacks.unknown-event-is-no-end",
    "after a callback of an unknown event",
    *("callbacks.unknown-events", "outcome.follows-to-the-end", "results.fetched", "outcome.returns-file"),
    applies=sends_callbacks,
)
class TakesAnyEventForTheEnd(_Believes):
    """Takes any event but a success for a failure."""

    async def look(self, task_id: str, asking: Asking) -> Seen | None:
        told = self.__dict__.get("told", {})
        if task_id in told and told[task_id] is None:
            raise TaskFailed("the callback does not tell a success")
        return await super().look(task_id, asking)


@breaks("callbacks.failure-has-its-reason", "without the reason", applies=sends_callbacks)
class DropsTheToldReason(_Believes):
    """Reports a failure that was told by a callback without its reason."""

    async def look(self, task_id: str, asking: Asking) -> Seen | None:
        seen = self.__dict__.get("told", {}).get(task_id)
        if seen is not None and seen.ended == "failed":
            raise TaskFailed("the callback tells a failure")
        return await super().look(task_id, asking)


@breaks("callbacks.signature-over-raw-bytes", "other spaces", "callbacks.acknowledged", applies=signs_callbacks)
class SignsItsOwnJSON(PoliteClient):
    """Checks the signature over JSON that it has written itself."""

    def signed_well(self, headers: Mapping[str, str], body: bytes) -> bool:
        try:
            body = json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode()
        except ValueError:
            return super().signed_well(headers, b"")
        return super().signed_well(headers, body)


@breaks("callbacks.forged-refused", "a callback with old secret was answered 200", applies=signs_callbacks)
class AcceptsTheOldSecret(PoliteClient):
    """Accepts signatures of the secret before the present one, too."""

    def signed_well(self, headers: Mapping[str, str], body: bytes) -> bool:
        present = self.callback_secret
        if super().signed_well(headers, body) or present is None:
            return True
        self.callback_secret = old_secret_of(present)
        try:
            return super().signed_well(headers, body)
        finally:
            self.callback_secret = present


@breaks("callbacks.query-may-lag", "did not show the end yet", applies=sends_callbacks)
class ExpectsTheEndAtOnce(PoliteClient):
    """Gives up if the query after a callback does not show the end."""

    async def finished(self, task_id: str) -> Seen:
        if self.callback_url is None:
            return await super().finished(task_id)
        called_back = self._waiting[task_id] = asyncio.Event()
        if task_id in self._early:
            called_back.set()
        await self._pause(called_back, self.callback_patience_s)
        told = called_back.is_set()
        seen = await self.look(task_id, Asking(4, asyncio.get_running_loop().time() + 60))
        if told and self.__dict__.get("known", {}).get(task_id) and seen is not None and seen.ended is None:
            raise GaveUp("the callback came, and the task has not ended")
        if seen is not None and (seen.ended == "failed" or seen.url):
            return seen
        return await super().finished(task_id)

    async def handle_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        status = await super().handle_callback(headers, body)
        if status == 200 and b"reviewing" not in body:
            for task_id in self._waiting:
                if task_id.encode() in body:
                    self.__dict__.setdefault("known", {})[task_id] = True
        return status


# -- tasks and files --------------------------------------------------------------------------------


@breaks(
    "poll.cancelled-is-an-end",
    "was cancelled|shown as cancelled",
    *("poll.stops-at-end", "outcome.failure-has-its-reason"),
    applies=lambda provider: any(end.kind == "cancellation" for end in provider.lifecycle.ends.values()),
)
class WaitsForTheCancelled(PoliteClient):
    """Does not know that a task may be cancelled."""

    def seen(self, body: Any) -> Seen:
        seen = super().seen(body)
        return Seen() if seen.ended == "cancelled" else seen


@breaks("poll.progress-is-no-end", "a progress of 100", "outcome.follows-to-the-end")
class TakesProgressForTheEnd(PoliteClient):
    """Takes full progress for the end."""

    def seen(self, body: Any) -> Seen:
        seen = super().seen(body)
        if seen.ended is None and '"progress": 100' in json.dumps(body):
            raise BadFile("the task is complete, and has no file")
        return seen


class _Resumes(PoliteClient):
    """Resumes a download that breaks off."""

    #: By how much it misses the byte to resume at.
    off_by: int = 0

    async def fetch(self, url: str) -> bytes:
        kept = self.__dict__.setdefault("parts", {}).setdefault(url, bytearray())
        headers = {"Range": f"bytes={len(kept) + self.off_by}-"} if kept else {}
        async with self._http.get(url, headers=headers) as answer:
            if answer.status in self.busy_statuses:
                raise Busy(answer.status, "the file is temporarily unavailable")
            if answer.status not in (200, 206) or answer.content_type.startswith("text/"):
                raise BadFile(f"the link answered {answer.status}")
            if answer.status == 200 and self.starts_again:
                kept.clear()
            async for piece in answer.content.iter_any():
                kept += piece
        return bytes(kept)

    starts_again: bool = True


@breaks("results.resumed-right", "the whole file came", "outcome.success-is-real")
class AppendsTheWholeFile(_Resumes):
    """Appends whatever comes, although the whole file is sent again."""

    starts_again = False


@breaks("results.resumed-right", "the download was resumed", "outcome.success-is-real")
class ResumesOneByteLate(_Resumes):
    """Misses a byte."""

    off_by = 1


@breaks("results.downloaded-once", "downloaded again", "callbacks.idempotent")
class DownloadsTwice(PoliteClient):
    """Downloads each file twice."""

    async def download(self, url: str) -> bytes:
        content = await super().download(url)
        with contextlib.suppress(ApiError, BadFile, aiohttp.ClientError, TimeoutError):
            await self.fetch(url)
        return content


@breaks("outcome.success-is-real", "with an empty file", "results.fetched", "outcome.returns-file")
class MakesAnEmptyFile(PoliteClient):
    """Takes a success without a link for the end, and returns no bytes."""

    def seen(self, body: Any) -> Seen:
        seen = super().seen(body)
        return Seen("success", "none") if seen.ended == "success" and seen.url is None else seen

    async def download(self, url: str) -> bytes:
        return b"" if url == "none" else await super().download(url)


@breaks("results.own-file", "returned the same file")
class SavesUnderOneName(PoliteClient):
    """Saves every video under the same name."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.folder = tempfile.TemporaryDirectory()

    async def generate(self, prompt: str) -> Any:
        content = await super().generate(prompt)
        path = Path(self.folder.name, "video.mp4")
        await asyncio.to_thread(path.write_bytes, content)
        return path

    async def aclose(self) -> None:
        self.folder.cleanup()
        await super().aclose()


@breaks("results.is-a-video", "a file of type text/html")
class SavesWebPages(PoliteClient):
    """Saves whatever has status 200."""

    async def fetch(self, url: str) -> bytes:
        async with self._http.get(url) as answer:
            if answer.status in self.busy_statuses:
                raise Busy(answer.status, "the file is temporarily unavailable")
            if answer.status != 200:
                raise BadFile(f"the link answered {answer.status}")
            return await answer.read()


@breaks("auth.no-key-to-other-hosts", "was followed with")
class FollowsWithItsKey(PoliteClient):
    """Follows redirects of its queries, with all headers."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        request = self._http._request  # noqa: SLF001 - the one place that all requests go through

        async def following(*args: Any, **options: Any) -> aiohttp.ClientResponse:
            response = await request(*args, **options)
            place = response.headers.get("Location")
            if place is None or options.get("headers") is None:
                return response
            return await request("GET", place, headers=options["headers"])

        object.__setattr__(self._http, "_request", following)
