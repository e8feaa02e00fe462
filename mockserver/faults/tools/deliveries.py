"""Changing the deliveries that a callback has become."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mockserver.engine.callbacks import signature_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from mockserver.engine.callbacks import Delivery


def later(deliveries: list[Delivery], by_s: float) -> list[Delivery]:
    """Put deliveries off, by seconds of mock time."""
    return [replace(each, due_ms=each.due_ms + round(by_s * 1000)) for each in deliveries]


def with_signature(deliveries: list[Delivery], changed: Callable[[str], str | None]) -> list[Delivery] | None:
    """Change the signature, or (with None) leave its header out; None where the provider signs nothing."""
    rule = deliveries[0].rule.signature if deliveries else None
    if rule is None:
        return None
    out = []
    for each in deliveries:
        headers = []
        for name, value in each.headers:
            new = changed(value) if name == rule.header else value
            if new is not None:
                headers.append((name, new))
        out.append(replace(each, headers=tuple(headers)))
    return out


def signed(delivery: Delivery, secret: str, body: bytes) -> str:
    """Sign a body as the provider would with a secret."""
    rule = delivery.rule.signature
    return "" if rule is None else signature_of(rule, secret, body)


def secret_of(delivery: Delivery) -> str:
    """Return what this delivery is signed with."""
    rule = delivery.rule.signature
    return delivery.account.secret or ("" if rule is None else rule.default_secret)


def with_body(deliveries: list[Delivery], changed: Callable[[bytes], bytes]) -> list[Delivery]:
    """Change the body, and sign it again."""
    out = []
    for each in deliveries:
        new = replace(each, body=changed(each.body))
        value = signed(new, secret_of(new), new.body)
        out += with_signature([new], lambda _old, value=value: value) or [new]  # type: ignore[misc]
    return out
