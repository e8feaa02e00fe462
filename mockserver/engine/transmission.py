"""An answer on its way out: its bytes, and what may go wrong with them on the wire."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

#: What happens to the connection after the last byte.
Ending = Literal["keep", "close", "reset"]
_HARSHER: tuple[Ending, ...] = ("keep", "close", "reset")


@dataclass(slots=True)
class Transmission:
    """A whole answer. Waiting is wall time: it is the client's own timeout that meets it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    #: False for HEAD: lengths are told as if the body came.
    with_body: bool = True
    #: The whole result file, even if only a part was requested.
    file: bytes | None = None
    #: Before the first byte.
    wait_s: float = 0.0
    #: Of the body; None is as fast as it goes.
    bytes_per_s: float | None = None
    #: Stop after so many bytes of the head, or (if the whole head goes out) of the body.
    head_bytes: int | None = None
    body_bytes: int | None = None
    #: After what was sent, before the ending.
    hold_s: float = 0.0
    ending: Ending = "keep"
    faults: list[str] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        """Return a header's value."""
        return next((value for each, value in self.headers if each.lower() == name.lower()), None)

    def set_header(self, name: str, value: str | None) -> None:
        """Put a header in the place of those with its name; None takes them away."""
        names = [each.lower() for each, _ in self.headers]
        place = names.index(name.lower()) if name.lower() in names else len(names)
        others = [pair for pair in self.headers if pair[0].lower() != name.lower()]
        self.headers = others if value is None else [*others[:place], (name, value), *others[place:]]

    def set_body(self, body: bytes) -> None:
        """Replace the body, and what tells its length."""
        self.body = body
        self.set_header("Content-Length", str(len(body)))

    @property
    def is_file(self) -> bool:
        """Whether this is a result file or the requested part of it."""
        return self.file is not None and self.status in (200, 206)

    def set_file(self, file: bytes) -> None:
        """Send the whole file with status 200, even if only a part was requested."""
        self.status = 200
        self.file = file
        self.set_header("Content-Range", None)
        self.set_body(file)

    def end(self, ending: Ending) -> None:
        """End the connection so; of two endings the harsher one counts."""
        self.ending = max(self.ending, ending, key=_HARSHER.index)

    def cut(self, head_bytes: int | None = None, body_bytes: int | None = None) -> None:
        """Send no more than this; of two cuts the earlier one counts."""
        if head_bytes is not None:
            self.head_bytes = head_bytes if self.head_bytes is None else min(self.head_bytes, head_bytes)
        if body_bytes is not None:
            self.body_bytes = body_bytes if self.body_bytes is None else min(self.body_bytes, body_bytes)

    def sent_body(self) -> bytes:
        """Return as much of the body as goes out."""
        if self.head_bytes is not None or not self.with_body:
            return b""
        return self.body if self.body_bytes is None else self.body[: self.body_bytes]
