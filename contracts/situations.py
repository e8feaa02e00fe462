"""Situations: what a client is made to meet, and how many jobs it does meanwhile.

A situation is a scenario of the mock server's (a seed, an account, a time line of faults) with a number of
jobs, done at once, and whether callbacks are asked for. `meetings` lists what there is to meet at a
provider, from its spec; `situations` draws from that.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import strategies as st

from mockserver.chance import Chance
from mockserver.engine.messages import Request
from mockserver.engine.world import World, WorldRules
from mockserver.provider import UCR
from mockserver.scenarios.read import Scenario, of_data

if TYPE_CHECKING:
    from mockserver.provider import Provider


@dataclass(frozen=True, slots=True)
class Event:
    """A fault on the time line. Pairs instead of mappings, so that events can be compared and kept in sets."""

    fault: str
    with_: tuple[tuple[str, Any], ...] = ()
    where: tuple[tuple[str, str], ...] = ()
    when: tuple[tuple[str, float], ...] = ()

    def words(self) -> dict[str, Any]:
        """Write it as a scenario file does."""
        parts = {"with": dict(self.with_), "where": dict(self.where), "when": dict(self.when)}
        return {"fault": self.fault, **{name: part for name, part in parts.items() if part}}


@dataclass(frozen=True, slots=True)
class Meeting:
    """Something to meet: faults, or an account that has little of something; `jobs` shows it best."""

    name: str
    events: tuple[Event, ...] = ()
    account: tuple[tuple[str, Any], ...] = ()
    jobs: int = 1
    callbacks: bool | None = None

    @property
    def group(self) -> str:
        """What it is a variant of."""
        return self.name.partition(":")[0]


CALM = Meeting("calm")


@dataclass(frozen=True, slots=True)
class Situation:
    """What a client is made to meet."""

    provider: str
    meetings: tuple[Meeting, ...] = ()
    jobs: int = 1
    callbacks: bool = False
    seed: int = 0
    #: A scenario that was read from a file, instead of the meetings.
    file: Scenario | None = field(default=None, hash=False)

    @property
    def events(self) -> tuple[Event, ...]:
        """The faults, in the order in which they are put in force."""
        return tuple(event for meeting in self.meetings for event in meeting.events)

    def words(self) -> dict[str, Any]:
        """Write it as a scenario file's data."""
        account = {name: value for meeting in self.meetings for name, value in meeting.account}
        met = ", ".join(dict.fromkeys(meeting.name for meeting in self.meetings)) or CALM.name
        out: dict[str, Any] = {"scenario": met[:100], "seed": self.seed}
        if account:
            out["accounts"] = [{"provider": self.provider, **account}]
        return {**out, "timeline": [_at(event, self.provider) for event in self.events]}

    def scenario(self) -> Scenario:
        """Make the scenario."""
        return self.file or of_data(self.words())

    def yaml(self, head: str = "") -> str:
        """Write a scenario file; `head` goes before it as a comment."""
        comment = "".join(f"# {line}\n" for line in head.splitlines())
        return comment + yaml.safe_dump(self.words(), sort_keys=False, default_flow_style=None, width=100)

    @property
    def size(self) -> tuple[int, int, int]:
        """How large it is; the smallest one says most."""
        return len(self.events), self.jobs, len(self.meetings)

    def __str__(self) -> str:
        met = " + ".join(meeting.name for meeting in self.meetings) or (
            CALM.name if self.file is None else self.file.name
        )
        jobs = "1 job" if self.jobs == 1 else f"{self.jobs} jobs"
        return f"{met}; {jobs}, {'callbacks' if self.callbacks else 'polling'}, seed {self.seed}"


def _at(event: Event, provider: str) -> dict[str, Any]:
    words = event.words()
    return {**words, "where": {"provider": provider, **words.get("where", {})}}


# -- what there is to meet --------------------------------------------------------------------------


def _fault(name: str, role: str | None = None, times: int | None = None, **given: Any) -> Event:
    return Event(
        name,
        tuple(given.items()),
        () if role is None else (("operation", role),),
        () if times is None else (("times", times),),
    )


@dataclass(slots=True)
class _Menu:
    provider: Provider
    found: list[Meeting] = field(default_factory=lambda: [CALM])

    def add(self, name: str, *events: Event, **more: Any) -> None:
        self.found.append(Meeting(name, events, **more))


def meetings(provider: Provider, *, callbacks: bool) -> tuple[Meeting, ...]:
    """List what there is to meet at a provider, variant by variant."""
    menu = _Menu(provider)
    _refusals(menu)
    _transport(menu)
    _meaning(menu)
    _results(menu)
    _accounts(menu)
    if callbacks and provider.callbacks is not None:
        _callbacks(menu)
    return tuple(menu.found)


