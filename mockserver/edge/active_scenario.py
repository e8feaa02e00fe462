"""A scenario in force: its accounts and faults put into a world, and what has come of its expectations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mockserver.chance import Chance
from mockserver.clock import Clock, iso_of
from mockserver.edge.account_changes import account_issues, apply_changes
from mockserver.edge.rule_codec import operation_names, read_fault_request, rule_record
from mockserver.engine.faults import InvalidFaultError
from mockserver.engine.rules import Rule
from mockserver.engine.world import World, WorldRules
from mockserver.faults import all_faults
from mockserver.scenarios.expectations import check_expectations
from mockserver.scenarios.read import Scenario, read
from mockserver.spec.catalog import load_providers
from mockserver.spec.document import SpecError, SpecIssue
from mockserver.spec.loading import shortened

_FILTERS = ("count", "gap", "after")
#: The beginning of a message about where or when; the place of the issue says it already.
_GROUP = re.compile(r"^(where|when)\.\w+:? ")


@dataclass(frozen=True, slots=True)
class ActiveScenario:
    """A scenario in force, and its rules."""

    scenario: Scenario
    started_ms: int
    rules: tuple[Rule, ...]

    def remove(self, world: World) -> None:
        """Remove its faults."""
        for rule in self.rules:
            if rule.id in world.faults.rules:
                world.faults.remove(rule.id)

    def record(self, world: World, records: Iterable[dict[str, Any]], now_ms: int) -> dict[str, Any]:
        """Describe its progress: the hits of each fault, and what was seen of each expectation."""
        roles: dict[str, str] = {
            operation.id: operation.role
            for state in world.providers.values()
            for operation in state.provider.operations.values()
        }
        return {
            "scenario": self.scenario.name,
            "summary": self.scenario.summary,
            "good_client": self.scenario.good_client,
            "started_at": iso_of(self.started_ms),
            "elapsed_s": (now_ms - self.started_ms) / 1000,
            "faults": [rule_record(rule) for rule in self.rules],
            "expect": check_expectations(self.scenario.expect, list(records), roles),
        }


def check_scenario(world: World, scenario: Scenario) -> None:
    """Check that every name in a scenario exists.

    Raises:
        SpecError: every issue, with its line.
    """
    faults: list[SpecIssue] = []
    valid: set[str] = set()
    for index, fault_request in enumerate(scenario.fault_requests):
        wrong = _fault_request_issues(world, scenario, index, _parts(world, fault_request), valid)
        # Values that are each valid may not be valid together.
        faults += wrong or _fault_request_issues(world, scenario, index, [(("with",), dict(fault_request))], valid)
    for index, expectation in enumerate(scenario.expect):
        for name in _FILTERS:
            faults += _filter_issues(world, scenario, ("expect", index, name), expectation.get(name, {}))
    for index, account in enumerate(scenario.accounts):
        place = ("accounts", index)
        state = world.providers.get(account["provider"])
        if state is None:
            message = f"must be one of {', '.join(world.providers)}; got {shortened(account['provider'])!r}"
            faults.append(scenario.fault((*place, "provider"), message))
            continue
        faults += [
            scenario.fault((*place, field), problem) for field, problem in account_issues(state.provider, account)
        ]
    if faults:
        raise SpecError(sorted(faults, key=lambda fault: fault.line or 0))


def _fault_request_issues(
    world: World,
    scenario: Scenario,
    index: int,
    parts: Iterable[tuple[tuple[str, ...], dict[str, Any]]],
    valid: set[str],
) -> list[SpecIssue]:
    """Report the invalid values of a timeline event; if the fault is unknown, only that. `valid` are parts checked."""
    faults = []
    for path, part in parts:
        text = repr(part)
        if text in valid:
            continue
        try:
            read_fault_request(world, part)
            valid.add(text)
        except InvalidFaultError as error:
            faults.append(scenario.fault(("timeline", index, *path), _GROUP.sub("", str(error))))
            if path == ("fault",):
                break
    return faults


def _parts(world: World, fault_request: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Split a fault request into one request for each value, with its path, so that each is checked by itself."""
    fault = {"fault": fault_request["fault"]}
    yield ("fault",), fault
    for name, value in fault_request["with"].items():
        yield ("with", name), {**fault, "with": {name: value}}
    provider = {name: value for name, value in fault_request["where"].items() if name == "provider"}
    for name, value in fault_request["where"].items():
        if name == "provider" or not provider or provider["provider"] in world.providers:
            yield ("where", name), {**fault, "where": {**provider, name: value}}
    for name, value in fault_request["when"].items():
        if name not in ("from_s", "until_s"):
            yield ("when", name), {**fault, "when": {name: value}}


def _filter_issues(
    world: World, scenario: Scenario, place: tuple[str | int, ...], given: Mapping[str, Any]
) -> list[SpecIssue]:
    """Report the names in a filter that do not exist: no record can match them."""
    wanted = given.get("provider")
    providers = [state.provider for name, state in world.providers.items() if wanted in (None, name)]
    known: dict[str, Iterable[str]] = {"provider": world.providers, "fault": all_faults()}
    if providers:
        known["operation"] = operation_names(providers)
        known["event"] = {name for each in providers for name in each.whole_lifecycle.names}
    return [
        scenario.fault((*place, name), f"must be one of {', '.join(sorted(values))}; got {shortened(given[name])!r}")
        for name, values in known.items()
        if name in given and given[name] not in values
    ]


def file_issues(path: Path) -> list[SpecIssue]:
    """Return the issues of a scenario file, for the built-in providers."""
    providers = load_providers()
    world = World(providers, Chance(0), WorldRules(), {provider.name: "http://localhost" for provider in providers})
    try:
        check_scenario(world, read(path))
    except SpecError as error:
        return error.issues
    return []


def activate(world: World, clock: Clock, scenario: Scenario, *, since_ms: int | None = None) -> ActiveScenario:
    """Put a scenario in force; its seconds count from now, or from `since_ms`."""
    if scenario.speed is not None and scenario.speed != clock.speed:
        clock.set_speed(scenario.speed)
    now_ms = clock.now_ms()
    for account in scenario.accounts:
        state = world.providers[account["provider"]]
        found = state.account(account.get("key") or state.provider.key.example, now_ms)
        apply_changes(state, found, account, now_ms)
    started_ms = now_ms if since_ms is None else since_ms
    rules = (world.faults.add(*read_fault_request(world, each), started_ms) for each in scenario.fault_requests)
    return ActiveScenario(scenario, started_ms, tuple(rules))
