"""A client as a command: its arguments, and its environment (`CONTRACT_...`)."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from contracts.client.subject import Setting
from contracts.client.subprocess.supervise import RUN_ID
from mockserver.launch.environment import ClientFiles, client_environment

_PLACEHOLDER = re.compile(r"\{(base_url|api_key|prompt|callback_url)\}")


class CommandError(ValueError):
    """Not a usable command; the message says why."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, and the directory to run it in."""

    arguments: tuple[str, ...]
    cwd: Path | None = None

    @classmethod
    def of(cls, text: str, cwd: Path | None = None) -> Command:
        """Split a command like a shell, without expansions.

        Raises:
            CommandError: the command is empty, or a quote is not closed.
        """
        try:
            arguments = tuple(shlex.split(text))
        except ValueError as error:
            raise CommandError(f"cannot parse the command {text!r}: {error}") from None
        if not arguments:
            raise CommandError("the command is empty; write for example 'node client.mjs'")
        return cls(arguments, cwd)

    def problem(self) -> str | None:
        """Say why the command cannot be started, as far as that is known in advance."""
        program = self.arguments[0]
        if "/" in program and self.cwd is not None:
            program = str(self.cwd / program)
        if shutil.which(program) is not None:
            return None
        name = self.arguments[0]
        return f"{name} is not executable" if Path(program).exists() else f"program not found: {name}"

    def filled(self, setting: Setting, prompt: str) -> list[str]:
        """Return the arguments with the placeholders filled in."""
        values = {
            "base_url": setting.base_url,
            "api_key": setting.api_key,
            "prompt": prompt,
            "callback_url": setting.callback_url or "",
        }
        return [_PLACEHOLDER.sub(lambda found: values[found[1]], each) for each in self.arguments]

    def __str__(self) -> str:
        return shlex.join(self.arguments)


def environment(
    setting: Setting, prompt: str, output: Path, files: ClientFiles, key_variables: Iterable[str]
) -> dict[str, str]:
    """Return the environment of a command: our own, that of a client of the mock, and the variables of its job."""
    out = {name: value for name, value in os.environ.items() if not name.startswith("CONTRACT_")}
    keys = dict.fromkeys(key_variables, setting.api_key)
    out |= client_environment(setting.base_url, files, keys, out)
    out |= {
        "CONTRACT_PROVIDER": setting.provider,
        "CONTRACT_BASE_URL": setting.base_url,
        "CONTRACT_API_KEY": setting.api_key,
        "CONTRACT_PROMPT": prompt,
        "CONTRACT_OUTPUT": str(output),
        RUN_ID: uuid.uuid4().hex,
    }
    if setting.callback_url is not None:
        out["CONTRACT_CALLBACK_URL"] = setting.callback_url
        out["CONTRACT_CALLBACK_PORT"] = str(port_of(setting))
        out["CONTRACT_CALLBACK_SECRET"] = setting.callback_secret or ""
        out["CONTRACT_CALLBACK_OLD_SECRET"] = setting.callback_old_secret or ""
    return out


def port_of(setting: Setting) -> int:
    """Return the port that receives callbacks."""
    return int((setting.callback_url or "").rpartition(":")[2].partition("/")[0])
