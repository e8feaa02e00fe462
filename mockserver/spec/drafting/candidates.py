"""Ranks the operations of a document by what they may be for: submit, query, cancel, list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from mockserver.spec.document import PATH_PARAMETER, Document
from mockserver.spec.drafting.fields import Field, fields_of, flat, is_text, properties_of, these, types_of, words_of
from mockserver.spec.drafting.states import statuses, weight
from mockserver.spec.gathering import METHODS
from mockserver.spec.servers import base_paths

_MAKES = these(
    "create submit generate generation generations run runs predict prediction predictions render renders synthesize "
    "synthesis transcribe transcription transcriptions translate job jobs task tasks video videos image images audio "
    "async batch batches make start enqueue queue inference infer imagine animate upscale process convert"
)
_MAKES_NOTHING = these(
    "cancel delete remove stop abort terminate login logout token tokens auth oauth key keys user users upload uploads "
    "file files webhook webhooks callback callbacks search list status query estimate price pricing validate chat "
    "embedding embeddings moderation moderations invite invites member members subscribe refund retry pause resume "
    "update edit settings password session sessions comment comments message messages download archive"
)
_ASKS = these(
    "status state task tasks job jobs operation operations prediction predictions result results generation "
    "generations fetch retrieve poll get run runs"
)
_ASKS_OTHERS = these(
    "user users file files content download logs log events event list balance account accounts model models key "
    "keys webhook webhooks metrics usage stats steps items comments"
)
_CANCELS = these("cancel cancels abort stop terminate kill revoke cancellation")
_CONTENTS = these("content contents download file result results output video audio image media asset artifact")
_GENERIC = these("v api rest get post the a of by id for to and list create")
_IDS = ("id", "uuid", "guid", "name", "key", "handle")
_OF_TASKS = these("task job request operation prediction generation run render video image call process")
_PROMPTS = these("prompt text input inputs script image images audio url video query instances")
CALLBACKS = these("callback webhook notify notification hook callbackurl webhookurl notifyurl")
_LEAST_SUBMIT = 5
_LEAST_QUERY = 6
_MOST_PAIRED = 25
JSON = "application/json"


@dataclass(frozen=True, eq=False)
class Entry:
    """One operation of the document, with what its parts say."""

    document: Document
    method: str
    path: str
    raw: Mapping[str, Any]
    item: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What a user calls it."""
        return f"{self.method.upper()} {self.path}"

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.raw["operationId"])

    @cached_property
    def base(self) -> str:
        """What the servers put before its path."""
        usual = self.document.data.get("servers")
        return base_paths(self.raw.get("servers", self.item.get("servers", usual)))[0]

    @property
    def summary(self) -> str:
        """What the document calls it."""
        return str(self.raw.get("summary", ""))

    @cached_property
    def steps(self) -> tuple[str, ...]:
        """The parts of its path."""
        return tuple(each for each in self.path.replace(":", "/").split("/") if each)

    @cached_property
    def words(self) -> frozenset[str]:
        """The words of its id and of the fixed parts of its path."""
        fixed = " ".join(each for each in self.steps if not PATH_PARAMETER.search(each))
        return frozenset(words_of(f"{fixed} {self.id}"))

    @cached_property
    def last_words(self) -> frozenset[str]:
        """The words of the last fixed part of its path."""
        fixed = [each for each in self.steps if not PATH_PARAMETER.search(each)]
        return frozenset(words_of(fixed[-1] if fixed else ""))

    def parameters(self, place: str) -> list[dict[str, Any]]:
        """Return the parameters of a place: path, query or header."""
        listed = [
            *(self.document.followed(each) for each in self.item.get("parameters", ())),
            *(self.document.followed(each) for each in self.raw.get("parameters", ())),
        ]
        return [each for each in listed if each.get("in") == place and isinstance(each.get("name"), str)]

    @cached_property
    def content(self) -> tuple[str, Mapping[str, Any]]:
        """The media type of its request, JSON first, and the schema; empty where it takes no body."""
        return _media(self.document, self.document.followed(self.raw.get("requestBody", {})))

    @cached_property
    def request(self) -> dict[str, Any]:
        """The schema of its request."""
        return flat(self.document.data, self.content[1])

    @cached_property
    def success(self) -> tuple[int, Mapping[str, Any]]:
        """The status of its success, and the response."""
        responses = self.raw.get("responses")
        known = responses if isinstance(responses, dict) else {}
        exact = sorted(each for each in map(str, known) if each.isdecimal() and each[0] == "2")
        key = exact[0] if exact else next((each for each in known if str(each).upper() in ("2XX", "DEFAULT")), None)
        found = self.document.followed(known.get(key, {})) if key is not None else {}
        return int(exact[0]) if exact else 200, found

    @cached_property
    def answer(self) -> Mapping[str, Any]:
        """The schema of its success, as written."""
        return _media(self.document, self.success[1])[1]

    @cached_property
    def fields(self) -> list[Field]:
        """The fields of its answer."""
        return list(fields_of(self.document.data, self.answer))

    @cached_property
    def status(self) -> int:
        """How much its answer looks like that of a task."""
        found = statuses(self.fields)
        return weight(found[0]) if found else 0

    @property
    def has_items(self) -> bool:
        """Whether its answer is a list of things."""
        return bool(list_place(self))

    def ids(self) -> list[Field]:
        """Return the fields of its answer that may be the id of a task, the likeliest first."""
        return sorted((each for each in self.fields if _id_weight(each) > 0), key=lambda each: -_id_weight(each))


