"""Fault requests inside requests: test values in prompts, X-Mock-Fault, Prefer.

Most of it is asked of a world directly, for every provider; what depends on bytes is asked over a socket.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.edge import ONE_DAILY, Edge, example, nothing_logged, request_bytes, serving
from support.engine import (
    ALL,
    RECEIVER,
    SHIPPED,
    START_MS,
    WITH_CALLBACKS,
    Client,
    due_deliveries,
    keys_of,
    loads,
    providers,
)
from support.tables import for_each

import mockserver.engine.injection
from mockserver.chance import Chance
from mockserver.engine.callbacks import signature_of
from mockserver.engine.rules import Match, Schedule
from mockserver.engine.task import status_at
from mockserver.engine.world import World, WorldRules
from mockserver.faults import all_faults, build, directives
from mockserver.spec.document import Document
from mockserver.spec.vocabulary import builtin_specs

if TYPE_CHECKING:
    from multidict import CIMultiDict

    from mockserver.engine.callbacks import Delivery
    from mockserver.engine.messages import Response
    from mockserver.engine.rules import Rule
    from mockserver.engine.task import Task
    from mockserver.provider import Operation

MINUTE_MS, HOUR_MS, YEAR_MS = 60_000, 3_600_000, 31_536_000_000
TABLE = dict(directives.test_values())


class Wisher(Client):
    """A client of a world that reads wishes."""

    def __init__(self, name: str, key: str | None = None, world: World | None = None) -> None:
        super().__init__(new_world() if world is None else world, name, key)
        #: What goes with every request.
        self.fault_requests: dict[str, str] = {}

    def beside(self, key: str) -> Wisher:
        """Another key of the same provider in the same world."""
        return Wisher(self.provider.name, key, self.world)

    def headers(self) -> CIMultiDict[str]:
        """The headers of an authorised JSON request, with the wishes of this client."""
        headers = super().headers()
        headers.update(self.fault_requests)
        return headers

    def ask_for(self, text: str, now_ms: int = START_MS, callback: str | None = None) -> Response:
        """Submit the example with these words in its prompt."""
        return self.submit(now_ms, text=f"A red kite {text}", callback=callback)

    def made(self, text: str, now_ms: int = START_MS, callback: str | None = None) -> Task:
        """Do the same, which must go well; return the task."""
        reply = self.ask_for(text, now_ms, callback)
        assert reply.error is None, reply.body
        return self.task(reply.task_id)

    def rules(self) -> list[Rule]:
        """The rules in the table."""
        return list(self.world.faults.rules.values())

    def delivered(self, text: str) -> list[tuple[int, Delivery]]:
        """Submit with a callback; return what is delivered, with how long after the end, in milliseconds."""
        task = self.made(text, callback=RECEIVER)
        return [
            (due_ms - task.ends_ms, each)
            for due_ms, each in due_deliveries(self.world, START_MS + YEAR_MS)
            if not each.lost
        ]

    def refused(self, reply: Response, *words: str) -> str:
        """Hold a refusal to the provider's shape and a helpful message; return them."""
        answer = self.provider.refusals["invalid_parameter"]
        assert (reply.status, reply.error, reply.gate) == (answer.status, answer.name, "fault"), reply.body
        other = self.send("GET", "/no/such/path", START_MS, headers={})
        assert shape_of(loads(reply)) == shape_of(loads(other))
        text = reply.body.decode()
        assert len(text) < 900
        for word in words:
            assert word in text
        return text


def new_world() -> World:
    """Make a world that reads wishes, in which nothing has happened."""
    known = providers()
    urls = {name: f"http://mock.test/{name}" for name in known}
    return World(known.values(), Chance(7), WorldRules("loopback"), urls, directives.RequestDirectives())


def shape_of(value: Any) -> Any:
    """The keys of a body, at every depth; what stands in `param` and the like depends on the refusal."""
    if isinstance(value, dict):
        return {key: shape_of(each) for key, each in value.items() if key != "param"}
    return type(value).__name__


def statuses(client: Wisher, text: str, times: int) -> list[int]:
    """Submit the same prompt so often; return the statuses, with 200 for whatever the provider says of a success."""
    return [200 if reply.error is None else reply.status for reply in (client.ask_for(text) for _ in range(times))]


# -- test values in prompts: the table ------------------------------------------------------------


def test_the_table() -> None:
    """The table names every fault once, by its own name or a short word, each with what it does."""
    values = directives.test_values()
    assert len(TABLE) == len(values)
    assert all(value.startswith("mock:") and summary.endswith(".") for value, summary in values)
    read = {fault.name for value in TABLE for fault, _, _ in directives.RequestDirectives().in_prompt(value)}
    assert read == set(all_faults()) - {"example"}


@for_each("value", TABLE)
@for_each("name", ALL)
def test_every_value_is_taken(name: str, value: str) -> None:
    """Every test value of the table is in force at every provider as soon as a prompt holds it."""
    client = Wisher(name)
    reply = client.ask_for(value)
    (rule,) = client.rules()
    assert rule.where.text == f"A red kite {value}"
    assert rule.where.provider == name
    if reply.gate == "fault":
        assert rule.hits == 1
    else:
        assert reply.error is None
    word, _, shown = value.removeprefix("mock:").partition("=")
    if word == rule.fault.name and word not in directives.ALIASES:
        assert rule.fault == all_faults()[word]()
        assert shown in ("", str(next(iter(vars(rule.fault).values()), "")))


