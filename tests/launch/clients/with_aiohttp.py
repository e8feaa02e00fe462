"""A client of crun.ai with aiohttp, which ignores proxies unless told `trust_env`; it knows of no mock."""

from __future__ import annotations

import asyncio
import os
import sys

import aiohttp

API = "https://api.crun.ai/api/v1/client/job"


async def main() -> None:
    """Make one video."""
    headers = {"x-api-key": os.environ["CRUN_API_KEY"]}
    async with aiohttp.ClientSession(headers=headers, trust_env="trust_env" in sys.argv) as http:
        video = {"prompt": "a red kite", "aspect_ratio": "16:9", "resolution": "720p", "duration": 4}
        async with http.post(f"{API}/CreateTask", json={"model": "google/gemini-omni", "input": video}) as answer:
            task = (await answer.json())["data"]
        while task.get("status") != "success":
            await asyncio.sleep(0.05)
            async with http.get(f"{API}/TaskInfo", params={"task_id": task["task_id"]}) as answer:
                task = (await answer.json())["data"]
        (url,) = task["result"]["media_urls"]
        async with http.get(url) as file:
            print(url, len(await file.read()))


asyncio.run(main())
