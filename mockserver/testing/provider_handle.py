"""Injects faults at one provider: `mock.evolink.fail_next("generation_timeout")`.

Each method that injects a fault returns an `ActiveFault`, which counts its hits and is removed by `remove()` or at
the end of a `with` block.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from mockserver.edge.account_changes import account_issues, apply_changes
from mockserver.edge.rule_codec import WHEN, WHERE
from mockserver.edge.runtime import Runtime
from mockserver.engine.faults import InvalidFaultError
from mockserver.engine.rules import Rule
from mockserver.faults import parameter_names
from mockserver.testing.assertions import Assertions

#: Runs a function where the server's state may be changed; returns its result.
Perform = Callable[[Callable[[], Any]], Any]

MOST_CREDITS = 1_000_000_000
_WHERE = frozenset(WHERE) - {"provider"}
_CONDITIONS = _WHERE | set(WHEN)


class ActiveFault:
    """A fault in force."""

    def __init__(self, runtime: Runtime, rule: Rule, perform: Perform) -> None:
        self._runtime = runtime
        self._rule = rule
        self._perform = perform

    @property
    def id(self) -> str:
        """Its id in the control plane."""
        return self._rule.id

    @property
    def hits(self) -> int:
        """How often it has been applied."""
        return self._rule.hits

    def remove(self) -> None:
        """Remove the fault; calling this again does nothing."""
        table, rule = self._runtime.world.faults, self._rule
        self._perform(lambda: table.rules.get(rule.id) is rule and table.remove(rule.id))

    def __enter__(self) -> Self:
        """Keep the fault until the end of the block."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Remove the fault."""
        self.remove()


class ProviderHandle(Assertions):
    """One provider of a running server: verbs that inject faults, and assertions about what clients did."""

    def inject(self, fault: str, **parameters: Any) -> ActiveFault:
        """Inject any fault at this provider.

        `operation`, `key`, `task`, `model`, `prompt`, `text` and `phase` say where it applies; `after`, `every`,
        `probability`, `from_s`, `until_s`, `for_s` and `times` say when. All others are parameters of the fault;
        a parameter of the fault takes precedence over one of these names.

        Raises:
            InvalidFaultError: the fault or a parameter is unknown or invalid.
        """
        own = parameter_names(str(fault))
        fault_request: dict[str, Any] = {"fault": fault, "where": {"provider": self.name}, "when": {}, "with": {}}
        for name, value in parameters.items():
            if value is not None or name not in _CONDITIONS:
                condition = name in _CONDITIONS and name not in own
                part = ("where" if name in _WHERE else "when") if condition else "with"
                fault_request[part][name] = value
        rule = self._perform(lambda: self._runtime.add_fault(fault_request))
        return ActiveFault(self._runtime, rule, self._perform)

    # -- tasks ----------------------------------------------------------------------------------

    def fail_next(self, reason: str = "", times: int = 1) -> ActiveFault:
        """Fail the next `times` tasks, for one of the provider's reasons (default: its first)."""
        return self.inject("fail", reason=reason, times=times)

    def stick_next(self, state: str = "", times: int = 1) -> ActiveFault:
        """Keep the next `times` tasks in a state for ever (default: the last state before the end).

        Raises:
            InvalidFaultError: the provider does not have this state.
        """
        known = [each.name for each in self._runtime.world.providers[self.name].provider.whole_lifecycle.states]
        if state and state not in known:
            raise InvalidFaultError(f"state must be one of {', '.join(known)}; got {state!r}")
        return self.inject("stuck", state=state, times=times)

    def delay_next(self, seconds: float, times: int = 1) -> ActiveFault:
        """Make the next `times` tasks take `seconds` longer."""
        return self.inject("overdue", by_s=seconds, times=times)

    # -- requests -------------------------------------------------------------------------------

    def refuse_next(
        self, status: int, times: int = 1, operation: str | None = None, retry_after_s: int | None = None
    ) -> ActiveFault:
        """Refuse the next `times` requests with one of the provider's errors."""
        retry = {} if retry_after_s is None else {"retry_after": "seconds", "retry_after_s": retry_after_s}
        return self.inject("error", status=status, times=times, operation=operation, **retry)

    def refuse(self, status: int, operation: str | None = None, for_s: float | None = None) -> ActiveFault:
        """Refuse all requests until the fault is removed, or for `for_s` seconds."""
        return self.inject("error", status=status, operation=operation, for_s=for_s)

    def lose_answer(self, times: int = 1) -> ActiveFault:
        """Lose the answer to the next `times` submits, after the task was created."""
        return self.inject("lost_answer", times=times)

    def slow_down(self, seconds: float) -> ActiveFault:
        """Delay every answer by `seconds` of wall time."""
        return self.inject("latency", seconds=seconds)

    # -- callbacks ------------------------------------------------------------------------------

    def lose_callbacks(self, times: int | None = None) -> ActiveFault:
        """Lose the next `times` callbacks (default: all)."""
        return self.inject("lost_callback", times=times)

    def delay_callbacks(self, seconds: float, times: int | None = None) -> ActiveFault:
        """Deliver callbacks `seconds` later."""
        return self.inject("late_callback", by_s=seconds, times=times)

    def duplicate_callbacks(self, times: int | None = None) -> ActiveFault:
        """Deliver callbacks twice."""
        return self.inject("duplicated_callback", times=times)

    def forge_callbacks(self, times: int | None = None) -> ActiveFault:
        """Sign callbacks wrongly."""
        return self.inject("wrong_signature", times=times)

    # -- results and accounts -------------------------------------------------------------------

    def expire_links(self, times: int | None = None) -> ActiveFault:
        """Make links to results expired."""
        return self.inject("expired_link", times=times)

    def limit(
        self,
        per_minute: int | None = None,
        per_hour: int | None = None,
        at_once: int | None = None,
        per_day: int | None = None,
        key: str | None = None,
    ) -> None:
        """Set the limits of an account (default: of the provider's example key); None removes a limit.

        Raises:
            InvalidFaultError: a limit is not an integer from 1.
        """
        for name, value in (
            ("per_minute", per_minute),
            ("per_hour", per_hour),
            ("at_once", at_once),
            ("per_day", per_day),
        ):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise InvalidFaultError(f"{name} must be an integer from 1, or None for no limit")

        self._change(
            key,
            requests_per_minute=per_minute,
            requests_per_hour=per_hour,
            tasks_per_day=per_day,
            concurrent_tasks=at_once,
        )

    def set_credits(self, credits_left: float, key: str | None = None) -> None:
        """Set the available credits of an account.

        Raises:
            InvalidFaultError: not a number of credits.
        """
        number = isinstance(credits_left, int | float) and not isinstance(credits_left, bool)
        if not number or not 0 <= credits_left <= MOST_CREDITS:
            raise InvalidFaultError(f"credits must be a number from 0 to {MOST_CREDITS}")

        self._change(key, available_credits=credits_left)

    def revoke_key(self, key: str | None = None) -> None:
        """Revoke a key."""
        self._change(key, revoked=True)

    def _change(self, key: str | None, **changes: Any) -> None:
        state = self._runtime.world.providers[self.name]
        used = key or state.provider.key.example
        for field, problem in account_issues(state.provider, {"key": used}):
            raise InvalidFaultError(f"{field}: {problem}")

        now_ms = self._runtime.clock.now_ms
        self._perform(lambda: apply_changes(state, state.account(used, now_ms()), changes, now_ms()))
