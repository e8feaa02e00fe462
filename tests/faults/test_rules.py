"""Where and when a rule applies, what it counts, and that the table finds what a search through all rules would."""

from __future__ import annotations

import asyncio
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.edge import Edge, nothing_logged, receiving, request_bytes
from support.engine import START_MS, Client, new_world
from support.faults import (
    SECOND_KEYS,
    Seen,
    deliveries,
    exchanges,
    faults_in,
    file_bytes,
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

from mockserver.chance import Chance, fraction
from mockserver.engine.commands import run_command
from mockserver.engine.faults import Fault, MatchContext
from mockserver.engine.rules import Match, Rule, RuleTable, Schedule
from mockserver.engine.task import status_at
from mockserver.faults import all_faults, build

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mockserver.engine.faults import Moment
    from mockserver.provider import Role

#: Mock seconds from a kiln's task to its end.
KILN_S = 120
#: What a struck request is answered with: no provider declares it.
STRUCK = 599


# -- where ----------------------------------------------------------------------------------------


async def everything(edge: Edge) -> dict[str, bytes]:
    """Let tasks be made and end; return requests of all sorts about them, and others, by their labels."""
    other = SECOND_KEYS["evolink"]
    red = await submitted(edge, "evolink", "A red kite")
    blue = await submitted(edge, "evolink", "A blue kite", key=other)
    done = await submitted(edge, "kiln", "A red bowl")
    await edge.advance(40)
    speech = next(name for name in edge.provider("googlegeminiomni").models if "audio" in name)
    await edge.advance(80)
    young = await submitted(edge, "evolink", "A red kite")
    return {
        "red query": query_bytes(edge, "evolink", red),
        "blue query": query_bytes(edge, "evolink", blue, key=other),
        "young query": query_bytes(edge, "evolink", young),
        "strange query": query_bytes(edge, "evolink", red, key=other),
        "evolink balance": request_bytes(
            "GET", edge.path_of("evolink", "balance"), headers=edge.key_headers("evolink")
        ),
        "red submit": submit_bytes(edge, "evolink", "A red kite"),
        "blue submit": submit_bytes(edge, "evolink", "A blue kite", key=other),
        "evolink nowhere": request_bytes("GET", "/evolink/v9", headers=edge.key_headers("evolink")),
        "red file": file_bytes(links_of(edge, "evolink", red)[0]),
        "kiln query": query_bytes(edge, "kiln", done),
        "kiln file": file_bytes(links_of(edge, "kiln", done)[0]),
        "kiln list": request_bytes("GET", edge.path_of("kiln", "list"), headers=edge.key_headers("kiln")),
        "speech submit": submit_bytes(
            edge, "googlegeminiomni", "-", model=speech, script="A red kite", language="en-US"
        ),
        "video submit": submit_bytes(edge, "googlegeminiomni", "A red kite"),
    }


OF_EVOLINK = (
    "red query",
    "blue query",
    "young query",
    "strange query",
    "evolink balance",
    "red submit",
    "blue submit",
    "evolink nowhere",
    "red file",
)
#: Conditions, where {red} is the id of a task and {account} that of an account, and what they apply to.
WHERE: list[tuple[dict[str, str], tuple[str, ...]]] = [
    ({"provider": "evolink"}, OF_EVOLINK),
    ({"provider": "kiln"}, ("kiln query", "kiln file", "kiln list")),
    ({"provider": "crun"}, ()),
    ({"operation": "query"}, ("red query", "blue query", "young query", "strange query", "kiln query")),
    ({"operation": "getTask"}, ("red query", "blue query", "young query", "strange query")),
    ({"operation": "submit"}, ("red submit", "blue submit", "speech submit", "video submit")),
    ({"operation": "result"}, ("red file", "kiln file")),
    ({"operation": "listPieces"}, ("kiln list",)),
    (
        {"key": "sk-evolink-mock-key"},
        ("red query", "young query", "evolink balance", "red submit", "red file"),
    ),
    ({"key": "{account}"}, ("red query", "young query", "evolink balance", "red submit", "red file")),
    ({"key": "sk-evolink-another-key"}, ("blue query", "strange query", "blue submit")),
    ({"task": "{red}"}, ("red query", "red file")),
    ({"model": "gemini-omni-audio"}, ("speech submit",)),
    ({"model": "celadon"}, ("kiln query", "kiln file")),
    (
        {"prompt": r"\bred\b"},
        (
            "red query",
            "young query",
            "red submit",
            "red file",
            "kiln query",
            "kiln file",
            "speech submit",
            "video submit",
        ),
    ),
    ({"prompt": "^A blue kite$"}, ("blue query", "blue submit")),
    ({"text": "A red kite"}, ("red query", "young query", "red submit", "red file", "speech submit", "video submit")),
    ({"text": "A red"}, ()),
    ({"phase": "completed"}, ("red query", "blue query", "red file")),
    ({"phase": "pending"}, ("young query",)),
    ({"phase": "glazed"}, ("kiln query", "kiln file")),
    ({"provider": "evolink", "operation": "query", "text": "A red kite", "phase": "pending"}, ("young query",)),
    ({"provider": "kiln", "key": "sk-evolink-mock-key"}, ()),
    ({"task": "{red}", "operation": "result"}, ("red file",)),
    ({"key": "{account}", "prompt": "red", "operation": "submit"}, ("red submit",)),
]


@pytest.mark.parametrize(("where", "struck"), WHERE, ids=[str(each[0]) for each in WHERE])
def test_where(where: dict[str, str], struck: tuple[str, ...]) -> None:
    """A rule affects what all of its conditions apply to, and answers everything else as ever."""

    async def run(*, rule_in_force: bool) -> dict[str, Seen]:
        async with world() as edge:
            requests = await everything(edge)
            names = {"red": next(iter(edge.state("evolink").tasks)), "account": edge.mock.account("evolink").id}
            if rule_in_force:
                words = {
                    key: value.format(**names) if key in ("task", "key") else value for key, value in where.items()
                }
                made = await put(edge, "undeclared_status", words, status=STRUCK)
                assert made["where"] == words
            seen = {label: await look(edge, request) for label, request in requests.items()}
            if rule_in_force:
                counted = await rule(edge, made["id"])
                assert (counted["matches"], counted["hits"]) == (len(struck), len(struck))
                named = [each == ["undeclared_status"] for each in faults_in(exchanges(edge))[-len(requests) :]]
                assert named == [label in struck for label in requests]
            return seen

    seen = asyncio.run(run(rule_in_force=True))
    assert tuple(label for label in seen if seen[label].status == STRUCK) == struck
    calm = _calm()
    for label, answer in seen.items():
        if label not in struck and not (label.endswith("submit") and struck):
            assert answer == calm[label], label


@cache
def _calm() -> dict[str, Seen]:
    async def run() -> dict[str, Seen]:
        async with world() as edge:
            return {label: await look(edge, request) for label, request in (await everything(edge)).items()}

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("fault", "operation", "words"),
    [
        ("fail", "showPiece", "fail applies only to submit, not to showPiece"),
        ("lost_callback", "submit", "lost_callback applies only to callback, not to submit"),
        ("expired_link", "query", "expired_link applies only to result, not to query"),
        ("latency", "callback", "latency applies to requests, not to callback"),
    ],
)
async def test_rules_that_cannot_apply(fault: str, operation: str, words: str) -> None:
    """A rule that nothing could ever meet is refused, and says why."""
    async with world() as edge:
        reply = await edge.admin("POST", "/faults", {"fault": fault, "where": {"operation": operation}})
        assert (reply.status, reply.json["error"]["message"]) == (400, f"where.operation: {words}")


