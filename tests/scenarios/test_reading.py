"""Reading scenarios: every word of the schema is taken, and every mistake is told: file, line, what, and what to do.

Whatever stands in a file, or comes over HTTP, the answer is a scenario that can be put in force, or words.
"""

from __future__ import annotations

import asyncio
import re
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.edge import PROVIDERS, Edge, nothing_logged, serving
from support.tables import for_each

from mockserver.chance import Chance
from mockserver.cli import main
from mockserver.clock import MANUAL_START_MS, Clock
from mockserver.edge import active_scenario as staging
from mockserver.edge.active_scenario import activate, check_scenario, file_issues
from mockserver.edge.records import account_record
from mockserver.engine.world import World, WorldRules
from mockserver.scenarios.read import find, gallery, of_data, of_document, read
from mockserver.spec.catalog import load_providers
from mockserver.spec.document import Document, SpecError, SpecIssue
from mockserver.spec.vocabulary import specs_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mockserver.provider import Provider
    from mockserver.scenarios.read import Scenario

KEY = "gomni_" + "ab" * 32
SCHEMA = orjson.loads((specs_directory() / "scenario.schema.json").read_bytes())

#: A scenario in which every word stands.
WHOLE = f"""\
scenario: a bad day
summary: What happens.
good_client: What a good client does.
seed: 7
clock:
  speed: 60
accounts:
  - provider: googlegeminiomni
    key: {KEY}
    plan: premium
    available_credits: 12.5
    requests_per_minute: 10
    requests_per_hour: 100
    tasks_per_day: 1000
    concurrent_tasks: 2
    secret: a-secret
    webhook_url: https://receiver.example/hooks
    webhook_events: [done]
    revoked: false
  - provider: crun
timeline:
  - at_s: 10
    lasts_s: 20
    fault: error
    with:
      status: 429
      retry_after: seconds
    where:
      provider: evolink
      operation: createVideo
      key: sk-evolink-mock-key
      task: task-unified-1-abc
      model: gemini-omni-flash-text-to-video
      prompt: ki+te
      text: A kite
      phase: processing
    when:
      after: 1
      every: 2
      probability: 0.5
      for_s: 30
      times: 3
  - fault: latency
expect:
  - that: something is counted
    count:
      kind: exchange
      provider: evolink
      operation: submit
      status: 429
      gate: fault
      error: rate_limited
      fault: error
      outcome: acknowledged
      event: completed
    after:
      operation: getTask
    per: account
    at_least: 1
    at_most: 5
  - that: something is measured
    gap:
      operation: submit
    per: task
    at_least_s: 0.5
    at_most_s: 60
"""


@cache
def providers() -> list[Provider]:
    """The providers that come with the package."""
    return load_providers()


def world() -> World:
    """A world of theirs, as new."""
    return World(providers(), Chance(0), WorldRules(), {each.name: f"http://mock/{each.name}" for each in providers()})


@cache
def lasting_world() -> World:
    """A world that is only looked at."""
    return world()


def scenario_in(text: str) -> Scenario:
    """Read a scenario, and see whether it fits."""
    scenario = of_document(Document.parse("scenario.yaml", text))
    check_scenario(lasting_world(), scenario)
    return scenario


def faults_in(text: str) -> list[SpecIssue]:
    """Return what is wrong with a text."""
    with pytest.raises(SpecError) as raised:
        scenario_in(text)
    return raised.value.issues


# -- every word -----------------------------------------------------------------------------------


def test_every_word_of_the_schema_is_read() -> None:
    """A scenario in which every word of the schema stands is read, and means what it says."""
    words = {
        word
        for part in (SCHEMA, *SCHEMA["$defs"].values())
        for word in (*part["properties"], *part.get("required", ()))
    }
    words |= {name for each in ("where", "when") for name in event_names(each)}
    assert {word for word in words if not re.search(rf"\b{word}:", WHOLE)} == set()
    scenario = scenario_in(WHOLE)
    assert (scenario.name, scenario.summary) == ("a bad day", "What happens.")
    assert (scenario.good_client, scenario.seed, scenario.speed) == ("What a good client does.", 7, 60)
    assert [account["provider"] for account in scenario.accounts] == ["googlegeminiomni", "crun"]
    assert scenario.fault_requests[0]["when"] == {
        "after": 1,
        "every": 2,
        "probability": 0.5,
        "for_s": 30,
        "times": 3,
        "from_s": 10,
        "until_s": 30,
    }
    assert scenario.fault_requests[1] == {"fault": "latency", "with": {}, "where": {}, "when": {}}
    assert [each["that"] for each in scenario.expect] == ["something is counted", "something is measured"]


