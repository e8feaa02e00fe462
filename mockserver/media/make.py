"""Writes the ready-made clips again: `python -m mockserver.media.make`.

Needs PyAV. Run it after the video or the tone of `mockserver.media.encode` has changed.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from mockserver.media.encode import READY_MADE, encode


def write_clips(directory: Path) -> list[Path]:
    """Write every ready-made clip to the directory; return their paths."""
    written = []
    for name, shape in READY_MADE:
        encode(shape, directory / name, threading.Event())
        written.append(directory / name)
    return written


def main() -> None:
    """Write the clips to `clips/` and print their sizes."""
    try:
        clips = write_clips(Path(__file__).with_name("clips"))
    except ImportError as error:
        sys.exit(f"PyAV is needed to make the clips: {error}")
    for clip in clips:
        sys.stdout.write(f"{clip}: {clip.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
