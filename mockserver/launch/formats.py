"""Writes variables for what is to set them: a shell, a file of variables, a Dockerfile, a GitHub workflow."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mockserver.launch.environment import ClientFiles

#: Where an image keeps the files that the variables name.
IMAGE_DIRECTORY = "/etc/mockserver"
#: GitHub refuses steps that set these for later ones.
_REFUSED_BY_GITHUB = ("NODE_OPTIONS",)


def _shell(variables: Mapping[str, str], _files: ClientFiles) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def _fish(variables: Mapping[str, str], _files: ClientFiles) -> str:
    escaped = {name: value.replace("\\", "\\\\").replace("'", "\\'") for name, value in variables.items()}
    return "".join(f"set -gx {name} '{value}'\n" for name, value in escaped.items())


def _powershell(variables: Mapping[str, str], _files: ClientFiles) -> str:
    escaped = {name: value.replace("'", "''") for name, value in variables.items()}
    return "".join(f"$env:{name} = '{value}'\n" for name, value in escaped.items())


def _plain(variables: Mapping[str, str], _files: ClientFiles) -> str:
    return "".join(f"{name}={value}\n" for name, value in variables.items())


def _github(variables: Mapping[str, str], files: ClientFiles) -> str:
    return _plain({name: value for name, value in variables.items() if name not in _REFUSED_BY_GITHUB}, files)


def _json(variables: Mapping[str, str], _files: ClientFiles) -> str:
    return json.dumps(variables, indent=2) + "\n"


def _dockerfile(variables: Mapping[str, str], files: ClientFiles) -> str:
    """Write instructions; the files have to be in the directory of the image's build."""
    present = [each for each in files if each is not None]
    copied = " ".join(shlex.quote(str(each)) for each in present)
    names = " ".join(each.name for each in present)
    pairs = " \\\n    ".join(f'{name}="{re.sub(_SPECIAL, _escaped, value)}"' for name, value in variables.items())
    return f"# before the build: cp {copied} .\nCOPY {names} {IMAGE_DIRECTORY}/\nENV {pairs}\n"


_SPECIAL = re.compile(r'["\\$]')


def _escaped(found: re.Match[str]) -> str:
    return f"\\{found[0]}"


#: How variables are written, by the name of the format.
FORMATS: Mapping[str, Callable[[Mapping[str, str], ClientFiles], str]] = {
    "shell": _shell,
    "fish": _fish,
    "powershell": _powershell,
    "dotenv": _plain,
    "dockerfile": _dockerfile,
    "github": _github,
    "json": _json,
}


def left_out(name: str, variables: Mapping[str, str]) -> str | None:
    """Say what a format leaves out; None for nothing."""
    missing = [each for each in _REFUSED_BY_GITHUB if name == "github" and each in variables]
    if not missing:
        return None
    return f"without {', '.join(missing)}, which GitHub refuses in GITHUB_ENV: set it in the step that runs Node"
