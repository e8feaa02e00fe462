"""Clients that are commands: Node, curl, and commands that fail in every way that a process can."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.traffic import Traffic, providers

import contracts
from contracts.client.catalogue import conditions
from contracts.client.situations import Situation
from contracts.client.subprocess import (
    FASTEST,
    FIRST_SPEED,
    Command,
    CommandError,
    Pace,
    follows,
    limit_in,
    pace_in,
    run_command,
    run_commands,
    speed_for,
)
from contracts.client.subprocess.pace import LONGEST_JOB_S, speed_in
from contracts.client.subprocess.time_scale import scaled_environment
from contracts.judge import judge_journal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from contracts.client.run import Run
    from contracts.journal import Job, Journal

GOOGLE, EVOLINK = "googlegeminiomni", "evolink"
HERE = Path(__file__).resolve().parent.parent / "clients"
TEMPLATES = Path(contracts.__file__).parent / "clients" / "templates"
SPEED = 60.0

pytestmark = [
    pytest.mark.slow(about_s=20),  # once for the file, whose tests share their runs
    pytest.mark.skipif(sys.platform == "win32", reason="commands are run by POSIX means"),
]
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who descends from whom")


def situation(provider: str, name: str) -> Situation:
    """Make the situation with one thing to meet in it."""
    if name == "callbacks without faults":
        return Situation(provider, (), 1, callbacks=True)
    condition = next(each for each in conditions(providers()[provider], callbacks=True) if each.name == name)
    return Situation(provider, (condition,) if condition.events else (), 1, callbacks=bool(condition.callbacks))


def violated(run: Run) -> set[str]:
    """Return the clauses that a run violates."""
    return {each.clause.id for each in judge_journal(run.journal) if each.judgement == "violated"}


# -- clients that work ------------------------------------------------------------------------------

#: What the naive client is made to meet, and what it is to be accused of.
_EAGER = {"poll.interval", "results.without-key"}
_HASTY = {"retry.waits-grow", "retry.retry-after"}
_ENDLESS = {"poll.interval", "poll.gives-up", "outcome.ends"}
NAIVE = {
    "no faults": _EAGER,
    "submit fails temporarily: 429 x2": _EAGER | _HASTY,
    "submit refused: 401": {"submit.not-again-after-refusal", "outcome.ends"},
    "answer to the submit lost": _EAGER | {"submit.not-again-after-lost-answer"},
    "task fails: model_error": _ENDLESS | {"poll.stops-at-end"},
    "task never finishes": _ENDLESS,
    "callbacks without faults": {"results.without-key"},
    "callback forged: wrong signature": {"results.without-key", "callbacks.forged-refused"},
    "callback not JSON": {"callbacks.unreadable-handled"},
    "callback lost": set(),  # it was stopped by our own limit, which proves nothing
}
#: Where it waits for ever without asking; elsewhere it asks for ever, if it does not end.
WAITING = ["callback lost"]
#: When it has shown that it asks without end, and when that it waits without asking. It asks every tenth of a
#: second; a task lasts about five seconds at this speed, and longer only where it never ends.
NAIVE_SPEED, MOST_REQUESTS, LONGEST_WAIT_S = 20.0, 80, 12
#: How a template's job ends, by condition.
TEMPLATE = {
    EVOLINK: {
        "no faults": "returned",
        "submit fails temporarily: 429 x2": "returned",
        "connection reset: within_body": "returned",
        "task fails: content_policy_violation": "raised",
        "submit refused: 402": "raised",
        "answer to the submit lost": "raised",
        "callbacks without faults": "returned",
    },
    GOOGLE: {
        "no faults": "returned",
        "submit fails temporarily: 500 x2": "returned",
        "submit fails temporarily: 429 x2": "returned",
        "unknown status": "returned",
        "task not found yet": "returned",
        "callback early": "returned",
        "callback duplicated: x3": "returned",
        "callback forged: wrong signature": "returned",
        "callback forged: long signature": "returned",
        "callback not JSON": "returned",
    },
}
SHELL = {"no faults": "returned", "query fails temporarily: 503 x1": "returned", "task fails: service_error": "raised"}


def _played(
    words: tuple[str, ...],
    provider: str,
    names: Iterable[str],
    speed: float,
    time_limit_s: float = 90,
    most_requests: int = 1_000,
) -> dict[str, Run]:
    """Let a client meet situations, all at once: they mostly sleep."""
    met = [situation(provider, name) for name in names]
    runs = run_commands(
        Command(words),
        providers()[provider],
        [(each, Pace(speed, time_limit_s)) for each in met],
        at_once=len(met),
        most_requests=most_requests,
    )
    return dict(zip(names, runs, strict=True))


@pytest.fixture(scope="module")
def naive_runs() -> dict[str, Run]:
    """Let the naive client meet its situations; at a speed that lets it ask often before a task ends."""
    words = ("node", str(HERE / "naive.mjs"))
    asking = [name for name in NAIVE if name not in WAITING]
    with ThreadPoolExecutor(2) as pool:
        plays = [
            pool.submit(_played, words, GOOGLE, asking, NAIVE_SPEED, most_requests=MOST_REQUESTS),
            pool.submit(_played, words, GOOGLE, WAITING, NAIVE_SPEED, time_limit_s=LONGEST_WAIT_S),
        ]
        return {name: run for run_situation in plays for name, run in run_situation.result().items()}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Run]]:
    """Let every template that can run meet its situations."""
    other = tmp_path_factory.mktemp("clients") / "client.mjs"
    words = (HERE / "googlegeminiomni.words.mjs").read_text(encoding="utf-8")
    template = (TEMPLATES / "client.mjs").read_text(encoding="utf-8")
    other.write_text(re.sub(r"// --- your.*?// --- end[^\n]*\n", lambda _: words, template, flags=re.DOTALL))
    with ThreadPoolExecutor(3) as pool:
        plays = {}
        if shutil.which("node") is not None:
            plays[GOOGLE] = pool.submit(_played, ("node", str(other)), GOOGLE, TEMPLATE[GOOGLE], SPEED)
            own = ("node", str(TEMPLATES / "client.mjs"))
            plays[EVOLINK] = pool.submit(_played, own, EVOLINK, TEMPLATE[EVOLINK], SPEED)
        if shutil.which("curl") is not None:
            plays["shell"] = pool.submit(_played, ("sh", str(TEMPLATES / "client.sh")), EVOLINK, SHELL, SPEED)
        return {name: run_situation.result() for name, run_situation in plays.items()}


@needs_node
@pytest.mark.parametrize("name", NAIVE)
def test_a_client_out_of_a_tutorial_is_accused_of_what_it_does(naive_runs: dict[str, Run], name: str) -> None:
    """It is accused of exactly what it does in each situation."""
    run = naive_runs[name]
    assert violated(run) == NAIVE[name], run.journal.jobs
    assert run.journal.speed == NAIVE_SPEED
    if "outcome.ends" in NAIVE[name]:
        assert run.journal.jobs[0].ended == "never"
        until = f"{LONGEST_WAIT_S} s" if name in WAITING else f"{MOST_REQUESTS} requests for one job"
        assert run.journal.jobs[0].said == f"had not ended after {until}, and was stopped"


@needs_node
@pytest.mark.parametrize(("provider", "name"), [(each, name) for each in TEMPLATE for name in TEMPLATE[each]])
def test_the_template_for_node_keeps_to_the_rules(runs: dict[str, dict[str, Run]], provider: str, name: str) -> None:
    """It is clean, with its own provider's words and with another's in their place."""
    _clean(runs[provider][name], TEMPLATE[provider][name])


@needs_curl
@pytest.mark.parametrize("name", SHELL)
def test_the_template_for_curl_keeps_to_the_rules(runs: dict[str, dict[str, Run]], name: str) -> None:
    """It is clean."""
    _clean(runs["shell"][name], SHELL[name])


def _clean(run: Run, ended: str) -> None:
    (job,) = run.journal.jobs
    assert (job.ended, job.size_bytes is not None) == (ended, ended == "returned"), job
    assert violated(run) == set()
    assert job.said == "" if ended == "returned" else job.said.startswith("exit code 1; ")


@needs_node
def test_a_receiver_that_is_gone_with_its_job_is_not_accused(runs: dict[str, dict[str, Run]]) -> None:
    """Callbacks that arrive after the end of a job are not judged."""
    for run in runs[GOOGLE].values():
        assert all(each.status is not None for each in run.journal.deliveries)


# -- subjects that are broken -----------------------------------------------------------------------


def played(*words: str, jobs: int = 1, time_limit_s: float = 10, callbacks: bool = False) -> Run:
    """Let a command make videos without faults."""
    met = Situation(EVOLINK, (), jobs, callbacks=callbacks)
    return run_command(Command(words), providers()[EVOLINK], met, speed=600, time_limit_s=time_limit_s)


def job(*words: str, time_limit_s: float = 10) -> Job:
    """Let a command make one video."""
    (only,) = played(*words, time_limit_s=time_limit_s).journal.jobs
    return only


def shell(script: str, **more: float) -> Job:
    """Let a script make one video."""
    return job("sh", "-c", script, **more)


def gone(pid_file: Path) -> bool:
    """Tell whether a process has ended."""
    return not Path(f"/proc/{int(pid_file.read_text())}").exists()


def test_a_program_that_is_not_there_cannot_be_started(tmp_path: Path) -> None:
    """The words say which program, and why; it can be asked beforehand."""
    found = job("no-such-program")
    assert (found.ended, found.size_bytes) == ("raised", None)
    assert found.said.startswith("cannot be started: no-such-program: No such file or directory; no request reached ")
    plain = tmp_path / "plain.txt"
    plain.write_text("no program")
    assert "Permission denied" in job(str(plain)).said
    assert Command(("no-such-program",)).problem() == "program not found: no-such-program"
    assert Command((str(plain),)).problem() == f"{plain} is not executable"
    assert Command((sys.executable,)).problem() is None


def test_a_directory_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    """The words say which."""
    command = Command(("true",), tmp_path / "none")
    run = run_command(command, providers()[EVOLINK], Situation(EVOLINK), speed=600, time_limit_s=5)
    assert "no directory" in run.journal.jobs[0].said


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("kill -SEGV $$", "crashed: ended by SIGSEGV"),
        ("sh -c 'kill -KILL $$'; exit $?", "exit code 137 (a shell's code for SIGKILL)"),
        ("echo one; echo two >&2; exit 3", "exit code 3; two;"),
        ("echo only out; exit 3", "exit code 3; only out;"),
    ],
)
def test_a_crash_is_told_with_its_last_words(script: str, said: str) -> None:
    """Signals and exit codes are told apart."""
    found = shell(script)
    assert found.ended == "raised"
    assert said in found.said


def test_one_that_hangs_is_stopped_in_time(tmp_path: Path) -> None:
    """At its time limit it is stopped, and its process has ended."""
    found = shell(f"echo $$ >{tmp_path}/pid; exec sleep 1000", time_limit_s=1.5)
    assert (found.ended, found.stopped) == ("never", "stopped by the runner after 1.5 s (--job-limit)")
    assert found.said.startswith("had not ended after 1.5 s, and was stopped; no request reached http://127.0.0.1:")
    assert gone(tmp_path / "pid")


@needs_proc
def test_one_that_ignores_term_is_killed_with_its_children(tmp_path: Path) -> None:
    """TERM is followed by KILL, for the whole process tree."""
    script = f"trap '' TERM; (while :; do sleep 1000; done) & echo $! >{tmp_path}/pid; while :; do sleep 1000; done"
    found = shell(script, time_limit_s=1.5)
    assert "was stopped with KILL, because it ignored TERM" in found.said
    assert gone(tmp_path / "pid")


def test_ten_megabytes_of_garbage_are_bounded() -> None:
    """Nothing blocks, little is kept, and the words stay readable."""
    found = job(sys.executable, "-c", "import os\nfor _ in range(160): os.write(1, os.urandom(65536))")
    assert "standard output was 10,485,760 bytes, of which the last 65,536 were read" in found.said
    assert found.ended == "returned"
    assert len(found.said) < 500
    assert "standard output is not text: 4 bytes" in shell("printf '\\377\\001\\n\\n'").said
    assert len(shell("yes | head -c 1000000 >&2; exit 1").said) < 3000


def test_one_that_never_connects_is_told_so() -> None:
    """That it reports success makes it worse."""
    run = played("true")
    assert run.journal.exchanges == ()
    assert "no request reached http://127.0.0.1:" in run.journal.jobs[0].said
    assert violated(run) == {"outcome.success-is-real"}


@needs_curl
def test_one_that_connects_to_the_wrong_place_is_told_so() -> None:
    """Another port cannot be seen; another path can."""
    found = shell("curl -sS http://127.0.0.1:9/v1/videos/generations")
    assert found.said.startswith("exit code 7; curl: ")
    assert "no request reached http://127.0.0.1:" in found.said
    found = shell("curl -sS -d '{}' $CONTRACT_BASE_URL/v2/videos")
    assert "but none of its operations; the first was POST /v2/videos" in found.said


@needs_proc
def test_a_daemon_is_found_and_ended(tmp_path: Path) -> None:
    """Two forks, a session and an environment of its own hide nothing."""
    script = (
        "import os, sys, time\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "if os.fork(): os._exit(0)\n"
        "open(sys.argv[1], 'w').write(str(os.getpid()))\n"
        "os.execve(sys.executable, [sys.executable, '-c', 'import time; time.sleep(1000)'], {})\n"
    )
    found = job(sys.executable, "-c", script, str(tmp_path / "pid"))
    assert found.ended == "returned"
    assert re.search(r"it left processes running, which were killed: \S+", found.said)
    assert gone(tmp_path / "pid")


@needs_proc
def test_a_daemon_of_one_that_hangs_is_ended_too(tmp_path: Path) -> None:
    """Both end when the time is up."""
    script = f"setsid sh -c 'trap \"\" TERM; echo $$ >{tmp_path}/pid; sleep 1000; sleep 1000' & exec sleep 1000"
    found = shell(script, time_limit_s=2)
    assert "had not ended after 2 s" in found.said
    assert "it left processes running, which were killed: s" in found.said
    assert gone(tmp_path / "pid")


def test_one_that_closes_its_outputs_is_waited_for(tmp_path: Path) -> None:
    """An output's end is not the command's."""
    found = shell(f"exec >&- 2>&- <&-; sleep 0.2; : >{tmp_path}/done; exit 4")
    assert found.said.startswith("exit code 4; no request")
    assert (tmp_path / "done").exists()


def test_one_that_kills_its_own_group_is_a_crash() -> None:
    """The group is the command's alone."""
    assert shell("kill -KILL 0").said.startswith("crashed: ended by SIGKILL")


