"""The engine under random traffic: a state machine with the invariants of tasks, credits, limits and callbacks.

Every step is data, done by a `Driver`. At the end the whole run is done again in a new world, and then once for
each account alone: the answers must be the same bytes.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.engine import (
    ALL,
    OUTCOMES,
    RECEIVER,
    RUDE,
    START_MS,
    Client,
    changed_at,
    due_deliveries,
    keys_of,
    loads,
    new_world,
    pointer_of,
    providers,
    spec_of,
)

from mockserver.engine.callbacks import Attempt
from mockserver.engine.commands import NoSuchEndError, run_command
from mockserver.engine.context import RequestContext
from mockserver.engine.task import NotHeldError, TaskEndedError, TaskStatus, ended, status_at
from mockserver.provider import HOUR_MS, MINUTE_MS, UCR

if TYPE_CHECKING:
    from mockserver.engine.messages import Response
    from mockserver.engine.task import Task
    from mockserver.provider import Plan

pytestmark = pytest.mark.slow

WAITS_MS = (1, 1_000, 20_000, 60_000, 120_000, 3_600_000)
#: Requests a minute and an hour. Who has one limit has both: a log goes back only as far as its plan looks.
RATES = ((None, None), (1, 2), (2, 3), (3, 4), (2, 6))


class Step(NamedTuple):
    """One thing that happens: what, to which account (None: no account), when."""

    kind: str
    who: int | None
    now_ms: int
    args: tuple[Any, ...] = ()


class ChangeFeed(NamedTuple):
    """A callback as it left."""

    who: int
    task_id: str
    event: str
    url: str
    body: bytes
    headers: tuple[tuple[str, str], ...]
    due_ms: int
    attempt: int
    settled: bool


class Driver:
    """Does steps in a separate world."""

    def __init__(self, seed: int, accounts: tuple[tuple[str, str], ...]) -> None:
        self.world = new_world(seed=seed)
        self.clients = [Client(self.world, name, key) for name, key in accounts]
        for client in self.clients:
            assert client.account.tasks == []

    def do(self, step: Step) -> Any:
        """Do a step; return everything that can be seen of it, as a value."""
        client = self.clients[step.who or 0]
        return getattr(self, f"_{step.kind}")(client, step.now_ms, *step.args)

    def _submit(self, client: Client, now_ms: int, content: bytes) -> Any:
        operation = client.operation("submit")
        return _seen(client.send(operation.method, operation.path, now_ms, body=content))

    def _query(self, client: Client, now_ms: int, task_id: str) -> Any:
        return _seen(client.query(task_id, now_ms))

    def _cancel(self, client: Client, now_ms: int, task_id: str) -> Any:
        return _seen(client.cancel(task_id, now_ms))

    def _decoy(self, client: Client, now_ms: int) -> Any:
        return _seen(client.ask("decoy", now_ms, client.body()))

    def _noise(self, client: Client, now_ms: int) -> Any:
        client.send("GET", "/nowhere", now_ms)
        client.send("POST", client.operation("submit").path, now_ms, headers={})

    def _command(self, client: Client, now_ms: int, task_id: str, command: Any) -> Any:
        try:
            return run_command(self.world, task_id, command, now_ms)[6:12]
        except (TaskEndedError, NotHeldError, NoSuchEndError) as refused:
            return str(refused)

    def _plan(self, client: Client, now_ms: int, plan: Plan) -> Any:
        client.account.plan = plan

    def _credits(self, client: Client, now_ms: int, amount_ucr: int) -> Any:
        client.account.settle(now_ms)
        client.account.grant(max(amount_ucr, -client.account.available_ucr), now_ms)
        return client.account.available_ucr

    def _deliver(self, _client: Client, now_ms: int, outcome: Any) -> list[ChangeFeed]:
        out = []
        while (due := self.world.pop_due(now_ms)) is not None:
            due_ms, each = due
            owner = next(at for at, it in enumerate(self.clients) if each.task_id in it.account.tasks)
            number = len(each.attempts) + 1
            ledger = self.clients[owner].account.ledger
            settled = any(entry.task_id == each.task_id and entry.kind in ("settle", "refund") for entry in ledger)
            out.append(
                ChangeFeed(owner, each.task_id, each.event, each.url, each.body, each.headers, due_ms, number, settled)
            )
            self.world.attempted(each, Attempt(number, due_ms, outcome, None, ""))
        return out


def _seen(reply: Response) -> tuple[Any, ...]:
    return reply.status, reply.body, reply.headers, reply.gate, reply.error, reply.task_id, reply.account_id


@cache
def price_of(name: str, model: str) -> int:
    """Return what a model's example reserves."""
    client = Client(new_world(), name)
    return client.task(client.submit(START_MS, model=model).task_id).reserved_ucr


