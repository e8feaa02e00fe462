"""What clauses read from a journal: retries of one request, what an answer says about a task, what faults did."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Literal

from contracts.journal import Delivery, Exchange, Job, Journal, Record, TaskTrace
from contracts.sent import named_outside, operation_of, sent
from contracts.shapes import state_shown
from mockserver.engine.models import documented_model
from mockserver.faults import all_faults
from mockserver.provider import End, Idempotency, Model, Provider
from mockserver.spec.pointer import pointed

HTTP_OK = 200
HTTP_PARTIAL = 206
OK = range(200, 300)
#: How the journal marks a redacted key.
KEY_MARK = "[key of "
#: The same request after so long is not a retry.
UNRELATED_AFTER_S = 900.0
#: Waits are compared with this tolerance, because the two clocks are not read at the same instant.
GRACE_S = 0.05
#: How long a client has to wait for a task if nothing says how long one takes, or how many times the estimate.
PATIENCE_S = 240.0
PATIENCE_FACTOR = 3.0

Duty = Literal[
    "undocumented",
    "delays_answer",
    "breaks_answer",
    "hides_result",
    "withholds_links",
    "hides_task",
    "forges_signature",
    "corrupts_callback",
    "adds_unknown_event",
    "shows_other_status",
    "hides_error",
    "signs_again",
    "reformats_callback",
    "lags",
    "spoils_file",
    "redirects",
    "fills_progress",
    "withholds_answer",
]


# -- faults -----------------------------------------------------------------------------------------


@cache
def faults_that(duty: Duty) -> frozenset[str]:
    """Return the names of the faults that have this effect on a client's duties."""
    return frozenset(name for name, kind in all_faults().items() if getattr(kind, duty))


def faults_in(record: Record, *duties: Duty) -> set[str]:
    """Return the faults in a record that have one of these effects on a client's duties."""
    return {fault for fault in record.faults if any(fault in faults_that(duty) for duty in duties)}


def received(exchange: Exchange) -> bool:
    """Tell whether an answer is sure to have reached the client: whole, and before the client's own timeout."""
    return exchange.status is not None and not faults_in(exchange, "delays_answer", "breaks_answer")


# -- retries ----------------------------------------------------------------------------------------


def unrelated(journal: Journal, before: Record, after: Record) -> bool:
    """Tell whether two records are too far apart to belong together; only if the journal does not know the jobs."""
    return not journal.jobs and journal.seconds(before.at_ms, after.at_ms) > UNRELATED_AFTER_S


def retry_chains(journal: Journal, exchanges: Iterable[Exchange]) -> Iterator[list[Exchange]]:
    """Yield the chains of identical requests: same target, body and account, until one is answered with success.

    Requests that say nothing of their job (such as those for a balance) are no retries of each other where several
    jobs may send them.
    """
    chains: dict[Any, list[Exchange]] = {}
    owned = {trace.task for trace in journal.traces if trace.submits}
    for each in exchanges:
        if len(journal.jobs) != 1 and each.method == "GET" and each.task not in owned:
            continue
        name = (each.account, each.method, each.path, each.query, each.said)
        chain = chains.setdefault(name, [])
        if chain and unrelated(journal, chain[-1], each):
            yield chain
            chain = chains[name] = []
        chain.append(each)
        if is_ok(each) and error_inside(journal.provider, each) is None:
            yield chains.pop(name)
    yield from chains.values()


def is_ok(exchange: Exchange) -> bool:
    """Tell whether an answer has a 2xx status."""
    return exchange.status is not None and exchange.status in OK


def error_inside(provider: Provider, exchange: Exchange) -> Any:
    """Return the code of an error inside an answer with a 2xx status, if any."""
    answer = exchange.answer
    if not is_ok(exchange) or not isinstance(answer, dict):
        return None
    word = status_of(provider, exchange)
    if word is not None and is_known_status(provider, word):
        return None  # the answer shows a task, and an error in it is the task's
    if answer.get("error"):
        return answer["error"]
    code = answer.get("code")
    codes = {error.code for error in provider.errors.values()}
    return code if code in codes else None


