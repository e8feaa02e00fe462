"""The world: all providers' state, one event queue, one seed. Requests go in, outcomes come out.

Every function takes `now_ms`; the world has no clock. It is not thread-safe: one thread owns it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from mockserver.chance import Chance
from mockserver.engine.admission import admit, gates_of
from mockserver.engine.callbacks import (
    Attempt,
    Delivery,
    EventQueue,
    HeldBack,
    TaskEnds,
    TaskEnters,
    Watch,
    after_attempt,
)
from mockserver.engine.client_time import ClientTime
from mockserver.engine.context import RequestContext
from mockserver.engine.course import Recording
from mockserver.engine.deletion import delete
from mockserver.engine.faults import Fault, FaultDirectives, Injection
from mockserver.engine.idempotency import keep_answer, kept_response
from mockserver.engine.injection import (
    RuleFinder,
    TaskInjector,
    alter_deliveries,
    alter_response,
    alter_view,
    replaced_response,
)
from mockserver.engine.keeping import EVICTED_HEADER, Bounds, Shelf
from mockserver.engine.messages import Request, Response
from mockserver.engine.operations import ROLES, Booked, submit
from mockserver.engine.render import (
    operation_response,
    refusal_response,
    rendered_deliveries,
    stage_delivery,
    task_context,
)
from mockserver.engine.replay import Replay
from mockserver.engine.routes import RouteMatch
from mockserver.engine.rules import RuleTable
from mockserver.engine.stages import still_enters
from mockserver.engine.state import ProviderState
from mockserver.engine.task import Task, ended
from mockserver.engine.watching import Following, Watches, streaming, wait_ms, waiting
from mockserver.provider import Problem, Provider, ProviderRules, TargetMode

_ROLES = {**ROLES, "delete": delete}


@dataclass(frozen=True, slots=True)
class WorldRules:
    """What a user has set: for all providers, and for each."""

    targets: TargetMode = "loopback"
    providers: Mapping[str, ProviderRules] = field(default_factory=dict)
    keeps_tasks: Bounds = field(default_factory=Bounds)
    keeps_uploads: Bounds = field(default_factory=Bounds)
    #: What is replayed, by provider.
    recordings: Mapping[str, Recording] = field(default_factory=dict)


class Outcome(NamedTuple):
    """What a request leads to: its response, and the effects that the edge is to perform."""

    response: Response
    #: Something was booked to fall due: the callback dispatcher has to look at the queue.
    books_callbacks: bool = False
    #: The task's callback is delivered before the response is sent.
    delivers_first: bool = False
    #: The faults that may still change how the response is sent.
    injections: tuple[Injection, ...] = ()
    #: The request stays open, and follows its task.
    follows: Following | None = None


class World:
    """All state of one run. `base_urls` are the URLs at which the providers are reached."""

    __slots__ = (
        "__weakref__",
        "_deliveries_made",
        "_finder",
        "_gates",
        "_held_back",
        "_replays",
        "chance",
        "event_queue",
        "evicted",
        "faults",
        "finished",
        "providers",
        "rules",
        "under_way",
        "watches",
    )

    #: Finished deliveries that are still listed.
    FINISHED_KEPT = 10_000

    def __init__(
        self,
        providers: Iterable[Provider],
        chance: Chance,
        rules: WorldRules,
        base_urls: Mapping[str, str],
        directives: FaultDirectives | None = None,
    ) -> None:
        self.chance = chance
        self.faults = RuleTable(chance)
        self._finder = RuleFinder(self.faults, directives or FaultDirectives())
        self._held_back = HeldBack()
        self.rules = rules
        self.providers: dict[str, ProviderState] = {}
        self._gates = {}
        shelves = Shelf("task", rules.keeps_tasks), Shelf("upload", rules.keeps_uploads)
        for provider in providers:
            name = provider.name
            provider_rules = rules.providers.get(name, ProviderRules())
            self.providers[name] = ProviderState(
                provider, chance, provider_rules, rules.targets, base_urls[name], *shelves
            )
            self._gates[name] = gates_of(provider)
        self._replays = {
            name: Replay(state, rules.recordings[name])
            for name, state in self.providers.items()
            if name in rules.recordings
        }
        self.event_queue = EventQueue()
        self.watches = Watches(self.providers, self.event_queue)
        self.finished: dict[str, Delivery] = {}
        self.under_way: dict[str, Delivery] = {}
        self._deliveries_made = 0
        #: What was evicted to make room for this world, in words; its first answer says so.
        self.evicted = ""

    def find_task(self, task_id: str) -> tuple[ProviderState, Task]:
        """Find a task in any provider.

        Raises:
            KeyError: no task has this id.
        """
        for state in self.providers.values():
            task = state.tasks.get(task_id)
            if task is not None:
                return state, task
        raise KeyError(task_id)

    # -- requests -------------------------------------------------------------------------------

    def handle(
        self, state: ProviderState, match: RouteMatch, request: Request, now_ms: int, client: ClientTime | None = None
    ) -> Outcome:
        """Handle a request: the gates, then the operation; faults may change both, and the response.

        The client's clock is given where it runs differently from mock time.
        """
        context = RequestContext(state, now_ms)
        context.client = client
        context.request, (context.route, context.operation, context.path_values) = request, match
        booked: Booked = []
        if self._finder.may_find(request):
            outcome = self._handle_with_faults(context, booked)
        else:
            outcome = Outcome(self._respond(context, booked), bool(booked))
        if self.evicted:
            context.evicted, self.evicted = self.evicted, ""
        _add_facts(context, outcome.response)
        operation = match.operation
        if operation is not None and (operation.wait is not None or operation.stream is not None):
            outcome = outcome._replace(follows=outcome.follows or _followed(context, outcome.response, ()))
        for due_ms, item in booked:
            self.event_queue.put(due_ms, item)
        task_id = outcome.response.task_id
        if self._held_back and task_id in self._held_back and _shows_end(context, outcome.response):
            for delivery in self._held_back.released(task_id, now_ms):
                self.event_queue.put(delivery.due_ms, delivery)
            return outcome._replace(books_callbacks=True)
        return outcome

    def _respond(self, context: RequestContext, booked: Booked, injector: TaskInjector | None = None) -> Response:
        state, operation = context.state, context.operation
        refusal = admit(context, self._gates[state.provider.name])
        if not context.request_id:
            context.request_id = state.next_request_id(context.account, context.now_ms // 1000)
        if refusal is not None:
            return refusal_response(context, *refusal) if context.kept_answer is None else kept_response(context)
        assert operation is not None
        role = operation.role
        if role == "submit":
            replay = self._replays.get(state.provider.name) if self._replays else None
            answer = submit(context, operation, booked, injector, replay)
            keep_answer(context, answer)
        else:
            answer = _ROLES[role](context, operation, booked)
        return answer if isinstance(answer, Response) else refusal_response(context, role, answer)

    def _handle_with_faults(self, context: RequestContext, booked: Booked) -> Outcome:
        """Handle a request that faults may change."""
        rules, requested, facts, problem = self._finder.find(context)
        if problem is not None or rules:
            context.request_id = context.state.next_request_id(context.account, context.now_ms // 1000)
        if problem is not None:
            return Outcome(refusal_response(context, "fault", ("invalid_parameter", Problem(problem))))
        if not rules and (context.operation is None or context.operation.role != "submit"):
            context.task = context.body = context.inputs = None  # the gates work them out
            return Outcome(self._respond(context, booked), bool(booked))
        injections = [] if facts is None else self.faults.injections(rules, facts)
        response = replaced_response(injections, context)
        injector = TaskInjector(self.faults, requested)
        if response is None:
            context.task = context.body = context.inputs = None  # the gates work them out
            alter_view(injections, context)
            response = self._respond(context, booked, injector)
        follows = _followed(context, response, injections)
        if follows is None:
            response = alter_response(injections, context, response)
        names = (injection.fault.name for injection in injections if injection.applied)
        response.faults = tuple(dict.fromkeys(names))
        sending = tuple(
            each for each in injections if type(each.fault).alter_transmission is not Fault.alter_transmission
        )
        return Outcome(response, bool(booked), injector.delivers_first, sending, follows)

    # -- what falls due -------------------------------------------------------------------------

    def next_due_ms(self) -> int | None:
        """Return when the next callback is to be attempted, if any is."""
        event_queue = self.event_queue
        while (head := event_queue.head()) is not None:
            due_ms, item = head
            if isinstance(item, Delivery | Watch):
                is_due = item.due_ms == due_ms
            else:
                is_due = _still_due(self.providers, item) is not None
            if is_due:
                return due_ms
            event_queue.pop()
        return None

    def pop_due(self, now_ms: int) -> tuple[int, Delivery] | None:
        """Remove and return the next delivery that is due, with its instant; accounts settle first."""
        event_queue = self.event_queue
        while (head := event_queue.head()) is not None and head[0] <= now_ms:
            due_ms, item = event_queue.pop()
            if isinstance(item, Delivery):
                if item.due_ms == due_ms:
                    return due_ms, item
                continue
            if isinstance(item, Watch):
                if item.due_ms == due_ms:
                    self.watches.look(item, due_ms)
                continue
            current = _still_due(self.providers, item)
            if current is not None:
                current.account.settle(due_ms)
                stage = item if isinstance(item, TaskEnters) else None
                first, *others = self._deliveries(self.providers[item.provider], current, stage) or (None,)
                if first is not None and not others and first.due_ms == due_ms:
                    return due_ms, first
                for delivery in (first, *others):
                    if delivery is not None:
                        event_queue.put(delivery.due_ms, delivery)
        return None

    def _deliveries(self, state: ProviderState, task: Task, stage: TaskEnters | None) -> list[Delivery]:
        """Make the callbacks of a task: that of its end or of a state, or the recorded ones; faults may change them."""
        context = task_context(state, task, None if stage is None else stage.at_ms)
        deliveries: list[Delivery] = []
        told = rendered_deliveries(context) if stage is None else [stage_delivery(context, stage.state, stage.at_ms)]
        for made in told:
            made.id = self._next_delivery_id()
            changed = [made]
            if self.faults:
                context.account = task.account
                changed = alter_deliveries(self.faults, context, task, made)
            deliveries += changed
        for each in deliveries:
            each.id = each.id or self._next_delivery_id()
            self.under_way[each.id] = each
            if each.awaits_query:
                self._held_back.add(each)
        return deliveries

    def _next_delivery_id(self) -> str:
        self._deliveries_made += 1
        return f"dlv_{self._deliveries_made:06d}"

    def attempted(self, delivery: Delivery, attempt: Attempt) -> None:
        """Record an attempt; book the next one, where another follows."""
        if delivery.awaits_query:
            self._held_back.drop(delivery)
        if after_attempt(delivery, attempt):
            self.event_queue.put(delivery.due_ms, delivery)
            return
        self.under_way.pop(delivery.id, None)
        self.finished[delivery.id] = delivery
        while len(self.finished) > self.FINISHED_KEPT:
            del self.finished[next(iter(self.finished))]

    def deliveries(self) -> list[Delivery]:
        """Return the finished deliveries, then those under way."""
        return [*self.finished.values(), *self.under_way.values()]

    def redeliver(self, delivery_id: str, now_ms: int) -> Delivery:
        """Send the bytes of a finished delivery again, as a new delivery.

        Raises:
            KeyError: no finished delivery has this id.
        """
        old = self.finished[delivery_id]
        new = replace(old, id=self._next_delivery_id(), due_ms=now_ms, state="waiting", attempts=[], faults=())
        new.lost = new.awaits_query = False
        new.commanded = True
        new.unheard = 0
        self.under_way[new.id] = new
        self.event_queue.put(now_ms, new)
        return new


def _tell_in_client_time(context: RequestContext, response: Response, client: ClientTime) -> None:
    """Let waits in the headers count the client's seconds; the journal has those of mock time beside them."""
    response.headers, mock_s = client.retold(response.headers, context.now_ms)
    if mock_s is not None:
        context.remark(retry_after_s=mock_s)


