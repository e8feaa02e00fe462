"""Small files of many media types are what they say, at any size."""

from __future__ import annotations

import io
import json
import struct
import wave
import zipfile
from importlib.util import find_spec

import pytest

from mockserver.media.shape import LARGEST_SIDE_PX, PICTURES, Shape, fitting_shape
from mockserver.media.specimens import can_make, makeable, specimen

needs_pyav = pytest.mark.skipif(find_spec("av") is None, reason="needs PyAV")
SIZES = [(1, 1), (7, 3), (9, 1), (333, 77), (1280, 720), (721, 1279), (3000, 2000)]


@needs_pyav
@pytest.mark.parametrize("media", PICTURES)
def test_pictures_of_any_size(media: str) -> None:
    """A decoder sees one colour everywhere, and the size."""
    import av

    for width, height in SIZES:
        content = specimen(Shape(media, 1, width, height))
        with av.open(io.BytesIO(content), "r") as file:
            (frame,) = file.decode(video=0)
        assert (frame.width, frame.height) == (width, height)
        plane = frame.reformat(format="gray").planes[0]
        whole, line = bytes(plane), plane.line_size
        seen = {value for row in range(height) for value in set(whole[row * line : row * line + width])}
        assert seen <= {127, 128, 129}


@needs_pyav
@pytest.mark.parametrize("media", ["audio/mpeg", "audio/wav"])
def test_sounds_last_as_long_as_they_should(media: str) -> None:
    """To within a frame."""
    import av

    for seconds in (0.5, 2.0, 10.0):
        with av.open(io.BytesIO(specimen(Shape(media, seconds, 0, 0))), "r") as file:
            lasts_s = sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))
        assert lasts_s == pytest.approx(seconds, abs=0.05)


def test_other_files_open() -> None:
    """ZIP, JSON, WAV, GLB and PDF, by what reads them."""
    files = {media: specimen(fitting_shape(media, 1, 720, "16:9")) for media in makeable()}
    with zipfile.ZipFile(io.BytesIO(files["application/zip"])) as packed:
        assert packed.testzip() is None
        assert packed.namelist() == ["result.txt"]
    assert json.loads(files["application/json"])
    with wave.open(io.BytesIO(files["audio/wav"])) as sound:
        assert sound.getnframes() == sound.getframerate()
    magic, version, size = struct.unpack_from("<4sII", files["model/gltf-binary"])
    assert (magic, version, size) == (b"glTF", 2, len(files["model/gltf-binary"]))
    assert json.loads(files["model/gltf-binary"][20:])["asset"]["version"] == "2.0"
    table = files["application/pdf"].rpartition(b"startxref\n")[2].partition(b"\n")[0]
    assert files["application/pdf"][int(table) :].startswith(b"xref")
    assert files["text/vtt"].startswith(b"WEBVTT\n\n")
    assert all(files.values())


def test_what_can_be_made() -> None:
    """Every text and JSON; nothing else that is not known."""
    assert all(map(can_make, (*makeable(), "text/x-own", "application/own+json")))
    assert not can_make("video/webm")
    assert specimen(Shape("application/x-own", 1, 0, 0, b"own")) == b"own"
    names = {fitting_shape(media, 1, 720, "16:9").file_name for media in makeable()}
    assert len(names) == len(makeable())
    with pytest.raises(ValueError, match="a side must lie between"):
        Shape("image/png", 1, LARGEST_SIDE_PX + 1, 1)
