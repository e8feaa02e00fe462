"""OpenAPI Overlays: actions in order, on a document or on another overlay; errors lead to the file that says it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
import yaml

from contracts.drift.spec import documented
from contracts.rules import rules_of
from contracts.server.spec import load
from mockserver.spec.catalog import load_providers
from mockserver.spec.check import check_files
from mockserver.spec.document import Document
from mockserver.spec.files import documents_of, read_files
from mockserver.spec.overlay import overlaid
from mockserver.spec.vocabulary import builtin_specs, specs_directory, vocabulary

if TYPE_CHECKING:
    from pathlib import Path

BASE: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Kilns", "version": "1"},
    "tags": [{"name": "a"}, {"name": "b"}, {"name": "c"}],
    "paths": {"/a": {"get": {"tags": ["x"], "deprecated": True}}, "/b": {"get": {"tags": ["y"]}, "post": {}}},
}


def overlay_of(*actions: Any, version: str = "1.1.0", name: str = "o.yaml", **more: Any) -> Document:
    """Return an overlay with these actions."""
    data = {"overlay": version, "info": {"title": "t", "version": "1"}, **more, "actions": list(actions)}
    return Document.parse(name, yaml.safe_dump(data, sort_keys=False))


def applied(*overlays: Document) -> tuple[Any, list[str], list[str]]:
    """Apply overlays to the base; return the data, the errors, and the warnings."""
    document, issues = overlaid(Document.parse("base.yaml", yaml.safe_dump(BASE, sort_keys=False)), overlays)
    return document.data, [each.message for each in issues], [message for _, _, message, _ in document.warnings]


@pytest.mark.parametrize(
    ("action", "at", "expected"),
    [
        (
            {"target": "$.info", "update": {"title": "New", "x-a": 1}},
            "info",
            {"title": "New", "version": "1", "x-a": 1},
        ),
        (
            {"target": "$", "update": {"info": {"summary": "s"}}},
            "info",
            {"title": "Kilns", "version": "1", "summary": "s"},
        ),
        ({"target": "$.info.title", "update": "New"}, "info", {"title": "New", "version": "1"}),
        ({"target": "$.tags", "update": {"name": "d"}}, "tags", [{"name": each} for each in "abcd"]),
        ({"target": "$.tags", "update": [{"name": "d"}, {"name": "e"}]}, "tags", [{"name": each} for each in "abcde"]),
        ({"target": "$", "update": {"tags": [{"name": "d"}]}}, "tags", [{"name": each} for each in "abcd"]),
        ({"target": "$.tags[?@.name != 'b']", "remove": True}, "tags", [{"name": "b"}]),
        ({"target": "$.tags[0, 1]", "remove": True}, "tags", [{"name": "c"}]),
        ({"target": "$..deprecated", "remove": True}, "paths/~1a/get", {"tags": ["x"]}),
        ({"target": "$.paths['/b']['get', 'post']", "remove": True}, "paths/~1b", {}),
        ({"target": "$.paths['/b'].post", "copy": "$.paths['/b'].get"}, "paths/~1b/post", {"tags": ["y"]}),
        ({"target": "$.paths['/a'].get", "copy": "$.paths['/b'].get"}, "paths/~1a/get/tags", ["x", "y"]),
    ],
    ids=str,
)
def test_an_action(action: Any, at: str, expected: Any) -> None:
    """Merges mappings, adds to arrays, replaces single values, removes, copies."""
    before = json.dumps(BASE)
    data, errors, warnings = applied(overlay_of(action))
    assert (errors, warnings) == ([], [])
    for key in at.split("/"):
        data = data[key.replace("~1", "/")]
    assert data == expected
    assert json.dumps(BASE) == before


def test_actions_follow_each_other() -> None:
    """Each is applied to the result of the one before, through all overlays; what is written twice is not shared."""
    first = overlay_of(
        {"target": "$.paths.*.get", "update": {"x-a": {"n": 1}}},
        {"target": "$.paths['/a'].get.x-a", "update": {"n": 2}},
        {"target": "$.paths['/b']", "remove": True},
    )
    second = overlay_of(
        {"target": "$.paths", "update": {"/b": {"put": {}}}}, {"target": "$.paths['/b']", "update": {"x": 1}}
    )
    data, errors, _ = applied(first, second)
    assert errors == []
    assert data["paths"] == {
        "/a": {"get": {"tags": ["x"], "deprecated": True, "x-a": {"n": 2}}},
        "/b": {"put": {}, "x": 1},
    }
    assert first.data["actions"][0]["update"] == {"x-a": {"n": 1}}


def test_an_alias_of_yaml_is_changed_where_the_target_is_alone() -> None:
    """A part that stands in two places is two parts."""
    base = Document.parse("base.yaml", "paths: {/a: &x {get: {n: 1}}, /b: *x}")
    found, _ = overlaid(base, [overlay_of({"target": "$.paths['/a'].get", "update": {"n": 2}})])
    assert found.data["paths"] == {"/a": {"get": {"n": 2}}, "/b": {"get": {"n": 1}}}
    assert base.data["paths"]["/a"] == {"get": {"n": 1}}


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ({"update": {}}, "has no `target`"),
        ({"target": "info", "update": {}}, "starts with no $"),
        ({"target": 4, "update": {}}, "starts with no $"),
        ({"target": "$.info"}, "does nothing"),
        ({"target": "$.info", "remove": "yes"}, "must be true or false"),
        ({"target": "$.info", "updat": {}}, "unknown key: updat"),
        ({"target": "$.info[", "update": {}}, "is not a JSONPath"),
        ({"target": "$.a | $.b", "update": {}}, "is not a JSONPath"),
        ({"target": "$", "remove": True}, "cannot be removed"),
        ({"target": "$.info", "update": 5}, "is a mapping"),
        ({"target": "$.info.title", "update": {}}, "is a single value"),
        ({"target": "$.info", "copy": "$.nothing"}, "matches nothing"),
        ({"target": "$.info", "copy": "$.paths.*"}, "matches 2 values"),
        ({"target": "$.info", "copy": "$.info", "update": {}}, "stands beside `update`"),
        ({"target": "$.paths['/A'].x", "update": {"x-mock": {}}}, "matches nothing"),
        (5, "expected an action"),
    ],
    ids=str,
)
def test_a_wrong_action_is_told_once(action: Any, message: str) -> None:
    """And the others are applied."""
    data, errors, _ = applied(overlay_of(action, {"target": "$.info", "update": {"x-b": 1}}))
    assert [message in each for each in errors] == [True]
    assert data["info"]["x-b"] == 1


def test_what_matches_nothing_is_a_warning_unless_it_is_about_the_mock() -> None:
    """A mock that is not what its overlay says would be noticed late."""
    plain = {"target": "$.paths['/c'].get", "update": {"summary": "s"}}
    ours = {"target": "$.paths['/c'].get", "update": {"x-mock": {"role": "balance"}}}
    inner = {"target": "$.paths['/c']", "update": {"get": {"x-mock": {"role": "balance"}}}}
    _, errors, warnings = applied(overlay_of(plain, {"target": "$.nowhere", "remove": True}))
    assert (errors, ["matches nothing" in each for each in warnings]) == ([], [True, True])
    _, errors, warnings = applied(overlay_of(ours, inner))
    assert (["matches nothing" in each for each in errors], warnings) == ([True, True], [])


def test_copy_is_of_overlay_1_1() -> None:
    """In 1.0 it is an error, with its fix."""
    (issue,) = overlaid(
        Document.parse("b", "info: {}"), [overlay_of({"target": "$.info", "copy": "$.info"}, version="1.0.0")]
    )[1]
    assert (issue.message, issue.fix) == ("actions/0/copy: overlay 1.0 has no `copy`", "write `overlay: 1.1.0`")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"overlay": "2.0.0"}, "must be 1.0.x or 1.1.x; got '2.0.0'"),
        ({"overlay": 1.1}, "must be 1.0.x or 1.1.x; got 1.1"),
        ({"actions": []}, "has no list of `actions`"),
        ({"extend": "x.yaml"}, "unknown key: extend"),
    ],
    ids=str,
)
def test_a_wrong_overlay_is_told_once(change: Any, message: str) -> None:
    """By its root."""
    text = json.dumps({**overlay_of({"target": "$.info", "update": {}}).data, **change})
    _, errors, warnings = applied(Document.parse("o.json", text))
    assert [message in each for each in errors] == [True]
    assert warnings == []


def test_other_tools_want_an_info() -> None:
    """Nothing is served less for it."""
    _, errors, warnings = applied(Document.parse("o", "{overlay: 1.0.0, actions: [{target: $.info, update: {}}]}"))
    assert (errors, len(warnings)) == ([], 2)


def test_each_part_knows_who_said_it() -> None:
    """Also entries of an array that have moved, and what was copied."""
    base = Document.parse("base.yaml", "info:\n  title: t\ntags:\n- {n: 0}\n- {n: 1}\n- {n: 2}\n")
    overlay = Document.parse(
        "o.yaml",
        "overlay: 1.1.0\nactions:\n- {target: '$.tags[0]', remove: true}\n- target: $.tags\n  update:\n    n: 3\n"
        "- target: $.info\n  update:\n    more: {a: 1}\n"
        "- {target: $, update: {other: {}}}\n- {target: $.other, copy: $.info}\n",
    )
    found, issues = overlaid(base, [overlay])
    assert issues == []
    places = {
        ("tags", 0, "n"): ("base.yaml", 5),
        ("tags", 1): ("base.yaml", 6),
        ("tags", 2, "n"): ("o.yaml", 6),
        ("info", "title"): ("base.yaml", 2),
        ("info", "more", "a"): ("o.yaml", 9),
        ("other",): ("o.yaml", 10),
        ("other", "title"): ("base.yaml", 2),
        ("other", "more"): ("o.yaml", 9),
    }
    for path, (file, line) in places.items():
        issue = found.issue(path, "x")
        assert (issue.file, issue.line) == (file, line), path


# -- files ------------------------------------------------------------------------------------------

API = """\
openapi: 3.0.3
info: {title: Clip API, version: '1'}
servers: [{url: https://api.clip.example/v1}]
security: [{key: []}]
paths:
  /clips:
    post:
      operationId: makeClip
      requestBody:
        content:
          application/json:
            schema: {type: object, required: [model], properties: {model: {type: string}, prompt: {type: string}}}
      responses: {'202': {$ref: '#/components/responses/Clip'}}
  /clips/{id}:
    $ref: 'parts/clip.yaml#/item'
  /about:
    get: {responses: {'204': {description: ok}}}
components:
  securitySchemes: {key: {type: http, scheme: bearer}}
  responses:
    Clip:
      description: ok
      content:
        application/json:
          schema: {type: object, properties: {id: {type: string}, status: {type: string}}}
"""
ITEM = """\
item:
  get:
    operationId: getClip
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    responses: {'200': {$ref: '../api.yaml#/components/responses/Clip'}}
"""
OVERLAY = """\
overlay: 1.1.0
info: {title: Clips that end, version: 1.0.0}
extends: ./api.yaml
actions:
- target: $
  update:
    x-mock:
      provider: clips
      models:
        film:
          request: '#/paths/~1clips/post/requestBody/content/application~1json/schema'
          price: {reserve: {}}
      lifecycle:
        states: {queued: {lasts_s: 1}, running: {lasts_s: 5}}
        ends:
          done: {kind: success}
          failed: {kind: failure, reasons: {broken: {message: It broke.}}}
      errors:
        too_many: {status: 420, message: Enough., when: [rate_exceeded]}
- target: $.paths['/clips'].post
  update:
    x-mock:
      role: submit
      model: $request.body#/model
      reply: {status: 202, body: {id: $task.id, status: $task.status}}
- target: $.paths['/clips/{id}']
  update:
    get:
      x-mock:
        role: query
        task: $request.path.id
        reply: {status: 200, body: {id: $task.id, status: $task.status}}
"""


def files(folder: Path, **more: str) -> Path:
    """Write the document in two files and its overlay; return the overlay."""
    written = {"api.yaml": API, "parts/clip.yaml": ITEM, "my.overlay.yaml": OVERLAY, **more}
    for name, text in written.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "my.overlay.yaml"


def test_an_overlay_makes_a_provider(tmp_path: Path) -> None:
    """With what it says; the rest is as for a document alone."""
    path = files(tmp_path)
    assert check_files([path]) == []
    (provider,) = load_providers([path], builtin=False)
    assert (provider.name, provider.title) == ("clips", "Clip API")
    assert {each.id: each.role for each in provider.operations.values()} == {
        "makeClip": "submit",
        "getClip": "query",
        "getAbout": "example",
    }
    assert list(provider.lifecycle.ends) == ["done", "failed"]
    assert provider.refusals["rate_exceeded"].status == 420
    assert provider.refusals["concurrency_exceeded"].status == 429
    assert provider.models["film"].request.accepts({"model": "film"})
    assert not provider.models["film"].request.accepts({})


def test_an_overlay_says_a_part_of_a_part(tmp_path: Path) -> None:
    """Of the authentication and the accounts, too, what it does not say is as usual."""
    some = (
        "    x-mock:\n      authentication: {variable: CLIPS_KEY}\n      accounts: {rate_window: fixed}\n      provider"
    )
    path = files(tmp_path, **{"my.overlay.yaml": OVERLAY.replace("    x-mock:\n      provider", some)})
    assert check_files([path]) == []
    (provider,) = load_providers([path], builtin=False)
    assert (provider.key.variable, provider.key.example) == ("CLIPS_KEY", "mock-key")


#: What is written, what is written instead, what is said, and what stands on that line.
MISTAKES = [
    ("    x-mock:\n      provider", "    x-mok:\n      provider", "unknown key: x-mok (did you mean x-mock?)", "x-mok"),
    ("      lifecycle:", "      lifecycel:", "unknown key: lifecycel (did you mean lifecycle?)", "lifecycel"),
    ("kind: success", "kind: succes", "(did you mean success?)", "succes}"),
    ("role: submit", "role: submitt", "there is no role 'submitt' (did you mean submit?)", "submitt"),
    ("lasts_s: 5", "last_s: 5", "unknown key: last_s (did you mean lasts_s?)", "last_s"),
    ("status: $task.status}}\n- target", "status: $task.state}}\n- target", "has no 'state'", "$task.state}"),
    ("application~1json", "application~1jsn", "does not exist", "jsn"),
    ("$.paths['/clips'].post", "$.paths['/clip'].post", "(did you mean $.paths['/clips'].post?)", "/clip'"),
    ("$.paths['/clips/{id}']", "$.paths['/clips/{id}'].get", "add to $.paths['/clips/{id}'] itself", "].get"),
    ("- target: $\n", "- traget: $\n", "unknown key: traget (did you mean target?)", "traget"),
    ("./api.yaml", "./app.yaml", "app.yaml' does not exist", "app.yaml"),
    ("./api.yaml", "https://example.com/api.yaml", "is not fetched", "https"),
    ("./api.yaml", "my.overlay.yaml", "extends itself", "extends"),
    ("[rate_exceeded]", "[rate_exceded]", "(did you mean rate_exceeded?)", "rate_exceded"),
    ("status: 202, body", "status: 201, body", "the operation declares no response 201", "201"),
    ("task: $request.path.id", "task: $request.path.it", "has no path parameter 'it' (known: id)", "path.it"),
    ("actions:", "action:", "unknown key: action (did you mean actions?)", "action:"),
]


@pytest.mark.parametrize(("old", "new", "message", "at"), MISTAKES, ids=[each[1] for each in MISTAKES])
def test_a_mistake_is_told_in_one_line(tmp_path: Path, old: str, new: str, message: str, at: str) -> None:
    """With the overlay's file and line."""
    assert OVERLAY.count(old) == 1
    text = OVERLAY.replace(old, new)
    (issue,) = check_files([files(tmp_path, **{"my.overlay.yaml": text})])
    assert message in str(issue)
    assert (issue.file, issue.is_warning) == (str(tmp_path / "my.overlay.yaml"), False)
    assert issue.line is not None
    assert at in text.splitlines()[issue.line - 1]


@pytest.mark.parametrize(
    ("file", "old", "new", "at"),
    [
        ("api.yaml", "'#/components/responses/Clip'", "'#/components/responses/Clap'", "Clap"),
        ("parts/clip.yaml", "../api", "../app", "app"),
    ],
)
def test_a_mistake_of_the_document_is_told_there(tmp_path: Path, file: str, old: str, new: str, at: str) -> None:
    """Its lines are those of its own files."""
    text = {"api.yaml": API, "parts/clip.yaml": ITEM}[file].replace(old, new)
    (issue,) = check_files([files(tmp_path, **{file: text})])
    assert issue.file.endswith(file)
    assert issue.line is not None
    assert at in text.splitlines()[issue.line - 1]


def test_mistakes_are_told_all_at_once(tmp_path: Path) -> None:
    """Those of form, of a target and of meaning."""
    text = OVERLAY.replace("kind: success", "kind: succes").replace("'/clips'", "'/clip'")
    text = text.replace("path.id", "path.it").replace("{title: Clips that end, version: 1.0.0}", "{title: Clips}")
    issues = check_files([files(tmp_path, **{"my.overlay.yaml": text})])
    assert [each.is_warning for each in issues] == [True, False, False, False]


def test_a_provider_may_have_no_models(tmp_path: Path) -> None:
    """Then its submits name none."""
    start = OVERLAY.index("      models:")
    text = OVERLAY[:start] + OVERLAY[OVERLAY.index("      lifecycle:") :]
    assert check_files([files(tmp_path, **{"my.overlay.yaml": text})]) == []


def test_editors_know_both_kinds_of_files() -> None:
    """The schema of the vocabulary is one for whole documents and overlays."""
    accepts = jsonschema_rs.validator_for(vocabulary()).is_valid
    overlay = yaml.safe_load(OVERLAY)
    assert accepts(overlay)
    assert all(accepts(Document.read(path).data) for path in builtin_specs())
    for old, new in (
        ("role: submit", "role: submitt"),
        ("task: $", "tusk: $"),
        ("target: $\n", "target: x\n"),
        ("1.1.0", "2.0"),
    ):
        assert old in OVERLAY
        assert not accepts(yaml.safe_load(OVERLAY.replace(old, new))), new
    spec = Document.read(builtin_specs()[0]).data
    assert not accepts({**spec, "x-mock": {**spec["x-mock"], "lifecycel": {}}})


# -- contracts --------------------------------------------------------------------------------------


def test_contracts_read_overlays_and_bare_documents(tmp_path: Path) -> None:
    """A provider with its documents, places in them, and the rules that an overlay adds."""
    rules = "- target: $\n  update:\n    x-rules:\n    - {id: clips.x, section: s, asks: client, rule: Ask.}\n"
    path = files(tmp_path, **{"my.overlay.yaml": OVERLAY + rules})
    spec = load(None, [path], (), "http://127.0.0.1:1")
    assert spec.provider.name == "clips"
    assert spec.raw_operations["getClip"]["x-mock"]["role"] == "query"
    (found,) = [each for each in documented([path]) if each.provider.name == "clips"]
    operation = found.provider.operations["getClip"]
    assert operation.path == "/v1/clips/{id}"
    assert str(found.reply(operation)) == f"{path}:{OVERLAY[: OVERLAY.index('status: 200')].count(chr(10)) + 1}"
    declared = found.response(found.operation(operation), 200)
    assert declared is not None
    assert str(declared).startswith(str(tmp_path / "api.yaml"))
    assert [(each.id, each.provider) for each in rules_of([path])] == [("clips.x", "clips")]
    bare = load("clip", [tmp_path / "api.yaml"], (), "http://127.0.0.1:1")
    assert bare.of_role("submit") == []


def test_a_complete_spec_takes_overlays_too(tmp_path: Path) -> None:
    """Its parts change, and a mistake leads to the overlay."""
    spec = specs_directory() / "evolink-gemini-omni-flash.yaml"
    text = (
        "overlay: 1.0.0\ninfo: {title: t, version: 1.0.0}\n"
        f"extends: {spec}\nactions:\n- target: $.x-mock.results.video\n  update: {{lifetime_s: 7}}\n"
    )
    path = tmp_path / "short.overlay.yaml"
    path.write_text(text, encoding="utf-8")
    (provider,) = load_providers([path], builtin=False)
    assert provider.results["video"].lifetime_s == 7
    assert len(load_providers([path])) == 4
    path.write_text(text.replace("7}", "soon}"), encoding="utf-8")
    (issue,) = check_files([path])
    assert (issue.file, issue.line) == (str(path), 6)


SECOND = "overlay: 1.1.0\ninfo: {title: t, version: '1'}\nactions:\n- {target: $.x-mock, update: {title: Second}}\n"


@pytest.mark.parametrize(
    ("extends", "given", "title"),
    [
        ("api.yaml", ["my.overlay.yaml", "second.yaml"], "Second"),
        ("my.overlay.yaml", ["second.yaml"], "Second"),
        ("my.overlay.yaml", ["my.overlay.yaml", "second.yaml", "api.yaml"], "Second"),
        (None, ["api.yaml", "my.overlay.yaml", "second.yaml"], "Second"),
        (None, ["my.overlay.yaml", "second.yaml", "api.yaml"], "Second"),
        ("https://example.com/api.yaml", ["api.yaml", "my.overlay.yaml", "second.yaml"], "Second"),
        ("api.yaml", ["api.yaml", "my.overlay.yaml"], "Clip API"),
    ],
)
def test_several_overlays_make_one_provider(tmp_path: Path, extends: str | None, given: list[str], title: str) -> None:
    """On one document, on each other, or on the document that is given."""
    files(tmp_path, **{"second.yaml": SECOND + ("" if extends is None else f"extends: {extends}\n")})
    paths = [tmp_path / name for name in given]
    assert check_files(paths) == []
    (provider,) = load_providers(paths, builtin=False)
    assert provider.title == title


def test_an_overlay_needs_a_document(tmp_path: Path) -> None:
    """That it names, or that is given."""
    files(tmp_path, **{"second.yaml": SECOND})
    (issue,) = read_files([tmp_path / "second.yaml"]).issues
    assert (issue.message, issue.fix) == ("does not say which document it is for", "add `extends: FILE`")


def test_a_bare_document_is_complete_for_whoever_asks(tmp_path: Path) -> None:
    """Contracts read documents as they are served."""
    path = files(tmp_path)
    for document in (*documents_of([path]), *documents_of([tmp_path / "api.yaml"])):
        assert document.data["x-mock"]["provider"] in ("clips", "clip")
        assert "get" in document.data["paths"]["/clips/{id}"]