def _refusals(menu: _Menu) -> None:
    # A dialect may answer every error with 200, and say only in the body which it is.
    statuses = {each for error in menu.provider.errors.values() for each in (error.status, error.code)}
    for status in sorted({400, 401, 402, 403, 422} & statuses):
        menu.add(f"submit refused: {status}", _fault("error", "submit", status=status))
        menu.add(f"submits refused in bulk: {status}", _fault("error", "submit", status=status), jobs=3)
    for status in sorted({429, 455, 500, 502, 503, 504, 505} & statuses):
        for times in (1, 2, 3):
            menu.add(f"submit put off: {status} x{times}", _fault("error", "submit", times, status=status))
            menu.add(f"query put off: {status} x{times}", _fault("error", "query", times, status=status))
        menu.add(f"submit never taken: {status}", _fault("error", "submit", status=status))
        menu.add(f"query never answered: {status}", _fault("error", "query", status=status))
    if 429 in statuses:
        for kind in ("seconds", "date"):
            event = _fault("error", None, 2, status=429, retry_after=kind, retry_after_s=7)
            menu.add(f"Retry-After in {kind}", event)
        menu.add("429 in bulk", _fault("error", "submit", 9, status=429, retry_after="none"), jobs=6)
    menu.add("error inside 200: once", _fault("ok_with_error", "query", 1, status=500))
    menu.add("error inside 200: submit", _fault("ok_with_error", "submit", status=500))


def _transport(menu: _Menu) -> None:
    for role in ("submit", "query"):
        menu.add(f"{role} page of a proxy", _fault("proxy_page", role, 1))
        menu.add(f"{role} empty answer", _fault("empty_body", role, 1))
        menu.add(f"{role} slow", _fault("latency", role, seconds=8.0))
    for at in ("before_headers", "within_body"):
        menu.add(f"query cut off: {at}", _fault("reset", "query", 2, at=at))
    menu.add("query truncated", _fault("truncated_body", "query", 1))
    menu.add("query gzip broken", _fault("broken_gzip", "query", 1))
    menu.add("query held open", _fault("held_open", "query", 1, seconds=400.0))
    menu.add("answer lost", _fault("lost_answer", "submit", 1))


def _meaning(menu: _Menu) -> None:
    lifecycle = menu.provider.lifecycle
    reasons = [reason for end in lifecycle.ends.values() if end.kind == "failure" for reason in end.reasons]
    for reason in reasons:
        menu.add(f"task fails: {reason}", _fault("fail", reason=reason))
    menu.add("tasks fail in bulk", _fault("fail", reason=reasons[0]) if reasons else _fault("fail"), jobs=3)
    menu.add("task charged and failed", _fault("charged_failure"))
    menu.add("task stuck", _fault("stuck"))
    menu.add("task overdue", _fault("overdue", by_s=240.0))
    menu.add("unknown word", _fault("unknown_status", "query", 2))
    menu.add("word in capitals", _fault("status_case", "query", case="upper"))
    if lifecycle.older_words:
        menu.add("older word", _fault("older_status", "query", 2))
    menu.add("progress goes back", _fault("progress_back", "query"))
    menu.add("state skipped", _fault("skipped_state"))
    menu.add("file comes later", _fault("late_url", for_s=25.0))
    menu.add("task not found yet", _fault("replication_lag", for_s=4.0))
    menu.add("other fields", _fault("extra_fields"))
    menu.add("model called otherwise", _fault("model_echo"))


def _results(menu: _Menu) -> None:
    menu.add("file cut short: once", _fault("truncated_file", None, 1))
    menu.add("file cut short: always", _fault("truncated_file"))
    menu.add("link expires midway", _fault("expires_midway", None, 1))
    menu.add("link expired", _fault("expired_link"))
    for status in (403, 404, 500):
        menu.add(f"file refused: {status} once", _fault("file_error", None, 1, status=status))
        menu.add(f"file refused: {status}", _fault("file_error", status=status))
    menu.add("file slow", _fault("slow_file", bytes_per_s=40_000.0))
    menu.add("file without ranges", _fault("no_range"))


