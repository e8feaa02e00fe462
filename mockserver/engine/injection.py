"""Injection: finds the faults for a request, a new task or a callback, and applies them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from multidict import istr

from mockserver.engine.admission import key, presented_key, prompts_of
from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext, View
from mockserver.engine.faults import Fault, FaultDirectives, Injection, InvalidFaultError, MatchContext
from mockserver.engine.messages import Request, Response
from mockserver.engine.parsing import body_of
from mockserver.engine.rules import Match, Rule, RuleTable, Schedule
from mockserver.engine.task import Task

#: The start of a test value in a prompt, and the header that requests faults.
TEST_VALUE = b"mock:"
FAULT_HEADER = istr("X-Mock-Fault")
#: The prefix of the chance names of rules that apply to one request only, and their id.
REQUESTED = "request"
#: Prompts with test values that are remembered.
TEST_VALUES_KEPT = 10_000
_PREFER = istr("Prefer")
_BODY_ROLES = frozenset(("submit", "estimate", "decoy"))


def facts_of_request(context: RequestContext) -> MatchContext:
    """Find out what a request is about, before the gates have checked it.

    The account, the task and the body are set in the context, for faults that respond instead of the engine. A new
    key opens its account here as it would at its gate: ids and draws are then the same with faults and without.
    """
    state, operation, request = context.state, context.operation, context.request
    name = state.provider.name
    if operation is None:
        return MatchContext(name, context.now_ms, ())
    facts = MatchContext(name, context.now_ms, (operation.id, operation.role), request.path)
    if operation.secured:
        facts.key = presented_key(state.provider.key, request)
        if not request.oversized and not request.stalled:
            key(context)
        account = None if facts.key is None else state.accounts.get(facts.key)
        facts.account_id = None if account is None else account.id
    if operation.role in _BODY_ROLES:
        context.body = body_of(context)
        model = None if operation.model is None else operation.model(context)
        if isinstance(model, str):
            served = state.models.find(operation, model, context.body)
            facts.model = model if served is None else served.shape
        facts.texts = prompts_of(context)
        return facts
    if operation.names_task:
        context.body = body_of(context)
    task_id = context.path_values.get("task_id") if operation.task is None else operation.task(context)
    task = state.tasks.get(task_id) if isinstance(task_id, str) else None
    if task is not None and (not operation.secured or task.account is context.account):
        context.set_task(task)
        _add_task(facts, context, task)
    return facts


def _add_task(facts: MatchContext, context: RequestContext, task: Task) -> None:
    facts.task, facts.task_id, facts.model = task, task.id, task.model.shape
    facts.key, facts.account_id = task.account.key, task.account.id
    before, context.body = context.body, task.body
    facts.texts = prompts_of(context)
    context.body = before


class FoundRules(NamedTuple):
    """The rules that apply to a request, and its facts; `problem` says why its own fault request is invalid."""

    rules: Sequence[Rule]
    #: Those of the rules that the request itself contains.
    requested: Sequence[Rule]
    #: None where no rule applies and the facts were not needed.
    facts: MatchContext | None
    problem: str | None = None


_NO_RULES = FoundRules((), (), None)


class RuleFinder:
    """Finds the rules for requests: in the table, in test values of prompts, and in headers."""

    __slots__ = ("_directives", "_prompts", "_requested", "_table")

    def __init__(self, table: RuleTable, directives: FaultDirectives) -> None:
        self._table = table
        self._directives = directives
        #: The prompts whose test values are in the table, with the ids of their rules.
        self._prompts: dict[tuple[str, str, str], list[str]] = {}
        #: How many requests of each account have contained fault requests: each has separate draws.
        self._requested: dict[str | None, int] = {}

    def may_find(self, request: Request) -> bool:
        """Tell quickly whether there can be rules for a request."""
        return (
            bool(self._table.rules)
            or (bool(request.body) and _may_hold_test_values(request))
            or _may_request_faults(request)
        )

    def find(self, context: RequestContext) -> FoundRules:
        """Return the rules that apply to a request: those of the table, then those that its headers ask for.

        The test values in its prompt are added to the table when they are first seen.
        """
        table, now_ms, operation = self._table, context.now_ms, context.operation
        name = _remember_as(context)
        in_headers = _may_request_faults(context.request)
        rules = None if name is None else table.remembered(name, now_ms)
        if rules is not None and not rules and not in_headers:
            return _NO_RULES
        facts: MatchContext | None = None
        problem: str | None = None
        requested: list[Rule] = []
        try:
            if operation is not None and operation.role == "submit" and _may_hold_test_values(context.request):
                facts = facts_of_request(context)
                self._add_test_values(context, facts)
            if in_headers:
                requested = [Rule(REQUESTED, each, Match(), Schedule(), now_ms) for each in self._in_headers(context)]
        except InvalidFaultError as error:
            problem = str(error)
        if facts is None and (rules is None or rules or requested or problem):
            facts = facts_of_request(context)
        if rules is None and facts is not None:
            role = None if operation is None else operation.role
            rules = table.find("request", facts, role, None if facts.task is None else name)
        if facts is not None and (requested or problem):
            self._number(requested, facts.account_id)
        return FoundRules([*(rules or ()), *requested], requested, facts, problem)

    def _in_headers(self, context: RequestContext) -> list[Fault]:
        """Return the faults that the headers ask for; a client may send them with requests that a fault is not for."""
        provider, operation = context.state.provider, context.operation
        role = None if operation is None else operation.role
        fitting = [
            fault
            for fault in self._directives.in_headers(context.request.headers)
            if (fault.roles is None or role in fault.roles) and (role == "submit" or "request" in fault.moments())
        ]
        for fault in fitting:
            if (problem := fault.problem(provider)) is not None:
                raise InvalidFaultError(f"{fault.name}: {problem}")
        return fitting

    def _number(self, requested: Sequence[Rule], account_id: str | None) -> None:
        """Give the rules of a request's fault requests separate draws."""
        number = self._requested[account_id] = self._requested.get(account_id, -1) + 1
        for place, rule in enumerate(requested):
            rule.chance_name = f"{REQUESTED}/{number}/{place}"

    def _add_test_values(self, context: RequestContext, facts: MatchContext) -> None:
        """Add the rules of the test values in a prompt: for this key, this provider and this prompt."""
        provider, account_id, table = context.state.provider, facts.account_id, self._table
        for text in facts.texts:
            if account_id is None or self._is_known(prompt := (provider.name, account_id, text)):
                continue
            wanted = self._directives.in_prompt(text)
            for fault, _, _ in wanted:
                if (problem := fault.problem(provider)) is not None:
                    raise InvalidFaultError(f"{fault.name}: {problem}")
            self._prompts[prompt] = [
                table.add(
                    fault, Match(provider.name, operation, account_id, text=text), Schedule(times=times), context.now_ms
                ).id
                for fault, operation, times in wanted
            ]
            while len(self._prompts) > TEST_VALUES_KEPT:
                for rule_id in self._prompts.pop(next(iter(self._prompts))):
                    with contextlib.suppress(KeyError):
                        table.remove(rule_id)

    def _is_known(self, prompt: tuple[str, str, str]) -> bool:
        """Tell whether a prompt's rules are in the table; where all were removed, they are added again."""
        ids = self._prompts.get(prompt)
        if ids and not any(rule_id in self._table.rules for rule_id in ids):
            del self._prompts[prompt]
            return False
        return ids is not None


