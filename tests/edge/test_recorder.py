"""`record`: requests go on to the real provider, which is another mock here, and are written down."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from click.testing import CliRunner
from support.recorder import BODIES, KEYS, PATHS, answering, recording
from yarl import URL

from contracts import of_records
from contracts.drift import differences, documented
from mockserver import MockServer
from mockserver.cli import main
from mockserver.edge.recorder import Recorder
from mockserver.recording.records import by_provider

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", list(BODIES))
async def test_a_recorded_day_is_no_drift_and_can_be_replayed(name: str, tmp_path: Path) -> None:
    """What is recorded of a server that keeps to the spec has no difference; a replay serves the same states."""
    async with recording(name, tmp_path) as made:
        task = await made.day()
        records = await made.records()
        provider = made.provider
    of_task = [each for each in records if each["kind"] == "exchange"]
    assert len(of_task) == 10
    assert all(each["upstream"].startswith(made.real.root) for each in of_task)
    (spec,) = documented((), (), name)
    (journal,) = of_records(records, [provider])
    assert {trace.task for trace in journal.traces} == {task}
    assert differences(journal, spec).all() == []
    statuses = [orjson.loads(each["response"]["body"])["status"] for each in of_task[1:9]]
    async with MockServer(replay=str(made.file)) as mock, aiohttp.ClientSession() as http:
        headers = {**provider.key.header_with(KEYS[name]), "Content-Type": "application/json"}
        base = mock.url(name)
        async with http.post(base + PATHS[name][0], data=of_task[0]["request"]["body"], headers=headers) as answer:
            found = await answer.json()
        again = []
        for _ in range(8):
            await mock.clock.advance(30)
            url = f"{base}{PATHS[name][1]}{found.get('id') or found.get('jobId')}"
            async with http.get(url, headers=headers) as answer:
                again.append((await answer.json())["status"])
        assert again == statuses
        assert [each for each in mock.journal if each.get("replayed")]


async def test_callbacks_are_sent_on_and_written_down(tmp_path: Path) -> None:
    """The provider is given an address of the recorder; the client's receiver gets the same bytes and signature."""
    async with recording("googlegeminiomni", tmp_path) as made:
        task = await made.submit()
        await made.real.advance(600)
        (got,) = made.receiver.got
        sent = made.real.mock.journal.find(kind="delivery")
        assert [each["outcome"] for each in sent] == ["acknowledged"]
        assert sent[0]["request"]["url"].startswith(made.server.root_url)
        assert got.body.decode() == sent[0]["request"]["body"]
        assert got.headers["X-Gemini-Signature"] == dict(sent[0]["request"]["headers"])["X-Gemini-Signature"]
        assert made.recorder.callbacks == 1
        records = await made.records()
    (told,) = [each for each in records if each["kind"] == "delivery"]
    assert (told["task"], told["outcome"], told["event"]) == (task, "acknowledged", sent[0]["event"])
    assert told["request"]["url"] == made.receiver.url()


async def test_answers_are_the_real_ones_and_files_are_not_kept(tmp_path: Path) -> None:
    """Byte for byte, refusals too; of a file its size is known, not its bytes; no key is in the file."""
    async with recording("evolink", tmp_path) as made:
        await made.day()
        status, answer = await made.ask("POST", PATHS["evolink"][0], {"model": "none"})
        last = made.real.mock.journal.find(kind="exchange")[-1]["response"]
        assert (status, answer.decode()) == (last["status"], last["body"])
        records = [each for each in await made.records() if each["kind"] == "exchange"]
    download = next(each for each in records if each["operation"] == "downloadResult")
    assert (download["response"]["body"], download["response"]["body_bytes"] > 10_000) == (None, True)
    assert download["transfer_s"] >= 0
    assert KEYS["evolink"] not in made.file.read_text(encoding="utf-8")
    assert all(each["account"] for each in records)


async def test_no_more_submits_than_allowed(tmp_path: Path) -> None:
    """Those beyond the limit are refused here, and never reach the provider."""
    async with recording("evolink", tmp_path, most_submits=1) as made:
        await made.submit()
        status, said = await made.ask("POST", PATHS["evolink"][0], BODIES["evolink"])
        assert (status, b"--max-submits" in said) == (403, True)
        assert made.real.mock.journal.count(operation="createVideo") == 1
        assert (made.recorder.submits, made.recorder.refused) == (1, 1)
        records = await made.records()
    assert [each["error"] for each in records] == [None, "max_submits"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/videos/generations"),
        ("POST", "/v1/videos/generations/"),
        ("POST", "/v1//videos/generations"),
        ("POST", "/v1/videos/%67enerations"),
        ("POST", "/V1/videos/generations"),
        ("POST", "/v1/x/../videos/generations"),
        ("POST", "/v1/images/generations"),
        ("PUT", "/v1/videos/generations"),
        ("PATCH", "/v1/videos/generations"),
        ("POST", "/v1/tasks/..%2Fvideos%2Fgenerations/cancel"),
        ("GET", "/v1/credits"),
        ("GET", "/v1/credits?x=1&_method=POST"),
    ],
)
async def test_what_may_create_a_task_counts_however_it_is_written(method: str, path: str, tmp_path: Path) -> None:
    """Another server may take for a submit what this one does not know; a GET may ask it for another method."""
    async with recording("evolink", tmp_path, most_submits=0) as made:
        url = URL(made.server.base_url("evolink") + path, encoded=True)
        headers = made.provider.key.header_with(KEYS["evolink"])
        if path == "/v1/credits":
            headers["X-HTTP-Method-Override"] = "POST"
        async with made.http.request(method, url, json=BODIES["evolink"], headers=headers) as answer:
            assert (answer.status, "--max-submits" in await answer.text()) == (403, True)
        assert made.real.mock.journal.count() == 0
        assert made.recorder.refused == 1


