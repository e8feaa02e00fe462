"""Submitting: what is sent, where, with which key, and when it is not sent again."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from contracts.analysis import (
    KEY_MARK,
    OK,
    accepted,
    end_callbacks,
    end_shown,
    model_of,
    patience_is_over,
    refusal_inside,
    retry_chains,
    seconds_text,
    secured,
    submits_of,
)
from contracts.clause import Exercised, Finding, Violation, clause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contracts.journal import Exchange, Journal

#: Refusals that the same request meets again.
FINAL_STATUSES = frozenset((400, 401, 402, 403, 404, 413, 415, 422))


@clause(
    "submit.body-as-documented",
    "A submit has the fields that its model asks for, with values that the document allows.",
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
    """Judge each body by the schema of the model that it names."""
    for submit in journal.of_role("submit"):
        if not submit.body_whole:
            continue
        body = submit.json
        if not isinstance(body, dict):
            yield _wrong(submit, "the body is no JSON object", "send a JSON object")
            continue
        model = model_of(journal, submit)
        if model is None:
            known = ", ".join(journal.provider.models)
            named = f"the model is {body['model']!r}" if "model" in body else "there is no model"
            yield _wrong(submit, named, f"name one of {known}")
        elif not model.request.accepts(body):
            problems = "; ".join(problem.message for problem in model.request.problems(body)[:3])
            yield _wrong(submit, problems, "check the body against the document before it is sent")
        else:
            yield Exercised()


def _wrong(submit: Exchange, seen: str, fix: str) -> Violation:
    return Violation((submit,), seen, "the fields and values of the document", fix)


@clause(
    "submit.says-json",
    "A submit says that it is JSON.",
    covers=["*.submit.json-body"],
    general=True,
)
def says_json(journal: Journal) -> Iterator[Finding]:
    """Look at Content-Type."""
    for submit in journal.of_role("submit"):
        sent = submit.header("Content-Type") or ""
        if "json" in sent.lower():
            yield Exercised()
        else:
            yield Violation(
                (submit,),
                f"Content-Type is {sent or 'missing'}",
                "application/json",
                "set Content-Type: application/json",
            )


@clause(
    "auth.key-in-its-header",
    "Every request to the API carries the key, in the header and the form that the document names.",
    covers=["*.auth.bearer", "*.auth.header", "*.auth.every-call", "*.poll.authenticated"],
    general=True,
)
def key_in_its_header(journal: Journal) -> Iterator[Finding]:
    """Look for the header on every operation that wants one."""
    rule = journal.provider.key
    form = f"{rule.header}: Bearer KEY" if rule.bearer else f"{rule.header}: KEY"
    for each in journal.exchanges:
        if not secured(journal, each):
            continue
        value = each.header(rule.header)
        if value is None and _let_in(journal, each):
            continue
        if value is None or (rule.bearer and not value.lower().startswith("bearer ")):
            seen = f"no {rule.header} header" if value is None else f"{rule.header} without the word Bearer"
            yield Violation((each,), seen, form, f"send {form} with every request to the API")
        else:
            yield Exercised()


def _let_in(journal: Journal, exchange: Exchange) -> bool:
    """Tell whether a request went past the lock: browsers and proxies take keys out of what they record."""
    refused = exchange.status in (None, 401, 403) or refusal_inside(journal.provider, exchange) is not None
    return exchange.account is None and not refused


@clause(
    "auth.key-nowhere-else",
    "The key stands in no address and in no body.",
    covers=["*.auth.keep-secret"],
    general=True,
)
def key_nowhere_else(journal: Journal) -> Iterator[Finding]:
    """Look for the key's mark in targets and bodies."""
    for each in journal.exchanges:
        places = [
            name
            for name, text in (("address", f"{each.path}?{each.query}"), ("body", each.body or ""))
            if KEY_MARK in text
        ]
        if places:
            yield Violation(
                (each,),
                f"the key stands in the {' and the '.join(places)}",
                "the key in its header only",
                "take it out: addresses and bodies are logged by everybody on the way",
            )
        elif secured(journal, each):
            yield Exercised()


