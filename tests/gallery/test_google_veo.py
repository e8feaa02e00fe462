"""Google's long-running operations for videos, from an overlay, driven by the official SDK as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from gallery.google_client import MODEL, Videos
from google import genai
from google.genai import errors, types
from support.gallery import MOST_LINES, overlay, verdicts_on

from mockserver.spec.check import check_files
from mockserver.testing.running import MockServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mockserver.testing.running import RunningServer

SPEC = overlay("google-veo")
NAME = "google-veo"
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")


@pytest.fixture
def mock() -> Iterator[RunningServer]:
    """A server of this API alone; the real host leads to it."""
    with MockServer(specs=SPEC, builtin=False) as running, running.intercept():
        yield running


@pytest.fixture
def sdk(mock: RunningServer) -> Iterator[genai.Client]:
    """The SDK, which knows nothing of the server."""
    made = genai.Client(api_key=mock.key(NAME))
    yield made
    made.close()


def submitted(sdk: genai.Client, prompt: str, **config: object) -> types.GenerateVideosOperation:
    """Submit a prompt."""
    source = types.GenerateVideosSource(prompt=prompt)
    return sdk.models.generate_videos(model=MODEL, source=source, config=types.GenerateVideosConfig(**config))  # type: ignore[arg-type]


def test_it_checks_and_is_short() -> None:
    """Without an error, in few lines."""
    assert check_files([SPEC]) == []
    assert len(SPEC.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_from_submit_to_the_file(mock: RunningServer, sdk: genai.Client) -> None:
    """An operation is not done, then done, with a link that the SDK downloads."""
    operation = submitted(sdk, "A kite", number_of_videos=1, duration_seconds=8, aspect_ratio="9:16")
    assert str(operation.name).startswith(f"models/{MODEL}/operations/")
    assert not operation.done
    mock.clock.advance(30)
    assert not sdk.operations.get(operation).done
    mock.clock.advance(70)
    operation = sdk.operations.get(operation)
    assert operation.done
    assert operation.response is not None
    assert operation.response.generated_videos is not None
    (video,) = operation.response.generated_videos
    assert sdk.files.download(file=video)[4:8] == b"ftyp"
    mock.clock.advance(172800)
    with pytest.raises(errors.ClientError) as gone:
        sdk.files.download(file=video)
    assert gone.value.code == 404


def test_by_its_base_url() -> None:
    """The option of the SDK leads to the server, too."""
    with MockServer(specs=SPEC, builtin=False) as mock:
        options = types.HttpOptions(base_url=mock.url(NAME))
        with genai.Client(api_key=mock.key(NAME), http_options=options) as sdk:
            operation = submitted(sdk, "A kite")
            mock.clock.advance(100)
            assert sdk.operations.get(operation).done


def test_failures(mock: RunningServer, sdk: genai.Client) -> None:
    """An operation ends with an error; what the policy filters ends without videos, and says why."""
    mock.provider(NAME).fail_next()
    failed, filtered = submitted(sdk, "A kite"), submitted(sdk, "Much gore")
    mock.clock.advance(100)
    failed, filtered = sdk.operations.get(failed), sdk.operations.get(filtered)
    assert (failed.done, failed.error, failed.response) == (
        True,
        {"code": 13, "message": "The video could not be made."},
        None,
    )
    assert filtered.response is not None
    assert (filtered.error, filtered.response.generated_videos) == (None, None)
    assert filtered.response.rai_media_filtered_count == 1


def test_refusals(mock: RunningServer, sdk: genai.Client) -> None:
    """The SDK reads code, status and message of each."""
    with pytest.raises(errors.ClientError) as wrong:
        submitted(sdk, "A kite", aspect_ratio="1:1")
    assert (wrong.value.code, wrong.value.status) == (400, "INVALID_ARGUMENT")
    mock.provider(NAME).refuse_next(429)
    with pytest.raises(errors.ClientError) as busy:
        submitted(sdk, "A kite")
    assert (busy.value.code, busy.value.status) == (429, "RESOURCE_EXHAUSTED")
    mock.provider(NAME).refuse_next(503)
    with pytest.raises(errors.ServerError):
        submitted(sdk, "A kite")
    with genai.Client(api_key="no key") as other, pytest.raises(errors.ClientError) as unknown:
        submitted(other, "A kite")
    assert unknown.value.status == "UNAUTHENTICATED"


def test_a_careful_client_is_not_accused() -> None:
    """Whatever happens at the provider; the model in the path and ends without a status field are read."""
    met = (
        *("no faults", "prompt: quotes", "task fails:", "submit refused: 400", "Retry-After in"),
        *(
            "query fails temporarily: 503 x2",
            "answer to the submit lost",
            "download breaks off: Range works",
            "web page instead of the file: always",
        ),
    )
    found = verdicts_on(Videos, NAME, met)
    assert {clause: seen for clause, seen in found.items() if seen != "kept"} == {}
    assert {"submit.body-as-documented", "poll.stops-at-end", "outcome.failure-has-its-reason"} <= {*found}