@needs_proc
def test_one_that_kills_its_supervisor_is_reported(tmp_path: Path) -> None:
    """It goes down with it, and so does what it has started."""
    found = shell(f"sleep 1000 & echo $! >{tmp_path}/pid; kill -KILL $PPID; sleep 1000")
    assert found.said.startswith("killed together with its supervisor")
    with contextlib.suppress(ProcessLookupError):  # the process that adopts orphans may reap them late
        watch = os.pidfd_open(int((tmp_path / "pid").read_text()))
        assert select.select([watch], [], [], 10)[0]
        os.close(watch)


# -- what it is told, and what is read --------------------------------------------------------------


def test_the_environment_and_the_placeholders_tell_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each job has a process, and a port for callbacks."""
    monkeypatch.setenv("CONTRACT_CALLBACK_SECRET", "of another run")
    script = f'env >{tmp_path}/env."$$"; printf "%s\\n" "$@" >{tmp_path}/words; echo $CONTRACT_OUTPUT'
    script += "; : >$CONTRACT_OUTPUT"
    words = ("sh", "-c", script, "sh", "{base_url}/v1", "{prompt}", "{api_key}", "<{callback_url}>", "{other}")
    run = played(*words, jobs=2, callbacks=True)
    assert [(each.number, each.ended, each.size_bytes) for each in run.journal.jobs] == [
        (1, "returned", 0),
        (2, "returned", 0),
    ]
    told = [dict(line.split("=", 1) for line in path.read_text().splitlines()) for path in tmp_path.glob("env.*")]
    assert {each["CONTRACT_PROMPT"] for each in told} == {each.prompt for each in run.journal.jobs}
    assert len({each["CONTRACT_CALLBACK_PORT"] for each in told}) == 2
    assert {each["CONTRACT_CALLBACK_SECRET"] for each in told} == {""}
    assert {each["CONTRACT_PROVIDER"] for each in told} == {EVOLINK}
    filled = (tmp_path / "words").read_text().splitlines()
    assert filled[0].startswith("http://127.0.0.1:")
    assert filled[2:] == [providers()[EVOLINK].key.example, filled[3], "{other}"]
    assert re.fullmatch(r"<http://127\.0\.0\.1:\d+/callback>", filled[3])


def test_without_callbacks_nothing_is_said_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does anything of an outer run come through."""
    monkeypatch.setenv("CONTRACT_CALLBACK_URL", "http://of.another/run")
    played("sh", "-c", f"env >{tmp_path}/env; echo '[{{callback_url}}]' >{tmp_path}/word")
    assert "CONTRACT_CALLBACK" not in (tmp_path / "env").read_text()
    assert (tmp_path / "word").read_text() == "[]\n"


