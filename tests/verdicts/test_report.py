"""Reports: text, JUnit XML, JSON by its schema, and the HTML page, also in a real browser.

Screenshots of the page go to the test's own folder, and to .test-output/ at the top of the checkout.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from support.chromium import chromium_running, find_chromium, page_at
from support.traffic import Traffic, providers

from contracts.clause import Clause, Verdict, Violation
from contracts.client.catalogue import sweep
from contracts.client.in_process.runner import run_situation
from contracts.clients import subject
from contracts.clients.googlegeminiomni import GoogleGeminiOmni
from contracts.judge import judge_journal
from contracts.report import as_json, covered, html, junit, text
from contracts.report.plain import line, plain
from contracts.report.timeline import NARROW, WIDE, scene
from mockserver.spec.vocabulary import specs_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tenacity import RetryCallState

    from contracts.journal import Journal, Record

PROGRAM = find_chromium()
OUTPUT = Path(__file__).parent.parent.parent / ".test-output"
SCHEMA: dict[str, Any] = json.loads((specs_directory() / "verdicts.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
PROVIDER = "googlegeminiomni"
MARKUP = '<img src=x onerror="window.hit=1"><script>window.hit=2</script>\'"&</style></title>'
#: Colours and ends of lines for a terminal, what XML cannot hold, half a pair, and a turn of the writing's direction.
CONTROLS = "\x1b[31mred\x00\x08\x7f\x9b\ufffe\ud800\u202eback\r\nVIOLATED (must)"


def verdict(*records: Record, id_: str = "poll.made-up", said: str = "too soon", **fields: Any) -> Verdict:
    """Make a verdict that is violated."""
    clause = Clause(id_, "A rule.", "must", (), True, lambda _: True, lambda _: iter(()), "must")
    violation = Violation(tuple(records), said, "3 s or more", "wait")
    return replace(Verdict(clause, PROVIDER, "violated", (violation,)), **fields)


def hasty() -> Journal:
    """Return the traffic of a client that asks too soon, and goes on."""
    traffic = Traffic(PROVIDER).submit().wait(0.2)
    for _ in range(20):
        traffic.query().wait(0.2)
    return traffic.query("done").wait(1.5).callback().wait(0.25).callback("refused").download().journal()


def hostile() -> tuple[list[Verdict], Journal]:
    """Return a journal in which everything that can be chosen was chosen with care, and verdicts that show it."""
    journal = (
        Traffic(PROVIDER)
        .submit(body=json.dumps({"prompt": MARKUP + CONTROLS}), answer=MARKUP)
        .wait(1)
        .query(MARKUP, path="/api/v1/" + MARKUP, query=MARKUP + CONTROLS, status=500)
        .callback(faults=[MARKUP])
        .journal()
    )
    made = verdict(
        *journal.records,
        said=MARKUP + CONTROLS,
        situation=MARKUP,
        replay=f"contracts run {MARKUP}",
        sources=(MARKUP,),
    )
    return [*judge_journal(journal), made, replace(made, judgement="kept", violations=())], journal


class Hurried(GoogleGeminiOmni):
    """A client that asks at once, waits for nothing, sends the key everywhere, and checks no signature."""

    first_wait_s = 0.2
    poll_interval_s = 0.2
    most_polls = 40

    def wait_s(self, state: RetryCallState) -> float:
        return 0.3

    def signed_well(self, headers: Mapping[str, str], body: bytes) -> bool:
        return True

    async def fetch(self, url: str) -> bytes:
        async with self._http.get(url, headers=self.auth_headers()) as answer:
            return await answer.read()


#: Some of what there is to meet.
MET = {
    "no faults",
    "submit fails temporarily: 429 x1",
    "Retry-After in seconds",
    "task fails: provider_timeout",
    "429 in bulk",
}


@cache
def judged_run() -> tuple[list[Verdict], list[Journal]]:
    """Let a hurried client meet something; return what a runner would make of it, and of a forged callback."""
    provider = providers()[PROVIDER]
    chosen = [each for each in sweep(provider, callbacks=False) if str(each).partition(";")[0] in MET]
    assert len(chosen) > 3
    forged = Traffic(PROVIDER).submit().wait(70).callback(faults=["unsigned_callback"]).wait(3).query("done").journal()
    runs = [(str(each), run_situation(subject(Hurried), provider, each).journal) for each in chosen]
    runs.append(("callback forged: unsigned; 1 job, callbacks, seed 0", forged))
    journals = [journal for _, journal in runs]
    found: dict[str, list[Verdict]] = defaultdict(list)
    for name, journal in runs:
        for each in judge_journal(journal):
            found[each.clause.id].append(replace(each, situation=name))
    verdicts = []
    for those in found.values():
        broken = [each for each in those if each.judgement == "violated"]
        told = [each for each in those if each.judgement != "not exercised"]
        one = (broken or told or those)[0]
        replay = f"contracts run client.py:Hurried --provider {PROVIDER} --scenario {one.clause.id}.yaml"
        verdicts.append(
            replace(
                one,
                situation=one.situation if broken else "",
                replay=replay if broken else "",
                exercised_in=len(told),
                violated_in=len(broken),
            )
        )
    return verdicts, journals


# -- text and XML -----------------------------------------------------------------------------------


def test_text_says_what_matters_first() -> None:
    """Violated `must` before `should`, then what was not exercised, then the counts; each with its evidence."""
    journal = hasty()
    should = [each for each in judge_journal(journal) if each.clause.id == "poll.interval"]
    idle = replace(verdict(id_="made.idle"), judgement="not exercised", violations=())
    fields: dict[str, Any] = {
        "situation": "no faults; 1 job",
        "exercised_in": 9,
        "violated_in": 2,
        "replay": "contracts run x",
    }
    said = text([idle, *should, verdict(*journal.records[:2], id_="made.first", **fields)])
    wanted = (
        "VIOLATED (must)  googlegeminiomni  made.first",
        "  rests on: general best practice",
        "  situation: no faults; 1 job; in 2 of 9 situations that tested it",
        "  seen: too soon",
        "  expected: 3 s or more",
        "(+0.2 s)",
        "  fix: wait",
        "  replay: contracts run x",
        "VIOLATED (should)",
        "not tested by this run",
        "  googlegeminiomni: made.idle",
        "2 violated, 1 not tested, 0 kept",
    )
    places = [said.index(each) for each in wanted]
    assert places == sorted(places)


def test_text_without_situations() -> None:
    """A verdict on traffic that was recorded says nothing of situations; many violations are cut short."""
    journal = hasty()
    one = verdict(*journal.records[:2])
    said = text([replace(one, violations=one.violations * 5)])
    assert "situation" not in said
    assert "replay" not in said
    assert said.count("seen: ") == 3
    assert "and 2 more like this" in said
    assert said.count("fix: ") == 1


def test_text_does_a_terminal_no_harm() -> None:
    """No control character of a client's or a server's gets through, and no line of theirs looks like ours."""
    said = text(hostile()[0])
    assert re.search(r"[^\n\x20-\x7e\xa0-\ud7ff]", said) is None
    assert "\\x1b[31mred\\x00" in said
    assert not any(each.startswith("VIOLATED (must)\\") for each in said.splitlines())
    assert max(map(len, said.splitlines())) < 1000
    assert text([verdict(said="x" * 10_000)]).count("x") < 1000


@pytest.mark.parametrize(
    ("given", "wanted"),
    [("a\tb\n", "a\tb\n"), ("\x1b", "\\x1b"), ("\ud800", "\\ud800"), ("é €\U0001f600", "é €\U0001f600"), ("\r", "\\r")],
)
def test_plain(given: str, wanted: str) -> None:
    """What is not seen is written as its escape."""
    assert plain(given) == wanted
    assert "\n" not in line(given)


def test_junit() -> None:
    """One test case a clause: violated fails, not exercised is skipped, and the counts say so."""
    verdicts = judge_journal(hasty())
    suite = ET.fromstring(junit(verdicts))
    for name, judgement, child in (("failures", "violated", "failure"), ("skipped", "not exercised", "skipped")):
        wanted = {each.clause.id for each in verdicts if each.judgement == judgement}
        assert wanted
        assert {each.get("name") for each in suite if each.find(child) is not None} == wanted
        assert suite.get(name) == str(len(wanted))
    assert (suite.get("tests"), suite.get("errors")) == (str(len(verdicts)), "0")
    failure = suite.find("testcase[@name='poll.interval']/failure")
    assert failure is not None
    assert failure.get("type") == "should"
    assert "(+0.2 s)" in (failure.text or "")


def test_junit_holds_anything() -> None:
    """What XML cannot hold is written as its escape; the file is UTF-8, and can be read again."""
    verdicts, _ = hostile()
    written = junit(verdicts).encode()
    (failure,) = ET.fromstring(written).findall("testcase[@name='poll.made-up']/failure")
    assert MARKUP in (failure.get("message") or "")
    assert "\\x00" in (failure.text or "")


# -- JSON -------------------------------------------------------------------------------------------


def test_the_schema_is_one() -> None:
    """The schema is valid, lets nothing unknown through, and says of everything what it is."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    objects = [SCHEMA, SCHEMA["properties"]["counts"], *SCHEMA["$defs"].values()]
    for each in objects:
        if each["type"] == "object":
            assert each["additionalProperties"] is False
            assert set(each["required"]) == set(each["properties"]) - {"situations"}  # only `run` knows them
            assert all("description" in one for one in each["properties"].values())


