"""A scenario in force: its accounts and faults put into a world, and what has come of its expectations."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mockserver.chance import Chance
from mockserver.clock import iso_of
from mockserver.edge.rule_codec import read_fault_request, rule_record
from mockserver.engine.faults import InvalidFaultError
from mockserver.engine.world import World, WorldRules
from mockserver.faults import all_faults
from mockserver.provider import UCR
from mockserver.scenarios import LIMITS, read
from mockserver.scenarios.expectations import judge
from mockserver.spec.catalog import load_providers
from mockserver.spec.document import SpecError, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from mockserver.clock import Clock
    from mockserver.engine.rules import Rule
    from mockserver.engine.state import ProviderState
    from mockserver.scenarios import Scenario
    from mockserver.spec.document import SpecIssue

_FILTERS = ("count", "gap", "after")
#: What a complaint about where or when begins with; the place says it already.
_GROUP = re.compile(r"^(where|when)\.\w+:? ")


@dataclass(frozen=True, slots=True)
class ActiveScenario:
    """A scenario in force."""

    scenario: Scenario
    started_ms: int
    rules: tuple[Rule, ...]

    def remove(self, world: World) -> None:
        """Take its faults away."""
        for rule in self.rules:
            if rule.id in world.faults.rules:
                world.faults.remove(rule.id)

    def record(self, world: World, records: Iterable[dict[str, Any]], now_ms: int) -> dict[str, Any]:
        """Describe how it goes: the faults with their hits, and each expectation with what was seen."""
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
            "expect": judge(self.scenario.expect, list(records), roles),
        }


def check_scenario(world: World, scenario: Scenario) -> None:
    """See that everything that a scenario names is there.

    Raises:
        SpecError: with everything that is not, and the lines.
    """
    faults = []
    for index, fault_request in enumerate(scenario.fault_requests):
        wrong = _fault_request_issues(world, scenario, index, _parts(world, fault_request))
        # Words that are each good by themselves may not go together.
        faults += wrong or _fault_request_issues(world, scenario, index, [(("with",), dict(fault_request))])
    for index, expectation in enumerate(scenario.expect):
        for name in _FILTERS:
            faults += _filter_issues(world, scenario, ("expect", index, name), expectation.get(name, {}))
    for index, account in enumerate(scenario.accounts):
        place = ("accounts", index)
        state = world.providers.get(account["provider"])
        if state is None:
            what, known = f"{shortened(account['provider'])!r} is not served", ", ".join(world.providers)
            faults.append(scenario.fault((*place, "provider"), what, f"there are {known}"))
            continue
        rule, plans = state.provider.key, state.provider.plans
        if "key" in account and not rule.well_formed(account["key"]):
            faults.append(scenario.fault((*place, "key"), "is not well-formed at this provider", f"as {rule.example}"))
        if "plan" in account and account["plan"] not in plans:
            what, known = f"there is no plan {shortened(account['plan'])!r}", ", ".join(plans)
            faults.append(scenario.fault((*place, "plan"), what, f"there are {known}"))
    if faults:
        raise SpecError(sorted(faults, key=lambda fault: fault.line or 0))


def _fault_request_issues(
    world: World, scenario: Scenario, index: int, parts: Iterable[tuple[tuple[str, ...], dict[str, Any]]]
) -> list[SpecIssue]:
    """Say what means nothing in an event of the time line; of one that names no fault, only that."""
    faults = []
    for word, part in parts:
        try:
            read_fault_request(world, part)
        except InvalidFaultError as error:
            faults.append(scenario.fault(("timeline", index, *word), _GROUP.sub("", str(error))))
            if word == ("fault",):
                break
    return faults


def _parts(world: World, fault_request: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Take a wish apart, so that each word can be judged by itself: where it stands, and a wish with nothing else."""
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
    """Say what names nothing in a filter: no record would ever agree with it."""
    wanted = given.get("provider")
    providers = [state.provider for name, state in world.providers.items() if wanted in (None, name)]
    known: dict[str, Iterable[str]] = {"provider": world.providers, "fault": all_faults()}
    if providers:
        known["operation"] = {
            word for each in providers for op in each.operations.values() for word in (op.id, op.role)
        }
        known["event"] = {end for each in providers for end in each.lifecycle.ends}
    return [
        scenario.fault(
            (*place, word), f"there is no {shortened(given[word])!r}", f"there are {', '.join(sorted(values))}"
        )
        for word, values in known.items()
        if word in given and given[word] not in values
    ]


def file_issues(path: Path) -> list[SpecIssue]:
    """Return what is wrong with a scenario's file, for the providers that come with the package."""
    providers = load_providers()
    world = World(providers, Chance(0), WorldRules(), {provider.name: "http://localhost" for provider in providers})
    try:
        check_scenario(world, read(path))
    except SpecError as error:
        return error.issues
    return []


def stage(world: World, clock: Clock, scenario: Scenario, *, since_ms: int | None = None) -> ActiveScenario:
    """Put a scenario in force; its seconds count from now, or from when its predecessor began."""
    if scenario.speed is not None and scenario.speed != clock.speed:
        clock.set_speed(scenario.speed)
    now_ms = clock.now_ms()
    for account in scenario.accounts:
        _open(world.providers[account["provider"]], account, now_ms)
    started_ms = now_ms if since_ms is None else since_ms
    rules = [
        world.faults.add(*read_fault_request(world, fault_request), started_ms)
        for fault_request in scenario.fault_requests
    ]
    return ActiveScenario(scenario, started_ms, tuple(rules))


def _open(state: ProviderState, wanted: Mapping[str, Any], now_ms: int) -> None:
    account = state.account(wanted.get("key") or state.provider.key.example, now_ms)
    plan = state.provider.plans[wanted["plan"]] if "plan" in wanted else account.plan
    account.plan = replace(plan, **{name: wanted[name] for name in LIMITS if name in wanted})
    if "available_credits" in wanted:
        account.settle(now_ms)
        account.grant(round(wanted["available_credits"] * UCR) - account.available_ucr, now_ms)
    if "secret" in wanted:
        account.change_secret(wanted["secret"])
    account.revoked = wanted.get("revoked", account.revoked)
