"""Signatures of callbacks: what is signed, with which keys, and how the headers tell it.

A callback is sealed when it is sent, since its headers may tell the time of the attempt. Faults change the `Signing`
of a callback, not its headers: what they forge has the form that the provider's rule says.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any, NamedTuple

from mockserver.chance import Chance
from mockserver.clock import iso_of
from mockserver.provider import Pieces, Sent, Signature

_DIGESTS = {"hmac-sha1": "sha1", "hmac-sha256": "sha256", "hmac-sha512": "sha512"}
_SEED_BYTES = 32
#: Header names and values of a callback that is still to be sealed: texts, or pieces.
Unsealed = tuple[tuple[str, str | Pieces], ...]


class Signing(NamedTuple):
    """How one callback is signed."""

    rule: Signature
    header: str
    #: The key of each signature, in their order.
    keys: tuple[bytes, ...]
    content: Pieces
    value: Pieces
    #: Set by faults: other keys, what is signed in place of the body, and the length of each signature.
    other_keys: tuple[bytes, ...] | None = None
    body: bytes | None = None
    characters: int | None = None

    def genuine(self) -> Signing:
        """Return how the provider signs."""
        return self._replace(other_keys=None, body=None, characters=None)


class Message(NamedTuple):
    """What is known of a callback when it is sent."""

    id: str
    url: str
    body: bytes
    sent_ms: int


def signing_of(rule: Signature, context: Any, secrets: tuple[str, ...], header: str, chance: Chance) -> Signing | None:
    """Return how a callback is signed; None where it is not, because it has no secret or no header.

    Args:
        rule: the provider's.
        context: the request context of the callback.
        secrets: those that are valid, the present one first.
        header: the header that carries the signature.
        chance: the source of the published key.
    """
    if rule.algorithm == "ed25519":
        keys: tuple[bytes, ...] = (key_seed(chance, context.state.provider.name),)
    else:
        keys = tuple(key_of(rule, secret) for secret in secrets)
    if not keys or not header:
        return None
    content = _rendered(rule.content, context) if rule.content else ()
    return Signing(rule, header, keys, content, _rendered(rule.value, context) if rule.value else ())


def _rendered(pieces: Pieces, context: Any) -> Pieces:
    return tuple(piece(context) if callable(piece) else piece for piece in pieces)


def rendered_headers(headers: tuple[tuple[str, Pieces], ...], context: Any) -> Unsealed:
    """Render what is known of headers before they are sent."""
    return tuple((name, _rendered(pieces, context)) for name, pieces in headers)


def sealed(unsealed: Unsealed, signing: Signing | None, message: Message) -> tuple[tuple[str, str], ...]:
    """Return the headers of a callback at an instant, with its signature."""
    headers = [(name, text if isinstance(text, str) else _text(text, message)) for name, text in unsealed]
    if signing is not None:
        headers.append((signing.header, header_value(signing, message)))
    return tuple(headers)


def header_value(signing: Signing, message: Message) -> str:
    """Return the value of the header with the signatures of a callback."""
    rule, keys = signing.rule, signing.other_keys or signing.keys
    if signing.body is not None:
        message = message._replace(body=signing.body)
    content = b"".join(_bytes(piece, message) for piece in signing.content) if signing.content else message.body
    if len(keys) == 1 and signing.characters is None and not signing.value:
        return sign(rule, keys[0], content)
    each = (sign(rule, key, content) for key in keys)
    if signing.characters is not None:
        each = (_of_length(text, signing.characters) for text in each)
    signatures = rule.separator.join(each)
    return _text(signing.value, message, signatures) if signing.value else signatures


def _of_length(text: str, characters: int) -> str:
    """Cut a signature, or make it longer; many decoders of base64 leave out what follows its padding."""
    return text[:characters] if len(text) >= characters else text.rstrip("=").ljust(characters, "0")


def sign(rule: Signature, key: bytes, content: bytes) -> str:
    """Sign a content with a key, in the provider's notation."""
    if rule.algorithm == "token":
        return rule.prefix + key.decode("utf-8", "replace")
    if rule.algorithm == "ed25519":
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - only few providers use it
            Ed25519PrivateKey,
        )

        made = Ed25519PrivateKey.from_private_bytes(key).sign(content)
    else:
        made = hmac.digest(key, content, _DIGESTS[rule.algorithm])
    if rule.encoding == "hex":
        return rule.prefix + made.hex()
    encode = base64.b64encode if rule.encoding == "base64" else base64.urlsafe_b64encode
    return rule.prefix + encode(made).decode()


