"""Tasks: ids, the order of states, final ends, progress, and the link from submit to query."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from contracts.server.clauses import Exercised, Finding, broken, check, server_clause
from contracts.server.evidence import Evidence, Observation
from contracts.server.extract import Extractor

#: The clocks of a server and of this machine differ by less.
_CLOCKS_DIFFER_MS = 86_400_000
#: Refusals because of the account and its limits, not because of the request.
_ACCOUNTS = ("insufficient_credits", "plan_forbidden", "rate_exceeded", "concurrency_exceeded")


@server_clause(
    "tasks.taken",
    "The documented example of a submit is accepted.",
    fix="accept the documented examples",
    covers=["*.task.async", "*.poll.async", "*.submit.answers-at-once"],
)
def taken(evidence: Evidence) -> Iterator[Finding]:
    """Find examples that were refused, except because of the account's limits."""
    for _ in evidence.traces:
        yield Exercised()
    limits = [evidence.spec.provider.refusals[each] for each in _ACCOUNTS]
    for model, call in evidence.refused_submits:
        if call.transport_error is None and call.refusal not in limits:
            words = call.content[:160].decode("utf-8", "replace")
            yield broken([call], f"{call.status} to the example of {model.name}: {words}", "a task, and its id")


@server_clause("tasks.ids-unique", "Task ids are unique.", fix="generate unique ids")
def ids_unique(evidence: Evidence) -> Iterator[Finding]:
    """Compare the ids of all submits."""
    for id_, traces in evidence.by_id().items():
        if len(traces) > 1:
            yield broken([each.submit for each in traces], f"{id_} for {len(traces)} tasks", "an id for each")
    if len(evidence.by_id()) > 1:
        yield Exercised()


@server_clause(
    "tasks.id-form",
    "A task id has the documented format.",
    fix="generate ids in the documented format: clients check it",
    covers=["*.task.id-shape", "*.submit.job-id-shape"],
)
def id_form(evidence: Evidence) -> Iterator[Finding]:
    """Match each id with the documented patterns, if there are any."""
    spec = evidence.spec
    submit = spec.of_role("submit")[0]
    schemas = [spec.schema_of(submit, pointer) for pointer in evidence.submitted.of("$task.id")]
    forms = [each["pattern"] for each in schemas if "pattern" in each]
    matches: list[Callable[[str], object]] = [re.compile(form).search for form in forms]
    if spec.provider.task_id_matches is not None:
        matches.append(spec.provider.task_id_matches)
    for trace in evidence.traces if matches else ():
        yield check(
            all(each(trace.id) for each in matches),
            [trace.submit],
            f"the id {trace.id!r}",
            "an id in the documented format",
        )


@server_clause(
    "tasks.submitted-at",
    "The time of the submit is true, in the documented unit.",
    fix="state the time of the submit in the documented unit: seconds and milliseconds differ by a thousand",
    covers=["*.task.created-at"],
)
def submitted_at(evidence: Evidence) -> Iterator[Finding]:
    """Compare the stated time of each submit with the time at which it was sent."""
    for trace in evidence.traces:
        shown = [(evidence.submitted, trace.submit)]
        shown += [(evidence.queried, each.call) for each in trace.observations[:1] if each.call.fine]
        for places, call in shown:
            for fact, factor in (("$task.submitted_unix_s", 1000), ("$task.submitted_unix_ms", 1)):
                value = places.read(fact, call.json)
                if isinstance(value, int | float) and not isinstance(value, bool):
                    yield check(
                        abs(value * factor - trace.submit.exchange.at_ms) <= _CLOCKS_DIFFER_MS,
                        [trace.submit, call],
                        f"the submit is stated to be at {value}",
                        f"about {trace.submit.exchange.at_ms // factor}",
                    )


@server_clause(
    "tasks.can-be-asked-after",
    "An accepted task can be queried immediately.",
    fix="store the task before answering the submit",
    covers=["*.task.query-shows-result", "*.task.shared-contract"],
)
def can_be_asked_after(evidence: Evidence) -> Iterator[Finding]:
    """Find queries of existing tasks that were refused."""
    for trace in evidence.traces:
        for observation in trace.observations:
            if observation.call.fine:
                yield Exercised()
            elif observation.call.transport_error is None:
                yield broken(
                    [trace.submit, observation.call], f"{observation.call.status} for {trace.id}", "the task's status"
                )


@server_clause(
    "tasks.link-leads-there",
    "The documented link from a submit's answer leads to the query of its task.",
    fix="return the field that the documented link reads, and accept its value in the query",
)
def link_leads_there(evidence: Evidence) -> Iterator[Finding]:
    """Check the answers behind the documented links."""
    for trace in evidence.traces:
        for call in trace.linked:
            found = evidence.observation(call).id
            if call.transport_error is not None:
                continue
            yield check(
                call.fine and found in (None, trace.id),
                [trace.submit, call],
                f"{call.status}, about {found!r}",
                f"the status of {trace.id}",
            )


