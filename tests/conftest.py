"""What the whole suite shares: plugins, the order of the tests, Hypothesis without chance, what processes inherit."""

from __future__ import annotations

import gc
import os
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from mockserver.edge import server
from mockserver.media.cache import MediaCache

if TYPE_CHECKING:
    from collections.abc import Iterator

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

# No test writes the user's cache; the CA is made once for all.
os.environ["XDG_CACHE_HOME"] = str(Path(__file__).parent.parent / ".pytest_cache" / "cache")

# Many tests start Python: Hypothesis reads the project's constants once, not in each process.
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(Path(__file__).parent.parent / ".hypothesis"))


@pytest.fixture(scope="session", autouse=True)
def _one_media_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let every server keep its result files in the same folder, where each is made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "MediaCache", partial(MediaCache, tmp_path_factory.mktemp("media")))
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what takes long first, so that no core waits for a long test at the end."""
    items.sort(key=_about_s, reverse=True)


def _about_s(item: pytest.Item) -> float:
    """Say how long a test takes, roughly: `slow` may tell it, in seconds."""
    slow = item.get_closest_marker("slow")
    return 0 if slow is None else slow.kwargs.get("about_s", 1)


def pytest_configure(config: pytest.Config) -> None:
    """Draw half as many examples in the quick tests, where a test does not say how many."""
    if config.option.markexpr == "not slow":
        settings.load_profile("quick")


def pytest_collection_finish() -> None:
    """Take what was loaded so far out of the garbage collector's rounds, a sixth of the run's time otherwise."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
