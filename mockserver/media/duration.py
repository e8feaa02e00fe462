"""Reads how long an MP4 or M4A file plays."""

from __future__ import annotations

import struct


def mp4_duration_s(content: bytes) -> float | None:
    """Return the duration in the movie header; None where there is no valid one."""
    try:
        return _movie_s(content, 0, len(content))
    except struct.error:
        return None


def _movie_s(content: bytes, start: int, end: int) -> float | None:
    """Find the box `mvhd`, inside `moov`: it holds the time scale and the duration."""
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", content, start)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", content, start + 8)
            head = 16
        stop = end if size == 0 else start + size
        if size and size < head:
            return None
        if kind == b"moov":
            return _movie_s(content, start + head, min(stop, end))
        if kind == b"mvhd":
            long = content[start + head] == 1
            scale: int
            length: int
            scale, length = struct.unpack_from(">IQ" if long else ">II", content, start + head + (20 if long else 12))
            return length / scale if scale else None
        start = stop
    return None
