"""Changes the deliveries of a callback."""

from collections.abc import Callable
from dataclasses import replace

from mockserver.engine.callbacks import Delivery, signature_of


def later(deliveries: list[Delivery], by_s: float) -> list[Delivery]:
    """Delay deliveries by seconds of mock time."""
    return [replace(each, due_ms=each.due_ms + round(by_s * 1000)) for each in deliveries]


def with_signature(deliveries: list[Delivery], changed: Callable[[Delivery, str], str | None]) -> list[Delivery] | None:
    """Change the signature, or omit its header if the new value is None; None if no signature changed."""
    out = [_with_signature(each, changed) for each in deliveries]
    return None if all(new is old for new, old in zip(out, deliveries, strict=True)) else out


def _with_signature(delivery: Delivery, changed: Callable[[Delivery, str], str | None]) -> Delivery:
    rule = delivery.rule.signature
    headers = []
    for name, value in delivery.headers:
        new = changed(delivery, value) if rule is not None and name == rule.header else value
        if new is not None:
            headers.append((name, new))
    return delivery if tuple(headers) == delivery.headers else replace(delivery, headers=tuple(headers))


def signed(delivery: Delivery, *, secret: str | None = None, body: bytes | None = None) -> str:
    """Sign as the provider does; another secret or body may be given."""
    rule = delivery.rule.signature
    if rule is None:
        return ""
    return signature_of(
        rule, secret_of(delivery) if secret is None else secret, delivery.body if body is None else body
    )


def secret_of(delivery: Delivery) -> str:
    """Return the secret that signs this delivery."""
    rule = delivery.rule.signature
    return delivery.account.secret or ("" if rule is None else rule.default_secret)


def with_body(deliveries: list[Delivery], changed: Callable[[bytes], bytes]) -> list[Delivery]:
    """Change the body and sign it again."""
    out = [replace(each, body=changed(each.body)) for each in deliveries]
    return with_signature(out, lambda each, _old: signed(each)) or out
