"""Result files that players accept: video and sound of the length and size asked for.

A finished job of the mock answers with a link, and whoever follows it gets a file
from here. `Shape` says what the file is to be, `MediaShelf` makes it once, off the
event loop, and keeps it. With PyAV installed the file is encoded to measure;
without it a short ready-made clip from `mockserver/media` is handed out. WAV files
need neither.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import math
import os
import re
import shutil
import tempfile
import threading
import wave
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from av import VideoFrame
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

MP4: Final = "video/mp4"
M4A: Final = "audio/mp4"
WAV: Final = "audio/wav"

SHORTEST_S: Final = 0.1
LONGEST_S: Final = 600.0
SMALLEST_SIDE_PX: Final = 16
LARGEST_SIDE_PX: Final = 8192
FLATTEST_RATIO: Final = 10.0

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
_MTIME_S: Final = 1_704_067_200  # 2024-01-01T00:00:00Z
_RATIO: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*[:x/]\s*([0-9]+(?:\.[0-9]+)?)\s*")
_NAME: Final = re.compile(r"(?:video-[0-9]+x[0-9]+|audio)-[0-9]+ms\.(?:mp4|m4a|wav)")


class MediaCacheClosedError(RuntimeError):
    """The shelf was closed before the file was there."""

    def __init__(self) -> None:
        """Carry one fixed message: there is nothing else to tell."""
        super().__init__("the media shelf is closed")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a result file is to be; sound has a width and height of 0."""

    media: str
    duration_s: float
    width_px: int
    height_px: int

    def __post_init__(self) -> None:
        """Refuse what cannot be made, before a worker is troubled with it."""
        if self.media not in (MP4, M4A, WAV):
            raise ValueError(f"media must be {MP4}, {M4A} or {WAV}, not {self.media!r}")
        if not SHORTEST_S <= self.duration_s <= LONGEST_S:
            raise ValueError(f"duration_s must lie between {SHORTEST_S} and {LONGEST_S}, not {self.duration_s!r}")
        for side_px in (self.width_px, self.height_px):
            if self.media != MP4 and side_px != 0:
                raise ValueError(f"{self.media} has no width or height, yet {side_px} px was given")
            if self.media == MP4 and (side_px % 2 or not SMALLEST_SIDE_PX <= side_px <= LARGEST_SIDE_PX):
                raise ValueError(
                    f"a side must be even and between {SMALLEST_SIDE_PX} and {LARGEST_SIDE_PX} px, not {side_px!r}"
                )

    @property
    def duration_ms(self) -> int:
        """The length in whole milliseconds, which is as fine as files differ."""
        return round(self.duration_s * 1000)

    @property
    def file_name(self) -> str:
        """A name made of letters, digits, '-' and '.', the same for the same file."""
        if self.media == MP4:
            return f"video-{self.width_px}x{self.height_px}-{self.duration_ms}ms.mp4"
        return f"audio-{self.duration_ms}ms.{'m4a' if self.media == M4A else 'wav'}"


Maker = Callable[[Shape, Path, threading.Event], None]
"""Writes the file of a shape to a path; gives up early once the event is set."""

READY_MADE: Final = (
    ("landscape.mp4", Shape(MP4, 2.0, 320, 180)),
    ("portrait.mp4", Shape(MP4, 2.0, 180, 320)),
    ("square.mp4", Shape(MP4, 2.0, 240, 240)),
    ("tone.m4a", Shape(M4A, 2.0, 0, 0)),
)
"""The clips shipped in `mockserver/media`, which `mockserver.media.make` writes."""


def shape_of(media: str, duration_s: float, short_side_px: float, ratio: str) -> Shape:
    """Work out the shape from an API's terms, e.g. 720 and "16:9" for 1280x720.

    Sound ignores the last two. Sides are rounded to even numbers, as H.264 with
    4:2:0 colour wants them.
    """
    if media != MP4:
        return Shape(media, duration_s, 0, 0)
    found = _RATIO.fullmatch(ratio)
    width, height = (float(part) for part in found.groups()) if found else (0.0, 0.0)
    stretch = max(width, height) / min(width, height) if min(width, height) > 0 else math.inf
    if not stretch <= FLATTEST_RATIO:
        raise ValueError(f"ratio must read like '16:9' and be no flatter than {FLATTEST_RATIO:g}:1, not {ratio!r}")
    if not SMALLEST_SIDE_PX <= short_side_px <= LARGEST_SIDE_PX:
        raise ValueError(
            f"short_side_px must lie between {SMALLEST_SIDE_PX} and {LARGEST_SIDE_PX}, not {short_side_px!r}"
        )
    short_px, long_px = _even(short_side_px), _even(short_side_px * stretch)
    if width >= height:
        return Shape(media, duration_s, long_px, short_px)
    return Shape(media, duration_s, short_px, long_px)


