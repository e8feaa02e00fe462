"""Faults of the family `answers`: what is answered in the provider's place, or with nothing in it."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest
from support.edge import Edge, nothing_logged, serving
from support.faults import (
    Seen,
    exchanges,
    faults_in,
    file_bytes,
    ledgers,
    links_of,
    look,
    put,
    query_bytes,
    rule,
    shows,
    submit_bytes,
    submitted,
    world,
)
from support.tables import for_each

#: An error by its status at each provider, and the body that carries it.
ERRORS: list[tuple[str, int, dict[str, Any]]] = [
    (
        "evolink",
        503,
        {
            "error": {
                "code": 503,
                "message": "The service is not available for now",
                "type": "service_unavailable_error",
            }
        },
    ),
    ("evolink", 502, {"error": {"code": 502, "message": "The upstream service failed", "type": "upstream_error"}}),
    ("googlegeminiomni", 401, {"error": "The API key is missing or wrong"}),
    ("toapis", 429, {"error": {"code": 429, "message": "Too many requests", "type": "rate_limit_exceeded"}}),
    ("crun", 402, {"code": 402, "message": "The account has too few credits for this task", "data": None}),
    ("kiln", 409, {"oops": "over", "about": "this error was requested"}),
]


async def untouched(edge: Edge, name: str) -> None:
    """Check that no task was created and nothing is reserved or spent."""
    assert edge.state(name).tasks == {}
    for ledger in (await ledgers(edge)).values():
        assert [each["kind"] for each in ledger["ledger"]] == ["grant"]


@shows("error")
@for_each("code", [401, 402, 429, 455, 500])
async def test_error_in_a_dialect_that_answers_with_200(code: int) -> None:
    """Where only the body says which error it is, one that is asked for by its status is found by it, in its words."""
    async with serving(providers={"crun": {"dialects": ["always_200"]}}) as edge:
        path = edge.path_of("crun", "balance")
        reply = await edge.call("GET", path, headers={**edge.key_headers("crun"), "Prefer": f"code={code}"})
        declared = next(each for each in edge.provider("crun").errors.values() if each.code == code)
        assert (reply.status, reply.json["code"], reply.json["data"]) == (200, code, None)
        assert "Not found" not in reply.json["message"]
        assert declared.status == 200


@shows("error")
@for_each(("name", "status", "body"), ERRORS)
async def test_error(name: str, status: int, body: dict[str, Any]) -> None:
    """A submit is refused with the provider's own error of this status; nothing happens, and the next one passes."""
    with nothing_logged():
        async with world() as edge:
            made = await put(edge, "error", {"provider": name, "operation": "submit"}, {"times": 1}, status=status)
            seen = await look(edge, submit_bytes(edge, name))
            assert (seen.status, seen.ending) == (status, "kept")
            answer = seen.json
            answer.pop("trace", None)
            assert answer == body
            await untouched(edge, name)
            (record,) = exchanges(edge)
            assert (record["gate"], record["faults"]) == ("fault", ["error"])
            await submitted(edge, name)
            assert faults_in(exchanges(edge)) == [["error"], []]
            assert (await rule(edge, made["id"]))["spent"]


@shows("error")
async def test_error_that_the_provider_does_not_declare() -> None:
    """A status without an error of the provider's comes in its shape, with the status as its code."""
    async with world() as edge:
        await put(edge, "error", {"provider": "crun"}, status=418)
        seen = await look(edge, submit_bytes(edge, "crun"))
        assert (seen.status, seen.json["code"], seen.json["data"]) == (418, 418, None)


@shows("error")
@pytest.mark.parametrize(
    ("status", "kind"), [(504, "internal_server_error"), (599, "internal_server_error"), (418, "not_found_error")]
)
async def test_error_that_is_not_declared_is_the_servers_or_the_clients(status: int, kind: str) -> None:
    """A status of the server's own comes with the words of an error of the server's, not as something not found."""
    async with world() as edge:
        await put(edge, "error", {"provider": "evolink"}, status=status)
        error = (await look(edge, submit_bytes(edge, "evolink"))).json["error"]
        assert (error["code"], error["type"]) == (status, kind)


@shows("error")
async def test_error_by_name() -> None:
    """Where several errors have one status, a name says which; the name's own status counts."""
    async with world() as edge:
        for name, status in (("invalid_request", 400), ("content_refused", 400), ("not_found", 404)):
            made = await put(edge, "error", {"provider": "evolink"}, error=name)
            seen = await look(edge, submit_bytes(edge, "evolink"))
            assert seen.status == status
            (record,) = edge.mock.journal.find(error=name)
            assert record["faults"] == ["error"]
            await edge.admin("DELETE", f"/faults/{made['id']}")


