"""The gates, in their one order, the same for every provider.

    route, method, size, key, plan, rate, parse, idempotency, parent, schema, content policy, credits, concurrency

A gate reads the request context, adds what it found, and returns None or a refusal: the name of a condition of the
spec's `errors`, with a description of the problem. The first refusal is the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, get_args

from mockserver.engine.accounts import Account
from mockserver.engine.context import RequestContext, with_parent
from mockserver.engine.idempotency import idempotency
from mockserver.engine.kinds import model_of, parent
from mockserver.engine.messages import Request
from mockserver.engine.parsing import CONTENT_TYPE, is_json, parse, parse_any, parse_declared, parse_form, shortened
from mockserver.engine.render import Refused
from mockserver.engine.subscriptions import address_of, terms_of, terms_problem
from mockserver.engine.targets import url_problem
from mockserver.provider import Callbacks, KeyRule, Model, Operation, Problem, Provider, Role, Schema

_HEADERS_REMEMBERED = 10_000
_MOST_TEXTS = 100
_NUMBER_LENGTH = 18
_INTEGER = re.compile(r"-?[0-9]+")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]{1,2})?")

Gate = Callable[[RequestContext], "Refused | None"]
#: The gates of each operation in their order, by its id; None is a request without an operation.
Gates = dict[str | None, tuple[tuple[str, Gate], ...]]


def route(context: RequestContext) -> Refused | None:
    """Is there such a path?"""
    if context.route is None:
        return "unknown_path", Problem(f"no such path: {shortened(context.request.path)}")
    return None


def method(context: RequestContext) -> Refused | None:
    """Does the path have the method?"""
    if context.operation is None:
        return "unsupported_method", Problem(f"{shortened(context.request.method)} is not allowed here")
    return None


def size(context: RequestContext) -> Refused | None:
    """Is the body small enough, and did all of it arrive?"""
    if context.request.oversized:
        return "body_too_large", Problem(f"the body is larger than {_operation(context).max_body_bytes} bytes")
    if context.request.stalled:
        return "request_timeout", Problem("the body did not arrive in time")
    return None


def key(context: RequestContext) -> Refused | None:
    """Is there a well-formed key? A new one opens an account. Where the account is known, nothing is left to do."""
    if context.account is not None:
        return None
    state = context.state
    rule = state.provider.key
    header = context.request.headers.get(rule.header)
    known = state.accounts_by_header.get(header)
    if known is not None and not known.revoked:
        context.account = known
        return None
    text = presented_key(rule, context.request)
    if text is None:
        return "missing_key", Problem(f"no API key in the {rule.header} header")
    if not rule.well_formed(text):
        return "invalid_key", Problem("the API key is not well-formed")
    account = state.account(text, context.now_ms)
    if account.revoked or text in state.retired_keys:
        return "invalid_key", Problem("the API key has been revoked")
    context.account = account
    if header is not None and len(state.accounts_by_header) < _HEADERS_REMEMBERED:
        state.accounts_by_header[header] = account
    return None


def presented_key(rule: KeyRule, request: Request) -> str | None:
    """Return the API key of a request."""
    text = request.headers.get(rule.header)
    if text is None:
        return None
    if not rule.bearer:
        return text
    scheme, _, token = text.partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def plan(context: RequestContext) -> Refused | None:
    """May the account's plan use the API at all?"""
    account = _account(context)
    if not account.plan.api:
        return "plan_forbidden", Problem("the key or its plan has no API access")
    return None


def rate(context: RequestContext) -> Refused | None:
    """Do the rate limit and the quota allow the request?

    A request that passes is counted against the rate limit, whatever the later gates decide; a task counts against
    the quota once it is accepted. This gate is for submits, or for every request where the provider counts all of
    them (see `gates_of`).
    """
    account = _account(context)
    if account.plan.limits_rate:
        if account.plan.tasks_per_day is not None and _operation(context).role == "submit":
            wait_ms = account.accepted.wait_ms(account.plan, context.now_ms)
            if wait_ms > 0:
                return "quota_exceeded", Problem("the quota of the day is used up", retry_after_ms=wait_ms)
        wait_ms = account.rate.wait_ms(account.plan, context.now_ms)
        if wait_ms > 0:
            return "rate_exceeded", Problem("too many requests", retry_after_ms=wait_ms)
        account.rate.count(account.plan, context.now_ms)
    return None


