"""Callbacks on the wire: what is sent, when, how often, where it may go, and what receivers may do meanwhile."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import socket
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohappyeyeballs
import orjson
import pytest
import trustme
from aiohttp import web
from aiohttp.resolver import ThreadedResolver
from support.edge import (
    CALLBACK_FIELDS,
    LOOPS,
    Edge,
    Received,
    Response,
    nothing_logged,
    receiving,
    run_on,
    serving,
)
from support.tables import for_each

from mockserver.clock import instant_of

if TYPE_CHECKING:
    from pathlib import Path

SENDERS = tuple(CALLBACK_FIELDS)
#: Seconds from a task's end to each attempt, when all of them fail.
SCHEDULES = {"crun": (0, 1, 3, 7), "evolink": (0, 1, 3, 7), "googlegeminiomni": (0, 30, 330, 2130)}


async def told(edge: Edge, name: str, url: str, **fields: Any) -> str:
    """Submit a task with a callback URL; return its id."""
    return await edge.submit(name, **{CALLBACK_FIELDS[name]: url}, **fields)


async def refused(edge: Edge, name: str, url: Any) -> Response:
    """Submit a task with a callback address that is refused; return the refusal."""
    reply = await edge.try_submit(name, **{CALLBACK_FIELDS[name]: url})
    assert reply.status == (422 if name == "crun" else 400), (url, reply.body)
    assert edge.state(name).tasks == {}
    return reply


def attempts(edge: Edge) -> list[dict[str, Any]]:
    """What the journal says of deliveries."""
    return edge.mock.journal.find(kind="delivery")


def outcomes(edge: Edge) -> list[tuple[str, int | None]]:
    """How the attempts went."""
    return [(each["outcome"], (each["response"] or {}).get("status")) for each in attempts(edge)]


def with_rule(edge: Edge, name: str, **changes: Any) -> None:
    """Change a provider's rules of callbacks."""
    state = edge.state(name)
    rule = state.provider.callbacks
    assert rule is not None
    state.provider = replace(state.provider, callbacks=replace(rule, **changes))


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let every name lead to the same addresses; return the names that are looked up."""
    asked: list[str] = []

    async def resolve(_: object, host: str, port: int = 0, family: int = socket.AF_INET) -> list[dict[str, Any]]:
        asked.append(host)
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
            for address in addresses
        ]

    monkeypatch.setattr(ThreadedResolver, "resolve", resolve)
    return asked


# -- what is sent ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SENDERS)
async def test_success_is_told_once(name: str) -> None:
    """When a task succeeds its receiver is sent one POST of JSON, at the instant of the end, and no other."""
    async with serving() as edge, receiving(edge=edge) as receiver:
        task_id = await told(edge, name, receiver.url("/hook?token=a%20b&x=1"))
        task = edge.state(name).tasks[task_id]
        await edge.mock.clock.advance((task.ends_ms - task.submitted_ms) / 1000 - 0.001)
        assert receiver.got == []
        report = await edge.mock.clock.advance(86_400)
        assert (report.attempts, report.acknowledged, report.failed) == (1, 1, 0)
        (got,) = receiver.got
        assert (got.method, got.path) == ("POST", "/hook?token=a%20b&x=1")
        assert got.headers["Content-Type"] == "application/json"
        assert int(got.headers["Content-Length"]) == len(got.body)
        assert "Authorization" not in got.headers
        assert got.at_ms == task.ends_ms


@pytest.mark.parametrize("name", SENDERS)
async def test_failure_is_told(name: str) -> None:
    """A failure is told as well, with its reason."""
    async with serving() as edge, receiving() as receiver:
        task_id = await told(edge, name, receiver.url())
        reason = list(edge.provider(name).lifecycle.failure.reasons)[1]
        await edge.mock.task(task_id).fail(reason)
        (got,) = receiver.got
        message = edge.provider(name).lifecycle.failure.reasons[reason].message
        assert message in got.body.decode()


async def test_cancellation_is_told() -> None:
    """EvoLink tells of a cancelled task, too; the other providers have no such end."""
    async with serving() as edge, receiving() as receiver:
        task_id = await told(edge, "evolink", receiver.url())
        await edge.mock.task(task_id).cancel()
        (got,) = receiver.got
        assert got.json["status"] == "cancelled"
        assert got.json["error"]["code"] == "request_cancelled"
        for name in ("crun", "googlegeminiomni"):
            task_id = await told(edge, name, receiver.url())
            assert (await edge.admin("POST", f"/tasks/{task_id}/cancel")).status == 400
        assert len(receiver.got) == 1


async def test_toapis_sends_no_callbacks() -> None:
    """ToAPIs documents no callbacks: an address in a field of that name is sent nothing."""
    async with serving() as edge, receiving() as receiver:
        await edge.submit("toapis", callback_url=receiver.url(), callbackUrl=receiver.url())
        await edge.mock.clock.advance(3600)
        assert receiver.got == []
        assert attempts(edge) == []


@pytest.mark.parametrize("end", ["complete", "fail", "cancel"])
async def test_evolink_sends_the_query_answer(end: str) -> None:
    """EvoLink's callback is, byte by byte, what the query answers."""
    async with serving() as edge, receiving() as receiver:
        task_id = await told(edge, "evolink", receiver.url())
        await edge.mock.clock.advance(20)
        await getattr(edge.mock.task(task_id), end)()
        (got,) = receiver.got
        assert got.body == (await edge.query("evolink", task_id)).body