def event_names(group: str) -> list[str]:
    """Return the words of an event's `where` or `when`."""
    names: list[str] = SCHEMA["$defs"]["event"]["properties"][group]["propertyNames"]["enum"]
    return names


def test_a_scenario_is_put_in_force_as_it_was_read() -> None:
    """Accounts, limits, faults and the clock are as the scenario says, from the instant at which it starts."""
    scenario, made, clock = scenario_in(WHOLE), world(), Clock(MANUAL_START_MS, 0)
    staged = activate(made, clock, scenario)
    account = made.providers["googlegeminiomni"].accounts[KEY]
    assert (account.available_ucr, account.secret, account.revoked) == (12_500_000, "a-secret", False)
    assert (account.webhook_url, account.webhook_events) == ("https://receiver.example/hooks", ("done",))
    assert (account.plan.name, account.plan.requests_per_minute) == ("premium", 10)
    assert (account.plan.requests_per_hour, account.plan.concurrent_tasks) == (100, 2)
    assert list(made.providers["crun"].accounts) == ["crun-mock-key"]
    assert [rule.fault.name for rule in staged.rules] == ["error", "latency"]
    assert not staged.rules[0].is_open(staged.started_ms + 9_999)
    assert staged.rules[0].is_open(staged.started_ms + 10_000)
    assert staged.rules[0].is_open(staged.started_ms + 29_999)
    assert not staged.rules[0].is_open(staged.started_ms + 30_000)
    assert clock.speed == 60


@for_each("word", ["summary", "good_client", "seed", "clock", "accounts", "expect", "scenario", "timeline"])
def test_what_may_be_left_out(word: str) -> None:
    """A scenario needs a name and a time line; all else may be left out."""
    data = Document.parse("x", WHOLE).data
    del data[word]
    if word in ("scenario", "timeline"):
        with pytest.raises(SpecError, match=f"missing required key `{word}`"):
            of_data(data)
    else:
        assert of_data(data).name == "a bad day"


def test_json_is_as_good_as_yaml(tmp_path: Path) -> None:
    """A scenario may be written as JSON, in a file or over HTTP, and is the same."""
    data = Document.parse("x", WHOLE).data
    file = tmp_path / "day.json"
    file.write_bytes(orjson.dumps(data))
    assert read(file) == of_data(data) == scenario_in(WHOLE)


def test_whole_numbers_with_a_point() -> None:
    """Where the schema wants a whole number, 2.0 is one; it is read as 2, so that nothing downstream stumbles."""
    text = WHOLE
    for word, value in (("seed", 7), ("at_most", 5), ("at_least", 1), ("times", 3), ("concurrent_tasks", 2)):
        text = text.replace(f"{word}: {value}\n", f"{word}: {value}.0\n")
    scenario = scenario_in(text)
    assert orjson.dumps([scenario.seed, scenario.fault_requests, scenario.expect]) == orjson.dumps(
        [7, scenario_in(WHOLE).fault_requests, scenario_in(WHOLE).expect]
    )
    staged = activate(world(), Clock(MANUAL_START_MS, 0), scenario)
    record = {"seq": 1, "kind": "exchange", "at": "2026-06-05T00:00:00.000Z", "provider": "evolink", "faults": []}
    assert staged.record(world(), [{**record, "operation": None, "account": "a", "response": None}], 0)["expect"]


def test_aliases_and_comments() -> None:
    """What YAML gives for not saying things twice may be used."""
    text = "# a day\nscenario: a\ntimeline:\n  - &one {fault: latency}\n  - *one # again\n"
    assert len(scenario_in(text).fault_requests) == 2


@for_each("name", gallery())
def test_the_gallery_is_found_by_name(name: str) -> None:
    """Each scenario of the gallery is found by its name, and a path by itself."""
    assert find(name) == gallery()[name]
    assert find(str(gallery()[name])) == gallery()[name]


@for_each("name", ["", "no_such_day", "no/such/day.yaml", "x" * 5000, "a\0b", "~"])
def test_what_is_not_found(name: str) -> None:
    """An unknown name is an error that lists the known ones; no path, however odd, causes another kind of error."""
    with pytest.raises(SpecError) as raised:
        read(find(name))
    assert re.search("built-in: black_friday|cannot be read", str(raised.value))


# -- every mistake --------------------------------------------------------------------------------

