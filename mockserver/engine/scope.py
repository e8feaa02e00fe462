"""What an expression can see: one object per request (or per callback), and the tables of its words.

`Scope` is also the visitor's pass through the gates: each gate reads it and fills in what it found.
The tables below are the whole of the words behind `$task.`, `$account.`, `$error.` and the rest; a
spec that uses another word does not compile.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from mockserver.clock import iso_of
from mockserver.engine.routes import well_formed
from mockserver.engine.task import standing
from mockserver.provider import UCR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mockserver.engine.credits import Account
    from mockserver.engine.space import Space, StoredFile
    from mockserver.engine.task import Standing, Task
    from mockserver.provider import ErrorAnswer, Model, Operation, Problem


class Form:
    """The file of a multipart body, as the edge decoded it; `problem` says why there is none."""

    __slots__ = ("content", "media_type", "name", "problem")

    def __init__(self, content: bytes = b"", media_type: str = "", name: str = "", problem: str | None = None) -> None:
        self.content = content
        self.media_type = media_type
        self.name = name
        self.problem = problem


class Call:
    """A request as the engine sees it: decoded no further than it must be."""

    __slots__ = ("_query", "body", "form", "headers", "method", "oversized", "path", "query_string", "stalled")

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


class Scope:
    """Everything that is known about the request at hand."""

    __slots__ = (
        "account",
        "body",
        "call",
        "error",
        "file",
        "inputs",
        "items",
        "model",
        "next_id",
        "now_ms",
        "operation",
        "path_values",
        "problem",
        "quote_ucr",
        "request_id",
        "server_url",
        "space",
        "stood",
        "stood_for",
        "task",
        "total",
    )

    def __init__(self, space: Space, now_ms: int, server_url: str) -> None:
        self.space = space
        self.now_ms = now_ms
        self.server_url = server_url
        self.call: Call | None = None
        self.operation: Operation | None = None
        self.path_values: Mapping[str, str] = _NOTHING
        self.request_id = ""
        self.account: Account | None = None
        self.body: Any = None
        self.inputs: Any = None
        self.model: Model | None = None
        self.quote_ucr = 0
        self.task: Task | None = None
        self.stood_for: Task | None = None
        self.stood: Standing | None = None
        self.error: ErrorAnswer | None = None
        self.problem: Problem | None = None
        self.file: StoredFile | None = None
        self.items: list[Any] = []
        self.total = 0
        self.next_id: str | None = None


_NOTHING: Mapping[str, str] = {}


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


def inputs_of(scope: Scope) -> Any:
    """Return the submit body with the schema's defaults, worked out again where only the task is known."""
    if scope.inputs is None and scope.task is not None:
        scope.inputs = scope.task.model.request.with_defaults(scope.task.body)
    return scope.inputs


def _task(scope: Scope) -> Task:
    assert scope.task is not None
    return scope.task


def stands(scope: Scope) -> Standing:
    """Return how the task in scope stands at the scope's instant; worked out once."""
    task = _task(scope)
    if scope.stood_for is not task:
        scope.stood_for, scope.stood = task, standing(task, scope.now_ms)
    assert scope.stood is not None
    return scope.stood


def _submitted_ms(scope: Scope) -> int:
    return _task(scope).submitted_ms


def _started_ms(scope: Scope) -> int | None:
    task = _task(scope)
    if not task.entered_ms:
        return task.submitted_ms
    at_ms = min(task.entered_ms[0], task.ends_ms)
    stands_at_ms = scope.now_ms if task.held_ms is None else min(scope.now_ms, task.held_ms)
    return at_ms if stands_at_ms >= at_ms else None


def ended_ms(scope: Scope) -> int | None:
    """Return when the task ended, if it has by the scope's instant."""
    return _task(scope).ends_ms if stands(scope).ended else None


def _expires_ms(scope: Scope) -> int | None:
    task, at_ms = _task(scope), ended_ms(scope)
    if at_ms is None or task.result is None or task.end.kind != "success":
        return None
    return at_ms + task.result.lifetime_s * 1000


def _now_ms(scope: Scope) -> int:
    return scope.now_ms


def _elapsed_s(scope: Scope) -> int:
    at_ms = ended_ms(scope)
    return ((scope.now_ms if at_ms is None else at_ms) - _task(scope).submitted_ms) // 1000


def _charged(scope: Scope) -> float | int:
    task = _task(scope)
    if ended_ms(scope) is None or task.end.kind != "success":
        return 0
    return credits_of(min(task.settles_ucr, task.reserved_ucr))


def _estimated_s(scope: Scope) -> float | int | None:
    seconds = _task(scope).model.estimated_s
    return int(seconds) if seconds is not None and seconds == int(seconds) else seconds