@pytest.mark.parametrize("name", ONE_DAILY)
async def test_every_value_on_the_wire(name: str) -> None:
    """Over a socket every test value has an answer, or ends the connection: the server itself never fails."""
    slow = ("mock:held_open", "mock:latency", "mock:slow_body")

    with nothing_logged():
        async with serving() as edge:
            for number, value in enumerate(TABLE):
                if value.startswith(slow):
                    continue
                async with edge.raw() as wire:
                    path = f"/~s{number}{edge.path_of(name, 'submit')}"
                    body = orjson.dumps(Wisher(name).body(text=f"A red kite {value}"))
                    headers = {**edge.key_headers(name), "Content-Type": "application/json", "Connection": "close"}
                    await wire.send(request_bytes("POST", path, headers=headers, body=body))
                    assert b"itself failed" not in await wire.closed()
                    world = edge.mock.server.sessions.get(f"s{number}").world
                    (rule,) = world.faults.rules.values()
                    assert rule.where.text == f"A red kite {value}"


# -- test values in prompts: what the short words do ----------------------------------------------


@for_each("value", ["mock:429x3", "mock:submit=429x3"])
@for_each("name", ALL)
def test_statuses(name: str, value: str) -> None:
    """The submit answers the provider's own error so often, makes nothing, and then passes."""
    client = Wisher(name)
    for _ in range(3):
        reply = client.ask_for(value)
        assert reply.status == 429
        assert shape_of(loads(reply)) == shape_of(loads(client.send("GET", "/no/such/path", START_MS, headers={})))
        assert not client.state.tasks
        assert client.account.reserved_ucr == 0
    assert client.ask_for(value).error is None
    assert client.ask_for(value).error is None


@for_each("status", [400, 401, 402, 403, 404, 408, 422, 429, 500, 503, 505, 599])
@for_each("name", ALL)
def test_any_status(name: str, status: int) -> None:
    """Any status from 400 to 599 can be asked for, at every provider, in its shape; it comes once."""
    client = Wisher(name)
    reply = client.ask_for(f"mock:{status}")
    assert reply.status == status
    assert shape_of(loads(reply)) == shape_of(loads(client.send("GET", "/no/such/path", START_MS, headers={})))
    assert client.ask_for(f"mock:{status}").error is None


@for_each("name", ALL)
def test_fail(name: str) -> None:
    """The task fails for the reason that was named, or for one whose word begins so, and costs nothing."""
    client = Wisher(name)
    task = client.made("mock:fail=content_policy")
    assert task.end.kind == "failure"
    assert task.reason is not None
    assert task.reason.code.startswith("content_policy")
    assert client.query(task.id, START_MS + HOUR_MS).error is None
    client.account.settle(START_MS + HOUR_MS)
    assert client.account.spent_ucr == 0
    first = next(iter(task.end.reasons.values()), None)
    assert client.made("mock:fail").reason == first


@for_each("name", ALL)
def test_stuck(name: str) -> None:
    """The task comes to the last state on its way, or the one that is named, and is there for ever."""
    client = Wisher(name)
    states = client.provider.lifecycle.states
    for value, expected in (("mock:stuck", states[-1].name), (f"mock:stuck={states[0].name}", states[0].name)):
        task = client.made(value)
        found = status_at(task, START_MS + YEAR_MS)
        assert (found.status, found.ended) == (expected, False)
        assert client.query(task.id, START_MS + YEAR_MS).error is None


@for_each("name", ALL)
def test_slow(name: str) -> None:
    """The task ends so much later than it would have."""
    plain, slow = Wisher(name).made("of silk"), Wisher(name).made("mock:slow=90s")
    assert slow.ends_ms == plain.ends_ms + 90_000
    assert status_at(slow, plain.ends_ms + 89_000).ended is False
    assert status_at(slow, slow.ends_ms).status == plain.end.name


@for_each("name", ALL)
def test_poll(name: str) -> None:
    """The submit passes, two queries of its task answer the error, and the third tells how it stands."""
    client = Wisher(name)
    task, other = client.made("mock:poll=503x2"), client.made("of silk")
    assert client.query(other.id, START_MS).error is None
    assert [client.query(task.id, START_MS).status for _ in range(2)] == [503, 503]
    assert client.query(task.id, START_MS).error is None
    assert client.query(client.made("mock:poll=503x2").id, START_MS).error is None


@for_each("name", ALL)
def test_lag(name: str) -> None:
    """Queries do not find the task for five seconds, then they do."""
    client = Wisher(name)
    task = client.made("mock:lag=5s")
    missing = client.provider.refusals["unknown_task"]
    for after_ms in (0, 4999):
        reply = client.query(task.id, START_MS + after_ms)
        assert (reply.status, reply.error) == (missing.status, missing.name)
    assert client.query(task.id, START_MS + 5000).error is None


@pytest.mark.parametrize("name", WITH_CALLBACKS)
def test_callbacks(name: str) -> None:
    """The callback does not come, comes late, or comes twice; without test values it comes once, at the end."""
    assert [late_ms for late_ms, _ in Wisher(name).delivered("of silk")] == [0]
    assert Wisher(name).delivered("mock:no_callback") == []
    assert [late_ms for late_ms, _ in Wisher(name).delivered("mock:late_callback=10m")] == [10 * MINUTE_MS]
    twice = Wisher(name).delivered("mock:two_callbacks")
    assert next(late_ms for late_ms, _ in twice) == 0
    assert len(twice) == 2
    assert twice[0][1].body == twice[1][1].body


@pytest.mark.parametrize("name", WITH_CALLBACKS)
def test_bad_signature(name: str) -> None:
    """Where the provider signs its callbacks the signature is wrong, and the rest as it would have been."""
    rule = providers()[name].callbacks
    assert rule is not None
    ((_, good),) = Wisher(name).delivered("of silk")
    ((_, bad),) = Wisher(name).delivered("mock:bad_signature")
    assert [pair[0] for pair in bad.headers] == [pair[0] for pair in good.headers]
    if rule.signature is not None:
        right = signature_of(rule.signature, rule.signature.default_secret, bad.body)
        assert dict(good.headers)[rule.signature.header] == right
        assert dict(bad.headers)[rule.signature.header] != right
    else:
        assert bad.headers == good.headers