def test_the_last_line_names_the_file(tmp_path: Path) -> None:
    """Or the file is where it was offered a place."""
    (tmp_path / "video.mp4").write_bytes(b"12345")
    command = Command.of("sh -c 'echo working; echo video.mp4; echo'", tmp_path)
    run = run_command(command, providers()[EVOLINK], Situation(EVOLINK), speed=600, time_limit_s=5)
    assert run.journal.jobs[0].size_bytes == 5
    assert shell("printf x >$CONTRACT_OUTPUT").size_bytes == 1
    assert shell(f"echo {tmp_path}/video.mp4; exit 1").size_bytes is None
    assert shell("head -c 5000 /dev/zero | tr '\\0' a").size_bytes is None


def test_words_are_read_as_a_shell_does() -> None:
    """What cannot be read is wrong usage."""
    assert Command.of("node 'my client.mjs' {prompt}").arguments == ("node", "my client.mjs", "{prompt}")
    assert str(Command.of("node 'my client.mjs'")) == "node 'my client.mjs'"
    for text in ("", "  ", "node 'x"):
        with pytest.raises(CommandError):
            Command.of(text)


def test_the_clock_is_as_slow_as_the_client_asks() -> None:
    """A client that queries every 5 s sees a task of 70 s three times; one that never queries has no say."""

    def speed(first_s: float, every_s: float, queries: int) -> float:
        traffic = Traffic(EVOLINK).exchange("submit")
        for number in range(queries):
            traffic.wait(FIRST_SPEED * (every_s if number else first_s)).exchange("query")
        return speed_for(replace(traffic.journal(), speed=FIRST_SPEED))

    assert speed(5, 5, 3) == pytest.approx(100 / 12.5)
    assert speed(0.1, 0.1, 60) == FASTEST
    assert speed(5, 5, 1) == pytest.approx(25 / 12.5)
    assert speed(200, 200, 1) == pytest.approx(1000 / 30, abs=0.1)
    assert speed_for(Traffic(EVOLINK).journal()) == FASTEST


