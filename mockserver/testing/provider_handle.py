"""What a test says to a provider, as it would be said in words: `mock.evolink.fail_next("generation_timeout")`.

Every verb that puts something in force returns a handle that tells how often it struck, and takes it away
again: by `remove()`, or at the end of a `with`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from mockserver.engine.faults import InvalidFaultError
from mockserver.faults import parameter_names
from mockserver.provider import UCR

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from mockserver.edge.runtime import Runtime
    from mockserver.engine.accounts import Account
    from mockserver.engine.rules import Rule

    #: Runs something where the server's state may be touched, and returns what it returned.
    Perform = Callable[[Callable[[], Any]], Any]

MOST_CREDITS = 1_000_000_000
_WHERE = ("operation", "key", "task", "model", "prompt", "text", "phase")
_WHEN = ("after", "every", "probability", "from_s", "until_s", "for_s", "times")


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
        """How often it has struck."""
        return self._rule.hits

    def remove(self) -> None:
        """Take it away; more than once does no harm."""

        def remove() -> None:
            table = self._runtime.world.faults
            if table.rules.get(self._rule.id) is self._rule:
                table.remove(self._rule.id)

        self._perform(remove)

    def __enter__(self) -> Self:
        """Leave it in force until the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take it away."""
        self.remove()


class ProviderHandle:
    """One provider of a running mock."""

    def __init__(self, runtime: Runtime, name: str, perform: Perform) -> None:
        self._runtime = runtime
        self._perform = perform
        self.name = name

    def inject(self, fault: str, **words: Any) -> ActiveFault:
        """Put any fault in force here: its parameters, and where and when it strikes, by their names.

        `operation`, `key`, `task`, `model`, `prompt`, `text` and `phase` say where; `after`, `every`,
        `probability`, `from_s`, `until_s`, `for_s` and `times` say when; the rest are the fault's own, and so is
        one of these where the fault has a parameter of that name.

        Raises:
            FaultWordsError: there is no such fault, or a word means nothing to it.
        """
        own = parameter_names(str(fault))
        given = {word: value for word, value in words.items() if value is not None or word not in (*_WHERE, *_WHEN)}
        fault_request = {
            "fault": fault,
            "where": {
                "provider": self.name,
                **{word: value for word, value in given.items() if word in _WHERE and word not in own},
            },
            "when": {word: value for word, value in given.items() if word in _WHEN and word not in own},
            "with": {word: value for word, value in given.items() if word in own or word not in (*_WHERE, *_WHEN)},
        }
        rule = self._perform(lambda: self._runtime.add_fault(fault_request))
        return ActiveFault(self._runtime, rule, self._perform)

    # -- tasks ----------------------------------------------------------------------------------

    def fail_next(self, reason: str = "", times: int = 1) -> ActiveFault:
        """Let the next task (or so many) fail, for one of the provider's reasons."""
        return self.inject("fail", reason=reason, times=times)

    def stick_next(self, state: str = "", times: int = 1) -> ActiveFault:
        """Let the next task stay in a state for ever: the last one on its way, where none is named.

        Raises:
            FaultWordsError: no task of this provider's comes through such a state.
        """
        known = [each.name for each in self._runtime.world.providers[self.name].provider.lifecycle.states]
        if state and state not in known:
            raise InvalidFaultError(f"there is no state {state!r} on the way; there are {', '.join(known)}")
        return self.inject("stuck", state=state, times=times)

    def delay_next(self, seconds: float, times: int = 1) -> ActiveFault:
        """Let the next task take so much longer."""
        return self.inject("overdue", by_s=seconds, times=times)

    # -- requests -------------------------------------------------------------------------------

    def refuse_next(
        self, status: int, times: int = 1, operation: str | None = None, retry_after_s: int | None = None
    ) -> ActiveFault:
        """Let the next request (or so many) be refused with one of the provider's errors."""
        words: dict[str, Any] = (
            {} if retry_after_s is None else {"retry_after": "seconds", "retry_after_s": retry_after_s}
        )
        return self.inject("error", status=status, times=times, operation=operation, **words)

    def refuse(self, status: int, operation: str | None = None, for_s: float | None = None) -> ActiveFault:
        """Let all requests be refused, until this is taken away (or for so long)."""
        return self.inject("error", status=status, operation=operation, for_s=for_s)

    def lose_answer(self, times: int = 1) -> ActiveFault:
        """Let the answer to the next submit be lost after the task was made."""
        return self.inject("lost_answer", times=times)

    def slow_down(self, seconds: float) -> ActiveFault:
        """Let every answer wait, in wall time."""
        return self.inject("latency", seconds=seconds)

    # -- callbacks ------------------------------------------------------------------------------

    def lose_callbacks(self, times: int | None = None) -> ActiveFault:
        """Let the next callbacks (or all) never come."""
        return self.inject("lost_callback", times=times)

    def delay_callbacks(self, seconds: float, times: int | None = None) -> ActiveFault:
        """Let callbacks come so much later."""
        return self.inject("late_callback", by_s=seconds, times=times)

    def duplicate_callbacks(self, times: int | None = None) -> ActiveFault:
        """Let callbacks come twice."""
        return self.inject("duplicated_callback", times=times)

    def forge_callbacks(self, times: int | None = None) -> ActiveFault:
        """Let callbacks have a signature that is wrong."""
        return self.inject("wrong_signature", times=times)

    # -- results and accounts -------------------------------------------------------------------

    def expire_links(self, times: int | None = None) -> ActiveFault:
        """Let links to results have expired when they are followed."""
        return self.inject("expired_link", times=times)

    def limit(
        self,
        per_minute: int | None = None,
        per_hour: int | None = None,
        at_once: int | None = None,
        key: str | None = None,
    ) -> None:
        """Give an account (that of the key that works, where none is named) these limits, and no others.

        Raises:
            FaultWordsError: a limit is no whole number from 1.
        """
        for name, value in (("per_minute", per_minute), ("per_hour", per_hour), ("at_once", at_once)):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise InvalidFaultError(f"{name} is a whole number, 1 or more; without it there is no such limit")

        def change(account: Account) -> None:
            account.plan = replace(
                account.plan, requests_per_minute=per_minute, requests_per_hour=per_hour, concurrent_tasks=at_once
            )

        self._change(key, change)

    def set_credits(self, credits_left: float, key: str | None = None) -> None:
        """Let an account hold so many credits that can be spent.

        Raises:
            FaultWordsError: that is no number of credits.
        """
        known = isinstance(credits_left, int | float) and not isinstance(credits_left, bool)
        if not known or not 0 <= credits_left <= MOST_CREDITS:
            raise InvalidFaultError(f"credits are a number from 0 to {MOST_CREDITS}")

        def change(account: Account) -> None:
            now_ms = self._runtime.clock.now_ms()
            account.settle(now_ms)
            account.grant(round(credits_left * UCR) - account.available_ucr, now_ms)

        self._change(key, change)

    def revoke_key(self, key: str | None = None) -> None:
        """Let a key be refused from now on."""
        self._change(key, lambda account: setattr(account, "revoked", True))

    def _change(self, key: str | None, change: Callable[[Account], None]) -> None:
        state = self._runtime.world.providers[self.name]
        used = key or state.provider.key.example
        if not state.provider.key.well_formed(used):
            raise InvalidFaultError(f"the key is not well-formed at {state.provider.title}")
        self._perform(lambda: change(state.account(used, self._runtime.clock.now_ms())))
