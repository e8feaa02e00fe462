"""What the fields of answers are usually called, by the fact that each shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

#: When a fact is there: always, or null until the task has ended in a certain way.
ALWAYS, LATER, SUCCESS, FAILURE = "always", "later", "success", "failure"


class Fact(NamedTuple):
    """An expression, the JSON types that it has, and when it is there."""

    template: Any
    types: tuple[str, ...]
    when: str = ALWAYS


_NUMBERS = ("integer", "number")
_TEXT = ("string",)
_LINK_WORDS = "url|uri|link|href"
_MADE = "videos?|images?|audios?|outputs?|results?|files?|assets?|artifacts?|samples?|generations?|content|media"
_LINK = Fact("$task.result_url", _TEXT, SUCCESS)
_LINKS = Fact("$task.result_urls", ("array",), SUCCESS)
_CODE = Fact("$task.reason_code", _TEXT, FAILURE)
_MESSAGE = Fact("$task.reason_message", _TEXT, FAILURE)

#: Names in snake case, as patterns of whole names; the first that fits counts.
_OF_TASK: tuple[tuple[str, Fact], ...] = (
    (r"(task_|job_)?progress(_percent(age)?|_pct)?|percent(age)?(_complete)?", Fact("$task.progress", _NUMBERS)),
    (r"model(_id|_name|_version)?", Fact("$task.model", _TEXT)),
    (r".*base_?64.*|b64(_json)?", Fact("$task.result_base64", _TEXT, SUCCESS)),
    (rf"({_MADE})", _LINK),
    (rf"(({_MADE}|download|signed|public|hosted)_)?({_LINK_WORDS})", _LINK),
    (rf"({_MADE}|({_MADE}|download)_)?({_LINK_WORDS})s", _LINKS),
    (rf"({_MADE})", _LINKS),
    (r"((error|fail(ure)?|reason|task_error)_code)", _CODE),
    (r"error(_message|_msg|_reason|_detail)?|fail(ure|ed)?(_message|_msg|_reason)|failure", _MESSAGE),
)
_OF_ERROR: tuple[tuple[str, Fact], ...] = (
    (r"code|type|status|name|reason", _CODE),
    (r"message|msg|details?|description|error(_message)?|title", _MESSAGE),
)
#: Beside the status of a task, where there is no object for errors.
_OF_FAILED: tuple[tuple[str, Fact], ...] = (("code", _CODE), (r"message|msg", _MESSAGE))
_OF_FILE: tuple[tuple[str, Fact], ...] = (
    (rf"({_MADE})?_?(content|mime|media)_?type", Fact("$task.media", _TEXT, SUCCESS)),
    (r"duration(_s|_seconds)?", Fact("$task.output_duration_s", _NUMBERS, SUCCESS)),
)
_OF_LIST: tuple[tuple[str, Fact], ...] = (
    (r"total(_count|_items|_results)?|count", Fact("$list.total", _NUMBERS)),
    (r"has_(more|next)(_page)?", Fact("$list.has_more", ("boolean",))),
    (r"first_id", Fact("$list.first_id", _TEXT, LATER)),
    (r"last_id", Fact("$list.last_id", _TEXT, LATER)),
    (r"next|(next_)?(page_)?(cursor|token)|next_(page|id|after)|after", Fact("$list.next", _TEXT, LATER)),
    (r"(page_)?(limit|size)|per_page", Fact("$list.limit", _NUMBERS)),
    (r"offset|skip", Fact("$list.offset", _NUMBERS)),
    (r"(current_)?page(_(no|num|number|index))?", Fact("$list.page", _NUMBERS)),
    (r"(total_|num_)?pages|total_page|page_count", Fact("$list.pages", _NUMBERS)),
)
_OF_UPLOAD: tuple[tuple[str, Fact], ...] = (
    (r"(file_)?id", Fact("$file.id", _TEXT)),
    (rf"((file|download|public)_)?({_LINK_WORDS})|file", Fact("$file.url", _TEXT)),
    (r"(file_?|original_)?name", Fact("$file.name", _TEXT)),
    (r"((content|mime|media)_?)?type", Fact("$file.media_type", _TEXT)),
    (r"(file_)?(size|bytes)(_bytes)?", Fact("$file.size_bytes", _NUMBERS)),
)
_OF_BALANCE: tuple[tuple[str, Fact], ...] = (
    (r"(credits?|balance|available|remaining|left).*", Fact("$account.available_credits", _NUMBERS)),
    (r".*(used|spent|consumed).*", Fact("$account.used_credits", _NUMBERS)),
)
_TABLES: Mapping[str, tuple[tuple[str, Fact], ...]] = {
    "error": _OF_ERROR,
    "failed": _OF_FAILED,
    "file": (*_OF_FILE, *_OF_TASK),
    "list": _OF_LIST,
    "upload": _OF_UPLOAD,
    "balance": _OF_BALANCE,
    "task": _OF_TASK,
}
_INSTANTS: tuple[tuple[str, str, str], ...] = (
    (r"created?|submit(ted)?|queued|requested|inserted", "submitted", ALWAYS),
    (r"start(ed)?|begun|began|scheduled", "started", LATER),
    (r"complet(ed?|ion)|end(ed)?|finish(ed)?|done|failed|succeeded", "ended", LATER),
    (r"expir(es|ed?|y|ation)|url_expires", "expires", SUCCESS),
    (r"(last_)?(updated?|modified|changed)", "now", ALWAYS),
)
_TIME_ENDING = re.compile(r"(_(at|on|time|timestamp|date|datetime|ms|s))+$")
#: What APIs call states, by what they mean, the usual words first.
_WORDS: Mapping[str, str] = {
    "waiting": "queued pending submitted waiting created notstarted accepted scheduled inqueue starting new",
    "running": "running processing inprogress generating started working active rendering executing",
    "success": "succeeded completed success successful done finished complete ready ok",
    "failure": "failed failure fail error errored",
    "cancellation": "cancelled canceled cancel aborted stopped",
}


def snake(name: str) -> str:
    """Write a name in snake case."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return spaced.replace("-", "_").lower()


