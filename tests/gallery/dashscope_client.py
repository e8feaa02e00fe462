"""A client of `contracts run` around the SDK `dashscope`, as it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import dashscope
import requests
from dashscope import VideoSynthesis

from contracts.client.subject import Setting
from contracts.clients.polite import retry_after_s

_BUSY = (408, 429, 500, 502, 503, 504)
#: What the SDK raises where there is no answer, or none that it can read.
_PASSING = (requests.RequestException, TypeError)


class AnswerLost(Exception):  # noqa: N818
    """A submit was not answered: the task may exist."""


class Once(requests.Session):
    """A session for submits: the SDK sends a request again after a ConnectionError, and a task would be paid twice."""

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request, and call a lost answer by another name."""
        try:
            return super().request(*args, **kwargs)
        except requests.ConnectionError as error:
            raise AnswerLost(str(error)) from error


class Client:
    """Makes a video: submit, poll every 5 s, download."""

    def __init__(self, setting: Setting) -> None:
        dashscope.base_http_api_url = setting.base_url
        self.key = setting.api_key

    def generate(self, prompt: str) -> bytes:
        """Return the bytes of a video."""
        with Once() as once:
            made = good((), VideoSynthesis.async_call, "wan2.2-t2v-plus", prompt, api_key=self.key, session=once)
        if not made.output:
            raise RuntimeError(str(made))
        for _ in range(100):
            time.sleep(5)
            task = good(_PASSING, VideoSynthesis.fetch, made.output.task_id, api_key=self.key)
            if task.output.task_status == "SUCCEEDED" and task.output.video_url:
                return bytes(good(_PASSING, file, task.output.video_url).content)
            if task.output.task_status in ("FAILED", "CANCELED"):
                raise RuntimeError(str(task))
        raise TimeoutError("the task did not end")


def file(url: str) -> requests.Response:
    """Download a file; a page instead of it is an error that passes."""
    answer = requests.get(url, timeout=30)
    if answer.ok and not answer.headers["Content-Type"].startswith("video/"):
        raise requests.RequestException(f"not a video: {answer.headers['Content-Type']}")
    return answer


def good(passing: tuple[type[Exception], ...], ask: Callable[..., Any], *args: Any, **how: Any) -> Any:
    """Return an answer that is a success; ask again where that may help."""
    for wait_s in (1, 2, 4, 0):
        try:
            answer = ask(*args, **how)
        except passing:
            if not wait_s:
                raise
            time.sleep(wait_s)
            continue
        if answer.status_code not in _BUSY or not wait_s:
            break
        time.sleep(max(wait_s, retry_after_s(answer.headers)))
    if answer.status_code != 200:
        raise RuntimeError(str(getattr(answer, "text", answer)))
    return answer
