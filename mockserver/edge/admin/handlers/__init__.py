"""The handlers of the control plane, one module for each noun; each has `HANDLERS`, by operationId.

server, clock, tasks, accounts, faults, scenarios, sessions, requests (the journal), callbacks. The live page
has its own in `edge/live`.
"""

from mockserver.edge.admin.handlers import (
    accounts,
    callbacks,
    clock,
    faults,
    requests,
    scenarios,
    server,
    sessions,
    tasks,
)

HANDLERS = {
    operation: handler
    for module in (server, clock, tasks, accounts, faults, scenarios, sessions, requests, callbacks)
    for operation, handler in module.HANDLERS.items()
}
