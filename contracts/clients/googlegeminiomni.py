"""googlegeminiomni.com: Gemini Omni Video, with signed callbacks."""

from __future__ import annotations

from typing import Any

from contracts.client.subject import Setting
from contracts.clients.polite import PoliteClient, Seen


class GoogleGeminiOmni(PoliteClient):
    """A client of googlegeminiomni.com."""

    first_wait_s = 3.0
    poll_interval_s = 3.0
    most_polls = 60
    signature_header = "X-Gemini-Signature"
    #: The Pro plan's jobs at once.
    most_at_once = 5

    def submit_request(self, prompt: str) -> tuple[str, dict[str, Any]]:
        """Ask for eight seconds of video."""
        body: dict[str, Any] = {
            "model": "gemini-omni-video",
            "prompt": prompt,
            "resolution": "1080p",
            "duration": 8,
        }
        if self.callback_url is not None:
            body["callbackUrl"] = self.callback_url
        return "/api/v1/generate", body

    def query_path(self, task_id: str) -> str:
        """Return the path of a job."""
        return f"/api/v1/jobs/{task_id}"

    def task_id(self, body: Any) -> str:
        """Find the id."""
        return str(body["jobId"])

    def seen(self, body: Any) -> Seen:
        """Read a job: accepted, generating, done, failed."""
        status = str(body.get("status")).lower()
        ended = {"done": "success", "failed": "failed"}.get(status)
        return Seen(ended, body.get("outputUrl"), str(body.get("error") or ""))

    def called_back_about(self, event: Any) -> str | None:
        """Find the id of a job whose end is reported; other events are ignored."""
        return event.get("jobId") if event.get("event") in ("job.completed", "job.failed") else None


def client(setting: Setting) -> GoogleGeminiOmni:
    """Make the client, for `contracts run --client contracts.clients.googlegeminiomni:client`."""
    return GoogleGeminiOmni(setting.base_url, setting.api_key, setting.callback_url, setting.callback_secret)
