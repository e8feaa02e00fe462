"""Let a command's time run faster, so that its patience can be seen to the end within minutes.

Its environment loads a few lines into the program that divide its waits, and let its clocks run as fast: into Python
and Node, and for `sleep` and `date +%s` in a shell. Other programs may divide their waits by CONTRACT_TIME_SCALE
themselves. Whether a client follows is measured, and not assumed (`pace.follows`).
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

_PRELOADS = Path(__file__).with_name("preloads")


def scaled_environment(environment: Mapping[str, str], scale: float, directory: Path) -> dict[str, str]:
    """Return an environment in which time runs `scale` times as fast; what is preloaded is written to a directory."""
    if scale == 1:
        return dict(environment)
    python, programs = directory / "python", directory / "bin"
    for each in (python, programs):
        each.mkdir()
    shutil.copy(_PRELOADS / "scaled_time.py", python / "sitecustomize.py")
    for name in ("sleep", "date"):
        path = programs / name
        shutil.copy(_PRELOADS / f"{name}.sh", path)
        path.chmod(0o755)
    node = f'--require "{_PRELOADS / "scaled_time.cjs"}"'
    return {
        **environment,
        "CONTRACT_TIME_SCALE": f"{scale:g}",
        "CONTRACT_TIME_START": f"{time.time():.3f}",
        "PYTHONPATH": _before(str(python), environment.get("PYTHONPATH"), os.pathsep),
        "PATH": _before(str(programs), environment.get("PATH", os.defpath), os.pathsep),
        "NODE_OPTIONS": _before(node, environment.get("NODE_OPTIONS"), " "),
    }


def _before(first: str, second: str | None, between: str) -> str:
    return f"{first}{between}{second}" if second else first
