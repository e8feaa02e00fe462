"""What the commands share: options that may also come from the environment, the settings made of them, a loop."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from mockserver.settings import FLAGS, ConfigError, Settings, checked, read_config

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_VARIABLES = "MOCKSERVER_"
#: What Kubernetes sets in every container beside a service that is called `mockserver`.
_OF_KUBERNETES = re.compile(r"MOCKSERVER_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_ADDRESS_OF_KUBERNETES = re.compile(r"(tcp|udp|sctp)://")
_KNOWN_VARIABLES: set[str] = set()


def fail(message: object, code: int = 2) -> NoReturn:
    """End with one line on standard error; the default exit code is that of wrong usage."""
    click.echo(f"mockserver: {message}", err=True)
    sys.exit(code)


def option(name: str, **how: Any) -> Callable[[Any], Any]:
    """Declare an option that may also come from the environment; it is None when absent."""
    variable = _VARIABLES + name.removeprefix("--").split("/")[0].upper().replace("-", "_")
    _KNOWN_VARIABLES.add(variable)
    return click.option(name, envvar=variable, show_envvar=True, default=None, **how)


def ca_dir_option() -> Callable[[Any], Any]:
    """Declare where the local CA is kept."""
    kind = click.Path(file_okay=False)
    return option("--ca-dir", type=kind, metavar="DIR", help="Where the local CA is kept; see `ca` (default: cache).")


def allow_host_option() -> Callable[[Any], Any]:
    """Declare which hosts clients may reach besides those that are served."""
    text = "Let clients of this proxy reach this host too."
    return option("--allow-host", multiple=True, metavar="NAME[:PORT]", help=text)


def what_is_served(command: Any) -> Any:
    """Add the options of what is served, and how it behaves."""
    for each in reversed(_WHAT_IS_SERVED):
        command = each(command)
    return command


_WHAT_IS_SERVED = (
    option("--config", type=click.Path(dir_okay=False), help="TOML file with any of these settings."),
    option("--only", metavar="NAME", help="Serve only this provider, at the root path."),
    option("--spec", multiple=True, metavar="FILE", help="Serve this spec, OpenAPI document or overlay as well."),
    option("--builtin/--no-builtin", help="Serve the built-in specs (default: yes)."),
    option("--seed", type=int, help="Random seed (default 0)."),
    option("--clock", help="real (default), manual (moves on command) or auto (moves to what a client polls for)."),
    option("--speed", type=float, help="Mock seconds per real second (default 1)."),
    option("--retry-after", help="Seconds that Retry-After counts: real or mock (default real)."),
    option("--credits", help="Credits of a new account: ample or documented (default ample)."),
    option("--any-model", is_flag=True, help="Serve every model name, as the nearest model of the provider."),
    option("--model-alias", multiple=True, metavar="NAME=MODEL", help="Serve the model NAME as MODEL."),
    option("--validation", help="Requests refused for their form: strict, lenient or off (default strict)."),
    option("--callback-targets", help="Allowed callback URLs: documented, loopback or any (default loopback)."),
    option(
        "--callback-workers", type=int, help="Concurrent callbacks to one receiver (default 32; 1 with a manual clock)."
    ),
    option("--callback-ca", type=click.Path(dir_okay=False), help="CA file to verify https receivers."),
    option("--callback-time", help="Times in signed callbacks: wall or mock (default wall; mock with a manual clock)."),
    option("--webhook-url", metavar="URL", help="Where callbacks go whose submits name no address."),
    option("--webhook-secret", metavar="SECRET", help="Secret that signs the callbacks of every account."),
    option("--dialect", multiple=True, metavar="PROVIDER=NAME", help="Enable a dialect; see `providers`."),
    option("--plan", multiple=True, metavar="PROVIDER=NAME", help="Plan of new accounts; see `providers`."),
    option("--journal", type=click.Path(dir_okay=False), metavar="FILE", help="Append the journal to an NDJSON file."),
    option(
        "--replay",
        type=click.Path(dir_okay=False),
        metavar="FILE",
        help="Answer submits like those in a journal or HAR file as recorded.",
    ),
    ca_dir_option(),
    allow_host_option(),
    option("--passthrough", is_flag=True, help="Let clients of this proxy reach every public host that is not mocked."),
    option("--scenario", metavar="NAME|FILE", help="Scenario to start with; see `scenarios`."),
)


def ignore_kubernetes() -> None:
    """Forget the variables that Kubernetes sets for a service of this name."""
    found = [
        name
        for name, value in os.environ.items()
        if _OF_KUBERNETES.fullmatch(name) or (name == "MOCKSERVER_PORT" and _ADDRESS_OF_KUBERNETES.match(value))
    ]
    for name in found:
        del os.environ[name]
    if found:
        click.echo(f"mockserver: ignored, as set by Kubernetes: {', '.join(sorted(found))}", err=True)


def check_environment() -> None:
    """Reject unknown environment variables."""
    for name in os.environ:
        if name.startswith(_VARIABLES) and name not in _KNOWN_VARIABLES:
            known = ", ".join(sorted(_KNOWN_VARIABLES))
            raise ConfigError(f"unknown environment variable {name}; known: {known}")


def settings_of(config: str | None, given: dict[str, Any]) -> Settings:
    """Merge the settings of the file, the environment and the flags.

    Raises:
        ConfigError: a setting is unknown or invalid.
    """
    values = {} if config is None else read_config(Path(config))
    dialects, plans = given.pop("dialect", ()), given.pop("plan", ())
    named = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in given.items()
        if value not in (None, ())
    }
    values.update(checked(named, [each.name for each in fields(Settings)], FLAGS))
    settings = Settings(**values)
    for flag, text in [*(("dialect", each) for each in dialects), *(("plan", each) for each in plans)]:
        name, _, value = text.partition("=")
        if not name or not value:
            raise ConfigError(f"--{flag} {text!r}: must be PROVIDER=NAME, such as crun=always_200")
        changes = {"plan": value} if flag == "plan" else {"dialects": (*settings.provider(name).dialects, value)}
        settings = settings.with_provider(name, **changes)
    return settings


def run(work: Coroutine[Any, Any, int]) -> int:
    """Run a coroutine, on uvloop if it is installed."""
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
