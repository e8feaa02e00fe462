"""How fast the server's clock runs for a command, and how long a job may take.

A command waits in real time. The clock runs as fast as possible, but so that the command still sees a task's states
on the way: it is measured once how long the client waits between its queries. Where a good client is patient for longer
than a job may take, the client's own time is scaled (see `time_scale`), if it follows: that is measured, too.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from statistics import median

from contracts.client.situations import Event, Situation
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
#: How long the most patient good client waits before it gives up, in its own seconds.
LONGEST_PATIENCE_S = 1200.0
#: How many times as fast a patient client's time runs.
TIME_SCALE = 10.0
#: A client follows if its waits shrink by about as much; starting a process or sending a request takes this long.
_OFF_BY, _OVERHEAD_S = 1.5, 0.2
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


@dataclass(frozen=True, slots=True)
class Pace:
    """The time of a job.

    `speed` are the seconds of the server's clock in one of the client's seconds, of which `time_scale` pass in a real
    one; `limit_s` is when the job is stopped, in real seconds.
    """

    speed: float
    limit_s: float
    time_scale: float = 1.0

    @property
    def server_speed(self) -> float:
        """The seconds of the server's clock in one real second."""
        return self.speed * self.time_scale


def pace_in(
    situation: Situation, provider: Provider, speed: float, job_limit_s: float, *, time_scale: float = 1.0
) -> Pace:
    """Return the pace in a situation, for a client whose time can be scaled by `time_scale`."""
    own_speed = speed_in(situation, speed)
    if time_scale > 1 and is_long(situation, provider, job_limit_s, own_speed):
        return Pace(min(own_speed, max(FASTEST / time_scale, 1)), max(job_limit_s, LONGEST_JOB_S), time_scale)
    return Pace(own_speed, limit_in(situation, provider, job_limit_s, own_speed))


def is_long(situation: Situation, provider: Provider, job_limit_s: float, speed: float = FASTEST) -> bool:
    """Tell whether a good client waits longer in a situation than a job may, by its own clock.

    Where an answer is held back, it waits for a socket instead, whose timeout is real.
    """
    held = _is_dated(situation) or any(all_faults()[each.fault].withholds_answer for each in situation.events)
    return _margin_s(situation, provider, speed) > job_limit_s and not held and not _asked_s(situation)


def enough_s(situation: Situation, provider: Provider, speed: float) -> float:
    """Return the --job-limit that shows the end of a good client's job in real time."""
    return _margin_s(situation, provider, speed)


def follows(plain: Journal, scaled: Journal) -> bool:
    """Tell whether a client's waits shrink with its time, from the journals of the same job."""
    as_ever_s, real_s = _usual_wait_s(plain), _usual_wait_s(scaled) / scaled.time_scale
    expected_s = as_ever_s / scaled.time_scale
    return expected_s / _OFF_BY <= real_s <= min(expected_s * _OFF_BY + _OVERHEAD_S, as_ever_s / 2)


def _usual_wait_s(journal: Journal) -> float:
    """Return how long a client waits between queries (before the first one, if there is only one); 0 if unknown."""
    trace = max(journal.traces, key=lambda each: len(each.queries), default=None)
    if trace is None or not trace.submits or not trace.queries:
        return 0.0
    times_ms = [each.at_ms for each in trace.queries]
    if len(times_ms) == 1:
        times_ms.insert(0, trace.submits[-1].at_ms)
    return median(journal.seconds(*pair) for pair in itertools.pairwise(times_ms))


def speed_in(situation: Situation, speed: float) -> float:
    """Return the speed in a situation: a date in Retry-After is by a clock that runs like the client's."""
    return 1.0 if _is_dated(situation) else speed


def _is_dated(situation: Situation) -> bool:
    return any(("retry_after", "date") in event.with_ for event in situation.events)


def limit_in(situation: Situation, provider: Provider, job_limit_s: float, speed: float = FASTEST) -> float:
    """Return how long a job may take in a situation: longer where a good client is patient."""
    needed_s = LONGEST_JOB_S if _is_dated(situation) else _margin_s(situation, provider, speed)
    return max(job_limit_s, min(needed_s, LONGEST_JOB_S))


def _margin_s(situation: Situation, provider: Provider, speed: float) -> float:
    more_s = _asked_s(situation) + sum(map(_prolonged_s, situation.events)) / speed
    needed_s = [_needed_s(event, provider) for event in situation.events]
    return _MARGIN * max(*needed_s, more_s + _LONGEST_TASK_S if more_s else 0.0, 0.0)


def _prolonged_s(event: Event) -> float:
    """Return how much longer a task takes because of a fault, by the server's clock."""
    parameter = all_faults()[event.fault].prolongs_by
    return float(dict(event.with_).get(parameter, 0)) if parameter else 0.0


def _asked_s(situation: Situation) -> float:
    """Return how long the answers of a situation ask a client to wait, by Retry-After in seconds."""
    asked = [(dict(event.with_), dict(event.when)) for event in situation.events]
    return sum(
        float(with_.get("retry_after_s", 0)) * when.get("times", 1)
        for with_, when in asked
        if with_.get("retry_after") == "seconds"
    )


def _needed_s(event: Event, provider: Provider) -> float:
    """Return how long a good client may take because of a fault, in its own seconds whatever the speed."""
    kind, poll = all_faults()[event.fault], provider.client.poll
    if kind.withholds_answer:
        return LONGEST_JOB_S / _MARGIN
    if not kind.never_finishes:
        return kind.client_waits_s
    document_s = poll.give_up_after_s or (poll.at_most or 0) * (poll.interval_s or 0)
    return max(document_s, LONGEST_PATIENCE_S)
