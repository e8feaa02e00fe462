"""Result files: probed with PyAV for being what was asked, and shelved just once."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import threading
import wave
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.tables import for_each

from mockserver.media.cache import MediaCache
from mockserver.media.encode import READY_MADE, MediaCacheClosedError, write_clips, write_file
from mockserver.media.shape import Shape, shape_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.machinery import ModuleSpec

ROOT = Path(__file__).parents[2]
WAIT_S = 30.0

needs_pyav = pytest.mark.skipif(
    importlib.util.find_spec("av") is None, reason="PyAV is not installed, nothing to encode with"
)


@dataclass(frozen=True, slots=True)
class Probe:
    """What PyAV finds in a file."""

    duration_s: float
    codecs: tuple[str, ...]
    width_px: int = 0
    height_px: int = 0
    pixel_format: str = ""
    frames: int = 0
    sample_rate_hz: int = 0
    channels: int = 0
    stream_lengths_s: tuple[float, ...] = ()


def probe(path: Path) -> Probe:
    """Read a file through, frame by frame."""
    import av

    with av.open(str(path)) as found:
        assert found.duration is not None
        codecs = tuple(stream.codec_context.name for stream in found.streams)
        lengths_s = tuple(float((stream.duration or 0) * (stream.time_base or 0)) for stream in found.streams)
        sound = found.streams.audio[0].codec_context
        seen = Probe(
            found.duration / 1_000_000,
            codecs,
            sample_rate_hz=sound.sample_rate,
            channels=sound.layout.nb_channels,
            stream_lengths_s=lengths_s,
        )
        if not found.streams.video:
            return seen
        video = found.streams.video[0]
        return Probe(
            seen.duration_s,
            codecs,
            video.width,
            video.height,
            video.pix_fmt or "",
            sum(1 for _ in found.decode(video)),
            seen.sample_rate_hz,
            seen.channels,
            lengths_s,
        )


@dataclass(slots=True)
class Bench:
    """A stand-in for the encoder: counts, waits where told, fails where told."""

    made: Counter[str] = field(default_factory=Counter)
    failing: set[str] = field(default_factory=set)
    started: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    busy: int = 0
    most_busy: int = 0
    threads: set[int] = field(default_factory=set)

    def make(self, shape: Shape, path: Path, _stop: threading.Event) -> None:
        """Write the file's own name as its content."""
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        self.threads.add(threading.get_ident())
        self.made[shape.file_name] += 1
        self.started.set()
        try:
            assert self.go_on.wait(WAIT_S)
            path.write_text(shape.file_name)
            if shape.file_name in self.failing:
                message = "the disk is full"
                raise OSError(message)
        finally:
            self.busy -= 1


@pytest.fixture
def media_cache() -> Iterator[MediaCache]:
    """Give a cache with the real encoder, closed at the end."""
    media_cache = MediaCache()
    yield media_cache
    media_cache.close()


@pytest.fixture
def bench() -> Bench:
    """Give an encoder stand-in that goes on at once."""
    bench = Bench()
    bench.go_on.set()
    return bench


@pytest.fixture
def bench_media_cache(bench: Bench) -> Iterator[MediaCache]:
    """Give a cache of two places which the stand-in fills."""
    media_cache = MediaCache(most_kept=2, encode=bench.make)
    yield media_cache
    bench.go_on.set()
    media_cache.close()