#: What to change in the whole scenario (old, new), words of the complaint, and words of the line it names.
MISTAKES = [
    # unknown words, at each level
    ("seed: 7\n", "sead: 7\n", "unknown key: sead (", "sead"),
    ("  speed: 60\n", "  speed: 60\n  tempo: 3\n", "unknown key: tempo (", "tempo"),
    ("    plan: premium\n", "    plam: premium\n", "unknown key: plam (", "plam"),
    ("    lasts_s: 20\n", "    lasts: 20\n", "unknown key: lasts (", "lasts:"),
    ("      task: task-unified-1-abc\n", "      tusk: a\n", "unknown key: tusk (", "tusk"),
    ("      every: 2\n", "      evry: 2\n", "unknown key: evry (", "evry"),
    ("      kind: exchange\n", "      kimd: exchange\n", "unknown key: kimd (", "kimd"),
    ("    at_most: 5\n", "    at_mots: 5\n", "unknown key: at_mots (", "at_mots"),
    ("      after: 1\n", "      from_s: 1\n", "unknown key: from_s (", "from_s"),
    # wrong types and ranges, at each level
    ("scenario: a bad day\n", "scenario: 3\n", '3 is not of type "string"', "scenario"),
    ("scenario: a bad day\n", "scenario: ''\n", "is shorter than 1 character", "scenario"),
    ("scenario: a bad day\n", f"scenario: {'x' * 101}\n", "is longer than 100 characters", "scenario"),
    ("summary: What happens.\n", "summary:\n", 'null is not of type "string"', "summary"),
    ("seed: 7\n", "seed: seven\n", '"seven" is not of type "integer"', "seed"),
    ("seed: 7\n", "seed: -1\n", "-1 is less than the minimum of 0", "seed"),
    ("seed: 7\n", f"seed: {2**63}\n", "is greater than the maximum", "seed"),
    ("  speed: 60\n", "  speed: fast\n", '"fast" is not of type "number"', "speed"),
    ("  speed: 60\n", "  speed: .inf\n", "inf is not a finite number", "speed"),
    ("clock:\n  speed: 60\n", "clock: {}\n", "missing required key `speed`", "clock"),
    ("clock:\n  speed: 60\n", "clock: 60\n", '60 is not of type "object"', "clock"),
    ("    revoked: false\n", "    revoked: perhaps\n", '"perhaps" is not of type "boolean"', "revoked"),
    ("    concurrent_tasks: 2\n", "    concurrent_tasks: 0\n", "0 is less than the minimum of 1", "concurrent"),
    ("    requests_per_hour: 100\n", "    requests_per_hour: 1.5\n", "1.5 is not of type", "requests_per_hour"),
    ("    available_credits: 12.5\n", "    available_credits: .nan\n", "nan is not a finite number", "available"),
    ("    available_credits: 12.5\n", "    available_credits: 1.0e+300\n", "greater than the maximum", "available"),
    ("    secret: a-secret\n", "    secret: ''\n", "is shorter than 1 character", "secret"),
    ("  - provider: crun\n", "  - crun\n", '"crun" is not of type "object"', "- crun"),
    ("  - provider: crun\n", "  - plan: default\n", "missing required key `provider`", "plan: default"),
    ("  - at_s: 10\n", "  - at_s: -10\n", "-10 is less than the minimum of 0", "at_s"),
    ("    lasts_s: 20\n", "    lasts_s: 0\n", "0 is less than the minimum of 0.001", "lasts_s"),
    ("    lasts_s: 20\n", "    lasts_s: long\n", '"long" is not of type "number"', "lasts_s"),
    ("  - fault: latency\n", "  - fault: [latency]\n", 'is not of type "string"', "latency"),
    ("  - fault: latency\n", "  - at_s: 3\n", "missing required key `fault`", "at_s: 3"),
    ("      phase: processing\n", "      phase: 3\n", '3 is not of type "string"', "phase"),
    ("      times: 3\n", "      times: often\n", '"often" is not of type "number"', "times"),
    ("    per: task\n", "    per: cent\n", '"cent" is not one of', "per"),
    ("      kind: exchange\n", "      kind: letter\n", '"letter" is not one of "exchange" or "delivery"', "kind"),
    ("      gate: fault\n", "      gate: garden\n", '"garden" is not one of', "gate"),
    ("      outcome: acknowledged\n", "      outcome: good\n", '"good" is not one of', "outcome"),
    (
        "      status: 429\n      gate",
        "      status: 42\n      gate",
        "42 is less than the minimum of 100",
        "status: 42",
    ),
    ("    at_least: 1\n", "    at_least: 0\n", "0 is less than the minimum of 1", "at_least"),
    ("    at_least_s: 0.5\n", "    at_least_s: 0\n", "0 is less than or equal to the minimum of 0", "at_least_s"),
    # what an expectation is
    ("    at_least: 1\n    at_most: 5\n", "", "not an expectation (write `count` with", "that: something is counted"),
    ("    at_most: 5\n", "    at_most_s: 5\n", "not an expectation", "that: something is counted"),
    ("    gap:\n", "    count: {}\n    gap:\n", "not an expectation", "that: something is measured"),
    ("  - that: something is measured\n    gap", "  - gap", "missing required key `that`", "gap"),
    # names that name nothing
    ("    fault: error\n", "    fault: eror\n", "unknown fault 'eror'; did you mean 'error'?", "fault: eror"),
    ("  - fault: latency\n", "  - fault: xyzzy\n", "`mockserver faults` lists them", "xyzzy"),
    ("      retry_after: seconds\n", "      retry: 1\n", "error: unknown parameter 'retry'; known: status", "retry: 1"),
    ("      retry_after: seconds\n", "      retry_after: soon\n", "retry_after must be one of as_documented", "soon"),
    ("      status: 429\n      retry", "      status: 200\n      retry", "a number from 400 to 599", "status: 200"),
    ("      status: 429\n      retry", "      status: .inf\n      retry", "status", "status: .inf"),
    ("    where:\n      provider: evolink\n", "    where:\n      provider: evo\n", "; got 'evo'", "evo"),
    ("      operation: createVideo\n", "      operation: sing\n", "; got 'sing'", "sing"),
    ("      model: gemini-omni-flash-text-to-video\n", "      model: sora\n", "; got 'sora'", "sora"),
    ("      phase: processing\n", "      phase: dreaming\n", "; got 'dreaming'", "dreaming"),
    ("      prompt: ki+te\n", "      prompt: '('\n", "is not a regular expression", "prompt"),
    ("      prompt: ki+te\n", "      prompt: 'a{99999999999999999999}'\n", "is not a regular expression", "prompt"),
    ("      times: 3\n", "      times: 1.5\n", "must be an integer from 1", "times"),
    ("      times: 3\n", "      times: 0\n", "must be an integer from 1", "times"),
    ("      after: 1\n", f"      after: {10**30}\n", "must be an integer from 0", "after"),
    ("      probability: 0.5\n", "      probability: 2\n", "must be a number from 0 to 1", "probability"),
    (
        "  - provider: crun\n",
        "  - provider: nobody\n",
        "toapis; got 'nobody'",
        "nobody",
    ),
    ("    plan: premium\n", "    plan: gold\n", "must be one of pro, premium, starter; got 'gold'", "gold"),
    (
        f"    key: {KEY}\n",
        "    key: short\n",
        "not a well-formed key for googlegeminiomni.com; for",
        "short",
    ),
    ("      provider: evolink\n      operation: submit\n", "      provider: evo\n", "; got 'evo'", "evo"),
    ("      operation: submit\n    per: task", "      operation: sing\n    per: task", "; got 'sing'", "sing"),
    ("      operation: getTask\n", "      operation: callback\n", "; got 'callback'", "operation: callback"),
    ("      fault: error\n      outcome", "      fault: eror\n      outcome", "; got 'eror'", "fault: eror"),
    ("      event: completed\n", "      event: done\n", "; got 'done'", "event"),
    # what is no YAML, or not the YAML of JSON
    ("seed: 7\n", "seed: 7\nseed: 8\n", "duplicate key 'seed'", "seed: 8"),
    ("      every: 2\n", "      every: 2\n      every: 2\n", "duplicate key 'every'", "every: 2"),
    ("seed: 7\n", "seed: [7\n", "is not valid YAML", ""),
    ("seed: 7\n", "\tseed: 7\n", "found a tab character", "\tseed"),
    ("seed: 7\n", "seed: *seven\n", "found undefined alias", "*seven"),
    ("seed: 7\n", "seed: !!python/object:os.system x\n", "could not determine a constructor", "python"),
    ("seed: 7\n", "seed: !!binary aGk=\n", "could not determine a constructor", "binary"),
    ("timeline:\n", "timeline: !!set {a}\nx:\n", "could not determine a constructor", "set"),
    ("seed: 7\n", "seed: !!int seven\n", "'seven' is not a valid integer", "seven"),
    ("seed: 7\n", "seed: !!bool seven\n", "'seven' is not a valid boolean", "seven"),
    ("seed: 7\n", "seed: !!float ''\n", "'' is not a valid number", "float"),
    ("seed: 7\n", "seed: !!map seven\n", "expected a mapping", "seven"),
    ("seed: 7\n", "seed: 0x_\n", "'0x_' is not a valid integer", "0x_"),
    ("seed: 7\n", f"seed: {'9' * 5000}\n", "is not a valid integer", "seed"),
    ("seed: 7\n", "? [seed]\n: 7\n", "a key must be a string", "[seed]"),
    ("seed: 7\n", "seed: \x07\n", "the character 0x0007 is not allowed", "seed"),
    ("seed: 7\n", "<<: {seed: 7}\n", "unknown key: <<", "<<"),
    ("timeline:\n", "timeline: &a [*a]\nx:\n", "found unconstructable recursive node", "&a"),
    ("seed: 7\n", f"seed: {'[' * 400}{']' * 400}\n", "nested too deep", "seed"),
    ("seed: 7\n", f"seed: {'[' * 100_000}\n", "nested too deep", "seed"),
    ("seed: 7\n", f"seed: {'{a: ' * 40_000}\n", "nested too deep", "seed"),
    ("seed: 7\n", f"seed:\n  {'- ' * 60_000}x\n", "nested too deep", "- - -"),
    ("seed: 7\n", f"seed: {'[' * 110}{']' * 110}\n", "is nested more than 100 levels deep", "seed"),
    ("expect:\n", "---\nexpect:\n", "another document", ""),
]


