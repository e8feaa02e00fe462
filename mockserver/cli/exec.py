"""`mockserver exec`: run a command, as it is, against a mock of its own."""

from __future__ import annotations

import contextlib
import gc
import glob
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from mockserver.cli.options import check_environment, fail, run, settings_of, what_is_served
from mockserver.settings import ConfigError
from mockserver.spec.document import SpecError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mockserver.edge.server import Server
    from mockserver.launch.environment import ClientFiles
    from mockserver.launch.process import Ending, Signals
    from mockserver.provider import Provider
    from mockserver.settings import Settings

#: The command has ended: nobody waits for an answer.
_DRAIN_S = 0.2


def _complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a program's name, then the names of files."""
    if context.params.get("command") or "/" in incomplete:
        return [CompletionItem(incomplete, type="file")]
    places = map(Path, os.get_exec_path())
    names = {path.name for place in places if place.is_dir() for path in place.glob(f"{glob.escape(incomplete)}*")}
    return [CompletionItem(name) for name in sorted(names)]


@click.command("exec", context_settings={"allow_interspersed_args": False})
@click.option(
    "--isolate", is_flag=True, help="Let the command reach nothing but the mock, even where it ignores the environment."
)
@click.option("--port", type=int, help="Port to listen on (default: a free one).")
@what_is_served
@click.argument("command", nargs=-1, type=click.UNPROCESSED, shell_complete=_complete)
def exec_command(config: str | None, command: tuple[str, ...], port: int | None, isolate: bool, **given: Any) -> None:
    """Run a COMMAND against the mock, without a change to it.

    Its environment makes the mock its proxy, and lets it trust the mock's certificates: a hard-coded
    https://api.evolink.ai is answered by the mock, and no other host is reached. Signals and the exit code are passed
    on; at the end, standard error says what the command did. With --scenario, the exit code is 1 where a command
    that succeeds does not meet the expectations.

    --isolate is for clients that ignore such an environment; it needs Linux. In a network of its own, the command
    finds the mocked hosts under their names, and no other machine.
    """
    from mockserver.certificates import Authority  # noqa: PLC0415 - `--help` need not load a server
    from mockserver.edge.build import providers_of  # noqa: PLC0415
    from mockserver.launch.environment import ClientFiles  # noqa: PLC0415
    from mockserver.launch.isolation import check_settings, enter  # noqa: PLC0415
    from mockserver.launch.process import Signals, start_problem  # noqa: PLC0415

    if not hasattr(os, "fork"):
        fail("this system cannot do that: use `mockserver serve`, and the command in the environment of `env`")
    if not command:
        fail("no command: write it behind the options, as in `mockserver exec -- python client.py`")
    if (problem := start_problem(command, os.environ.get("PATH"))) is not None:
        fail(problem.problem, problem.code)
    gc.disable()  # while loading: nothing becomes garbage
    try:
        check_environment()
        settings = settings_of(config, {**given, "port": port})
        # Where a file says how `serve` is reached, that is for others than this command.
        settings = replace(settings, host="127.0.0.1", port=port or 0, public_url=None, drain_s=_DRAIN_S)
        providers = providers_of(settings)
        if isolate:
            check_settings(settings)
        signals = Signals()
        files = ClientFiles.of(Authority(None if settings.ca_dir is None else Path(settings.ca_dir)))
        if isolate:
            enter()
    except (ConfigError, SpecError, OSError) as error:
        fail(error)
    gc.freeze()
    gc.enable()
    signals.start()
    sys.exit(run(_exec(settings, providers, files, command, signals, isolate=isolate)))


async def _exec(
    settings: Settings,
    providers: Sequence[Provider],
    files: ClientFiles,
    command: Sequence[str],
    signals: Signals,
    *,
    isolate: bool,
) -> int:
    from mockserver.edge.server import Server  # noqa: PLC0415
    from mockserver.launch.environment import client_environment  # noqa: PLC0415
    from mockserver.launch.isolation import Isolation  # noqa: PLC0415
    from mockserver.launch.process import run_command  # noqa: PLC0415
    from mockserver.provider import keys_by_variable  # noqa: PLC0415

    async with contextlib.AsyncExitStack() as stack:
        try:
            server = await Server.start(settings, providers)
            stack.push_async_callback(server.close)
            if isolate:
                isolation = Isolation(server, files)
                stack.callback(isolation.close)
                await isolation.start()
        except (ConfigError, SpecError, OSError) as error:
            click.echo(f"mockserver: {error}", err=True)
            return 2
        own = client_environment(server.root_url, files, keys_by_variable(providers), os.environ)
        ending = await run_command(command, {**os.environ, **own}, signals)
        return report(server, ending, isolated=isolate)


def report(server: Server, ending: Ending, *, isolated: bool) -> int:
    """Say what the command did; return the exit code."""
    from mockserver.launch.summary import summary  # noqa: PLC0415
    from mockserver.terminal import scenario_report  # noqa: PLC0415

    if ending.problem:
        click.echo(f"mockserver: {ending.problem}", err=True)
        return ending.code
    click.echo("mockserver: " + "\n".join(summary(server, isolated=isolated)), err=True)
    if ending.left:
        click.echo(f"  left running, and killed: {', '.join(ending.left)}", err=True)
    record = server.runtime.scenario_record()
    if record is None:
        return ending.code
    click.echo(scenario_report(record), err=True)
    return ending.code or (0 if all(each["kept"] for each in record["expect"]) else 1)