#: Errors that may be gone at the next request.
PASSING = frozenset((429, 455, 500, 502, 503, 504))


def is_passing_error(journal: Journal, exchange: Exchange) -> bool:
    """Tell whether a request failed in a way that says nothing about its task: another one may succeed."""
    if exchange.status is None or exchange.status in PASSING:
        return True
    inside = error_inside(journal.provider, exchange)
    return inside in PASSING if isinstance(inside, int) else inside is not None


def elsewhere(journal: Journal, exchange: Exchange) -> bool:
    """Tell whether a request went to another host, which a redirect had named."""
    return exchange.header("Host") in journal.redirect_hosts


# -- what answers say of tasks ----------------------------------------------------------------------


def status_of(provider: Provider, exchange: Exchange) -> str | None:
    """Return the task status in an answer, if any: where the spec says, or under a usual name."""
    answer = exchange.answer
    operation = provider.operations.get(exchange.operation or "")
    if operation is None:
        return _usual_status(answer)
    for keys in operation.status_at:
        found = answer
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, str):
            return operation.status_words.get(found, found)
    if operation.shapes:
        return state_shown(operation.shapes, answer)
    return _usual_status(answer)


def _usual_status(value: Any) -> str | None:
    if isinstance(value, dict):
        for key in ("status", "state", "taskStatus", "task_status"):
            if isinstance(value.get(key), str):
                return str(value[key])
        for each in value.values():
            found = _usual_status(each)
            if found is not None:
                return found
    return None


def is_known_status(provider: Provider, word: str) -> bool:
    """Tell whether the provider has a status, in any letter case; former names count."""
    lifecycle = provider.lifecycle
    words = (*(state.name for state in lifecycle.states), *lifecycle.ends, *lifecycle.older_words.values())
    return word.lower() in (each.lower() for each in words)


def end_shown(journal: Journal, exchange: Exchange) -> End | None:
    """Return the final status that an answer shows for sure, in any letter case, if any."""
    return end_sent(journal, exchange) if received(exchange) else None


def end_sent(journal: Journal, exchange: Exchange) -> End | None:
    """Return the final status in an answer that may not have reached the client, in any letter case, if any."""
    if not is_ok(exchange) or error_inside(journal.provider, exchange) is not None:
        return None
    word = status_of(journal.provider, exchange)
    if word is None:
        return None
    ends = journal.provider.lifecycle.ends.items()
    return next((end for name, end in ends if name.lower() == word.lower()), None)


def shows(journal: Journal, exchange: Exchange, kind: str) -> bool:
    """Tell whether an answer shows an end of this kind: success, failure or cancelled."""
    end = end_shown(journal, exchange)
    return end is not None and end.kind == kind


def first_end(journal: Journal, trace: TaskTrace) -> tuple[Exchange, End] | None:
    """Return the first query that showed the task's end, and the end."""
    for query in trace.queries:
        end = end_shown(journal, query)
        if end is not None:
            return query, end
    return None


def end_callbacks(journal: Journal, trace: TaskTrace) -> list[Delivery]:
    """Return the callbacks that told the client the task's end: valid ones that reached its receiver."""
    ends = journal.provider.lifecycle.ends
    reached = (each for each in trace.deliveries if each.status is not None or each.outcome == "timeout")
    return [each for each in reached if each.event in ends and not is_invalid_callback(each)]


def tells_failure(journal: Journal, delivery: Delivery) -> bool:
    """Tell whether a callback's event is an end without a file: a failure, or a cancellation."""
    end = journal.provider.lifecycle.ends.get(delivery.event)
    return end is not None and end.kind != "success"


