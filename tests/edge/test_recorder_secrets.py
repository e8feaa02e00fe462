"""What `record` writes: no secret, wherever it is and however it is written."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import orjson
import pytest
from aiohttp import web
from support.recorder import BODIES, KEYS, PATHS, answering, recording
from yarl import URL

from mockserver.edge.recorder import Recorder

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "hush/hush-é-1234"
IN_JSON = orjson.dumps(SECRET).decode()


@pytest.mark.parametrize(
    ("headers", "query", "body"),
    [
        ({}, "", f'{{"api_key": {IN_JSON}}}'),
        ({}, "", f'{{"webhookSecret": {IN_JSON}}}'),
        ({}, "", f'{{"auth": {{"client_secret" : {IN_JSON}}}}}'),
        ({}, "", '{"x-access-token": "hush\\/hush-\\u00e9-1234"}'),
        ({}, "", '{"callback_url": "https://me.test/hook?a=1&token=hush%2Fhush-%C3%A9-1234"}'),
        ({}, "", '{"callback_url": "https://me:hush%2fhush-%c3%a9-1234@me.test/hook"}'),
        ({}, "", "model=x&password=hush%2Fhush-%C3%A9-1234&n=1"),
        (
            {"Content-Type": "multipart/form-data; boundary=b"},
            "",
            f'--b\r\nContent-Disposition: form-data; name="api_key"\r\n\r\n{SECRET}\r\n--b--\r\n',
        ),
        ({}, "?token=hush%2Fhush-%C3%A9-1234", ""),
        ({}, "?X-Amz-Security-Token=hush%2Fhush-%C3%A9-1234", ""),
        ({"X-Api-Key": SECRET}, "", ""),
        ({"Authorization": f"Basic {base64.b64encode(f'me:{SECRET}'.encode()).decode()}"}, "", ""),
        ({"X-Auth-Key": SECRET}, "", ""),
        ({"Referer": "https://me.test/?api_key=hush%2Fhush-%C3%A9-1234"}, "", ""),
        ({"Cookie": f"sid=abcdefgh; key={KEYS['evolink']}; x={SECRET}"}, "", ""),
    ],
)
async def test_no_secret_is_written(headers: dict[str, str], query: str, body: str, tmp_path: Path) -> None:
    """Not of the request, and not where the answer repeats it: in its body, a link or a header."""
    said = {"error": f"invalid key {SECRET}", "next": "https://x.test/?q=hush%2Fhush-%C3%A9-1234"}
    has_whole_cookie = "Cookie" in headers  # of which the parts are not known

    async def handler(_request: web.Request) -> web.Response:
        answer_headers = {"X-Auth-Token": SECRET, "Location": "https://x.test/?access_token=hush%2Fhush-%C3%A9-1234"}
        return web.json_response({} if has_whole_cookie else said, status=401, headers=answer_headers)

    async with answering(handler) as url, recording("evolink", tmp_path) as made:
        made.recorder.upstream = url
        address = URL(f"{made.server.base_url('evolink')}/v1/videos/generations{query}", encoded=True)
        key = made.provider.key.header_with(KEYS["evolink"])
        async with made.http.post(address, data=body.encode(), headers={**key, **headers}) as answer:
            assert answer.status == 401
        await made.records()
    text = made.file.read_text(encoding="utf-8")
    spellings = ("hush/hush", "hush%2Fhush", "hush%2fhush", "hush\\\\/hush", "abcdefgh", "aHVzaC")
    assert [each for each in spellings if each in text] == [], text
    assert KEYS["evolink"] not in text


async def test_what_only_looks_like_a_secret_is_kept(tmp_path: Path) -> None:
    """Short words that stand elsewhere too, counts, objects, and names that only hold such a word."""
    kept = {"token": {"used": 1}, "max_tokens": 5, "tokens": "video", "keys": "kite", "monkey": "video"}
    async with recording("evolink", tmp_path) as made:
        await made.ask("POST", PATHS["evolink"][0], {**BODIES["evolink"], **kept, "password": "kite"})
        (record,) = await made.records()
    sent = orjson.loads(record["request"]["body"])
    assert sent == {**BODIES["evolink"], **kept, "password": "[redacted]"}


async def test_a_key_cut_at_the_limit_of_bodies(tmp_path: Path) -> None:
    """Its beginning is not written, in text and in other bytes."""
    key = KEYS["evolink"]

    async def handler(request: web.Request) -> web.Response:
        start = b"\xff" if "bytes" in request.path else b"x"
        content = start * (made.server.runtime.journal.body_limit - len(key) + 3) + key.encode()
        return web.Response(body=content, content_type="text/plain")

    async with answering(handler) as url, recording("evolink", tmp_path) as made:
        made.recorder.upstream = url
        for path in ("/text", "/bytes"):
            await made.ask("GET", path)
        in_text, in_bytes = (each["response"] for each in await made.records())
    assert key[:6] not in in_text["body"]
    assert key[:6].encode() not in base64.b64decode(in_bytes["body_base64"])


@pytest.mark.parametrize("target", ["http://other.test/?api_key=hush-hush", "/nowhere?api_key=hush-hush"])
async def test_a_key_in_a_request_that_is_not_sent_on(target: str, tmp_path: Path) -> None:
    """What leads to another host, or nowhere, is written down without it too."""
    async with recording("evolink", tmp_path) as made:
        url = URL(f"{made.server.root_url}/nowhere?api_key=hush-hush")
        proxy = made.server.root_url if target.startswith("http") else None
        async with made.http.get(target if proxy else url, proxy=proxy) as answer:
            assert answer.status in (403, 404)
        (record,) = await made.records()
    assert record["request"]["query"] == "api_key=[redacted]"
    assert "hush" not in made.file.read_text(encoding="utf-8")


async def test_a_key_is_not_said_on_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the recorder itself fails."""

    def fail(*_given: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Recorder, "provide", fail)
    async with recording("evolink", tmp_path) as made:
        await made.ask("GET", "/v1/credits?api_key=hush-hush")
    assert ("broken" in caplog.text, "hush" in caplog.text) == (True, False)