@shows("error", "ok_with_error")
@pytest.mark.parametrize(("fault", "status"), [("error", 400), ("ok_with_error", 200)])
async def test_error_of_an_unknown_name(fault: str, status: int) -> None:
    """A name that only another provider has is told so in the provider's shape, with those that there are."""
    async with world() as edge:
        await put(edge, fault, error="upstream_error")
        seen = await look(edge, submit_bytes(edge, "kiln"))
        assert (seen.status, seen.json["oops"]) == (status, "wrong")
        about = "unknown error 'upstream_error'; known: lost, method, "
        assert seen.json["about"].startswith(about)
        await untouched(edge, "kiln")


@shows("error", "ok_with_error")
@pytest.mark.parametrize("fault", ["error", "ok_with_error"])
async def test_error_name_unknown_to_every_provider(fault: str) -> None:
    """A name that no provider in question has is refused: by the control plane, and in the header."""
    async with world() as edge:
        fault_request = {"fault": fault, "with": {"error": "upstream_error"}, "where": {"provider": "kiln"}}
        reply = await edge.admin("POST", "/faults", fault_request)
        words = f"{fault}: kiln has no error 'upstream_error'; it has lost, method, "
        assert (reply.status, reply.json["error"]["code"]) == (400, "invalid_body")
        assert reply.json["error"]["message"].startswith(words)
        asked = {"X-Mock-Fault": f"{fault};error=upstream_error"}
        seen = await look(edge, submit_bytes(edge, "kiln", headers=asked))
        assert (seen.status, seen.json["oops"]) == (400, "wrong")
        assert seen.json["about"].startswith(words)
        assert (await edge.admin("GET", "/faults")).json["faults"] == []
        await untouched(edge, "kiln")


#: How Retry-After may be written, and what it is then, five seconds before the given date.
RETRY_AFTER = {
    "as_documented": "1",
    "none": None,
    "seconds": "7",
    "date": formatdate(1_780_617_600 + 7, usegmt=True),
}


@shows("error")
@pytest.mark.parametrize(("written", "value"), RETRY_AFTER.items(), ids=RETRY_AFTER)
async def test_retry_after(written: str, value: str | None) -> None:
    """Retry-After is absent, a number of seconds, or a date in mock time, as is asked for."""
    async with world() as edge:
        await put(edge, "error", {"provider": "kiln"}, status=429, retry_after=written, retry_after_s=7)
        seen = await look(edge, submit_bytes(edge, "kiln"))
        assert (seen.status, seen.header("Retry-After")) == (429, value)


@shows("error")
async def test_errors_use_up_no_rate() -> None:
    """An error in the engine's place is not counted in the plan's windows: all of the plan is left afterwards."""
    async with world(providers={"kiln": {"plan": "guest"}}) as edge:
        await put(edge, "error", {"provider": "kiln"}, {"times": 4}, status=503)
        statuses = [(await look(edge, submit_bytes(edge, "kiln"))).status for _ in range(7)]
        assert statuses == [503] * 4 + [201] * 2 + [429]


ASKED: dict[str, dict[str, str]] = {
    "X-Mock-Fault": {"X-Mock-Fault": "error;status=503"},
    "Prefer": {"Prefer": 'respond-async, code="503"'},
}


@shows("error")
@pytest.mark.parametrize("headers", ASKED.values(), ids=ASKED)
async def test_error_by_header(headers: dict[str, str]) -> None:
    """A header asks for one error, for its own request only; it is the same error, byte by byte."""

    async def run(*, asked: bool) -> list[Seen]:
        async with world() as edge:
            if not asked:
                await put(edge, "error", when={"times": 1}, status=503)
            first = submit_bytes(edge, "evolink", headers=headers if asked else {})
            seen = [await look(edge, first), await look(edge, submit_bytes(edge, "evolink"))]
            assert faults_in(exchanges(edge)) == [["error"], []]
            return seen

    by_header = await run(asked=True)
    assert by_header == await run(asked=False)
    assert [seen.status for seen in by_header] == [503, 200]


@shows("error")
async def test_error_by_test_value() -> None:
    """A prompt with mock:429x3 is refused three times, at its own key only, then passes; its queries are left alone."""
    async with world() as edge:
        words, other = "A red kite, mock:429x3.", "sk-evolink-another-key"
        statuses = [(await look(edge, submit_bytes(edge, "evolink", words))).status for _ in range(3)]
        assert statuses == [429] * 3
        await untouched(edge, "evolink")
        task_id = await submitted(edge, "evolink", words)
        assert (await look(edge, query_bytes(edge, "evolink", task_id))).status == 200
        assert (await look(edge, submit_bytes(edge, "evolink", words, key=other))).status == 429
        assert faults_in(exchanges(edge)) == [["error"]] * 3 + [[], [], ["error"]]


