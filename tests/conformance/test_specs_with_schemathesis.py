"""The specs against the server: schemathesis, every phase and every check, on a real port.

What it is told stands in schemathesis.toml, beside this file. Before it starts, each provider gets a task in
every state, whose ids it may draw; the clock stands still while it runs.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import orjson
import pytest

from mockserver.edge.admin import control_plane
from mockserver.spec.vocabulary import specs_directory
from support.edge import CALLBACK_FIELDS, OTHER_KEYS, PROVIDERS, Edge, serving

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HERE = Path(__file__).parent
SPECS = {
    "crun-gemini-omni.yaml": "crun",
    "evolink-gemini-omni-flash.yaml": "evolink",
    "googlegeminiomni.yaml": "googlegeminiomni",
    "toapis-gemini-omni.yaml": "toapis",
    "toapis-gemini-omni-flash.yaml": "toapis",
}
CONTROL_PLANE = Path(sys.modules["mockserver"].__path__[0]) / "edge" / "control-plane.yaml"
#: What schemathesis sends when it wants to be refused. Any well-formed key opens an account here, so this one
#: is revoked: the check of refused keys then holds for every operation.
WRONG_KEY = "SCHEMATHESIS-INVALID-VALUE"
PHASES = ("examples", "coverage", "fuzzing", "stateful")
#: Running tasks of the control plane's run, so that its commands find some that have not ended.
TASKS_TO_STEER = 60
PIXEL = bytes.fromhex("89504e470d0a1a0a0000000d49484452")


@dataclass(frozen=True, slots=True)
class Words:
    """What schemathesis may draw, by the name of its word list."""

    tasks: tuple[str, ...]
    accounts: tuple[str, ...] = ("none",)
    uploads: tuple[str, ...] = ("none",)
    names: tuple[str, ...] = ("none",)
    expiries: tuple[str, ...] = ("none",)
    signatures: tuple[str, ...] = ("none",)
    deliveries: tuple[str, ...] = ("none",)

    def write(self, folder: Path) -> None:
        """Write the lists as schemathesis reads them."""
        for name in self.__slots__:
            lines = [f"{orjson.dumps(word).decode()}\n" for word in getattr(self, name)]
            (folder / f"{name}.txt").write_text("".join(lines), encoding="utf-8")


async def _prepared(edge: Edge, name: str) -> Words:
    """Give the provider's working key tasks in every state, an upload, room in its plan; return what to draw."""
    account = edge.space(name).account(edge.provider(name).key.example, edge.mock.clock.now_ms)
    account.plan = replace(account.plan, requests_per_minute=None, requests_per_hour=None, concurrent_tasks=None)
    edge.mock.account(name).available_credits = 1e9
    if edge.provider(name).key.well_formed(WRONG_KEY):
        edge.mock.account(name, WRONG_KEY).revoke()
    steer = edge.mock.task
    running = await edge.submit(name)
    await edge.advance(15)
    await steer(running).hold()
    done = [await edge.submit(name, of=model) for model in edge.provider(name).models]
    for task_id in done:
        await steer(task_id).complete()
    failed = await edge.submit(name)
    await steer(failed).fail()
    tasks = [running, *done, failed]
    if edge.provider(name).lifecycle.cancellation is not None:
        tasks.append(await edge.submit(name))
        await steer(tasks[-1]).cancel()
    words = Words(tuple(tasks), (account.id,))
    links = [_link(await edge.query(name, task_id)) for task_id in done]
    signed = [dict(parse_qsl(urlsplit(link).query)) for link in links]
    if "Expires" in signed[0]:
        words = replace(
            words,
            expiries=(signed[0]["Expires"],),
            signatures=tuple(each["Signature"] for each in signed),
        )
    if edge.provider(name).uploads is not None:
        form = aiohttp.FormData()
        form.add_field("file", PIXEL, filename="pixel.png", content_type="image/png")
        reply = await edge.call("POST", edge.path_of(name, "upload"), headers=edge.key_headers(name), data=form)
        assert reply.status == 200, reply.body
        words = replace(words, uploads=(reply.json["fileId"],), names=(reply.json["fileName"],))
    return words


def _link(reply: Any) -> str:
    """Find the first link to a file in an answer."""
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, str) and value.startswith("http://"):
            found.append(value)
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(each)

    walk(reply.json)
    return found[0]


async def _judged(
    folder: Path, words: Words, spec: Path, url: str, users: Iterable[Mapping[str, str]], *more: str
) -> dict[str, Any]:
    """Run schemathesis in a folder of its own; return its report."""
    for name in ("schemathesis.toml", "schemathesis_hooks.py"):
        shutil.copy(HERE / name, folder)
    words.write(folder)
    headers = [[{"name": name, "value": value} for name, value in user.items()] for user in users]
    entries = [{"name": name, "fixedHeaders": fixed} for name, fixed in zip(("owner", "other"), headers, strict=True)]
    (folder / "users.json").write_bytes(orjson.dumps({"auth": entries}))
    report = folder / "report.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--no-color", "run", str(spec), "--url", url),
        *("--report-json-path", str(report), *more),
        cwd=folder,
        env={"PATH": "", "PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "COLUMNS": "160"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    found: dict[str, Any] = orjson.loads(report.read_bytes())
    print(output.decode())
    return found


def _complete(report: Mapping[str, Any]) -> None:
    """See that nothing was left out."""
    assert report["complete"] is True
    assert {name: phase["status"] for name, phase in report["phases"].items()} == dict.fromkeys(PHASES, "success")
    operations = report["operations"]
    assert operations["tested"] == operations["selected"] > 0
    assert (report["failures"], report["errors"]) == ([], [])


@pytest.mark.parametrize("file", SPECS)
def test_spec_and_server_agree(file: str, tmp_path: Path) -> None:
    """Whatever schemathesis makes of a spec, the server answers as the spec says."""
    name = SPECS[file]

    async def run() -> None:
        async with serving() as edge:
            words = await _prepared(edge, name)
            users = [edge.key_headers(name), edge.key_headers(name, OTHER_KEYS[name])]
            before = len(edge.mock.journal)
            report = await _judged(tmp_path, words, specs_directory() / file, edge.mock.url(name), users)
            _complete(report)
            assert len(edge.mock.journal) > before
            for operation in edge.provider(name).operations.values():
                wanted = 400 if operation.role == "decoy" else operation.status
                assert edge.mock.journal.count(operation=operation.id, status=wanted), operation.id
                print(
                    operation.id,
                    {
                        s: edge.mock.journal.count(operation=operation.id, status=s)
                        for s in range(200, 600)
                        if edge.mock.journal.count(operation=operation.id, status=s)
                    },
                )

    asyncio.run(run())