def result_urls(scope: Scope) -> list[str]:
    """Return the links to the task's files; none until it has succeeded."""
    task = _task(scope)
    if task.result is None or task.end.kind != "success" or ended_ms(scope) is None:
        return []
    return scope.space.links.result_urls(task, scope)


def _result_url(scope: Scope) -> str | None:
    urls = result_urls(scope)
    return urls[0] if urls else None


def _output_duration_s(scope: Scope) -> Any:
    result = _task(scope).result
    return None if result is None else result.duration_s(scope)


def _reason_code(scope: Scope) -> str | None:
    task = _task(scope)
    return task.reason.code if task.reason is not None and ended_ms(scope) is not None else None


def _reason_message(scope: Scope) -> str | None:
    task = _task(scope)
    return task.reason.message if task.reason is not None and ended_ms(scope) is not None else None


def _account(scope: Scope) -> Account:
    account = scope.account if scope.task is None else scope.task.account
    assert account is not None
    account.settle(scope.now_ms)
    return account


def _error(scope: Scope) -> ErrorAnswer:
    assert scope.error is not None
    return scope.error


def _file(scope: Scope) -> StoredFile:
    assert scope.file is not None
    return scope.file


def _problem_field(scope: Scope) -> str | None:
    return None if scope.problem is None else scope.problem.field


def _problem_message(scope: Scope) -> str:
    return "" if scope.problem is None else scope.problem.message


def _problem_all(scope: Scope) -> list[dict[str, str | None]]:
    problem = scope.problem
    if problem is None:
        return []
    return [{"field": each.field, "message": each.message} for each in problem.all or (problem,)]


def _instants(name: str, at: Callable[[Scope], int | None]) -> dict[str, Callable[[Scope], Any]]:
    """Make the three spellings of an instant."""

    def unix_ms(scope: Scope) -> int | None:
        return at(scope)

    def unix_s(scope: Scope) -> int | None:
        at_ms = at(scope)
        return None if at_ms is None else at_ms // 1000

    def iso(scope: Scope) -> str | None:
        at_ms = at(scope)
        return None if at_ms is None else iso_of(at_ms, digits=0)

    return {f"{name}unix_ms": unix_ms, f"{name}unix_s": unix_s, f"{name}iso": iso}


TASK_FACTS: dict[str, Callable[[Scope], Any]] = {
    "id": attrgetter("task.id"),
    "model": attrgetter("task.model.name"),
    "status": lambda scope: stands(scope).status,
    "progress": lambda scope: stands(scope).progress,
    "request": attrgetter("task.body"),
    **_instants("submitted_", _submitted_ms),
    **_instants("started_", _started_ms),
    **_instants("ended_", ended_ms),
    **_instants("expires_", _expires_ms),
    "elapsed_s": _elapsed_s,
    "estimated_s": _estimated_s,
    "output_duration_s": _output_duration_s,
    "reserved_credits": lambda scope: credits_of(_task(scope).reserved_ucr),
    "charged_credits": _charged,
    "reason_code": _reason_code,
    "reason_message": _reason_message,
    "result_urls": result_urls,
    "result_url": _result_url,
    "media": lambda scope: None if (result := _task(scope).result) is None else result.media,
    "account_id": attrgetter("task.account.id"),
}

ACCOUNT_FACTS: dict[str, Callable[[Scope], Any]] = {
    "id": lambda scope: _account(scope).id,
    "plan": lambda scope: _account(scope).plan.name,
    "available_credits": lambda scope: credits_of(_account(scope).available_ucr),
    "used_credits": lambda scope: credits_of(_account(scope).spent_ucr),
    "reserved_credits": lambda scope: credits_of(_account(scope).reserved_ucr),
    "granted_credits": lambda scope: credits_of(_account(scope).granted_ucr),
}

FACTS: dict[str, dict[str, Callable[[Scope], Any]]] = {
    "task": TASK_FACTS,
    "account": ACCOUNT_FACTS,
    "quote": {"credits": lambda scope: credits_of(scope.quote_ucr)},
    "error": {
        "status": lambda scope: _error(scope).status,
        "code": lambda scope: _error(scope).code,
        "type": lambda scope: _error(scope).type,
        "name": lambda scope: _error(scope).name,
        "message": lambda scope: _error(scope).message(scope),
    },
    "problem": {"message": _problem_message, "field": _problem_field, "all": _problem_all},
    "file": {
        "id": lambda scope: _file(scope).id,
        "name": lambda scope: _file(scope).name,
        "media_type": lambda scope: _file(scope).media_type,
        "size_bytes": lambda scope: len(_file(scope).content),
        "url": lambda scope: scope.space.links.file_url(_file(scope), scope),
    },
    "list": {
        "items": lambda scope: scope.items,
        "total": lambda scope: scope.total,
        "next": lambda scope: scope.next_id,
    },
    "now": _instants("", _now_ms),
    "server": {"url": lambda scope: scope.server_url},
}
