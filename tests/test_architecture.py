"""The import direction, and the rules that hold only because something checks them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mockserver"

#: What each part may import of the others, beside itself. Names are the first part below `mockserver`.
ALLOWED = {
    "chance": set(),
    "clock": set(),
    "provider": set(),
    "engine": {"chance", "clock", "provider"},
    "faults": {"engine", "provider"},
    "scenarios": {"clock", "spec"},
    "spec": {"chance", "engine", "provider"},
    "journal": {"clock"},
    "config": {"engine", "journal"},
    "edge": {"chance", "clock", "config", "engine", "faults", "journal", "provider", "scenarios", "spec", ""},
    "media": {"edge"},
    "verbs": {"engine", "faults", "provider"},
    "mock": {"clock", "config", "edge", "engine", "provider", "spec", "verbs"},
    "banner": {"config", "edge", "provider"},
    "demo": {"config", "edge", "engine", "mock", "provider"},
    "pytest_plugin": {"mock"},
    "cli": {"banner", "config", "demo", "edge", "faults", "mock", "provider", "scenarios", "spec", ""},
    "__main__": {"cli"},
    "": {"mock"},
}
#: Imports for type annotations alone do not bind modules together when the program runs.
OUTSIDE_WORLD = {
    *("aiohttp", "asyncio", "time", "random", "secrets", "uvloop", "threading", "logging", "yaml", "jsonschema_rs"),
}


def modules() -> list[Path]:
    """Return every module of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    """Return which part of the house a module belongs to."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def imported(path: Path, *, types_too: bool = False) -> set[str]:
    """Return the dotted names that a module imports when it runs."""
    names: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and not types_too:
            return
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    """A module imports only the parts of the house that come before it."""
    here = part_of(path)
    assert here in ALLOWED, f"{here} is a new part of the house: say in ALLOWED what it may import"
    for name in imported(path):
        if name == "mockserver" or name.startswith("mockserver."):
            there = name.removeprefix("mockserver").removeprefix(".").partition(".")[0]
            assert there == here or there in ALLOWED[here], f"{here} must not import {there or 'mockserver itself'}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "engine").glob("*.py")), ids=lambda path: path.name)
def test_the_engine_knows_no_outside_world(path: Path) -> None:
    """The engine imports no sockets, event loops, wall clocks, unseeded chance or parsers of specs."""
    roots = {name.partition(".")[0] for name in imported(path, types_too=True)}
    assert not roots & OUTSIDE_WORLD
    assert "datetime" not in roots


def test_nothing_imports_the_contracts() -> None:
    """The mock server never imports the suite that judges its clients."""
    for path in modules():
        assert not any(name.partition(".")[0] == "contracts" for name in imported(path, types_too=True)), path


def test_no_provider_is_named_in_code() -> None:
    """What is particular to a provider stands in its spec: no string of the code is a provider's name."""
    names = {"toapis", "crun", "evolink", "googlegeminiomni"}
    for path in modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare):
                words = {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
                assert not words & names, f"{path}:{node.lineno} compares with a provider's name"


def test_the_top_level_holds_what_it_should() -> None:
    """At the top of the checkout there is nothing but what the project's shape allows."""
    allowed = {"mockserver", "specs", "contracts", "tests", "pyproject.toml", "constraints.txt"}
    allowed |= {"README.md", "LICENSE", "CHANGELOG.md"}
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert found - {"build", "dist"} <= allowed


def test_the_mock_server_knows_nothing_of_contracts() -> None:
    """Contracts may lean on mockserver, never the other way round."""
    for path in modules():
        assert not any(name.split(".")[0] == "contracts" for name in imported(path, types_too=True)), path
