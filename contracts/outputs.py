"""Where verdicts go: the terminal, and the files that were asked for."""

from __future__ import annotations

import gc
import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

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


def output_options(command: F) -> F:
    """Give a command the options that name files for its verdicts."""
    for option in (
        click.option("--html", "html_file", type=FILE, help="Write a page to look at."),
        click.option("--junit", "junit_file", type=FILE, help="Write JUnit XML."),
        click.option("--json", "json_file", type=FILE, help="Write JSON (specs/verdicts.schema.json)."),
    ):
        command = option(command)
    return command


def put_out(
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


def settle_memory() -> None:
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
