"""What one does with verdicts: accepting violations, baselines, severities, annotations, files of replays."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from support.traffic import Traffic, providers

from contracts import Verdict, Violation, all_clauses, report
from contracts.cli import main
from contracts.cli.acceptance import Acceptance
from contracts.cli.outputs import _wrapped
from contracts.client.catalogue import most_important_first, sweep
from contracts.client.in_process.runner import run_situation
from contracts.client.search import Search
from contracts.client.situations import Situation
from contracts.client.subject import Setting
from contracts.client.subprocess.outcome import outcome_of
from contracts.client.subprocess.supervise import Ending, Output
from contracts.rules import documented_rules

SCHEMA = Path(__file__).parents[2] / "specs" / "verdicts.schema.json"
CLAUSE = "auth.key-in-its-header"


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Work in a directory with a journal of a client that forgets its key."""
    monkeypatch.chdir(tmp_path)
    traffic = Traffic().submit().wait(3).query(headers=[], status=401)
    lines = [json.dumps(each) + "\n" for each in traffic.records]
    Path("run.ndjson").write_text("".join(lines), encoding="utf-8")
    return "run.ndjson"


def run(*words: str) -> tuple[int, str]:
    """Run the command line; return its exit code, and what it printed."""
    done = CliRunner().invoke(main, list(words))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


def violated(*words: str) -> set[str]:
    """Return the clauses that the JSON of a command calls violated."""
    run(*words, "--json", "v.json")
    found = json.loads(Path("v.json").read_text(encoding="utf-8"))["verdicts"]
    return {each["clause"] for each in found if each["judgement"] == "violated"}


def test_a_clause_may_be_allowed(recorded: str) -> None:
    """It is named, and counts nowhere."""
    assert run("check", recorded)[0] == 1
    found = violated("check", recorded)
    assert CLAUSE in found
    words = [word for clause in found for word in ("--allow", clause)]
    code, said = run("check", recorded, *words)
    assert (code, "0 violated" in said, CLAUSE in said) == (0, True, True)
    assert violated("check", recorded, "--allow", CLAUSE) == found - {CLAUSE}
    assert run("check", recorded, "--allow", "no.such-clause")[0] == 2


def test_a_baseline_lets_only_new_violations_fail(recorded: str) -> None:
    """It is written once; what it names is accepted, and what is kept by now is said."""
    assert run("check", recorded, "--write-baseline", "base.json")[0] == 0
    assert run("check", recorded, "--baseline", "base.json")[0] == 0
    base = json.loads(Path("base.json").read_text(encoding="utf-8"))
    assert CLAUSE in {each["clause"] for each in base["violated"]}
    Path("base.json").write_text(json.dumps({"violated": []}), encoding="utf-8")
    assert run("check", recorded, "--baseline", "base.json")[0] == 1
    kept = {"provider": "googlegeminiomni", "clause": "submit.content-type"}
    Path("base.json").write_text(json.dumps({"violated": [kept]}), encoding="utf-8")
    assert "submit.content-type is kept now" in run("check", recorded, "--baseline", "base.json")[1]
    for text in ("", "[]", '{"violated": [1]}'):
        Path("base.json").write_text(text, encoding="utf-8")
        assert run("check", recorded, "--baseline", "base.json")[0] == 2


@pytest.mark.parametrize(
    ("severity", "fail_on", "fails"),
    [("must", "must", True), ("should", "must", False), ("should", "should", True), ("advice", "should", False)],
)
def test_a_should_fails_only_if_asked(severity: Any, fail_on: Any, fails: bool) -> None:
    """And advice never does."""
    made = replace(all_clauses()[0], severity=severity)
    violation = Verdict(made, "evolink", "violated", (Violation((), "seen", "asked", "fix"),))
    accept = Acceptance(frozenset(), frozenset(), None, fail_on)
    assert accept.failed([violation]) is fails
    assert not accept.failed([replace(violation, judgement="kept", violations=())])


def test_annotations_for_github(recorded: str) -> None:
    """One line for each violated clause, by its severity, with nothing that ends the line."""
    said = run("check", recorded, "--github")[1]
    lines = [each for each in said.splitlines() if each.startswith("::")]
    assert any(each.startswith(f"::error title=googlegeminiomni {CLAUSE}::") for each in lines)
    assert len(lines) == len(violated("check", recorded))


