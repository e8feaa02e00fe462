"""Verdicts as one HTML file: a person's way to see what a client did wrong, and what it was made to meet.

The page has no script and asks for nothing; whatever a client or a server wrote is escaped text in it.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.journal import Delivery, Exchange
from contracts.report.coverage import covered
from contracts.report.grid import coverage_section
from contracts.report.markup import Markup, joined, tag
from contracts.report.order import GENERAL, JUDGEMENTS, SEVERITIES, SHOWN, counted, fixes, how_often, in_order
from contracts.report.plain import line
from contracts.report.timeline import NARROW, answered, drawing, scene
from mockserver.clock import iso_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from contracts.clause import Judgement, Verdict, Violation
    from contracts.journal import Journal, Record
    from contracts.report.coverage import Coverage
    from contracts.report.timeline import Drawing, Scene

_STYLE = Path(__file__).with_name("page.css")
_SIGNS: dict[Judgement, str] = {
    "violated": "\N{MULTIPLICATION X}",
    "not exercised": "\N{WHITE CIRCLE}",
    "kept": "\N{CHECK MARK}",
}
_LONGEST_BODY = 2000


def html(
    verdicts: Iterable[Verdict],
    journals: Sequence[Journal],
    *,
    title: str,
    met: Iterable[Coverage] | None = None,
) -> str:
    """Write verdicts as an HTML file.

    `journals` are the traffic that was judged: what is around a violation is drawn from them, and what was met
    is counted in them, unless `met` has the counts already; then those with violations are enough.
    """
    ordered = in_order(verdicts)
    coverages = covered(journals) if met is None else list(met)
    alone = len({each.provider for each in ordered}) == 1
    broken = [each for each in ordered if each.judgement == "violated"]
    cards = [_Card(verdict, f"v{number}", journals, alone=alone) for number, verdict in enumerate(broken, 1)]
    style = _STYLE.read_text(encoding="utf-8") + "".join(
        f"\n{each.style}" for card in cards for each in card.drawings if each.style
    )
    body = tag(
        "body",
        tag("a", "Skip to the verdicts", class_="skip", href="#verdicts"),
        _head(ordered, coverages, title),
        tag(
            "main",
            _jumps(cards),
            tag("section", tag("h2", "Violated"), *(card.markup() for card in cards), id="violated") if cards else None,
            _table(ordered, cards, alone=alone),
            *(coverage_section(each) for each in coverages),
        ),
        tag("footer", tag("p", "Written by ", tag("code", "contracts"), ". Times are those of the recording clock.")),
    )
    return f'<!doctype html>\n<html lang="en">\n{_meta(title, style)}\n{body}\n</html>\n'


def _meta(title: str, style: str) -> Markup:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", line(title, 200)),
        tag("style", Markup(style)),
    )


def number_of(count: int, noun: str) -> str:
    """Write a number of things."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


# -- the head ---------------------------------------------------------------------------------------


def _head(verdicts: Sequence[Verdict], coverages: Sequence[Coverage], title: str) -> Markup:
    counts = counted(verdicts)
    broken = counts["violated"]
    word = (
        f"{broken} of {number_of(len(verdicts), 'clause')} violated"
        if broken
        else "Nothing violated"
        if counts["kept"]
        else "Nothing could be told"
    )
    state: Judgement = "violated" if broken else "kept" if counts["kept"] else "not exercised"
    return tag(
        "header",
        tag("p", "Contract report", class_="kicker"),
        tag("h1", line(title, 200)),
        tag(
            "p",
            tag("span", _SIGNS[state], class_="sign", aria_hidden="true"),
            word,
            class_=f"headline {_class(state)}",
        ),
        tag("dl", *(_tile(each, counts[each], verdicts) for each in JUDGEMENTS), class_="tiles"),
        _proportions(counts),
        tag("p", _traffic(coverages), class_="traffic") if coverages else None,
    )


