"""Answers: they come, as HTTP, in the shapes of the document, and say who they are."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from contracts.server.clauses import Exercised, Finding, broken, server_clause
from contracts.server.refusals import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contracts.server.client import Call
    from contracts.server.evidence import Evidence

_SHAPE_FIX = "answer as the spec says, or mend the spec"


@server_clause(
    "answers.come",
    "Every request is answered: whole, in HTTP, in time.",
    fix="answer every request, also those that cannot be served; look for a handler that hangs or dies",
)
def come(evidence: Evidence) -> Iterator[Finding]:
    """Look for requests without an answer."""
    for call in evidence.calls:
        if call.transport_error is None:
            yield Exercised()
        else:
            yield broken([call], call.transport_error, "an answer")


@server_clause(
    "answers.no-server-error",
    "No request breaks the server: no answer is a 5xx.",
    fix="catch what went wrong, and refuse what cannot be served with the provider's own error",
)
def no_server_error(evidence: Evidence) -> Iterator[Finding]:
    """Look for answers of 500 and above."""
    for call in evidence.answered():
        if call.status is not None and call.status >= 500:
            yield broken([call], f"{call.status} {_start(call)}", "an answer below 500")
        else:
            yield Exercised()


@server_clause(
    "answers.request-id",
    "Every answer of the API carries a request id of its own.",
    fix="set the request id's header on every answer, errors included, each time another",
    covers=["*.error.request-id"],
)
def request_id(evidence: Evidence) -> Iterator[Finding]:
    """Look for answers without the header, and for ids that come twice."""
    header = evidence.spec.provider.request_id_header
    seen: dict[str, Call] = {}
    for call in evidence.answered():
        if not call.of_api:
            continue
        value = call.exchange.answer_header(header)
        if not value:
            yield broken([call], f"no {header}", f"{header} on every answer")
        elif value in seen:
            yield broken([seen[value], call], f"{header}: {value} twice", "another id each time")
        else:
            seen[value] = call
            yield Exercised()


@server_clause(
    "errors.shape",
    "Every error has the provider's shape, and the code and type that belong to its status.",
    fix="let one place write every error, from the provider's table of errors",
    covers=["*.error.4*", "*.error.standard-codes", "*.answer.code-list", "*.answer.message"],
)
def errors_shape(evidence: Evidence) -> Iterator[Finding]:
    """Hold each answer from 400 on against the provider's errors."""
    for call in evidence.answered():
        if not call.of_api or call.status is None or call.status < 400:
            continue
        if call.refusal is not None:
            yield Exercised()
        else:
            yield broken([call], f"{nearest(evidence.spec, call)}: {_start(call)}", "one of the provider's errors")


def _misshapen(evidence: Evidence, name: str) -> Iterator[Finding]:
    found = [each for each in evidence.misshapen if each.clause == name]
    for each in found:
        yield broken([each.call], each.seen, each.asks)
    if name in evidence.shaped and not found:
        yield Exercised()


@server_clause(
    "shapes.status", "Every answer has a status that the document declares for the operation.", fix=_SHAPE_FIX
)
def statuses(evidence: Evidence) -> Iterator[Finding]:
    """Give what schemathesis found."""
    return _misshapen(evidence, "shapes.status")


@server_clause("shapes.content-type", "Every answer has a content type that the document declares.", fix=_SHAPE_FIX)
def content_types(evidence: Evidence) -> Iterator[Finding]:
    """Give what schemathesis found."""
    return _misshapen(evidence, "shapes.content-type")


@server_clause("shapes.headers", "Every answer has the headers that the document declares.", fix=_SHAPE_FIX)
def headers(evidence: Evidence) -> Iterator[Finding]:
    """Give what schemathesis found."""
    return _misshapen(evidence, "shapes.headers")


@server_clause(
    "shapes.body",
    "Every answer's body is as the document's schema has it.",
    fix=_SHAPE_FIX,
    covers=["*.submit.answer*", "*.answer.code", "*.task.created-at", "*.upload.answers-url", "*.job.*-has-*"],
)
def bodies(evidence: Evidence) -> Iterator[Finding]:
    """Give what schemathesis found."""
    return _misshapen(evidence, "shapes.body")


@server_clause(
    "shapes.bad-data-refused",
    "What the document's schema does not let through is refused.",
    fix="check requests against the schema before anything is made of them",
    covers=["*.error.400-trigger", "*.error.400", "*.error.422"],
)
def bad_data(evidence: Evidence) -> Iterator[Finding]:
    """Give what schemathesis found."""
    return _misshapen(evidence, "shapes.bad-data-refused")


@server_clause(
    "answers.agree",
    "What an answer says of the model and the task is what was asked for.",
    fix="look the task up by the id that was asked for, and answer with its own facts",
    covers=["*.submit.model-echo"],
)
def agree(evidence: Evidence) -> Iterator[Finding]:
    """Compare ids and models in submits' and queries' answers with those of the request."""
    wrong: dict[str, list[Call]] = defaultdict(list)
    for trace in evidence.traces:
        model = evidence.submitted.read("$task.model", trace.submit.json)
        if model is not None and model != trace.model.name:
            yield broken([trace.submit], f"a submit of {trace.model.name} answered with {model!r}", "the same model")
        for observation in trace.observations:
            if not observation.call.fine or observation.id is None:
                continue
            if observation.id != trace.id:
                wrong[trace.id].append(observation.call)
            else:
                yield Exercised()
    for id_, calls in wrong.items():
        yield broken(calls[:1], f"another task's id in the answer about {id_}", id_)


def _start(call: Call) -> str:
    """Return how a body starts, in one line."""
    text = " ".join(call.content[:400].decode("utf-8", "replace").split())
    return text[:120] + ("…" if len(text) > 120 else "")
