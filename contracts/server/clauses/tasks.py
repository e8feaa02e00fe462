"""Tasks: ids, states in their order, ends for ever, progress, and the way from submit to query."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from contracts.server.clauses import Exercised, Finding, broken, server_clause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contracts.server.evidence import Evidence, Observation

#: Refusals that are about the account and its limits, not about the request.
_ACCOUNTS = ("insufficient_credits", "plan_forbidden", "rate_exceeded", "concurrency_exceeded")


@server_clause(
    "tasks.taken",
    "A submit as the document shows it makes a task.",
    fix="take what the document shows",
    covers=["*.task.async", "*.poll.async", "*.submit.answers-at-once"],
)
def taken(evidence: Evidence) -> Iterator[Finding]:
    """Look for examples that were refused, for another reason than the account's limits."""
    for _ in evidence.traces:
        yield Exercised()
    limits = [evidence.spec.provider.refusals[each] for each in _ACCOUNTS]
    for model, call in evidence.refused_submits:
        if call.transport_error is None and call.refusal not in limits:
            words = call.content[:160].decode("utf-8", "replace")
            yield broken([call], f"{call.status} to the example of {model.name}: {words}", "a task, and its id")


@server_clause(
    "tasks.ids-unique",
    "No two tasks have one id.",
    fix="draw ids that cannot come twice",
)
def ids_unique(evidence: Evidence) -> Iterator[Finding]:
    """Compare the ids of all submits."""
    for id_, traces in evidence.by_id().items():
        if len(traces) > 1:
            yield broken([each.submit for each in traces], f"{id_} for {len(traces)} tasks", "an id for each")
    if len(evidence.by_id()) > 1:
        yield Exercised()


@server_clause(
    "tasks.id-form",
    "An id has the form that the document names.",
    fix="make ids of the document's form: clients check it",
    covers=["*.task.id-shape", "*.submit.job-id-shape"],
)
def id_form(evidence: Evidence) -> Iterator[Finding]:
    """Hold each id against the document's patterns, where it has any."""
    spec = evidence.spec
    submit = spec.of_role("submit")[0]
    schemas = [spec.schema_of(submit, pointer) for pointer in evidence.submitted.of("$task.id")]
    forms = [each["pattern"] for each in schemas if "pattern" in each]
    matches: list[Callable[[str], object]] = [re.compile(form).search for form in forms]
    if spec.provider.task_id_matches is not None:
        matches.append(spec.provider.task_id_matches)
    for trace in evidence.traces if matches else ():
        if all(each(trace.id) for each in matches):
            yield Exercised()
        else:
            yield broken([trace.submit], f"the id {trace.id!r}", "an id of the document's form")


@server_clause(
    "tasks.can-be-asked-after",
    "A task that was taken can be asked after from then on.",
    fix="store the task before the submit is answered",
    covers=["*.task.query-shows-result", "*.task.shared-contract"],
)
def can_be_asked_after(evidence: Evidence) -> Iterator[Finding]:
    """Look for queries of our own tasks that were refused."""
    for trace in evidence.traces:
        for observation in trace.observations:
            if observation.call.fine:
                yield Exercised()
            elif observation.call.transport_error is None:
                yield broken(
                    [trace.submit, observation.call], f"{observation.call.status} for {trace.id}", "how the task stands"
                )


@server_clause(
    "tasks.link-leads-there",
    "The link from a submit's answer to the query, as the document has it, leads to that task.",
    fix="answer with the field that the document's link reads, and let the query take its value",
)
def link_leads_there(evidence: Evidence) -> Iterator[Finding]:
    """Look at what came of following the document's links."""
    for trace in evidence.traces:
        for call in trace.linked:
            found = evidence.observation(call).id
            if call.transport_error is not None:
                continue
            if call.fine and found in (None, trace.id):
                yield Exercised()
            else:
                yield broken([trace.submit, call], f"{call.status}, about {found!r}", f"how {trace.id} stands")


@server_clause(
    "tasks.states-known",
    "A task's status is one of the document's words.",
    fix="answer with the document's words, in its spelling",
    covers=["*.task.statuses", "*.job.statuses"],
)
def states_known(evidence: Evidence) -> Iterator[Finding]:
    """Look for words that the document has not."""
    for trace in evidence.traces:
        for observation in trace.observations:
            if not observation.call.fine:
                continue
            if observation.state is None:
                yield broken(
                    [observation.call], f"the status {observation.word!r}", f"one of {', '.join(evidence.order)}"
                )
            else:
                yield Exercised()


