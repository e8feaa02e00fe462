"""Changes the deliveries of a callback."""

from collections.abc import Callable
from dataclasses import replace

from mockserver.engine.callbacks import Delivery
from mockserver.engine.signing import Signing, forged_key, key_of, old_secret_of, secret_problem


def later(deliveries: list[Delivery], by_s: float) -> list[Delivery]:
    """Delay deliveries by seconds of mock time."""
    return [replace(each, due_ms=each.due_ms + round(by_s * 1000)) for each in deliveries]


def with_signing(
    deliveries: list[Delivery], changed: Callable[[Delivery, Signing], Signing | None]
) -> list[Delivery] | None:
    """Change how deliveries are signed, or omit the signature if that is None; None if no header changed."""
    out = [each if each.signing is None else _resigned(each, changed(each, each.signing)) for each in deliveries]
    return None if all(new is old for new, old in zip(out, deliveries, strict=True)) else out


def _resigned(delivery: Delivery, signing: Signing | None) -> Delivery:
    new = replace(delivery, signing=signing)
    new.seal(delivery.due_ms)
    return delivery if new.headers == delivery.headers else new


def with_body(deliveries: list[Delivery], changed: Callable[[bytes], bytes]) -> list[Delivery]:
    """Change the body and sign it again."""
    return [
        _resigned(replace(each, body=changed(each.body)), None if each.signing is None else each.signing.genuine())
        for each in deliveries
    ]


def old_key(delivery: Delivery, signing: Signing, secret: str) -> bytes:
    """Return a key that is no longer valid: of a secret, or else of the account's previous one, or one of no secret."""
    rule, account = signing.rule, delivery.account
    if rule.algorithm == "ed25519":
        return forged_key(rule, b"old " + signing.keys[0])
    if secret:
        return key_of(rule, secret) if secret_problem(rule, secret) is None else secret.encode()
    before = account.previous_secret
    if before is not None and key_of(rule, before) not in signing.keys:
        return key_of(rule, before)
    present = account.secret or rule.default_secret or signing.keys[0].decode("utf-8", "replace")
    return key_of(rule, old_secret_of(present, rule))
