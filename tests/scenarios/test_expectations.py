"""Judging what a client did: counts and gaps, for all or for each, with the boundaries where they are said to be."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.edge import OTHER_KEYS, receiving, serving
from support.tables import for_each

from mockserver.clock import MANUAL_START_MS, instant_of, iso_of
from mockserver.scenarios.expectations import check_expectations
from mockserver.scenarios.read import of_data

ROLES = {"createVideo": "submit", "getTask": "query", "downloadResult": "result"}


def record(seq: int, at_ms: int = 0, **fields: Any) -> dict[str, Any]:
    """Make a record of the journal, as far as judges look at it; `status` is that of the response."""
    status = fields.pop("status", 200)
    return {
        "seq": seq,
        "kind": "exchange",
        "at": iso_of(MANUAL_START_MS + at_ms),
        "provider": "evolink",
        "operation": "createVideo",
        "task": None,
        "account": "acc",
        "gate": None,
        "error": None,
        "faults": [],
        "response": None if status is None else {"status": status},
        **fields,
    }


def delivery(seq: int, at_ms: int = 0, **fields: Any) -> dict[str, Any]:
    """Make a record of a callback's attempt: it knows neither operation nor account."""
    made = record(seq, at_ms, kind="delivery", event="completed", outcome="acknowledged")
    for name in ("operation", "account", "gate", "error"):
        del made[name]
    return {**made, **fields}


def verdict(records: list[dict[str, Any]], **words: Any) -> tuple[bool, str, list[int]]:
    """Judge one expectation, after a look whether the schema takes it."""
    expectation = {"that": "so it is", **words}
    of_data({"scenario": "a", "timeline": [], "expect": [expectation]})
    (judged,) = check_expectations([expectation], records, ROLES)
    assert judged["that"] == "so it is"
    return judged["kept"], judged["seen"], judged["records"]


GOOD: tuple[bool, str, list[int]] = (True, "as expected", [])


# -- counts ---------------------------------------------------------------------------------------


@for_each("number", range(6))
def test_counts_and_their_boundaries(number: int) -> None:
    """At least and at most take the number itself in; what is too much, or all there is, is named."""
    records = [record(seq + 1) for seq in range(number)]
    most = verdict(records, count={}, at_most=3)
    assert most == (GOOD if number <= 3 else (False, f"{number}, expected at most 3", list(range(4, number + 1))))
    least = verdict(records, count={}, at_least=3)
    all_of_them = list(range(1, number + 1))
    assert least == (GOOD if number >= 3 else (False, f"{number}, expected at least 3", all_of_them))
    assert verdict(records, count={}, at_least=3, at_most=3)[0] == (number == 3)


def test_none_at_most() -> None:
    """At most none is kept by none, and broken by one."""
    assert verdict([], count={}, at_most=0) == GOOD
    assert verdict([record(7)], count={}, at_most=0) == (False, "1, expected at most 0", [7])


def test_nothing_at_all() -> None:
    """In an empty journal nothing was counted: at least one is broken, and no gap is wrong."""
    assert verdict([], count={}, at_least=1) == (False, "0, expected at least 1", [])
    assert verdict([], count={}, at_most=5) == GOOD
    assert verdict([], gap={}, at_least_s=1) == GOOD
    assert verdict([], count={}, per="task", at_least=1) == GOOD


FITTING: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"kind": "exchange"}, {"kind": "delivery"}),
    ({"provider": "evolink"}, {"provider": "crun"}),
    ({"operation": "createVideo"}, {"operation": "getTask"}),
    ({"operation": "submit"}, {"operation": "query"}),
    ({"status": 200}, {"status": 201}),
    ({"gate": "rate"}, {"gate": "key"}),
    ({"error": "rate_limited"}, {"error": "unavailable"}),
    ({"fault": "latency"}, {"fault": "reset"}),
    ({"kind": "exchange", "status": 200}, {"kind": "exchange", "status": 404}),
]


@for_each(("fits", "does_not"), FITTING)
def test_filters(fits: dict[str, Any], does_not: dict[str, Any]) -> None:
    """A filter means the records that agree with every one of its words; an operation goes by its id or its role."""
    records = [record(1, gate="rate", error="rate_limited", faults=["error", "latency"])]
    assert verdict(records, count=fits, at_least=1) == GOOD
    assert verdict(records, count=does_not, at_most=0) == GOOD


