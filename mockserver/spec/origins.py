"""Who said what in a document that is made of several: by place, the document that it is from, and the place there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mockserver.spec.document import Document, Path_

_Origin = tuple[Document, Path_]


@dataclass(slots=True)
class _Node:
    """A place: where it is from, if that is not where the place around it is from, and the places in it."""

    origin: _Origin | None = None
    below: dict[str | int, _Node] = field(default_factory=dict)

    def copy(self) -> _Node:
        """Return the same, not shared."""
        return _Node(self.origin, {key: each.copy() for key, each in self.below.items()})


class Origins:
    """The origins of the parts of one document, while it is put together."""

    def __init__(self, document: Document, path: Path_ = ()) -> None:
        """Begin with what is all from one place; what a document says of its own origins counts."""
        self._root = _Node((document, path))
        if not path:
            for place, origin in document.origins.items():
                self._made(place).origin = origin

    def _made(self, path: Path_) -> _Node:
        node = self._root
        for key in path:
            node = node.below.setdefault(key, _Node())
        return node

    def _taken(self, path: Path_) -> _Node:
        """Return a copy of what is known of a place, with its origin."""
        node, origin, known = self._root, self._root.origin, 0
        for depth, key in enumerate(path, 1):
            found = node.below.get(key)
            if found is None:
                node = _Node()
                break
            node = found
            if node.origin is not None:
                origin, known = node.origin, depth
        assert origin is not None
        document, above = origin
        made = node.copy()
        made.origin = document, (*above, *path[known:])
        return made

    def copy_of(self, path: Path_) -> Origins:
        """Return the origins of what is at a place."""
        made = Origins.__new__(Origins)
        made._root = self._taken(path)  # noqa: SLF001 - another of this class
        return made

    def graft(self, path: Path_, written: Origins, inner: Path_) -> None:
        """Let a place be from where a part of something else is."""
        self._replace(path, written._taken(inner))

    def _replace(self, path: Path_, node: _Node) -> None:
        if path:
            self._made(path[:-1]).below[path[-1]] = node
        else:
            self._root = node

    def drop(self, path: Path_) -> None:
        """Forget a place that is not there any more."""
        self._made(path[:-1]).below.pop(path[-1], None)

    def close_gap(self, path: Path_, index: int, length: int) -> None:
        """Move the origins of an array's entries after one was taken out; `length` is what it has now."""
        moved = [self._taken((*path, each + 1)) for each in range(index, length)]
        holder = self._made(path)
        for each, node in enumerate(moved, index):
            holder.below[each] = node
        holder.below.pop(length, None)

    def flat(self) -> Mapping[Path_, _Origin]:
        """Return the origins by place, without that of the whole."""
        out: dict[Path_, _Origin] = {}
        waiting: list[tuple[Path_, _Node]] = [((), self._root)]
        while waiting:
            path, node = waiting.pop()
            if path and node.origin is not None:
                out[path] = node.origin
            waiting += [((*path, key), each) for key, each in node.below.items()]
        return out