@pytest.mark.parametrize(
    ("fault", "provider", "why"),
    [
        ("lost_callback", "toapis", "ToAPIs sends no callbacks"),
        ("wrong_signature", "toapis", "ToAPIs sends no callbacks"),
        ("wrong_signature", "evolink", "EvoLink does not sign its callbacks"),
        ("older_status", "crun", "crun.ai has no former names of states"),
    ],
)
async def test_rules_that_cannot_apply_at_a_provider(fault: str, provider: str, why: str) -> None:
    """It is refused where the provider is named; for whoever is served, it is taken."""
    async with world() as edge:
        reply = await edge.admin("POST", "/faults", {"fault": fault, "where": {"provider": provider}})
        message = f"where.provider: {fault} cannot apply: {why}"
        assert (reply.status, reply.json["error"]["message"]) == (400, message)
        assert (await edge.admin("POST", "/faults", {"fault": fault})).status == 200


@shows("fail")
@for_each(
    ("where", "fails"),
    [
        ({"prompt": "red"}, [True, False]),
        ({"key": "pass-0002"}, [False, True]),
        ({"operation": "bringPiece"}, [True, True]),
        ({"phase": "drying"}, [True, True]),
        ({"phase": "glazed"}, [False, False]),
    ],
)
async def test_where_a_task_is_made(where: dict[str, str], fails: list[bool]) -> None:
    """Conditions on tasks are judged as they are made: by the submit's operation, prompt and key, and the state."""
    async with world() as edge:
        await put(edge, "fail", {"provider": "kiln", **where}, stage=1)
        tasks = [
            await submitted(edge, "kiln", "A red bowl"),
            await submitted(edge, "kiln", "A blue bowl", key="pass-0002"),
        ]
        await edge.advance(130)
        assert [edge.mock.task(task).status == "cracked" for task in tasks] == fails


