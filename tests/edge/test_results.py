"""Files: results of finished tasks behind their links, and uploads that are kept and served back."""

from __future__ import annotations

import asyncio
import io
import re
import threading
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import av
import pytest
from aiohttp import FormData
from support.edge import PROVIDERS, Edge, Response, example, nothing_logged, request_bytes, serving
from support.tables import for_each

from mockserver.media.cache import MediaCache
from mockserver.media.encode import MediaCacheClosedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mockserver.media.shape import Shape

DAY_S = 86_400
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
UPLOAD = "/googlegeminiomni/api/v1/upload"
#: How long a result's link lives, and what the store answers then.
LIFETIMES = {
    "crun": (DAY_S, 404, "NoSuchKey"),
    "evolink": (DAY_S, 404, "NoSuchKey"),
    "googlegeminiomni": (7 * DAY_S, 403, "ExpiredRequest"),
    "toapis": (DAY_S, 404, "NoSuchKey"),
}


def link_in(reply: Response) -> str:
    """Return the one link to a file in an answer."""
    found = re.findall(r'"(http://127\.0\.0\.1:[^"]+\.(?:mp4|m4a)[^"]*)"', reply.body.decode())
    assert len(found) == 1, reply.body
    link: str = found[0]
    return link


async def finished(edge: Edge, name: str, of: str | None = None, **fields: Any) -> str:
    """Drive a task to its end; return the link to its file."""
    task_id = await edge.submit(name, of=of, **fields)
    await edge.mock.clock.advance(300)
    return link_in(await edge.query(name, task_id))


async def short_file(edge: Edge) -> str:
    """Return the link to a file that is quickly made."""
    return await finished(edge, "googlegeminiomni", "gemini-omni-audio")


#: Requests, and the length in seconds, width and height of what comes out of each.
MADE: list[tuple[str, str | None, dict[str, Any], tuple[float, int, int]]] = [
    ("crun", None, {"input": {"prompt": "A kite"}}, (4, 1280, 720)),
    ("crun", None, {"input": {"prompt": "A kite", "duration": 6, "aspect_ratio": "9:16"}}, (6, 720, 1280)),
    ("evolink", None, {"duration": 3, "aspect_ratio": "9:16"}, (3, 720, 1280)),
    ("evolink", None, {"duration": "auto", "aspect_ratio": "auto"}, (6, 720, 1280)),  # drawn by the seed
    ("toapis", None, {"duration": 10, "aspect_ratio": "9:16"}, (10, 720, 1280)),
    ("googlegeminiomni", "gemini-omni-video", {"duration": 5, "resolution": "1080p"}, (5, 1920, 1080)),
    ("googlegeminiomni", "gemini-omni-audio", {"videoUrl": "https://client.example/a.mp4"}, (6, 1280, 720)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "of", "fields", "made"), MADE)
