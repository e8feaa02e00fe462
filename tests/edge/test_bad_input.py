"""Whatever a client sends: a clear answer of the right shape, or a close, and everyone else is served meanwhile.

No 500 that was not asked for, no traceback in a body, nothing on the terminal.
"""

from __future__ import annotations

import asyncio
import gzip
import random
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson
import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from support.edge import (
    LOOPS,
    PROVIDERS,
    Answer,
    Edge,
    Response,
    example,
    nothing_logged,
    request_bytes,
    run_on,
    serving,
)
from support.tables import for_each

import mockserver.edge.server
from mockserver.edge.request_body import read_body
from mockserver.media.cache import MediaCache
from mockserver.spec.document import Document
from mockserver.spec.vocabulary import builtin_specs

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mockserver.media.shape import Shape

MIB = 1 << 20
GOOD = orjson.dumps({"model": "gemini-omni-flash-text-to-video", "prompt": "A kite"})
SUBMIT = "/evolink/v1/videos/generations"
#: The status of a body that is not what it should be.
INVALID = {"crun": 422, "evolink": 400, "googlegeminiomni": 400, "toapis": 400}


@pytest.fixture(autouse=True)
def _quiet(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Hold every test of this file to it that nothing is logged and nothing printed."""
    with nothing_logged():
        yield
    assert capfd.readouterr() == ("", "")


def check_shape(name: str, status: int, body: bytes) -> None:
    """Hold a refusal to the provider's error body, as its spec has it."""
    assert 400 <= status < 500, (status, body)
    assert b"Traceback" not in body
    error = orjson.loads(body)
    if name == "crun":
        code = {405: 404, 408: 422, 413: 422}.get(status, status)  # the document's list of codes is closed
        assert error == {"code": code, "message": error["message"], "data": None}
        words = error["message"]
    elif name == "googlegeminiomni":
        assert list(error) == ["error"]
        words = error["error"]
    else:
        assert list(error) == ["error"]
        assert error["error"].keys() - {"param"} == {"code", "message", "type"}
        assert error["error"]["code"] == status
        words = error["error"]["message"]
    assert isinstance(words, str)
    assert 0 < len(words) < 400


def check_refusal(name: str, reply: Response, status: int) -> None:
    """Hold a refusal to its status and the provider's shape."""
    assert reply.status == status, reply.body
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["X-Request-Id"].startswith("req_")
    check_shape(name, reply.status, reply.body)


async def check_served(edge: Edge) -> None:
    """Another client is served."""
    reply = await edge.call("GET", "/evolink/v1/credits", headers=edge.key_headers("evolink"))
    assert reply.status == 200


async def tell(edge: Edge, *pieces: bytes, ends: bool = False) -> tuple[list[Answer], bool]:
    """Send bytes; return the answers, and whether the connection was closed after them."""
    async with edge.raw() as wire:
        await wire.send(*pieces)
        await check_served(edge)
        if ends:
            wire.end()
        answers: list[Answer] = []
        while (answer := await wire.answer()) is not None:
            assert answer.status != 500
            assert b"Traceback" not in answer.body
            answers.append(answer)
            if answer.header("Connection") != "close" and answer.version == "HTTP/1.1" and not ends:
                return answers, False
        await check_served(edge)
        return answers, True


async def refused_or_closed(edge: Edge, *pieces: bytes) -> None:
    """Send bytes that are no request: the answer is 4xx in few words, or none, and the connection is closed."""
    answers, closed = await tell(edge, *pieces)
    assert closed
    assert [answer.status for answer in answers] in ([], [400]), answers
    for answer in answers:
        assert answer.header("Connection") == "close"
        assert answer.json["error"].startswith("the request is not well-formed HTTP: ")
        assert len(answer.body) < 300
        assert answer.header("Server") is None


def post(edge: Edge, body: bytes, name: str = "evolink", headers: Mapping[str, str] | None = None, **how: Any) -> bytes:
    """Write a submit with any body."""
    fields = {**edge.key_headers(name), "Content-Type": "application/json", **(headers or {})}
    return request_bytes("POST", edge.path_of(name, "submit"), headers=fields, body=body, **how)


# -- bodies that are no JSON ----------------------------------------------------------------------

NO_JSON = {
    "nothing": b"",
    "words": b"model=gemini&prompt=kite",
    "cut off": b'{"model": "gemini',
    "two texts": b'{"model": "m"} {"model": "m"}',
    "trailing comma": b'{"model": "m",}',
    "single quotes": b"{'model': 'm'}",
    "a comment": b'{"model": "m" /* really */}',
    "NaN": b'{"model": "m", "duration": NaN}',
    "infinity": b'{"model": "m", "duration": -Infinity}',
    "a number beyond all": b'{"model": "m", "duration": 1e999}',
    "a number of 5 000 digits": b'{"model": "m\\n", "duration": ' + b"9" * 5000 + b"}",
    "leading zeros": b'{"model": "m", "duration": 007}',
    "not UTF-8": b'{"model": "m", "prompt": "\xff\xfe"}',
    "overlong UTF-8": b'{"model": "m", "prompt": "\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"model": "m", "prompt": "\xed\xa0\x80"}',
    "half a surrogate pair": rb'{"model": "m", "prompt": "\ud83e"}',
    "UTF-16": '{"model": "m"}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + b'{"model": "m"}',
    "a control character": b'{"model": "m", "prompt": "a\x00b"}',
    "one key twice": b'{"model": "m", "model": "m"}',
    "one key twice, spelled differently": rb'{"model": "m", "mode\u006c": "m"}',
    "one key twice, deep down": b'{"model": "m", "input": {"a": [{"b": 1, "b": 2}]}}',
    "lists 1 000 deep": b"[" * 1000 + b"]" * 1000,
    "objects 1 000 deep": b'{"a":' * 1000 + b"1" + b"}" * 1000,
    "lists 1 000 deep in a field": b'{"model": "m", "prompt": ' + b"[" * 1000 + b"]" * 1000 + b"}",
    "lists 500 000 deep": b"[" * 500_000,
    "objects 150 000 deep": b'{"a":' * 150_000,
}


@for_each("body", NO_JSON.values())
async def test_not_json(body: bytes) -> None:
    """A body that is not JSON that everybody reads alike is refused, by every provider in its own shape."""
    async with serving() as edge:
        for name in PROVIDERS:
            headers = {**edge.key_headers(name), "Content-Type": "application/json"}
            reply = await edge.call("POST", edge.path_of(name, "submit"), headers=headers, data=body)
            check_refusal(name, reply, INVALID[name])
            assert edge.state(name).tasks == {}


@for_each("body", [b"null", b"true", b"17", b'"kite"', b"[]", b'[{"model": "m"}]', b"{}"])
async def test_not_an_object(body: bytes) -> None:
    """JSON that is not an object, or an empty one, is refused as an invalid body."""
    async with serving() as edge:
        for name in PROVIDERS:
            headers = {**edge.key_headers(name), "Content-Type": "application/json"}
            reply = await edge.call("POST", edge.path_of(name, "submit"), headers=headers, data=body)
            check_refusal(name, reply, INVALID[name])


@for_each(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp", "\xff", ";"]
)
async def test_another_content_type(kind: str) -> None:
    """A body that does not say that it is JSON is refused, even where it is."""
    async with serving() as edge, edge.raw() as wire:
        for name in PROVIDERS:
            body = orjson.dumps(example(edge.provider(name)))
            await wire.send(post(edge, body, name, {"Content-Type": kind}))
            answer = await wire.answer()
            assert answer is not None
            assert answer.status == INVALID[name]
            check_shape(name, answer.status, answer.body)


# -- fields ---------------------------------------------------------------------------------------

LONG = "x" * 5000
#: One value of each kind, and the awkward ones among them.
ANY_VALUE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 6, 6.0, 10.0, 6.5, 2**53, 10**25, -(10**25), 1e300, 5e-324, "6", "10", "auto"),
    *("", " ", "\x00", "🪁", LONG, "null", "https://", "https://x y/", "javascript:alert(1)", "file:///etc/passwd"),
    *([], {}, [[]], [{}], [None], {"": {}}, ["https://client.example/a.jpg"] * 9, {"url": 1, "start": "x"}),
    [{"url": "https://client.example/a.mp4", "start": 5, "ends": 2}],
)


