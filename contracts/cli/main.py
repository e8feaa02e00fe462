"""The command line: `contracts run|check|provider|list|coverage|kills`."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from contracts.clause import all_clauses
from contracts.cli.outputs import FILE, fail, output_options, progress_bar, report_verdicts, violated
from contracts.cli.provider import provider as judge_provider
from contracts.cli.run import run
from contracts.journal import JournalError, read
from contracts.judge import judge_journal, ranked
from contracts.rules import coverage as covered_rules
from contracts.rules import documented_rules, idle_patterns, rules_of
from mockserver.spec.catalog import load_providers
from mockserver.spec.document import SpecError

if TYPE_CHECKING:
    from pathlib import Path

    from contracts.mutation import Trial


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mockserver-genvideo", prog_name="contracts")
def main() -> None:
    """Judge the clients of asynchronous generative APIs by what the providers' documents ask.

    Exit codes: 0 nothing violated, 1 violations, 2 wrong usage or configuration.
    """


@main.command()
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option("--provider", help="Judge the traffic with this provider only.")
@click.option("--spec", multiple=True, type=FILE, help="A spec of your own.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    help="What `mockserver serve --speed` was: the client's own waits are so much shorter than the journal's. "
    "Where the journal tells, it need not be said.",
)
@output_options
def check(
    files: tuple[Path, ...],
    provider: str | None,
    spec: tuple[Path, ...],
    speed: float | None,
    json_file: Path | None,
    junit_file: Path | None,
    html_file: Path | None,
) -> None:
    """Judge traffic that was recorded: journals (NDJSON) of `mockserver serve --journal`, or HAR files."""
    try:
        providers = load_providers(spec)
        rules = [*documented_rules(), *rules_of(spec)]
        known = [each.name for each in providers]
        if provider is not None and provider not in known:
            fail(f"there is no provider {provider!r}; there are {', '.join(known)}")
        journals = [each for file in files for each in read(file, providers, provider)]
        journals = [each if speed is None else replace(each, speed=speed) for each in journals]
    except (JournalError, SpecError) as error:
        fail(str(error))
        return
    if not journals:
        fail("there is no traffic with a provider that is known; --spec names one of your own")
    verdicts = ranked(verdict for journal in journals for verdict in judge_journal(journal, rules=rules))
    title = ", ".join(file.name for file in files)
    report_verdicts(verdicts, journals, title, json_file, junit_file, html_file)
    for fast in sorted({each.speed for each in journals if each.speed != 1}):
        click.echo(f"note: the server's clock went {fast:g} times as fast; waits are told in client seconds")
    if violated(verdicts):
        sys.exit(1)


@main.command("list")
@click.option("--laws", is_flag=True, help="List what `contracts provider` holds servers against instead.")
@click.option("--provider", "name", help="Only what concerns this provider.")
def list_(*, laws: bool, name: str | None) -> None:
    """List the clauses: what each asks, how much it matters, and where that comes from."""
    from contracts.server.clauses import all_server_clauses  # noqa: PLC0415 - only here and in `contracts provider`

    providers = {each.name: each for each in load_providers()}
    if name is not None and name not in providers:
        fail(f"there is no provider {name!r}; there are {', '.join(providers)}")
    asked = "provider" if laws else "client"
    rules = [rule for rule in documented_rules() if rule.asks == asked and name in (None, rule.provider)]
    by_id = {rule.id: rule for rule in rules}
    for clause in all_server_clauses() if laws else all_clauses():
        covered = clause.covered(by_id)
        if name is not None and not clause.concerns(providers[name], covered):
            continue
        click.echo(f"{clause.id}  ({clause.severity})\n  {clause.rule}")
        sources = [f"  {rule}: {by_id[rule].source}" for rule in covered]
        if clause.general:
            sources.append("  everywhere: what every asynchronous API asks")
        click.echo("\n".join(sources) + "\n")


@main.command()
@click.option("--all", "show_all", is_flag=True, help="Show every rule, not only the holes.")
def coverage(*, show_all: bool) -> None:
    """See that every rule of the documents has a clause, or a reason why no journal can show it."""
    found = covered_rules(documented_rules())
    holes = [each for each in found if not each.clauses and each.reason is None]
    for each in found if show_all else holes:
        click.echo(f"{each.rule.id}: {', '.join(each.clauses) or each.reason or 'NOTHING'}")
    idle = idle_patterns(documented_rules())
    for pattern in idle:
        click.echo(f"no rule is called {pattern}, though a clause or a reason says so")
    judged_rules = sum(bool(each.clauses) for each in found)
    click.echo(
        f"{len(found)} rules: {judged_rules} judged by {len(all_clauses())} clauses, "
        f"{len(found) - judged_rules - len(holes)} with a reason, {len(holes)} with neither"
    )
    if holes or idle:
        sys.exit(1)


@main.command()
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Other situations.")
@click.option(
    "--max-examples", type=click.IntRange(min=0), default=10, show_default=True, help="Drawn for each client."
)
@click.option("--workers", type=click.IntRange(1, 64), default=os.cpu_count() or 1, help="Processes at once.")
def kills(seed: int, max_examples: int, workers: int) -> None:
    """Try the clauses on clients that each break one: every clause must catch its own, and accuse nobody else."""
    from contracts.mutation import holes, planned, trials  # noqa: PLC0415 - only here is the whole menagerie needed

    most = len(planned())
    with progress_bar("clients") as progress:
        found: list[Trial] = []

        def ended(trial: Trial) -> None:
            found.append(trial)
            progress(len(found), most)

        trials(seed, max_examples, workers, ended)
    for trial in found:
        who = f"the good client of {trial.provider}" if trial.mutant is None else f"{trial.provider}  {trial.mutant}"
        what = "accused of nothing" if trial.clause is None else f"caught by {trial.clause}"
        click.echo(f"{who}: {what}" if not trial.faults else f"{who}: WRONG")
        for fault in trial.faults:
            click.echo(f"    {fault}")
    gaps = list(holes())
    for clause in gaps:
        click.echo(f"no broken client breaks {clause}")
    wrong = sum(bool(trial.faults) for trial in found)
    broken = sum(trial.mutant is not None for trial in found)
    click.echo(
        f"{broken} broken clients and {len(found) - broken} good ones at {len({trial.provider for trial in found})} "
        f"providers, {len(all_clauses()) - len(gaps)} of {len(all_clauses())} clauses tried: {wrong} wrong"
    )
    if wrong or gaps:
        sys.exit(1)


main.add_command(run)
main.add_command(judge_provider)

if __name__ == "__main__":
    main()
