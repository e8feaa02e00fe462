"""The shape of a result file: media type, length and size.

`Shape` is the value; `shape_of` works one out from an API's terms, such as 720 and "16:9", and `fitting_shape` the
nearest; `mp4_duration_s` reads how long a file plays.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
from dataclasses import dataclass
from typing import Final

MP4: Final = "video/mp4"
M4A: Final = "audio/mp4"
WAV: Final = "audio/wav"
PICTURES: Final = ("image/png", "image/jpeg", "image/webp", "image/gif")
TIMED: Final = (MP4, M4A, WAV, "audio/mpeg")
#: The ends of the names of files; of others, what stands last in the media type.
_ENDINGS: Final = {MP4: "mp4", M4A: "m4a", WAV: "wav", "audio/mpeg": "mp3", "image/jpeg": "jpg"}

SHORTEST_S: Final = 0.1
LONGEST_S: Final = 600.0
SMALLEST_SIDE_PX: Final = 16
LARGEST_SIDE_PX: Final = 8192
#: What stands for the media type of a file whose bytes are known.
OTHER: Final = "application/octet-stream"
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*")
FLATTEST_RATIO: Final = 10.0
USUAL_RATIO: Final = "16:9"
_RATIO: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*[:x/]\s*([0-9]+(?:\.[0-9]+)?)\s*")


@dataclass(frozen=True, slots=True)
class Shape:
    """Media type, length and size of a result file; what is no picture and no video has width and height 0."""

    media: str
    duration_s: float
    width_px: int
    height_px: int
    #: The bytes of the file, where they are known.
    content: bytes | None = None

    def __post_init__(self) -> None:
        """Reject what cannot be encoded."""
        if not _MEDIA_TYPE.fullmatch(self.media):
            raise ValueError(f"media must be a media type such as {MP4}, not {self.media!r}")
        if not SHORTEST_S <= self.duration_s <= LONGEST_S:
            raise ValueError(f"duration_s must lie between {SHORTEST_S} and {LONGEST_S}, not {self.duration_s!r}")
        for side_px in (self.width_px, self.height_px):
            if self.media in PICTURES and not 1 <= side_px <= LARGEST_SIDE_PX:
                raise ValueError(f"a side must lie between 1 and {LARGEST_SIDE_PX} px, not {side_px!r}")
            if self.media not in (MP4, *PICTURES) and side_px != 0:
                raise ValueError(f"{self.media} has no width or height; got {side_px} px")
            if self.media == MP4 and (side_px % 2 or not SMALLEST_SIDE_PX <= side_px <= LARGEST_SIDE_PX):
                raise ValueError(
                    f"a side must be even and between {SMALLEST_SIDE_PX} and {LARGEST_SIDE_PX} px, not {side_px!r}"
                )

    @property
    def duration_ms(self) -> int:
        """The length in whole milliseconds; files do not differ by less."""
        return round(self.duration_s * 1000)

    @property
    def file_name(self) -> str:
        """A name of letters, digits, '-' and '.'; equal shapes have equal names."""
        ending = _ENDINGS.get(self.media) or re.sub(r"[^a-z0-9]+", "-", self.media.rpartition("/")[2])
        if self.content is not None:
            return f"content-{hashlib.blake2b(self.content, digest_size=16).hexdigest()}.{ending}"
        if self.media in PICTURES:
            return f"image-{self.width_px}x{self.height_px}.{ending}"
        if self.media not in TIMED:
            return f"file.{ending}"
        if self.media == MP4:
            return f"video-{self.width_px}x{self.height_px}-{self.duration_ms}ms.mp4"
        return f"audio-{self.duration_ms}ms.{ending}"


def shape_of(media: str, duration_s: float, short_side_px: float, ratio: str) -> Shape:
    """Work out the shape from an API's terms, e.g. 720 and "16:9" for 1280x720.

    Audio ignores the last two. Sides are rounded to even numbers, which H.264 with 4:2:0 colour requires.
    """
    if media not in (MP4, *PICTURES):
        return Shape(media, duration_s, 0, 0)
    found = _RATIO.fullmatch(ratio)
    width, height = (float(part) for part in found.groups()) if found else (0.0, 0.0)
    aspect = max(width, height) / min(width, height) if min(width, height) > 0 else math.inf
    if not aspect <= FLATTEST_RATIO:
        raise ValueError(f"ratio must read like '16:9' and be no flatter than {FLATTEST_RATIO:g}:1, not {ratio!r}")
    if not SMALLEST_SIDE_PX <= short_side_px <= LARGEST_SIDE_PX:
        raise ValueError(
            f"short_side_px must lie between {SMALLEST_SIDE_PX} and {LARGEST_SIDE_PX}, not {short_side_px!r}"
        )
    short_px, long_px = _even(short_side_px), _even(short_side_px * aspect)
    if width >= height:
        return Shape(media, duration_s, long_px, short_px)
    return Shape(media, duration_s, short_px, long_px)


def fitting_shape(
    media: str, duration_s: float, short_side_px: float, ratio: str, content: bytes | None = None
) -> Shape:
    """Work out the shape that comes nearest to an API's terms, where no file can have them as they are."""
    if content is not None:
        media = media if media not in (MP4, *PICTURES) else OTHER
        return Shape(media, SHORTEST_S, 0, 0, content)
    duration_s = min(max(duration_s, SHORTEST_S), LONGEST_S)
    found = _RATIO.fullmatch(ratio)
    sides = [float(part) for part in found.groups()] if found else [0.0]
    if not 0 < max(sides) <= FLATTEST_RATIO * min(sides):
        ratio, sides = USUAL_RATIO, [16.0, 9.0]
    longest_px = LARGEST_SIDE_PX / (max(sides) / min(sides))
    return shape_of(media, duration_s, min(max(short_side_px, SMALLEST_SIDE_PX), longest_px - 1), ratio)


def _even(length_px: float) -> int:
    return 2 * round(length_px / 2)


def mp4_duration_s(content: bytes) -> float | None:
    """Return the duration in the movie header, if it is valid."""
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