@pytest.mark.parametrize("end", ["complete", "fail"])
async def test_crun_sends_the_data_object(end: str) -> None:
    """crun.ai's callback is the data object of the query's answer, without the envelope."""
    async with serving() as edge, receiving() as receiver:
        task_id = await told(edge, "crun", receiver.url())
        await edge.mock.clock.advance(20)
        await getattr(edge.mock.task(task_id), end)()
        (got,) = receiver.got
        answer = (await edge.query("crun", task_id)).json
        assert got.json == answer["data"]
        assert got.body == orjson.dumps(answer["data"])
        assert got.json["task_id"] == task_id


async def test_googlegeminiomni_sends_events() -> None:
    """googlegeminiomni.com sends an event of its own making, for success and for failure."""
    async with serving() as edge, receiving() as receiver:
        name = "googlegeminiomni"
        done, failed = await told(edge, name, receiver.url()), await told(edge, name, receiver.url())
        await edge.mock.clock.advance(10.9)
        await edge.mock.task(done).complete()
        await edge.mock.task(failed).fail("model_error")
        answer = (await edge.query(name, done)).json
        assert [got.json for got in receiver.got] == [
            {
                "event": "job.completed",
                "jobId": done,
                "status": "done",
                "outputUrl": answer["outputUrl"],
                "creditCost": answer["creditCost"],
                "model": "gemini-omni-video",
                "timestamp": "2026-06-05T00:00:10Z",
            },
            {
                "event": "job.failed",
                "jobId": failed,
                "status": "failed",
                "error": "The model could not finish the job",
                "creditCost": 0,
                "timestamp": "2026-06-05T00:00:10Z",
            },
        ]


@pytest.mark.parametrize("secret", [None, "s3cret", "ключ 🗝"])
async def test_signature(secret: str | None) -> None:
    """The signature is the hex HMAC-SHA256 of the raw body, with the default secret or the account's own."""
    async with serving() as edge, receiving() as receiver:
        name = "googlegeminiomni"
        if secret is not None:
            edge.mock.account(name).set_secret(secret)
        await told(edge, name, receiver.url(), prompt="Ein Drachen über dem Strand, 风筝")
        await edge.mock.clock.advance(3600)
        (got,) = receiver.got
        key = (secret or "mock-webhook-secret").encode()
        assert got.headers["X-Gemini-Signature"] == hmac.new(key, got.body, hashlib.sha256).hexdigest()
        assert (got.json["event"], got.json["model"]) == ("job.completed", "gemini-omni-video")


@pytest.mark.parametrize("name", ["crun", "evolink"])
async def test_no_signature(name: str) -> None:
    """Where no signature is documented, none is sent."""
    async with serving() as edge, receiving() as receiver:
        await told(edge, name, receiver.url())
        await edge.mock.clock.advance(3600)
        (got,) = receiver.got
        assert not [each for each in got.headers if "signature" in each.lower()]


async def test_told_after_billing() -> None:
    """When a callback arrives, the task has been settled: nothing is reserved any more, and the cost is spent."""
    seen: list[Any] = []

    async with serving() as edge:

        async def look(_: Received) -> int:
            seen.append((await edge.admin("GET", "/accounts?provider=evolink")).json["accounts"][0])
            return 200

        async with receiving(look) as receiver:
            await told(edge, "evolink", receiver.url(), duration=6)
            before = (await edge.admin("GET", "/accounts?provider=evolink")).json["accounts"][0]
            await edge.advance(3600)
        assert before["reserved_credits"] > 0
        assert before["spent_credits"] == 0
        assert seen[0]["reserved_credits"] == 0
        assert 0 < seen[0]["spent_credits"] < before["reserved_credits"]


# -- acknowledgement and retries ------------------------------------------------------------------


