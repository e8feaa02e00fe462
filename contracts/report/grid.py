"""Coverage as HTML tables: operations by answer, states, callbacks by outcome, faults."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.report.coverage import Coverage
from contracts.report.markup import Markup, tag
from contracts.report.plain import line
from mockserver.provider import Operation

_OUTCOMES = ("acknowledged", "refused", "timeout", "unreachable", "blocked", "lost")
_HEAT = (1, 10, 100)
_NEVER = tag("td", "never", class_="never")
_NONE = tag("td", tag("span", "none", class_="unseen"), class_="blank")
_NOT_DECLARED = tag("td", tag("span", "not declared", class_="unseen"), class_="blank")


def coverage_section(coverage: Coverage) -> Markup:
    """Write the coverage of one provider."""
    title = coverage.provider.title
    return tag(
        "section",
        tag("h2", f"Coverage: {title}"),
        tag("p", _summary(coverage), class_="lead"),
        _answers(coverage),
        _callbacks(coverage),
        tag("div", _states(coverage), _faults(coverage), class_="columns"),
        class_="coverage",
    )


def _summary(coverage: Coverage) -> str:
    met = coverage.declared_answers - coverage.missing_answers
    parts = [f"{len(met)} of {len(coverage.declared_answers)} declared answers"]
    states = coverage.declared_states
    parts.append(f"{len(states) - len(coverage.missing_states)} of {len(states)} states")
    events = coverage.declared_events
    if events:
        parts.append(f"{len(events) - len(coverage.missing_events)} of {len(events)} callback events")
    return f"Occurred: {', '.join(parts)}. The verdicts say nothing about the rest."


def _answers(coverage: Coverage) -> Markup:
    """Write operations by the status of their answers."""
    declared = coverage.declared_answers
    statuses = {status for _, status in (*declared, *coverage.answers)}
    columns: list[int | None] = [*sorted(each for each in statuses if each is not None)]
    if None in statuses:
        columns.append(None)
    heads = ["no answer" if each is None else str(each) for each in columns]
    rows = [_operation(operation, columns, coverage) for operation in coverage.provider.operations.values()]
    return _table("Requests, by operation and answer", ("Operation", *heads), 0, rows)


def _operation(operation: Operation, columns: Sequence[int | None], coverage: Coverage) -> Markup:
    cells = []
    for status in columns:
        count = coverage.answers[operation.id, status]
        declared = (operation.id, status) in coverage.declared_answers
        cells.append(_count(count) if count else _NEVER if declared else _NOT_DECLARED)
    name = tag("th", operation.id, tag("small", f"{operation.method} {operation.path}"), scope="row")
    return tag("tr", name, *cells)


def _count(count: int) -> Markup:
    heat = sum(count >= each for each in _HEAT)
    return tag("td", f"{count:,}", class_=f"heat-{heat}")


def _number(count: int) -> Markup:
    return _count(count) if count else _NEVER


def _states(coverage: Coverage) -> Markup:
    """Write the task statuses in answers."""
    lifecycle = coverage.provider.whole_lifecycle
    kinds: dict[str, str] = dict.fromkeys(lifecycle.older_words.values(), "older name")
    kinds.update(dict.fromkeys(lifecycle.names, "in progress"))
    kinds.update({name: f"end: {end.kind}" for name, end in lifecycle.ends.items()})
    others = [word for word in coverage.states if word not in kinds]
    rows = [(word, kind, coverage.states[word]) for word, kind in kinds.items()]
    rows += [
        (word, "other spelling" if word.lower() in kinds else "not documented", coverage.states[word])
        for word in others
    ]
    body = [
        tag("tr", tag("th", line(word, 60), scope="row"), tag("td", kind, class_="words"), _number(count))
        for word, kind, count in rows
    ]
    return _table("States in answers to queries", ("State", "Kind", "Answers"), 2, body)


def _callbacks(coverage: Coverage) -> Markup | None:
    """Write callbacks by event, fault and outcome."""
    if coverage.provider.callbacks is None and not coverage.callbacks:
        return None
    met = {outcome for _, _, outcome in coverage.callbacks}
    outcomes = [each for each in _OUTCOMES if each in met or each == "acknowledged"]
    outcomes += sorted(met - set(outcomes))
    lines = sorted({(event, fault) for event, fault, _ in coverage.callbacks})
    lines += [(event, "") for event in coverage.missing_events]
    body = []
    for event, fault in lines:
        counts = [coverage.callbacks[event, fault, outcome] for outcome in outcomes]
        cells = [_count(each) if each else _NONE for each in counts]
        if not any(counts):
            cells = [tag("td", "never", class_="never", colspan=len(outcomes))]
        fault_words = tag("td", line(fault, 60).replace("_", " ") or "\N{EN DASH}", class_="words")
        body.append(tag("tr", tag("th", line(event, 60), scope="row"), fault_words, *cells))
    return _table("Callbacks, by event, fault and outcome", ("Event", "Fault", *outcomes), 2, body)


def _faults(coverage: Coverage) -> Markup | None:
    """Write the faults that the client was exposed to."""
    if not coverage.faults:
        return None
    items = [
        tag("li", tag("span", line(fault, 60).replace("_", " ")), tag("b", f"{count:,}"))
        for fault, count in sorted(coverage.faults.items(), key=lambda each: (-each[1], each[0]))
    ]
    head = tag("h3", "Faults, by affected requests and callbacks")
    return tag("div", head, tag("ul", *items), class_="faults")


def _table(caption: str, heads: Sequence[str], words: int, body: Sequence[Markup]) -> Markup:
    """Make a table whose first columns hold words."""
    cells = [
        tag("th", each, scope="col", class_="words" if number < words else None) for number, each in enumerate(heads)
    ]
    table = tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *cells)),
        tag("tbody", *body),
        class_="grid",
    )
    return tag("div", table, class_="scroll", tabindex="0", role="region", aria_label=caption)
