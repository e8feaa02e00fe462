"""schemathesis, all phases, every spec and the control plane, against a server on a real port: no failure.

Two checks cannot hold everywhere, and are told so, operation by operation, with the reason. All others hold.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mockserver.spec.vocabulary import builtin_specs
from mockserver.testing.given import GivenForProvider
from mockserver.testing.running import MockServer

if TYPE_CHECKING:
    from mockserver.testing.running import RunningServer

pytestmark = pytest.mark.slow(about_s=15)

SCHEMATHESIS = str(Path(sys.executable).parent / "schemathesis")
CONTROL_PLANE = Path(__file__).parent.parent.parent / "mockserver/edge/control-plane.yaml"
#: Of each operation, beside those of the coverage phase, which tries the bounds of every field.
EXAMPLES = 4

#: Any well-formed key opens an account of its own, so a made-up one is let in; where a document gives keys a
#: form (googlegeminiomni.com), the check holds and stays on.
ANY_KEY_IS_GOOD = {"crun", "evolink", "toapis"}

#: Operations that refuse some bodies which their schema lets through, since JSON Schema cannot say the rule.
REFUSES = {
    "crun": {
        # `ends` must be greater than `start`.
        "POST /api/v1/client/job/CreateTask": "422",
        "POST /api/v1/client/job/estimate-credits": "422",
    },
    # Names of further form fields that no multipart header can carry.
    "googlegeminiomni": {"POST /api/v1/upload": "400"},
    "toapis": {"POST /v1/chat/completions": "400"},  # the wrong endpoint for every video model
    "control plane": {
        "POST /clock": "400",  # an instant that has passed, or the 30th of February
        # Names of faults, parameters and scenarios are the catalogue's to know, not the schema's.
        "POST /faults": "400",
        "POST /scenarios": "400",
    },
}


def config(name: str) -> str:
    """Write schemathesis's configuration for one API."""
    lines = []
    for operation, status in REFUSES.get(name, {}).items():
        statuses = ["2xx", "401", "403", "404", "409", "429", "5xx", status]
        lines += [
            "[[operations]]",
            f'include-name = "{operation}"',
            "[operations.checks]",
            f"positive_data_acceptance.expected-statuses = {statuses!r}",
        ]
    return "\n".join(lines) + "\n"


def run(spec: Path, url: str, name: str, header: str | None, folder: Path) -> None:
    """Run schemathesis's whole set, repeatably; fail with its report."""
    file = folder / "schemathesis.toml"
    file.write_text(config(name), encoding="utf-8")
    command = [
        *(SCHEMATHESIS, "--config-file", str(file), "run", str(spec), "--url", url),
        *("--checks", "all", "--phases", "examples,coverage,fuzzing,stateful", "--mode", "all"),
        *(
            "--max-examples",
            str(EXAMPLES),
            "--generation-deterministic",
            "--no-color",
            "--suppress-health-check",
            "all",
        ),
        *(() if header is None else ("-H", header)),
        *(("--exclude-checks", "ignored_auth") if name in ANY_KEY_IS_GOOD else ()),
        *(("--exclude-path", "/events") if name == "control plane" else ()),  # a stream without an end
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert phase in done.stdout


def header_of(mock: RunningServer, provider: str) -> str:
    """Return the header that carries a key which works."""
    rule = mock.server.runtime.world.providers[provider].provider.key
    return f"{rule.header}: {'Bearer ' if rule.bearer else ''}{rule.example}"


@pytest.mark.parametrize("spec", builtin_specs(), ids=lambda path: path.stem)
def test_a_spec_and_the_server_agree(spec: Path, tmp_path: Path) -> None:
    """What a spec promises is what the server does: shapes, statuses, headers, refusals and links."""
    providers: dict[str, GivenForProvider] = {"googlegeminiomni": {"plan": "unlimited"}}
    lifted = tmp_path / "googlegeminiomni.yaml"
    text = next(path for path in builtin_specs() if path.stem == "googlegeminiomni").read_text(encoding="utf-8")
    # The rates of the documented plans are lower than what schemathesis sends; a plan without any lets it through.
    lifted.write_text(
        text.replace("    plans:\n", "    plans:\n      unlimited: {summary: For this test}\n", 1), encoding="utf-8"
    )
    with MockServer(specs=(lifted,), providers=providers) as mock:
        name = next(name for name in mock.server.runtime.world.providers if spec.stem.startswith(name))
        mock.account(name).available_credits = 1_000_000_000
        run(spec, mock.url(name), name, header_of(mock, name), tmp_path)
        assert mock.journal.count(kind="exchange") > 100
        assert not [record for record in mock.journal if record["response"]["status"] >= 500]


def test_the_control_plane_and_its_document_agree(tmp_path: Path) -> None:
    """The control plane does what its own OpenAPI document says."""
    with MockServer() as mock:
        run(CONTROL_PLANE, mock.admin_url, "control plane", None, tmp_path)
