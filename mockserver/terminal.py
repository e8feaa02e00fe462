"""What the command line prints: the banner of `serve`, the tables of `providers` and `faults`, scenario reports."""

from __future__ import annotations

import json
import shlex
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from mockserver import DISTRIBUTION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.table import Table

    from mockserver.edge.server import Server
    from mockserver.provider import Model, Plan, Provider
    from mockserver.settings import Settings


def banner(server: Server) -> str:
    """Return the banner: addresses, valid keys, an example request, the seed, differences from the documents."""
    runtime = server.runtime
    lines = [f"mockserver is listening on {server.root_url}  (seed {runtime.world.chance.seed})", ""]
    width = max(len(provider.title) for provider in server.providers)
    for provider in server.providers:
        lines.append(f"  {provider.title:<{width}}  {server.base_url(provider.name)}")
        lines.append(f"  {'':<{width}}  key: {provider.key.example}")
    first = server.providers[0]
    lines += ["", "try:", f"  {curl_line(first, server.base_url(first.name))}", ""]
    if (clips := fixed_clips()) is not None:
        lines.append(clips)
    for name, recording in runtime.recordings.items():
        lines.append(f"replayed from {server.settings.replay}: {recording} of {name}; other submits are as documented")
    lines.append("differs from the documents: " + "; ".join(differences(server.settings, runtime.clock.speed)))
    directory = "" if server.settings.ca_dir is None else f" --ca-dir {shlex.quote(server.settings.ca_dir)}"
    lines.append(
        f"https and proxy: the same address; `mockserver ca{directory}` prints the CA that clients are to trust"
    )
    lines.append(f"control plane: {server.root_url}/__admin/openapi.json")
    query = "" if server.admin_token is None else f"?{urlencode({'token': server.admin_token})}"
    lines.append(f"live page: {server.root_url}/__admin/ui{query}")
    if server.admin_token is not None:
        lines.append(f"admin token: {server.admin_token}")
    lines.append("stop with Ctrl-C")
    return "\n".join(lines)


def fixed_clips() -> str | None:
    """Say that clips have a fixed length, and how to change that; None where they are as long as asked."""
    from mockserver.media.encode import READY_MADE_S, has_encoder  # noqa: PLC0415 - tables need no media

    if has_encoder():
        return None
    return f"every clip lasts {READY_MADE_S} s, whatever is asked for; pip install '{DISTRIBUTION}[media]' changes it"


def curl_line(provider: Provider, base_url: str) -> str:
    """Return a shell command that submits a task; where there are none, one that gets an example."""
    operations = provider.operations.values()
    submit = next((each for each in operations if each.role == "submit"), None)
    model = next(iter(provider.models.values()), None)
    ((name, value),) = provider.key.header_with(provider.key.example).items()
    if submit is None or model is None:
        first = min(operations, key=lambda each: (each.method != "GET", "{" in each.path))
        method = () if first.method == "GET" else ("-X", first.method)
        return shlex.join(["curl", *method, base_url + first.path, "-H", f"{name}: {value}"])
    body = dict(model.example) if model.example is not None else {"model": model.name}
    headers = ("-H", f"{name}: {value}", "-H", "Content-Type: application/json")
    return shlex.join(["curl", base_url + submit.path, *headers, "-d", json.dumps(body, ensure_ascii=False)])


_FORMS_TAKEN = {
    "strict": "every request must have the form that the document says",
    "lenient": "requests are refused only if something is missing, or of another type (--validation strict)",
    "off": "no request is refused for its form (--validation strict)",
}


def differences(settings: Settings, speed: float) -> list[str]:
    """List the differences from the documents: settings, and the speed, which a scenario may have set."""
    out = ["every well-formed key is valid and has its own account"]
    if settings.credits == "ample":
        out.append("accounts hold ample credits (--credits documented)")
    if settings.any_model:
        out.append("every model name is served, with the shape and price of the nearest model")
    out += [f"the model {name} is served as {model}" for name, model in settings.model_alias.items()]
    if settings.validation != "strict":
        out.append(_FORMS_TAKEN[settings.validation])
    from mockserver.edge.runtime import targets_of  # noqa: PLC0415 - tables need no server

    if targets_of(settings) == "loopback":
        out.append("callbacks to this machine are allowed, over http as well (--callback-targets documented)")
    elif settings.callback_targets == "any":
        out.append("callbacks to any address are allowed")
    if settings.webhook_url is not None:
        out.append(f"callbacks of submits that name no address go to {settings.webhook_url}")
    if settings.passthrough:
        out.append("clients of this proxy reach every public host that is not mocked (--passthrough)")
    elif settings.allow_host:
        out.append(f"clients of this proxy reach {', '.join(settings.allow_host)} as well")
    if speed == 0:
        out.append(
            "the clock moves to what a client polls for"
            if settings.clock == "auto"
            else "the clock moves only on command"
        )
    elif speed != 1:
        out.append(f"the clock runs at {speed:g}x real time")
        if settings.retry_after == "mock":
            out.append("Retry-After counts seconds of mock time (--retry-after real)")
    if settings.scenario is not None:
        out.append(f"scenario {settings.scenario} is active")
    for name, each in settings.providers.items():
        if settings.only not in (None, name):
            continue
        out += [f"{name} uses the dialect {dialect}" for dialect in each.dialects]
        if each.plan is not None:
            out.append(f"new accounts of {name} have the plan {each.plan}")
        if each.credits is not None:
            out.append(f"accounts of {name} hold {each.credits} credits")
        if each.any_model is not None and each.any_model != settings.any_model:
            what = "as the nearest model" if each.any_model else "only where the documents have it"
            out.append(f"every model name of {name} is served {what}")
        if each.validation not in (None, settings.validation):
            out.append(f"at {name}, {_FORMS_TAKEN[each.validation]}")
        out += [f"the model {other} of {name} is served as {model}" for other, model in each.model_alias.items()]
        if each.failure_rate:
            out.append(f"{each.failure_rate:.0%} of the tasks of {name} fail")
    return out


