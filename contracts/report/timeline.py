"""The timeline of a violation as a drawing: requests above, callbacks below, and the gaps between them in seconds.

Positions are percentages, so that the drawing fills the page and its text keeps its size. Gaps are drawn on a
logarithmic scale; the figures are exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from contracts.analysis import OK, seconds_text
from contracts.clause import Violation
from contracts.journal import Exchange, Journal, Record
from contracts.report.markup import NOTHING, Markup, joined, tag
from contracts.report.plain import line
from contracts.report.wording import in_time

#: The number of marks on a wide page and on a narrow one; the rest is left out, and counted.
WIDE, NARROW = 8, 2
_MOST_MARKS = 16
_LEAST_STEP = 56
_GROWTH = 11
_MARGIN = 44
#: The width of a letter in the marks, and in the figures.
_LETTER, _FIGURE = 7.2, 7.0
_BOX_HEIGHT = 24
#: More than the width of any page.
_BEYOND = 5000
#: Vertical positions, from the top.
_ROLE_Y, _CLIENT_Y, _SPAN_Y, _CALLBACK_Y, _EVENT_Y = 14, 38, 68, 100, 128
_OUTCOMES = {"timeout": "late", "unreachable": "no receiver", "lost": "lost", "blocked": "blocked"}


@dataclass(frozen=True, slots=True)
class Scene:
    """The records of a violation, with some records around them."""

    offending: tuple[Record, ...]
    shown: tuple[Record, ...]
    #: How many records were left out before each shown one, and after the last.
    skipped: tuple[int, ...]
    speed: float = 1.0

    def seconds(self, earlier: Record, later: Record) -> str:
        """Write the client's seconds between two records."""
        return seconds_text((later.at_ms - earlier.at_ms) / 1000 / self.speed)


def scene(violation: Violation, journals: Iterable[Journal], most: int = WIDE) -> Scene:
    """Find up to `most` records around a violation; without its journal, only its own records."""
    offending = tuple(in_time(violation.records))
    journal = next((each for each in journals if _has(each, offending)), None)
    around = offending if journal is None else _around(journal, offending)
    kept = _nearest(around, offending, most)
    skipped = [later - earlier - 1 for earlier, later in pairwise((-1, *kept, len(around)))]
    return Scene(
        offending,
        tuple(around[number] for number in kept),
        tuple(skipped),
        1.0 if journal is None else journal.speed,
    )


def _has(journal: Journal, records: Sequence[Record]) -> bool:
    return bool(records) and all(any(own is each for own in journal.records) for each in records)


def _around(journal: Journal, offending: Sequence[Record]) -> tuple[Record, ...]:
    """Return records of the same tasks, and failed submits in between; without a task, requests of the same role."""
    tasks = {record.task for record in offending} - {None}
    roles = set() if tasks else {record.role for record in offending if isinstance(record, Exchange)}
    first, last = offending[0].at_ms, offending[-1].at_ms
    chosen = [
        record
        for record in journal.records
        if record in offending
        or record.task in tasks
        or (isinstance(record, Exchange) and record.role in roles)
        or (record.task is None and first <= record.at_ms <= last)
    ]
    return tuple(in_time(chosen))


