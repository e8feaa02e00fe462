"""`mockserver record`: a client's requests go on to the real provider, and are written down."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from mockserver.cli.options import allow_host_option, ca_dir_option, check_environment, fail, run, settings_of
from mockserver.cli.signals import ENDING, on_signal
from mockserver.settings import ConfigError
from mockserver.spec.document import SpecError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mockserver.edge.recorder import Recorder
    from mockserver.edge.server import Server
    from mockserver.launch.environment import ClientFiles
    from mockserver.launch.process import Signals
    from mockserver.provider import Provider
    from mockserver.settings import Settings

_JOURNAL = "recording.ndjson"


@click.command("record", context_settings={"allow_interspersed_args": False})
@click.option("--provider", "name", required=True, metavar="NAME", help="The provider whose API is recorded.")
@click.option("--upstream", metavar="URL", help="Where requests go (default: the provider's own host).")
@click.option(
    "--journal",
    type=click.Path(dir_okay=False),
    default=_JOURNAL,
    show_default=True,
    metavar="FILE",
    help="The journal; it is appended to.",
)
@click.option(
    "--max-submits", type=click.IntRange(min=0), default=3, show_default=True, help="Submits to send at most."
)
@click.option("--callback-url", metavar="URL", help="This server, as the provider reaches it; for callbacks.")
@click.option("--spec", multiple=True, metavar="FILE", help="The provider's spec, if it is one of your own.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on (default: a free one).")
@click.option("--yes", is_flag=True, help="Do not ask before requests are sent that cost money.")
@allow_host_option()
@ca_dir_option()
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def record(
    name: str,
    upstream: str | None,
    journal: str,
    max_submits: int,
    callback_url: str | None,
    spec: tuple[str, ...],
    port: int,
    yes: bool,
    allow_host: tuple[str, ...],
    ca_dir: str | None,
    command: tuple[str, ...],
) -> None:
    """Record the real API: requests of a client go on to it, and into a journal.

    The client reaches this server like the mock, as a COMMAND in the environment of `exec`, or by the URL that is
    printed. Keys are redacted in the journal; result files are measured, not kept. `contracts drift` compares the
    journal with the spec, and `serve --replay` answers as recorded.
    """
    from mockserver.certificates import Authority  # noqa: PLC0415 - `--help` need not load a server
    from mockserver.edge.build import providers_of  # noqa: PLC0415
    from mockserver.edge.recorder import Recorder  # noqa: PLC0415
    from mockserver.launch.environment import ClientFiles  # noqa: PLC0415
    from mockserver.launch.process import Signals, start_problem  # noqa: PLC0415

    for flag, url in (("--upstream", upstream), ("--callback-url", callback_url)):
        if url is not None:
            _check_url(flag, url)
    if command and (problem := start_problem(command, os.environ.get("PATH"))) is not None:
        fail(problem.problem, problem.code)
    try:
        check_environment()
        settings = settings_of(None, {"port": port, "ca_dir": ca_dir, "spec": spec, "allow_host": allow_host})
        served = providers_of(settings)
        providers = [each for each in served if each.name == name]
        if not providers:
            known = ", ".join(each.name for each in served)
            fail(f"there is no provider {name!r}; there are {known}")
        if upstream is None and not providers[0].hosts:
            fail(f"the spec of {name} names no host: --upstream says where its requests go")
        host = urlsplit(upstream).netloc if upstream is not None else providers[0].hosts[0]
        _ask(host, max_submits, yes=yes)
        signals = Signals() if command else None
        files = ClientFiles.of(Authority(None if ca_dir is None else Path(ca_dir)))
    except (ConfigError, SpecError, OSError) as error:
        fail(error)
    recorder = Recorder(max_submits, upstream, callback_url)
    if signals is not None:
        signals.start()
    sys.exit(run(_record(replace(settings, journal=journal), providers, recorder, files, command, signals)))


def _check_url(flag: str, url: str) -> None:
    """End where a URL is none, or holds more than a host and a path; a password in it is not repeated."""
    from mockserver.edge.hosts import host_port_of, without_user  # noqa: PLC0415

    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    shown = without_user(url)
    if parts.scheme not in ("http", "https") or host_port_of(parts.netloc.rpartition("@")[2]) is None:
        fail(f"{flag} must begin with http:// or https:// and a host; got {shown!r}")
    if "@" in parts.netloc or "?" in url or "#" in url:
        fail(f"{flag} must be a host and a path, without a user, a query or a fragment; got {shown!r}")


def _ask(host: str, most_submits: int, *, yes: bool) -> None:
    """Ask once whether requests may be sent that cost money."""
    if yes:
        return
    if not sys.stdin.isatty():
        fail(f"this sends real requests to {host}, which may cost money: confirm with --yes")
    question = f"This sends real requests to {host}, at most {most_submits} submits; they may cost money. Continue?"
    if not click.confirm(question, err=True):
        fail("nothing was sent", 1)


async def _record(
    settings: Settings,
    providers: Sequence[Provider],
    recorder: Recorder,
    files: ClientFiles,
    command: Sequence[str],
    signals: Signals | None,
) -> int:
    from mockserver.edge.server import Server  # noqa: PLC0415
    from mockserver.launch.environment import client_environment  # noqa: PLC0415
    from mockserver.launch.process import run_command  # noqa: PLC0415

    try:
        server = await Server.start(settings, providers, recorder=recorder)
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        click.echo(f"mockserver: {problem}", err=True)
        return 2
    code = 0
    try:
        if signals is not None:
            own = client_environment(server.root_url, files, {}, os.environ)  # its keys are its own, and real
            ending = await run_command(command, {**os.environ, **own}, signals)
            if ending.problem:
                click.echo(f"mockserver: {ending.problem}", err=True)
            code = ending.code
        else:
            await _until_signalled(
                f"recording {server.base_url(providers[0].name)} to {settings.journal}; Ctrl-C ends it"
            )
    finally:
        await server.close()
    click.echo("mockserver: " + "\n".join(_told(server, recorder, str(settings.journal))), err=True)
    return code or int(server.runtime.journal.lost_bytes > 0)


async def _until_signalled(line: str) -> None:
    """Print a line; wait for a signal, which may come at once."""
    stop = asyncio.Event()
    for number in ENDING:
        on_signal(number, stop.set)
    click.echo(line)
    await stop.wait()


def _told(server: Server, recorder: Recorder, journal: str) -> list[str]:
    """Say what was recorded, and what can be done with it."""
    counted = (recorder.exchanges, "exchange"), (recorder.submits, "submit"), (recorder.callbacks, "callback")
    exchanges, submits, callbacks = (f"{number} {noun}{'' if number == 1 else 's'}" for number, noun in counted)
    lost = server.runtime.journal.lost_bytes
    where = f"not all in {journal}: {lost} bytes could not be written" if lost else f"in {journal}"
    lines = [f"{exchanges} ({submits}) and {callbacks} are {where}"]
    if recorder.refused:
        lines.append(f"  not sent: {recorder.refused} beyond --max-submits {recorder.most_submits}")
    if recorder.unrecorded:
        lines.append(f"  without callbacks: {recorder.unrecorded} submits; --callback-url gives them an address here")
    if server.kept_from:
        lines.append(f"  kept from: {', '.join(each.host for each in server.kept_from)}")
    lines.append(f"  contracts drift {journal}; mockserver serve --replay {journal}")
    return lines
