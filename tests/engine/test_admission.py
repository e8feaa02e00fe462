"""The gates: one order for every provider, each refusal in the provider's own words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args
from unittest.mock import ANY

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict
from support.engine import (
    ALL,
    RECEIVER,
    RUDE,
    SHIPPED,
    START_MS,
    Client,
    changed_at,
    headers_of,
    loads,
    new_world,
    pointer_of,
    providers,
    spec_of,
)
from support.tables import for_each

from mockserver.engine.admission import GATES
from mockserver.provider import Role
from mockserver.spec.vocabulary import specs_directory

if TYPE_CHECKING:
    from mockserver.engine.messages import Response
    from mockserver.provider import TargetMode

ORDER = (
    "route",
    "method",
    "size",
    "key",
    "plan",
    "rate",
    "parse",
    "schema",
    "content_policy",
    "credits",
    "concurrency",
)


def _typed(status: int, kind: str, **more: Any) -> tuple[int, Any]:
    return status, {"error": {"code": status, "message": ANY, "type": kind, **more}}


def _coded(status: int, code: int | None = None) -> tuple[int, Any]:
    return status, {"code": code or status, "message": ANY, "data": None}


def _sentence(status: int) -> tuple[int, Any]:
    return status, {"error": ANY}


def _named(status: int, name: str) -> tuple[int, Any]:
    return status, {"oops": name, "about": ANY, "trace": ANY}


#: What each provider answers at each gate, in the order of the gates; None where it has no such gate.
ANSWERS: dict[str, list[tuple[int, Any] | None]] = {
    "toapis": [
        _typed(404, "not_found_error"),
        _typed(405, "invalid_request_error"),
        _typed(413, "invalid_request_error"),
        _typed(401, "authentication_error"),
        _typed(401, "authentication_error"),
        _typed(429, "rate_limit_exceeded"),
        _typed(400, "invalid_request_error"),
        _typed(400, "invalid_request_error"),
        _typed(422, "content_policy_violation"),
        _typed(402, "insufficient_quota"),
        _typed(429, "rate_limit_exceeded"),
    ],
    "crun": [
        _coded(404),
        _coded(405, 404),
        _coded(413, 422),
        *(_coded(status) for status in (401, 505, 429, 422, 422)),
        None,
        _coded(402),
        _coded(429),
    ],
    "evolink": [
        _typed(404, "not_found_error"),
        _typed(405, "invalid_request_error"),
        _typed(413, "request_too_large_error"),
        _typed(401, "authentication_error"),
        _typed(403, "permission_error"),
        _typed(429, "rate_limit_error"),
        _typed(400, "invalid_request_error"),
        _typed(400, "invalid_request_error", param="model"),
        None,
        _typed(402, "insufficient_quota_error"),
        _typed(429, "rate_limit_error"),
    ],
    "googlegeminiomni": [
        *(_sentence(status) for status in (404, 405, 413, 401, 403, 429, 400, 400)),
        None,
        _sentence(402),
        _sentence(429),
    ],
    "kiln": [
        _named(404, "lost"),
        _named(405, "method"),
        _named(413, "big"),
        _named(401, "stranger"),
        _named(403, "barred"),
        _named(429, "busy"),
        _named(415, "unread"),
        _named(400, "wrong"),
        _named(422, "rude"),
        _named(402, "poor"),
        _named(429, "busy"),
    ],
}


def model_pointer(client: Client) -> tuple[str, ...]:
    """Return where the submit body names its model."""
    operation = client.operation("submit")
    entry = spec_of(client.provider.name)["paths"][operation.path][operation.method.lower()]
    return pointer_of(entry["x-mock"]["model"])


def submit_wrongly(name: str, wrong: frozenset[str]) -> Response:
    """Submit a task in a way that each of these gates, by itself, would refuse."""
    client = Client(new_world(), name)
    operation = client.operation("submit")
    assert client.submit(START_MS).gate is None
    client.set_plan(
        api="plan" not in wrong,
        requests_per_minute=1 if "rate" in wrong else None,
        requests_per_hour=None,
        concurrent_tasks=1 if "concurrency" in wrong else None,
    )
    client.account.rate.count(client.account.plan, START_MS)
    if "credits" in wrong:
        client.account.grant(-client.account.available_ucr, START_MS)
    body = client.body(text=RUDE if "content_policy" in wrong else None)
    if "schema" in wrong:
        body = changed_at(body, model_pointer(client), 7)
    headers = client.headers()
    if "key" in wrong:
        del headers[client.provider.key.header]
    return client.send(
        "PATCH" if "method" in wrong else operation.method,
        operation.path + ("/nowhere/at/all" if "route" in wrong else ""),
        START_MS,
        body=orjson.dumps(body)[: -1 if "parse" in wrong else None],
        headers=headers,
        oversized="size" in wrong,
    )


def test_the_gates_stand_in_their_one_order() -> None:
    """Route, method, size, key, plan, rate, parse, (idempotency, parent,) schema, policy, credits, concurrency."""
    names = list(dict.fromkeys(name for name, _, _ in GATES))
    assert names[names.index("parse") : names.index("schema")] == ["parse", "idempotency", "parent"]
    for name in ("idempotency", "parent"):  # no provider here has them: tests/engine/test_idempotency.py, test_kinds.py
        names.remove(name)
    assert tuple(names) == ORDER


@for_each("name", ALL)
@for_each("gate", ORDER)
def test_of_several_faults_the_earliest_gate_answers(name: str, gate: str) -> None:
    """A request that is wrong from one gate on is refused by that gate, in the provider's own error body."""
    index = ORDER.index(gate)
    reply = submit_wrongly(name, frozenset(ORDER[index:]))
    while (expected := ANSWERS[name][index]) is None:
        index += 1
    assert reply.gate == ORDER[index]
    assert (reply.status, loads(reply)) == expected
    assert reply.content_type == "application/json"