@for_each("status", [200, 201, 202, 204, 299])
async def test_2xx_is_enough_for_evolink(status: int) -> None:
    """Any 2xx acknowledges EvoLink's callback."""
    async with serving() as edge, receiving(status) as receiver:
        await told(edge, "evolink", receiver.url())
        await edge.mock.clock.advance(3600)
        assert outcomes(edge) == [("acknowledged", status)]


@for_each("name", ["crun", "googlegeminiomni"])
@for_each("status", [201, 202, 204, 299])
async def test_only_200_is_enough_elsewhere(name: str, status: int) -> None:
    """The other providers ask for exactly 200: every other 2xx is tried again."""
    async with serving() as edge, receiving(status) as receiver:
        await told(edge, name, receiver.url())
        await edge.mock.clock.advance(86_400)
        assert outcomes(edge) == [("refused", status)] * 4


@for_each("name", SENDERS)
@for_each("status", [300, 304, 400, 401, 404, 410, 429, 500, 503])
async def test_other_statuses_are_retried(name: str, status: int) -> None:
    """Every status that does not acknowledge is tried again, whatever it means elsewhere."""
    async with serving() as edge, receiving(status) as receiver:
        await told(edge, name, receiver.url())
        report = await edge.mock.clock.advance(86_400)
        assert (report.attempts, report.acknowledged, report.failed) == (4, 0, 4)
        assert len({got.body for got in receiver.got}) == 1


@pytest.mark.parametrize("name", SENDERS)
async def test_schedule(name: str) -> None:
    """A receiver that never answers well is called at the documented instants, with the same bytes, then no more."""
    async with serving() as edge, receiving(500, edge=edge) as receiver:
        task_id = await told(edge, name, receiver.url())
        ends_ms = edge.state(name).tasks[task_id].ends_ms
        await edge.mock.clock.advance(86_400)
        assert [got.at_ms for got in receiver.got] == [ends_ms + 1000 * s for s in SCHEDULES[name]]
        assert len({(got.body, got.headers.get("X-Gemini-Signature")) for got in receiver.got}) == 1
        found = (await edge.admin("GET", f"/callbacks?task={task_id}")).json["callbacks"]
        assert [each["state"] for each in found] == ["given_up"]
        assert [each["number"] for each in found[0]["attempts"]] == [1, 2, 3, 4]
        ahead = [each["next_attempt_at"] for each in attempts(edge)]
        assert ahead == [*(each["at"] for each in attempts(edge)[1:]), None]


@for_each("name", SENDERS)
@for_each("good", [2, 3, 4])
async def test_recovery(name: str, good: int) -> None:
    """The first attempt that goes well is the last."""
    async with serving() as edge:

        async def answer(_: Received) -> int:
            return 200 if len(receiver.got) >= good else 503

        async with receiving(answer) as receiver:
            task_id = await told(edge, name, receiver.url())
            report = await edge.mock.clock.advance(86_400)
            assert (report.attempts, report.acknowledged) == (good, 1)
            found = (await edge.admin("GET", f"/callbacks?task={task_id}")).json["callbacks"]
            assert found[0]["state"] == "acknowledged"


async def test_due_order() -> None:
    """However far the clock is moved at a time, attempts at all receivers are made in the order of their instants."""

    async def run(step_s: float) -> list[tuple[int | None, str]]:
        async with serving(seed=5) as edge, receiving(500, edge=edge) as receiver:
            for number in range(6):
                await told(edge, SENDERS[number % 3], receiver.url(f"/{number}"))
            moved_s = 0.0
            while moved_s < 600:
                await edge.mock.clock.advance(step_s)
                moved_s += step_s
            return [(got.at_ms, got.path) for got in receiver.got]

    made = await run(600)
    assert len(made) == 4 * 4 + 2 * 3
    assert [at_ms for at_ms, _ in made] == sorted(at_ms or 0 for at_ms, _ in made)
    assert await run(60) == made
    assert await run(0.75) == made


async def test_waiting_callbacks_are_listed() -> None:
    """Between two attempts a callback is listed as waiting, with the instant of the next one."""
    async with serving() as edge, receiving(500) as receiver:
        task_id = await told(edge, "googlegeminiomni", receiver.url())
        await edge.mock.task(task_id).complete()
        (found,) = (await edge.admin("GET", "/callbacks")).json["callbacks"]
        assert found["state"] == "waiting"
        assert found["due"] == "2026-06-05T00:00:30.000Z"
        assert (await edge.admin("GET", "/clock")).json["next_due"] == found["due"]


