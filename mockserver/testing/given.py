"""The settings that `MockServer` is given, for type checkers; a test holds them against `mockserver.settings`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TypeAlias, TypedDict

from mockserver.provider import CreditsMode, TargetMode, Validation
from mockserver.settings import CallbackTime, ClockKind, LogFormat, LogLevel, RetryAfter

_Path: TypeAlias = str | PathLike[str]


class GivenForProvider(TypedDict, total=False):
    """The settings of one provider; see `mockserver.settings.ProviderSettings`."""

    dialects: Sequence[str]
    plan: str | None
    credits: CreditsMode | None
    failure_rate: float
    any_model: bool | None
    model_alias: Mapping[str, str]
    validation: Validation | None
    webhook_url: str | None
    webhook_secret: str | None


class GivenSettings(TypedDict, total=False):
    """The settings of a server; see `mockserver.settings.Settings`. None is the default."""

    host: str | None
    port: int | None
    only: str | None
    builtin: bool | None
    seed: int | None
    clock: ClockKind | None
    speed: float | None
    credits: CreditsMode | None
    any_model: bool | None
    model_alias: Mapping[str, str] | Sequence[str] | None
    validation: Validation | None
    retry_after: RetryAfter | None
    callback_time: CallbackTime | None
    webhook_url: str | None
    webhook_secret: str | None
    callback_targets: TargetMode | None
    callback_workers: int | None
    callback_ca: _Path | None
    journal: _Path | None
    journal_entries: int | None
    journal_body_bytes: int | None
    public_url: str | None
    trust_forwarded: bool | None
    ca_dir: _Path | None
    allow_host: Sequence[str] | None
    passthrough: bool | None
    admin_token: str | None
    request_timeout_s: float | None
    keep_tasks: int | None
    keep_task_bytes: int | None
    keep_uploads: int | None
    keep_upload_bytes: int | None
    keep_sessions: int | None
    drain_s: float | None
    replay: _Path | None
    scenario: _Path | None
    watch: bool | None
    log_level: LogLevel | None
    log_format: LogFormat | None
    quiet: bool | None
