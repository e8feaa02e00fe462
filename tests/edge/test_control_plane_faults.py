"""The control plane, where it is told what is to go wrong, and in which world: faults, scenarios, sessions.

Every answer is held to control-plane.yaml, whatever else a test asks of it; test_control_plane.py has the rest.
"""

from __future__ import annotations

from typing import Any

import pytest
from support.control_plane import ask, bad, good
from support.edge import OTHER_KEYS, PROVIDERS, request_bytes, serving
from support.tables import for_each

from mockserver.clock import MANUAL_START_MS, iso_of
from mockserver.faults import FAMILIES, all_faults
from mockserver.scenarios.read import gallery

ERROR = {"fault": "error", "with": {"status": 503}}

# -- faults ---------------------------------------------------------------------------------------


async def test_fault_catalog() -> None:
    """The catalogue lists every fault with its parameters: each can be put in force as it stands there."""
    async with serving() as edge:
        found = (await good(edge, "faultCatalog"))["faults"]
        assert [each["name"] for each in found] == list(all_faults())
        assert list(dict.fromkeys(each["family"] for each in found)) == list(FAMILIES)
        for kind in found:
            assert kind["breaks"].endswith(".")
            assert kind["notice"].endswith(".")
            given = {each["name"]: each["default"] for each in kind["parameters"]}
            rule = await good(edge, "addFault", {"fault": kind["name"], "with": given})
            assert (rule["fault"], rule["with"]) == (kind["name"], given)
            for each in kind["parameters"]:
                assert each["summary"].endswith(".")
                assert each["default"] in each["choices"] or not each["choices"]


async def test_faults() -> None:
    """Faults are listed in the order in which they were put in force, with how often they have struck."""
    async with serving() as edge:
        assert await good(edge, "faults") == {"faults": []}
        first = await good(edge, "addFault", {**ERROR, "when": {"times": 2}, "where": {"operation": "submit"}})
        second = await good(edge, "addFault", {"fault": "extra_fields"})
        assert (await good(edge, "faults"))["faults"] == [first, second]
        assert [(await edge.try_submit("evolink")).status for _ in range(3)] == [503, 503, 200]
        one, two = (await good(edge, "faults"))["faults"]
        assert (one["matches"], one["hits"], one["spent"]) == (2, 2, True)
        assert (two["matches"], two["hits"], two["spent"]) == (3, 3, False)
        assert one["id"] != two["id"]


async def test_add_fault() -> None:
    """A fault is put in force with all that was said of it, and that is what is answered."""
    async with serving() as edge:
        task_id = await edge.submit("evolink")
        fault_request = {
            "fault": "error",
            "with": {"status": 429, "retry_after": "seconds", "retry_after_s": 7},
            "where": {
                "provider": "evolink",
                "operation": "query",
                "key": edge.mock.account("evolink").id,
                "task": task_id,
                "model": "gemini-omni-flash-text-to-video",
                "prompt": "[Kk]ite",
                "phase": "processing",
            },
            "when": {
                "after": 1,
                "every": 2,
                "from_s": 0.5,
                "until_s": 1000,
                "for_s": 500,
                "times": 3,
                "probability": 0.999999,
            },
        }
        rule = await good(edge, "addFault", fault_request)
        assert rule["where"] == fault_request["where"]
        assert rule["when"] == fault_request["when"]
        assert rule["with"] == {**fault_request["with"], "error": ""}  # type: ignore[dict-item]
        assert (rule["matches"], rule["hits"], rule["spent"]) == (0, 0, False)
        assert (await edge.query("evolink", task_id)).status == 200
        await edge.advance(30)
        replies = [await edge.query("evolink", task_id) for _ in range(5)]
        assert [each.status for each in replies] == [200, 429, 200, 429, 200]
        assert replies[1].headers["Retry-After"] == "7"
        assert (await good(edge, "faults"))["faults"][0]["hits"] == 2


async def test_add_fault_in_few_words() -> None:
    """Only the fault must be named: the rest has defaults, and conditions that are left out are not listed."""
    async with serving() as edge:
        rule = await good(edge, "addFault", {"fault": "error"})
        assert (rule["with"]["status"], rule["where"], rule["when"]) == (503, {}, {})
        for fault_request in (
            {"fault": "latency", "with": {"seconds": "2s", "spread_s": 1}},
            {"fault": "overdue", "with": {"by_s": "1h"}},
            {"fault": "error", "with": {"status": 502.0}},
            {"fault": "error", "with": {}, "where": {}, "when": {"every": 1, "after": 0, "probability": 1}},
        ):
            await good(edge, "addFault", fault_request)
        rules = (await good(edge, "faults"))["faults"]
        assert rules[1]["with"] == {"seconds": 2, "spread_s": 1, "growth_s": 0}
        assert rules[2]["with"] == {"by_s": 3600}
        assert rules[3]["with"]["status"] == 502
        assert rules[4]["when"] == {}