@for_each(("old", "new", "words", "line"), MISTAKES)
def test_each_mistake_is_named(old: str, new: str, words: str, line: str) -> None:
    """A mistake is one complaint: the file, the line it stands on, what is wrong, in one line of a bearable length."""
    assert WHOLE.count(old) == 1 or old in WHOLE
    text = WHOLE.replace(old, new, 1)
    (fault,) = faults_in(text)
    assert words in str(fault)
    assert fault.file == "scenario.yaml"
    assert str(fault).isprintable()
    assert len(str(fault)) < 1000
    if line:
        assert fault.line is not None
        assert line in text.splitlines()[fault.line - 1]
        assert str(fault).startswith(f"scenario.yaml:{fault.line}: ")


APART = [
    ("stuck", "{state: pending}", "{provider: toapis}", "stuck: ToAPIs has no state 'pending'; it has queued, in_"),
    ("skipped_state", "{state: queued}", "{provider: evolink}", "skipped_state: EvoLink has no state 'queued'"),
    ("error", "{error: upstream_error}", "{provider: crun}", "error: crun.ai has no error 'upstream_error'"),
]


@pytest.mark.parametrize(("fault", "given", "where", "words"), APART)
def test_words_that_do_not_go_together(fault: str, given: str, where: str, words: str) -> None:
    """Words that are each good by themselves, and mean nothing together, are a mistake: told where they stand."""
    text = f"scenario: x\ntimeline:\n  - fault: {fault}\n    where: {where}\n    with: {given}\n"
    (found,) = faults_in(text)
    assert words in found.message
    assert found.line == 5
    assert len(scenario_in(text.replace(where, "{}")).fault_requests) == 1