def fact_of(name: str, types: tuple[str, ...], table: str) -> Fact | None:
    """Return the fact that a field of these types shows, by its name."""
    known = snake(name)
    for pattern, fact in _TABLES[table]:
        if set(fact.types) & set(types) and re.fullmatch(pattern, known):
            return fact
    return None


def instant_of(name: str, schema: Mapping[str, Any], types: tuple[str, ...]) -> Fact | None:
    """Return the instant that a field shows, in the notation of its type."""
    known = snake(name)
    stem = _TIME_ENDING.sub("", known)
    if stem == known and known != "created" and schema.get("format") not in ("date-time", "unixtime", "int64"):
        return None
    found = next(((root, when) for pattern, root, when in _INSTANTS if re.fullmatch(pattern, stem)), None)
    if found is None or not set(types) & {"string", *_NUMBERS}:
        return None
    shown = next((schema[word] for word in ("example", "default") if isinstance(schema.get(word), int)), 0)
    in_ms = known.endswith("_ms") or shown > 10**11
    notation = "iso" if "string" in types else "unix_ms" if in_ms else "unix_s"
    root, when = found
    return Fact(f"$now.{notation}" if root == "now" else f"$task.{root}_{notation}", types, when)


def kind_of(end: Any) -> Any:
    """Return the kind of an end, which may be written alone."""
    return end.get("kind") if isinstance(end, dict) else end


def words_for(lifecycle: Mapping[str, Any], allowed: list[Any]) -> dict[str, str]:
    """Return what states are called where only these words are allowed; without those that have their own name."""
    plain = {re.sub(r"[^a-z]", "", each.lower()): each for each in allowed if isinstance(each, str)}
    out: dict[str, str] = {}
    states = [(name, "waiting" if not index else "running") for index, name in enumerate(lifecycle["states"])]
    for name, meaning in [*states, *((name, kind_of(each)) for name, each in lifecycle["ends"].items())]:
        if name in allowed or meaning not in _WORDS:
            continue
        groups = {"waiting": ("waiting", "running"), "running": ("running", "waiting")}.get(meaning, (meaning,))
        usual = [word for group in groups for word in _WORDS[group].split()]
        if meaning == "cancellation":
            usual += _WORDS["failure"].split()
        found = next((plain[word] for word in usual if word in plain), None)
        if found is not None:
            out[name] = found
    return out
