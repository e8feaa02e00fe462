"""`contracts run`: judge a client in many situations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from contracts import report
from contracts.cli.options import dialect_option, number, spec_option
from contracts.cli.outputs import Files, check_writable, fail, output_options, progress_bar, violated
from mockserver.spec.document import SpecError


@click.command()
@click.option("--provider", required=True, help="The provider whose API the client uses.")
@click.option("--client", help="A Python client: module:Name, or path/to/file.py:Name.")
@click.option("--command", help="A client in any language: a command that makes one video.")
@spec_option("spec")
@dialect_option("dialects")
@number("--seed", click.IntRange(0, 2**63 - 1), "Random seed.", default=0)
@number(
    "--max-examples most_examples",
    click.IntRange(min=0),
    "Number of random situations, after one per condition; not for --command.",
    default=100,
)
@number("--time-limit time_limit_s", click.FloatRange(min=1), "Real seconds after which no new situation starts.")
@click.option("--callbacks/--no-callbacks", default=None, help="Whether the client receives callbacks.")
@number("--jobs", click.IntRange(1, 1000), "Concurrent jobs, with --scenario.", default=1)
@click.option("--scenario", help="Run only this situation: a built-in scenario or a file.")
@number("--speed", click.FloatRange(min=0.1), "With --command: speed of the server's clock; default: by the client.")
@number(
    "--job-limit job_limit_s",
    click.FloatRange(min=1),
    "With --command: real seconds after which a job is stopped.",
    default=60,
)
@click.option(
    "--violations",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("contract-violations"),
    callback=check_writable,
    show_default=True,
    help="Folder for the smallest situation of each violation, as a scenario.",
)
@output_options
def run(files: Files, **options: Any) -> None:
    """Judge a client: run it against about 200 failure scenarios.

    A Python client runs in virtual time, without real waits; a command runs in real time. Exit codes: 0 no
    violations, 1 violations, 2 wrong usage.
    """
    if (options["client"] is None) == (options["command"] is None):
        fail("specify the client: --client module:Name for Python, --command '...' for any language")
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