def test_filters_of_callbacks() -> None:
    """Attempts at callbacks are told by their event and outcome; they have no operation and may have no response."""
    records = [delivery(1), delivery(2, outcome="timeout", response=None), record(3, operation=None, status=None)]
    assert verdict(records, count={"outcome": "timeout"}, at_most=0)[2] == [2]
    assert verdict(records, count={"event": "completed"}, at_most=0)[2] == [1, 2]
    assert verdict(records, count={"kind": "delivery", "status": 200}, at_most=0)[2] == [1]
    assert verdict(records, count={"operation": "submit"}, at_most=0) == GOOD


# -- gaps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gap_ms", "kept"), [(0, False), (299, False), (300, True), (301, True)])
def test_gaps_at_least(gap_ms: int, kept: bool) -> None:
    """A gap of just so many seconds is long enough, one of a millisecond less is not."""
    records = [record(1, 100), record(2, 100 + gap_ms)]
    seen = f"{gap_ms / 1000:g} s, expected at least 0.3 s"
    assert verdict(records, gap={}, at_least_s=0.3) == (GOOD if kept else (False, seen, [1, 2]))


@for_each(("gap_ms", "kept"), [(0, True), (299, True), (300, True), (301, False), (9000, False)])
def test_gaps_at_most(gap_ms: int, kept: bool) -> None:
    """A gap of just so many seconds is short enough, one of a millisecond more is not."""
    records = [record(1, 100), record(2, 100 + gap_ms)]
    seen = f"{gap_ms / 1000:g} s, expected at most 0.3 s"
    assert verdict(records, gap={}, at_most_s=0.3) == (GOOD if kept else (False, seen, [1, 2]))


def test_gaps_are_between_neighbours() -> None:
    """Gaps lie between one record that is meant and the next, whatever else comes in between; one alone has none."""
    records = [record(1, 0), record(2, 500, operation="getTask"), record(3, 1000), record(4, 1500)]
    assert verdict(records, gap={"operation": "submit"}, at_least_s=0.6) == (
        False,
        "0.5 s, expected at least 0.6 s",
        [3, 4],
    )
    assert verdict(records[:1], gap={}, at_least_s=9) == GOOD


def test_records_are_judged_by_their_instants() -> None:
    """A record that was written down late, as when its callback had to go first, does not make time run backwards."""
    records = [record(1, 2000), record(2, 4000), record(3, 0)]
    assert verdict(records, gap={}, at_least_s=2) == GOOD
    assert verdict(records, gap={}, at_least_s=2.5)[2] == [1, 2, 3]


def test_the_first_wrong_gaps_are_enough() -> None:
    """Of a client that hammers, the first five gaps are told."""
    kept, seen, numbers = verdict([record(seq, seq) for seq in range(1, 100)], gap={}, at_least_s=1)
    assert (kept, seen, numbers) == (False, "0.001 s, expected at least 1 s", [1, 2, 3, 4, 5, 6])


# -- for each, and after --------------------------------------------------------------------------


def test_for_each_account_and_task() -> None:
    """With `per`, each group is judged by itself; records without a task or account belong to none."""
    records = [
        *(record(1, account="a"), record(2, account="b"), record(3, account="a"), record(4, account=None)),
        *(record(5, task="t", account="a"), record(6, task="t", account="b"), delivery(7, task="t")),
    ]
    assert verdict(records, count={}, per="account", at_most=2) == (False, "3, expected at most 2", [5])
    assert verdict(records, count={}, per="account", at_least=3) == (False, "2, expected at least 3", [2, 6])
    assert verdict(records, count={}, per="task", at_most=2) == (False, "3, expected at most 2", [7])
    assert verdict(records, count={}, per="task", at_least=3) == GOOD
    assert verdict(records, count={}, per="everything", at_most=6) == verdict(records, count={}, at_most=6)
    assert verdict(records, count={}, at_most=6)[2] == [7]


def test_at_least_one_for_each() -> None:
    """A task of which nothing that counts was seen breaks `at_least`: it is in the journal, and that is enough."""
    records = [record(1, task="t"), record(2, task="u"), record(3, task="u", operation="getTask")]
    assert verdict(records, count={"operation": "query"}, per="task", at_least=1) == (
        False,
        "0, expected at least 1",
        [],
    )
    assert verdict(records, count={"operation": "submit"}, per="task", at_least=1) == GOOD
    assert verdict(records, count={"operation": "query", "provider": "crun"}, per="task", at_least=1) == GOOD
    other = record(4, task="v", provider="crun")
    assert not verdict([*records, other], count={"operation": "query", "provider": "crun"}, per="task", at_least=1)[0]


