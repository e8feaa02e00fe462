"""What an expression can see: one object per request (or per callback), and the tables of its words.

`Scope` is also the visitor's pass through the gates: each gate reads it and fills in what it found.
The tables below are the whole of the words behind `$task.`, `$account.`, `$error.` and the rest; a
spec that uses another word does not compile.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from mockserver.clock import iso_of
from mockserver.engine.routes import well_formed
from mockserver.engine.task import link_ends_s, status_at
from mockserver.provider import UCR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mockserver.engine.accounts import Account
    from mockserver.engine.faults import Rule
    from mockserver.engine.state import ProviderState, StoredFile
    from mockserver.engine.task import Task, TaskStatus
    from mockserver.provider import ErrorAnswer, Model, Operation, Problem, Route


class Form:
    """The file of a multipart body, as the edge decoded it; `problem` says why there is none."""

    __slots__ = ("content", "media_type", "name", "problem")

    def __init__(self, content: bytes = b"", media_type: str = "", name: str = "", problem: str | None = None) -> None:
        self.content = content
        self.media_type = media_type
        self.name = name
        self.problem = problem


class Request:
    """A request as the engine sees it: decoded no further than it must be."""

    __slots__ = (
        "_query",
        "body",
        "broken",
        "form",
        "headers",
        "method",
        "oversized",
        "path",
        "query_string",
        "stalled",
    )

    def __init__(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        query_string: str = "",
        *,
        oversized: bool = False,
        stalled: bool = False,
        broken: bool = False,
        form: Form | None = None,
    ) -> None:
        self.method = method
        self.path = path if path.isascii() else well_formed(path)
        self.query_string = query_string
        self.headers = headers
        self.body = body
        #: The body was larger than the operation takes; it was not read to its end.
        self.oversized = oversized
        #: The body stopped coming.
        self.stalled = stalled
        #: The body could not be read: bad chunks, or not in the coding that it says.
        self.broken = broken
        self.form = form
        self._query: dict[str, str] | None = None

    @property
    def query(self) -> dict[str, str]:
        """The query parameters; of several with one name the first."""
        if self._query is None:
            self._query = {}
            if not self.query_string:
                return self._query
            for name, value in parse_qsl(well_formed(self.query_string), keep_blank_values=True):
                self._query.setdefault(name, value)
        return self._query


class RequestContext:
    """Everything that is known about the request at hand; what is not known yet is the class's own."""

    request: Request
    route: Route | None = None
    operation: Operation | None = None
    path_values: Mapping[str, str] = MappingProxyType({})
    request_id = ""
    account: Account | None = None
    body: Any = None
    inputs: Any = None
    model: Model | None = None
    quote_ucr = 0
    task: Task | None = None
    stood_for: Task | None = None
    stood: TaskStatus | None = None
    error: ErrorAnswer | None = None
    problem: Problem | None = None
    file: StoredFile | None = None
    items: Sequence[Any] = ()
    #: What faults have set up: see engine/faults.py, `shown`.
    shown_progress: Callable[[Task, TaskStatus], int] | None = None
    shown_status: Callable[[str], str] | None = None
    hides_results: Callable[[Task], bool] | None = None
    callbacks_first = False
    #: Rules that the request asked for itself.
    requested_rules: Sequence[Rule] = ()
    total = 0
    next_id: str | None = None

    def __init__(self, state: ProviderState, now_ms: int) -> None:
        self.state = state
        self.now_ms = now_ms


#: What a scope without a request sees of one, as when a callback is written.
RequestContext.request = Request("", "", MappingProxyType({}))


def credits_of(amount_ucr: int) -> float | int:
    """Write micro-credits as credits: whole ones as an integer."""
    whole, rest = divmod(amount_ucr, UCR)
    return amount_ucr / UCR if rest else whole


def pointed(value: Any, keys: tuple[str, ...]) -> Any:
    """Follow a JSON pointer's keys; null where it leads nowhere."""
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def inputs_of(context: RequestContext) -> Any:
    """Return the submit body with the schema's defaults, worked out again where only the task is known."""
    if context.inputs is None and context.task is not None:
        context.inputs = context.task.model.request.with_defaults(context.task.body)
    return context.inputs


def _task(context: RequestContext) -> Task:
    assert context.task is not None
    return context.task


def stands(context: RequestContext) -> TaskStatus:
    """Return how the task in scope stands at the scope's instant; worked out once."""
    task = context.task
    assert task is not None
    if context.stood_for is not task:
        context.stood_for, context.stood = task, status_at(task, context.now_ms)
    assert context.stood is not None
    return context.stood


def started_ms(context: RequestContext) -> int | None:
    """Return when the task left its first state, if it has by the scope's instant."""
    task = _task(context)
    if not task.entered_ms:
        return task.submitted_ms
    at_ms = min(task.entered_ms[0], task.ends_ms)
    stands_at_ms = context.now_ms if task.held_ms is None else min(context.now_ms, task.held_ms)
    return at_ms if stands_at_ms >= at_ms else None


def ended_ms(context: RequestContext) -> int | None:
    """Return when the task ended, if it has by the scope's instant."""
    return _task(context).ends_ms if stands(context).ended else None


def expires_ms(context: RequestContext) -> int | None:
    """Return when the links to the task's files stop working, a whole second; null where there are none."""
    task, at_ms = _task(context), ended_ms(context)
    if at_ms is None or task.result is None or task.end.kind != "success":
        return None
    return link_ends_s(task, task.result) * 1000


