"""Sessions: worlds of their own in one server, so that tests that run side by side do not meet.

A session is named by the header X-Mock-Session, or by the path: /~NAME/evolink/v1/… leads into the session NAME.
The links that a session gives out carry its name, so that a client which follows them stays in it. It is
made when it is first named, and ends when it is dropped, or when nobody has used it for a while (wall time).
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from mockserver.clock import Wall
from mockserver.edge.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mockserver.provider import Provider
    from mockserver.settings import Settings

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SESSION_HEADER = "X-Mock-Session"
MOST_SESSIONS = 1000
IDLE_S = 900.0


class SessionError(ValueError):
    """A session cannot be had; the message says why."""

    status = 400
    code = "invalid_session"


class TooManySessionsError(SessionError):
    """There is no room for another."""

    status = 503
    code = "too_many_sessions"


class Sessions:
    """The named worlds of one server, beside its main one."""

    def __init__(
        self,
        settings: Settings,
        providers: Sequence[Provider],
        base_url: Callable[[str, str], str],
        wall: Wall = Wall(),  # noqa: B008 - it is frozen
    ) -> None:
        self._settings = replace(settings, journal=None)
        self._providers = providers
        self._base_url = base_url
        self._wall = wall
        self._wall_s = wall.monotonic_s
        self._runtimes: dict[str, Runtime] = {}
        self._used_s: dict[str, float] = {}
        #: Set while there are sessions.
        self.nonempty = asyncio.Event()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._runtimes))

    def idle_s(self, name: str) -> float:
        """Return how long ago a session was last used."""
        return self._wall_s() - self._used_s[name]

    def get(self, name: str) -> Runtime:
        """Return a session's world, made now if this is the first time that it is named.

        Raises:
            SessionError: the name is none, or there are too many sessions.
        """
        runtime = self._runtimes.get(name)
        if runtime is None:
            runtime = self._made(name)
        self._used_s[name] = self._wall_s()
        return runtime

    def known(self, name: str) -> Runtime | None:
        """Return a session's world, if there is one."""
        return self._runtimes.get(name)

    def name_of(self, runtime: Runtime) -> str | None:
        """Return the session whose world this is; None where it is no session's."""
        return next((name for name, each in self._runtimes.items() if each is runtime), None)

    def touch(self, runtime: Runtime) -> None:
        """Take note that somebody is looking at a world: while it is looked at, a session is in use."""
        for name, each in self._runtimes.items():
            if each is runtime:
                self._used_s[name] = self._wall_s()

    def _made(self, name: str) -> Runtime:
        if not NAME.fullmatch(name):
            raise SessionError(
                "a session's name is 1 to 100 letters, digits, dots, dashes and underscores, "
                "and begins with a letter or a digit"
            )
        if len(self._runtimes) >= MOST_SESSIONS:
            raise TooManySessionsError(
                f"there are {MOST_SESSIONS} sessions; drop one with DELETE /__admin/sessions/NAME, or let them idle"
            )
        urls = {provider.name: self._base_url(provider.name, name) for provider in self._providers}
        runtime = Runtime(self._settings, self._providers, urls, self._wall)
        runtime.start()
        self._runtimes[name] = runtime
        self.nonempty.set()
        return runtime

    async def drop(self, name: str) -> None:
        """End a session.

        Raises:
            KeyError: there is none of this name.
        """
        runtime = self._runtimes.pop(name)
        del self._used_s[name]
        if not self._runtimes:
            self.nonempty.clear()
        await runtime.close()

    async def drop_idle(self) -> None:
        """End the sessions that nobody has used for a while."""
        for name in list(self._runtimes):
            if name in self._runtimes and self.idle_s(name) > IDLE_S:  # while others ended, it may have been used
                await self.drop(name)

    async def close(self) -> None:
        """End all."""
        while self._runtimes:
            await self.drop(next(iter(self._runtimes)))
