"""Clocks in C, as clients see them: `time.time`, `datetime.now` and the like, however and whenever they were imported.

A client may hold a clock by name, as a default value, or inside a library. So the function itself is replaced: the
pointer in its definition, which CPython reads at each call. Threads that take no part get the real time. On other
Pythons, only what is looked up in `time` is replaced (see `patches`).
"""

from __future__ import annotations

import ctypes
import datetime as dt
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from contracts.client.virtual_time.parts import Part, part_of_thread

_VARARGS, _KEYWORDS, _NOARGS, _FAST = 0x01, 0x02, 0x04, 0x80
_CALL_FLAGS = _VARARGS | _KEYWORDS | _NOARGS | 0x08 | _FAST
_POINTER = ctypes.c_void_p
#: The arguments of a C function after its owner, by its flags.
_SIGNATURES: dict[int, tuple[Any, ...]] = {
    _NOARGS: (_POINTER,),
    _VARARGS: (_POINTER,),
    _FAST: (_POINTER, ctypes.c_ssize_t),
    _FAST | _KEYWORDS: (_POINTER, ctypes.c_ssize_t, _POINTER),
}


class _Definition(ctypes.Structure):
    """A PyMethodDef."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


def _definition_of(function: Any) -> _Definition:
    address = ctypes.c_void_p.from_address(id(function) + object.__basicsize__).value
    assert address is not None
    return _Definition.from_address(address)


def _object_at(address: int) -> Any:
    return ctypes.cast(address, ctypes.py_object).value


def _given(flags: int, raw: tuple[Any, ...]) -> tuple[list[Any], dict[str, Any]]:
    """Read the arguments of a call."""
    if flags == _NOARGS:
        return [], {}
    if flags == _VARARGS:
        return list(_object_at(raw[0])), {}
    names = _object_at(raw[2]) if len(raw) > 2 and raw[2] else ()
    values = [_object_at(each) for each in (_POINTER * (raw[1] + len(names))).from_address(raw[0])] if raw[0] else []
    return values[: raw[1]], dict(zip(names, values[raw[1] :], strict=True))


#: Returns a clock's value, from the function's owner and the arguments; None leaves the call to the real one.
_Replacement = Callable[..., Any]


class _Hook:
    """A C function that can be replaced."""

    def __init__(self, function: Any, replacement: _Replacement) -> None:
        self._definition = _definition_of(function)
        self._flags = self._definition.flags & _CALL_FLAGS
        self._replacement = replacement
        self._pointer = self._definition.function
        kind = ctypes.PYFUNCTYPE(ctypes.py_object, _POINTER, *_SIGNATURES[self._flags])
        self._real = kind(self._pointer or 0)
        self._kept = kind(self._call)  # must live as long as it may be called
        self._own_pointer = ctypes.cast(self._kept, _POINTER).value

    def _call(self, owner: int, *raw: Any) -> Any:
        try:
            part = part_of_thread()
            if part is not None:
                values, named = _given(self._flags, raw)
                out = self._replacement(part, owner, *values, **named)
                if out is not None:
                    return out
            return self._real(owner, *raw)
        except BaseException as error:  # noqa: BLE001 - C expects a value; the error is raised right after it
            kind = ctypes.py_object(type(error))
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(_ident()), kind)
            return None

    def put(self, *, on: bool) -> None:
        """Replace the function, or put it back."""
        self._definition.function = self._own_pointer if on else self._pointer


def _ident() -> int:
    from threading import get_ident  # noqa: PLC0415 - only after an error

    return get_ident()


def unix_s(part: Part) -> float:
    """Return the value of `time.time()`."""
    return float(part.loop.start_s + part.loop.now_s)


def _unix_ns(part: Part) -> int:
    return int(round(part.loop.start_s * 1_000_000_000) + part.loop.now_s * 1_000_000_000)


def _now(part: Part, owner: int, tz: Any = None) -> Any:
    return _object_at(owner).fromtimestamp(unix_s(part), tz)


def _utcnow(part: Part, owner: int) -> Any:
    return _object_at(owner).fromtimestamp(unix_s(part), dt.UTC).replace(tzinfo=None)


def _today(part: Part, owner: int) -> Any:
    return _object_at(owner).fromtimestamp(unix_s(part))


def _of_now(real: Callable[..., Any], most: int) -> _Replacement:
    """Return a function that gets the present as its last argument, if that was left out."""

    def shown(part: Part, _owner: int, *given: Any) -> Any:
        left_out = len(given) < most or given[-1] is None
        return real(*given[: most - 1], unix_s(part)) if left_out else None

    return shown


def _struct_of_now(real: Callable[..., Any], most: int) -> _Replacement:
    def shown(part: Part, _owner: int, *given: Any) -> Any:
        return real(*given, time.localtime(unix_s(part))) if len(given) < most else None

    return shown


def _clock(part: Part, _owner: int, which: int) -> float | None:
    if which == time.CLOCK_REALTIME:
        return unix_s(part)
    return part.loop.now_s if which in _MONOTONIC else None


def _clock_ns(part: Part, _owner: int, which: int) -> int | None:
    if which == time.CLOCK_REALTIME:
        return _unix_ns(part)
    return int(part.loop.now_s * 1_000_000_000) if which in _MONOTONIC else None


_MONOTONIC = {
    getattr(time, name) for name in ("CLOCK_MONOTONIC", "CLOCK_MONOTONIC_RAW", "CLOCK_BOOTTIME") if hasattr(time, name)
}


@cache
def _hooks() -> tuple[_Hook, ...]:
    if sys.implementation.name != "cpython":
        return ()

    def running_s(part: Part, _owner: int) -> float:
        return float(part.loop.now_s)

    def running_ns(part: Part, _owner: int) -> int:
        return int(part.loop.now_s * 1_000_000_000)

    wanted: list[tuple[Any, _Replacement]] = [
        (time.time, lambda part, _owner: unix_s(part)),
        (time.time_ns, lambda part, _owner: _unix_ns(part)),
        (time.monotonic, running_s),
        (time.monotonic_ns, running_ns),
        (time.perf_counter, running_s),
        (time.perf_counter_ns, running_ns),
        (time.gmtime, _of_now(time.gmtime, 1)),
        (time.localtime, _of_now(time.localtime, 1)),
        (time.ctime, _of_now(time.ctime, 1)),
        (time.asctime, _struct_of_now(time.asctime, 1)),
        (time.strftime, _struct_of_now(time.strftime, 2)),
        (dt.datetime.now, _now),
        (dt.datetime.utcnow, _utcnow),
        (dt.date.today, _today),
    ]
    if hasattr(time, "clock_gettime"):
        wanted += [(time.clock_gettime, _clock), (time.clock_gettime_ns, _clock_ns)]
    return tuple(_Hook(*each) for each in wanted if _definition_of(each[0]).flags & _CALL_FLAGS in _SIGNATURES)


def put_clocks(*, virtual: bool) -> None:
    """Replace the clocks, or put them back."""
    for hook in _hooks():
        hook.put(on=virtual)
