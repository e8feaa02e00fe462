"""Limits and credits: keep to the plan, stop without credits, and do not pay twice."""

from __future__ import annotations

from collections.abc import Iterator

from contracts.analysis import accepted, by_account, is_ok, received, shows, unrelated
from contracts.clause import Exercised, Finding, Violation, clause
from contracts.journal import Exchange, Journal, Record

#: Fewer submits than this do not show whether a client keeps to limits.
FEWEST_SUBMITS = 3
#: So many submits may be refused with 402 before it counts as going on.
MOST_REFUSED = 2
#: How often a failed job may be submitted in all.
MOST_SUBMITS = 3


@clause(
    "limits.kept",
    "In bulk, keep to the plan's request rate and number of concurrent tasks.",
    covers=["*.bulk.queue", "*.bulk.concurrency*", "*.bulk.next-when-one-ends"],
    severity="should",
)
def kept(journal: Journal) -> Iterator[Finding]:
    """Find submits that the plan's limits refused."""
    for submits in by_account(journal.of_role("submit")).values():
        refused = [each for each in submits if each.gate == "rate" or _too_many(journal, each)]
        if len(refused) > 1:
            what = "too many concurrent tasks" if refused[0].gate == "concurrency" else "too many submits"
            yield Violation(
                tuple(refused[:3]),
                f"{len(refused)} submits were refused: {what}",
                "no more than the plan allows",
                "queue the jobs, and submit the next one when the plan's limits allow it",
            )
        elif len(submits) >= FEWEST_SUBMITS:
            yield Exercised()


def _too_many(journal: Journal, submit: Exchange) -> bool:
    """Tell whether a submit was refused while the client still followed as many tasks as the plan allows.

    Tasks that it has given up go on at the provider, and a client cannot prevent that.
    """
    if submit.gate != "concurrency":
        return False
    most = journal.provider.plans[journal.provider.default_plan].concurrent_tasks or 1
    followed = 0
    for trace in journal.traces:
        made = any(accepted(each) and each.seq < submit.seq for each in trace.submits)
        later: list[Record] = [*trace.queries, *trace.downloads, *trace.deliveries]
        followed += made and any(each.seq > submit.seq for each in later)
    return followed >= most


@clause(
    "limits.no-credits-stops",
    "After 402, do not submit until the account has credits again.",
    covers=["*.error.402-*"],
    general=True,
    severity="should",
)
def no_credits_stops(journal: Journal) -> Iterator[Finding]:
    """Find submits that are refused with 402 one after the other.

    One job alone is judged by another clause, and two that know nothing of each other may each meet a 402.
    """
    for submits in by_account(journal.of_role("submit")).values():
        row: list[Exchange] = []
        for submit in submits:
            if submit.status != 402 or not received(submit):
                row = [] if is_ok(submit) else row
            elif not row or (unrelated(journal, row[-1], submit) and not journal.jobs):
                row = [submit]
            elif submit.at_ms > row[-1].at_ms:  # otherwise it was on its way when the 402 came
                row.append(submit)
            if len(row) > MOST_REFUSED:
                yield Violation(
                    tuple(row),
                    f"{len(row) - 1} more submits after 402, one after the other",
                    "no submit until the account has credits",
                    "stop submitting at the first 402, and report it",
                )
                break
            if row:
                yield Exercised()


@clause(
    "limits.failed-not-resubmitted",
    "Do not keep resubmitting a failed job unchanged.",
    general=True,
    severity="should",
)
def failed_not_resubmitted(journal: Journal) -> Iterator[Finding]:
    """Find one body that is submitted repeatedly although its tasks fail."""
    failed = {
        trace.task for trace in journal.traces if any(shows(journal, query, "failure") for query in trace.queries)
    }
    tries: dict[tuple[str | None, str | None], list[str]] = {}
    for submit in journal.of_role("submit"):
        if not accepted(submit) or submit.task is None:
            continue
        before = tries.setdefault((submit.account, submit.said), [])
        if len([task for task in before if task in failed]) >= MOST_SUBMITS:
            yield Violation(
                (submit,),
                "the same job was submitted a fourth time, after three failures",
                "an error with the provider's reason",
                "raise the reason of a failed task, and submit it again only after a change",
            )
        elif submit.task in failed:
            yield Exercised()
        before.append(submit.task)