@for_each("text", ["", "# nothing\n", "[]", "just words", "3", "null", "---\n...\n"])
def test_what_is_no_scenario_at_all(text: str) -> None:
    """A file that holds no mapping is told so, with its first line."""
    assert [str(fault) for fault in faults_in(text)] == ["scenario.yaml:1: expected a mapping"]


def test_what_is_no_text(tmp_path: Path) -> None:
    """A file that is not UTF-8, a directory, one that is not there and one that may not be read are each one line."""
    file = tmp_path / "day.yaml"
    file.write_bytes(b"scenario: \xff\xfe\n")
    missing = tmp_path / "missing.yaml"
    assert [str(fault) for fault in file_issues(file)] == [f"{file}: is not UTF-8 text"]
    assert [str(fault) for fault in file_issues(tmp_path)] == [f"{tmp_path}: cannot be read: Is a directory"]
    assert [str(fault) for fault in file_issues(missing)] == [f"{missing}: cannot be read: No such file or directory"]
    assert "cannot be read: " in str(file_issues(file / "below"))


def test_bytes_that_are_passed_over(tmp_path: Path) -> None:
    """A byte-order mark and the line ends of other systems do not matter."""
    file = tmp_path / "day.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + WHOLE.replace("\n", "\r\n").encode())
    assert file_issues(file) == []
    file.write_bytes(b"\xef\xbb\xbf" + WHOLE.replace("every:", "evry:").replace("\n", "\r\n").encode())
    (fault,) = file_issues(file)
    assert fault.line == WHOLE[: WHOLE.index("every:")].count("\n") + 1