def _callbacks(menu: _Menu) -> None:
    def add(name: str, *events: Event, **more: Any) -> None:
        menu.add(name, *events, callbacks=True, **more)

    add("called back")
    add("called back: task fails", _fault("fail"))
    for copies in (1, 3):
        add(f"callback repeated: x{copies}", _fault("duplicated_callback", copies=copies))
    add("callback sent again although acknowledged", _fault("repeated_callback"))
    add("callbacks in another order", _fault("reordered_callback"), jobs=3)
    add("callback late", _fault("late_callback", by_s=900.0))
    add("callback lost", _fault("lost_callback"))
    add("callback early", _fault("early_callback"))
    add("callback after the poll", _fault("callback_after_poll"))
    add("callback of a new event", _fault("unknown_event"))
    add("callback contradicts", _fault("contradicting_callback"))
    add("callback cut", _fault("cut_callback", None, 1))
    add("callback is no JSON", _fault("callback_not_json", None, 1))
    rule = menu.provider.callbacks
    if rule is not None and rule.signature is not None:
        for fault in ("unsigned_callback", "wrong_signature", "signature_of_other_bytes", "old_secret"):
            add(f"callback forged: {fault}", _fault(fault, None, 1))
        add("callback forged: signature_length", _fault("signature_length", None, 1))
        add("callback forged: longer", _fault("signature_length", None, 1, characters=80))


def _accounts(menu: _Menu) -> None:
    plan = menu.provider.plans[menu.provider.default_plan]
    menu.add("jobs in bulk", jobs=5 if plan.concurrent_tasks is None else plan.concurrent_tasks + 3)
    cost = _credits_of_example(menu.provider)
    if cost:
        menu.add("credits run out", account=(("available_credits", round(cost * 1.5)),), jobs=4)
        menu.add("no credits", account=(("available_credits", 0),), jobs=2)


def _credits_of_example(provider: Provider) -> float:
    """Return what the first model's example costs, as far as it is known beforehand."""
    world = World([provider], Chance(0), WorldRules(), {provider.name: "http://localhost"})
    space, model = world.providers[provider.name], next(iter(provider.models.values()))
    operation = next(each for each in provider.operations.values() if each.role == "submit")
    key = provider.key
    headers = {key.header: f"Bearer {key.example}" if key.bearer else key.example, "Content-Type": "application/json"}
    call = Request(operation.method, operation.path, headers, json.dumps(model.example or {}).encode())
    world.handle(space, space.router.find(call.method, call.path), call, 0)
    return space.account(key.example, 0).reserved_ucr / UCR


# -- drawing ----------------------------------------------------------------------------------------


def tour(provider: Provider, *, callbacks: bool, jobs: bool = True, seed: int = 0) -> list[Situation]:
    """Return one situation for each thing that there is to meet, with nothing else in it.

    `jobs` says whether several may be done at once.
    """
    return [
        Situation(
            provider.name,
            (meeting,) if meeting.events or meeting.account else (),
            meeting.jobs if jobs else 1,
            bool(meeting.callbacks),
            seed,
        )
        for meeting in meetings(provider, callbacks=callbacks)
        if jobs or meeting.jobs == 1
    ]


def situations(provider: Provider, *, callbacks: bool, jobs: bool = True) -> st.SearchStrategy[Situation]:
    """Draw situations: up to three things at once, mostly few jobs."""
    menu = meetings(provider, callbacks=callbacks)
    groups: dict[str, list[Meeting]] = {}
    for meeting in menu:
        groups.setdefault(meeting.group, []).append(meeting)
    one = st.sampled_from(sorted(groups)).flatmap(lambda group: st.sampled_from(groups[group]))
    return st.builds(
        _situation,
        st.just(provider.name),
        st.lists(one, max_size=3, unique_by=lambda meeting: meeting.group),
        st.sampled_from((1, 1, 1, 2, 3, 5)) if jobs else st.just(1),
        st.booleans() if callbacks else st.just(False),
        st.integers(0, 2**32 - 1),
    )


def parts_of(situation: Situation) -> st.SearchStrategy[Situation]:
    """Draw what is left of a situation when some of it is taken away."""
    return st.builds(
        lambda kept, jobs, callbacks, seed: replace(
            situation,
            meetings=tuple(each for each, keep in zip(situation.meetings, kept, strict=True) if keep),
            jobs=jobs,
            callbacks=callbacks,
            seed=seed,
        ),
        st.tuples(*(st.booleans() for _ in situation.meetings)),
        st.integers(1, situation.jobs),
        st.sampled_from(sorted({False, situation.callbacks})),
        st.sampled_from(sorted({0, situation.seed})),
    )


def _situation(provider: str, met: list[Meeting], jobs: int, callbacks: bool, seed: int) -> Situation:
    wanted = any(meeting.callbacks for meeting in met)
    real = tuple(meeting for meeting in met if meeting.events or meeting.account)
    return Situation(
        provider, real, max([jobs, *(meeting.jobs for meeting in met if jobs > 1)]), callbacks or wanted, seed
    )
