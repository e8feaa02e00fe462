"""Faults: one per file, discovered by name.

To add one: write a file here with one frozen dataclass that derives from `mockserver.engine.faults.Fault`, with its
parameters as fields and the hooks that it needs (engine/faults.py lists them), and a test that shows it on the wire
(tests/faults/). The file's name is the fault's name. The control plane, the header X-Mock-Fault, the test values,
scenario files and the live page find it here.

`directives` reads fault requests from prompts and headers, `page` writes README.md, `support` holds what several
faults share.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from functools import cache
from typing import Any

from mockserver.engine.faults import Fault, InvalidFaultError

FAMILIES = ("answers", "transport", "meaning", "results", "callbacks")
_TYPES = {"int": int, "float": float, "str": str, "bool": bool}
_WORDS = {"int": "integer", "float": "number", "str": "string", "bool": "boolean"}
_NUMBER = re.compile(r"(-?[0-9]{1,15}(?:\.[0-9]{1,9})?(?:[eE][-+]?[0-9]{1,2})?)([smh]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_NOT_FAULTS = frozenset(("page", "directives"))


@cache
def all_faults() -> dict[str, type[Fault]]:
    """Return every fault by its name, family by family."""
    found: list[type[Fault]] = []
    for info in pkgutil.iter_modules(__path__):
        if info.ispkg or info.name in _NOT_FAULTS:
            continue
        module = importlib.import_module(f"{__name__}.{info.name}")
        (kind,) = (
            each
            for each in vars(module).values()
            if isinstance(each, type) and issubclass(each, Fault) and each.__module__ == module.__name__
        )
        kind.name = info.name
        found.append(kind)
    found.sort(key=lambda kind: (FAMILIES.index(kind.family), kind.name))
    return {kind.name: kind for kind in found}


def build(name: str, given: Mapping[str, Any]) -> Fault:
    """Build a fault from its name and parameters; numbers may be strings, with the unit s, m or h.

    Raises:
        InvalidFaultError: the fault is unknown, or a parameter is invalid.
    """
    faults = all_faults()
    kind = faults.get(name)
    if kind is None:
        raise InvalidFaultError(f"unknown fault {name[:80]!r}{_perhaps(name, faults)}")
    known = {each.name: each for each in _parameters(kind)}
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            has = ", ".join(known) or "none"
            raise InvalidFaultError(f"{name}: unknown parameter {key[:80]!r}; known: {has}")
        values[key] = _value(name, known[key], value)
    return kind(**values)


def parameter_names(name: str) -> frozenset[str]:
    """Return the names of a fault's parameters; empty if the fault is unknown."""
    kind = all_faults().get(name)
    return frozenset() if kind is None else frozenset(each.name for each in _parameters(kind))


def _perhaps(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else "; `mockserver faults` lists them"


def _parameters(kind: type[Fault]) -> tuple[Field[Any], ...]:
    return fields(kind)  # type: ignore[arg-type]  # every fault is a dataclass


def _type_of(parameter: Field[Any]) -> str:
    """Return the name of a parameter's type, with or without postponed annotations in the file."""
    return parameter.type if isinstance(parameter.type, str) else parameter.type.__name__


def _value(fault: str, parameter: Field[Any], value: Any) -> Any:
    type_ = _type_of(parameter)
    if isinstance(value, str) and type_ in ("int", "float"):
        value = _number(fault, parameter.name, value)
    if type_ == "int" and isinstance(value, float) and value.is_integer():
        value = int(value)
    right = isinstance(value, int | float) if type_ == "float" else isinstance(value, _TYPES[type_])
    if not right or (isinstance(value, bool) and type_ != "bool"):
        raise InvalidFaultError(f"{fault}: {parameter.name} must be of type {_WORDS[type_]}")
    words = parameter.metadata
    if isinstance(value, str) and not value.isascii() and not _is_text(value):
        raise InvalidFaultError(f"{fault}: {parameter.name} must be valid UTF-8")
    if words["choices"] and value not in words["choices"]:
        raise InvalidFaultError(f"{fault}: {parameter.name} must be one of {', '.join(words['choices'])}")
    if type_ in ("int", "float"):
        least, most = words["least"], words["most"]
        if not least <= value <= most:
            raise InvalidFaultError(
                f"{fault}: {parameter.name} must be a number from {_plain(least)} to {_plain(most)}"
            )
    return value


def _plain(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else str(number)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(fault: str, name: str, text: str) -> float:
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise InvalidFaultError(f"{fault}: {name} must be a number; got {text[:40]!r}")
    return float(found[1]) * _SECONDS[found[2]]


def described(kind: type[Fault]) -> dict[str, Any]:
    """Return the catalogue entry of a fault: its description and its parameters."""
    return {
        "name": kind.name,
        "family": kind.family,
        "breaks": kind.effect,
        "notice": kind.symptom,
        "roles": sorted(kind.roles) if kind.roles is not None else None,
        "parameters": [
            {
                "name": each.name,
                "type": _WORDS[_type_of(each)],
                "default": None if each.default is MISSING else each.default,
                "unit": each.metadata["unit"],
                "summary": each.metadata["summary"],
                "choices": list(each.metadata["choices"]),
            }
            for each in _parameters(kind)
        ],
    }


def parameters_of(fault: Fault) -> dict[str, Any]:
    """Return the values of a fault's parameters."""
    return {each.name: getattr(fault, each.name) for each in _parameters(type(fault))}