async def test_what_creates_nothing_is_not_counted(tmp_path: Path) -> None:
    """Polls, cancels, and what is only read, even if nobody knows it."""
    async with recording("evolink", tmp_path, most_submits=1) as made:
        task = await made.submit()
        for method, path in (("GET", f"/v1/tasks/{task}"), ("GET", "/v2/what//is%20this"), ("HEAD", "/v1/credits")):
            assert (await made.ask(method, path))[0] != 403
        assert (made.recorder.submits, made.recorder.refused) == (1, 0)


async def test_no_secret_is_written_and_encoded_answers_can_be_read(tmp_path: Path) -> None:
    """Keys in headers and queries, cookies, and a key that an answer repeats, though it comes compressed."""
    key, secrets = KEYS["evolink"], ("in-a-query-1234", "in-a-header-1234", "in-a-cookie-1234", "in-an-answer-1234")
    content = gzip.compress(orjson.dumps({"data": [], "your_key": key}))
    answer_headers = {
        "Content-Encoding": "gzip",
        "Content-Type": "application/json",
        "Set-Cookie": f"sid={secrets[3]}; Path=/",
    }

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(body=content, headers=answer_headers)

    async with answering(handler) as url, recording("evolink", tmp_path) as made:
        made.recorder.upstream = url
        async with made.http.get(
            f"{made.server.base_url('evolink')}/v1/credits?api_key={secrets[0]}&limit=2",
            headers={
                "Authorization": f"Bearer {key}",
                "X-Goog-Api-Key": secrets[1],
                "Cookie": f"a={secrets[2]}; b=2",
            },
        ) as answer:
            assert await answer.json() == {"data": [], "your_key": key}
        (record,) = await made.records()
    text = made.file.read_text(encoding="utf-8")
    assert [secret for secret in (*secrets, key) if secret in text] == []
    assert record["request"]["query"] == "api_key=[redacted]&limit=2"
    assert "api_key=[redacted]" in record["upstream"]
    assert orjson.loads(record["response"]["body"])["data"] == []
    assert record["response"]["body_cut"] is False


async def test_an_answer_in_an_unknown_coding_is_sent_on_and_not_kept(tmp_path: Path) -> None:
    """What cannot be searched for secrets is not written."""

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(body=b"\x01\x02", headers={"Content-Encoding": "zstd", "Content-Type": "text/plain"})

    async with answering(handler) as url, recording("evolink", tmp_path) as made:
        made.recorder.upstream = url
        async with made.http.get(f"{made.server.base_url('evolink')}/v1/credits", auto_decompress=False) as answer:
            assert await answer.read() == b"\x01\x02"
        (record,) = await made.records()
    assert (record["response"]["body"], record["response"]["body_bytes"]) == (None, 2)
    assert "body_base64" not in record["response"]


async def test_what_a_receiver_answers_goes_back_and_a_cut_callback_goes_nowhere(tmp_path: Path) -> None:
    """Status, headers and body, at most a megabyte of it; of a callback that was cut the client hears nothing."""
    asked: list[bytes] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(await request.read())
        return web.Response(status=200, body=b"x" * 3_000_000, headers={"X-Mine": "1", "Content-Type": "text/plain"})

    async with answering(handler) as url, recording("googlegeminiomni", tmp_path) as made:
        body = {**BODIES[made.name], made.provider.callbacks.url_keys[0]: f"{url}/hook"}  # type: ignore[union-attr]
        assert (await made.ask("POST", PATHS[made.name][0], body))[0] < 300
        here = URL(made.server.root_url)
        async with made.http.post(here / "__recorder/callbacks/1", data=b'{"a": 1}') as answer:
            assert (answer.status, answer.headers["X-Mine"], len(await answer.read())) == (200, "1", 1_000_000)
        reader, writer = await asyncio.open_connection(here.host, here.port)
        writer.write(b'POST /__recorder/callbacks/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"cut":')
        writer.write_eof()
        await reader.read()
        writer.close()
        assert asked == [b'{"a": 1}']
        assert made.recorder.callbacks == 1
        records = await made.records()
    assert [each["outcome"] for each in records if each["kind"] == "delivery"] == ["acknowledged"]


