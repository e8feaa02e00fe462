"""A job that names a file on this server: it fails where there is no such file."""

from __future__ import annotations

from typing import Any

from support.engine import START_MS, Client, loads, new_world
from support.tables import for_each

BASE = "http://mock.test/googlegeminiomni"
VIDEO = {"model": "gemini-omni-video", "prompt": "A heron waits", "resolution": "1080p", "duration": 8}
CHARACTER = {**VIDEO, "model": "gemini-omni-character"}
VOICE = {
    "model": "gemini-omni-audio",
    "script": "Good morning.",
    "language": "en-US",
    "voiceProfile": "professional-male",
}
FIELDS = [(CHARACTER, "referenceUrl"), (VIDEO, "imageUrl"), (VOICE, "videoUrl")]


def reason_of(client: Client, body: dict[str, Any]) -> str | None:
    """Submit a job; return why it will fail."""
    task = client.task(client.submit(START_MS, body).task_id)
    return None if task.reason is None else task.reason.code


@for_each(("body", "field"), FIELDS)
@for_each(
    "url",
    [
        f"{BASE}/uploads/file_000000000000/face.jpg",
        f"{BASE}/uploads/face.jpg",
        f"{BASE}/omni/usr_0000000000/job_000000000000/output.mp4?Expires=1&Signature=0",
        "https://googlegeminiomni.com/uploads/file_000000000000/face.jpg",
    ],
)
def test_a_file_that_was_never_uploaded(body: dict[str, Any], field: str, url: str) -> None:
    """The job is accepted, fails because its input cannot be read, and costs nothing."""
    client = Client(new_world(), "googlegeminiomni")
    assert reason_of(client, {**body, field: url}) == "input_unreachable"
    task = client.task(next(iter(client.account.tasks)))
    assert task.spends_ucr == 0


@for_each(("body", "field"), FIELDS)
@for_each("url", ["https://your-cdn.com/reference-face.jpg", "http://mock.test/elsewhere.jpg", "https://[::1/x"])
def test_files_of_others(body: dict[str, Any], field: str, url: str) -> None:
    """A link to another host is not judged."""
    client = Client(new_world(), "googlegeminiomni")
    reply = client.submit(START_MS, {**body, field: url})
    if reply.status == 200:
        assert client.task(reply.task_id).reason is None


def test_a_file_that_was_uploaded() -> None:
    """An upload, and the output of a job, are found; an upload under another name is not."""
    client = Client(new_world(), "googlegeminiomni")
    url = loads(client.upload(START_MS))["url"]
    assert reason_of(client, {**CHARACTER, "referenceUrl": url}) is None
    assert reason_of(client, {**CHARACTER, "referenceUrl": f"{url}.jpg"}) == "input_unreachable"
    task = client.task(client.submit(START_MS, VIDEO).task_id)
    output = f"{BASE}/omni/{client.account.id}/{task.id}/output.mp4"
    assert reason_of(client, {**VOICE, "videoUrl": output}) is None
