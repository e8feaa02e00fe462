"""A large document is read once, and then from the cache; what is in the cache never matters otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mockserver.spec import cache
from mockserver.spec.document import Document, SpecError
from mockserver.spec.loading import loaded

if TYPE_CHECKING:
    from pathlib import Path

LARGE = "a: {b: [1, 2.5, true, null, 'é', 2020-01-01]}\n" + "# a comment\n" * (cache.LEAST_LENGTH // 12)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the cache directory of the documents."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    return tmp_path / "mockserver" / "documents"


def counted(text: str) -> tuple[Any, int]:
    """Load a text through the cache; return what it is, and how often it was really read."""
    reads: list[str] = []

    def load(each: str) -> Any:
        reads.append(each)
        return loaded(each)

    return cache.cached(text, load), len(reads)


def test_a_large_document_is_read_once(folder: Path) -> None:
    """By its content, whatever the file is called."""
    data, reads = counted(LARGE)
    assert (data, reads) == (loaded(LARGE), 1)
    assert counted(LARGE) == (data, 0)
    assert Document.parse("other.yaml", LARGE).data == data
    assert counted(LARGE + "#")[1] == 1
    assert len(list(folder.iterdir())) == 2


def test_a_small_document_is_not_kept(folder: Path) -> None:
    """It is read as fast."""
    assert [counted("a: 1"), counted("a: 1")] == [({"a": 1}, 1)] * 2
    assert not folder.exists()


@pytest.mark.parametrize("number", ["c: .nan\n", "c: .inf\n", f"c: {10**30}\n"])
def test_what_json_cannot_hold_is_not_kept(folder: Path, number: str) -> None:
    """It would be another document."""
    counted(number + LARGE)
    assert not folder.exists() or not list(folder.iterdir())


def test_a_damaged_file_is_made_again(folder: Path) -> None:
    """And one that cannot be written keeps nothing from being read."""
    data, _ = counted(LARGE)
    (file,) = folder.iterdir()
    file.write_text("{", encoding="utf-8")
    assert counted(LARGE) == (data, 1)
    assert counted(LARGE) == (data, 0)
    file.unlink()
    folder.rmdir()
    folder.write_text("", encoding="utf-8")
    assert counted(LARGE) == (data, 1)


def test_few_are_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest."""
    monkeypatch.setattr(cache, "_MOST_KEPT", 2)
    for number in range(4):
        counted(f"{LARGE}# {number}\n")
    assert len(list(folder.iterdir())) == 2


def test_a_mistake_is_told_each_time(folder: Path) -> None:
    """It is no document, and not kept."""
    for _ in range(2):
        with pytest.raises(SpecError, match="duplicate key"):
            Document.parse("api.yaml", LARGE + "a: 1\n")
    assert not folder.exists()