async def test_faults_by_key() -> None:
    """A fault for a key, by itself or by its account's id, leaves other keys alone."""
    async with serving() as edge:
        await edge.submit("evolink")
        for key in (edge.mock.key("evolink"), edge.mock.account("evolink").id):
            rule = await good(edge, "addFault", {**ERROR, "where": {"key": key}})
            assert (await edge.try_submit("evolink")).status == 503
            assert (await edge.try_submit("evolink", key=OTHER_KEYS["evolink"])).status == 200
            await good(edge, "removeFault", fault_id=rule["id"])


WRONG_FAULTS: list[tuple[dict[str, Any], str]] = [
    ({}, "fault"),
    ({"fault": ""}, "fault"),
    ({"fault": 7}, "fault"),
    ({"fault": "bogus"}, "unknown fault 'bogus'"),
    ({"fault": "latencies"}, "did you mean 'latency'?"),
    ({"fault": "x" * 5000}, "unknown fault"),
    ({"fault": "error", "status": 503}, "status"),
    ({"fault": "error", "with": []}, "with"),
    ({"fault": "error", "with": {"code": 503}}, "error: unknown parameter 'code'; known: status"),
    ({"fault": "error", "with": {"status": "often"}}, "status must be a number"),
    ({"fault": "error", "with": {"status": True}}, "status must be of type integer"),
    ({"fault": "error", "with": {"status": None}}, "status must be of type integer"),
    ({"fault": "error", "with": {"status": {"a": 1}}}, "status must be of type integer"),
    ({"fault": "error", "with": {"status": 503.5}}, "status must be of type integer"),
    ({"fault": "error", "with": {"status": 200}}, "status must be a number from 400 to 599"),
    ({"fault": "error", "with": {"retry_after": "never"}}, "retry_after must be one of as_documented"),
    ({"fault": "latency", "with": {"seconds": 1e300}}, "seconds must be a number from 0 to 3600"),
    ({"fault": "latency", "with": {"seconds": "-1s"}}, "seconds must be a number from 0 to 3600"),
    ({"fault": "broken_gzip", "with": {"level": 9}}, "known: none"),
    ({"fault": "error", "where": []}, "where"),
    ({"fault": "error", "where": {"colour": "red"}}, "colour"),
    (
        {"fault": "error", "where": {"provider": "nobody"}},
        "toapis; got 'nobody'",
    ),
    ({"fault": "error", "where": {"provider": 7}}, "provider"),
    ({"fault": "error", "where": {"key": ""}}, "where.key"),
    ({"fault": "error", "where": {"operation": "stroke"}}, "; got 'stroke'"),
    ({"fault": "error", "where": {"provider": "toapis", "operation": "getBalance"}}, "; got 'getBalance'"),
    ({"fault": "error", "where": {"model": "sora"}}, "; got 'sora'"),
    ({"fault": "error", "where": {"phase": "asleep"}}, "; got 'asleep'"),
    ({"fault": "error", "where": {"prompt": "("}}, "where.prompt"),
    ({"fault": "error", "where": {"prompt": "a{99999999999999999999}"}}, "where.prompt"),
    ({"fault": "error", "where": {"prompt": "(" * 50_000 + ")" * 50_000}}, "where.prompt"),
    ({"fault": "error", "where": {"prompt": "[[a]"}}, "Possible nested set"),
    ({"fault": "error", "where": {"prompt": "(?=a)"}}, "where.prompt"),
    ({"fault": "error", "where": {"prompt": "(a)\\1"}}, "RE2"),
    ({"fault": "error", "when": []}, "when"),
    ({"fault": "error", "when": {"sometimes": True}}, "sometimes"),
    ({"fault": "error", "when": {"times": 0}}, "times"),
    ({"fault": "error", "when": {"times": 1.5}}, "times"),
    ({"fault": "error", "when": {"times": True}}, "times"),
    ({"fault": "error", "when": {"every": 0}}, "every"),
    ({"fault": "error", "when": {"after": -1}}, "after"),
    ({"fault": "error", "when": {"after": "1"}}, "after"),
    ({"fault": "error", "when": {"after": 2**60}}, "after"),
    ({"fault": "error", "when": {"from_s": -1}}, "from_s"),
    ({"fault": "error", "when": {"probability": 1.5}}, "probability"),
    ({"fault": "error", "when": {"probability": -0.5}}, "probability"),
    ({"fault": "error", "when": {"from_s": 60, "until_s": 30}}, "until_s must be greater than from_s"),
    ({"fault": "error", "when": {"from_s": 60, "until_s": 60}}, "until_s must be greater than from_s"),
    ({"fault": "error", "when": {"until_s": 0}}, "until_s must be greater than from_s"),
]