def elapsed_s(context: RequestContext) -> int:
    """Return the seconds since the submit, up to the task's end; as far apart as the two instants in whole seconds."""
    at_ms = ended_ms(context)
    return (context.now_ms if at_ms is None else at_ms) // 1000 - _task(context).submitted_ms // 1000


def charged_credits(context: RequestContext) -> float | int:
    """Return what the task has cost: nothing until it has succeeded."""
    task = _task(context)
    return 0 if ended_ms(context) is None else credits_of(task.spends_ucr)


def result_urls(context: RequestContext) -> list[str]:
    """Return the links to the task's files; none until it has succeeded."""
    task = _task(context)
    if task.result is None or task.end.kind != "success" or ended_ms(context) is None:
        return []
    if context.hides_results is not None and context.hides_results(task):
        return []
    return context.state.links.result_urls(task, context)


def result_url(context: RequestContext) -> str | None:
    """Return the link to the task's first file."""
    urls = result_urls(context)
    return urls[0] if urls else None


def output_duration_s(context: RequestContext) -> Any:
    """Return how long the result is, in seconds."""
    result = _task(context).result
    return None if result is None else result.duration_s(context)


def reason_code(context: RequestContext) -> str | None:
    """Return the code of why the task ended without a result."""
    task = _task(context)
    return task.reason.code if task.reason is not None and ended_ms(context) is not None else None


def reason_message(context: RequestContext) -> str | None:
    """Return the words of why the task ended without a result."""
    task = _task(context)
    return task.reason.message if task.reason is not None and ended_ms(context) is not None else None


def account_of(context: RequestContext) -> Account:
    """Return the account in scope, everything booked that has ended."""
    account = context.account if context.task is None else context.task.account
    assert account is not None
    account.settle(context.now_ms)
    return account


def problems(context: RequestContext) -> list[dict[str, str | None]]:
    """Return all that is wrong with the request, a field at a time."""
    problem = context.problem
    if problem is None:
        return []
    return [{"field": each.field, "message": each.message} for each in problem.all or (problem,)]


def unix_s_of(instant_ms: int | None) -> int | None:
    """Write an instant in whole seconds since 1970; null stays null."""
    return None if instant_ms is None else instant_ms // 1000


def iso_text(instant_ms: int | None) -> str | None:
    """Write an instant in ISO 8601, to the second; null stays null."""
    return None if instant_ms is None else iso_of(instant_ms, digits=0)


def _instants(name: str, source: str) -> dict[str, str]:
    """Make the three spellings of an instant."""
    return {
        f"{name}unix_ms": source,
        f"{name}unix_s": f"unix_s_of({source})",
        f"{name}iso": f"iso_text({source})",
    }


#: A fact is Python source over the scope `s`: templates are put together from these and compiled once.
FACTS: dict[str, dict[str, str]] = {
    "task": {
        "id": "s.task.id",
        "model": "s.task.model.name",
        "status": "(stands(s).status if s.shown_status is None else s.shown_status(stands(s).status))",
        "progress": "(stands(s).progress if s.shown_progress is None else s.shown_progress(s.task, stands(s)))",
        "request": "s.task.body",
        **_instants("submitted_", "s.task.submitted_ms"),
        "submitted_unix_s": "s.task.submitted_ms // 1000",
        **_instants("started_", "started_ms(s)"),
        **_instants("ended_", "ended_ms(s)"),
        **_instants("expires_", "expires_ms(s)"),
        "elapsed_s": "elapsed_s(s)",
        "estimated_s": "s.task.model.estimated_s",
        "output_duration_s": "output_duration_s(s)",
        "reserved_credits": "credits_of(s.task.reserved_ucr)",
        "charged_credits": "charged_credits(s)",
        "reason_code": "reason_code(s)",
        "reason_message": "reason_message(s)",
        "result_urls": "result_urls(s)",
        "result_url": "result_url(s)",
        "media": "None if s.task.result is None else s.task.result.media",
        "account_id": "s.task.account.id",
    },
    "account": {
        "id": "account_of(s).id",
        "plan": "account_of(s).plan.name",
        "available_credits": "credits_of(account_of(s).available_ucr)",
        "used_credits": "credits_of(account_of(s).spent_ucr)",
        "reserved_credits": "credits_of(account_of(s).reserved_ucr)",
        "granted_credits": "credits_of(account_of(s).granted_ucr)",
    },
    "quote": {"credits": "credits_of(s.quote_ucr)"},
    "error": {
        "status": "s.error.status",
        "code": "s.error.code",
        "type": "s.error.type",
        "name": "s.error.name",
        "message": "s.error.message(s)",
    },
    "problem": {
        "message": "'' if s.problem is None else s.problem.message",
        "field": "None if s.problem is None else s.problem.field",
        "all": "problems(s)",
    },
    "file": {
        "id": "s.file.id",
        "name": "s.file.name",
        "media_type": "s.file.media_type",
        "size_bytes": "len(s.file.content)",
        "url": "s.state.links.file_url(s.file)",
    },
    "list": {"items": "s.items", "total": "s.total", "next": "s.next_id"},
    "now": _instants("", "s.now_ms"),
    "server": {"url": "s.state.server_url"},
}

#: The names that the sources above use, beside `s`.
NAMES: dict[str, Any] = {
    each.__name__: each
    for each in (
        account_of,
        charged_credits,
        credits_of,
        elapsed_s,
        ended_ms,
        expires_ms,
        inputs_of,
        iso_text,
        output_duration_s,
        pointed,
        problems,
        reason_code,
        reason_message,
        result_url,
        result_urls,
        stands,
        started_ms,
        unix_s_of,
    )
}
