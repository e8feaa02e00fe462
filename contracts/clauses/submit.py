"""Submits: what to send, where, with which key, and when not to send it again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from contracts.analysis import (
    KEY_MARK,
    OK,
    accepted,
    elsewhere,
    end_callbacks,
    end_shown,
    error_inside,
    model_of,
    patience_is_over,
    retry_chains,
    seconds_text,
    secured,
    submits_of,
)
from contracts.clause import Exercised, Finding, Violation, check, clause
from contracts.journal import Exchange, Journal

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
        "*.submit.no-negative-prompt",
        "*.submit.video-fields",
        "*.submit.first-frame",
        "*.submit.character-*",
        "*.submit.voice-fields",
        "*.submit.lip-sync-field",
        "*.submit.validate-*",
        "*.model.*",
    ],
    general=True,
)
def body_as_documented(journal: Journal) -> Iterator[Finding]:
    """Validate each body with the schema of the model that it names."""
    for submit in journal.of_role("submit"):
        if not submit.body_whole:
            continue
        body = submit.json
        if not isinstance(body, dict):
            yield _invalid(submit, "the body is not a JSON object", "send a JSON object")
            continue
        model = model_of(journal, submit)
        if model is None:
            known = ", ".join(journal.provider.models)
            named = f"the model is {body['model']!r}" if "model" in body else "the model is missing"
            yield _invalid(submit, named, f"name one of {known}")
        elif not model.request.accepts(body):
            problems = "; ".join(problem.message for problem in model.request.problems(body)[:3])
            yield _invalid(submit, problems, "validate the body before sending it")
        else:
            yield Exercised()


def _invalid(submit: Exchange, seen: str, fix: str) -> Violation:
    return Violation((submit,), seen, "the documented fields and values", fix)


@clause(
    "submit.content-type",
    "Submit with Content-Type: application/json.",
    covers=["*.submit.json-body"],
    general=True,
)
def content_type(journal: Journal) -> Iterator[Finding]:
    """Check the Content-Type header."""
    for submit in journal.of_role("submit"):
        sent = submit.header("Content-Type") or ""
        yield check(
            "json" in sent.lower(),
            (submit,),
            f"Content-Type is {sent or 'missing'}",
            "application/json",
            "set Content-Type: application/json",
        )


@clause(
    "auth.key-in-its-header",
    "Send the key with every API request, in the documented header and form.",
    covers=["*.auth.bearer", "*.auth.header", "*.auth.every-call", "*.poll.authenticated"],
    general=True,
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
        "*.error.404-*",
        "*.retry.not-4xx",
        "*.e2e.submit-failure",
        "*.error.handled",
    ],
    general=True,
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
)
def not_again_after_lost_answer(journal: Journal) -> Iterator[Finding]:
    """Find a submit without an answer that is followed by the same submit."""
    for chain in retry_chains(journal, journal.of_role("submit")):
        for number, lost in enumerate(chain):
            if lost.status is not None or lost.task is None:
                continue
            after = chain[number + 1 : number + 2]
            if after:
                paid = "two tasks were created" if after[0].status in OK else "a second task may be created"
                yield Violation(
                    (lost, after[0]),
                    f"the same submit again after a lost answer: {paid}",
                    "one task for one job",
                    "report the lost answer, or check whether the task exists, before submitting again",
                )
            else:
                yield Exercised()


@clause(
    "submit.one-task-a-job",
    "Submit a job once: do not pay for a second task while nothing is wrong with the first.",
    general=True,
)
def one_task_a_job(journal: Journal) -> Iterator[Finding]:
    """Find jobs with a second task, although nothing was known to be wrong with the first."""
    for job in journal.jobs:
        made = [each for each in submits_of(journal, job) if accepted(each)]
        for first, second in pairwise(made):
            if not first.faults and not _given_up(journal, first, second):
                after_s = journal.seconds(first.at_ms, second.at_ms)
                yield Violation(
                    (first, second),
                    f"job {job.number} was submitted again {seconds_text(after_s)} after its task was created, "
                    "although nothing was wrong with it",
                    "one task for one job",
                    "submit once, store the id from the answer, and follow that task to its end",
                )
                break
        if made:
            yield Exercised()


def _given_up(journal: Journal, first: Exchange, second: Exchange) -> bool:
    """Tell whether a client had a reason to give up a task."""
    trace = next(each for each in journal.traces if each.task == first.task)
    before = [each for each in trace.queries if each.seq < second.seq]
    ended = any((end := end_shown(journal, each)) is not None and end.kind != "success" for each in before)
    told = any(each.seq < second.seq for each in end_callbacks(journal, trace))
    fetched = any(each.seq < second.seq for each in trace.downloads)
    unwell = any(each.status not in OK or each.faults for each in before)
    return ended or told or fetched or unwell or patience_is_over(journal, first, before, second.at_ms)