@server_clause(
    "tasks.states-known",
    "Every task status is documented.",
    fix="use the documented statuses, spelled as documented",
    covers=["*.task.statuses", "*.job.statuses"],
)
def states_known(evidence: Evidence) -> Iterator[Finding]:
    """Find statuses that are not documented."""
    for _, observation in evidence.shown():
        seen, asks = f"the status {observation.word!r}", f"one of {', '.join(evidence.order)}"
        yield check(observation.state is not None, [observation.call], seen, asks)


@server_clause(
    "tasks.never-back",
    "A task's status never goes back.",
    fix="derive the status from one record that only moves forward; read it from the primary replica",
    covers=["*.task.statuses", "*.job.statuses"],
)
def never_back(evidence: Evidence) -> Iterator[Finding]:
    """Compare each status with the previous one, while the task is in progress."""
    for trace in evidence.traces:
        before: Observation | None = None
        for observation in trace.observations:
            if observation.state is None:
                continue
            if before is not None and before.state is not None:
                if evidence.end_of(before.state) is not None:
                    break
                yield check(
                    evidence.order[observation.state] >= evidence.order[before.state],
                    [before.call, observation.call],
                    f"{before.word} and then {observation.word}",
                    f"{before.word}, or what comes after it",
                )
            before = observation


@server_clause(
    "tasks.end-is-final",
    "The end of a task is final.",
    fix="refuse changes to a task that has ended",
    covers=["*.task.statuses", "*.job.statuses"],
)
def end_is_final(evidence: Evidence) -> Iterator[Finding]:
    """Check the queries after each task's first end."""
    for trace, ended, end in evidence.ended():
        for observation in trace.observations[trace.observations.index(ended) + 1 :]:
            if not observation.call.fine:
                continue
            yield check(
                observation.state == end.name,
                [ended.call, observation.call],
                f"{ended.word} and then {observation.word}",
                f"{ended.word}, which is final",
            )


@server_clause(
    "tasks.end-comes",
    "A task ends within the time that clients are told to wait.",
    fix="end every task, with a failure if necessary: use a timeout",
    covers=["*.task.low-latency"],
    severity="should",
)
def end_comes(evidence: Evidence) -> Iterator[Finding]:
    """Find tasks that did not end in that time."""
    for trace in evidence.traces:
        if trace.gave_up:
            yield broken(
                [trace.submit, *(each.call for each in trace.observations[-1:])],
                f"{trace.id} had not ended at the time limit",
                "an end",
            )
        elif evidence.ending(trace) is not None:
            yield Exercised()


@server_clause(
    "tasks.progress-is-percent",
    "Progress is a number from 0 to 100.",
    fix="report progress in percent",
    covers=["*.task.progress"],
)
def progress_is_percent(evidence: Evidence) -> Iterator[Finding]:
    """Check the progress in every query, if it is documented."""
    if "$task.progress" not in evidence.queried:
        return
    for _, observation in evidence.shown():
        value = observation.progress
        is_percent = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100
        yield check(is_percent, [observation.call], f"progress {value!r}", "a number from 0 to 100")


@server_clause(
    "tasks.failure-has-reason",
    "A failed task has a reason.",
    fix="always return a reason, even an unknown one",
    covers=["*.job.failed-has-error"],
)
def failure_has_reason(evidence: Evidence) -> Iterator[Finding]:
    """Check the answers about failed tasks."""
    facts = [each for each in ("$task.reason_code", "$task.reason_message") if each in evidence.queried]
    for trace, shown, _ in evidence.ended("failure") if facts else ():
        has_reason = any(evidence.queried.read(fact, shown.call.json) for fact in facts)
        yield check(has_reason, [shown.call], f"{trace.id} failed without a reason", "the reason")


@server_clause(
    "tasks.failure-is-free",
    "A task without a result is free.",
    fix="release the reserved credits when a task ends without a result",
    covers=["*.billing.failed-free", "*.billing.failed-is-free", "*.callback.failed-cost-0"],
)
def failure_is_free(evidence: Evidence) -> Iterator[Finding]:
    """Check the charge in the answers about failed tasks."""
    for _, shown, end in evidence.ended():
        charged = None if end.kind == "success" else _charged(evidence, shown, end.name)
        if charged is not None:
            yield check(not charged, [shown.call], f"{charged} credits for a task with status {shown.word}", "0")


def _charged(evidence: Evidence, observation: Observation, state: str) -> float | None:
    """Return the charge in an answer about an ended task, if that status has one."""
    spec = evidence.spec
    extractor = Extractor(spec, [spec.reply_in(each.id, state) for each in spec.of_role("query")])
    value = extractor.read("$task.charged_credits", observation.call.json)
    return value if isinstance(value, int | float) else None
