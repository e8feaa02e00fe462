"""Journals, HAR files, the command line, reports, coverage, and the fixture."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from support.edge import serving
from support.traffic import Traffic, providers

from contracts import JournalError, judge_journal, read
from contracts.cli import main
from contracts.rules import coverage, documented_rules, idle_patterns
from mockserver.clock import MANUAL_START_MS, iso_of
from mockserver.journal.har import har

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ["pytester"]


def run(*words: str) -> tuple[int, str]:
    """Run the command line; return its exit code and what it printed."""
    done = CliRunner().invoke(main, list(words))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def written(folder: Path, traffic: Traffic) -> Path:
    """Write traffic as a journal."""
    path = folder / "journal.ndjson"
    path.write_text("".join(json.dumps(record) + "\n" for record in traffic.records), encoding="utf-8")
    return path


async def test_a_journal_of_the_server_is_read(tmp_path: Path) -> None:
    """What `serve --journal` writes is read: roles, tasks, callbacks, and a verdict on it."""
    path = tmp_path / "journal.ndjson"

    async with serving(journal=str(path)) as edge:
        task = await edge.submit("evolink")
        await edge.advance(120)
        for _ in range(3):
            await edge.query("evolink", task)
    (journal,) = read(path, providers().values())
    assert [each.role for each in journal.exchanges] == ["submit", "query", "query", "query"]
    assert len(journal.traces) == 1
    violated = {each.clause.id for each in judge_journal(journal) if each.judgement == "violated"}
    assert violated == {"poll.stops-at-end", "results.fetched"}


async def test_a_har_file_is_read(tmp_path: Path) -> None:
    """A HAR file of the same traffic gives the same verdicts, without being told whose it is or which tasks."""
    found: dict[str, Any] = {}

    async with serving() as edge:
        task = await edge.submit("googlegeminiomni")
        await edge.advance(1)
        await edge.query("googlegeminiomni", task)
        await edge.advance(1)
        await edge.query("googlegeminiomni", task)
        found["records"] = list(edge.mock.journal)
    path = tmp_path / "traffic.har"
    path.write_text(json.dumps(har(found["records"], "1")), encoding="utf-8")
    (journal,) = read(path, providers().values())
    assert [each.role for each in journal.exchanges] == ["submit", "query", "query"]
    assert len(journal.traces) == 1
    assert "poll.interval" in {each.clause.id for each in judge_journal(journal) if each.judgement == "violated"}


@pytest.mark.parametrize("number", [2, 8])
def test_a_har_file_of_a_fast_run_carries_its_speed(number: int, tmp_path: Path) -> None:
    """Waits in an exported HAR are the client's: by the two clocks of its entries, or by the speed it names."""
    traffic = Traffic().submit()
    for _ in range(number):
        traffic.wait(180).query()
    records = [
        {**each, "wall": iso_of(MANUAL_START_MS + 3000 * n), "request": {**each["request"], "body_bytes": 0}}
        for n, each in enumerate(traffic.records)
    ]
    path = tmp_path / "fast.har"
    path.write_text(json.dumps(har(records, "1", 60)), encoding="utf-8")
    (journal,) = read(path, providers().values(), "googlegeminiomni")
    assert journal.speed == 60
    assert not any(each.violations for each in judge_journal(journal) if each.clause.id == "poll.interval")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nothing\n", ":1: not a journal record"),
        ('{"kind": "exchange"}\n', "KeyError"),
        ('{"log": {}}', "invalid HAR file"),
        ('{"log": {"entries": [1]}}', "invalid HAR file"),
        ("[1, 2]\n", ":1: not a journal record"),
    ],
)
def test_what_is_no_journal(tmp_path: Path, text: str, words: str) -> None:
    """A file that is something else is refused in words, and by the command line with exit code 2."""
    path = tmp_path / "file"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(JournalError, match=words.rpartition(":")[2].strip()):
        read(path, providers().values())
    code, said = run("check", str(path))
    assert code == 2
    assert words in said
    assert "Traceback" not in said


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file and one that is no text are told by name."""
    assert run("check", str(tmp_path / "none"))[0] == 2
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    code, said = run("check", str(tmp_path / "bytes"))
    assert (code, "not UTF-8" in said) == (2, True)


def test_check_says_what_was_violated(tmp_path: Path) -> None:
    """The report has the rule, its source, what was seen and asked, the records with gaps, and the fix."""
    path = written(tmp_path, Traffic().submit().wait(3).query().wait(1).query())
    code, said = run(
        "check",
        str(path),
        "--fail-on",
        "should",
        "--json",
        str(tmp_path / "v.json"),
        "--junit",
        str(tmp_path / "v.xml"),
    )
    assert code == 1
    for words in (
        "VIOLATED (should)",
        "poll.interval",
        "rests on: the document",
        "source: googlegeminiomni.poll.interval-3s",
        "(+1 s)",
        "fix: wait 3 s",
    ):
        assert words in said
    verdicts = json.loads((tmp_path / "v.json").read_text(encoding="utf-8"))["verdicts"]
    assert {each["judgement"] for each in verdicts} == {"violated", "kept", "not exercised"}
    suite = ET.fromstring((tmp_path / "v.xml").read_text(encoding="utf-8"))
    assert int(suite.get("failures", "0")) == sum(each["judgement"] == "violated" for each in verdicts)
    assert len(suite) == len(verdicts)


def test_check_of_a_good_client(tmp_path: Path) -> None:
    """Traffic that breaks nothing ends with exit code 0, and says what it could not tell."""
    code, said = run("check", str(written(tmp_path, Traffic().submit().wait(3).query())))
    assert code == 0, said
    assert "not tested by this run" in said
    assert "0 violated" in said


def test_check_of_one_provider(tmp_path: Path) -> None:
    """--provider chooses; one that is unknown, or has no traffic, is exit code 2."""
    path = str(written(tmp_path, Traffic().submit()))
    assert run("check", path, "--provider", "googlegeminiomni")[0] == 0
    assert "unknown provider 'x'" in run("check", path, "--provider", "x")[1]
    assert run("check", path, "--provider", "crun")[0] == 2


def test_list() -> None:
    """Every clause is listed with its rule and its sources."""
    code, said = run("list")
    assert code == 0
    assert "retry.waits-grow  (should)" in said
    assert "toapis.error.429-backoff: Gemini Omni API Model Guide" in said


def test_coverage() -> None:
    """Every rule of the documents has a clause or a reason, and every clause and reason is about a rule."""
    code, said = run("coverage")
    assert code == 0, said
    assert "0 with neither" in said
    assert idle_patterns(documented_rules()) == []
    assert all(each.clauses or each.reason for each in coverage(documented_rules()))


@pytest.mark.parametrize(
    ("steps", "speed"),
    [
        ([(60, 1)] * 5, 60.0),
        ([(60.3, 1.005), (30, 0.5), (6000, 100)], 60.0),
        ([(1, 1.001)] * 5, 1.0),
        ([(0.5, 2)] * 5, 0.25),
        ([(2.5, 1)] * 5, 2.5),
        ([(60, 1)] * 2, 1.0),
        ([(60, 0.01)] * 9, 1.0),
        ([(60, 1), (1, 1), (7, 1), (60, 1)], 1.0),
        ([(0, 1)] * 5, 1.0),
    ],
    ids=str,
)
def test_the_pace_of_a_journal_is_read_from_its_two_clocks(
    tmp_path: Path, steps: list[tuple[float, float]], speed: float
) -> None:
    """Where the mock clock went steadily faster than the wall's, the client's own seconds are those of the wall."""
    traffic, at_s, wall_s = Traffic(), 0.0, 0.0
    traffic.submit()
    for step in steps:
        traffic.wait(step[0]).query()
    for record, step in zip(traffic.records, [(0.0, 0.0), *steps], strict=True):
        at_s, wall_s = at_s + step[0], wall_s + step[1]
        record["wall"] = iso_of(round(wall_s * 1000) + 1_800_000_000_000)
    path = written(tmp_path, traffic)
    (journal,) = read(path, providers().values())
    assert journal.speed == speed
    assert ("times as fast" in run("check", str(path))[1]) is (speed != 1)
    assert "times as fast" not in run("check", str(path), "--speed", "1")[1]


@pytest.mark.slow
def test_the_fixture(pytester: pytest.Pytester) -> None:
    """A client that breaks a `must` fails its test with the report; one that breaks none, or is let, does not."""
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -p no:schemathesis -p no:hypothesispytest")
    pytester.makepyfile(
        """
import json, urllib.request, urllib.error

def submit(mock_server, **headers):
    request = urllib.request.Request(
        mock_server.url("evolink") + "/v1/videos/generations",
        json.dumps({"model": "gemini-omni-flash-text-to-video", "prompt": "A kite"}).encode(),
        {"Content-Type": "application/json", **headers},
    )
    try:
        urllib.request.urlopen(request).close()
    except urllib.error.HTTPError as error:
        error.close()

def test_good(mock_server, contract):
    submit(mock_server, Authorization="Bearer " + mock_server.key("evolink"))
    assert contract.violated() == []

def test_bad(mock_server, contract):
    submit(mock_server)

def test_said(mock_server, contract):
    contract.allow("auth.key-in-its-header")
    submit(mock_server)
    contract._allowed.clear()
    try:
        assert contract.violated() == []
    finally:
        contract.allow("auth.key-in-its-header")

def test_let(mock_server, contract):
    contract.allow("auth.key-in-its-header")
    submit(mock_server)
"""
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*VIOLATED (must)  evolink  auth.key-in-its-header*", "*no Authorization header*"])
    result.stdout.fnmatch_lines(["E*assert 1 verdicts == 0", "E*VIOLATED (must)*", "E*seen: *no Authorization header*"])