def test_all_mistakes_are_told_at_once() -> None:
    """Several mistakes are all told, each with its line, in the order of the lines; so are two words of one place."""
    text = WHOLE.replace("seed: 7", "seed: x").replace("plan: premium", "plan: [gold]").replace("times: 3", "tims: 3")
    text = text.replace("    per: task\n", "    per: task\n    foo: 1\n    bar: 2\n")
    assert [re.sub(r" \(.*", "", str(fault)) for fault in faults_in(text)] == [
        'scenario.yaml:4: seed: "x" is not of type "integer"',
        'scenario.yaml:10: accounts/0/plan: ["gold"] is not of type "string"',
        "scenario.yaml:42: timeline/0/when/tims: unknown key: tims",
        "scenario.yaml:65: expect/1/foo: unknown key: foo",
        "scenario.yaml:66: expect/1/bar: unknown key: bar",
    ]
    text = WHOLE.replace("plan: premium", "plan: gold").replace("fault: latency", "fault: latncy")
    text = text.replace("model: gemini-omni-flash-text-to-video", "model: sora").replace(
        "status: 429\n      r", "s: 1\n      r"
    )
    assert [str(fault).partition(";")[0].partition(" (")[0] for fault in faults_in(text)] == [
        "scenario.yaml:10: accounts/0/plan: must be one of pro, premium, starter",
        "scenario.yaml:26: timeline/0/with/s: error: unknown parameter 's'",
        "scenario.yaml:33: timeline/0/where/model: must be one of gemini-omni-flash-text-to-video",
        "scenario.yaml:43: timeline/1/fault: unknown fault 'latncy'",
    ]


def test_words_that_would_not_be_seen() -> None:
    """Words of a user's own are told without what moves the cursor or breaks the line, and cut where they are long."""
    (fault,) = faults_in(WHOLE.replace("seed:", '"se\\e[2J\\ned":'))
    assert "unknown key: se\\u001b[2J\\u000aed" in str(fault)
    assert str(fault).isprintable()
    for old, new in (("seed:", f"{'s' * 10_000}:"), ("a bad day", "[" + "1, " * 10_000 + "]"), ("crun", "c" * 10_000)):
        (fault,) = faults_in(WHOLE.replace(old, new, 1))
        assert len(str(fault)) < 1000


def test_expectations_that_contradict_themselves_do_not_pass() -> None:
    """Words of the other kind of expectation are refused where they would be passed over in silence."""
    for more in ("at_least: 1", "at_most: 3", "count: {}"):
        text = WHOLE.replace("    at_most_s: 60\n", f"    at_most_s: 60\n    {more}\n")
        assert "not an expectation" in str(faults_in(text)[0])


# -- anything at all ------------------------------------------------------------------------------

ODD = [
    *(".nan", ".inf", "-.inf", "-1", "0", "1.5", "2.0", "1.0e+308", "1e400", "9" * 30, "9" * 5000, "0x", "0b_"),
    *("[", "]", "{", "}", "{}", "[]", "null", "~", "true", "''", '"', "'", "&a", "*a", "? ", "- ", ": ", "!!set", "|"),
    *(
        "!!binary aa",
        "!!int ''",
        "!x y",
        "%YAML 9",
        "---",
        "...",
        "\t",
        "\x00",
        "\x85",
        "\u2028",
        "\ufeff",
        "\U0001f600",
    ),
    *("[" * 300, "{a: " * 300, "- " * 300, "[" * 30_000, "2026-01-01", "1:30", "yes", "(", "a{99999999999}", "(" * 500),
    *("error", "latency", "crun", "submit", "<<: *a", "x" * 5000, "provider: crun", "lasts_s: 0.0000001"),
]
TEXTS = [*(path.read_text(encoding="utf-8") for path in gallery().values()), WHOLE]