def is_invalid_callback(delivery: Delivery) -> bool:
    """Tell whether a callback says nothing about its task: it is forged, unreadable, or of an unknown event."""
    return bool(faults_in(delivery, "forges_signature", "corrupts_callback", "adds_unknown_event"))


def ended_by_callback(journal: Journal, query: Exchange) -> bool:
    """Tell whether a callback reported the end of a query's task after it, so that no more queries were needed."""
    trace = next(each for each in journal.traces if each.task == query.task)
    return any(each.at_ms >= query.at_ms for each in end_callbacks(journal, trace))


def patience_is_over(journal: Journal, submit: Exchange, queries: Sequence[Exchange], at_ms: int) -> bool:
    """Tell whether the client waited as long, or polled as often, as documented (or as our default says)."""
    advice = journal.provider.client.poll
    if advice.at_most is not None and len(queries) >= advice.at_most:
        return True
    interval_s = advice.interval_s or 0.0
    limits_s = [advice.give_up_after_s] if advice.give_up_after_s else []
    if advice.at_most is not None and interval_s:
        limits_s.append(advice.at_most * interval_s)
    if not limits_s:
        model = model_of(journal, submit)
        estimated_s = None if model is None else model.estimated_s
        limits_s.append(min(PATIENCE_S, PATIENCE_FACTOR * (estimated_s or PATIENCE_S)))
    return journal.seconds(submit.at_ms, at_ms) + interval_s >= min(limits_s)


def reasons_in(provider: Provider, text: str | None) -> list[str]:
    """Return the code and message of the failure reason in an answer or a callback."""
    return [
        word
        for end in provider.lifecycle.ends.values()
        for reason in end.reasons.values()
        for word in (reason.code, reason.message)
        if text and json.dumps(word)[1:-1] in text
    ]


# -- submits and jobs -------------------------------------------------------------------------------


def model_name(journal: Journal, submit: Exchange) -> Any:
    """Return the model that a submit names where the spec says, or that is meant without it; None if there is none."""
    operation = operation_of(journal, submit)
    value = sent(journal, submit).value
    for key in ("model" if operation is None else operation.model_field or "model").split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value if value is not None or operation is None else named_outside(operation, submit)


def model_of(journal: Journal, submit: Exchange) -> Model | None:
    """Return the model of a submit: the one that it names, or the only one; None if the provider does not have it."""
    name, models = model_name(journal, submit), journal.provider.models
    operation = operation_of(journal, submit)
    only = operation is not None and (operation.model is None or operation.parent is not None) and len(models) == 1
    if name is None and only:
        return next(iter(models.values()))
    return documented_model(journal.provider, operation, name) if isinstance(name, str) else None


def makes_no_second_task(provider: Provider, first: Exchange, second: Exchange) -> bool:
    """Tell whether two submits make one task: they have the same idempotency key, or got the same task."""
    rule = provider.idempotency
    if rule is None:
        return False
    if first.task is not None and first.task == second.task:
        return True
    key = _idempotency_key(rule, first)
    return key is not None and key == _idempotency_key(rule, second)


def _idempotency_key(rule: Idempotency, submit: Exchange) -> str | None:
    value = submit.header(rule.header) if rule.header else pointed(submit.json, rule.body_keys)
    return value if isinstance(value, str) and value else None


def created(exchange: Exchange) -> bool:
    """Tell whether a submit created a task, whatever the client saw of it."""
    return exchange.task is not None and (exchange.status is None or is_ok(exchange))


def accepted(exchange: Exchange) -> bool:
    """Tell whether a submit's answer names the task that was created, and reached the client."""
    return names_task(exchange) and received(exchange)


def unreadable(submit: Exchange) -> bool:
    """Tell whether a submit created a task that its answer, with a 2xx status, does not tell the client."""
    broken = not names_task(submit) or bool(faults_in(submit, "breaks_answer"))
    return is_ok(submit) and submit.task is not None and broken