async def test_download(name: str, of: str | None, fields: dict[str, Any], made: tuple[float, int, int]) -> None:
    """What is downloaded is an MP4 of the length and size asked for, with picture and sound."""

    async def run() -> bytes:
        async with serving() as edge:
            reply = await edge.call("GET", await finished(edge, name, of, **fields))
            assert reply.status == 200
            assert reply.headers["Content-Type"] == "video/mp4"
            assert int(reply.headers["Content-Length"]) == len(reply.body)
            return reply.body

    with av.open(io.BytesIO(await run()), "r") as film:
        picture, sound = film.streams.video[0], film.streams.audio[0]
        assert (picture.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        assert (picture.width, picture.height) == made[1:]
        assert film.duration is not None
        assert film.duration / av.time_base == pytest.approx(made[0], abs=0.1)


async def test_download_of_speech() -> None:
    """Speech without a clip is a sound file."""

    async def run() -> Response:
        async with serving() as edge:
            return await edge.call("GET", await short_file(edge))

    reply = await run()
    assert reply.headers["Content-Type"] == "audio/mp4"
    with av.open(io.BytesIO(reply.body), "r") as speech:
        assert not speech.streams.video
        assert speech.streams.audio[0].codec_context.name == "aac"


#: Values of Range: the status, and which part of the file comes.
RANGES: list[tuple[str, int, slice]] = [
    ("bytes=0-0", 206, slice(0, 1)),
    ("bytes=0-99", 206, slice(0, 100)),
    ("bytes=100-", 206, slice(100, None)),
    ("bytes=-100", 206, slice(-100, None)),
    ("bytes=-99999999", 206, slice(0, None)),
    ("bytes=100-99999999", 206, slice(100, None)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("asked", "status", "part"), RANGES)
async def test_range(asked: str, status: int, part: slice) -> None:
    """One range is answered 206 with that part and where it lies."""
    async with serving() as edge:
        link = await short_file(edge)
        whole = (await edge.call("GET", link)).body
        reply = await edge.call("GET", link, headers={"Range": asked})
        assert reply.status == status
        assert reply.body == whole[part]
        start = part.indices(len(whole))[0]
        assert reply.headers["Content-Range"] == f"bytes {start}-{start + len(reply.body) - 1}/{len(whole)}"
        assert reply.headers["Content-Type"] == "audio/mp4"


async def test_range_that_cannot_be() -> None:
    """A range outside the file, or none at all, is answered 416 with the file's length."""
    with nothing_logged():
        async with serving() as edge:
            link = await short_file(edge)
            length = (await edge.call("HEAD", link)).headers["Content-Length"]
            for asked in ("bytes=99999999-", "bytes=5-2", "bytes=x-y", "bytes=--5"):
                reply = await edge.call("GET", link, headers={"Range": asked})
                assert (reply.status, reply.headers["Content-Range"]) == (416, f"bytes */{length}"), asked
                assert (await edge.call("GET", link)).status == 200


@for_each(
    ("asked", "condition", "status"),
    [
        ("bytes=-0", None, 416),
        ("bytes=-000", None, 416),
        ("items=0-1", None, 200),
        ("seconds=1-2", None, 200),
        ("bytes=0-1,4-5", None, 200),
        ("bytes=0-1, -1", None, 200),
        ("Bytes=0-1", None, 206),
        ("bytes= 0-1", None, 206),
        ("bytes=0-1", "nothing", 200),
        ("bytes=0-1", "Mon, 99 Foo", 200),
        ("bytes=0-1", "Fri, 01 Jan 2999 00:00:00 GMT", 206),
    ],
)
async def test_ranges_that_are_ignored(asked: str, condition: str | None, status: int) -> None:
    """Another unit, several ranges and a malformed If-Range give the whole file; the last 0 bytes are no range."""
    async with serving() as edge:
        link = await short_file(edge)
        whole = (await edge.call("GET", link)).body
        headers = {"Range": asked} if condition is None else {"Range": asked, "If-Range": condition}
        reply = await edge.call("GET", link, headers=headers)
        assert (reply.status, reply.body) == (status, {200: whole, 206: whole[:2], 416: b""}[status])


async def test_a_part_of_another_version_is_no_part_of_this_one() -> None:
    """If-Range with this file's ETag gives the part; with another's, the whole file, to start over with."""
    async with serving() as edge:
        link = await short_file(edge)
        whole = await edge.call("GET", link)
        for tag, status in ((whole.headers["ETag"], 206), ('"another"', 200), ('W/"weak"', 200)):
            reply = await edge.call("GET", link, headers={"Range": "bytes=100-", "If-Range": tag})
            assert (reply.status, reply.body) == (status, whole.body[100:] if status == 206 else whole.body)


async def test_head() -> None:
    """HEAD says what GET would give."""
    async with serving() as edge:
        link = await short_file(edge)
        head, got = await edge.call("HEAD", link), await edge.call("GET", link)
        assert head.status == 200
        assert head.body == b""
        assert int(head.headers["Content-Length"]) == len(got.body) > 0
        for name in ("Content-Type", "ETag", "Last-Modified", "Accept-Ranges"):
            assert head.headers[name] == got.headers[name]


async def test_etag() -> None:
    """A client that has the file is told so with 304, and one that has another gets the file."""
    async with serving() as edge:
        link = await short_file(edge)
        first = await edge.call("GET", link)
        etag = first.headers["ETag"]
        for method in ("GET", "HEAD"):
            for tags in (etag, f'"other", {etag}', "*", f"W/{etag}"):
                reply = await edge.call(method, link, headers={"If-None-Match": tags})
                assert (reply.status, reply.body) == (304, b"")
                assert reply.headers["ETag"] == etag
        since = {"If-Modified-Since": first.headers["Last-Modified"]}
        assert (await edge.call("GET", link, headers=since)).status == 304
        reply = await edge.call("GET", link, headers={"If-None-Match": '"other"'})
        assert (reply.status, reply.body) == (200, first.body)
        assert (await edge.call("GET", link, headers={"If-Match": '"other"'})).status == 412


async def test_same_file_for_the_same_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tasks that ask for the same get the same bytes, on any server."""
    monkeypatch.setattr("mockserver.edge.server.MediaCache", MediaCache)

    async def run() -> Response:
        async with serving() as edge:
            return await edge.call("GET", await short_file(edge))

    first, again = await run(), await run()
    assert first.body == again.body
    assert first.headers == again.headers


@pytest.mark.slow
@pytest.mark.parametrize("name", PROVIDERS)
async def test_no_key_needed(name: str) -> None:
    """A link needs no key: it is what gives the right to download."""
    async with serving() as edge:
        link = await finished(edge, name)
        assert (await edge.call("HEAD", link)).status == 200
        assert (await edge.call("HEAD", link, headers={"Authorization": "Bearer nonsense"})).status == 200


@pytest.mark.slow
@pytest.mark.parametrize("name", PROVIDERS)
async def test_expiry(name: str) -> None:
    """A link is valid to the millisecond as long as documented; then the file host's error answers."""
    lifetime_s, status, code = LIFETIMES[name]

    async with serving() as edge:
        task_id = await edge.submit(name)
        await edge.mock.task(task_id).complete()
        link = link_in(await edge.query(name, task_id))
        await edge.mock.clock.advance(lifetime_s - 0.001)
        assert (await edge.call("HEAD", link)).status == 200
        await edge.mock.clock.advance(0.001)
        reply = await edge.call("GET", link)
        assert reply.status == status
        assert reply.headers["Content-Type"] == "application/xml"
        assert f"<Code>{code}</Code>" in reply.body.decode()
        assert (await edge.query(name, task_id)).status == 200


@pytest.mark.parametrize("name", PROVIDERS)
async def test_not_there_before_the_end(name: str) -> None:
    """A link that is guessed before its task has ended, or after it failed, is answered 404."""
    async with serving() as edge:
        link = await finished(edge, name)
        done = next(iter(edge.state(name).tasks))
        other = await edge.submit(name)
        early = link.replace(done, other)
        assert (await edge.call("GET", early)).status == 404
        await edge.mock.task(other).fail()
        reply = await edge.call("GET", early)
        assert reply.status == 404
        assert "<Code>NoSuchKey</Code>" in reply.body.decode()


@for_each("name", ["crun", "evolink", "toapis"])
@for_each("index", ["1", "99999", "-1", "x", "", "0x0", "%2e%2e"])
async def test_no_such_file(name: str, index: str) -> None:
    """A task has as many files as its answer names, and no others."""
    async with serving() as edge:
        link = await finished(edge, name)
        reply = await edge.call("GET", link.replace("/0.mp4", f"/{index}.mp4"))
        assert reply.status == 404


def altered(link: str) -> Mapping[str, str]:
    """Change a signed link in every part of it."""
    parts = urlsplit(link)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    base = link.partition("?")[0]
    later, signature = int(query["Expires"]) + 1, query["Signature"]
    other = ("0" if signature[0] != "0" else "1") + signature[1:]
    return {
        "no query": base,
        "no signature": f"{base}?Expires={query['Expires']}",
        "no expiry": f"{base}?Signature={signature}",
        "a later expiry": f"{base}?Expires={later}&Signature={signature}",
        "another signature": f"{base}?Expires={query['Expires']}&Signature={other}",
        "half a signature": f"{base}?Expires={query['Expires']}&Signature={signature[:32]}",
        "an empty signature": f"{base}?Expires={query['Expires']}&Signature=",
        "upper case": f"{base}?Expires={query['Expires']}&Signature={signature.upper()}",
        "no text": f"{base}?Expires={query['Expires']}&Signature=%ff%fe",
    }


async def test_signed_link() -> None:
    """A signed link that was altered is refused as such; what is added to it, or its order, is no alteration."""
    async with serving() as edge:
        link = await short_file(edge)
        for what, changed in altered(link).items():
            reply = await edge.call("GET", changed)
            assert reply.status == 403, what
            assert "<Code>AccessDenied</Code>" in reply.body.decode(), what
        base, _, query = link.partition("?")
        expires, signature = query.split("&")
        for same in (f"{link}&download=1", f"{base}?{signature}&{expires}"):
            assert (await edge.call("HEAD", same)).status == 200


async def test_signature_is_of_one_link() -> None:
    """The signature of one link opens no other."""
    async with serving() as edge:
        first, second = await short_file(edge), await short_file(edge)
        mixed = f"{first.partition('?')[0]}?{second.partition('?')[2]}"
        assert (await edge.call("GET", mixed)).status == 403
        account_id = edge.mock.account("googlegeminiomni").id
        assert f"/{account_id}/" in first
        assert (await edge.call("GET", first.replace(account_id, "usr_0000000000"))).status == 404


async def test_links_differ_by_seed() -> None:
    """Links are signed with the seed: those of another run are refused."""

    async def signature(seed: int) -> str:
        async with serving(seed=seed) as edge:
            return (await short_file(edge)).partition("Signature=")[2]

    assert await signature(1) == await signature(1) != await signature(2)


@pytest.mark.slow
async def test_downloads_do_not_hold_up_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a large file is being made, queries are answered."""
    monkeypatch.setattr("mockserver.edge.server.MediaCache", MediaCache)
    async with serving() as edge:
        link = await finished(edge, "googlegeminiomni", "gemini-omni-video", resolution="1080p", duration=10)
        download = asyncio.create_task(edge.call("GET", link))
        answered = 0
        while not download.done():
            reply = await edge.call("GET", "/evolink/v1/credits", headers=edge.key_headers("evolink"))
            assert reply.status == 200
            answered += 1
        assert (await download).status == 200
        assert answered > 10


async def test_closing_while_a_file_is_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is closed while a file is being encoded closes at once; the download ends, in silence."""
    with nothing_logged():
        begun, ended = threading.Event(), threading.Event()

        def slow(_: Shape, __: Path, stop: threading.Event) -> None:
            begun.set()
            assert stop.wait(10)
            ended.set()
            raise MediaCacheClosedError

        monkeypatch.setattr("mockserver.edge.server.MediaCache", lambda: MediaCache(encode=slow))
        async with AsyncExitStack() as stack:
            async with serving() as edge:
                link = await short_file(edge)
                wire = await stack.enter_async_context(edge.raw())
                await wire.send(request_bytes("GET", link.removeprefix(edge.root)))
                assert await asyncio.to_thread(begun.wait, 10)
            assert ended.is_set()
            assert await wire.closed() == b""


# -- uploads --------------------------------------------------------------------------------------


def form(
    content: bytes, *, field: str = "file", name: str | None = "guide.png", kind: str | None = "image/png"
) -> FormData:
    """Make a form with one file."""
    data = FormData()
    data.add_field(field, io.BytesIO(content), filename=name, content_type=kind)
    return data


async def upload(edge: Edge, data: Any, **headers: str) -> Response:
    """Upload a form."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return await edge.call("POST", UPLOAD, headers={**edge.key_headers("googlegeminiomni"), **fields}, data=data)


def refused(reply: Response, status: int, words: str) -> None:
    """Hold a refused upload to its status, shape and reason."""
    assert reply.status == status, reply.body
    assert list(reply.json) == ["error"]
    assert words in reply.json["error"]


@pytest.mark.parametrize("size", [1, 100_000, 1_000_000, 20_971_520])
async def test_upload(size: int) -> None:
    """A file of any size up to the limit is kept, described, and served back byte by byte, without a key."""
    content = (PNG * (size // len(PNG) + 1))[:size]

    async with serving() as edge:
        reply = await upload(edge, form(content))
        assert reply.status == 200, reply.body
        told = reply.json
        assert told["fileName"] == "guide.png"
        assert told["contentType"] == "image/png"
        assert told["sizeBytes"] == size
        assert told["url"] == f"{edge.root}/googlegeminiomni/uploads/{told['fileId']}/guide.png"
        back = await edge.call("GET", told["url"])
        assert back.status == 200
        assert back.headers["Content-Type"] == "image/png"
        assert back.body == content
        head = await edge.call("HEAD", told["url"])
        assert (head.status, head.headers["Content-Length"]) == (200, str(size))


async def test_upload_is_of_use() -> None:
    """The address that an upload answers is taken as a reference in a submit."""
    async with serving() as edge:
        url = (await upload(edge, form(PNG))).json["url"]
        reply = await edge.try_submit("googlegeminiomni", of="gemini-omni-character", referenceUrl=url)
        assert reply.status == 200


async def test_upload_too_large() -> None:
    """A file beyond the limit is refused, by the gate for sizes or by its own, in the provider's shape."""
    limit = 20_971_520

    async with serving() as edge:
        refused(await upload(edge, form(bytes(limit + 1))), 400, f"larger than {limit} bytes")
        refused(await upload(edge, form(bytes(limit + 2_000_000))), 413, "too large")
        assert edge.state("googlegeminiomni").files == {}


async def test_upload_wrong() -> None:
    """A wrong field, no file, an empty one, a wrong or missing type: each is refused with its reason."""
    async with serving() as edge:
        refused(await upload(edge, form(PNG, field="image")), 400, "file: is required")
        refused(await upload(edge, FormData({"file": ""})), 400, "file")
        refused(await upload(edge, form(b"")), 400, "file: the file is empty")
        refused(await upload(edge, form(PNG, kind="text/html")), 400, "text/html is not taken")
        refused(await upload(edge, form(PNG, kind="image/svg+xml")), 400, "image/svg+xml is not taken")
        refused(await upload(edge, form(PNG, kind=None)), 400, "application/octet-stream is not taken")
        assert edge.state("googlegeminiomni").files == {}


@for_each("kind", ["image/jpeg", "image/png", "image/webp", "video/mp4", "IMAGE/PNG", "image/png; q=1"])
async def test_upload_types(kind: str) -> None:
    """The documented types are taken, however they are written."""
    async with serving() as edge:
        reply = await upload(edge, form(PNG, kind=kind))
        assert reply.status == 200, reply.body
        assert reply.json["contentType"] == kind.lower().partition(";")[0]


@for_each(
    ("kind", "body"),
    [
        ("application/json", b"{}"),
        ("image/png", PNG),
        ("", b""),
        ("multipart/mixed; boundary=B", b"--B--\r\n"),
        ("application/x-www-form-urlencoded", b"file=abc"),
    ],
)
async def test_upload_that_is_no_form(kind: str, body: bytes) -> None:
    """A body that does not say that it is a form is refused as of the wrong type."""
    async with serving() as edge:
        refused(await upload(edge, body, Content_Type=kind), 400, "multipart/form-data")


PART = b'Content-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n'
BROKEN_FORMS = {
    "no boundary": ("multipart/form-data", b"--B\r\n" + PART + b"\r\nx\r\n--B--\r\n"),
    "an endless boundary": (f"multipart/form-data; boundary={'B' * 500}", b"--B\r\n"),
    "another boundary": ("multipart/form-data; boundary=C", b"--B\r\n" + PART + b"\r\nx\r\n--B--\r\n"),
    "nothing": ("multipart/form-data; boundary=B", b""),
    "only the end": ("multipart/form-data; boundary=B", b"--B--\r\n"),
    "no headers": ("multipart/form-data; boundary=B", b"--B\r\n\r\nx\r\n--B--\r\n"),
    "cut in a header": ("multipart/form-data; boundary=B", b"--B\r\nContent-Disp"),
    "a header flood": ("multipart/form-data; boundary=B", b"--B\r\n" + b"X: y\r\n" * 50_000 + b"\r\nx\r\n--B--\r\n"),
    "an endless header": (
        "multipart/form-data; boundary=B",
        b"--B\r\nX: " + b"y" * 200_000 + b"\r\n\r\nx\r\n--B--\r\n",
    ),
    "broken base64": (
        "multipart/form-data; boundary=B",
        b"--B\r\n" + PART + b"Content-Transfer-Encoding: base64\r\n\r\n!!!!!\r\n--B--\r\n",
    ),
    "a coding that is none": (
        "multipart/form-data; boundary=B",
        b"--B\r\n" + PART + b"Content-Transfer-Encoding: rot13\r\n\r\nx\r\n--B--\r\n",
    ),
    "no text in a header": (
        "multipart/form-data; boundary=B",
        b'--B\r\nContent-Disposition: form-data; name="\xff\xfe"\r\n\r\nx\r\n--B--\r\n',
    ),
    "forms in forms": (
        "multipart/form-data; boundary=B",
        b"--B\r\nContent-Type: multipart/mixed; boundary=C\r\n\r\n--C\r\n" + PART + b"\r\nx\r\n--C--\r\n--B--\r\n",
    ),
}


@for_each(("kind", "body"), BROKEN_FORMS.values())
async def test_upload_broken(kind: str, body: bytes) -> None:
    """A form that is none is refused in shape, and the server goes on."""
    with nothing_logged():
        async with serving() as edge, edge.raw() as wire:
            headers = {**edge.key_headers("googlegeminiomni"), "Content-Type": kind, "Content-Length": str(len(body))}
            await wire.send(request_bytes("POST", UPLOAD, headers=headers) + body)
            answer = await wire.answer()
            assert answer is not None
            assert answer.status == 400, answer.body
            assert list(answer.json) == ["error"]
            assert edge.state("googlegeminiomni").files == {}
            assert (await upload(edge, form(PNG))).status == 200


async def test_upload_of_two_files() -> None:
    """Of two files in one form the first counts; other fields beside it do no harm."""
    async with serving() as edge:
        data = FormData({"note": "a photo"})
        data.add_field("file", io.BytesIO(b"first"), filename="1.png", content_type="image/png")
        data.add_field("file", io.BytesIO(b"second"), filename="2.png", content_type="image/png")
        reply = await upload(edge, data)
        assert reply.status == 200
        assert reply.json["fileName"] == "1.png"
        assert (await edge.call("GET", reply.json["url"])).body == b"first"
        assert len(edge.state("googlegeminiomni").files) == 1


EVIL_NAMES = [
    "../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "/etc/passwd",
    "..",
    ".",
    "",
    " ",
    "a b.png",
    "a%2fb.png",
    "a?b#c.png",
    "foto_ü_风筝.png",
    "x" * 5000 + ".png",
    ".htaccess",
    "<script>.png",
    "a;b='c'.png",
    "CON",
]


@for_each("name", EVIL_NAMES)
async def test_upload_with_an_evil_name(name: str) -> None:
    """Whatever a file is called, its address is one plain path that leads back to it."""
    async with serving() as edge:
        reply = await upload(edge, form(PNG, name=name))
        assert reply.status == 200, reply.body
        told = reply.json
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}", told["fileName"])
        assert told["url"].endswith(f"/uploads/{told['fileId']}/{told['fileName']}")
        assert (await edge.call("GET", told["url"])).body == PNG


async def test_upload_header_injection() -> None:
    """Neither a name nor a type of a file can put headers into the answer that serves it back."""
    async with serving() as edge, edge.raw() as wire:
        evil = PART.replace(b"a.png", b"a%0d%0aX-Evil: 1.png").replace(b"image/png", b"image/png\rX-Evil: 1")
        body = b"--B\r\n" + evil + b"\r\nx\r\n--B--\r\n"
        headers = {**edge.key_headers("googlegeminiomni"), "Content-Type": "multipart/form-data; boundary=B"}
        await wire.send(request_bytes("POST", UPLOAD, headers=headers, body=body))
        answer = await wire.answer()
        assert answer is not None
        assert answer.status == 400
        assert answer.header("X-Evil") is None


async def test_upload_not_found() -> None:
    """An upload is found by its id and its name together, and nowhere else."""
    async with serving() as edge:
        url = (await upload(edge, form(PNG))).json["url"]
        for wrong in (url.replace("guide", "other"), url.replace("/file_", "/file_x"), f"{url}/", url + "x"):
            refused(await edge.call("GET", wrong), 404, "")


async def test_upload_needs_a_key() -> None:
    """An upload without a key, or on a plan without the API, is refused before it is looked at."""
    async with serving() as edge:
        refused(await edge.call("POST", UPLOAD, data=form(PNG)), 401, "key")
        edge.mock.account("googlegeminiomni").plan = "starter"
        refused(await upload(edge, form(PNG)), 403, "plan")


async def test_uploads_are_bounded() -> None:
    """Only so many uploads are kept; the oldest goes first."""
    async with serving() as edge:
        uploads = edge.provider("googlegeminiomni").uploads
        assert uploads is not None
        urls = [(await upload(edge, form(b"%d" % number))).json["url"] for number in range(uploads.keeps + 1)]
        assert len(set(urls)) == uploads.keeps + 1
        assert (await edge.call("GET", urls[0])).status == 404
        for number in (1, uploads.keeps):
            assert (await edge.call("GET", urls[number])).body == b"%d" % number


@pytest.mark.slow
async def test_examples_are_files_too() -> None:
    """Each provider's own example leads to a file."""
    async with serving() as edge:
        for name in PROVIDERS:
            for model in edge.provider(name).models:
                assert example(edge.provider(name), model)["model"] == model
                link = await finished(edge, name, model)
                assert (await edge.call("HEAD", link)).status == 200
