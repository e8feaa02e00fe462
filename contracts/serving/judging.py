"""A whole judgement: a visit, then the shapes, then the laws."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from contracts.rules import documented_rules, rules_of
from contracts.serving.evidence import Evidence
from contracts.serving.pace import Deadline, MovedPace, RealPace, TimeIsUpError
from contracts.serving.purse import Purse
from contracts.serving.receiver import Receiver
from contracts.serving.verdicts import judged
from contracts.serving.visit import Visit, admin_of, credits_said
from contracts.serving.wire import SilenceError, Wire
from mockserver.engine.targets import LOOPBACK_HOSTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from contracts.clause import Verdict
    from contracts.serving.spec import Spec


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
    purse = Purse(spec, terms.spend_credits)
    with ExitStack() as stack:
        wire = stack.enter_context(Wire(spec, terms.base_url, terms.key, purse, deadline, patience_s=terms.patience_s))
        wire.pace = RealPace(deadline, say)
        admin_url = admin_of(wire, terms.clock_url)
        if admin_url is not None:
            wire.pace = MovedPace(deadline, _clock(wire, admin_url))
        evidence = Evidence(spec, movable=wire.pace.movable, secret=terms.secret, calls=wire.calls)
        receiver = _receiver(spec, terms, wire, stack)
        if receiver is not None:
            evidence.received = receiver.got
        visit = Visit(
            wire,
            evidence,
            receiver,
            _stranger(spec, terms, admin_url),
            admin_url,
            terms.seed,
        )
        try:
            visit.knock()
            say("asking what is to be refused")
            visit.probe()
            say("leading tasks from submit to file")
            visit.lead_tasks()
            from contracts.serving.shapes import Shapes  # noqa: PLC0415 - schemathesis loads slowly

            say("asking every operation, with good data and with bad")
            shapes = Shapes(wire, evidence, max_examples=terms.max_examples, seed=terms.seed)
            shapes.judge_seen()
            shapes.ask()
        except SilenceError:
            evidence.notes.append("the server stayed silent too often, so the judge went home")
        except TimeIsUpError:
            evidence.notes.append(f"the time was over ({terms.time_limit_s:g} s): --time-limit gives more")
        if purse.spent_ucr or terms.spend_credits:
            evidence.notes.append(f"spent, by the spec's prices and the server's word: {credits_said(purse.spent_ucr)}")
        elif not evidence.stories:
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
    if host is None and (terms.callback_url or urlsplit(terms.base_url).hostname in LOOPBACK_HOSTS):
        host = "127.0.0.1"
    if callbacks is None or host is None:
        return None
    status = 200 if 200 in callbacks.acknowledged else min(callbacks.acknowledged)
    return stack.enter_context(Receiver(wire, host, terms.callback_port, terms.callback_url, status, wire.now_ms))


def _stranger(spec: Spec, terms: Terms, admin_url: str | None) -> str | None:
    """Return somebody else's key: the user's other one, or a mock server's test key for an empty account."""
    if terms.other_key is not None or admin_url is None:
        return terms.other_key
    return next((key for key, what in spec.provider.key.test_keys.items() if what == "no_credits"), None)