@for_each("name", ALL)
@for_each("gate", ORDER)
def test_each_gate_refuses_its_own_fault(name: str, gate: str) -> None:
    """A request with one fault is refused by the gate that stands for it; without a fault it passes."""
    reply = submit_wrongly(name, frozenset([gate]))
    expected = ANSWERS[name][ORDER.index(gate)]
    if expected is None:
        assert (reply.gate, reply.status) == (None, 200)
    else:
        assert (reply.gate, reply.status, loads(reply)) == (gate, *expected)


@for_each("name", ALL)
def test_without_faults_every_gate_opens(name: str) -> None:
    """The request that the tables above spoil is in itself a good one."""
    assert submit_wrongly(name, frozenset()).gate is None


@for_each("name", ALL)
@for_each("gate", ORDER)
def test_every_refusal_has_its_request_id(name: str, gate: str) -> None:
    """A refusal by any gate has the provider's request id header, in the format of the spec."""
    provider = providers()[name]
    form = r"trace-[0-9A-HJKMNP-TV-Z]{10}" if name == "kiln" else r"req_[0-9a-f]{24}"
    request_id = headers_of(submit_wrongly(name, frozenset([gate])))[provider.request_id_header]
    assert re.fullmatch(form, request_id)


def test_a_body_can_repeat_the_request_id_of_the_header() -> None:
    """Where a provider's error body shows the request id, it is the one in the header."""
    reply = submit_wrongly("kiln", frozenset(["key"]))
    assert loads(reply)["trace"] == headers_of(reply)["X-Kiln-Trace"]


@for_each("name", ALL)
def test_request_ids_never_repeat(name: str) -> None:
    """Answers and refusals, with and without a key, have different request ids."""
    client = Client(new_world(), name)
    replies = []
    for _ in range(50):
        replies += [
            client.submit(START_MS),
            client.query("nothing", START_MS),
            client.send("GET", "/nowhere", START_MS),
            client.send("GET", "/nowhere", START_MS, headers={}),
        ]
    ids = {headers_of(reply)[client.provider.request_id_header] for reply in replies}
    assert len(ids) == len(replies)


# -- route, method, size ----------------------------------------------------------------------------


@for_each("name", ALL)
@for_each("path", ["/", "//", "/nowhere", "/%00", "/\udcff\udcfe", "/é", "/" + "x" * 10_000])
def test_an_unknown_path_is_answered_in_the_providers_shape(name: str, path: str) -> None:
    """Whatever the path, bytes that are not UTF-8 included, it is the provider's 404, and none of it is endless."""
    reply = Client(new_world(), name).send("GET", path, START_MS)
    assert (reply.gate, reply.status, loads(reply)) == ("route", 404, ANSWERS[name][0][1])  # type: ignore[index]
    assert len(reply.body) < 500