@for_each("name", ALL)
def test_expired(name: str) -> None:
    """The links of the task have expired from the start: the store answers as it does when their time is over."""
    client = Wisher(name)
    task, plain = client.made("mock:expired"), client.made("of silk")
    after_ms = max(task.ends_ms, plain.ends_ms)
    (link, *_), (good, *_) = client.links(task.id, after_ms), client.links(plain.id, after_ms)
    assert client.fetch(good, after_ms).status == 200
    late = client.fetch(good, after_ms + YEAR_MS)
    now = client.fetch(link, after_ms)
    assert (now.status, now.content_type, now.error) == (late.status, late.content_type, "result_expired")


# -- test values in prompts: how they are read -----------------------------------------------------


@for_each("name", ALL)
def test_counted_by_prompt_and_key(name: str) -> None:
    """Each prompt of each key has its three errors; those of others, and of other providers, do not count."""
    one = Wisher(name)
    other = one.beside(keys_of(one.provider)[1])
    assert statuses(one, "mock:429x3", 2) == [429, 429]
    assert statuses(other, "mock:429x3", 4) == [429, 429, 429, 200]
    assert statuses(one, "of silk, mock:429x3", 4) == [429, 429, 429, 200]
    assert statuses(one, "mock:429x3", 3) == [429, 200, 200]
    elsewhere = next(each for each in ALL if each != name)
    assert statuses(Wisher(elsewhere, world=one.world), "mock:429x3", 4) == [429, 429, 429, 200]


@for_each(
    ("value", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("10m", 600),
        ("1h", 3600),
        ("0", 0),
        ("0s", 0),
        ("1.5s", 1.5),
        ("0.25h", 900),
        ("2.5", 2.5),
        ("31536000", 31_536_000),
        ("8760h", 31_536_000),
    ],
)
def test_units(value: str, seconds: float) -> None:
    """A length of time is in seconds, minutes or hours, whole or not; without a unit it is in seconds."""
    plain = Wisher("evolink").made("of silk")
    for end in ("", ".", ", at dusk", "!", "; slowly", ")"):
        assert Wisher("evolink").made(f"mock:slow={value}{end}").ends_ms == plain.ends_ms + seconds * 1000


@for_each(
    ("text", "expected"),
    [
        ("mock:503", [503, 200]),
        ("mock:503.", [503, 200]),
        ("(mock:503)", [503, 200]),
        ('"mock:503"', [503, 200]),
        ("'mock:503x2'!", [503, 503, 200]),
        ("mock:503x1", [503, 200]),
        ("mock:429x2 mock:503", [429, 429, 503, 200]),
        ("mock:429,mock:503", [429, 503, 200]),
        ("mock:429x2; mock:500x2.", [429, 429, 500, 500, 200]),
        ("over\nmock:503\nthe sea", [503, 200]),
        ("over\tmock:503\tthe sea", [503, 200]),
        ("\u3000mock:503\u3000", [503, 200]),
        ("mock:503 mock:503", [503, 503, 200]),
        ("mock:error=503x2", [503, 503, 200]),
        ("mock:submit", [503, 200]),
    ],
)
def test_where_they_may_stand(text: str, expected: list[int]) -> None:
    """A test value may stand anywhere in the prompt, in quotes or brackets, before a full stop, beside others."""
    assert statuses(Wisher("toapis"), text, len(expected)) == expected


def test_a_value_may_hold_dots_and_dashes() -> None:
    """A value goes on to the next space: a host, a fraction or a pointer is taken whole."""
    for text, expected in (
        ("mock:wrong_host=cdn.files-2.invalid", {"host": "cdn.files-2.invalid"}),
        ("mock:cut_callback=0.25.", {"keep_fraction": 0.25}),
        ("mock:null_field=/data/task_status", {"field": "/data/task_status"}),
        ("mock:unknown_status=under-review", {"word": "under-review"}),
    ):
        client = Wisher("evolink")
        client.made(text)
        (rule,) = client.rules()
        assert {name: getattr(rule.fault, name) for name in expected} == expected


