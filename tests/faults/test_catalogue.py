"""Every fault is shown on the wire by a test, is run where nothing else may be touched, and is a file of its own."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

import pytest
from faults import test_isolation
from support.tables import for_each

import mockserver.faults
from mockserver.engine.faults import Fault
from mockserver.faults import FAMILIES, all_faults

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parent
FOLDER = Path(mockserver.faults.__file__).parent
#: Files of the folder that are no faults.
PLUMBING = {"__init__", "page", "directives"}


class Mark(NamedTuple):
    """A fault that a test is marked with."""

    fault: str
    test: str
    #: Whether the test has the fault's name in its body or its cases too.
    names_it: bool


def task_faults() -> Iterator[Mark]:
    """Read the marks in this folder."""
    for path in sorted(TESTS.glob("test_*.py")):
        for each in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                text = "\n".join(ast.unparse(part) for part in (*each.body, *each.decorator_list) if not is_mark(part))
                for fault in marks_of(each):
                    yield Mark(fault, f"{path.name}::{each.name}", names_it=f"'{fault}" in text)


def is_mark(node: ast.AST) -> TypeGuard[ast.Call]:
    """Tell whether a decorator is a mark."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "shows"


def marks_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Return the faults in the marks of one function."""
    found = []
    for mark in function.decorator_list:
        if is_mark(mark):
            names = [each.value for each in mark.args if isinstance(each, ast.Constant)]
            assert len(names) == len(mark.args) > 0, f"{function.name}: a mark names faults, as they are called"
            assert function.name.startswith("test_"), f"{function.name}: a mark stands at a test"
            found += [str(name) for name in names]
    return found


def kinds_in(path: Path) -> list[str]:
    """Return the classes of a file that derive from a fault, by what is written there."""
    kinds = {"Fault", *(kind.__name__ for kind in all_faults().values())}
    return [
        each.name
        for each in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(each, ast.ClassDef) and any(ast.unparse(base).rpartition(".")[2] in kinds for base in each.bases)
    ]


MARKED = list(task_faults())
FILES = sorted(path for path in FOLDER.glob("*.py") if path.stem not in PLUMBING)


def test_marks_are_read() -> None:
    """Marks were found in the tests of every family, and each names a fault that there is, once at each test."""
    assert [mark for mark in MARKED if mark.fault not in all_faults()] == []
    assert [mark for mark, times in Counter(MARKED).items() if times > 1] == []
    assert {mark.test.partition("::")[0] for mark in MARKED} >= {f"test_{family}.py" for family in FAMILIES}


@for_each("fault", all_faults())
def test_every_fault_is_shown(fault: str) -> None:
    """A test in its own family's file (or `test_missed`) is marked with it, and names it in its body or its cases."""
    homes = f"test_{all_faults()[fault].family}.py", "test_missed.py"
    found = [mark for mark in MARKED if mark.fault == fault and mark.test.partition("::")[0] in homes]
    assert found, f"no test in {' or '.join(homes)} is marked with {fault}"
    assert [mark for mark in found if mark.names_it], f"{found[0].test} is marked with {fault}, and does not name it"


@for_each("fault", all_faults())
def test_every_fault_is_run_where_nothing_else_may_be_touched(fault: str) -> None:
    """It is activated for one client's task, at a provider that gives it a hold; and once, if it is of requests."""
    providers = {provider for provider, name, _ in test_isolation.CASES if name == fault}
    assert [each for each in providers if fault not in test_isolation.NOT_THERE[each]]
    if all_faults()[fault].moments() == {"request"}:
        assert fault in test_isolation.ONCE


def test_isolation_runs_every_fault() -> None:
    """Nothing is run, exempted or slowed there that is no fault, and everything that is found there is run."""
    names = set(all_faults())
    assert {fault for _, fault, _ in test_isolation.CASES} == names
    assert set(test_isolation.ONCE) | set(test_isolation.GENTLY) | test_isolation.ONLY_LATER <= names
    assert set().union(*test_isolation.NOT_THERE.values()) <= names


def test_files_and_faults_are_the_same() -> None:
    """There are as many faults as files, and of the same names; a folder of tools is no fault."""
    assert [path.stem for path in FILES] == sorted(all_faults())
    assert len(FILES) > 50


@for_each("path", FILES)
def test_a_file_is_one_fault(path: Path) -> None:
    """The file defines one fault, of its own name in capitals, in one of the families, with its words."""
    assert kinds_in(path) == ["".join(word.capitalize() for word in path.stem.split("_"))]
    kind = all_faults()[path.stem]
    assert (kind.name, kind.__module__, kind.__name__) == (
        path.stem,
        f"{mockserver.faults.__name__}.{path.stem}",
        kinds_in(path)[0],
    )
    assert issubclass(kind, Fault)
    assert kind.family in FAMILIES
    assert kind.moments()
    for words in (kind.effect, kind.symptom):
        assert words.endswith(".")
        assert words[0].isupper()


@pytest.mark.parametrize("name", sorted(PLUMBING))
def test_what_is_no_fault(name: str) -> None:
    """The other files of the folder are there, and define no fault."""
    assert kinds_in(FOLDER / f"{name}.py") == []
