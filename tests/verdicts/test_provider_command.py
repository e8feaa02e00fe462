"""`contracts provider` on the command line: exit codes, files, and one line for what was used wrongly."""

from __future__ import annotations

import json
import socket
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from support.engine import KILN

from contracts.cli import main
from mockserver.testing.running import MockServer

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

pytestmark = pytest.mark.slow

QUICK = ("--max-examples", "0")


def run(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["provider", *arguments])


def test_a_clean_server(tmp_path: Path) -> None:
    """Exit code 0, a count, what was spent, and both files."""
    verdicts, suite = tmp_path / "verdicts.json", tmp_path / "suite.xml"
    with MockServer() as mock:
        files = ("--json", str(verdicts), "--junit", str(suite))
        url = mock.url("evolink")
        result = run("--base-url", url, "--key", mock.key("evolink"), "--spend", "500", *QUICK, *files)
    assert result.exit_code == 0, result.output
    assert "0 violated" in result.output
    assert "spent, by the spec's prices" in result.output
    found = {each["clause"]: each for each in json.loads(verdicts.read_text(encoding="utf-8"))["verdicts"]}
    assert found["tasks.never-back"]["judgement"] == "kept"
    (source,) = found["tasks.never-back"]["sources"]
    assert source.startswith("evolink.task.statuses (Gemini Omni Flash Text-to-Video")
    assert len(ET.fromstring(suite.read_text(encoding="utf-8")).findall(".//testcase")) == len(found)


def test_violations() -> None:
    """Exit code 1, with what was seen and what was asked; the key is in no report."""
    with MockServer() as mock:
        mock.evolink.refuse(500, operation="getTask")
        url = mock.url("evolink")
        result = run("--base-url", url, "--key", "sk-evolink-very-secret", "--spend", "500", *QUICK)
    assert result.exit_code == 1, result.output
    assert "VIOLATED (must)" in result.output
    assert "seen: " in result.output
    assert "expected: " in result.output
    assert "very-secret" not in result.output


def test_a_spec_of_ones_own() -> None:
    """A file that leads one provider says whose API it is."""
    with MockServer(specs=(KILN,)) as mock:
        result = run("--base-url", mock.url("kiln"), "--key", mock.key("kiln"), "--spec", str(KILN), *QUICK)
    assert result.exit_code == 0, result.output


def test_wrong_use() -> None:
    """Exit code 2 and one line: no server, a refused key, an unknown API, no address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    closed = f"http://127.0.0.1:{port}/evolink"
    with MockServer() as mock:
        crun, gemini = mock.url("crun"), mock.url("googlegeminiomni")
        wrong = [
            (("--base-url", closed, "--key", "sk-any"), "cannot reach"),
            (("--base-url", gemini, "--key", "not-a-key"), "does not accept this key: 401"),
            (("--base-url", "http://127.0.0.1:9/elsewhere", "--key", "any"), "specify the provider with --provider"),
            (("--base-url", crun, "--key", "any", "--provider", "nobody"), "unknown provider 'nobody'"),
            (("--base-url", crun, "--key", "any", "--spec", "/no/such.yaml"), "cannot be read"),
            (("--base-url", crun, "--key", "any", "--clock-url", f"{crun}/clock"), "is not the clock of a mock server"),
            (("--base-url", "127.0.0.1:4010", "--key", "any"), "must start with http:"),
            (("--base-url", crun, "--key", "any", "--dialect", "dutch"), "dutch"),
        ]
        for arguments, words in wrong:
            result = run(*arguments, *QUICK)
            assert result.exit_code == 2, (arguments, result.output)
            lines = [line for line in result.output.splitlines() if not line.startswith("…")]
            assert len(lines) == 1, result.output
            assert words in lines[0]
            assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("dialect", ["always_200"])
def test_a_dialect(dialect: str) -> None:
    """A server in a dialect keeps the clauses."""
    with MockServer(providers={"crun": {"dialects": [dialect]}}) as mock:
        result = run(
            *("--base-url", mock.url("crun"), "--key", mock.key("crun"), "--spend", "900"),
            *("--dialect", dialect, *QUICK),
        )
    assert result.exit_code == 0, result.output
