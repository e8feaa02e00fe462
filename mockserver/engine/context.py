"""The context of one request or callback: what the gates found, and what templates may read of it.

A compiled template is a function of a `RequestContext`. It reads `$task.id` as `context.task.id`, and what has to be
worked out as a property: `$task.elapsed_s` as `context.task_elapsed_s`. spec/expressions.py lists the names, and a
test checks that each exists here. An instant is in milliseconds; templates choose its notation.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import orjson

from mockserver.engine.accounts import Account
from mockserver.engine.client_time import ClientTime
from mockserver.engine.messages import FileWanted, Request, StoredFile, well_formed
from mockserver.engine.sights import Entry, logged, queue_position
from mockserver.engine.signing import PublicKey, key_seed
from mockserver.engine.state import ProviderState
from mockserver.engine.task import CallbackTerms, Parent, Task, TaskStatus, link_ends_s, started_ms, status_at
from mockserver.media.shape import Shape, fitting_shape
from mockserver.media.specimens import specimen
from mockserver.provider import UCR, BodyForm, ErrorAnswer, Model, Operation, Problem, ResultKind, Route


class CallbackFacts(NamedTuple):
    """What `$callback.NAME` stands for."""

    id: str
    event: str


@dataclass(frozen=True, slots=True)
class View:
    """How a response shows tasks. The default shows them as they are; faults make views that do not."""

    status: Callable[[str], str] | None = None
    progress: Callable[[Task, TaskStatus], int] | None = None
    hides_results: Callable[[Task], bool] | None = None
    #: The instant as of which a task is shown, if it is not the present one.
    instant_ms: Callable[[Task], int | None] | None = None

    def with_status(self, change: Callable[[str], str]) -> View:
        """Change the status after the changes so far."""
        before = self.status
        return replace(self, status=change if before is None else lambda status: change(before(status)))

    def with_progress(self, change: Callable[[Task, TaskStatus], int]) -> View:
        """Change the progress after the changes so far."""
        before = self.progress

        def progress(task: Task, status: TaskStatus) -> int:
            return change(task, status if before is None else status._replace(progress=before(task, status)))

        return replace(self, progress=progress)

    def with_hidden_results(self, hides: Callable[[Task], bool]) -> View:
        """Hide the results where a function says so, or one before it."""
        before = self.hides_results
        return replace(self, hides_results=hides if before is None else lambda task: before(task) | hides(task))

    def as_of(self, instant_ms: Callable[[Task], int | None]) -> View:
        """Show tasks as they were at an instant, where a function names one; of two instants the earlier counts."""
        before = self.instant_ms

        def earliest(task: Task) -> int | None:
            named = [each for each in (instant_ms(task), before(task) if before else None) if each is not None]
            return min(named, default=None)

        return replace(self, instant_ms=earliest)


#: No task has more files.
MOST_FILES = 1000
_LARGEST = 1e9
_Value = TypeVar("_Value")
#: What a context without a request has, as when a callback is rendered.
_NO_REQUEST = Request("", "", MappingProxyType({}), base=None)


def number_of(value: Any, usual: float) -> float:
    """Read a template's value as a number above zero; what is none, since bodies may hold anything, is the usual."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return usual
    return number if 1 / _LARGEST < number < _LARGEST else usual


def with_parent(made: Any, parent: Parent | None) -> Any:
    """Return the input of a task with what only its parent's has."""
    if parent is None or not isinstance(made, dict) or not isinstance(parent.inputs, dict):
        return made
    return {**parent.inputs, **made}


def shape_of_file(wanted: FileWanted) -> Shape:
    """Return the shape of a result file."""
    return fitting_shape(wanted.media, wanted.duration_s, wanted.short_side_px, wanted.ratio, wanted.content)


def credits_of(amount_ucr: int) -> float | int:
    """Convert micro-credits to credits; whole ones are an integer."""
    whole, rest = divmod(amount_ucr, UCR)
    return amount_ucr / UCR if rest else whole


class ShownStatus:
    """The state and progress of a task as a view shows them; each is worked out when a template reads it."""

    __slots__ = ("_actual", "_task", "_view")

    def __init__(self, view: View, task: Task, actual: TaskStatus) -> None:
        self._view, self._task, self._actual = view, task, actual

    @property
    def status(self) -> str:
        """The state."""
        change, actual = self._view.status, self._actual.status
        return actual if change is None else change(actual)

    @property
    def progress(self) -> int:
        """The progress in percent."""
        change, actual = self._view.progress, self._actual
        return actual.progress if change is None else change(self._task, actual)