def test_a_patient_client_gets_its_time() -> None:
    """Where a good client waits longer than the limit, the limit is longer, but a run ends in three minutes."""
    google, evolink = providers()["googlegeminiomni"], providers()[EVOLINK]
    assert limit_in(situation(EVOLINK, "no faults"), evolink, 60) == 60
    assert limit_in(situation(EVOLINK, "task never finishes"), evolink, 60) == LONGEST_JOB_S
    assert limit_in(situation("googlegeminiomni", "task never finishes"), google, 60) == LONGEST_JOB_S
    assert limit_in(situation(EVOLINK, "task never finishes"), evolink, 700) == 700
    assert speed_in(situation(EVOLINK, "Retry-After in date"), 60) == 1
    assert speed_in(situation(EVOLINK, "no faults"), 60) == 60
    asked = limit_in(situation(EVOLINK, "Retry-After again and again: query"), evolink, 60)
    assert 3 * 20 < asked < LONGEST_JOB_S


def test_a_clients_time_is_scaled_only_where_it_waits_by_its_own_clock() -> None:
    """Not where it waits for a socket or for Retry-After, and not where the limit is long enough in real time."""
    evolink = providers()[EVOLINK]

    def pace(name: str, job_limit_s: float = 60) -> Pace:
        return pace_in(situation(EVOLINK, name), evolink, 8.0, job_limit_s, time_scale=10)

    for name in ("task never finishes", "callback lost"):
        assert pace(name) == Pace(6, LONGEST_JOB_S, 10)
        assert pace(name).server_speed == FASTEST
        assert pace(name, 2000) == Pace(8, 2000)
    assert pace("poll held open") == Pace(8, LONGEST_JOB_S)
    assert pace("no faults") == Pace(8, 60)
    assert pace("task overdue") == Pace(6, LONGEST_JOB_S, 10)
    assert pace("task overdue", 100) == Pace(8, 100)
    assert pace("Retry-After in date").time_scale == 1