def model_pointer(client: Client) -> tuple[str, ...]:
    """Return where the submit body names its model."""
    operation = client.operation("submit")
    entry = spec_of(client.provider.name)["paths"][operation.path][operation.method.lower()]
    return pointer_of(entry["x-mock"]["model"])


@cache
def place_of(name: str, expression: str) -> tuple[str, ...] | None:
    """Find where a query's body has a fact."""
    operation = Client(new_world(), name).operation("query")
    body = spec_of(name)["paths"][operation.path][operation.method.lower()]["x-mock"]["reply"]["body"]

    def search(here: Any, path: tuple[str, ...]) -> tuple[str, ...] | None:
        if here == expression:
            return path
        below = here.items() if isinstance(here, dict) else ()
        return next((found for key, each in below if (found := search(each, (*path, key))) is not None), None)

    return search(body, ())


class EngineMachine(RuleBasedStateMachine):
    """Any traffic of a few accounts at two providers."""

    @initialize(
        seed=st.integers(0, 3),
        names=st.lists(st.sampled_from(ALL), min_size=2, max_size=2, unique=True),
    )
    def begin(self, seed: int, names: list[str]) -> None:
        """Open two accounts at each of two providers."""
        self.now_ms = START_MS
        self.seed = seed
        self.accounts = tuple((name, key) for name in names for key in keys_of(providers()[name])[:2])
        self.driver = Driver(seed, self.accounts)
        self.clients = self.driver.clients
        self.run: list[tuple[Step, Any]] = []
        #: The models that the engine is judged by.
        self.granted = [client.account.granted_ucr for client in self.clients]
        self.charged = [0 for _ in self.clients]
        self.counted: list[list[int]] = [[] for _ in self.clients]
        self.last: dict[str, TaskStatus] = {}
        self.last_words: dict[str, bytes] = {}
        self.told: dict[str, ChangeFeed] = {}

    # -- doing ----------------------------------------------------------------------------------

    def do(self, kind: str, who: int | None, *args: Any) -> Any:
        """Do a step and remember it."""
        step = Step(kind, who, self.now_ms, args)
        outcome = self.driver.do(step)
        self.run.append((step, outcome))
        return outcome

    def all_tasks(self) -> list[tuple[int, Task]]:
        """Return every task with the account that it belongs to."""
        return [
            (who, client.state.tasks[task_id])
            for who, client in enumerate(self.clients)
            for task_id in client.account.tasks
        ]

    def running(self, who: int) -> list[Task]:
        """Return the tasks of an account that have not ended."""
        return [task for each, task in self.all_tasks() if each == who and not ended(task, self.now_ms)]

    def spent(self, who: int) -> int:
        """Return what an account must have spent: its successes, and charges without a task."""
        tasks = [task for each, task in self.all_tasks() if each == who and ended(task, self.now_ms)]
        return self.charged[who] + sum(task.settles_ucr for task in tasks if task.end.kind == "success")

    def windows(self, who: int) -> list[tuple[int, int]]:
        """Return the limits of an account's plan, each with the length of its window."""
        plan = self.clients[who].account.plan
        windows = ((plan.requests_per_minute, MINUTE_MS), (plan.requests_per_hour, HOUR_MS))
        return [(limit, length_ms) for limit, length_ms in windows if limit is not None]

    def has_room(self, who: int) -> bool:
        """Tell whether the rate windows of an account let one more submit pass."""
        return all(
            sum(1 for at_ms in self.counted[who] if at_ms > self.now_ms - length_ms) < limit
            for limit, length_ms in self.windows(who)
        )

    def room_ms(self, who: int) -> list[int]:
        """Return when each full window lets one more submit pass."""
        counted = self.counted[who]
        return [counted[-limit] + length_ms for limit, length_ms in self.windows(who) if len(counted) >= limit]

    def expected_gate(self, who: int, fault: str | None, price_ucr: int) -> str | None:
        """Predict the gate that refuses a submit, from the models alone."""
        plan = self.clients[who].account.plan
        if not plan.api:
            return "plan"
        if not self.has_room(who):
            return "rate"
        if self.windows(who):
            self.counted[who].append(self.now_ms)
        if fault is not None:
            return fault
        running = self.running(who)
        if price_ucr > self.granted[who] - self.spent(who) - sum(task.reserved_ucr for task in running):
            return "credits"
        if plan.concurrent_tasks is not None and len(running) >= plan.concurrent_tasks:
            return "concurrency"
        return None

    # -- rules ----------------------------------------------------------------------------------

    @rule(
        who=st.integers(0, 3),
        pick=st.integers(0, 9),
        times=st.integers(1, 6),
        patient=st.booleans(),
        callback=st.booleans(),
        fault=st.sampled_from([None, None, None, "parse", "schema", "content_policy"]),
    )
    def submit(self, who: int, pick: int, times: int, patient: bool, callback: bool, fault: str | None) -> None:
        """Submit tasks, good ones or faulty; each answer is the one that the models foretell.

        Who is patient waits, when the rate limit strikes, until a millisecond before there is room, and then that one.
        """
        client = self.clients[who]
        model = list(client.provider.models)[pick % len(client.provider.models)]
        body = client.body(
            model,
            callback=RECEIVER if callback and client.provider.callbacks is not None else None,
            text=RUDE if fault == "content_policy" else None,
        )
        policy = client.provider.content_policy
        if fault == "schema":
            body = changed_at(body, model_pointer(client), [])
        elif fault == "content_policy" and not (policy is not None and policy.at_submit):
            fault = None
        content = b"{" if fault == "parse" else orjson.dumps(body)
        for _ in range(times):
            expected = self.expected_gate(who, fault, price_of(client.provider.name, model))
            before = len(client.account.tasks)
            status, _, _, gate, _, task_id, _ = self.do("submit", who, content)
            assert gate == expected
            assert len(client.account.tasks) == before + (gate is None)
            if gate is None:
                task = client.task(task_id)
                assert task.submitted_ms == self.now_ms
                assert status_at(task, self.now_ms).status == task.model.states[0].name
            else:
                assert 400 <= status < 600
            if gate == "rate" and patient:
                room_ms = max(self.room_ms(who))
                self.now_ms = room_ms - 1 if self.now_ms < room_ms - 1 else room_ms

    @precondition(lambda self: self.all_tasks())
    @rule(pick=st.integers(0, 99), asker=st.integers(0, 3))
    def query(self, pick: int, asker: int) -> None:
        """Query a task: two answers of one instant are the same bytes; to another key it does not exist."""
        who, task = self.all_tasks()[pick % len(self.all_tasks())]
        client = self.clients[who]
        allowed = client.account.plan.api
        first, second = self.do("query", who, task.id), self.do("query", who, task.id)
        if not allowed:
            assert (first[3], second[3]) == ("plan", "plan")
            return
        assert (first[0], first[1]) == (200, second[1])
        stands = status_at(task, self.now_ms)
        self.shows(client, first[1], "$task.status", stands.status)
        self.shows(client, first[1], "$task.progress", stands.progress)
        if stands.ended:
            assert self.last_words.setdefault(task.id, first[1]) == first[1]
        if asker != who and self.clients[asker].provider is client.provider and self.clients[asker].account.plan.api:
            stranger = self.do("query", asker, task.id)
            assert stranger[0] == 404
            assert stranger[5] is None

    @staticmethod
    def shows(client: Client, body: bytes, expression: str, value: Any) -> None:
        """Check that a query's body has a fact where the spec puts it."""
        place = place_of(client.provider.name, expression)
        if place is not None:
            found = orjson.loads(body)
            for key in place:
                found = found[key]
            assert found == value

    @precondition(lambda self: self.all_tasks())
    @rule(pick=st.integers(0, 99), command=st.sampled_from(["hold", "release", "complete", "fail", "cancel"]))
    def command(self, pick: int, command: str) -> None:
        """Give a command: an ended task is refused every one, any other keeps its standing or ends now."""
        who, task = self.all_tasks()[pick % len(self.all_tasks())]
        before, was_over = status_at(task, self.now_ms), ended(task, self.now_ms)
        outcome = self.do("command", who, task.id, command)
        after = self.clients[who].task(task.id)
        no_such_end = command == "cancel" and self.clients[who].provider.lifecycle.cancellation is None
        if was_over or no_such_end or (command == "release" and task.held_ms is None):
            assert isinstance(outcome, str)
            assert after == task
        elif command in ("hold", "release"):
            assert status_at(after, self.now_ms) == before
        else:
            assert ended(after, self.now_ms)
            assert (after.ends_ms, after.end.kind) == (
                self.now_ms,
                {"complete": "success", "fail": "failure", "cancel": "cancellation"}[command],
            )

    @precondition(lambda self: any(task.held_ms is not None for _, task in self.all_tasks()))
    @rule(pick=st.integers(0, 99))
    def release(self, pick: int) -> None:
        """Let a held task go on from where it stood."""
        held = [(who, task) for who, task in self.all_tasks() if task.held_ms is not None]
        who, task = held[pick % len(held)]
        before = status_at(task, self.now_ms)
        self.do("command", who, task.id, "release")
        assert status_at(self.clients[who].task(task.id), self.now_ms) == before

    @precondition(lambda self: any(client.has("cancel") and client.account.tasks for client in self.clients))
    @rule(pick=st.integers(0, 99))
    def cancel(self, pick: int) -> None:
        """Cancel over the API: it works exactly until the end."""
        those = [(who, task) for who, task in self.all_tasks() if self.clients[who].has("cancel")]
        who, task = those[pick % len(those)]
        was_over, allowed = ended(task, self.now_ms), self.clients[who].account.plan.api
        reply = self.do("cancel", who, task.id)
        if allowed:
            assert (reply[0] == 200) is not was_over
            assert reply[4] == ("over" if was_over else None)

    @rule(
        who=st.integers(0, 3),
        pick=st.integers(0, 9),
        rates=st.sampled_from(RATES),
        at_once=st.sampled_from([None, 1, 2, 3]),
    )
    def change_plan(self, who: int, pick: int, rates: tuple[int | None, int | None], at_once: int | None) -> None:
        """Put an account on another plan, with small limits that are soon met."""
        plans = list(self.clients[who].provider.plans.values())
        plan = replace(
            plans[pick % len(plans)],
            requests_per_minute=rates[0],
            requests_per_hour=rates[1],
            concurrent_tasks=at_once,
        )
        self.do("plan", who, plan)

    @rule(who=st.integers(0, 3), keep=st.sampled_from([0, 1, 10, 200, 10_000]))
    def change_credits(self, who: int, keep: int) -> None:
        """Grant or take credits, so that some are left for a few tasks, while others send invalid requests."""
        self.do("noise", None)
        client = self.clients[who]
        if client.has("decoy") and client.account.plan.api:
            account, tasks = client.account, list(client.account.tasks)
            available = self.granted[who] - self.spent(who) - sum(task.reserved_ucr for task in self.running(who))
            assert self.do("decoy", who)[0] >= 400
            self.charged[who] += min(available, client.operation("decoy").charges_ucr)
            assert account.tasks == tasks
        account = client.account
        account.settle(self.now_ms)
        amount_ucr = keep * UCR - account.available_ucr
        assert self.do("credits", who, amount_ucr) == keep * UCR
        self.granted[who] += amount_ucr

    @rule(wait_ms=st.sampled_from(WAITS_MS), outcome=st.sampled_from([None, *OUTCOMES]))
    def advance(self, wait_ms: int, outcome: str | None) -> None:
        """Let time pass, and perhaps deliver what has fallen due."""
        self.now_ms += wait_ms
        if outcome is not None:
            self.deliver(outcome)

    @precondition(lambda self: any(at_ms > self.now_ms for at_ms in self.borders()))
    @rule(pick=st.integers(0, 99), shift_ms=st.sampled_from([-1, 0, 1]), outcome=st.sampled_from([None, *OUTCOMES]))
    def advance_to_a_border(self, pick: int, shift_ms: int, outcome: str | None) -> None:
        """Let time pass until about the millisecond at which a task ends, or something leaves a rate window."""
        ahead = sorted({at_ms for at_ms in self.borders() if at_ms > self.now_ms})
        self.advance(ahead[pick % len(ahead)] + shift_ms - self.now_ms, outcome)

    def borders(self) -> list[int]:
        """Return the instants at which something changes by itself."""
        room_ms = [at_ms for who in range(len(self.clients)) for at_ms in self.room_ms(who)]
        return room_ms + [task.ends_ms for _, task in self.all_tasks()]

    def deliver(self, outcome: str) -> None:
        """Attempt every callback that is due: each tells of a task that has ended and been settled, once."""
        last_ms = 0
        for told in self.do("deliver", None, outcome):
            assert last_ms <= told.due_ms <= self.now_ms
            last_ms = told.due_ms
            client = self.clients[told.who]
            task = client.task(told.task_id)
            rule = client.provider.callbacks
            assert rule is not None
            assert (told.event, told.url) == (task.end.name, RECEIVER)
            assert ended(task, told.due_ms)
            assert told.settled
            if told.attempt == 1:
                assert told.task_id not in self.told
                assert told.due_ms == task.ends_ms
                self.told[told.task_id] = told
            else:
                assert told.attempt <= 1 + len(rule.retry_after_ms)
                first = self.told[told.task_id]
                assert (told.body, told.headers) == (first.body, first.headers)
        expected = {
            task.id
            for who, task in self.all_tasks()
            if task.callback_url is not None
            and ended(task, self.now_ms)
            and (callbacks := self.clients[who].provider.callbacks) is not None
            and task.end.name in callbacks.events
        }
        assert set(self.told) == expected

    # -- laws -----------------------------------------------------------------------------------

    @invariant()
    def lifecycles_go_forwards(self) -> None:
        """States come in their order, progress rises until a bad end, and an end is for ever."""
        for _, task in self.all_tasks():
            now, before = status_at(task, self.now_ms), self.last.get(task.id)
            order = [state.name for state in task.model.states]
            if before is not None:
                if before.ended:
                    assert now == before
                elif not now.ended:
                    assert order.index(now.status) >= order.index(before.status)
                if not now.ended or task.end.kind == "success":
                    assert now.progress >= before.progress
            if now.ended:
                assert now.status == task.end.name
            self.last[task.id] = now

    @invariant()
    def books_balance(self) -> None:
        """Granted is available, reserved and spent, none of them negative, and each what the tasks make it."""
        for who, client in enumerate(self.clients):
            account = client.account
            account.settle(self.now_ms)
            assert account.granted_ucr == self.granted[who]
            assert account.granted_ucr == account.available_ucr + account.reserved_ucr + account.spent_ucr
            assert min(account.available_ucr, account.reserved_ucr, account.spent_ucr) >= 0
            assert account.reserved_ucr == sum(task.reserved_ucr for task in self.running(who))
            assert account.spent_ucr == self.spent(who)
            assert account.running_tasks(self.now_ms) == len(self.running(who))

    @invariant()
    def answers_are_functions_of_time(self) -> None:
        """The answer to a query does not depend on earlier queries, or on who sent them."""
        for who, task in self.all_tasks():
            client = self.clients[who]
            if task.id in self.last_words:
                context = RequestContext(client.state, self.now_ms)
                context.set_task(task)
                context.body = task.body
                assert orjson.dumps(context.reply(client.operation("query").id)) == self.last_words[task.id]

    def teardown(self) -> None:
        """The same steps give the same bytes, and each account's steps do so alone."""
        if not hasattr(self, "run"):
            return
        self.now_ms += 30 * 24 * HOUR_MS
        self.deliver("acknowledged")
        self.lifecycles_go_forwards()
        self.books_balance()
        again = Driver(self.seed, self.accounts)
        assert [again.do(step) for step, _ in self.run] == [outcome for _, outcome in self.run]
        for who in range(len(self.accounts)):
            alone = Driver(self.seed, self.accounts)
            for step, outcome in self.run:
                if step.kind == "deliver":
                    assert alone.do(step) == [told for told in outcome if told.who == who]
                elif step.who == who:
                    assert alone.do(step) == outcome