@for_each("name", ALL)
def test_a_task_id_of_bytes_that_are_not_utf8_is_looked_up_and_not_found(name: str) -> None:
    """A task id may be any bytes: the answer is a refusal in shape."""
    client = Client(new_world(), name)
    for task_id in ("\udcff", "%FF", "%ED%A0%80", "%E2%28%A1", "a%2Fb", "%00", "x" * 5_000):
        assert client.query(task_id, START_MS).error is not None


@for_each("name", ALL)
@for_each("method", ["PUT", "HEAD", "OPTIONS", "BREW", "get"])
def test_an_unknown_method_is_told_what_is_allowed(name: str, method: str) -> None:
    """A wrong method is the provider's 405, with Allow naming the right ones."""
    client = Client(new_world(), name)
    operation = client.operation("submit")
    reply = client.send(method, operation.path, START_MS)
    assert (reply.gate, reply.status) == ("method", 405)
    methods = spec_of(name)["paths"][operation.path]
    assert headers_of(reply)["Allow"] == ", ".join(sorted(key.upper() for key in methods))


@for_each("name", ALL)
def test_an_oversized_body_names_the_limit(name: str) -> None:
    """A body over the operation's limit is refused with 413 before its key is checked."""
    client = Client(new_world(), name)
    operation = client.operation("submit")
    reply = client.send(operation.method, operation.path, START_MS, oversized=True, headers={})
    assert (reply.gate, reply.status, reply.account_id) == ("size", 413, None)


@for_each("name", ALL)
def test_a_body_that_stops_coming_is_a_408(name: str) -> None:
    """A half-sent request is the provider's 408."""
    client = Client(new_world(), name)
    operation = client.operation("submit")
    reply = client.send(operation.method, operation.path, START_MS, stalled=True)
    assert (reply.gate, reply.status) == ("size", 408)


# -- key and plan -----------------------------------------------------------------------------------


def credentials(client: Client, key: str) -> dict[str, str]:
    """Return the header that carries a key."""
    return {client.provider.key.header: f"Bearer {key}" if client.provider.key.bearer else key}


@for_each("name", ["toapis", "crun", "evolink"])
@for_each("key", ["x", "sk-1", "!~", "a" * 512])
def test_any_visible_ascii_is_a_key_where_no_format_is_documented(name: str, key: str) -> None:
    """Where no document gives the form of a key, any token of visible ASCII opens an account."""
    client = Client(new_world(), name, key)
    assert client.submit(START_MS).status == 200


@for_each("name", ["toapis", "crun", "evolink"])
@for_each("key", ["a b", "\x7f", "ключ", "a\tb", "a" * 513, "\udcff"])
def test_what_is_not_visible_ascii_is_no_key(name: str, key: str) -> None:
    """Blanks, control characters, other alphabets and endless keys are a 401."""
    client = Client(new_world(), name)
    reply = client.send("POST", client.operation("submit").path, START_MS, headers=credentials(client, key))
    assert (reply.gate, reply.status) == ("key", 401)
    assert client.state.accounts == {}


@for_each(
    ("key", "status"),
    [
        ("gomni_" + "a" * 64, 200),
        ("gomni_" + "AF" * 32, 200),
        ("gomni_" + "a" * 63, 401),
        ("gomni_" + "a" * 65, 401),
        ("gomni_" + "g" * 64, 401),
        ("GOMNI_" + "a" * 64, 401),
        ("a" * 64, 401),
    ],
)
def test_googlegeminiomni_keys_are_gomni_and_64_hex_digits(key: str, status: int) -> None:
    """`gomni_` and 64 hex digits is a key; one digit more or less, or another letter, is a 401."""
    client = Client(new_world(), "googlegeminiomni", key)
    headers = CIMultiDict({**credentials(client, key), "Content-Type": "application/json"})
    body = orjson.dumps(client.body())
    assert client.send("POST", "/api/v1/generate", START_MS, body=body, headers=headers).status == status


@pytest.mark.parametrize("name", [name for name in ALL if providers()[name].key.bearer])
def test_a_bearer_token_has_its_scheme(name: str) -> None:
    """The scheme is `Bearer` in any letter case; another scheme, or none, or no token, is a 401."""
    client = Client(new_world(), name)
    key = client.provider.key.example
    found = {
        text: client.send("POST", client.operation("submit").path, START_MS, headers={"Authorization": text}).gate
        for text in (f"Bearer {key}", f"bearer {key}", f"BEARER  {key}", key, f"Basic {key}", "Bearer", "Bearer ", "")
    }
    assert list(found.values()) == ["parse", "parse", "parse", "key", "key", "key", "key", "key"]


