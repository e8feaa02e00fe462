"""The command line: `contracts run|check|drift|provider|list|coverage|kills`.

outputs     files for verdicts, errors, progress
acceptance  which violations count
options     options that several commands share
check       `check`: recorded traffic
drift       `drift`: recorded answers, against the spec
run         `run`: a client in many situations
provider    `provider`: a server
catalog     `list` and `coverage`: the clauses and the rules that they cover
kills       `kills`: the clauses on broken clients
"""

from __future__ import annotations

import click

from contracts.cli.catalog import coverage, list_
from contracts.cli.check import check
from contracts.cli.drift import drift
from contracts.cli.kills import kills
from contracts.cli.provider import provider
from contracts.cli.run import run
from mockserver import DISTRIBUTION

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=DISTRIBUTION, prog_name="contracts")
def main() -> None:
    """Judge clients of asynchronous generative APIs by the providers' documents.

    Exit codes: 0 no violations, 1 violations, 2 wrong usage or configuration, 3 nothing could be said.
    """


for _command in (check, drift, list_, coverage, kills, run, provider):
    main.add_command(_command)
