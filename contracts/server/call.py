"""A request to the server under test, and its answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from contracts.journal import Exchange, parse_json
from mockserver.provider import ErrorAnswer, Operation


@dataclass(frozen=True)
class Call:
    """A request and its answer; `transport_error` says why the answer is missing or incomplete."""

    exchange: Exchange
    operation: Operation | None
    content: bytes
    headers: tuple[tuple[str, str], ...]
    refusal: ErrorAnswer | None
    transport_error: str | None
    seconds: float

    @property
    def status(self) -> int | None:
        """The answer's status."""
        return self.exchange.status

    @cached_property
    def json(self) -> Any:
        """The answer as JSON; None if it is not JSON."""
        return parse_json(self.content)

    @property
    def fine(self) -> bool:
        """Whether the server did what the request asks."""
        return self.status is not None and 200 <= self.status < 300 and self.refusal is None

    @property
    def of_api(self) -> bool:
        """Whether the API itself answered, not the file host."""
        return self.operation is None or self.operation.role not in ("result", "file")
