"""What the guide of googlegeminiomni shows, and no more: retries of submits, a poll loop, a webhook handler."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contracts.client.subject import Setting


class PollsAtOnce:
    """Submits with three retries, polls from the first moment on, every three seconds and sixty times at most."""

    polls_at_once = True
    retries = 3

    def __init__(self, setting: Setting) -> None:
        self.url = setting.base_url
        self.auth = {"Authorization": f"Bearer {setting.api_key}"}
        self.http = aiohttp.ClientSession()

    async def aclose(self) -> None:
        await self.http.close()

    async def generate(self, prompt: str) -> bytes:
        job = {"model": "gemini-omni-video", "prompt": prompt, "resolution": "1080p", "duration": 8}
        job_id = (await self.submit(job))["jobId"]
        async with self.http.get(await self.link(job_id)) as file:
            file.raise_for_status()
            return await file.read()

    async def submit(self, job: dict[str, Any]) -> dict[str, Any]:
        for attempt in range(self.retries + 1):
            async with self.http.post(f"{self.url}/api/v1/generate", json=job, headers=self.auth) as answer:
                if answer.ok:
                    found: dict[str, Any] = await answer.json()
                    return found
                if 400 <= answer.status < 500 and answer.status != 429:
                    raise RuntimeError(f"client error {answer.status}: {await answer.text()}")
                text = f"{answer.status}: {await answer.text()}"
            if attempt < self.retries:
                await asyncio.sleep(2**attempt)
        raise RuntimeError(f"retried three times; {text}")

    async def link(self, job_id: str) -> str:
        for _ in range(60):
            if not self.polls_at_once:
                await asyncio.sleep(3)
            async with self.http.get(f"{self.url}/api/v1/jobs/{job_id}", headers=self.auth) as answer:
                job = await answer.json()
            if job.get("status") == "done":
                return str(job["outputUrl"])
            if job.get("status") == "failed":
                raise RuntimeError(f"job failed: {job.get('error')}")
            if self.polls_at_once:
                await asyncio.sleep(3)
        raise TimeoutError("not done after three minutes")


class EndToEnd(PollsAtOnce):
    """The whole example: one submit, without retries, and a wait before each poll."""

    polls_at_once = False
    retries = 0


class OnWebhook(PollsAtOnce):
    """Registers a webhook, verifies it over the raw body, and queues the download."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.callback_url = setting.callback_url
        self.secret = (setting.callback_secret or "").encode()
        self.links: dict[str, asyncio.Future[str]] = {}

    async def handle_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        wanted = hmac.new(self.secret, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(headers.get("x-gemini-signature", "").encode(), wanted.encode()):
            return 401
        event = json.loads(body)
        if event["event"] == "job.completed":
            self.told(event["jobId"], event["outputUrl"])
        elif event["event"] == "job.failed":
            self.told(event["jobId"], RuntimeError(f"job failed: {event['error']}"))
        return 200

    def told(self, job_id: str, link: str | Exception) -> None:
        waiting = self.links.setdefault(job_id, asyncio.get_running_loop().create_future())
        if not waiting.done():
            if isinstance(link, str):
                waiting.set_result(link)
            else:
                waiting.set_exception(link)

    async def submit(self, job: dict[str, Any]) -> dict[str, Any]:
        return await super().submit(job if self.callback_url is None else {**job, "callbackUrl": self.callback_url})

    async def link(self, job_id: str) -> str:
        if self.callback_url is None:
            return await super().link(job_id)
        waiting = self.links.setdefault(job_id, asyncio.get_running_loop().create_future())
        async with asyncio.timeout(3600):
            return await waiting