def names_task(exchange: Exchange) -> bool:
    """Tell whether a submit's answer, as it was sent, names the task that was created."""
    if not is_ok(exchange) or exchange.task is None:
        return False
    if not exchange.answer_body:  # such as a 202 with the task's address in Location
        return any(exchange.task in value for _, value in exchange.answer_headers)
    return isinstance(exchange.answer, dict) and exchange.task in exchange.answer_body


def has_prompt(submit: Exchange, job: Job) -> bool:
    """Tell whether a submit was sent for a job: it contains the first sentence of the job's prompt."""
    return job.mark in submit.said


def is_of_job(trace: TaskTrace, job: Job) -> bool:
    """Tell whether a task was submitted for a job: the submit contains the job's prompt."""
    return any(has_prompt(submit, job) for submit in trace.submits)


def traces_of(journal: Journal, job: Job) -> list[TaskTrace]:
    """Return the tasks that were submitted for a job."""
    return [each for each in journal.traces if is_of_job(each, job)]


def cut_off(journal: Journal, trace: TaskTrace) -> bool:
    """Tell whether the runner's own limit stopped a task's job: what it did not do until then says nothing."""
    return any(job.stopped and is_of_job(trace, job) for job in journal.jobs)


def submits_of(journal: Journal, job: Job) -> list[Exchange]:
    """Return the submits that were sent for a job."""
    return [each for each in journal.of_role("submit") if has_prompt(each, job)]


def by_account(exchanges: Iterable[Exchange]) -> dict[str | None, list[Exchange]]:
    """Group requests by account."""
    out: dict[str | None, list[Exchange]] = defaultdict(list)
    for each in exchanges:
        out[each.account].append(each)
    return out


def secured(journal: Journal, exchange: Exchange) -> bool:
    """Tell whether a request's operation requires a key."""
    operation = journal.provider.operations.get(exchange.operation or "")
    return operation is not None and operation.secured


# -- downloads --------------------------------------------------------------------------------------


def is_short(download: Exchange) -> bool:
    """Tell whether fewer bytes were received than Content-Length announced."""
    length = download.answer_header("Content-Length")
    return length is not None and length.isdecimal() and download.answer_bytes < int(length)


def is_whole(download: Exchange) -> bool:
    """Tell whether a file was received completely."""
    return download.method == "GET" and download.status == HTTP_OK and not is_short(download)


def spoiled(download: Exchange) -> bool:
    """Tell whether a download is not the file that was made, although it looks complete."""
    return bool(faults_in(download, "spoils_file"))


def whole_sizes(downloads: Iterable[Exchange]) -> set[int]:
    """Return the size of a file, as whole downloads and the announced totals of others tell it."""
    out = set()
    for each in downloads:
        _, _, total = (each.answer_header("Content-Range") or "").partition("/")
        length = each.answer_header("Content-Length") or ""
        if each.status == HTTP_PARTIAL and total.isdecimal():
            out.add(int(total))
        elif each.status == HTTP_OK and length.isdecimal() and not spoiled(each):
            out.add(int(length))
    return out


def sizes(downloads: Iterable[Exchange]) -> set[int]:
    """Return the sizes that a whole file may have: of complete downloads, and of those fetched in parts."""
    out = set()
    for each in downloads:
        if is_whole(each):
            out.add(each.answer_bytes)
        _, _, total = (each.answer_header("Content-Range") or "").partition("/")
        if each.status == HTTP_PARTIAL and total.isdecimal():
            out.add(int(total))
    return out


def seconds_text(value_s: float) -> str:
    """Write a number of seconds."""
    return f"{value_s:.3f}".rstrip("0").rstrip(".") + " s"


# -- providers --------------------------------------------------------------------------------------


def sends_callbacks(provider: Provider) -> bool:
    """Tell whether a provider sends callbacks."""
    return provider.callbacks is not None


def signs_callbacks(provider: Provider) -> bool:
    """Tell whether a provider signs its callbacks."""
    return provider.callbacks is not None and provider.callbacks.signature is not None
