"""Compile how callbacks are signed, which events a submit chooses, and texts that are filled in when they are sent."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from mockserver.provider import EventFilter, Headers, Operation, Pieces, Sent, Signature, Value
from mockserver.spec.compile.context import HEADER_NAME, OF_CALLBACKS, Context
from mockserver.spec.expressions import INSIDE
from mockserver.spec.words import suggestion

_WHERE = ("x-mock", "callbacks", "signature")
#: What is known only when a callback is sent, by the expressions that stand for it.
SENT: Mapping[str, Sent] = {
    "$callback.id": Sent("id"),
    "$callback.url": Sent("url"),
    "$callback.body": Sent("body"),
    "$callback.body_sha256": Sent("body_sha256"),
    "$callback.sent_unix_s": Sent("sent_unix_s"),
    "$callback.sent_unix_ms": Sent("sent_unix_ms"),
    "$callback.sent_iso": Sent("sent_iso"),
}
_IN_HEADERS = {text: sent for text, sent in SENT.items() if sent.name not in ("body", "body_sha256")}
_SIGNATURE = Sent("signature")
_TIMES = frozenset(("sent_unix_s", "sent_unix_ms", "sent_iso"))
#: What each scheme stands for: the beginning of its headers' names.
_SCHEMES = {"standard_webhooks": "webhook", "svix": "svix"}


def pieces(context: Context, text: str, sent: Mapping[str, Sent], *path: str | int) -> Pieces:
    """Compile a text with expressions, of which some are known only when a callback is sent."""
    if text.startswith("$"):
        text = f"{{{text}}}"
    found: list[Any] = []
    for index, piece in enumerate(INSIDE.split(text)):
        if index % 2 == 0:
            found += [piece] if piece else []
        else:
            found.append(sent.get(piece) or context.value(f"{{{piece}}}", *path))
    return tuple(found)


def _names(text: Pieces) -> set[str]:
    return {piece.name for piece in text if isinstance(piece, Sent)}


def compile_headers(context: Context, entry: Mapping[str, str]) -> tuple[Headers, tuple[tuple[str, Pieces], ...]]:
    """Compile the headers of callbacks: those that are the same in all attempts, and the others."""
    path = ("x-mock", "callbacks", "headers")
    sent = {name: text for name, text in entry.items() if any(each in text for each in _IN_HEADERS)}
    plain = {name: text for name, text in entry.items() if name not in sent}
    context.headers(dict.fromkeys(sent, ""), *path, own=OF_CALLBACKS)
    same = context.headers(plain, *path, own=OF_CALLBACKS)
    return same, tuple((name, pieces(context, text, _IN_HEADERS, *path, name)) for name, text in sent.items())


def of_scheme(entry: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a signature with what its scheme stands for written out, and the headers that the scheme sends."""
    start = _SCHEMES.get(entry.get("scheme", ""))
    if start is None:
        return dict(entry), {}
    is_public = entry.get("algorithm") == "ed25519"
    written = {
        "header": f"{start}-signature",
        "algorithm": "hmac-sha256",
        "encoding": "base64",
        "prefix": "v1a," if is_public else "v1,",
        "secret_encoding": "base64",
        "content": "{$callback.id}.{$callback.sent_unix_s}.{$callback.body}",
        **{key: value for key, value in entry.items() if key != "scheme"},
    }
    return written, {f"{start}-id": "$callback.id", f"{start}-timestamp": "$callback.sent_unix_s"}


