"""Compile documents into providers, so that as little as possible is computed for each request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from multidict import istr

from mockserver.chance import DRAW_BYTES, IdFormat
from mockserver.patterns import LinearPattern
from mockserver.provider import UCR, ClientAdvice, KeyRule, Plan, PollAdvice, Provider, RetryAdvice, TestKey
from mockserver.spec.compile.answers import (
    compile_callbacks,
    compile_error,
    compile_refusals,
    compile_result,
    compile_uploads,
)
from mockserver.spec.compile.context import Context
from mockserver.spec.compile.examples import check_examples
from mockserver.spec.compile.idempotency import compile_idempotency
from mockserver.spec.compile.kinds import compile_kinds
from mockserver.spec.compile.lifecycles import compile_lifecycle
from mockserver.spec.compile.operations import check_routes, compile_routes
from mockserver.spec.compile.paths import check_paths
from mockserver.spec.compile.places import check_places
from mockserver.spec.compile.signatures import check_keys
from mockserver.spec.compile.statuses import check_statuses
from mockserver.spec.compile.tasks import compile_content_policy, compile_draws, compile_models
from mockserver.spec.document import Document, SpecError, SpecIssue
from mockserver.spec.servers import hosts_of
from mockserver.spec.words import suggestion

_KEY_FORMAT = "key-{hex:32}"
_AGREE = "make the two agree"
_VISIBLE_ASCII = r"[\x21-\x7e]{1,512}"


def compile_providers(documents: Iterable[Document], dialects: Mapping[str, Iterable[str]]) -> list[Provider]:
    """Compile documents into the providers they describe.

    Args:
        documents: specs that have passed `check_vocabulary`.
        dialects: names of the dialects to switch on, by provider.

    Raises:
        SpecError: with every issue.
    """
    leads: dict[str, Document] = {}
    parts: list[Document] = []
    issues: list[SpecIssue] = []
    for document in documents:
        mock = document.data["x-mock"]
        name = mock.get("provider")
        if name is None:
            parts.append(document)
        elif name in leads:
            issues.append(
                document.issue(
                    ("x-mock", "provider"),
                    f"{name!r} is already defined in {leads[name].name}",
                    "use another name, or make this spec `part_of` that provider",
                )
            )
        else:
            leads[name] = document
    issues += [
        part.issue(
            ("x-mock", "part_of"),
            f"no spec defines the provider {part.data['x-mock']['part_of']!r}",
            "also serve the spec with this `provider`",
        )
        for part in parts
        if part.data["x-mock"]["part_of"] not in leads
    ]
    issues += [
        SpecIssue("dialects", None, f"unknown provider {name!r}", f"known: {', '.join(leads) or 'none'}")
        for name in dialects
        if name not in leads
    ]
    if issues:
        raise SpecError(issues)
    providers = []
    for name, lead in leads.items():
        group = [lead, *(part for part in parts if part.data["x-mock"]["part_of"] == name)]
        context = Context(group, tuple(dialects.get(name, ())))
        provider = _compiled(context)
        issues.extend(context.issues)
        if provider is not None:
            providers.append(provider)
    if issues:
        raise SpecError(issues)
    return providers


def _compiled(context: Context) -> Provider | None:
    mock = context.mock
    if context.issues:
        return None
    lifecycle = compile_lifecycle(context, mock["lifecycle"])
    results = {name: compile_result(context, name, entry) for name, entry in mock.get("results", {}).items()}
    errors = {name: compile_error(context, name, entry) for name, entry in mock["errors"].items()}
    kinds = compile_kinds(context, lifecycle, results)
    routes = compile_routes(context, kinds)
    operations = {each.id: each for route in routes for each in route.operations.values()}
    check_routes(context, operations, results)
    check_paths(context, operations, results)
    check_statuses(context, operations)
    check_keys(context, operations.values())
    models = compile_models(context, lifecycle, kinds, results, operations)
    check_places(context, models, operations)
    check_examples(context, operations, models)
    key = _key(context)
    accounts = mock["accounts"]
    fixed = accounts.get("rate_window") == "fixed"
    plans = {
        name: Plan(name, fixed_windows=fixed, **{key: value for key, value in entry.items() if key != "source"})
        for name, entry in accounts["plans"].items()
    }
    if accounts["default_plan"] not in plans:
        context.report(
            ("x-mock", "accounts", "default_plan"),
            f"unknown plan {accounts['default_plan']!r}",
            suggestion(accounts["default_plan"], plans),
        )
    content_policy = compile_content_policy(context, lifecycle)
    task_ids, known = mock["ids"]["task"], len(context.issues)
    task_id = context.id_format(task_ids["format"], "x-mock", "ids", "task", "format")
    matches = None
    if "pattern" in task_ids:
        matches = context.pattern(task_ids["pattern"], "x-mock", "ids", "task", "pattern").search
        if len(context.issues) == known and not matches(task_id(bytes(DRAW_BYTES), 0)):
            fix = "make the two agree: every query would be refused"
            context.report(("x-mock", "ids", "task", "pattern"), f"does not match {task_ids['format']!r}", fix)
    request_id = mock.get("request_id", {})
    documented = accounts["credits"].get("documented")
    provider = Provider(
        name=mock["provider"],
        title=mock.get("title", mock["provider"]),
        hosts=_hosts(context),
        documents=tuple(document.data["info"]["title"] for document in context.documents),
        key=key,
        request_id_header=request_id.get("header", "X-Request-Id"),
        request_id=context.id_format(request_id.get("format", "req_{hex:24}"), "x-mock", "request_id", "format"),
        task_id=task_id,
        task_id_matches=matches,
        account_id=context.id_format(mock["ids"].get("account", "acct_{hex:12}"), "x-mock", "ids", "account"),
        file_id=context.id_format(mock["ids"].get("file", "file_{hex:16}"), "x-mock", "ids", "file"),
        callback_id=context.id_format(mock["ids"].get("callback", "msg_{hex:24}"), "x-mock", "ids", "callback"),
        default_plan=accounts["default_plan"],
        plans=plans,
        counts_all_requests=accounts.get("counted_requests") == "all",
        ample_ucr=round(accounts["credits"]["ample"] * UCR),
        documented_ucr=None if documented is None else round(documented * UCR),
        models=models,
        lifecycle=lifecycle,
        content_policy=content_policy,
        results=results,
        uploads=compile_uploads(context, lifecycle),
        callbacks=compile_callbacks(context),
        errors=errors,
        refusals=compile_refusals(context, errors),
        routes=routes,
        operations=operations,
        dialects=context.dialects,
        client=_advice(mock.get("client", {})),
        idempotency=compile_idempotency(context),
        shows_progress=any("$task.progress" in each.text for each in context.documents),
        draws=compile_draws(context),
        kinds=kinds,
    )
    return None if context.issues else provider


def _advice(entry: dict[str, Any]) -> ClientAdvice:
    poll = {key: value for key, value in entry.get("poll", {}).items() if key != "source"}
    return ClientAdvice(
        poll=PollAdvice(**poll),
        retry=tuple(
            RetryAdvice(
                statuses=frozenset(each["statuses"]),
                waits_s=tuple(each.get("waits_s", ())),
                jitter=each.get("jitter", False),
                at_most=each.get("at_most"),
            )
            for each in entry.get("retry", ())
        ),
    )


def _hosts(context: Context) -> tuple[str, ...]:
    hosts: dict[str, None] = {}
    for document in context.documents:
        paths = document.data["paths"].values()
        for holder in (document.data, *paths, *(each for item in paths for each in item.values())):
            if isinstance(holder, dict):
                hosts.update(dict.fromkeys(hosts_of(holder.get("servers"))))
    return tuple(hosts)


def _key(context: Context) -> KeyRule:
    rule = context.mock["authentication"]
    path = ("x-mock", "authentication", "scheme")
    schemes = context.lead.data.get("components", {}).get("securitySchemes", {})
    scheme = schemes.get(rule["scheme"])
    if scheme is None:
        context.report(path, f"unknown security scheme {rule['scheme']!r}", suggestion(rule["scheme"], schemes))
        scheme = {}
    bearer = scheme.get("type") == "http" and str(scheme.get("scheme")).lower() == "bearer"
    if scheme and not bearer and not (scheme.get("type") == "apiKey" and scheme.get("in") == "header"):
        fix = "use {type: http, scheme: bearer} or {type: apiKey, in: header, name: …}"
        context.report(path, f"{rule['scheme']!r} is no bearer token and no header", fix)
    pattern = context.pattern(rule.get("key_pattern", _VISIBLE_ASCII), "x-mock", "authentication", "key_pattern")
    if not pattern.fullmatch(rule["example"]):
        context.report(("x-mock", "authentication", "example"), "does not match key_pattern", _AGREE)
    return KeyRule(
        header=istr("Authorization" if bearer else scheme.get("name", "Authorization")),
        bearer=bearer,
        well_formed=pattern.fullmatch,
        example=rule["example"],
        test_keys=_test_keys(context, rule.get("test_keys", {}), pattern, rule["example"]),
        new_key=_new_key(context, rule, pattern),
        variable=rule.get("variable"),
    )


def _new_key(context: Context, rule: dict[str, Any], pattern: LinearPattern) -> IdFormat | None:
    text = rule.get("key_format", _KEY_FORMAT)
    known = len(context.issues)
    made = context.id_format(text, "x-mock", "authentication", "key_format")
    if len(context.issues) > known:
        return None
    if pattern.fullmatch(made(bytes(DRAW_BYTES), 0)):
        return made
    if "key_format" in rule:
        context.report(("x-mock", "authentication", "key_format"), "does not match key_pattern", _AGREE)
    return None


def _test_keys(context: Context, entry: dict[TestKey, str], pattern: LinearPattern, example: str) -> dict[str, TestKey]:
    for kind, key in entry.items():
        if not pattern.fullmatch(key):
            context.report(("x-mock", "authentication", "test_keys", kind), "does not match key_pattern", _AGREE)
        if key == example or list(entry.values()).count(key) > 1:
            context.report(
                ("x-mock", "authentication", "test_keys", kind),
                f"{key!r} is used more than once",
                "use a different key for each test key and the example",
            )
    return {key: kind for kind, key in entry.items()}