@server_clause(
    "tasks.never-back",
    "A task's status goes only forwards.",
    fix="let the status follow from one record that is only ever moved on; read it from the leading replica",
    covers=["*.task.statuses", "*.job.statuses"],
)
def never_back(evidence: Evidence) -> Iterator[Finding]:
    """Compare each status with the one before it, as long as the task is under way."""
    for trace in evidence.traces:
        before: Observation | None = None
        for observation in trace.observations:
            if observation.state is None:
                continue
            if before is not None and before.state is not None:
                if evidence.end_of(before.state) is not None:
                    break
                if evidence.order[observation.state] < evidence.order[before.state]:
                    yield broken(
                        [before.call, observation.call],
                        f"{before.word} and then {observation.word}",
                        f"{before.word}, or what comes after it",
                    )
                else:
                    yield Exercised()
            before = observation


@server_clause(
    "tasks.end-is-for-ever",
    "A task that has ended stays as it ended.",
    fix="refuse every change to a task that has ended",
    covers=["*.task.statuses", "*.job.statuses"],
)
def end_is_for_ever(evidence: Evidence) -> Iterator[Finding]:
    """Look at what came after each task's first end."""
    for trace in evidence.traces:
        found = evidence.ending(trace)
        if found is None:
            continue
        _, ended, end = found
        for observation in trace.observations[trace.observations.index(ended) + 1 :]:
            if not observation.call.fine:
                continue
            if observation.state == end.name:
                yield Exercised()
            else:
                yield broken(
                    [ended.call, observation.call],
                    f"{ended.word} and then {observation.word}",
                    f"{ended.word} for ever",
                )


@server_clause(
    "tasks.end-comes",
    "A task ends within the time after which clients are told to give up.",
    fix="let every task end, in a failure if need be: time out what hangs",
    covers=["*.task.low-latency"],
    severity="should",
)
def end_comes(evidence: Evidence) -> Iterator[Finding]:
    """Look for tasks that were followed for that long in vain."""
    for trace in evidence.traces:
        if trace.gave_up:
            yield broken(
                [trace.submit, *(each.call for each in trace.observations[-1:])],
                f"{trace.id} had not ended when the judge gave up",
                "an end",
            )
        elif evidence.ending(trace) is not None:
            yield Exercised()


@server_clause(
    "tasks.progress-is-percent",
    "Progress is a number from 0 to 100.",
    fix="answer with percent",
    covers=["*.task.progress"],
)
def progress_is_percent(evidence: Evidence) -> Iterator[Finding]:
    """Look at the progress of every query, where the document has one."""
    if "$task.progress" not in evidence.queried:
        return
    for trace in evidence.traces:
        for observation in trace.observations:
            if not observation.call.fine:
                continue
            value = observation.progress
            if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100:
                yield Exercised()
            else:
                yield broken([observation.call], f"progress {value!r}", "a number from 0 to 100")


@server_clause(
    "tasks.failure-has-reason",
    "A task that failed says why.",
    fix="answer with the reason, also where it is not known what it was",
    covers=["*.job.failed-has-error"],
)
def failure_has_reason(evidence: Evidence) -> Iterator[Finding]:
    """Look at the answers about tasks that ended without a result."""
    facts = [each for each in ("$task.reason_code", "$task.reason_message") if each in evidence.queried]
    for trace in evidence.traces:
        found = evidence.ending(trace)
        if found is None or found[2].kind != "failure" or not facts:
            continue
        if any(evidence.queried.read(fact, found[1].call.json) for fact in facts):
            yield Exercised()
        else:
            yield broken([found[1].call], f"{trace.id} failed without a reason", "why it failed")


@server_clause(
    "tasks.failure-is-free",
    "A task without a result costs nothing.",
    fix="give back what was set aside when a task ends without a result",
    covers=["*.billing.failed-free", "*.billing.failed-is-free", "*.callback.failed-cost-0"],
)
def failure_is_free(evidence: Evidence) -> Iterator[Finding]:
    """Look at what answers about failed tasks say that was charged."""
    for trace in evidence.traces:
        found = evidence.ending(trace)
        if found is None or found[2].kind == "success":
            continue
        charged = _charged(evidence, found[1], found[2].name)
        if charged:
            yield broken([found[1].call], f"{charged} credits for a task that {found[1].word}", "0")
        elif charged is not None:
            yield Exercised()


def _charged(evidence: Evidence, observation: Observation, state: str) -> float | None:
    """Return what an answer about an ended task says that was charged, where it says so in that state."""
    from contracts.server.extract import Extractor  # noqa: PLC0415 - only here is a state's own template asked for

    spec = evidence.spec
    places = Extractor(spec, [spec.reply_in(each.id, state) for each in spec.of_role("query")])
    value = places.read("$task.charged_credits", observation.call.json)
    return value if isinstance(value, int | float) else None
