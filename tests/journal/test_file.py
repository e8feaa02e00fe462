"""The journal's file: full disks, rotation, deletion, torn lines; and that it can be read whatever is in it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from contracts.journal import JournalError, read
from mockserver.journal import file as journal_file
from mockserver.journal.file import RETRY_S, SAID_AGAIN_S, JournalFile
from mockserver.spec.catalog import load_providers
from mockserver.testing.running import MockServer


class FullDisk:
    """A file on a disk that is full until space is made."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self.full = True

    def write(self, content: bytearray) -> int:
        """Write the first half of what comes, while there is space."""
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._file.write(content[: len(content) // 2 + 1])

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._file.fileno()

    def close(self) -> None:
        """Close."""
        self._file.close()


def test_a_full_disk_is_retried_and_said_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is lost while the disk is full: it is tried again every second, and said every minute."""
    now_s = 0.0
    path = tmp_path / "run.ndjson"
    file: Any = JournalFile(path, lambda: now_s)
    file.append(b"one\n")
    file._file.close()
    disk = file._file = FullDisk(path)
    for seconds in (1, 2, 3, SAID_AGAIN_S + 2):
        now_s = float(seconds)
        file.append(b"%d\n" % seconds)
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "No space left on device" in caplog.messages[0]
    disk.full = False
    file.append(b"")
    assert path.read_bytes() == b"one\n"
    now_s += RETRY_S
    file.append(b"last\n")
    file.close()
    assert path.read_bytes() == b"one\n1\n2\n3\n62\nlast\n"
    assert caplog.messages[-1] == "the journal file is written again"


def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it cannot be written, the newest whole lines are kept, and the rest is lost."""
    monkeypatch.setattr(journal_file, "MOST_WAITING_BYTES", 20)
    file: Any = JournalFile(tmp_path / "run.ndjson", lambda: 0.0)
    file._file.close()
    disk = file._file = FullDisk(tmp_path / "run.ndjson")
    for number in range(100):
        file.append(b"line %d\n" % number)
    disk.full = False
    file._retry_s = 0.0
    file.append(b"")
    assert (tmp_path / "run.ndjson").read_bytes() == b"line 98\nline 99\n"
    file.close()


@pytest.mark.parametrize("how", ["rotated", "deleted", "reopened"])
def test_a_file_that_goes_is_made_again(tmp_path: Path, how: str) -> None:
    """A file that was renamed or deleted is noticed at the next line; SIGHUP opens it again."""
    path = tmp_path / "run.ndjson"
    file = JournalFile(path)
    file.append(b"one\n")
    if how == "deleted":
        path.unlink()
    else:
        path.rename(tmp_path / "run.1")
    if how == "reopened":
        file.reopen()
    file.append(b"two\n")
    assert path.read_bytes() == b"two\n"
    file.close()


def test_a_torn_line_is_ended(tmp_path: Path) -> None:
    """What a crash left within a line does not spoil the next record."""
    path = tmp_path / "run.ndjson"
    path.write_bytes(b'{"seq":1')
    file = JournalFile(path)
    file.append(b"two\n")
    file.close()
    assert path.read_bytes() == b'{"seq":1\ntwo\n'


async def recorded(path: Path, prompt: str) -> None:
    """Record two submits."""
    async with MockServer(journal=path) as mock:
        import aiohttp

        url, headers = f"{mock.url('evolink')}/v1/videos/generations", {"Authorization": "Bearer sk-evolink-mock-key"}
        body = {"model": "gemini-omni-flash-text-to-video", "prompt": prompt}
        async with aiohttp.ClientSession() as http:
            for _ in range(2):
                async with http.post(url, json=body, headers=headers) as answer:
                    assert answer.status == 200


@pytest.mark.parametrize("prompt", ["a\u2028b", "a\u2029b", "a\u0085b", "a\x0b\x0c\x1c\x1d\x1eb", "風箏"])
async def test_our_own_journal_is_read(tmp_path: Path, prompt: str) -> None:
    """Only a line feed ends a line: whatever else a text contains, the journal is read."""
    path = tmp_path / "run.ndjson"
    await recorded(path, prompt)
    (journal,) = read(path, load_providers())
    assert len(journal.records) == 2


async def test_a_torn_journal_is_read(tmp_path: Path) -> None:
    """A record that was torn anywhere, within a character too, is left out; the others are read."""
    path = tmp_path / "run.ndjson"
    await recorded(path, "風箏")
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first + 8, len(whole) - 1, 7):
        path.write_bytes(whole[:cut] + b"\n" + whole[:first])
        (journal,) = read(path, load_providers())
        assert len(journal.records) == 2
        path.write_bytes(whole[:cut])
        (journal,) = read(path, load_providers())
        assert len(journal.records) == 1


ODD = [b"[]", b"{}", b"null", b"[" * 100_000, b'{"log": []}', b'{"log": {"entries": 7}}', b"\xff\xfe", b"x"]


@pytest.mark.parametrize("content", ODD, ids=range(len(ODD)))
def test_what_is_no_journal_is_said(tmp_path: Path, content: bytes) -> None:
    """Anything else is refused with the file's name."""
    path = tmp_path / "odd.har"
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"odd\.har"):
        read(path, load_providers())
