"""Runs a command as `exec` does, without a server: its output, its signals, its exit code."""

from __future__ import annotations

import asyncio
import os
import sys

from mockserver.launch.process import Signals, run_command

signals = Signals()
signals.start()
ending = asyncio.run(run_command(sys.argv[1:], os.environ, signals))
if ending.problem or ending.left:
    print(ending.problem, *ending.left, file=sys.stderr)
sys.exit(ending.code)
