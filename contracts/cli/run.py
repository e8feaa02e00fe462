"""`contracts run`: a verdict on a client, by what it does in many situations."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from contracts.cli.outputs import FILE, check_writable, fail, output_options, report_verdicts, violated
from mockserver.spec.document import SpecError

DEFAULT_EXAMPLES = 100


@click.command()
@click.option("--provider", "name", required=True, help="Whose API it is a client of.")
@click.option("--client", help="A Python client: module:Name, or path/to/file.py:Name.")
@click.option("--command", help="A client in any language: a command that makes one video.")
@click.option("--spec", multiple=True, type=FILE, help="A spec of your own.")
@click.option("--dialect", multiple=True, help="A dialect of the provider's that its server is to speak.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Other situations.")
@click.option(
    "--max-examples",
    type=click.IntRange(min=0),
    default=DEFAULT_EXAMPLES,
    show_default=True,
    help="Situations to draw, after one of each kind; a command meets no others.",
)
@click.option("--time-limit", type=click.FloatRange(min=1), help="Real seconds after which no more is begun.")
@click.option("--callbacks/--no-callbacks", default=None, help="Whether the client is to be called back.")
@click.option(
    "--jobs", type=click.IntRange(1, 1000), default=1, show_default=True, help="Jobs at once, with --scenario."
)
@click.option("--scenario", help="One situation instead of many: a scenario of the gallery, or a file.")
@click.option("--speed", type=click.FloatRange(min=0.1), default=60.0, show_default=True, help="Of a command's server.")
@click.option(
    "--job-limit", type=click.FloatRange(min=1), default=60, show_default=True, help="Real seconds a command has."
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
def run(
    name: str,
    client: str | None,
    command: str | None,
    spec: tuple[Path, ...],
    dialect: tuple[str, ...],
    seed: int,
    max_examples: int,
    time_limit: float | None,
    callbacks: bool | None,
    jobs: int,
    scenario: str | None,
    speed: float,
    job_limit: float,
    directory: Path,
    json_file: Path | None,
    junit_file: Path | None,
    html_file: Path | None,
) -> None:
    """Judge a client: let it meet what the API may do to it, and see which of the API's rules it keeps.

    A Python client lives in virtual time, and its waits cost nothing; a command waits really. Exit codes: 0 nothing
    violated, 1 violations, 2 wrong usage.
    """
    if (client is None) == (command is None):
        fail("name the client: --client module:Name for Python, --command '...' for any language")
    try:
        from contracts.client.campaign import Options, run_campaign  # noqa: PLC0415
        from contracts.client.subject import SubjectError  # noqa: PLC0415
        from contracts.client.subprocess import CommandError  # noqa: PLC0415 - hypothesis takes a while to load
    except ModuleNotFoundError as error:
        fail(f"this needs {error.name}, which is not installed: pip install 'mockserver-genvideo[contracts]'")
        return
    how = Options(
        provider=name,
        client=client,
        command=command,
        spec=spec,
        dialects=dialect,
        seed=seed,
        most_examples=max_examples,
        time_limit_s=time_limit,
        callbacks=callbacks,
        speed=speed,
        job_limit_s=job_limit,
        scenario=scenario,
        jobs=jobs,
        directory=directory,
    )
    try:
        found = run_campaign(how)
    except (SpecError, SubjectError, CommandError) as error:
        fail(str(error))
        return
    report_verdicts(
        found.verdicts,
        found.search.journals,
        f"{client or command} against {found.search.provider.title}",
        json_file,
        junit_file,
        html_file,
    )
    for line in found.remarks:
        click.echo(line)
    met = len(found.search.met)
    click.echo(f"{met} situation{'s' if met != 1 else ''} met, seed {seed}")
    if violated(found.verdicts):
        sys.exit(1)
