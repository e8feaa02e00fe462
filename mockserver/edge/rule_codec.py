"""Reads fault requests of the control plane and scenario files, and describes rules as JSON.

Names in a request are checked against the served providers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from mockserver.engine.faults import Fault, InvalidFaultError
from mockserver.engine.rules import Match, Rule, Schedule
from mockserver.engine.world import World
from mockserver.faults import all_faults, build, described, parameters_of
from mockserver.patterns import InvalidPatternError, LinearPattern
from mockserver.provider import Provider

#: More roles than this are not listed in a message.
_MOST_LISTED = 4
WHERE = tuple(each.name for each in fields(Match))
WHEN = tuple(each.name for each in fields(Schedule))
#: The greatest number in a condition: every JSON reader represents it exactly.
_MOST = 2**53 - 1


def read_fault_request(world: World, fault_request: Mapping[str, Any]) -> tuple[Fault, Match, Schedule]:
    """Read a fault request: `fault`, `with`, `where`, `when`.

    Raises:
        InvalidFaultError: a value is invalid; the message starts with its name.
    """
    fault = build(str(fault_request["fault"]), fault_request.get("with") or {})
    where = read_where(world, fault_request.get("where") or {})
    providers = [state.provider for state in world.providers.values() if where.provider in (None, state.provider.name)]
    problems = [fault.problem(each) for each in providers]
    if problems and all(problems):
        raise InvalidFaultError(f"{fault.name}: {problems[0]}")
    if where.provider is not None:  # otherwise, the fault may apply to any served provider
        for provider in providers:
            if (why := fault.never_at(provider)) is not None:
                raise InvalidFaultError(f"where.provider: {fault.name} cannot apply: {why}")
    if where.operation is not None:
        _check_reach(fault, where.operation, providers)
    return fault, where, read_when(fault_request.get("when") or {})


def _check_reach(fault: Fault, operation: str, providers: Sequence[Provider]) -> None:
    """Reject a fault that can never apply to the requested operation."""
    moments = fault.moments()
    operations = [each for provider in providers for each in provider.operations.values()]
    meant: set[str] = {each.role for each in operations if operation in (each.id, each.role)} or {operation}
    within: set[str] = {"submit"} if "task" in moments else set()
    if "callback" in moments:
        within.add("callback")
    if "request" in moments:
        within |= fault.roles or {each.role for each in operations}
    if not meant & within:
        reach = f"only to {' or '.join(sorted(within))}" if len(within) < _MOST_LISTED else "to requests"
        raise InvalidFaultError(f"where.operation: {fault.name} applies {reach}, not to {operation}")


def read_where(world: World, given: Mapping[str, Any]) -> Match:
    """Read `where`; providers, operations, models and states must exist."""
    _check_names("where", given, WHERE)
    for name, value in given.items():
        if not isinstance(value, str) or not value:
            raise InvalidFaultError(f"where.{name} must be a non-empty string")
    only = given.get("provider")
    if only is not None and only not in world.providers:
        raise InvalidFaultError(f"where.provider: must be one of {', '.join(world.providers)}; got {only[:80]!r}")
    providers = [state.provider for state in world.providers.values() if only in (None, state.provider.name)]
    for name, values_of in _KNOWN.items():
        if name in given and given[name] not in (values := values_of(providers)):
            allowed = ", ".join(sorted(values))
            raise InvalidFaultError(f"where.{name}: must be one of {allowed}; got {given[name][:80]!r}")
    conditions = dict(given)
    if "prompt" in conditions:
        try:
            re.compile(conditions["prompt"])  # both understand it, so that nothing means something else here
            conditions["prompt"] = LinearPattern(conditions["prompt"])
        except (re.error, OverflowError, FutureWarning) as error:  # FutureWarning if warnings are errors
            raise InvalidFaultError(f"where.prompt is not a regular expression: {error}") from None
        except RecursionError:
            raise InvalidFaultError("where.prompt is not a regular expression: nested too deep") from None
        except InvalidPatternError as error:
            raise InvalidFaultError(f"where.prompt is not a regular expression (RE2): {error}") from None
    return Match(**conditions)


def _operations(providers: Iterable[Provider]) -> set[str]:
    return operation_names(providers) | {"callback"}


def _models(providers: Iterable[Provider]) -> set[str]:
    return {model for each in providers for model in each.models}


def _phases(providers: Iterable[Provider]) -> set[str]:
    return {name for each in providers for name in each.whole_lifecycle.names}


#: What a condition may name.
_KNOWN = {"operation": _operations, "model": _models, "phase": _phases}


def operation_names(providers: Iterable[Provider]) -> set[str]:
    """Return the ids and roles of all operations."""
    return {name for each in providers for op in each.operations.values() for name in (op.id, op.role)}


def read_when(given: Mapping[str, Any]) -> Schedule:
    """Read `when`."""
    _check_names("when", given, WHEN)
    for name, value in given.items():
        whole = name in ("after", "every", "times")
        right = isinstance(value, int) if whole else isinstance(value, int | float)
        least = 1 if name in ("every", "times") else 0
        if not right or isinstance(value, bool) or not least <= value <= _MOST:
            kind = "an integer" if whole else "a number"
            raise InvalidFaultError(f"when.{name} must be {kind} from {least} to {_MOST}")
    if given.get("probability", 0) > 1:
        raise InvalidFaultError("when.probability must be a number from 0 to 1")
    when = Schedule(**given)
    if when.until_s is not None and when.until_s <= when.from_s:
        raise InvalidFaultError("when.until_s must be greater than from_s")
    return when


def _check_names(group: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            raise InvalidFaultError(f"{group}: unknown key {name[:80]!r}; known: {', '.join(known)}")


def catalogue() -> list[dict[str, Any]]:
    """Describe every fault."""
    return [described(kind) for kind in all_faults().values()]


def rule_record(rule: Rule) -> dict[str, Any]:
    """Describe a rule in force."""
    where = {name: value for name in WHERE if (value := getattr(rule.where, name)) is not None}
    if "prompt" in where:
        where["prompt"] = where["prompt"].pattern
    blank = Schedule()
    return {
        "id": rule.id,
        "fault": rule.fault.name,
        "with": parameters_of(rule.fault),
        "where": where,
        "when": {name: value for name in WHEN if (value := getattr(rule.when, name)) != getattr(blank, name)},
        "matches": rule.matches,
        "hits": rule.hits,
        "spent": rule.spent,
    }
