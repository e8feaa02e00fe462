"""Signals that end a command, or that it obeys; on every system."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

#: What ends a command: Ctrl-C, and where there is one, a hang-up of the terminal.
ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))


def on_signal(number: signal.Signals, action: Callable[[], object]) -> None:
    """Call a function in the running loop when a signal comes; Windows' loops cannot do that by themselves."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(number, action)
    except NotImplementedError:
        signal.signal(number, lambda _number, _frame: loop.call_soon_threadsafe(action))
