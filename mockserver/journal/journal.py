"""The journal of a run: every exchange and every delivery attempt, once, in mock time and wall time.

It is a ring in memory, and a file on request. Bodies are cut at `body_limit` when they arrive. Entries are
kept as they are; reading them writes them as records and redacts secrets. `Journal` is the main type.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import orjson

from mockserver.engine.callbacks import Attempt, Delivery
from mockserver.journal.file import JournalFile
from mockserver.journal.record import DeliveryAttempt, Exchange, Headers, ReceiverResponse, record_of
from mockserver.journal.redaction import Redaction
from mockserver.settings import DEFAULT_BODY_LIMIT, DEFAULT_ENTRIES

Entry = Exchange | DeliveryAttempt

_LOG = logging.getLogger("mockserver")
_FILTERS = (
    *("kind", "provider", "operation", "task", "account", "gate", "error", "method", "path", "status"),
    *("delivery", "event", "outcome", "fault"),
)


class Counts(Protocol):
    """Counts entries as they come."""

    def exchange(self, entry: Exchange) -> None:
        """Count an exchange."""

    def delivery(self, delivery: Delivery, attempt: Attempt) -> None:
        """Count an attempt at a callback."""


class Journal:
    """A ring of entries in memory, and optionally a file.

    Args:
        secrets: returns the keys and webhook secrets known so far, with the names that replace them.
        entries: how many entries the ring keeps.
        body_limit: how many bytes of each body are kept.
        file: NDJSON file that every entry is appended to.
        wall_s: the wall clock.
        secret_headers: headers that hold keys, besides those whose name says so.
        counts: what is told of each entry; None for nothing.
    """

    __slots__ = (
        *("_file", "lost_bytes", "_redact", "_ring", "_secret_headers", "_secrets", "_unwritten", "_wall_s"),
        *("body_limit", "counts", "forgotten_seq", "last_seq"),
    )

    def __init__(
        self,
        secrets: Callable[[], Mapping[str, str]],
        entries: int = DEFAULT_ENTRIES,
        body_limit: int = DEFAULT_BODY_LIMIT,
        file: Path | None = None,
        wall_s: Callable[[], float] = time.time,
        secret_headers: Iterable[str] = (),
        counts: Counts | None = None,
    ) -> None:
        self._secrets = secrets
        self._secret_headers = frozenset(name.lower() for name in secret_headers)
        self._ring: deque[Entry] = deque(maxlen=entries)
        #: The number of the last entry; 0 before the first.
        self.last_seq = 0
        #: The number of the last entry when the journal was last cleared.
        self.forgotten_seq = 0
        self._wall_s = wall_s
        self.body_limit = body_limit
        self.counts = counts
        self._file = None if file is None else JournalFile(file)
        #: How much could not be written to the file; it is known when the journal is closed.
        self.lost_bytes = 0
        self._unwritten: list[Entry] = []
        self._redact: Redaction | None = None

    def __len__(self) -> int:
        return len(self._ring)

    @property
    def crowded_out(self) -> int:
        """How many entries were dropped for newer ones since the journal was last cleared."""
        return self.last_seq - self.forgotten_seq - len(self._ring)

    def exchange(self, entry: Exchange) -> None:
        """Add an exchange."""
        limit = self.body_limit
        if entry.request_bytes > limit:
            entry.request_body = entry.request_body[:limit]
        if entry.response_bytes > limit and entry.response_body is not None:
            entry.response_body = entry.response_body[:limit]
        self.last_seq = entry.seq = self.last_seq + 1
        entry.wall_s = self._wall_s()
        if self.counts is not None:
            self.counts.exchange(entry)
        self._add(entry)

    def delivery(self, delivery: Delivery, attempt: Attempt, response: ReceiverResponse | None) -> None:
        """Add a delivery attempt."""
        if self.counts is not None:
            self.counts.delivery(delivery, attempt)
        self.last_seq += 1
        next_ms = delivery.due_ms if delivery.state == "waiting" else None
        body = delivery.body[: self.body_limit]
        self._add(
            DeliveryAttempt(
                *(self.last_seq, attempt.at_ms, self._wall_s(), delivery, attempt, body, next_ms, response),
                delivery.headers,
            )
        )

    def _add(self, entry: Entry) -> None:
        self._ring.append(entry)
        if self._file is not None:
            self._unwritten.append(entry)

    def receiver_response(self, headers: Headers, body: bytes) -> ReceiverResponse:
        """Keep the response of a receiver, its body cut at the limit."""
        return ReceiverResponse(headers, body[: self.body_limit], len(body))

    def flush(self) -> None:
        """Append the new entries to the file."""
        if self._file is not None and self._unwritten:
            waiting, self._unwritten = self._unwritten, []
            self._file.append(self.ndjson(waiting))
        elif self._file is not None and self._file.waiting_bytes:
            self._file.append(b"")

    def reopen(self) -> None:
        """Open the file again, such as after it was rotated."""
        self.flush()
        if self._file is not None:
            try:
                self._file.reopen()
            except OSError as error:
                _LOG.error("cannot open the journal file again: %s", error.strerror)

    def close(self) -> None:
        """Flush and close the file; from now on the secrets are those known by now."""
        self.flush()
        secrets = dict(self._secrets())
        self._secrets = lambda: secrets
        if self._file is not None:
            self._file.close()
            self.lost_bytes = self._file.lost_bytes + self._file.waiting_bytes
            self._file = None

    def clear(self) -> None:
        """Drop all entries. The file keeps its content, and the numbering goes on."""
        self.flush()
        self._ring.clear()
        self.forgotten_seq = self.last_seq

    def records(self, **wanted: str | int | None) -> Iterator[dict[str, Any]]:
        """Give the records that match every filter, oldest first.

        Filters are fields of a record: kind, provider, operation, task, account, gate, error, method, path,
        status, delivery, event, outcome, fault; and `after`, a sequence number. A filter of None is ignored.

        Raises:
            TypeError: unknown filter.
        """
        after = wanted.pop("after", None)
        unknown = wanted.keys() - set(_FILTERS)
        if unknown:
            raise TypeError(f"unknown filter {', '.join(sorted(unknown))}; use {', '.join((*_FILTERS, 'after'))}")
        conditions = {name: str(value) for name, value in wanted.items() if value is not None}
        redact = self.redaction()
        for entry in list(self._ring):
            if after is not None and entry.seq <= int(after):
                continue
            record = record_of(entry, redact)
            if all(
                value in record["faults"] if name == "fault" else _value(record, name) == value
                for name, value in conditions.items()
            ):
                yield record

    def entries(self, after: int) -> list[Entry]:
        """Return the entries that are kept and whose number is greater than `after`, oldest first."""
        count = min(len(self._ring), self.last_seq - after)
        return list(itertools.islice(reversed(self._ring), count))[::-1] if count > 0 else []

    def newest(self, most: int, after: int = 0) -> list[dict[str, Any]]:
        """Return the newest `most` records whose number is greater than `after`, oldest first."""
        chosen = [entry for entry in itertools.islice(reversed(self._ring), most) if entry.seq > after]
        if not chosen:
            return []
        redact = self.redaction()
        return [record_of(entry, redact) for entry in reversed(chosen)]

    def redaction(self) -> Redaction:
        """Return the redaction of the secrets known by now."""
        secrets = dict(self._secrets())
        if self._redact is None or self._redact.secrets != secrets:
            self._redact = Redaction(secrets, self._secret_headers)
        return self._redact

    def ndjson(self, entries: Iterable[Entry] | None = None) -> bytes:
        """Write entries (default: all) as NDJSON."""
        redact = self.redaction()
        chosen = list(self._ring) if entries is None else entries
        return b"".join(orjson.dumps(record_of(entry, redact), option=orjson.OPT_APPEND_NEWLINE) for entry in chosen)


def _value(record: Mapping[str, Any], name: str) -> str | None:
    if name in ("method", "path"):
        value = record["request"].get(name)
    elif name == "status":
        value = (record["response"] or {}).get("status")
    else:
        value = record.get(name)
    return None if value is None else str(value)
