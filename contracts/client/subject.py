"""The client under test.

A Python client is a class that takes a `Setting`, with one method (or two):

    class MyClient:
        def __init__(self, setting):                    where the API is, the key, where callbacks go
            ...
        async def generate(self, prompt) -> bytes:      one video, from submit to file; raises where it fails
            ...
        async def handle_callback(self, headers, body) -> int:      optional: the status to answer with
            ...

Both may be `def` as well: they run in threads then. Where there is an `aclose` or a `close`, it is called.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from mockserver.provider import Provider


class SubjectError(ValueError):
    """There is no client where one was named; the message says why."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a client is told."""

    provider: str
    base_url: str
    api_key: str
    #: Where callbacks reach `handle_callback`; None where the client is to poll.
    callback_url: str | None = None
    callback_secret: str | None = None

    @classmethod
    def of(cls, provider: Provider, base_url: str, callback_url: str | None = None) -> Setting:
        """Return what clients of a provider are told: its key, and its webhook secret where they are called back."""
        signature = None if provider.callbacks is None else provider.callbacks.signature
        secret = None if signature is None or callback_url is None else signature.default_secret
        return cls(provider.name, base_url, provider.key.example, callback_url, secret)


@runtime_checkable
class Client(Protocol):
    """A client, sync or async."""

    def generate(self, prompt: str) -> Awaitable[Any] | Any:
        """Make one video; return its bytes (or anything), or raise."""


#: Takes headers (names in lower case) and the raw body; returns the status to answer with.
HandleCallback = Callable[[Mapping[str, str], bytes], "Awaitable[int] | int"]
#: Makes a client: its class, or a function.
Factory = Callable[[Setting], Any]


def load(name: str) -> Factory:
    """Find a client by `module:Name` or `path/to/file.py:Name`.

    Raises:
        SubjectError: there is none.
    """
    place, colon, attribute = name.rpartition(":")
    if not colon:
        raise SubjectError(f"{name!r} is no client; write module:Name, or path/to/file.py:Name")
    try:
        module = _from_file(Path(place)) if place.endswith(".py") else _from_path(place)
    except SubjectError:
        raise
    except (Exception, SystemExit) as error:
        raise SubjectError(f"{place} cannot be imported: {type(error).__name__}: {error}") from error
    found = getattr(module, attribute, None)
    if not callable(found):
        what = "is not callable" if hasattr(module, attribute) else "is not there"
        raise SubjectError(f"{attribute} {what} in {place}; name the client's class, or a function that makes it")
    made: Factory = found
    return made


def _from_path(name: str) -> Any:
    if "" not in sys.path:
        sys.path.insert(0, "")
    return importlib.import_module(name)


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise SubjectError(f"{path}: there is no such file")
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