@pytest.mark.slow
def test_json_follows_its_schema() -> None:
    """Real verdicts, and hostile ones, are as the schema says, and can be written and read."""
    for verdicts in (judged_run()[0], judge_journal(hasty()), hostile()[0], []):
        value = json.loads(json.dumps(as_json(verdicts)))
        VALIDATOR.validate(value)
        assert sum(value["counts"].values()) == len(value["verdicts"]) == len(verdicts)
    value = as_json(judged_run()[0])
    first = value["verdicts"][0]
    assert (first["judgement"], first["severity"]) == ("violated", "must")
    assert first["replay"].startswith("contracts run")
    assert {each["kind"] for one in value["verdicts"] for v in one["violations"] for each in v["records"]} == {
        "exchange",
        "delivery",
    }


def test_the_schema_lets_nothing_else_through() -> None:
    """A kept verdict with violations, a violated one without, and unknown fields are refused."""
    value = as_json([verdict()])
    changes: tuple[dict[str, Any], ...] = ({"judgement": "kept"}, {"violations": []}, {"more": 1}, {"clause": "no id"})
    for change in changes:
        assert not VALIDATOR.is_valid({**value, "verdicts": [{**value["verdicts"][0], **change}]})


# -- coverage ---------------------------------------------------------------------------------------