async def test_timeout() -> None:
    """A receiver that does not answer in time is tried again; the clock stands still meanwhile."""
    async with serving() as edge:
        enough = asyncio.Event()

        async def wait(_: Received) -> int:
            await enough.wait()
            return 200

        with_rule(edge, "evolink", timeout_s=0.05)
        async with receiving(wait, edge=edge) as receiver:
            task_id = await told(edge, "evolink", receiver.url())
            ends_ms = edge.state("evolink").tasks[task_id].ends_ms
            await edge.mock.clock.advance(3600)
            enough.set()
            waited_ms = [50 * number + 1000 * s for number, s in enumerate(SCHEDULES["evolink"])]
            assert [(got.at_ms or 0) - ends_ms for got in receiver.got] == waited_ms
            assert outcomes(edge) == [("timeout", None)] * 4
            assert attempts(edge)[0]["detail"] == "no response within 0.05 s"


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let receivers wait for 20 ms at most; return the timeouts that were asked for."""
    asked: list[float] = []

    def timeout(seconds: float) -> asyncio.Timeout:
        asked.append(seconds)
        return asyncio.timeout(0.02)

    monkeypatch.setattr("mockserver.edge.dispatcher.receiver_timeout", timeout)
    return asked


async def test_timeouts_cost_mock_time(short_timeouts: list[float]) -> None:
    """The timeout is exactly 10 s; on a manual clock too, the retry follows 11 s after the first attempt began."""

    async def wait(_: Received) -> int:
        await asyncio.sleep(60)
        return 200

    async with serving() as edge, receiving(wait) as receiver:
        await told(edge, "evolink", receiver.url())
        await edge.mock.clock.advance(3600)
        at_ms = [instant_of(each["at"]) for each in attempts(edge)]
        assert [each - at_ms[0] for each in at_ms] == [0, 11_000, 23_000, 37_000]
        assert {each["outcome"] for each in attempts(edge)} == {"timeout"}
        assert short_timeouts == [10] * 4


async def test_an_advance_that_ends_within_a_timeout(short_timeouts: list[float]) -> None:
    """The clock stops where it was told to; the retry stays due 11 s after the attempt began."""

    async def wait(_: Received) -> int:
        await asyncio.sleep(60)
        return 200

    async with serving() as edge, receiving(wait) as receiver:
        task_id = await told(edge, "evolink", receiver.url())
        await edge.mock.task(task_id).complete()
        for seconds, made in ((0, 1), (10.999, 1), (0.001, 2)):
            await edge.mock.clock.advance(seconds)
            assert len(attempts(edge)) == made
        assert short_timeouts == [10] * 2


async def test_waits_from_the_first_attempt() -> None:
    """In the dialect the retries follow 30 s, 5 minutes and 30 minutes after the first attempt."""
    async with (
        serving(providers={"googlegeminiomni": {"dialects": ["retries_from_first_attempt"]}}) as edge,
        receiving(500) as receiver,
    ):
        await told(edge, "googlegeminiomni", receiver.url())
        await edge.mock.clock.advance(7200)
        at_ms = [instant_of(each["at"]) for each in attempts(edge)]
        assert [each - at_ms[0] for each in at_ms] == [0, 30_000, 300_000, 1_800_000]


@pytest.mark.parametrize("name", SENDERS)
async def test_documented_timeout(name: str) -> None:
    """Receivers have 10 seconds, at every provider."""
    async with serving() as edge:
        rule = edge.provider(name).callbacks
        assert rule is not None
        assert rule.timeout_s == 10


@pytest.mark.parametrize("name", SENDERS)
async def test_no_receiver_listens(name: str) -> None:
    """A closed port is tried again, as often as after any other failure."""
    async with serving() as edge:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        await told(edge, name, f"http://127.0.0.1:{port}/hook")
        await edge.mock.clock.advance(86_400)
        assert outcomes(edge) == [("unreachable", None)] * 4


NO_ANSWERS = {
    "nothing": b"",
    "noise": b"\x00\xff\x00\xff\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "no status": b"HTTP/1.1 abc OK\r\n\r\n",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    "a header flood": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
}


@for_each("sent", NO_ANSWERS.values())
async def test_receiver_that_speaks_no_http(sent: bytes) -> None:
    """A receiver whose answer is none counts as one that cannot be reached, and takes nothing down with it."""
    with nothing_logged():

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(sent)
            await writer.drain()
            writer.close()

        async with serving() as edge, await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            await told(edge, "evolink", f"http://127.0.0.1:{port}/hook")
            await edge.mock.clock.advance(3600)
            if sent.endswith(b"abc"):
                assert {status for status, _ in outcomes(edge)} <= {"unreachable", "acknowledged"}
            else:
                assert outcomes(edge) == [("unreachable", None)] * 4


@for_each("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    """A redirect is a status like any other that does not acknowledge: where it leads to is not called."""
    async with serving() as edge, receiving() as other:

        async def redirect(_: Received) -> web.StreamResponse:
            return web.Response(status=status, headers={"Location": other.url()})

        async with receiving(redirect) as receiver:
            await told(edge, "evolink", receiver.url())
            await edge.mock.clock.advance(3600)
        assert other.got == []
        assert outcomes(edge) == [("refused", status)] * 4


async def test_long_answers_are_not_read() -> None:
    """Of what a receiver answers only the beginning is read, and less is kept."""
    with nothing_logged():
        async with serving() as edge:

            async def chatter(received: Received) -> web.StreamResponse:
                return web.Response(body=b"x" * 1_000_000)

            async with receiving(chatter) as receiver:
                await told(edge, "evolink", receiver.url())
                await edge.mock.clock.advance(3600)
            (attempt,) = attempts(edge)
            assert attempt["outcome"] == "acknowledged"
            assert len(attempt["response"]["body"]) == 16_384
            assert attempt["response"]["body_cut"] is True


# -- commands -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SENDERS)
async def test_commands_and_callbacks(name: str) -> None:
    """A held task tells nothing until it is released and ends; whatever is done to a task, it tells once."""
    async with serving() as edge, receiving(edge=edge) as receiver:
        task_id = await told(edge, name, receiver.url())
        task = edge.mock.task(task_id)
        await edge.mock.clock.advance(1)
        await task.hold()
        await edge.mock.clock.advance(86_400)
        assert receiver.got == []
        await task.release()
        assert receiver.got == []
        await edge.mock.clock.advance(86_400)
        assert len(receiver.got) == 1
        other = await told(edge, name, receiver.url())
        await edge.mock.task(other).complete()
        await edge.mock.clock.advance(86_400)
        assert len(receiver.got) == 2
        assert other in receiver.got[1].body.decode()


async def test_redelivery() -> None:
    """A callback that is over can be sent again: the same bytes and signature, as a delivery of its own."""
    async with serving() as edge, receiving() as receiver:
        task_id = await told(edge, "googlegeminiomni", receiver.url())
        await edge.mock.task(task_id).complete()
        await edge.mock.clock.advance(90)
        (first,) = (await edge.admin("GET", "/callbacks")).json["callbacks"]
        again = (await edge.admin("POST", f"/callbacks/{first['id']}/redeliver")).json
        assert again["id"] != first["id"]
        assert again["state"] == "acknowledged"
        one, two = receiver.got
        assert one.body == two.body
        assert one.headers["X-Gemini-Signature"] == two.headers["X-Gemini-Signature"]
        assert [each["delivery"] for each in attempts(edge)] == [first["id"], again["id"]]


# -- receivers that use the mock ------------------------------------------------------------------


@for_each("loop", LOOPS)
@for_each("name", SENDERS)
def test_receiver_that_queries(loop: str, name: str) -> None:
    """A receiver that asks the mock from inside its handler is answered, at the time of that instant."""
    seen: list[tuple[str, int, str]] = []

    async def main() -> None:
        async with serving() as edge:

            async def look(received: Received) -> int:
                task_id = next(each for each in edge.state(name).tasks if each in received.body.decode())
                answer = await edge.query(name, task_id)
                clock = (await edge.admin("GET", "/clock")).json
                await edge.submit(name)
                seen.append((task_id, clock["now_ms"], answer.body.decode()))
                return 500 if len(seen) == 1 else 200

            async with receiving(look) as receiver:
                first = await told(edge, name, receiver.url())
                task = edge.state(name).tasks[first]
                report = await edge.advance(3600)
                assert report["attempts"] == 2
                assert report["now_ms"] == task.submitted_ms + 3_600_000
                retry_ms = SCHEDULES[name][1] * 1000
                instants = [task.ends_ms, task.ends_ms + retry_ms]
                assert [(task_id, now_ms) for task_id, now_ms, _ in seen] == [(first, each) for each in instants]
                end = edge.provider(name).lifecycle.success.name
                assert all(f'"{end}"' in body for _, _, body in seen)
                submitted = [each.submitted_ms for each in edge.state(name).tasks.values()]
                assert submitted[1:] == instants

    run_on(loop, main())


async def test_receiver_that_advances() -> None:
    """A receiver may not move the clock that is being moved: it is told so with 409, and all goes on."""
    told_so: list[Response] = []

    async with serving() as edge:

        async def advance(_: Received) -> int:
            told_so.append(await edge.admin("POST", "/clock", {"advance_s": 1}))
            return 200

        async with receiving(advance) as receiver:
            await told(edge, "evolink", receiver.url())
            await told(edge, "crun", receiver.url())
            report = await edge.advance(3600)
            assert report["acknowledged"] == 2
        assert [reply.status for reply in told_so] == [409, 409]
        assert told_so[0].json["error"]["code"] == "advance_under_way"
        assert (await edge.admin("POST", "/clock", {"advance_s": 1})).status == 200


async def test_receiver_that_advances_after_a_command() -> None:
    """Nor may a receiver move the clock while a command waits for its callback."""
    told_so: list[Response] = []

    async with serving() as edge:

        async def advance(_: Received) -> int:
            told_so.append(await edge.admin("POST", "/clock", {"advance_s": 1}))
            return 200

        async with receiving(advance) as receiver:
            task_id = await told(edge, "evolink", receiver.url())
            await edge.mock.task(task_id).complete()
            (record,) = attempts(edge)
            await edge.admin("POST", f"/callbacks/{record['delivery']}/redeliver")
        assert outcomes(edge) == [("acknowledged", 200)] * 2
        assert [reply.status for reply in told_so] == [409, 409]
        assert (await edge.admin("POST", "/clock", {"advance_s": 1})).status == 200


async def test_receiver_that_commands() -> None:
    """A receiver may end another task from inside its handler; that one's callback follows, at the same instant."""
    async with serving() as edge:

        async def chain(received: Received) -> int:
            if len(receiver.got) == 1:
                assert (await edge.admin("POST", f"/tasks/{second}/complete")).status == 200
            return 200

        async with receiving(chain, edge=edge) as receiver:
            first = await told(edge, "evolink", receiver.url())
            second = await told(edge, "crun", receiver.url())
            await edge.mock.task(second).hold()
            await edge.advance(3600)
            ends_ms = edge.state("evolink").tasks[first].ends_ms
            assert [got.at_ms for got in receiver.got] == [ends_ms, ends_ms]
            assert second in receiver.got[1].body.decode()