def provider_tables(providers: Iterable[Provider], test_values: Iterable[tuple[str, str]]) -> None:
    """Print each provider's operations, plans, dialects and test keys, and the test values of all providers."""
    from rich.console import Console  # noqa: PLC0415 - slow to load

    console = Console(soft_wrap=False, markup=False, emoji=False)
    for provider in providers:
        table = _table(f"{provider.title}  (/{provider.name})")
        table.add_row("documents", "\n".join(provider.documents))
        table.add_row("hosts", ", ".join(provider.hosts))
        table.add_row("models", "\n".join(map(_model, provider.models.values())))
        table.add_row(
            "operations",
            "\n".join(f"{each.method:<5}{each.path}  ({each.role})" for each in provider.operations.values()),
        )
        table.add_row("plans", "\n".join(_plan(plan, provider) for plan in provider.plans.values()))
        dialects = [
            f"{each.name}: {each.summary} (--dialect {provider.name}={each.name})" for each in provider.dialects
        ]
        table.add_row("dialects", "\n".join(dialects) or "none")
        table.add_row("test keys", "\n".join(f"{key}  ({_KEYS[kind]})" for key, kind in provider.key.test_keys.items()))
        console.print(table)
    values = _table("Test values: write them into a prompt, at every provider")
    for value, summary in test_values:
        values.add_row(value, summary)
    console.print(values)


def _model(model: Model) -> str:
    aliases = ", ".join(sorted(model.aliases))
    return f"{model.name} (also {aliases})" if aliases else model.name


def _table(title: str, *, show_lines: bool = False) -> Table:
    """Make a table of names and what they mean."""
    from rich.table import Table  # noqa: PLC0415

    table = Table(title=title, title_justify="left", show_header=False, show_lines=show_lines)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table


_KEYS = {
    "no_credits": "an account without credits",
    "revoked": "a revoked key",
    "rate_limited": "one submit per minute",
    "no_scope": "a key that may not use the API",
}


def fault_tables(faults: Iterable[Mapping[str, Any]]) -> None:
    """Print every fault, grouped by family."""
    from rich.console import Console  # noqa: PLC0415
    from rich.markup import escape  # noqa: PLC0415

    console = Console(soft_wrap=False, emoji=False)
    for family, group in groupby(faults, key=itemgetter("family")):
        table = _table(family, show_lines=True)
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
    """Report the result of a scenario: the hits of each fault, and each expectation."""
    lines = [f"scenario {record['scenario']}, {record['elapsed_s']:.0f} s of mock time"]
    lines += [
        f"  {each['fault']}: {each['hits']} {'hit' if each['hits'] == 1 else 'hits'}" for each in record["faults"]
    ]
    for each in record["expect"]:
        verdict = "met" if each["kept"] else "not met"
        lines.append(f"  {verdict}: {each['that']}" + ("" if each["kept"] else f" ({each['seen']})"))
    if record["forgotten"] and record["expect"]:
        lines.append(
            f"  the journal dropped the first {record['forgotten']} records, so they were not checked; "
            "set a higher `journal_entries` in --config"
        )
    return "\n".join(lines)


def _plan(plan: Plan, provider: Provider) -> str:
    counted = "requests" if provider.counts_all_requests else "submits"
    limits = [
        f"{number} {unit}"
        for number, unit in (
            (plan.requests_per_minute, f"{counted} per minute"),
            (plan.requests_per_hour, "per hour"),
            (plan.tasks_per_day, "tasks per day"),
            (plan.concurrent_tasks, "concurrent tasks"),
        )
        if number is not None
    ]
    mark = " (default)" if plan.name == provider.default_plan else ""
    return f"{plan.name}{mark}: {plan.summary}" + (f"; {', '.join(limits)}" if limits else "")