def _tile(judgement: Judgement, count: int, verdicts: Iterable[Verdict]) -> Markup:
    among = [each.clause.severity for each in verdicts if each.judgement == judgement]
    parts = [f"{among.count(each)} {each}" for each in SEVERITIES if each in among]
    return tag(
        "div",
        tag("dt", tag("span", _SIGNS[judgement], class_="sign", aria_hidden="true"), judgement),
        tag("dd", str(count), tag("small", " \N{MIDDLE DOT} ".join(parts) or "none")),
        class_=f"tile {_class(judgement)}",
    )


def _proportions(counts: dict[Judgement, int]) -> Markup:
    """Draw the judgements' shares as a bar."""
    whole = sum(counts.values()) or 1
    parts, left = [], 0.0
    for judgement in JUDGEMENTS:
        share = counts[judgement] / whole * 100
        parts.append(
            tag("rect", x=f"{left:.3f}%", width=f"{share:.3f}%", height=8, class_=f"share {_class(judgement)}")
        )
        left += share
    return tag("svg", *parts, class_="proportions", width="100%", height=8, aria_hidden="true")


def _traffic(coverages: Sequence[Coverage]) -> str:
    parts = [
        number_of(sum(each.journals for each in coverages), "situation"),
        number_of(sum(each.tasks for each in coverages), "task"),
        number_of(sum(each.requests for each in coverages), "request"),
        number_of(sum(each.attempts for each in coverages), "callback"),
    ]
    names = ", ".join(each.provider.title for each in coverages)
    return f"{names}: {', '.join(parts)}"


def _class(judgement: Judgement) -> str:
    return judgement.replace(" ", "-")


def _severity(verdict: Verdict) -> Markup:
    return tag("span", verdict.clause.severity, class_=f"severity {verdict.clause.severity}")


def _jumps(cards: Sequence[_Card]) -> Markup | None:
    if len(cards) < 2:
        return None
    items = [
        tag("li", tag("a", card.verdict.clause.id, href=f"#{card.name}"), " ", _severity(card.verdict))
        for card in cards
    ]
    return tag("nav", tag("ul", *items), class_="jumps", aria_label="Violated clauses")


# -- a card for each violated clause ----------------------------------------------------------------


class _Card:
    """One clause that was violated: what was seen, what is asked, how to see it again."""

    def __init__(self, verdict: Verdict, name: str, journals: Sequence[Journal], *, alone: bool) -> None:
        self.verdict = verdict
        self.name = name
        self._alone = alone
        self._shown = verdict.violations[:SHOWN]
        self._wide = [scene(each, journals) for each in self._shown]
        narrow = [scene(each, journals, NARROW) for each in self._shown]
        #: For each violation two: one for wide pages, one for narrow ones.
        self._drawn = [
            (drawing(large, f"{name}w{number}", "wide"), drawing(small, f"{name}n{number}", "narrow"))
            for number, (large, small) in enumerate(zip(self._wide, narrow, strict=True), 1)
        ]

    @property
    def drawings(self) -> list[Drawing]:
        """Every drawing of it."""
        return [each for pair in self._drawn for each in pair]

    def markup(self) -> Markup:
        """Write it."""
        verdict = self.verdict
        often = how_often(verdict) or number_of(len(verdict.violations), "time")
        return tag(
            "article",
            tag(
                "header",
                tag(
                    "p",
                    _severity(verdict),
                    tag("code", verdict.clause.id),
                    None if self._alone else tag("span", verdict.provider, class_="chip"),
                    class_="labels",
                ),
                tag("h3", verdict.clause.rule),
                tag("p", f"Violated {often}", class_="often"),
            ),
            *(_violation(*each) for each in zip(self._shown, self._wide, self._drawn, strict=True)),
            self._more(),
            self._fix(),
            self._replay(),
            tag("div", tag("h4", "Source"), _sources(verdict, 2), class_="sources"),
            class_="card",
            id=self.name,
        )

    def _more(self) -> Markup | None:
        more = len(self.verdict.violations) - len(self._shown)
        return tag("p", f"and {more} more like this", class_="more") if more > 0 else None

    def _fix(self) -> Markup:
        ways = [tag("p", line(each)) for each in fixes(self._shown)]
        return tag("div", tag("h4", "Fix"), *ways, class_="fix")

    def _replay(self) -> Markup | None:
        verdict = self.verdict
        if not verdict.situation and not verdict.replay:
            return None
        return tag(
            "div",
            tag("h4", "See it happen again"),
            tag("p", "Met in: ", line(verdict.situation)) if verdict.situation else None,
            tag("pre", tag("code", line(verdict.replay, 4000)), tabindex="0") if verdict.replay else None,
            class_="replay",
        )


