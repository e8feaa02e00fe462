"""Clients in any language: a command that makes one video, run once for each job of a situation.

    command = Command.of("node client.mjs {prompt}")
    run = play_command(command, provider, situation, speed=60, time_limit_s=120)

What it is to do is told by the environment (`CONTRACT_...`) and by placeholders among its words (`command`).
What came of it is read from its exit code (0: the video was made) and from what it printed (`outcome`).
Its waits are real, and the server's clock goes `speed` times as fast (`stage`). Nothing of it outlives the
run (`wardship`, and `warden`, a program of its own).
"""

from __future__ import annotations

from contracts.client.subprocess.command import Command, CommandError
from contracts.client.subprocess.runner import exclusion_reason, run_command, run_commands

__all__ = ["Command", "CommandError", "exclusion_reason", "run_command", "run_commands"]
