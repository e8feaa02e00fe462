"""Count calls of `hmac.compare_digest`, to see whether a client compares signatures in constant time."""

from __future__ import annotations

import contextlib
import hmac
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from contracts.journal import RunnerFacts


class CompareDigestSpy:
    """Replaces `hmac.compare_digest` wherever it has been imported, and counts its calls for each callback."""

    _real: Callable[..., bool] = staticmethod(hmac.compare_digest)
    _calls = 0

    def __init__(self) -> None:
        self._places: list[tuple[dict[str, Any], str]] = []
        self._signed = self._compared = 0

    @staticmethod
    def _counted(a: Any, b: Any, /) -> bool:
        CompareDigestSpy._calls += 1
        return CompareDigestSpy._real(a, b)

    def start(self) -> None:
        """Replace the function."""
        self._places = [
            (vars(module), name)
            for module in list(sys.modules.values())
            if isinstance(module, ModuleType)
            for name, value in list(vars(module).items())
            if value is self._real
        ]
        for names, name in self._places:
            names[name] = self._counted

    def stop(self) -> None:
        """Put the function back."""
        for names, name in self._places:
            names[name] = self._real

    @contextlib.contextmanager
    def watch(self, headers: dict[str, str]) -> Iterator[None]:
        """Watch the handling of one callback."""
        before = CompareDigestSpy._calls
        yield
        if any("signature" in name for name in headers):
            self._signed += 1
            self._compared += CompareDigestSpy._calls > before

    def facts(self) -> RunnerFacts:
        """Return the counts."""
        return RunnerFacts(self._signed, self._compared)
