"""One run of the mock: a world, the clock it lives by, its journal, and the courier that drives it.

Everything a control surface may do (Python, the control plane over HTTP, the live page) is a method here,
so that there is one of each.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mockserver.chance import Chance
from mockserver.clock import LAST_MS, MANUAL_START_MS, Clock, Wall, iso_of
from mockserver.edge.active_scenario import ActiveScenario, check_scenario, stage
from mockserver.edge.dispatcher import CallbackDispatcher, Report
from mockserver.edge.rule_codec import read_fault_request
from mockserver.engine.commands import Command, run_command
from mockserver.engine.world import World, WorldRules
from mockserver.faults.directives import RequestDirectives
from mockserver.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mockserver.engine.callbacks import Delivery
    from mockserver.engine.rules import Rule
    from mockserver.engine.task import Task
    from mockserver.provider import Provider
    from mockserver.scenarios import Scenario
    from mockserver.settings import Settings

WORKERS_BY_CLOCK = {"manual": 1, "real": 32}


class Runtime:
    """The state of a server between two resets."""

    def __init__(
        self, settings: Settings, providers: Sequence[Provider], base_urls: Mapping[str, str], wall: Wall
    ) -> None:
        self.settings = settings
        self.wall = wall
        self.providers = providers
        self.base_urls = base_urls
        self.tls = receivers_tls(settings.callback_ca)
        self.journal = Journal(
            self.secrets,
            settings.journal_entries,
            settings.journal_body_bytes,
            None if settings.journal is None else Path(settings.journal),
            wall.unix_s,
            secret_headers=[provider.key.header for provider in self.providers],
        )
        self.closed = False
        self.staged: ActiveScenario | None = None
        self._begin(settings.seed)

    def _begin(self, seed: int) -> None:
        settings = self.settings
        manual = settings.clock == "manual"
        start_ms = MANUAL_START_MS if manual else int(self.wall.unix_s() * 1000)
        self.clock = Clock(start_ms, 0 if manual else settings.speed, self.wall.monotonic_s)
        rules = WorldRules(
            settings.callback_targets,
            {provider.name: settings.space_rules(provider.name) for provider in self.providers},
        )
        self.world = World(self.providers, Chance(seed), rules, self.base_urls, RequestDirectives())
        self.dispatcher = CallbackDispatcher(
            self.world,
            self.clock,
            self.journal,
            per_origin=settings.callback_workers or WORKERS_BY_CLOCK[settings.clock],
            tls=self.tls,
            wall_s=self.wall.monotonic_s,
        )

    def start(self) -> None:
        """Begin to deliver callbacks."""
        self.dispatcher.start()

    async def close(self) -> None:
        """Stop delivering, and write the journal out."""
        self.closed = True
        await self.dispatcher.close()
        self.journal.close()

    async def reset(self, seed: int | None = None) -> None:
        """Start over: the same seed (or another), no tasks, accounts, faults or scenario, an empty journal."""
        if not self.closed:
            await self._start_over(seed).close()

    def _start_over(self, seed: int | None) -> CallbackDispatcher:
        """Put a new world in the place of the old one, at once; return the old one's courier, to be closed."""
        old = self.dispatcher
        self.journal.clear()
        self.staged = None
        self._begin(self.settings.seed if seed is None else seed)
        self.start()
        return old

    def secrets(self) -> dict[str, str]:
        """Return every secret that is known, and what the journal shows in its place."""
        out: dict[str, str] = {}
        for state in self.world.providers.values():
            rule = state.provider.callbacks
            if rule is not None and rule.signature is not None:
                out[rule.signature.default_secret] = "webhook secret"
            for account in state.accounts.values():
                out[account.key] = f"key of {account.id}"
                if account.secret is not None:
                    out[account.secret] = f"webhook secret of {account.id}"
        if self.settings.admin_token:
            out[self.settings.admin_token] = "admin token"
        return out

    async def advance_to(self, instant_ms: int) -> Report:
        """Move the clock on and do all that falls due; see `Courier.advance_to`.

        Raises:
            ValueError: mock time does not go that far.
        """
        if instant_ms >= LAST_MS:
            raise ValueError(f"the clock goes no further than {iso_of(LAST_MS)}")
        return await self.dispatcher.advance_to(instant_ms)

    async def command(self, task_id: str, command: Command, reason: str | None = None) -> Task:
        """Hold, release, complete, fail or cancel a task, and wait for the callbacks this sends at once."""
        task = run_command(self.world, task_id, command, self.clock.now_ms(), reason)
        self.dispatcher.wake()
        await self.dispatcher.drain_due()
        return task

    def add_fault(self, fault_request: Mapping[str, Any]) -> Rule:
        """Put a fault in force, from words as the control plane takes them.

        Raises:
            FaultWordsError: a word means nothing.
        """
        return self.world.faults.add(*read_fault_request(self.world, fault_request), self.clock.now_ms())

    async def start_scenario(self, scenario: Scenario) -> ActiveScenario:
        """Start over, with a scenario's seed, clock, accounts and faults.

        Raises:
            SpecError: it names what is not served; nothing has been changed then.
        """
        check_scenario(self.world, scenario)
        old = None if self.closed else self._start_over(scenario.seed)
        staged = self.staged = stage(self.world, self.clock, scenario)
        if old is not None:
            await old.close()
        return staged

    def change_scenario(self, scenario: Scenario) -> ActiveScenario:
        """Put a scenario's faults in the place of the running one's, in the world as it is.

        Raises:
            SpecError: it names what is not served; the running one stays in force then.
        """
        check_scenario(self.world, scenario)
        old = self.stop_scenario()
        self.staged = stage(self.world, self.clock, scenario, since_ms=None if old is None else old.started_ms)
        self.dispatcher.wake()
        return self.staged

    def stop_scenario(self) -> ActiveScenario | None:
        """Take the running scenario's faults away; what has come of them stays."""
        staged, self.staged = self.staged, None
        if staged is not None:
            staged.remove(self.world)
        return staged

    def scenario_record(self) -> dict[str, Any] | None:
        """Describe how the running scenario goes; None where none is running."""
        if self.staged is None:
            return None
        record = self.staged.record(self.world, self.journal.records(), self.clock.now_ms())
        return {**record, "forgotten": self.journal.crowded_out}

    async def redeliver(self, delivery_id: str) -> Delivery:
        """Send a finished delivery again, and wait for its first attempt."""
        delivery = self.world.redeliver(delivery_id, self.clock.now_ms())
        self.dispatcher.wake()
        await self.dispatcher.drain_due()
        return delivery


def receivers_tls(ca_file: str | None) -> ssl.SSLContext | bool:
    """Return what https receivers are checked by: a CA file, or what the system trusts."""
    return True if ca_file is None else ssl.create_default_context(cafile=ca_file)