def test_coverage_counts() -> None:
    """Answers by operation, states, callbacks and faults are counted; what never occurred is reported."""
    journal = (
        Traffic(PROVIDER)
        .submit(status=429, task=None, faults=["error"])
        .submit()
        .query("accepted")
        .query("GENERATING")
        .query("reviewing", faults=["unknown_status", "latency"])
        .query("generating", status=503)
        .query(status=None)
        .callback("lost", status=None, faults=["lost_callback"])
        .callback()
        .callback("refused")
        .journal()
    )
    other = Traffic("evolink").submit().journal()
    found, second = covered([journal, other, journal])
    assert (second.provider.name, second.journals, second.requests) == ("evolink", 1, 1)
    assert (found.journals, found.tasks, found.requests, found.attempts) == (2, 2, 14, 6)
    assert found.answers == {
        ("submitJob", 429): 2,
        ("submitJob", 200): 2,
        ("getJob", 200): 6,
        ("getJob", 503): 2,
        ("getJob", None): 2,
    }
    assert found.states == {"accepted": 2, "GENERATING": 2, "reviewing": 2}
    assert found.missing_states == ["done", "failed"]
    assert found.callbacks == {
        ("done", "lost_callback", "lost"): 2,
        ("done", "", "acknowledged"): 2,
        ("done", "", "refused"): 2,
    }
    assert found.missing_events == ["failed"]
    assert found.faults == {"error": 2, "unknown_status": 2, "latency": 2, "lost_callback": 2}
    never = found.missing_answers
    assert {("submitJob", 402), ("getJob", 404), ("downloadVideo", 403)} <= never
    assert not {("submitJob", 200), ("getJob", 503), ("getJob", None)} & never


