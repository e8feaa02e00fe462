"""Submits: what to send, where, with which key, and when not to send it again."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import pairwise, zip_longest

from contracts.analysis import (
    KEY_MARK,
    accepted,
    created,
    elsewhere,
    end_callbacks,
    end_sent,
    error_inside,
    has_prompt,
    is_ok,
    is_passing_error,
    is_whole,
    makes_no_second_task,
    model_name,
    model_of,
    names_task,
    patience_is_over,
    retry_chains,
    seconds_text,
    secured,
    spoiled,
    submits_of,
    unreadable,
    unrelated,
)
from contracts.clause import Exercised, Finding, Severity, Violation, check, clause
from contracts.journal import Exchange, Journal, TaskTrace
from contracts.sent import operation_of, schema_for, sent
from mockserver.provider import Problem

#: A task that was not found so often does not exist.
MISSING = 3
#: Refusals that an identical request gets again.
FINAL_STATUSES = frozenset((400, 401, 402, 403, 404, 413, 415, 422))


@clause(
    "submit.body-as-documented",
    "Submit the fields that the model requires, with documented values.",
    covers=[
        "*.submit.model-*",
        "*.submit.prompt-required",
        "*.submit.prompt-length",
        "*.submit.input",
        "*.submit.duration-*",
        "*.submit.aspect-ratio",
        "*.submit.resolution-fixed",
        "*.submit.video-fields",
        "*.submit.first-frame",
        "*.submit.character-*",
        "*.submit.voice-fields",
        "*.submit.lip-sync-field",
        "*.submit.validate-*",
    ],
    general=True,
    judges_requests=True,
)
def body_as_documented(journal: Journal) -> Iterator[Finding]:
    """Validate each body with the schema of the model that it names."""
    for submit in journal.of_role("submit"):
        if not submit.body_whole or not _is_read(journal, submit):
            continue
        told = sent(journal, submit)
        if not isinstance(told.value, dict):
            what = "fields" if told.is_form else "a JSON object"
            yield _invalid(submit, told.problem or "the body is not a JSON object", f"send {what}")
            continue
        model = model_of(journal, submit)
        if model is not None:
            rule = schema_for(operation_of(journal, submit), told.form, model)
            if rule.accepts(told.value):
                yield Exercised()
            else:
                yield _undocumented(journal, submit, rule.problems(told.value))
            continue
        if is_ok(submit) and error_inside(journal.provider, submit) is None:
            continue  # a model of the provider's that is not covered by this document
        operation = operation_of(journal, submit)
        if operation is not None and operation.parent is not None:
            continue  # the model is that of another task
        known, name = ", ".join(journal.provider.models), model_name(journal, submit)
        named = f"the model is {name!r}" if name is not None else "the model is missing"
        yield _invalid(submit, named, f"name one of {known}")


def _is_read(journal: Journal, submit: Exchange) -> bool:
    """Tell whether the body of a submit is JSON or a form, as the spec wants it."""
    operation = operation_of(journal, submit)
    if operation is None or not operation.media_types:
        return True
    if operation.bodies:
        form = sent(journal, submit).form
        return form is not None and form.kind != "raw"
    return any("json" in each for each in operation.media_types)


def _undocumented(journal: Journal, submit: Exchange, found: list[Problem]) -> Violation:
    """Say what is wrong with a body; a field that only examples show is required by no document."""
    problems = [each for problem in found for each in (problem.all or (problem,))]
    lacking = [each for each in problems if "is required" in each.message]
    only_shown = len(lacking) == len(problems) and is_ok(submit) and error_inside(journal.provider, submit) is None
    seen = "; ".join(problem.message for problem in problems[:3])
    return _invalid(submit, seen, "validate the body before sending it", "should" if only_shown else "must")


def _invalid(submit: Exchange, seen: str, fix: str, at_most: Severity = "must") -> Violation:
    return Violation((submit,), seen, "the documented fields and values", fix, at_most)


@clause(
    "submit.content-type",
    "Submit with the documented Content-Type.",
    covers=["*.submit.json-body"],
    general=True,
    elsewhere="must",
    judges_requests=True,
)
def content_type(journal: Journal) -> Iterator[Finding]:
    """Check the Content-Type header."""
    for submit in journal.of_role("submit"):
        operation = journal.provider.operations.get(submit.operation or "")
        known = (() if operation is None else operation.media_types) or ("application/json",)
        sent = submit.header("Content-Type") or ""
        media = sent.partition(";")[0].strip().lower()
        alike = any(fnmatchcase(media, each) for each in known) or ("application/json" in known and "json" in media)
        asked = " or ".join(known)
        yield check(alike, (submit,), f"Content-Type is {sent or 'missing'}", asked, f"set Content-Type: {asked}")


@clause(
    "auth.key-in-its-header",
    "Send the key with every API request, in the documented header and form.",
    covers=["*.auth.bearer", "*.auth.header", "*.auth.every-call", "*.poll.authenticated"],
    general=True,
    judges_requests=True,
)
def key_in_its_header(journal: Journal) -> Iterator[Finding]:
    """Check the header of every operation that requires a key."""
    rule = journal.provider.key
    form = f"{rule.header}: Bearer KEY" if rule.bearer else f"{rule.header}: KEY"
    for each in journal.exchanges:
        if not secured(journal, each) or elsewhere(journal, each):
            continue
        value = each.header(rule.header)
        if value is None and _key_removed(journal, each):
            continue
        if value is None or (rule.bearer and not value.lower().startswith("bearer ")):
            seen = f"no {rule.header} header" if value is None else f"{rule.header} without Bearer"
            yield Violation((each,), seen, form, f"send {form} with every request to the API")
        else:
            yield Exercised()


def _key_removed(journal: Journal, exchange: Exchange) -> bool:
    """Tell whether a request was authenticated although no key is recorded: browsers and proxies remove keys."""
    refused = exchange.status in (None, 401, 403) or error_inside(journal.provider, exchange) is not None
    return exchange.account is None and not refused


@clause(
    "auth.key-nowhere-else",
    "Do not put the key into a URL or a body.",
    covers=["*.auth.keep-secret"],
    general=True,
    elsewhere="must",
    judges_requests=True,
)
def key_nowhere_else(journal: Journal) -> Iterator[Finding]:
    """Find the redacted key in targets and bodies."""
    for each in journal.exchanges:
        places = [
            name for name, text in (("URL", f"{each.path}?{each.query}"), ("body", each.body or "")) if KEY_MARK in text
        ]
        if places:
            yield Violation(
                (each,),
                f"the key is in the {' and the '.join(places)}",
                "the key in its header only",
                "remove it: proxies and servers log URLs and bodies",
            )
        elif secured(journal, each):
            yield Exercised()


@clause(
    "submit.right-endpoint",
    "Submit video tasks only to the video endpoint.",
    covers=["*.chat.not-for-video", "*.task.use-video-endpoint", "*.chat.check-request"],
    judges_requests=True,
)
def right_endpoint(journal: Journal) -> Iterator[Finding]:
    """Find video requests to the wrong endpoint."""
    for wrong in journal.of_role("decoy"):
        right = next(each.path for each in journal.provider.operations.values() if each.role == "submit")
        yield Violation(
            (wrong,),
            f"a video model was sent to {wrong.path}, which refuses it and may charge for it",
            f"a submit to {right}",
            f"send the submit to {right}",
        )
    for _ in journal.of_role("submit"):
        yield Exercised()


@clause(
    "submit.not-again-after-refusal",
    "Do not send a refused submit again unchanged.",
    covers=[
        "*.error.400-*",
        "*.error.401-*",
        "*.error.403-*",
        "*.retry.not-4xx",
        "*.e2e.submit-failure",
        "*.error.handled",
    ],
    general=True,
    elsewhere="must",
)
def not_again_after_refusal(journal: Journal) -> Iterator[Finding]:
    """Find one body that is refused twice in a row with a final status."""
    for chain in retry_chains(journal, journal.of_role("submit")):
        for number, refused in enumerate(chain):
            status = _final(journal, refused)
            if status is None:
                continue
            after = chain[number + 1 : number + 2]
            yield check(
                not after or _final(journal, after[0]) != status,
                (refused, *after),
                f"the same submit again after {status}",
                f"no repeat after {status} until the request is corrected",
                f"treat {status} as final: raise it, with the answer's text",
            )


def _final(journal: Journal, exchange: Exchange) -> int | None:
    """Return the status of a final refusal: the HTTP status, or the code inside a 2xx answer."""
    if exchange.status in FINAL_STATUSES:
        return exchange.status
    inside = error_inside(journal.provider, exchange)
    return inside if isinstance(inside, int) and inside in FINAL_STATUSES else None


@clause(
    "submit.not-again-after-lost-answer",
    "Do not repeat a submit whose answer was lost: the task may exist and be charged.",
    general=True,
    elsewhere="must",
)
def not_again_after_lost_answer(journal: Journal) -> Iterator[Finding]:
    """Find a submit whose answer was lost, late or unreadable, and that is followed by the same submit.

    Without jobs, an answer that the server sent whole may have arrived; then the same body is another job.
    """
    for before, after in _in_order(journal):
        lost = not _known(journal, before, after) if journal.jobs else before.status is None
        if not created(before) or not lost:
            continue
        if unreadable(before) and (after is None or after.said == before.said):
            continue  # another clause judges that
        if after is None or (not journal.jobs and unrelated(journal, before, after)):
            yield Exercised()
            continue
        if makes_no_second_task(journal.provider, before, after):
            yield Exercised()
            continue
        paid = "two tasks were created" if created(after) else "a second task may be created"
        how = "was lost" if before.status is None else "came late" if names_task(before) else "could not be read"
        yield Violation(
            (before, after),
            f"the same submit again after its answer {how}: {paid}",
            "one task for one job",
            "report the lost answer, or check whether the task exists, before submitting again",
        )


def _known(journal: Journal, submit: Exchange, later: Exchange | None) -> bool:
    """Tell whether the client knew the task that a submit had created, before a later submit."""
    if accepted(submit):
        return True
    queries = [each for trace in journal.traces if trace.task == submit.task for each in trace.queries]
    return any(later is None or each.seq < later.seq for each in queries)


def _in_order(journal: Journal) -> Iterator[tuple[Exchange, Exchange | None]]:
    """Yield every submit with the next one for the same job: the same body, or the same prompt where jobs are known."""
    rows: dict[object, list[Exchange]] = {}
    for submit in journal.of_role("submit"):
        job = next((each.number for each in journal.jobs if has_prompt(submit, each)), None)
        rows.setdefault((submit.account, submit.said if job is None else job), []).append(submit)
    for row in rows.values():
        yield from zip_longest(row, row[1:])


@clause(
    "submit.one-task-a-job",
    "Submit a job once: do not pay for a second task while nothing is wrong with the first.",
    general=True,
    elsewhere="must",
)
def one_task_a_job(journal: Journal) -> Iterator[Finding]:
    """Find jobs with a second paid task, although nothing was known to be wrong with the first."""
    for job in journal.jobs:
        made = [each for each in submits_of(journal, job) if created(each)]
        for first, second in pairwise(made):
            if makes_no_second_task(journal.provider, first, second):
                continue
            if _after_trouble(journal, first, second):
                continue  # other clauses judge that
            if _known(journal, first, second) and not _given_up(journal, first, second):
                after_s = journal.seconds(first.at_ms, second.at_ms)
                paid = f", and {len(made)} tasks were created in all" if len(made) > 2 else ""
                yield Violation(
                    (first, second),
                    f"job {job.number} was submitted again {seconds_text(after_s)} after its task was created, "
                    f"although its task had not failed{paid}",
                    "one task for one job",
                    "submit once, store the id from the answer, and follow that task to its end",
                )
                break
        if made:
            yield Exercised()


def _after_trouble(journal: Journal, first: Exchange, second: Exchange) -> bool:
    """Tell whether the same body was sent again after a poll or a download that failed."""
    trace = next(each for each in journal.traces if each.task == first.task)
    queries = [each for each in trace.queries if each.seq < second.seq]
    downloads = [each for each in trace.downloads if each.seq < second.seq]
    whole = any(is_whole(each) and not spoiled(each) for each in downloads)
    failed = bool(queries) and is_passing_error(journal, queries[-1])
    return first.said == second.said and (failed or (bool(downloads) and not whole))


def _given_up(journal: Journal, first: Exchange, second: Exchange) -> bool:
    """Tell whether a task was over for a client: it had ended without a file, or its time was over."""
    trace = next(each for each in journal.traces if each.task == first.task)
    before = [each for each in trace.queries if each.seq < second.seq]
    shown = [end for each in before if (end := end_sent(journal, each)) is not None]
    ends = journal.provider.lifecycle.ends
    shown += [ends[each.event] for each in end_callbacks(journal, trace) if each.seq < second.seq]
    gone = len([each for each in before if each.status == 404]) >= MISSING and not shown
    over = patience_is_over(journal, first, before, second.at_ms)
    return any(end.kind != "success" for end in shown) or gone or over or _expired(trace, second)


def _expired(trace: TaskTrace, second: Exchange) -> bool:
    """Tell whether a task's file was no longer to be had: paying again is the only way to a video."""
    return any(each.error == "result_expired" for each in trace.downloads if each.seq < second.seq)