@pytest.mark.parametrize("what", ["all", "journal"])
async def test_receiver_that_resets(what: str) -> None:
    """A reset from inside a handler ends the advance that led there, and nothing hangs or is left over."""
    with nothing_logged():
        async with serving() as edge:

            async def reset(_: Received) -> int:
                assert (await edge.admin("POST", "/reset", {"what": what})).status == 200
                return 200

            async with receiving(reset) as receiver:
                for _ in range(3):
                    await told(edge, "evolink", receiver.url())
                advance = await edge.admin("POST", "/clock", {"advance_s": 3600})
                assert advance.status == (409 if what == "all" else 200)
                assert len(receiver.got) == (1 if what == "all" else 3)
                assert len(edge.state("evolink").tasks) == (0 if what == "all" else 3)
                await told(edge, "evolink", receiver.url())
                await edge.admin("POST", "/clock", {"advance_s": 3600})
                assert len(receiver.got) == (2 if what == "all" else 4)


async def test_server_that_closes_meanwhile() -> None:
    """A server that is closed while a receiver takes its time closes all the same."""
    with nothing_logged():
        called, enough = asyncio.Event(), asyncio.Event()

        async def wait(_: Received) -> int:
            called.set()
            await enough.wait()
            return 200

        async with receiving(wait) as receiver:
            async with serving() as edge:
                task_id = await told(edge, "evolink", receiver.url())
                completing = asyncio.create_task(edge.mock.task(task_id).complete())
                await called.wait()
            await completing
            enough.set()