def test_whether_a_client_follows_is_measured() -> None:
    """Its waits have to shrink by about as much: neither not at all, nor twice."""

    def journal(real_gap_s: float, scale: float) -> Journal:
        traffic = Traffic(EVOLINK).exchange("submit")
        for _ in range(3):
            traffic.wait(real_gap_s * scale).exchange("query")
        return replace(traffic.journal(), time_scale=scale)

    for real_gap_s, does in ((0.5, True), (0.6, True), (5.0, False), (2.4, False), (0.05, False)):
        assert follows(journal(5, 1), journal(real_gap_s, 10)) is does, real_gap_s
    assert not follows(Traffic(EVOLINK).journal(), journal(0.5, 10))


_SLEEPERS = {
    "python3": """
import asyncio, queue, threading, time
start = time.monotonic()
time.sleep(10); threading.Event().wait(10); asyncio.run(asyncio.sleep(10))
try: queue.Queue().get(timeout=10)
except queue.Empty: pass
print(round(time.monotonic() - start))
""",
    "node": """
const { setTimeout: sleep } = require('timers/promises'); const start = Date.now();
setTimeout(async () => {
  await sleep(10000); await require('util').promisify(setTimeout)(20000);
  console.log(Math.round((Date.now() - start) / 1000));
}, 10000);
""",
    "sh": "start=$(date +%s); sleep 30s; sleep 10; echo $(($(date +%s) - start))",
}


