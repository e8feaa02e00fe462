"""`mockserver demo`: one job for each document, from submit to downloaded file, with callbacks.

The demo is a generic client: it reads the compiled spec and the responses, and knows no provider. The receiver
refuses the first attempt of every callback, to show a retry.
"""

from __future__ import annotations

import asyncio
import hmac
import sys
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from mockserver.edge.build import start_server
from mockserver.engine.callbacks import signature_of
from mockserver.media.shape import mp4_duration_s
from mockserver.provider import UCR
from mockserver.terminal import fixed_clips

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

    from mockserver.edge.server import Server
    from mockserver.provider import Model, Operation, Provider
    from mockserver.settings import Settings

_POLL_EVERY_S = 5
_GIVE_UP_AFTER_S = 600
_RECEIVER_PATH = "/callbacks"
_HEADINGS = ("provider", "model", "states (s)", "credits", "file", "callback")
#: In a narrower terminal, one table of all jobs would break names.
_WIDE = 115


@dataclass(slots=True)
class Job:
    """One job of the demo, and its progress."""

    provider: Provider
    model: Model
    task_id: str = ""
    seen: list[tuple[str, float]] = field(default_factory=list)
    file_bytes: int = 0
    file_s: float = 0.0
    attempts: list[int] = field(default_factory=list)
    signature: str = "-"
    notified: asyncio.Event = field(default_factory=asyncio.Event)
    problem: str | None = None


class DemoError(Exception):
    """A job failed."""


async def run_demo(settings: Settings) -> int:
    """Run the demo; return the exit code."""
    server = await start_server(settings)
    jobs = [Job(provider, model) for provider in server.providers for model in _one_per_document(provider)]
    width = max(len(job.model.name) for job in jobs)
    try:
        print(f"mockserver is listening on {server.root_url}, at {settings.speed:g}x real time\n")  # noqa: T201
        async with _receiver(jobs) as callback_url, aiohttp.ClientSession() as session:
            await asyncio.gather(*(_drive(job, server, session, callback_url, width) for job in jobs))
        print_table(jobs, server)
        if (clips := fixed_clips()) is not None:
            print(clips)  # noqa: T201
    finally:
        await server.close()
    return 1 if any(job.problem for job in jobs) else 0


def _one_per_document(provider: Provider) -> Iterable[Model]:
    """Return the first model of each document that has an example."""
    first: dict[str, Model] = {}
    for model in provider.models.values():
        if model.example is not None:
            first.setdefault(model.document, model)
    return first.values()


async def _drive(job: Job, server: Server, session: aiohttp.ClientSession, callback_url: str, width: int) -> None:
    try:
        await asyncio.wait_for(_from_submit_to_file(job, server, session, callback_url), 50)
        done = f"{job.file_bytes:,} bytes" if job.file_bytes else "no file"
        line = f"{' > '.join(name for name, _ in job.seen)}, {done}"
    except (DemoError, aiohttp.ClientError, TimeoutError) as error:
        job.problem = str(error) or type(error).__name__
        line = f"failed: {job.problem}"
    print(f"  {job.provider.title:<21} {job.model.name:<{width}}  {line}", flush=True)  # noqa: T201


async def _from_submit_to_file(job: Job, server: Server, session: aiohttp.ClientSession, callback_url: str) -> None:
    provider = job.provider
    state, clock = server.runtime.world.providers[provider.name], server.runtime.clock
    base_url = server.base_url(provider.name)
    headers = provider.key.header_with(provider.key.example)
    assert job.model.example is not None
    body = dict(job.model.example)
    if provider.callbacks is not None:
        _put(body, provider.callbacks.url_keys, callback_url)
    submit = _operation(provider, "submit")
    started_ms = clock.now_ms()
    answer = await _json(session.post(base_url + submit.path, headers=headers, json=body))
    job.task_id = next((text for text in _strings(answer) if text in state.tasks), "")
    if not job.task_id:
        raise DemoError("the response to the submit contains no task id")
    url = base_url + _query_path(_operation(provider, "query"), job.task_id)
    link = None
    ends = provider.whole_lifecycle.ends
    while not job.seen or job.seen[-1][0] not in ends:
        if clock.now_ms() - started_ms > _GIVE_UP_AFTER_S * 1000:
            raise DemoError("the task did not end")
        answer = await _json(session.get(url, headers=headers))
        status = _find(answer, "status")
        if not job.seen or job.seen[-1][0] != status:
            job.seen.append((str(status), (clock.now_ms() - started_ms) / 1000))
        link = next((text for text in _strings(answer) if text.startswith(base_url)), None)
        await asyncio.sleep(_POLL_EVERY_S / server.settings.speed)
    if ends[job.seen[-1][0]].kind != "success" or link is None:
        raise DemoError(f"the task ended as {job.seen[-1][0]}")
    async with session.get(link) as response:
        content = await response.read()
        if response.status != 200 or len(content) != response.content_length:
            raise DemoError(f"the download returned {response.status} with {len(content)} bytes")
    job.file_bytes, job.file_s = len(content), mp4_duration_s(content) or 0.0
    if provider.callbacks is not None:
        await job.notified.wait()


