"""The command line: serve, exec, env, demo, providers, faults, scenarios, init, check, ca; tasks, requests, advance.

Exit codes: 0 success, 1 errors or failures found, 2 wrong usage or configuration.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mockserver import __version__
from mockserver.cli.control import advance, requests, tasks
from mockserver.cli.env import env
from mockserver.cli.exec import exec_command
from mockserver.cli.init import init
from mockserver.cli.options import (
    ca_dir_option,
    check_environment,
    fail,
    ignore_kubernetes,
    option,
    run,
    settings_of,
    what_is_served,
)
from mockserver.cli.record import record
from mockserver.cli.signals import ENDING, on_signal
from mockserver.settings import DEFAULT_PORT, ConfigError, Settings
from mockserver.spec.document import SpecError, SpecIssue

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from mockserver.provider import Provider


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mockserver")
def main() -> None:
    """Mock asynchronous generative-video APIs, offline."""
    ignore_kubernetes()


main.add_command(exec_command)
main.add_command(env)
main.add_command(record)
main.add_command(init)
for _command in (tasks, requests, advance):
    main.add_command(_command)


@main.command()
@option("--host", help="Address to listen on (default 127.0.0.1).")
@option("--port", type=int, help=f"Port to listen on; 0 for any free port (default {DEFAULT_PORT}).")
@what_is_served
@option("--public-url", metavar="URL", help="URL that clients use, for links in responses.")
@option("--trust-forwarded", is_flag=True, help="Take the client's address from X-Forwarded-Proto and -Host.")
@option("--watch", is_flag=True, help="Reload the scenario file when it changes.")
@option("--drain-s", type=float, help="Seconds that answers under way have when the server is stopped (default 5).")
@option("--admin-token", help="Token of the control plane (default: random, if one is required).")
@option("--log-level", help="debug, info (requests), warning (failures) or error (default info).")
@option("--log-format", help="text or json (default text).")
@option("--quiet", is_flag=True, help="Print errors only, and no banner.")
def serve(config: str | None, **given: Any) -> None:
    """Serve the providers until Ctrl-C or SIGTERM."""
    gc.disable()  # while loading: nothing becomes garbage
    from mockserver.edge.build import providers_of  # noqa: PLC0415 - `--help` need not load a server

    try:
        check_environment()
        settings = settings_of(config, given)
        providers = providers_of(settings)
    except (ConfigError, SpecError) as error:
        fail(error)
    sys.exit(run(_serve(settings, providers)))


async def _serve(settings: Settings, providers: list[Provider]) -> int:
    from mockserver.cli.request_log import RequestLog  # noqa: PLC0415
    from mockserver.edge.server import PortInUseError, Server  # noqa: PLC0415
    from mockserver.terminal import banner, scenario_report  # noqa: PLC0415

    stop = asyncio.Event()
    for number in ENDING:
        on_signal(number, stop.set)
    try:
        server = await Server.start(settings, providers)
    except (ConfigError, SpecError) as error:
        click.echo(f"mockserver: {error}", err=True)
        return 2
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        taken = "; choose another --port, or 0 for any free port"
        fix = taken if isinstance(error, PortInUseError) else "; --host must be an address of this machine"
        problem = str(error.strerror or error).partition(" (while attempting")[0]
        click.echo(f"mockserver: cannot listen on {where}: {problem}{fix}", err=True)
        return 2
    if settings.journal is not None and hasattr(signal, "SIGHUP"):  # sent by programs that rotate files
        on_signal(signal.SIGHUP, server.runtime.journal.reopen)
    log = RequestLog(server)
    if not settings.quiet:
        log.say_listening(banner(server))
    # Freeze loaded objects out of garbage collection. Only tasks grow from here; neither they nor a world that is
    # dropped form cycles (tests/edge/test_memory.py), so the collector finds little and may run seldom.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()
    try:
        await log.follow_until(stop)
        record = server.runtime.scenario_record()
    finally:
        await server.close()
        log.close()
    if record is None:
        return 0
    click.echo(scenario_report(record))
    return 0 if all(each["kept"] for each in record["expect"]) else 1


@main.command()
@click.option("--seed", type=int, default=0, show_default=True, help="Random seed.")
def demo(seed: int) -> None:
    """Run a job for each document, with callbacks.

    Each goes from submit to downloaded file.
    """
    from mockserver.demo import run_demo  # noqa: PLC0415 - only this command needs it

    sys.exit(run(_until_a_signal(run_demo(replace(Settings(), port=0, seed=seed, speed=60)))))


async def _until_a_signal(work: Coroutine[Any, Any, int]) -> int:
    """Run a coroutine; a signal cancels it."""
    task = asyncio.ensure_future(work)
    for number in ENDING:
        on_signal(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return 1


@main.command()
@click.option("--spec", multiple=True, metavar="FILE", help="List this spec as well.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def providers(spec: tuple[str, ...], as_json: bool) -> None:
    """List the providers.

    Shows models, operations, plans, dialects, test keys and test values.
    """
    from mockserver.faults.directives import test_values  # noqa: PLC0415
    from mockserver.spec.catalog import load_providers  # noqa: PLC0415

    try:
        found = load_providers(spec)
    except SpecError as error:
        fail(error)
    if not as_json:
        from mockserver.terminal import provider_tables  # noqa: PLC0415

        provider_tables(found, test_values())
        return
    records = [
        {
            "name": provider.name,
            "title": provider.title,
            "hosts": provider.hosts,
            "documents": provider.documents,
            "models": list(provider.models),
            "default_plan": provider.default_plan,
            "plans": {name: plan.summary for name, plan in provider.plans.items()},
            "dialects": {each.name: each.summary for each in provider.dialects},
            "operations": [f"{each.method} {each.path}" for each in provider.operations.values()],
        }
        for provider in found
    ]
    click.echo(json.dumps(records, indent=2))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def faults(as_json: bool) -> None:
    """List all faults.

    Shows the effect of each, how a client notices it, and its parameters.
    """
    from mockserver.faults import all_faults, described  # noqa: PLC0415

    found = [described(kind) for kind in all_faults().values()]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    from mockserver.terminal import fault_tables  # noqa: PLC0415

    fault_tables(found)


@main.command()
@click.argument("files", nargs=-1, type=click.Path(dir_okay=False))
def scenarios(files: tuple[str, ...]) -> None:
    """List the built-in scenarios, or check FILES.

    Each error has file, line and fix.
    """
    from mockserver.scenarios.read import gallery, read  # noqa: PLC0415

    if not files:
        for name, path in gallery().items():
            found = read(path)
            click.echo(f"{name}\n  {found.summary}\n  A good client: {found.good_client}\n")
        return
    if not any(Path(file).exists() for file in files):
        raise click.UsageError(f"{files[0]}: file not found")
    from mockserver.edge.active_scenario import file_issues  # noqa: PLC0415

    _report_issues([issue for file in files for issue in file_issues(Path(file))], len(files), "scenario")


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
def check(files: tuple[str, ...]) -> None:
    """Check spec FILES.

    Each error has file, line and fix.
    """
    from mockserver.spec.check import check_files  # noqa: PLC0415

    _report_issues(check_files([Path(file) for file in files]), len(files), "spec")


@main.command()
@ca_dir_option()
@click.option("--bundle", is_flag=True, help="Print the path of a file that holds the system's CAs as well.")
def ca(ca_dir: str | None, bundle: bool) -> None:
    """Print the path of the CA file.

    It signs the server's certificates. It is made if there is none; nothing is installed: give the file to a
    client, as in `curl --cacert "$(mockserver ca)"`.
    """
    from mockserver.certificates import Authority  # noqa: PLC0415 - only this command needs it

    authority = Authority(None if ca_dir is None else Path(ca_dir))
    try:
        click.echo(authority.bundle if bundle else authority.certificate)
    except OSError as error:
        fail(error)


def _report_issues(issues: Sequence[SpecIssue], files: int, noun: str) -> None:
    for issue in issues:
        click.echo(str(issue))
    errors = [issue for issue in issues if not issue.is_warning]
    if errors:
        click.echo(f"{len(errors)} error{'s' if len(errors) > 1 else ''}", err=True)
        sys.exit(1)
    click.echo(f"{files} {noun}{'s' if files > 1 else ''} checked: no errors")