def schema(context: RequestContext) -> Refused | None:
    """Do the parameters, the model and the body match the spec?"""
    operation = _operation(context)
    validation = context.state.rules.validation
    if operation.checked_parameters and validation != "off":
        strict = validation == "strict"
        problem = parameter_problem(operation, context.path_values, context.request, strict=strict)
        if problem is not None:
            return "invalid_parameter", problem
    if operation.model is None:
        rule = operation.request if context.form is None else context.form.schema
        if operation.names_task and not isinstance(context.body, dict):
            return "invalid_body", Problem("the body must be an object")
        return None if rule is None else _declared_body(context, rule)
    if not isinstance(context.body, dict):
        return "invalid_body", Problem("the body must be an object")
    name = operation.model(context)
    if name is None:
        return "invalid_body", Problem(f"{operation.model_field}: is required", operation.model_field)
    if not isinstance(name, str):
        return "invalid_body", Problem(f"{operation.model_field}: must be a string", operation.model_field)
    models = context.state.models
    model = models.find(operation, name, context.body)
    if model is None:
        context.remark(hint=models.hint(name, context.body, operation))
        return "unknown_model", Problem(f"there is no model {shortened(name)!r}", operation.model_field)
    if model.by_operation:
        model = models.of_operation(model, operation, context.form)
    if model.served_as:
        context.remark(served_as=model.served_as)
    if operation.role == "decoy":
        context.model = model
        return None
    return _body(context, model if operation.kind is None and operation.request is None else model_of(model, operation))


def _declared_body(context: RequestContext, rule: Schema) -> Refused | None:
    """Does the body match the schema that its operation alone has?"""
    request = context.request
    if not request.body or not (context.form is not None or is_json(request.headers.get(CONTENT_TYPE, ""))):
        return None
    problem = _problem_of(context, rule)
    return None if problem is None else ("invalid_body", problem)


def _problem_of(context: RequestContext, rule: Schema) -> Problem | None:
    """Return why the form of the body is refused: how strictly it is taken, the user says."""
    validation = context.state.rules.validation
    if validation == "off" or rule.accepts(context.body):
        return None
    problems = rule.problems(context.body) if validation == "strict" else rule.grave_problems(context.body)
    return Problem(problems[0].message, problems[0].field, tuple(problems)) if problems else None


def parameter_problem(
    operation: Operation, path_values: Mapping[str, str], request: Request, *, strict: bool = True
) -> Problem | None:
    """Return what is wrong with the path and query parameters of a request; None where nothing is wrong.

    What is not `strict` refuses only what is missing, or of another type.
    """
    for parameter in operation.checked_parameters:
        name = parameter.name
        if parameter.place == "header":
            text = request.headers.get(name)
        else:
            text = path_values.get(name) if parameter.place == "path" else request.query.get(name)
        if text is None:
            if parameter.required:
                return Problem(f"{name}: is required", name)
            continue
        value = _typed(text, parameter.type)
        if value is None:
            return Problem(f"{name}: must be of type {parameter.type}", name)
        if strict and not parameter.schema.accepts(value):
            problem = parameter.schema.problems(value)[0]
            return Problem(f"{name}: {problem.message.removeprefix('the body ')}", name)
    return None


def _typed(text: str, type_: str) -> Any:
    """Convert a parameter to its type; None where that is impossible."""
    if type_ == "boolean":
        return {"true": True, "false": False}.get(text)
    if type_ not in ("integer", "number"):
        return text
    pattern = _INTEGER if type_ == "integer" else _NUMBER
    if len(text) > _NUMBER_LENGTH or not pattern.fullmatch(text):
        return None
    return int(text) if type_ == "integer" else float(text)


def _body(context: RequestContext, model: Model) -> Refused | None:
    mismatch = _mismatch(context, model)
    if mismatch is not None and not _was_accepted(context, equal=False):
        return "invalid_body", mismatch
    context.model = model
    callbacks = context.state.provider.callbacks
    if callbacks is not None:
        context.callback_url = url = callbacks.url(context)
        if url is not None:
            problem = url_problem(url, callbacks.target, context.state.targets)
            if problem is not None:
                return "callback_refused", Problem(f"the callback address {problem}", ".".join(callbacks.url_keys))
        else:
            context.callback_url = address_of(callbacks, context.account)
        if callbacks.has_terms or url is None:
            return _terms(context, callbacks, by_submit=url is not None)
    return None


def _terms(context: RequestContext, callbacks: Callbacks, *, by_submit: bool) -> Refused | None:
    """Work out what the submit says of its callbacks beside their address."""
    if context.callback_url is None or context.account is None:
        return None
    terms = context.terms = terms_of(callbacks, context, context.account, by_submit=by_submit)
    problem = None if terms is None else terms_problem(callbacks, terms)
    return None if problem is None else ("callback_refused", Problem(problem))


def _mismatch(context: RequestContext, model: Model) -> Problem | None:
    """Return in what the body does not fit its model; None if it fits."""
    problem = _problem_of(context, model.request)
    if problem is not None:
        context.inputs = context.body
        return problem
    made = model.request.with_defaults(context.body)
    context.inputs = made if context.parent is None else with_parent(made, context.parent)
    if context.state.rules.validation != "strict":
        return None
    return next((each.problem for each in model.requirements if each.broken(context)), None)


