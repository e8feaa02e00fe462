"""requests with urllib3's Retry on what may be repeated, at EvoLink: one session, one thread for each job."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

if TYPE_CHECKING:
    from contracts.client.subject import Setting

REPEATABLE = Retry(total=6, backoff_factor=1, status_forcelist=(429, 500, 502, 503, 504), allowed_methods={"GET"})
BUSY = (429, 503)


class VideoError(RuntimeError):
    """No video."""


class WithRequests:
    """Polls every ten seconds, for twenty minutes at most."""

    def __init__(self, setting: Setting) -> None:
        self.base_url = setting.base_url
        self.session = requests.Session()
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, HTTPAdapter(max_retries=REPEATABLE))
        self.auth = {"Authorization": f"Bearer {setting.api_key}"}

    def close(self) -> None:
        self.session.close()

    def generate(self, prompt: str) -> bytes:
        task = self.submit({"model": "gemini-omni-flash-text-to-video", "prompt": prompt, "duration": 6})
        until_s = time.monotonic() + 1200
        while time.monotonic() < until_s:
            time.sleep(10)
            task = self.look(task["id"]) or task
            if task["status"].lower() == "completed":
                if task.get("results"):
                    return self.download(task["results"][0])
            elif task["status"].lower() in ("failed", "cancelled"):
                error = task.get("error") or {}
                raise VideoError(f"{task['id']} {task['status']}: {error.get('code')} {error.get('message')}")
        raise VideoError(f"{task['id']} took too long")

    def submit(self, body: dict[str, Any]) -> dict[str, Any]:
        """Send it once; again only after an answer that says that nothing was done."""
        for wait_s in (2, 4, 8, None):
            answer = self.session.post(
                f"{self.base_url}/v1/videos/generations", json=body, headers=self.auth, timeout=30
            )
            if answer.status_code not in BUSY or wait_s is None:
                break
            asked = answer.headers.get("Retry-After", "0")
            time.sleep(max(wait_s, int(asked) if asked.isdecimal() else 60))
        if not answer.ok:
            raise VideoError(f"{answer.status_code}: {answer.text} ({answer.headers.get('X-Request-Id')})")
        found: dict[str, Any] = answer.json()
        if not found.get("id"):
            raise VideoError(f"the submit was not understood: {answer.text}")
        return found

    def look(self, task_id: str) -> dict[str, Any] | None:
        try:
            answer = self.session.get(f"{self.base_url}/v1/tasks/{task_id}", headers=self.auth, timeout=30)
            found = answer.json()
        except (requests.RequestException, ValueError):
            return None  # the next look may find out
        if answer.status_code in (401, 403):
            raise VideoError(f"{answer.status_code}: {answer.text}")
        return found if answer.ok and isinstance(found, dict) and isinstance(found.get("status"), str) else None

    def download(self, url: str) -> bytes:
        for wait_s in (1, 3, 9, None):
            try:
                answer = self.session.get(url, timeout=60)
                answer.raise_for_status()
                if not answer.headers.get("Content-Type", "").startswith("video/"):
                    raise VideoError(f"{url} gives {answer.headers.get('Content-Type')}")
                if len(answer.content) == int(answer.headers.get("Content-Length", len(answer.content))):
                    return answer.content
            except requests.RequestException as error:
                if wait_s is None:
                    raise VideoError(f"cannot download {url}") from error
            if wait_s is not None:
                time.sleep(wait_s)
        raise VideoError(f"cannot download all of {url}")