@pytest.fixture
def without_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the finder find no PyAV."""
    find_spec = importlib.util.find_spec

    def blind(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "av" else find_spec(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", blind)


def wav(number: int) -> Shape:
    """Give one of many small shapes."""
    return Shape("audio/wav", float(number), 0, 0)


async def until_started(bench: Bench) -> None:
    """Wait for the worker to have begun, leaving the loop free."""
    assert await asyncio.to_thread(bench.started.wait, WAIT_S)


# ------------------------------------------------------------------ shapes


@for_each(
    ("short_side_px", "ratio", "size"),
    [
        (720, "16:9", (1280, 720)),
        (720, "9:16", (720, 1280)),
        (1080, "16:9", (1920, 1080)),
        (2160, "16:9", (3840, 2160)),
        (480, "16:9", (854, 480)),
        (720, "1:1", (720, 720)),
        (720, "4:3", (960, 720)),
        (720, "3:4", (720, 960)),
        (720, "21:9", (1680, 720)),
        (540, "2.39:1", (1290, 540)),
        (405, " 1280x720 ", (720, 404)),
    ],
)
def test_short_side_and_ratio_give_even_sides(short_side_px: int, ratio: str, size: tuple[int, int]) -> None:
    """A short side and a ratio become the size that video services mean by them."""
    shape = shape_of("video/mp4", 5, short_side_px, ratio)
    assert (shape.width_px, shape.height_px) == size


@for_each(
    ("values", "complaint"),
    [
        (("avi", 5.0, 720, "16:9"), "media must be"),
        (("video/mp4", 0.0, 720, "16:9"), "duration_s"),
        (("video/mp4", float("nan"), 720, "16:9"), "duration_s"),
        (("audio/wav", 1e9, 0, ""), "duration_s"),
        (("video/mp4", 5.0, 720, "wide"), "ratio"),
        (("video/mp4", 5.0, 720, "0:0"), "ratio"),
        (("video/mp4", 5.0, 720, "16:0"), "ratio"),
        (("video/mp4", 5.0, 720, "100:1"), "ratio"),
        (("video/mp4", 5.0, 720, "9" * 400 + ":" + "9" * 400), "ratio"),
        (("video/mp4", 5.0, 0, "16:9"), "short_side_px"),
        (("video/mp4", 5.0, float("nan"), "16:9"), "short_side_px"),
        (("video/mp4", 5.0, 8192, "16:9"), "a side must"),
    ],
)
def test_nonsense_is_refused_in_clear_words(values: tuple[str, float, float, str], complaint: str) -> None:
    """What cannot be made is refused with a message that names the value at fault."""
    with pytest.raises(ValueError, match=complaint):
        shape_of(*values)


def test_sound_has_no_size() -> None:
    """Sound ignores side and ratio, and a sized sound is refused."""
    assert shape_of("audio/mp4", 3, 720, "nonsense") == Shape("audio/mp4", 3, 0, 0)
    with pytest.raises(ValueError, match="no width or height"):
        Shape("audio/mp4", 3, 640, 0)


def test_file_names_are_stable_and_tell_shapes_apart() -> None:
    """Each shape has a safe name of its own, the same on every run."""
    names = [
        Shape("video/mp4", 5, 1280, 720).file_name,
        Shape("video/mp4", 5, 720, 1280).file_name,
        Shape("video/mp4", 5.04, 1280, 720).file_name,
        Shape("audio/mp4", 5, 0, 0).file_name,
        Shape("audio/wav", 5, 0, 0).file_name,
    ]
    assert names == [
        "video-1280x720-5000ms.mp4",
        "video-720x1280-5000ms.mp4",
        "video-1280x720-5040ms.mp4",
        "audio-5000ms.m4a",
        "audio-5000ms.wav",
    ]


# ------------------------------------------------------------- real encoding


@pytest.mark.slow
@needs_pyav
@pytest.mark.parametrize(
    ("duration_s", "short_side_px", "ratio"),
    [
        (5.0, 720, "16:9"),
        (5.0, 720, "9:16"),
        (4.0, 1080, "16:9"),
        (4.0, 1080, "9:16"),
        (0.5, 2160, "16:9"),
        (2.0, 480, "1:1"),
        (6.02, 240, "4:3"),
        (0.1, 240, "16:9"),
        (30.0, 240, "16:9"),
    ],
)
async def test_video_is_what_was_asked_for(
    media_cache: MediaCache, duration_s: float, short_side_px: int, ratio: str
) -> None:
    """An MP4 has H.264 of the exact size, stereo AAC at 48 kHz, and the length asked for."""
    shape = shape_of("video/mp4", duration_s, short_side_px, ratio)
    seen = probe(await media_cache.file(shape))
    assert seen.codecs == ("h264", "aac")
    assert (seen.width_px, seen.height_px) == (shape.width_px, shape.height_px)
    assert seen.pixel_format == "yuv420p"
    assert (seen.sample_rate_hz, seen.channels) == (48_000, 2)
    assert seen.frames == round(duration_s * 24)
    assert seen.duration_s == pytest.approx(duration_s, abs=0.03)
    assert seen.stream_lengths_s == pytest.approx((duration_s, duration_s), abs=0.03)


@needs_pyav
async def test_index_comes_before_the_data(media_cache: MediaCache) -> None:
    """A player can start before the whole file has arrived (faststart)."""
    for shape in (Shape("video/mp4", 1, 320, 180), Shape("audio/mp4", 1, 0, 0)):
        content = (await media_cache.file(shape)).read_bytes()
        assert 0 < content.index(b"moov") < content.index(b"mdat")


@needs_pyav
async def test_picture_moves_and_starts_over(media_cache: MediaCache) -> None:
    """Frames differ from each other, and after two seconds the same loop is shown again."""
    import av

    path = await media_cache.file(Shape("video/mp4", 5, 320, 180))
    with av.open(str(path)) as found:
        frames = [bytes(frame.planes[0]) for frame in found.decode(found.streams.video[0])]
    assert len(set(frames[:48])) > 10
    assert frames[48:96] == frames[:48]
    assert frames[96:] == frames[:24]


@needs_pyav
async def test_a_player_can_seek(media_cache: MediaCache) -> None:
    """There is a key frame at each start of the loop, and its time stamp is right."""
    import av

    path = await media_cache.file(Shape("video/mp4", 5, 320, 180))
    with av.open(str(path)) as found:
        keys_s = [float(frame.time) for frame in found.decode(found.streams.video[0]) if frame.key_frame]
    assert keys_s == pytest.approx([0.0, 2.0, 4.0])


@needs_pyav
async def test_sound_file_is_aac(media_cache: MediaCache) -> None:
    """An audio/mp4 holds stereo AAC at 48 kHz of the length asked for, and no picture."""
    seen = probe(await media_cache.file(Shape("audio/mp4", 12.5, 0, 0)))
    assert seen.codecs == ("aac",)
    assert (seen.sample_rate_hz, seen.channels) == (48_000, 2)
    assert seen.duration_s == pytest.approx(12.5, abs=0.03)


@needs_pyav
async def test_tone_is_quiet_yet_there(media_cache: MediaCache) -> None:
    """The sound track is a soft tone, neither silence nor loud."""
    import av

    path = await media_cache.file(Shape("video/mp4", 2, 320, 180))
    with av.open(str(path)) as found:
        planes = [bytes(f.planes[0])[: 4 * f.samples] for f in found.decode(found.streams.audio[0])]
        loudest = max(abs(value) for plane in planes for value in memoryview(plane).cast("f"))
    assert 0.02 < loudest < 0.1


@pytest.mark.parametrize("duration_s", [0.1, 3.0, 7.25])
async def test_wav_is_read_by_the_standard_library(media_cache: MediaCache, duration_s: float) -> None:
    """An audio/wav is 16-bit stereo PCM of exactly the length asked for."""
    path = await media_cache.file(Shape("audio/wav", duration_s, 0, 0))
    with wave.open(str(path), "rb") as found:
        assert (found.getnchannels(), found.getsampwidth()) == (2, 2)
        assert found.getnframes() / found.getframerate() == pytest.approx(duration_s)
        assert any(found.readframes(100))


@pytest.mark.slow
@needs_pyav
@pytest.mark.parametrize(
    "values",
    ["'video/mp4', 3.0, 640, 360", "'audio/mp4', 3.0, 0, 0", "'audio/wav', 3.0, 0, 0"],
)
def test_same_shape_same_bytes_in_another_process(tmp_path: Path, values: str) -> None:
    """Two processes that make one shape write files alike to the byte and to the time stamp."""
    script = (
        "import asyncio, sys, pathlib\n"
        "from mockserver.media.cache import MediaCache\nfrom mockserver.media.shape import Shape\n"
        "cache = MediaCache(pathlib.Path(sys.argv[1]))\n"
        f"print(asyncio.run(cache.file(Shape({values}))))\n"
        "cache.close()\n"
    )
    paths = []
    for name in ("one", "two"):
        ran = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / name)],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )
        paths.append(Path(ran.stdout.strip()))
    one, two = paths
    assert one != two
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert digests[0] == digests[1]
    assert one.stat().st_mtime_ns == two.stat().st_mtime_ns


def test_importing_the_module_leaves_pyav_alone() -> None:
    """The encoder library is not loaded before something is encoded."""
    script = "import sys, mockserver.media.cache as m\nm.MediaCache().close()\nsys.exit('av' in sys.modules)\n"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=120)


# ------------------------------------------------------------------ shelving


async def test_one_shape_is_made_once(bench: Bench, bench_media_cache: MediaCache) -> None:
    """Callers at one time share a making, and later callers get the kept file."""
    bench.go_on.clear()

    waiting = [asyncio.create_task(bench_media_cache.file(wav(1))) for _ in range(20)]
    await until_started(bench)
    bench.go_on.set()
    (path,) = {*await asyncio.gather(*waiting), await bench_media_cache.file(wav(1))}
    assert path.read_text() == "audio-1000ms.wav"
    assert bench.made == {"audio-1000ms.wav": 1}


async def test_one_thread_makes_all_off_the_loop(bench: Bench, bench_media_cache: MediaCache) -> None:
    """Different shapes queue for a single worker, which is not the loop's thread."""
    await asyncio.gather(*(bench_media_cache.file(wav(number)) for number in range(1, 9)))
    assert bench.most_busy == 1
    assert len(bench.threads) == 1
    assert threading.get_ident() not in bench.threads
    assert bench.made.total() == 8


