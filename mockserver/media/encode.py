"""Writes result files: H.264 with AAC by PyAV, WAV by the standard library, or a ready-made clip without PyAV.

`python -m mockserver.media.encode` writes the clips in `clips/` again, with PyAV.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import shutil
import sys
import threading
import wave
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mockserver.media.shape import M4A, MP4, WAV, Shape
from mockserver.media.specimens import specimen

if TYPE_CHECKING:
    from av import VideoFrame
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

_FRAMES_PER_S: Final = 24
_LOOP_FRAMES: Final = 48
_SAMPLES_PER_S: Final = 48_000
_AAC_BLOCK: Final = 1024
_AAC_BITS_PER_S: Final = 32_000
_TONE_PERIOD: Final = 1200  # samples: eleven whole turns of 440 Hz
_TONE_TURNS: Final = 11
_TONE_LEVEL: Final = 0.05
_BANDS: Final = 8
_RECIPE: Final = 1  # raise when the bytes made for a shape change
_CLIPS: Final = Path(__file__).with_name("clips")


class MediaCacheClosedError(RuntimeError):
    """The cache was closed before the file was complete."""

    def __init__(self) -> None:
        """Set the message, which is always the same."""
        super().__init__("the media cache is closed")


READY_MADE: Final = (
    ("landscape.mp4", Shape(MP4, 2.0, 320, 180)),
    ("portrait.mp4", Shape(MP4, 2.0, 180, 320)),
    ("square.mp4", Shape(MP4, 2.0, 240, 240)),
    ("tone.m4a", Shape(M4A, 2.0, 0, 0)),
)
"""The clips shipped in `mockserver/media/clips`."""
READY_MADE_S: Final = 2
"""How long each of them lasts, in seconds."""


def write_file(shape: Shape, path: Path, stop: threading.Event) -> None:
    """Write the file of a shape with the best encoder installed."""
    if shape.media == WAV:
        _write_wav(shape, path, stop)
    elif shape.media not in (MP4, M4A) or shape.content is not None:
        path.write_bytes(specimen(shape))
    elif has_encoder():
        encode(shape, path, stop)
    else:
        shutil.copyfile(_nearest_clip(shape), path)


def encode(shape: Shape, path: Path, stop: threading.Event) -> None:
    """Write H.264 with AAC, or AAC alone, of the exact length and size; needs PyAV.

    Only the first two seconds of video are encoded. Their packets form a closed loop and are repeated, so a
    longer file costs almost no time.
    """
    import av  # noqa: PLC0415 - start-up must not pay for it

    with av.open(
        str(path),
        "w",
        format="mp4" if shape.media == MP4 else "ipod",
        options={"movflags": "+faststart", "fflags": "+bitexact"},
    ) as out:
        video = _video_stream(out, shape) if shape.media == MP4 else None
        sound = _sound_stream(out)
        loop = _loop_packets(video, shape, stop) if video else []
        frames = max(1, round(shape.duration_ms * _FRAMES_PER_S / 1000))
        samples = shape.duration_ms * _SAMPLES_PER_S // 1000
        tone = _tone_packets(sound, samples)
        shown = 0
        for packet in tone:
            _check(stop)
            heard_s = float(packet.pts * packet.time_base) if packet.pts is not None else 0.0
            while video and shown < min(frames, heard_s * _FRAMES_PER_S):
                out.mux_one(_repeated(video, loop, shown))
                shown += 1
            out.mux_one(packet)
        while video and shown < frames:
            out.mux_one(_repeated(video, loop, shown))
            shown += 1


def has_encoder() -> bool:
    """Tell whether video and sound can be encoded; if not, every clip is one of the shipped ones."""
    return importlib.util.find_spec("av") is not None


def encoder_folder() -> str:
    """Name the encoder and its version, so that files of another encoder are not reused."""
    import importlib.metadata  # noqa: PLC0415 - start-up must not pay for it

    if not has_encoder():
        return f"{_RECIPE}-ready-made"
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return f"{_RECIPE}-pyav-{importlib.metadata.version('av')}"
    return f"{_RECIPE}-pyav-unknown"


def _check(stop: threading.Event) -> None:
    if stop.is_set():
        raise MediaCacheClosedError


def _nearest_clip(shape: Shape) -> Path:
    """Pick the shipped clip with the closest aspect ratio."""

    def distance(clip: Shape) -> float:
        if shape.media != MP4:
            return 0.0
        return abs(math.log(shape.width_px * clip.height_px / (shape.height_px * clip.width_px)))

    fitting = [(distance(clip), name) for name, clip in READY_MADE if clip.media == shape.media]
    return _CLIPS / min(fitting)[1]


def _tone_wave() -> list[float]:
    """Return one period of the quiet tone, which repeats seamlessly."""
    turn = 2 * math.pi * _TONE_TURNS / _TONE_PERIOD
    return [_TONE_LEVEL * math.sin(turn * sample) for sample in range(_TONE_PERIOD)]


def _write_wav(shape: Shape, path: Path, stop: threading.Event) -> None:
    """Write 16-bit stereo PCM, with the standard library alone."""
    period = b"".join(round(32767 * value).to_bytes(2, "little", signed=True) * 2 for value in _tone_wave())
    second = period * (_SAMPLES_PER_S // _TONE_PERIOD)
    left = shape.duration_ms * _SAMPLES_PER_S // 1000
    with wave.open(str(path), "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(_SAMPLES_PER_S)
        out.setnframes(left)
        while left > 0:
            _check(stop)
            samples = min(left, _SAMPLES_PER_S)
            out.writeframes(second[: samples * 4])
            left -= samples


def _video_stream(out: OutputContainer, shape: Shape) -> VideoStream:
    video = out.add_stream("libx264", rate=_FRAMES_PER_S, options={"preset": "ultrafast", "crf": "28", "bf": "0"})
    video.width, video.height, video.pix_fmt = shape.width_px, shape.height_px, "yuv420p"
    video.codec_context.gop_size = _LOOP_FRAMES
    _make_reproducible(video)
    return video


def _sound_stream(out: OutputContainer) -> AudioStream:
    sound = out.add_stream("aac", rate=_SAMPLES_PER_S, layout="stereo")
    sound.codec_context.bit_rate = _AAC_BITS_PER_S
    _make_reproducible(sound)
    return sound


def _make_reproducible(stream: VideoStream | AudioStream) -> None:
    from av.codec.context import Flags  # noqa: PLC0415 - see encode

    stream.codec_context.thread_count = 1
    stream.codec_context.flags |= Flags.bitexact


def _loop_packets(video: VideoStream, shape: Shape, stop: threading.Event) -> list[bytes]:
    """Encode the loop: one key frame, then frames that depend on it, in display order."""
    packets: list[bytes] = []
    wanted = math.ceil(shape.duration_ms * _FRAMES_PER_S / 1000)
    for index in range(min(_LOOP_FRAMES, wanted)):
        _check(stop)
        packets.extend(map(bytes, video.encode(_picture(shape, index))))
    packets.extend(map(bytes, video.encode(None)))
    return packets


def _picture(shape: Shape, index: int) -> VideoFrame:
    """Draw one frame of the loop: tinted bands, and a light bar that moves across.

    All rows of a band are equal, so a plane is a few repeated rows: fast even for 4K, without numpy.
    """
    from fractions import Fraction  # noqa: PLC0415 - see encode

    from av import VideoFrame  # noqa: PLC0415 - see encode

    frame = VideoFrame(shape.width_px, shape.height_px, "yuv420p")
    for channel, plane in enumerate(frame.planes):
        block_px = 16 if channel == 0 else 8  # a bar along the codec's own blocks is cheapest
        blocks = plane.width // block_px
        bar_px = block_px * (1 + blocks // 24)
        left_px = block_px * ((blocks - bar_px // block_px) * index // (_LOOP_FRAMES - 1))
        bar = bytes([235 if channel == 0 else 128]) * bar_px
        pixels = memoryview(plane)
        for band in range(_BANDS):
            tint = (48 + 16 * band, 150 - 8 * band, 88 + 8 * band)[channel]
            ground = bytes([tint]) * (plane.line_size - bar_px)
            top_px, end_px = (plane.height * edge // _BANDS for edge in (band, band + 1))
            row = ground[:left_px] + bar + ground[left_px:]
            pixels[top_px * len(row) : end_px * len(row)] = row * (end_px - top_px)
    frame.pts, frame.time_base = index, Fraction(1, _FRAMES_PER_S)
    return frame


def _repeated(video: VideoStream, loop: list[bytes], shown: int) -> Packet[Stream]:
    """Return the packet of the loop for one frame of the video."""
    from fractions import Fraction  # noqa: PLC0415 - see encode

    from av.packet import Packet  # noqa: PLC0415 - see encode

    place = shown % _LOOP_FRAMES
    packet = Packet(loop[place])
    packet.stream, packet.time_base = video, Fraction(1, _FRAMES_PER_S)
    packet.pts = packet.dts = shown
    packet.duration, packet.is_keyframe = 1, place == 0
    return packet


def _tone_packets(sound: AudioStream, samples: int) -> Iterator[Packet[AudioStream]]:
    """Encode the tone block by block, up to the requested length."""
    from fractions import Fraction  # noqa: PLC0415 - see encode

    from av import AudioFrame  # noqa: PLC0415 - see encode

    period = array("f", _tone_wave()).tobytes()
    turning = period * 2
    for start in range(0, samples, _AAC_BLOCK):
        length = min(_AAC_BLOCK, samples - start)
        offset = 4 * (start % _TONE_PERIOD)
        frame = AudioFrame("fltp", "stereo", length)
        for plane in frame.planes:
            plane.update(turning[offset : offset + 4 * length])
        frame.sample_rate, frame.pts = _SAMPLES_PER_S, start
        frame.time_base = Fraction(1, _SAMPLES_PER_S)
        yield from sound.encode(frame)
    yield from sound.encode(None)


def write_clips(directory: Path) -> None:
    """Write every ready-made clip to the directory; needs PyAV."""
    for name, shape in READY_MADE:
        encode(shape, directory / name, threading.Event())


if __name__ == "__main__":
    if not has_encoder():
        sys.exit("install PyAV to write the clips: pip install av")
    write_clips(_CLIPS)
