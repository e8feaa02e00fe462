"""Read a HAR file, as exported by browsers and proxies, into records like those of our own journal."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mockserver.clock import instant_of
from mockserver.recording.values import JournalError, header_of

#: Fields of our own in the HAR files of the mock server.
_OWN = ("wall", "served_as", "commanded", "own_plan")


def records_of_har(whole: Mapping[str, Any], path: Path) -> Iterator[Mapping[str, Any]]:
    """Turn the entries of a HAR file into records without a provider.

    Raises:
        JournalError: the file is not HAR.
    """
    try:
        entries = sorted(whole["log"]["entries"], key=lambda entry: instant_of(entry["startedDateTime"]))
        for number, entry in enumerate(entries, 1):
            request, response = entry["request"], entry["response"]
            parts = urlsplit(request["url"])
            status, headers = int(response["status"]), [[each["name"], each["value"]] for each in response["headers"]]
            yield {
                "seq": number,
                "kind": "exchange",
                "at": entry["startedDateTime"],
                **{name: entry[f"_{name}"] for name in _OWN if f"_{name}" in entry},
                "host": parts.netloc,
                "url": request["url"],
                "faults": entry.get("_faults", []),
                "request": {
                    "method": request["method"],
                    "path": parts.path,
                    "query": parts.query,
                    "headers": [[each["name"], each["value"]] for each in request["headers"]],
                    "body": (request.get("postData") or {}).get("text"),
                },
                "response": {
                    "status": status,
                    "headers": headers,
                    "body": _text_in_har(response["content"]),
                    "body_bytes": _size_in_har(response, headers),
                }
                if status
                else None,
            }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise JournalError(f"{path}: invalid HAR file: {type(error).__name__}: {error}") from None


def _text_in_har(content: Mapping[str, Any]) -> str | None:
    """Return a body as text; None if it was not kept or is none. Browsers write some texts in Base64, too."""
    text = content.get("text")
    if content.get("encoding") != "base64" or text is None:
        return text
    try:
        return base64.b64decode(text).decode()
    except UnicodeDecodeError:
        return None


def _size_in_har(response: Mapping[str, Any], headers: Iterable[Sequence[str]]) -> int:
    """Return a body's size. Tools write 0 or -1 for a body they did not keep: Content-Length is used then."""
    size = max(response["content"].get("size") or 0, response.get("bodySize") or 0)
    length = header_of(headers, "Content-Length") or ""
    return size if size > 0 else int(length) if length.isdecimal() else 0