async def test_one_waiter_gone_leaves_the_others(bench: Bench, bench_media_cache: MediaCache) -> None:
    """Cancelling one waiter, even the first, lets the rest have their file."""
    bench.go_on.clear()

    async def ask() -> Path:
        first = asyncio.create_task(bench_media_cache.file(wav(1)))
        second = asyncio.create_task(bench_media_cache.file(wav(1)))
        await until_started(bench)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        bench.go_on.set()
        return await second

    assert (await ask()).is_file()
    assert bench.made.total() == 1


async def test_a_queued_making_survives_its_first_waiter(bench: Bench, bench_media_cache: MediaCache) -> None:
    """Cancelling the waiter of a making that has not begun does not take it off the queue."""
    bench.go_on.clear()

    async def ask() -> Path:
        ahead = asyncio.create_task(bench_media_cache.file(wav(1)))
        await until_started(bench)
        first = asyncio.create_task(bench_media_cache.file(wav(2)))
        second = asyncio.create_task(bench_media_cache.file(wav(2)))
        await asyncio.wait([first], timeout=0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        bench.go_on.set()
        await ahead
        return await second

    assert (await ask()).is_file()
    assert bench.made == {"audio-1000ms.wav": 1, "audio-2000ms.wav": 1}


async def test_all_waiters_gone_and_still_kept(bench: Bench, bench_media_cache: MediaCache) -> None:
    """A making whose every waiter left, loop and all, is finished and kept."""
    bench.go_on.clear()

    waiting = asyncio.create_task(bench_media_cache.file(wav(1)))
    await until_started(bench)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    bench.go_on.set()
    assert (await bench_media_cache.file(wav(1))).is_file()
    assert bench.made.total() == 1


async def test_the_longest_unused_makes_room(bench: Bench, bench_media_cache: MediaCache) -> None:
    """No more than the stated number of files stay, and the latest used ones do."""

    async def ask() -> list[Path]:
        first = await bench_media_cache.file(wav(1))
        second = await bench_media_cache.file(wav(2))
        await bench_media_cache.file(wav(1))
        third = await bench_media_cache.file(wav(3))
        return [first, second, third]

    first, second, third = await ask()
    assert sorted(first.parent.iterdir()) == sorted([first, third])
    assert not second.exists()
    await bench_media_cache.file(wav(2))
    assert bench.made["audio-2000ms.wav"] == 2
    assert bench.made["audio-1000ms.wav"] == 1


async def test_the_bound_holds_under_a_crowd(bench: Bench) -> None:
    """With one place only, many shapes asked for at once all succeed and one file stays."""
    media_cache = MediaCache(most_kept=1, encode=bench.make)

    paths = await asyncio.gather(*(media_cache.file(wav(number)) for number in range(1, 21)))
    assert sum(path.exists() for path in paths) == 1
    assert len(list(paths[0].parent.iterdir())) == 1
    media_cache.close()


async def test_an_error_is_raised_to_all_and_forgotten(bench: Bench, bench_media_cache: MediaCache) -> None:
    """A failed making reaches every waiter, leaves nothing behind, and is tried again."""
    bench.go_on.clear()
    bench.failing.add("audio-1000ms.wav")

    async def ask() -> list[Path | BaseException]:
        waiting = [asyncio.create_task(bench_media_cache.file(wav(1))) for _ in range(3)]
        await until_started(bench)
        bench.go_on.set()
        return await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(answer) for answer in await ask()] == [OSError] * 3
    bench.failing.clear()
    path = await bench_media_cache.file(wav(1))
    assert list(path.parent.iterdir()) == [path]
    assert bench.made["audio-1000ms.wav"] == 2