def test_after() -> None:
    """Only what comes after the first such record counts, that one not; for each task after its own."""
    refused, tried = record(1, status=429, account="a"), [record(seq, account="a") for seq in (2, 3)]
    early, other = record(0, account="a"), [record(seq, account="b") for seq in (4, 5, 6)]
    after = {"status": 429}
    all_ = [early, refused, *tried, *other]
    assert verdict(all_, count={}, after=after, at_most=4) == (False, "5, expected at most 4", [6])
    assert verdict(all_, count={}, after=after, per="account", at_most=2) == GOOD
    assert verdict(all_, count={}, after=after, per="account", at_most=1)[2] == [3]
    assert verdict([refused, record(9, status=429)], count={"status": 429}, after=after, at_most=0)[2] == [9]


def test_after_what_never_came() -> None:
    """If `after` never matches, nothing is counted: too little for everything together, and no group exists."""
    assert verdict([record(1)], count={}, after={"status": 429}, at_least=1)[0] is False
    assert verdict([record(1)], count={}, after={"status": 429}, per="account", at_least=1) == GOOD
    assert verdict([record(1)], count={}, after={"status": 429}, at_most=0) == GOOD


def test_each_expectation_by_itself() -> None:
    """Several expectations are judged in their order, each for itself."""
    expect: list[dict[str, Any]] = [{"that": str(most), "count": {}, "at_most": most} for most in (2, 0, 1)]
    judged = check_expectations(expect, [record(1), record(2)], ROLES)
    assert [(each["that"], each["kept"]) for each in judged] == [("2", True), ("0", False), ("1", False)]
    assert check_expectations([], [record(1)], ROLES) == []


# -- an oracle ------------------------------------------------------------------------------------

RECORDS = st.lists(
    st.builds(
        lambda at, operation, status, task, account, provider, faults, kind: (
            (at, kind)
            and {
                **(record if kind == "exchange" else delivery)(0, at),
                **({"operation": operation, "account": account} if kind == "exchange" else {}),
                "response": status and {"status": status},
                "task": task,
                "provider": provider,
                "faults": faults,
            }
        ),
        st.sampled_from([0, 1, 500, 999, 1000, 1001, 2000, 2500, 5000]),
        st.sampled_from([None, *ROLES]),
        st.sampled_from([None, 200, 429]),
        st.sampled_from([None, "t", "u"]),
        st.sampled_from([None, "a", "b"]),
        st.sampled_from(["evolink", "crun"]),
        st.sampled_from([[], ["error"], ["error", "latency"]]),
        st.sampled_from(["exchange", "delivery"]),
    ),
    max_size=12,
).map(lambda records: [{**each, "seq": number} for number, each in enumerate(records, 1)])
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(["exchange", "delivery"]),
        "provider": st.sampled_from(["evolink", "crun"]),
        "operation": st.sampled_from([*ROLES, *ROLES.values()]),
        "status": st.sampled_from([200, 429]),
        "fault": st.sampled_from(["error", "latency"]),
    },
)
EXPECTATIONS = st.builds(
    lambda kind, wanted, after, per, least, most, both: {
        "that": "so it is",
        kind: wanted,
        **({} if after is None else {"after": after}),
        **({} if per is None else {"per": per}),
        **({("at_least" if kind == "count" else "at_least_s"): least} if both != "most" else {}),
        **({("at_most" if kind == "count" else "at_most_s"): most} if both != "least" else {}),
    },
    st.sampled_from(["count", "gap"]),
    FILTERS,
    st.none() | FILTERS,
    st.sampled_from([None, "task", "account", "everything"]),
    st.integers(1, 4),
    st.integers(0, 4),
    st.sampled_from(["least", "most", "both"]),
)


def means(wanted: dict[str, Any], each: dict[str, Any]) -> bool:
    """Tell, slowly and plainly, whether a filter means a record."""
    match_context = {
        "kind": {each["kind"]},
        "provider": {each["provider"]},
        "operation": {each.get("operation"), ROLES.get(each.get("operation") or "")} - {None},
        "status": {each["response"]["status"]} if each["response"] else set(),
        "fault": set(each["faults"]),
    }
    return all(value in match_context[word] for word, value in wanted.items())


