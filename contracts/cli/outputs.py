"""What all commands share: options and files for verdicts, errors, progress."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

import click
from click.core import ParameterSource

from contracts import report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from contracts.clause import Verdict
    from contracts.client.met import Met
    from contracts.journal import Journal
    from mockserver.provider import Provider

F = TypeVar("F", bound="Callable[..., Any]")
FILE = click.Path(dir_okay=False, path_type=Path)


def fail(message: str) -> NoReturn:
    """Exit with code 2, and one line that says what is wrong."""
    click.echo(f"contracts: {message}", err=True)
    sys.exit(2)


def known_provider(name: str, providers: Iterable[Provider]) -> Provider:
    """Return the provider with a name, or exit with code 2."""
    known = {each.name: each for each in providers}
    if name not in known:
        fail(f"unknown provider {name!r}; known: {', '.join(known)}")
    return known[name]


def check_writable(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a path that cannot be written, before the work starts; the default path is not checked."""
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
        fail(f"cannot write {path}: {problem}")
    return path


def _file_option(flag: str, name: str, what: str) -> Callable[[F], F]:
    return click.option(flag, name, type=FILE, callback=check_writable, help=what)


_HTML = _file_option("--html", "html_file", "Write an HTML page.")
_JUNIT = _file_option("--junit", "junit_file", "Write JUnit XML.")
_JSON = _file_option("--json", "json_file", "Write JSON (specs/verdicts.schema.json).")


_GITHUB = click.option("--github", is_flag=True, help="Print annotations for GitHub Actions.")


def output_options(command: F) -> F:
    """Add the options that name files for verdicts to a command, which receives them as `files`."""
    return _JSON(_JUNIT(_HTML(_GITHUB(_with_files(command)))))


def data_options(command: F) -> F:
    """Add the options for machine-readable output to a command, which receives them as `files`."""
    return _JSON(_JUNIT(_GITHUB(_with_files(command))))


def _with_files(command: F) -> F:
    @wraps(command)
    def call(
        json_file: Path | None = None,
        junit_file: Path | None = None,
        html_file: Path | None = None,
        github: bool = False,
        **more: Any,
    ) -> Any:
        return command(files=Files(json_file, junit_file, html_file, github), **more)

    return cast("F", call)


@dataclass(frozen=True, slots=True)
class Files:
    """Where verdicts go besides the terminal: files, and annotations for GitHub."""

    json: Path | None
    junit: Path | None
    html: Path | None
    github: bool = False

    def write(
        self,
        verdicts: Sequence[Verdict],
        journals: Sequence[Journal],
        title: str,
        situations: Met | None = None,
    ) -> None:
        """Write verdicts to the requested files, or exit with code 2."""
        try:
            if self.json is not None:
                found = report.as_json(verdicts)
                if situations is not None:
                    found["situations"] = report.situations_json(situations)
                self.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
            if self.junit is not None:
                self.junit.write_text(report.junit(verdicts), encoding="utf-8")
            if self.html is not None:
                page = report.html(verdicts, journals, title=title, situations=situations)
                self.html.write_text(page, encoding="utf-8")
        except OSError as error:
            fail(f"cannot write {error.filename}: {error.strerror}")


#: The colours of a report on a terminal, by how a line begins.
_COLOURS = {"VIOLATED (must)": "red", "VIOLATED": "yellow", "  fix:": "green"}


def show(verdicts: Sequence[Verdict], *, github: bool) -> None:
    """Print verdicts: in colours and without broken words on a terminal."""
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else 0
    for line in report.text(verdicts).splitlines():
        colour = next((colour for start, colour in _COLOURS.items() if line.startswith(start)), None)
        for part in _wrapped(line, width):
            click.echo(part if colour is None else click.style(part, fg=colour))
    if github:
        for each in report.github(verdicts):
            click.echo(each)


def _wrapped(line: str, width: int) -> list[str]:
    """Break a line between words. A command to copy stays whole."""
    if not width or len(line) <= width or line.startswith("  replay:"):
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show progress: a bar on a terminal, else a line for each tenth; yields the function that sets `(done, most)`."""
    if not sys.stderr.isatty():
        yield _Lines(what).show
        return
    from rich.console import Console  # noqa: PLC0415 - rich takes a while to load
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, most: progress.update(task, completed=done, total=most)


class _Lines:
    """Progress in plain lines."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._tenths = 0

    def show(self, done: int, most: int) -> None:
        """Print a line when another tenth is done."""
        tenths = done * 10 // max(most, 1)
        if tenths > self._tenths:
            self._tenths = tenths
            click.echo(f"{self._what}: {done} of {most}", err=True)
