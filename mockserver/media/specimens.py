"""Small valid files of many media types, made without an encoder: pictures of one colour, silence, a line of text.

`specimen` makes one; `can_make` tells whether it can. The same properties always give the same bytes.
"""

from __future__ import annotations

import io
import json
import struct
import wave
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

from mockserver.media.shape import M4A, MP4, WAV, Shape

_SAMPLES_PER_S: Final = 8_000
_MP3_FRAME_BYTES: Final = 417
_MP3_FRAME_S: Final = 1152 / 44_100
_WORDS: Final = "Made by mockserver."
_GREY: Final = 128
_LZW_MOST_BITS: Final = 12
_CLIPS: Final = Path(__file__).with_name("clips")


def can_make(media: str) -> bool:
    """Tell whether there is a specimen of a media type."""
    return media in makeable() or media.startswith("text/") or media.endswith("+json")


def makeable() -> tuple[str, ...]:
    """Return the media types of the specimens."""
    return (MP4, M4A, *_MAKERS)


def specimen(shape: Shape) -> bytes:
    """Return the bytes of a small file; of a video or sound in MP4, those of a clip that is shipped."""
    return _made(shape) if shape.content is None else shape.content


@lru_cache(maxsize=16)
def _made(shape: Shape) -> bytes:
    if shape.media == M4A:
        return (_CLIPS / "tone.m4a").read_bytes()
    if shape.media == MP4:
        upright, wide = shape.height_px > shape.width_px, shape.width_px > shape.height_px
        return (_CLIPS / f"{'portrait' if upright else 'landscape' if wide else 'square'}.mp4").read_bytes()
    maker = _MAKERS.get(shape.media)
    if maker is not None:
        return maker(shape)
    return _json(shape) if shape.media.endswith("+json") else _text(shape)


def _png(shape: Shape) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", shape.width_px, shape.height_px, 8, 0, 0, 0, 0)
    row = b"\0" + bytes((_GREY,)) * shape.width_px
    packed = zlib.compressobj(9)
    data = b"".join(packed.compress(row) for _ in range(shape.height_px)) + packed.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _jpeg(shape: Shape) -> bytes:
    """Make a picture of middle grey: every block of it is the bits 00, in codes of one bit each."""

    def segment(marker: int, data: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data

    one_code = b"\x01" + bytes(15) + b"\0"
    blocks = -(-shape.width_px // 8) * -(-shape.height_px // 8)
    whole, rest = divmod(2 * blocks, 8)
    return b"".join(
        (
            b"\xff\xd8",
            segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
            segment(0xDB, b"\0" + b"\x01" * 64),
            segment(0xC0, struct.pack(">BHHB", 8, shape.height_px, shape.width_px, 1) + b"\x01\x11\0"),
            segment(0xC4, b"\0" + one_code),
            segment(0xC4, b"\x10" + one_code),
            segment(0xDA, b"\x01\x01\0\0\x3f\0"),
            bytes(whole) + (bytes(((1 << (8 - rest)) - 1,)) if rest else b""),
            b"\xff\xd9",
        )
    )


def _webp(shape: Shape) -> bytes:
    """Make a lossless picture: with one symbol for each colour, a pixel takes no bits."""
    bits = _Bits()
    bits.add(0x2F, 8)
    bits.add(shape.width_px - 1, 14)
    bits.add(shape.height_px - 1, 14)
    bits.add(0, 1 + 3 + 3)  # no transparency, version 0, no transforms, no cache, one group of codes
    for colour in (_GREY, _GREY, _GREY, 255):
        bits.add(0b101, 3)
        bits.add(colour, 8)
    bits.add(0b0001, 4)
    data = bits.bytes()
    chunk = b"VP8L" + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


class _Bits:
    """Bits in the order of their weight, the least first."""

    def __init__(self) -> None:
        self._value = self._length = 0
        self._done = bytearray()

    def add(self, value: int, length: int) -> None:
        """Add the lowest bits of a value."""
        self._value |= value << self._length
        self._length += length
        while self._length >= 8:
            self._done.append(self._value & 255)
            self._value >>= 8
            self._length -= 8

    def bytes(self) -> bytes:
        """Return all, filled up with zeros."""
        return bytes(self._done) + (bytes((self._value & 255,)) if self._length else b"")


def _gif(shape: Shape) -> bytes:
    clear, end = 4, 5
    bits, width = _Bits(), 3
    bits.add(clear, width)
    left, run, free = shape.width_px * shape.height_px, 1, end + 1
    while left:
        run = min(run, left)
        bits.add(0 if run == 1 else end + run - 1, width)
        left -= run
        run += 1
        free += 1
        if free > 1 << width and width < _LZW_MOST_BITS:
            width += 1
        if free == (1 << _LZW_MOST_BITS) - 1:
            bits.add(clear, width)
            width, run, free = 3, 1, end + 1
    bits.add(end, width)
    data = bits.bytes()
    blocks = b"".join(bytes((len(data[at : at + 255]),)) + data[at : at + 255] for at in range(0, len(data), 255))
    size = struct.pack("<HH", shape.width_px, shape.height_px)
    colours = bytes((_GREY,)) * 3 + bytes(3)
    return b"GIF89a" + size + b"\x80\0\0" + colours + b"\x2c\0\0\0\0" + size + b"\0\x02" + blocks + b"\0\x3b"


def _wav(shape: Shape) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(_SAMPLES_PER_S)
        file.writeframes(bytes((_GREY,)) * round(shape.duration_s * _SAMPLES_PER_S))
    return out.getvalue()


def _mp3(shape: Shape) -> bytes:
    """Make frames of MPEG-1 Layer III, 128 kbit/s, 44.1 kHz, without a sound."""
    return (b"\xff\xfb\x90\xc4" + bytes(_MP3_FRAME_BYTES - 4)) * max(1, round(shape.duration_s / _MP3_FRAME_S))


def _json(_shape: Shape) -> bytes:
    return json.dumps({"text": _WORDS}).encode()


def _text(_shape: Shape) -> bytes:
    return f"{_WORDS}\n".encode()


def _vtt(_shape: Shape) -> bytes:
    return f"WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n{_WORDS}\n".encode()


def _srt(_shape: Shape) -> bytes:
    return f"1\n00:00:00,000 --> 00:00:01,000\n{_WORDS}\n".encode()


def _zip(_shape: Shape) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(zipfile.ZipInfo("result.txt"), f"{_WORDS}\n")
    return out.getvalue()


def _pdf(_shape: Shape) -> bytes:
    parts = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 72]>>",
    )
    out, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(out))
        out += b"%d 0 obj%sendobj\n" % (number, part)
    table = b"xref\n0 4\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + table + b"trailer<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(out)


def _glb(_shape: Shape) -> bytes:
    data = json.dumps({"asset": {"version": "2.0", "generator": "mockserver"}}).encode()
    data += b" " * (-len(data) % 4)
    return b"glTF" + struct.pack("<II", 2, 20 + len(data)) + struct.pack("<I", len(data)) + b"JSON" + data


_MAKERS: Mapping[str, Callable[[Shape], bytes]] = {
    WAV: _wav,
    "audio/mpeg": _mp3,
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/webp": _webp,
    "image/gif": _gif,
    "text/plain": _text,
    "text/vtt": _vtt,
    "application/x-subrip": _srt,
    "application/json": _json,
    "application/zip": _zip,
    "application/pdf": _pdf,
    "model/gltf-binary": _glb,
    "application/octet-stream": _text,
}