def kept(expectation: dict[str, Any], records: list[dict[str, Any]]) -> bool:
    """Judge by brute force: whose records there are, which come after, how many, and how far apart."""
    records = sorted(records, key=lambda each: (instant_of(each["at"]), each["seq"]))
    per = expectation.get("per", "everything")
    whose = [None] if per == "everything" else list({each.get(per) for each in records} - {None})
    wanted = expectation["gap" if "gap" in expectation else "count"]
    for name in whose:
        own = [each for each in records if name is None or each.get(per) == name]
        if "after" in expectation:
            starts = [place for place, each in enumerate(own) if means(expectation["after"], each)]
            if not starts and name is not None:
                continue
            own = own[starts[0] + 1 :] if starts else []
        elif name is not None and "provider" in wanted and all(each["provider"] != wanted["provider"] for each in own):
            continue
        found = [each for each in own if means(wanted, each)]
        if not expectation.get("at_least", 0) <= len(found) <= expectation.get("at_most", 99):
            return False
        for first, second in pairwise(found):
            gap_s = Fraction(instant_of(second["at"]) - instant_of(first["at"]), 1000)
            if not expectation.get("at_least_s", 0) <= gap_s <= expectation.get("at_most_s", 99):
                return False
    return True


@pytest.mark.slow
@settings(max_examples=300)
@given(EXPECTATIONS, RECORDS)
def test_a_plain_judge_agrees(expectation: dict[str, Any], records: list[dict[str, Any]]) -> None:
    """A judge that looks at everything, slowly, comes to the same verdict; who breaks something is named truly."""
    (judged,) = check_expectations([expectation], records, ROLES)
    assert judged["kept"] == kept(expectation, records)
    assert (judged["seen"] == "as expected") == judged["kept"]
    wanted = expectation["gap" if "gap" in expectation else "count"]
    assert all(means(wanted, records[seq - 1]) for seq in judged["records"])
    if judged["kept"]:
        assert judged["records"] == []
    elif "gap" in expectation or "at_least" not in expectation:
        assert judged["records"]


# -- a real journal -------------------------------------------------------------------------------


async def test_a_real_journal() -> None:
    """Of what went over the wire, submits, queries, refusals and callbacks are counted and measured as they were."""
    async with serving() as edge, receiving() as receiver:
        first = await edge.submit("evolink", callback_url=receiver.url())
        await edge.advance(2)
        await edge.submit("evolink", key=OTHER_KEYS["evolink"])
        await edge.query("evolink", first)
        await edge.query("evolink", "task-unified-1-nothing0")
        await edge.advance(300)
        await edge.query("evolink", first)
        records = edge.mock.journal.find()
        assert [each["kind"] for each in records] == [*["exchange"] * 4, "delivery", "exchange"]
        for words, good in [
            ({"count": {"operation": "submit"}, "at_most": 2}, True),
            ({"count": {"operation": "createVideo"}, "at_most": 1}, False),
            ({"count": {"operation": "submit"}, "per": "account", "at_most": 1}, True),
            ({"count": {"operation": "query"}, "per": "account", "at_least": 1}, False),
            ({"count": {"operation": "query"}, "per": "task", "at_least": 1}, False),
            ({"count": {"operation": "query"}, "per": "task", "at_most": 2}, True),
            ({"count": {"operation": "query", "status": 404}, "at_least": 1}, True),
            ({"count": {"error": "not_found"}, "at_most": 0}, False),
            ({"count": {"outcome": "acknowledged", "event": "completed"}, "at_least": 1, "at_most": 1}, True),
            ({"gap": {"operation": "submit"}, "at_least_s": 2, "at_most_s": 2}, True),
            ({"gap": {"operation": "submit"}, "at_least_s": 2.001}, False),
            ({"gap": {"operation": "query"}, "per": "task", "at_least_s": 300}, True),
            ({"count": {"operation": "query"}, "per": "task", "after": {"kind": "delivery"}, "at_least": 1}, True),
        ]:
            roles = {each.id: each.role for each in edge.provider("evolink").operations.values()}
            (judged,) = check_expectations([{"that": "x", **words}], records, roles)
            assert judged["kept"] == good, (words, judged)