@shows("ok_with_error")
async def test_ok_with_error() -> None:
    """An error comes with status 200: the body is the error's to the byte, nothing happens, no Retry-After helps."""

    async def run(fault: str, **given: Any) -> Seen:
        async with world() as edge:
            await put(edge, fault, status=429, **given)
            seen = await look(edge, submit_bytes(edge, "kiln"))
            await untouched(edge, "kiln")
            assert faults_in(exchanges(edge)) == [[fault]]
            return seen

    error, seen = await run("error"), await run("ok_with_error")
    assert (error.status, seen.status, seen.ending) == (429, 200, "kept")
    assert seen.body == error.body
    assert seen.json["oops"] == "busy"
    assert (error.header("Retry-After"), seen.header("Retry-After")) == ("1", None)
    named = await run("ok_with_error", error="poor")
    assert (named.status, named.json["oops"]) == (200, "poor")


@shows("undeclared_status")
@pytest.mark.parametrize("status", [400, 520, 599, 999])
async def test_undeclared_status(status: int) -> None:
    """The answer has any status that three digits can write, and is in no shape of the provider's."""
    with nothing_logged():
        async with world() as edge:
            await put(edge, "undeclared_status", {"operation": "submit"}, status=status)
            seen = await look(edge, submit_bytes(edge, "evolink"))
            assert (seen.status, seen.body, seen.ending) == (status, b"unknown error", "kept")
            assert seen.header("Content-Type") == "text/plain"
            assert seen.header("Content-Length") == "13"
            await untouched(edge, "evolink")


@shows("proxy_page")
@pytest.mark.parametrize(
    ("status", "title"), [(502, "502 Bad Gateway"), (504, "504 Gateway Timeout"), (567, "567 Error")]
)
async def test_proxy_page(status: int, title: str) -> None:
    """An HTML page comes in the provider's place, with the status in its title; nothing happens."""
    async with world() as edge:
        await put(edge, "proxy_page", status=status)
        seen = await look(edge, submit_bytes(edge, "crun"))
        assert (seen.status, seen.ending) == (status, "kept")
        assert seen.header("Content-Type") == "text/html"
        assert seen.body.startswith(f"<html><head><title>{title}</title></head>".encode())
        assert int(seen.header("Content-Length") or 0) == len(seen.body)
        await untouched(edge, "crun")


@shows("empty_body")
async def test_empty_body() -> None:
    """The task is made and paid for; the answer has its status, its headers, a length of 0 and no byte."""
    async with world() as edge:
        await put(edge, "empty_body", {"operation": "submit"}, {"times": 1})
        seen = await look(edge, submit_bytes(edge, "kiln"))
        assert (seen.status, seen.body, seen.header("Content-Length"), seen.ending) == (201, b"", "0", "kept")
        assert seen.header("X-Shelf") == "upper"
        ((task_id, task),) = edge.state("kiln").tasks.items()
        (ledger,) = (await ledgers(edge)).values()
        assert ledger["account"]["reserved_credits"] == task.reserved_ucr / 1e6 > 0
        (record,) = exchanges(edge)
        assert (record["task"], record["gate"], record["faults"]) == (task_id, None, ["empty_body"])
        assert (await look(edge, submit_bytes(edge, "kiln"))).json["stage"] == "drying"


@shows("empty_body")
async def test_empty_file() -> None:
    """A download may be empty as well: status 200, the file's type, and no byte."""
    async with world() as edge:
        task_id = await submitted(edge, "kiln")
        await edge.advance(130)
        link = links_of(edge, "kiln", task_id)[0]
        await put(edge, "empty_body", {"operation": "result"}, {"times": 1})
        seen = await look(edge, file_bytes(link))
        assert (seen.status, seen.body, seen.header("Content-Length")) == (200, b"", "0")
        assert seen.header("Content-Type") == "video/mp4"
        assert len((await look(edge, file_bytes(link))).body) > 1000


@shows("example")
async def test_example() -> None:
    """The answer is the spec's example: the first of a success, or the one that is named; no task is made."""
    async with world() as edge:
        await put(edge, "example", {"operation": "submit"})
        seen = await look(edge, submit_bytes(edge, "evolink"))
        assert (seen.status, seen.json["id"]) == (200, "task-unified-1781000000-k3v09x2a")
        await untouched(edge, "evolink")
        await edge.admin("DELETE", "/faults")
        task_id = await submitted(edge, "evolink")
        for headers, status in (
            ({"X-Mock-Fault": "example"}, "completed"),
            ({"X-Mock-Fault": "example;example=failed"}, "failed"),
            ({"Prefer": "example=failed"}, "failed"),
            ({}, "pending"),
        ):
            seen = await look(edge, query_bytes(edge, "evolink", task_id, headers=headers))
            assert (seen.status, seen.json["status"]) == (200, status)


@shows("example")
async def test_unknown_example() -> None:
    """A name of no example is refused in the provider's shape, with those that there are."""
    async with world() as edge:
        task_id = await submitted(edge, "evolink")
        await put(edge, "example", {"operation": "getTask"}, example="finished")
        seen = await look(edge, query_bytes(edge, "evolink", task_id))
        message = "unknown example 'finished' of getTask; known: completed, failed, "
        assert seen.status == 400
        assert seen.json["error"]["message"].startswith(message)
