"""The part of the page about violations: a card for each violated clause."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from contracts.clause import Verdict, Violation
from contracts.journal import Delivery, Exchange, Journal, Record
from contracts.report.markup import Markup, joined, tag
from contracts.report.plain import line, plain
from contracts.report.timeline import NARROW, Drawing, Scene, answered, drawing, scene
from contracts.report.wording import GENERAL, SHOWN, cause_text, fixes, how_often, number_of, printed_by, rests_on
from mockserver.clock import iso_of

_LONGEST_BODY = 2000


class Card:
    """One violated clause: what was seen, what is expected, and how to reproduce it."""

    def __init__(self, verdict: Verdict, name: str, journals: Sequence[Journal], *, alone: bool) -> None:
        self.verdict = verdict
        self.name = name
        self._alone = alone
        self._shown = verdict.violations[:SHOWN]
        self._wide = [scene(each, journals) for each in self._shown]
        narrow = [scene(each, journals, NARROW) for each in self._shown]
        #: Two for each violation: one for wide pages, one for narrow ones.
        self._drawn = [
            (drawing(large, f"{name}w{number}", "wide"), drawing(small, f"{name}n{number}", "narrow"))
            for number, (large, small) in enumerate(zip(self._wide, narrow, strict=True), 1)
        ]

    @property
    def drawings(self) -> list[Drawing]:
        """Every drawing on the card."""
        return [each for pair in self._drawn for each in pair]

    def markup(self) -> Markup:
        """Write the card."""
        verdict = self.verdict
        often = how_often(verdict) or number_of(len(verdict.violations), "time")
        return tag(
            "article",
            tag(
                "header",
                tag(
                    "p",
                    severity(verdict),
                    tag("code", verdict.clause.id),
                    None if self._alone else tag("span", verdict.provider, class_="chip"),
                    class_="labels",
                ),
                tag("h3", verdict.clause.rule),
                tag("p", f"Violated {often}. Rests on {rests_on(verdict)}.", class_="often"),
                tag("p", f"Cause: {cause_text(verdict)}", class_="often") if verdict.cause else None,
            ),
            *(_violation(*each) for each in zip(self._shown, self._wide, self._drawn, strict=True)),
            self._more(),
            self._grouped(),
            self._output(),
            self._fix(),
            self._replay(),
            tag("div", tag("h4", "Source"), sources(verdict, 2), class_="sources"),
            class_="card",
            id=self.name,
        )

    def _more(self) -> Markup | None:
        more = len(self.verdict.violations) - len(self._shown)
        return tag("p", f"and {more} more like this", class_="more") if more > 0 else None

    def _grouped(self) -> Markup | None:
        if not self.verdict.grouped:
            return None
        items = [
            tag("li", tag("code", each.clause.id), " ", line(each.violation.seen)) for each in self.verdict.grouped
        ]
        return tag("div", tag("h4", "From the same cause"), tag("ul", *items), class_="fix")

    def _output(self) -> Markup | None:
        if not self.verdict.output:
            return None
        parts = [
            joined(tag("h5", printed_by(job)), tag("pre", _cut(plain(text)), tabindex="0"))
            for job, text in self.verdict.output
        ]
        return tag("details", tag("summary", "output of the client"), *parts)

    def _fix(self) -> Markup:
        ways = [tag("p", line(each)) for each in fixes(self._shown)]
        return tag("div", tag("h4", "Fix"), *ways, class_="fix")

    def _replay(self) -> Markup | None:
        verdict = self.verdict
        if not verdict.situation and not verdict.replay:
            return None
        return tag(
            "div",
            tag("h4", "Reproduce"),
            tag("p", "Situation: ", line(verdict.situation)) if verdict.situation else None,
            tag("pre", tag("code", line(verdict.replay, 4000)), tabindex="0") if verdict.replay else None,
            class_="replay",
        )


def _violation(violation: Violation, found: Scene, drawn: Iterable[Drawing]) -> Markup:
    return tag(
        "section",
        tag(
            "dl",
            tag("div", tag("dt", "Seen"), tag("dd", line(violation.seen)), class_="seen"),
            tag("div", tag("dt", "Expected"), tag("dd", line(violation.asks)), class_="asked"),
            class_="against",
        ),
        *(each.markup for each in drawn),
        _evidence(found) if found.offending else None,
        class_="violation",
    )


def _evidence(found: Scene) -> Markup:
    """Write the offending records, with their bodies."""
    rows, before = [], None
    for record in found.offending:
        word, kind = answered(record)
        rows.append(
            tag(
                "li",
                tag("span", iso_of(record.at_ms)[11:-1], class_="at"),
                tag("span", "" if before is None else f"+{found.seconds(before, record)}", class_="since"),
                tag("span", word, class_=f"answer {kind}"),
                tag("span", _what(record), class_="what"),
                *(tag("span", fault, class_="fault", title="fault") for fault in record.faults),
                _bodies(record),
            )
        )
        before = record
    return tag("ol", *rows, class_="evidence")


def _what(record: Record) -> Markup:
    if isinstance(record, Delivery):
        words = f" {line(record.event)}, attempt {record.attempt} of {line(record.delivery)}: {line(record.outcome)}"
        return joined(tag("b", "callback"), words)
    target = record.path + (f"?{record.query}" if record.query else "")
    return joined(tag("b", line(record.method, 20)), " ", line(target))


def _bodies(record: Record) -> Markup | None:
    asked = isinstance(record, Exchange)
    pairs = (
        ("Sent" if asked else "Delivered", record.body),
        ("Answered", record.answer_body if isinstance(record, Exchange) else None),
    )
    parts = [joined(tag("h5", name), tag("pre", _cut(body), tabindex="0")) for name, body in pairs if body]
    return tag("details", tag("summary", "bodies"), *parts) if parts else None


def _cut(body: str) -> str:
    return body if len(body) <= _LONGEST_BODY else body[:_LONGEST_BODY] + "\N{HORIZONTAL ELLIPSIS}"


def severity(verdict: Verdict) -> Markup:
    """Write a clause's severity."""
    return tag("span", verdict.severity, class_=f"severity {verdict.severity}")


def sources(verdict: Verdict, shown: int) -> Markup:
    """Write the sources of a rule: the first ones, and the others in a collapsed list."""
    if not verdict.sources:
        return joined(GENERAL)
    first = [tag("li", line(each)) for each in verdict.sources[:shown]]
    rest = [tag("li", line(each)) for each in verdict.sources[shown:]]
    more = tag("details", tag("summary", f"{len(rest)} more"), tag("ul", *rest)) if rest else None
    return joined(tag("ul", *first), more)
