"""Replaces secrets in what the journal writes out: those that are known, and what has the name of one.

A name says that its value is a secret in a header, a parameter of a query or a form, a field of JSON, and a part of
a multipart body; so does the place of a user in a URL.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus, unquote_plus

import orjson

_HEADERS_KEPT = 4096
_KEYS = ("api", "access", "subscription", "secret", "auth", "private", "client", "service", "account")
_NAMES = (
    *(f"{each}{joint}key" for each in _KEYS for joint in ("", "-", "_")),
    *("token", "secret", "password", "passwd", "passphrase", "credential", "credentials", "authorization", "jwt"),
)
_NAME = f"(?:{'|'.join(_NAMES)})"
#: At the end of a word, which is much quicker than to look for a name at each place in it.
_NAME_BEFORE = f"(?:{'|'.join(f'(?<={each})' for each in _NAMES)})"
_SECRET_HEADER = re.compile(rf"(?:^|[-_])(?:{_NAME}|auth|authentication|cookie2?)$")
#: Schemes of the header Authorization; another first word may be a part of the secret.
_SCHEMES = frozenset(("basic", "bearer", "digest", "key", "apikey", "negotiate", "token", "aws4-hmac-sha256"))
#: Each has two groups, of which the second is the secret. A text may have been cut within it.
_IN_URL = (
    re.compile(
        rf"((?:^|[?&;]|\\u0026)(?:[\w.-]{{1,80}}(?==){_NAME_BEFORE}|key|auth)=)(\[[^\]\r\n]{{1,80}}\]|[^&#\s\"\\]+)",
        re.IGNORECASE,
    ),
    re.compile(r"(:(?:\\?/){2})([^/?#\s\"'@\\]+)(?=@)"),
)
_IN_BODY = (
    re.compile(rf'("[\w.-]{{1,80}}(?="\s*:\s*"){_NAME_BEFORE}"\s*:\s*")((?:[^"\\]|\\.?)+)', re.IGNORECASE | re.DOTALL),
    re.compile(
        rf'(name="?[\w.-]{{0,60}}?{_NAME}"?(?:;[^\r\n]{{0,300}})?\r\n(?:[^\r\n]{{1,300}}\r\n){{0,8}}\r\n)([^\r\n]+)',
        re.IGNORECASE,
    ),
)
_EVERYWHERE = _IN_URL + _IN_BODY
#: Each of these patterns finds nothing in a text without one of these; they are quicker to look for.
_HINTS = ("@", "key", "token", "secret", "passw", "passphrase", "credential", "auth", "jwt")
#: Shorter values are replaced only where their name is: elsewhere they may be words.
_SHORTEST_UNNAMED = 8
_REDACTED = "[redacted]"


def without_secrets(target: str) -> str:
    """Return a URL, or its query, in which keys and passwords are left out."""
    return _sub(_IN_URL, target)


def _sub(patterns: Iterable[re.Pattern[str]], text: str) -> str:
    lower = text.lower()
    if not any(each in lower for each in _HINTS):
        return text
    for pattern in patterns:
        text = pattern.sub(lambda found: found[1] + (found[2] if _is_name(found[2]) else _REDACTED), text)
    return text


def _is_name(text: str) -> bool:
    """Tell whether a secret has been replaced by its name already."""
    return text.startswith("[") and text.endswith("]")


def secrets_in(headers: Iterable[tuple[str, str]], target: str, body: bytes) -> set[str]:
    """Return the secrets that a request names as such, where they are long enough to be known again elsewhere."""
    found: set[str] = set()
    for name, value in headers:
        if _SECRET_HEADER.search(name.lower()):
            scheme, _, rest = value.partition(" ")
            found.add(rest.strip() if scheme.lower() in _SCHEMES and rest.strip() else value)
            if scheme.lower() == "basic":
                found |= _basic(rest)
    for text in (target, *(value for _, value in headers), body.decode("utf-8", "replace")):
        for pattern in _EVERYWHERE:
            for _, value in pattern.findall(text):
                parts = value.split(":") if pattern is _IN_URL[1] else ()
                found |= {each for part in (value, *parts) for each in (part, unquote_plus(part), _of_json(part))}
    return {each for each in found if len(each) >= _SHORTEST_UNNAMED}


def _of_json(text: str) -> str:
    """Return a text without the escapes of JSON."""
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text


def _basic(credentials: str) -> set[str]:
    """Return the user and the password of the scheme Basic."""
    try:
        return set(base64.b64decode(credentials.strip(), validate=True).decode().partition(":")[::2])
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return set()


def _spellings(secret: str) -> set[str]:
    """Return a secret as it may be written: as it is, percent-encoded, or escaped as in JSON."""
    encoded = quote(secret, safe="")
    in_lower_case = re.sub("%..", lambda found: found[0].lower(), encoded)
    in_json = (orjson.dumps(secret).decode()[1:-1], json.dumps(secret)[1:-1])
    slashed = [each.replace("/", "\\/") for each in in_json]
    return {secret, encoded, in_lower_case, quote_plus(secret), *in_json, *slashed}


class Redaction:
    """Replaces known secrets by their names, and what has the name of a secret.

    Args:
        secrets: what to replace, with the name that replaces it.
        headers: headers in lower case whose value is always secret, besides those whose name says so.
    """

    SHORTEST = 4

    def __init__(self, secrets: Mapping[str, str], headers: frozenset[str]) -> None:
        self.secrets = secrets
        self._headers = headers
        self._names: dict[str, str] = {}
        for secret, name in secrets.items():
            if len(secret) >= self.SHORTEST:
                for spelling in _spellings(secret):
                    self._names[spelling] = name
        #: Redacted headers: most are repeated.
        self._redacted: dict[tuple[str, str], str] = {}
        longest_first = sorted(self._names, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def text(self, text: str) -> str:
        """Redact a text."""
        text = _sub(_EVERYWHERE, self._by_value(text))
        return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")

    def _by_value(self, text: str) -> str:
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: f"[{self._names[found[0]]}]", text)

    def header(self, name: str, value: str) -> str:
        """Redact the value of a header."""
        known = self._redacted.get((name, value))
        if known is None:
            if len(self._redacted) >= _HEADERS_KEPT:
                self._redacted.clear()
            known = self._redacted[name, value] = self._header(name, value)
        return known

    def _header(self, name: str, value: str) -> str:
        redacted = self.text(value)
        lower = name.lower()
        if not (lower in self._headers or _SECRET_HEADER.search(lower)):
            return redacted
        scheme, blank, rest = value.partition(" ")
        if not (blank and scheme.lower() in _SCHEMES):
            scheme, blank, rest = "", "", value
        known = self._names.get(rest.strip())
        return f"{scheme}{blank}{_REDACTED if known is None else f'[{known}]'}"

    def cut(self, text: str) -> str:
        """Redact a text that was cut, possibly within a secret."""
        text = self.text(text)
        for spelling, name in self._names.items():
            for length in range(len(spelling) - 1, self.SHORTEST - 1, -1):
                if text.endswith(spelling[:length]):
                    return f"{text[:-length]}[{name}]"
        return text

    def data(self, data: bytes, *, is_cut: bool) -> bytes:
        """Redact bytes that are not UTF-8."""
        for spelling, name in self._names.items():
            data = data.replace(spelling.encode(), f"[{name}]".encode())
        text = data.decode("latin-1")
        text = self.cut(text) if is_cut else _sub(_EVERYWHERE, text)
        return text.encode("latin-1")
