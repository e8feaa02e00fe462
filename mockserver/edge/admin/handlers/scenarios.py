"""Scenarios: list the built-in ones, start and stop one."""

from __future__ import annotations

from typing import Any

from mockserver.edge.admin.api import AdminRequest, not_found
from mockserver.edge.admin.auth import RefusedError
from mockserver.scenarios.read import Scenario, gallery, of_data, read
from mockserver.spec.document import SpecError

_ISSUES_SHOWN = 10


async def scenarios(request: AdminRequest) -> Any:
    """List the built-in scenarios, and describe the active one."""
    return {
        "gallery": [
            {"name": name, "scenario": found.name, "summary": found.summary, "good_client": found.good_client}
            for name, path in gallery().items()
            for found in (read(path),)
        ],
        "running": request.runtime.scenario_record(),
    }


async def start_scenario(request: AdminRequest) -> Any:
    """Reset, and start a scenario."""
    try:
        await request.runtime.start_scenario(_wanted(request.body["scenario"]))
    except SpecError as error:
        first, more = error.issues[:_ISSUES_SHOWN], len(error.issues) - _ISSUES_SHOWN
        message = "\n".join([*map(str, first), *([f"and {more} more"] if more > 0 else [])])
        raise RefusedError(400, "invalid_body", message) from None
    return {"running": request.runtime.scenario_record()}


def _wanted(scenario: str | dict[str, Any]) -> Scenario:
    if not isinstance(scenario, str):
        return of_data(scenario)
    if scenario not in (known := gallery()):
        raise not_found("scenario", scenario)
    return read(known[scenario])


async def stop_scenario(request: AdminRequest) -> Any:
    """Stop the active scenario, and describe how it went."""
    record = request.runtime.scenario_record()
    request.runtime.stop_scenario()
    return {"stopped": record}


HANDLERS = {"scenarios": scenarios, "startScenario": start_scenario, "stopScenario": stop_scenario}