# -- the page ---------------------------------------------------------------------------------------


class _Reader(HTMLParser):
    """Reads a page: its tags in order, the text of each table's rows, and what was not closed."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if "tr" in self.open and self.rows[-1]:
            self.rows[-1][-1] += data


@pytest.mark.slow
def test_the_page_is_one_file() -> None:
    """It has no script, no address to fetch anything from, and a policy that allows its own style alone."""
    verdicts, journals = judged_run()
    page = html(verdicts, journals, title="A client")
    read = _Reader(page)
    assert read.open == []
    names = {name for name, _ in read.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    links = [words["href"] for _, words in read.tags if "href" in words]
    assert all(each is not None and each.startswith("#") for each in links)
    assert {each[1:] for each in links if each} <= {words["id"] for _, words in read.tags if "id" in words}
    assert not any(key.startswith("on") or key in ("style", "src") for _, words in read.tags for key in words)
    ids = [words["id"] for _, words in read.tags if "id" in words]
    assert len(ids) == len(set(ids))
    (style,) = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = (words["content"] for name, words in read.tags if words.get("http-equiv") == "Content-Security-Policy")
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_every_verdict_is_in_the_page() -> None:
    """Each clause has a row, the violated ones first; each violated one a card, a drawing and its evidence."""
    verdicts, journals = judged_run()
    read = _Reader(html(verdicts, journals, title="A client"))
    rows = [each for each in read.rows if each[0][1:] in ("violated", "not tested", "kept")]
    assert len(rows) == len(verdicts)
    order = ["violated", "not tested", "kept"]
    assert [order.index(each[0][1:]) for each in rows] == sorted(order.index(each[0][1:]) for each in rows)
    cards = [words["id"] for name, words in read.tags if name == "article"]
    broken = [each for each in verdicts if each.judgement == "violated"]
    assert {each.clause.id for each in broken} >= {"poll.interval", "retry.waits-grow", "callbacks.forged-refused"}
    assert len(cards) == len(broken)
    for each in broken:
        assert each.clause.id in read.text
        assert each.violations[0].seen in read.text
        assert each.violations[0].fix in read.text
        assert each.replay in read.text
        assert f"in {each.violated_in} of {each.exercised_in} situation" in read.text
    drawings = [words["aria-label"] or "" for name, words in read.tags if words.get("class") == "timeline"]
    shown = [one for each in broken for one in each.violations[:3] if one.records]
    assert len(drawings) == 2 * len(shown)
    assert all("breaks the rule" in each for each in drawings)
    assert any("0.2 s later query answered 200 (breaks the rule)" in each for each in drawings)


def test_coverage_in_the_page() -> None:
    """The tables have the counts, and show what was declared but never occurred."""
    journal = hasty()
    for read in (
        _Reader(html(judge_journal(journal), [journal, journal], title="x")),
        _Reader(html(judge_journal(journal), [], title="x", met=covered([journal, journal]))),
    ):
        by_head = {row[0]: row[1:] for row in read.rows}
        heads = next(row for row in read.rows if row[0] == "Operation" and "200" in row)[1:]
        query = dict(zip(heads, by_head["getJobGET /api/v1/jobs/{jobId}"], strict=True))
        assert (query["200"], query["404"], query["402"]) == ("42", "never", "not declared")
        assert by_head["generating"] == ["in progress", "40"]
        assert by_head["accepted"] == ["in progress", "never"]
        assert ["done", "\N{EN DASH}", "2", "2"] in read.rows
        assert by_head["failed"][-1] == "never"
        assert "2 situations, 2 tasks, 46 requests, 4 callbacks" in read.text


def test_a_page_without_violations() -> None:
    """One that has nothing to complain of says so, and one that could not tell does not say that all is well."""
    verdicts = judge_journal(hasty())
    kept = [each for each in verdicts if each.judgement == "kept"]
    idle = [each for each in verdicts if each.judgement == "not exercised"]
    for given, wanted in ((kept, "No violations"), (idle, "Nothing was tested"), ([], "Nothing was tested")):
        read = _Reader(html(given, [], title="x"))
        assert wanted in read.text
        assert "article" not in {name for name, _ in read.tags}


def test_what_is_around_a_violation() -> None:
    """A drawing has the offending records with their neighbours, says what it left out, and can do without."""
    journal = hasty()
    one = Violation(journal.records[10:12], "seen", "asks", "fix")
    found = scene(one, [Traffic(PROVIDER).submit().journal(), journal])
    assert found.offending == journal.records[10:12]
    assert len(found.shown) == WIDE
    assert journal.records[0] in found.shown
    assert sum(found.skipped) + len(found.shown) == len(journal.records)
    assert scene(one, [journal], NARROW).shown == journal.records[10:12]
    alone = scene(one, [])
    assert (alone.shown, alone.skipped) == (journal.records[10:12], (0, 0, 0))
    assert scene(Violation((), "seen", "asks", "fix"), [journal]).shown == ()
    assert scene(one, [replace(journal, speed=10.0)]).seconds(*one.records) == "0.02 s"
    many = Violation(journal.records, "seen", "asks", "fix")
    assert len(scene(many, [journal]).shown) == 16


def test_hostile_texts_are_text() -> None:
    """Prompts, paths, bodies, faults, situations and commands with markup in them add no tag to the page."""
    verdicts, journal = hostile()
    page = html(verdicts, [journal], title=MARKUP + CONTROLS)
    page.encode()
    read = _Reader(page)
    assert not {name for name, _ in read.tags} & {"script", "img"}
    assert not any(key.startswith("on") for _, words in read.tags for key in words)
    assert read.text.count("<script>window.hit=2</script>") > 8
    assert re.search(r"[^\t\n\x20-\x7e\xa0-\ud7ff\U00010000-\U0010ffff]", page) is None


# -- in a browser -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed: apt-get install chromium")
async def test_the_page_in_a_browser(tmp_path: Path) -> None:
    """It fits a desktop and a phone, in light and dark; nothing is complained of, nothing runs; kept as images."""
    verdicts, journals = judged_run()
    (tmp_path / "report.html").write_text(html(verdicts, journals, title="client.py:Hurried"), encoding="utf-8")
    bad, journal = hostile()
    (tmp_path / "hostile.html").write_text(html(bad, [journal], title=MARKUP), encoding="utf-8")

    async def run(devtools: str) -> None:
        async with page_at(devtools) as page:
            for name, scheme, width in (
                ("report-desktop-light", "light", 1280),
                ("report-desktop-dark", "dark", 1280),
                ("report-phone-light", "light", 360),
                ("report-phone-dark", "dark", 360),
            ):
                await page.prefer(color_scheme=scheme)
                await page.size(width, 900, mobile=width < 500)
                await page.goto((tmp_path / "report.html").as_uri())
                assert await page.js("document.documentElement.scrollWidth") <= width
                assert await page.js("document.querySelector('.card').getBoundingClientRect().width") > width * 0.8
                kind = "narrow" if width < 500 else "wide"
                assert await page.js(f"document.querySelector('.scene.{kind}').getBoundingClientRect().height") > 80
                image = await page.screenshot()
                OUTPUT.mkdir(exist_ok=True)
                for place in (tmp_path, OUTPUT):
                    (place / f"{name}.png").write_bytes(image)
            await page.goto((tmp_path / "hostile.html").as_uri())
            assert await page.js("window.hit ?? null") is None
            assert await page.js("document.querySelectorAll('script, img').length") == 0
            assert page.complaints == []

    assert PROGRAM is not None
    with chromium_running(PROGRAM) as devtools:
        await run(devtools)