def _nearest(around: Sequence[Record], offending: Sequence[Record], most: int) -> list[int]:
    """Return the positions of the records to show: the offending ones, the first, then the nearest."""
    own = [number for number, record in enumerate(around) if record in offending]
    if len(own) > _MOST_MARKS:
        return [*own[: _MOST_MARKS // 2], *own[-_MOST_MARKS // 2 :]]
    far = {number: min(abs(number - each) for each in own) for number in range(len(around))}
    far[0] = min(far.get(0, 0), 1)
    return sorted(sorted(far, key=lambda number: far[number])[: max(most, len(own))]) if own else []


# -- drawing ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing, and the style it needs."""

    markup: Markup
    style: str = ""


def drawing(scene: Scene, name: str, kind: str = "") -> Drawing:
    """Draw a scene; `name` is its id in the page, `kind` its class: wide or narrow."""
    if not scene.shown:
        return Drawing(NOTHING)
    if kind == "narrow":
        scene = replace(scene, skipped=(*scene.skipped[:-1], 0))
    places, width = _places(scene)
    x = dict(zip(scene.shown, places, strict=True))
    two = any(not isinstance(record, Exchange) for record in scene.shown)
    height = 140 if two else 84
    parts = [
        _wire(_CLIENT_Y),
        _wire(_CALLBACK_Y) if two else NOTHING,
        *(_elided(places, number, count) for number, count in enumerate(scene.skipped) if count),
        *(_span(scene, x, before, after) for before, after in pairwise(_of(scene))),
        *(_quiet_gap(scene, x, before, after) for before, after in pairwise(scene.shown)),
        *(_mark(record, x[record], offends=record in scene.offending) for record in scene.shown),
    ]
    figure = tag(
        "svg", *parts, id=name, class_="timeline", height=height, width="100%", role="img", aria_label=_told(scene)
    )
    lanes = tag(
        "div",
        tag("span", "client"),
        tag("span", "callbacks") if two else None,
        class_="lanes two" if two else "lanes",
        aria_hidden="true",
    )
    markup = tag("div", lanes, tag("div", figure, class_="plot"), class_=f"scene {kind}", tabindex="0", role="group")
    return Drawing(markup, f"#{name}{{min-width:{width:.0f}px;max-width:{width * 1.5:.0f}px}}")


def _of(scene: Scene) -> list[Record]:
    return [record for record in scene.shown if record in scene.offending]


def _places(scene: Scene) -> tuple[list[float], float]:
    """Return the position of each record in percent of the width, and the least width."""
    at = [float(_MARGIN + (_LEAST_STEP if scene.skipped[0] else 0))]
    for number, (before, after) in enumerate(pairwise(scene.shown), 1):
        seconds = max(0.0, (after.at_ms - before.at_ms) / 1000)
        step = max(_LEAST_STEP + _GROWTH * math.log2(1 + seconds), 20 + _FIGURE * len(scene.seconds(before, after)))
        at.append(at[-1] + step * (1.5 if scene.skipped[number] else 1))
    width = at[-1] + _MARGIN + (_LEAST_STEP if scene.skipped[-1] else 0)
    return [place / width * 100 for place in at], width


def _percent(value: float) -> str:
    return f"{value:.3f}%"


def _wire(y: float) -> Markup:
    return tag("line", x1="0", x2=_BEYOND, y1=y, y2=y, class_="wire")


def _elided(places: Sequence[float], number: int, count: int) -> Markup:
    """Write how many records were left out."""
    label = f"\N{MIDLINE HORIZONTAL ELLIPSIS} {count} more"
    if number == len(places):
        return tag("text", label, x="99%", y=_ROLE_Y, class_="elided last")
    middle = (places[number] + (places[number - 1] if number else 0)) / 2
    return tag("text", label, x=_percent(middle), y=_ROLE_Y, class_="elided")


def _span(scene: Scene, x: dict[Record, float], before: Record, after: Record) -> Markup:
    """Draw the time between two offending records."""
    left, right = x[before], x[after]
    ends = [
        tag("line", x1=_percent(each), x2=_percent(each), y1=_SPAN_Y - 5, y2=_SPAN_Y + 5, class_="measure")
        for each in (left, right)
    ]
    across = tag("line", x1=_percent(left), x2=_percent(right), y1=_SPAN_Y, y2=_SPAN_Y, class_="measure")
    words = scene.seconds(before, after)
    half = (_FIGURE * len(words) + 8) / 2
    label = tag(
        "svg",
        tag("rect", x=-half, y=-8, width=half * 2, height=16, class_="behind"),
        tag("text", words, y=4, class_="measured"),
        x=_percent((left + right) / 2),
        y=_SPAN_Y,
        overflow="visible",
    )
    return joined(*ends, across, label)


def _quiet_gap(scene: Scene, x: dict[Record, float], before: Record, after: Record) -> Markup:
    """Write the gap between two neighbours, unless it is already drawn."""
    own = _of(scene)
    inside = own and own[0].at_ms <= before.at_ms and after.at_ms <= own[-1].at_ms
    if inside:
        return NOTHING
    return tag(
        "text",
        scene.seconds(before, after),
        x=_percent((x[before] + x[after]) / 2),
        y=_SPAN_Y + 4,
        class_="gap",
    )


def _mark(record: Record, x: float, *, offends: bool) -> Markup:
    """Draw a record: its answer in a box, its role above or below."""
    asked = isinstance(record, Exchange)
    word, kind = answered(record)
    what = (record.role or "unknown") if isinstance(record, Exchange) else line(record.event, 14)
    half = max(20.0, (_LETTER * len(word) + 14) / 2)
    box = tag("rect", x=-half, y=-_BOX_HEIGHT / 2, width=half * 2, height=_BOX_HEIGHT, rx=6, class_=f"box {kind}")
    ring = tag(
        "rect",
        x=-half - 4,
        y=-_BOX_HEIGHT / 2 - 4,
        width=half * 2 + 8,
        height=_BOX_HEIGHT + 8,
        rx=9,
        class_="ring",
    )
    centre = _CLIENT_Y if asked else _CALLBACK_Y
    return tag(
        "svg",
        tag("title", f"{line(str(record))}{'; faults: ' + ', '.join(record.faults) if record.faults else ''}"),
        ring if offends else None,
        box,
        tag("text", word, y=4, class_=f"status {kind}"),
        tag("text", what, y=(_ROLE_Y if asked else _EVENT_Y) - centre, class_="role offends" if offends else "role"),
        x=_percent(x),
        y=centre,
        overflow="visible",
        class_="offending" if offends else "around",
    )


def answered(record: Record) -> tuple[str, str]:
    """Return the text for a record's answer, and its kind."""
    if record.status is None:
        word = "none" if isinstance(record, Exchange) else _OUTCOMES.get(record.outcome, line(record.outcome, 9))
        return word, "absent"
    if record.status in OK:
        return str(record.status), "good"
    return str(
        record.status
    ), "refused" if 400 <= record.status < 500 else "failed" if record.status >= 500 else "other"


def _told(scene: Scene) -> str:
    """Describe the drawing in words."""
    words, before = [], None
    for record in scene.shown:
        what = record.role or "request" if isinstance(record, Exchange) else f"callback {line(record.event, 40)}"
        after = "" if before is None else f"{scene.seconds(before, record)} later "
        mark = " (breaks the rule)" if record in scene.offending else ""
        words.append(f"{after}{what} answered {answered(record)[0]}{mark}")
        before = record
    return "Timeline: " + "; ".join(words)
