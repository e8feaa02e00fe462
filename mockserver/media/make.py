"""Write the ready-made clips of this folder anew: `python -m mockserver.media.make`.

Needs PyAV. Run it after the picture or the tone of `mockserver.edge.media` changed.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from mockserver.edge.media import READY_MADE, encode


def write_clips(directory: Path) -> list[Path]:
    """Write every shipped clip into the directory and return where they are."""
    written = []
    for name, shape in READY_MADE:
        encode(shape, directory / name, threading.Event())
        written.append(directory / name)
    return written


def main() -> None:
    """Write the clips next to this script and tell their sizes."""
    try:
        clips = write_clips(Path(__file__).parent)
    except ImportError as error:
        sys.exit(f"PyAV is needed to make the clips: {error}")
    for clip in clips:
        sys.stdout.write(f"{clip}: {clip.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
