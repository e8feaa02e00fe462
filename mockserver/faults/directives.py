"""Fault requests in API requests: test values in prompts, and headers.

mock:503  mock:429x3  mock:fail=content_policy  mock:slow=90s      in a prompt
X-Mock-Fault: latency;seconds=2, extra_fields                      a header, for this request only
Prefer: code=503                                                   as in other mock servers
Prefer: example=NAME
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import fields
from itertools import islice
from typing import Any, NamedTuple

from mockserver.engine.faults import Fault, FaultDirectives, InvalidFaultError
from mockserver.faults import all_faults, build

#: The start and form of a test value; surrounding quotes, brackets and full stops belong to the prompt.
_WORD = re.compile(r"""(?<![^\s,;"'([{“«])mock:[^\s,;]+""", re.IGNORECASE)
_AROUND = ".!?:\"')]}”»"
_SPELLED = re.compile(r"mock:([a-z0-9_]+?)(?:=([^=]+?))?(?:x([1-9][0-9]{0,3}))?")
_ERROR_STATUS = re.compile(r"[45][0-9]{2}")
_MOST_REQUESTS = 20


class Alias(NamedTuple):
    """A short name for a fault, with the parameter that `=` sets and the operation that the fault applies to."""

    fault: str
    parameter: str | None
    operation: str | None
    example: str
    summary: str


#: Names that are shorter or more specific than the fault's name.
ALIASES: dict[str, Alias] = {
    "fail": Alias("fail", "reason", None, "mock:fail=content_policy", "The task fails for this reason."),
    "stuck": Alias("stuck", "state", None, "mock:stuck", "The task never leaves a state (default: the last one)."),
    "slow": Alias("overdue", "by_s", None, "mock:slow=90s", "The task takes this much longer."),
    "poll": Alias("error", "status", "query", "mock:poll=503x2", "Queries of the task get this error, N times."),
    "submit": Alias("error", "status", "submit", "mock:submit=429x3", "The submit gets this error, N times."),
    "lag": Alias("replication_lag", "for_s", None, "mock:lag=5s", "Queries do not find the task for this long."),
    "no_callback": Alias("lost_callback", None, None, "mock:no_callback", "The callback never arrives."),
    "late_callback": Alias("late_callback", "by_s", None, "mock:late_callback=10m", "The callback is this late."),
    "two_callbacks": Alias("duplicated_callback", None, None, "mock:two_callbacks", "The callback arrives twice."),
    "bad_signature": Alias("wrong_signature", None, None, "mock:bad_signature", "The callback's signature is wrong."),
    "expired": Alias("expired_link", None, None, "mock:expired", "The links to the files have expired."),
}


def test_values() -> list[tuple[str, str]]:
    """Return an example of each test value with its effect: a status, the short names, then the faults."""
    out = [
        ("mock:429x3", "The submit gets this status three times, then succeeds. Any status from 400 to 599."),
        *((alias.example, alias.summary) for alias in ALIASES.values()),
    ]
    short = {alias.example.partition("=")[0] for alias in ALIASES.values()}
    for name, kind in all_faults().items():
        if f"mock:{name}" not in short and name != "example":
            parameter = _first_parameter(kind)
            shown = "" if parameter is None or parameter.default == "" else f"={parameter.default}"
            out.append((f"mock:{name}{shown}", kind.effect))
    return out


def _first_parameter(kind: type[Fault]) -> Any:
    return next(iter(fields(kind)), None)  # type: ignore[arg-type]  # every fault is a dataclass


class RequestDirectives(FaultDirectives):
    """Reads fault requests from prompts and headers."""

    def in_headers(self, headers: Mapping[str, str]) -> list[Fault]:
        """Read X-Mock-Fault and Prefer; other preferences are ignored (RFC 7240)."""
        found: list[Fault] = []
        text = _field(headers, "X-Mock-Fault")
        if text is not None:
            found += [_for_one_request(fault_request) for fault_request in _split(text, ",")[:_MOST_REQUESTS]]
        preferred = _field(headers, "Prefer")
        if preferred is not None:
            for fault_request in _split(preferred, ",;"):
                name, value = _pair(fault_request)
                if name.lower() == "code":
                    if not _ERROR_STATUS.fullmatch(value):
                        raise InvalidFaultError(f"Prefer: code must be a status from 400 to 599; got {value[:40]!r}")
                    found.append(build("error", {"status": value}))
                elif name.lower() == "example":
                    found.append(build("example", {"example": value}))
        return found

    def in_prompt(self, text: str) -> list[tuple[Fault, str | None, int | None]]:
        """Read the test values of a prompt."""
        words = (match[0].rstrip(_AROUND) for match in _WORD.finditer(text))
        return [_for_prompt(word) for word in islice((word for word in words if ":" in word), _MOST_REQUESTS)]


def _for_prompt(text: str) -> tuple[Fault, str | None, int | None]:
    """Read one test value: the fault, the operation that it applies to, and the number of times."""
    match = _SPELLED.fullmatch(text)
    if match is None:
        raise InvalidFaultError(
            f"{text[:60]!r} is not a test value; examples: mock:503, mock:429x3, mock:fail=content_policy, "
            "mock:slow=90s"
        )
    word, value, times = match[1], match[2], match[3]
    alias = _alias(word)
    if value is not None and alias.parameter is None:
        raise InvalidFaultError(f"mock:{word} takes no value")
    given = {"status": word} if _ERROR_STATUS.fullmatch(word) else {}
    if value is not None and alias.parameter is not None:
        given = {alias.parameter: value}
    try:
        fault = build(alias.fault, given)
    except InvalidFaultError as error:
        raise InvalidFaultError(str(error) if word == alias.fault else f"mock:{word}: {error}") from None
    once = 1 if alias.fault == "error" else None
    return fault, alias.operation, int(times) if times else once


def _alias(word: str) -> Alias:
    """Return the alias for a status, a short name or the name of a fault."""
    if _ERROR_STATUS.fullmatch(word):
        return Alias("error", None, "submit", "", "")
    if word in ALIASES:
        return ALIASES[word]
    kind = all_faults().get(word)
    if kind is None:
        if word[0].isdecimal():
            why = "the status must be from 400 to 599, the count from x1 to x9999"
            raise InvalidFaultError(f"mock:{word[:60]} is not a test value; {why}")
        near = difflib.get_close_matches(word, (*ALIASES, *all_faults()), n=1)
        perhaps = f"did you mean mock:{near[0]}?" if near else "`mockserver providers` lists them"
        raise InvalidFaultError(f"mock:{word[:60]} is not a test value; {perhaps}")
    parameter = _first_parameter(kind)
    return Alias(word, None if parameter is None else parameter.name, None, "", "")


def _for_one_request(fault_request: str) -> Fault:
    """Read one fault from X-Mock-Fault."""
    name, *pairs = _split(fault_request, ";")
    return build(name, dict(_pair(pair) for pair in pairs if pair))


def _field(headers: Mapping[str, str], name: str) -> str | None:
    """Return a header; several lines of it are joined."""
    if name not in headers:
        return None
    lines = headers.getall(name) if hasattr(headers, "getall") else [headers[name]]
    return ",".join(lines)


def _split(text: str, marks: str) -> list[str]:
    """Split at separators outside quotes."""
    parts = [""]
    for piece in re.findall(r'"[^"]*"|.', text, re.DOTALL):
        if piece in marks:
            parts.append("")
        else:
            parts[-1] += piece
    return [part.strip() for part in parts]


def _pair(text: str) -> tuple[str, str]:
    """Read NAME=VALUE; both may have spaces around them, and the value may be in quotes."""
    name, _, value = text.partition("=")
    value = value.strip()
    return name.strip(), value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
