"""Verdicts as one HTML file: what a client did wrong, and what it was exposed to.

The page has no script and loads nothing; every text of a client or a server is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from contracts.clause import Judgement, Verdict
from contracts.client.met import Met
from contracts.journal import Journal
from contracts.judge import ranked
from contracts.report.cards import Card, severity, sources
from contracts.report.coverage import Coverage, covered
from contracts.report.grid import coverage_section
from contracts.report.markup import Markup, tag
from contracts.report.plain import line
from contracts.report.situations import situations_section
from contracts.report.wording import JUDGEMENTS, NAMES, SEVERITIES, counted, number_of

_STYLE = Path(__file__).with_name("page.css")
_SIGNS: dict[Judgement, str] = {
    "violated": "\N{MULTIPLICATION X}",
    "not exercised": "\N{WHITE CIRCLE}",
    "kept": "\N{CHECK MARK}",
}


def html(
    verdicts: Iterable[Verdict],
    journals: Sequence[Journal],
    *,
    title: str,
    met: Iterable[Coverage] | None = None,
    situations: Met | None = None,
) -> str:
    """Write verdicts as an HTML file.

    `journals` are the judged traffic: the records around a violation are drawn from them, and the coverage is
    counted in them, unless `met` holds the counts; then journals with violations are enough.
    """
    ordered = ranked(verdicts)
    coverages = covered(journals) if met is None else list(met)
    alone = len({each.provider for each in ordered}) == 1
    broken = [each for each in ordered if each.judgement == "violated"]
    cards = [Card(verdict, f"v{number}", journals, alone=alone) for number, verdict in enumerate(broken, 1)]
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
            None if situations is None else situations_section(situations),
        ),
        tag("footer", tag("p", "Written by ", tag("code", "contracts"), ". Times are in the clock of the recording.")),
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


# -- the head ---------------------------------------------------------------------------------------


def _head(verdicts: Sequence[Verdict], coverages: Sequence[Coverage], title: str) -> Markup:
    counts = counted(verdicts)
    broken = counts["violated"]
    word = (
        f"{broken} of {number_of(len(verdicts), 'clause')} violated"
        if broken
        else "No violations"
        if counts["kept"]
        else "Nothing was tested"
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
    among = [each.severity for each in verdicts if each.judgement == judgement]
    parts = [f"{among.count(each)} {each}" for each in SEVERITIES if each in among]
    return tag(
        "div",
        tag("dt", tag("span", _SIGNS[judgement], class_="sign", aria_hidden="true"), NAMES[judgement]),
        tag("dd", str(count), tag("small", " \N{MIDDLE DOT} ".join(parts) or "none")),
        class_=f"tile {_class(judgement)}",
    )


def _proportions(counts: dict[Judgement, int]) -> Markup:
    """Draw the share of each judgement as a bar."""
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


def _jumps(cards: Sequence[Card]) -> Markup | None:
    if len(cards) < 2:
        return None
    items = [
        tag("li", tag("a", card.verdict.clause.id, href=f"#{card.name}"), " ", severity(card.verdict)) for card in cards
    ]
    return tag("nav", tag("ul", *items), class_="jumps", aria_label="Violated clauses")


# -- the table --------------------------------------------------------------------------------------


def _table(verdicts: Sequence[Verdict], cards: Sequence[Card], *, alone: bool) -> Markup:
    anchors = {id(card.verdict): card.name for card in cards}
    heads = ["Verdict", "Severity", "Rule", *([] if alone else ["Provider"]), "Source", "Violated in"]
    rows = [_row(each, anchors.get(id(each)), alone=alone) for each in verdicts]
    return tag(
        "section",
        tag("h2", "Verdicts"),
        tag(
            "table",
            tag("caption", "Every applicable clause, violations first", class_="unseen"),
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
            NAMES[verdict.judgement],
            class_="judgement",
        ),
        tag("td", severity(verdict)),
        tag(
            "th",
            tag("a", name, href=f"#{anchor}") if anchor else name,
            tag("span", verdict.clause.rule, class_="rule"),
            scope="row",
        ),
        None if alone else tag("td", verdict.provider),
        tag("td", sources(verdict, 1), class_="sources"),
        tag("td", _violated_in(verdict), class_="shown"),
        class_=_class(verdict.judgement),
    )


def _violated_in(verdict: Verdict) -> str:
    if verdict.exercised_in:
        return f"{verdict.violated_in} of {verdict.exercised_in}"
    return number_of(len(verdict.violations), "time") if verdict.violations else "\N{EN DASH}"