UNKNOWN = [
    ("mock:bogus", ["mock:bogus is not a test value", "mockserver providers"]),
    ("mock:pol=503", ["mock:pol is not a test value", "did you mean mock:poll?"]),
    ("mock:two_callback", ["did you mean mock:two_callbacks?"]),
    ("mock:duplicate_callback", ["did you mean mock:duplicated_callback?"]),
    ("mock:200", ["mock:200", "from 400 to 599"]),
    ("mock:600x2", ["mock:600", "from 400 to 599"]),
    ("mock:4290", ["from 400 to 599"]),
    ("mock:429x0", ["mock:429x0", "x1 to x9999"]),
    ("mock:503x10000", ["x1 to x9999"]),
    ("mock:503x-1", ["'mock:503x-1' is not a test value", "mock:429x3"]),
    ("mock:429=5", ["mock:429 takes no value"]),
    ("mock:no_callback=3", ["mock:no_callback takes no value"]),
    ("mock:broken_gzip=yes", ["mock:broken_gzip takes no value"]),
    ("mock:slow=soon", ["mock:slow", "by_s must be a number", "'soon'"]),
    ("mock:slow=500ms", ["mock:slow", "'500ms'"]),
    ("mock:slow=-5s", ["mock:slow", "by_s must be a number from 0 to 31536000"]),
    ("mock:slow=9000h", ["by_s must be a number from 0 to 31536000"]),
    ("mock:slow=inf", ["by_s must be a number"]),
    ("mock:slow=nan", ["by_s must be a number"]),
    ("mock:late_callback=inf", ["late_callback: by_s must be a number"]),
    ("mock:late_callback=1e300", ["by_s must be a number"]),
    ("mock:poll=200", ["mock:poll", "status must be a number from 400 to 599"]),
    ("mock:poll=50x", ["mock:poll", "status must be a number"]),
    ("mock:error=503.5", ["status"]),
    ("mock:reset=sometime", ["reset: at must be one of before_headers"]),
    ("mock:truncated_body=1", ["keep_fraction must be a number from 0 to 0.999"]),
    ("mock:fail=", ["'mock:fail='", "mock:fail=content_policy"]),
    ("mock:=5", ["'mock:=5'"]),
    ("mock:fail=a=b", ["'mock:fail=a=b'"]),
    ("mock:Fail", ["'mock:Fail'", "mock:fail=content_policy"]),
    ("Mock:503", ["'Mock:503'", "mock:503"]),
    ("MOCK:429X3", ["'MOCK:429X3'", "mock:429x3"]),
    ("mock:503*3", ["'mock:503*3'"]),
    ("mock:fail:content_policy", ["mock:fail=content_policy"]),
    ("mock:late-callback", ["'mock:late-callback'"]),
    ("mock:no_callback mock:bogus", ["mock:bogus"]),
    ("mock:" + "y" * 5000, ["is not a test value"]),
    ("mock:=" + "y" * 5000, ["is not a test value"]),
    ("mock:\U0001fa81", ["is not a test value"]),
]


@for_each(("text", "words"), UNKNOWN)
@for_each("name", ALL)
def test_invalid_test_values(name: str, text: str, words: list[str]) -> None:
    """A test value that means nothing is refused in the provider's shape, every time, with a helpful message."""
    client = Wisher(name)
    for _ in range(2):
        reply = client.ask_for(text)
        found = client.refused(reply)
        for word in words:
            assert word in found.replace('\\"', '"')
    assert client.rules() == []
    assert not client.state.tasks
    assert client.account.reserved_ucr == 0
    assert client.ask_for("of silk").error is None


@for_each(
    "text",
    [
        "mock",
        "mock:",
        "mock: a documentary",
        "Mock: a documentary",
        "a mock: the bird that sings",
        "mock :503",
        "a hammock:red",
        "http://mock:8080/kite.png",
        "user@mock:503",
        "no-mock:503",
        "mock:. Then a kite",
        "mock:...",
        "mock:)",
        '"mock:" is what it says',
        "mock\\u003a503",
        "mockmock:503",
        "mock\n:503",
    ],
)
@for_each("name", ALL)
def test_ordinary_prompts(name: str, text: str) -> None:
    """A prompt that only contains the word is a prompt like any other: the answer is what it is without wishes."""
    client = Wisher(name)
    assert client.made(text).end.kind == "success"
    assert client.rules() == []


@for_each(
    "written",
    [
        rb"\u006dock:503",
        rb"mock\u003a503",
        rb"\u006D\u006F\u0063\u006B\u003A503",
        rb"mock:\u0035\u00303",
        rb"mock:5\u00303",
        rb"\nmock:503\n",
        rb"\"mock:503\"",
        rb"\u0022mock:503\u0022",
        rb"caf\u00e9 mock:503 \ud83e\ude81",
        "café mock:503 \U0001fa81".encode(),
        rb"mock\u003aerror\u003d503",
        rb"\/ mock:503 \/",
    ],
)
@for_each("name", ALL)
def test_as_json_may_write_it(name: str, written: bytes) -> None:
    """Whichever way JSON writes the prompt's characters, the test value in it is found."""
    client = Wisher(name)
    body = orjson.dumps(client.body(text="A kite PLACE"))
    operation = client.operation("submit")
    for expected in (503, None):
        reply = client.send(operation.method, operation.path, START_MS, body=body.replace(b"PLACE", written))
        assert (reply.status if reply.error else None) == expected, reply.body


def test_other_fields_are_not_read() -> None:
    """A test value anywhere but in a prompt is only text; a body that is no JSON is refused as ever."""
    client = Wisher("evolink")
    body = {**client.body(), "image_urls": ["https://client.example/mock:503.png"]}
    assert client.submit(START_MS, body).gate in (None, "schema")
    operation = client.operation("submit")
    reply = client.send(operation.method, operation.path, START_MS, body=b'{"prompt": " mock:503 ')
    assert (reply.status, reply.gate) == (400, "parse")
    assert client.rules() == []


def test_other_operations_are_not_read() -> None:
    """Test values are read where tasks are submitted: an estimate of the same prompt is answered."""
    client = Wisher("crun")
    assert client.ask("estimate", START_MS, client.body(text="A kite mock:503")).error is None
    assert client.rules() == []


@for_each("name", ALL)
def test_without_a_key(name: str) -> None:
    """Who has no key gets no faults: the answer is the provider's own refusal, and nothing is remembered."""
    client = Wisher(name)
    operation = client.operation("submit")
    body = orjson.dumps(client.body(text="A kite mock:503 mock:bogus"))
    for key in (None, "\x01"):
        headers = {"Content-Type": "application/json", **({} if key is None else {client.provider.key.header: key})}
        reply = client.send(operation.method, operation.path, START_MS, body=body, headers=headers)
        assert reply.gate == "key"
    assert client.rules() == []
    assert client.world._finder._prompts == {}