def test_no_word_is_broken_on_a_terminal() -> None:
    """A line is broken between words; the command of a replay stays whole."""
    assert _wrapped("  fix: send the key-in-its header", 22) == ["  fix: send the", "    key-in-its header"]
    replay = "  replay: contracts run --client a:B --provider evolink"
    assert _wrapped(replay, 20) == [replay]
    assert _wrapped("a " * 50, 0) == ["a " * 50]


class Prints:
    """A client that prints, and makes nothing."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    async def generate(self, prompt: str) -> None:
        print("working on", prompt[-2:-1])  # noqa: T201 - that is the point


class PrintsInAThread(Prints):
    """The same in a thread."""

    def generate(self, prompt: str) -> None:  # type: ignore[override]
        print("working on", prompt[-2:-1])  # noqa: T201 - that is the point


@pytest.mark.parametrize("client", [Prints, PrintsInAThread])
def test_what_a_client_prints_is_kept_by_job(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """None of it reaches the terminal."""
    found = run_situation(client, providers()["evolink"], Situation("evolink", jobs=2))
    assert found.output == {1: "working on 1\n", 2: "working on 2\n"}
    assert capsys.readouterr() == ("", "")


class Complains:
    """A client that prints what its trouble is, and makes nothing."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    async def generate(self, prompt: str) -> None:
        print("reading <settings>\nno task id\x1b[2J\n    at generate (client.mjs:12:11)")  # noqa: T201 - the point


def test_what_a_client_printed_stands_beside_its_violations() -> None:
    """Its last telling line in the terminal, and its end by job in JSON and HTML; nothing raw."""
    provider = providers()["evolink"]
    search = Search(
        lambda situation: run_situation(Complains, provider, situation), provider, documented_rules(), shrink=False
    )
    situation = Situation("evolink", jobs=2)
    search.add(situation, search.run_situation(situation))
    verdicts = search.verdicts()
    violated = [each for each in verdicts if each.judgement == "violated"]
    assert violated
    assert all([job for job, _ in each.output] == [1, 2] for each in violated)
    assert not any(each.output for each in verdicts if each.judgement != "violated")
    assert "  output of job 1: no task id\\x1b[2J\n  output of job 2: " in report.text(verdicts)
    found = report.as_json(verdicts)
    jsonschema.validate(found, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert found["verdicts"][0]["output"][0]["text"].startswith("reading <settings>\nno task id\\x1b[2J\n")
    page = report.html(verdicts, search.journals, title="a client")
    assert "output of job 2" in page
    assert "reading &lt;settings&gt;" in page
    assert "\x1b" not in page.replace("\\x1b", "")


def test_the_last_line_that_matters_comes_first() -> None:
    """Frames of a stack trace say nothing about the error."""
    node = """file:///client.mjs:12
    throw new Error(`task failed: ${reason}`)
          ^

Error: task failed: no credits
    at generate (file:///client.mjs:12:11)
    at async file:///client.mjs:40:3

Node.js v18.19.0
"""
    python = """Traceback (most recent call last):
  File "client.py", line 3, in <module>
    main()
ValueError: no credits
"""
    for text, last in ((node, "Error: task failed: no credits"), (python, "ValueError: no credits")):
        ending = Ending(Output(), Output(len(text), bytearray(text.encode())), code=1)
        assert outcome_of(ending, "", Path(), Path("none")).said.startswith(f"exit code 1; {last}")


def test_the_most_important_situations_come_first() -> None:
    """First none without a fault is missing, then forged callbacks, then one of each kind before any second one."""
    planned = most_important_first(sweep(providers()["googlegeminiomni"], callbacks=True))
    assert not planned[0].events
    groups = [each.conditions[0].group if each.events else "" for each in planned]
    forged = [number for number, each in enumerate(planned) if each.events and "forged" in str(each)]
    plain = [number for number, each in enumerate(planned) if not each.events]
    assert plain == list(range(len(plain)))
    assert forged
    assert forged == list(range(len(plain), len(plain) + len(forged)))
    others = groups[len(plain) + len(forged) :]
    assert len(set(others[: len(set(others))])) == len(set(others))
    assert set(planned) == set(sweep(providers()["googlegeminiomni"], callbacks=True))
