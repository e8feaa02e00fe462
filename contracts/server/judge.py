"""A whole judgement: a visit, then the shapes, then the laws."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from contracts.rules import documented_rules, rules_of
from contracts.server.budget import Budget
from contracts.server.client import UnresponsiveError, Wire
from contracts.server.evidence import Evidence
from contracts.server.pacing import ClockPacing, Deadline, RealTimePacing, TimeIsUpError
from contracts.server.probe import ServerProbe, admin_of, credits_said
from contracts.server.receiver import Receiver
from contracts.server.verdicts import judged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from contracts.clause import Verdict
    from contracts.server.spec import Spec

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ClockError(Exception):
    """The clock that the user named is none."""


@dataclass(frozen=True)
class Terms:
    """What the user asks for, and lets the judge do."""

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
    """The verdicts, and what the user should know beside them."""

    verdicts: list[Verdict]
    notes: list[str]


def judge(spec: Spec, terms: Terms, say: Callable[[str], None] = lambda _text: None) -> Judgement:
    """Judge a server.

    Raises:
        ClockError: the clock that the user named is none.
        KeyRefusedError: the key is not taken.
        OSError: callbacks cannot be listened for.
        UnreachableError: nobody listens at the address.
    """
    deadline = Deadline(terms.time_limit_s)
    budget = Budget(spec, terms.spend_credits)
    with ExitStack() as stack:
        wire = stack.enter_context(Wire(spec, terms.base_url, terms.key, budget, deadline, patience_s=terms.patience_s))
        wire.pacing = RealTimePacing(deadline, say)
        admin_url = admin_of(wire, terms.clock_url)
        if admin_url is not None:
            wire.pacing = ClockPacing(deadline, _clock(wire, admin_url))
        evidence = Evidence(spec, movable=wire.pacing.movable, secret=terms.secret, calls=wire.calls)
        receiver = _receiver(spec, terms, wire, stack)
        if receiver is not None:
            evidence.received = receiver.got
        probe = ServerProbe(
            wire,
            evidence,
            receiver,
            _other_key(spec, terms, admin_url),
            admin_url,
            terms.seed,
        )
        try:
            probe.check_key()
            say("asking what is to be refused")
            probe.probe()
            say("leading tasks from submit to file")
            probe.lead_tasks()
            from contracts.server.conformance import Conformance  # noqa: PLC0415 - schemathesis loads slowly

            say("asking every operation, with good data and with bad")
            conformance = Conformance(wire, evidence, max_examples=terms.max_examples, seed=terms.seed)
            conformance.judge_seen()
            conformance.ask()
        except UnresponsiveError:
            evidence.notes.append("the server stayed silent too often, so the judge went home")
        except TimeIsUpError:
            evidence.notes.append(f"the time was over ({terms.time_limit_s:g} s): --time-limit gives more")
        if budget.spent_ucr or terms.spend_credits:
            evidence.notes.append(
                f"spent, by the spec's prices and the server's word: {credits_said(budget.spent_ucr)}"
            )
        elif not evidence.traces:
            evidence.notes.append("no task was made: --spend says how many credits that may cost")
    return Judgement(judged(evidence, [*documented_rules(), *rules_of(terms.spec_files)]), evidence.notes)


def _clock(wire: Wire, admin_url: str) -> Callable[[str, Any], Any]:
    def ask(method: str, body: Any) -> Any:
        status, found = wire.bare(method, f"{admin_url}/clock", body)
        if status != 200 or not isinstance(found, dict) or "now_ms" not in found:
            raise ClockError(f"{admin_url}/clock is no clock: it answered {status}")
        return found

    return ask


def _receiver(spec: Spec, terms: Terms, wire: Wire, stack: ExitStack) -> Receiver | None:
    """Listen for callbacks, where the server can be thought to reach this machine."""
    callbacks = spec.provider.callbacks
    host = terms.callback_host
    if host is None and (terms.callback_url or urlsplit(terms.base_url).hostname in _LOOPBACK):
        host = "127.0.0.1"
    if callbacks is None or host is None:
        return None
    status = 200 if 200 in callbacks.acknowledged else min(callbacks.acknowledged)
    return stack.enter_context(Receiver(wire, host, terms.callback_port, terms.callback_url, status, wire.now_ms))


def _other_key(spec: Spec, terms: Terms, admin_url: str | None) -> str | None:
    """Return somebody else's key: the user's other one, or a mock server's test key for an empty account."""
    if terms.other_key is not None or admin_url is None:
        return terms.other_key
    return next((key for key, what in spec.provider.key.test_keys.items() if what == "no_credits"), None)
