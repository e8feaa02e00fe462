"""What `check` and `--spec` say of specs that are not as they should be: file, line, what, and the fix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mockserver.spec.catalog import load_providers
from mockserver.spec.check import check_files
from mockserver.spec.document import Document, SpecError, merge_patch
from mockserver.spec.provenance import main as provenance
from mockserver.spec.provenance import provenance as provenance_text
from mockserver.spec.vocabulary import builtin_specs, specs_directory

if TYPE_CHECKING:
    from pathlib import Path

EVOLINK = (specs_directory() / "evolink-gemini-omni-flash.yaml").read_text(encoding="utf-8")

#: How many lines a mistake may take: an operation without a name breaks what refers to it.
CONSEQUENCES = {
    "operationId": 4,
    "no operation of role `result`": 2,
    "is a second end of kind success": 2,
}
#: What to change in a good spec (old, new), the words of the fault, and words of the line it stands on.
MISTAKES = [
    ("provider: evolink\n", "provider: Evo Link\n", "provider", "provider: Evo"),
    ("    default_plan: default\n", "    default_plan: gold\n", "unknown plan 'gold'", "default_plan"),
    (
        "    scheme: bearer\n    example",
        "    scheme: basic\n    example",
        "unknown security scheme 'basic'",
        "scheme: basic",
    ),
    ("role: query\n", "role: ask\n", "ask", "role: ask"),
    ("progress: $task.progress\n", "progress: $task.percent\n", "$task has no 'percent'", "$task.percent"),
    ("status: $task.status\n", "status: $job.status\n", "$job is unknown", "$job.status"),
    ("'task-unified-{unix_s}-{base36:8}'", "'task-{base99:8}'", "a placeholder must be one of", "base99"),
    ("'task-unified-{unix_s}-{base36:8}'", "'task-{unix_s}-{digits:2}'", "too few different ids", "digits:2"),
    ("ratio: {by", "ratio: wide # {by", "does not match", "ratio: wide"),
    ("maximum: 100\n", "maximum: much\n", "'much' is not of type 'number'", "maximum: much"),
    (
        "base36:8}'\n      pattern: '^task-unified-'\n",
        "base36:8}'\n      pattern: '^task-('\n",
        "regular expression",
        "'^task-('",
    ),
    ("completed: $reply.getTask\n", "completed: $reply.getJob\n", "is not an operation of role `query`", "getJob"),
    (
        "      completed: $reply.getTask\n",
        "      finished: $reply.getTask\n",
        "is not a state of the lifecycle",
        "finished:",
    ),
    ("    reason: content_policy_violation\n", "    reason: rude\n", "must be a reason of the failure", "reason: rude"),
    ("      result: video\n", "      result: film\n", "unknown result 'film'", "result: film"),
    ("path: '/files/{task_id}/{index}.mp4'\n", "path: '/f/{task_id}'\n", "no operation of role `result`", "/f/"),
    ("kind: failure\n", "kind: success\n", "is a second end of kind success", "failed:"),
    ("request: '#/components/schemas/VideoRequest'", "request: '#/components/schemas/No'", "does not exist", "/No'"),
    ("prompt: A red kite loops over a beach at dusk, duration: 6}", "prompt: x, duration: 60}", "does not match", "60"),
    ("{$ref: '#/components/schemas/TaskInfo'}", "{$ref: '#/components/schemas/Nope'}", "does not exist", "/Nope"),
    ("    timeout_s: 10\n", "    timeout_s: soon\n", "soon", "timeout_s: soon"),
    ("    timeout_s: 10\n", "    timeout_s: 10\n    timeout_s: 11\n", "duplicate key", "timeout_s: 11"),
    (
        "      processing: {from: 45, to: 70",
        "      processing: {from: 90, to: 70",
        "greater than",
        "90",
    ),
    ("test_keys: {no_credits: ", "test_keys: {no_money: ", "unknown key: no_money", "no_money"),
    ("no_credits: sk-evolink-mock-no-credits", "no_credits: 7", "not of type", "no_credits: 7"),
    ("no_credits: sk-evolink-mock-no-credits", "no_credits: [a]", "not of type", "no_credits: [a]"),
    ("no_credits: sk-evolink-mock-no-credits", "no_credits: null", "not of type", "no_credits: null"),
    (
        "no_credits: sk-evolink-mock-no-credits",
        "no_credits: ''",
        "no_credits: does not match key_pattern",
        "no_credits: ''",
    ),
    ("revoked: sk-evolink-mock-revoked", "revoked: two words", "revoked: does not match key_pattern", "two words"),
    ("    test_keys: {", "    test_keys: sk-mock-revoked\n    source_: {", "test_keys: ", "test_keys: sk-mock-revoked"),
    ("processing: {from", "processing: {older_word: '', from", "older_word: ", "older_word: ''"),
    ("processing: {from", "processing: {older_word: 7, from", "not of type", "older_word: 7"),
    ("processing: {from", "processing: {older_word: [a, b], from", "not of type", "older_word: [a, b]"),
    ("processing: {from", "processing: {older_words: a, from", "unknown key: older_words", "older_words"),
    ("completed: {kind: success", "completed: {older_word: done, kind: success", "unknown key: older_word", "done"),
    ("              status: completed", "              status: [completed", "is not valid YAML", ""),
]


@pytest.mark.parametrize(("old", "new", "words", "line"), MISTAKES)
def test_each_mistake_is_named(tmp_path: Path, old: str, new: str, words: str, line: str) -> None:
    """A mistake is reported with the file, the line it stands on, and words that say what is wrong."""
    assert old in EVOLINK or "completed" in old
    text = EVOLINK.replace(old, new, 1)
    file = tmp_path / "spec.yaml"
    file.write_text(text if text != EVOLINK else EVOLINK + "\n]", encoding="utf-8")
    faults = check_files([file])
    named = [fault for fault in faults if words in str(fault)]
    assert named, [str(fault) for fault in faults]
    assert all(fault.file == str(file) and fault.line and fault.fix for fault in faults)
    assert len(faults) <= CONSEQUENCES.get(words, 1), [str(fault) for fault in faults]
    if line:
        assert named[0].line is not None
        assert line in file.read_text(encoding="utf-8").splitlines()[named[0].line - 1]


def test_no_server_starts_with_a_mistake(tmp_path: Path) -> None:
    """What `check` reports is what loading raises, all of it at once."""
    file = tmp_path / "spec.yaml"
    text = EVOLINK.replace("scheme: bearer\n    example", "scheme: basic\n    example", 1)
    file.write_text(text.replace("default_plan: default", "default_plan: gold", 1), encoding="utf-8")
    with pytest.raises(SpecError) as raised:
        load_providers([file])
    assert list(map(str, raised.value.issues)) == list(map(str, check_files([file])))
    assert raised.value.issues


def test_test_keys_and_older_words(tmp_path: Path) -> None:
    """Where they are as they should be, test keys and older words are taken as written; both may be left out."""
    file = tmp_path / "spec.yaml"
    text = EVOLINK.replace("processing: {from", "processing: {older_word: In Progress, from", 1)
    file.write_text(text.replace("no_credits: sk-evolink-mock-no-credits, ", "no_credits: '!~', ", 1), encoding="utf-8")
    assert check_files([file]) == []
    (provider,) = (each for each in load_providers([file]) if each.name == "evolink")
    assert provider.lifecycle.older_words == {"processing": "In Progress"}
    assert provider.key.test_keys == {
        "!~": "no_credits",
        "sk-evolink-mock-revoked": "revoked",
        "sk-evolink-mock-rate-limited": "rate_limited",
        "sk-evolink-mock-no-scope": "no_scope",
    }
    line = next(line for line in EVOLINK.splitlines(keepends=True) if line.startswith("    test_keys: "))
    for without in ("", "    test_keys: {}\n"):
        file.write_text(EVOLINK.replace(line, without, 1), encoding="utf-8")
        assert check_files([file]) == []
        (provider,) = (each for each in load_providers([file]) if each.name == "evolink")
        assert (provider.key.test_keys, provider.lifecycle.older_words) == ({}, {})


@pytest.mark.parametrize("text", ["", "[]", "just words", "a: [", "\x00", "paths: {}", "? {a: b}: c", "&a [*a]"])
def test_what_is_no_spec_at_all(tmp_path: Path, text: str) -> None:
    """Whatever the file holds, the answer is a fault of that file and never an exception of another kind."""
    file = tmp_path / "spec.yaml"
    file.write_text(text, encoding="utf-8")
    assert [fault.file for fault in check_files([file])][:1] == [str(file)]


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    """A file that is not UTF-8, and one that is not there, are each one fault."""
    file = tmp_path / "spec.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    assert [str(fault) for fault in check_files([file])] == [f"{file}: is not UTF-8 text"]
    assert "cannot be read" in str(check_files([tmp_path / "missing.yaml"])[0])


def test_two_leads_of_one_name(tmp_path: Path) -> None:
    """Two specs of the user's own cannot both lead a provider; one of them takes the built-in's place."""
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    one.write_text(EVOLINK, encoding="utf-8")
    other.write_text(EVOLINK, encoding="utf-8")
    assert "is already defined in" in str(check_files([one, other])[0])
    providers = load_providers([one])
    assert [provider.name for provider in providers].count("evolink") == 1


def test_a_part_leans_on_the_built_in_lead() -> None:
    """A document that is part of a built-in provider checks without its lead on the command line."""
    flash = specs_directory() / "toapis-gemini-omni-flash.yaml"
    assert check_files([flash]) == []
    with pytest.raises(SpecError, match="no spec defines the provider 'toapis'"):
        load_providers([flash], builtin=False)


def test_dialects_are_checked_too(tmp_path: Path) -> None:
    """A dialect whose patch breaks the spec is found by the check, although it is not switched on."""
    file = tmp_path / "spec.yaml"
    file.write_text(
        EVOLINK.replace("        x-mock:\n          errors:", "        x-mock:\n          ids: null\n          errors:")
    )
    assert check_files([file])


def test_merge_patch_is_rfc_7396() -> None:
    """The examples of RFC 7396's appendix come out as it says, and nothing is changed in place."""
    cases = [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ]
    for target, patch, expected in cases:
        before = repr(target)
        assert merge_patch(target, patch) == expected
        assert repr(target) == before


def test_lines_of_a_document() -> None:
    """The line of a path is that of its last key, or of the nearest thing that is there."""
    document = Document.parse("x", "a:\n  b:\n    - c\n    - d: 1\n")
    assert document.line(("a", "b", 1, "d")) == 4
    assert document.line(("a", "b", 0)) == 3
    assert document.line(("a", "nothing")) == 1
    assert document.line(()) == 1


def test_the_table_of_rules_is_up_to_date() -> None:
    """specs/README.md is what the specs say today: every rule of every document stands in it."""
    assert provenance(["--check"]) == 0
    text = provenance_text()
    for path in builtin_specs():
        for rule in Document.read(path).data["x-rules"]:
            assert f"| `{rule['id']}` |" in text