def _was_accepted(context: RequestContext, *, equal: bool) -> bool:
    """Tell whether a recording shows that the provider accepts the body, or one like it, whatever the spec says."""
    recorded = context.state.recorded
    return recorded is not None and recorded(context, equal)


def content_policy(context: RequestContext) -> Refused | None:
    """Does the content policy allow it? Where the provider applies the policy later, the task is accepted and fails."""
    policy = context.state.provider.content_policy
    if policy is None or not policy.at_submit or context.model is None:
        return None
    if violates_policy(context) and not _was_accepted(context, equal=True):
        return "content_refused", Problem("the prompt goes against the content policy")
    return None


def prompts_of(context: RequestContext) -> list[str]:
    """Return the prompts of the submit body in the context: all its texts, where no content policy says which."""
    policy = context.state.provider.content_policy
    if policy is not None:
        return [text for value in policy.texts if isinstance(text := value(context), str)]
    found: list[str] = []
    waiting = [context.body]
    while waiting and len(found) < _MOST_TEXTS:
        value = waiting.pop()
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, dict | list):
            waiting += reversed(list(value.values() if isinstance(value, dict) else value))
    return found


def violates_policy(context: RequestContext) -> bool:
    """Tell whether the content policy refuses any text of the submit body."""
    policy = context.state.provider.content_policy
    if policy is None:
        return False
    for value in policy.texts:
        text = value(context)
        if isinstance(text, str) and policy.refuses(text):
            return True
    return False


def credits_(context: RequestContext) -> Refused | None:
    """Does the account have the credits that the task reserves?"""
    if context.model is None:
        return None
    context.price_ucr = context.model.reserve_ucr(context)
    account = _account(context)
    account.settle(context.now_ms)
    if context.price_ucr > account.available_ucr:
        return "insufficient_credits", Problem("the account has too few credits for this task")
    return None


def concurrency(context: RequestContext) -> Refused | None:
    """Does the plan allow one more running task?"""
    account = _account(context)
    limit = account.plan.concurrent_tasks
    if limit is not None and account.running_tasks(context.now_ms) >= limit:
        next_end_ms = account.next_end_ms()
        wait_ms = None if next_end_ms is None else next_end_ms - context.now_ms
        return "concurrency_exceeded", Problem(f"{limit} tasks are already running", retry_after_ms=wait_ms)
    return None


_EVERY: frozenset[Role] = frozenset(get_args(Role))
_WITH_JSON: frozenset[Role] = frozenset(("submit", "estimate", "decoy"))

#: Every gate in its order, and the roles of the operations that it is for.
GATES: tuple[tuple[str, Gate, frozenset[Role]], ...] = (
    ("route", route, _EVERY),
    ("method", method, _EVERY),
    ("size", size, _EVERY),
    ("key", key, _EVERY),
    ("plan", plan, _EVERY),
    ("rate", rate, _EVERY),
    ("parse", parse, _WITH_JSON),
    ("parse", parse_any, _WITH_JSON | {"query", "cancel", "example"}),
    ("parse", parse_form, frozenset(("upload",))),
    ("parse", parse_declared, frozenset(("example",))),
    ("idempotency", idempotency, frozenset(("submit",))),
    ("parent", parent, frozenset(("submit",))),
    ("schema", schema, _EVERY - {"file", "result"}),
    ("content_policy", content_policy, frozenset(("submit",))),
    ("credits", credits_, frozenset(("submit",))),
    ("concurrency", concurrency, frozenset(("submit",))),
)


def gates_of(provider: Provider) -> Gates:
    """Choose, for each operation, the gates that can refuse a request to it."""
    policy = provider.content_policy
    chosen: Gates = {None: tuple((name, gate) for name, gate, _ in GATES[:2])}
    for operation in provider.operations.values():
        role = operation.role
        needed = {
            "key": operation.secured,
            "plan": operation.secured,
            "rate": operation.secured and (role == "submit" or provider.counts_all_requests),
            "parent": operation.parent is not None,
            "schema": bool(operation.model or operation.request or operation.bodies or operation.checked_parameters),
            "idempotency": provider.idempotency is not None,
            "content_policy": policy is not None and policy.at_submit,
        }
        left_out = (parse, parse_declared) if operation.bodies else (parse_any,)  # another one reads the body
        chosen[operation.id] = tuple(
            (name, gate)
            for name, gate, roles in GATES[2:]
            if role in roles and needed.get(name, True) and gate not in left_out
        )
    return chosen


def admit(context: RequestContext, gates: Gates) -> tuple[str, Refused] | None:
    """Run the gates; return the gate that refused the request, and why, or None."""
    operation = context.operation
    for name, gate in gates[None if operation is None else operation.id]:
        refused = gate(context)
        if refused is not None:
            return name, refused
    return None


def _operation(context: RequestContext) -> Operation:
    assert context.operation is not None
    return context.operation


def _account(context: RequestContext) -> Account:
    assert context.account is not None
    return context.account