def describe() -> str:
    """Say in one line which kind of files this installation hands out."""
    if not _has_pyav():
        return "ready-made clips; install mockserver[media] for the real length and size"
    version = ".".join(_pyav_version().split(".")[:2])
    return f"PyAV {version}: files of the length and size asked for"


class MediaCache:
    """The kept result files: each shape is made once, one at a time, by one thread.

    Usable from any event loop. Names in `_kept` run from the longest unused to the
    latest used; the lock guards them and `_making`, and is never held over disk
    work longer than a look whether a file is there.
    """

    def __init__(self, directory: Path | None = None, *, most_kept: int = 64, make: Maker | None = None) -> None:
        """Keep files in `directory`, or in a temporary one that `close` removes.

        A given directory may hold files of an earlier run, which are used again;
        they lie in a folder named after the encoder, so that a change of encoder
        is not answered with old bytes.
        """
        if most_kept < 1:
            raise ValueError(f"most_kept must be at least 1, not {most_kept}")
        self._most_kept = most_kept
        self._make = make or write_file
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._kept: dict[str, None] = {}
        if directory is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="mockserver-media-", ignore_cleanup_errors=True)
            self._directory = Path(self._temporary.name)
        else:
            self._directory = directory / _encoder_folder()
            self._directory.mkdir(parents=True, exist_ok=True)
            names = sorted(path.name for path in self._directory.iterdir())
            self._kept.update((name, None) for name in names if _NAME.fullmatch(name))
        self._making: dict[str, Future[Path]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="media-shelf")

    async def file(self, shape: Shape) -> Path:
        """Return the file of this shape, waiting for its making where needed.

        Cancelling the wait leaves the making going on. What goes wrong in the
        making is raised to everyone who waits; the next caller has it tried again.
        """
        kept = self._kept_or_making(shape)
        if isinstance(kept, Path):
            return kept
        await _finished(kept)
        return _made(kept)

    def file_now(self, shape: Shape) -> Path:
        """Return the file of this shape; block while it is made."""
        kept = self._kept_or_making(shape)
        return kept if isinstance(kept, Path) else _made(kept)

    def _kept_or_making(self, shape: Shape) -> Path | Future[Path]:
        name = shape.file_name
        with self._lock:
            if self._closing.is_set():
                raise MediaCacheClosedError
            path = self._directory / name
            if name in self._kept:
                del self._kept[name]
                if path.is_file():
                    self._kept[name] = None
                    return path
            making = self._making.get(name)
            if making is None:
                making = self._worker.submit(self._put_in_cache, shape)
                self._making[name] = making
            return making

    def close(self) -> None:
        """Stop the worker, wait for it, and remove the directory if it is our own.

        An encoding under way gives up at its next step. Blocks for that long, so
        call it through `asyncio.to_thread` where other tasks must go on.
        """
        with self._lock:
            self._closing.set()
        self._worker.shutdown(wait=True, cancel_futures=True)
        if self._temporary is not None:
            self._temporary.cleanup()

    def _put_in_cache(self, shape: Shape) -> Path:
        """Make the file aside and move it into place whole (in the worker)."""
        name = shape.file_name
        path = self._directory / name
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)  # somebody may have tidied it away
            with tempfile.TemporaryDirectory(dir=self._directory, prefix="making-") as aside:
                made = Path(aside) / name
                self._make(shape, made, self._closing)
                os.utime(made, (_MTIME_S, _MTIME_S))
                self._make_room()
                made.replace(path)
        except BaseException:
            with self._lock:
                del self._making[name]
            raise
        with self._lock:
            del self._making[name]
            self._kept[name] = None
        return path

    def _make_room(self) -> None:
        """Delete what was not used for longest until one more fits (in the worker).

        A deleted name asked for again meanwhile queues behind this very job, so its
        new file cannot be hit. A file the system will not let go of counts as used.
        """
        with self._lock:
            victims = list(self._kept)[: max(0, len(self._kept) - self._most_kept + 1)]
            for name in victims:
                del self._kept[name]
        for name in victims:
            try:
                (self._directory / name).unlink(missing_ok=True)
            except OSError:
                with self._lock:
                    self._kept[name] = None


def write_file(shape: Shape, path: Path, stop: threading.Event) -> None:
    """Write the file of a shape by the best means at hand."""
    if shape.media == WAV:
        _write_wav(shape, path, stop)
    elif _has_pyav():
        encode(shape, path, stop)
    else:
        shutil.copyfile(_nearest_clip(shape), path)