@for_each("name", ALL)
def test_a_revoked_key_is_refused_from_then_on(name: str) -> None:
    """A key that worked is a 401 once it is revoked, and works again when it is given back."""
    client = Client(new_world(), name)
    statuses = []
    for revoked in (False, True, False):
        client.account.revoked = revoked
        statuses.append(client.submit(START_MS).gate)
    assert statuses == [None, "key", None]


@for_each("name", ALL)
def test_downloads_need_no_key(name: str) -> None:
    """The file host requires no key."""
    client = Client(new_world(), name)
    task = client.task(client.submit(START_MS).task_id)
    assert client.fetch(client.links(task.id, task.ends_ms)[0], task.ends_ms).status == 200


# -- parse ------------------------------------------------------------------------------------------


@for_each("name", ALL)
@for_each(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.a+json"],
)
def test_json_is_taken_under_its_names(name: str, content_type: str) -> None:
    """JSON may have parameters, any letter case, or a +json type."""
    client = Client(new_world(), name)
    headers = client.headers()
    headers["Content-Type"] = content_type
    body = orjson.dumps(client.body())
    assert client.send("POST", client.operation("submit").path, START_MS, body=body, headers=headers).gate is None


@for_each("name", ALL)
@for_each("content_type", [None, "", "text/plain", "text/json", "multipart/form-data", "application/jsonp"])
def test_another_content_type_is_refused_in_shape(name: str, content_type: str | None) -> None:
    """A body under another media type is not read; the refusal has the shape of the parse gate."""
    client = Client(new_world(), name)
    headers = client.headers()
    del headers["Content-Type"]
    if content_type is not None:
        headers["Content-Type"] = content_type
    body = orjson.dumps(client.body())
    reply = client.send("POST", client.operation("submit").path, START_MS, body=body, headers=headers)
    assert (reply.gate, (reply.status, loads(reply))) == ("parse", ANSWERS[name][6])


@for_each("name", ALL)
@for_each(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":"\\ud800"}',
        b"{'a':1}",
        b"[" * 1_000 + b"]" * 1_000,
        b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
        b"[" * 200_000,
        b'{"a":1}{"b":2}',
        b'{"a":1e999}',
    ],
)
def test_what_is_not_strict_json_is_refused_in_shape(name: str, body: bytes) -> None:
    """Broken, ambiguous and bottomless JSON is refused by the parse gate, whatever the provider."""
    client = Client(new_world(), name)
    reply = client.send("POST", client.operation("submit").path, START_MS, body=body)
    assert (reply.gate, (reply.status, loads(reply))) == ("parse", ANSWERS[name][6])


# -- schema -----------------------------------------------------------------------------------------


@for_each("name", ALL)
@for_each("body", [b"[]", b"null", b"7", b'"text"', b"true", b"{}"])
def test_a_body_that_is_no_object_of_the_right_shape_is_refused(name: str, body: bytes) -> None:
    """JSON that is no object, or an empty one, is refused by the schema gate."""
    client = Client(new_world(), name)
    reply = client.send("POST", client.operation("submit").path, START_MS, body=body)
    assert (reply.gate, reply.status) == ("schema", ANSWERS[name][7][0])  # type: ignore[index]


@for_each(("name", "status"), [("toapis", 400), ("crun", 422), ("evolink", 404), ("googlegeminiomni", 400)])
@for_each("model", ["", "sora", "GEMINI_OMNI", "x" * 100_000, "gemini_omni\n"])
def test_an_unknown_model_is_refused(name: str, status: int, model: str) -> None:
    """A model that the provider does not serve has the provider's status, in a body of bounded length."""
    client = Client(new_world(), name)
    reply = client.submit(START_MS, changed_at(client.body(), model_pointer(client), model))
    assert (reply.gate, reply.status) == ("schema", status)
    assert len(reply.body) < 500


