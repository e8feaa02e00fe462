"""The standard library only, at ToAPIs: urllib, a thread pool of its own, decorrelated jitter."""

from __future__ import annotations

import json
import random
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contracts.client.subject import Setting

AGAIN = (429, 500, 502, 503, 504)


class Refused(RuntimeError):  # noqa: N818
    """An HTTP error, with its text."""

    def __init__(self, status: int, text: str, request_id: str | None, wait_s: float) -> None:
        super().__init__(f"HTTP {status} (request {request_id}): {text}")
        self.status = status
        self.wait_s = wait_s


def seconds_of(text: str | None) -> float:
    """Read Retry-After: seconds, or a date."""
    if text is None or text.isdecimal():
        return float(text or 0)
    return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())


class WithThreads:
    """Jobs run in its own pool, three at a time."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.pool = ThreadPoolExecutor(3, thread_name_prefix="videos")
        self.lock = threading.Lock()
        self.out_of_credits = False

    def close(self) -> None:
        self.pool.shutdown(wait=True)

    def generate(self, prompt: str) -> bytes:
        return self.pool.submit(self.job, prompt).result()

    def job(self, prompt: str) -> bytes:
        task_id = self.submit({"model": "gemini_omni", "prompt": prompt})
        began_s = time.time()
        time.sleep(5)
        while time.time() - began_s < 590:
            try:
                task = self.call("GET", f"/v1/videos/generations/{task_id}")
            except Refused as error:
                if error.status in (401, 403):
                    raise
                time.sleep(error.wait_s)
                task = {}
            except (OSError, HTTPException, ValueError):
                task = {}
            status = str(task.get("status", "")).lower()
            if status == "failed":
                raise RuntimeError(f"{task_id}: {task.get('error')}")
            if status == "completed":
                links = [each.get("url") for each in (task.get("result") or {}).get("data", [])]
                if links:
                    return self.download(links[0])
            time.sleep(10)
        raise TimeoutError(task_id)

    def submit(self, body: dict[str, Any]) -> str:
        wait_s = 1.0
        for tries_left in (3, 2, 1, 0):
            with self.lock:
                if self.out_of_credits:
                    raise RuntimeError("no credits: not submitted")
            try:
                return str(self.call("POST", "/v1/videos/generations", body)["id"])
            except Refused as error:
                if error.status == 402:
                    self.out_of_credits = True
                if error.status not in AGAIN or not tries_left:
                    raise
                asked_s = error.wait_s
            time.sleep(max(asked_s, wait_s + random.random()))
            wait_s *= 2
        raise AssertionError

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(
            self.setting.base_url + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"Bearer {self.setting.api_key}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                found: dict[str, Any] = json.loads(answer.read())
                return found
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode(errors="replace")
            wait_s = seconds_of(error.headers.get("Retry-After"))
            raise Refused(error.code, text, error.headers.get("X-Request-Id"), wait_s) from None

    def download(self, url: str) -> bytes:
        for wait_s in (1, 2, 4, None):
            try:
                with urllib.request.urlopen(url, timeout=60) as answer:
                    content: bytes = answer.read()
                    if answer.headers.get_content_maintype() == "video" and len(content) == int(
                        answer.headers.get("Content-Length", len(content))
                    ):
                        return content
            except (OSError, HTTPException):
                if wait_s is None:
                    raise
            time.sleep(wait_s or 0)
        raise RuntimeError(f"{url} gives no whole video")
