"""What the whole suite shares: pytest's plugin for tests of plugins, Hypothesis without chance, bytecode, Ctrl-C."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    import pytest

pytest_plugins = ["pytester"]

settings.register_profile(
    "repeatable",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("quick", settings.get_profile("repeatable"), max_examples=50)
settings.load_profile("repeatable")

# Half of a run would be compiling where the environment lets Python keep no bytecode. The workers of pytest-xdist and
# the commands that tests start inherit these; nothing is written beside the sources.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(Path(__file__).parent.parent / ".pytest_cache" / "bytecode"))

# A shell starts its background jobs deaf to Ctrl-C, and commands that tests start and interrupt inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Draw half as many examples in the quick tests, where a test does not say how many."""
    if config.option.markexpr == "not slow":
        settings.load_profile("quick")


def pytest_collection_finish() -> None:
    """Take what was loaded so far out of the garbage collector's rounds, a sixth of the run's time otherwise."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
