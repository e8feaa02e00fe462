"""OpenAI Videos, from its overlay, driven by the official SDK as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import pytest
from gallery.openai_client import Videos
from support.edge import receiving
from support.gallery import MOST_LINES, overlay, verdicts_on

from mockserver.spec.catalog import load_providers
from mockserver.spec.check import check_files
from mockserver.testing.running import MockServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mockserver.testing.running import RunningServer

SPEC = overlay("openai-videos")
SECRET = "whsec_bW9ja3NlcnZlci1vcGVuYWktdmlkZW9z"
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")


@pytest.fixture
def mock() -> Iterator[RunningServer]:
    """A server of this API alone."""
    with MockServer(specs=SPEC, builtin=False) as running:
        yield running


@pytest.fixture
def sdk(mock: RunningServer) -> Iterator[openai.OpenAI]:
    """The SDK, with the server as its base URL."""
    with client(mock, max_retries=0) as made:
        yield made


def client(mock: RunningServer, **options: Any) -> openai.OpenAI:
    """Return the SDK for a server."""
    return openai.OpenAI(base_url=f"{mock.url('openai')}/v1", api_key=mock.key("openai"), **options)


def test_it_checks_and_is_short() -> None:
    """Without an error, in few lines."""
    assert check_files([SPEC]) == []
    assert len(SPEC.read_text(encoding="utf-8").splitlines()) <= MOST_LINES + 10


def test_it_is_served_when_asked_for() -> None:
    """The gallery is there to be named; the built-in providers are what they were."""
    assert {each.name for each in load_providers()} == {"crun", "evolink", "googlegeminiomni", "toapis"}
    assert "openai" in {each.name for each in load_providers([SPEC])}


def test_from_submit_to_the_files(mock: RunningServer, sdk: openai.OpenAI) -> None:
    """A form with a file is taken; the states come in their order; each variant is a file of its own."""
    picture = ("first.png", b"\x89PNG\r\n\x1a\n\x00\xff", "image/png")
    made = sdk.videos.create(prompt="A kite", input_reference=picture, seconds="8", size="1280x720")
    assert (made.status, made.progress, made.model, made.seconds, made.size) == ("queued", 0, "sora-2", "8", "1280x720")
    assert (made.object, made.prompt, made.error, made.completed_at) == ("video", "A kite", None, None)
    seen = []
    for _ in range(20):
        shown = sdk.videos.retrieve(made.id)
        seen.append((shown.status, shown.progress))
        mock.clock.advance(5)
    assert list(dict.fromkeys(status for status, _ in seen)) == ["queued", "in_progress", "completed"]
    assert [progress for _, progress in seen] == sorted(progress for _, progress in seen)
    assert (shown.progress, shown.expires_at) == (100, (shown.completed_at or 0) + 3600)
    types = {}
    for variant in ("video", "thumbnail", "spritesheet"):
        file = sdk.videos.download_content(made.id, variant=variant)
        types[variant] = file.response.headers["Content-Type"]
        assert len(file.content) > 20
    assert types == {"video": "video/mp4", "thumbnail": "image/webp", "spritesheet": "image/jpeg"}
    assert sdk.videos.download_content(made.id).content[4:8] == b"ftyp"
    mock.clock.advance(3600)
    with pytest.raises(openai.NotFoundError):
        sdk.videos.download_content(made.id)


def test_json_and_the_poll_helper() -> None:
    """A submit may be JSON; the SDK polls to the end by itself."""
    with MockServer(specs=SPEC, builtin=False, clock="real", speed=1000) as mock, client(mock) as sdk:
        made = sdk.videos.create_and_poll(prompt="A kite", poll_interval_ms=10)
        assert (made.status, made.seconds, made.size) == ("completed", "4", "720x1280")
        body = {"prompt": "A kite", "model": "sora-2-pro", "input_reference": {"image_url": "https://a.example/b.png"}}
        assert sdk.post("/videos", body=body, cast_to=object)["model"] == "sora-2-pro"  # type: ignore[index]


def test_list_remix_and_delete(mock: RunningServer, sdk: openai.OpenAI) -> None:
    """Pages follow each other, a remix goes on from a video, and what is deleted is gone."""
    made = [sdk.videos.create(prompt=f"Kite {number}", seconds="12").id for number in range(3)]
    assert [each.id for each in sdk.videos.list(limit=2)] == made[::-1]
    page = sdk.videos.list(limit=2, order="asc")
    assert ([each.id for each in page.data], page.has_more, page.last_id) == (made[:2], True, made[1])
    with pytest.raises(openai.BadRequestError):
        sdk.videos.remix(made[0], prompt="Slower")
    with pytest.raises(openai.ConflictError):
        sdk.videos.delete(made[0])
    mock.clock.advance(120)
    remix = sdk.videos.remix(made[0], prompt="Slower")
    assert (remix.remixed_from_video_id, remix.prompt, remix.seconds) == (made[0], "Slower", "12")
    gone = sdk.videos.delete(made[0])
    assert (gone.id, gone.object, gone.deleted) == (made[0], "video.deleted", True)
    with pytest.raises(openai.NotFoundError):
        sdk.videos.retrieve(made[0])
    assert sdk.videos.retrieve(remix.id).remixed_from_video_id == made[0]


def test_failure_and_refusals(mock: RunningServer, sdk: openai.OpenAI) -> None:
    """A failed video has its error; the SDK knows each refusal."""
    made = sdk.videos.create(prompt="Much gore")
    mock.clock.advance(120)
    shown = sdk.videos.retrieve(made.id)
    assert shown.status == "failed"
    assert shown.error is not None
    assert shown.error.code == "moderation_blocked"
    with pytest.raises(openai.NotFoundError):
        sdk.videos.download_content(made.id)
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.videos.create(prompt="A kite", seconds="5")  # type: ignore[arg-type]
    assert refused.value.param == "seconds"
    with pytest.raises(openai.AuthenticationError):
        sdk.with_options(api_key="no key").videos.create(prompt="A kite")
    mock.provider("openai").refuse_next(429)
    with pytest.raises(openai.RateLimitError) as busy:
        sdk.videos.create(prompt="A kite")
    assert busy.value.type == "rate_limit_error"


async def test_the_webhook_is_unwrapped() -> None:
    """It is sent to the account's address; the SDK accepts its signature, and no other."""
    async with (
        receiving() as receiver,
        MockServer(specs=SPEC, builtin=False, webhook_url=receiver.url(), callback_time="wall") as mock,
    ):
        options = {"base_url": f"{mock.url('openai')}/v1", "api_key": mock.key("openai"), "webhook_secret": SECRET}
        async with openai.AsyncOpenAI(**options) as sdk:  # type: ignore[arg-type]
            made = await sdk.videos.create(prompt="A kite")
            await mock.clock.advance(120)
            (callback,) = receiver.got
            event: Any = sdk.webhooks.unwrap(callback.body, dict(callback.headers))
            assert (event.type, event.data.id, event.object) == ("video.completed", made.id, "event")
            assert event.id == callback.headers["webhook-id"]
            with pytest.raises(openai.InvalidWebhookSignatureError):
                sdk.webhooks.unwrap(callback.body + b" ", dict(callback.headers))


#: What the client meets.
MET = (
    *("no faults", "prompt: quotes", "task fails:", "submit refused: 400", "Retry-After in"),
    *(
        "query fails temporarily: 503 x2",
        "answer to the submit lost",
        "download breaks off: Range works",
        "web page instead of the file: always",
        "unknown status",
    ),
)


def test_a_careful_client_is_not_accused() -> None:
    """Whatever happens at the provider; what the clauses read from forms is there."""
    found = verdicts_on(Videos, "openai-videos", MET)
    assert {clause: seen for clause, seen in found.items() if seen != "kept"} == {}
    read = {"submit.body-as-documented", "submit.prompt-unchanged", "poll.stops-at-end", "poll.unknown-status"}
    assert read <= {*found}


def test_a_careful_client_is_called_back() -> None:
    """At the address of its account, which no submit names."""
    calls = ("no faults", "callback late", "callback forged: wrong", "callback forged: unsigned", "callback lost")
    found = verdicts_on(Videos, "openai-videos", calls, callbacks=True)
    assert {clause: seen for clause, seen in found.items() if seen != "kept"} == {}
    assert {"callbacks.constant-time", "callbacks.idempotent", "callbacks.lost-recovered-by-poll"} <= {*found}