def test_the_laws_hold_under_any_traffic() -> None:
    """Lifecycle, ledger, limits, callbacks and determinism hold in every generated run."""
    run_state_machine_as_test(EngineMachine, settings=settings(max_examples=90, stateful_step_count=50))


def test_a_long_quiet_life_ends_well() -> None:
    """Hundreds of tasks at every provider, left alone, all end in their success and tell of it once."""
    world = new_world()
    ends = {}
    for name in ALL:
        client = Client(world, name)
        client.set_plan(requests_per_minute=None, requests_per_hour=None, concurrent_tasks=None)
        client.account.grant(10**15, START_MS)
        for number in range(100):
            tells = RECEIVER if client.provider.callbacks is not None else None
            reply = client.submit(START_MS + 37 * number, callback=tells)
            task = client.task(reply.task_id)
            ends[task.id] = (task.ends_ms, tells)
    found = {delivery.task_id: due_ms for due_ms, delivery in due_deliveries(world, START_MS + HOUR_MS)}
    assert found == {task_id: ends_ms for task_id, (ends_ms, tells) in ends.items() if tells is not None}
    for name in ALL:
        client = Client(world, name)
        assert {status_at(client.task(each), START_MS + HOUR_MS).status for each in client.account.tasks} == {
            client.provider.lifecycle.success.name
        }
        assert loads(client.query(client.account.tasks[0], START_MS + HOUR_MS))
