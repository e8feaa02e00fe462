"""From documents to providers: everything that can be worked out before the first request is worked out here."""

from __future__ import annotations

import math
import re
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mockserver.chance import id_format
from mockserver.provider import (
    UCR,
    Callbacks,
    CallbackTarget,
    ContentPolicy,
    Dialect,
    End,
    ErrorAnswer,
    KeyRule,
    Lifecycle,
    Model,
    Operation,
    Parameter,
    Plan,
    Problem,
    Provider,
    Reason,
    Refusal,
    Requirement,
    ResultKind,
    Route,
    Signature,
    State,
    Uploads,
    Value,
)
from mockserver.spec.document import Document, Fault, SpecError, merge_patch
from mockserver.spec.expressions import ExpressionError, compile_value, constant
from mockserver.spec.schema import compile_schema
from mockserver.spec.vocabulary import conditions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mockserver.chance import IdFormat
    from mockserver.engine.scope import Scope

METHODS = ("get", "put", "post", "delete", "patch")
DEFAULT_MAX_BODY_BYTES = 1 << 20
_MULTIPART_OVERHEAD_BYTES = 1 << 16
_AMOUNTS_KEPT = 1024
_VISIBLE_ASCII = r"[\x21-\x7e]{1,512}"


def compile_providers(documents: Iterable[Document], dialects: Mapping[str, Iterable[str]]) -> list[Provider]:
    """Compile documents into the providers they describe.

    Args:
        documents: specs that have passed the vocabulary's check.
        dialects: names of the dialects to switch on, by provider.

    Raises:
        SpecError: with every fault that was found.
    """
    leads: dict[str, Document] = {}
    parts: list[Document] = []
    faults: list[Fault] = []
    for document in documents:
        mock = document.data["x-mock"]
        name = mock.get("provider")
        if name is None:
            parts.append(document)
        elif name in leads:
            faults.append(
                document.fault(
                    ("x-mock", "provider"),
                    f"{name!r} is already led by {leads[name].name}",
                    "give it another name, or make it `part_of` that provider",
                )
            )
        else:
            leads[name] = document
    faults += [
        part.fault(
            ("x-mock", "part_of"),
            f"no spec leads the provider {part.data['x-mock']['part_of']!r}",
            "serve the spec that has it as `provider` too",
        )
        for part in parts
        if part.data["x-mock"]["part_of"] not in leads
    ]
    faults += [
        Fault("dialects", None, f"there is no provider {name!r}", f"there are {', '.join(leads) or 'none'}")
        for name in dialects
        if name not in leads
    ]
    if faults:
        raise SpecError(faults)
    providers = []
    for name, lead in leads.items():
        group = [lead, *(part for part in parts if part.data["x-mock"]["part_of"] == name)]
        compiler = _Compiler(group, tuple(dialects.get(name, ())))
        provider = compiler.provider()
        faults.extend(compiler.faults)
        if provider is not None:
            providers.append(provider)
    if faults:
        raise SpecError(faults)
    return providers


