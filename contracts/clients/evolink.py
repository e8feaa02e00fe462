"""EvoLink: Gemini Omni Flash, text to video."""

from __future__ import annotations

from typing import Any

from contracts.client.subject import Setting
from contracts.clients.polite import PoliteClient, Seen


class EvoLink(PoliteClient):
    """A client of EvoLink."""

    first_wait_s = 5.0
    poll_interval_s = 5.0

    def submit_request(self, prompt: str) -> tuple[str, dict[str, Any]]:
        """Ask for six seconds of video."""
        body: dict[str, Any] = {"model": "gemini-omni-flash-text-to-video", "prompt": prompt, "duration": 6}
        if self.callback_url is not None:
            body["callback_url"] = self.callback_url
        return "/v1/videos/generations", body

    def query_path(self, task_id: str) -> str:
        """Return the path of a task."""
        return f"/v1/tasks/{task_id}"

    def task_id(self, body: Any) -> str:
        """Find the id."""
        return str(body["id"])

    def seen(self, body: Any) -> Seen:
        """Read a task: pending, processing, completed, failed, cancelled."""
        status = str(body.get("status")).lower()
        error = body.get("error") or {}
        ends = {"completed": "success", "failed": "failed", "cancelled": "cancelled"}
        links = body.get("results") or [None]
        return Seen(ends.get(status), links[0], f"{error.get('code')}: {error.get('message')}" if error else "")

    def called_back_about(self, event: Any) -> str | None:
        """Find the id of a task whose end is reported."""
        task_id: str | None = event.get("id")
        return task_id


def client(setting: Setting) -> EvoLink:
    """Make the client, for `contracts run --client contracts.clients.evolink:client`."""
    return EvoLink(setting.base_url, setting.api_key, setting.callback_url, setting.callback_secret)
