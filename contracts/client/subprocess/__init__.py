"""Run a client in any language: a command that makes one video, started once for each job of a situation.

    command = Command.of("node client.mjs {prompt}")
    run = run_command(command, provider, situation, speed=60, time_limit_s=120)

The command receives its job by environment variables (`CONTRACT_...`) and placeholders in its arguments. Its
result is read from its exit code (0: the video was made) and its output. Its waits are real, and the server's
clock runs `speed` times as fast.

    supervise     run a command under the supervisor (`mockserver.launch.supervisor`)
    time_scale    let the command's own time run faster
    command       the command, and its environment
    outcome       how a job ended, from exit code and output
    pace          the speed of the clock, and the time for a job
    isolated      a process in a network of its own, with nothing else in it
    runner        a server for each situation, and a process for each job
"""

from __future__ import annotations

from contracts.client.subprocess.command import Command, CommandError
from contracts.client.subprocess.isolated import isolation_problem
from contracts.client.subprocess.pace import (
    FASTEST,
    FIRST_SPEED,
    LONGEST_JOB_S,
    TIME_SCALE,
    Pace,
    enough_s,
    follows,
    is_long,
    limit_in,
    pace_in,
    speed_for,
)
from contracts.client.subprocess.runner import run_command, run_commands

__all__ = [
    "FASTEST",
    "FIRST_SPEED",
    "LONGEST_JOB_S",
    "TIME_SCALE",
    "Command",
    "CommandError",
    "Pace",
    "enough_s",
    "follows",
    "is_long",
    "isolation_problem",
    "limit_in",
    "pace_in",
    "run_command",
    "run_commands",
    "speed_for",
]