async def test_add_fault_refuses() -> None:
    """A fault request with an unknown name is refused, the message names it, and no fault is added."""
    async with serving() as edge:
        for fault_request, words in WRONG_FAULTS:
            message = await bad(edge, 400, "invalid_body", "addFault", fault_request)
            assert words in message, (str(fault_request)[:80], message)
        assert await good(edge, "faults") == {"faults": []}
        assert (await edge.try_submit("evolink")).status == 200


@pytest.mark.parametrize("body", [[], "error", 7, [ERROR]])
async def test_add_fault_takes_one_wish(body: Any) -> None:
    """A body that is not a fault request is refused."""
    async with serving() as edge:
        await bad(edge, 400, "invalid_body", "addFault", body)


@for_each("number", ["1" + "0" * 30, "1e30", "1e999", "-1e999", "9" * 5000, "0x10", "NaN"])
async def test_numbers_beyond_all(number: str) -> None:
    """A number that nothing can hold is refused, and what is in force can still be listed."""
    async with serving() as edge:
        for place in ('"when": {"after": %s}', '"when": {"until_s": %s}', '"with": {"retry_after_s": %s}'):
            body = ('{"fault": "error", ' + place % number + "}").encode()
            headers = {"Content-Type": "application/json"}
            reply = await edge.call("POST", "/__admin/faults", headers=headers, data=body)
            assert reply.status == 400, (place, reply.body)
            assert reply.json["error"]["code"] in ("invalid_body", "malformed_body")
        assert await good(edge, "faults") == {"faults": []}


async def test_remove_fault() -> None:
    """Removing a fault returns its record; it is applied no more, and cannot be removed again."""
    async with serving() as edge:
        rule = await good(edge, "addFault", ERROR)
        other = await good(edge, "addFault", {"fault": "extra_fields"})
        assert (await edge.try_submit("evolink")).status == 503
        removed = await good(edge, "removeFault", fault_id=rule["id"])
        assert removed == {**rule, "matches": 1, "hits": 1}
        assert (await edge.try_submit("evolink")).status == 200
        assert [each["id"] for each in (await good(edge, "faults"))["faults"]] == [other["id"]]
        assert rule["id"] in await bad(edge, 404, "not_found", "removeFault", fault_id=rule["id"])
        again = await good(edge, "addFault", ERROR)
        assert again["id"] not in (rule["id"], other["id"])


@for_each("fault_id", ["flt_99", "0", "..", "%20", "%ff", "x" * 3000, "flt_1%00"])
async def test_remove_fault_refuses(fault_id: str) -> None:
    """There is no fault under an id that none has, and that is said in few words."""
    async with serving() as edge, edge.raw() as wire:
        await good(edge, "addFault", ERROR)
        await wire.send(request_bytes("DELETE", f"/__admin/faults/{fault_id}"))
        answer = await wire.answer()
        assert answer is not None
        assert (answer.status, answer.json["error"]["code"]) == (404, "not_found")
        assert len(answer.body) < 300
        assert len((await good(edge, "faults"))["faults"]) == 1


async def test_remove_faults() -> None:
    """All faults are taken away at once, also where there are none."""
    async with serving() as edge:
        for _ in range(3):
            await good(edge, "addFault", ERROR)
        assert (await edge.try_submit("crun", input={"prompt": "A kite mock:429"})).status == 503
        assert len((await good(edge, "faults"))["faults"]) == 4
        for _ in range(2):
            assert await good(edge, "removeFaults") == {"faults": []}
            assert await good(edge, "faults") == {"faults": []}
        assert (await edge.try_submit("evolink")).status == 200


async def test_reset_takes_faults_away() -> None:
    """A reset of everything takes the faults away; a reset of the journal leaves them."""
    async with serving() as edge:
        await good(edge, "addFault", ERROR)
        await good(edge, "reset", {"what": "journal"})
        assert len((await good(edge, "faults"))["faults"]) == 1
        await good(edge, "reset", {"what": "all"})
        assert await good(edge, "faults") == {"faults": []}
        assert (await edge.try_submit("evolink")).status == 200


@pytest.mark.parametrize("name", PROVIDERS)
async def test_the_catalogue_does_no_harm(name: str) -> None:
    """With every fault there is in force and then gone, a provider answers as before."""
    async with serving() as edge:
        task_id = await edge.submit(name)
        before = (await edge.query(name, task_id)).body
        for fault, kind in all_faults().items():
            if kind.never_at(edge.provider(name)) is None:
                await good(edge, "addFault", {"fault": fault, "where": {"provider": name}})
        await good(edge, "removeFaults")
        assert (await edge.query(name, task_id)).body == before


