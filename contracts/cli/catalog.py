"""`contracts list` and `contracts coverage`: the clauses, and the documented rules that they cover."""

from __future__ import annotations

import sys

import click

from contracts.clause import all_clauses
from contracts.cli.outputs import known_provider
from contracts.report import GENERAL
from contracts.rules import coverage as coverage_of
from contracts.rules import documented_rules, idle_patterns
from mockserver.spec.catalog import load_providers


@click.command("list")
@click.option("--servers", "--laws", "servers", is_flag=True, help="List the clauses of `contracts provider`.")
@click.option("--provider", "name", help="Only the clauses that apply to this provider.")
def list_(*, servers: bool, name: str | None) -> None:
    """List the clauses, with their severity and sources."""
    from contracts.server.clauses import all_server_clauses  # noqa: PLC0415 - takes a while to load

    only = None if name is None else known_provider(name, load_providers())
    asked = "provider" if servers else "client"
    rules = [rule for rule in documented_rules() if rule.asks == asked and name in (None, rule.provider)]
    by_id = {rule.id: rule for rule in rules}
    for clause in all_server_clauses() if servers else all_clauses():
        covered = clause.covered(by_id)
        if only is not None and not clause.concerns(only, covered):
            continue
        click.echo(f"{clause.id}  ({clause.severity})\n  {clause.rule}")
        sources = [f"  {rule}: {by_id[rule].source}" for rule in covered]
        if clause.general:
            sources.append(f"  {GENERAL}")
        click.echo("\n".join(sources) + "\n")


@click.command()
@click.option("--all", "show_all", is_flag=True, help="Show every rule, not only the gaps.")
def coverage(*, show_all: bool) -> None:
    """Check that every documented rule has a clause, or a reason why no journal can show it."""
    found = coverage_of(documented_rules())
    gaps = [each for each in found if not each.clauses and each.reason is None]
    for each in found if show_all else gaps:
        click.echo(f"{each.rule.id}: {', '.join(each.clauses) or each.reason or 'NOT COVERED'}")
    idle = idle_patterns(documented_rules())
    for pattern in idle:
        click.echo(f"{pattern} matches no rule, but a clause or a waiver names it")
    judged = sum(bool(each.clauses) for each in found)
    click.echo(
        f"{len(found)} rules: {judged} judged by {len(all_clauses())} clauses, "
        f"{len(found) - judged - len(gaps)} with a reason, {len(gaps)} with neither"
    )
    if gaps or idle:
        sys.exit(1)
