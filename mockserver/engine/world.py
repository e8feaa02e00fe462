"""A world: providers, their state, one agenda, one seed. Requests and commands go in, outcomes come out.

Every entry takes `now_ms`; the world keeps no clock. It is not safe for threads: one thread owns it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import orjson

from mockserver.engine import task as tasks
from mockserver.engine.admission import Refused, admit
from mockserver.engine.callbacks import (
    Attempt,
    Delivery,
    EventQueue,
    TaskEnds,
    after_attempt,
    signature_of,
)
from mockserver.engine.context import Request, RequestContext
from mockserver.engine.faults import Fault, FaultDirectives, FaultTable, InvalidFaultError, Match, Rule, Schedule
from mockserver.engine.injection import change, facts_of_request, inject_into_callback, instead, rules_for, show
from mockserver.engine.operations import JSON, ROLES, Response, replace_task
from mockserver.engine.routes import NOWHERE, RouteMatch, allowed_methods
from mockserver.engine.state import ProviderRules, ProviderState
from mockserver.engine.task import ended
from mockserver.provider import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mockserver.chance import Chance
    from mockserver.engine.faults import Injection
    from mockserver.engine.targets import TargetMode
    from mockserver.engine.task import Task
    from mockserver.provider import ErrorAnswer, Provider

#: What a prompt holds that wishes for a fault, and the header that does.
TEST_VALUE = b"mock:"
FAULT_HEADER = "X-Mock-Fault"
#: The id of rules that are in force for one request only.
ASKED = "request"
#: Prompts with test values that are remembered.
TEST_VALUES_KEPT = 10_000
#: How long after a query has shown the end a callback comes that waited for that.
AFTER_POLL_MS = 1000

Command = Literal["hold", "release", "complete", "fail", "cancel"]


class UnknownReasonError(ValueError):
    """A task was to fail for a reason that its provider does not know."""


class NoSuchEndError(ValueError):
    """A task was to be cancelled at a provider that has no such state."""


@dataclass(frozen=True, slots=True)
class WorldRules:
    """What a user has set: for all providers, and for each."""

    targets: TargetMode = "loopback"
    providers: Mapping[str, ProviderRules] = field(default_factory=dict)


class World:
    """All state of one run. `base_urls` says under which address each provider is reached."""

    __slots__ = (
        "_asked",
        "_deliveries_made",
        "_held_back",
        "_noted",
        "chance",
        "directives",
        "event_queue",
        "faults",
        "finished",
        "providers",
        "rules",
        "under_way",
    )

    #: Deliveries that are over and still listed.
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
        self.faults = FaultTable(chance)
        self.directives = directives or FaultDirectives()
        #: The prompts whose test values are in the table, with the ids of their rules.
        self._noted: dict[tuple[str, str, str], list[str]] = {}
        self._held_back: dict[str, list[Delivery]] = {}
        #: How many requests of each account have asked for faults: each draws anew.
        self._asked: dict[str | None, int] = {}
        self.rules = rules
        self.providers = {
            provider.name: ProviderState(
                provider,
                chance,
                rules.providers.get(provider.name, ProviderRules()),
                rules.targets,
                base_urls[provider.name],
                self.faults,
            )
            for provider in providers
        }
        self.event_queue = EventQueue()
        self.finished: dict[str, Delivery] = {}
        self.under_way: dict[str, Delivery] = {}
        self._deliveries_made = 0

    # -- requests -------------------------------------------------------------------------------

    def may_fault(self, request: Request) -> bool:
        """Tell cheaply whether it is worth while to look for faults that a request is to meet."""
        headers = request.headers
        return bool(self.faults) or _may_hold_test_values(request) or FAULT_HEADER in headers or "Prefer" in headers

    def rules_for(self, state: ProviderState, match: RouteMatch, request: Request, now_ms: int) -> list[Rule]:
        """Return the rules that apply to a request: those of the table, then those that its headers ask for.

        Test values in its prompt are put in the table when they are first seen.
        """
        context = _context(state, match, request, now_ms)
        try:
            role = None if match.operation is None else match.operation.role
            if role == "submit" and _may_hold_test_values(request):
                self._note_test_values(context)
            asked = self.directives.in_headers(request.headers)
        except InvalidFaultError as error:
            return [Rule(ASKED, _NoSuchFault(str(error)), Match(), Schedule(), now_ms)]
        rules = rules_for(self.faults, context)
        if not asked:
            return rules
        # A client may send the header with everything: what cannot strike this request passes it by.
        fitting = [
            fault
            for fault in asked
            if (fault.roles is None or role in fault.roles) and (role == "submit" or "request" in fault.moments())
        ]
        for fault in fitting:
            if (problem := fault.problem(state.provider)) is not None:
                return [Rule(ASKED, _NoSuchFault(f"{fault.name}: {problem}"), Match(), Schedule(), now_ms)]
        return [*rules, *(Rule(ASKED, fault, Match(), Schedule(), now_ms) for fault in fitting)]

    def _note_test_values(self, context: RequestContext) -> None:
        """Add the rules that the test values in a prompt stand for: for this key, this provider and this prompt."""
        state = context.state
        match_context = facts_of_request(context)
        account_id = match_context.account_id
        for text in match_context.texts:
            if account_id is None or self._is_noted(place := (state.provider.name, account_id, text)):
                continue
            wanted = self.directives.in_prompt(text)
            for fault, _, _ in wanted:
                if (problem := fault.problem(state.provider)) is not None:
                    raise InvalidFaultError(f"{fault.name}: {problem}")
            self._noted[place] = [
                self.faults.add(
                    fault,
                    Match(state.provider.name, operation, account_id, text=text),
                    Schedule(times=times),
                    context.now_ms,
                ).id
                for fault, operation, times in wanted
            ]
            while len(self._noted) > TEST_VALUES_KEPT:
                for rule_id in self._noted.pop(next(iter(self._noted))):
                    with contextlib.suppress(KeyError):
                        self.faults.remove(rule_id)

    def _is_noted(self, place: tuple[str, str, str]) -> bool:
        """Tell whether a prompt's rules are in the table; where they were all taken away, the prompt asks anew."""
        ids = self._noted.get(place)
        if ids and not any(rule_id in self.faults.rules for rule_id in ids):
            del self._noted[place]
            return False
        return ids is not None

    def handle(
        self, state: ProviderState, match: RouteMatch, request: Request, now_ms: int, rules: Sequence[Rule] = ()
    ) -> Response:
        """Answer a request: the gates, then what the operation's role does; and what faults make of that."""
        context = _context(state, match, request, now_ms)
        response = self._struck(context, match, rules) if rules else self._answer(context, match)
        operation = context.operation
        response.headers = (*response.headers, (state.provider.request_id_header, context.request_id))
        if operation is not None:
            response.operation = operation.id
        if context.account is not None:
            response.account_id = context.account.id
        if context.task is not None and (
            context.task.account is context.account or (operation is not None and not operation.secured)
        ):
            response.task_id = context.task.id
        if state.task_faults and response.task_id is not None:
            response.faults = (*state.task_faults.get(response.task_id, ()), *response.faults)
        if (
            self._held_back
            and response.task_id in self._held_back
            and response.gate is None
            and operation is not None
            and operation.role == "query"
            and ended(state.tasks[response.task_id], now_ms)
        ):
            self._let_go(response.task_id, now_ms)
        return response

    def _answer(self, context: RequestContext, match: RouteMatch) -> Response:
        refusal = admit(context)
        operation = context.operation
        if not context.request_id:
            context.request_id = context.state.next_request_id(context.account, context.now_ms // 1000)
        if refusal is not None:
            return _refuse(context, refusal[0], refusal[1], match)
        assert operation is not None
        answer = ROLES[operation.role](context, operation, self.event_queue)
        if not isinstance(answer, Response):
            return _refuse(context, operation.role, answer, match)
        answer.callbacks_first = context.callbacks_first
        return answer

    def _struck(self, context: RequestContext, match: RouteMatch, rules: Sequence[Rule]) -> Response:
        """Answer a request that faults may touch: an answer in the engine's place, or the engine's, changed."""
        match_context = facts_of_request(context)
        self._number_asked(rules, match_context.account_id)
        injections = self.faults.injections(rules, match_context)
        context.request_id = context.state.next_request_id(context.account, context.now_ms // 1000)
        response = instead(injections, context)
        if response is None:
            context.account = context.task = context.body = None
            context.requested_rules = [rule for rule in rules if rule.id == ASKED]
            show(injections, context)
            response = self._answer(context, match)
        response = change(injections, context, response)
        names = (injection.fault.name for injection in injections if injection.applied and injection.fault.name)
        response.faults = tuple(dict.fromkeys(names))
        response.sends = tuple(
            injection
            for injection in injections
            if type(injection.fault).alter_transmission is not Fault.alter_transmission
        )
        return response

    def _number_asked(self, rules: Sequence[Rule], account_id: str | None) -> None:
        """Let what a request asks for draw otherwise than what the requests before it asked for."""
        asked = [rule for rule in rules if rule.id == ASKED]
        if not asked:
            return
        number = self._asked[account_id] = self._asked.get(account_id, -1) + 1
        for place, rule in enumerate(asked):
            rule.chance_name = f"{ASKED}/{number}/{place}"

    def _let_go(self, task_id: str, now_ms: int) -> None:
        """Send what waited for a query to show a task's end: a moment later."""
        for delivery in self._held_back.pop(task_id):
            if not delivery.attempts and delivery.due_ms > now_ms + AFTER_POLL_MS:
                delivery.due_ms = now_ms + AFTER_POLL_MS
                self.event_queue.put(delivery.due_ms, delivery)

    # -- what falls due -------------------------------------------------------------------------

    def next_due_ms(self) -> int | None:
        """Return when the next callback is to be attempted, if any is."""
        event_queue = self.event_queue
        while (head := event_queue.head()) is not None:
            due_ms, item = head
            if item.due_ms == due_ms if isinstance(item, Delivery) else self._still_ends(item) is not None:
                return due_ms
            event_queue.pop()
        return None

    @staticmethod
    def _still_ends(item: TaskEnds) -> Task | None:
        """Return the task, if nobody has changed its course since the item was put on the agenda."""
        current = item.state.tasks.get(item.task.id)
        return current if current is not None and current.revision == item.task.revision else None

    def pop_due(self, now_ms: int) -> tuple[int, Delivery] | None:
        """Take the next delivery whose instant has come, with that instant; accounts settle first."""
        event_queue = self.event_queue
        while (due_ms := event_queue.next_due_ms()) is not None and due_ms <= now_ms:
            _, item = event_queue.pop()
            if isinstance(item, Delivery):
                if item.due_ms == due_ms:
                    return due_ms, item
                continue
            current = self._still_ends(item)
            if current is not None:
                current.account.settle(due_ms)
                first, *others = self._deliveries(item, current) or (None,)
                if first is not None and not others and first.due_ms == due_ms:
                    return due_ms, first
                for delivery in (first, *others):
                    if delivery is not None:
                        event_queue.put(delivery.due_ms, delivery)
        return None

    def _deliveries(self, item: TaskEnds, task: Task) -> list[Delivery]:
        """Make the callback that tells of a task's end: its exact bytes, signed; and what faults make of it."""
        state = item.state
        rule = state.provider.callbacks
        assert rule is not None
        assert task.callback_url is not None
        context = RequestContext(state, task.ends_ms)
        context.task, context.body = task, task.body
        body = orjson.dumps(rule.events[task.end.name](context))
        headers = [("Content-Type", JSON), *rule.headers.items()]
        if rule.signature is not None:
            secret = task.account.secret or rule.signature.default_secret
            headers.append((rule.signature.header, signature_of(rule.signature, secret, body)))
        delivery = Delivery(
            id=self._next_delivery_id(),
            provider_state=state,
            rule=rule,
            task_id=task.id,
            event=task.end.name,
            url=task.callback_url,
            body=body,
            headers=tuple(headers),
            due_ms=task.ends_ms,
            account=task.account,
            faults=state.task_faults.get(task.id, ()),
        )
        deliveries = [delivery]
        if self.faults:
            context.account = task.account
            deliveries = inject_into_callback(self.faults, context, task, delivery)
        for each in deliveries:
            each.id = each.id or self._next_delivery_id()
            self.under_way[each.id] = each
            if each.awaits_query:
                self._held_back.setdefault(task.id, []).append(each)
        return deliveries

    def _next_delivery_id(self) -> str:
        self._deliveries_made += 1
        return f"dlv_{self._deliveries_made:06d}"

    def attempted(self, delivery: Delivery, attempt: Attempt) -> None:
        """Book how an attempt went; the next one, if there is one, goes on the agenda."""
        if delivery.awaits_query:
            self._no_longer_held_back(delivery)
        if after_attempt(delivery, attempt):
            self.event_queue.put(delivery.due_ms, delivery)
            return
        self.under_way.pop(delivery.id, None)
        self.finished[delivery.id] = delivery
        while len(self.finished) > self.FINISHED_KEPT:
            del self.finished[next(iter(self.finished))]

    def _no_longer_held_back(self, delivery: Delivery) -> None:
        """Forget a delivery that has waited for a query and been attempted, before one came or after."""
        held_back = self._held_back.get(delivery.task_id, ())
        left = [each for each in held_back if each is not delivery]
        if left:
            self._held_back[delivery.task_id] = left
        else:
            self._held_back.pop(delivery.task_id, None)

    def deliveries(self) -> list[Delivery]:
        """Return the deliveries that are over, then those that are being attempted or wait to be."""
        return [*self.finished.values(), *self.under_way.values()]

    def redeliver(self, delivery_id: str, now_ms: int) -> Delivery:
        """Send a finished delivery once more: the same bytes, a delivery of its own.

        Raises:
            KeyError: no finished delivery has this id.
        """
        old = self.finished[delivery_id]
        new = Delivery(
            id=self._next_delivery_id(),
            provider_state=old.provider_state,
            rule=old.rule,
            task_id=old.task_id,
            event=old.event,
            url=old.url,
            body=old.body,
            headers=old.headers,
            due_ms=now_ms,
            account=old.account,
        )
        self.under_way[new.id] = new
        self.event_queue.put(now_ms, new)
        return new

    # -- commands -------------------------------------------------------------------------------

    def find_task(self, task_id: str) -> tuple[ProviderState, Task]:
        """Find a task in any provider.

        Raises:
            KeyError: there is none with this id.
        """
        for state in self.providers.values():
            task = state.tasks.get(task_id)
            if task is not None:
                return state, task
        raise KeyError(task_id)

    def command(self, task_id: str, command: Command, now_ms: int, reason: str | None = None) -> Task:
        """Hold, release, complete, fail or cancel a task.

        Raises:
            KeyError: there is no such task.
            TaskEndedError: it has ended, and that is for ever.
            NotHeldError: it was to be released but is not held.
            UnknownReasonError: it was to fail for a reason that the provider does not know.
            NoSuchEndError: its provider has no state for what was cancelled.
        """
        state, task = self.find_task(task_id)
        lifecycle = state.provider.lifecycle
        if command == "hold":
            changed = tasks.hold(task, now_ms)
        elif command == "release":
            changed = tasks.release(task, now_ms)
        elif command == "complete":
            changed = tasks.end_now(task, now_ms, lifecycle.success, None)
        else:
            end = lifecycle.failure if command == "fail" else lifecycle.cancellation
            if end is None:
                raise NoSuchEndError(f"{state.provider.title} has no cancelled state")
            if reason is not None and reason not in end.reasons:
                known = ", ".join(end.reasons) or "none"
                raise UnknownReasonError(f"{state.provider.title} knows no reason {reason!r}; it knows: {known}")
            why = end.reasons[reason] if reason is not None else next(iter(end.reasons.values()), None)
            changed = tasks.end_now(task, now_ms, end, why)
        task.account.settle(now_ms)
        context = RequestContext(state, now_ms)
        return replace_task(context, task, changed, self.event_queue)


def _may_hold_test_values(request: Request) -> bool:
    """Tell cheaply whether a body may: as they are, in capitals, or as JSON may write their letters."""
    body = request.body.lower()
    return TEST_VALUE in body or b"\\u00" in body


def _context(state: ProviderState, match: RouteMatch, request: Request, now_ms: int) -> RequestContext:
    context = RequestContext(state, now_ms)
    context.request, (context.route, context.operation, context.path_values) = request, match
    return context


@dataclass(frozen=True)
class _NoSuchFault(Fault):
    """Words that were to name a fault, and name none: said so in the provider's shape."""

    message: str

    def replace_response(self, injection: Injection, context: RequestContext) -> Response:  # noqa: ARG002
        """Refuse the request."""
        refused = ("invalid_parameter", Problem(self.message))
        return _refuse(context, "fault", refused, NOWHERE)


def contrary_body(delivery: Delivery) -> bytes | None:
    """Write the callback of another end than the task's; None where the provider sends only one kind."""
    task = delivery.provider_state.tasks[delivery.task_id]
    lifecycle, events = delivery.provider_state.provider.lifecycle, delivery.rule.events
    end = lifecycle.failure if task.end.kind == "success" else lifecycle.success
    if end.name not in events:
        return None
    context = RequestContext(delivery.provider_state, task.ends_ms)
    reason = next(iter(end.reasons.values()), None)
    context.task, context.body = task._replace(end=end, reason=reason), task.body
    return orjson.dumps(events[end.name](context))


def _refuse(context: RequestContext, gate: str, refused: Refused, match: RouteMatch) -> Response:
    """Make the provider's answer to a refusal."""
    condition, problem = refused
    error = context.state.provider.refusals[condition]
    context.problem = problem
    response = error_response(context, error)
    response.gate = gate
    if condition == "unsupported_method" and match.route is not None:
        response.headers = (*response.headers, ("Allow", allowed_methods(match.route)))
    return response


def error_response(context: RequestContext, error: ErrorAnswer) -> Response:
    """Render one of the provider's errors for what is in scope."""
    context.error = error
    headers = error.headers
    problem = context.problem
    if error.retry_after:
        wait_ms = None if problem is None else problem.retry_after_ms
        seconds = -(-wait_ms // 1000) if wait_ms is not None else error.retry_after_s or 1
        headers = (*headers, ("Retry-After", str(max(1, seconds))))
    elif error.retry_after_s is not None:
        headers = (*headers, ("Retry-After", str(error.retry_after_s)))
    return Response(error.status, orjson.dumps(error.body(context)), headers=headers, error=error.name)
