"""Run a Python client in one situation, in virtual time, and return the traffic."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Iterator
from dataclasses import replace
from time import process_time

from contracts.client.in_process import alarm as alarm_module
from contracts.client.in_process.alarm import HangsError, alarm
from contracts.client.in_process.foreign import Foreign
from contracts.client.in_process.printed import captured
from contracts.client.in_process.session import START_S, Session, exit_error
from contracts.client.run import Run
from contracts.client.situations import Situation
from contracts.client.subject import Factory
from contracts.client.virtual_time.loop import StalledError, VirtualLoop
from contracts.client.virtual_time.patches import virtual_time
from mockserver.provider import Provider
from mockserver.scenarios.read import Scenario

#: How long cancelled tasks have to end, in virtual time, and how often they are cancelled.
_PATIENCE_S = 1.0
_ROUNDS = 3
#: A client that has used more of the processor than this share of the longest run computes; one that has not, waits.
_BUSY_SHARE = 0.1
_REAL_WAIT = (
    "the client waits in real time, in a library that the runner cannot follow (such as uvloop or pycurl); "
    "test it with --command"
)


def run_situation(
    factory: Factory, provider: Provider, situation: Situation, *, callback_path: str = "/callback"
) -> Run:
    """Run a client in a situation.

    Raises:
        SubjectError: the client cannot be created.
    """
    run = run_scenario(
        factory,
        provider,
        situation.scenario(),
        jobs=situation.jobs,
        callbacks=situation.callbacks,
        seed=situation.seed,
        callback_path=callback_path,
    )
    return replace(run, situation=situation)


def run_scenario(
    factory: Factory,
    provider: Provider,
    scenario: Scenario,
    *,
    jobs: int,
    callbacks: bool,
    seed: int,
    callback_path: str = "/callback",
) -> Run:
    """Run a client with so many concurrent jobs in a scenario.

    Raises:
        SubjectError: the client cannot be created.
    """
    loop = VirtualLoop()
    random_state = random.getstate()
    random.seed(seed)
    try:
        began_s, foreign = process_time(), Foreign()
        with virtual_time(loop, START_S), alarm(loop), _quiet(), captured() as printed:
            asyncio.set_event_loop(loop)
            loop.set_exception_handler(lambda _loop, _context: None)
            session = Session(loop, factory, provider, scenario, jobs, callbacks=callback_path if callbacks else None)
            try:
                run = loop.run_until_complete(session.run())
                endless = any(job.ended == "never" for job in run.journal.jobs)
                run = replace(run, untested=foreign.found()) if endless else run
            except StalledError as error:
                run = session.so_far(str(error), untested=foreign.found())
            except HangsError as error:
                why = foreign.found() or ("" if _computed_since(began_s) else _REAL_WAIT)
                run = session.so_far(str(error), hangs=True, untested=why)
            except SystemExit as error:
                run = session.so_far(exit_error(error))
            finally:
                _clean_up(loop)
            return replace(run, output=printed.texts())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
        random.setstate(random_state)


def _computed_since(began_s: float) -> bool:
    """Tell whether the process has worked rather than waited."""
    return process_time() - began_s > _BUSY_SHARE * alarm_module.LONGEST_RUN_S


#: How a loop may end during cleanup; it raises RuntimeError if it was already asked to stop.
_ENDINGS = (StalledError, KeyboardInterrupt, SystemExit, RuntimeError)


def _clean_up(loop: VirtualLoop) -> None:
    """Cancel remaining threads and tasks like `asyncio.run`, with a time limit."""
    loop.threads.cancel()
    for _ in range(_ROUNDS):
        left = asyncio.all_tasks(loop)
        if not left:
            break
        for task in left:
            task.cancel()
        with contextlib.suppress(*_ENDINGS):
            loop.run_until_complete(asyncio.wait(left, timeout=_PATIENCE_S))
    with contextlib.suppress(*_ENDINGS):
        loop.run_until_complete(asyncio.wait_for(loop.shutdown_asyncgens(), _PATIENCE_S))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep a client's log messages off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
