"""How fast the server's clock runs for a command, and how long a job may take.

A command waits in real time. The clock runs as fast as possible, but so that the command still sees a task's states
on the way: it is measured once how long the client waits between its queries.
"""

from __future__ import annotations

import itertools
from statistics import median

from contracts.client.situations import Situation
from contracts.journal import Journal
from mockserver.faults import all_faults
from mockserver.provider import Provider

#: The speed while nothing is known about the client, and the fastest.
FIRST_SPEED, FASTEST = 10.0, 60.0
#: A client sees at least so many states before the end: its first query, and another one after half an interval more.
_INTERVALS = 1.5
#: A task takes no longer than this in real time, however slowly the client polls.
_LONGEST_TASK_S = 30.0
#: No job takes longer than this, unless --job-limit is higher: a run ends within three minutes.
LONGEST_JOB_S = 140.0
#: How long the most patient good client waits, in real time, before it gives up; if the document does not say.
_LONGEST_PATIENCE_S = 600.0
#: How much longer than documented a job may take.
_MARGIN = 1.2


def speed_for(journal: Journal) -> float:
    """Return the speed at which a client sees its tasks' states, from the journal of a job without faults."""
    trace = max(journal.traces, key=lambda each: len(each.queries), default=None)
    if trace is None or not trace.submits or not trace.queries:
        return FASTEST
    polls = [each.at_ms for each in trace.queries]
    submitted_ms = trace.submits[-1].at_ms
    first_s = journal.seconds(submitted_ms, polls[0])
    gaps = [journal.seconds(*pair) for pair in itertools.pairwise(polls)]
    gap_s = median(gaps) if gaps else first_s
    # The task ended between the last two queries; the earlier one is safe.
    life_s = (polls[-2] - submitted_ms if gaps else (polls[0] - submitted_ms) / 2) / 1000
    wanted_s = min(first_s + _INTERVALS * gap_s, _LONGEST_TASK_S)
    return round(min(max(life_s / wanted_s if wanted_s else FASTEST, 1.0), FASTEST), 1)


def speed_in(situation: Situation, speed: float) -> float:
    """Return the speed in a situation: a date in Retry-After is by a clock that runs like the client's."""
    dated = any(("retry_after", "date") in event.with_ for event in situation.events)
    return 1.0 if dated else speed


def limit_in(situation: Situation, provider: Provider, job_limit_s: float) -> float:
    """Return how long a job may take in a situation: longer where a good client is patient."""
    needed_s = max((_needed_s(event.fault, provider) for event in situation.events), default=0.0)
    if any(("retry_after", "date") in event.with_ for event in situation.events):
        needed_s = LONGEST_JOB_S
    return max(job_limit_s, min(needed_s * _MARGIN, LONGEST_JOB_S))


def _needed_s(fault: str, provider: Provider) -> float:
    """Return how long a good client may take because of a fault, in real seconds whatever the speed."""
    kind, poll = all_faults()[fault], provider.client.poll
    if not kind.never_finishes:
        return kind.client_waits_s
    document_s = poll.give_up_after_s or (poll.at_most or 0) * (poll.interval_s or 0)
    return document_s or _LONGEST_PATIENCE_S
