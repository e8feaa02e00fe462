"""The state of one session: engine, clock, journal and callback dispatcher.

Every command of the control plane and of the Python API is one method of `Runtime`.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mockserver.chance import Chance
from mockserver.clock import LAST_MS, MANUAL_START_MS, Clock, Wall, iso_of
from mockserver.edge.active_scenario import ActiveScenario, activate, check_scenario
from mockserver.edge.dispatcher import CallbackDispatcher, Report
from mockserver.edge.metrics import Metrics
from mockserver.edge.rule_codec import read_fault_request
from mockserver.edge.waiting import Waiting
from mockserver.engine.callbacks import Delivery
from mockserver.engine.client_time import ClientTime
from mockserver.engine.commands import Command, run_command
from mockserver.engine.course import Recording
from mockserver.engine.keeping import Bounds
from mockserver.engine.models import aliases_for
from mockserver.engine.rules import Rule
from mockserver.engine.targets import is_loopback
from mockserver.engine.task import Task
from mockserver.engine.world import World, WorldRules
from mockserver.faults.directives import RequestDirectives
from mockserver.journal.journal import Journal
from mockserver.provider import Provider, ProviderRules, TargetMode
from mockserver.scenarios.read import Scenario
from mockserver.settings import CallbackTime, Settings

_LOG = logging.getLogger("mockserver")
_MOST_TOLD = 1000
WORKERS_BY_CLOCK = {"manual": 1, "auto": 1, "real": 32}


class Runtime:
    """The state of one session; it delivers callbacks from the start, so it needs a running event loop."""

    def __init__(
        self,
        settings: Settings,
        providers: Sequence[Provider],
        base_urls: Mapping[str, str],
        wall: Wall,
        recordings: Mapping[str, Recording] = MappingProxyType({}),
        metrics: Metrics | None = None,
    ) -> None:
        self.metrics = metrics
        self.settings = settings
        self.wall = wall
        self.providers = providers
        self.base_urls = base_urls
        self.recordings = recordings
        self.tls = receivers_tls(settings.callback_ca)
        self.journal = Journal(
            self.secrets,
            settings.journal_entries,
            settings.journal_body_bytes,
            None if settings.journal is None else Path(settings.journal),
            wall.unix_s,
            secret_headers=_secret_headers(self.providers),
            counts=metrics,
        )
        self.closed = False
        self._told: set[str] = set()
        #: Secrets of others than the accounts; they have no name in the journal.
        self.foreign_secrets: set[str] = set()
        self.active_scenario: ActiveScenario | None = None
        self._begin(settings.seed)

    def _begin(self, seed: int) -> None:
        settings = self.settings
        is_real = settings.clock == "real"
        start_ms = int(self.wall.unix_s() * 1000) if is_real else MANUAL_START_MS
        self.clock = Clock(start_ms, settings.speed if is_real else 0, self.wall.monotonic_s)
        #: What watches for clients that wait; None where the clock goes by itself.
        self.waiting = None if is_real else Waiting(self.clock, moves=settings.clock == "auto")
        by_provider = {
            provider.name: ProviderRules(
                own.credits or settings.credits,
                own.plan,
                own.failure_rate,
                settings.any_model if own.any_model is None else own.any_model,
                {**aliases_for(provider, settings.model_alias), **own.model_alias},
                own.validation or settings.validation,
                own.webhook_url or settings.webhook_url,
                own.webhook_secret or settings.webhook_secret,
            )
            for provider in self.providers
            for own in (settings.provider(provider.name),)
        }
        rules = WorldRules(
            targets_of(settings),
            by_provider,
            Bounds(settings.keep_tasks, settings.keep_task_bytes),
            Bounds(settings.keep_uploads, settings.keep_upload_bytes),
            self.recordings,
        )
        self.world = World(self.providers, Chance(seed), rules, self.base_urls, RequestDirectives())
        self.dispatcher = CallbackDispatcher(
            self.world,
            self.clock,
            self.journal,
            per_origin=settings.callback_workers or WORKERS_BY_CLOCK[settings.clock],
            tls=self.tls,
            wall_s=self.wall.monotonic_s,
            receiver_ms=partial(_receiver_ms, self.clock, self.wall, settings.callback_time),
        )

    async def close(self) -> None:
        """Stop delivering callbacks, and close the journal."""
        self.closed = True
        if self.waiting is not None:
            self.waiting.stop()
        await self.dispatcher.close()
        self.journal.close()

    async def reset(self, seed: int | None = None) -> None:
        """Reset: same or new seed; no tasks, accounts, faults or scenario; an empty journal."""
        if not self.closed:
            await self._start_over(seed).close()

    def tell(self, provider: Provider, remarks: Mapping[str, Any]) -> None:
        """Say on the terminal which switch would help a client, once for each."""
        hint = remarks.get("hint")
        if hint is not None and hint not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(hint)
            _LOG.warning("%s has no such model: %s", provider.title, hint)

    def _start_over(self, seed: int | None) -> CallbackDispatcher:
        """Replace the state at once; return the old dispatcher, which the caller closes."""
        old = self.dispatcher
        if self.waiting is not None:
            self.waiting.stop()
        self.journal.clear()
        self.active_scenario = None
        self._begin(self.settings.seed if seed is None else seed)
        return old

    def secrets(self) -> dict[str, str]:
        """Return every known secret, and the name that replaces it in the journal."""
        out = dict.fromkeys(self.foreign_secrets, "redacted")
        for state in self.world.providers.values():
            rule = state.provider.callbacks
            if rule is not None and rule.signature is not None and rule.signature.default_secret is not None:
                out[rule.signature.default_secret] = "webhook secret"
            for key, account in (*state.retired_keys.items(), *state.accounts.items()):
                out[key] = f"key of {account.id}"
                if account.secret is not None:
                    out[account.secret] = f"webhook secret of {account.id}"
        if self.settings.admin_token:
            out[self.settings.admin_token] = "admin token"
        return out

    def client_time(self) -> ClientTime | None:
        """Return the client's clock, where it runs differently from mock time."""
        speed = self.clock.speed
        if speed in (0, 1) or self.settings.retry_after == "mock":
            return None
        return ClientTime(speed, int(self.wall.unix_s() * 1000))

    async def advance_to(self, instant_ms: int) -> Report:
        """Advance the clock and deliver what falls due; see `CallbackDispatcher.advance_to`.

        Raises:
            ValueError: the instant is beyond the range of mock time.
        """
        if instant_ms >= LAST_MS:
            raise ValueError(f"the clock cannot go beyond {iso_of(LAST_MS)}")
        return await self.dispatcher.advance_to(instant_ms)

    async def command(self, task_id: str, command: Command, reason: str | None = None) -> Task:
        """Hold, release, complete, fail or cancel a task; wait for the callbacks this triggers at once."""
        task = run_command(self.world, task_id, command, self.clock.now_ms(), reason)
        self.dispatcher.wake()
        await self.dispatcher.drain_due()
        return task

    def add_fault(self, fault_request: Mapping[str, Any]) -> Rule:
        """Add a fault, from a request as the control plane accepts it.

        Raises:
            InvalidFaultError: a value is invalid.
        """
        return self.world.faults.add(*read_fault_request(self.world, fault_request), self.clock.now_ms())

    async def start_scenario(self, scenario: Scenario) -> ActiveScenario:
        """Reset, and apply the seed, clock, accounts and faults of a scenario.

        Raises:
            SpecError: a name in it does not exist; nothing has changed.
        """
        check_scenario(self.world, scenario)
        old = None if self.closed else self._start_over(scenario.seed)
        active = self.active_scenario = activate(self.world, self.clock, scenario)
        if old is not None:
            await old.close()
        return active

    def change_scenario(self, scenario: Scenario) -> ActiveScenario:
        """Replace the active scenario, without a reset.

        Raises:
            SpecError: a name in it does not exist; the active scenario has not changed.
        """
        check_scenario(self.world, scenario)
        old = self.stop_scenario()
        self.active_scenario = activate(
            self.world, self.clock, scenario, since_ms=None if old is None else old.started_ms
        )
        self.dispatcher.wake()
        return self.active_scenario

    def stop_scenario(self) -> ActiveScenario | None:
        """Remove the faults of the active scenario; their effects so far remain."""
        active, self.active_scenario = self.active_scenario, None
        if active is not None:
            active.remove(self.world)
        return active

    def scenario_record(self) -> dict[str, Any] | None:
        """Describe the progress of the active scenario, if any."""
        if self.active_scenario is None:
            return None
        record = self.active_scenario.record(self.world, self.journal.records(), self.clock.now_ms())
        return {**record, "forgotten": self.journal.crowded_out}

    async def redeliver(self, delivery_id: str) -> Delivery:
        """Send a finished delivery again; wait for its first attempt."""
        delivery = self.world.redeliver(delivery_id, self.clock.now_ms())
        self.dispatcher.wake()
        await self.dispatcher.drain_due()
        return delivery


def _secret_headers(providers: Sequence[Provider]) -> Iterator[str]:
    """Give the headers that carry a key, or a token for callbacks."""
    for provider in providers:
        yield provider.key.header
        signature = None if provider.callbacks is None else provider.callbacks.signature
        if signature is not None and signature.algorithm == "token" and signature.header:
            yield signature.header


def _receiver_ms(clock: Clock, wall: Wall, chosen: CallbackTime | None) -> int:
    """Return what receivers' clocks show, which verify the times in signed callbacks."""
    by_wall = chosen == "wall" or (chosen is None and clock.speed != 0)
    return int(wall.unix_s() * 1000) if by_wall else clock.now_ms()


def targets_of(settings: Settings) -> TargetMode:
    """Return where callbacks may go."""
    return settings.callback_targets or ("loopback" if is_loopback(settings.host) else "documented")


def receivers_tls(ca_file: str | None) -> ssl.SSLContext | bool:
    """Return the trust store for https receivers: a CA file, or the one of the system."""
    return True if ca_file is None else ssl.create_default_context(cafile=ca_file)