async def test_keys_are_not_shown() -> None:
    """The rule that a test value becomes names the account, not its key, so that lists of faults do not show keys."""
    async with serving() as edge:
        reply = await edge.try_submit("evolink", prompt="A kite mock:429x2")
        assert reply.status == 429
        listed = await edge.admin("GET", "/faults")
        assert edge.mock.key("evolink") not in listed.body.decode()
        (rule,) = listed.json["faults"]
        assert rule["where"] == {
            "provider": "evolink",
            "operation": "submit",
            "key": edge.mock.account("evolink").id,
            "text": "A kite mock:429x2",
        }
        assert (rule["when"], rule["hits"], rule["spent"]) == ({"times": 2}, 1, False)


def test_taken_away_and_asked_for_again() -> None:
    """After a prompt's faults are removed they do not return, until a new request contains the prompt."""
    client = Wisher("evolink")
    assert statuses(client, "mock:429x2", 3) == [429, 429, 200]
    client.world.faults.clear()
    assert statuses(client, "mock:429x2", 3) == [429, 429, 200]
    stuck = client.made("mock:stuck mock:poll=503x9")
    assert client.query(stuck.id, START_MS).status == 503
    poll = next(rule for rule in client.rules() if rule.fault.name == "error" and rule.where.operation == "query")
    client.world.faults.remove(poll.id)
    assert client.made("mock:stuck mock:poll=503x9").held_ms is not None
    assert client.query(stuck.id, START_MS).error is None


