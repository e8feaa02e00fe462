"""What clauses read out of a journal: who tried what again, what an answer told of a task."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from contracts.journal import Delivery, Exchange, Job, Journal, TaskTrace
    from mockserver.provider import End, Model, Provider

HTTP_OK = 200
HTTP_PARTIAL = 206
OK = range(200, 300)
#: What the journal writes in a key's place.
KEY_MARK = "[key of "
#: The same request after so long is nobody's retry.
UNRELATED_AFTER_S = 900.0
#: How long a task is to be waited for where no document says it.
PATIENCE_S = 240.0
#: Faults after which nobody knows when an answer reached the client.
SLOWED = frozenset(("latency", "slow_body", "held_open"))
#: Faults that leave a callback with a signature that does not fit.
FORGED = frozenset(
    ("unsigned_callback", "wrong_signature", "signature_length", "signature_of_other_bytes", "old_secret")
)
#: Faults that leave it no JSON.
SPOILED = frozenset(("cut_callback", "callback_not_json"))
#: The fault that tells of a new event.
NEW = "unknown_event"
#: Faults that change the body and sign it anew: what was wrong with the signature before is right then.
RESIGNED = SPOILED | {"contradicting_callback", NEW}


def unrelated(journal: Journal, before: Exchange, after: Exchange) -> bool:
    """Tell whether a request came so long after another that it has nothing to do with it, if nobody knows the jobs."""
    return not journal.jobs and journal.seconds(before.at_ms, after.at_ms) > UNRELATED_AFTER_S


def retry_chains(journal: Journal, exchanges: Iterable[Exchange]) -> Iterator[list[Exchange]]:
    """Give the chains of one and the same request: same target, same body, same account, one after the other.

    A chain goes on as long as it is not answered with success. Where nobody knows the jobs, the same request long
    after is somebody else's, and begins another.
    """
    chains: dict[Any, list[Exchange]] = {}
    for each in exchanges:
        name = (each.account, each.method, each.path, each.query, each.body)
        chain = chains.setdefault(name, [])
        if chain and unrelated(journal, chain[-1], each):
            yield chain
            chain = chains[name] = []
        chain.append(each)
        if each.status is not None and each.status in OK and refusal_inside(journal.provider, each) is None:
            yield chains.pop(name)
    yield from chains.values()


def refusal_inside(provider: Provider, exchange: Exchange) -> Any:
    """Return the code of an error that stands inside an answer with a 2xx status; None where there is none."""
    answer = exchange.answer
    if exchange.status is None or exchange.status not in OK or not isinstance(answer, dict):
        return None
    word = _word(answer)
    if word is not None and is_known_status(provider, word):
        return None  # it shows a task, and an error in it is the task's
    if answer.get("error"):
        return answer["error"]
    code = answer.get("code")
    codes = {error.code for error in provider.errors.values()}
    return code if code in codes else None


def status_of(exchange: Exchange) -> str | None:
    """Return the word that an answer has for a task's state; None where it has none."""
    return _word(exchange.answer)


def _word(value: Any) -> str | None:
    if isinstance(value, dict):
        for key in ("status", "state", "taskStatus", "task_status"):
            if isinstance(value.get(key), str):
                return str(value[key])
        for each in value.values():
            found = _word(each)
            if found is not None:
                return found
    return None


def is_known_status(provider: Provider, word: str) -> bool:
    """Tell whether the provider has a word for a state, older ones included, in whatever case."""
    lifecycle = provider.lifecycle
    words = (*(state.name for state in lifecycle.states), *lifecycle.ends, *lifecycle.older_words.values())
    return word.lower() in (each.lower() for each in words)


def end_shown(journal: Journal, exchange: Exchange) -> End | None:
    """Return the end that an answer shows a task in, in whatever case."""
    if exchange.status is None or exchange.status not in OK:
        return None
    if refusal_inside(journal.provider, exchange) is not None:
        return None
    word = status_of(exchange)
    if word is None:
        return None
    ends = journal.provider.lifecycle.ends.items()
    return next((end for name, end in ends if name.lower() == word.lower()), None)


def first_end(journal: Journal, trace: TaskTrace) -> tuple[Exchange, End] | None:
    """Return the first query that showed a task's end, and the end."""
    for query in trace.queries:
        end = end_shown(journal, query)
        if end is not None:
            return query, end
    return None


