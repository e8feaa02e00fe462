"""What the client of a server did, in a few lines: its tasks, the errors and faults it met, what it was kept from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from mockserver.edge.runtime import Runtime
from mockserver.edge.server import Server
from mockserver.engine.task import status_at

_NAMED = 10


def summary(server: Server, *, isolated: bool) -> Iterator[str]:
    """Yield the lines."""
    sessions = server.sessions
    runtimes = [server.runtime, *(each for name in sessions if (each := sessions.known(name)) is not None)]
    records = [record for runtime in runtimes for record in runtime.journal.records()]
    exchanges = [each for each in records if each["kind"] == "exchange" and each["gate"] != "proxy"]
    requests = len(exchanges) + sum(runtime.journal.crowded_out for runtime in runtimes)
    yield f"{requests or 'no'} request{'s' if requests > 1 else ''} reached the mock"
    if not requests and not isolated:
        yield "  a client that ignores the proxy of its environment reaches it with --isolate"
    yield from _line("tasks", map(str, _tasks(runtimes)))
    yield from _line("errors", _counted(_error(each) for each in exchanges if _is_error(each)))
    yield from _line("faults", _counted(name for each in records for name in each["faults"]))
    yield from _line("kept from", (_times(each.host, each.times) for each in server.kept_from))


def _line(what: str, items: Iterable[str]) -> Iterator[str]:
    named = list(items)
    if named:
        more = f", and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        yield f"  {what}: {', '.join(named[:_NAMED])}{more}"


def _tasks(runtimes: Iterable[Runtime]) -> Iterator[str]:
    """Yield how many tasks each provider has, by status."""
    found: dict[str, Counter[str]] = {}
    for runtime in runtimes:
        now_ms = runtime.clock.now_ms()
        for name, state in runtime.world.providers.items():
            found.setdefault(name, Counter()).update(status_at(task, now_ms).status for task in state.tasks.values())
    for name, statuses in found.items():
        if statuses:
            yield f"{name} {' and '.join(f'{count} {status}' for status, count in statuses.items())}"


def _is_error(record: dict[str, Any]) -> bool:
    """Tell whether a request was answered with an error; some providers do that with status 200."""
    if record["error"] is not None or record["gate"] is not None:
        return True
    response = record["response"]
    return response is not None and bool(response["status"] >= 400)


def _error(record: dict[str, Any]) -> str:
    response = record["response"]
    status = "no response" if response is None else str(response["status"])
    return " ".join(filter(None, (status, record["error"] or record["gate"])))


def _counted(names: Iterable[str]) -> Iterator[str]:
    """Yield each name with its number, the most frequent first."""
    return (_times(name, count) for name, count in Counter(names).most_common())


def _times(name: str, count: int) -> str:
    return name if count == 1 else f"{name} ({count} times)"
