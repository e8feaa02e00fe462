"""`mockserver init`: write an overlay for an OpenAPI document, and try it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mockserver.cli.options import fail, option
from mockserver.spec.document import Document, SpecError

if TYPE_CHECKING:
    from mockserver.spec.drafting.candidates import Entry
    from mockserver.spec.drafting.known import Chosen
    from mockserver.spec.drafting.writing import Draft

_MOST_OFFERED = 6
_LONGEST_TITLE = 60


@click.command()
@click.argument("document", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@option("--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Default: beside DOCUMENT.")
@option("--submit", multiple=True, metavar="'POST /PATH'", help="The operation that makes a task; any number of them.")
@option("--query", metavar="'GET /PATH'", help="The operation that asks for a task.")
@option("--cancel", metavar="'POST /PATH'", help="The operation that cancels a task.")
@click.option("--list", "list_", metavar="'GET /PATH'", help="The operation that lists tasks.")
@option("--status-field", metavar="NAME.NAME", help="The field of the query's answer that is the task's status.")
@option("--force", is_flag=True, help="Overwrite FILE.")
def init(document: Path, output: Path | None, *, force: bool, **named: Any) -> None:
    """Write an overlay that makes a mock of DOCUMENT, an OpenAPI file.

    It says which operations make tasks, ask for them, cancel and list them, and what the states are. What no flag
    names is asked, the likeliest first; without a terminal, the likeliest is taken. The overlay is checked, and one
    job is run to its end.
    """
    path = output or document.with_name(f"{document.stem}.overlay.yaml")
    if path.exists() and not force:
        fail(f"{path} exists; --force overwrites it, --output FILE writes another one")
    from mockserver.spec.drafting.draft import drafted  # noqa: PLC0415 - only this command needs it
    from mockserver.spec.drafting.known import DraftError  # noqa: PLC0415
    from mockserver.spec.files import document_alone  # noqa: PLC0415

    try:
        raw, whole = document_alone(document)
        chosen = _chosen(whole, named)
        draft = drafted(raw, whole, chosen)
    except (SpecError, DraftError) as error:
        fail(str(error))
    extends = Path(os.path.relpath(document.resolve(), path.parent.resolve())).as_posix()
    path.write_text(draft.text(extends, whole.data["info"]["title"]), encoding="utf-8")
    _show(path, chosen, draft)
    sys.exit(0 if _works(path, chosen, draft) else 1)


# -- choice -----------------------------------------------------------------------------------------


def _chosen(document: Document, named: dict[str, Any]) -> Chosen:
    """Return the operations of the overlay: those that flags name, then those that are asked for.

    Raises:
        DraftError: with everything that a flag names and is not there, or what was not found.
    """
    from mockserver.spec.drafting import candidates  # noqa: PLC0415
    from mockserver.spec.drafting.known import Chosen, DraftError  # noqa: PLC0415

    entries = candidates.entries_of(document)
    wrong: list[str] = []

    def by_flag(flag: str, name: str | None) -> Entry | None:
        found = None if name is None else candidates.by_name(entries, name)
        if name is not None and found is None:
            wrong.append(f"--{flag} {name!r}: no such operation; known: {_likely(entries, flag)}")
        return found

    submits = [each for name in named["submit"] if (each := by_flag("submit", name)) is not None]
    query = by_flag("query", named["query"])
    cancel, list_ = by_flag("cancel", named["cancel"]), by_flag("list", named["list_"])
    for flag, entry in (("query", query), ("cancel", cancel)):
        if entry is not None and candidates.id_parameter(entry) is None:
            wrong.append(f"--{flag} {entry.name!r}: names no task in its path or query")
    pairs = candidates.pairs_of(entries)
    if not submits and not named["submit"]:
        offered = candidates.submits_of([each for each in pairs if query in (None, each.query)] or pairs)
        submits = _asked("submit", offered, needed=True)
        if not submits:
            likely = _likely(entries, "submit")
            wrong.append(f"no operation looks like one that makes a task; name it with --submit ({likely})")
    if query is None and submits and named["query"] is None:
        query = next(iter(_asked("query", candidates.queries_for(entries, submits[0]), needed=True)), None)
        if query is None:
            likely = _likely(entries, "query")
            wrong.append(f"no operation looks like one that asks for a task; name it with --query ({likely})")
    if wrong or query is None:
        raise DraftError("\n".join(wrong))
    others = [each for each in entries if each is not query and each not in submits]
    if cancel is None:
        cancel = next(iter(_asked("cancel", candidates.cancels_for(others, query))), None)
    if list_ is None:
        list_ = next(iter(_asked("list", candidates.lists_for(others, submits[0], query))), None)
    field = named["status_field"]
    path = None if field is None else tuple(field.replace("/", ".").strip(".").split("."))
    return Chosen(
        submits,
        query,
        cancel,
        list_,
        status_path=path,
        deletes=candidates.deletes_for(entries, query),
        contents=candidates.contents_for(entries, query),
    )


def _likely(entries: Sequence[Entry], role: str) -> str:
    from mockserver.spec.drafting.candidates import ranked  # noqa: PLC0415

    found = ranked(entries, role) if role in ("submit", "query") else list(entries)
    return ", ".join(each.name for each in (found or entries)[:_MOST_OFFERED]) or "none"


def _asked(role: str, offered: Sequence[Entry], *, needed: bool = False) -> list[Entry]:
    """Return the likeliest operation, or what the user chooses at the terminal; none, or several submits."""
    if not offered or not _is_terminal():
        return list(offered[:1])
    shown = offered[:_MOST_OFFERED]
    click.echo(f"\n{_QUESTIONS[role]}")
    for number, each in enumerate(shown, 1):
        click.echo(f"  {number}  {each.name}  {each.summary[:_LONGEST_TITLE]}")
    if not needed:
        click.echo("  0  none")

    def read(text: str) -> list[Entry]:
        numbers = [int(each) for each in text.replace(",", " ").split() if each.isdecimal()]
        if not numbers or (len(numbers) > 1 and role != "submit") or max(numbers) > len(shown):
            raise click.BadParameter(f"write a number up to {len(shown)}")
        if 0 in numbers and (needed or len(numbers) > 1):
            raise click.BadParameter("one is needed" if needed else "write 0 alone")
        return [shown[each - 1] for each in dict.fromkeys(numbers) if each]

    found: list[Entry] = click.prompt("  number", default="1", value_proc=read)
    return found


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


_QUESTIONS = {
    "submit": "Which operation makes a task? (several: 1 2)",
    "query": "Which one asks for a task?",
    "cancel": "Which one cancels a task?",
    "list": "Which one lists tasks?",
}


# -- what came of it --------------------------------------------------------------------------------


def _show(path: Path, chosen: Chosen, draft: Draft) -> None:
    click.echo(f"{path}: written")
    roles = [*(("submit", each) for each in chosen.submits), ("query", chosen.query)]
    for role, entry in [*roles, ("cancel", chosen.cancel), ("list", chosen.list)]:
        click.echo(f"  {role:<8}{'not found' if entry is None else entry.name}")
    for role, found in (("delete", chosen.deletes), ("result", chosen.contents)):
        for each in found:
            if each is not chosen.cancel:
                click.echo(f"  {role:<8}{each.name} (answers with an example)")
    callbacks = "not found" if draft.callback is None else f"to {'.'.join(draft.callback)} of the submit"
    click.echo(f"  {'calls':<8}{callbacks}")
    status = draft.status
    click.echo(
        f"  status  {'.'.join(status.path)}: {', '.join(status.states)}, then {' or '.join(status.ends.values())}"
    )
    for note in draft.notes:
        click.echo(f"  note: {note}")
    draft.notes.clear()


def _works(path: Path, chosen: Chosen, draft: Draft) -> bool:
    """Check the overlay, and run a job of it to its end; say what came of it."""
    from mockserver.cli.job import JobError, job_of  # noqa: PLC0415
    from mockserver.spec.check import check_files  # noqa: PLC0415

    issues = [each for each in check_files([path]) if not each.is_warning]
    for each in issues:
        click.echo(str(each))
    if issues:
        click.echo(f"{len(issues)} to mend by hand; then `mockserver check {path}`", err=True)
        return False
    try:
        course = job_of(path, chosen, draft)
    except JobError as error:
        click.echo(f"checked: no errors; but a job did not get to its end: {error}", err=True)
        return False
    for note in draft.notes:
        click.echo(f"  note: {note}")
    click.echo(f"checked: no errors; a job of it: {course}")
    click.echo(f"serve it: mockserver serve --spec {path}")
    return True
