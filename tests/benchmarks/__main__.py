"""Run benchmarks: `python tests/benchmarks` all of them, `python tests/benchmarks NAME` one."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

NAMES = ("throughput", "tls", "scale", "start", "storm", "chaos", "rules", "lifecycles")


def main(arguments: list[str]) -> int:
    """Run what is named; return 1 if any stayed below its floor."""
    sys.path[0] = str(Path(__file__).parent.parent)
    chosen = arguments[:1] or NAMES
    if unknown := set(chosen) - set(NAMES):
        sys.stderr.write(f"there is no benchmark {unknown.pop()!r}; there are {', '.join(NAMES)}\n")
        return 2
    results: list[int] = [importlib.import_module(f"benchmarks.{name}").main(arguments[1:]) for name in chosen]
    return max(results)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
