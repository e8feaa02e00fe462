"""What one world keeps of tasks and uploads, by number and by bytes; the oldest make room for new ones.

The answer that made room says so in the header X-Mock-Evicted. An evicted task is unknown to its client; its credits
still settle, and a callback that it had not sent is not sent.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

EVICTED_HEADER = "X-Mock-Evicted"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many are kept, and how many bytes of their bodies; None is unlimited."""

    number: int | None = None
    size_bytes: int | None = None


class Keeper(Protocol):
    """What owns the tasks or uploads that are kept."""

    def evict(self, name: str) -> bool:
        """Forget one; return whether it was still there."""


class _Kept(NamedTuple):
    owner: Keeper
    name: str
    size_bytes: int


@dataclass(slots=True)
class Shelf:
    """The tasks, or the uploads, of one world in the order in which they came."""

    #: What stands on it, in words: `task`, `upload`.
    noun: str
    bounds: Bounds
    #: By the identity of the owner, and name.
    _kept: OrderedDict[tuple[int, str], _Kept] = field(default_factory=OrderedDict)
    _size_bytes: int = 0

    def add(self, owner: Keeper, name: str, size_bytes: int) -> str:
        """Add one; evict the oldest where there are too many, but never this one. Return what was evicted, in words."""
        self._kept[id(owner), name] = _Kept(owner, name, size_bytes)
        self._size_bytes += size_bytes
        return self._make_room() if self._too_much() else ""

    def remove(self, owner: Keeper, name: str) -> None:
        """Take one away, which its owner forgets."""
        kept = self._kept.pop((id(owner), name), None)
        if kept is not None:
            self._size_bytes -= kept.size_bytes

    def _too_much(self) -> bool:
        number, size_bytes = self.bounds.number, self.bounds.size_bytes
        return (number is not None and len(self._kept) > number) or (
            size_bytes is not None and self._size_bytes > size_bytes
        )

    def _make_room(self) -> str:
        evicted = []
        while len(self._kept) > 1 and self._too_much():
            _, oldest = self._kept.popitem(last=False)
            self._size_bytes -= oldest.size_bytes
            if oldest.owner.evict(oldest.name):
                evicted.append(oldest.name)
        if not evicted:
            return ""
        more = f" and {len(evicted) - 1} more" if len(evicted) > 1 else ""
        return f"{self.noun} {evicted[0]}{more}"
