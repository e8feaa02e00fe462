"""A client as a command: its words, and what it is told by its environment (`CONTRACT_...`)."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.client.subprocess.supervise import RUN_ID

if TYPE_CHECKING:
    from contracts.client.subject import Setting

_PLACEHOLDER = re.compile(r"\{(base_url|api_key|prompt|callback_url)\}")
_HERE = "127.0.0.1"


class CommandError(ValueError):
    """A command is none; the message says why."""


@dataclass(frozen=True, slots=True)
class Command:
    """A client as a command: a program and its arguments, and the directory to run it in."""

    words: tuple[str, ...]
    cwd: Path | None = None

    @classmethod
    def of(cls, text: str, cwd: Path | None = None) -> Command:
        """Read a command as a shell would, without its expansions.

        Raises:
            CommandError: it is empty, or a quote is not closed.
        """
        try:
            words = tuple(shlex.split(text))
        except ValueError as error:
            raise CommandError(f"the command {text!r} cannot be read: {error}") from None
        if not words:
            raise CommandError("the command is empty; write for example 'node client.mjs'")
        return cls(words, cwd)

    def problem(self) -> str | None:
        """Say why it cannot be started, as far as that can be known beforehand."""
        program = self.words[0]
        if "/" in program and self.cwd is not None:
            program = str(self.cwd / program)
        if shutil.which(program) is not None:
            return None
        return f"{self.words[0]} cannot be run" if Path(program).exists() else f"there is no program {self.words[0]}"

    def filled(self, setting: Setting, prompt: str) -> list[str]:
        """Return the words with the placeholders filled in."""
        values = {
            "base_url": setting.base_url,
            "api_key": setting.api_key,
            "prompt": prompt,
            "callback_url": setting.callback_url or "",
        }
        return [_PLACEHOLDER.sub(lambda found: values[found[1]], word) for word in self.words]

    def __str__(self) -> str:
        return shlex.join(self.words)


def environment(setting: Setting, prompt: str, output: Path) -> dict[str, str]:
    """Return the environment that a command runs in: our own, and what it is told."""
    out = {name: value for name, value in os.environ.items() if not name.startswith("CONTRACT_")}
    out |= {
        "CONTRACT_PROVIDER": setting.provider,
        "CONTRACT_BASE_URL": setting.base_url,
        "CONTRACT_API_KEY": setting.api_key,
        "CONTRACT_PROMPT": prompt,
        "CONTRACT_OUTPUT": str(output),
        RUN_ID: uuid.uuid4().hex,
    }
    for name in ("no_proxy", "NO_PROXY"):
        out[name] = ",".join(filter(None, (out.get(name), _HERE, "localhost")))
    if setting.callback_url is not None:
        out["CONTRACT_CALLBACK_URL"] = setting.callback_url
        out["CONTRACT_CALLBACK_PORT"] = str(port_of(setting))
        out["CONTRACT_CALLBACK_SECRET"] = setting.callback_secret or ""
    return out


def port_of(setting: Setting) -> int:
    """Return the port that callbacks come to."""
    return int((setting.callback_url or "").rpartition(":")[2].partition("/")[0])
