"""The command line: `contracts check|list|coverage`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from contracts import report
from contracts.clause import all_clauses
from contracts.journal import JournalError, read
from contracts.judging import judged
from contracts.rules import coverage as covered_rules
from contracts.rules import documented_rules, idle_patterns, rules_of
from contracts.serving.command import provider as judge_provider
from mockserver.spec.catalog import load_providers
from mockserver.spec.document import SpecError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mockserver-genvideo", prog_name="contracts")
def main() -> None:
    """Judge the clients of asynchronous generative APIs by what the providers' documents ask.

    Exit codes: 0 nothing violated, 1 violations, 2 wrong usage or configuration.
    """


def _fail(message: str) -> None:
    click.echo(f"contracts: {message}", err=True)
    sys.exit(2)


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--provider", help="Judge the traffic with this provider only.")
@click.option("--spec", multiple=True, type=click.Path(dir_okay=False, path_type=Path), help="A spec of your own.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the verdicts as JSON."
)
@click.option("--junit", "junit_file", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML.")
def check(
    files: tuple[Path, ...],
    provider: str | None,
    spec: tuple[Path, ...],
    json_file: Path | None,
    junit_file: Path | None,
) -> None:
    """Judge traffic that was recorded: journals (NDJSON) of `mockserver serve --journal`, or HAR files."""
    try:
        providers = load_providers(spec)
        rules = [*documented_rules(), *rules_of(spec)]
        known = [each.name for each in providers]
        if provider is not None and provider not in known:
            _fail(f"there is no provider {provider!r}; there are {', '.join(known)}")
        journals = [journal for file in files for journal in read(file, providers, provider)]
    except (JournalError, SpecError) as error:
        _fail(str(error))
        return
    if not journals:
        _fail("there is no traffic with a provider that is known; --spec names one of your own")
    verdicts = [verdict for journal in journals for verdict in judged(journal, rules=rules)]
    click.echo(report.text(verdicts))
    try:
        if json_file is not None:
            json_file.write_text(json.dumps(report.as_json(verdicts), indent=2) + "\n", encoding="utf-8")
        if junit_file is not None:
            junit_file.write_text(report.junit(verdicts), encoding="utf-8")
    except OSError as error:
        _fail(f"{error.filename}: cannot be written: {error.strerror}")
    if any(each.judgement == "violated" for each in verdicts):
        sys.exit(1)


@main.command("list")
def list_() -> None:
    """List the clauses: what each asks, how much it matters, and where that comes from."""
    rules = [rule for rule in documented_rules() if rule.asks == "client"]
    by_id = {rule.id: rule for rule in rules}
    for clause in all_clauses():
        click.echo(f"{clause.id}  ({clause.severity})\n  {clause.rule}")
        sources = [f"  {rule}: {by_id[rule].source}" for rule in clause.covered(by_id)]
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


main.add_command(judge_provider)

if __name__ == "__main__":
    main()
