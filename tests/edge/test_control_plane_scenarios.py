"""The control plane's scenarios: the record of a running one, what is refused and how, and what cannot be read.

Starting and stopping at all is in test_control_plane_faults.py, what a scenario does in tests/scenarios/.
"""

from __future__ import annotations

from typing import Any

from support.control_plane import bad, check_documented, good
from support.edge import Edge, serving
from support.tables import for_each

from mockserver.scenarios.read import gallery, read
from mockserver.terminal import scenario_report

SCENARIO: dict[str, Any] = {
    "scenario": "a refusal",
    "summary": "One submit is refused.",
    "good_client": "It waits.",
    "timeline": [
        {"fault": "error", "with": {"status": 429}, "where": {"operation": "submit"}, "when": {"times": 1}},
        {"fault": "latency", "with": {"seconds": 0}, "at_s": 3600},
    ],
    "expect": [
        {"that": "ten seconds lie between two submits", "gap": {"operation": "submit"}, "at_least_s": 10},
        {"that": "at most two submits", "count": {"operation": "submit"}, "at_most": 2},
    ],
}


async def test_the_gallery_is_told_in_its_own_words() -> None:
    """What is listed of each scenario of the gallery is what stands in its file."""
    async with serving() as edge:
        for each in (await good(edge, "scenarios"))["gallery"]:
            scenario = read(gallery()[each["name"]])
            told = (each["scenario"], each["summary"], each["good_client"])
            assert told == (scenario.name, scenario.summary, scenario.good_client)


async def test_a_running_scenario_tells_how_it_goes() -> None:
    """Hits, verdicts, what was seen and the numbers of the records that broke something are told at every moment."""
    async with serving() as edge:
        started = (await good(edge, "startScenario", {"scenario": SCENARIO}))["running"]
        assert started == {
            "scenario": "a refusal",
            "summary": "One submit is refused.",
            "good_client": "It waits.",
            "started_at": "2026-06-05T00:00:00.000Z",
            "elapsed_s": 0,
            "faults": (await good(edge, "faults"))["faults"],
            "expect": [
                {"that": each["that"], "kept": True, "seen": "as expected", "records": []}
                for each in SCENARIO["expect"]
            ],
            "forgotten": 0,
        }
        assert [each["when"] for each in started["faults"]] == [{"times": 1}, {"from_s": 3600}]
        assert (await edge.try_submit("evolink")).status == 429
        await edge.advance(10)
        await edge.submit("evolink")
        running = (await good(edge, "scenarios"))["running"]
        assert ([each["hits"] for each in running["faults"]], running["elapsed_s"]) == ([1, 0], 10)
        assert all(each["kept"] for each in running["expect"])
        await edge.advance(9.999)
        await edge.submit("evolink")
        stopped = (await good(edge, "stopScenario"))["stopped"]
        assert [(each["kept"], each["seen"], each["records"]) for each in stopped["expect"]] == [
            (False, "9.999 s, expected at least 10 s", [2, 3]),
            (False, "3, expected at most 2", [3]),
        ]
        assert [each["seq"] for each in (await good(edge, "requests"))["records"]] == [1, 2, 3]
        assert (await good(edge, "tasks"))["total"] == 2


async def test_what_the_journal_has_no_more_is_not_judged() -> None:
    """Records that made room for newer ones were not judged, and a verdict says how many; on the terminal too."""
    async with serving(journal_entries=2) as edge:
        await edge.submit("evolink")
        await good(edge, "startScenario", {"scenario": SCENARIO})
        for number in range(4):
            assert (await good(edge, "scenarios"))["running"]["forgotten"] == max(0, number - 2)
            await edge.try_submit("evolink")
        record = edge.mock.runtime.scenario_record()
        assert record is not None
        assert "  the journal dropped the first 2 records, " in scenario_report(record)
        assert "the journal dropped" not in scenario_report({**record, "forgotten": 0})
        assert "the journal dropped" not in scenario_report({**record, "expect": []})


async def test_every_mistake_is_told() -> None:
    """A scenario with mistakes is refused with each of them and where it stands; the one that runs goes on."""
    async with serving() as edge:
        await good(edge, "startScenario", {"scenario": SCENARIO})
        task_id = await refused_then_taken(edge)
        timeline = [{"fault": "latncy"}, {"fault": "error", "with": {"stat": 1}, "when": {"times": 0}}]
        accounts = [{"provider": "evolink", "plan": "gold"}]
        wrong = {**SCENARIO, "timeline": timeline, "accounts": accounts}
        message = await bad(edge, 400, "invalid_body", "startScenario", {"scenario": wrong})
        assert [line.split(": ")[1] for line in message.splitlines()] == [
            *("timeline/0/fault", "timeline/1/with/stat", "timeline/1/when/times", "accounts/0/plan"),
        ]
        running = (await good(edge, "scenarios"))["running"]
        assert (running["scenario"], running["faults"][0]["hits"]) == ("a refusal", 1)
        assert [each["id"] for each in (await good(edge, "tasks"))["tasks"]] == [task_id]


async def refused_then_taken(edge: Edge) -> str:
    """Submit until a task is made; return its id."""
    assert (await edge.try_submit("evolink")).status == 429
    return await edge.submit("evolink")


@for_each(
    "name",
    [
        *("", "black friday", "Black_Friday", "black_friday.yaml", "./black_friday", "../gallery/black_friday"),
        *(str(gallery()["black_friday"]), "/etc/passwd", "~", "x" * 100_000, "a\nb"),
    ],
)
async def test_no_file_is_read_by_name(name: str) -> None:
    """Over HTTP only built-in names are accepted: a client cannot make the server read its files."""
    async with serving() as edge:
        await bad(edge, 404, "not_found", "startScenario", {"scenario": name})
        assert (await good(edge, "scenarios"))["running"] is None


@for_each(
    ("body", "kind", "status", "code"),
    [
        (
            b'{"scenario": {"scenario": "a", "scenario": "b", "timeline": []}}',
            "application/json",
            400,
            "malformed_body",
        ),
        (b'{"scenario": {"scenario": "a", "timeline": [NaN]}}', "application/json", 400, "malformed_body"),
        (b'{"scenario": ' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}", "application/json", 400, "malformed_body"),
        (b'{"scenario": {"scenario": "\\ud800", "timeline": []}}', "application/json", 400, "malformed_body"),
        (b"scenario: a\ntimeline: []\n", "application/yaml", 415, "unsupported_media_type"),
        (b'{"scenario": "' + b"x" * (1 << 20) + b'"}', "application/json", 413, "body"),
    ],
)
async def test_bodies_that_are_none(body: bytes, kind: str, status: int, code: str) -> None:
    """What is no JSON that everybody would read alike, or is too much of it, is refused before it is looked at."""
    async with serving() as edge:
        reply = await edge.call("POST", "/__admin/scenarios", data=body, headers={"Content-Type": kind})
        assert (reply.status, reply.json["error"]["code"]) == (status, code)
        check_documented("startScenario", reply)
