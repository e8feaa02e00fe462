"""What stands on the wire: framing, persistence, status lines, dates. Read by the letter of RFC 9110 and 9112."""

from __future__ import annotations

from dataclasses import replace
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import orjson
import pytest
from support.edge import LOOPS, Answer, Edge, Wire, example, nothing_logged, request_bytes, run_on, serving

each_loop = pytest.mark.parametrize("loop", LOOPS)


async def answer_of(wire: Wire, method: str = "GET") -> Answer:
    """Read a response that must come."""
    answer = await wire.answer(method)
    assert answer is not None, "the connection was closed instead"
    return answer


def credits_request(edge: Edge, version: str = "HTTP/1.1", **headers: str) -> bytes:
    """A request that is answered with 200."""
    fields = {**edge.key_headers("evolink"), **{name.replace("_", "-"): value for name, value in headers.items()}}
    return request_bytes("GET", "/evolink/v1/credits", headers=fields, version=version)


def submit_request(edge: Edge, prompt: str = "A kite", **headers: str) -> bytes:
    """A request that creates a task."""
    body = orjson.dumps({**example(edge.provider("evolink")), "prompt": prompt})
    fields = {**edge.key_headers("evolink"), "Content-Type": "application/json"}
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    return request_bytes("POST", "/evolink/v1/videos/generations", headers=fields, body=body)


async def finished_file(edge: Edge) -> str:
    """Make a result; return the path of its link."""
    task_id = await edge.submit("googlegeminiomni", of="gemini-omni-audio")
    await edge.mock.clock.advance(60)
    url: str = (await edge.query("googlegeminiomni", task_id)).json["outputUrl"]
    return url.removeprefix(edge.root)


def answer_with(edge: Edge, name: str, condition: str, error: str) -> None:
    """Let a provider answer a condition with another of its errors."""
    state = edge.state(name)
    provider = state.provider
    state.provider = replace(provider, refusals={**provider.refusals, condition: provider.errors[error]})


@each_loop
def test_keep_alive(loop: str) -> None:
    """One connection serves request after request, refused ones too."""

    async def main() -> None:
        async with serving() as edge, edge.raw() as wire:
            for _ in range(3):
                await wire.send(credits_request(edge))
                answer = await answer_of(wire)
                assert (answer.version, answer.status) == ("HTTP/1.1", 200)
                assert answer.header("Connection") is None
                await wire.send(request_bytes("GET", "/evolink/v1/credits"))
                assert (await answer_of(wire)).status == 401

    run_on(loop, main())


@each_loop
def test_connection_close(loop: str) -> None:
    """A client that asks for it has its connection closed behind the answer."""

    async def main() -> None:
        async with serving() as edge, edge.raw() as wire:
            await wire.send(credits_request(edge, Connection="close"))
            answer = await answer_of(wire)
            assert answer.status == 200
            assert answer.header("Connection") == "close"
            assert await wire.closed() == b""

    run_on(loop, main())


@each_loop
@pytest.mark.parametrize("asked", [{}, {"Connection": "keep-alive"}])
def test_http_1_0(loop: str, asked: dict[str, str]) -> None:
    """An HTTP/1.0 client gets its answer, and the connection is closed behind it whatever it asked for."""

    async def main() -> None:
        async with serving() as edge, edge.raw() as wire:
            await wire.send(credits_request(edge, "HTTP/1.0", **asked))
            answer = await answer_of(wire)
            assert answer.status == 200
            assert answer.header("Connection") == "close"
            assert await wire.closed() == b""

    run_on(loop, main())


async def test_http_1_0_without_host() -> None:
    """HTTP/1.0 knows no Host: the prefix is enough."""
    async with serving() as edge, edge.raw() as wire:
        headers = edge.key_headers("evolink")
        await wire.send(request_bytes("GET", "/evolink/v1/credits", headers=headers, version="HTTP/1.0", host=None))
        assert (await answer_of(wire)).status == 200


@each_loop
def test_pipelining(loop: str) -> None:
    """Requests that are sent without waiting are answered in their order, more of them than any buffer holds."""

    async def main() -> None:
        async with serving() as edge, edge.raw() as wire:
            await wire.send(b"".join(submit_request(edge, f"Kite {number}") for number in range(100)))
            ids = [(await answer_of(wire)).json["id"] for _ in range(100)]
            tasks = edge.state("evolink").tasks
            assert [tasks[task_id].body["prompt"] for task_id in ids] == [f"Kite {number}" for number in range(100)]

    run_on(loop, main())


