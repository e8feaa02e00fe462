"""Clients that keep their tasks: one that knows them from disk only, and one loop that polls for all jobs."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from support.careful.guarded import Adaptive, ApiProblem

if TYPE_CHECKING:
    from contracts.client.subject import Setting


class FromDisk(Adaptive):
    """Writes the task's id to disk; the rest of the job knows only what is there."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.folder = tempfile.TemporaryDirectory()

    async def aclose(self) -> None:
        self.folder.cleanup()
        await super().aclose()

    async def submit(self, body: dict[str, Any]) -> dict[str, Any]:
        task = await super().submit(body)
        return self.kept(task)

    def kept(self, task: dict[str, Any]) -> dict[str, Any]:
        """Return what a process that starts now would find."""
        file = Path(self.folder.name, f"{task['id']}.json")
        file.write_text(json.dumps({"id": task["id"]}), encoding="utf-8")
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found


class OneLoop(Adaptive):
    """One loop polls every open task in turn, each 6 s or more after its last query."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.open: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.errors: dict[str, int] = {}
        self.loop: asyncio.Task[None] | None = None

    async def aclose(self) -> None:
        if self.loop is not None:
            self.loop.cancel()
        await super().aclose()

    async def generate(self, prompt: str) -> bytes:
        task = await self.submit({"model": "gemini-omni-flash-text-to-video", "prompt": prompt, "duration": 6})
        ended = self.open[task["id"]] = asyncio.get_running_loop().create_future()
        self.loop = self.loop or asyncio.create_task(self.poll_all())
        try:
            async with asyncio.timeout(self.patience_s):
                shown = await ended
        finally:
            self.open.pop(task["id"], None)
        return await self.fetch(shown["results"][0])

    async def poll_all(self) -> None:
        while True:
            await asyncio.sleep(6)
            for task, ended in list(self.open.items()):
                if not ended.done():
                    await self.look(task, ended)

    async def look(self, task: str, ended: asyncio.Future[dict[str, Any]]) -> None:
        try:
            shown = await self.call("GET", f"/v1/tasks/{task}")
        except (ApiProblem, aiohttp.ClientError, TimeoutError) as error:
            self.errors[task] = self.errors.get(task, 0) + 1
            refused = isinstance(error, ApiProblem) and error.status in (401, 403)
            if not ended.done() and (refused or self.errors[task] == 8):
                ended.set_exception(error)
            await asyncio.sleep(error.wait_s if isinstance(error, ApiProblem) else 0)
            return
        self.errors[task] = 0
        status = str(shown.get("status", "")).casefold()
        if ended.done():
            return
        if status == "completed" and shown.get("results"):
            ended.set_result(shown)
        elif status in ("failed", "cancelled"):
            ended.set_exception(RuntimeError(f"{task}: {status}: {shown.get('error')}"))
