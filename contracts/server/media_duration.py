"""How long a film or a sound is, read from the boxes of its MP4 or the head of its WAV."""

from __future__ import annotations

import struct
import wave
from io import BytesIO

_HOLDERS = (b"moov",)


def duration_s(content: bytes) -> float | None:
    """Return how long it plays; None where it is neither, or is broken."""
    if content[:4] == b"RIFF":
        try:
            with wave.open(BytesIO(content)) as sound:
                seconds: float = sound.getnframes() / sound.getframerate()
                return seconds
        except (wave.Error, EOFError, ZeroDivisionError):
            return None
    try:
        return _mp4_duration_s(content, 0, len(content))
    except struct.error:
        return None


def _mp4_duration_s(content: bytes, start: int, end: int) -> float | None:
    """Look for the box `mvhd`, which has the time scale and the length in it."""
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", content, start)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", content, start + 8)
            head = 16
        stop = end if size == 0 else start + size
        if size and size < head:
            return None
        if kind in _HOLDERS:
            return _mp4_duration_s(content, start + head, min(stop, end))
        if kind == b"mvhd":
            long = content[start + head] == 1
            scale: int
            length: int
            scale, length = struct.unpack_from(">IQ" if long else ">II", content, start + head + (20 if long else 12))
            return length / scale if scale else None
        start = stop
    return None