@for_each("name", ALL)
def test_every_problem_is_found_before_a_task_is_made(name: str) -> None:
    """A refused submission leaves no task, no reservation, and no place taken."""
    client = Client(new_world(), name)
    client.submit(START_MS, changed_at(client.body(), model_pointer(client), None))
    account = client.account
    assert (account.tasks, account.reserved_ucr, account.running_tasks(START_MS)) == ([], 0, 0)
    assert client.state.tasks == {}


def _paths(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(value, dict):
        return [path]
    below = [found for key, each in value.items() for found in _paths(each, (*path, key))]
    return [path, *below] if path else below


FIELDS = [
    (name, model, path)
    for name in ALL
    for model in providers()[name].models
    for path in _paths(
        Client(new_world(), name).body(model, callback=RECEIVER if providers()[name].callbacks is not None else None)
    )
]
SHIPPED_FIELDS = [field for field in FIELDS if field[0] in SHIPPED]
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=5,
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "model", "path"), FIELDS, ids=lambda each: each if isinstance(each, str) else "/".join(each)
)
@settings(max_examples=25)
@given(value=ANYTHING)
def test_any_value_in_any_field_is_judged(name: str, model: str, path: tuple[str, ...], value: Any) -> None:
    """Whatever stands in a field, the answer is a task or a refusal in the provider's shape, and never a crash."""
    client = Client(new_world(), name)
    reply = client.submit(START_MS, changed_at(client.body(model), path, value))
    if reply.gate is None:
        assert reply.task_id is not None
        assert client.query(reply.task_id, client.task(reply.task_id).ends_ms).status == 200
    else:
        assert reply.gate in ("schema", "content_policy")
        assert 400 <= reply.status < 500
        assert loads(reply).keys() == ANSWERS[name][7][1].keys()  # type: ignore[index]


@for_each(("name", "model", "path"), SHIPPED_FIELDS)
@for_each("value", [[], {"deep": []}, True])
def test_a_wrong_type_in_any_field_is_refused(name: str, model: str, path: tuple[str, ...], value: Any) -> None:
    """A list, an object or a boolean where the example has something else is refused, and the field is named."""
    client = Client(new_world(), name)
    reply = client.submit(START_MS, changed_at(client.body(model), path, value))
    assert reply.gate == "schema"
    message = str(loads(reply))
    assert reply.error in ("unknown_model", "invalid_request", "validation_failed", "wrong")
    assert path[-1] in message or path[0] in message


@pytest.mark.parametrize(
    ("name", "field", "limit"), [("toapis", "gemini-omni-flash", 1200), ("googlegeminiomni", "gemini-omni-video", 2000)]
)
def test_a_prompt_has_its_length(name: str, field: str, limit: int) -> None:
    """The longest prompt passes, one character more is refused, and so is none at all."""
    client = Client(new_world(), name)
    found = {
        length: client.submit(START_MS, {**client.body(field), "prompt": "é" * length}).status
        for length in (0, 1, limit, limit + 1)
    }
    assert list(found.values()) == [400, 200, 200, 400]


def test_crun_takes_a_prompt_of_20000_characters() -> None:
    """20 000 characters pass, 20 001 are a 422."""
    client = Client(new_world(), "crun")
    statuses = [client.submit(START_MS, text="x" * length).status for length in (20_000, 20_001)]
    assert statuses == [200, 422]


def test_a_query_parameter_is_required() -> None:
    """Crun's TaskInfo without a task_id, or with an empty one, is a 422 that names it."""
    client = Client(new_world(), "crun")
    for query in ("", "task_id=", "taskid=1", "task_id"):
        reply = client.ask("query", START_MS, query=query)
        assert (reply.gate, reply.status) == ("schema", 422)
        assert loads(reply)["message"].startswith("task_id: ")


def test_an_integer_parameter_is_an_integer() -> None:
    """A path parameter of type integer takes digits and a sign only, and is held to its range."""
    from dataclasses import replace as changed

    from mockserver.engine.admission import parameter_problem
    from mockserver.engine.messages import Request

    operation = Client(new_world(), "crun").operation("result")
    call = Request("GET", operation.path, {})
    messages = {}
    for text in ("0", "-0", "12", "-1", "x", "", "1.5", "٣", "1" * 19, "1" * 5_000, "+1", " 1"):
        problem = parameter_problem(changed(operation), {"task_id": "t", "index": text}, call)
        messages[text[:19]] = None if problem is None else problem.message
    assert messages.pop("0") is messages.pop("-0") is messages.pop("12") is None
    assert messages.pop("-1") == "index: must be at least 0"
    assert set(messages.values()) == {"index: must be of type integer"}


