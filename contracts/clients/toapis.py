"""ToAPIs: Gemini Omni and Gemini Omni Flash. It sends no callbacks."""

from __future__ import annotations

from typing import Any

from contracts.client.subject import Setting
from contracts.clients.polite import PoliteClient, Seen


class ToAPIs(PoliteClient):
    """A client of ToAPIs."""

    first_wait_s = 5.0
    poll_interval_s = 10.0
    give_up_after_s = 600.0
    #: The document limits the time; a poll that is retried counts twice.
    most_polls = 200

    def submit_request(self, prompt: str) -> tuple[str, dict[str, Any]]:
        """Ask for six seconds of video."""
        return "/v1/videos/generations", {
            "model": "gemini_omni",
            "prompt": prompt,
            "aspect_ratio": "16:9",
            "duration": 6,
            "resolution": "720P",
        }

    def query_path(self, task_id: str) -> str:
        """Return the path of a task."""
        return f"/v1/videos/generations/{task_id}"

    def task_id(self, body: Any) -> str:
        """Find the id."""
        return str(body["id"])

    def seen(self, body: Any) -> Seen:
        """Read a task: queued (once submitted), in_progress, completed, failed."""
        status = str(body.get("status")).lower()
        error = body.get("error") or {}
        files = (body.get("result") or {}).get("data") or [{}]
        reason = f"{error.get('code')}: {error.get('message')}" if error else ""
        return Seen({"completed": "success", "failed": "failed"}.get(status), files[0].get("url"), reason)

    def called_back_about(self, event: Any) -> str | None:  # noqa: ARG002 - ToAPIs sends no callbacks
        """Return None."""
        return None


def client(setting: Setting) -> ToAPIs:
    """Make the client, for `contracts run --client contracts.clients.toapis:client`."""
    return ToAPIs(setting.base_url, setting.api_key, setting.callback_url, setting.callback_secret)
