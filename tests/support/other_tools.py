"""Installs the tools of others that read our specs, once for each set of versions, into the user's cache folder."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NODE_PACKAGES = (
    "@redocly/cli@2.77.0",
    "@stoplight/spectral-cli@6.16.3",
    "openapi-fetch@0.17.0",
    "openapi-typescript@7.13.0",
    "typescript@5.9.3",
)
PYTHON_PACKAGES = ("openapi-python-client==0.29.1", "httpx==0.28.1")
_PATIENCE_S = 400


def node_tools() -> Path:
    """Return the node_modules folder with the tools; skip the test where they cannot be had."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("npm and node are not installed")
    quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
    return _installed("node", NODE_PACKAGES, lambda _: [[npm, "install", *quiet, *NODE_PACKAGES]]) / "node_modules"


def python_tools() -> Path:
    """Return the bin folder of an environment with the tools; skip the test where they cannot be had."""

    def commands(folder: Path) -> list[list[str]]:
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        return [[sys.executable, "-m", "venv", str(folder)], [*pip, *PYTHON_PACKAGES]]

    return _installed("python", PYTHON_PACKAGES, commands) / "bin"


def _installed(kind: str, packages: tuple[str, ...], commands: Callable[[Path], list[list[str]]]) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mockserver-tests"
    digest = hashlib.blake2b(" ".join((sys.version, *packages)).encode(), digest_size=6).hexdigest()
    folder = cache / f"{kind}-{digest}"
    done = folder / "installed"
    folder.mkdir(parents=True, exist_ok=True)
    with (cache / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            if kind == "node":
                (folder / "package.json").write_text('{"private": true}', encoding="utf-8")
            for command in commands(folder):
                ran = run(command, folder, check=False)
                if ran.returncode:
                    pytest.skip(f"cannot install {', '.join(packages)}: {(ran.stderr or ran.stdout)[-300:]}")
            done.touch()
    return folder


def run(
    command: list[str], folder: Path, environment: Mapping[str, str] | None = None, *, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a tool in a folder; its output says what it did not like."""
    ran = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
        env={**os.environ, "REDOCLY_TELEMETRY": "off", **(environment or {})},
    )
    assert not check or ran.returncode == 0, f"{' '.join(command)[:200]}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
    return ran