def _text(pieces: Pieces, message: Message, signatures: str = "") -> str:
    text = b"".join(_bytes(piece, message, signatures) for piece in pieces).decode("utf-8", "replace")
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)


def _bytes(piece: Any, message: Message, signatures: str = "") -> bytes:
    if not isinstance(piece, Sent):
        return str(piece).encode("utf-8", "replace")
    match piece.name:
        case "body":
            return message.body
        case "body_sha256":
            text = hashlib.sha256(message.body).hexdigest()
        case "sent_unix_s":
            text = str(message.sent_ms // 1000)
        case "sent_unix_ms":
            text = str(message.sent_ms)
        case "sent_iso":
            text = iso_of(message.sent_ms, digits=0)
        case "signature":
            text = signatures
        case "id":
            text = message.id
        case "url":
            text = message.url
    return text.encode("utf-8", "replace")


# -- secrets and keys -------------------------------------------------------------------------------


def key_of(rule: Signature, secret: str) -> bytes:
    """Return the key that a secret stands for.

    Raises:
        ValueError: it must be base64, and is not.
    """
    if not rule.secret_is_base64:
        return secret.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(_parts(secret)[1], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be base64, as in whsec_c2VjcmV0") from None


def secret_problem(rule: Signature, secret: str) -> str | None:
    """Return what is wrong with a secret; None where nothing is."""
    try:
        return None if key_of(rule, secret) else "must not be empty"
    except ValueError as error:
        return str(error)


def _parts(secret: str) -> tuple[str, str]:
    """Split the prefix, such as `whsec_`, off a secret; the rest is base64."""
    prefix, mark, rest = secret.rpartition("_")
    return prefix + mark, rest


def old_secret_of(secret: str, rule: Signature | None = None) -> str:
    """Return the secret that counts as the one before, where an account has never had another."""
    old = f"not {secret}"
    if rule is None or not rule.secret_is_base64:
        return old
    return _parts(secret)[0] + base64.b64encode(hashlib.sha256(old.encode()).digest()).decode()


def forged_key(rule: Signature, key: bytes) -> bytes:
    """Return a key that is not the one given, and signs in the same form."""
    if rule.algorithm == "ed25519":
        return hashlib.sha256(b"forged " + key).digest()
    return hashlib.sha256(key).hexdigest().encode() if rule.algorithm == "token" else b"forged " + key


def key_seed(chance: Chance, provider: str) -> bytes:
    """Return the private key of a provider that publishes the public one; the seed determines it."""
    return chance.draw(f"{provider}/signing key")[:_SEED_BYTES]


class PublicKey:
    """The public key that verifies the callbacks of a provider, in the notations in which APIs publish it."""

    __slots__ = ("id", "raw")

    def __init__(self, private_key: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - as above

        self.raw = Ed25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()
        self.id = hashlib.sha256(self.raw).hexdigest()[:16]

    @property
    def x(self) -> str:
        """Its bytes as JSON Web Keys have them: base64url without padding."""
        return base64.urlsafe_b64encode(self.raw).decode().rstrip("=")

    @property
    def jwk(self) -> dict[str, str]:
        """A JSON Web Key (RFC 8037)."""
        return {"kty": "OKP", "crv": "Ed25519", "x": self.x, "kid": self.id, "use": "sig", "alg": "EdDSA"}

    @property
    def base64(self) -> str:
        """Its bytes in base64."""
        return base64.b64encode(self.raw).decode()

    @property
    def hex(self) -> str:
        """Its bytes in hexadecimal."""
        return self.raw.hex()

    @property
    def pem(self) -> str:
        """SubjectPublicKeyInfo as PEM (RFC 8410)."""
        info = bytes.fromhex("302a300506032b6570032100") + self.raw
        return f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(info).decode()}\n-----END PUBLIC KEY-----\n"