def end_callbacks(journal: Journal, trace: TaskTrace) -> list[Delivery]:
    """Return the callbacks that told the client of a task's end: those in order that reached its receiver."""
    ends, nothing = journal.provider.lifecycle.ends, FORGED | SPOILED | {NEW}
    reached = (each for each in trace.deliveries if each.status is not None or each.outcome == "timeout")
    return [each for each in reached if each.event in ends and not nothing.intersection(each.faults)]


def ended_by_callback(journal: Journal, query: Exchange) -> bool:
    """Tell whether a callback told the end of a query's task after it, so that nothing more had to be asked."""
    trace = next(each for each in journal.traces if each.task == query.task)
    return any(each.at_ms >= query.at_ms for each in end_callbacks(journal, trace))


def patience_is_over(journal: Journal, submit: Exchange, queries: Sequence[Exchange], at_ms: int) -> bool:
    """Tell whether a task has been waited for as long, or asked after as often, as the document or patience asks."""
    advice = journal.provider.client.poll
    if advice.at_most is not None and len(queries) >= advice.at_most:
        return True
    interval_s = advice.interval_s or 0.0
    limits_s = [advice.give_up_after_s] if advice.give_up_after_s else []
    if advice.at_most is not None and interval_s:
        limits_s.append(advice.at_most * interval_s)
    return journal.seconds(submit.at_ms, at_ms) + interval_s >= min(limits_s or [PATIENCE_S])


def model_of(journal: Journal, submit: Exchange) -> Model | None:
    """Return the model that a submit names, if the provider has it."""
    body = submit.json
    name = body.get("model") if isinstance(body, dict) else None
    return journal.provider.models.get(name) if isinstance(name, str) else None


def traces_of(journal: Journal, job: Job) -> list[TaskTrace]:
    """Return the stories of the tasks that were submitted for a job: its prompt stands in the submits."""
    return [each for each in journal.traces if any(job.prompt in (submit.body or "") for submit in each.submits)]


def submits_of(journal: Journal, job: Job) -> list[Exchange]:
    """Return the submits that were made for a job."""
    return [each for each in journal.of_role("submit") if job.prompt in (each.body or "")]


def sizes(downloads: Iterable[Exchange]) -> set[int]:
    """Return the sizes that a whole file may have: of those that came whole, and of those fetched in parts."""
    out = set()
    for each in downloads:
        if is_whole(each):
            out.add(each.answer_bytes)
        _, _, total = (each.answer_header("Content-Range") or "").partition("/")
        if each.status == HTTP_PARTIAL and total.isdecimal():
            out.add(int(total))
    return out


def reasons_in(provider: Provider, text: str | None) -> list[str]:
    """Return the code and the message of the reason that an answer or a callback gives for a failure."""
    return [
        word
        for end in provider.lifecycle.ends.values()
        for reason in end.reasons.values()
        for word in (reason.code, reason.message)
        if text and json.dumps(word)[1:-1] in text
    ]


def is_whole(download: Exchange) -> bool:
    """Tell whether a file came whole."""
    length = download.answer_header("Content-Length")
    whole = length is None or not length.isdecimal() or download.answer_bytes >= int(length)
    return download.method == "GET" and download.status == HTTP_OK and whole


def accepted(exchange: Exchange) -> bool:
    """Tell whether a submit's answer says which task was made."""
    good = exchange.status is not None and exchange.status in OK and exchange.task is not None
    return good and isinstance(exchange.answer, dict) and str(exchange.task) in (exchange.answer_body or "")


def by_account(exchanges: Iterable[Exchange]) -> dict[str | None, list[Exchange]]:
    """Sort requests by the account that they were made with."""
    out: dict[str | None, list[Exchange]] = defaultdict(list)
    for each in exchanges:
        out[each.account].append(each)
    return out


def secured(journal: Journal, exchange: Exchange) -> bool:
    """Tell whether a request goes to an operation that wants a key."""
    operation = journal.provider.operations.get(exchange.operation or "")
    return operation is not None and operation.secured


def seconds_text(value_s: float) -> str:
    """Write a number of seconds."""
    return f"{value_s:.3f}".rstrip("0").rstrip(".") + " s"