async def test_callbacks_that_cannot_be_recorded_are_counted(tmp_path: Path) -> None:
    """Without an address of its own, the recorder leaves the client's, and says so at the end."""
    async with recording("googlegeminiomni", tmp_path) as made:
        made.recorder.callbacks_at = None
        await made.submit()
        await made.real.advance(600)
        assert (len(made.receiver.got), made.recorder.callbacks, made.recorder.unrecorded) == (1, 0, 1)


@pytest.mark.parametrize("url", ["nowhere", "ftp://me.test/hook", "http://[x/", "", 5])
async def test_a_callback_address_that_is_none_stays(url: Any, tmp_path: Path) -> None:
    """The provider may refuse it; with an address of the recorder it would not, and that costs money."""
    async with recording("googlegeminiomni", tmp_path) as made:
        await made.ask("POST", PATHS[made.name][0], {**BODIES[made.name], "callbackUrl": url})
        (sent,) = made.real.mock.journal.find(kind="exchange")
        assert orjson.loads(sent["request"]["body"])["callbackUrl"] == url


async def test_a_provider_that_cannot_be_reached(tmp_path: Path) -> None:
    """502, in one line, and in the journal."""
    async with recording("evolink", tmp_path) as made:
        made.recorder.upstream = "http://127.0.0.1:9"
        status, said = await made.ask("GET", "/v1/credits")
        assert (status, b"cannot reach http://127.0.0.1:9/v1/credits" in said) == (502, True)
        records = await made.records()
    assert [each["error"] for each in records] == ["host_unreachable"]
    assert by_provider(records, [made.provider]) == {}  # what the recorder answers is no answer of the provider's


async def test_an_unknown_callback_is_not_sent_on(tmp_path: Path) -> None:
    """404."""
    async with (
        recording("evolink", tmp_path) as made,
        made.http.post(f"{made.server.root_url}/__recorder/callbacks/7", data=b"{}") as answer,
    ):
        assert answer.status == 404
        assert made.receiver.got == []


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (
            ("--provider", "evolink"),
            2,
            "this sends real requests to api.evolink.ai, which may cost money: confirm with --yes",
        ),
        (("--provider", "nobody", "--yes"), 2, "there is no provider 'nobody'; there are crun, evolink"),
        (("--provider", "evolink", "--upstream", "nowhere"), 2, "--upstream must begin with http:// or https://"),
        (("--provider", "evolink", "--upstream", "http://[::1"), 2, "--upstream must begin with http:// or https://"),
        (("--provider", "evolink", "--upstream", "http://x:99999"), 2, "and a host; got 'http://x:99999'"),
        (
            ("--provider", "evolink", "--upstream", "http://u:pw@x"),
            2,
            "without a user, a query or a fragment; got 'http://x'",
        ),
        (("--provider", "evolink", "--callback-url", "http://x/?a=b"), 2, "--callback-url must be a host and a path"),
        (("--provider", "evolink", "--allow-host", "http://x"), 2, "must be NAME, NAME:PORT or *.NAME"),
        (("--provider", "evolink", "--yes", "--", "no-such-command"), 127, "no-such-command: command not found"),
        (("--provider", "evolink", "--yes", "--port", "99999"), 2, "99999 is not in the range 0<=x<=65535"),
        ((), 2, "Missing option '--provider'"),
    ],
)
def test_wrong_use(
    arguments: tuple[str, ...], code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line; nothing is sent without a yes, and no file is made."""
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(main, ["record", *arguments])
    assert (ran.exit_code, says in ran.output, "pw" in ran.output) == (code, True, False), ran.output
    assert not isinstance(ran.exception, Exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("localhost:4010", "https://googlegeminiomni.com/api/v1/jobs/1?x=1"),
        ("R2.googlegeminiomni.com", "https://r2.googlegeminiomni.com/api/v1/jobs/1?x=1"),
        ("r2.googlegeminiomni.com:443", "https://r2.googlegeminiomni.com/api/v1/jobs/1?x=1"),
        ("example.org", "https://googlegeminiomni.com/api/v1/jobs/1?x=1"),
    ],
)
async def test_the_real_host(host: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an upstream, a request goes to that host of the provider which the client asks for, by TLS."""
    asked: list[str] = []

    class Asked:
        async def request(self, _method: str, real: Any, **_given: Any) -> None:
            asked.append(str(real))
            raise OSError("no network in tests")

    async with recording("googlegeminiomni", tmp_path) as made:
        monkeypatch.setattr(Recorder, "_asked", lambda _recorder: Asked())
        made.recorder.upstream = None
        base = made.server.base_url(made.name) if "gemini" not in host else made.server.root_url
        async with made.http.get(f"{base}/api/v1/jobs/1?x=1", headers={"Host": host}) as answer:
            assert (answer.status, "no network in tests" in await answer.text()) == (502, True)
        if "gemini" in host:  # through the proxy; the Host of a request in absolute form does not count
            async with made.http.get(
                f"http://{host}/api/v1/jobs/1?x=1", proxy=made.server.root_url, headers={"Host": made.provider.hosts[0]}
            ) as answer:
                assert answer.status == 502
    assert set(asked) == {url}
