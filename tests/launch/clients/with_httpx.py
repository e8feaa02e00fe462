"""A client of googlegeminiomni.com with httpx, whose files are on another host; it knows of no mock."""

from __future__ import annotations

import os
import time

import httpx

API = "https://googlegeminiomni.com/api/v1"

with httpx.Client(headers={"Authorization": f"Bearer {os.environ['GEMINI_OMNI_API_KEY']}"}) as http:
    body = {"model": "gemini-omni-video", "prompt": "a red kite", "resolution": "1080p", "duration": 8}
    job = http.post(f"{API}/generate", json=body).json()
    while job["status"] != "done":
        time.sleep(0.05)
        job = http.get(f"{API}/jobs/{job['jobId']}").json()
    print(job["outputUrl"], len(httpx.get(job["outputUrl"]).content))
