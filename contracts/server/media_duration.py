"""The duration of a video or a sound, read from the boxes of an MP4 file or the header of a WAV file."""

from __future__ import annotations

import struct
import wave
from io import BytesIO

_HOLDERS = (b"moov",)


def duration_s(content: bytes) -> float | None:
    """Return the duration; None if the file is neither MP4 nor WAV, or is invalid."""
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
    """Find the box `mvhd`, which holds the time scale and the duration."""
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
