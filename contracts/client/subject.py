"""The client under test.

A Python client is a class that takes a `Setting`, with one or two methods:

    class MyClient:
        def __init__(self, setting):                    the base URL, the key, the callback URL
            ...
        async def generate(self, prompt) -> bytes:      one video, from submit to file; raises if it fails
            ...
        async def handle_callback(self, headers, body) -> int:      optional: the status to answer with
            ...

Both may also be `def`: then they run in threads. If there is an `aclose` or a `close`, it is called at the end.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from contracts.client.virtual_time.patches import loaded_for_virtual_time
from mockserver.engine.signing import old_secret_of
from mockserver.engine.state import ProviderState
from mockserver.provider import Provider


class SubjectError(ValueError):
    """The client cannot be found or created; the message says why."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a client receives."""

    provider: str
    base_url: str
    api_key: str
    #: The address of `handle_callback`; None if the client has to poll.
    callback_url: str | None = None
    callback_secret: str | None = None
    #: The secret before that one. It is no longer valid: a callback that it signs is forged.
    callback_old_secret: str | None = None

    @classmethod
    def of(cls, provider: Provider, base_url: str, callback_url: str | None = None) -> Setting:
        """Return the setting for a provider's clients, with its webhook secret if they receive callbacks."""
        signature = None if provider.callbacks is None else provider.callbacks.signature
        secret = None if signature is None or callback_url is None else signature.default_secret
        old = None if secret is None else old_secret_of(secret, signature)
        return cls(provider.name, base_url, provider.key.example, callback_url, secret, old)


def give_address(state: ProviderState, callback_url: str, now_ms: int) -> None:
    """Give the clients' account its callback address, where a submit has no field for one."""
    callbacks = state.provider.callbacks
    if callbacks is not None and not callbacks.url_keys:
        state.account(state.provider.key.example, now_ms).webhook_url = callback_url


@runtime_checkable
class Client(Protocol):
    """A client, sync or async."""

    def generate(self, prompt: str) -> Awaitable[Any] | Any:
        """Make one video; return its bytes (or anything), or raise."""


#: Takes headers (names in lower case) and the raw body; returns the status to answer with.
HandleCallback = Callable[[Mapping[str, str], bytes], "Awaitable[int] | int"]
#: Creates a client: its class, or a function.
Factory = Callable[[Setting], Any]


def load(name: str) -> Factory:
    """Find a client by `module:Name` or `path/to/file.py:Name`.

    Raises:
        SubjectError: it cannot be found or imported.
    """
    place, colon, attribute = name.rpartition(":")
    if not colon:
        raise SubjectError(f"{name!r} is not a client; write module:Name, or path/to/file.py:Name")
    try:
        with loaded_for_virtual_time():
            module = _from_file(Path(place)) if place.endswith(".py") else _from_path(place)
    except SubjectError:
        raise
    except (Exception, SystemExit) as error:
        raise SubjectError(f"cannot import {place}: {type(error).__name__}: {error}") from error
    found = getattr(module, attribute, None)
    if not callable(found):
        what = "is not callable" if hasattr(module, attribute) else "not found"
        raise SubjectError(f"{attribute} {what} in {place}; use the client's class, or a function that creates it")
    made: Factory = found
    return made


def _from_path(name: str) -> Any:
    if "" not in sys.path:
        sys.path.insert(0, "")
    return importlib.import_module(name)


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise SubjectError(f"{path}: file not found")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module
