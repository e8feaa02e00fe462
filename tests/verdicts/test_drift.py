"""`contracts drift`: recorded answers against the spec, each difference with its records, its line and its edit."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest
from jsonschema import Draft202012Validator
from support.drifting import day_of, drift, edited, found, saved, spec_of, told
from support.edge import ONE_DAILY
from support.engine import providers

from contracts.client.catalogue import sweep
from contracts.client.in_process.runner import run_situation
from contracts.clients import GOOD, subject
from contracts.drift import DocumentedSpec, differences
from mockserver.journal.har import har
from mockserver.spec.check import check_files
from mockserver.spec.vocabulary import specs_directory

#: Every dialect of every provider, and what it changes: words of the places that its differences may have.
DIALECTS = {
    ("crun", "always_200"): ("/x-mock/errors/",),
    ("evolink", "invalid_task_id"): ("/x-mock/errors",),
    ("googlegeminiomni", "accepted_202"): ("~1generate/post/responses",),
    ("googlegeminiomni", "validation_422"): ("~1generate/post/responses",),
    ("googlegeminiomni", "docs"): ("/schemas/JobAccepted/", "/schemas/Job/", "/x-mock/reply/body/status"),
    ("googlegeminiomni", "count_all_requests"): ("/x-mock/accounts/counted_requests",),
    ("googlegeminiomni", "fixed_windows"): ("/x-mock/accounts/rate_window",),
    ("googlegeminiomni", "retries_from_first_attempt"): ("/x-mock/callbacks/",),
    ("toapis", "public_page"): ("/schemas/Task/properties", "/schemas/VideoRequest/properties/"),
    ("toapis", "older_status_words"): ("/schemas/Status/", "/x-mock/reply/body/status"),
    ("toapis", "top_level_url"): ("/schemas/Task/properties",),
    ("toapis", "string_error_code"): (
        "/schemas/Error/properties/error/properties/code",
        "/x-mock/error_body/error/code",
    ),
}
#: For what takes a second and hardly differs: the quick tests try one, all tests each.
DIALECTS_ONE_DAILY = [
    pytest.param(*each, marks=[] if each == ("toapis", "top_level_url") else pytest.mark.slow) for each in DIALECTS
]
_ROUNDS = 6


@pytest.mark.parametrize("name", [*ONE_DAILY, "kiln"])
async def test_ours_against_ours_is_empty(name: str) -> None:
    """A journal of the mock has no difference from the spec that it was made from, and most kinds were looked for."""
    differences_ = found(await day_of(name), spec_of(name))
    assert [each.seen for each in differences_.all()] == []
    assert {"statuses", "headers", "fields", "values", "errors", "states", "transitions", "durations", "links"} <= set(
        differences_.tested
    )


def test_the_table_names_every_dialect() -> None:
    """A new dialect has its line."""
    known = {(name, each.name) for name, provider in providers().items() for each in provider.dialects}
    assert known == set(DIALECTS)


def written(spec: DocumentedSpec, folder: Path) -> list[Path]:
    """Write the files of a spec."""
    files = [folder / f"{Path(each.name).stem}.json" for each in spec.files]
    for file, each in zip(files, spec.files, strict=True):
        file.write_bytes(orjson.dumps(each.data))
    return files


@pytest.mark.parametrize(("name", "dialect"), DIALECTS_ONE_DAILY)
async def test_a_dialect_is_found_and_nothing_else(name: str, dialect: str, tmp_path: Path) -> None:
    """A dialect is found only in what it changes; the proposed edits close it; against itself it has no difference."""
    spec, records = spec_of(name), await day_of(name, dialect)
    assert told(records, spec_of(name, dialect)) == []
    places = [each.place.pointer for each in found(records, spec).all()]
    assert places
    for place in places:
        assert any(word in place for word in DIALECTS[name, dialect]), place
    for _ in range(_ROUNDS):
        left = found(records, spec).all()
        if not left:
            break
        assert all(each.proposal is not None for each in left), told(records, spec)
        assert all("\n" not in str(each.proposal) for each in left)
        spec = edited(spec, left)
    assert told(records, spec) == []
    assert check_files(written(spec, tmp_path)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(GOOD))
def test_faults_of_the_mock_are_no_differences(name: str) -> None:
    """A client is exposed to every fault and every account: what the journal marks as changed is left out."""
    spec = spec_of(name)
    groups = {
        each.conditions[0].group if each.conditions else "": each for each in sweep(spec.provider, callbacks=True)
    }
    assert len(groups) > 40
    for situation in groups.values():
        journal = run_situation(subject(GOOD[name]), spec.provider, situation).journal
        assert [each.what for each in differences(journal, spec).all()] == [], str(situation)


async def test_the_command_tells_each_difference_in_three_lines(tmp_path: Path) -> None:
    """What was seen in which records, the line of the spec, the edit; exit code 1, and 0 without differences."""
    file = saved(await day_of("toapis", "string_error_code"), tmp_path / "run.ndjson")
    told = drift(file)
    assert told.exit_code == 1
    first, second, third, *_, last = told.stdout.splitlines()
    assert re.fullmatch(r"toapis \w+: .+ \((\d+ )?records?:? #\d+.*\); .+", first)
    assert re.fullmatch(r"  at    .*specs/toapis-gemini-omni(-flash)?\.yaml:\d+ #/.+", second)
    assert re.fullmatch(r"  edit  (set|add|replace|remove) .*#/.+", third)
    assert re.fullmatch(r"toapis: \d+ differences in \d+ records", last)
    same = drift(file, "--dialect", "string_error_code")
    assert (same.exit_code, same.stdout.splitlines()[-1].partition(" in ")[0]) == (0, "toapis: no differences")


async def test_the_command_writes_reports(tmp_path: Path) -> None:
    """JSON that fits its schema, JUnit, HTML and annotations tell each difference."""
    file = saved(await day_of("evolink", "invalid_task_id"), tmp_path / "run.ndjson")
    names = ("json", "junit", "html")
    flags = [part for each in names for part in (f"--{each}", tmp_path / each)]
    told = drift(file, *flags, "--github")
    assert told.exit_code == 1
    assert "::error" in told.stdout
    data = json.loads((tmp_path / "json").read_text())
    schema = json.loads((specs_directory() / "verdicts.schema.json").read_text())
    assert list(Draft202012Validator(schema).iter_errors(data)) == []
    violated = [each for each in data["verdicts"] if each["judgement"] == "violated"]
    assert violated
    for each in violated:
        for name in names[1:]:
            assert each["clause"] in (tmp_path / name).read_text()


async def test_a_har_file_is_compared(tmp_path: Path) -> None:
    """A HAR file with the real host, as a browser or a proxy writes it, without any field of ours."""
    records = [each for each in await day_of("toapis", "top_level_url") if each["kind"] == "exchange"]
    whole = har(records, "1")
    for entry in whole["log"]["entries"]:
        for name in [each for each in entry if each.startswith("_")]:
            del entry[name]
        path = urlsplit(entry["request"]["url"]).path.removeprefix("/toapis")
        entry["request"]["url"] = f"https://toapis.com{path}"
    whole["log"].pop("_speed", None)
    file = tmp_path / "run.har"
    file.write_bytes(orjson.dumps(whole))
    told = drift(file)
    assert told.exit_code == 1
    assert "unknown field url (" in told.stdout
    assert {line.split()[1] for line in told.stdout.splitlines() if line.startswith("toapis ")} == {"fields:"}
    assert drift(file, "--dialect", "top_level_url").exit_code == 0


def test_wrong_use_and_nothing_to_compare(tmp_path: Path) -> None:
    """One line; exit code 2 for wrong use, 3 for a journal without a known provider."""
    empty, junk, other = tmp_path / "empty", tmp_path / "junk", tmp_path / "other"
    empty.write_bytes(b"")
    junk.write_bytes(b"hello\n")
    record = {"seq": 1, "kind": "exchange", "provider": None, "at": "2026-06-05T00:00:00.000Z"}
    other.write_bytes(orjson.dumps(record) + b"\n")
    for arguments, code in (
        ((), 2),
        ((tmp_path / "missing",), 2),
        ((junk,), 2),
        ((empty, "--provider", "nobody"), 2),
        ((empty, "--dialect", "nothing"), 2),
        ((empty, "--spec", junk), 2),
        ((empty,), 3),
        ((other,), 3),
    ):
        told = drift(*arguments)
        assert told.exit_code == code, (arguments, told.output)
        assert told.stdout == ""
        assert arguments == () or len(told.stderr.splitlines()) == 1, told.stderr


async def test_a_journal_of_faults_only_is_nothing_to_compare(tmp_path: Path) -> None:
    """Where faults have changed every record, nothing is said of the spec."""
    records = [{**each, "faults": ["error"]} for each in await day_of("evolink")]
    told = drift(saved(records, tmp_path / "run.ndjson"))
    assert (told.exit_code, told.stdout) == (3, "")
    assert "no answer that no fault has changed" in told.stderr


def test_no_file_holds_a_key(tmp_path: Path) -> None:
    """The key of a HAR file is in no report, although an answer repeats it."""
    key = "sk-real-and-secret-key"
    answer = f'{{"error": {{"code": 401, "type": "odd", "message": "unknown key {key}", "your_key": "{key}"}}}}'
    headers = [{"name": "Authorization", "value": f"Bearer {key}"}]
    sent = {"name": "X-Your-Key", "value": key}
    exchange = {
        "startedDateTime": "2026-06-05T00:00:00Z",
        "request": {"method": "GET", "url": f"https://api.evolink.ai/v1/credits?key={key}", "headers": headers},
        "response": {"status": 401, "headers": [sent], "content": {"text": answer, "size": len(answer)}},
    }
    file = tmp_path / "run.har"
    file.write_bytes(orjson.dumps({"log": {"entries": [exchange]}}))
    names = ("json", "junit", "html")
    told = drift(file, "--github", *(part for each in names for part in (f"--{each}", tmp_path / each)))
    assert told.exit_code == 1
    assert "your_key" in told.output
    for text in (told.output, *((tmp_path / each).read_text() for each in names)):
        assert "real-and-secret" not in text


@pytest.mark.parametrize("recorded", ["", '{"log": {"version": "1.2", "entries": []}}'])
def test_an_empty_recording_is_said_to_be_empty(tmp_path: Path, recorded: str) -> None:
    """A newcomer whose client has sent nothing is not sent to look for a spec alone."""
    file = tmp_path / "run.ndjson"
    file.write_text(recorded)
    told = drift(file)
    assert told.exit_code == 3
    assert "the recording is empty" in told.stderr