def fields_of(document: Document, schema: Any) -> Iterator[tuple[str, ...]]:
    """Walk the properties of a request schema, as paths of names; below the first level, those of objects too."""
    while "$ref" in schema:
        schema = document.resolve(schema["$ref"])
    for name, each in schema.get("properties", {}).items():
        yield (name,)
        for below in fields_of(document, each):
            yield (name, *below)


def requests_of_specs() -> list[tuple[str, str, tuple[str, ...]]]:
    """Every field of every model of every built-in spec: provider, model, path of names."""
    out = []
    for path in builtin_specs():
        document = Document.read(path)
        mock = document.data["x-mock"]
        for model, entry in mock["models"].items():
            out += [
                (mock.get("provider") or mock["part_of"], model, field)
                for field in fields_of(document, document.resolve(entry["request"]))
            ]
    return out


FIELDS = requests_of_specs()


def test_fields_are_found() -> None:
    """The specs were read: each provider has fields, some of them below others."""
    assert {name for name, _, _ in FIELDS} == set(PROVIDERS)
    assert ("crun", "google/gemini-omni", ("input", "duration")) in FIELDS
    assert len(FIELDS) > 35


@pytest.mark.parametrize(
    ("name", "model", "field"),
    [pytest.param(*each, marks=[] if each[0] in ("crun", "evolink") else pytest.mark.slow) for each in FIELDS],
    ids=lambda part: part if isinstance(part, str) else None,
)
async def test_any_value_in_any_field(
    name: str, model: str, field: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any value in any field is accepted, and the task then ends as any other, or refused in the provider's form.

    The compiled schema of the model decides; a value that it accepts may still be refused by a rule that a schema
    cannot express.
    """
    monkeypatch.setattr("mockserver.edge.server.MediaCache", lambda: MediaCache(encode=quick_file))
    async with serving() as edge:
        schema = edge.provider(name).models[model].request
        for value in ANY_VALUE:
            await edge.mock.clock.advance(3600)
            body: dict[str, Any] = orjson.loads(orjson.dumps(example(edge.provider(name), model)))
            holder = body
            for key in field[:-1]:
                holder = holder.setdefault(key, {})
            holder[field[-1]] = value
            reply = await edge.call(
                "POST",
                edge.path_of(name, "submit"),
                headers=edge.key_headers(name),
                data=raw_json(body),
            )
            if not schema.accepts(orjson.loads(raw_json(body))):
                assert reply.status != 200, (field, value)
            if reply.status != 200:
                assert reply.status in {INVALID[name], 404, 422}, (field, value, reply.body)
                check_refusal(name, reply, reply.status)
                continue
            await check_lives(edge, name, next(reversed(edge.state(name).tasks)))


def raw_json(value: Any) -> bytes:
    """Write JSON with whole numbers of any size."""
    import json

    return json.dumps(value).encode()


async def check_lives(edge: Edge, name: str, task_id: str) -> None:
    """A task can be asked after from its first instant to its end, and its files are there."""
    for seconds in (0, 30, 4000):
        await edge.mock.clock.advance(seconds)
        reply = await edge.query(name, task_id)
        assert reply.status == 200, reply.body
        assert (await edge.admin("GET", f"/tasks/{task_id}")).status == 200
    links = list(links_in(edge, reply.json))
    assert links
    for link in links:
        assert (await edge.call("HEAD", link)).status == 200


def links_in(edge: Edge, value: Any) -> Iterator[str]:
    """Find the links to the mock in an answer."""
    if isinstance(value, str) and value.startswith(edge.root):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from links_in(edge, each)


def quick_file(shape: Shape, path: Path, stop: threading.Event) -> None:
    """Take the place of the encoder, which is not what these tests are about."""
    path.write_bytes(shape.file_name.encode())


@for_each(
    "model", ["", " ", "no-such-model", "GEMINI_OMNI", "gemini-omni-flash-text-to-video\n", "模型", "x" * 100_000]
)
async def test_unknown_model(model: str) -> None:
    """A model that does not exist is refused, and not repeated at length."""
    async with serving() as edge:
        for name in PROVIDERS:
            reply = await edge.try_submit(name, model=model)
            check_refusal(name, reply, 404 if name == "evolink" else INVALID[name])


#: Longest prompt of each model that has a limit, and where it stands.
PROMPTS = [
    ("crun", "google/gemini-omni", ("input", "prompt"), 20_000),
    ("googlegeminiomni", "gemini-omni-video", ("prompt",), 2000),
    ("googlegeminiomni", "gemini-omni-character", ("prompt",), 2000),
    ("toapis", "gemini-omni-flash", ("prompt",), 1200),
    ("toapis", "gemini_omni_flash", ("prompt",), 1200),
]


@for_each(("name", "model", "field", "limit"), PROMPTS)
async def test_prompt_length(name: str, model: str, field: tuple[str, ...], limit: int) -> None:
    """A prompt of exactly the longest length passes, one more is refused, an empty one too; characters are counted."""
    async with serving() as edge:
        for prompt, passes in (("🪁" * limit, True), ("🪁" * (limit + 1), False), ("", False)):
            body = example(edge.provider(name), model)
            if len(field) == 2:
                body[field[0]] = {**body[field[0]], field[1]: prompt}
            else:
                body[field[0]] = prompt
            reply = await edge.call("POST", edge.path_of(name, "submit"), headers=edge.key_headers(name), json=body)
            if passes:
                assert reply.status == 200, reply.body
            else:
                check_refusal(name, reply, INVALID[name])


# -- sizes ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("chunked", [False, True])
def test_10_mb(loop: str, chunked: bool) -> None:
    """A body of 10 MB is refused with 413, announced or in chunks, and others are served while it is being sent."""

    async def main() -> None:
        async with serving() as edge:
            for name in PROVIDERS:
                whole = b'{"prompt": "' + b"x" * (10 * MIB) + b'"}'
                headers = {**edge.key_headers(name), "Content-Type": "application/json"}
                headers |= {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(len(whole))}
                async with edge.raw() as wire:
                    await wire.send(request_bytes("POST", edge.path_of(name, "submit"), headers=headers))
                    for index in range(0, len(whole), MIB):
                        piece = whole[index : index + MIB]
                        await wire.send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
                        await check_served(edge)
                    await wire.send(b"0\r\n\r\n" if chunked else b"")
                    answer = await wire.answer()
                    assert answer is not None
                    assert answer.status == 413
                    check_shape(name, 413, answer.body)
                    assert answer.header("Connection") == "close"

    run_on(loop, main())


async def test_body_at_the_limit() -> None:
    """A body of exactly the largest size is read; one byte more is not."""
    async with serving() as edge:
        name = "evolink"
        limit = edge.provider(name).operations["createVideo"].max_body_bytes
        short = orjson.dumps({**example(edge.provider(name)), "prompt": ""})
        for size, status in ((limit, 200), (limit + 1, 413)):
            body = short.replace(b'"prompt":""', b'"prompt":"%s"' % (b"x" * (size - len(short))))
            headers = {**edge.key_headers(name), "Content-Type": "application/json"}
            reply = await edge.call("POST", SUBMIT, headers=headers, data=body)
            assert (len(body), reply.status) == (size, status)


@for_each("path", ["/evolink/v1/credits", "/evolink/nothing", "/nobody", "/", "/__admin/health"])
@for_each("method", ["GET", "POST"])
async def test_10_mb_where_none_is_taken(method: str, path: str) -> None:
    """An unexpected body does no harm: the response is the same as without it."""
    async with serving() as edge:
        headers = edge.key_headers("evolink")
        bare = await edge.call(method, path, headers=headers)
        heavy = await edge.call(method, path, headers=headers, data=b"x" * (10 * MIB))
        assert heavy.status == bare.status < 500
        await check_served(edge)


async def test_10_mb_to_the_control_plane() -> None:
    """The control plane refuses a large body, too."""
    async with serving() as edge:
        headers = {"Content-Type": "application/json"}
        reply = await edge.call("POST", "/__admin/clock", headers=headers, data=b"x" * (10 * MIB))
        assert reply.status == 413
        assert reply.json["error"]["code"] == "body"


@pytest.mark.parametrize("length", [2000, 8100])
async def test_long_url(length: int) -> None:
    """A long address is looked up like any other, and not repeated at length."""
    async with serving() as edge:
        for name in PROVIDERS:
            reply = await edge.call("GET", f"/{name}/{'a' * length}", headers=edge.key_headers(name))
            check_refusal(name, reply, 404)
            reply = await edge.query(name, "a" * (length - 50))
            check_refusal(name, reply, 400 if name == "evolink" else 404)
            reply = await edge.call("GET", f"/{name}/x?{'a=b&' * (length // 4)}")
            check_refusal(name, reply, 404)


@for_each("loop", LOOPS)
@for_each("length", [9000, 100_000, 2 * MIB])
def test_overlong_head(loop: str, length: int) -> None:
    """An address, a header or a method beyond all bounds is refused or cut off, in few words."""

    async def main() -> None:
        async with serving() as edge:
            long = "a" * length
            await refused_or_closed(edge, request_bytes("GET", f"/evolink/{long}"))
            await refused_or_closed(edge, request_bytes("GET", f"/evolink/x?{long}"))
            await refused_or_closed(edge, request_bytes("GET", "/evolink/v1/credits", headers={"X-Long": long}))
            await refused_or_closed(edge, request_bytes("GET", "/evolink/v1/credits", headers={long: "x"}))
            await refused_or_closed(edge, request_bytes(long, "/evolink/v1/credits"))

    run_on(loop, main())


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("count", [200, 20_000])
def test_header_flood(loop: str, count: int) -> None:
    """A flood of headers is refused or cut off."""

    async def main() -> None:
        async with serving() as edge:
            headers = {f"X-{number}": "y" for number in range(count)}
            await refused_or_closed(edge, request_bytes("GET", "/evolink/v1/credits", headers=headers))

    run_on(loop, main())


# -- slowness -------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
def test_half_sent_body(loop: str) -> None:
    """A body that stops coming is given up with 408 in the provider's shape, and others are served meanwhile."""

    async def main() -> None:
        async with serving(request_timeout_s=0.1) as edge:
            for name in PROVIDERS:
                async with edge.raw() as wire:
                    await wire.send(post(edge, orjson.dumps(example(edge.provider(name))), name)[:-1])
                    await check_served(edge)
                    answer = await wire.answer()
                    assert answer is not None
                    assert answer.status == 408
                    check_shape(name, 408, answer.body)
                    assert answer.header("Connection") == "close"
                assert edge.state(name).tasks == {}

    run_on(loop, main())


async def test_dripping_body() -> None:
    """A body that comes byte by byte has no more time than one that stops."""
    async with serving(request_timeout_s=0.1) as edge, edge.raw() as wire:
        headers = {**edge.key_headers("evolink"), "Content-Type": "application/json", "Content-Length": "1000000"}
        await wire.send(request_bytes("POST", SUBMIT, headers=headers))
        coming = asyncio.create_task(wire.answer())
        while not coming.done():
            await wire.send(b" ")
            await check_served(edge)
        answer = await coming
        assert answer is not None
        assert answer.status == 408


@pytest.mark.parametrize("start", [b"", b"\r\n", b"GET", b"GET / HTTP/1.1\r\nHost: x\r\nX-A"])
async def test_half_sent_head(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection on which no whole head arrives is closed when the time for idle ones is over."""
    monkeypatch.setattr(mockserver.edge.server, "_KEEPALIVE_S", 0.1)

    async with serving() as edge, edge.raw() as wire:
        await wire.send(start)
        await check_served(edge)
        assert await wire.closed() == b""


async def test_client_that_never_reads() -> None:
    """A client that requests much and reads nothing delays no other client, nor the end of the server."""
    async with serving() as edge, edge.raw() as wire:
        headers = {**edge.key_headers("googlegeminiomni"), "Content-Type": "multipart/form-data; boundary=B"}
        part = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n'
        data = part + b"\r\n" + b"x" * MIB + b"\r\n--B--\r\n"
        reply = await edge.call("POST", "/googlegeminiomni/api/v1/upload", headers=headers, data=data)
        path = reply.json["url"].removeprefix(edge.root)
        await wire.send(request_bytes("GET", path) * 30)
        for _ in range(5):
            await check_served(edge)


# -- framing --------------------------------------------------------------------------------------

SMUGGLED = b"GET /evolink/v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


def smuggling(lines: bytes, rest: bytes) -> bytes:
    """Write a submit with lines of its own between head and body."""
    return b"POST /evolink/v1/videos/generations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n" + lines + rest


SMUGGLING = {
    "length and chunks": smuggling(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n" + SMUGGLED),
    "chunks and length": smuggling(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", b"0\r\n\r\n" + SMUGGLED),
    "two lengths": smuggling(b"Content-Length: 0\r\nContent-Length: 46\r\n\r\n", SMUGGLED),
    "one length twice": smuggling(b"Content-Length: 46\r\nContent-Length: 46\r\n\r\n", SMUGGLED),
    "a list of lengths": smuggling(b"Content-Length: 0, 46\r\n\r\n", SMUGGLED),
    "a length below zero": smuggling(b"Content-Length: -1\r\n\r\n", SMUGGLED),
    "a length with a sign": smuggling(b"Content-Length: +46\r\n\r\n", SMUGGLED),
    "a length in hex": smuggling(b"Content-Length: 0x2e\r\n\r\n", SMUGGLED),
    "a length beyond all": smuggling(b"Content-Length: 99999999999999999999\r\n\r\n", SMUGGLED),
    "a chunk size that is none": smuggling(b"Transfer-Encoding: chunked\r\n\r\n", b"ZZ\r\nabc\r\n0\r\n\r\n"),
    "a chunk size below zero": smuggling(b"Transfer-Encoding: chunked\r\n\r\n", b"-3\r\nabc\r\n0\r\n\r\n"),
    "a chunk size with 0x": smuggling(b"Transfer-Encoding: chunked\r\n\r\n", b"0x3\r\nabc\r\n0\r\n\r\n"),
    "a chunk size beyond all": smuggling(b"Transfer-Encoding: chunked\r\n\r\n", b"fffffffffffffffff\r\nabc\r\n"),
    "a chunk longer than it says": smuggling(b"Transfer-Encoding: chunked\r\n\r\n", b"3\r\nabcdef\r\n0\r\n\r\n"),
    "chunks that end in LF": smuggling(b"Transfer-Encoding: chunked\r\n\r\n", b"3\nabc\n0\n\n" + SMUGGLED),
    "chunked twice": smuggling(b"Transfer-Encoding: chunked, chunked\r\n\r\n", b"0\r\n\r\n" + SMUGGLED),
    "chunked, but not last": smuggling(b"Transfer-Encoding: chunked, identity\r\n\r\n", b"0\r\n\r\n" + SMUGGLED),
    "a coding that is none": smuggling(b"Transfer-Encoding: xchunked\r\n\r\n", b"0\r\n\r\n" + SMUGGLED),
    "a blank before the colon": smuggling(b"Content-Length : 46\r\n\r\n", SMUGGLED),
    "a folded line": smuggling(b"X-A: b\r\n Content-Length: 46\r\n\r\n", SMUGGLED),
    "a folded coding": smuggling(b"Transfer-Encoding:\r\n chunked\r\n\r\n", b"0\r\n\r\n" + SMUGGLED),
    "lines that end in LF": smuggling(b"Content-Length: 46\n\n", SMUGGLED),
    "nothing but LF": b"GET /evolink/v1/credits HTTP/1.1\nHost: x\n\n" + SMUGGLED,
    "a bare CR": smuggling(b"X-A: b\rContent-Length: 46\r\n\r\n", SMUGGLED),
    "a NUL in a header": smuggling(b"X-A: b\x00\r\n\r\n", SMUGGLED),
    "a DEL in a header": smuggling(b"X-A: b\x7f\r\n\r\n", SMUGGLED),
    "a NUL in the path": b"GET /evolink/\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "bytes in the path": b"GET /evolink/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "a blank in the path": b"GET /evolink/v1 /credits HTTP/1.1\r\nHost: x\r\n\r\n",
    "no header name": smuggling(b": x\r\n\r\n", b""),
    "no colon": smuggling(b"Content-Length 46\r\n\r\n", SMUGGLED),
    "a bracket too few": b"GET http://[::1/evolink HTTP/1.1\r\nHost: x\r\n\r\n",
    "a port beyond all": b"GET http://x:99999999/evolink HTTP/1.1\r\nHost: x\r\n\r\n",
}


@for_each("loop", LOOPS)
@for_each("request_", SMUGGLING.values())
def test_smuggling(loop: str, request_: bytes) -> None:
    """A request that two readers could read in two ways is read in none: one refusal, and the connection is closed."""

    async def main() -> None:
        async with serving() as edge:
            await refused_or_closed(edge, request_)
            assert edge.mock.journal.count(path="/evolink/v1/smuggled") == 0
            assert edge.state("evolink").tasks == {}

    run_on(loop, main())


@pytest.mark.parametrize("loop", LOOPS)
def test_chunks_that_go_bad_later(loop: str) -> None:
    """Where the head was good and a later chunk is not, the body counts as one that never came whole."""

    async def main() -> None:
        async with serving(request_timeout_s=0.1) as edge, edge.raw() as wire:
            headers = {**edge.key_headers("evolink"), "Content-Type": "application/json", "Expect": "100-continue"}
            await wire.send(request_bytes("POST", SUBMIT, headers={**headers, "Transfer-Encoding": "chunked"}))
            interim = await wire.answer()
            assert interim is not None
            assert interim.status == 100
            await wire.send(b"%x\r\n%s\r\n" % (len(GOOD), GOOD))
            await check_served(edge)
            await wire.send(b"nonsense\r\n" + SMUGGLED)
            answer = await wire.answer()
            assert answer is not None
            assert answer.status in (400, 408)
            check_shape("evolink", answer.status, answer.body)
            assert answer.header("Connection") == "close"
            assert edge.state("evolink").tasks == {}
            assert edge.mock.journal.count(path="/evolink/v1/smuggled") == 0

    run_on(loop, main())


async def test_body_that_breaks_off() -> None:
    """Where the parser tells of the bad chunk at once, nothing of the body is kept and the connection is done with."""
    loop = asyncio.get_running_loop()
    stream = StreamReader(BaseProtocol(loop), 2**16, loop=loop)
    stream.feed_data(GOOD)
    stream.set_exception(web.RequestPayloadError("bad chunk"))
    body = await read_body(make_mocked_request("POST", "/", payload=stream), MIB, 1)
    assert body.cut_short
    assert body.content == b""


NO_HTTP = {
    "a TLS hello": bytes.fromhex("16030100c8010000c40303") + bytes(range(197)),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "HTTP/9.9": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    "a method that is none": b"FROB /evolink/v1/credits HTTP/1.1\r\nHost: x\r\n\r\n",
    "a method in lower case": b"get /evolink/v1/credits HTTP/1.1\r\nHost: x\r\n\r\n",
    "no method": b" /evolink/v1/credits HTTP/1.1\r\nHost: x\r\n\r\n",
    "no Host": b"GET /evolink/v1/credits HTTP/1.1\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "SOCKS": b"\x05\x01\x00",
    "zeros": bytes(2000),
    "a script's mark": b"<script>alert(1)</script>\r\n\r\n",
}


@for_each("loop", LOOPS)
@for_each("sent", NO_HTTP.values())
def test_no_http(loop: str, sent: bytes) -> None:
    """What is no HTTP/1.1 is refused in a word, or cut off."""

    async def main() -> None:
        async with serving() as edge:
            await refused_or_closed(edge, sent)

    run_on(loop, main())


@pytest.mark.parametrize("loop", LOOPS)
def test_noise(loop: str) -> None:
    """Requests with bytes changed, dropped and doubled at random never break anything."""

    async def main() -> None:
        noise = random.Random(20260605)
        async with serving(request_timeout_s=0.1) as edge:
            whole = post(edge, orjson.dumps(example(edge.provider("evolink"))), headers={"X-More": "a, b;c=d"})
            for _ in range(150):
                sent = bytearray(whole)
                for _ in range(noise.randint(1, 4)):
                    at = noise.randrange(len(sent))
                    kind = noise.randrange(3)
                    sent[at : at + (kind > 0)] = noise.randbytes(noise.randint(1, 2) if kind < 2 else 0)
                await tell(edge, bytes(sent), ends=True)

    run_on(loop, main())


@for_each("method", ["TRACE", "OPTIONS", "PROPFIND", "DELETE", "PUT", "PATCH", "HEAD"])
async def test_other_methods(method: str) -> None:
    """A method that a path does not know is answered 405 with what it does know, in the provider's shape."""
    async with serving() as edge, edge.raw() as wire:
        for name in PROVIDERS:
            target = edge.path_of(name, "submit")
            await wire.send(request_bytes(method, target, headers=edge.key_headers(name), host="x"))
            answer = await wire.answer(method)
            assert answer is not None
            assert answer.status == 405
            if method != "HEAD":
                check_shape(name, answer.status, answer.body)
            assert answer.header("Allow") == "POST"


async def test_options_of_everything() -> None:
    """OPTIONS * is no path of any provider's."""
    async with serving() as edge, edge.raw() as wire:
        await wire.send(request_bytes("OPTIONS", "*"))
        answer = await wire.answer()
        assert answer is not None
        assert answer.status == 404
        assert set(answer.json["providers"]) == set(PROVIDERS)


@for_each("loop", LOOPS)
@for_each(
    "upgrade",
    [
        {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "eA==", "Sec-WebSocket-Version": "13"},
        {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__"},
        {"Connection": "Upgrade", "Upgrade": "x" * 500},
    ],
)
def test_upgrades_are_declined(loop: str, upgrade: dict[str, str]) -> None:
    """A client that would rather speak something else is answered as if it had not said so, body and all."""

    async def main() -> None:
        async with serving() as edge, edge.raw() as wire:
            headers = edge.key_headers("evolink")
            for each in (upgrade, upgrade, {}):
                await wire.send(request_bytes("GET", "/evolink/v1/credits", headers={**headers, **each}))
                answer = await wire.answer()
                assert answer is not None
                assert answer.status == 200
            head, _, body = post(edge, GOOD, headers=upgrade).partition(b"\r\n\r\n")
            await wire.send(head + b"\r\n\r\n")
            await check_served(edge)
            await wire.send(body)
            answer = await wire.answer()
            assert answer is not None
            assert answer.status == 200

    run_on(loop, main())


# -- content codings ------------------------------------------------------------------------------


def coded(edge: Edge, content: bytes, coding: str) -> bytes:
    """Write a submit whose body is coded."""
    return post(edge, content, headers={"Content-Encoding": coding})


@pytest.mark.parametrize(("coding", "encode"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_coded_body(coding: str, encode: Any) -> None:
    """A body in gzip or deflate is read, whether it came with its head or after it."""
    async with serving() as edge, edge.raw() as wire:
        request = coded(edge, encode(orjson.dumps(example(edge.provider("evolink")))), coding)
        await wire.send(request)
        await check_served(edge)
        await wire.send(request[:-9])
        await check_served(edge)
        await wire.send(request[-9:])
        for _ in range(2):
            answer = await wire.answer()
            assert answer is not None
            assert answer.status == 200


BROKEN_CODING = {
    "not gzip": ("gzip", GOOD),
    "gzip cut off": ("gzip", gzip.compress(GOOD)[:-9]),
    "gzip with a wrong sum": ("gzip", gzip.compress(GOOD)[:-8] + bytes(8)),
    "gzip with more behind it": ("gzip", gzip.compress(GOOD) + b"more"),
    "gzip of nothing": ("gzip", gzip.compress(b"")),
    "not deflate": ("deflate", GOOD),
    "brotli": ("br", b"\x0b\x02\x80abc"),
    "zstandard": ("zstd", bytes.fromhex("28b52ffd") + b"abc"),
    "gzip twice, said once": ("gzip", gzip.compress(gzip.compress(GOOD))),
    "a coding that is none": ("rot13", GOOD),
    "two codings": ("gzip, br", gzip.compress(GOOD)),
}


@for_each(("coding", "content"), BROKEN_CODING.values())
async def test_broken_coding(coding: str, content: bytes) -> None:
    """A body that cannot be decoded is refused like any other that is no JSON, and the connection goes on."""
    async with serving() as edge, edge.raw() as wire:
        await wire.send(coded(edge, content, coding))
        answer = await wire.answer()
        assert answer is not None
        assert answer.status == 400
        check_shape("evolink", 400, answer.body)
        await wire.send(post(edge, GOOD))
        answer = await wire.answer()
        assert answer is not None
        assert answer.status == 200


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
def test_bomb(loop: str) -> None:
    """A small body that swells to 200 MB is refused with 413, without ever being held in memory."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    bomb = b"".join(packer.compress(bytes(MIB)) for _ in range(200)) + packer.flush()

    async def main() -> None:
        async with serving() as edge:
            for _ in range(3):
                answers, closed = await tell(edge, coded(edge, bomb, "gzip"))
                assert closed
                assert [answer.status for answer in answers] == [413]
                check_shape("evolink", 413, answers[0].body)

    tracemalloc.start()
    try:
        run_on(loop, main())
        assert tracemalloc.get_traced_memory()[1] < 20 * MIB
    finally:
        tracemalloc.stop()


# -- names and keys -------------------------------------------------------------------------------

STRANGE_IDS = [
    "..",
    "../../etc/passwd",
    "%2e%2e%2f",
    "\x00",
    "\n",
    "'; DROP TABLE tasks; --",
    "{task_id}",
    "${jndi:ldap://x}",
    "🪁",
    "0",
    "null",
    "task-unified-",
    "task-unified-1780617600-ZZZZZZZZ",
    "job_",
    "video_01",
    "00000000-0000-0000-0000-000000000000",
]


@for_each("task_id", STRANGE_IDS)
async def test_ids_of_another_shape(task_id: str) -> None:
    """An id that no task has is not found, or refused as no id at all, whatever it looks like."""
    async with serving() as edge:
        for name in PROVIDERS:
            reply = await edge.query(name, quote(task_id, safe=""))
            shaped = name != "evolink" or task_id.startswith("task-unified-")
            check_refusal(name, reply, 404 if shaped else 400)
            reply = await edge.admin("GET", f"/tasks/{quote(task_id, safe='')}")
            assert reply.status == 404
            assert reply.json["error"]["code"] == "not_found"


async def test_ids_that_are_no_text() -> None:
    """Invalid percent-encoding and bytes that are not UTF-8 make an id that does not exist."""
    async with serving() as edge, edge.raw() as wire:
        for name in PROVIDERS:
            for escape in ("%ff%fe", "%", "%zz", "%ed%a0%80", "%c0%af"):
                await wire.send(request_bytes("GET", edge.query_path(name, escape), headers=edge.key_headers(name)))
                answer = await wire.answer()
                assert answer is not None
                assert answer.status == (400 if name == "evolink" else 404)
                check_shape(name, answer.status, answer.body)


@for_each("key", ["", " ", "\xff\xfe", "k k", "gomni_", "gomni_" + "g" * 64, "é"])
@for_each("name", PROVIDERS)
async def test_malformed_keys(name: str, key: str) -> None:
    """What is no key is answered 401, and the journal can still be read."""
    async with serving() as edge, edge.raw() as wire:
        wants_hex = name == "googlegeminiomni"
        headers = edge.key_headers(name, key)
        await wire.send(request_bytes("GET", edge.query_path(name, "task-unified-x"), headers=headers))
        answer = await wire.answer()
        assert answer is not None
        if not wants_hex and key.startswith("gomni_"):
            assert answer.status == 404
        else:
            assert answer.status == 401
            check_shape(name, 401, answer.body)
        for path in ("/requests", "/requests/export", "/requests/export?format=har"):
            assert (await edge.admin("GET", path)).status == 200


@pytest.mark.parametrize("name", PROVIDERS)
async def test_two_keys(name: str) -> None:
    """Of a key header that comes twice, only one is heard: the request is answered once, and in shape."""
    async with serving() as edge, edge.raw() as wire:
        header, value = next(iter(edge.key_headers(name).items()))
        request = request_bytes("GET", edge.query_path(name, "task-unified-x"), headers={header: value})
        line = f"{header}: {value}\r\n".encode()
        await wire.send(request.replace(line, line + f"{header}: nonsense\r\n".encode()))
        answer = await wire.answer()
        assert answer is not None
        assert answer.status in (401, 404)
        check_shape(name, answer.status, answer.body)


async def test_header_bytes_that_are_no_text() -> None:
    """Headers may hold any bytes; the journal stays readable."""
    async with serving() as edge, edge.raw() as wire:
        headers = {**edge.key_headers("evolink"), "User-Agent": "\xff\x80\xfe", "X-\xe9": "x"}
        request = request_bytes("GET", "/evolink/v1/credits", headers={**headers, "X-\xe9": "x"})
        await wire.send(request.replace(b"X-\xe9: x\r\n", b""))
        answer = await wire.answer()
        assert answer is not None
        assert answer.status == 200
        record = (await edge.admin("GET", "/requests")).json["records"][0]
        assert ["User-Agent", "\\xff\\x80\\xfe"] in record["request"]["headers"]