@st.composite
def broken_texts(draw: st.DrawFn) -> str:
    """Take a good scenario, and do to it what a hand or a disk may do."""
    text = draw(st.sampled_from(TEXTS))
    odd = st.one_of(st.sampled_from(ODD), st.text(max_size=8), st.floats().map(str), st.integers().map(str))
    for _ in range(draw(st.integers(1, 4))):
        lines = text.split("\n")
        at, other = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
        words = re.split(r"([\w.]+)", lines[at])
        deed = draw(st.sampled_from(["delete", "double", "swap", "indent", "word", "insert", "cut", "value", "flow"]))
        if deed == "delete":
            del lines[at]
        elif deed == "double":
            lines.insert(other, lines[at])
        elif deed == "swap":
            lines[at], lines[other] = lines[other], lines[at]
        elif deed == "indent":
            lines[at] = " " * draw(st.integers(0, 9)) + lines[at].lstrip()
        elif deed == "word":
            words[draw(st.integers(0, len(words) - 1))] = draw(odd)
            lines[at] = "".join(words)
        elif deed == "insert":
            place = draw(st.integers(0, len(lines[at])))
            lines[at] = lines[at][:place] + draw(odd) + lines[at][place:]
        elif deed == "cut":
            lines[at:] = [lines[at][: draw(st.integers(0, len(lines[at])))]]
        elif deed == "value":
            lines[at] = lines[at].partition(":")[0] + ": " + draw(odd)
        else:
            lines[at] = lines[at].replace("{", draw(odd), 1)
        text = "\n".join(lines)
    return text


def check_answer(text: str | bytes, name: str = "scenario.yaml") -> None:
    """Hold the answer to a text to it: a scenario that is put in force and can be described, or words."""
    try:
        if isinstance(text, bytes):
            Path(name).write_bytes(text)
            scenario = read(Path(name))
        else:
            scenario = of_document(Document.parse(name, text))
        made = world()
        check_scenario(made, scenario)
    except SpecError as error:
        check_words(error.issues, name)
        return
    clock = Clock(MANUAL_START_MS, 0)
    staged = activate(made, clock, scenario)
    now_ms = clock.now_ms()
    described = [
        staged.record(made, [], now_ms),
        [account_record(state, each, now_ms) for state in made.providers.values() for each in state.accounts.values()],
    ]
    assert b"NaN" not in orjson.dumps(described)


def check_words(faults: list[SpecIssue], name: str) -> None:
    """Hold complaints to it that each is a line with the file, and that says something."""
    assert faults
    for fault in faults:
        assert fault.file == name
        assert str(fault).isprintable()
        assert 10 < len(str(fault)) < 1500
        assert "Error" not in str(fault)


@pytest.mark.slow
@settings(max_examples=500)
@given(broken_texts())
@example(WHOLE)
@example("scenario: a\ntimeline: [{fault: latency, with: {seconds: .inf}}]\n")
@example("scenario: a\ntimeline: [{fault: error, at_s: 1000000000, lasts_s: 0.001}]\n")
@example(
    "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
    + "".join(f"{b}: &{b} [{f'*{a},' * 10}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
)
def test_a_broken_text_is_a_scenario_or_words(text: str) -> None:
    """Whatever becomes of a scenario's text, it is a scenario that can be put in force, or what is wrong is told."""
    check_answer(text)


@settings(max_examples=150)
@given(
    st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda text: text.encode("utf-16"))), st.integers(0, 400)
)
def test_broken_bytes_are_a_scenario_or_words(tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int) -> None:
    """Whatever bytes stand in a file, the same holds."""
    good = WHOLE.encode()
    check_answer(good[:at] + noise + good[at:], str(tmp_path_factory.getbasetemp() / "noise.yaml"))
    check_answer(noise, str(tmp_path_factory.getbasetemp() / "noise.yaml"))


@pytest.mark.slow
def test_a_huge_file() -> None:
    """Thousands of events are read, and thousands of mistakes are told, each with its line."""
    event = "  - {fault: error, at_s: 3, with: {status: 503}}\n"
    assert len(scenario_in("scenario: a\ntimeline:\n" + event * 3000).fault_requests) == 3000
    faults = faults_in("scenario: a\ntimeline:\n" + event.replace("3,", "-3,") * 3000)
    assert [fault.line for fault in faults] == list(range(3, 3003))


