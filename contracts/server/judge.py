"""Judge a server: probe it, run tasks, check its answers against the spec, then apply every clause for servers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from contracts.clause import Verdict
from contracts.judge import ranked, sources, verdict_of
from contracts.rules import Rule, documented_rules, rules_of
from contracts.server.budget import Budget, credits_text
from contracts.server.clauses import all_server_clauses
from contracts.server.client import ApiClient, UnresponsiveError
from contracts.server.evidence import Evidence
from contracts.server.pacing import ClockPacing, Deadline, RealTimePacing, TimeIsUpError
from contracts.server.probe import ServerProbe
from contracts.server.receiver import Receiver
from contracts.server.spec import Spec
from contracts.server.tasks import TaskRunner
from mockserver.engine.targets import LOOPBACK_HOSTS


class ClockError(Exception):
    """The address of a clock is wrong."""


@dataclass(frozen=True)
class Terms:
    """What the user asks for, and what the judge may do."""

    base_url: str
    key: str
    other_key: str | None = None
    spend_credits: float = 0
    time_limit_s: float = 900
    patience_s: float = 30
    max_examples: int = 20
    seed: int = 0
    clock_url: str | None = None
    callback_host: str | None = None
    callback_port: int = 0
    callback_url: str | None = None
    secret: str | None = None
    spec_files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """The verdicts, and further notes for the user."""

    verdicts: list[Verdict]
    notes: list[str]


def judge(spec: Spec, terms: Terms, show: Callable[[str], None] = lambda _text: None) -> Judgement:
    """Judge a server.

    Raises:
        ClockError: the address of the clock is wrong.
        KeyRefusedError: the key is not accepted.
        OSError: the callback receiver cannot listen.
        UnreachableError: nothing listens at the server's address.
    """
    deadline = Deadline(terms.time_limit_s)
    budget = Budget(spec, terms.spend_credits)
    with ExitStack() as stack:
        client = stack.enter_context(
            ApiClient(spec, terms.base_url, terms.key, budget, deadline, patience_s=terms.patience_s)
        )
        client.pacing = RealTimePacing(deadline, show)
        admin_url = _find_admin(client, terms.clock_url)
        if admin_url is not None:
            client.pacing = ClockPacing(deadline, _clock(client, admin_url))
        evidence = Evidence(spec, movable=client.pacing.movable, secret=terms.secret, calls=client.calls)
        receiver = _receiver(spec, terms, client, stack)
        if receiver is not None:
            evidence.received = receiver.received
        try:
            _collect(client, evidence, receiver, terms, admin_url, show)
        except UnresponsiveError:
            evidence.note("stopped: too many unanswered requests")
        except TimeIsUpError:
            evidence.note(f"stopped: time limit of {terms.time_limit_s:g} s reached (--time-limit)")
        if budget.spent_ucr or terms.spend_credits:
            evidence.note(f"spent, by the spec's prices and the server's answers: {credits_text(budget.spent_ucr)}")
        elif not evidence.traces:
            evidence.note("no task was created: --spend sets how many credits tasks may cost")
    rules = [*documented_rules(), *rules_of(terms.spec_files)]
    return Judgement(verdicts_on(evidence, rules), evidence.notes)


def _collect(
    client: ApiClient,
    evidence: Evidence,
    receiver: Receiver | None,
    terms: Terms,
    admin_url: str | None,
    show: Callable[[str], None],
) -> None:
    """Send all requests, and collect the evidence."""
    probe = ServerProbe(client, evidence, terms.seed)
    probe.check_key()
    show("sending requests that must be refused")
    probe.probe()
    show("running tasks from submit to file")
    TaskRunner(client, evidence, receiver, _other_key(evidence.spec, terms, admin_url), admin_url).run()
    from contracts.server.conformance import Conformance  # noqa: PLC0415 - schemathesis loads slowly

    show("sending generated requests, valid and invalid, to every operation")
    conformance = Conformance(client, evidence, max_examples=terms.max_examples, seed=terms.seed)
    conformance.judge_seen()
    conformance.ask()


def verdicts_on(evidence: Evidence, rules: Iterable[Rule]) -> list[Verdict]:
    """Judge the evidence by every clause for servers; violations come first."""
    provider = evidence.spec.provider
    own = {each.id: each for each in rules if each.provider == provider.name and each.asks == "provider"}
    return ranked(
        # The journal of a clause for servers is the evidence.
        verdict_of(clause, provider, clause.judge(evidence), sources(clause, own))  # type: ignore[arg-type]
        for clause in all_server_clauses()
        if clause.applies(provider)
    )


def _find_admin(client: ApiClient, clock_url: str | None) -> str | None:
    """Find the control plane of a mock server: above the API's address, or at the clock that the user names."""
    if clock_url is not None:
        return clock_url.rstrip("/").removesuffix("/clock")
    parts = urlsplit(client.base_url)
    if parts.hostname in client.spec.provider.hosts:
        return None  # the real provider: send only documented requests there
    path = parts.path.strip("/").split("/") if parts.path.strip("/") else []
    for length in range(len(path), -1, -1):
        root = f"{parts.scheme}://{parts.netloc}/{'/'.join(path[:length])}".rstrip("/")
        status, found = client.bare("GET", f"{root}/__admin/clock")
        if status == 200 and isinstance(found, dict) and {"now_ms", "speed"} <= set(found):
            return f"{root}/__admin"
    return None


def _clock(client: ApiClient, admin_url: str) -> Callable[[str, Any], Any]:
    def ask(method: str, body: Any) -> Any:
        status, found = client.bare(method, f"{admin_url}/clock", body)
        if status != 200 or not isinstance(found, dict) or "now_ms" not in found:
            raise ClockError(f"{admin_url}/clock is not the clock of a mock server: it answered {status}")
        return found

    return ask


def _receiver(spec: Spec, terms: Terms, client: ApiClient, stack: ExitStack) -> Receiver | None:
    """Listen for callbacks, if the server can reach this machine."""
    callbacks = spec.provider.callbacks
    host = terms.callback_host
    if host is None and (terms.callback_url or urlsplit(terms.base_url).hostname in LOOPBACK_HOSTS):
        host = "127.0.0.1"
    if callbacks is None or host is None:
        return None
    status = 200 if 200 in callbacks.acknowledged else min(callbacks.acknowledged)
    return stack.enter_context(Receiver(client, host, terms.callback_port, terms.callback_url, status))


def _other_key(spec: Spec, terms: Terms, admin_url: str | None) -> str | None:
    """Return the key of another account: the user's, or a mock server's test key for an empty account."""
    if terms.other_key is not None or admin_url is None:
        return terms.other_key
    return next((key for key, effect in spec.provider.key.test_keys.items() if effect == "no_credits"), None)
