"""`contracts check`: judge recorded traffic."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from contracts.cli.acceptance import Acceptance, acceptance_options
from contracts.cli.options import spec_option
from contracts.cli.outputs import FILE, Files, fail, known_provider, output_options, show
from contracts.journal import JournalError, read
from contracts.judge import judge_journal, ranked
from contracts.rules import documented_rules, rules_of
from mockserver.spec.catalog import load_providers
from mockserver.spec.document import SpecError

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("recorded", metavar="FILES...", nargs=-1, required=True, type=FILE)
@click.option("--provider", help="Judge only the traffic with this provider.")
@spec_option("spec")
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    help="The value of `mockserver serve --speed`; default: read from the journal.",
)
@acceptance_options
@output_options
def check(
    recorded: tuple[Path, ...],
    provider: str | None,
    spec: tuple[Path, ...],
    speed: float | None,
    files: Files,
    accept: Acceptance,
) -> None:
    """Judge recorded traffic: journals (NDJSON) of `mockserver serve --journal`, or HAR files."""
    try:
        providers = load_providers(spec)
        rules = [*documented_rules(), *rules_of(spec)]
        if provider is not None:
            known_provider(provider, providers)
        journals = [each for file in recorded for each in read(file, providers, provider)]
        journals = [each if speed is None else replace(each, speed=speed) for each in journals]
    except (JournalError, SpecError) as error:
        fail(str(error))
    if not journals:
        fail("no traffic with a known provider: it is empty, or of a provider that needs --spec")
    verdicts = ranked(verdict for journal in journals for verdict in judge_journal(journal, rules=rules))
    verdicts = accept.remaining(verdicts)
    show(verdicts, github=files.github)
    files.write(verdicts, journals, ", ".join(file.name for file in recorded))
    for fast in sorted({each.speed for each in journals if each.speed != 1}):
        click.echo(f"note: the server's clock ran {fast:g} times as fast; waits are given in client seconds")
    if accept.failed(verdicts):
        sys.exit(1)
