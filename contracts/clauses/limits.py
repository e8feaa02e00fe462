"""Limits and money: what the plan allows, and what is not paid for twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.analysis import SLOWED, accepted, by_account, end_shown, unrelated
from contracts.clause import Exercised, Finding, Violation, clause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contracts.journal import Exchange, Journal, Record

#: With fewer submits than this, nobody can tell whether a client keeps to limits.
FEWEST_SUBMITS = 3


@clause(
    "limits.kept",
    "In bulk, a client keeps to the plan's rate and to its number of tasks at once.",
    covers=["*.bulk.*"],
    severity="should",
)
def kept(journal: Journal) -> Iterator[Finding]:
    """Look for submits that the plan's limits refused."""
    for submits in by_account(journal.of_role("submit")).values():
        refused = [each for each in submits if each.gate == "rate" or _too_many(journal, each)]
        if len(refused) > 1:
            what = "too many tasks at once" if refused[0].gate == "concurrency" else "too many submits"
            yield Violation(
                tuple(refused[:3]),
                f"{len(refused)} submits were refused: {what}",
                "no more than the plan allows",
                "put jobs in a queue that knows the plan's limits, and submit when one has ended",
            )
        elif len(submits) >= FEWEST_SUBMITS:
            yield Exercised()


def _too_many(journal: Journal, submit: Exchange) -> bool:
    """Tell whether a submit was refused while the client still followed as many tasks as it may have at once.

    Tasks that it has given up run on at the provider, and nobody can help that.
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
    "After 402 no more is submitted until credits have been bought.",
    covers=["*.error.402-*"],
    general=True,
)
def no_credits_stops(journal: Journal) -> Iterator[Finding]:
    """Look for submits that are refused with 402 again."""
    for submits in by_account(journal.of_role("submit")).values():
        for number, refused in enumerate(submits):
            if refused.status != 402 or SLOWED.intersection(refused.faults):
                continue
            later = (each for each in submits[number + 1 :] if each.at_ms > refused.at_ms and each.status == 402)
            # By another day, somebody may have bought credits.
            retry_chains = next((each for each in later if not unrelated(journal, refused, each)), None)
            if retry_chains is not None:
                yield Violation(
                    (refused, retry_chains),
                    "another submit after 402",
                    "no submit until there are credits",
                    "stop submitting at the first 402, and tell somebody",
                )
                break
            yield Exercised()


@clause(
    "limits.failed-not-blindly-again",
    "A task that failed is not submitted again as it was, over and over.",
    covers=["*.poll.failed-is-an-error", "*.bulk.failure-is-kept-apart"],
    general=True,
    severity="should",
)
def failed_not_blindly_again(journal: Journal) -> Iterator[Finding]:
    """Look for one body that is submitted again and again although its tasks fail."""
    failed = {
        trace.task
        for trace in journal.traces
        if any((end := end_shown(journal, query)) is not None and end.kind == "failure" for query in trace.queries)
    }
    tries: dict[tuple[str | None, str | None], list[str]] = {}
    for submit in journal.of_role("submit"):
        if not accepted(submit) or submit.task is None:
            continue
        before = tries.setdefault((submit.account, submit.body), [])
        if len([task for task in before if task in failed]) >= 3:
            yield Violation(
                (submit,),
                "the same job a fourth time, although it has failed three times",
                "the provider's reason, raised",
                "raise the reason of a failed task, and leave it to people to change the job",
            )
        elif submit.task in failed:
            yield Exercised()
        before.append(submit.task)
