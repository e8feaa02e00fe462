"""Where verdicts go: the terminal, and the files that were asked for."""

from __future__ import annotations

import errno
import gc
import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from contracts import report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from contracts.clause import Verdict
    from contracts.journal import Journal

F = TypeVar("F", bound="Callable[..., Any]")
FILE = click.Path(dir_okay=False, path_type=Path)


def fail(message: str) -> None:
    """End with a line that says what is wrong, and exit code 2."""
    click.echo(f"contracts: {message}", err=True)
    sys.exit(2)


def check_writable(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a path where nothing can be written, before the work that it is for; a default is not looked at."""
    if path is None or context.get_parameter_source(parameter.name or "") is ParameterSource.DEFAULT:
        return path
    makes_folders = isinstance(parameter.type, click.Path) and not parameter.type.file_okay
    above = path if path.exists() else path.parent
    while makes_folders and not above.exists():
        above = above.parent
    problem = None
    if not above.exists():
        problem = os.strerror(errno.ENOENT)
    elif above != path and not above.is_dir():
        problem = os.strerror(errno.ENOTDIR)
    elif not os.access(above, os.W_OK):
        problem = os.strerror(errno.EACCES)
    if problem is not None:
        fail(f"{path}: cannot be written: {problem}")
    return path


def _file_option(flag: str, name: str, what: str) -> Callable[[F], F]:
    return click.option(flag, name, type=FILE, callback=check_writable, help=what)


_HTML = _file_option("--html", "html_file", "Write a page to look at.")
_JUNIT = _file_option("--junit", "junit_file", "Write JUnit XML.")
_JSON = _file_option("--json", "json_file", "Write JSON (specs/verdicts.schema.json).")


def output_options(command: F) -> F:
    """Give a command the options that name files for its verdicts."""
    return _JSON(_JUNIT(_HTML(command)))


def data_options(command: F) -> F:
    """Give a command those of them that programs read."""
    return _JSON(_JUNIT(command))


def report_verdicts(
    verdicts: Sequence[Verdict],
    journals: Sequence[Journal],
    title: str,
    json_file: Path | None,
    junit_file: Path | None,
    html_file: Path | None,
) -> None:
    """Write verdicts to the terminal and to files."""
    click.echo(report.text(verdicts))
    write_files(verdicts, journals, title, json_file, junit_file, html_file)


def write_files(
    verdicts: Sequence[Verdict],
    journals: Sequence[Journal],
    title: str,
    json_file: Path | None,
    junit_file: Path | None,
    html_file: Path | None = None,
) -> None:
    """Write verdicts to the files that were asked for."""
    try:
        if json_file is not None:
            json_file.write_text(json.dumps(report.as_json(verdicts), indent=2) + "\n", encoding="utf-8")
        if junit_file is not None:
            junit_file.write_text(report.junit(verdicts), encoding="utf-8")
        if html_file is not None:
            html_file.write_text(report.html(verdicts, journals, title=title), encoding="utf-8")
    except OSError as error:
        fail(f"{error.filename}: cannot be written: {error.strerror}")


def violated(verdicts: Sequence[Verdict]) -> bool:
    """Tell whether anything was violated."""
    return any(each.judgement == "violated" for each in verdicts)


def freeze_loaded_objects() -> None:
    """Let the garbage collector leave alone what is there by now: specs and code, which stay."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000)


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far long work has come, on a terminal; gives what is to be told `(done, most)`."""
    if not sys.stderr.isatty():
        yield lambda _done, _most: None
        return
    from rich.console import Console  # noqa: PLC0415 - rich takes a while to load
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, most: progress.update(task, completed=done, total=most)