def _operation(provider: Provider, role: str) -> Operation:
    return next(operation for operation in provider.operations.values() if operation.role == role)


def _query_path(operation: Operation, task_id: str) -> str:
    parameter = operation.parameters[0]
    if parameter.place == "path":
        return operation.path.replace(f"{{{parameter.name}}}", task_id)
    return f"{operation.path}?{parameter.name}={task_id}"


def _put(body: dict[str, Any], keys: tuple[str, ...], value: str) -> None:
    for key in keys[:-1]:
        body[key] = dict(body.get(key, {}))
        body = body[key]
    body[keys[-1]] = value


async def _json(request: AbstractAsyncContextManager[aiohttp.ClientResponse]) -> Any:
    async with request as response:
        answer = await response.json()
        if not response.ok:
            raise DemoError(f"{response.method} {response.url} returned {response.status}: {answer}")
        return answer


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)


def _find(value: Any, key: str) -> Any:
    """Return the first value under a key, at any depth."""
    if not isinstance(value, dict) or key in value:
        return value[key] if isinstance(value, dict) else None
    return next((found for each in value.values() if (found := _find(each, key)) is not None), None)


@asynccontextmanager
async def _receiver(jobs: list[Job]) -> AsyncIterator[str]:
    """Receive callbacks, and yield the URL for them: refuse the first attempt of each, then verify the signature."""

    async def receive(request: web.Request) -> web.Response:
        body = await request.read()
        job = next((job for job in jobs if job.task_id and job.task_id.encode() in body), None)
        status = 404 if job is None else _callback_status(job, body, request.headers)
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post(_RECEIVER_PATH, receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}{_RECEIVER_PATH}"
    finally:
        await runner.cleanup()


def _callback_status(job: Job, body: bytes, headers: Mapping[str, str]) -> int:
    """Return the status that answers a callback, and record the attempt."""
    if not job.attempts:
        job.attempts.append(503)
        return 503
    rule = job.provider.callbacks
    assert rule is not None
    if rule.signature is not None:
        expected = signature_of(rule.signature, rule.signature.default_secret, body)
        valid = hmac.compare_digest(headers.get(rule.signature.header, ""), expected)
        job.signature = "valid" if valid else "wrong"
        if not valid:
            job.problem = "wrong callback signature"
            return 401
    job.attempts.append(200)
    job.notified.set()
    return 200


def print_table(jobs: list[Job], server: Server) -> None:
    """Print what has become of the jobs, in one table, or where the terminal is too narrow in one for each."""
    from rich.console import Console  # noqa: PLC0415 - slow to load
    from rich.table import Table  # noqa: PLC0415

    console = Console(width=None if sys.stdout.isatty() else 120, markup=False, emoji=False)
    rows = [_row(job, server) for job in jobs]
    if console.width >= _WIDE:
        table = Table(title="\nOne job for each document, in mock time", title_justify="left")
        for heading in _HEADINGS:
            table.add_column(heading, overflow="fold", no_wrap=heading in ("provider", "model"))
        for row in rows:
            table.add_row(*row)
        console.print(table)
        return
    for row in rows:
        table = Table(show_header=False)
        for heading, value in zip(_HEADINGS, row, strict=True):
            table.add_row(heading, value)
        console.print(table)


def _row(job: Job, server: Server) -> tuple[str, ...]:
    _, task = server.runtime.world.find_task(job.task_id)
    return (
        job.provider.title,
        job.model.name,
        "\n".join(f"{name} {at_s:.0f}" for name, at_s in job.seen),
        f"{min(task.settles_ucr, task.reserved_ucr) / UCR:g}",
        f"{job.file_s:.1f} s\n{job.file_bytes:,} bytes",
        _callback_summary(job),
    )


def _callback_summary(job: Job) -> str:
    if job.provider.callbacks is None:
        return "none: it has polls only"
    attempts = ", ".join(str(status) for status in job.attempts)
    signature = "" if job.signature == "-" else f"\nsignature {job.signature}"
    return f"{len(job.attempts)} attempts\n({attempts}){signature}"