@shows("lost_callback")
@for_each(
    ("where", "lost"),
    [
        ({"phase": "glazed"}, [True, False]),
        ({"phase": "cracked"}, [False, True]),
        ({"operation": "callback"}, [True, True]),
        ({"text": "A bad bowl"}, [False, True]),
        ({"model": "celadon", "key": "pass-0000"}, [True, True]),
    ],
)
async def test_where_a_callback_is_sent(where: dict[str, str], lost: list[bool]) -> None:
    """Conditions on callbacks are judged at the task's end: its state is the end, the operation is called callback."""
    async with world() as edge, receiving() as receiver:
        await put(edge, "fail", {"text": "A bad bowl"}, stage=1)
        await put(edge, "lost_callback", where)
        for prompt in ("A good bowl", "A bad bowl"):
            await submitted(edge, "kiln", prompt, receiver.url())
            await edge.advance(130)
        assert [each["outcome"] == "lost" for each in deliveries(edge)] == lost
        assert len(receiver.got) == lost.count(False)


# -- when -----------------------------------------------------------------------------------------

#: Conditions in counts, and which of ten requests they let be struck.
COUNTS: list[tuple[dict[str, int], str]] = [
    ({}, "xxxxxxxxxx"),
    ({"after": 3}, "---xxxxxxx"),
    ({"every": 3}, "x--x--x--x"),
    ({"after": 2, "every": 4}, "--x---x---"),
    ({"times": 2}, "xx--------"),
    ({"after": 1, "every": 2, "times": 3}, "-x-x-x----"),
    ({"after": 10}, "----------"),
    ({"probability": 0}, "----------"),
    ({"probability": 1, "times": 1}, "x---------"),
]


@for_each(("when", "struck"), COUNTS)
async def test_counts(when: dict[str, int], struck: str) -> None:
    """After so many, every nth, and so often: in what the rule applies to; others in between are not counted."""
    async with world() as edge:
        task_id = await submitted(edge, "evolink")
        made = await put(edge, "undeclared_status", {"operation": "query"}, when, status=STRUCK)
        blank = {"after": 0, "every": 1, "probability": 1}
        assert made["when"] == {name: value for name, value in when.items() if blank.get(name) != value}
        marks = ""
        for _ in range(10):
            assert (await look(edge, submit_bytes(edge, "evolink"))).status == 200
            seen = await look(edge, query_bytes(edge, "evolink", task_id))
            marks += "x" if seen.status == STRUCK else "-"
        assert marks == struck
        counted = await rule(edge, made["id"])
        assert counted["hits"] == struck.count("x")
        assert counted["spent"] == ("times" in when)
        assert counted["matches"] == 10 if "times" not in when else struck.rindex("x") + 1


#: Conditions in mock time, and the seconds (of 0, 4.999, 5, 9.999, 10, 14.999, 15 and 20) at which they strike.
TIMES: list[tuple[dict[str, float], set[float]]] = [
    ({"from_s": 5}, {5, 9.999, 10, 14.999, 15, 20}),
    ({"until_s": 10}, {0, 4.999, 5, 9.999}),
    ({"from_s": 5, "until_s": 15}, {5, 9.999, 10, 14.999}),
    ({"for_s": 5}, {0, 4.999}),
    ({"from_s": 5, "for_s": 10}, {5, 9.999, 10, 14.999}),
    ({"after": 2, "for_s": 10}, {5, 9.999, 10, 14.999}),
    ({"from_s": 0.5, "until_s": 100, "times": 2}, {4.999, 5}),
    ({"until_s": 0.001}, {0}),
]


