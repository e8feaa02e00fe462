"""`contracts run`: judge a client in many situations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from contracts.cli.acceptance import Acceptance, acceptance_options
from contracts.cli.options import dialect_option, number, spec_option
from contracts.cli.outputs import Files, check_writable, fail, output_options, progress_bar, show
from contracts.judge import untested_core
from contracts.report import number_of
from mockserver import DISTRIBUTION
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
    "--time-scale",
    click.FloatRange(min=1, max=100),
    "With --command: how many times as fast the client's own time runs; default: where it is patient, if it follows.",
)
@number(
    "--job-limit job_limit_s",
    click.FloatRange(min=1),
    "With --command: real seconds after which a job is stopped.",
    default=60,
)
@click.option(
    "--isolate",
    is_flag=True,
    help="With --command: let it reach nothing but the mock, even where it ignores its environment (Linux).",
)
@click.option("--callback-path", default="/callback", show_default=True, help="The path of the callback URL.")
@click.option(
    "--violations",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("contract-violations"),
    callback=check_writable,
    show_default=True,
    help="Folder for the smallest situation of each violation, as a scenario.",
)
@acceptance_options
@output_options
def run(files: Files, accept: Acceptance, **options: Any) -> None:
    """Judge a client: run it against about 200 failure scenarios.

    A Python client runs in virtual time, without real waits; a command runs in real time. Exit codes: 0 no
    violations, 1 violations, 2 wrong usage, 3 nothing is proved (the notes say why).
    """
    if options["client"] is not None and options["command"] is not None:
        fail("give --client or --command, not both")
    if options["client"] is None and options["command"] is None:
        fail("specify the client: --client module:Name for Python, --command '...' for any language")
    if options["isolate"] and options["command"] is None:
        fail("--isolate is for --command: a Python client runs in this process")
    try:
        from contracts.client.campaign import Options, run_campaign  # noqa: PLC0415 - hypothesis loads slowly
        from contracts.client.subject import SubjectError  # noqa: PLC0415
        from contracts.client.subprocess import CommandError  # noqa: PLC0415
    except ModuleNotFoundError as error:
        fail(f"this needs {error.name}, which is not installed: pip install '{DISTRIBUTION}[contracts]'")
    try:
        result = run_campaign(Options(**options), progress_bar)
    except (SpecError, SubjectError, CommandError) as error:
        fail(str(error))
    verdicts = accept.remaining(result.verdicts)
    show(verdicts, github=files.github)
    title = f"{options['client'] or options['command']} against {result.search.provider.title}"
    files.write(verdicts, result.search.journals, title, result.situations)
    for line in result.remarks:
        click.echo(line)
    for line in result.output:
        click.echo(line)
    met, left_out = result.situations.situations, result.situations.left_out
    more = f", {len(left_out)} left out" if left_out else ""
    click.echo(f"{number_of(len(met), 'situation')} tested{more}, seed {options['seed']}")
    untested = untested_core(result.verdicts, faultless=options["scenario"] is None)
    for verdict in untested:
        why = f": {verdict.reason}" if verdict.reason else ""
        click.echo(f"nothing is proved: {verdict.clause.id} was not tested{why}")
    if accept.failed(verdicts):
        sys.exit(1)
    if untested or not result.conclusive:
        click.echo("nothing is proved: see the notes above (exit code 3)")
        sys.exit(3)