def _media(document: Document, holder: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    content = holder.get("content")
    known = content if isinstance(content, dict) else {}
    order = sorted(known, key=lambda each: (JSON not in each, "json" not in each, "multipart" not in each))
    for name in order:
        media = document.followed(known[name])
        schema = media.get("schema")
        return name, schema if isinstance(schema, dict) else {}
    return "", {}


def _id_weight(field: Field) -> int:
    words = field.words
    if not words or not ({"string", "integer"} & {*types_of(field.schema)} or not types_of(field.schema)):
        return 0
    depth = len(field.path)
    if {"user", "account", "org", "organization", "project", "team", "customer", "model", "trace"} & {*words}:
        return 0
    if words[-1] not in _IDS:
        return 0
    if len(words) == 1:
        return {"id": 8, "uuid": 7, "guid": 7}.get(words[0], 2) - depth
    if words[-1] in ("id", "uuid", "guid"):
        return (5 if words[0] == "request" else 9 if words[0] in _OF_TASKS else 4) - depth
    return 1


def entries_of(document: Document) -> list[Entry]:
    """Return the operations of a completed document."""
    return [
        Entry(document, method, path, item[method], item)
        for path, item in document.data["paths"].items()
        for method in METHODS
        if method in item
    ]


class Pair(NamedTuple):
    """An operation that makes a task and the one that asks for it, and how likely they are."""

    submit: Entry
    query: Entry
    weight: int


def submit_weight(entry: Entry) -> int:
    """Return how much an operation looks like one that makes tasks."""
    if entry.method not in ("post", "put"):
        return 0
    score = 3 if entry.method == "post" else 0
    last = entry.steps[-1] if entry.steps else ""
    if PATH_PARAMETER.fullmatch(last) and not {"model", "version", "name", "endpoint"} & {*words_of(last)}:
        score -= 4
    score += 2 * min(2, len(_MAKES & entry.words))
    score -= 4 * min(2, len(_MAKES_NOTHING & (entry.last_words or entry.words)))
    status, response = entry.success
    score += {202: 4, 201: 1}.get(status, 0)
    score += min(6, entry.status) + (2 if entry.ids() else 0)
    headers = response.get("headers")
    if isinstance(headers, dict) and {"operation-location", "location"} & {each.lower() for each in headers}:
        score += 3
    for name in properties_of(entry.request):
        score += 2 * bool(CALLBACKS & {*words_of(name)}) + bool(_PROMPTS & {*words_of(name)})
    return score - 3 * entry.has_items


def id_parameter(entry: Entry) -> tuple[str, str] | None:
    """Return where a request names a task: the place and the name of the parameter."""
    in_path = [name for name in PATH_PARAMETER.findall(entry.path) if entry.path.count(f"{{{name}}}")]
    if in_path:
        likely = [each for each in in_path if {"task", "job", "request", "operation", "id"} & {*words_of(each)}]
        return "path", (likely or in_path)[-1]
    for each in entry.parameters("query"):
        words = words_of(each["name"])
        if words[-1:] in (("id",), ("uuid",)) and (len(words) == 1 or {*words} & _OF_TASKS):
            return "query", each["name"]
    return None


def query_weight(entry: Entry) -> int:
    """Return how much an operation looks like one that asks for a task."""
    if entry.method != "get" or id_parameter(entry) is None:
        return 0
    score = 5 + min(8, entry.status) + min(2, len(_ASKS & entry.words))
    score += bool(entry.steps and PATH_PARAMETER.fullmatch(entry.steps[-1]))
    score -= 3 * min(2, len(_ASKS_OTHERS & (entry.last_words or entry.words)))
    return score - 4 * entry.has_items if entry.status else score - 4


def affinity(submit: Entry, query: Entry) -> int:
    """Return how much two operations look as if they were about the same tasks."""
    ours, theirs = submit.steps, query.steps
    common = 0
    while common < min(len(ours), len(theirs)) and ours[common] == theirs[common]:
        common += 1
    score = 2 * min(common, 3)
    if len(theirs) == len(ours) + 1 == common + 1:
        score += 6
    elif common == len(ours):
        score += 3
    if submit.answer and submit.answer == query.answer:
        score += 4
    named = id_parameter(query)
    name = "".join(words_of(named[1])) if named else ""
    if name and any("".join(each.words) == name for each in submit.fields):
        score += 4 if name != "id" else 1
    resources = {each.rstrip("s") for each in submit.words & query.words} - _GENERIC
    return score + min(3, len(resources))


def pairs_of(entries: Sequence[Entry]) -> list[Pair]:
    """Return the pairs of operations that may make tasks and ask for them, the likeliest first."""
    queries = _best(entries, query_weight, _LEAST_QUERY)
    found = [
        Pair(submit, query, much + other + affinity(submit, query))
        for submit, much in _best(entries, submit_weight, _LEAST_SUBMIT)[:_MOST_PAIRED]
        for query, other in queries
    ]
    return sorted(found, key=lambda each: -each.weight)


def _best(entries: Iterable[Entry], weigh: Any, least: int) -> list[tuple[Entry, int]]:
    found = [(each, weigh(each)) for each in entries]
    return sorted(((each, much) for each, much in found if much >= least), key=lambda pair: -pair[1])


def ranked(entries: Sequence[Entry], role: str) -> list[Entry]:
    """Return the operations that may have a role, the likeliest first, whatever the others are."""
    weigh = {"submit": submit_weight, "query": query_weight}[role]
    return [each for each, _ in _best(entries, weigh, 1)]


def submits_of(pairs: Sequence[Pair]) -> list[Entry]:
    """Return the operations that may make tasks, the likeliest first."""
    return list(dict.fromkeys(each.submit for each in pairs))


def queries_for(entries: Sequence[Entry], submit: Entry) -> list[Entry]:
    """Return the operations that may ask for the tasks of one that makes them, the likeliest first."""
    found = [(each, much + affinity(submit, each)) for each, much in _best(entries, query_weight, 1)]
    return [each for each, _ in sorted(found, key=lambda pair: -pair[1])]


def cancels_for(entries: Sequence[Entry], query: Entry) -> list[Entry]:
    """Return the operations that may cancel the tasks that another one asks for."""
    named = id_parameter(query)
    shape = _shape(query.path)

    def much(entry: Entry) -> int:
        if entry.method == "get" or id_parameter(entry) is None:
            return 0
        says = bool(_CANCELS & entry.last_words) or bool(_CANCELS & {*words_of(entry.id)})
        near = _shape(entry.path).startswith(shape)
        if near and says:
            return 10
        if says and named and entry.words & query.words - _GENERIC:
            return 5
        told = {*words_of(f"{entry.id} {entry.summary}")}
        return 3 if near and entry.method == "delete" and _CANCELS & told else 0

    return [each for each, _ in _best(entries, much, 1)]


def deletes_for(entries: Sequence[Entry], query: Entry) -> list[Entry]:
    """Return the operations that may delete the tasks that another one asks for."""
    return [each for each in entries if each.method == "delete" and _shape(each.path) == _shape(query.path)]


def contents_for(entries: Sequence[Entry], query: Entry) -> list[Entry]:
    """Return the operations that may give the file of a task that another one asks for."""
    below = _shape(query.path) + "/"
    return [
        each
        for each in entries
        if each.method == "get" and _shape(each.path).startswith(below) and _CONTENTS & each.last_words
    ]


def lists_for(entries: Sequence[Entry], submit: Entry, query: Entry) -> list[Entry]:
    """Return the operations that may list tasks."""
    places = {_shape(submit.path): 6, _shape(query.path).rpartition("/")[0]: 5}

    def much(entry: Entry) -> int:
        place = places.get(_shape(entry.path), 0)
        return place if place and entry.method == "get" and entry.has_items else 0

    return [each for each, _ in _best(entries, much, 1)]


def list_place(entry: Entry) -> tuple[str, ...] | None:
    """Return where an answer has a list of objects; an empty place is the whole."""
    data = entry.document.data
    whole = flat(data, entry.answer)
    if "array" in types_of(whole):
        return ()
    arrays = [
        each
        for each in entry.fields
        if types_of(each.schema) == ("array",) and "object" in types_of(flat(data, each.schema.get("items", {})))
    ]
    named = [each for each in arrays if {"data", "items", "results", "tasks", "jobs", "list"} & {*each.words}]
    others = [each for each in arrays if {*words_of(entry.steps[-1])} & {*each.words}] if entry.steps else []
    found = next(iter((*named, *others)), None)
    return None if found is None or (entry.status and len(found.path) > 1) else found.path


def callback_field(entry: Entry) -> Field | None:
    """Return the field of a submit that says where a task's callbacks go."""
    found = [
        each
        for each in fields_of(entry.document.data, entry.content[1])
        if CALLBACKS & {*each.words, "".join(each.words)} and is_text(each.schema)
    ]
    found = [each for each in found if not {"secret", "events", "filter", "method", "type"} & {*each.words}]
    return min(found, key=lambda each: len(each.path), default=None)


def _shape(path: str) -> str:
    return PATH_PARAMETER.sub("{}", path)


def by_name(entries: Iterable[Entry], name: str) -> Entry | None:
    """Return the operation that a user names: `POST /clips`, `/clips` or its id."""
    method, _, path = name.strip().rpartition(" ")
    entries = list(entries)
    exact = [each for each in entries if each.path == path and method.lower() in ("", each.method)]
    return next(iter((*exact, *(each for each in entries if each.raw.get("operationId") == name))), None)


def raw_callbacks(raw: Document, submit: Entry) -> Iterator[Mapping[str, Any]]:
    """Yield the bodies of callbacks that a document declares as it is written: of the submit, then webhooks."""
    entry = _mapping(_mapping(_mapping(raw.data.get("paths")).get(submit.path)).get(submit.method))
    holders = [raw.followed(each) for each in _mapping(entry.get("callbacks")).values()]
    items = [item for holder in holders for item in holder.values()]
    items += _mapping(raw.data.get("webhooks")).values()
    for item in items:
        for method in ("post", "put"):
            operation = _mapping(raw.followed(item).get(method))
            _, schema = _media(raw, raw.followed(operation.get("requestBody", {})))
            if schema:
                yield schema


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