@for_each(("when", "struck"), TIMES)
async def test_times(when: dict[str, float], struck: set[float]) -> None:
    """From an instant on, until an instant, and for so long after the first hit: in mock time since it was added."""
    async with world() as edge:
        task_id = await submitted(edge, "evolink")
        await edge.advance(1000)
        await put(edge, "undeclared_status", {"operation": "query"}, when, status=STRUCK)
        found, at_s = set(), 0.0
        for second in (0, 4.999, 5, 9.999, 10, 14.999, 15, 20):
            await edge.advance(round(second - at_s, 3))
            at_s = second
            if (await look(edge, query_bytes(edge, "evolink", task_id))).status == STRUCK:
                found.add(second)
        assert found == struck


async def pattern(edge: Edge, others: Sequence[bytes] = (), number: int = 40) -> str:
    """Return which of one account's queries are affected, with requests of others in between."""
    task_id = await submitted(edge, "evolink")
    marks = ""
    for index in range(number):
        for request in others[: index % (len(others) + 1)]:
            await look(edge, request)
        marks += "x" if (await look(edge, query_bytes(edge, "evolink", task_id))).status == STRUCK else "-"
    return marks


async def test_probability() -> None:
    """Which are affected is drawn from the seed: about as many as is said, the same again, and others with another."""

    async def run(seed: int) -> str:
        async with world(seed=seed) as edge:
            await put(edge, "undeclared_status", {"operation": "query"}, {"probability": 0.3}, status=STRUCK)
            return await pattern(edge, number=100)

    first = await run(1)
    assert await run(1) == first
    assert await run(2) != first
    assert 15 <= first.count("x") <= 45


async def test_probability_is_independent_of_others() -> None:
    """What others do (other accounts, requests without a key, rules put in force before) changes no draw."""

    async def run(*, alone: bool) -> str:
        async with world() as edge:
            others: list[bytes] = []
            if not alone:
                for fault in ("latency", "extra_fields"):
                    given: dict[str, Any] = {"seconds": 0} if fault == "latency" else {}
                    await put(edge, fault, {"provider": "toapis"}, **given)
                others = [
                    submit_bytes(edge, "evolink", "mock:503 of another", key=SECOND_KEYS["evolink"]),
                    request_bytes("GET", edge.query_path("evolink", "task-unified-1")),
                    query_bytes(edge, "evolink", "task-unified-1", key=SECOND_KEYS["evolink"]),
                    query_bytes(edge, "evolink", "task-unified-1", key="sk-a-third-key"),
                ]
                await look(edge, others[0])
            await put(edge, "undeclared_status", {"operation": "query"}, {"probability": 0.5}, status=STRUCK)
            return await pattern(edge, others)

    alone = await run(alone=True)
    assert {"x", "-"} == set(alone)
    assert await run(alone=False) == alone


async def test_the_first_request_of_each_key_draws_for_itself() -> None:
    """A key that has never been used draws by its own account already: not by how many other new ones came before."""

    async def run(order: Sequence[int]) -> dict[int, int]:
        async with world() as edge:
            await put(edge, "undeclared_status", {"operation": "query"}, {"probability": 0.5}, status=STRUCK)
            out = {}
            for number in order:
                request = query_bytes(edge, "evolink", "task-unified-1", key=f"sk-new-{number}")
                out[number] = (await look(edge, request)).status
            return out

    there = await run(range(12))
    assert set(there.values()) == {404, STRUCK}
    assert await run(range(11, -1, -1)) == there


