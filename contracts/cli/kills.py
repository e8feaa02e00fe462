"""`contracts kills`: mutation-test the clauses."""

from __future__ import annotations

import os
import sys
from itertools import count

import click

from contracts.clause import all_clauses, current_id
from contracts.cli.options import number
from contracts.cli.outputs import fail, progress_bar
from mockserver import DISTRIBUTION


@click.command()
@number("--seed", click.IntRange(0, 2**63 - 1), "Random seed.", default=0)
@number("--max-examples", click.IntRange(min=0), "Random situations per client.", default=10)
@click.option("--workers", type=click.IntRange(1, 64), default=os.cpu_count() or 1, help="Number of processes.")
@click.option("--clause", "clauses", multiple=True, metavar="CLAUSE", help="Only the broken clients of this clause.")
@number("--time-limit time_limit_s", click.FloatRange(min=1), "Real seconds after which no new client is tried.")
@click.option(
    "--each-once",
    is_flag=True,
    help="Try less: each broken client at one provider, and fewer situations once it is caught.",
)
def kills(
    seed: int,
    max_examples: int,
    workers: int,
    clauses: tuple[str, ...],
    time_limit_s: float | None,
    each_once: bool,
) -> None:
    """Mutation-test the clauses (for maintainers).

    Every clause must catch the client that is broken for it, and must not accuse any other client.
    """
    try:
        from contracts.mutation import clause_of, gaps, planned, trials  # noqa: PLC0415 - only for this command
    except ModuleNotFoundError as error:
        fail(f"this command needs {error.name}: pip install '{DISTRIBUTION}[contracts]'")

    try:
        only = frozenset(current_id(each) for each in clauses)
    except ValueError as error:
        fail(str(error))
    chosen = [each for each in planned(each_once=each_once) if not only or clause_of(each[1]) in only]
    most = len(chosen)
    with progress_bar("clients") as progress:
        done = count(1)
        found = trials(
            chosen,
            seed,
            max_examples,
            workers,
            lambda _trial: progress(next(done), most),
            time_limit_s,
            thin=each_once,
        )
    for trial in found:
        name = f"the good client of {trial.provider}" if trial.mutant is None else f"{trial.provider}  {trial.mutant}"
        outcome = "not accused" if trial.clause is None else f"caught by {trial.clause}"
        click.echo(f"{name}: {'WRONG' if trial.problems else outcome}")
        for problem in trial.problems:
            click.echo(f"    {problem}")
    if len(found) < most:
        click.echo(f"left out: {most - len(found)} clients: time limit reached")
    missing = [each for each in gaps() if not only or each in only]
    for clause in missing:
        click.echo(f"no broken client for {clause}")
    wrong = sum(bool(trial.problems) for trial in found)
    broken = sum(trial.mutant is not None for trial in found)
    tested = len(only) - len(missing) if only else len(all_clauses()) - len(missing)
    click.echo(
        f"{broken} broken clients and {len(found) - broken} good ones at {len({trial.provider for trial in found})} "
        f"providers, {tested} of {len(all_clauses())} clauses tested: {wrong} wrong"
    )
    if wrong or missing or len(found) < most:
        sys.exit(1)