def _followed(context: RequestContext, response: Response, injections: Sequence[Injection]) -> Following | None:
    """Return what the request follows, if it stays open: faults change the answer that it gets in the end."""
    operation, task = context.operation, context.task
    if operation is None or task is None or response.gate is not None:
        return None
    if operation.stream is not None:
        return streaming(context, operation)
    if operation.wait is None or ended(task, context.now_ms) or not (wait := wait_ms(context, operation)):
        return None

    def answer() -> Response:
        made = alter_response(injections, context, operation_response(context, operation))
        names = (injection.fault.name for injection in injections if injection.applied)
        made.faults = tuple(dict.fromkeys(names))
        _add_facts(context, made)
        return made

    return waiting(context, context.now_ms + wait, answer)


def _still_due(providers: Mapping[str, ProviderState], item: TaskEnds | TaskEnters) -> Task | None:
    """Return the task, unless it was changed after the item was booked."""
    task = providers[item.provider].tasks.get(item.task_id)
    if isinstance(item, TaskEnters):
        return task if task is not None and still_enters(task, item) else None
    return task if task is not None and task.revision == item.revision else None


def _add_facts(context: RequestContext, response: Response) -> None:
    """Add the request id to a response, and the facts that the journal keeps."""
    if context.client is not None:
        _tell_in_client_time(context, response, context.client)
    state, operation, task = context.state, context.operation, context.task
    response.headers = (*response.headers, (state.provider.request_id_header, context.request_id))
    if context.evicted:
        response.headers = (*response.headers, (EVICTED_HEADER, context.evicted))
    if operation is not None:
        response.operation = operation.id
    if context.account is not None:
        response.account_id = context.account.id
        if context.account.own_plan:
            context.remark(own_plan=True)
    if task is not None and (task.account is context.account or (operation is not None and not operation.secured)):
        response.task_id = task.id
        if task.revision:
            context.remark(commanded=True)
    response.remarks = context.remarks
    if state.task_faults and response.task_id is not None:
        response.faults = (*state.task_faults.get(response.task_id, ()), *response.faults)


def _shows_end(context: RequestContext, response: Response) -> bool:
    """Tell whether a response has shown the client that a task has ended."""
    operation, task_id = context.operation, response.task_id
    return (
        response.gate is None
        and task_id is not None
        and operation is not None
        and operation.role == "query"
        and ended(context.state.tasks[task_id], context.now_ms)
    )
