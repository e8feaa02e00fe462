"""`contracts provider`: judge a server."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any
from urllib.parse import urlsplit

import click

from contracts.cli.acceptance import Acceptance, acceptance_options
from contracts.cli.options import dialect_option, number, spec_option
from contracts.cli.outputs import Files, data_options, fail, show
from mockserver import DISTRIBUTION
from mockserver.spec.document import SpecError


@click.command()
@click.option("--base-url", required=True, help="The base URL of the API.")
@click.option("--key", required=True, envvar="CONTRACTS_KEY", help="An API key (or CONTRACTS_KEY).")
@click.option("--provider", "name", help="The provider; default: detected from the base URL.")
@spec_option("spec_files")
@dialect_option("dialect")
@number(
    "--spend spend_credits",
    click.FloatRange(min=0),
    "Credits that tasks may cost; with 0, no task is created.",
    default=0,
)
@click.option("--other-key", envvar="CONTRACTS_OTHER_KEY", help="A key of another account; it must see no tasks.")
@number("--time-limit time_limit_s", click.FloatRange(min=1), "Limit of the whole test, in seconds.", default=900)
@number("--timeout patience_s", click.FloatRange(min=0.1), "Limit for each answer, in seconds.", default=30)
@number(
    "--max-examples", click.IntRange(min=0), "Generated requests, valid and invalid, for each operation.", default=20
)
@click.option("--seed", type=int, default=0, show_default=True, help="Random seed.")
@click.option("--clock-url", help="URL of a mock server's clock; default: detected from the base URL.")
@click.option("--callback-host", help="Address to listen on for callbacks; 127.0.0.1 if the server runs here.")
@click.option(
    "--callback-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port to listen on for callbacks; 0 for any free port.",
)
@click.option("--callback-url", help="Public URL of that address, such as that of a tunnel.")
@click.option("--secret", envvar="CONTRACTS_SECRET", help="The webhook secret.")
@acceptance_options
@data_options
def provider(
    files: Files, accept: Acceptance, base_url: str, name: str | None, dialect: tuple[str, ...], **terms: Any
) -> None:
    """Judge a server of the API: this mock server, another mock, or the real provider.

    Without --spend, no task is created. Exit codes: 0 no violations, 1 violations, 2 wrong usage, such as an
    address that cannot be reached or a key that is not accepted.
    """
    from contracts.server.client import UnreachableError, UnsendableError  # noqa: PLC0415
    from contracts.server.judge import ClockError, Terms, judge  # noqa: PLC0415 - starts faster without
    from contracts.server.probe import KeyRefusedError  # noqa: PLC0415
    from contracts.server.spec import load  # noqa: PLC0415

    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        fail(f"--base-url {base_url}: must start with http:// or https://")
    if importlib.util.find_spec("schemathesis") is None:
        fail(f"this needs schemathesis, which is not installed: pip install '{DISTRIBUTION}[contracts]'")
    try:
        spec = load(name, terms["spec_files"], dialect, base_url)
        found = judge(spec, Terms(base_url, **terms), lambda text: click.echo(f"… {text}", err=True))
    except (SpecError, LookupError, ClockError, KeyRefusedError, UnreachableError, UnsendableError) as error:
        fail(str(error.args[0] if error.args else error))
    except OSError as error:
        fail(f"cannot listen for callbacks: {error.strerror or error}")
    verdicts = accept.remaining(found.verdicts)
    show(verdicts, github=files.github)
    for note in found.notes:
        click.echo(f"note: {note}")
    files.write(verdicts, (), base_url)
    if accept.failed(verdicts):
        sys.exit(1)
