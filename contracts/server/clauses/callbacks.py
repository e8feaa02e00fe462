"""Callbacks: they come, once, signed, and say what the query says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from contracts.server.clauses import Exercised, Finding, broken, server_clause
from contracts.server.extract import Extractor, misfit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contracts.server.evidence import Evidence, Observation, TaskTrace
    from contracts.server.receiver import Received
    from mockserver.provider import Callbacks, Signature

#: What may differ from one moment to the next.
_OF_THE_MOMENT = ("$now", "$account.", "$request")


def _expected(evidence: Evidence) -> Iterator[tuple[TaskTrace, Observation, str, Callbacks]]:
    """Give the tasks that ended in a state that callbacks tell of."""
    callbacks = evidence.spec.provider.callbacks
    for trace in evidence.traces if callbacks is not None else ():
        found = evidence.ending(trace)
        if callbacks is None or found is None or trace.callback_path is None:
            continue
        if found[2].name in callbacks.events:
            yield trace, found[1], found[2].name, callbacks


def _came(evidence: Evidence) -> Iterator[tuple[TaskTrace, Observation, str, Callbacks, Received]]:
    for trace, observation, state, callbacks in _expected(evidence):
        for received in evidence.callbacks_of(trace):
            yield trace, observation, state, callbacks, received


@server_clause(
    "callbacks.come",
    "A task's end is told to the address that the submit named.",
    fix="send the callback when the task has ended, and try again as the document says",
    applies=lambda provider: provider.callbacks is not None,
    covers=["*.callback.events", "*.callback.sent", "*.callback.on-completion", "*.callback.after-billing"],
)
def come(evidence: Evidence) -> Iterator[Finding]:
    """Look for ends of which nobody was told."""
    for trace, observation, state, _ in _expected(evidence):
        if evidence.callbacks_of(trace):
            yield Exercised()
        elif evidence.callbacks_awaited:
            yield broken([trace.submit, observation.call], f"no callback about {trace.id}, which is {state}", "a POST")


@server_clause(
    "callbacks.come-once",
    "A callback that was acknowledged is not sent again.",
    fix="take the document's statuses for an acknowledgement, and write down that it came",
    applies=lambda provider: provider.callbacks is not None,
    covers=["*.callback.retries"],
)
def come_once(evidence: Evidence) -> Iterator[Finding]:
    """Count the callbacks about each task."""
    for trace, _, state, _ in _expected(evidence):
        came = evidence.callbacks_of(trace)
        if len(came) > 1:
            yield broken(
                [evidence.delivery(each, state) for each in came], f"{len(came)} callbacks about {trace.id}", "one"
            )
        elif came:
            yield Exercised()


@server_clause(
    "callbacks.shape",
    "A callback's body has the fields that the document shows, and its headers.",
    fix="write callbacks from the same record as the query's answer",
    applies=lambda provider: provider.callbacks is not None,
    covers=["*.callback.*-body", "*.callback.same-as-data", "*.callback.timestamp", "*.callback.failed-reason"],
)
def shape(evidence: Evidence) -> Iterator[Finding]:
    """Hold each callback against the template of its event."""
    for _, _, state, callbacks, received in _came(evidence):
        delivery = evidence.delivery(received, state)
        template = _template(evidence, state)
        found = "it is no JSON" if _json(received) is None else misfit(template, _json(received))
        missing = [name for name in callbacks.headers if name not in received.headers]
        if found is not None:
            yield broken([delivery], f"a callback where {found}", "the document's body")
        elif missing:
            yield broken([delivery], f"a callback without {', '.join(missing)}", "the document's headers")
        else:
            yield Exercised()


@server_clause(
    "callbacks.equal-query",
    "A callback says of the task what the query says.",
    fix="write the callback and the query's answer from one record",
    applies=lambda provider: provider.callbacks is not None,
    covers=["*.callback.same-as-query", "*.callback.same-as-data"],
)
def equal_query(evidence: Evidence) -> Iterator[Finding]:
    """Compare every fact that both tell: the id, the status, the links, the price, the reason."""
    for trace, observation, state, _, received in _came(evidence):
        places = Extractor(evidence.spec, [_template(evidence, state)])
        queried = Extractor(
            evidence.spec,
            [evidence.spec.reply_in(each.id, state) for each in evidence.spec.of_role("query")[:1]],
        )
        body = _json(received)
        differing = []
        for fact in places.facts():
            if fact not in queried or fact.startswith(_OF_THE_MOMENT):
                continue
            told, asked = places.read(fact, body), queried.read(fact, observation.call.json)
            if _plain(told) != _plain(asked):
                differing.append(f"{fact.rpartition('.')[2]} {told!r} where the query says {asked!r}")
        if differing:
            yield broken(
                [observation.call, evidence.delivery(received, state)],
                f"of {trace.id}: {'; '.join(differing)}",
                "the same",
            )
        else:
            yield Exercised()


@server_clause(
    "callbacks.signed",
    "A callback's signature is that of the bytes of its body.",
    fix="sign the very bytes that are sent, with the account's secret",
    applies=lambda provider: provider.callbacks is not None and provider.callbacks.signature is not None,
    covers=["*.callback.signed", "*.callback.signature-hmac"],
)
def signed(evidence: Evidence) -> Iterator[Finding]:
    """Work each signature out anew, where the document has one."""
    for _, _, state, callbacks, received in _came(evidence):
        rule = callbacks.signature
        if rule is None:
            continue
        found = received.headers.get(rule.header)
        wanted = signature_of(rule, received.body, evidence.secret or rule.default_secret)
        if found is None:
            yield broken([evidence.delivery(received, state)], f"no {rule.header}", f"{rule.header}: {rule.prefix}…")
        elif not hmac.compare_digest(found.encode(), wanted.encode()):
            yield broken(
                [evidence.delivery(received, state)],
                f"{rule.header}: {found}",
                f"{wanted}, if the webhook secret is the one that the judge was given",
            )
        else:
            yield Exercised()


def signature_of(rule: Signature, body: bytes, secret: str) -> str:
    """Return the signature that a body is to have."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256 if rule.algorithm == "hmac-sha256" else hashlib.sha512)
    text = digest.hexdigest() if rule.encoding == "hex" else base64.b64encode(digest.digest()).decode()
    return rule.prefix + text


def _template(evidence: Evidence, state: str) -> Any:
    """Return the template of a callback's body, with a query's reply put in where it says so."""
    written = evidence.spec.mock["callbacks"]["events"][state]
    if isinstance(written, str) and written.startswith("$reply."):
        name, _, pointer = written.removeprefix("$reply.").partition("#/")
        template = evidence.spec.reply_in(name, state)
        for key in pointer.split("/") if pointer else ():
            template = template[key]
        return template
    return written


def _json(received: Received) -> Any:
    try:
        return json.loads(received.body)
    except (ValueError, RecursionError):
        return None


def _plain(value: Any) -> Any:
    """Leave out what may differ between two links to one file: their queries, where signatures stand."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return urlsplit(value)._replace(query="").geturl() if isinstance(value, str) and "://" in value else value