def compile_signature(context: Context, entry: dict[str, Any], headers: Iterable[Pieces]) -> Signature:
    """Compile how callbacks are signed.

    Args:
        context: the documents.
        entry: the signature, its scheme written out.
        headers: the other headers of callbacks that differ from attempt to attempt.
    """
    algorithm, header, secret = entry.get("algorithm", ""), entry.get("header", ""), entry.get("secret")
    for key in ("header", "algorithm"):
        if key not in entry:
            context.report(_WHERE, f"missing key `{key}`", "add it, or `scheme`")
    content = pieces(context, entry.get("content", ""), SENT, *_WHERE, "content")
    value = pieces(context, entry.get("value", ""), {**_IN_HEADERS, "$signature": _SIGNATURE}, *_WHERE, "value")
    _check_texts(context, entry, content, value, headers)
    if algorithm == "ed25519":
        _check_unused(context, entry, ("secret", "default_secret", "previous_secret_s"), "signs with the published key")
    elif algorithm == "token":
        _check_unused(context, entry, ("content", "encoding", "previous_secret_s"), "sends the token itself")
    elif "default_secret" not in entry and secret is None:
        context.report(_WHERE, "missing key `default_secret`", "add it, or `secret`, where the submit has one")
    default_secret, is_base64 = entry.get("default_secret"), entry.get("secret_encoding") == "base64"
    if default_secret is not None and is_base64 and algorithm != "ed25519" and not _is_base64(default_secret):
        fix = "write whsec_ and base64, such as whsec_c2VjcmV0"
        context.report((*_WHERE, "default_secret"), f"{default_secret!r} is not base64", fix)
    chosen = header.startswith("$")
    return Signature(
        header="" if chosen else header,
        algorithm=algorithm or "hmac-sha256",
        encoding=entry.get("encoding", "hex"),
        prefix=entry.get("prefix", ""),
        default_secret=default_secret,
        secret_is_base64=is_base64 and algorithm.startswith("hmac"),
        content=content,
        value=value,
        separator=entry.get("separator", " "),
        previous_ms=round(entry.get("previous_secret_s", 0) * 1000),
        header_from=_header_from(context.value(header, *_WHERE, "header")) if chosen else None,
        secret_from=None if secret is None else context.value(secret, *_WHERE, "secret"),
    )


def _header_from(named: Value) -> Value:
    """Return the name of a header that a submit names: null without one, and empty if it cannot be sent."""

    def name(context: Any) -> str | None:
        found = named(context)
        is_good = isinstance(found, str) and HEADER_NAME.fullmatch(found) and found.lower() not in OF_CALLBACKS
        return None if found is None else str(found) if is_good else ""

    return name


def _check_texts(
    context: Context, entry: dict[str, Any], content: Pieces, value: Pieces, headers: Iterable[Pieces]
) -> None:
    """Report a text without what it is for, and a time that a receiver could not know."""
    if "$signature" not in entry.get("value", "$signature"):
        context.report((*_WHERE, "value"), "the signature is not in it", "write {$signature} where it stands")
    if "$callback" not in entry.get("content", "$callback"):
        fix = "write {$callback.body} where the body stands"
        context.report((*_WHERE, "content"), "nothing of the callback is in it", fix)
    told = _names(value).union(*map(_names, headers))
    if _names(content) & _TIMES and not told & _TIMES:
        fix = "send it in `value`, or in a header of `headers`"
        context.report((*_WHERE, "content"), "the time that is signed is not sent", fix)


def _check_unused(context: Context, entry: dict[str, Any], keys: Iterable[str], why: str) -> None:
    for key in keys:
        if key in entry:
            context.report((*_WHERE, key), f"has no effect: {entry['algorithm']} {why}", "remove it")


def _is_base64(secret: str) -> bool:
    try:
        return bool(base64.b64decode(secret.rpartition("_")[2], validate=True))
    except (binascii.Error, ValueError):
        return False


def check_keys(context: Context, operations: Iterable[Operation]) -> None:
    """Report a key that nobody can read, and an operation that publishes a key which signs nothing."""
    published = [each for each in operations if each.role == "keys"]
    signature = context.mock.get("callbacks", {}).get("signature", {})
    is_public = signature.get("algorithm") == "ed25519"
    if is_public and not published:
        fix = "add a get with `x-mock: {role: keys}`, such as /.well-known/jwks.json"
        context.report((*_WHERE, "algorithm"), "no operation publishes the key", fix)
    for each in () if is_public else published:
        place = ("paths", each.path.removeprefix(each.base), each.method.lower(), "x-mock", "role")
        context.report(place, "no callback is signed with the key", "use `algorithm: ed25519` in callbacks.signature")


def is_timed(signature: Signature | None, headers: Iterable[Pieces]) -> bool:
    """Tell whether the headers of a callback differ from attempt to attempt."""
    texts = [*headers, *(() if signature is None else (signature.content, signature.value))]
    return any(_names(text) & _TIMES for text in texts)


def compile_filter(context: Context, entry: dict[str, Any] | None, states: Collection[str]) -> EventFilter | None:
    """Compile which events a submit chooses: each name means states for which a callback is sent."""
    if entry is None:
        return None
    path = ("x-mock", "callbacks", "filter")
    for name, meant in entry.get("names", {}).items():
        for index, state in enumerate(meant):
            if state not in states:
                context.report(
                    (*path, "names", name, index), f"there is no callback for {state!r}", suggestion(state, states)
                )
    return EventFilter(
        None if "wanted" not in entry else context.value(entry["wanted"], *path, "wanted"),
        {name: frozenset(meant) for name, meant in entry.get("names", {}).items()},
    )
