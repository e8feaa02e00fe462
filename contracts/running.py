"""`contracts run`: a verdict on a client, by what it does in many situations."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import join
from time import monotonic
from typing import TYPE_CHECKING

import click

from contracts.commands import Command, CommandError, hindrance, play_commands
from contracts.outputs import FILE, fail, output_options, progress_bar, put_out, violated
from contracts.rules import documented_rules, rules_of
from contracts.runner import play
from contracts.searching import DEFAULT_EXAMPLES, Search
from contracts.situations import Situation, tour
from contracts.subject import SubjectError, load
from mockserver.scenarios import find, read
from mockserver.spec.catalog import load_providers
from mockserver.spec.document import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from contracts.clause import Verdict
    from contracts.rules import Rule
    from contracts.runner import Run
    from contracts.subject import Factory
    from mockserver.provider import Provider

#: How many commands run at once; they mostly wait.
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class How:
    """How a client is to be tried."""

    seed: int
    most_examples: int
    time_limit_s: float | None
    callbacks: bool | None
    speed: float
    job_limit_s: float


@click.command()
@click.option("--provider", "name", required=True, help="Whose API it is a client of.")
@click.option("--client", help="A Python client: module:Name, or path/to/file.py:Name.")
@click.option("--command", help="A client in any language: a command that makes one video.")
@click.option("--spec", multiple=True, type=FILE, help="A spec of your own.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Other situations.")
@click.option(
    "--max-examples",
    type=click.IntRange(min=0),
    default=DEFAULT_EXAMPLES,
    show_default=True,
    help="Situations to draw, after one of each kind; a command meets no others.",
)
@click.option("--time-limit", type=click.FloatRange(min=1), help="Real seconds after which no more is begun.")
@click.option("--callbacks/--no-callbacks", default=None, help="Whether the client is to be called back.")
@click.option(
    "--jobs", type=click.IntRange(1, 1000), default=1, show_default=True, help="Jobs at once, with --scenario."
)
@click.option("--scenario", help="One situation instead of many: a scenario of the gallery, or a file.")
@click.option("--speed", type=click.FloatRange(min=0.1), default=60.0, show_default=True, help="Of a command's server.")
@click.option(
    "--job-limit", type=click.FloatRange(min=1), default=60, show_default=True, help="Real seconds a command has."
)
@click.option(
    "--violations",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("contract-violations"),
    show_default=True,
    help="Where the smallest situation of each violation is written, as a scenario.",
)
@output_options
def run(
    name: str,
    client: str | None,
    command: str | None,
    spec: tuple[Path, ...],
    seed: int,
    max_examples: int,
    time_limit: float | None,
    callbacks: bool | None,
    jobs: int,
    scenario: str | None,
    speed: float,
    job_limit: float,
    directory: Path,
    json_file: Path | None,
    junit_file: Path | None,
    html_file: Path | None,
) -> None:
    """Judge a client: let it meet what the API may do to it, and see which of the API's rules it keeps.

    A Python client lives in virtual time, and its waits cost nothing; a command waits really. Exit codes: 0 nothing
    violated, 1 violations, 2 wrong usage.
    """
    if (client is None) == (command is None):
        fail("name the client: --client module:Name for Python, --command '...' for any language")
    how = How(seed, max_examples, time_limit, callbacks, speed, job_limit)
    try:
        provider = _provider(name, spec)
        one = None if scenario is None else read(find(scenario))
        alone = None if one is None else Situation(name, (), jobs, bool(callbacks), one.seed or 0, one)
        rules = [*documented_rules(), *rules_of(spec)]
        if client is not None:
            search = _python(load(client), provider, rules, how, alone)
            left: Sequence[str] = ()
        else:
            search, left = _commands(Command.of(command or ""), provider, rules, how, alone)
    except (SpecError, SubjectError, CommandError) as error:
        fail(str(error))
        return
    verdicts = search.verdicts()
    if alone is None:
        words = ["contracts", "run", "--provider", name]
        words += ["--client", client] if client is not None else ["--command", command or ""]
        words += [word for path in spec for word in ("--spec", str(path))]
        verdicts = _with_replays(search, verdicts, words, directory)
    put_out(verdicts, search.journals, f"{name}: {client or command}", json_file, junit_file, html_file)
    for line in (*left, *_remarks(search, provider)):
        click.echo(line)
    click.echo(f"{len(search.met)} situation{'s' if len(search.met) != 1 else ''} met, seed {seed}")
    if violated(verdicts):
        sys.exit(1)


def _provider(name: str, spec: tuple[Path, ...]) -> Provider:
    known = {each.name: each for each in load_providers(spec)}
    if name not in known:
        raise SubjectError(f"there is no provider {name!r}; there are {', '.join(known)}")
    return known[name]


def _python(factory: Factory, provider: Provider, rules: Sequence[Rule], how: How, alone: Situation | None) -> Search:
    """Let a Python client meet what there is to meet (or one situation alone).

    Raises:
        SubjectError: the client cannot be made.
    """
    search = Search(
        lambda situation: play(factory, provider, situation),
        provider,
        rules,
        seed=how.seed,
        most_examples=how.most_examples,
        time_budget_s=how.time_limit_s,
    )
    if alone is not None:
        search.add(alone, search.play(alone))
        return search
    calm = search.play(Situation(provider.name, seed=how.seed))
    able = calm.takes_callbacks if how.callbacks is None else how.callbacks
    search.callbacks = able and provider.callbacks is not None
    with progress_bar("situations") as search.progress:
        search.run()
    return search


def _commands(
    command: Command, provider: Provider, rules: Sequence[Rule], how: How, alone: Situation | None
) -> tuple[Search, Sequence[str]]:
    """Let a command meet one of each kind (or one situation alone), some at once; say what was left out.

    Raises:
        CommandError: there is no such program.
    """
    problem = command.problem()
    if problem is not None:
        raise CommandError(problem)
    callbacks = bool(how.callbacks) and provider.callbacks is not None
    planned = [alone] if alone is not None else tour(provider, callbacks=callbacks, jobs=False, seed=how.seed)
    left: list[str] = []
    fair = []
    for situation in planned:
        why = hindrance(situation, provider, speed=how.speed, time_limit_s=how.job_limit_s)
        if why:
            left.append(f"left out: {situation}: {why}")
        else:
            fair.append(situation)
    search = Search(_never, provider, rules, callbacks=callbacks, jobs=False, seed=how.seed, shrink=False)
    until_s = None if how.time_limit_s is None else monotonic() + how.time_limit_s
    with progress_bar("situations") as progress:
        for start in range(0, len(fair), _AT_ONCE):
            if until_s is not None and monotonic() > until_s:
                left.append(f"left out: {len(fair) - start} situations, for which there was no time")
                break
            batch = fair[start : start + _AT_ONCE]
            runs = play_commands(
                command, provider, batch, speed=how.speed, time_limit_s=how.job_limit_s, at_once=_AT_ONCE
            )
            for situation, run_ in zip(batch, runs, strict=True):
                search.add(situation, run_)
            progress(len(search.met), len(fair))
    return search, left


def _never(situation: Situation) -> Run:  # noqa: ARG001 - as the others
    raise AssertionError("commands are run in batches")


def _with_replays(search: Search, verdicts: Sequence[Verdict], words: list[str], directory: Path) -> list[Verdict]:
    """Write the smallest situation of each violation as a scenario, with the command that plays it again."""
    out = []
    for verdict in verdicts:
        situation = search.smallest(verdict)
        if situation is None:
            out.append(verdict)
            continue
        path = directory / f"{verdict.provider}-{verdict.clause.id}.yaml"
        more = ["--jobs", str(situation.jobs)] if situation.jobs > 1 else []
        more += ["--callbacks"] if situation.callbacks else []
        replay = join([*words, "--scenario", str(path), *more])
        try:
            directory.mkdir(parents=True, exist_ok=True)
            path.write_text(situation.yaml(f"{verdict.clause.id}: {verdict.clause.rule}\n{replay}"), encoding="utf-8")
        except OSError as error:
            fail(f"{error.filename}: cannot be written: {error.strerror}")
        out.append(replace(verdict, replay=replay))
    return out


def _remarks(search: Search, provider: Provider) -> Iterator[str]:
    """Say what the verdicts do not: that nothing reached the server, or that something went elsewhere."""
    strays = dict.fromkeys(stray for run_ in search.met.values() for stray in run_.strays)
    if not any(journal.exchanges for journal in search.journals):
        yield f"note: no request of this client's came to {provider.name}; does it use the base URL that it is given?"
        errors = [job.said for journal in search.journals for job in journal.jobs if job.said]
        if errors:
            yield f"note: its first error: {errors[0][:300]}"
    if strays:
        yield f"note: the client tried to reach {', '.join(list(strays)[:5])}, where nobody is"
