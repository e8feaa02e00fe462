"""Callbacks: sent once, signed, and consistent with the query."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from contracts.analysis import sends_callbacks, signs_callbacks
from contracts.journal import parse_json
from contracts.server.clauses import Exercised, Finding, broken, check, server_clause
from contracts.server.evidence import Evidence, Observation, TaskTrace
from contracts.server.extract import Extractor, mismatch
from contracts.server.receiver import Received
from contracts.server.signatures import expected, given
from mockserver.provider import Callbacks

#: Facts that may differ between two instants.
_OF_THE_MOMENT = ("$now", "$account.", "$request")


def _expected(evidence: Evidence) -> Iterator[tuple[TaskTrace, Observation, str, Callbacks]]:
    """Yield the tasks that ended in a state for which callbacks are sent."""
    callbacks = evidence.spec.provider.callbacks
    for trace, observation, end in evidence.ended():
        if callbacks is not None and trace.callback_path is not None and end.name in callbacks.events:
            yield trace, observation, end.name, callbacks


def _came(evidence: Evidence) -> Iterator[tuple[TaskTrace, Observation, str, Callbacks, Received]]:
    for trace, observation, state, callbacks in _expected(evidence):
        for received in evidence.callbacks_of(trace):
            yield trace, observation, state, callbacks, received


@server_clause(
    "callbacks.come",
    "A callback reports the end of a task to the address in the submit.",
    fix="send the callback when the task has ended, and retry as documented",
    applies=sends_callbacks,
    covers=["*.callback.events", "*.callback.sent", "*.callback.on-completion", "*.callback.after-billing"],
)
def come(evidence: Evidence) -> Iterator[Finding]:
    """Find ends without a callback."""
    for trace, observation, state, _ in _expected(evidence):
        if evidence.callbacks_of(trace):
            yield Exercised()
        elif evidence.callbacks_awaited:
            yield broken([trace.submit, observation.call], f"no callback about {trace.id}, which is {state}", "a POST")


@server_clause(
    "callbacks.come-once",
    "An acknowledged callback is not sent again.",
    fix="accept the documented statuses as acknowledgement, and record it",
    applies=sends_callbacks,
    covers=["*.callback.retries"],
)
def come_once(evidence: Evidence) -> Iterator[Finding]:
    """Count the callbacks for each task."""
    for trace, _, state, _ in _expected(evidence):
        came = evidence.callbacks_of(trace)
        if len(came) > 1:
            yield broken(
                [evidence.delivery(each, state) for each in came], f"{len(came)} callbacks for {trace.id}", "one"
            )
        elif came:
            yield Exercised()


@server_clause(
    "callbacks.shape",
    "A callback has the documented fields and headers.",
    fix="build callbacks from the same record as the answer to a query",
    applies=sends_callbacks,
    covers=["*.callback.*-body", "*.callback.same-as-data", "*.callback.timestamp", "*.callback.failed-reason"],
)
def shape(evidence: Evidence) -> Iterator[Finding]:
    """Compare each callback with the template of its event."""
    for _, _, state, callbacks, received in _came(evidence):
        delivery = evidence.delivery(received, state)
        template, body = _template(evidence, state), parse_json(received.body)
        optional = set(_inferred(evidence, state, template))
        found = "it is not JSON" if body is None else mismatch(template, body, optional=optional)
        missing = [name for name, _ in callbacks.headers if name not in received.headers]
        if found is not None:
            yield broken([delivery], f"a callback where {found}", "the documented body")
        else:
            yield check(not missing, [delivery], f"a callback without {', '.join(missing)}", "the documented headers")


@server_clause(
    "callbacks.equal-query",
    "A callback agrees with the query.",
    fix="build the callback and the answer to a query from one record",
    applies=sends_callbacks,
    covers=["*.callback.same-as-query", "*.callback.same-as-data"],
)
def equal_query(evidence: Evidence) -> Iterator[Finding]:
    """Compare every fact in both: the id, the status, the links, the price, the reason."""
    for trace, observation, state, _, received in _came(evidence):
        places = Extractor(evidence.spec, [_template(evidence, state)])
        queried = Extractor(
            evidence.spec,
            [evidence.spec.reply_in(each.id, state) for each in evidence.spec.of_role("query")[:1]],
        )
        body = parse_json(received.body)
        differing = []
        for fact in places.facts():
            if fact not in queried or fact.startswith(_OF_THE_MOMENT):
                continue
            told, asked = places.read(fact, body), queried.read(fact, observation.call.json)
            if _plain(told) != _plain(asked):
                differing.append(f"{fact.rpartition('.')[2]} {told!r} where the query says {asked!r}")
        yield check(
            not differing,
            [observation.call, evidence.delivery(received, state)],
            f"of {trace.id}: {'; '.join(differing)}",
            "the same",
        )


@server_clause(
    "callbacks.signed",
    "A callback's signature matches its raw body.",
    fix="sign the exact bytes that are sent, with the account's secret",
    applies=signs_callbacks,
    covers=["*.callback.signed", "*.callback.signature-hmac"],
)
def signed(evidence: Evidence) -> Iterator[Finding]:
    """Compute each signature again."""
    for _, _, state, callbacks, received in _came(evidence):
        rule = callbacks.signature
        if rule is None or not rule.header:
            continue
        found = received.headers.get(rule.header)
        wanted = expected(callbacks, received.headers, received.body, evidence.secret)
        if found is None:
            yield broken([evidence.delivery(received, state)], f"no {rule.header}", f"{rule.header}: {rule.prefix}…")
        elif wanted is not None:
            matches = any(hmac.compare_digest(each.encode(), wanted.encode()) for each in given(rule, found))
            yield check(
                matches,
                [evidence.delivery(received, state)],
                f"{rule.header}: {found}",
                f"{wanted}, if --secret is the webhook secret",
            )


def _template(evidence: Evidence, state: str) -> Any:
    """Return the template of a callback's body, with the reply of a query filled in."""
    written = evidence.spec.mock["callbacks"]["events"][state]
    if isinstance(written, str) and written.startswith("$reply."):
        name, _, pointer = written.removeprefix("$reply.").partition("#/")
        template = evidence.spec.reply_in(name, state)
        for key in pointer.split("/") if pointer else ():
            template = template[key]
        return template
    return written


def _inferred(evidence: Evidence, state: str, template: Any, keys: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the fields of a callback that no document names: the spec has inferred them."""
    written = evidence.spec.mock["callbacks"]["events"][state]
    if not isinstance(written, str) or not isinstance(template, dict):
        return
    name, _, pointer = written.removeprefix("$reply.").partition("#/")
    operation = evidence.spec.provider.operations[name]
    for key, each in template.items():
        inner = (*keys, key.removesuffix("?"))
        place = (*(pointer.split("/") if pointer else ()), *inner)
        if evidence.spec.schema_of(operation, place).get("x-source") == "inferred":
            yield ".".join(inner)
        yield from _inferred(evidence, state, each, inner)


def _plain(value: Any) -> Any:
    """Leave out what may differ between two links to one file: their queries, which hold signatures."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return urlsplit(value)._replace(query="").geturl() if isinstance(value, str) and "://" in value else value