async def test_two_rules_of_one_kind_draw_apart() -> None:
    """Two rules that say the same are two: they do not affect the same requests."""

    async def run() -> list[str]:
        async with world() as edge:
            for _ in range(2):
                await put(edge, "extra_fields", {"operation": "query"}, {"probability": 0.5})
            await put(edge, "undeclared_status", {"operation": "balance"}, {"probability": 0.5}, status=STRUCK)
            task_id = await submitted(edge, "evolink")
            hits = []
            for _ in range(20):
                before = [each["hits"] for each in (await edge.admin("GET", "/faults")).json["faults"]]
                await look(edge, query_bytes(edge, "evolink", task_id))
                after = [each["hits"] for each in (await edge.admin("GET", "/faults")).json["faults"]]
                hits.append([new - old for new, old in zip(after, before, strict=True)])
            return ["".join(map(str, series)) for series in zip(*hits, strict=True)]

    first, second, third = await run()
    assert first != second
    assert "1" in first
    assert "1" in second
    assert third == "0" * 20


# -- ids, order, removal --------------------------------------------------------------------------


@shows("error")
@pytest.mark.parametrize("name", ["evolink", "kiln"])
async def test_request_ids_are_those_without_a_fault(name: str) -> None:
    """Whatever is answered in the engine's place bears the id that the engine's answer would have borne."""

    async def run(*, struck: bool) -> list[str | None]:
        async with world() as edge:
            if struck:
                await put(edge, "error", {"provider": name}, {"every": 2})
            key_header = edge.provider(name).key.header
            path = edge.path_of(name, "submit")
            big = request_bytes(
                "POST",
                path,
                headers={**edge.key_headers(name), "Content-Type": "application/json"},
                body=b" " * 2_000_000,
            )
            requests = [
                submit_bytes(edge, name),
                submit_bytes(edge, name, key=SECOND_KEYS[name]),
                request_bytes("GET", f"/{name}/nowhere"),
                query_bytes(edge, name, "nothing"),
                request_bytes("GET", edge.path_of(name, "balance")),
                query_bytes(edge, name, "nothing", key="?"),
                big,
                submit_bytes(edge, name, key=SECOND_KEYS[name]),
                submit_bytes(edge, name),
            ]
            header = edge.provider(name).request_id_header
            assert key_header
            return [(await look(edge, each)).header(header) for _ in range(2) for each in requests]

    ids = await run(struck=True)
    assert None not in ids
    assert len(set(ids)) == len(ids)
    assert ids == await run(struck=False)


@shows("extra_fields", "model_echo", "null_field")
async def test_order() -> None:
    """Rules apply in the order in which they were added, then what the request itself asks for; all are named so."""
    async with world() as edge:
        await put(edge, "model_echo", {"operation": "query"}, name_as="first")
        await put(edge, "extra_fields", {"prompt": "kite"}, field="model")
        task_id = await submitted(edge, "evolink")
        await edge.admin("DELETE", "/faults")
        orders: list[tuple[str, str]] = [("null_field", "extra_fields"), ("extra_fields", "null_field")]
        for faults in orders:
            for fault in faults:
                where = {"operation": "query"} if fault == "null_field" else {"prompt": "kite"}
                await put(edge, fault, where, field="model" if fault == "extra_fields" else "/model")
            headers = {"X-Mock-Fault": 'other_type;field="/status", unknown_status'}
            answer = (await look(edge, query_bytes(edge, "evolink", task_id, headers=headers))).json
            assert answer["model"] == (None if faults[1] == "null_field" else {"version": 2, "tags": ["a", None]})
            assert answer["status"] == ["reviewing"]
            assert exchanges(edge)[-1]["faults"] == [*faults, "other_type", "unknown_status"]
            await edge.admin("DELETE", "/faults")


@shows("error", "proxy_page", "extra_fields")
async def test_the_first_answer_counts() -> None:
    """Of several answers in the engine's place the first rule's is given; what changes answers changes that one."""
    async with world() as edge:
        first = await put(edge, "error", {"provider": "evolink"}, status=503)
        second = await put(edge, "proxy_page", {"operation": "query"})
        await put(edge, "extra_fields")
        seen = await look(edge, query_bytes(edge, "evolink", "task-unified-1"))
        assert (seen.status, seen.json["error"]["x_internal"]["version"]) == (503, 2)
        assert faults_in(exchanges(edge)) == [["error", "extra_fields"]]
        assert (await rule(edge, first["id"]))["hits"] == 1
        counted = await rule(edge, second["id"])
        assert (counted["matches"], counted["hits"]) == (1, 0)
        await edge.admin("DELETE", f"/faults/{first['id']}")
        assert (await look(edge, query_bytes(edge, "evolink", "task-unified-1"))).status == 502