async def test_slow_receivers_do_not_delay_others() -> None:
    """With more than one worker, a receiver that takes its time does not keep another's callback waiting."""
    enough = asyncio.Event()

    async def wait(_: Received) -> int:
        await enough.wait()
        return 200

    async def free(_: Received) -> int:
        enough.set()
        return 200

    async with serving(callback_workers=2) as edge, receiving(wait) as slow, receiving(free) as quick:
        ids = [await told(edge, "evolink", slow.url()) for _ in range(3)]
        ids.append(await told(edge, "crun", quick.url()))
        await asyncio.gather(*(edge.mock.task(task_id).complete() for task_id in ids))
        assert outcomes(edge) == [("acknowledged", 200)] * 4


@pytest.mark.slow
@pytest.mark.parametrize("workers", [None, 32])
async def test_500_at_one_instant(workers: int | None) -> None:
    """500 callbacks that fall due at one instant are all attempted, and the server answers meanwhile."""
    async with serving(callback_workers=workers) as edge, receiving(503, edge=edge) as receiver:
        paths = [f"/{number}" for number in range(500)]
        ids = [await told(edge, "crun", receiver.url(path)) for path in paths]
        await asyncio.gather(*(edge.mock.task(task_id).complete() for task_id in ids))
        assert len(receiver.got) == 500
        receiver.got.clear()
        receiver.answer = 200
        advance = asyncio.create_task(edge.advance(3600))
        answered = 0
        while not advance.done():
            reply = await edge.call("GET", "/evolink/v1/credits", headers=edge.key_headers("evolink"))
            assert reply.status == 200
            answered += 1
        report = await advance
        assert (report["attempts"], report["acknowledged"]) == (500, 500)
        assert {got.at_ms for got in receiver.got} == {edge.mock.clock.now_ms - 3_599_000}
        assert sorted(got.path for got in receiver.got) == sorted(paths)
        if workers is None:
            assert [got.path for got in receiver.got] == paths
        assert answered > 10


