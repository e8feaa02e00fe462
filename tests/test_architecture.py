"""The import order of both packages, their maps, and the rules that hold only because a test checks them."""

from __future__ import annotations

import ast
import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from support.tables import for_each

ROOT = Path(__file__).parent.parent
PACKAGES = ("mockserver", "contracts")

#: Each name may import only what stands before it, type-only imports included.
ORDER = {
    "mockserver": (
        *("clock", "chance", "patterns", "provider", "settings", "certificates", "media", "spec", "engine", "faults"),
        *("scenarios", "journal", "recording", "edge", "interception", "testing", "launch", "terminal"),
        *("demo", "cli", "__main__"),
    ),
    "mockserver.engine": (
        *("leaves", "messages", "routes", "body", "limits", "targets", "transmission", "accounts", "course", "task"),
        "sights",
        *("signing", "subscriptions", "callbacks", "client_time"),
        *(
            "stages",
            "keeping",
            "models",
            "state",
            "context",
            "renewal",
            "render",
            "parsing",
            "kinds",
            "idempotency",
            "admission",
            "replay",
            "faults",
            "rules",
            "injection",
            "operations",
            "deletion",
            "world",
            "commands",
        ),
    ),
    "contracts": (
        *(
            "journal",
            "asked",
            "analysis",
            "clause",
            "blame",
            "rules",
            "judge",
            "clauses",
            "client",
            "server",
            "drift",
            "clients",
            "mutation",
        ),
        *("report", "pytest_plugin", "cli"),
    ),
}
#: Modules that keep an old name alive for one release.
DEPRECATED = {"mockserver": {"mock", "verbs", "config", "pytest_plugin"}, "contracts": {"subject"}}
OUTSIDE_WORLD = {
    *("aiohttp", "asyncio", "datetime", "time", "random", "secrets", "uvloop", "threading", "logging", "yaml"),
    "jsonschema_rs",
}
LONGEST_CLASS = 250


def modules(package: str) -> list[Path]:
    """Return every module below a package."""
    return sorted((ROOT / package.replace(".", "/")).rglob("*.py"))


def name_of(path: Path) -> str:
    """Return a module's dotted name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    """Return all nodes of a module's syntax tree."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Return the modules that a module imports: at its top, for types alone, and inside functions."""
    found: set[str] = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            for alias in node.names:
                below = ROOT / module.replace(".", "/") / alias.name
                is_module = below.with_suffix(".py").exists() or (below / "__init__.py").exists()
                found.add(f"{module}.{alias.name}" if is_module else module)
    return frozenset(found)


def members(package: str) -> set[str]:
    """Return the names of the modules and packages directly below a package."""
    folder = ROOT / package.replace(".", "/")
    found = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    return found - {"__init__"} - DEPRECATED.get(package, set())


@pytest.mark.parametrize("package", ORDER)
def test_the_order_names_every_member(package: str) -> None:
    """A new module has a place in the order."""
    assert members(package) - set(ORDER[package]) == set()


@pytest.mark.parametrize("package", ORDER)
def test_each_member_imports_only_what_stands_before_it(package: str) -> None:
    """Within a package, imports go one way: towards the start of the order."""
    order = ORDER[package]
    wrong = []
    for path in modules(package):
        inside = name_of(path).removeprefix(package).strip(".")
        here = inside.partition(".")[0]
        if not here or here in DEPRECATED.get(package, ()):
            continue
        for name in imports_of(path):
            if not name.startswith(f"{package}."):
                continue
            there = name.removeprefix(f"{package}.").partition(".")[0]
            if there in order and order.index(there) > order.index(here):
                wrong.append(f"{name_of(path)} imports {name}")
    assert wrong == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_imports_in_a_circle(package: str) -> None:
    """The graph of all imports, type-only ones included, has no cycle."""
    known = {name_of(path): path for path in modules(package)}
    graph = {name: {each for each in imports_of(path) if each in known} - {name} for name, path in known.items()}
    graph[package] = set()  # its __init__ re-exports what stands below it
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("package", ORDER)
def test_the_map_names_every_member(package: str) -> None:
    """The docstring of a package names every module and package directly below it."""
    source = (ROOT / package.replace(".", "/") / "__init__.py").read_text(encoding="utf-8")
    text = ast.get_docstring(ast.parse(source)) or ""
    named = set(re.findall(r"\w+", text))
    assert members(package) - named - {"__main__"} == set()


@for_each("path", modules("mockserver/engine"))
def test_the_engine_is_sans_io(path: Path) -> None:
    """The engine imports no sockets, event loops, wall clocks, unseeded randomness or parsers of specs."""
    assert not {name.partition(".")[0] for name in imports_of(path)} & OUTSIDE_WORLD


def test_mockserver_does_not_import_contracts() -> None:
    """The mock server runs without the suite that judges its clients."""
    for path in modules("mockserver"):
        assert not any(name.partition(".")[0] == "contracts" for name in imports_of(path)), path


def test_no_provider_is_named_in_code() -> None:
    """What is particular to a provider stands in its spec: no comparison in the code names a provider."""
    names = {"toapis", "crun", "evolink", "googlegeminiomni"}
    for path in (path for package in PACKAGES for path in modules(package)):
        for node in nodes_of(path):
            if isinstance(node, ast.Compare):
                constants = {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
                assert not constants & names, f"{path}:{node.lineno} compares with a provider's name"


def test_no_class_is_too_long_to_read() -> None:
    """Every class fits in one reading; the clients that are meant to be copied may be longer."""
    long = [
        f"{name_of(path)}.{node.name}"
        for path in (path for package in PACKAGES for path in modules(package))
        if not name_of(path).startswith("contracts.clients")
        for node in nodes_of(path)
        if isinstance(node, ast.ClassDef) and (node.end_lineno or 0) - node.lineno + 1 > LONGEST_CLASS
    ]
    assert long == []


def test_the_top_level_holds_what_it_should() -> None:
    """At the top of the checkout stands only what the project's shape allows."""
    allowed = {"pyproject.toml", "mockserver", "specs", "contracts", "tests", "README.md", "LICENSE", "CHANGELOG.md"}
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert found - {"build", "dist"} <= allowed | {"constraints.txt"}