class _TaskProperties:
    """What `$task.NAME` stands for, where it is more than an attribute of the task."""

    state: ProviderState
    now_ms: int
    request: Request
    #: Only faults set a view.
    view: View | None = None
    task: Task
    #: The task's state and progress now, and what the response shows of them.
    status: TaskStatus
    shown: TaskStatus | ShownStatus
    #: The line of the task's log that is rendered.
    log: Entry

    def set_task(self, task: Task) -> None:
        """Set the task, and work out its status."""
        self.task = task
        now_ms = self.now_ms if self.view is None else self._seen_ms
        self.status = self.shown = status = status_at(task, now_ms)
        if self.view is not None:
            self.shown = ShownStatus(self.view, task, status)

    @property
    def _seen_ms(self) -> int:
        """The instant as of which the task is shown."""
        if self.view is not None and self.view.instant_ms is not None:
            return self.view.instant_ms(self.task) or self.now_ms
        return self.now_ms

    @property
    def base(self) -> str:
        """What links begin with; `REAL_HOST` in it stands for the host of what a link leads to."""
        base = self.request.base
        if base is None:
            base = self.task.base
        return base or self.state.server_url

    @property
    def task_started_ms(self) -> int | None:
        """When it left its first state; null before that."""
        return started_ms(self.task, self.now_ms)

    @property
    def task_ended_ms(self) -> int | None:
        """When it ended; null before that."""
        return self.task.ends_ms if self.status.ended else None

    @property
    def task_expires_ms(self) -> int | None:
        """When the links to its files expire, a whole second; null where it has no files."""
        task = self.task
        if not self.status.ended or task.result is None or task.end.kind != "success":
            return None
        return link_ends_s(task, task.result) * 1000

    @property
    def task_elapsed_s(self) -> int:
        """The seconds from its submit to its end, or to now; the difference of the two whole seconds."""
        at_ms = self.task.ends_ms if self.status.ended else self.now_ms
        return at_ms // 1000 - self.task.submitted_ms // 1000

    @property
    def task_output_duration_s(self) -> Any:
        """The duration of its result."""
        return None if self.task.result is None else self.task.result.duration_s(self)

    @property
    def task_reserved_credits(self) -> float | int:
        """The credits that were reserved for it."""
        return credits_of(self.task.reserved_ucr)

    @property
    def task_charged_credits(self) -> float | int:
        """The credits that it has cost: 0 until it has succeeded."""
        return credits_of(self.task.spends_ucr) if self.status.ended else 0

    @property
    def task_reason_code(self) -> str | None:
        """The code of why it ended without a result."""
        return self.task.reason.code if self.task.reason is not None and self.status.ended else None

    @property
    def task_reason_message(self) -> str | None:
        """The message of why it ended without a result."""
        return self.task.reason.message if self.task.reason is not None and self.status.ended else None

    @property
    def task_result_urls(self) -> list[str]:
        """The links to its files; none until it has succeeded."""
        task = self.task
        if task.result is None or not self.shows_result:
            return []
        return self.state.links.result_urls(task, task.result, self.result_count(task.result), self.base)

    @property
    def task_result_url(self) -> str | None:
        """The link to its first file."""
        urls = self.task_result_urls
        return urls[0] if urls else None

    @property
    def shows_result(self) -> bool:
        """Whether its files are there, and the response shows them."""
        task = self.task
        if task.end.kind != "success" or not self.status.ended:
            return False
        return self.view is None or self.view.hides_results is None or not self.view.hides_results(task)

    @property
    def task_result_base64(self) -> str | None:
        """The bytes of its first file, in base64; of a video or sound in MP4, those of a clip."""
        if self.task.result is None or not self.shows_result:
            return None
        return base64.b64encode(specimen(shape_of_file(self.wanted_file(self.task.result)))).decode()

    def wanted_file(self, kind: ResultKind) -> FileWanted:
        """Return the properties of its files of a kind."""
        content = None if kind.content is None else kind.content(self)
        return FileWanted(
            kind.media,
            number_of(kind.duration_s(self), 1),
            int(number_of(kind.short_side_px(self), 720)),
            str(kind.ratio(self) or "16:9"),
            content.encode("utf-8", "replace") if isinstance(content, str) else content and orjson.dumps(content),
        )

    @property
    def task_media(self) -> str | None:
        """The media type of its files."""
        return None if self.task.result is None else self.task.result.media

    @property
    def task_progress_fraction(self) -> float:
        """The progress as a fraction: 0 to 1."""
        return self.shown.progress / 100

    @property
    def task_queue_position(self) -> int | None:
        """Its place in the queue; null where it does not queue."""
        return queue_position(self.task, self._seen_ms)

    @property
    def task_logs(self) -> list[Any]:
        """The lines of its log so far, each as the lifecycle's `log_line` writes it."""
        written = self.task.model.lifecycle.log_line
        lines = []
        for entry in self._log_entries():
            self.log = entry
            lines.append(entry.message if written is None else written(self))
        return lines

    @property
    def task_log_text(self) -> str:
        """The lines of its log so far, as one text."""
        return "\n".join(each.message for each in self._log_entries())

    def _log_entries(self) -> list[Entry]:
        lines = logged(self.task, self._seen_ms)
        return [Entry(str(line.message(self)), line.level, at_ms) for at_ms, line in lines]

    def result_count(self, kind: ResultKind) -> int:
        """Return how many files of a kind the task has."""
        return min(MOST_FILES, int(number_of(kind.count(self), 1)))


