"""Runs commands, all at once; prints how each ended: its exit code, and what it said."""

from __future__ import annotations

import json
import subprocess
import sys

commands = json.loads(sys.argv[1])
started = {
    name: subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for name, command in commands.items()
}
ended = {name: (*each.communicate(), each.returncode) for name, each in started.items()}
print(json.dumps({name: {"code": code, "out": out, "err": err} for name, (out, err, code) in ended.items()}))
