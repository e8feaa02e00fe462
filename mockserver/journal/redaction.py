"""Replaces keys and webhook secrets in what the journal writes out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

import orjson

_HEADERS_KEPT = 4096
#: Headers, and parameters of a query, whose name says that they hold a secret.
_SECRET_HEADER = re.compile(
    r"(^|[-_])((api|access|subscription)[-_]?key|token|secret|password|auth|authorization|cookie2?|credentials?)$"
)
_SECRET_PARAMETER = re.compile(
    r"(^|[?&])(key|api[-_]?key|(access|auth|api|id)[-_]?token|(client[-_]?|api[-_]?)?secret|password)=[^&#]*",
    re.IGNORECASE,
)


def without_secrets(target: str) -> str:
    """Return a URL, or its query, in which keys and passwords are left out."""
    return _SECRET_PARAMETER.sub(r"\1\2=[redacted]", target)


class Redaction:
    """Replaces known secrets by their names: as they are, percent-encoded, or escaped as in JSON.

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
                for spelling in (secret, quote(secret, safe=""), orjson.dumps(secret).decode()[1:-1]):
                    self._names[spelling] = name
        #: Redacted headers: most are repeated.
        self._redacted: dict[tuple[str, str], str] = {}
        longest_first = sorted(self._names, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def text(self, text: str) -> str:
        """Redact a text."""
        if self._pattern is not None:
            text = self._pattern.sub(lambda found: f"[{self._names[found[0]]}]", text)
        return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")

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
        if redacted != value or not (lower in self._headers or _SECRET_HEADER.search(lower)):
            return redacted
        scheme, blank, _ = value.partition(" ")
        return f"{scheme} [redacted]" if blank and scheme.isalnum() else "[redacted]"

    def cut(self, text: str) -> str:
        """Redact a text that was cut, possibly within a secret."""
        text = self.text(text)
        for spelling, name in self._names.items():
            for length in range(len(spelling) - 1, self.SHORTEST - 1, -1):
                if text.endswith(spelling[:length]):
                    return f"{text[:-length]}[{name}]"
        return text

    def data(self, data: bytes) -> bytes:
        """Redact bytes that are not UTF-8."""
        for spelling, name in self._names.items():
            data = data.replace(spelling.encode(), f"[{name}]".encode())
        return data
