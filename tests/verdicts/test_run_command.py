"""The command line over clients: `contracts run`, `check --speed`, `list`, `coverage`, `kills`."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from click.testing import CliRunner
from support.traffic import Traffic

from contracts import all_clauses, mutation
from contracts.cli import catalog, main
from contracts.client.in_process import alarm
from contracts.client.search import MOST_HANGS, Search
from contracts.clients import GOOD
from contracts.clients.broken import FetchesNothing, FetchesWithKey, Mutant, TriesAtOnce, mutants
from contracts.clients.polite import PoliteClient
from contracts.rules import Rule, documented_rules
from contracts.server.clauses import all_server_clauses

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

EVOLINK, TOAPIS = "evolink", "toapis"
SCHEMA = json.loads((Path(__file__).parents[2] / "specs" / "verdicts.schema.json").read_text(encoding="utf-8"))
GOOD_CLIENT = "contracts.clients.toapis:client"
BAD_CLIENT = """
from contracts.clients import subject
from contracts.clients.broken import FetchesWithKey, TakesNoForBusy
from contracts.clients.evolink import EvoLink

class Bad(FetchesWithKey, TakesNoForBusy, EvoLink):
    pass

Client = subject(Bad)
"""
NO_FAULTS = "scenario: calm\ntimeline: []\n"
#: Everything that can be met, and nothing drawn.
QUICK = ("--max-examples", "0")


def run(*words: str) -> tuple[int, str, str]:
    """Run the command line; return its exit code, and what it printed to its two outputs."""
    done = CliRunner().invoke(main, list(words))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def process(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line as a process."""
    command = [sys.executable, "-m", "contracts.cli", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a directory with a client in it that sends its key everywhere, and never takes no for an answer."""
    (tmp_path / "client.py").write_text(BAD_CLIENT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


# -- verdicts ---------------------------------------------------------------------------------------


def test_a_good_client_is_clean(tmp_path: Path) -> None:
    """Exit code 0; all files are written, and no directory for violations."""
    files = {name: tmp_path / f"verdicts.{name}" for name in ("json", "junit", "html")}
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    words = ("--provider", TOAPIS, "--client", GOOD_CLIENT, "--max-examples", "5", "--seed", "3")
    code, said, complaints = run("run", *words, "--violations", str(tmp_path / "violations"), *options)
    assert (code, complaints.splitlines()[-1].partition(":")[0]) == (0, "situations")
    assert "0 violated" in said
    assert "seed 3" in said.splitlines()[-1]
    verdicts = json.loads(files["json"].read_text(encoding="utf-8"))
    jsonschema.validate(verdicts, SCHEMA)
    assert verdicts["counts"]["violated"] == verdicts["counts"]["not_exercised"] == 0
    assert verdicts["counts"]["kept"] == len(verdicts["verdicts"]) > 20
    assert all(each["exercised_in"] > 0 for each in verdicts["verdicts"])
    suite = ET.fromstring(files["junit"].read_text(encoding="utf-8"))
    assert (int(suite.get("failures", "1")), len(suite)) == (0, len(verdicts["verdicts"]))
    assert "contracts.clients.toapis:client" in files["html"].read_text(encoding="utf-8")
    assert not (tmp_path / "violations").exists()


def test_a_bad_client_is_shown_and_its_violations_can_be_seen_again(bad: Path) -> None:
    """Exit code 1; for each violated clause there is a scenario, and the command in the verdict shows it again."""
    code, said, _ = run(
        "run", "--provider", EVOLINK, "--client", "client.py:Client", *QUICK, "--json", "v.json", "--html", "v.html"
    )
    assert code == 1
    verdicts = json.loads(Path("v.json").read_text(encoding="utf-8"))
    jsonschema.validate(verdicts, SCHEMA)
    violated = {each["clause"]: each for each in verdicts["verdicts"] if each["judgement"] == "violated"}
    assert set(violated) == {"results.without-key", "submit.not-again-after-refusal"}
    assert violated["results.without-key"]["situation"] == "no faults; 1 job, polling, seed 0"
    assert violated["submit.not-again-after-refusal"]["situation"].startswith("submit refused: 4")
    written = sorted(path.name for path in Path("contract-violations").iterdir())
    assert written == sorted(f"client-Client-evolink-seed0-{clause}.yaml" for clause in violated)
    for clause, verdict in violated.items():
        assert f"replay: {verdict['replay']}" in said
        head = (
            Path(f"contract-violations/client-Client-evolink-seed0-{clause}.yaml")
            .read_text(encoding="utf-8")
            .splitlines()[:2]
        )
        assert head == [f"# {clause}: {verdict['rule']}", f"# {verdict['replay']}"]
        assert 0 < verdict["violated_in"] <= verdict["exercised_in"]
        words = shlex.split(verdict["replay"])
        assert words[0] == "contracts"
        retry_chains, said_again, _ = run(*words[1:])
        assert retry_chains == 1
        assert clause in said_again.partition("not tested by this run")[0]
        assert verdict["violations"][0]["seen"] in said_again
        assert said_again.splitlines()[-1].startswith("1 situation tested")
    # The command of a replay works as it stands: as a process, in the same directory.
    first = verdicts["verdicts"][0]
    done = process(*shlex.split(first["replay"])[1:], cwd=bad)
    assert (done.returncode, done.stderr) == (1, "")
    assert f"VIOLATED ({first['severity']})  evolink  {first['clause']}" in done.stdout


def test_a_violation_that_needs_callbacks_and_jobs_is_replayed_with_them(bad: Path) -> None:
    """The command of the replay says so."""
    client = """
from contracts.clients import subject
from contracts.clients.broken import AcknowledgesNothing, CrowdsIn
from contracts.clients.googlegeminiomni import GoogleGeminiOmni

class Bad(AcknowledgesNothing, CrowdsIn, GoogleGeminiOmni):
    pass

Client = subject(Bad)
"""
    (bad / "other.py").write_text(client, encoding="utf-8")
    words = ("--provider", "googlegeminiomni", "--client", "other.py:Client")
    assert run("run", *words, *QUICK, "--json", "v.json", "--fail-on", "should")[0] == 1
    verdicts = json.loads(Path("v.json").read_text(encoding="utf-8"))["verdicts"]
    replays = {each["clause"]: each["replay"] for each in verdicts if each["judgement"] == "violated"}
    assert replays["callbacks.acknowledged"].endswith(" --callbacks")
    assert " --jobs " in replays["limits.kept"]
    for clause in ("callbacks.acknowledged", "limits.kept"):
        code, said, _ = run(*shlex.split(replays[clause])[1:])
        assert code == 1
        assert f"googlegeminiomni  {clause}" in said.partition("not tested by this run")[0]


def test_callbacks_may_be_refused(tmp_path: Path) -> None:
    """Without them nothing of callbacks is exercised, though the client takes them."""
    words = ("--provider", EVOLINK, "--client", "contracts.clients.evolink:client", "--no-callbacks", *QUICK)
    code, said, _ = run("run", *words)
    assert code == 0
    open_ones = said.partition("not tested by this run")[2]
    assert "callbacks.acknowledged" in open_ones
    assert "poll.stops-at-end" not in open_ones


def test_a_client_that_goes_elsewhere_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That nothing came, what its first error was, and where it wanted to go."""
    monkeypatch.chdir(tmp_path)
    Path("lost.py").write_text(
        "import urllib.request\n"
        "class Client:\n"
        "    def __init__(self, setting): pass\n"
        "    def generate(self, prompt): return urllib.request.urlopen('http://api.example.invalid/v1').read()\n",
        encoding="utf-8",
    )
    Path("calm.yaml").write_text(NO_FAULTS, encoding="utf-8")
    code, said, _ = run("run", "--provider", EVOLINK, "--client", "lost.py:Client", "--scenario", "calm.yaml")
    assert code == 1
    assert "outcome.begins" in said.partition("not tested by this run")[0]
    assert "note: no request of this client reached evolink" in said
    assert "note: its first error: URLError" in said
    assert "note: the client tried to reach api.example.invalid:80, where nothing listens" in said


def test_a_client_that_hangs_does_not_hang_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up after a few situations, and that is said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(alarm, "LONGEST_RUN_S", 0.1)
    monkeypatch.setattr(alarm, "REPEAT_S", 0.05)
    Path("hangs.py").write_text(
        "class Client:\n"
        "    def __init__(self, setting): pass\n"
        "    async def generate(self, prompt):\n"
        "        while True: pass\n",
        encoding="utf-8",
    )
    code, said, _ = run("run", "--provider", EVOLINK, "--client", "hangs.py:Client")
    assert code == 1
    assert "outcome.ends" in said
    assert f"note: the client hung in {MOST_HANGS} situations, and was stopped; no more were tried" in said


@pytest.mark.skipif(sys.platform == "win32" or shutil.which("sh") is None, reason="there is no shell here")
def test_a_command_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By one situation here; a command that does nothing and says that all is well is accused of that."""
    monkeypatch.chdir(tmp_path)
    Path("calm.yaml").write_text(NO_FAULTS, encoding="utf-8")
    code, said, _ = run("run", "--provider", EVOLINK, "--command", "sh -c 'exit 0'", "--scenario", "calm.yaml")
    assert code == 1
    assert "outcome.success-is-real" in said
    assert "note: no request of this client reached evolink" in said
    code, said, _ = run("run", "--provider", EVOLINK, "--command", "sh -c 'exit 3'", "--scenario", "calm.yaml")
    assert (code, "its first error: exit code 3" in said) == (1, True)
    assert "outcome.begins" in said.partition("not tested by this run")[0]


# -- wrong use --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "specify the client: --client module:Name for Python, --command '...' for any language"),
        (("--client", "a:B", "--command", "true"), "give --client or --command, not both"),
        (("--provider", "nobody", "--client", GOOD_CLIENT), "unknown provider 'nobody'; known: crun, evolink"),
        (("--client", "nothing"), "'nothing' is not a client; write module:Name, or path/to/file.py:Name"),
        (("--client", "no.such.module:Client"), "cannot import no.such.module: ModuleNotFoundError"),
        (("--client", "none.py:Client"), "none.py: file not found"),
        (("--client", "exits.py:Client"), "cannot import exits.py: SystemExit: 7"),
        (("--client", "broken.py:Client"), "cannot import broken.py: SyntaxError"),
        (("--client", "contracts.clients:nobody"), "nobody not found in contracts.clients"),
        (("--client", "contracts.clients:GOOD"), "GOOD is not callable in contracts.clients"),
        (("--client", "empty.py:Client"), "Client has no method `generate`"),
        (("--client", "empty.py:raises"), "cannot create the client: ValueError: no key"),
        (("--command", ""), "the command is empty"),
        (("--command", "node 'x"), "cannot parse the command"),
        (("--command", "no-such-program-here"), "program not found: no-such-program-here"),
        (("--client", GOOD_CLIENT, "--scenario", "no-such-scenario"), "no-such-scenario"),
        (("--client", GOOD_CLIENT, "--scenario", "bad.yaml"), "bad.yaml"),
        (("--client", GOOD_CLIENT, "--scenario", "other.yaml"), "crun"),
        (("--client", GOOD_CLIENT, "--spec", "no-such-spec.yaml"), "no-such-spec.yaml"),
        (
            ("--client", GOOD_CLIENT, "--json", "no/such/v.json"),
            "cannot write no/such/v.json: No such file",
        ),
        (("--client", GOOD_CLIENT, "--html", "calm.yaml/v.html"), "cannot write calm.yaml/v.html: Not a directory"),
        (("--client", GOOD_CLIENT, "--violations", "calm.yaml/v/w"), "cannot write calm.yaml/v/w: Not a directory"),
    ],
)
def test_wrong_use_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], complaint: str
) -> None:
    """Exit code 2, one line that says what is wrong, and no traceback."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("exits.py").write_text("raise SystemExit(7)\n", encoding="utf-8")
    Path("broken.py").write_text("def (\n", encoding="utf-8")
    Path("empty.py").write_text(
        "class Client:\n    def __init__(self, s): pass\ndef raises(s): raise ValueError('no key')\n", encoding="utf-8"
    )
    Path("bad.yaml").write_text("scenario: bad\ntimeline:\n  - fault: nothing_of_the_kind\n", encoding="utf-8")
    Path("other.yaml").write_text(
        "scenario: other\ntimeline:\n  - {fault: stuck, where: {provider: crun}}\n", encoding="utf-8"
    )
    Path("calm.yaml").write_text(NO_FAULTS, encoding="utf-8")
    provider = () if "--provider" in words else ("--provider", TOAPIS)
    code, _, complaints = run("run", *provider, *words)
    assert code == 2
    assert complaint in complaints
    assert complaints.startswith("contracts: ")
    assert len(complaints.splitlines()) == 1
    assert "Traceback" not in complaints


def test_verdicts_outlive_replays_that_cannot_be_written(bad: Path) -> None:
    """What was found is said all the same, and why there are no replays."""
    Path("contract-violations").symlink_to("nowhere")
    code, said, complaints = run("run", "--provider", EVOLINK, "--client", "client.py:Client", *QUICK)
    assert (code, "Traceback" in complaints) == (1, False)
    assert "VIOLATED" in said
    assert "replay:" not in said
    assert "note: no replays: cannot write contract-violations: File exists" in said


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--client", GOOD_CLIENT),
        ("run", "--provider", TOAPIS, "--client", GOOD_CLIENT, "--seed", "-1"),
        ("run", "--provider", TOAPIS, "--client", GOOD_CLIENT, "--jobs", "0"),
        ("run", "--provider", TOAPIS, "--client", GOOD_CLIENT, "--time-limit", "0.5"),
        ("check",),
        ("check", "x", "--speed", "0"),
        ("kills", "--workers", "0"),
        ("nothing",),
    ],
)
def test_options_that_mean_nothing_are_refused(words: tuple[str, ...]) -> None:
    """Exit code 2, with the usage."""
    code, _, complaints = run(*words)
    assert code == 2
    assert complaints.startswith("Usage: ")
    assert "Error: " in complaints


