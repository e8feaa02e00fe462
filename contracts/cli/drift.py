"""`contracts drift`: hold recorded answers against the spec."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from contracts import report
from contracts.cli.options import dialect_option, spec_option
from contracts.cli.outputs import FILE, Files, fail, known_provider, output_options
from contracts.journal import Journal, JournalError, read
from contracts.report.plain import line
from contracts.report.wording import number_of
from mockserver.spec.document import SpecError

if TYPE_CHECKING:
    from pathlib import Path

    from contracts.drift import Differences

#: The exit code where there is nothing that the spec says anything about.
NOTHING_COMPARABLE = 3


@click.command()
@click.argument("recorded", metavar="FILES...", nargs=-1, required=True, type=FILE)
@click.option("--provider", help="Only the traffic with this provider.")
@spec_option("spec")
@dialect_option("dialect")
@output_options
def drift(
    recorded: tuple[Path, ...], provider: str | None, spec: tuple[Path, ...], dialect: tuple[str, ...], files: Files
) -> None:
    """Hold recorded answers against the spec: journals (NDJSON) or HAR files.

    Each difference is told once: what was seen and in which records, the line of the spec, and the edit that would
    close it. Records that a fault of the mock server has changed are left out. Exit codes: 0 no differences,
    1 differences, 2 wrong usage, 3 nothing to compare.
    """
    from contracts.drift import UnknownDialectError, differences, documented  # noqa: PLC0415 - loads the judge of servers

    try:
        specs = {each.provider.name: each for each in documented(spec, dialect)}
        providers = [each.provider for each in specs.values()]
        if provider is not None:
            known_provider(provider, providers)
        journals = [each for file in recorded for each in read(file, providers, provider)]
    except (JournalError, SpecError, UnknownDialectError) as error:
        fail(str(error))
    compared = [(journal, differences(journal, specs[journal.provider.name])) for journal in journals]
    for journal, found in compared:
        if found.tested:
            _show(journal, found)
    verdicts = [verdict for journal, found in compared for verdict in found.verdicts(journal.provider.name)]
    for each in report.github(verdicts) if files.github else ():
        click.echo(each)
    files.write(verdicts, journals, ", ".join(file.name for file in recorded))
    if not any(found.tested for _, found in compared):
        empty = "the recording is empty, or of a provider that needs --spec"
        why = "no answer that no fault has changed" if journals else f"no traffic with a known provider: {empty}"
        click.echo(f"contracts: nothing to compare: {why}", err=True)
        sys.exit(NOTHING_COMPARABLE)
    if any(each.judgement == "violated" for each in verdicts):
        sys.exit(1)


def _show(journal: Journal, found: Differences) -> None:
    """Print the differences of a journal, each in three lines, and how many there are."""
    name, all_ = journal.provider.name, found.all()
    for each in all_:
        click.echo(f"{name} {each.kind}: {line(f'{each.what}; {each.asks}')}")
        click.echo(f"  at    {line(each.where)}")
        click.echo(f"  edit  {line(each.fix, 1000)}\n")
    left_out = sum(1 for each in journal.records if each.faults)
    note = f"; {number_of(left_out, 'record')} changed by faults left out" if left_out else ""
    count = number_of(len(all_), "difference") if all_ else "no differences"
    click.echo(f"{name}: {count} in {number_of(len(journal.records), 'record')}{note}")