@pytest.mark.parametrize("program", _SLEEPERS)
def test_time_runs_faster_in(tmp_path: Path, program: str) -> None:
    """Forty seconds pass in a program, in less than half of that."""
    if shutil.which(program) is None:
        pytest.skip(f"there is no {program} here")
    flag = "-e" if program == "node" else "-c"
    environment = scaled_environment(os.environ, 50, tmp_path)
    started_s = time.monotonic()
    done = subprocess.run([program, flag, _SLEEPERS[program]], env=environment, capture_output=True, check=False)
    assert time.monotonic() - started_s < 20, done.stderr
    assert int(done.stdout) >= 40, done.stderr
    assert scaled_environment({"A": "b"}, 1, tmp_path) == {"A": "b"}


_PATIENT = """
import json, os, time, urllib.request
base, key = os.environ["CONTRACT_BASE_URL"], os.environ["CONTRACT_API_KEY"]
def call(path, body=None):
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(base + path, None if body is None else json.dumps(body).encode(), headers)
    return json.loads(urllib.request.urlopen(request, timeout=30).read())
body = {"model": "gemini-omni-flash-text-to-video", "prompt": os.environ["CONTRACT_PROMPT"], "duration": 6}
task = call("/v1/videos/generations", body)
end = time.monotonic() + 300
while time.monotonic() < end:
    time.sleep(10)
    call("/v1/tasks/" + task["id"])
raise SystemExit("it has not ended after 300 s")
"""


def test_a_task_that_never_finishes_is_seen_to_its_end(tmp_path: Path) -> None:
    """A client that waits for 300 s gives up within a few seconds, and its waits are told in its own seconds."""
    (tmp_path / "patient.py").write_text(_PATIENT, encoding="utf-8")
    command = Command((sys.executable, str(tmp_path / "patient.py")))
    met = situation(EVOLINK, "task never finishes")
    (run,) = run_commands(command, providers()[EVOLINK], [(met, Pace(1, 20, 60))])
    (only,) = run.journal.jobs
    assert (only.ended, only.stopped) == ("raised", "")
    assert "not ended after 300 s" in only.said
    assert 280 < run.journal.seconds(only.started_ms, only.ended_ms) < 500
    assert violated(run) == set()
    found = {each.clause.id: each.judgement for each in judge_journal(run.journal)}
    assert (found["outcome.ends"], found["retry.not-at-once"]) == ("kept", "not exercised")


# -- the runner is stopped --------------------------------------------------------------------------

RUNNER = """
import sys
from contracts.client.subprocess import Command, run_command
from contracts.client.situations import Situation
from mockserver.spec.catalog import load_providers
provider = next(each for each in load_providers() if each.name == "evolink")
command = Command(("sh", "-c", sys.argv[2] + "echo $$ >" + sys.argv[1] + "; while :; do sleep 1000; done"))
run_command(command, provider, Situation("evolink"), speed=600, time_limit_s=100)
"""


@needs_proc
@pytest.mark.parametrize(("number", "first"), [(signal.SIGINT, "trap '' TERM;"), (signal.SIGKILL, "")])
def test_nothing_is_left_when_the_runner_is_stopped(tmp_path: Path, number: signal.Signals, first: str) -> None:
    """Neither Ctrl-C nor a KILL of the runner leaves the command behind."""
    told = tmp_path / "pid"
    os.mkfifo(told)
    with subprocess.Popen([sys.executable, "-c", RUNNER, str(told), first], stderr=subprocess.DEVNULL) as runner:
        pid = int(told.read_text())
        watch = os.pidfd_open(pid)
        try:
            runner.send_signal(number)
            ready, _, _ = select.select([watch], [], [], 20)
            assert ready
        finally:
            os.close(watch)