class _AccountProperties:
    """What `$account.NAME` stands for: of the task's account, or else of the request's."""

    now_ms: int
    account: Account | None = None

    def _of_account(self, read: Callable[[Account], _Value]) -> _Value | None:
        """Read something of the settled account; None where the request has none, as one without a key."""
        task: Task | None = getattr(self, "task", None)
        account = self.account if task is None else task.account
        if account is None:
            return None
        account.settle(self.now_ms)
        return read(account)

    @property
    def account_id(self) -> str | None:
        """Its id."""
        return self._of_account(lambda account: account.id)

    @property
    def account_plan(self) -> str | None:
        """The name of its plan."""
        return self._of_account(lambda account: account.plan.name)

    @property
    def account_available_credits(self) -> float | int | None:
        """What it can still reserve."""
        return self._of_account(lambda account: credits_of(account.available_ucr))

    @property
    def account_used_credits(self) -> float | int | None:
        """What it has spent."""
        return self._of_account(lambda account: credits_of(account.spent_ucr))

    @property
    def account_reserved_credits(self) -> float | int | None:
        """What is reserved for running tasks."""
        return self._of_account(lambda account: credits_of(account.reserved_ucr))

    @property
    def account_granted_credits(self) -> float | int | None:
        """What it was ever granted."""
        return self._of_account(lambda account: credits_of(account.granted_ucr))


