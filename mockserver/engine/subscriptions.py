"""What a submit or its account says of callbacks: where they go, which events are wanted, and what signs them."""

from __future__ import annotations

from typing import Any

from mockserver.engine.accounts import Account
from mockserver.engine.signing import secret_problem
from mockserver.engine.task import CallbackTerms, Task
from mockserver.provider import Callbacks, EventFilter, Signature


def address_of(callbacks: Callbacks, account: Account | None) -> str | None:
    """Return where the callbacks of an account go, if a submit names no address."""
    own = None if account is None else account.webhook_url
    return callbacks.default_url if own is None else own


def terms_of(callbacks: Callbacks, context: Any, account: Account, *, by_submit: bool) -> CallbackTerms | None:
    """Return what a submit says of its callbacks beside their address; None if it says nothing.

    Args:
        callbacks: the provider's rule.
        context: the request context of the submit.
        account: the submit's account.
        by_submit: the submit names the address; otherwise the account's events are wanted.
    """
    signature, chosen = callbacks.signature, callbacks.filter
    secret = header = wanted = None
    if signature is not None:
        secret = None if signature.secret_from is None else _text(signature.secret_from(context))
        header = None if signature.header_from is None else signature.header_from(context)
    if not by_submit:
        wanted = account.webhook_events
    if wanted is None and chosen is not None and chosen.wanted is not None:
        wanted = chosen.wanted(context)
    events = None if wanted is None else _states(wanted, chosen)
    return None if secret is None and header is None and events is None else CallbackTerms(secret, header, events)


def terms_problem(callbacks: Callbacks, terms: CallbackTerms) -> str | None:
    """Return what is wrong with what a submit says of its callbacks; None where nothing is."""
    if terms.header == "":
        return "the header for callbacks cannot be sent"
    if callbacks.signature is None or terms.secret is None:
        return None
    problem = secret_problem(callbacks.signature, terms.secret)
    return None if problem is None else f"the callback secret {problem}"


def _text(value: Any) -> str | None:
    """Read a value as a text that can be sent in a header."""
    return value if isinstance(value, str) and value.isprintable() and value.isascii() and value else None


def _states(wanted: Any, chosen: EventFilter | None) -> frozenset[str] | None:
    """Return the states that a list of names, or one name, means; a name without a meaning is the state's own."""
    names = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(names, list | tuple):
        return None
    known = {} if chosen is None else chosen.names
    found: set[str] = set()
    for name in names:
        if isinstance(name, str):
            found |= known.get(name, {name})
    return frozenset(found)


def wants(task: Task, state: str) -> bool:
    """Tell whether a callback about a state of a task is wanted."""
    terms = task.callback_terms
    return terms is None or terms.events is None or state in terms.events


def secrets_of(rule: Signature, task: Task, now_ms: int) -> tuple[tuple[str, ...], str]:
    """Return the secrets that sign a task's callbacks, the present one first, and the header for the signature."""
    account, terms, header = task.account, task.callback_terms, rule.header
    if terms is not None:
        header = header or terms.header or ""
        if terms.secret is not None:
            return (terms.secret,), header
    secret, changed_ms = account.secret or rule.default_secret, account.secret_changed_ms
    if secret is None:
        return (), header
    if changed_ms is not None and now_ms < changed_ms + rule.previous_ms:
        before = account.previous_secret or rule.default_secret
        return ((secret,) if before is None else (secret, before)), header
    return (secret,), header
