"""A world: providers, their state, one agenda, one seed. Requests and commands go in, outcomes come out.

Every entry takes `now_ms`; the world keeps no clock. It is not safe for threads: one thread owns it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import orjson

from mockserver.engine import task as tasks
from mockserver.engine.admission import Refused, admit
from mockserver.engine.callbacks import (
    Agenda,
    Attempt,
    Delivery,
    TaskEnds,
    after_attempt,
    signature_of,
)
from mockserver.engine.operations import JSON, ROLES, Reply, replace_task
from mockserver.engine.routes import Match, allowed_methods
from mockserver.engine.scope import Call, Scope
from mockserver.engine.space import Space, SpaceRules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mockserver.chance import Chance
    from mockserver.engine.targets import TargetMode
    from mockserver.engine.task import Task
    from mockserver.provider import ErrorAnswer, Provider

Command = Literal["hold", "release", "complete", "fail", "cancel"]


class UnknownReasonError(ValueError):
    """A task was to fail for a reason that its provider does not know."""


class NoSuchEndError(ValueError):
    """A task was to be cancelled at a provider that has no such state."""


@dataclass(frozen=True, slots=True)
class WorldRules:
    """What a user has set: for all providers, and for each."""

    targets: TargetMode = "loopback"
    spaces: Mapping[str, SpaceRules] = field(default_factory=dict)


class World:
    """All state of one run. `base_urls` says under which address each provider is reached."""

    __slots__ = ("_deliveries_made", "agenda", "chance", "finished", "rules", "spaces", "under_way")

    #: Deliveries that are over and still listed.
    FINISHED_KEPT = 10_000

    def __init__(
        self,
        providers: Iterable[Provider],
        chance: Chance,
        rules: WorldRules,
        base_urls: Mapping[str, str],
    ) -> None:
        self.chance = chance
        self.rules = rules
        self.spaces = {
            provider.name: Space(
                provider,
                chance,
                rules.spaces.get(provider.name, SpaceRules()),
                rules.targets,
                base_urls[provider.name],
            )
            for provider in providers
        }
        self.agenda = Agenda()
        self.finished: dict[str, Delivery] = {}
        self.under_way: dict[str, Delivery] = {}
        self._deliveries_made = 0

    # -- requests -------------------------------------------------------------------------------

    def handle(self, space: Space, match: Match, call: Call, now_ms: int) -> Reply:
        """Answer a request: the gates, then what the operation's role does."""
        scope = Scope(space, now_ms)
        scope.call, (scope.route, scope.operation, scope.path_values) = call, match
        refusal = admit(scope)
        operation = scope.operation
        scope.request_id = space.next_request_id(scope.account, now_ms // 1000)
        if refusal is None:
            assert operation is not None
            answer = ROLES[operation.role](scope, operation, self.agenda)
            reply = answer if isinstance(answer, Reply) else _refuse(scope, operation.role, answer, match)
        else:
            reply = _refuse(scope, refusal[0], refusal[1], match)
        reply.headers = (*reply.headers, (space.provider.request_id_header, scope.request_id))
        if operation is not None:
            reply.operation = operation.id
        if scope.account is not None:
            reply.account_id = scope.account.id
        if scope.task is not None and scope.task.account is scope.account:
            reply.task_id = scope.task.id
        return reply

    # -- what falls due -------------------------------------------------------------------------

    def next_due_ms(self) -> int | None:
        """Return when the next callback is to be attempted, if any is."""
        agenda = self.agenda
        while (head := agenda.head()) is not None:
            if isinstance(head[1], Delivery) or self._still_ends(head[1]) is not None:
                return head[0]
            agenda.pop()
        return None

    @staticmethod
    def _still_ends(item: TaskEnds) -> Task | None:
        """Return the task, if nobody has changed its course since the item was put on the agenda."""
        current = item.space.tasks.get(item.task.id)
        return current if current is not None and current.revision == item.task.revision else None

    def pop_due(self, now_ms: int) -> tuple[int, Delivery] | None:
        """Take the next delivery whose instant has come, with that instant; accounts settle first."""
        agenda = self.agenda
        while (due_ms := agenda.next_due_ms()) is not None and due_ms <= now_ms:
            _, item = agenda.pop()
            if isinstance(item, Delivery):
                return due_ms, item
            current = self._still_ends(item)
            if current is not None:
                current.account.settle(due_ms)
                return due_ms, self._delivery(item, current)
        return None

    def _delivery(self, item: TaskEnds, task: Task) -> Delivery:
        """Make the callback that tells of a task's end: its exact bytes, signed."""
        space = item.space
        rule = space.provider.callbacks
        assert rule is not None
        assert task.callback_url is not None
        scope = Scope(space, task.ends_ms)
        scope.task, scope.body = task, task.body
        body = orjson.dumps(rule.events[task.end.name](scope))
        headers = [("Content-Type", JSON), *rule.headers.items()]
        if rule.signature is not None:
            secret = task.account.secret or rule.signature.default_secret
            headers.append((rule.signature.header, signature_of(rule.signature, secret, body)))
        delivery = Delivery(
            id=self._next_delivery_id(),
            space=space,
            rule=rule,
            task_id=task.id,
            event=task.end.name,
            url=task.callback_url,
            body=body,
            headers=tuple(headers),
            due_ms=task.ends_ms,
        )
        self.under_way[delivery.id] = delivery
        return delivery

    def _next_delivery_id(self) -> str:
        self._deliveries_made += 1
        return f"dlv_{self._deliveries_made:06d}"

    def attempted(self, delivery: Delivery, attempt: Attempt) -> None:
        """Book how an attempt went; the next one, if there is one, goes on the agenda."""
        if after_attempt(delivery, attempt):
            self.agenda.put(delivery.due_ms, delivery)
            return
        self.under_way.pop(delivery.id, None)
        self.finished[delivery.id] = delivery
        while len(self.finished) > self.FINISHED_KEPT:
            del self.finished[next(iter(self.finished))]

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
            space=old.space,
            rule=old.rule,
            task_id=old.task_id,
            event=old.event,
            url=old.url,
            body=old.body,
            headers=old.headers,
            due_ms=now_ms,
        )
        self.under_way[new.id] = new
        self.agenda.put(now_ms, new)
        return new

    # -- commands -------------------------------------------------------------------------------

    def find_task(self, task_id: str) -> tuple[Space, Task]:
        """Find a task in any provider.

        Raises:
            KeyError: there is none with this id.
        """
        for space in self.spaces.values():
            task = space.tasks.get(task_id)
            if task is not None:
                return space, task
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
        space, task = self.find_task(task_id)
        lifecycle = space.provider.lifecycle
        if command == "hold":
            changed = tasks.hold(task, now_ms)
        elif command == "release":
            changed = tasks.release(task, now_ms)
        elif command == "complete":
            changed = tasks.end_now(task, now_ms, lifecycle.success, None)
        else:
            end = lifecycle.failure if command == "fail" else lifecycle.cancellation
            if end is None:
                raise NoSuchEndError(f"{space.provider.title} has no cancelled state")
            if reason is not None and reason not in end.reasons:
                known = ", ".join(end.reasons) or "none"
                raise UnknownReasonError(f"{space.provider.title} knows no reason {reason!r}; it knows: {known}")
            why = end.reasons[reason] if reason is not None else next(iter(end.reasons.values()), None)
            changed = tasks.end_now(task, now_ms, end, why)
        task.account.settle(now_ms)
        scope = Scope(space, now_ms)
        return replace_task(scope, task, changed, self.agenda)


def _refuse(scope: Scope, gate: str, refused: Refused, match: Match) -> Reply:
    """Make the provider's answer to a refusal."""
    condition, problem = refused
    error = scope.space.provider.refusals[condition]
    scope.problem = problem
    reply = error_reply(scope, error)
    reply.gate = gate
    if condition == "unsupported_method" and match.route is not None:
        reply.headers = (*reply.headers, ("Allow", allowed_methods(match.route)))
    return reply


def error_reply(scope: Scope, error: ErrorAnswer) -> Reply:
    """Render one of the provider's errors for what is in scope."""
    scope.error = error
    headers = error.headers
    problem = scope.problem
    if error.retry_after:
        wait_ms = None if problem is None else problem.retry_after_ms
        seconds = -(-wait_ms // 1000) if wait_ms is not None else error.retry_after_s or 1
        headers = (*headers, ("Retry-After", str(max(1, seconds))))
    elif error.retry_after_s is not None:
        headers = (*headers, ("Retry-After", str(error.retry_after_s)))
    return Reply(error.status, orjson.dumps(error.body(scope)), headers=headers, error=error.name)
