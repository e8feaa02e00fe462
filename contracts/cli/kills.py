"""`contracts kills`: mutation-test the clauses."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from contracts.clause import all_clauses
from contracts.cli.options import number
from contracts.cli.outputs import fail, progress_bar

if TYPE_CHECKING:
    from contracts.mutation import Trial


@click.command()
@number("--seed", click.IntRange(0, 2**63 - 1), "Random seed.", default=0)
@number("--max-examples", click.IntRange(min=0), "Random situations per client.", default=10)
@click.option("--workers", type=click.IntRange(1, 64), default=os.cpu_count() or 1, help="Number of processes.")
def kills(seed: int, max_examples: int, workers: int) -> None:
    """Mutation-test the clauses (for maintainers).

    Every clause must catch the client that is broken for it, and must not accuse any other client.
    """
    try:
        from contracts.mutation import gaps, planned, trials  # noqa: PLC0415 - only this command needs broken clients
    except ModuleNotFoundError as error:
        fail(f"this command needs {error.name}: pip install 'mockserver-genvideo[contracts]'")

    most = len(planned())
    with progress_bar("clients") as progress:
        found: list[Trial] = []

        def ended(trial: Trial) -> None:
            found.append(trial)
            progress(len(found), most)

        trials(seed, max_examples, workers, ended)
    for trial in found:
        name = f"the good client of {trial.provider}" if trial.mutant is None else f"{trial.provider}  {trial.mutant}"
        outcome = "not accused" if trial.clause is None else f"caught by {trial.clause}"
        click.echo(f"{name}: {'WRONG' if trial.problems else outcome}")
        for problem in trial.problems:
            click.echo(f"    {problem}")
    missing = list(gaps())
    for clause in missing:
        click.echo(f"no broken client for {clause}")
    wrong = sum(bool(trial.problems) for trial in found)
    broken = sum(trial.mutant is not None for trial in found)
    click.echo(
        f"{broken} broken clients and {len(found) - broken} good ones at {len({trial.provider for trial in found})} "
        f"providers, {len(all_clauses()) - len(missing)} of {len(all_clauses())} clauses tested: {wrong} wrong"
    )
    if wrong or missing:
        sys.exit(1)
