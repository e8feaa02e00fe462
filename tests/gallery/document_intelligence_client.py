"""A client of `contracts run` around the SDK `azure-ai-documentintelligence`, as it is."""

from __future__ import annotations

from typing import Any

from azure.ai.documentintelligence import DocumentIntelligenceClient
from azure.ai.documentintelligence.models import AnalyzeDocumentRequest
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import AzureError
from azure.core.polling.base_polling import BadResponse, LROBasePolling

from contracts.client.subject import Setting


class Limited(LROBasePolling):  # type: ignore[type-arg]
    """Polls as Retry-After says, and gives up after a while: the SDK itself never does."""

    left = 300

    def update_status(self) -> None:
        """Poll once."""
        self.left -= 1
        if not self.left:
            raise AzureError("the operation did not end")
        try:
            super().update_status()
        except BadResponse:
            return  # no status in it: the next answer may have one


class Client:
    """Analyzes a document: submit, poll by Operation-Location, download a PDF."""

    def __init__(self, setting: Setting) -> None:
        key = AzureKeyCredential(setting.api_key)
        self.api = DocumentIntelligenceClient("https://example.cognitiveservices.azure.com", key)

    def generate(self, prompt: str) -> bytes:
        """Return the bytes of a PDF."""
        document = AnalyzeDocumentRequest(url_source=prompt)
        poller = self.api.begin_analyze_document("prebuilt-layout", document, output=["pdf"], polling=Limited(2))
        poller.result()
        return self.pdf(poller.details["operation_id"])

    def pdf(self, name: str) -> bytes:
        """Download a file, whole and of the right type."""
        for left in (2, 1, 0):
            try:
                return b"".join(self.api.get_analyze_result_pdf("prebuilt-layout", name, cls=checked))
            except AzureError:
                if not left:
                    raise
        raise AssertionError("it ends with a file or an error")

    def close(self) -> None:
        """Close its connections."""
        self.api.close()


def checked(_response: Any, chunks: Any, headers: Any) -> Any:
    """Return the bytes of an answer that is a PDF."""
    if headers["content-type"] != "application/pdf":
        raise AzureError(f"not a PDF: {headers['content-type']}")
    return chunks
