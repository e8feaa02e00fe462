"""Faults: the catalogue, and the ones in force."""

from __future__ import annotations

from typing import Any

from mockserver.edge.admin.api import AdminRequest, not_found
from mockserver.edge.admin.auth import RefusedError
from mockserver.edge.rule_codec import catalogue, rule_record
from mockserver.engine.faults import InvalidFaultError


async def fault_catalog(_request: AdminRequest) -> Any:
    """List every fault there is."""
    return {"faults": catalogue()}


async def faults(request: AdminRequest) -> Any:
    """List the faults in force."""
    return {"faults": [rule_record(rule) for rule in request.runtime.world.faults.rules.values()]}


async def add_fault(request: AdminRequest) -> Any:
    """Add a fault."""
    try:
        return rule_record(request.runtime.add_fault(request.body))
    except InvalidFaultError as error:
        raise RefusedError(400, "invalid_body", str(error)) from None


async def remove_fault(request: AdminRequest) -> Any:
    """Remove a fault."""
    try:
        return rule_record(request.runtime.world.faults.remove(request.parameters["fault_id"]))
    except KeyError:
        raise not_found("fault", request.parameters["fault_id"]) from None


async def remove_faults(request: AdminRequest) -> Any:
    """Remove all faults."""
    request.runtime.world.faults.clear()
    return {"faults": []}


HANDLERS = {
    "faultCatalog": fault_catalog,
    "faults": faults,
    "addFault": add_fault,
    "removeFault": remove_fault,
    "removeFaults": remove_faults,
}
