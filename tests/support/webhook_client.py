"""A careful client of the small provider `jobs` whose account has the callback address: Standard Webhooks, verified."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
from standardwebhooks.webhooks import Webhook

from contracts.clients.polite import retry_after_s

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contracts.client.subject import Setting

ENDS = ("job.succeeded", "job.failed")
_TRIES = 8


class WebhookClient:
    """Submits with an idempotency key, waits for the callback, and polls where none comes."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._ended: dict[str, asyncio.Event] = {}
        self._types: dict[str, str] = {}
        self._seen: set[str] = set()
        self._submits = 0

    async def handle_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        """Verify a callback, and take each event once."""
        named = {name.lower(): value for name, value in headers.items()}
        try:
            event: Any = Webhook(str(self._setting.callback_secret)).verify(body, named)
        except Exception:  # noqa: BLE001 - the library raises several kinds
            return 401
        if not isinstance(event, dict):
            return 400
        if named["webhook-id"] not in self._seen and event.get("type") in ENDS:
            self._seen.add(named["webhook-id"])
            self._types[event["job"]] = event["type"]
            self._ended.setdefault(event["job"], asyncio.Event()).set()
        return 204

    async def generate(self, prompt: str) -> bytes:
        """Submit a job, and wait for its end."""
        self._submits += 1
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            job = await self._ask(session, "POST", "/v1/jobs", prompt, f"key-{self._submits}")
            ended = self._ended.setdefault(job["id"], asyncio.Event())
            for _ in range(60):
                try:
                    async with asyncio.timeout(20):
                        await ended.wait()
                except TimeoutError:
                    pass
                job = await self._ask(session, "GET", f"/v1/jobs/{job['id']}")
                if job["status"].lower() in ("succeeded", "failed"):
                    break
                await asyncio.sleep(5)
            if job["status"].lower() != "succeeded":
                raise RuntimeError(f"the job has ended: {job}")
            return b"done"

    async def _ask(
        self, session: aiohttp.ClientSession, method: str, path: str, prompt: str = "", key: str = ""
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._setting.api_key}"}
        more: dict[str, Any] = {}
        if key:
            headers["Idempotency-Key"] = key
            more["json"] = {"model": "film-1", "prompt": prompt}
        wait_s, said = 1.0, ""
        for _ in range(_TRIES):
            try:
                async with session.request(method, self._setting.base_url + path, headers=headers, **more) as answer:
                    text = await answer.text()
                    if answer.status < 300:
                        found = await answer.json()
                        if isinstance(found, dict) and isinstance(found.get("id"), str) and "status" in found:
                            return found
                    said = f"{answer.status} {text[:300]}"
                    if answer.status < 500 and answer.status not in (200, 408, 429):
                        break
                    wait_s = max(wait_s, retry_after_s(answer.headers))
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                said = str(error) or type(error).__name__
            await asyncio.sleep(wait_s)
            wait_s = min(30, wait_s * 2)
        raise RuntimeError(f"{method} {path}: {said}")
