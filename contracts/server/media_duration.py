"""The duration of a video or a sound, read from the boxes of an MP4 file or the header of a WAV file."""

from __future__ import annotations

import wave
from io import BytesIO

from mockserver.media.shape import mp4_duration_s


def duration_s(content: bytes) -> float | None:
    """Return the duration; None if the file is neither MP4 nor WAV, or is invalid."""
    if content[:4] == b"RIFF":
        try:
            with wave.open(BytesIO(content)) as sound:
                seconds: float = sound.getnframes() / sound.getframerate()
                return seconds
        except (wave.Error, EOFError, ZeroDivisionError):
            return None
    return mp4_duration_s(content)
