"""Which violations count: `--allow`, `--baseline`, `--fail-on`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from contracts.clause import Severity, current_id
from contracts.cli.outputs import FILE, check_writable, fail
from contracts.judge import fails

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from contracts.clause import Verdict

F = TypeVar("F", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Which violations are accepted, and from which severity on the others fail."""

    allowed: frozenset[str]
    baseline: frozenset[tuple[str, str]]
    new_baseline: Path | None
    fail_on: Severity

    def accepts(self, verdict: Verdict) -> bool:
        """Tell whether a violation is accepted."""
        known = (verdict.provider, verdict.clause.id) in self.baseline
        return verdict.judgement == "violated" and (known or verdict.clause.id in self.allowed)

    def remaining(self, verdicts: Sequence[Verdict]) -> list[Verdict]:
        """Return the verdicts without accepted violations, which are named in a line; write the new baseline."""
        accepted = [each for each in verdicts if self.accepts(each)]
        if accepted:
            click.echo(f"accepted (--allow, --baseline): {', '.join(each.clause.id for each in accepted)}")
        violated = {(each.provider, each.clause.id) for each in verdicts if each.judgement == "violated"}
        tested = {(each.provider, each.clause.id) for each in verdicts if each.judgement == "kept"}
        for provider, clause in sorted(self.baseline & tested):
            click.echo(f"note: {provider} {clause} is kept now; remove it from the baseline")
        if self.new_baseline is not None:
            lines = [{"provider": provider, "clause": clause} for provider, clause in sorted(violated)]
            try:
                self.new_baseline.write_text(json.dumps({"violated": lines}, indent=2) + "\n", encoding="utf-8")
            except OSError as error:
                fail(f"cannot write {error.filename}: {error.strerror}")
            return [each for each in verdicts if each.judgement != "violated"]
        return [each for each in verdicts if each not in accepted]

    def failed(self, verdicts: Sequence[Verdict]) -> bool:
        """Tell whether a violation is severe enough to fail."""
        return any(fails(each, self.fail_on) for each in verdicts)


def acceptance_options(command: F) -> F:
    """Add the options that say which violations count to a command, which receives them as `accept`."""

    @wraps(command)
    def call(
        allow: tuple[str, ...] = (),
        baseline: Path | None = None,
        write_baseline: Path | None = None,
        fail_on: Severity = "must",
        **more: Any,
    ) -> Any:
        accept = Acceptance(frozenset(map(_known, allow)), _read(baseline), write_baseline, fail_on)
        return command(accept=accept, **more)

    for option in (
        click.option(
            "--fail-on",
            type=click.Choice(["must", "should"]),
            default="must",
            show_default=True,
            help="The least severity of a violation that gives exit code 1.",
        ),
        click.option(
            "--write-baseline", type=FILE, callback=check_writable, help="Write the violations of this run to a file."
        ),
        click.option("--baseline", type=FILE, help="Accept the violations in a file of --write-baseline."),
        click.option("--allow", multiple=True, metavar="CLAUSE", help="Accept violations of this clause."),
    ):
        call = option(call)
    return cast("F", call)


def _known(clause: str) -> str:
    from contracts.server.clauses import all_server_clauses  # noqa: PLC0415 - takes a while to load

    if clause in {each.id for each in all_server_clauses()}:
        return clause
    try:
        return current_id(clause)
    except ValueError as error:
        fail(f"--allow: {error}")


def _read(path: Path | None) -> frozenset[tuple[str, str]]:
    if path is None:
        return frozenset()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return frozenset((each["provider"], each["clause"]) for each in found["violated"])
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    except (ValueError, TypeError, KeyError):
        fail(f"{path}: not a file of --write-baseline")