class RequestContext(_TaskProperties, _AccountProperties):
    """Everything that is known about a request. Each gate adds what it found; the defaults are the class's own."""

    request: Request = _NO_REQUEST
    route: Route | None = None
    operation: Operation | None = None
    path_values: Mapping[str, str] = MappingProxyType({})
    request_id = ""
    body: Any = None
    #: The submit body with the defaults of its schema, where the gates have worked it out; see `input`.
    inputs: Any = None
    #: Which of the bodies that the operation takes the request has.
    form: BodyForm | None = None
    model: Model | None = None
    price_ucr = 0
    callback_url: str | None = None
    task: Task | None = None  # type: ignore[assignment]  # templates that read it are rendered only where it is set
    #: The task that a submit goes on from.
    parent: Parent | None = None
    error: ErrorAnswer | None = None
    #: The client's clock, where it runs differently from mock time.
    client: ClientTime | None = None
    problem: Problem | None = None
    file: StoredFile | None = None
    callback: CallbackFacts | None = None
    terms: CallbackTerms | None = None
    #: Of a submit with an idempotency key: what it is kept under, and the answer that was kept.
    idempotency_key: bytes | None = None
    kept_answer: Any = None
    #: What was evicted to make room for what it has made, in words.
    evicted = ""
    #: What the journal's record says beside the usual facts.
    remarks: Mapping[str, Any] | None = None
    list_items: Sequence[Any] = ()
    list_total = 0
    list_has_more = False
    list_first_id: str | None = None
    list_last_id: str | None = None
    list_limit = 0
    list_offset = 0
    list_page = 1
    list_pages = 0
    list_next: str | None = None

    def __init__(self, state: ProviderState, now_ms: int) -> None:
        self.state = state
        self.now_ms = now_ms

    def remark(self, **facts: Any) -> None:
        """Let the journal's record say something beside the usual facts."""
        self.remarks = {**(self.remarks or {}), **facts}

    def body_of(self, operation: Operation) -> Any:
        """Render the body of an operation's response, in the shape of the task's present state."""
        body = operation.body
        if operation.body_in and self.task is not None:
            body = operation.body_in.get(self.status.status, body)
        return None if body is None else body(self)

    def reply(self, operation_id: str) -> Any:
        """Render what a query would return for the task."""
        return self.body_of(self.state.provider.operations[operation_id])

    def url_of(self, operation_id: str) -> str:
        """Return the address of an operation, for the task, as the client reaches it."""
        operation, task = self.state.provider.operations[operation_id], self.task
        known = {"task": "", "model": ""} if task is None else {"task": task.id, "model": task.model.name}
        path = operation.path
        for name, place, what in operation.address:
            if place == "query" and what == "request":
                if name in self.request.query:
                    path += f"{'&' if '?' in path else '?'}{quote(name)}={quote(self.request.query[name], safe='')}"
                continue
            value = quote(self.path_values.get(name, "") if what == "request" else known[what], safe="~:@!$&'()*+,;=")
            if place == "path":
                path = path.replace(f"{{{name}}}", value)
            else:
                path += f"{'&' if '?' in path else '?'}{quote(name)}={value}"
        return self.state.links.url(self.base, path)

    def drawn(self, name: str) -> Any:
        """Return what the provider chooses for the task, or for the task that a submit would create."""
        task, account = self.task, self.account
        if task is not None:
            account, ordinal = task.account, task.ordinal
        else:
            ordinal = 0 if account is None else account.opened
        provider, owner = self.state.provider, "" if account is None else account.id
        return provider.draws[name](self.state.chance.draw(f"{provider.name}/{owner}/task/{ordinal}/{name}"))

    def header(self, name: str) -> str | None:
        """Return a header of the request."""
        text = self.request.headers.get(name)
        return None if text is None else well_formed(text)

    @property
    def server_url(self) -> str:
        """The URL under which the provider's paths begin, as the client reaches it."""
        return self.state.links.url_at(self.base, self.state.provider.main_host)

    @property
    def link_urls(self) -> list[str]:
        """All that links in the response may begin with."""
        provider, base = self.state.provider, self.base
        return list(
            dict.fromkeys(self.state.links.url_at(base, host) for host in (provider.main_host, *provider.hosts))
        )

    @property
    def input(self) -> Any:
        """The submit body with the defaults of its schema; worked out again where only the task is known."""
        if self.inputs is None and self.task is not None:
            made = self.task.model.request.with_defaults(self.task.body)
            self.inputs = made if self.task.parent is None else with_parent(made, self.task.parent)
        return self.inputs

    @property
    def _parent(self) -> Parent | None:
        return self.parent if self.task is None else self.task.parent

    @property
    def parent_id(self) -> str | None:
        """The id of the task that the task goes on from."""
        return None if self._parent is None else self._parent.id

    @property
    def parent_model(self) -> str | None:
        """The model of that task."""
        return None if self._parent is None else self._parent.model

    @property
    def parent_kind(self) -> str | None:
        """The kind of that task."""
        return None if self._parent is None else self._parent.kind

    @property
    def parent_request(self) -> Any:
        """The submit body of that task."""
        return None if self._parent is None else self._parent.request

    @property
    def quote_credits(self) -> float | int:
        """The price of the submit body."""
        return credits_of(self.price_ucr)

    @property
    def error_message(self) -> Any:
        """The message of the error."""
        assert self.error is not None
        return self.error.message(self)

    @property
    def problem_message(self) -> str:
        """What is wrong with the request."""
        return "" if self.problem is None else self.problem.message

    @property
    def problem_retry_after_s(self) -> int | None:
        """What Retry-After says, in the client's seconds; null where the error has none."""
        error = self.error
        wait_s = None if error is None else error.wait_s(self.problem)
        return wait_s if wait_s is None or self.client is None else self.client.seconds(wait_s)

    @property
    def problem_field(self) -> str | None:
        """The field that is wrong."""
        return None if self.problem is None else self.problem.field

    @property
    def problem_all(self) -> list[dict[str, str | None]]:
        """Everything that is wrong with the request, field by field."""
        if self.problem is None:
            return []
        return [{"field": each.field, "message": each.message} for each in self.problem.all or (self.problem,)]

    @property
    def signing_key(self) -> PublicKey:
        """The public key that verifies callbacks."""
        return PublicKey(key_seed(self.state.chance, self.state.provider.name))

    @property
    def file_size_bytes(self) -> int:
        """The size of the upload."""
        assert self.file is not None
        return len(self.file.content)

    @property
    def file_url(self) -> str:
        """The link to the upload."""
        assert self.file is not None
        return self.state.links.file_url(self.file, self.base)
