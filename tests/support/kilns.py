"""Small specs of a test's own: the kiln with some of its text replaced, and a client of it."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mockserver.chance import Chance
from mockserver.engine.world import World, WorldRules
from mockserver.spec.catalog import load_providers
from mockserver.spec.check import check_files
from support.engine import KILN, Client

if TYPE_CHECKING:
    from mockserver.provider import Provider

TEXT = KILN.read_text(encoding="utf-8")
BASE_URL = "http://mock.test/kiln"
#: Changes of the kiln: a callback address is any text.
FREE_ADDRESS = ("address: {pattern: '^ftp:', maxLength: 5}", "address: {type: string}")
#: A submit waits as the client prefers.
PREFERS = ("        max_body_bytes: 4096\n", "        wait: {prefer_s: 60, at_most_s: 200}\n")
#: There is a stream of events.
EVENTS = (
    "  /quotes:\n",
    """\
  /pieces/{ticket}/course:
    parameters:
      - {name: ticket, in: path, required: true, schema: {type: string}}
    get:
      operationId: followPiece
      responses: {'200': {description: Its course}}
      x-mock:
        role: events
        task: $request.path.ticket
        event: $task.status
        every_s: 25
        last: '[DONE]'
        reply: {status: 200, body: {percent: $task.progress}, in: {glazed: {files: $task.result_urls}}}
  /quotes:
""",
)


def kiln_text(*changes: tuple[str, str]) -> str:
    """Return the kiln's spec with parts of its text replaced, each once."""
    text = TEXT
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


@cache
def kiln(*changes: tuple[str, str]) -> Provider:
    """Return the kiln with these changes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kiln.yaml"
        file.write_text(kiln_text(*changes), encoding="utf-8")
        return next(each for each in load_providers([file]) if each.name == "kiln")


def issues(*changes: tuple[str, str]) -> list[str]:
    """Return what is wrong with the kiln with these changes, each without its file: `LINE: …`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kiln.yaml"
        file.write_text(kiln_text(*changes), encoding="utf-8")
        return [str(each).removeprefix(f"{file}:") for each in check_files([file])]


def kiln_client(*changes: tuple[str, str], seed: int = 7) -> Client:
    """Return a client of the kiln with these changes, in a world in which nothing has happened."""
    world = World([kiln(*changes)], Chance(seed), WorldRules(), {"kiln": BASE_URL})
    return Client(world, "kiln")
