"""What `serve` says when it is up, and what `providers` lists."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mockserver.config import Settings
    from mockserver.edge.server import Server
    from mockserver.provider import Plan, Provider


def banner(server: Server) -> str:
    """Write the banner: addresses, keys that work, a line to paste, the seed, what is not as documented."""
    settings = server.settings
    lines = [f"mockserver is listening on {server.root_url}  (seed {settings.seed})", ""]
    width = max(len(provider.title) for provider in server.providers)
    for provider in server.providers:
        lines.append(f"  {provider.title:<{width}}  {server.base_url(provider.name)}")
        lines.append(f"  {'':<{width}}  key: {provider.key.example}")
    first = server.providers[0]
    lines += ["", "try:", f"  {curl_line(first, server.base_url(first.name))}", ""]
    differing = differences(settings)
    lines.append("not as documented: " + ("; ".join(differing) if differing else "nothing"))
    lines.append(f"control plane: {server.root_url}/__admin/openapi.json")
    if server.admin_token is not None:
        lines.append(f"admin token: {server.admin_token}")
    lines.append("stop with Ctrl-C")
    return "\n".join(lines)


def curl_line(provider: Provider, base_url: str) -> str:
    """Write a request that submits a task, to be pasted into a shell."""
    submit = next(each for each in provider.operations.values() if each.role == "submit")
    model = next(iter(provider.models.values()))
    key = f"Bearer {provider.key.example}" if provider.key.bearer else provider.key.example
    body = dict(model.example) if model.example is not None else {"model": model.name}
    return shlex.join(
        [
            "curl",
            base_url + submit.path,
            "-H",
            f"{provider.key.header}: {key}",
            "-H",
            "Content-Type: application/json",
            "-d",
            json.dumps(body, ensure_ascii=False),
        ]
    )


def differences(settings: Settings) -> list[str]:
    """Say which switches make the server differ from the documents."""
    out = []
    if settings.credits == "ample":
        out.append("accounts hold ample credits (--credits documented)")
    if settings.callback_targets == "loopback":
        out.append("callbacks may go to this machine, over http too (--callback-targets documented)")
    elif settings.callback_targets == "any":
        out.append("callbacks may go anywhere")
    if settings.clock == "manual":
        out.append("the clock moves only when told to")
    elif settings.speed != 1:
        out.append(f"time runs {settings.speed:g} times as fast")
    for name, each in settings.providers.items():
        if settings.only not in (None, name):
            continue
        out += [f"{name} speaks the dialect {dialect}" for dialect in each.dialects]
        if each.plan is not None:
            out.append(f"{name}'s new accounts are on the plan {each.plan}")
        if each.credits is not None:
            out.append(f"{name}'s accounts hold {each.credits} credits")
        if each.failure_rate:
            out.append(f"{each.failure_rate:.0%} of {name}'s tasks fail")
    return out


def provider_tables(providers: Iterable[Provider]) -> None:
    """Print what is served: a table of operations, plans and dialects for each provider."""
    from rich.console import Console  # noqa: PLC0415 - rich takes a while to load
    from rich.table import Table  # noqa: PLC0415

    console = Console(soft_wrap=False)
    for provider in providers:
        table = Table(title=f"{provider.title}  (/{provider.name})", title_justify="left", show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row("documents", "\n".join(provider.documents))
        table.add_row("hosts", ", ".join(provider.hosts))
        table.add_row("models", "\n".join(provider.models))
        table.add_row(
            "operations",
            "\n".join(f"{each.method:<5}{each.path}  ({each.role})" for each in provider.operations.values()),
        )
        table.add_row(
            "plans",
            "\n".join(_plan(plan, provider) for plan in provider.plans.values()),
        )
        dialects = [
            f"{each.name}: {each.summary} (--dialect {provider.name}={each.name})" for each in provider.dialects
        ]
        table.add_row("dialects", "\n".join(dialects) or "none")
        console.print(table)


def _plan(plan: Plan, provider: Provider) -> str:
    counted = "requests" if provider.counts_all_requests else "submits"
    limits = [
        f"{number} {words}"
        for number, words in (
            (plan.requests_per_minute, f"{counted} a minute"),
            (plan.requests_per_hour, "an hour"),
            (plan.concurrent_tasks, "tasks at once"),
        )
        if number is not None
    ]
    mark = " (default)" if plan.name == provider.default_plan else ""
    return f"{plan.name}{mark}: {plan.summary}" + (f"; {', '.join(limits)}" if limits else "")
