"""Options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from contracts.cli.outputs import FILE

if TYPE_CHECKING:
    from collections.abc import Callable


def spec_option(parameter: str) -> Callable[[Any], Any]:
    """Declare --spec."""
    return click.option("--spec", parameter, multiple=True, type=FILE, help="A spec of your own.")


def dialect_option(parameter: str) -> Callable[[Any], Any]:
    """Declare --dialect."""
    return click.option("--dialect", parameter, multiple=True, help="An API variant (dialect) of the provider.")


def number(
    names: str, kind: click.IntRange | click.FloatRange, text: str, *, default: float | None = None
) -> Callable[[Any], Any]:
    """Declare an option for a number: its flag and, after a space, the name of its parameter."""
    return click.option(*names.split(), type=kind, default=default, show_default=default is not None, help=text)