def _may_request_faults(request: Request) -> bool:
    """Tell quickly whether the headers may request faults."""
    return FAULT_HEADER in request.headers or _PREFER in request.headers


def _may_hold_test_values(request: Request) -> bool:
    """Tell quickly whether a body may contain test values: as they are, in capitals, or with JSON escapes."""
    body = request.body.lower()
    return TEST_VALUE in body or b"\\u00" in body


def _remember_as(context: RequestContext) -> object:
    """Return the name to remember the rules of a request under: all that rules match on, for requests about a task."""
    operation, request = context.operation, context.request
    if operation is None or operation.role in _BODY_ROLES:
        return None
    provider = context.state.provider
    key_text = request.headers.get(provider.key.header)
    return provider.name, operation.id, request.path, request.query_string, key_text


def replaced_response(injections: Iterable[Injection], context: RequestContext) -> Response | None:
    """Return the first response that a fault gives instead of the engine's."""
    for injection in injections:
        response = injection.fault.replace_response(injection, context)
        if response is not None:
            injection.mark_applied()
            return response
    return None


def alter_view(injections: Iterable[Injection], context: RequestContext) -> None:
    """Let faults change how the response shows tasks."""
    for injection in injections:
        context.view = injection.fault.alter_view(injection, context, context.view or View()) or context.view


def alter_response(injections: Iterable[Injection], context: RequestContext, response: Response) -> Response:
    """Let faults change a response."""
    for injection in injections:
        changed = injection.fault.alter_response(injection, context, response)
        if changed is not None:
            injection.mark_applied()
            response = changed
    return response


class TaskInjector:
    """Lets faults change the task that a submit makes: those of the table, then those that the submit asks for."""

    __slots__ = ("_requested", "_table", "delivers_first")

    def __init__(self, table: RuleTable, requested: Sequence[Rule]) -> None:
        self._table = table
        self._requested = requested
        #: The task's callback is to be delivered before the submit is answered.
        self.delivers_first = False

    def inject(self, context: RequestContext, task: Task) -> Task:
        """Return the task as the faults have changed it."""
        state, operation, table = context.state, context.operation, self._table
        names = () if operation is None else (operation.id, operation.role)
        facts = MatchContext(state.provider.name, context.now_ms, names)
        _add_task(facts, context, task)
        applied: dict[str, None] = {}
        for injection in table.injections([*table.find("task", facts, "submit"), *self._requested], facts):
            changed = injection.fault.alter_task(injection, context, task)
            if changed is not None:
                injection.mark_applied()
                applied[injection.fault.name] = None
                self.delivers_first |= injection.fault.delivers_first
                task = changed
        if applied:
            state.task_faults[task.id] = tuple(applied)
        for rule in self._requested:
            if task.callback_url is not None and "callback" in rule.fault.moments():
                table.add(rule.fault, Match(task=task.id), Schedule(times=1), context.now_ms).for_one_task = True
        if task.held_ms is not None and task.held_ms >= task.ends_ms:
            return task._replace(held_ms=None)  # it ends before it would be held
        return task


def alter_deliveries(table: RuleTable, context: RequestContext, task: Task, delivery: Delivery) -> list[Delivery]:
    """Let faults change the deliveries of a callback."""
    facts = MatchContext(context.state.provider.name, context.now_ms, ("callback",))
    _add_task(facts, context, task)
    deliveries = [delivery]
    rules = table.find("callback", facts, None)
    reports_end = delivery.event == task.end.name
    for rule in rules:
        if not reports_end and (rule.for_one_task or rule.fault.of_ends):
            continue
        injection = rule.try_inject(facts, table.chance)
        if injection is None:
            continue
        changed = injection.fault.alter_deliveries(injection, context, deliveries) if deliveries else None
        if changed is not None:
            injection.mark_applied()
            for each in changed:
                if not any(each is before for before in deliveries):
                    each.faults = tuple(dict.fromkeys((*each.faults, injection.fault.name)))
            deliveries = changed
        if rule.for_one_task:
            table.remove(rule.id)
    return deliveries
