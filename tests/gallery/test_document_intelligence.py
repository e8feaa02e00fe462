"""The overlay for Azure Document Intelligence, driven by the SDK `azure-ai-documentintelligence` as it is."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
import requests
from azure.ai.documentintelligence import DocumentIntelligenceClient
from azure.ai.documentintelligence.models import AnalyzeDocumentRequest
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from support.judged_sdks import GALLERY, judged

from mockserver.spec.check import check_files
from mockserver.testing.running import MockServer, RunningServer

NAME = "document-intelligence"
OVERLAY = GALLERY / f"{NAME}.overlay.yaml"
ENDPOINT = "https://example.cognitiveservices.azure.com"
MODEL = "prebuilt-layout"
DOCUMENT = AnalyzeDocumentRequest(url_source="https://files.example/a.pdf")


@pytest.fixture
def mock() -> Iterator[RunningServer]:
    """Return a server that the SDK's requests are led to."""
    with MockServer(specs=OVERLAY, builtin=False) as server, server.intercept():
        yield server


@pytest.fixture
def api(mock: RunningServer) -> Iterator[DocumentIntelligenceClient]:
    """Return a client that does not ask again."""
    with DocumentIntelligenceClient(ENDPOINT, AzureKeyCredential(mock.key(NAME)), retry_total=0) as client:
        yield client


def test_it_checks() -> None:
    """Without an error."""
    assert [str(each) for each in check_files([OVERLAY])] == []


def test_a_document_from_submit_to_file(mock: RunningServer, api: DocumentIntelligenceClient) -> None:
    """Operation-Location is followed as it is; the files are there for their owner, until they are deleted."""
    poller = api.begin_analyze_document(MODEL, DOCUMENT, output=["pdf", "figures"])
    mock.clock.advance(10)
    result = poller.result()
    assert (result.model_id, result.content, result.pages[0].page_number) == (MODEL, "A document.", 1)
    name = poller.details["operation_id"]
    assert b"".join(api.get_analyze_result_pdf(MODEL, name)).startswith(b"%PDF-")
    assert b"".join(api.get_analyze_result_figure(MODEL, name, "1.1")).startswith(b"\x89PNG")
    with pytest.raises(ResourceNotFoundError):
        api.get_analyze_result_figure(MODEL, name, "7.1")
    api.delete_analyze_result(MODEL, name)
    for gone in (api.get_analyze_result_pdf, api.delete_analyze_result):
        with pytest.raises(ResourceNotFoundError):
            gone(MODEL, name)


def test_raw_bytes_are_taken(mock: RunningServer, api: DocumentIntelligenceClient) -> None:
    """As one of the declared media types."""
    poller = api.begin_analyze_document("prebuilt-read", BytesIO(b"<p>hello</p>"), content_type="text/html")
    mock.clock.advance(10)
    assert poller.result().model_id == "prebuilt-read"


def test_the_operation_is_told_by_headers(mock: RunningServer) -> None:
    """202 without a body; the address has the query that it must ask; Retry-After until the end."""
    key = {"Ocp-Apim-Subscription-Key": mock.key(NAME)}
    version = {"api-version": "2024-11-30"}
    url = f"{ENDPOINT}/documentintelligence/documentModels/{MODEL}:analyze"
    with requests.Session() as session:
        made = session.post(url, params=version, json={"urlSource": "https://a.example"}, headers=key, timeout=10)
        assert (made.status_code, made.content, made.headers["Retry-After"]) == (202, b"", "1")
        assert "Content-Type" not in made.headers
        seen = []
        for _ in range(3):
            answer = session.get(made.headers["Operation-Location"], headers=key, timeout=10)
            seen.append((answer.json()["status"], answer.headers.get("Retry-After"), "analyzeResult" in answer.json()))
            mock.clock.advance(2 if len(seen) == 1 else 8)
        assert session.post(url, json={}, headers=key, timeout=10).json()["error"]["code"] == "InvalidRequest"
    assert seen == [("notStarted", "1", False), ("running", "1", False), ("succeeded", None, True)]


def test_a_failure_has_its_reason(mock: RunningServer, api: DocumentIntelligenceClient) -> None:
    """The SDK raises it."""
    mock.provider(NAME).fail_next("InvalidContent")
    poller = api.begin_analyze_document(MODEL, DOCUMENT)
    mock.clock.advance(10)
    with pytest.raises(HttpResponseError, match="The file is corrupted") as raised:
        poller.result()
    assert raised.value.error is not None
    assert raised.value.error.code == "InvalidContent"


def test_refusals_are_as_the_sdk_reads_them(mock: RunningServer, api: DocumentIntelligenceClient) -> None:
    """429, an unknown model, a wrong key."""
    mock.provider(NAME).refuse_next(429)
    with pytest.raises(HttpResponseError) as busy:
        api.begin_analyze_document(MODEL, DOCUMENT)
    assert busy.value.status_code == 429
    with pytest.raises(ResourceNotFoundError, match="ModelNotFound"):
        api.begin_analyze_document("nothing", DOCUMENT)
    with (
        DocumentIntelligenceClient(ENDPOINT, AzureKeyCredential("not a key")) as stranger,
        pytest.raises(ClientAuthenticationError),
    ):
        stranger.begin_analyze_document(MODEL, DOCUMENT)


@pytest.mark.slow(about_s=14)
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # the SDK leaves them to the collector
def test_a_careful_client_is_not_accused(tmp_path: Path) -> None:
    """In every situation that a client is tested in; the file is at no host of its own, and the 202 has no body."""
    untested = ["payment.unreadable-answer", "results.link-as-given", "results.without-key"]
    assert judged(NAME, OVERLAY, tmp_path) == ([], untested)
