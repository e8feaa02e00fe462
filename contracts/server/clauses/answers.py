"""Answers: complete, valid HTTP, conforming to the document, with a request id."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from contracts.server.call import Call
from contracts.server.clauses import Exercised, Finding, broken, check, server_clause
from contracts.server.evidence import Evidence
from contracts.server.refusals import nearest

_FIX = "answer as the spec says, or correct the spec"


@server_clause(
    "answers.come",
    "Every request gets a complete HTTP answer in time.",
    fix="answer every request, including invalid ones; look for a handler that hangs or crashes",
)
def come(evidence: Evidence) -> Iterator[Finding]:
    """Find requests without an answer."""
    for call in evidence.calls:
        yield check(call.transport_error is None, [call], call.transport_error or "", "an answer")


@server_clause(
    "answers.no-server-error",
    "No answer has a 5xx status.",
    fix="catch the failure, and refuse invalid requests with the provider's own error",
)
def no_server_error(evidence: Evidence) -> Iterator[Finding]:
    """Find answers of 500 and above."""
    for call in evidence.answered():
        yield check(
            call.status is None or call.status < 500, [call], f"{call.status} {_start(call)}", "an answer below 500"
        )


@server_clause(
    "answers.request-id",
    "Every answer of the API has its own request id.",
    fix="set the request id header on every answer, errors included, each with a new value",
    covers=["*.error.request-id"],
)
def request_id(evidence: Evidence) -> Iterator[Finding]:
    """Find answers without the header, and repeated ids."""
    header = evidence.spec.provider.request_id_header
    seen: dict[str, Call] = {}
    for call in evidence.answered():
        if not call.of_api:
            continue
        value = call.exchange.answer_header(header)
        if not value:
            yield broken([call], f"no {header}", f"{header} on every answer")
        elif value in seen:
            yield broken([seen[value], call], f"{header}: {value} twice", "a new id each time")
        else:
            seen[value] = call
            yield Exercised()


@server_clause(
    "errors.shape",
    "Every error has the provider's format, and the code and type for its status.",
    fix="generate all errors in one place, from the provider's table of errors",
    covers=["*.error.4*", "*.error.standard-codes", "*.answer.code-list", "*.answer.message"],
)
def errors_shape(evidence: Evidence) -> Iterator[Finding]:
    """Compare each answer from 400 on with the provider's errors."""
    for call in evidence.answered():
        if not call.of_api or call.status is None or call.status < 400:
            continue
        yield check(
            call.refusal is not None,
            [call],
            f"{nearest(evidence.spec, call)}: {_start(call)}",
            "one of the provider's errors",
        )


def _conforms(id_: str, rule: str, fix: str = _FIX, covers: Sequence[str] = ()) -> None:
    """Register a clause about what schemathesis found."""

    @server_clause(id_, rule, fix=fix, covers=covers)
    def conforms(evidence: Evidence) -> Iterator[Finding]:
        found = [each for each in evidence.nonconforming if each.clause == id_]
        for each in found:
            yield broken([each.call], each.seen, each.asks)
        if id_ in evidence.tested and not found:
            yield Exercised()


_conforms("shapes.status", "Every status is documented for its operation.")
_conforms("shapes.content-type", "Every content type is documented.")
_conforms("shapes.headers", "Every answer has the documented headers.")
_conforms(
    "shapes.body",
    "Every body matches the documented schema.",
    covers=["*.submit.answer*", "*.answer.code", "*.task.created-at", "*.upload.answers-url", "*.job.*-has-*"],
)
_conforms(
    "shapes.bad-data-refused",
    "Requests that do not match the documented schema are refused.",
    fix="validate requests with the schema first",
    covers=["*.error.400-trigger", "*.error.400", "*.error.422"],
)


@server_clause(
    "answers.agree",
    "Answers name the requested model and task.",
    fix="look the task up by the requested id, and answer with its own data",
    covers=["*.submit.model-echo"],
)
def agree(evidence: Evidence) -> Iterator[Finding]:
    """Compare the ids and models in answers with those of the request."""
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
    """Return the start of a body, in one line."""
    text = " ".join(call.content[:400].decode("utf-8", "replace").split())
    return text[:120] + ("…" if len(text) > 120 else "")
