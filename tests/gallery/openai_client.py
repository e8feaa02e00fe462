"""A careful client of OpenAI Videos: the official SDK, and what it leaves to its user."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import openai
import tenacity

from contracts.clients.polite import retry_after_s

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contracts.client.subject import Setting

warnings.filterwarnings("ignore", "The Sora API", DeprecationWarning)
BUSY = (openai.RateLimitError, openai.InternalServerError)


def wait_s(state: tenacity.RetryCallState) -> float:
    """Return what Retry-After says, or twice as long as before, with jitter."""
    error = state.outcome.exception() if state.outcome else None
    told_s = retry_after_s(error.response.headers) if isinstance(error, openai.APIStatusError) else 0.0
    return max(told_s, tenacity.wait_random_exponential(1, 60)(state))


class Videos:
    """Makes videos; a webhook wakes what waits for its video."""

    def __init__(self, setting: Setting) -> None:
        self.api = openai.AsyncOpenAI(
            base_url=f"{setting.base_url}/v1",
            api_key=setting.api_key,
            webhook_secret=setting.callback_secret,
            max_retries=5,
        )
        self.told: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def generate(self, prompt: str) -> bytes:
        """Make a video: a submit whose answer was lost is not sent again, all else is."""
        again = tenacity.retry(
            retry=tenacity.retry_if_exception_type(BUSY), wait=wait_s, stop=tenacity.stop_after_attempt(6), reraise=True
        )
        video = await again(self.api.with_options(max_retries=0).videos.create)(prompt=prompt, model="sora-2")
        if video.error:
            raise RuntimeError(video.error.message)
        video_id, status = video.id, ""
        async with asyncio.timeout(1200):
            while status not in ("completed", "failed"):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.told[video_id].wait(), 5)
                self.told.pop(video_id, None)
                video = await self.api.videos.retrieve(video_id)
                status = (video.status or "").lower()
        if status == "failed":
            raise RuntimeError(video.error.message if video.error else "failed")
        file = await self.api.videos.download_content(video_id)
        if not file.response.headers["Content-Type"].startswith("video/"):
            raise RuntimeError("the file is no video")
        return file.content

    async def handle_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        """Handle a webhook: it is worth another look, whatever it says."""
        try:
            event: Any = self.api.webhooks.unwrap(body, headers)
        except (openai.InvalidWebhookSignatureError, ValueError):
            return 400
        self.told[event.data.id].set()
        return 200

    async def aclose(self) -> None:
        """Close the connections."""
        await self.api.close()