def encode(shape: Shape, path: Path, stop: threading.Event) -> None:
    """Write H.264 with AAC, or AAC alone, to measure; needs PyAV.

    Only the first two seconds of picture are encoded: they are a closed loop whose
    packets are then written over and over, so that length costs next to nothing.
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
                out.mux_one(_again(video, loop, shown))
                shown += 1
            out.mux_one(packet)
        while video and shown < frames:
            out.mux_one(_again(video, loop, shown))
            shown += 1


def _has_pyav() -> bool:
    return importlib.util.find_spec("av") is not None


def _pyav_version() -> str:
    import importlib.metadata  # noqa: PLC0415 - start-up must not pay for it

    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version("av")
    return "unknown"


def _encoder_folder() -> str:
    return f"{_RECIPE}-pyav-{_pyav_version()}" if _has_pyav() else f"{_RECIPE}-ready-made"


def _even(length_px: float) -> int:
    return 2 * round(length_px / 2)


def _check(stop: threading.Event) -> None:
    if stop.is_set():
        raise MediaCacheClosedError


def _made(making: Future[Path]) -> Path:
    """Return what was made, waiting for it if need be."""
    try:
        return making.result()
    except CancelledError:
        raise MediaCacheClosedError from None


async def _finished(making: Future[Path]) -> None:
    """Wait until the making ended, without tying its fate to the waiter's."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def tell(_: Future[Path]) -> None:
        with contextlib.suppress(RuntimeError):  # this loop may be gone by then
            loop.call_soon_threadsafe(ended.set)

    making.add_done_callback(tell)
    await ended.wait()


def _nearest_clip(shape: Shape) -> Path:
    """Pick the shipped clip whose proportions come nearest."""

    def distance(clip: Shape) -> float:
        if shape.media != MP4:
            return 0.0
        return abs(math.log(shape.width_px * clip.height_px / (shape.height_px * clip.width_px)))

    fitting = [(distance(clip), name) for name, clip in READY_MADE if clip.media == shape.media]
    return Path(__file__).parent.parent / "media" / min(fitting)[1]


def _tone_wave() -> list[float]:
    """Return one period of the quiet tone, which repeats without a seam."""
    turn = 2 * math.pi * _TONE_TURNS / _TONE_PERIOD
    return [_TONE_LEVEL * math.sin(turn * sample) for sample in range(_TONE_PERIOD)]


def _write_wav(shape: Shape, path: Path, stop: threading.Event) -> None:
    """Write 16-bit stereo PCM with the standard library alone."""
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
    from av.codec.context import Flags  # noqa: PLC0415 - see encode

    video = out.add_stream("libx264", rate=_FRAMES_PER_S, options={"preset": "ultrafast", "crf": "28", "bf": "0"})
    video.width, video.height, video.pix_fmt = shape.width_px, shape.height_px, "yuv420p"
    video.codec_context.gop_size = _LOOP_FRAMES
    video.codec_context.thread_count = 1
    video.codec_context.flags |= Flags.bitexact
    return video


def _sound_stream(out: OutputContainer) -> AudioStream:
    from av.codec.context import Flags  # noqa: PLC0415 - see encode

    sound = out.add_stream("aac", rate=_SAMPLES_PER_S, layout="stereo")
    sound.codec_context.bit_rate = _AAC_BITS_PER_S
    sound.codec_context.thread_count = 1
    sound.codec_context.flags |= Flags.bitexact
    return sound


def _loop_packets(video: VideoStream, shape: Shape, stop: threading.Event) -> list[bytes]:
    """Encode the loop: one key frame, then frames that lean on it, none reordered."""
    packets: list[bytes] = []
    wanted = math.ceil(shape.duration_ms * _FRAMES_PER_S / 1000)
    for index in range(min(_LOOP_FRAMES, wanted)):
        _check(stop)
        packets.extend(map(bytes, video.encode(_picture(shape, index))))
    packets.extend(map(bytes, video.encode(None)))
    return packets


def _picture(shape: Shape, index: int) -> VideoFrame:
    """Draw one frame of the loop: tinted bands, and a light bar wandering across.

    All rows of a band are alike, so a plane is a few rows repeated, which is quick
    even for 4K and without numpy.
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


def _again(video: VideoStream, loop: list[bytes], shown: int) -> Packet[Stream]:
    """Return the loop's packet for this place in the film."""
    from fractions import Fraction  # noqa: PLC0415 - see encode

    from av.packet import Packet  # noqa: PLC0415 - see encode

    place = shown % _LOOP_FRAMES
    packet = Packet(loop[place])
    packet.stream, packet.time_base = video, Fraction(1, _FRAMES_PER_S)
    packet.pts = packet.dts = shown
    packet.duration, packet.is_keyframe = 1, place == 0
    return packet


def _tone_packets(sound: AudioStream, samples: int) -> Iterator[Packet[AudioStream]]:
    """Encode the tone block by block, as far as the last sample asked for."""
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