#: What the client of these tests can write as JSON.
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def broken_data(draw: st.DrawFn) -> Any:
    """Take a good scenario as data, and put something else somewhere in it."""
    data: Any = Document.parse("x", draw(st.sampled_from(TEXTS))).data
    data = deepcopy(data)
    for _ in range(draw(st.integers(1, 3))):
        holder: Any = data
        for _ in range(draw(st.integers(0, 4))):
            inner = [
                each
                for each in (holder.values() if isinstance(holder, dict) else holder)
                if each and isinstance(each, dict | list)
            ]
            if not inner:
                break
            holder = draw(st.sampled_from(inner))
        new = draw(JSON)
        if isinstance(holder, dict):
            holder[draw(st.sampled_from([*holder, "x"]))] = new
        elif draw(st.booleans()):
            holder.append(new)
        else:
            holder[draw(st.integers(0, len(holder) - 1))] = new
    return data


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """An event loop for the whole module."""
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="module")
def edge(runner: asyncio.Runner) -> Iterator[Edge]:
    """A mock for the whole module."""
    context = serving()
    yield runner.run(context.__aenter__())
    runner.run(context.__aexit__(None, None, None))


@pytest.mark.slow
@settings(max_examples=150)
@given(broken_data())
def test_over_http_it_is_200_or_400(runner: asyncio.Runner, edge: Edge, data: Any) -> None:
    """Over HTTP, a scenario that is broken is refused with 400 in the control plane's shape, and never answered 500."""
    with nothing_logged():
        reply = runner.run(edge.admin("POST", "/scenarios", {"scenario": data}))
        if reply.status == 200:
            assert reply.json["running"]["scenario"] == data["scenario"]
            for path in ("/scenarios", "/faults", "/accounts", "/clock"):
                assert runner.run(edge.admin("GET", path)).status == 200
        else:
            assert reply.status == 400, reply.body
            assert reply.json["error"]["code"] == "invalid_body"
            assert 10 < len(reply.json["error"]["message"]) < 6000


def test_over_http_many_mistakes_are_cut(runner: asyncio.Runner, edge: Edge) -> None:
    """Of very many mistakes the first ones are told over HTTP, and how many more there are."""
    data = {"scenario": "a", "timeline": [{"fault": "nothing"}] * 1000}
    message = runner.run(edge.admin("POST", "/scenarios", {"scenario": data})).json["error"]["message"]
    assert len(message.splitlines()) == 11
    assert message.endswith("and 990 more")


def run_cli(*arguments: str) -> tuple[int, str]:
    """Run the command in this process; return its exit code, and all that it says."""
    done = CliRunner().invoke(main, ["scenarios", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@settings(max_examples=60)
@given(text=broken_texts())
def test_on_the_command_line_it_is_lines(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """`mockserver scenarios FILE` says what is wrong in lines, with exit 1, or that nothing is; never a traceback."""
    file = tmp_path_factory.getbasetemp() / "broken.yaml"
    file.write_text(text, encoding="utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staging, "load_providers", providers)
        code, said = run_cli(str(file))
    *lines, last = said.splitlines()
    if code == 0:
        assert (lines, last) == ([], "1 scenario checked: no errors")
    else:
        assert code == 1
        assert last == f"{len(lines)} error{'s' if len(lines) > 1 else ''}"
        assert all(line.startswith(f"{file}:") for line in lines)


def test_on_the_command_line_all_files_are_told_of(tmp_path: Path) -> None:
    """Each of several files is checked, and a good one does not hide a bad one; a missing one is a line as well."""
    good, bad, missing = tmp_path / "good.yaml", tmp_path / "bad.yaml", tmp_path / "missing.yaml"
    good.write_text(WHOLE, encoding="utf-8")
    bad.write_text(WHOLE.replace("fault: latency", "fault: latncy"), encoding="utf-8")
    assert run_cli(str(good), str(good)) == (0, "2 scenarios checked: no errors\n")
    code, said = run_cli(str(good), str(bad), str(missing))
    assert code == 1
    assert said.splitlines() == [
        f"{bad}:43: timeline/1/fault: unknown fault 'latncy'; did you mean 'latency'?",
        f"{missing}: cannot be read: No such file or directory",
        "2 errors",
    ]


async def test_the_providers_are_those_that_are_served() -> None:
    """A scenario that names a provider which this server does not serve is refused there, and nowhere else."""
    async with serving(only="evolink") as only:
        body = {"scenario": {"scenario": "a", "timeline": [{"fault": "latency", "where": {"provider": "crun"}}]}}
        reply = await only.admin("POST", "/scenarios", body)
        assert (reply.status, reply.json["error"]["message"]) == (
            400,
            "scenario: timeline/0/where/provider: must be one of evolink; got 'crun'",
        )
    assert {provider.name for provider in providers()} == set(PROVIDERS)
