"""A client of EvoLink with urllib; it knows of no mock."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from typing import Any

API = "https://api.evolink.ai/v1"


def call(url: str, body: Any = None) -> Any:
    """Send a request, and read its JSON."""
    headers = {"Authorization": f"Bearer {os.environ['EVOLINK_API_KEY']}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as answer:
        return json.load(answer)


task = call(
    f"{API}/videos/generations", {"model": "gemini-omni-flash-text-to-video", "prompt": "a red kite", "duration": 6}
)
while task["status"] != "completed":
    time.sleep(0.05)
    task = call(f"{API}/tasks/{task['id']}")
with urllib.request.urlopen(task["results"][0]) as file:
    print(task["results"][0], len(file.read()))