def test_wrong_use_as_a_process(tmp_path: Path) -> None:
    """The same there: one line, and no traceback."""
    done = process("run", "--provider", EVOLINK, "--client", "none.py:Client", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "contracts: none.py: file not found\n"


# -- check, list, coverage --------------------------------------------------------------------------


@pytest.mark.parametrize(("waited", "speed", "code"), [(180, 60, 0), (120, 60, 1), (120, 1, 0), (3, 1, 0), (2, 1, 1)])
def test_check_knows_the_speed_of_the_clock(tmp_path: Path, waited: float, speed: float, code: int) -> None:
    """A wait of 120 s by a clock that went sixty times as fast was one of 2 s, and that is too short."""
    path = tmp_path / "journal.ndjson"
    records = Traffic().submit().wait(180).query().wait(waited).query().records
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    found, said, _ = run("check", str(path), "--speed", str(speed), "--fail-on", "should")
    assert found == code
    assert ("poll.interval" in said.partition("not tested by this run")[0]) is bool(code)
    assert "two queries 2 s apart" in said or not code


def test_clauses_for_servers_and_of_one_provider_are_listed() -> None:
    """`--servers` lists the clauses for servers; `--provider` leaves out those of other providers."""
    heads = re.compile(r"^(\S+)  \((?:must|should|advice)\)$", re.MULTILINE)
    servers = heads.findall(run("list", "--servers")[1])
    assert heads.findall(run("list", "--laws")[1]) == servers  # the old spelling
    assert servers == [each.id for each in all_server_clauses()]
    every, some = (run("list", *more)[1] for more in ((), ("--provider", EVOLINK)))
    assert set(heads.findall(some)) < set(heads.findall(every))
    assert "crun." in every
    assert "crun." not in some
    assert run("list", "--provider", "nobody")[::2] == (
        2,
        "contracts: unknown provider 'nobody'; known: crun, evolink, googlegeminiomni, toapis\n",
    )


def test_what_there_was_no_time_for_is_said() -> None:
    """Kinds of situation that were not met, and drawn ones that were not drawn."""
    words = ("--provider", TOAPIS, "--client", GOOD_CLIENT, "--time-limit", "1", "--max-examples", "100000")
    code, said, _ = run("run", *words)
    assert code == 0
    assert re.search(r"^left out: .*(all|some of) 100000 random situations: time limit reached$", said, re.MULTILINE)


def test_a_client_meets_a_dialect() -> None:
    """Crun's, which answers every error with 200: its good client reads what stands in the body."""
    good = ("run", "--provider", "crun", "--client", "contracts.clients.crun:client", "--max-examples", "0")
    code, said, _ = run(*good, "--dialect", "always_200")
    assert (code, "0 violated" in said) == (0, True), said
    assert run(*good, "--dialect", "klingon")[0] == 2


def test_the_list_has_every_clause() -> None:
    """With its rule, its severity, and its sources: documents, or general best practice."""
    code, said, _ = run("list")
    assert code == 0
    for clause in all_clauses():
        part = said.partition(f"{clause.id}  ({clause.severity})\n")[2].partition("\n\n")[0]
        assert part.startswith(f"  {clause.rule}\n  ")
        assert ("general best practice" in part) is clause.general


def test_coverage_finds_a_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule with neither clause nor reason is named, and is exit code 1; --all names the others, too."""
    planted = Rule("evolink.dance.at-dawn", EVOLINK, "A document", "7", "client", "Dance at dawn.")
    code, said, _ = run("coverage", "--all")
    assert (code, len(said.splitlines())) == (0, len(documented_rules()) + 1)
    monkeypatch.setattr(catalog, "documented_rules", lambda: (*documented_rules(), planted))
    code, said, _ = run("coverage")
    assert code == 1
    assert said.splitlines()[0] == "evolink.dance.at-dawn: NOT COVERED"
    assert said.splitlines()[-1].endswith(", 1 with neither")


def test_coverage_finds_a_clause_about_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern that no rule has is named."""
    fewer = tuple(each for each in documented_rules() if "429-jitter" not in each.id)
    monkeypatch.setattr(catalog, "documented_rules", lambda: fewer)
    code, said, _ = run("coverage")
    assert code == 1
    assert "*.429-jitter matches no rule, but a clause or a waiver names it" in said


# -- kills ------------------------------------------------------------------------------------------


def one_worker(workers: int, mp_context: object) -> ThreadPoolExecutor:
    """Stand in for the processes, so that what is planted is there."""
    assert workers == 2
    assert mp_context is not None
    return ThreadPoolExecutor(1)


@pytest.fixture
def run_campaign(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Try a few clients, with breakers of one's own among them."""
    monkeypatch.setattr(mutation, "ProcessPoolExecutor", one_worker)

    def run_them(*plan: tuple[str, str | None], mutant: Mutant | None = None) -> tuple[int, str]:
        monkeypatch.setattr(mutation, "planned", lambda **_: list(plan))
        if mutant is not None:
            monkeypatch.setattr(mutation, "mutants", lambda: (*mutants(), mutant))
        code, said, _ = run("kills", "--workers", "2", "--max-examples", "0")
        return code, said

    return run_them


@pytest.fixture
def few_situations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meet the most important situations only: what is planted shows there."""
    every = Search.planned
    monkeypatch.setattr(Search, "planned", lambda search: every(search)[:25])


class Harmless(PoliteClient):
    pass


def planted(clause: str, mixin: type[PoliteClient], seen: str = "", *also: str) -> Mutant:
    """Make a breaker."""
    return Mutant("Planted", clause, seen, frozenset(also), lambda _: True, mixin)


def test_kills_of_a_few(run_campaign: Callable[..., tuple[int, str]]) -> None:
    """Exit code 0, with a line for each client, and how many clauses were tried."""
    code, said = run_campaign((TOAPIS, None), (TOAPIS, "FetchesWithKey"))
    assert code == 0, said
    first, second, last = said.splitlines()
    assert first == "the good client of toapis: not accused"
    assert second == "toapis  FetchesWithKey: caught by results.without-key"
    most = len(all_clauses())
    assert last == f"1 broken clients and 1 good ones at 1 providers, {most} of {most} clauses tested: 0 wrong"


def test_kills_in_processes(tmp_path: Path) -> None:
    """What they find comes back; a breaker is found there by its name."""
    script = (
        "from contracts import mutation\n"
        "mutation.planned = lambda **_: [('toapis', 'FetchesNothing'), ('toapis', 'SaysText')]\n"
        "if __name__ == '__main__':\n"
        "    from contracts.cli import main\n"
        "    main(['kills', '--workers', '2', '--max-examples', '0', '--each-once'])\n"
    )
    path = tmp_path / "few.py"
    path.write_text(script, encoding="utf-8")
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, "clients: 1 of 2\nclients: 2 of 2\n")
    assert "toapis  FetchesNothing: caught by results.fetched" in done.stdout
    assert "toapis  SaysText: caught by submit.content-type" in done.stdout


def test_kills_fails_on_a_hole(run_campaign: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """A clause that no breaker breaks is named."""
    without = tuple(each for each in mutants() if each.clause != "results.whole")
    monkeypatch.setattr(mutation, "mutants", lambda: without)
    code, said = run_campaign()
    assert code == 1
    assert said.splitlines()[0] == "no broken client for results.whole"


@pytest.mark.usefixtures("few_situations")
def test_kills_fails_on_a_breaker_that_is_not_caught(run_campaign: Callable[..., tuple[int, str]]) -> None:
    """One that breaks nothing."""
    code, said = run_campaign((TOAPIS, "Planted"), mutant=planted("results.whole", Harmless))
    assert code == 1
    assert said.splitlines()[:2] == ["toapis  Planted: WRONG", "    not caught"]


@pytest.mark.usefixtures("few_situations")
def test_kills_fails_on_another_reason(run_campaign: Callable[..., tuple[int, str]]) -> None:
    """One that is caught by what it is not."""
    mutant = planted("results.fetched", FetchesNothing, "too late")
    code, said = run_campaign((TOAPIS, "Planted"), mutant=mutant)
    assert code == 1
    assert said.splitlines()[1] == "    caught for another reason: no download of a task that succeeded"


@pytest.mark.usefixtures("few_situations")
def test_kills_fails_on_another_accusation(run_campaign: Callable[..., tuple[int, str]]) -> None:
    """One that is accused of more than it is said to break."""
    mutant = planted("retry.not-at-once", TriesAtOnce, "retries in a row")
    code, said = run_campaign((TOAPIS, "Planted"), mutant=mutant)
    assert code == 1
    assert said.splitlines()[1].startswith("    also accused of retry.waits-grow: retried 0")
    allowed = replace(mutant, also=frozenset(each.id for each in all_clauses()))
    code, said = run_campaign((TOAPIS, "Planted"), mutant=allowed)
    assert "also accused" not in said
    assert code == 0, said


@pytest.mark.usefixtures("few_situations")
def test_kills_fails_on_a_false_accusation(
    run_campaign: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The good client is not accused, and meets everything."""
    monkeypatch.setitem(GOOD, TOAPIS, type("NotSoGood", (FetchesWithKey, GOOD[TOAPIS]), {}))
    code, said = run_campaign((TOAPIS, None))
    assert code == 1
    first, second = said.splitlines()[:2]
    assert first == "the good client of toapis: WRONG"
    assert second == "    the good client was accused: results.without-key: a download with Authorization"


def test_kills_fails_on_what_is_never_exercised(
    run_campaign: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clause that no situation exercises proves nothing by its silence."""

    def short(*given: Any, **named: Any) -> Search:
        return Search(*given, **{**named, "time_budget_s": 0.0})

    monkeypatch.setattr(mutation, "Search", short)
    code, said = run_campaign((TOAPIS, None))
    assert code == 1
    assert "    never tested: poll.stops-at-end" in said.splitlines()


def test_what_is_planned_is_every_breaker_where_its_clause_applies() -> None:
    """And each provider's good client; every clause has its breaker somewhere."""
    plan = mutation.planned()
    assert len(set(plan)) == len(plan)
    assert {name for name, mutant in plan if mutant is None} == set(GOOD)
    assert {mutant for _, mutant in plan} - {None} == {each.name for each in mutants()}
    assert (TOAPIS, "OnlyListens") not in plan
    assert list(mutation.gaps()) == []
    once = mutation.planned(each_once=True)
    assert set(once) <= set(plan)
    assert sorted(mutant for _, mutant in once if mutant) == sorted(each.name for each in mutants())
