"""httpx with tenacity and full jitter, at googlegeminiomni: a poller that obeys Retry-After wherever it is."""

from __future__ import annotations

import asyncio
import random
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx
import tenacity

if TYPE_CHECKING:
    from contracts.client.subject import Setting

#: One for all clients: reading the system's certificates takes longer than a job.
TLS = ssl.create_default_context()
PASSING = (429, 500, 502, 503, 504)


class Passing(RuntimeError):  # noqa: N818 - it may not be the end
    """Worth another try."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(f"{answer.status_code} {answer.text}")
        self.wait_s = asked_s(answer.headers.get("Retry-After"))


def asked_s(text: str | None) -> float:
    """Read Retry-After."""
    if text is None:
        return 0.0
    try:
        return float(text)
    except ValueError:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())


def wait_s(state: tenacity.RetryCallState) -> float:
    """1, 2, 4 s and up to as much again by chance, or what was asked for."""
    error = state.outcome.exception() if state.outcome else None
    base_s = 2.0 ** (state.attempt_number - 1)
    return max(base_s + random.random() * base_s, error.wait_s if isinstance(error, Passing) else 0.0)


def four_tries(*kinds: type[BaseException]) -> tenacity.AsyncRetrying:
    """Try again after these errors, four times in all."""
    return tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(kinds), wait=wait_s, stop=tenacity.stop_after_attempt(4), reraise=True
    )


class WithHttpx:
    """Polls every three seconds, sixty times at most."""

    def __init__(self, setting: Setting) -> None:
        self.http = httpx.AsyncClient(timeout=20, verify=TLS)
        self.base_url = setting.base_url
        self.auth = {"Authorization": f"Bearer {setting.api_key}"}
        self.places = asyncio.Semaphore(5)

    async def aclose(self) -> None:
        await self.http.aclose()

    async def generate(self, prompt: str) -> bytes:
        async with self.places:
            return await self.job(prompt)

    async def job(self, prompt: str) -> bytes:
        body = {"model": "gemini-omni-video", "prompt": prompt, "resolution": "1080p", "duration": 8}
        job_id = (await self.submit(body))["jobId"]
        polls = 0
        while polls < 60:
            await asyncio.sleep(3)
            polls += 1
            try:
                job = await self.ask("GET", f"/api/v1/jobs/{job_id}")
            except (Passing, httpx.TransportError, ValueError) as error:
                if isinstance(error, Passing):
                    await asyncio.sleep(error.wait_s)
                continue
            status = str(job.get("status")).lower()
            if status == "failed":
                raise RuntimeError(f"{job_id} failed: {job.get('error')}")
            if status == "done" and job.get("outputUrl"):
                return await self.download(job["outputUrl"])
        raise TimeoutError(f"{job_id} did not end in three minutes")

    async def submit(self, body: dict[str, Any]) -> dict[str, Any]:
        return await four_tries(Passing)(self.ask, "POST", "/api/v1/generate", body)

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = await self.http.request(method, self.base_url + path, json=body, headers=self.auth)
        if answer.status_code in PASSING or (answer.status_code == 404 and method == "GET"):
            raise Passing(answer)
        if not answer.is_success:
            raise RuntimeError(f"{answer.status_code}: {answer.text}")
        found: dict[str, Any] = answer.json()
        if not isinstance(found, dict) or "status" not in found:
            raise ValueError(f"not understood: {answer.text}")
        return found

    async def download(self, url: str) -> bytes:
        return await four_tries(Passing, httpx.TransportError)(self.fetch, url)

    async def fetch(self, url: str) -> bytes:
        answer = await self.http.get(url)
        if answer.status_code in PASSING:
            raise Passing(answer)
        answer.raise_for_status()
        if not answer.headers.get("Content-Type", "").startswith("video/"):
            raise RuntimeError(f"{url} gives {answer.headers.get('Content-Type')}")
        content: bytes = answer.content
        return content
