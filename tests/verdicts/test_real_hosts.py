"""Clients with the provider's `https` hosts hard-coded, in virtual time: they are judged as they are."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import requests
from click.testing import CliRunner
from support.tables import for_each
from support.traffic import providers

from contracts.cli import main
from contracts.client.catalogue import conditions
from contracts.client.in_process.runner import run_situation
from contracts.client.run import local_authority
from contracts.client.situations import Situation
from contracts.clients import GOOD, subject
from contracts.judge import judge_journal

if TYPE_CHECKING:
    import pytest

    from contracts.client.run import Run
    from contracts.client.subject import Factory, Setting

API = "https://api.evolink.ai"
BODY: dict[str, Any] = {"model": "gemini-omni-flash-text-to-video", "duration": 6}
#: Made before any run, as a module's own would be.
CONTEXT = ssl.create_default_context()


class _Client:
    def __init__(self, setting: Setting) -> None:
        self.headers = {"Authorization": f"Bearer {setting.api_key}"}


class OfAiohttp(_Client):
    """aiohttp."""

    async def generate(self, prompt: str) -> bytes:
        async with aiohttp.ClientSession(raise_for_status=True) as http:
            async with http.post(
                f"{API}/v1/videos/generations", json={**BODY, "prompt": prompt}, headers=self.headers
            ) as answer:
                task = await answer.json()
            while task["status"] != "completed":
                await asyncio.sleep(5)
                async with http.get(f"{API}/v1/tasks/{task['id']}", headers=self.headers) as answer:
                    task = await answer.json()
            async with http.get(task["results"][0]) as answer:
                return await answer.read()


class OfHttpx(_Client):
    """An async client of httpx."""

    async def generate(self, prompt: str) -> bytes:
        async with httpx.AsyncClient(verify=CONTEXT, timeout=60) as http:
            answer = await http.post(
                f"{API}/v1/videos/generations", json={**BODY, "prompt": prompt}, headers=self.headers
            )
            task = answer.json()
            while task["status"] != "completed":
                await asyncio.sleep(5)
                task = (await http.get(f"{API}/v1/tasks/{task['id']}", headers=self.headers)).json()
            return (await http.get(task["results"][0])).content


class OfRequests(_Client):
    """requests, in a thread."""

    def generate(self, prompt: str) -> bytes:
        with requests.Session() as http:
            answer = http.post(
                f"{API}/v1/videos/generations", json={**BODY, "prompt": prompt}, headers=self.headers, timeout=60
            )
            task = answer.json()
            while task["status"] != "completed":
                time.sleep(5)
                task = http.get(f"{API}/v1/tasks/{task['id']}", headers=self.headers, timeout=60).json()
            return http.get(task["results"][0], timeout=60).content


class OfUrllib(_Client):
    """urllib, in a thread: a connection for each request."""

    def ask(self, url: str, body: Any = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        own = {"Content-Type": "application/json", **self.headers} if "/v1/" in url else {}
        with urllib.request.urlopen(urllib.request.Request(url, data, own), timeout=60, context=CONTEXT) as answer:
            return bytes(answer.read())

    def generate(self, prompt: str) -> bytes:
        task = json.loads(self.ask(f"{API}/v1/videos/generations", {**BODY, "prompt": prompt}))
        while task["status"] != "completed":
            time.sleep(5)
            task = json.loads(self.ask(f"{API}/v1/tasks/{task['id']}"))
        return self.ask(task["results"][0])


class InALoopOfItsOwn(OfAiohttp):
    """aiohttp, in an event loop of its own in a thread: with real sockets."""

    def generate(self, prompt: str) -> bytes:  # type: ignore[override]
        async def generate() -> bytes:
            try:
                return await OfAiohttp.generate(self, prompt)
            finally:
                await asyncio.sleep(60)  # connections of TLS are closed a while later

        return asyncio.run(generate())


CLIENTS = [OfAiohttp, OfHttpx, OfRequests, OfUrllib, InALoopOfItsOwn]


def run(client: Factory, *met: str, provider: str = "evolink", jobs: int = 1) -> Run:
    """Let a client meet a situation."""
    menu = {each.name: each for each in conditions(providers()[provider], callbacks=False)}
    situation = Situation(provider, tuple(menu[each] for each in met), jobs, False, 0)
    return run_situation(client, providers()[provider], situation)


@for_each("client", CLIENTS)
def test_each_library(client: Factory) -> None:
    """Its requests reach the mock, links lead to the real host over https, and the same run gives the same journal."""
    first, again = run(client), run(client)
    assert [(job.ended, job.size_bytes) for job in first.journal.jobs] == [("returned", 80_600)]
    assert (first.unknown_addresses, first.untested) == ((), "")
    assert {each.header("Host") for each in first.journal.exchanges} == {"api.evolink.ai"}
    assert all(f'"{API}/files/' in (each.answer_body or "") for each in first.journal.exchanges if _ended(each))
    assert (first.journal.records, first.journal.jobs) == (again.journal.records, again.journal.jobs)


@for_each("client", [OfAiohttp, OfHttpx])
def test_several_jobs(client: Factory) -> None:
    """Jobs at once in one loop give the same journal again, to the byte and the connection."""
    first, again = run(client, jobs=3), run(client, jobs=3)
    assert {job.ended for job in first.journal.jobs} == {"returned"}
    assert first.journal == again.journal


def _ended(exchange: Any) -> bool:
    return '"completed"' in (exchange.answer_body or "")


@for_each("client", CLIENTS)
def test_slow_answers(client: Factory) -> None:
    """An answer that takes a while takes virtual time; a client's own limit ends it in virtual time."""
    began_s = time.monotonic()
    found = run(client, "query slow")
    held = run(client, "poll held open for an hour")
    assert time.monotonic() - began_s < 15
    (job,), (other,) = found.journal.jobs, held.journal.jobs
    assert job.ended_ms - job.started_ms > 65_000
    assert other.ended == "raised", other
    assert "imeout" in other.said or "timed out" in other.said, other.said


