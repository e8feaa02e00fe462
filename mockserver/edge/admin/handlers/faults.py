"""Faults: the catalogue, and the ones in force. Scenarios: the built-in ones, and the active one."""

from __future__ import annotations

from typing import Any

from mockserver.edge.access import RefusedError
from mockserver.edge.admin.api import AdminRequest, or_not_found
from mockserver.edge.rule_codec import catalogue, rule_record
from mockserver.scenarios.read import gallery, of_data, read
from mockserver.spec.document import SpecError

_ISSUES_SHOWN = 10


async def fault_catalog(_request: AdminRequest) -> Any:
    """List every fault."""
    return {"faults": catalogue()}


async def faults(request: AdminRequest) -> Any:
    """List the faults in force."""
    return {"faults": [rule_record(rule) for rule in request.runtime.world.faults.rules.values()]}


async def add_fault(request: AdminRequest) -> Any:
    """Add a fault."""
    return rule_record(request.runtime.add_fault(request.body))


async def remove_fault(request: AdminRequest) -> Any:
    """Remove a fault."""
    fault_id = request.parameters["fault_id"]
    with or_not_found("fault", fault_id):
        return rule_record(request.runtime.world.faults.remove(fault_id))


async def remove_faults(request: AdminRequest) -> Any:
    """Remove all faults."""
    request.runtime.world.faults.clear()
    return {"faults": []}


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
    """Reset, and start a scenario: a built-in one by its name, or the one in the body."""
    wanted = request.body["scenario"]
    try:
        if isinstance(wanted, str):
            with or_not_found("scenario", wanted):
                wanted = gallery()[wanted]
            await request.runtime.start_scenario(read(wanted))
        else:
            await request.runtime.start_scenario(of_data(wanted))
    except SpecError as error:
        first, more = error.issues[:_ISSUES_SHOWN], len(error.issues) - _ISSUES_SHOWN
        message = "\n".join([*map(str, first), *([f"and {more} more"] if more > 0 else [])])
        raise RefusedError(400, "invalid_body", message) from None
    return {"running": request.runtime.scenario_record()}


async def stop_scenario(request: AdminRequest) -> Any:
    """Stop the active scenario, and describe how it went."""
    record = request.runtime.scenario_record()
    request.runtime.stop_scenario()
    return {"stopped": record}