# -- scenarios ------------------------------------------------------------------------------------

SCENARIO = {
    "scenario": "two_bad_submits",
    "summary": "The first two submits fail.",
    "good_client": "It tries again.",
    "timeline": [{**ERROR, "where": {"operation": "submit"}, "when": {"times": 2}}],
}


async def test_scenarios() -> None:
    """The gallery is listed with what a good client does; nothing runs until one is started."""
    async with serving() as edge:
        found = await good(edge, "scenarios")
        assert [each["name"] for each in found["gallery"]] == list(gallery())
        assert found["running"] is None


async def test_start_scenario() -> None:
    """A scenario, of the gallery or one's own, starts the world over, runs, and tells at its end how it went."""
    async with serving() as edge:
        await edge.submit("evolink")
        await edge.advance(60)
        for name in gallery():
            running = (await good(edge, "startScenario", {"scenario": name}))["running"]
            assert running["started_at"] == iso_of(MANUAL_START_MS)
            assert (await good(edge, "scenarios"))["running"]["scenario"] == running["scenario"]
        running = (await good(edge, "startScenario", {"scenario": SCENARIO}))["running"]
        assert running["scenario"] == "two_bad_submits"
        assert (await good(edge, "tasks"))["total"] == 0
        assert [(await edge.try_submit("evolink")).status for _ in range(3)] == [503, 503, 200]
        stopped = (await good(edge, "stopScenario"))["stopped"]
        assert [each["hits"] for each in stopped["faults"]] == [2]
        assert await good(edge, "stopScenario") == {"stopped": None}
        assert await good(edge, "faults") == {"faults": []}


async def test_start_scenario_refuses() -> None:
    """A scenario that is none is refused with what is wrong, and the world goes on as it was."""
    async with serving() as edge:
        await edge.submit("evolink")
        await bad(edge, 404, "not_found", "startScenario", {"scenario": "quiet_sunday"})
        wrong: tuple[dict[str, Any], ...] = (
            {"scenario": 7},
            {"scenario": {}},
            {"scenario": {**SCENARIO, "colour": "red"}},
            {"scenario": {**SCENARIO, "timeline": [{"fault": "bogus"}]}},
            {"scenario": SCENARIO, "watch": True},
            {},
        )
        for each in wrong:
            await bad(edge, 400, "invalid_body", "startScenario", each)
        assert (await good(edge, "scenarios"))["running"] is None
        assert (await good(edge, "tasks"))["total"] == 1


# -- sessions -------------------------------------------------------------------------------------


async def test_list_sessions() -> None:
    """Sessions are listed by name with their time, their tasks, and how long they have been idle."""
    async with serving() as edge:
        assert await good(edge, "listSessions") == {"sessions": []}
        now_s = 50.0
        edge.mock.server.sessions._wall_s = lambda: now_s
        for name in ("b", "a"):
            await edge.admin("POST", "/clock", {"advance_s": 60}, **{"X-Mock-Session": name})
        now_s += 1.25
        assert await good(edge, "listSessions") == {
            "sessions": [
                {"name": name, "now": iso_of(MANUAL_START_MS + 60_000), "idle_s": 1.25, "tasks": 0}
                for name in ("a", "b")
            ]
        }


async def test_drop_session() -> None:
    """A session is ended by its name, once; the others and the nameless world stay."""
    async with serving() as edge:
        await edge.submit("evolink")
        for name in ("one", "two"):
            await edge.call("GET", f"/~{name}/__admin/health")
        assert await good(edge, "dropSession", session="one") == {"dropped": "one"}
        assert [each["name"] for each in (await good(edge, "listSessions"))["sessions"]] == ["two"]
        assert "'one'" in await bad(edge, 404, "not_found", "dropSession", session="one")
        await bad(edge, 404, "not_found", "dropSession", session="never")
        assert (await good(edge, "tasks"))["total"] == 1


async def test_sessions_are_listed_and_dropped_from_anywhere() -> None:
    """The list is the server's, not a session's; a session may end itself, and is told so."""
    async with serving() as edge:
        inside = {"X-Mock-Session": "one"}
        found = (await edge.admin("GET", "/sessions", **inside)).json["sessions"]
        assert [each["name"] for each in found] == ["one"]
        assert (await edge.admin("DELETE", "/sessions/one", **inside)).json == {"dropped": "one"}
        assert await good(edge, "listSessions") == {"sessions": []}


@pytest.mark.parametrize("operation", ["faults", "faultCatalog", "scenarios", "listSessions"])
async def test_words_that_mean_nothing(operation: str) -> None:
    """A query that an operation does not know is passed over, as everywhere in the control plane."""
    async with serving() as edge:
        assert (await ask(edge, operation, colour="red")).status == 200
