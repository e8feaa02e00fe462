"""Runs work in a process of its own, in namespaces of its own: a client that it starts reaches nothing but the mock."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import signal
import traceback
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar, cast

from mockserver.launch.namespaces import NamespaceError, check_platform, enter
from mockserver.launch.supervisor import end_with_parent

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, T]]


async def _nothing() -> None:
    return


def isolation_problem() -> str | None:
    """Say why this system does not allow it; None where it does."""
    try:
        asyncio.run(in_namespaces(_nothing))
    except NamespaceError as error:
        return str(error)
    return None


async def in_namespaces(work: Work[T]) -> T:
    """Run a coroutine function in a child of this process, in new namespaces; return its result.

    Raises:
        NamespaceError: the system does not allow it.
        RuntimeError: it has failed; the message is its traceback.
    """
    check_platform()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _work(work, writing)
    os.close(writing)
    reader, transport = await _reader(reading)
    try:
        content = await reader.read()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
        await reader.read()  # it stops what it has started
        raise
    finally:
        transport.close()
        os.waitpid(child, 0)  # noqa: ASYNC222 - it has said all, and ends
    kind, result = pickle.loads(content) if content else ("failed", "it was killed")  # noqa: S301 - of our own child
    if kind == "refused":
        raise NamespaceError(result)
    if kind == "failed":
        raise RuntimeError(f"in its own process: {result}")
    return cast("T", result)


async def _reader(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.BaseTransport]:
    reader, pipe = asyncio.StreamReader(), os.fdopen(descriptor, "rb")
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader, transport


def _work(work: Work[Any], writing: int) -> NoReturn:
    """Do the work, and write what comes of it: all of the child, which must never return to the parent's code."""
    try:
        signal.set_wakeup_fd(-1)  # that of the parent's loop
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to both: the parent tells
        try:
            enter()
            end_with_parent()
            out = ("done", asyncio.run(_until_told(work)))
        except NamespaceError as error:
            out = ("refused", str(error))
        except BaseException:  # noqa: BLE001 - the parent tells of it
            out = ("failed", traceback.format_exc())
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(out, pipe)
    finally:
        os._exit(0)


async def _until_told(work: Work[T]) -> T:
    """Do the work; TERM cancels it."""
    task = asyncio.ensure_future(work())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task
