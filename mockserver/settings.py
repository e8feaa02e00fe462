"""The settings of a server, and their validation.

Precedence, lowest first: defaults, file (`--config mockserver.toml`), environment (`MOCKSERVER_*`), flags.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from mockserver.provider import CreditsMode, TargetMode, Validation

ClockKind = Literal["real", "manual", "auto"]
CallbackTime = Literal["wall", "mock"]
RetryAfter = Literal["real", "mock"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]
DEFAULT_PORT = 4010
DEFAULT_ENTRIES = 10_000
DEFAULT_BODY_LIMIT = 16_384
#: The prefix of settings in messages about flags.
FLAGS = "--"


class ConfigError(ValueError):
    """A setting is unknown or invalid; the message names it, its origin and the valid values."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """The settings of one provider."""

    dialects: tuple[str, ...] = ()
    plan: str | None = None
    credits: CreditsMode | None = None
    failure_rate: float = 0.0
    any_model: bool | None = None
    model_alias: Mapping[str, str] = field(default_factory=dict)
    validation: Validation | None = None
    webhook_url: str | None = None
    webhook_secret: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. The names are those of the flags and of the keys in the file."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    only: str | None = None
    spec: tuple[str, ...] = ()
    builtin: bool = True
    seed: int = 0
    clock: ClockKind = "real"
    speed: float = 1.0
    #: Whose seconds Retry-After counts: the client's, or those of mock time.
    retry_after: RetryAfter = "real"
    credits: CreditsMode = "ample"
    #: Serve every model name, with the shape and price of the nearest model.
    any_model: bool = False
    #: Names of models, and the model that each is served as.
    model_alias: Mapping[str, str] = field(default_factory=dict)
    #: Which requests are refused for their form.
    validation: Validation = "strict"
    #: None: `loopback` where only this machine can submit, and `documented` where others can too.
    callback_targets: TargetMode | None = None
    callback_workers: int | None = None
    callback_ca: str | None = None
    #: The times in signed callbacks. None: those of the wall clock, or mock time where the clock is manual.
    callback_time: CallbackTime | None = None
    #: Where callbacks go whose submits name no address, and what signs them.
    webhook_url: str | None = None
    webhook_secret: str | None = None
    journal: str | None = None
    journal_entries: int = DEFAULT_ENTRIES
    journal_body_bytes: int = DEFAULT_BODY_LIMIT
    public_url: str | None = None
    trust_forwarded: bool = False
    ca_dir: str | None = None
    #: Hosts that clients reach through this server although they are not mocked: NAME, NAME:PORT, *.NAME.
    allow_host: tuple[str, ...] = ()
    passthrough: bool = False
    admin_token: str | None = None
    request_timeout_s: float = 30.0
    keep_tasks: int = 200_000
    keep_task_bytes: int = 512_000_000
    keep_uploads: int = 10_000
    keep_upload_bytes: int = 512_000_000
    keep_sessions: int = 1000
    drain_s: float = 5.0
    #: A journal or HAR file whose tasks are lived through again.
    replay: str | None = None
    scenario: str | None = None
    watch: bool = False
    #: What `serve` prints: all requests at `info`, failures at `warning`; quiet: only errors, and no banner.
    log_level: LogLevel = "info"
    log_format: LogFormat = "text"
    quiet: bool = False
    providers: Mapping[str, ProviderSettings] = field(default_factory=dict)

    def provider(self, name: str) -> ProviderSettings:
        """Return the settings of a provider, or the defaults."""
        return self.providers.get(name, ProviderSettings())

    def with_provider(self, name: str, **changes: Any) -> Settings:
        """Return a copy with changed settings of one provider."""
        changed = replace(self.provider(name), **changes)
        return replace(self, providers={**self.providers, name: changed})


_CHOICES: dict[str, tuple[str, ...]] = {
    "clock": get_args(ClockKind),
    "credits": get_args(CreditsMode),
    "validation": get_args(Validation),
    "callback_targets": get_args(TargetMode),
    "callback_time": get_args(CallbackTime),
    "retry_after": get_args(RetryAfter),
    "log_level": get_args(LogLevel),
    "log_format": get_args(LogFormat),
}
_NUMBERS: dict[str, tuple[type, float, float]] = {
    "port": (int, 0, 65535),
    "seed": (int, 0, 2**63),
    "speed": (float, 0, 1_000_000),
    "callback_workers": (int, 1, 1000),
    "journal_entries": (int, 1, 10_000_000),
    "journal_body_bytes": (int, 0, 100_000_000),
    "request_timeout_s": (float, 0.1, 3600),
    "keep_tasks": (int, 1, 100_000_000),
    "keep_task_bytes": (int, 1, 2**40),
    "keep_uploads": (int, 1, 100_000_000),
    "keep_upload_bytes": (int, 1, 2**40),
    "keep_sessions": (int, 1, 100_000),
    "drain_s": (float, 0, 3600),
    "failure_rate": (float, 0, 1),
}
_LISTS = ("spec", "dialects", "allow_host")
_FLAGS = ("builtin", "watch", "any_model", "trust_forwarded", "passthrough", "quiet")
_PAIRS = ("model_alias",)
_HOST = re.compile(r"((\*\.)?[\w.-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[1-9]\d{0,4}))?", re.ASCII)


def read_config(path: Path) -> dict[str, Any]:
    """Read a configuration file; return valid values by the names of `Settings`.

    Raises:
        ConfigError: the file is unreadable, or a key or value is invalid.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        repr(raw)  # messages show values
    except RecursionError:
        raise ConfigError(f"{path}: not valid TOML: nested too deep") from None
    except OSError as error:
        raise ConfigError(f"{path}: not readable: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    values = checked(raw, [each.name for each in fields(Settings)], f"{path}: ")
    if "spec" in values:
        values["spec"] = tuple(str(path.parent / name) for name in values["spec"])
    for name in ("journal", "callback_ca", "ca_dir", "replay"):
        if name in values:
            values[name] = str(path.parent / values[name])
    if "scenario" in values and (path.parent / values["scenario"]).is_file():  # otherwise the name of a built-in one
        values["scenario"] = str(path.parent / values["scenario"])
    return values


def checked(raw: Mapping[str, Any], known: Iterable[str], where: str = "") -> dict[str, Any]:
    """Validate values by their names.

    Raises:
        ConfigError: a name is unknown, or a value is invalid.
    """
    known = list(known)
    out: dict[str, Any] = {}
    for written, value in raw.items():
        name = written.replace("-", "_")
        if name not in known:
            raise ConfigError(f"{where}unknown key {written!r}; known: {', '.join(sorted(known))}")
        if name in out:
            raise ConfigError(f"{where}{name} is set twice, as {name} and as {name.replace('_', '-')}")
        if name == "providers":
            if not isinstance(value, Mapping) or not all(isinstance(each, Mapping) for each in value.values()):
                raise ConfigError(f"{where}providers must hold a table for each provider: [providers.NAME]")
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
    clocks = {"manual": "a manual clock", "auto": "an auto clock"}
    if (clock := clocks.get(out.get("clock", ""))) is not None and out.get("speed", 1) not in (0, 1):
        raise ConfigError(
            f"{where}speed {out['speed']:g} has no effect on {clock}; omit one of the two, or set clock to real"
        )
    return out


def _is_host(text: str) -> bool:
    """Tell whether a text is a host in ASCII, as clients ask for it, perhaps with a port or all names below it."""
    found = _HOST.fullmatch(text)
    return found is not None and int(found["port"] or 1) <= _NUMBERS["port"][2]


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return bool(re.fullmatch(r"https?://[^/\s]\S*", text) and parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _pairs(value: Any) -> dict[str, str]:
    """Read pairs: a table, or a list of texts such as NAME=MODEL."""
    if isinstance(value, list) and all(isinstance(each, str) and "=" in each for each in value):
        value = {name: model for name, _, model in (each.rpartition("=") for each in value)}
    if not isinstance(value, Mapping) or not all(
        isinstance(each, str) and each and "\0" not in each for pair in value.items() for each in pair
    ):
        raise ConfigError(f"must be NAME=MODEL; got {value!r}")
    return dict(value)


def _checked(name: str, value: Any) -> Any:
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise ConfigError(f"must be one of {', '.join(_CHOICES[name])}; got {value!r}")
    elif name in _NUMBERS:
        kind, least, most = _NUMBERS[name]
        number = isinstance(value, int) if kind is int else isinstance(value, int | float)
        if not number or isinstance(value, bool) or not least <= value <= most:
            noun = "an integer" if kind is int else "a number"
            raise ConfigError(f"must be {noun} from {least:g} to {most:,.0f}; got {value!r}")
    elif name in _LISTS:
        if not isinstance(value, list) or not all(isinstance(each, str) and "\0" not in each for each in value):
            raise ConfigError(f"must be a list of strings; got {value!r}")
        wrong = [each for each in value if name == "allow_host" and not _is_host(each)]
        if wrong:
            raise ConfigError(f"must be NAME, NAME:PORT or *.NAME, without a scheme; got {wrong[0]!r}")
        return tuple(value)
    elif name in _PAIRS:
        return _pairs(value)
    elif name in _FLAGS:
        if not isinstance(value, bool):
            raise ConfigError(f"must be true or false; got {value!r}")
    elif name in ("public_url", "webhook_url") and not _is_url(str(value)):
        raise ConfigError(f"must be a URL that starts with http:// or https://; got {value!r}")
    elif not isinstance(value, str) or not value or "\0" in value:
        raise ConfigError(f"must be a non-empty string without null characters; got {value!r}")
    return value