class _Compiler:
    """Compiles the documents of one provider, gathering faults as it goes."""

    def __init__(self, documents: list[Document], dialects: tuple[str, ...]) -> None:
        self.faults: list[Fault] = []
        self.switched_on = dialects
        self.dialects = self._dialects(documents, dialects)
        self.documents = [self._in_dialects(document, dialects) for document in documents]
        self.lead = self.documents[0]
        self.mock: dict[str, Any] = self.lead.data["x-mock"]

    def _dialects(self, documents: list[Document], switched_on: tuple[str, ...]) -> tuple[Dialect, ...]:
        known: dict[str, Dialect] = {}
        for document in documents:
            for name, entry in document.data["x-mock"].get("dialects", {}).items():
                known.setdefault(name, Dialect(name, entry["summary"], entry["source"], name in switched_on))
        for name in switched_on:
            if name not in known:
                self.faults.append(
                    documents[0].fault(
                        ("x-mock", "dialects"),
                        f"there is no dialect {name!r}",
                        f"there are: {', '.join(known) or 'none'}",
                    )
                )
        return tuple(known.values())

    @staticmethod
    def _in_dialects(document: Document, switched_on: tuple[str, ...]) -> Document:
        for name in switched_on:
            entry = document.data["x-mock"].get("dialects", {}).get(name)
            if entry is not None:
                document = document.patched(entry["patch"])
        return document

    # -- small things ---------------------------------------------------------------------------

    def fault(self, document: Document, path: tuple[str | int, ...], message: str, fix: str = "") -> None:
        self.faults.append(document.fault(path, message, fix))

    def value(self, template: Any, *path: str | int, document: Document | None = None) -> Value:
        try:
            return compile_value(template)
        except ExpressionError as error:
            self.fault(document or self.lead, (*path, *error.path), str(error))
            return constant(None)

    def id_format(self, text: str, *path: str | int) -> IdFormat:
        try:
            return id_format(text)
        except ValueError as error:
            self.fault(self.lead, path, str(error))
            return lambda _drawn, _unix_s: ""

    def pattern(self, text: str, *path: str | int, flags: int = 0) -> re.Pattern[str]:
        try:
            return re.compile(text, flags)
        except re.error as error:
            self.fault(self.lead, path, f"is not a regular expression: {error}")
            return re.compile("")

    # -- the whole ------------------------------------------------------------------------------

    def provider(self) -> Provider | None:
        mock = self.mock
        if self.faults:
            return None
        lifecycle = self._lifecycle()
        results = {name: self._result(name, entry) for name, entry in mock.get("results", {}).items()}
        errors = {name: self._error(name, entry) for name, entry in mock["errors"].items()}
        routes = self._routes()
        operations = {each.id: each for route in routes for each in route.operations.values()}
        self._check_routes(operations, results)
        self._check_replies(mock, operations)
        models = self._models(lifecycle, results)
        key = self._key()
        accounts = mock["accounts"]
        plans = {name: self._plan(name, entry) for name, entry in accounts["plans"].items()}
        if accounts["default_plan"] not in plans:
            self.fault(
                self.lead,
                ("x-mock", "accounts", "default_plan"),
                f"there is no plan {accounts['default_plan']!r}",
                f"there are {', '.join(plans)}",
            )
        content_policy = self._content_policy(lifecycle)
        task_ids = mock["ids"]["task"]
        matches = (
            self.pattern(task_ids["pattern"], "x-mock", "ids", "task", "pattern").search
            if "pattern" in task_ids
            else None
        )
        request_id = mock.get("request_id", {})
        documented = accounts["credits"].get("documented")
        provider = Provider(
            name=mock["provider"],
            title=mock.get("title", mock["provider"]),
            hosts=self._hosts(),
            documents=tuple(document.data["info"]["title"] for document in self.documents),
            key=key,
            request_id_header=request_id.get("header", "X-Request-Id"),
            request_id=self.id_format(request_id.get("format", "req_{hex:24}"), "x-mock", "request_id", "format"),
            task_id=self.id_format(task_ids["format"], "x-mock", "ids", "task", "format"),
            task_id_matches=matches,
            account_id=self.id_format(mock["ids"].get("account", "acct_{hex:12}"), "x-mock", "ids", "account"),
            file_id=self.id_format(mock["ids"].get("file", "file_{hex:16}"), "x-mock", "ids", "file"),
            default_plan=accounts["default_plan"],
            plans=plans,
            counts_all_requests=accounts.get("counted_requests") == "all",
            ample_ucr=round(accounts["credits"]["ample"] * UCR),
            documented_ucr=None if documented is None else round(documented * UCR),
            models=models,
            lifecycle=lifecycle,
            content_policy=content_policy,
            results=results,
            uploads=self._uploads(),
            callbacks=self._callbacks(lifecycle),
            errors=errors,
            refusals=self._refusals(errors),
            routes=routes,
            operations=operations,
            dialects=self.dialects,
        )
        return None if self.faults else provider

    def _hosts(self) -> tuple[str, ...]:
        hosts: dict[str, None] = {}
        for document in self.documents:
            paths = document.data["paths"].values()
            for holder in (document.data, *paths, *(each for item in paths for each in item.values())):
                if isinstance(holder, dict):
                    for server in holder.get("servers", ()):
                        host = urlsplit(server["url"]).hostname
                        if host:
                            hosts[host] = None
        return tuple(hosts)

    def _key(self) -> KeyRule:
        rule = self.mock["authentication"]
        path = ("x-mock", "authentication", "scheme")
        schemes = self.lead.data.get("components", {}).get("securitySchemes", {})
        scheme = schemes.get(rule["scheme"])
        if scheme is None:
            self.fault(
                self.lead,
                path,
                f"components.securitySchemes has no {rule['scheme']!r}",
                f"it has {', '.join(schemes) or 'none'}",
            )
            scheme = {}
        bearer = scheme.get("type") == "http" and str(scheme.get("scheme")).lower() == "bearer"
        if scheme and not bearer and not (scheme.get("type") == "apiKey" and scheme.get("in") == "header"):
            self.fault(self.lead, path, "is neither http bearer nor apiKey in a header", "use one of these two")
        pattern = self.pattern(rule.get("key_pattern", _VISIBLE_ASCII), "x-mock", "authentication", "key_pattern")
        if not pattern.fullmatch(rule["example"]):
            self.fault(
                self.lead, ("x-mock", "authentication", "example"), "does not have the form that key_pattern asks for"
            )
        return KeyRule(
            header="Authorization" if bearer else scheme.get("name", "Authorization"),
            bearer=bearer,
            well_formed=pattern.fullmatch,
            example=rule["example"],
        )

    @staticmethod
    def _plan(name: str, entry: dict[str, Any]) -> Plan:
        return Plan(
            name=name,
            summary=entry["summary"],
            api=entry.get("api", True),
            requests_per_minute=entry.get("requests_per_minute"),
            requests_per_hour=entry.get("requests_per_hour"),
            concurrent_tasks=entry.get("concurrent_tasks"),
        )

    # -- lifecycle and models -------------------------------------------------------------------

    def _lifecycle(self) -> Lifecycle:
        entry = self.mock["lifecycle"]
        states = tuple(
            _state(name, state["lasts_s"], state.get("progress", {"from": 0, "to": 0}))
            for name, state in entry["states"].items()
        )
        for state in states:
            if state.shortest_ms > state.longest_ms:
                self.fault(
                    self.lead, ("x-mock", "lifecycle", "states", state.name, "lasts_s"), "`from` is more than `to`"
                )
        ends = {}
        for name, end in entry["ends"].items():
            progress = end.get("progress", "last" if end["kind"] != "success" else 100)
            ends[name] = End(
                name=name,
                kind=end["kind"],
                progress=None if progress == "last" else progress,
                reasons={
                    code: Reason(code, reason["message"], reason.get("at_fraction", 1))
                    for code, reason in end.get("reasons", {}).items()
                },
            )
        path = ("x-mock", "lifecycle", "ends")
        by_kind: dict[str, End] = {}
        for name, compiled in ends.items():
            if compiled.kind in by_kind:
                self.fault(self.lead, (*path, name), f"is a second {compiled.kind}", "keep one end of each kind")
            if name in entry["states"]:
                self.fault(self.lead, (*path, name), "is also a state on the way", "rename one of them")
            by_kind.setdefault(compiled.kind, compiled)
        for kind in ("success", "failure"):
            if kind not in by_kind:
                self.fault(self.lead, path, f"has no {kind}", f"add an end with kind: {kind}")
        blank = End("", "failure", None, {})
        return Lifecycle(
            states, ends, by_kind.get("success", blank), by_kind.get("failure", blank), by_kind.get("cancellation")
        )

    def _models(self, lifecycle: Lifecycle, results: Mapping[str, ResultKind]) -> dict[str, Model]:
        models: dict[str, Model] = {}
        for document in self.documents:
            for name, entry in document.data["x-mock"]["models"].items():
                path = ("x-mock", "models", name)
                if name in models:
                    self.fault(document, path, "stands in another document of this provider too", "keep one")
                models[name] = self._model(document, name, entry, lifecycle, results)
        return models

    def _model(
        self,
        document: Document,
        name: str,
        entry: dict[str, Any],
        lifecycle: Lifecycle,
        results: Mapping[str, ResultKind],
    ) -> Model:
        path = ("x-mock", "models", name)
        schema: dict[str, Any] = {}
        try:
            schema = document.resolve(entry["request"])
        except KeyError:
            self.fault(document, (*path, "request"), f"{entry['request']} leads nowhere in this document")
        callback_url = self.mock.get("callbacks", {}).get("url", "")
        lifted = tuple(callback_url.partition("#/")[2].split("/")) if "#/" in callback_url else None
        try:
            request = compile_schema(document, schema, lifted)
        except (ValueError, KeyError) as error:
            self.fault(document, (*path, "request"), f"is not a schema that compiles: {error}")
            request = compile_schema(document, {})
        example = entry.get("example")
        if example is not None and not request.accepts(example):
            problem = request.problems(example)[0]
            self.fault(document, (*path, "example"), f"does not fit the request schema: {problem.message}")
        for state in entry.get("lasts_s", {}):
            if state not in self.mock["lifecycle"]["states"]:
                self.fault(document, (*path, "lasts_s", state), "the lifecycle has no such state")
        for result in _constants(entry.get("result")):
            if result is not None and result not in results:
                self.fault(
                    document, (*path, "result"), f"there is no result {result!r}", f"there are {', '.join(results)}"
                )
        price = entry["price"]
        reserve = self._amount(document, price["reserve"], (*path, "price", "reserve"))
        settle = self._amount(document, price["settle"], (*path, "price", "settle")) if "settle" in price else reserve
        longer = entry.get("lasts_s", {})
        states = self.mock["lifecycle"]["states"]
        return Model(
            name=name,
            document=document.data["info"]["title"],
            request=request,
            example=example,
            reserve_ucr=reserve,
            settle_ucr=settle,
            result=self.value(entry.get("result"), *path, "result", document=document),
            estimated_s=entry.get("estimated_s"),
            states=tuple(
                _state(state.name, longer[state.name], states[state.name].get("progress", {"from": 0, "to": 0}))
                if state.name in longer
                else state
                for state in lifecycle.states
            ),
            requirements=tuple(
                Requirement(
                    left=self.value(each["left"], *path, "requirements", index, "left", document=document),
                    strictly_less=each["is"] == "less_than",
                    right=self.value(each["right"], *path, "requirements", index, "right", document=document),
                    problem=Problem(each["message"], each.get("field")),
                )
                for index, each in enumerate(entry.get("requirements", ()))
            ),
        )

    def _amount(self, document: Document, entry: dict[str, Any], path: tuple[str | int, ...]) -> Callable[[Scope], int]:
        parts = [
            self.value(entry.get("base_credits", 0), *path, "base_credits", document=document),
            self.value(entry.get("each", 1), *path, "each", document=document),
            self.value(entry.get("credits_per_unit", 0), *path, "credits_per_unit", document=document),
            *(
                self.value(factor, *path, "factors", index, document=document)
                for index, factor in enumerate(entry.get("factors", ()))
            ),
        ]
        quantum = Decimal(1).scaleb(-entry.get("decimals", 2))
        known: dict[tuple[Any, ...], int] = {}

        def amount_ucr(scope: Scope) -> int:
            values = tuple([part(scope) for part in parts])
            found = known.get(values)
            if found is None:
                base, units, per_unit, *factors = map(_number, values)
                total = math.prod(factors, start=base + units * per_unit)
                found = max(0, int(total.quantize(quantum, ROUND_HALF_UP) * UCR))
                if len(known) < _AMOUNTS_KEPT:
                    known[values] = found
            return found

        return amount_ucr

    def _content_policy(self, lifecycle: Lifecycle) -> ContentPolicy | None:
        entry = self.mock.get("content_policy")
        if entry is None:
            return None
        path = ("x-mock", "content_policy")
        reason = entry.get("reason")
        if entry["at"] == "generation" and reason not in lifecycle.failure.reasons:
            self.fault(
                self.lead,
                (*path, "reason"),
                f"{reason!r} is none of the failure's reasons",
                f"they are {', '.join(lifecycle.failure.reasons) or 'none'}",
            )
        return ContentPolicy(
            texts=tuple(self.value(text, *path, "texts") for text in entry["texts"]),
            refuses=self.pattern(entry["refuses"], *path, "refuses", flags=re.IGNORECASE).search,
            at_submit=entry["at"] == "submit",
            reason=reason if entry["at"] == "generation" else None,
        )

    # -- results, uploads, callbacks, errors ----------------------------------------------------

    def _result(self, name: str, entry: dict[str, Any]) -> ResultKind:
        path = ("x-mock", "results", name)
        refusals = entry.get("refusals", {})
        missing = self._refusal(refusals.get("missing", _NO_SUCH_FILE), *path, "refusals", "missing")
        signature = entry.get("signature", {})
        return ResultKind(
            name=name,
            media=entry["media"],
            path=entry["path"],
            count=self.value(entry.get("count", 1), *path, "count"),
            duration_s=self.value(entry.get("duration_s", 6), *path, "duration_s"),
            short_side_px=self.value(entry.get("short_side_px", 720), *path, "short_side_px"),
            ratio=self.value(entry.get("ratio", "16:9"), *path, "ratio"),
            lifetime_s=entry["lifetime_s"],
            expires_parameter=signature.get("expires_parameter"),
            signature_parameter=signature.get("signature_parameter"),
            missing=missing,
            expired=self._refusal(refusals["expired"], *path, "refusals", "expired")
            if "expired" in refusals
            else missing,
            unsigned=self._refusal(refusals["unsigned"], *path, "refusals", "unsigned")
            if "unsigned" in refusals
            else missing,
        )

    def _refusal(self, entry: dict[str, Any], *path: str | int) -> Refusal:
        return Refusal(entry["status"], entry["content_type"], self.value(entry["body"], *path, "body"))

    def _uploads(self) -> Uploads | None:
        entry = self.mock.get("uploads")
        if entry is None:
            return None
        return Uploads(
            path=entry["path"],
            field=entry["field"],
            max_bytes=entry["max_bytes"],
            media_types=tuple(entry["media_types"]),
            keeps=entry.get("keeps", 100),
        )

    def _callbacks(self, lifecycle: Lifecycle) -> Callbacks | None:
        entry = self.mock.get("callbacks")
        if entry is None:
            return None
        path = ("x-mock", "callbacks")
        for state in entry["events"]:
            if state not in lifecycle.ends:
                self.fault(
                    self.lead,
                    (*path, "events", state),
                    "is no terminal state",
                    f"they are {', '.join(lifecycle.ends)}",
                )
        signature = entry.get("signature")
        target = entry.get("target", {})
        acknowledged = entry["acknowledged_by"]
        return Callbacks(
            url=self.value(entry["url"], *path, "url"),
            url_keys=tuple(entry["url"].partition("#/")[2].split("/")),
            events={state: self.value(template, *path, "events", state) for state, template in entry["events"].items()},
            headers=entry.get("headers", {}),
            signature=None
            if signature is None
            else Signature(
                header=signature["header"],
                algorithm=signature["algorithm"],
                encoding=signature["encoding"],
                prefix=signature.get("prefix", ""),
                default_secret=signature["default_secret"],
            ),
            acknowledged=frozenset(range(200, 300) if acknowledged == "2xx" else acknowledged),
            timeout_s=entry["timeout_s"],
            retry_after_ms=tuple(round(seconds * 1000) for seconds in entry["retry_after_s"]),
            target=CallbackTarget(
                schemes=tuple(target.get("schemes", ("http", "https"))),
                internal_addresses_refused=target.get("internal_addresses", "refused") == "refused",
                max_length=target.get("max_length", 2048),
            ),
        )

    def _error(self, name: str, entry: dict[str, Any]) -> ErrorAnswer:
        path = ("x-mock", "errors", name)
        body = (
            self.value(entry["body"], *path, "body")
            if "body" in entry
            else self.value(self.mock["error_body"], "x-mock", "error_body")
        )
        return ErrorAnswer(
            name=name,
            status=entry["status"],
            code=entry.get("code", entry["status"]),
            type=entry.get("type"),
            message=self.value(entry["message"], *path, "message"),
            body=body,
            retry_after=entry.get("retry_after", False),
            retry_after_s=entry.get("retry_after_s"),
            headers=tuple(entry.get("headers", {}).items()),
        )

    def _refusals(self, errors: Mapping[str, ErrorAnswer]) -> dict[str, ErrorAnswer]:
        """Map every condition to the error that answers it; none may be missing, none answered twice."""
        refusals: dict[str, ErrorAnswer] = {}
        for name, entry in self.mock["errors"].items():
            for index, condition in enumerate(entry.get("when", ())):
                if condition in refusals:
                    self.fault(
                        self.lead,
                        ("x-mock", "errors", name, "when", index),
                        f"{condition} is already answered by {refusals[condition].name}",
                        "let one error answer it",
                    )
                refusals[condition] = errors[name]
        missing = [condition for condition in conditions() if condition not in refusals]
        if missing:
            self.fault(
                self.lead,
                ("x-mock", "errors"),
                f"nothing answers {', '.join(missing)}",
                "add each to the `when` of the error that the provider would send",
            )
        return refusals

    # -- operations -----------------------------------------------------------------------------

    def _routes(self) -> tuple[Route, ...]:
        routes: list[Route] = []
        lead_paths = self.lead.data["paths"]
        for part in self.documents[1:]:
            for path, item in part.data["paths"].items():
                for method in METHODS:
                    if method in item and method not in lead_paths.get(path, {}):
                        self.fault(
                            part,
                            ("paths", path, method),
                            f"{self.lead.name}, which leads the provider, has no such operation",
                            "add it there",
                        )
        for path, item in lead_paths.items():
            operations = {}
            for method in METHODS:
                if method in item:
                    operation = self._operation(path, method, item)
                    if operation is not None:
                        operations[operation.method] = operation
            routes.append(Route(path, operations))
        return tuple(routes)

    def _operation(self, path: str, method: str, item: dict[str, Any]) -> Operation | None:
        entry = item[method]
        place = ("paths", path, method)
        mock = entry.get("x-mock")
        if mock is None:
            self.fault(self.lead, place, "has no x-mock", "say with `x-mock: {role: …}` which part it plays")
            return None
        if "operationId" not in entry:
            self.fault(self.lead, place, "has no operationId", "give it one: journals and templates name it")
            return None
        role = mock["role"]
        reply = mock.get("reply", {})
        body = reply.get("body")
        max_body_bytes = mock.get("max_body_bytes", DEFAULT_MAX_BODY_BYTES)
        if role == "upload":
            if "uploads" not in self.mock:
                self.fault(self.lead, place, "takes uploads, but x-mock has no `uploads`", "add it at the root")
            max_body_bytes = self.mock.get("uploads", {}).get("max_bytes", 0) + _MULTIPART_OVERHEAD_BYTES
        where = (*place, "x-mock")
        for state in reply.get("in", {}):
            lifecycle = self.mock["lifecycle"]
            if state not in lifecycle["states"] and state not in lifecycle["ends"]:
                self.fault(self.lead, (*where, "reply", "in", state), "the lifecycle has no such state")
        return Operation(
            id=entry["operationId"],
            method=method.upper(),
            path=path,
            role=role,
            secured=bool(entry.get("security", self.lead.data.get("security"))),
            status=reply.get("status", 200),
            body=None if "body" not in reply else self.value(body, *where, "reply", "body"),
            body_in={
                state: self.value(merge_patch(body, patch), *where, "reply", "in", state)
                for state, patch in reply.get("in", {}).items()
            },
            headers=tuple(reply.get("headers", {}).items()),
            model=None if "model" not in mock else self.value(mock["model"], *where, "model"),
            task=None if "task" not in mock else self.value(mock["task"], *where, "task"),
            item=None if "item" not in mock else self.value(mock["item"], *where, "item"),
            limit=None if "limit" not in mock else self.value(mock["limit"], *where, "limit"),
            after=None if "after" not in mock else self.value(mock["after"], *where, "after"),
            default_limit=mock.get("default_limit", 20),
            max_limit=mock.get("max_limit", 100),
            max_body_bytes=max_body_bytes,
            parameters=self._parameters(item, entry),
            charges_ucr=round(mock.get("charges_credits", 0) * UCR),
        )

    def _parameters(self, item: dict[str, Any], entry: dict[str, Any]) -> tuple[Parameter, ...]:
        out = []
        for raw in (*item.get("parameters", ()), *entry.get("parameters", ())):
            parameter = self.lead.resolve(raw["$ref"]) if "$ref" in raw else raw
            if parameter["in"] not in ("query", "path"):
                continue
            schema = parameter.get("schema", {})
            resolved = self.lead.resolve(schema["$ref"]) if "$ref" in schema else schema
            out.append(
                Parameter(
                    name=parameter["name"],
                    place=parameter["in"],
                    required=parameter.get("required", False),
                    type=resolved.get("type", "string"),
                    schema=compile_schema(self.lead, schema),
                )
            )
        return tuple(out)

    def _check_routes(self, operations: Mapping[str, Operation], results: Mapping[str, ResultKind]) -> None:
        """See that results and uploads are really served under the paths they name."""
        served = {each.path for each in operations.values() if each.role in ("result", "file")}
        for name, kind in results.items():
            if kind.path not in served:
                self.fault(
                    self.lead,
                    ("x-mock", "results", name, "path"),
                    f"no operation of role `result` has the path {kind.path}",
                    "add that path with a get",
                )
        uploads = self.mock.get("uploads")
        if uploads is not None and uploads["path"] not in served:
            self.fault(
                self.lead,
                ("x-mock", "uploads", "path"),
                f"no operation of role `file` has the path {uploads['path']}",
                "add that path with a get",
            )
        if not any(each.role == "submit" for each in operations.values()):
            self.fault(self.lead, ("paths",), "no operation has the role `submit`", "mark the one that makes tasks")

    def _check_replies(self, template: Any, operations: Mapping[str, Operation], *path: str | int) -> None:
        """See that every `$reply.X` in the root extension names a query."""
        if isinstance(template, dict):
            for key, value in template.items():
                if key != "dialects":
                    self._check_replies(value, operations, *path, key)
        elif isinstance(template, str) and template.startswith("$reply."):
            name = template.removeprefix("$reply.").partition("#")[0]
            if name not in operations or operations[name].role != "query":
                known = [each.id for each in operations.values() if each.role == "query"]
                self.fault(
                    self.lead,
                    ("x-mock", *path),
                    f"{name!r} is no operation of role `query`",
                    f"there are {', '.join(known) or 'none'}",
                )


_NO_SUCH_FILE = {"status": 404, "content_type": "text/plain", "body": "no such file"}


def _state(name: str, lasts_s: float | dict[str, float], progress: dict[str, int]) -> State:
    shortest_s, longest_s = (lasts_s["from"], lasts_s["to"]) if isinstance(lasts_s, dict) else (lasts_s, lasts_s)
    return State(name, round(shortest_s * 1000), round(longest_s * 1000), progress["from"], progress["to"])


def _number(value: Any) -> Decimal:
    """Read a template's value as a number; what is none counts as nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Decimal(0)
    return Decimal(str(value))


def _constants(template: Any) -> list[str | None]:
    """Return the names that a value can come out as."""
    if isinstance(template, dict):
        return [
            each for value in (*template["values"].values(), template.get("otherwise")) for each in _constants(value)
        ]
    return [template] if isinstance(template, str) and not template.startswith("$") else []