@for_each(
    ("mode", "url", "passes"),
    [
        ("documented", "https://client.example/hook", True),
        ("documented", "http://client.example/hook", False),
        ("documented", "https://127.0.0.1/hook", False),
        ("documented", "http://127.0.0.1:8000/hook", False),
        ("loopback", "http://127.0.0.1:8000/hook", True),
        ("loopback", "http://localhost/hook", True),
        ("loopback", "http://client.example/hook", False),
        ("loopback", "https://10.0.0.1/hook", False),
        ("any", "http://10.0.0.1/hook", True),
        ("any", "gopher://client.example/hook", False),
        ("any", "", False),
    ],
)
def test_a_callback_address_is_judged_at_the_schema_gate(mode: TargetMode, url: str, passes: bool) -> None:
    """EvoLink's rule for addresses holds, as far as the chosen mode upholds it; the refusal is a 400."""
    client = Client(new_world(targets=mode), "evolink")
    reply = client.submit(START_MS, callback=url)
    if passes:
        assert reply.status == 200
        assert client.task(reply.task_id).callback_url == url
    else:
        assert (reply.gate, reply.status) == ("schema", 400)
        assert "callback address" in loads(reply)["error"]["message"]


def test_a_callback_address_of_no_string_is_refused() -> None:
    """An address that is a number is refused by the request schema."""
    client = Client(new_world(targets="any"), "evolink")
    assert client.submit(START_MS, {**client.body(), "callback_url": 7}).gate == "schema"


@pytest.mark.parametrize("name", SHIPPED)
def test_an_estimate_passes_the_same_gates(name: str) -> None:
    """Where there is an estimate, a body that a submit would refuse is refused there in the same words."""
    client = Client(new_world(), name)
    if not client.has("estimate"):
        assert name != "crun"
        return
    wrong = changed_at(client.body(), model_pointer(client), "sora")
    refused = client.ask("estimate", START_MS, wrong)
    assert (refused.gate, refused.body) == ("schema", client.submit(START_MS, wrong).body)


# -- dialects ---------------------------------------------------------------------------------------


def test_googlegeminiomni_can_answer_422_with_the_fields() -> None:
    """With validation_422 the problems come as a list, one entry for each field."""
    client = Client(new_world(dialects={"googlegeminiomni": ["validation_422"]}), "googlegeminiomni")
    reply = client.submit(START_MS, {"model": "gemini-omni-video", "prompt": "", "resolution": "8k"})
    assert reply.status == 422
    assert sorted(each["field"] for each in loads(reply)["errors"]) == ["duration", "prompt", "resolution"]


def test_crun_can_answer_200_throughout() -> None:
    """With always_200 the HTTP status of a refusal is 200, and `code` says what it would have been."""
    client = Client(new_world(dialects={"crun": ["always_200"]}), "crun")
    for reply, code in (
        (client.submit(START_MS, {}), 422),
        (client.query("none", START_MS), 404),
        (client.send("GET", "/nowhere", START_MS), 404),
        (client.send("POST", client.operation("submit").path, START_MS, headers={}), 401),
    ):
        assert (reply.status, loads(reply)["code"]) == (200, code)


def test_evolink_can_name_a_malformed_task_id() -> None:
    """A task id that does not begin as EvoLink's do is a 400, of type invalid_task_id in a dialect."""
    types = [
        (reply.status, loads(reply)["error"]["type"])
        for dialects in ([], ["invalid_task_id"])
        for reply in [Client(new_world(dialects={"evolink": dialects}), "evolink").query("video_1", START_MS)]
    ]
    assert types == [(400, "invalid_request_error"), (400, "invalid_task_id")]


@for_each("schema", ["journal", "scenario"])
def test_the_schemas_list_every_gate(schema: str) -> None:
    """A record, and a condition of a scenario, may name each gate, and each role that refuses after the gates."""
    text = (specs_directory() / f"{schema}.schema.json").read_text(encoding="utf-8")
    (found,) = re.findall(r'"enum": \[([^\]]*"concurrency"[^\]]*)\]', text)
    listed = {each.strip(' "') for each in found.split(",")}
    assert listed >= {name for name, _, _ in GATES} | set(get_args(Role)) - {"example"}