async def test_removal() -> None:
    """A rule that is removed no longer applies; all can be removed at once, and a reset takes them too."""
    async with world() as edge:
        task_id = await submitted(edge, "evolink")
        request = query_bytes(edge, "evolink", task_id)

        async def struck() -> bool:
            return (await look(edge, request)).status == STRUCK

        made = [await put(edge, "undeclared_status", status=STRUCK) for _ in range(2)]
        assert await struck()
        reply = await edge.admin("DELETE", f"/faults/{made[0]['id']}")
        assert (reply.json["id"], reply.json["hits"]) == (made[0]["id"], 1)
        assert (await edge.admin("DELETE", f"/faults/{made[0]['id']}")).status == 404
        assert await struck()
        assert (await edge.admin("DELETE", "/faults")).json == {"faults": []}
        assert not await struck()
        await put(edge, "undeclared_status", {"task": task_id}, status=STRUCK)
        assert await struck()
        await edge.admin("POST", "/reset", {"what": "all"})
        assert (await edge.admin("GET", "/faults")).json == {"faults": []}
        assert await submitted(edge, "evolink") == task_id
        assert not await struck()


@for_each("name", sorted(all_faults()))
async def test_every_fault_works_with_the_sixth_provider(name: str) -> None:
    """With kiln a whole job meets each fault by its defaults: nothing breaks in the mock, and its accounts balance."""
    gently: dict[str, dict[str, Any]] = {
        "held_open": {"seconds": 0},
        "latency": {"seconds": 0.001},
        "slow_body": {"bytes_per_s": 1e6},
        "slow_file": {"bytes_per_s": 1e7},
    }

    with nothing_logged():
        async with world() as edge, receiving() as receiver:
            made = await put(edge, name, {}, **gently.get(name, {}))  # for whoever is served: some never strike kiln
            assert made["fault"] == name
            seen = [await look(edge, submit_bytes(edge, "kiln", hook=receiver.url()))]
            task_id = next(iter(edge.state("kiln").tasks), "piece-0")
            for seconds in (15, 30, KILN_S - 45):
                seen.append(await look(edge, query_bytes(edge, "kiln", task_id)))
                await edge.advance(seconds)
            seen.append(await look(edge, query_bytes(edge, "kiln", task_id)))
            links = links_of(edge, "kiln", task_id) if task_id in edge.state("kiln").tasks else []
            seen += [await look(edge, file_bytes(link)) for link in links]
            await edge.advance(86_400)
            assert all(each.ending in ("kept", "closed", "reset") for each in seen)
            assert not any(b"mock server itself failed" in each.raw for each in seen)
            assert (await edge.admin("GET", "/callbacks")).status == 200
            hits = (await rule(edge, made["id"]))["hits"]
            assert (hits > 0) == (name not in ("model_echo", "older_status"))


# -- the table, against a search through all rules ------------------------------------------------

KEYS = ("sk-one", "sk-two")
TEXTS = ("A red kite", "A blue kite", "red")
PATTERNS = ("red", "^A ", "kite$", "nothing")
MODELS = ("celadon", "porcelain")
NAMES = (("bringPiece", "submit"), ("showPiece", "query"), ("fetchPiece", "result"), ("submit", "submit"), ())
KINDS = ("error", "file_error", "lost_answer", "replication_lag", "fail", "early_callback", "late_callback", "latency")


@cache
def tasks() -> tuple[Any, Any]:
    """Return a space of the kiln's, and two tasks in it: one of them fails half way."""
    kiln = Client(new_world(), "kiln")
    ids = [kiln.submit(START_MS).task_id for _ in range(2)]
    run_command(kiln.world, ids[1] or "", "fail", START_MS + 60_000)
    return kiln.state, [kiln.task(each) for each in ids]


@st.composite
def match_context(draw: st.DrawFn) -> MatchContext:
    """Draw what is known of a request, a task or a callback."""
    state, known = tasks()
    found = MatchContext(state, START_MS + draw(st.integers(0, 150)) * 1000, draw(st.sampled_from(NAMES)))
    found.provider = draw(st.sampled_from(("kiln", "evolink")))
    found.key = draw(st.none() | st.sampled_from(KEYS))
    found.account_id = draw(st.none() | st.sampled_from(("acc-1", "acc-2", "sk-one")))
    found.task = draw(st.none() | st.sampled_from(known))
    found.task_id = None if found.task is None else found.task.id
    found.model = draw(st.none() | st.sampled_from(MODELS))
    found.texts = draw(st.lists(st.sampled_from(TEXTS), max_size=3))
    return found


