"""Verifies the signature of a received callback, by the provider's rule alone.

What was signed beside the body, such as an id and a time, is read from the callback's own headers. Where it cannot be
known, as with a published key or a token of the submit, nothing is said.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping

from mockserver.provider import Callbacks, Pieces, Sent, Signature

_DIGESTS = {"hmac-sha1": hashlib.sha1, "hmac-sha256": hashlib.sha256, "hmac-sha512": hashlib.sha512}


def signature_of(rule: Signature, content: bytes, secret: str) -> str:
    """Return the signature of a content."""
    made = hmac.new(_key(rule, secret), content, _DIGESTS[rule.algorithm]).digest()
    if rule.encoding == "hex":
        return rule.prefix + made.hex()
    text = base64.b64encode(made).decode()
    return rule.prefix + (text if rule.encoding == "base64" else text.translate({43: "-", 47: "_"}))


def _key(rule: Signature, secret: str) -> bytes:
    if not rule.secret_is_base64:
        return secret.encode()
    try:
        return base64.b64decode(secret.rpartition("_")[2], validate=True)
    except binascii.Error:
        return secret.encode()


def expected(callbacks: Callbacks, headers: Mapping[str, str], body: bytes, secret: str | None) -> str | None:
    """Return the signature that a callback must have; None where that cannot be known."""
    rule = callbacks.signature
    secret = secret or (None if rule is None else rule.default_secret)
    if rule is None or rule.algorithm not in _DIGESTS or rule.secret_from is not None or secret is None:
        return None
    if not rule.content:
        return signature_of(rule, body, secret)
    told = _told(callbacks, headers)
    content = b""
    for piece in rule.content:
        if isinstance(piece, str):
            content += piece.encode()
        elif isinstance(piece, Sent) and piece.name == "body":
            content += body
        elif isinstance(piece, Sent) and piece.name == "body_sha256":
            content += hashlib.sha256(body).hexdigest().encode()
        elif isinstance(piece, Sent) and piece.name in told:
            content += told[piece.name].encode()
        else:
            return None
    return signature_of(rule, content, secret)


def given(rule: Signature, value: str) -> list[str]:
    """Return the signatures in a header."""
    found = _pattern(rule.value).fullmatch(value) if rule.value else None
    text = value if not rule.value else "" if found is None else found["signature"]
    return text.split(rule.separator) if rule.separator else [text]


def _told(callbacks: Callbacks, headers: Mapping[str, str]) -> dict[str, str]:
    """Return what the headers of a callback tell of it."""
    texts = list(callbacks.sent_headers)
    if callbacks.signature is not None and callbacks.signature.value:
        texts.append((callbacks.signature.header, callbacks.signature.value))
    told: dict[str, str] = {}
    for name, pieces in texts:
        found = _pattern(pieces).fullmatch(headers.get(name, ""))
        told |= {} if found is None else found.groupdict()
    return told


def _pattern(pieces: Pieces) -> re.Pattern[str]:
    """Return what a text looks like; what is known only when it is sent has its name."""
    seen: set[str] = set()
    text = ""
    for piece in pieces:
        if isinstance(piece, Sent):
            text += f"(?P={piece.name})" if piece.name in seen else f"(?P<{piece.name}>.+?)"
            seen.add(piece.name)
        else:
            text += re.escape(piece) if isinstance(piece, str) else ".*?"
    return re.compile(text)
