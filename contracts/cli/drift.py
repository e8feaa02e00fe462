"""`contracts drift`: hold recorded answers against the spec."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from contracts.cli.options import dialect_option, spec_option
from contracts.cli.outputs import FILE, Files, fail, known_provider, output_options, show
from contracts.journal import JournalError, read
from mockserver.spec.document import SpecError

if TYPE_CHECKING:
    from pathlib import Path


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

    Each difference is told once, with the records that show it, the line of the spec, and the edit that would close
    it. What a fault of the mock server has changed is no difference. Exit codes: 0 no differences, 1 differences,
    2 wrong usage.
    """
    from contracts.drift import UnknownDialectError, documented, drift  # noqa: PLC0415 - loads the judge of servers

    try:
        specs = {each.provider.name: each for each in documented(spec, dialect)}
        providers = [each.provider for each in specs.values()]
        if provider is not None:
            known_provider(provider, providers)
        journals = [each for file in recorded for each in read(file, providers, provider)]
    except (JournalError, SpecError, UnknownDialectError) as error:
        fail(str(error))
    if not journals:
        fail("no traffic with a known provider; add your own with --spec")
    verdicts = [verdict for journal in journals for verdict in drift(journal, specs[journal.provider.name])]
    show(verdicts, github=files.github)
    files.write(verdicts, journals, ", ".join(file.name for file in recorded))
    if any(each.judgement == "violated" for each in verdicts):
        sys.exit(1)