def wheres() -> st.SearchStrategy[Match]:
    """Draw where a rule applies."""
    _, known = tasks()
    return st.builds(
        Match,
        provider=st.none() | st.sampled_from(("kiln", "evolink")),
        operation=st.none() | st.sampled_from(("submit", "bringPiece", "query", "callback", "fetchPiece")),
        key=st.none() | st.sampled_from((*KEYS, "acc-1")),
        task=st.none() | st.sampled_from([each.id for each in known]),
        model=st.none() | st.sampled_from(MODELS),
        prompt=st.none() | st.sampled_from(PATTERNS).map(re.compile),
        text=st.none() | st.sampled_from(TEXTS),
        phase=st.none() | st.sampled_from(("drying", "firing", "glazed", "cracked")),
    )


def whens() -> st.SearchStrategy[Schedule]:
    """Draw when a rule applies."""
    return st.builds(
        Schedule,
        after=st.integers(0, 3),
        every=st.integers(1, 3),
        probability=st.sampled_from((1.0, 0.5, 0.0)),
        from_s=st.sampled_from((0.0, 10.0, 60.0)),
        until_s=st.none() | st.sampled_from((70.0, 100.0)),
        for_s=st.none() | st.sampled_from((0.0, 5.0, 40.0)),
        times=st.none() | st.integers(1, 3),
    )


def applies(where: Match, known: MatchContext) -> bool:
    """Tell by the letter whether a rule's conditions hold."""
    conditions = [
        where.provider in (None, known.provider),
        where.operation is None or where.operation in known.names,
        where.key is None or where.key in {known.key, known.account_id},
        where.task in (None, known.task_id),
        where.model in (None, known.model),
        where.text is None or where.text in known.texts,
        where.prompt is None or [text for text in known.texts if where.prompt.search(text)] != [],
        where.phase is None or (known.task is not None and status_at(known.task, known.now_ms).status == where.phase),
    ]
    return all(conditions)


def brute_force(rules: list[Rule], moment: Moment, known: MatchContext, role: Role | None) -> list[Rule]:
    """Search through all rules, in the order in which they were added."""
    return [
        each
        for each in rules
        if moment in each.fault.moments()
        and (moment != "request" or each.fault.roles is None or role in each.fault.roles)
        and applies(each.where, known)
        and each.is_open(known.now_ms)
    ]


ROLES: tuple[Role | None, ...] = ("submit", "query", "result", None)
MOMENTS: tuple[Moment, ...] = ("request", "task", "callback")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from(KINDS), wheres(), whens()),
        st.tuples(st.just("remove"), st.integers(0, 30)),
        st.tuples(st.just("clear")),
        st.tuples(st.just("strike"), st.sampled_from(MOMENTS), match_context(), st.sampled_from(ROLES)),
        st.tuples(st.just("find"), st.sampled_from(MOMENTS), match_context(), st.sampled_from(ROLES)),
    ),
    min_size=5,
    max_size=40,
)


@pytest.mark.slow
@given(first=st.lists(st.tuples(st.sampled_from(KINDS), wheres(), whens()), max_size=12), steps=STEPS)
@settings(max_examples=80)
def test_the_table_finds_what_a_search_finds(first: list[Any], steps: list[Any]) -> None:
    """Whatever is added, removed and affected in between: find() is a search through all rules, in their order."""
    table = RuleTable(Chance(1))
    rules: list[Rule] = []
    for kind, where, when in first:
        rules.append(table.add(build(kind, {}), where, when, START_MS))
    for name, *words in steps:
        if name == "add":
            kind, where, when = words
            rules.append(table.add(build(kind, {}), where, when, START_MS))
        elif name == "remove" and rules:
            gone = rules.pop(words[0] % len(rules))
            assert table.remove(gone.id) is gone
        elif name == "clear":
            table.clear()
            rules.clear()
        elif name in ("strike", "find"):
            moment, known, role = words
            found = table.find(moment, known, role)
            assert found == brute_force(rules, moment, known, role)
            if name == "strike":
                for injection in table.injections(found, known):
                    injection.mark_applied()
    assert list(table.rules.values()) == rules
    assert bool(table) == bool(rules)


