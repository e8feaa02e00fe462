"""Result files that are made once for all servers: for the tests of a folder whose conftest imports these fixtures."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from mockserver.edge import server
from mockserver.media.cache import MediaCache

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def media_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of result files."""
    return tmp_path_factory.mktemp("shelf")


@pytest.fixture(autouse=True)
def one_media_cache(media_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every server keep its result files in the same folder."""
    monkeypatch.setattr(server, "MediaCache", partial(MediaCache, media_cache))
