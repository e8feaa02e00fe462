"""What `serve` says when it is up, and what `providers` lists."""

from __future__ import annotations

import json
import shlex
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mockserver.edge.server import Server
    from mockserver.provider import Plan, Provider
    from mockserver.settings import Settings


def banner(server: Server) -> str:
    """Write the banner: addresses, keys that work, a line to paste, the seed, what is not as documented."""
    runtime = server.runtime
    lines = [f"mockserver is listening on {server.root_url}  (seed {runtime.world.chance.seed})", ""]
    width = max(len(provider.title) for provider in server.providers)
    for provider in server.providers:
        lines.append(f"  {provider.title:<{width}}  {server.base_url(provider.name)}")
        lines.append(f"  {'':<{width}}  key: {provider.key.example}")
    first = server.providers[0]
    lines += ["", "try:", f"  {curl_line(first, server.base_url(first.name))}", ""]
    differing = differences(server.settings, runtime.clock.speed)
    lines.append("not as documented: " + "; ".join(differing))
    lines.append(f"control plane: {server.root_url}/__admin/openapi.json")
    words = "" if server.admin_token is None else f"?{urlencode({'token': server.admin_token})}"
    lines.append(f"live page: {server.root_url}/__admin/ui{words}")
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


def differences(settings: Settings, speed: float) -> list[str]:
    """Say what makes the server differ from the documents: switches, and the pace, which a scenario may have set."""
    out = ["any well-formed key works, with an account of its own"]
    if settings.credits == "ample":
        out.append("accounts hold ample credits (--credits documented)")
    if settings.callback_targets == "loopback":
        out.append("callbacks may go to this machine, over http too (--callback-targets documented)")
    elif settings.callback_targets == "any":
        out.append("callbacks may go anywhere")
    if speed == 0:
        out.append("the clock moves only when told to")
    elif speed != 1:
        out.append(f"time runs {speed:g} times as fast")
    if settings.scenario is not None:
        out.append(f"the scenario {settings.scenario} is in force")
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


def provider_tables(providers: Iterable[Provider], test_values: Iterable[tuple[str, str]]) -> None:
    """Print what is served: operations, plans, dialects and test keys of each provider, and the test values of all."""
    from rich.console import Console  # noqa: PLC0415 - rich takes a while to load
    from rich.table import Table  # noqa: PLC0415

    console = Console(soft_wrap=False, markup=False, emoji=False)
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
        table.add_row("test keys", "\n".join(f"{key}  ({_KEYS[kind]})" for key, kind in provider.key.test_keys.items()))
        console.print(table)
    values = Table(title="Test values: words of a prompt, at every provider", title_justify="left", show_header=False)
    values.add_column(style="bold", no_wrap=True)
    values.add_column(overflow="fold")
    for value, summary in test_values:
        values.add_row(value, summary)
    console.print(values)


_KEYS = {
    "no_credits": "an account without credits",
    "revoked": "a key that has been revoked",
    "rate_limited": "one submit a minute",
}


def fault_tables(faults: Iterable[Mapping[str, Any]]) -> None:
    """Print every fault, family by family."""
    from rich.console import Console  # noqa: PLC0415
    from rich.markup import escape  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    console = Console(soft_wrap=False, emoji=False)
    for family, group in groupby(faults, key=itemgetter("family")):
        table = Table(title=family, title_justify="left", show_header=False, show_lines=True)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for fault in group:
            lines = [escape(fault["breaks"]), f"[dim]A client notices: {escape(fault['notice'])}[/dim]"]
            for each in fault["parameters"]:
                unit = f" {each['unit']}" if each["unit"] else ""
                default = escape(json.dumps(each["default"]))
                choices = escape(f" ({', '.join(each['choices'])})") if each["choices"] else ""
                lines.append(f"[bold]{each['name']}[/bold] = {default}{unit}: {escape(each['summary'])}{choices}")
            table.add_row(fault["name"], "\n".join(lines))
        console.print(table)


def scenario_report(record: Mapping[str, Any]) -> str:
    """Say how a scenario went: the faults with their hits, and what was expected."""
    lines = [f"scenario {record['scenario']}, {record['elapsed_s']:.0f} s of mock time"]
    lines += [
        f"  {each['fault']}: {each['hits']} {'hit' if each['hits'] == 1 else 'hits'}" for each in record["faults"]
    ]
    for each in record["expect"]:
        verdict = "kept" if each["kept"] else "broken"
        lines.append(f"  {verdict}: {each['that']}" + ("" if each["kept"] else f" ({each['seen']})"))
    if record["forgotten"] and record["expect"]:
        lines.append(
            f"  judged without the first {record['forgotten']} records, which the journal no longer has; "
            "`journal_entries` in --config keeps more"
        )
    return "\n".join(lines)


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
