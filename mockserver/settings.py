"""What a user can set, where it may come from, and what is wrong with it when it is.

Defaults, under the file (`--config mockserver.toml`), under the environment (`MOCKSERVER_*`), under flags.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from mockserver.journal import DEFAULT_BODY_LIMIT, DEFAULT_ENTRIES
from mockserver.provider import CreditsMode, ProviderRules, TargetMode

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ClockKind = Literal["real", "manual"]
DEFAULT_PORT = 4010
#: How settings that came as flags are named in complaints.
FLAGS = "--"
_LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")


class ConfigError(ValueError):
    """A setting means nothing; the message says which, where it came from, and what would do."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """What is set for one provider."""

    dialects: tuple[str, ...] = ()
    plan: str | None = None
    credits: CreditsMode | None = None
    failure_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. Names are those of the flags and of the file's keys."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    only: str | None = None
    spec: tuple[str, ...] = ()
    builtin: bool = True
    seed: int = 0
    clock: ClockKind = "real"
    speed: float = 1.0
    credits: CreditsMode = "ample"
    callback_targets: TargetMode = "loopback"
    callback_workers: int | None = None
    callback_ca: str | None = None
    journal: str | None = None
    journal_entries: int = DEFAULT_ENTRIES
    journal_body_bytes: int = DEFAULT_BODY_LIMIT
    public_url: str | None = None
    admin_token: str | None = None
    request_timeout_s: float = 30.0
    scenario: str | None = None
    watch: bool = False
    providers: Mapping[str, ProviderSettings] = field(default_factory=dict)

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in _LOOPBACK_HOSTS or self.host.startswith("127.")

    def space_rules(self, name: str) -> ProviderRules:
        """Return what the engine is to know of a provider's settings."""
        found = self.providers.get(name, ProviderSettings())
        return ProviderRules(found.credits or self.credits, found.plan, found.failure_rate)

    def with_provider(self, name: str, **changes: Any) -> Settings:
        """Return settings in which one provider's are changed."""
        changed = replace(self.providers.get(name, ProviderSettings()), **changes)
        return replace(self, providers={**self.providers, name: changed})


_CHOICES: dict[str, tuple[str, ...]] = {
    "clock": get_args(ClockKind),
    "credits": get_args(CreditsMode),
    "callback_targets": get_args(TargetMode),
}
_NUMBERS: dict[str, tuple[type, float, float | None]] = {
    "port": (int, 0, 65535),
    "seed": (int, 0, 2**63),
    "speed": (float, 0, 1_000_000),
    "callback_workers": (int, 1, 1000),
    "journal_entries": (int, 1, 10_000_000),
    "journal_body_bytes": (int, 0, 100_000_000),
    "request_timeout_s": (float, 0.1, 3600),
    "failure_rate": (float, 0, 1),
}
_LISTS = ("spec", "dialects")
_FLAGS = ("builtin", "watch")


def read_config(path: Path) -> dict[str, Any]:
    """Read a configuration file into checked values, by the names of `Settings`.

    Raises:
        ConfigError: it cannot be read, or a key or value means nothing.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from None
    values = checked(raw, [each.name for each in fields(Settings)], f"{path}: ")
    if "spec" in values:
        values["spec"] = tuple(str(path.parent / name) for name in values["spec"])
    for name in ("journal", "callback_ca"):
        if name in values:
            values[name] = str(path.parent / values[name])
    if "scenario" in values and (path.parent / values["scenario"]).is_file():  # else it is one of the gallery
        values["scenario"] = str(path.parent / values["scenario"])
    return values


def checked(raw: Mapping[str, Any], known: Iterable[str], where: str = "") -> dict[str, Any]:
    """Check values by their names.

    Raises:
        ConfigError: a name is unknown, or a value is not of its kind.
    """
    known = list(known)
    out: dict[str, Any] = {}
    for written, value in raw.items():
        name = written.replace("-", "_")
        if name not in known:
            raise ConfigError(f"{where}unknown key {written!r}; the keys are {', '.join(sorted(known))}")
        if name in out:
            raise ConfigError(f"{where}{name} is there twice: as {name} and as {name.replace('_', '-')}")
        if name == "providers":
            if not isinstance(value, Mapping) or not all(isinstance(each, Mapping) for each in value.values()):
                raise ConfigError(f"{where}providers holds a table for each provider, as [providers.NAME]")
            names = [each.name for each in fields(ProviderSettings)]
            out[name] = {
                provider: ProviderSettings(**checked(each, names, f"{where}providers.{provider}: "))
                for provider, each in value.items()
            }
        else:
            try:
                out[name] = _checked(name, value)
            except ConfigError as error:
                shown = name.replace("_", "-") if where == FLAGS else written
                raise ConfigError(f"{where}{shown} {error}") from None
    if out.get("clock") == "manual" and out.get("speed", 1) not in (0, 1):
        raise ConfigError(
            f"{where}speed {out['speed']:g} means nothing to a manual clock, which moves only when it is told to; "
            f"leave one of the two out, or say clock real"
        )
    return out


def _checked(name: str, value: Any) -> Any:
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise ConfigError(f"is {value!r}; it is one of {', '.join(_CHOICES[name])}")
    elif name in _NUMBERS:
        kind, least, most = _NUMBERS[name]
        number = isinstance(value, int) if kind is int else isinstance(value, int | float)
        if not number or isinstance(value, bool) or not least <= value <= (math.inf if most is None else most):
            upto = "" if most is None else f" to {most:,.0f}"
            word = "a whole number" if kind is int else "a number"
            raise ConfigError(f"is {value!r}; it is {word} from {least:g}{upto}")
    elif name in _LISTS:
        if not isinstance(value, list) or not all(isinstance(each, str) and "\0" not in each for each in value):
            raise ConfigError(f"is {value!r}; it is a list of strings")
        return tuple(value)
    elif name in _FLAGS:
        if not isinstance(value, bool):
            raise ConfigError(f"is {value!r}; it is true or false")
    elif name == "public_url" and not re.match(r"https?://[^/\s][^\s]*$", str(value)):
        raise ConfigError(f"is {value!r}; it is an address that starts with http:// or https://")
    elif not isinstance(value, str) or not value or "\0" in value:
        raise ConfigError(f"is {value!r}; it is a text that is not empty, and has no null character in it")
    return value
