"""Wishes for faults inside requests: test values in prompts, and headers.

mock:503  mock:429x3  mock:fail=content_policy  mock:slow=90s      words of a prompt
X-Mock-Fault: latency;seconds=2, extra_fields                      a header, for this request only
Prefer: code=503                                                   as other mock servers have it
Prefer: example=NAME
"""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NamedTuple

from mockserver.engine.faults import Fault, FaultWordsError, Triggers
from mockserver.faults import all_faults, build

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORD = re.compile(r"(?<!\S)mock:([a-z0-9_]+?)(?:=([^\s=;,]+?))?(?:x([1-9][0-9]{0,3}))?(?=[\s.,;!?]|$)")
_ERROR_STATUS = re.compile(r"[45][0-9]{2}")
_MOST_WISHES = 20


class Alias(NamedTuple):
    """A short word for a fault: the fault, the parameter that `=` sets, and the operation that it strikes."""

    fault: str
    parameter: str | None
    operation: str | None
    example: str
    summary: str


#: Words that are shorter, or mean more, than a fault's name.
ALIASES: dict[str, Alias] = {
    "fail": Alias("fail", "reason", None, "mock:fail=content_policy", "The task fails, for this reason."),
    "stuck": Alias("stuck", "state", None, "mock:stuck", "The task never leaves a state (the last one on its way)."),
    "slow": Alias("overdue", "by_s", None, "mock:slow=90s", "The task takes so much longer."),
    "poll": Alias("error", "status", "query", "mock:poll=503x2", "Queries of the task answer this error, so often."),
    "submit": Alias("error", "status", "submit", "mock:submit=429x3", "The submit answers this error, so often."),
    "lag": Alias("replication_lag", "for_s", None, "mock:lag=5s", "Queries do not find the task for so long."),
    "no_callback": Alias("lost_callback", None, None, "mock:no_callback", "The callback never comes."),
    "late_callback": Alias("late_callback", "by_s", None, "mock:late_callback=10m", "The callback comes so late."),
    "two_callbacks": Alias("duplicated_callback", None, None, "mock:two_callbacks", "The callback comes twice."),
    "bad_signature": Alias("wrong_signature", None, None, "mock:bad_signature", "The callback's signature is wrong."),
    "expired": Alias("expired_link", None, None, "mock:expired", "The links to the files have expired."),
}


def test_values() -> list[tuple[str, str]]:
    """Return examples of all test values with what they do: short words, statuses, then every fault by its name."""
    out = [
        ("mock:429x3", "The submit answers this status three times, then passes. Any status from 400 to 599."),
        *((alias.example, alias.summary) for alias in ALIASES.values()),
    ]
    short = {alias.example.partition("=")[0] for alias in ALIASES.values()}
    for name, kind in all_faults().items():
        if f"mock:{name}" not in short and name != "example":
            parameter = _first_parameter(kind)
            shown = "" if parameter is None or parameter.default == "" else f"={parameter.default}"
            out.append((f"mock:{name}{shown}", kind.breaks))
    return out


def _first_parameter(kind: type[Fault]) -> Any:
    return next(iter(fields(kind)), None)  # type: ignore[arg-type]  # every fault is a dataclass


class RequestTriggers(Triggers):
    """Reads wishes for faults out of requests."""

    def in_headers(self, headers: Mapping[str, str]) -> list[Fault]:
        """Read X-Mock-Fault and Prefer; preferences that are not ours are passed over, as RFC 7240 asks."""
        found: list[Fault] = []
        text = headers.get("X-Mock-Fault")
        if text is not None:
            for wish in text.split(",")[:_MOST_WISHES]:
                name, *pairs = (part.strip() for part in wish.split(";"))
                given = dict(pair.partition("=")[::2] for pair in pairs if pair)
                found.append(build(name, {key.strip(): value.strip().strip('"') for key, value in given.items()}))
        preferred = headers.get("Prefer")
        if preferred is not None:
            for wish in re.split("[,;]", preferred):
                name, _, value = wish.strip().partition("=")
                value = value.strip().strip('"')
                if name == "code":
                    if not _ERROR_STATUS.fullmatch(value):
                        raise FaultWordsError(f"Prefer: code is a status from 400 to 599, and {value[:40]!r} is none")
                    found.append(build("error", {"status": value}))
                elif name == "example":
                    found.append(build("example", {"example": value}))
        return found

    def in_prompt(self, text: str) -> list[tuple[Fault, str | None, int | None]]:
        """Read the test values in a prompt."""
        found: list[tuple[Fault, str | None, int | None]] = []
        for match in list(_WORD.finditer(text))[:_MOST_WISHES]:
            word, value, times = match[1], match[2], match[3]
            if _ERROR_STATUS.fullmatch(word):
                found.append((build("error", {"status": word}), "submit", int(times or 1)))
                continue
            alias = ALIASES.get(word)
            if alias is None:
                kind = all_faults().get(word)
                parameter = None if kind is None else _first_parameter(kind)
                alias = Alias(word, None if parameter is None else parameter.name, None, "", "")
            if value is not None and alias.parameter is None:
                raise FaultWordsError(f"mock:{word} takes no value")
            given = {} if value is None or alias.parameter is None else {alias.parameter: value}
            once = 1 if alias.fault == "error" else None
            found.append((build(alias.fault, given), alias.operation, int(times) if times else once))
        return found