async def test_a_file_lost_from_disk_is_made_again(bench: Bench, bench_media_cache: MediaCache) -> None:
    """Someone clearing the directory costs a making, not an error."""
    (await bench_media_cache.file(wav(1))).unlink()
    assert (await bench_media_cache.file(wav(1))).is_file()
    assert bench.made["audio-1000ms.wav"] == 2


def test_a_directory_that_was_tidied_away_is_made_again(bench: Bench, bench_media_cache: MediaCache) -> None:
    """Deleting temporary files does not break a running server; closing still removes its folder."""
    directory = bench_media_cache.file_now(wav(1)).parent
    shutil.rmtree(directory)
    assert bench_media_cache.file_now(wav(1)).read_text() == wav(1).file_name
    assert bench.made[wav(1).file_name] == 2
    bench_media_cache.close()
    assert not directory.exists()


async def test_every_file_has_the_same_time_stamp(bench_media_cache: MediaCache) -> None:
    """The modification time does not depend on when a file was made."""
    stamps = {(await bench_media_cache.file(wav(n))).stat().st_mtime_ns for n in (1, 2)}
    assert stamps == {1_704_067_200_000_000_000}


async def test_a_given_directory_serves_the_next_run(tmp_path: Path, bench: Bench) -> None:
    """Files in a given directory outlive the cache, are used again, and count for the bound."""
    for _ in range(2):
        media_cache = MediaCache(tmp_path / "cache", most_kept=2, encode=bench.make)
        for number in (1, 2):
            kept = await media_cache.file(wav(number))
        media_cache.close()
    assert bench.made.total() == 2
    (kept.parent / "notes.txt").write_text("not ours")
    media_cache = MediaCache(tmp_path / "cache", most_kept=1, encode=bench.make)
    path = await media_cache.file(wav(3))
    media_cache.close()
    assert {found.name for found in path.parent.iterdir()} == {path.name, "notes.txt"}


