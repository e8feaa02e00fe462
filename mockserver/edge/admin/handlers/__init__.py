"""The handlers of the control plane: the coroutine `open_account` handles the operation `openAccount`.

server    health, clock, sessions, the journal
tasks     tasks, accounts, callbacks
faults    faults and scenarios

The handlers of the live page are in `edge/live`.
"""

import re
from inspect import iscoroutinefunction

from mockserver.edge.admin.handlers import faults, server, tasks

HANDLERS = tasks.COMMANDS | {
    re.sub("_(.)", lambda found: found[1].upper(), name): handler
    for module in (server, tasks, faults)
    for name, handler in vars(module).items()
    if iscoroutinefunction(handler) and not name.startswith("_")
}