# -- where callbacks may go -----------------------------------------------------------------------

INTERNAL = [
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "[fc00::1]",
    "[fe80::1]",
    "[::]",
    "[::ffff:10.0.0.1]",
    "167772161",
    "0x0a000001",
    "012.0.0.1",
    "10.1",
]
LOOPBACK = ["127.0.0.1", "127.8.8.8", "localhost", "LOCALHOST", "a.localhost", "[::1]", "2130706433", "127.1"]


@for_each("host", INTERNAL)
@for_each("mode", ["documented", "loopback"])
async def test_internal_addresses_are_refused(mode: str, host: str) -> None:
    """An internal address, however it is spelled, is refused at submit by all three providers."""
    async with serving(callback_targets=mode) as edge:
        for name in SENDERS:
            await refused(edge, name, f"https://{host}/hook")


@for_each("host", LOOPBACK)
async def test_loopback_addresses(host: str) -> None:
    """This machine is let through by default, over http too; by the documents' own rules it is not."""
    for mode in ("documented", "loopback", "any"):
        async with serving(callback_targets=mode) as edge:
            for name in SENDERS:
                for scheme in ("http", "https"):
                    if mode == "documented":
                        await refused(edge, name, f"{scheme}://{host}:1/hook")
                    else:
                        await told(edge, name, f"{scheme}://{host}:1/hook")
                        edge.state(name).tasks.clear()


@pytest.mark.parametrize("mode", ["documented", "loopback"])
async def test_https_only(mode: str) -> None:
    """EvoLink takes only https for other machines; the others document no such rule."""
    async with serving(callback_targets=mode) as edge:
        reply = await refused(edge, "evolink", "http://client.example/hook")
        assert reply.json["error"]["param"] == "callback_url"
        await told(edge, "evolink", "https://client.example/hook")
        await told(edge, "crun", "http://client.example/hook")
        await told(edge, "googlegeminiomni", "http://client.example/hook")


@for_each("mode", ["documented", "loopback", "any"])
@for_each(
    "url",
    [
        "",
        "hook",
        "/hook",
        "//client.example/hook",
        "ftp://client.example/hook",
        "file:///etc/passwd",
        "https://",
        "https:///hook",
        "https://client.example:99999/hook",
        "https://client.example:x/hook",
        "https://[::1/hook",
        "https://client.example/a b",
        "https://client.example/\n",
        "https://client.example/hook\x00",
    ],
)
async def test_addresses_that_are_none(mode: str, url: str) -> None:
    """What is no absolute address is refused, whatever else is let through."""
    async with serving(callback_targets=mode) as edge:
        for name in SENDERS:
            await refused(edge, name, url)


@pytest.mark.parametrize("name", SENDERS)
async def test_address_length(name: str) -> None:
    """An address has at most 2048 characters."""
    async with serving() as edge:
        start = "https://client.example/"
        await refused(edge, name, start + "x" * (2049 - len(start)))
        await told(edge, name, start + "x" * (2048 - len(start)))


