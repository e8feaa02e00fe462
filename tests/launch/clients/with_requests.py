"""A client of ToAPIs with requests, made before its first use; it knows of no mock."""

from __future__ import annotations

import os
import time

import requests

API = "https://toapis.com/v1/videos/generations"

with requests.Session() as http:
    http.headers["Authorization"] = f"Bearer {os.environ['TOAPIS_API_KEY']}"
    video = {"model": "gemini_omni", "prompt": "a red kite", "aspect_ratio": "16:9", "resolution": "720P"}
    task = http.post(API, json={**video, "duration": 6}, timeout=30).json()
    while task["status"] != "completed":
        time.sleep(0.05)
        task = http.get(f"{API}/{task['id']}", timeout=30).json()
    url = task["result"]["data"][0]["url"]
    print(url, len(requests.get(url, timeout=30).content))