def test_a_cache_without_room_is_refused() -> None:
    """A bound of nothing is a mistake that is named at once."""
    with pytest.raises(ValueError, match="most_kept"):
        MediaCache(most_kept=0)


# ------------------------------------------------------------------- closing


async def test_close_removes_its_own_directory(bench: Bench) -> None:
    """The temporary directory is gone after closing, which may be done twice."""
    media_cache = MediaCache(encode=bench.make)
    path = await media_cache.file(wav(1))
    media_cache.close()
    media_cache.close()
    assert not path.parent.exists()


async def test_close_sets_waiters_free(bench: Bench) -> None:
    """Closing waits for the making under way, and drops queued ones with a clear error."""
    bench.go_on.clear()
    media_cache = MediaCache(encode=bench.make)

    async def ask() -> tuple[Path, BaseException | Path]:
        running = asyncio.create_task(media_cache.file(wav(1)))
        await until_started(bench)
        queued = asyncio.create_task(media_cache.file(wav(2)))
        await asyncio.wait([queued], timeout=0)
        closing = asyncio.create_task(asyncio.to_thread(media_cache.close))
        (answer,) = await asyncio.gather(queued, return_exceptions=True)
        bench.go_on.set()
        await closing
        return await running, answer

    path, answer = await ask()
    assert path.name == "audio-1000ms.wav"
    assert isinstance(answer, MediaCacheClosedError)
    assert bench.made.total() == 1