@pytest.mark.parametrize("address", ["10.1.2.3", "169.254.169.254", "::ffff:192.168.0.1", "fd00::1"])
@pytest.mark.parametrize("name", SENDERS)
async def test_names_that_lead_inside(name: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads to an internal address is found out when it is looked up, and not tried again."""
    asked = resolve_to(monkeypatch, address)

    async with serving() as edge:
        await told(edge, name, "https://inside.example/hook")
        await edge.mock.clock.advance(86_400)
        (attempt,) = attempts(edge)
        assert (attempt["outcome"], attempt["next_attempt_at"]) == ("blocked", None)
        assert "internal address" in attempt["detail"]
        assert asked == ["inside.example"]


@pytest.mark.parametrize("host", ["10.1.2.3", "167772161", "10.1", "0x0a000001", "012.0.0.1", "[::ffff:10.0.0.1]"])
async def test_addresses_are_judged_at_delivery_too(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An internal address is not called in any spelling, even if it was let through at submit."""
    monkeypatch.setattr("mockserver.engine.admission.url_problem", lambda *_: None)

    async with serving() as edge:
        await told(edge, "crun", f"http://{host}/hook")
        await edge.mock.clock.advance(86_400)
        (attempt,) = attempts(edge)
        assert attempt["outcome"] == "blocked", attempt
        assert "internal address" in attempt["detail"]


@pytest.mark.parametrize("mode", ["documented", "loopback", "any"])
async def test_names_that_lead_to_this_machine(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads to this machine is called by default and under `any`, but not by the documents' rules."""
    asked = resolve_to(monkeypatch, "127.0.0.1")

    async with serving(callback_targets=mode) as edge, receiving() as receiver:
        await told(edge, "crun", receiver.url(host="client.example"))
        await edge.mock.clock.advance(86_400)
        expected = "blocked" if mode == "documented" else "acknowledged"
        assert [outcome for outcome, _ in outcomes(edge)] == [expected]
        assert len(receiver.got) == (mode != "documented")
        assert asked == ["client.example"]
        if receiver.got:
            assert receiver.got[0].headers["Host"] == f"client.example:{receiver.port}"


async def test_only_judged_addresses_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several addresses behind a name, only those that were let through are connected to."""
    resolve_to(monkeypatch, "10.255.255.1", "127.0.0.1")

    async with serving() as edge, receiving() as receiver:
        await told(edge, "crun", receiver.url(host="client.example"))
        await edge.mock.clock.advance(86_400)
        assert outcomes(edge) == [("acknowledged", 200)]
        assert len(receiver.got) == 1


async def test_any_calls_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under `any`, internal addresses are taken at submit and called."""
    called: list[str] = []
    start_connection = aiohappyeyeballs.start_connection

    async def connect(addr_infos: Any, **how: Any) -> Any:
        if addr_infos[0][4][0].startswith("127."):
            return await start_connection(addr_infos, **how)
        called.append(addr_infos[0][4][0])
        raise OSError("there is no way")

    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", connect)

    async with serving(callback_targets="any") as edge:
        task_id = await told(edge, "evolink", "http://10.0.0.1/hook")
        await edge.mock.task(task_id).complete()
        assert called == ["10.0.0.1"]
        assert outcomes(edge) == [("unreachable", None)]


# -- https ----------------------------------------------------------------------------------------


def certified(tmp_path: Path, *names: str) -> tuple[ssl.SSLContext, str]:
    """Make an authority and a certificate; return what a receiver needs, and the file of the authority."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return context, str(path)


@pytest.mark.parametrize("loop", LOOPS)
def test_https(loop: str, tmp_path: Path) -> None:
    """A receiver on https is called when its certificate is from the authority that was named."""
    context, path = certified(tmp_path, "127.0.0.1", "localhost")

    async def main() -> None:
        async with serving(callback_ca=path) as edge, receiving(tls=context) as receiver:
            await told(edge, "evolink", receiver.url())
            await told(edge, "crun", receiver.url(host="localhost"))
            await edge.mock.clock.advance(3600)
            assert sorted(outcomes(edge)) == [("acknowledged", 200)] * 2

    run_on(loop, main())


async def test_https_that_is_not_trusted(tmp_path: Path) -> None:
    """A certificate from elsewhere, or for another name, makes a receiver one that cannot be reached."""
    context, path = certified(tmp_path, "client.example")

    for settings in ({}, {"callback_ca": path}):
        async with serving(**settings) as edge, receiving(tls=context) as receiver:
            await told(edge, "evolink", receiver.url())
            await edge.mock.clock.advance(3600)
            assert outcomes(edge) == [("unreachable", None)] * 4
            assert "ertificate" in attempts(edge)[0]["detail"]
            assert receiver.got == []


async def test_http_where_https_was_asked_for() -> None:
    """A receiver that speaks plain http on an https address cannot be reached."""
    async with serving() as edge, receiving() as receiver:
        await told(edge, "evolink", receiver.url().replace("http://", "https://"))
        await edge.mock.clock.advance(3600)
        assert outcomes(edge) == [("unreachable", None)] * 4


# -- the running clock ----------------------------------------------------------------------------


async def test_real_clock() -> None:
    """With a running clock callbacks are sent, and tried again, by themselves."""
    done = asyncio.Event()

    async with serving(clock="real", speed=2000) as edge:

        async def answer(_: Received) -> int:
            if len(receiver.got) < 3:
                return 503
            done.set()
            return 200

        async with receiving(answer) as receiver:
            await told(edge, "evolink", receiver.url())
            async with asyncio.timeout(20):
                await done.wait()
