"""What the live page shows, as events: one snapshot, then only what has changed.

Events are worked out when a page asks; serving a request does no extra work for the page. While nothing
happens, a look costs the journal's last number. A page that is slow gets the newest records, and how many it
missed. `ChangeFeed` is the main type.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice, zip_longest
from typing import Any

from mockserver.edge.records import account_record, delivery_record, newest_tasks, provider_record, task_record
from mockserver.edge.rule_codec import rule_record
from mockserver.edge.runtime import Runtime
from mockserver.engine.accounts import Account
from mockserver.engine.admission import prompts_of
from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.state import ProviderState
from mockserver.engine.task import Task

Record = dict[str, Any]

TASKS_SHOWN = 60
ACCOUNTS_SHOWN = 60
DELIVERIES_SHOWN = 120
FAULTS_SHOWN = 100
RECORDS_AT_FIRST = 200
RECORDS_AT_ONCE = 100
_PROMPT_CHARACTERS = 200


class ChangeFeed:
    """What one page has been sent about a run; works out what has changed since."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._world: object = None
        self._clock: tuple[int, float] = (0, 0.0)
        self._seq = 0
        self._forgotten_seq = 0
        self._known: dict[str, _Known] = {}

    def events(self) -> Iterator[tuple[str, Record]]:
        """Give the events to send now; none if nothing has changed."""
        runtime = self.runtime
        journal = runtime.journal
        if self._world is not runtime.world:
            if self._world is not None:
                yield "reset", {"what": "all"}
            yield "snapshot", self._snapshot()
            return
        if self._forgotten_seq != journal.forgotten_seq:
            self._forgotten_seq = journal.forgotten_seq
            yield "reset", {"what": "journal"}
        changes = self._changes()
        clock = runtime.clock.now_ms(), runtime.clock.speed
        if changes or clock != self._clock:
            self._clock = clock
            yield "update", {"now_ms": clock[0], "speed": clock[1], **changes}

    def _snapshot(self) -> Record:
        runtime = self.runtime
        self._world = runtime.world
        self._forgotten_seq = runtime.journal.forgotten_seq
        self._seq = runtime.journal.last_seq
        self._clock = runtime.clock.now_ms(), runtime.clock.speed
        found = _current(runtime, self._clock[0])
        self._known = {kind: _Known(records) for kind, records in found.items()}
        return {
            "now_ms": self._clock[0],
            "speed": self._clock[1],
            "providers": [
                provider_record(state.provider, runtime.base_urls[name])
                for name, state in runtime.world.providers.items()
            ],
            **found,
            "records": runtime.journal.newest(RECORDS_AT_FIRST),
        }

    def _changes(self) -> Record:
        runtime = self.runtime
        out: Record = {}
        last_seq = runtime.journal.last_seq
        if last_seq != self._seq:
            out["records"] = runtime.journal.newest(RECORDS_AT_ONCE, self._seq)
            out["skipped"] = last_seq - self._seq - len(out["records"])
            self._seq = last_seq
        gone = {}
        for kind, records in _current(runtime, runtime.clock.now_ms()).items():
            known = self._known[kind]
            changed, away = known.compare(records)
            if changed:
                out[kind] = changed
            if away:
                gone[kind] = away
        if gone:
            out["gone"] = gone
        return out


class _Known:
    """The records of one kind that a page has, by id."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._by_id = {record["id"]: record for record in records}

    def compare(self, records: Iterable[Record]) -> tuple[list[Record], list[str]]:
        """Take the current records; return the changed fields, and the ids that are gone."""
        before, self._by_id = self._by_id, {record["id"]: record for record in records}
        changed = []
        for name, record in self._by_id.items():
            old = before.get(name)
            if old is None:
                changed.append(record)
            elif old != record:
                fields = {field: value for field, value in record.items() if old.get(field) != value}
                changed.append({"id": name, **fields})
        return changed, [name for name in before if name not in self._by_id]


def _current(runtime: Runtime, now_ms: int) -> dict[str, list[Record]]:
    """Return the newest tasks, accounts, deliveries and faults, oldest first."""
    world = runtime.world
    tasks = list(islice(newest_tasks(world.providers.values()), TASKS_SHOWN))
    return {
        "tasks": [_live_task(state, task, now_ms) for state, task in reversed(tasks)],
        "accounts": [account_record(*each, now_ms) for each in _newest_accounts(world.providers.values())],
        "deliveries": [delivery_record(each) for each in _newest_deliveries(world.finished, world.under_way)],
        "faults": [rule_record(rule) for rule in list(world.faults.rules.values())[-FAULTS_SHOWN:]],
    }


def _newest_accounts(providers: Iterable[ProviderState]) -> list[tuple[ProviderState, Account]]:
    """Return the newest accounts, evenly from each provider, oldest first."""
    each_newest_first = (
        [(state, account) for account in islice(reversed(state.accounts.values()), ACCOUNTS_SHOWN)]
        for state in providers
    )
    in_turns = chain.from_iterable(zip_longest(*each_newest_first))
    return [each for each in in_turns if each is not None][:ACCOUNTS_SHOWN][::-1]


def _newest_deliveries(*by_id: dict[str, Delivery]) -> list[Delivery]:
    newest = [each for deliveries in by_id for each in islice(reversed(deliveries.values()), DELIVERIES_SHOWN)]
    return sorted(newest, key=lambda each: (len(each.id), each.id))[-DELIVERIES_SHOWN:]


def _live_task(state: ProviderState, task: Task, now_ms: int) -> Record:
    """Describe a task without its request, which may be large: the page loads it on demand."""
    record = task_record(state, task, now_ms)
    del record["request"]
    return {**record, "prompt": _prompt(state, task), "course": state_history(task, now_ms)}


def _prompt(state: ProviderState, task: Task) -> str:
    context = RequestContext(state, task.submitted_ms)
    context.task, context.body = task, task.body
    if state.provider.content_policy is None:
        return ""
    return next(iter(prompts_of(context)), "")[:_PROMPT_CHARACTERS]


def state_history(task: Task, now_ms: int) -> list[Record]:
    """Return the states that a task has been in, each with its kind and the instant it was entered.

    The kinds are `waiting` (the first state), `working` (the states after it), `held`, and the kinds of an end:
    `success`, `failure`, `cancellation`.
    """
    held_ms = task.held_ms if task.held_ms is not None and task.held_ms <= now_ms else None
    seen_ms = now_ms if held_ms is None else held_ms
    until_ms = min(seen_ms, task.ends_ms)
    out = [
        {"state": state.name, "kind": "working" if number else "waiting", "from_ms": entered_ms}
        for number, (state, entered_ms) in enumerate(
            zip(task.model.states, (task.submitted_ms, *task.entered_ms), strict=True)
        )
        if entered_ms <= until_ms and entered_ms < max(task.ends_ms, task.submitted_ms + 1)
    ]
    if seen_ms >= task.ends_ms:
        out.append({"state": task.end.name, "kind": task.end.kind, "from_ms": task.ends_ms})
    elif held_ms is not None:
        out.append({"state": out[-1]["state"], "kind": "held", "from_ms": held_ms})
    return out
