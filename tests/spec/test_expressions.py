"""Runtime expressions and templates: what each word gives, and what is refused when a spec is read."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from support.engine import START_MS, Client, new_world
from support.tables import for_each

from mockserver.engine.context import RequestContext, credits_of
from mockserver.engine.messages import Request
from mockserver.provider import Problem
from mockserver.spec.expressions import NAMES, ExpressionError, compile_value, names_of

SERVER = "http://mock.test/kiln"


def context_at(now_ms: int = START_MS + 60_000) -> RequestContext:
    """Return a context in which every name has a value."""
    client = Client(new_world(), "kiln")
    body = {**client.body(), "flag": True, "none": None, "list": [10, {"x/y": "z", "a~b": 6.0}], "": "empty"}
    task = client.task(client.submit(START_MS, body).task_id)
    context = RequestContext(client.state, now_ms)
    headers = CIMultiDict({"X-Trace": "t1", "X-Dotted.Name": "dotted", "X-Bytes": "a\udcff"})
    context.request = Request("POST", "/pieces/é", headers, b"", "q=1&q=2&empty=&a.b=c")
    context.path_values = {"ticket": "piece-1", "a.b": "c"}
    context.set_task(task)
    context.body, context.account = body, client.account
    context.request_id = "trace-1"
    context.price_ucr = 1_500_000
    return context


def value(template: Any, context: RequestContext | None = None) -> Any:
    """Compile a template and evaluate it."""
    return compile_value(template)(context_at() if context is None else context)


@for_each(
    ("expression", "expected"),
    [
        ("$request.body#/wish", "A bowl the colour of a wet leaf"),
        ("$request.body#/none", None),
        ("$request.body#/missing", None),
        ("$request.body#/list/0", 10),
        ("$request.body#/list/1/x~1y", "z"),
        ("$request.body#/list/1/a~0b", 6.0),
        ("$request.body#/list/2", None),
        ("$request.body#/list/-1", None),
        ("$request.body#/list/x", None),
        ("$request.body#/wish/deeper", None),
        ("$request.body#/", "empty"),
        ("$request.query.q", "1"),
        ("$request.query.empty", ""),
        ("$request.query.missing", None),
        ("$request.query.a.b", "c"),
        ("$request.path.ticket", "piece-1"),
        ("$request.path.missing", None),
        ("$request.path.a.b", "c"),
        ("$request.path", "/pieces/é"),
        ("$request.method", "POST"),
        ("$request.header.x-trace", "t1"),
        ("$request.header.X-Dotted.Name", "dotted"),
        ("$request.header.X-Bytes", "a\N{REPLACEMENT CHARACTER}"),
        ("$request.header.Missing", None),
        ("$input#/copies", 2),
        ("$input#/wish", "A bowl the colour of a wet leaf"),
        ("$input#/missing", None),
        ("$task.status", "firing"),
        ("$task.progress", 45),
        ("$task.submitted_unix_s", START_MS // 1000),
        ("$task.submitted_unix_ms", START_MS),
        ("$task.submitted_iso", "2026-06-05T00:00:00Z"),
        ("$task.started_unix_ms", START_MS + 10_000),
        ("$task.ended_iso", None),
        ("$task.expires_unix_s", None),
        ("$task.elapsed_s", 60),
        ("$task.estimated_s", None),
        ("$task.output_duration_s", 3),
        ("$task.reserved_credits", 10),
        ("$task.charged_credits", 0),
        ("$task.reason_code", None),
        ("$task.result_url", None),
        ("$task.result_urls", []),
        ("$task.media", "video/mp4"),
        ("$task.model", "celadon"),
        ("$account.plan", "guild"),
        ("$account.available_credits", 490),
        ("$account.reserved_credits", 10),
        ("$account.used_credits", 0),
        ("$account.granted_credits", 500),
        ("$quote.credits", 1.5),
        ("$request_id", "trace-1"),
        ("$server.url", SERVER),
        ("$now.iso", "2026-06-05T00:01:00Z"),
        ("$now.unix_s", START_MS // 1000 + 60),
        ("$problem.message", ""),
        ("$problem.field", None),
        ("$problem.all", []),
        ("$reply.showPiece#/stage", "firing"),
    ],
)
def test_an_expression_gives_what_it_names(expression: str, expected: Any) -> None:
    """Each word leads to its fact, with its own type; what is not there is null."""
    found = value(expression)
    assert found == expected
    assert type(found) is type(expected)


@for_each(
    ("expression", "expected"),
    [
        ("$task.status", "glazed"),
        ("$task.progress", 100),
        ("$task.ended_unix_ms", START_MS + 120_000),
        ("$task.ended_iso", "2026-06-05T00:02:00Z"),
        ("$task.expires_unix_ms", START_MS + 180_000),
        ("$task.elapsed_s", 120),
        ("$task.charged_credits", 7),
        ("$account.used_credits", 7),
        ("$account.available_credits", 493),
    ],
)
def test_an_ended_task_tells_more(expression: str, expected: Any) -> None:
    """What comes with the end is told from the end on, and does not change with the time of asking."""
    assert value(expression, context_at(START_MS + 120_000)) == expected
    assert value(expression, context_at(START_MS + 10**9)) == expected


def test_every_request_expression_is_null_where_there_is_no_request() -> None:
    """In a callback there is no request any more: its parts are null, its method and path empty."""
    context = context_at()
    del context.request
    context.path_values = {}
    found = [
        value(each, context)
        for each in (
            "$request.query.q",
            "$request.header.X-Trace",
            "$request.path.ticket",
            "$request.path",
            "$request.method",
        )
    ]
    assert found == [None, None, None, "", ""]


def test_a_body_that_is_no_object_has_no_fields() -> None:
    """A pointer into a list, a string or null gives null."""
    nobodies: list[Any] = [None, [], "text", 7]
    for body in nobodies:
        context = context_at()
        context.task, context.inputs, context.body = None, None, body
        assert value("$request.body#/wish", context) is None
        assert value("$input#/wish", context) is None
        assert value("$request.body#/a/b", context) is None
        assert value("$request.body", context) is body


def test_problems_are_told_one_by_one() -> None:
    """`$problem.all` lists every problem; where there is only one, that one."""
    context = context_at()
    context.problem = Problem("first", "a")
    assert value("$problem.all", context) == [{"field": "a", "message": "first"}]
    context.problem = Problem("first", "a", (Problem("first", "a"), Problem("second")))
    assert value("$problem.all", context) == [{"field": "a", "message": "first"}, {"field": None, "message": "second"}]


@for_each(
    "template",
    [
        "text",
        "",
        7,
        1.5,
        True,
        None,
        [],
        {},
        [1, "a"],
        {"a": {"b": [None]}},
        "a { b",
        "{}",
        "{x}",
        "costs 5$",
        "{ $task.id }",
    ],
)
def test_a_template_without_expressions_is_itself(template: Any) -> None:
    """Constants come out as they stand, braces and all."""
    assert value(template) == template


def test_a_template_is_filled_at_every_depth() -> None:
    """Expressions inside objects and lists are replaced by values of their own types, and keys keep their order."""
    template = {
        "z": "$task.progress",
        "a": [{"deep": "$request.body#/flag"}, "fixed"],
        "m": {"n": None, "o": "$request.body#/list"},
    }
    found = value(template)
    assert found == {"z": 45, "a": [{"deep": True}, "fixed"], "m": {"n": None, "o": [10, {"x/y": "z", "a~b": 6.0}]}}
    assert list(found) == ["z", "a", "m"]


def test_a_filled_template_does_not_change_the_next() -> None:
    """Each evaluation gives an object of its own."""
    compiled, context = compile_value({"a": "$task.status", "b?": "$request.body#/none"}), context_at()
    first = compiled(context)
    first["a"], first["c"] = "spoilt", 1
    assert compiled(context) == {"a": "firing"}


def test_an_optional_key_is_left_out_when_it_is_null() -> None:
    """A key that ends in ? stands in its place without the mark, or not at all."""
    template = {"a?": "$request.body#/none", "b?": "$task.progress", "c": "$request.body#/none", "d?": None, "e?": 0}
    found = value(template)
    assert found == {"b": 45, "c": None, "e": 0}
    assert list(found) == ["b", "c", "e"]


@for_each(
    ("text", "expected"),
    [
        ("{$task.status}", "firing"),
        ("id {$request_id}!", "id trace-1!"),
        ("{$task.progress}{$task.progress}", "4545"),
        ("a{$request.body#/none}b", "ab"),
        ("{$request.body#/flag}", "true"),
        ("{$request.body#/list/1/a~0b}", "6"),
        ("{$quote.credits} credits", "1.5 credits"),
        ("{{$task.status}}", "{firing}"),
        ("{x} {$task.status}", "{x} firing"),
    ],
)
def test_expressions_inside_a_text_are_put_in_as_text(text: str, expected: str) -> None:
    """Numbers and truth values are written as JSON has them; null is nothing."""
    assert value(text) == expected


@for_each(
    ("by", "expected"),
    [
        ("$task.status", "in the fire"),
        ("$request.body#/list/0", "ten"),
        ("$request.body#/list/1/a~0b", "six"),
        ("$request.body#/flag", "yes"),
        ("$request.body#/none", "nothing"),
        ("$request.body#/missing", "nothing"),
        ("$request.method", "else: POST"),
        ("$request.body#/list", "else: POST"),
    ],
)
def test_a_choice_looks_up_what_it_is_made_by(by: str, expected: str) -> None:
    """Strings, numbers, truth values and null are looked up as they are written; what is not listed is otherwise."""
    values = {"firing": "in the fire", "10": "ten", "6": "six", "true": "yes", "null": "nothing"}
    assert value({"by": by, "values": values, "otherwise": "else: {$request.method}"}) == expected


def test_a_choice_without_otherwise_is_null() -> None:
    """What is not listed, and has no otherwise, is null; choices may lead to choices."""
    inner = {"by": "$request.method", "values": {"POST": {"deep": "$task.progress"}}}
    assert value({"by": "$task.status", "values": {"drying": 1}}) is None
    assert value({"a": {"by": "$task.status", "values": {"firing": inner}}}) == {"a": {"deep": 45}}


def test_only_these_keys_make_a_choice() -> None:
    """An object that has other keys besides is an object."""
    template = {"by": "$task.status", "values": {}, "more": 1}
    assert value(template) == {"by": "firing", "values": {}, "more": 1}


@for_each(
    ("template", "words", "path"),
    [
        ("$nothing", r"\$nothing is unknown", ()),
        ("$", "is unknown", ()),
        ("$5.00", "is unknown", ()),
        ("$task", "has no ''", ()),
        ("$task.colour", "has no 'colour'", ()),
        ("$task.status.deep", "has no 'status.deep'", ()),
        ("$request", "is unknown", ()),
        ("$request.cookie.x", "request has body, method", ()),
        ("$request.body.x", "request has", ()),
        ("$request.query", "request has", ()),
        ("$request.header", "request has", ()),
        ("$request.body#wish", "a JSON pointer, which starts with /", ()),
        ("$input.x", "is unknown", ()),
        ("$reply", "is unknown", ()),
        ("text {$nothing}", "is unknown", ()),
        ({"a": [1, {"b?": "$nothing"}]}, "is unknown", ("a", 1, "b?")),
        ({"by": "$nothing", "values": {}}, "is unknown", ("by",)),
        ({"by": "task.status", "values": {}}, "is sent as it stands", ("by",)),
        ("task.status", r"is sent as it stands", ()),
        ("id {task.id}", r"\{task.id\} is sent as it stands", ()),
        ("id {$task.id", r"\{\$ is sent as it stands", ()),
        ({"by": 7, "values": {}}, "starts with \\$", ("by",)),
        ({"by": "$task.status", "values": ["a"]}, "must be a mapping", ("values",)),
        ({"by": "$task.status", "values": {"a": {"b": "$nothing"}}}, "is unknown", ("values", "a", "b")),
        ({"by": "$task.status", "values": {}, "otherwise": ["$nothing"]}, "is unknown", ("otherwise", 0)),
    ],
)
def test_what_means_nothing_is_refused_where_it_stands(template: Any, words: str, path: tuple[str | int, ...]) -> None:
    """A word that does not exist is refused when the spec is read, with what exists and the path to it."""
    with pytest.raises(ExpressionError, match=words) as caught:
        compile_value(template)
    assert caught.value.path == path


@for_each("root", NAMES)
def test_every_word_of_the_tables_compiles(root: str) -> None:
    """Each fact is reached by its own name."""
    for name in names_of(root):
        assert callable(compile_value(f"${root}.{name}"))


@for_each("root", NAMES)
def test_every_name_is_a_typed_attribute_of_the_context(root: str) -> None:
    """Every name behind a root is read from an attribute of the context; no property of the context is left over."""
    read = {attribute for source in names_of(root).values() for attribute in re.findall(r"\bs\.(\w+)", source)}
    known = {name for kind in RequestContext.__mro__ for name in (*vars(kind), *vars(kind).get("__annotations__", ()))}
    assert read <= known | {"state"}
    assert {name for name in read if name.startswith(f"{root}_")} == {
        name for name in known if name.startswith(f"{root}_")
    }


@for_each(("amount_ucr", "written"), [(0, 0), (1_000_000, 1), (1_500_000, 1.5), (102_340_000, 102.34), (1, 1e-06)])
def test_credits_are_written_whole_where_they_are(amount_ucr: int, written: float) -> None:
    """Whole credits are integers, others are floats."""
    assert credits_of(amount_ucr) == written
    assert type(credits_of(amount_ucr)) is type(written)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(alphabet="ab{}?#/ "),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(alphabet="abc", max_size=3), children, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_without_expressions_is_a_constant(template: Any) -> None:
    """A template that names nothing gives itself."""
    assert value(template, RequestContext(new_world().providers["kiln"], 0)) == template


@pytest.mark.slow
@given(st.dictionaries(st.text(alphabet="abc01~/", max_size=3), JSON))
def test_any_body_can_be_pointed_into(body: Any) -> None:
    """Every value in an object is what its JSON pointer gives."""
    context = RequestContext(new_world().providers["kiln"], 0)
    context.body = body

    def walk(here: Any, pointer: str) -> None:
        if pointer:
            assert value(f"$request.body#{pointer}", context) == here
        if isinstance(here, dict):
            for key, each in here.items():
                walk(each, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
        elif isinstance(here, list):
            for index, each in enumerate(here):
                walk(each, f"{pointer}/{index}")

    walk(body, "")


@for_each(
    ("template", "fix"),
    [
        ("$nothing", "known: $request, $input, $reply, $url, $draw, $request_id, $task, "),
        ("$taks.id", "did you mean $task?"),
        ("$task.colour", "known: account_id, "),
        ("$task.staus", "did you mean status?"),
        ("$task.ID", "did you mean id?"),
        ("task.status", "write $task.status"),
    ],
)
def test_a_fix_is_offered(template: Any, fix: str) -> None:
    """A name near a known one is suggested; else all are listed."""
    with pytest.raises(ExpressionError) as raised:
        compile_value(template)
    assert raised.value.fix.startswith(fix)