@pytest.mark.slow
@given(steps=STEPS, asked=st.lists(match_context(), min_size=1, max_size=3))
@settings(max_examples=50)
def test_what_the_table_remembers(steps: list[Any], asked: list[MatchContext]) -> None:
    """What was found under a name is, found again at any later instant, what a search would find then."""
    table = RuleTable(Chance(1))
    rules: list[Rule] = []
    for name, *words in steps:
        if name == "add":
            kind, where, when = words
            rules.append(table.add(build(kind, {}), where, when, START_MS))
        elif name == "remove" and rules:
            table.remove(rules.pop(words[0] % len(rules)).id)
        else:
            for number, known in enumerate(asked):
                table.find("request", known, "query", number)
        for number, known in enumerate(asked):
            remembered = table.remembered(number, known.now_ms)
            assert remembered is None or remembered == brute_force(rules, "request", known, "query")


@pytest.mark.slow
@given(
    when=whens(), calls=st.lists(st.tuples(st.integers(0, 20), st.sampled_from(("acc-1", "acc-2", None))), max_size=30)
)
@settings(max_examples=200)
def test_a_rule_applies_by_its_counts_and_times(when: Schedule, calls: list[tuple[int, str | None]]) -> None:
    """A rule applies exactly where its counts, its times and its draws say, worked out here by hand."""
    state, _ = tasks()
    chance = Chance(3)
    table = RuleTable(chance)
    made = table.add(build("error", {}), Match(), when, START_MS)
    now_s = matches = hits = 0
    first_hit_s: int | None = None
    of_account: dict[str | None, int] = {}
    for waited_s, account_id in calls:
        now_s += waited_s
        known = MatchContext(state, START_MS + now_s * 1000, ())
        known.account_id = account_id
        in_time = now_s >= when.from_s and (when.until_s is None or now_s < when.until_s)
        in_time = in_time and (when.for_s is None or first_hit_s is None or now_s < first_hit_s + when.for_s)
        expected = False
        if in_time and (when.times is None or hits < when.times):
            matches += 1
            number = of_account[account_id] = of_account.get(account_id, -1) + 1
            drawn = fraction(chance.draw(f"fault/{made.chance_name}/{account_id}/{number}"), 0)
            in_turn = matches > when.after and (matches - when.after - 1) % when.every == 0
            expected = in_turn and (when.probability == 1 or drawn < when.probability)
        found = table.find("request", known, None)
        injections = table.injections(found, known)
        assert len(injections) == expected
        for injection in injections:
            injection.mark_applied()
            injection.mark_applied()
            hits += 1
            first_hit_s = now_s if first_hit_s is None else first_hit_s
    assert (made.matches, made.hits) == (matches, hits)


def test_a_prompt_with_two_texts() -> None:
    """A rule whose pattern is in two texts of one request affects it once."""
    state, _ = tasks()
    table = RuleTable(Chance(1))
    made = table.add(build("error", {}), Match(prompt=re.compile("kite")), Schedule(), START_MS)
    known = MatchContext(state, START_MS, ("submit", "submit"))
    known.texts = ["A red kite", "A blue kite", "A red kite"]
    assert table.find("request", known, "submit") == [made]


def test_an_empty_table_keeps_nothing() -> None:
    """When all rules have gone, nothing of them is left in the table."""
    table = RuleTable(Chance(1))
    for where in (Match(), Match(prompt=re.compile("x")), Match(text="y"), Match(task="z", key="k")):
        for kind in KINDS:
            table.add(build(kind, {}), where, Schedule(), START_MS)
    table.clear()
    assert not table
    assert (table._buckets, table._pattern_hits, table._order) == ({}, {}, {})


def test_every_moment_has_a_fault() -> None:
    """The faults that these properties are tried with have all the hooks' moments, and roles as well as none."""
    kinds: list[type[Fault]] = [all_faults()[name] for name in KINDS]
    assert {moment for kind in kinds for moment in kind.moments()} == set(MOMENTS)
    assert {kind.roles is None for kind in kinds} == {True, False}
