"""Replays: the smallest situation of each violation as a scenario file, with the command that reproduces it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from glob import escape as glob_escape
from pathlib import Path
from shlex import join

from contracts.clause import Verdict
from contracts.client.search import Search
from contracts.client.subprocess import LONGEST_JOB_S, limit_in


@dataclass(frozen=True, slots=True)
class Replayed:
    """The run that is reproduced: its client, the options that change the API, and its seed."""

    provider: str
    client: str | None
    command: str | None
    options: tuple[str, ...]
    seed: int
    job_limit_s: float

    @property
    def words(self) -> list[str]:
        """The beginning of the command."""
        client = ["--client", self.client] if self.client is not None else ["--command", self.command or ""]
        return ["contracts", "run", "--provider", self.provider, *client, *self.options]


def write_replays(search: Search, verdicts: Sequence[Verdict], directory: Path, run: Replayed) -> list[Verdict]:
    """Write the replays of a run, and remove those of earlier runs of this client.

    Raises:
        OSError: a file cannot be written.
    """
    out = []
    prefix = f"{_slug(run.client or run.command or '')}-{run.provider}-"
    written: set[Path] = set()
    for verdict in verdicts:
        situation = search.smallest(verdict)
        if situation is None:
            out.append(verdict)
            continue
        path = directory / f"{prefix}seed{run.seed}-{verdict.clause.id}.yaml"
        more = ["--fail-on", "should"] if verdict.clause.severity == "should" else []
        more += ["--jobs", str(situation.jobs)] if situation.jobs > 1 else []
        more += ["--callbacks"] if situation.callbacks else []
        if run.command is not None:  # its waits are real, and the result depends on these
            scale = search.met[situation].journal.time_scale
            limit_s = max(
                limit_in(situation, search.provider, run.job_limit_s, verdict.speed), LONGEST_JOB_S if scale > 1 else 0
            )
            more += ["--speed", f"{verdict.speed:g}", "--job-limit", f"{limit_s:g}"]
            more += ["--time-scale", f"{scale:g}"] if scale > 1 else []
        replay = join([*run.words, "--scenario", str(path), *more])
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text(situation.yaml(f"{verdict.clause.id}: {verdict.clause.rule}\n{replay}"), encoding="utf-8")
        written.add(path)
        out.append(replace(verdict, replay=replay))
    _remove_old(directory, prefix, written)
    return out


def _slug(client: str) -> str:
    """Return a client's name as part of a file name: `clients.py:Mine` is `clients-Mine`."""
    words = re.sub(r"\.py\b", "", client).replace(":", " ").split()
    return re.sub(r"[^\w]+", "-", "-".join(word.rpartition("/")[2] for word in words)).strip("-")[:60] or "client"


def _remove_old(directory: Path, prefix: str, written: AbstractSet[Path]) -> None:
    """Remove the replays of this client's earlier runs, and the directory if it is empty then."""
    if not directory.is_dir():
        return
    for path in directory.glob(f"{glob_escape(prefix)}seed*.yaml"):
        if path not in written and _is_replay(path):
            path.unlink()
    if not any(directory.iterdir()):
        directory.rmdir()


def _is_replay(path: Path) -> bool:
    return "\n# contracts run --provider " in path.read_text(encoding="utf-8", errors="replace")[:2000]