@each_loop
def test_byte_by_byte(loop: str) -> None:
    """How a request is cut into packets changes nothing."""

    async def main() -> None:
        async with serving() as edge, edge.raw() as wire:
            request = submit_request(edge)
            await wire.send(*(request[index : index + 1] for index in range(len(request))))
            assert (await answer_of(wire)).status == 200

    run_on(loop, main())


@each_loop
def test_chunked_request(loop: str) -> None:
    """A body may come in chunks, with extensions and trailers."""

    async def main() -> None:
        async with serving() as edge, edge.raw() as wire:
            head, _, body = submit_request(edge).partition(b"\r\n\r\n")
            lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
            await wire.send(b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", b""]))
            for index in range(0, len(body), 7):
                piece = body[index : index + 7]
                await wire.send(b"%x;some=thing\r\n%s\r\n" % (len(piece), piece))
            await wire.send(b"0\r\nX-Checksum: none\r\n\r\n", credits_request(edge))
            assert (await answer_of(wire)).json["object"] == "video.generation.task"
            assert (await answer_of(wire)).json["success"] is True

    run_on(loop, main())


@each_loop
def test_expect_continue(loop: str) -> None:
    """A client that waits for 100 Continue gets it, and its answer after the body."""

    async def main() -> None:
        async with serving() as edge, edge.raw() as wire:
            head, _, body = submit_request(edge, Expect="100-continue").partition(b"\r\n\r\n")
            await wire.send(head + b"\r\n\r\n")
            interim = await answer_of(wire)
            assert (interim.status, interim.fields) == (100, ())
            await wire.send(body)
            assert (await answer_of(wire)).status == 200

    run_on(loop, main())


async def test_expect_continue_with_the_body_there() -> None:
    """Where the body came along with the head, there is nothing to wait for and no 100."""
    async with serving() as edge, edge.raw() as wire:
        await wire.send(submit_request(edge, Expect="100-continue"))
        assert (await answer_of(wire)).status == 200


async def test_expect_continue_refused() -> None:
    """A body that is announced to be too large is refused at once, and need not be sent."""
    async with serving() as edge, edge.raw() as wire:
        head = {**edge.key_headers("evolink"), "Content-Length": "5000000", "Expect": "100-continue"}
        await wire.send(request_bytes("POST", "/evolink/v1/videos/generations", headers=head))
        answer = await answer_of(wire)
        assert answer.status == 413
        assert answer.header("Connection") == "close"


async def test_expect_continue_in_http_1_0() -> None:
    """An HTTP/1.0 client is never sent a 100 (RFC 9110, 10.1.1)."""
    async with serving() as edge, edge.raw() as wire:
        request = submit_request(edge, Expect="100-continue").replace(b"HTTP/1.1", b"HTTP/1.0")
        head, _, body = request.partition(b"\r\n\r\n")
        await wire.send(head + b"\r\n\r\n", body[:5])
        await edge.call("GET", "/evolink/v1/credits")  # by now the head has been read
        await wire.send(body[5:])
        assert (await answer_of(wire)).status == 200


@each_loop
def test_head_of_a_file(loop: str) -> None:
    """HEAD of a file gives what GET gives, without the file, and the connection goes on."""

    async def main() -> None:
        async with serving() as edge, edge.raw() as wire:
            path = await finished_file(edge)
            await wire.send(request_bytes("GET", path))
            got = await answer_of(wire)
            await wire.send(request_bytes("HEAD", path), request_bytes("GET", path, headers={"Range": "bytes=0-0"}))
            head = await answer_of(wire, "HEAD")
            assert head.status == got.status == 200
            assert head.header("Content-Length") == got.header("Content-Length") == str(len(got.body))
            assert head.header("ETag") == got.header("ETag")
            assert head.header("Accept-Ranges") == "bytes"
            assert (await answer_of(wire)).body == got.body[:1]

    run_on(loop, main())


async def test_head_of_what_is_no_file() -> None:
    """HEAD of anything else is not allowed; the body of the refusal stays behind, its length does not."""
    async with serving() as edge, edge.raw() as wire:
        await wire.send(
            request_bytes("HEAD", "/evolink/v1/credits", headers=edge.key_headers("evolink")),
            credits_request(edge),
        )
        head = await answer_of(wire, "HEAD")
        assert head.status == 405
        assert head.header("Allow") == "GET"
        assert int(head.header("Content-Length") or 0) > 0
        assert (await answer_of(wire)).status == 200


@each_loop
@pytest.mark.parametrize(
    ("error", "status"),
    [("maintenance", 455), ("generation_failed", 501), ("feature_disabled", 505), ("insufficient_credits", 402)],
)
def test_any_status(loop: str, error: str, status: int) -> None:
    """Any status that a provider names goes out, registered or not, and the connection goes on."""

    async def main() -> None:
        async with serving() as edge, edge.raw() as wire:
            answer_with(edge, "crun", "unknown_task", error)
            path = "/crun/api/v1/client/job/TaskInfo?task_id=00000000-0000-4000-8000-000000000000"
            for _ in range(2):
                await wire.send(request_bytes("GET", path, headers=edge.key_headers("crun")))
                answer = await answer_of(wire)
                assert answer.status == status
                assert answer.reason == (HTTPStatus(status).phrase if status != 455 else "Unassigned")
                assert answer.json["code"] == status
            reply = await edge.call("GET", path, headers=edge.key_headers("crun"))
            assert reply.status == status

    run_on(loop, main())


async def test_length_counts_bytes() -> None:
    """Content-Length counts bytes, not characters."""
    async with serving() as edge, edge.raw() as wire:
        prompt = "风筝在海滩上空盘旋 🪁"
        task_id = await edge.submit("crun", input={"prompt": prompt})
        path = edge.query_path("crun", task_id)
        await wire.send(request_bytes("GET", path, headers=edge.key_headers("crun")), credits_request(edge))
        assert (await answer_of(wire)).json["data"]["param"]["input"]["prompt"] == prompt
        assert (await answer_of(wire)).status == 200


async def test_date_is_mock_time() -> None:
    """Date tells mock time, on answers, refusals, files and pages of the server's own."""
    async with serving() as edge, edge.raw() as wire:
        path = await finished_file(edge)
        for _ in range(2):
            now_s = edge.mock.clock.now_ms // 1000
            for request in (
                credits_request(edge),
                request_bytes("GET", "/evolink/v1/credits"),
                request_bytes("GET", path),
                request_bytes("GET", path, headers={"Range": "bytes=5-"}),
                request_bytes("GET", "/omni/none.mp4", host="r2.googlegeminiomni.com"),
                request_bytes("GET", "/nobody"),
            ):
                await wire.send(request)
                answer = await answer_of(wire)
                written = answer.header("Date")
                assert written is not None
                assert written.endswith(" GMT")
                assert parsedate_to_datetime(written).timestamp() == now_s, request
            await edge.mock.clock.advance(3661.5)


async def test_request_ids_differ() -> None:
    """Every answer of a provider's has a request id of its own."""
    async with serving() as edge, edge.raw() as wire:
        seen = set()
        for request in (credits_request(edge), request_bytes("GET", "/evolink/x"), submit_request(edge)) * 5:
            await wire.send(request)
            seen.add((await answer_of(wire)).header("X-Request-Id"))
        assert len(seen) == 15
        assert None not in seen


async def test_same_seed_same_bytes() -> None:
    """Two servers with one seed answer the same requests with the same bytes; another seed gives others."""

    async def answers(seed: int) -> bytes:
        async with serving(seed=seed) as edge, edge.raw() as wire:
            await wire.send(
                submit_request(edge),
                credits_request(edge),
                request_bytes("GET", "/toapis/v1/nothing"),
                submit_request(edge, Connection="close"),
            )
            return await wire.closed()

    first, again, other = await answers(7), await answers(7), await answers(8)
    assert first.count(b"HTTP/1.1 ") == 4
    assert first == again != other


async def test_retry_after() -> None:
    """Retry-After is in whole seconds, rounded up, and true: one second earlier is refused, then it passes."""
    async with serving() as edge:
        name = "googlegeminiomni"
        edge.mock.account(name).plan = "premium"
        for _ in range(60):
            reply = await edge.try_submit(name, of="gemini-omni-audio", script="")
            assert reply.status == 400
        await edge.mock.clock.advance(10.2)
        reply = await edge.try_submit(name)
        assert (reply.status, reply.headers["Retry-After"]) == (429, "50")
        await edge.mock.clock.advance(49)
        assert (await edge.try_submit(name)).status == 429
        await edge.mock.clock.advance(1)
        assert (await edge.try_submit(name)).status == 200


@each_loop
def test_clients_that_hang_up(loop: str) -> None:
    """Clients that go away, before, within or after a request, leave no trace, and others are served."""

    async def main() -> None:
        async with serving() as edge:
            path = await finished_file(edge)
            whole = submit_request(edge)
            for request in (b"", whole[:20], whole[:-5], whole, request_bytes("GET", path) * 3):
                async with edge.raw() as wire:
                    await wire.send(request)
                reply = await edge.call("GET", "/evolink/v1/credits", headers=edge.key_headers("evolink"))
                assert reply.status == 200

    with nothing_logged():
        run_on(loop, main())