BREAKING = [
    *("connection reset: within_body", "answer truncated", "answer to the submit lost", "invalid chunking"),
    *("query redirected to another host", "file truncated: once", "link to an unknown host"),
]


@for_each(("name", "breaks"), [("evolink", BREAKING), ("googlegeminiomni", [])])
def test_good_clients(name: str, breaks: list[str]) -> None:
    """A good client keeps every rule at its provider's real host, where connections break as well."""
    host = providers()[name].main_host

    def made(setting: Setting) -> Any:
        return subject(GOOD[name])(replace(setting, base_url=f"https://{host}"))

    for met in ([], *([each] for each in breaks)):
        found = run(made, *met, provider=name)
        violated = [each.clause.id for each in judge_journal(found.journal) if each.judgement == "violated"]
        assert (met, violated, found.untested, found.hangs) == (met, [], "", False)


@for_each(
    ("url", "stray"),
    [
        ("https://api.example.com/v1/tasks", "api.example.com:443"),
        ("https://api.crun.ai/v1/tasks", "api.crun.ai:443"),
        ("https://198.51.100.7/v1/tasks", "198.51.100.7:443"),
    ],
)
@for_each("blocking", [False, True])
def test_other_hosts(url: str, stray: str, blocking: bool) -> None:
    """Any other host is refused and recorded, another provider's too."""

    class Elsewhere(_Client):
        async def generate(self, prompt: str) -> bytes:
            async with aiohttp.ClientSession() as http, http.get(url) as answer:
                return await answer.read()

    class ElsewhereInAThread(_Client):
        def generate(self, prompt: str) -> bytes:
            return requests.get(url, timeout=5).content

    found = run(ElsewhereInAThread if blocking else Elsewhere)
    assert found.unknown_addresses == (stray,)
    assert found.journal.exchanges == ()


def test_plain_http() -> None:
    """A client that has `http://` hard-coded reaches the mock as well; its links are the real host's."""

    class Plain(_Client):
        async def generate(self, prompt: str) -> str:
            async with aiohttp.ClientSession(headers=self.headers) as http:
                url = f"{API.replace('https', 'http')}/v1/videos/generations"
                task = await (await http.post(url, json={**BODY, "prompt": prompt})).json()
                await asyncio.sleep(100)
                answer = await http.get(f"{API}:443/v1/tasks/{task['id']}")
                return str((await answer.json())["results"][0])

    found = run(Plain)
    assert [each.status for each in found.journal.exchanges] == [200, 200]
    assert found.journal.jobs[0].ended == "returned"


def test_verification() -> None:
    """A mocked host has a certificate for its own name alone; the CA is this process's, and put into no context."""

    class Mistaken(_Client):
        async def generate(self, prompt: str) -> bytes:
            async with aiohttp.ClientSession() as http:
                answer = await http.get(f"{API}/v1/credits", server_hostname="api.example.com")
                return await answer.read()

    before = CONTEXT.cert_store_stats()
    (job,) = run(Mistaken).journal.jobs
    assert job.ended == "raised"
    assert "SSL" in job.said
    assert CONTEXT.cert_store_stats() == before
    assert local_authority().directory.name.startswith("contracts-ca-")


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`contracts run --client` judges such a client; what else it tried to reach is in the notes."""
    monkeypatch.chdir(tmp_path)
    Path("hard_coded.py").write_text(
        "import requests\n"
        "class Client:\n"
        "    def __init__(self, setting): pass\n"
        "    def generate(self, prompt):\n"
        "        body = {'model': 'gemini-omni-flash-text-to-video', 'prompt': prompt}\n"
        "        headers = {'Authorization': 'Bearer sk-evolink-mock-key'}\n"
        "        url = 'https://api.evolink.ai/v1/videos/generations'\n"
        "        requests.post(url, json=body, headers=headers, timeout=60)\n"
        "        requests.get('https://telemetry.example.com/ping', timeout=5)\n",
        encoding="utf-8",
    )
    Path("calm.yaml").write_text("scenario: calm\ntimeline: []\n", encoding="utf-8")
    words = ["run", "--provider", "evolink", "--client", "hard_coded.py:Client", "--scenario", "calm.yaml"]
    done = CliRunner().invoke(main, words)
    assert "no request of this client" not in done.output
    assert "POST /v1/videos/generations -> 200" in done.output
    assert "note: the client tried to reach telemetry.example.com:443, where nothing listens" in done.output