@pytest.mark.parametrize("name", ALL)
def test_many_prompts(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """However many different prompts ask for faults, only so many are remembered, and the oldest are forgotten."""
    monkeypatch.setattr(mockserver.engine.injection, "TEST_VALUES_KEPT", 5)
    client = Wisher(name)
    faults = client.world.faults
    for number in range(60):
        client.ask_for(f"{number} mock:429x2 mock:poll=503 mock:extra_fields")
        assert len(client.world._finder._prompts) <= 5
        assert len(faults.rules) <= 15
    assert len(faults._order) <= 15
    assert sum(len(rules) for rules in faults._buckets.values()) <= 15
    assert len(faults._buckets) <= 15
    assert statuses(client, "0 mock:429x2", 3) == [429, 429, 200]
    assert client.ask_for("59 mock:429x2 mock:poll=503 mock:extra_fields").status == 429
    assert client.ask_for("59 mock:429x2 mock:poll=503 mock:extra_fields").error is None


def test_a_prompt_full_of_them() -> None:
    """A prompt of nothing but test values makes at most twenty rules."""
    client = Wisher("toapis")
    assert client.ask_for("mock:503 " * 400).status == 503
    assert 0 < len(client.rules()) <= 50


# -- Prefer ---------------------------------------------------------------------------------------


@for_each("name", ALL)
def test_code(name: str) -> None:
    """`Prefer: code` answers that status in the provider's shape, at any operation, and nothing happens."""
    client = Wisher(name)
    task = client.made("of silk")
    plain = loads(client.query(task.id, START_MS))
    known = sorted({error.status for error in client.provider.errors.values()} | {500, 503, 599})
    for status in known:
        client.fault_requests = {"Prefer": f"code={status}"}
        submitted, queried = client.submit(START_MS), client.query(task.id, START_MS)
        assert (submitted.status, queried.status) == (status, status)
        assert submitted.headers
        assert shape_of(loads(submitted)) == shape_of(loads(client.send("GET", "/no/such/path", START_MS, headers={})))
    client.fault_requests = {}
    assert list(client.state.tasks) == [task.id]
    assert loads(client.query(task.id, START_MS)) == plain
    assert client.rules() == []


@for_each(
    "text",
    [
        "code=503",
        "code = 503",
        'code="503"',
        "Code=503",
        "respond-async, wait=10, code=503",
        "return=minimal; code=503",
        "code=503, code=429",
        'foo="a, b", code=503',
        ",, code=503,,",
        "CODE=503;example",
    ],
)
def test_how_a_code_is_spelled(text: str) -> None:
    """RFC 7240 lets preferences be spelled in many ways; the first code counts."""
    client = Wisher("toapis")
    client.fault_requests = {"Prefer": text}
    assert client.submit(START_MS).status == 503


@for_each(
    "text",
    [
        "",
        ",",
        ";",
        "respond-async",
        "wait=10",
        "return=minimal, handling=lenient",
        'foo="code=503"',
        'foo="a, code=503"',
        'foo="a; example=created"',
        "codes=503",
        "x-code=503",
        "dynamic=true",
        '"',
        '"code=503',
        "=503",
        "=",
    ],
)
@for_each("name", ALL)
def test_preferences_that_are_not_ours(name: str, text: str) -> None:
    """A preference that this server does not know changes nothing."""
    client, plain = Wisher(name), Wisher(name)
    client.fault_requests = {"Prefer": text}
    assert client.submit(START_MS).body == plain.submit(START_MS).body


@for_each("value", ["", "200", "204", "399", "600", "4040", "abc", "-503", "503.0", "\uff15\uff10\uff13"])
@for_each("name", ALL)
def test_invalid_codes(name: str, value: str) -> None:
    """A code that no error has is refused, and the words say which there are."""
    client = Wisher(name)
    client.fault_requests = {"Prefer": f"code={value}"}
    client.refused(client.submit(START_MS), "Prefer: code", "from 400 to 599", repr(value))
    assert not client.state.tasks


@cache
def examples_of(name: str) -> list[tuple[str, str, int, Any]]:
    """Every named example in a provider's leading document: operation, name, status, body, read from the YAML."""
    document = next(
        found
        for path in builtin_specs()
        for found in (Document.read(path),)
        if found.data["x-mock"].get("provider") == name
    )

    def followed(value: Any) -> Any:
        return document.resolve(value["$ref"]) if "$ref" in value else value

    return [
        (operation["operationId"], example_name, int(status), followed(raw)["value"])
        for item in document.data["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict)
        for status, response in operation.get("responses", {}).items()
        for example_name, raw in followed(response)
        .get("content", {})
        .get("application/json", {})
        .get("examples", {})
        .items()
    ]


def asked_at(client: Wisher, operation: Operation) -> Response:
    """Make any request to an operation."""
    path = operation.path
    for word in ("task_id", "file_id", "file_name", "account_id", "index", "id"):
        path = path.replace(f"{{{word}}}", "x")
    return client.send(operation.method, path, START_MS)


@pytest.mark.parametrize("name", SHIPPED)
def test_examples(name: str) -> None:
    """Every named example of the spec comes back as it stands there, with its status, and nothing happens."""
    client = Wisher(name)
    found = examples_of(name)
    assert len(found) > 20
    for operation_id, example_name, _, _ in found:
        operation = client.provider.operations[operation_id]
        same = [(status, body) for op, each, status, body in found if (op, each) == (operation_id, example_name)]
        for text in (f"example={example_name}", f'Example = "{example_name}"', f"wait=1, example={example_name}"):
            client.fault_requests = {"Prefer": text}
            reply = asked_at(client, operation)
            assert (reply.status, loads(reply)) in same, (operation_id, example_name)
    assert not client.state.tasks
    client.fault_requests = {}
    assert client.submit(START_MS).error is None


@pytest.mark.parametrize("name", SHIPPED)
def test_unknown_examples(name: str) -> None:
    """An example that the operation does not have is refused, with the names of those it has."""
    client = Wisher(name)
    client.fault_requests = {"Prefer": "example=nobody"}
    client.refused(client.submit(START_MS), "'nobody'", examples_of(name)[0][1])
    assert client.send("GET", "/no/such/path", START_MS).gate == "route"


@pytest.mark.parametrize("name", SHIPPED)
def test_the_first_example(name: str) -> None:
    """Without a name it is an example of a success."""
    client = Wisher(name)
    client.fault_requests = {"Prefer": "example"}
    reply = client.submit(START_MS)
    operation = client.operation("submit")
    assert (reply.status, loads(reply)) == next(
        (status, body) for op, _, status, body in examples_of(name) if op == operation.id and status < 300
    )


# -- X-Mock-Fault ---------------------------------------------------------------------------------


@for_each("name", ALL)
def test_for_one_request(name: str) -> None:
    """A fault in the header affects that request, and no other."""
    client = Wisher(name)
    task = client.made("of silk")
    plain = loads(client.query(task.id, START_MS))
    for _ in range(2):
        client.fault_requests = {"X-Mock-Fault": "extra_fields;field=x_surprise"}
        assert "x_surprise" in client.query(task.id, START_MS).body.decode()
        client.fault_requests = {}
        assert loads(client.query(task.id, START_MS)) == plain
    assert client.rules() == []


@pytest.mark.parametrize(
    "text",
    [
        'extra_fields;field="a, b; c",status_case',
        'extra_fields ; field = "a, b; c" , status_case;case=upper',
        'status_case;case="upper",extra_fields;field="a, b; c"',
        'extra_fields;field="a, b; c";,status_case;',
    ],
)
def test_several_and_quoted(text: str) -> None:
    """Several faults stand in one header, and a value in quotes may hold what would else divide them."""
    client = Wisher("evolink")
    task = client.made("of silk")
    client.fault_requests = {"X-Mock-Fault": text}
    found = loads(client.query(task.id, START_MS))
    assert "a, b; c" in found
    assert found["status"] == "PENDING"


def test_several_errors() -> None:
    """Of several answers in the place of the real one the first counts."""
    client = Wisher("evolink")
    client.fault_requests = {"X-Mock-Fault": "error;status=429;retry_after=seconds;retry_after_s=9, proxy_page"}
    reply = client.submit(START_MS)
    assert (reply.status, dict(reply.headers)["Retry-After"], reply.faults) == (429, "9", ("error",))


@for_each("name", ALL)
def test_each_request_draws_anew(name: str) -> None:
    """What is drawn for a fault in the header differs from one request to the next, and not from run to run."""

    def places() -> list[str]:
        client = Wisher(name)
        task = client.made("of silk")
        client.fault_requests = {"X-Mock-Fault": "other_type"}
        return [client.query(task.id, START_MS).body.decode().replace(task.id, "") for _ in range(20)]

    assert len(set(places())) > 1
    assert places() == places()


def test_two_faults_of_one_request_draw_apart() -> None:
    """Each fault of a header has a chance of its own."""
    client = Wisher("evolink")
    client.fault_requests = {"X-Mock-Fault": ", ".join(["latency;seconds=0;spread_s=9"] * 2)}
    client.submit(START_MS)
    injections = client.outcome.injections
    assert len({injection.chance() for injection in injections}) == len(injections) == 2


def test_header_and_table_and_prompt() -> None:
    """Faults of the table, of the prompt, of the header and of Prefer go together."""
    client = Wisher("evolink")
    client.world.faults.add(build("extra_fields", {"field": "of_table"}), Match(), Schedule(), START_MS)
    client.fault_requests = {"X-Mock-Fault": "extra_fields;field=of_header"}
    found = loads(client.ask_for("mock:extra_fields=of_prompt"))
    assert {"of_table", "of_prompt", "of_header"} <= found.keys()
    client.fault_requests["Prefer"] = "code=503"
    reply = client.ask_for("mock:extra_fields=of_prompt")
    assert reply.status == 503
    assert {"of_table", "of_prompt", "of_header"} <= loads(reply).keys()


@for_each("name", ALL)
def test_for_the_task_that_is_made(name: str) -> None:
    """On a submit a fault of tasks affects the task that it makes; on other requests it passes by."""
    client = Wisher(name)
    client.fault_requests = {"X-Mock-Fault": "fail;reason=content_policy"}
    task = client.made("of silk")
    assert task.end.kind == "failure"
    assert client.query(task.id, START_MS).error is None
    client.fault_requests = {}
    assert client.made("of silk").end.kind == "success"


@pytest.mark.parametrize("name", WITH_CALLBACKS)
def test_for_the_callback_of_the_task_that_is_made(name: str) -> None:
    """On a submit a fault of callbacks affects those of the task that it makes."""
    client = Wisher(name)
    client.fault_requests = {"X-Mock-Fault": "late_callback;by_s=10m"}
    assert [late_ms for late_ms, _ in client.delivered("of silk")] == [10 * MINUTE_MS]
    client.fault_requests = {}
    assert [late_ms for late_ms, _ in client.delivered("of silk")] == [0]


@pytest.mark.parametrize("fault", ["expired_link", "file_error;status=403", "lost_answer", "wrong_length"])
def test_faults_that_cannot_apply_change_nothing(fault: str) -> None:
    """A fault of files, or of submits, leaves other requests as they are: a client may send it with everything."""
    client, plain = Wisher("evolink"), Wisher("evolink")
    task = client.made("of silk")
    plain.made("of silk")
    client.fault_requests = {"X-Mock-Fault": fault}
    reply = client.query(task.id, START_MS)
    assert (reply.body, reply.faults, client.outcome.injections) == (plain.query(task.id, START_MS).body, (), ())


WRONG_HEADERS = [
    ("", ["unknown fault ''"]),
    (",", ["unknown fault ''"]),
    ("bogus", ["unknown fault 'bogus'"]),
    ("latencies", ["did you mean 'latency'?"]),
    ("Latency", ["unknown fault 'Latency'"]),
    ("extra_fields, bogus", ["'bogus'"]),
    ("error;code=503", ["error: unknown parameter 'code'", "status"]),
    ("error;status", ["status must be a number"]),
    ("error;status=", ["status must be a number"]),
    ("error;status=200", ["from 400 to 599"]),
    ('error;status="503', ["status must be a number"]),
    ("error;=503", ["unknown parameter ''"]),
    ("error;status=503;retry_after=never", ["retry_after must be one of as_documented"]),
    ("broken_gzip;level=9", ["broken_gzip: unknown parameter 'level'; known: none"]),
    ("latency;seconds=1e9", ["from 0 to 3600"]),
    ("mock:503", ["unknown fault 'mock:503'"]),
    ("error=503", ["unknown fault 'error=503'"]),
    ("x" * 5000, ["unknown fault 'xxx"]),
    ("unknown_status;word=\udcff", ["UTF-8"]),
    ("\udcff", ["unknown fault"]),
    ("stuck;state=dreaming", ["stuck: ", "has no state 'dreaming'; it has "]),
    ("extra_fields, skipped_state;state=dreaming", ["skipped_state: ", "has no state 'dreaming'"]),
]


@for_each(("text", "words"), WRONG_HEADERS)
@for_each("name", ALL)
def test_invalid_headers(name: str, text: str, words: list[str]) -> None:
    """A header that means nothing is refused in the provider's shape, with a helpful message."""
    client = Wisher(name)
    client.fault_requests = {"X-Mock-Fault": text}
    client.refused(client.submit(START_MS), *words)
    assert not client.state.tasks


async def test_on_the_wire() -> None:
    """Over a socket: header names in any case, headers in several lines, and bytes that are no text."""

    async def ask(edge: Edge, *lines: bytes) -> tuple[int, Any]:
        async with edge.raw() as wire:
            request = request_bytes("GET", "/evolink/v1/credits", headers=edge.key_headers("evolink"))
            await wire.send(request[:-2] + b"".join(line + b"\r\n" for line in lines) + b"\r\n")
            answer = await wire.answer()
            assert answer is not None
            return answer.status, answer.json

    with nothing_logged():
        async with serving() as edge:
            assert (await ask(edge, b"prefer: code=503"))[0] == 503
            assert (await ask(edge, b"PREFER: wait=1", b"Prefer: code=429"))[0] == 429
            assert (await ask(edge, b"x-mock-fault: error;status=502"))[0] == 502
            status, body = await ask(edge, b"X-Mock-Fault: extra_fields;field=a", b"X-Mock-Fault: extra_fields;field=b")
            assert (status, {"a", "b"} <= body.keys()) == (200, True)
            assert (await ask(edge, "X-Mock-Fault: extra_fields;field=é".encode()))[1]["é"]
            for line in (b"X-Mock-Fault: \xff\xfe", b"X-Mock-Fault: extra_fields;field=\xff", b"Prefer: code=\xff"):
                status, body = await ask(edge, line)
                assert (status, body["error"]["type"]) == (400, "invalid_request_error")
            assert (await ask(edge, b"Prefer: \xff, \xfe=\xfd"))[0] == 200


# -- whatever is sent -----------------------------------------------------------------------------

_NAMES = st.sampled_from([*all_faults(), *directives.ALIASES, "503", "429", "200", "bogus", ""])
_PARAMETERS = st.sampled_from(
    [*sorted({field for kind in all_faults().values() for field in getattr(kind, "__dataclass_fields__", {})}), "x", ""]
)
_VALUES = st.one_of(
    st.sampled_from(
        ["", "0", "1", "-1", "0.5", "90s", "10m", "1h", "1e300", "-1e300", "inf", "nan", "503", "x3", "true"]
    ),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=12),
)
_CHARACTERS = st.characters(codec="utf-8", exclude_characters="\r\n\x00")
_WORDS = st.one_of(
    st.builds(lambda name, times: f"mock:{name}{times}", _NAMES, st.sampled_from(["", "x3", "x0", "x99999"])),
    st.builds(lambda name, value: f"mock:{name}={value}", _NAMES, _VALUES),
    st.sampled_from(["mock:", "Mock:", "mock:mock:503", "\u006dock:", '"', ",", ";", "\n", "x3", "="]),
    st.text(max_size=20),
)
_PROMPTS = st.lists(_WORDS, max_size=6).map(" ".join)
_WISHES = st.one_of(
    st.builds(
        lambda name, pairs: ";".join((name, *(f"{key}={value}" for key, value in pairs))),
        _NAMES,
        st.lists(st.tuples(_PARAMETERS, _VALUES | _VALUES.map('"{}"'.format)), max_size=3),
    ),
    st.builds(lambda name, value: f"{name}={value}", st.sampled_from(["code", "example", "wait", "Code "]), _VALUES),
    st.text(_CHARACTERS, max_size=30),
)
_HEADERS = st.lists(_WISHES, min_size=1, max_size=4).map(", ".join)


def is_answer(client: Wisher, reply: Response) -> None:
    """Hold a reply to it that it is a normal answer, a refusal in shape, or what a fault was asked to make of one."""
    if reply.gate == "fault" and not reply.faults:
        client.refused(reply)
    elif not reply.faults and not client.outcome.injections:
        assert reply.status < 500
        assert reply.file is not None or reply.content_type != "application/json" or loads(reply) is not None
    for name, value in reply.headers:
        assert "\n" not in name + value


def live_on(client: Wisher, reply: Response) -> None:
    """Let whatever came of a submit go on to its end: queries, callbacks, files."""
    if reply.task_id is None or reply.task_id not in client.state.tasks:
        return
    task = client.task(reply.task_id)
    for now_ms in (START_MS, START_MS + 30_000, START_MS + 30_001, START_MS + HOUR_MS):
        is_answer(client, client.query(task.id, now_ms))
    for due_ms, delivery in due_deliveries(client.world, START_MS + YEAR_MS):
        assert due_ms >= START_MS
        assert isinstance(delivery.body, bytes)
    if task.result is not None and task.end.kind == "success":
        for link in client.links(task.id, task.ends_ms):
            is_answer(client, client.fetch(link, task.ends_ms))


@pytest.mark.slow
@settings(max_examples=120)
@given(st.sampled_from(ALL), _PROMPTS)
def test_any_prompt(name: str, text: str) -> None:
    """Whatever stands in a prompt, there is an answer, and the task that it may make can be followed to its end."""
    client = Wisher(name)
    callback = RECEIVER if name in WITH_CALLBACKS else None
    for _ in range(2):
        reply = client.submit(START_MS, text=text, callback=callback)
        is_answer(client, reply)
        live_on(client, reply)


@pytest.mark.slow
@settings(max_examples=120)
@given(st.sampled_from(ALL), _HEADERS, st.sampled_from(["X-Mock-Fault", "Prefer"]))
def test_any_header(name: str, text: str, header: str) -> None:
    """Whatever stands in X-Mock-Fault or Prefer, there is an answer at every operation, with a key and without."""
    client = Wisher(name)
    client.fault_requests = {header: text}
    callback = RECEIVER if name in WITH_CALLBACKS else None
    reply = client.submit(START_MS, callback=callback)
    is_answer(client, reply)
    live_on(client, reply)
    for operation in client.provider.operations.values():
        is_answer(client, asked_at(client, operation))
        is_answer(client, client.send(operation.method, operation.path, START_MS, headers={header: text}))
    is_answer(client, client.send("GET", "/no/such/path", START_MS))


#: Faults that make a test wait in wall time, or that mean to break the answer off.
_NOT_FOR_SOCKETS = frozenset(("held_open", "latency", "slow_body", "slow_file"))
_BYTES = st.binary(max_size=40).map(lambda raw: raw.translate(None, b"\r\n\x00"))


@pytest.mark.slow
def test_any_header_on_the_wire() -> None:
    """Whatever bytes the two headers hold, the server itself does not fail, and goes on to serve."""

    async def ask(edge: Edge, header: str, value: bytes) -> None:
        for method, path in (("GET", "/evolink/v1/credits"), ("POST", "/evolink/v1/videos/generations")):
            body = orjson.dumps(example(edge.provider("evolink"))) if method == "POST" else b""
            headers = {**edge.key_headers("evolink"), "Content-Type": "application/json", "Connection": "close"}
            request = request_bytes(method, path, headers=headers, body=body)
            line = f"{header}: ".encode() + value + b"\r\n"
            async with edge.raw() as wire:
                await wire.send(request.replace(b"Connection:", line + b"Connection:", 1))
                answer = await wire.closed()
            assert b"itself failed" not in answer
            assert b"Traceback" not in answer

    with asyncio.Runner() as runner, nothing_logged():
        entered = serving()
        edge = runner.run(entered.__aenter__())

        @given(
            st.sampled_from(["X-Mock-Fault", "Prefer"]),
            st.one_of(_BYTES, _HEADERS.map(lambda text: text.encode("utf-8", "replace").translate(None, b"\r\n\x00"))),
        )
        def asked(header: str, value: bytes) -> None:
            if not any(name.encode() in value for name in _NOT_FOR_SOCKETS):
                runner.run(ask(edge, header, value))

        try:
            asked()
            assert (
                runner.run(edge.call("GET", "/evolink/v1/credits", headers=edge.key_headers("evolink"))).status == 200
            )
        finally:
            runner.run(entered.__aexit__(None, None, None))
