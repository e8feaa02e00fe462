"""Recordings of a real provider, written by hand: what the mock does not know is in their answers."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from mockserver.clock import iso_of
from support.edge import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.edge import Edge

BODY: dict[str, Any] = {"model": "gemini-omni-flash-text-to-video", "prompt": "a red kite", "duration": 6}


def record(seq: int, at_s: float, method: str, path: str, answer: Any, *, body: Any = None, status: int = 200) -> Any:
    """Write a record as of the real EvoLink: what the mock does not know is in its answers."""
    sent = None if body is None else json.dumps(body)
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return {
        "seq": seq,
        "kind": "exchange",
        "at": iso_of(1_700_000_000_250 + round(at_s * 1000)),
        "host": "api.evolink.ai",
        "url": f"https://api.evolink.ai{path}",
        "request": {
            "method": method,
            "path": path,
            "query": "",
            "headers": [["Authorization", "Bearer sk-real-secret-key"]],
            "body": sent,
            "body_bytes": len(sent or ""),
        },
        "response": {
            "status": status,
            "headers": [["Content-Type", "application/json"], ["X-Served-For", "task-1"], ["Set-Cookie", "a=b"]],
            "body": text,
            "body_bytes": len(text),
        },
    }


@asynccontextmanager
async def real(path: Path, records: list[dict[str, Any]], **settings: Any) -> AsyncIterator[Edge]:
    """Serve a recording of the real provider."""
    file = path / "real.ndjson"
    file.write_bytes(b"".join(json.dumps(each).encode() + b"\n" for each in records))
    async with serving(replay=str(file), **settings) as edge:
        yield edge


def entry(of: dict[str, Any]) -> dict[str, Any]:
    """Write a record as an entry of a HAR file."""
    request, response = of["request"], of["response"]
    return {
        "startedDateTime": of["at"],
        "request": {
            "method": request["method"],
            "url": of["url"],
            "headers": [{"name": name, "value": value} for name, value in request["headers"]],
            "postData": {"text": request["body"]},
        },
        "response": {
            "status": response["status"],
            "headers": [{"name": name, "value": value} for name, value in response["headers"]],
            "content": {"text": response["body"], "size": response["body_bytes"]},
        },
    }
