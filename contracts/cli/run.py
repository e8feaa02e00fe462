"""`contracts run`: judge a client in many situations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from contracts import report
from contracts.cli.outputs import FILE, Files, check_writable, fail, output_options, progress_bar, violated
from mockserver.spec.document import SpecError


@click.command()
@click.option("--provider", required=True, help="The provider whose API the client uses.")
@click.option("--client", help="A Python client: module:Name, or path/to/file.py:Name.")
@click.option("--command", help="A client in any language: a command that makes one video.")
@click.option("--spec", multiple=True, type=FILE, help="A spec of your own.")
@click.option("--dialect", "dialects", multiple=True, help="An API variant (dialect) of the provider.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Random seed.")
@click.option(
    "--max-examples",
    "most_examples",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="Number of random situations, after one per condition; not for --command.",
)
@click.option(
    "--time-limit",
    "time_limit_s",
    type=click.FloatRange(min=1),
    help="Real seconds after which no situation is started.",
)
@click.option("--callbacks/--no-callbacks", default=None, help="Whether the client receives callbacks.")
@click.option(
    "--jobs", type=click.IntRange(1, 1000), default=1, show_default=True, help="Concurrent jobs, with --scenario."
)
@click.option("--scenario", help="A single situation: a built-in scenario, or a file.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0.1),
    default=60.0,
    show_default=True,
    help="With --command: speed of the server's clock.",
)
@click.option(
    "--job-limit",
    "job_limit_s",
    type=click.FloatRange(min=1),
    default=60,
    show_default=True,
    help="With --command: real seconds after which a job is stopped.",
)
@click.option(
    "--violations",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("contract-violations"),
    callback=check_writable,
    show_default=True,
    help="Where the smallest situation of each violation is written, as a scenario.",
)
@output_options
def run(files: Files, **options: Any) -> None:
    """Judge a client: run it against about 200 failure scenarios.

    A Python client runs in virtual time, and its waits cost nothing; a command's waits are real. Exit codes: 0 no
    violations, 1 violations, 2 wrong usage.
    """
    if (options["client"] is None) == (options["command"] is None):
        fail("name the client: --client module:Name for Python, --command '...' for any language")
    try:
        from contracts.client.campaign import Options, run_campaign  # noqa: PLC0415 - hypothesis loads slowly
        from contracts.client.subject import SubjectError  # noqa: PLC0415
        from contracts.client.subprocess import CommandError  # noqa: PLC0415
    except ModuleNotFoundError as error:
        fail(f"this needs {error.name}, which is not installed: pip install 'mockserver-genvideo[contracts]'")
    try:
        result = run_campaign(Options(**options), progress_bar)
    except (SpecError, SubjectError, CommandError) as error:
        fail(str(error))
    click.echo(report.text(result.verdicts))
    title = f"{options['client'] or options['command']} against {result.search.provider.title}"
    files.write(result.verdicts, result.search.journals, title)
    for line in result.remarks:
        click.echo(line)
    count = len(result.search.met)
    click.echo(f"{count} situation{'s' if count != 1 else ''} tested, seed {options['seed']}")
    if violated(result.verdicts):
        sys.exit(1)
