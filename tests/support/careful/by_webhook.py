"""Clients that live on webhooks: one that never polls, and one that polls once in a while to be safe."""

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

ENDS = {"job.completed": "done", "job.failed": "failed"}


class WebhookOnly:
    """Queues what webhooks say, and works it off; a job without a webhook after ten minutes is reported as lost."""

    slow_poll_s: float | None = None
    patience_s = 600.0

    def __init__(self, setting: Setting) -> None:
        self.base_url = setting.base_url
        self.callback_url = setting.callback_url
        self.secret = (setting.callback_secret or "").encode()
        self.auth = {"Authorization": f"Bearer {setting.api_key}"}
        self.http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        self.places = asyncio.Semaphore(5)
        self.ended: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def aclose(self) -> None:
        await self.http.close()

    async def handle_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        wanted = hmac.new(self.secret, body, hashlib.sha256).digest()
        try:
            given = bytes.fromhex(headers.get("x-gemini-signature", ""))
        except ValueError:
            return 400
        if not hmac.compare_digest(wanted, given):
            return 401
        try:
            event = json.loads(body)
        except ValueError:
            return 400
        if isinstance(event, dict) and event.get("event") in ENDS and isinstance(event.get("jobId"), str):
            waiting = self.future(event["jobId"])
            if not waiting.done():
                waiting.set_result(event)
        return 200

    def future(self, job_id: str) -> asyncio.Future[dict[str, Any]]:
        return self.ended.setdefault(job_id, asyncio.get_running_loop().create_future())

    async def generate(self, prompt: str) -> bytes:
        async with self.places:
            return await self.job(prompt)

    async def job(self, prompt: str) -> bytes:
        body: dict[str, Any] = {"model": "gemini-omni-video", "prompt": prompt, "resolution": "1080p", "duration": 8}
        if self.callback_url is not None:
            body["callbackUrl"] = self.callback_url
        job_id = await self.submit(body)
        job = await self.outcome(job_id)
        if ENDS.get(job.get("event", ""), job.get("status")) == "failed":
            raise RuntimeError(f"{job_id} failed: {job.get('error')}")
        return await self.fetch(job["outputUrl"])

    async def submit(self, body: dict[str, Any]) -> str:
        for wait_s in (1, 2, 4, None):
            async with self.http.post(f"{self.base_url}/api/v1/generate", json=body, headers=self.auth) as answer:
                text = await answer.text()
                if answer.ok and "jobId" not in text:
                    raise RuntimeError(f"the submit was not understood: {text}")
                if answer.ok:
                    return str(json.loads(text)["jobId"])
                if wait_s is None or (answer.status < 500 and answer.status != 429):
                    raise RuntimeError(f"{answer.status}: {text}")
                asked = answer.headers.get("Retry-After", "0")
                await asyncio.sleep(max(wait_s, int(asked) if asked.isdecimal() else 60))
        raise AssertionError

    async def outcome(self, job_id: str) -> dict[str, Any]:
        """Wait for the webhook."""
        async with asyncio.timeout(self.patience_s):
            while True:
                done, _ = await asyncio.wait([self.future(job_id)], timeout=self.slow_poll_s)
                if done:
                    return done.pop().result()
                job = await self.look(job_id)
                if job is not None and str(job.get("status")).lower() in ("done", "failed"):
                    return job

    async def look(self, job_id: str) -> dict[str, Any] | None:
        try:
            async with self.http.get(f"{self.base_url}/api/v1/jobs/{job_id}", headers=self.auth) as answer:
                found = await answer.json()
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None
        return found if answer.ok and isinstance(found, dict) else None

    async def fetch(self, url: str) -> bytes:
        for wait_s in (1, 2, 4, None):
            try:
                async with self.http.get(url) as answer:
                    answer.raise_for_status()
                    content = await answer.read()
                    if answer.content_type.startswith("video/") and answer.content_length in (None, len(content)):
                        return content
            except aiohttp.ClientError:
                if wait_s is None:
                    raise
            await asyncio.sleep(wait_s or 0)
        raise RuntimeError(f"{url} gives no whole video")


class WebhookAndSlowPoll(WebhookOnly):
    """Looks at a job every minute as well, whatever webhooks say."""

    slow_poll_s = 60.0
