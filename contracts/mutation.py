"""Mutation tests of the clauses: each clause catches the client that is broken for it, and accuses no other."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing import active_children, get_context
from time import monotonic

from contracts.clause import all_clauses
from contracts.client.in_process.runner import run_situation
from contracts.client.search import Search
from contracts.clients import GOOD, subject
from contracts.clients.broken import mutants
from contracts.rules import documented_rules
from mockserver.provider import Provider
from mockserver.spec.catalog import load_providers


@dataclass(frozen=True, slots=True)
class Trial:
    """One client at one provider, and the clauses it violated. The good client has no mutant."""

    provider: str
    mutant: str | None
    clause: str | None
    #: By clause, the first violation.
    violated: dict[str, str]
    #: What is wrong: not caught, caught for another reason, or accused of something else.
    problems: tuple[str, ...]


@cache
def _providers() -> dict[str, Provider]:
    return {each.name: each for each in load_providers()}


def planned(*, each_once: bool = False) -> list[tuple[str, str | None]]:
    """Return the clients to try: for each provider its good client, and every mutant whose clause applies.

    `each_once` leaves each mutant at one of its providers, chosen in turn.
    """
    clauses = {each.id: each for each in all_clauses()}
    out: list[tuple[str, str | None]] = []
    for name in GOOD:
        provider = _providers()[name]
        ids = [rule.id for rule in documented_rules() if rule.provider == name and rule.asks == "client"]
        concerned = {each.id for each in clauses.values() if each.concerns(provider, each.covered(ids))}
        out.append((name, None))
        out += [(name, each.name) for each in mutants() if each.clause in concerned and each.applies(provider)]
    if not each_once:
        return out
    once: list[tuple[str, str | None]] = [(name, None) for name in GOOD]
    for number, mutant in enumerate(each.name for each in mutants()):
        places = [each for each in out if each[1] == mutant]
        once += places[number % len(places) :][:1] if places else []
    return once


def trial(name: str, mutant_name: str | None, seed: int, most_examples: int, *, thin: bool = False) -> Trial:
    """Try one client; `thin`: once its clause has caught it, in a third of the remaining situations only."""
    provider, good = _providers()[name], GOOD[name]
    mutant = next((each for each in mutants() if each.name == mutant_name), None)
    factory = subject(good if mutant is None else mutant.over(good))
    search = Search(
        lambda situation: run_situation(factory, provider, situation),
        provider,
        documented_rules(),
        callbacks=provider.callbacks is not None,
        seed=seed,
        most_examples=most_examples,
        shrink=False,
        thin_after=mutant.clause if thin and mutant else None,
    )
    verdicts = search.run()
    violated = {each.clause.id: each.violations[0].seen for each in verdicts if each.judgement == "violated"}
    violated |= {each.clause.id: each.violation.seen for verdict in verdicts for each in verdict.grouped}
    if mutant is None:
        problems = [f"the good client was accused: {clause}: {seen}" for clause, seen in violated.items()]
        problems += [f"never tested: {each.clause.id}" for each in verdicts if each.judgement == "not exercised"]
        return Trial(name, None, None, violated, tuple(problems))
    problems = [
        f"also accused of {clause}: {seen}"
        for clause, seen in violated.items()
        if clause != mutant.clause and clause not in mutant.also
    ]
    if mutant.clause not in violated:
        problems.append("not caught")
    elif not re.search(mutant.seen, violated[mutant.clause]):
        problems.append(f"caught for another reason: {violated[mutant.clause]}")
    return Trial(name, mutant.name, mutant.clause, violated, tuple(problems))


def clause_of(mutant: str | None) -> str | None:
    """Return the clause that a mutant is broken for."""
    return next((each.clause for each in mutants() if each.name == mutant), None)


def trials(
    chosen: Sequence[tuple[str, str | None]],
    seed: int,
    most_examples: int,
    workers: int,
    done: Callable[[Trial], None],
    time_limit_s: float | None = None,
    *,
    thin: bool = False,
) -> list[Trial]:
    """Try clients, in parallel; `done` is called with each result, as soon as it is there.

    After the time limit, in real seconds, no further client is tried.
    """
    out = []
    until_s = None if time_limit_s is None else monotonic() + time_limit_s
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            with _interrupts_blocked():
                waiting = [pool.submit(trial, name, mutant, seed, most_examples, thin=thin) for name, mutant in chosen]
            left = set(waiting)
            while left:
                timeout_s = None if until_s is None else max(until_s - monotonic(), 0)
                ended, left = wait(left, timeout_s, FIRST_COMPLETED)
                for each in ended:
                    done(each.result())
                if until_s is not None and monotonic() > until_s:
                    left = {each for each in left if not each.cancel()}
                    until_s = None
            out = [each.result() for each in waiting if not each.cancelled()]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in active_children():
                worker.terminate()
            raise
    return out


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Let processes that are started now ignore Ctrl-C; this process handles it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def gaps() -> Iterator[str]:
    """Yield the clauses without a mutant."""
    caught = {each.clause for each in mutants()}
    return (each.id for each in all_clauses() if each.id not in caught)