@clause(
    "submit.right-endpoint",
    "Tasks are submitted to the endpoint for videos, and to no other.",
    covers=["*.chat.not-for-video", "*.task.use-video-endpoint", "*.chat.check-request"],
)
def right_endpoint(journal: Journal) -> Iterator[Finding]:
    """Look for requests to the endpoint that is the wrong one."""
    for wrong in journal.of_role("decoy"):
        right = next(each.path for each in journal.provider.operations.values() if each.role == "submit")
        yield Violation(
            (wrong,),
            f"a video model was sent to {wrong.path}, which refuses it and may charge for it",
            f"submits to {right}",
            f"send the submit to {right}",
        )
    for _ in journal.of_role("submit"):
        yield Exercised()


@clause(
    "submit.not-again-after-refusal",
    "A submit that was refused for what it is, is not sent again as it was.",
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
    """Look for one body that is refused for good, twice in a row."""
    for chain in retry_chains(journal, journal.of_role("submit")):
        for number, refused in enumerate(chain):
            status = _final(journal, refused)
            if status is None:
                continue
            after = chain[number + 1 : number + 2]
            if after and _final(journal, after[0]) == status:
                yield Violation(
                    (refused, after[0]),
                    f"the same submit again after {status}",
                    f"nothing sent again after {status} until it has been put right",
                    f"treat {status} as final: raise it, with the answer's text",
                )
            else:
                yield Exercised()


def _final(journal: Journal, exchange: Exchange) -> int | None:
    """Return the status of a refusal that will be the same next time, on the outside or inside."""
    if exchange.status in FINAL_STATUSES:
        return exchange.status
    inside = refusal_inside(journal.provider, exchange)
    return inside if isinstance(inside, int) and inside in FINAL_STATUSES else None


@clause(
    "submit.not-again-after-lost-answer",
    "A submit whose answer was lost is not sent again blindly: the task may exist, and be paid for.",
    general=True,
)
def not_again_after_lost_answer(journal: Journal) -> Iterator[Finding]:
    """Look for a submit without an answer, and the same one after it."""
    for chain in retry_chains(journal, journal.of_role("submit")):
        for number, lost in enumerate(chain):
            if lost.status is not None or lost.task is None:
                continue
            after = chain[number + 1 : number + 2]
            if after:
                paid = "two tasks were made" if after[0].status in OK else "a second task may be made"
                yield Violation(
                    (lost, after[0]),
                    f"the same submit again after an answer that was lost: {paid}",
                    "one task for one job",
                    "report the lost answer, or look whether the task exists, before anything is submitted again",
                )
            else:
                yield Exercised()


@clause(
    "submit.one-task-a-job",
    "A job is submitted once: no second task is made and paid for while the first is good.",
    general=True,
)
def one_task_a_job(journal: Journal) -> Iterator[Finding]:
    """Look for jobs with another task, although nothing was seen to be wrong with the one before."""
    for job in journal.jobs:
        made = [each for each in submits_of(journal, job) if accepted(each)]
        for first, second in pairwise(made):
            if not first.faults and not _given_up(journal, first, second):
                yield Violation(
                    (first, second),
                    f"job {job.number} was submitted again {seconds_text(journal.seconds(first.at_ms, second.at_ms))} after "
                    "its task was made, of which nothing bad was known",
                    "one task for one job",
                    "submit once, keep the id of the answer, and follow that task to its end",
                )
                break
        if made:
            yield Exercised()


def _given_up(journal: Journal, first: Exchange, second: Exchange) -> bool:
    """Tell whether a client had a reason to think that nothing would come of a task."""
    trace = next(each for each in journal.traces if each.task == first.task)
    before = [each for each in trace.queries if each.seq < second.seq]
    ended = any((end := end_shown(journal, each)) is not None and end.kind != "success" for each in before)
    told = any(each.seq < second.seq for each in end_callbacks(journal, trace))
    fetched = any(each.seq < second.seq for each in trace.downloads)
    unwell = any(each.status not in OK or each.faults for each in before)
    return ended or told or fetched or unwell or patience_is_over(journal, first, before, second.at_ms)