def _violation(violation: Violation, found: Scene, drawn: Iterable[Drawing]) -> Markup:
    return tag(
        "section",
        tag(
            "dl",
            tag("div", tag("dt", "Seen"), tag("dd", line(violation.seen)), class_="seen"),
            tag("div", tag("dt", "The document asks"), tag("dd", line(violation.asks)), class_="asked"),
            class_="against",
        ),
        *(each.markup for each in drawn),
        _evidence(found) if found.offending else None,
        class_="violation",
    )


def _evidence(found: Scene) -> Markup:
    """Write the offending records out, with what was in them."""
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
                *(tag("span", fault, class_="fault", title="a fault that touched it") for fault in record.faults),
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


# -- the table --------------------------------------------------------------------------------------


def _table(verdicts: Sequence[Verdict], cards: Sequence[_Card], *, alone: bool) -> Markup:
    anchors = {id(card.verdict): card.name for card in cards}
    heads = ["Verdict", "Severity", "Rule", *([] if alone else ["Provider"]), "Source", "Violated in"]
    rows = [_row(each, anchors.get(id(each)), alone=alone) for each in verdicts]
    return tag(
        "section",
        tag("h2", "Verdicts"),
        tag(
            "table",
            tag("caption", "Every clause that applies, the violated ones first", class_="unseen"),
            tag("thead", tag("tr", *(tag("th", each, scope="col") for each in heads))),
            tag("tbody", *rows),
            class_="verdicts",
        ),
        id="verdicts",
    )


def _row(verdict: Verdict, anchor: str | None, *, alone: bool) -> Markup:
    name = tag("code", verdict.clause.id)
    return tag(
        "tr",
        tag(
            "td",
            tag("span", _SIGNS[verdict.judgement], class_="sign", aria_hidden="true"),
            verdict.judgement,
            class_="judgement",
        ),
        tag("td", _severity(verdict)),
        tag(
            "th",
            tag("a", name, href=f"#{anchor}") if anchor else name,
            tag("span", verdict.clause.rule, class_="rule"),
            scope="row",
        ),
        None if alone else tag("td", verdict.provider),
        tag("td", _sources(verdict, 1), class_="sources"),
        tag("td", _violated_in(verdict), class_="shown"),
        class_=_class(verdict.judgement),
    )


def _sources(verdict: Verdict, shown: int) -> Markup:
    """Write where the rule comes from: so many sources at once, and the others when they are asked for."""
    if not verdict.sources:
        return joined(GENERAL)
    first = [tag("li", line(each)) for each in verdict.sources[:shown]]
    rest = [tag("li", line(each)) for each in verdict.sources[shown:]]
    more = tag("details", tag("summary", f"{len(rest)} more"), tag("ul", *rest)) if rest else None
    return joined(tag("ul", *first), more)


def _violated_in(verdict: Verdict) -> str:
    if verdict.exercised_in:
        return f"{verdict.violated_in} of {verdict.exercised_in}"
    return number_of(len(verdict.violations), "time") if verdict.violations else "\N{EN DASH}"