async def test_a_closed_cache_says_so(bench: Bench) -> None:
    """Asking a closed cache is answered with an error that tells why."""
    media_cache = MediaCache(encode=bench.make)
    media_cache.close()
    with pytest.raises(MediaCacheClosedError, match="closed"):
        await media_cache.file(wav(1))


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(Shape("video/mp4", 600, 3840, 2160), marks=needs_pyav),
        pytest.param(Shape("audio/mp4", 600, 0, 0), marks=needs_pyav),
        Shape("audio/wav", 600, 0, 0),
    ],
)
def test_an_encoding_gives_up_when_told(tmp_path: Path, shape: Shape) -> None:
    """A long encoding stops at its next step once the cache is closing."""
    stop = threading.Event()
    stop.set()
    with pytest.raises(MediaCacheClosedError):
        write_file(shape, tmp_path / shape.file_name, stop)


# --------------------------------------------------------------- without PyAV


def clip(name: str) -> bytes:
    """Read a clip as it is shipped."""
    return (ROOT / "mockserver" / "media" / "clips" / name).read_bytes()


@pytest.mark.usefixtures("without_pyav")
@pytest.mark.parametrize(
    ("ratio", "name"),
    [
        ("16:9", "landscape.mp4"),
        ("21:9", "landscape.mp4"),
        ("9:16", "portrait.mp4"),
        ("2:3", "portrait.mp4"),
        ("1:1", "square.mp4"),
        ("5:4", "square.mp4"),
    ],
)
async def test_the_nearest_clip_stands_in(media_cache: MediaCache, ratio: str, name: str) -> None:
    """Without PyAV a video is the shipped clip of the nearest proportions."""
    path = await media_cache.file(shape_of("video/mp4", 8, 720, ratio))
    assert path.read_bytes() == clip(name)
    assert path.stat().st_mtime_ns == 1_704_067_200_000_000_000


@pytest.mark.usefixtures("without_pyav")
async def test_sound_without_pyav(media_cache: MediaCache) -> None:
    """Without PyAV an audio/mp4 is the shipped tone, and a WAV still has its real length."""
    path = await media_cache.file(Shape("audio/mp4", 8, 0, 0))
    assert path.read_bytes() == clip("tone.m4a")
    with wave.open(str(await media_cache.file(Shape("audio/wav", 8, 0, 0))), "rb") as found:
        assert found.getnframes() == 8 * 48_000


@needs_pyav
async def test_stand_ins_do_not_outlive_the_installing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kept directory filled without PyAV is not used once PyAV is there."""
    shape = Shape("video/mp4", 1, 320, 180)
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda *_: None)
        media_cache = MediaCache(tmp_path)
        assert (await media_cache.file(shape)).read_bytes() == clip("landscape.mp4")
        media_cache.close()
    media_cache = MediaCache(tmp_path)
    assert probe(await media_cache.file(shape)).frames == 24
    media_cache.close()


@needs_pyav
@pytest.mark.parametrize(("name", "shape"), READY_MADE)
def test_shipped_clips_play(name: str, shape: Shape) -> None:
    """Each shipped clip is a small playable file of the shape it is listed with."""
    path = ROOT / "mockserver" / "media" / "clips" / name
    seen = probe(path)
    assert (seen.width_px, seen.height_px) == (shape.width_px, shape.height_px)
    assert seen.duration_s == pytest.approx(shape.duration_s, abs=0.03)
    assert seen.codecs == (("h264", "aac") if shape.media == "video/mp4" else ("aac",))
    assert path.stat().st_size < 20_000


@pytest.mark.slow
@needs_pyav
def test_the_script_writes_every_clip(tmp_path: Path) -> None:
    """The function behind `python -m mockserver.media.encode` writes each listed clip."""
    write_clips(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {name for name, _ in READY_MADE}
    assert all(path.stat().st_size > 1000 for path in tmp_path.iterdir())
