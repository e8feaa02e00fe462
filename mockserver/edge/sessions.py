"""Sessions: isolated state within one server, so that parallel tests do not affect each other.

The header X-Mock-Session names a session, or the path does: /~NAME/evolink/v1/… is the session NAME. Links in
its answers contain the name, so a client that follows them stays in the session. A session is created when it is
first named; it ends when it is dropped, or after `IDLE_S` of wall time without use.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from multidict import istr

from mockserver.clock import Wall
from mockserver.edge.metrics import Metrics
from mockserver.edge.runtime import Runtime
from mockserver.engine.course import Recording
from mockserver.provider import Provider
from mockserver.settings import Settings

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SESSION_HEADER = istr("X-Mock-Session")
IDLE_S = 900.0
#: A session that was not used for so long makes room for a new one, where there are as many as may be.
MAKES_ROOM_S = 60.0


class SessionError(ValueError):
    """A session cannot be created; the message says why. It is answered with `status` and `code`."""

    def __init__(self, message: str, status: int = 400, code: str = "invalid_session") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Sessions:
    """The named sessions of one server."""

    def __init__(
        self,
        settings: Settings,
        providers: Sequence[Provider],
        base_url: Callable[[str, str], str],
        wall: Wall = Wall(),  # noqa: B008 - it is frozen
        recordings: Mapping[str, Recording] = MappingProxyType({}),
        metrics: Metrics | None = None,
    ) -> None:
        self._settings = replace(settings, journal=None)
        self._providers = providers
        self._base_url = base_url
        self._wall = wall
        self._recordings = recordings
        self._metrics = metrics
        self._wall_s = wall.monotonic_s
        self._runtimes: dict[str, Runtime] = {}
        self._used_s: dict[str, float] = {}
        #: The server is being stopped.
        self.closing = False
        self._closing: set[asyncio.Task[None]] = set()
        #: Set while a session exists.
        self.nonempty = asyncio.Event()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._runtimes))

    def idle_s(self, name: str) -> float:
        """Return how many seconds of wall time ago a session was last used."""
        return self._wall_s() - self._used_s[name]

    def get(self, name: str) -> Runtime:
        """Return the runtime of a session; create the session if it does not exist.

        Raises:
            SessionError: the name is invalid, or too many sessions exist.
        """
        runtime = self._runtimes.get(name)
        if runtime is None:
            runtime = self._create(name)
        self._used_s[name] = self._wall_s()
        return runtime

    def known(self, name: str) -> Runtime | None:
        """Return the runtime of a session; None if it does not exist."""
        return self._runtimes.get(name)

    def name_of(self, runtime: Runtime) -> str | None:
        """Return the name of a runtime's session; None for the default session."""
        return next((name for name, each in self._runtimes.items() if each is runtime), None)

    def touch(self, runtime: Runtime) -> None:
        """Mark the session of a runtime as used now: a session that is watched does not expire."""
        if (name := self.name_of(runtime)) is not None:
            self._used_s[name] = self._wall_s()

    def _create(self, name: str) -> Runtime:
        if not NAME.fullmatch(name):
            raise SessionError(
                "a session name must be 1 to 100 letters, digits, dots, hyphens and underscores, "
                "and start with a letter or a digit"
            )
        evicted = self._make_room()
        urls = {provider.name: self._base_url(provider.name, name) for provider in self._providers}
        runtime = Runtime(self._settings, self._providers, urls, self._wall, self._recordings, self._metrics)
        runtime.world.evicted = evicted
        self._runtimes[name] = runtime
        self.nonempty.set()
        return runtime

    def _make_room(self) -> str:
        """Drop the session that was not used for longest, where there are as many as may be; return what was dropped.

        Raises:
            SessionError: all are in use.
        """
        most = self._settings.keep_sessions
        if len(self._runtimes) < most:
            return ""
        oldest = min(self._used_s, key=self._used_s.__getitem__)
        if self.idle_s(oldest) < MAKES_ROOM_S:
            message = f"too many sessions (at most {most}); drop one with DELETE /__admin/sessions/NAME"
            raise SessionError(message, 503, "too_many_sessions")
        closing = asyncio.get_running_loop().create_task(self._forget(oldest).close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        return f"session {oldest}"

    async def drop(self, name: str) -> None:
        """Drop a session.

        Raises:
            KeyError: no session has this name.
        """
        await self._forget(name).close()

    def _forget(self, name: str) -> Runtime:
        runtime = self._runtimes.pop(name)
        del self._used_s[name]
        if not self._runtimes:
            self.nonempty.clear()
        return runtime

    async def drop_idle(self) -> None:
        """Drop the sessions that were not used for `IDLE_S`."""
        for name in list(self._runtimes):
            if name in self._runtimes and self.idle_s(name) > IDLE_S:  # it may have been used meanwhile
                await self.drop(name)

    async def close(self) -> None:
        """Drop all sessions."""
        while self._runtimes:
            await self.drop(next(iter(self._runtimes)))
        await asyncio.gather(*self._closing)
