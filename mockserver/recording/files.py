"""Reads files of records: NDJSON in the shape of specs/journal.schema.json, or a HAR file of any tool."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mockserver.recording.har import records_of_har
from mockserver.recording.values import JournalError, parse_json

#: How each record of ours begins.
_RECORD = b'{"seq":'


class RecordFile(NamedTuple):
    """The records of a file, and the speed of its clock as the file states it; 1 if it does not."""

    records: list[Mapping[str, Any]]
    stated_speed: float = 1.0
    #: The number of a line that holds the beginning of a record only, as after a crash; 0 if there is none.
    torn_line: int = 0


def read_file(path: Path) -> RecordFile:
    """Read a file; a record of ours that is torn, as by a crash, is left out.

    Raises:
        JournalError: the file cannot be read, or is neither our NDJSON nor HAR.
    """
    try:
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise JournalError(f"{path}: cannot be read: {error.strerror}") from None
    whole = None if content.startswith(_RECORD) else _parsed(content)
    if not isinstance(whole, dict) or "log" not in whole:
        torn: list[int] = []
        return RecordFile(list(_lines(content, path, torn)), torn_line=next(iter(torn), 0))
    given = whole["log"].get("_speed") if isinstance(whole["log"], dict) else None
    speed = float(given) if isinstance(given, int | float) and given > 0 else 1.0
    return RecordFile(list(records_of_har(whole, path)), speed)


def _parsed(content: bytes) -> Any:
    """Parse JSON; None where it is none."""
    try:
        return parse_json(content.decode())
    except (UnicodeDecodeError, RecursionError):
        return None


def _lines(content: bytes, path: Path, torn: list[int]) -> Iterator[Mapping[str, Any]]:
    """Give the records. Only a line feed ends a line."""
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.strip():
            record = _parsed(line)
            if record is None and line.startswith(_RECORD):
                torn.append(number)
                continue
            if record is None and not _is_text(line):
                raise JournalError(f"{path}: not UTF-8 text")
            if not isinstance(record, dict) or record.get("kind") not in ("exchange", "delivery"):
                raise JournalError(
                    f"{path}:{number}: not a journal record; write a journal with `mockserver serve --journal FILE`, "
                    "or use a HAR file"
                )
            yield record


def _is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
