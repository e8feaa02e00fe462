"""crun.ai: Gemini Omni. The HTTP status is always 200; read `code`."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from contracts.client.subject import Setting
from contracts.clients.polite import Answer, PoliteClient, Seen


class Crun(PoliteClient):
    """A client of crun.ai."""

    first_wait_s = 5.0
    poll_interval_s = 10.0
    #: 455 is maintenance: it passes.
    busy_statuses = PoliteClient.busy_statuses | {455}

    def auth_headers(self) -> dict[str, str]:
        """Return the header that carries the key."""
        return {"x-api-key": self.api_key}

    def submit_request(self, prompt: str) -> tuple[str, dict[str, Any]]:
        """Ask for four seconds of video."""
        video = {"prompt": prompt, "aspect_ratio": "16:9", "resolution": "720p", "duration": 4}
        body: dict[str, Any] = {"model": "google/gemini-omni", "input": video}
        if self.callback_url is not None:
            body["callback_url"] = self.callback_url
        return "/api/v1/client/job/CreateTask", body

    def query_path(self, task_id: str) -> str:
        """Return the path of a task."""
        return f"/api/v1/client/job/TaskInfo?task_id={quote(task_id)}"

    def problem(self, answer: Answer) -> tuple[int, str] | None:
        """Read `code`: it is 200 on success, whatever the HTTP status is."""
        if not isinstance(answer.body, dict):
            return super().problem(answer)
        code = answer.body.get("code", answer.status)
        return None if code == 200 else (int(code), str(answer.body.get("message")))

    def task_id(self, body: Any) -> str:
        """Find the id."""
        return str(body["data"]["task_id"])

    def seen(self, body: Any) -> Seen:
        """Read a task: pending, running, success, failed."""
        data = body.get("data") or {}
        status = str(data.get("status")).lower()
        result = data.get("result") or {}
        links = result.get("media_urls") or [None]
        ended = {"success": "success", "failed": "failed"}.get(status)
        return Seen(ended, links[0], str(result.get("message") or "") if ended == "failed" else "")

    def called_back_about(self, event: Any) -> str | None:
        """Find the id of a task whose end is reported."""
        task_id: str | None = event.get("task_id")
        return task_id


def client(setting: Setting) -> Crun:
    """Make the client, for `contracts run --client contracts.clients.crun:client`."""
    return Crun(setting.base_url, setting.api_key, setting.callback_url, setting.callback_secret)
