"""The overlay for DashScope, driven by the SDK `dashscope` as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dashscope
import pytest
import requests
from dashscope import VideoSynthesis
from dashscope.api_entities.http_request import close_shared_sync_session
from support.judged_sdks import GALLERY, judged

from mockserver.spec.check import check_files
from mockserver.testing.running import MockServer, RunningServer

OVERLAY = GALLERY / "dashscope.overlay.yaml"
MODEL = "wan2.2-t2v-plus"
#: What the stubs of mypy do not know.
SDK: Any = VideoSynthesis


@pytest.fixture
def mock(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningServer]:
    """Return a server that the SDK goes to."""
    with MockServer(specs=OVERLAY, builtin=False) as server:
        monkeypatch.setattr(dashscope, "base_http_api_url", server.url("dashscope"))
        monkeypatch.setattr(dashscope, "api_key", server.key("dashscope"))
        yield server
        close_shared_sync_session()


def test_it_checks() -> None:
    """Without an error."""
    assert [str(each) for each in check_files([OVERLAY])] == []


def test_a_video_from_submit_to_file(mock: RunningServer) -> None:
    """The states are seen in their order; the result is there at the end, and not before."""
    made = VideoSynthesis.async_call(MODEL, "a kite", duration=7)
    assert (made.status_code, made.output.task_status, made.request_id) == (
        200,
        "PENDING",
        made.headers["X-Request-Id"],
    )
    mock.clock.advance(10)
    running = VideoSynthesis.fetch(made)
    assert (running.output.task_status, running.output.video_url, running.usage) == ("RUNNING", "", None)
    mock.clock.advance(60)
    done = VideoSynthesis.wait(made)
    assert (done.output.task_status, done.usage.video_duration) == ("SUCCEEDED", 7)
    file = requests.get(done.output.video_url, timeout=10)
    assert (file.headers["Content-Type"], file.content[4:8]) == ("video/mp4", b"ftyp")


def test_the_real_host_leads_to_it(mock: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK needs no setting but its key; the file is at a host of its own."""
    monkeypatch.setattr(dashscope, "base_http_api_url", "https://dashscope.aliyuncs.com/api/v1")
    with mock.intercept():
        made = VideoSynthesis.async_call("wan2.2-kf2v-flash", "a kite", first_frame_url="https://a.example/b.png")
        mock.clock.advance(70)
        url = VideoSynthesis.fetch(made).output.video_url
        assert url.startswith("https://dashscope-result.oss-cn-beijing.aliyuncs.com/")
        assert requests.get(url, timeout=10).ok


def test_a_failure_has_its_reason(mock: RunningServer) -> None:
    """Beside the status."""
    made = VideoSynthesis.async_call(MODEL, "a kite mock:fail")
    mock.clock.advance(70)
    failed = VideoSynthesis.wait(made).output
    assert (failed.task_status, failed.code, failed.message) == ("FAILED", "InternalError.Algo", "The task failed.")


def test_only_what_waits_can_be_cancelled(mock: RunningServer) -> None:
    """A cancelled task is an end; that of one which runs is refused with its state."""
    made = VideoSynthesis.async_call(MODEL, "a kite")
    answer = VideoSynthesis.cancel(made)
    assert (answer.status_code, answer.output) == (200, {})
    assert answer.request_id not in ("", made.output.task_id)
    assert VideoSynthesis.wait(made).output.task_status == "CANCELED"
    late = VideoSynthesis.async_call(MODEL, "a kite")
    mock.clock.advance(10)
    refused = VideoSynthesis.cancel(late)
    assert (refused.code, refused.message) == ("UnsupportedOperation", "the task is RUNNING")


def test_tasks_are_listed_by_page_and_status(mock: RunningServer) -> None:
    """With the number of the page."""
    made = [VideoSynthesis.async_call(MODEL, f"kite {number}") for number in range(3)]
    VideoSynthesis.cancel(made[0])
    ids = [each.output.task_id for each in reversed(made)]
    pages = [SDK.list(page_no=number, page_size=2).output for number in (1, 2)]
    assert [each["task_id"] for page in pages for each in page["data"]] == ids
    assert [(page["page_no"], page["page_size"], page["total"]) for page in pages] == [(1, 2, 3), (2, 2, 3)]
    (cancelled,) = SDK.list(status="CANCELED", model_name=MODEL).output["data"]
    assert cancelled == {"task_id": ids[-1], "status": "CANCELED", "model_name": MODEL}


def test_refusals_are_as_the_sdk_reads_them(mock: RunningServer) -> None:
    """429, a wrong key, a wrong value, an unknown task, and a submit that is not asynchronous."""
    mock.provider("dashscope").refuse_next(429)
    busy = VideoSynthesis.async_call(MODEL, "a kite")
    assert (busy.status_code, busy.code) == (429, "Throttling.RateQuota")
    wrong = VideoSynthesis.async_call(MODEL, "a kite", api_key="not a key")
    assert (wrong.status_code, wrong.code) == (401, "InvalidApiKey")
    invalid = VideoSynthesis.async_call(MODEL, "a kite", size="large")
    assert (invalid.status_code, invalid.code) == (400, "InvalidParameter")
    assert VideoSynthesis.fetch("none").output.task_status == "UNKNOWN"
    url = f"{mock.url('dashscope')}/services/aigc/video-generation/video-synthesis"
    body: Any = {"model": MODEL, "input": {"prompt": "a kite"}}
    plain = requests.post(url, json=body, headers={"Authorization": f"Bearer {dashscope.api_key}"}, timeout=10)
    assert (plain.status_code, "X-DashScope-Async" in plain.json()["message"]) == (400, True)


@pytest.mark.slow(about_s=9)
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # the SDK leaves them to the collector
def test_a_careful_client_is_not_accused(tmp_path: Path) -> None:
    """In every situation that a client is tested in."""
    assert judged("dashscope", OVERLAY, tmp_path) == ([], [])
