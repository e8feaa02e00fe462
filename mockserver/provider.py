"""A provider as the engine sees it: compiled from specs, frozen, with units in the field names.

This file knows no YAML, no HTTP and no clock. `spec.compile` builds these values; `engine` reads them. A `Value`
is a compiled expression, template or choice: a function of the engine's request context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, Literal, NamedTuple

from mockserver.chance import IdFormat

#: A compiled template: a function from the request context to JSON, or to one value.
Value = Callable[[Any], Any]
#: Headers with their values.
Headers = tuple[tuple[str, Value], ...]


class Sent(NamedTuple):
    """Stands, in a text, for what is known only when a callback is sent."""

    name: Literal["id", "url", "body", "body_sha256", "sent_unix_s", "sent_unix_ms", "sent_iso", "signature"]


#: A text in pieces: as they stand, expressions of the task, and what is known only when it is sent.
Pieces = tuple[str | Value | Sent, ...]
#: What a provider chooses for a task: a function from drawn bytes.
Draw = Callable[[bytes], Any]

Role = Literal[
    "submit",
    "query",
    "cancel",
    "delete",
    "events",
    "list",
    "estimate",
    "balance",
    "upload",
    "file",
    "result",
    "decoy",
    "keys",
    "example",
]

TestKey = Literal["no_credits", "revoked", "rate_limited", "no_scope"]

#: Which requests are refused for their form: all that the document forbids; those without what is required, or with
#: values of another type; none whose body can be read.
Validation = Literal["strict", "lenient", "off"]
CreditsMode = Literal["ample", "documented"]
#: Where callbacks may go: the provider's own rule, the same with this machine allowed, or anywhere.
TargetMode = Literal["documented", "loopback", "any"]

#: Micro-credits in a credit: money is counted in whole numbers.
UCR = 1_000_000


@dataclass(frozen=True, slots=True)
class ProviderRules:
    """What a user has set for one provider, beside its documents."""

    credits: CreditsMode = "ample"
    plan: str | None = None
    failure_rate: float = 0.0
    #: Serve every model name, with the shape and price of the nearest model.
    any_model: bool = False
    #: Names that stand for a model of the provider.
    model_alias: Mapping[str, str] = field(default_factory=dict)
    validation: Validation = "strict"
    #: Where callbacks go whose submits name no address, and what signs them.
    webhook_url: str | None = None
    webhook_secret: str | None = None


class Problem(NamedTuple):
    """What is wrong with a request: a message, and the field, if one is at fault."""

    message: str
    field: str | None = None
    all: tuple[Problem, ...] = ()
    retry_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Schema:
    """A compiled JSON Schema: `first_problems` explains what `accepts` turned down."""

    accepts: Callable[[Any], bool]
    problems: Callable[[Any], list[Problem]]
    with_defaults: Callable[[Any], Any]
    #: The names of fields that the schema does not have; it may accept them all the same.
    unknown_fields: Callable[[Any], list[str]] = lambda _value: []
    #: The first of some keys that leads to no field, with the fields that are there; None where a field may be there.
    missing_field: Callable[[tuple[str, ...]], tuple[str, list[str]] | None] = lambda _keys: None
    #: The problems that count where validation is lenient: what is missing, or of another type.
    grave_problems: Callable[[Any], list[Problem]] = lambda _value: []


#: The schema of what has none.
ANYTHING = Schema(lambda _value: True, lambda _value: [], lambda value: value)


class Limit(NamedTuple):
    """At most so many within a window."""

    name: str
    most: int
    window_ms: int


MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What an account may do; None means no limit."""

    name: str
    summary: str
    api: bool = True
    requests_per_minute: int | None = None
    requests_per_hour: int | None = None
    concurrent_tasks: int | None = None
    tasks_per_day: int | None = None
    #: The windows of the limits begin with each minute, hour and day; otherwise they slide.
    fixed_windows: bool = False
    #: The limits that the plan has on requests, and those on accepted tasks.
    request_limits: tuple[Limit, ...] = field(init=False, repr=False)
    task_limits: tuple[Limit, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        requests = self._limits(requests_per_minute=MINUTE_MS, requests_per_hour=HOUR_MS)
        object.__setattr__(self, "request_limits", requests)
        object.__setattr__(self, "task_limits", self._limits(tasks_per_day=DAY_MS))

    def _limits(self, **windows_ms: int) -> tuple[Limit, ...]:
        most = {name: getattr(self, name) for name in windows_ms}
        return tuple(Limit(name, most[name], ms) for name, ms in windows_ms.items() if most[name] is not None)

    @property
    def limits_rate(self) -> bool:
        """Whether requests or tasks are counted at all."""
        return bool(self.request_limits or self.task_limits)


class LogLine(NamedTuple):
    """A line of a task's log: when it appears, as a part of its state's duration, and what it says."""

    at_fraction: float
    message: Value
    level: str | None


@dataclass(frozen=True, slots=True)
class State:
    """A state on the way: how long it lasts, and the progress at its entry and before it is left."""

    name: str
    shortest_ms: int
    longest_ms: int
    progress_from: int
    progress_to: int
    #: The places in the queue at its entry and before it is left, where tasks queue in it.
    queue: tuple[int, int] | None = None
    logs: tuple[LogLine, ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a task ends without a result."""

    code: str
    message: str
    at_fraction: float


@dataclass(frozen=True, slots=True)
class End:
    """A terminal state; progress None keeps what had been reached."""

    name: str
    kind: Literal["success", "failure", "cancellation"]
    progress: int | None
    reasons: Mapping[str, Reason]
    #: Of a cancellation: the states that a task is cancelled in to end so; empty: all that no other one has.
    states: frozenset[str] = frozenset()
    #: Of a cancellation: the states that a cancelled task goes through first.
    through: tuple[State, ...] = ()
    logs: tuple[LogLine, ...] = ()


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """The states in their order, and the ends."""

    states: tuple[State, ...]
    ends: Mapping[str, End]
    success: End
    failure: End
    cancellation: End | None
    #: What states were called once.
    older_words: Mapping[str, str] = field(default_factory=dict)
    #: The end of a task that is cancelled in a state, where that is not the usual one.
    cancellations: Mapping[str, End] = field(default_factory=dict)
    #: The states on the way to an end, by name.
    through: Mapping[str, State] = field(default_factory=dict)
    #: How a line of the log is written; None: as its message alone.
    log_line: Value | None = None

    def cancelled_in(self, state: str) -> End | None:
        """Return how a task ends that is cancelled in a state; None where it cannot be."""
        return self.cancellations.get(state, self.cancellation)

    @property
    def names(self) -> tuple[str, ...]:
        """All states: on the way, on the way to an end, and the ends."""
        return (*(state.name for state in self.states), *self.through, *self.ends)


def _joined(first: Lifecycle, second: Lifecycle) -> Lifecycle:
    """Return the states and ends of two lifecycles; of two with one name those of the first."""
    known = {state.name for state in first.states}
    return replace(
        first,
        states=(*first.states, *(state for state in second.states if state.name not in known)),
        ends={**second.ends, **first.ends},
        older_words={**second.older_words, **first.older_words},
        through={**second.through, **first.through},
    )


@dataclass(frozen=True, slots=True)
class FileRefusal:
    """What the file host behind a result link returns instead of the file."""

    status: int
    content_type: str
    body: Value


@dataclass(frozen=True, slots=True)
class ResultKind:
    """A kind of result file and its link."""

    name: str
    media: str
    path: str
    count: Value
    duration_s: Value
    short_side_px: Value
    ratio: Value
    lifetime_s: int
    expires_parameter: str | None
    signature_parameter: str | None
    expired: FileRefusal
    missing: FileRefusal
    unsigned: FileRefusal
    #: What links are made of: the path, with {task_id} and {index} for the provider's own names; empty without links.
    link: str = ""
    #: What the file holds, where the spec says so.
    content: Value | None = None
    #: Which variant a request wants, and what differs in each.
    variant: Value | None = None
    variants: Mapping[str, ResultKind] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of task beside the usual one; None is as the model says."""

    name: str
    lifecycle: Lifecycle
    result: Value | None = None
    reserve_ucr: Callable[[Any], int] | None = None
    settle_ucr: Callable[[Any], int] | None = None


@dataclass(frozen=True, slots=True)
class ParentRule:
    """Where a submit names the task that it goes on from, and what that must be."""

    task: Value
    field: str
    #: Its kind; None is any.
    kind: str | None
    #: The states that it must be in; None: it has succeeded.
    states: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Model:
    """A model: the shape of its submit body, its price, what it makes."""

    name: str
    document: str
    request: Schema
    example: Mapping[str, Any] | None
    reserve_ucr: Callable[[Any], int]
    #: None where the task costs what it has reserved.
    settle_ucr: Callable[[Any], int] | None
    result: Value
    estimated_s: float | None
    states: tuple[State, ...]
    lifecycle: Lifecycle
    requirements: tuple[Requirement, ...]
    #: Other names of this model, by the spec, and a test for those that the spec gives as patterns.
    aliases: frozenset[str] = frozenset()
    answers_to: Callable[[str], bool] = lambda _name: False
    #: Its request is what the operation that takes it declares.
    by_operation: bool = False
    #: The name of the kind of task that it makes; None is the usual one.
    kind: str | None = None
    #: The model whose shape and price this one has; empty where they are its own.
    served_as: str = ""

    @property
    def shape(self) -> str:
        """The name of the model that the documents describe."""
        return self.served_as or self.name


@dataclass(frozen=True, slots=True)
class Requirement:
    """What must hold between two numbers of a submit body."""

    left: Value
    strictly_less: bool
    right: Value
    problem: Problem

    def broken(self, context: Any) -> bool:
        """Tell whether the body in the context breaks it; where a number is missing, it holds."""
        left, right = self.left(context), self.right(context)
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            return False
        return left >= right if self.strictly_less else left > right


@dataclass(frozen=True, slots=True)
class ContentPolicy:
    """What the provider refuses to make, and when it says so."""

    texts: tuple[Value, ...]
    refuses: Callable[[str], object]
    at_submit: bool
    reason: str | None


@dataclass(frozen=True, slots=True)
class Uploads:
    """Files that clients may leave with the provider."""

    path: str
    field: str
    max_bytes: int
    media_types: tuple[str, ...]
    keeps: int
    #: Where a submit body names files, and why a task fails that names one that is not there.
    referenced_by: tuple[Value, ...] = ()
    missing_reason: str | None = None


@dataclass(frozen=True, slots=True)
class CallbackTarget:
    """Where callbacks may go, by the document's rules."""

    schemes: tuple[str, ...] = ("http", "https")
    internal_addresses_refused: bool = True
    max_length: int = 2048


Algorithm = Literal["hmac-sha1", "hmac-sha256", "hmac-sha512", "ed25519", "token"]
#: How the key that verifies callbacks is written where it is published.
KeyFormat = Literal["jwks", "pem", "base64", "hex", "raw"]


@dataclass(frozen=True, slots=True)
class Signature:
    """How a callback is signed: over the exact bytes of its body, or over a text with them."""

    #: Empty where the submit names it.
    header: str
    algorithm: Algorithm
    encoding: Literal["hex", "base64", "base64url"]
    #: What stands before each signature.
    prefix: str
    #: None where each submit brings its own, or the published key is used.
    default_secret: str | None
    #: The secret is base64, after a prefix such as `whsec_`; otherwise its characters are the key.
    secret_is_base64: bool = False
    #: What is signed; empty is the body.
    content: Pieces = ()
    #: The value of the header, the signatures in it; empty is the signatures alone.
    value: Pieces = ()
    #: What stands between the signatures of several secrets.
    separator: str = " "
    #: How long after its change the secret before signs, too.
    previous_ms: int = 0
    header_from: Value | None = None
    secret_from: Value | None = None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events a submit wants: the names that it sends, and the states that each one means."""

    wanted: Value | None
    names: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Callbacks:
    """When a callback is sent, with what, how it is signed, acknowledged and tried again."""

    url: Value
    #: Where the address stands in the submit body.
    url_keys: tuple[str, ...]
    events: Mapping[str, Value]
    headers: Headers
    signature: Signature | None
    acknowledged: frozenset[int]
    timeout_s: float
    retry_after_ms: tuple[int, ...]
    target: CallbackTarget
    #: The waits count from the beginning of the first attempt, not from the failure before each.
    waits_from_first: bool = False
    #: Headers with the callback's id or the time of the attempt.
    sent_headers: tuple[tuple[str, Pieces], ...] = ()
    #: Whether the headers of each attempt differ.
    is_timed: bool = False
    #: The address of an account that has none of its own, for submits that name none.
    default_url: str | None = None
    filter: EventFilter | None = None
    #: Whether anything shows the callback's id.
    shows_id: bool = False
    #: Submits say more of their callbacks than the address.
    has_terms: bool = False
    #: The states on the way among the events.
    stages: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Idempotency:
    """Keys with which a submit may be sent again and still makes one task."""

    key: Value
    #: The header that has the key, or else the field of the body, as keys from the top.
    header: str
    body_keys: tuple[str, ...]
    lifetime_ms: int
    #: Added to an answer that is sent again.
    replay_headers: Headers = ()

    @property
    def field(self) -> str:
        """What the key is called."""
        return self.header or ".".join(self.body_keys)


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """One of the provider's errors."""

    name: str
    status: int
    code: str | int
    type: str | None
    message: Value
    body: Value
    retry_after: bool
    retry_after_s: int | None
    headers: Headers
    content_type: str = "application/json"

    def wait_s(self, problem: Problem | None) -> int | None:
        """Return how long a client should wait, in whole seconds of mock time; None where nothing is said of that."""
        if not self.retry_after:
            return self.retry_after_s
        wait_ms = None if problem is None else problem.retry_after_ms
        return max(1, -(-wait_ms // 1000) if wait_ms is not None else self.retry_after_s or 1)


class FormField(NamedTuple):
    """One field of a form: its text, or a file."""

    name: str
    content: bytes
    media_type: str = ""
    #: None where it is no file.
    file_name: str | None = None


@dataclass(frozen=True, slots=True)
class BodyForm:
    """A media type that the request body of an operation may have."""

    media_type: str
    kind: Literal["json", "form", "multipart", "raw"]
    schema: Schema | None = None
    #: Makes the body of a form's fields: numbers and other values where the schema has those.
    read: Callable[[Sequence[FormField]], Any] = lambda _fields: {}
    #: The media types that the files of a form may have, by field.
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """An answer of an operation that has no part in a task; its content is made from drawn bytes."""

    status: int
    media_type: str
    content: Callable[[bytes], bytes]
    headers: tuple[tuple[str, Callable[[bytes], str]], ...] = ()


@dataclass(frozen=True, slots=True)
class WaitRule:
    """How long a submit waits for its task to end: some seconds, or as the client prefers."""

    seconds: Value | None = None
    #: For `Prefer: wait`, without a number.
    prefer_s: float = 0
    at_most_s: float = HOUR_MS / 1000


@dataclass(frozen=True, slots=True)
class StreamRule:
    """How the events of a stream are named, how often the progress is told, and what is sent at the end."""

    event: Value | None = None
    every_ms: int | None = None
    last: str | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One path and method, and the part it plays."""

    id: str
    method: str
    path: str
    role: Role
    secured: bool
    status: int = 200
    body: Value | None = None
    body_in: Mapping[str, Value] = field(default_factory=dict)
    headers: Headers = ()
    model: Value | None = None
    #: The model that every request means; empty where requests name it.
    model_name: str = ""
    #: What the model's and the task's fields are called, for words of refusal.
    model_field: str = "model"
    #: Where the submit body names the model, as keys from the top; empty where another part of the request does.
    model_keys: tuple[str, ...] = ()
    task: Value | None = None
    task_field: str = "task"
    #: The states of a task that it works in; None: all.
    states: frozenset[str] | None = None
    #: The kind of task that a submit makes, or that the others are for; None: as the model says, or any.
    kind: Kind | None = None
    #: Of a submit: the task that it goes on from, and how long it waits for the new one.
    parent: ParentRule | None = None
    wait: WaitRule | None = None
    #: Of a stream of events.
    stream: StreamRule | None = None
    item: Value | None = None
    limit: Value | None = None
    after: Value | None = None
    #: How many entries of a list to leave out, or the number of its page from 1.
    offset: Value | None = None
    page: Value | None = None
    #: Whether to begin with the oldest: "asc", or with the newest: "desc".
    order: Value | None = None
    default_order: str = "desc"
    #: What an entry of a list must be: the fact of the task, and what the request wants, and that parameter.
    filters: tuple[tuple[Value, Value, str], ...] = ()
    default_limit: int = 20
    max_limit: int = 100
    max_body_bytes: int = 0
    body_required: bool = False
    parameters: tuple[Parameter, ...] = ()
    #: Those that the schema gate checks: all but a task id in the path, which is looked up.
    checked_parameters: tuple[Parameter, ...] = ()
    charges_ucr: int = 0
    #: The ledger shows a charge with token counts.
    counts_tokens: bool = False
    #: The examples of its answers in the spec: name, status, body.
    examples: tuple[tuple[str, int, Any], ...] = ()
    #: The media types that its request body may have.
    media_types: tuple[str, ...] = ()
    #: Where its answers show a task's status, as keys from the top.
    status_at: tuple[tuple[str, ...], ...] = ()
    #: What its answers call a state, where that is not the state's name.
    status_words: Mapping[str, str] = field(default_factory=dict)
    #: Of a query that shows the status in no field: the template of its answer in each state.
    shapes: Mapping[str, Any] = field(default_factory=dict)
    #: What the parameters of its address stand for, where `$url` writes it: the task, its model, one of the request.
    address: tuple[tuple[str, Literal["path", "query"], Literal["task", "model", "request"]], ...] = ()
    #: Of an operation that serves results: which kind, if its path does not say so, and which file of a task.
    result_kind: str = ""
    index: Value | None = None
    #: The host that it is served at, where that is not the provider's main host.
    host: str | None = None
    #: What the path begins with that the document's `servers` say, and its `paths` do not.
    base: str = ""
    #: What its body must be, where the model does not say so; and the answer of one without a part in a task.
    request: Schema | None = None
    sample: Sample | None = None
    #: How an operation with the key of callbacks writes it.
    key_format: KeyFormat | None = None
    #: Of an operation that takes more than the JSON body of a model: what its body may be.
    bodies: tuple[BodyForm, ...] = ()
    #: A field of its body names the task: by its id, or by a longer name that ends in / and the id.
    names_task: bool = False

    @property
    def reads_parts(self) -> bool:
        """Whether its body may be multipart."""
        return any(each.kind == "multipart" for each in self.bodies)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query, path or header parameter that the operation declares, with its compiled schema."""

    name: str
    place: Literal["query", "path", "header"]
    required: bool
    type: str
    schema: Schema


@dataclass(frozen=True, slots=True)
class Route:
    """A path of the spec: its operations by method."""

    path: str
    operations: Mapping[str, Operation]


@dataclass(frozen=True, slots=True)
class Dialect:
    """A named variant that a user can switch on."""

    name: str
    summary: str
    source: str
    active: bool


@dataclass(frozen=True, slots=True)
class KeyRule:
    """Where the API key is and what it looks like."""

    header: str
    bearer: bool
    well_formed: Callable[[str], object]
    example: str
    #: Keys that bring a situation with them.
    test_keys: Mapping[str, TestKey] = field(default_factory=dict)
    #: Makes new keys; None where the spec does not say what they look like.
    new_key: IdFormat | None = None
    #: The environment variable that the documents keep the key in, if they name one.
    variable: str | None = None

    def header_with(self, key: str) -> dict[str, str]:
        """Return the request header that carries a key."""
        return {self.header: f"Bearer {key}" if self.bearer else key}


@dataclass(frozen=True, slots=True)
class PollAdvice:
    """How the documents ask a client to poll; None is not asked."""

    first_after_s: float | None = None
    interval_s: float | None = None
    at_most: int | None = None
    give_up_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class RetryAdvice:
    """How the documents ask a client to try again after some statuses."""

    statuses: frozenset[int]
    waits_s: tuple[float, ...] = ()
    jitter: bool = False
    at_most: int | None = None


@dataclass(frozen=True, slots=True)
class ClientAdvice:
    """What the documents ask of a client, in figures."""

    poll: PollAdvice = PollAdvice()
    retry: tuple[RetryAdvice, ...] = ()


@dataclass(frozen=True, slots=True)
class Provider:
    """Everything that is particular to one provider."""

    name: str
    title: str
    hosts: tuple[str, ...]
    documents: tuple[str, ...]
    key: KeyRule
    request_id_header: str
    request_id: IdFormat
    task_id: IdFormat
    task_id_matches: Callable[[str], object] | None
    account_id: IdFormat
    file_id: IdFormat
    callback_id: IdFormat
    default_plan: str
    plans: Mapping[str, Plan]
    counts_all_requests: bool
    ample_ucr: int
    documented_ucr: int | None
    models: Mapping[str, Model]
    lifecycle: Lifecycle
    content_policy: ContentPolicy | None
    results: Mapping[str, ResultKind]
    uploads: Uploads | None
    callbacks: Callbacks | None
    errors: Mapping[str, ErrorAnswer]
    refusals: Mapping[str, ErrorAnswer]
    routes: tuple[Route, ...]
    operations: Mapping[str, Operation]
    dialects: tuple[Dialect, ...]
    client: ClientAdvice = ClientAdvice()
    idempotency: Idempotency | None = None
    #: Whether any answer shows the progress of a task.
    shows_progress: bool = False
    draws: Mapping[str, Draw] = field(default_factory=dict)
    kinds: Mapping[str, Kind] = field(default_factory=dict)

    #: The states and ends of all kinds of task.
    whole_lifecycle: Lifecycle = field(init=False, repr=False)

    def __post_init__(self) -> None:
        others = [kind.lifecycle for kind in self.kinds.values()]
        object.__setattr__(self, "whole_lifecycle", reduce(_joined, others, self.lifecycle))

    @property
    def main_host(self) -> str:
        """The host of the paths that name none of their own."""
        return self.hosts[0] if self.hosts else "localhost"

    @property
    def key_variables(self) -> tuple[str, ...]:
        """The environment variables that clients read the key from: by the provider's name, and by its documents."""
        usual = f"{self.name.upper().replace('-', '_')}_API_KEY"
        return tuple(dict.fromkeys((usual, self.key.variable or usual)))


def keys_by_variable(providers: Iterable[Provider]) -> dict[str, str]:
    """Return a valid API key of each provider, by the environment variables that clients read it from."""
    return {name: provider.key.example for provider in providers for name in provider.key_variables}
