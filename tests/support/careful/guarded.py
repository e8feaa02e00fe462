"""Clients with guards against a bad day, at EvoLink: a circuit breaker, a poller that adapts, and a queue for bulk."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from contracts.client.subject import Setting

BUSY = (429, 500, 502, 503, 504)


class ApiProblem(RuntimeError):  # noqa: N818
    """What the API answered instead."""

    def __init__(self, status: int, text: str, request_id: str | None, wait_s: float) -> None:
        super().__init__(f"{status}: {text}")
        self.status, self.request_id, self.wait_s = status, request_id, wait_s


class Adaptive:
    """Waits longer between polls the longer a task takes, from 5 s to 30 s, a tenth more or less."""

    patience_s = 900.0

    def __init__(self, setting: Setting) -> None:
        self.base_url = setting.base_url
        self.auth = {"Authorization": f"Bearer {setting.api_key}"}
        self.http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=25))

    async def aclose(self) -> None:
        await self.http.close()

    async def generate(self, prompt: str) -> bytes:
        task = await self.submit({"model": "gemini-omni-flash-text-to-video", "prompt": prompt, "duration": 6})
        loop = asyncio.get_running_loop()
        until_s, wait_s, errors = loop.time() + self.patience_s, 5.5, 0
        while loop.time() < until_s:
            await asyncio.sleep(wait_s * random.uniform(0.95, 1.05))
            wait_s = min(30.0, wait_s * 1.3)
            try:
                shown = await self.call("GET", f"/v1/tasks/{task['id']}")
            except (ApiProblem, aiohttp.ClientError, TimeoutError) as error:
                errors += 1
                if errors == 8 or (isinstance(error, ApiProblem) and error.status in (401, 403)):
                    raise
                await asyncio.sleep(error.wait_s if isinstance(error, ApiProblem) else 0)
                continue
            errors = 0
            match str(shown.get("status", "")).casefold():
                case "completed" if shown.get("results"):
                    return await self.fetch(shown["results"][0])
                case "failed" | "cancelled":
                    raise RuntimeError(f"{task['id']}: {shown.get('status')}: {shown.get('error')}")
        raise TimeoutError(task["id"])

    async def submit(self, body: dict[str, Any]) -> dict[str, Any]:
        for wait_s in (1.0, 2.0, 4.0, 0.0):
            try:
                return await self.call("POST", "/v1/videos/generations", body)
            except ApiProblem as error:
                if error.status not in (429, 503) or not wait_s:
                    raise
                await asyncio.sleep(max(error.wait_s, wait_s * random.uniform(1, 1.5)))
        raise AssertionError

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        async with self.http.request(method, self.base_url + path, json=body, headers=self.auth) as answer:
            text = await answer.text()
            if answer.ok:
                try:
                    found = await answer.json(content_type=None)
                except ValueError:
                    found = None
                if isinstance(found, dict) and "id" in found:
                    return found
            wait_s = answer.headers.get("Retry-After", "0")
            seconds = float(wait_s) if wait_s.isdecimal() else 60.0
            raise ApiProblem(answer.status, text, answer.headers.get("X-Request-Id"), seconds)

    async def fetch(self, url: str) -> bytes:
        """Go on where a download broke off."""
        content = b""
        for wait_s in (1, 2, 4, 8):
            headers = {"Range": f"bytes={len(content)}-"} if content else {}
            try:
                async with self.http.get(url, headers=headers) as answer:
                    answer.raise_for_status()
                    if not answer.content_type.startswith("video/"):
                        raise RuntimeError(f"{url} gives {answer.content_type}")
                    if answer.status != 206:
                        content = b""
                    async for chunk in answer.content.iter_any():
                        content += chunk
                    return content
            except aiohttp.ClientPayloadError:
                await asyncio.sleep(wait_s)
            except aiohttp.ClientResponseError as error:
                if error.status not in BUSY:
                    raise
                await asyncio.sleep(wait_s)
        raise RuntimeError(f"{url} breaks off each time")


class CircuitBreaker(Adaptive):
    """After three troubles in a row it asks nothing for half a minute; jobs wait for that."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.troubles = 0
        self.open_until_s = 0.0

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self.open_until_s - loop.time()))
        try:
            found = await super().call(method, path, body)
        except (ApiProblem, aiohttp.ClientError, TimeoutError) as error:
            if not isinstance(error, ApiProblem) or error.status in BUSY:
                self.troubles += 1
                if self.troubles >= 3:
                    self.troubles, self.open_until_s = 0, loop.time() + 30
            raise
        self.troubles = 0
        return found


class BulkQueue(Adaptive):
    """Jobs go through a queue with two workers; the first 402 empties it."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.queue: asyncio.Queue[tuple[str, asyncio.Future[bytes]]] = asyncio.Queue()
        self.workers: list[asyncio.Task[None]] = []
        self.broke: ApiProblem | None = None

    async def aclose(self) -> None:
        for worker in self.workers:
            worker.cancel()
        await super().aclose()

    async def generate(self, prompt: str) -> bytes:
        if not self.workers:
            self.workers = [asyncio.create_task(self.work()) for _ in range(2)]
        done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        await self.queue.put((prompt, done))
        return await done

    async def unless_broke(self, prompt: str) -> bytes:
        if self.broke is not None:
            raise self.broke
        return await super().generate(prompt)

    async def work(self) -> None:
        while True:
            prompt, done = await self.queue.get()
            try:
                done.set_result(await self.unless_broke(prompt))
            except ApiProblem as error:
                if error.status == 402:
                    self.broke = error
                done.set_exception(error)
            except Exception as error:  # noqa: BLE001 - the job reports it
                done.set_exception(error)
