"""A careful client of Google Veo: the official SDK, and what it leaves to its user."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import tenacity
from google import genai
from google.genai import errors, types

from contracts.clients.polite import retry_after_s

if TYPE_CHECKING:
    from contracts.client.subject import Setting

MODEL = "veo-3.1-generate-preview"
PASSING = (408, 429, 500, 502, 503, 504)


def is_refused(error: BaseException) -> bool:
    """Tell whether nothing came of a request, for now."""
    return isinstance(error, errors.APIError) and error.code in PASSING


def is_passing(error: BaseException) -> bool:
    """Tell whether the same request may succeed."""
    return is_refused(error) or isinstance(error, aiohttp.ClientError | TimeoutError)


def wait_s(state: tenacity.RetryCallState) -> float:
    """Return what Retry-After says, or twice as long as before, with jitter."""
    response = getattr(state.outcome.exception(), "response", None) if state.outcome else None
    told_s = 0.0 if response is None else retry_after_s(response.headers)
    return max(told_s, tenacity.wait_random_exponential(1, 60)(state))


def again(call: Any, test: Any) -> Any:
    """Return a call that is repeated as long as a test says so."""
    stop = tenacity.stop_after_attempt(6)
    return tenacity.retry(retry=tenacity.retry_if_exception(test), wait=wait_s, stop=stop, reraise=True)(call)


class Videos:
    """Makes videos. The SDK downloads links with https alone: the real host is used, which leads to the mock."""

    def __init__(self, setting: Setting) -> None:
        once = types.HttpRetryOptions(attempts=1)
        options = types.HttpOptions(timeout=60_000, retry_options=once)
        self.sdk = genai.Client(api_key=setting.api_key, http_options=options)

    async def generate(self, prompt: str) -> bytes:
        """Make a video: a lost answer to the submit is not sent again, all else is."""
        api, source = self.sdk.aio, types.GenerateVideosSource(prompt=prompt)
        operation = await again(api.models.generate_videos, is_refused)(model=MODEL, source=source)
        if operation.error:
            raise RuntimeError(operation.error["message"])
        async with asyncio.timeout(1200):
            while not operation.done:
                await asyncio.sleep(10)
                shown = await again(api.operations.get, is_passing)(operation)
                operation = shown if shown.name else operation
        if operation.error:
            raise RuntimeError(operation.error["message"])
        if not operation.response or not operation.response.generated_videos:
            raise RuntimeError(str(operation.response and operation.response.rai_media_filtered_reasons))
        file: bytes = await again(api.files.download, is_passing)(file=operation.response.generated_videos[0])
        if file[4:8] != b"ftyp":
            raise RuntimeError("the file is no video")
        return file

    async def aclose(self) -> None:
        """Close the connections."""
        await self.sdk.aio.aclose()
