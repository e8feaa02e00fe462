"""The catalogue: every condition that a provider's clients can be exposed to.

It is derived from the fault registry and the provider's spec: a fault says itself how clients are exposed to it
(`Fault.exercises`), so that a new fault is one file. This module adds what needs no fault: plans and credits.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator

from contracts.client.prompts import prompts
from contracts.client.situations import NO_FAULTS, Condition, Event, Situation
from contracts.rules import documented_rules
from mockserver.chance import Chance
from mockserver.engine.faults import Fault
from mockserver.engine.messages import Request
from mockserver.engine.world import World, WorldRules
from mockserver.faults import all_faults, build
from mockserver.provider import UCR, Provider


def conditions(provider: Provider, *, callbacks: bool) -> tuple[Condition, ...]:
    """List the conditions at a provider, variant by variant; those with callbacks only if `callbacks`."""
    found = [NO_FAULTS, *_of_accounts(provider)]
    if callbacks and provider.callbacks is not None:
        found.append(Condition("callbacks without faults", callbacks=True))
    found += [Condition(f"prompt: {name}", prompt=text) for name, text in prompts(provider)]
    for name, kind in all_faults().items():
        if kind.never_at(provider) is None and _is_asked(kind, provider):
            found += _of_fault(name, kind, provider)
    possible = callbacks and provider.callbacks is not None
    return tuple(each for each in found if possible or not each.callbacks)


def _is_asked(kind: type[Fault], provider: Provider) -> bool:
    """Tell whether a provider's document asks clients to handle a fault, where that is needed."""
    own = (rule.id for rule in documented_rules() if rule.provider == provider.name)
    return not kind.asked_by or any(rule.endswith(kind.asked_by) for rule in own)


def _of_fault(name: str, kind: type[Fault], provider: Provider) -> Iterator[Condition]:
    """Yield the conditions of a fault, except those whose parameters do not fit the provider."""
    for exercise in kind.exercises(provider):
        if build(name, exercise.parameters).problem(provider) is None:
            title = exercise.name or name.replace("_", " ")
            yield Condition(title, (Event.of(name, exercise),), jobs=exercise.jobs, callbacks=exercise.callbacks)


def _of_accounts(provider: Provider) -> Iterator[Condition]:
    """Yield conditions in which the plan or the credits are not enough."""
    plan = provider.plans[provider.default_plan]
    yield Condition("jobs in bulk", jobs=5 if plan.concurrent_tasks is None else plan.concurrent_tasks + 3)
    cost_credits = _example_credits(provider)
    if cost_credits:
        yield Condition("credits run out", account=(("available_credits", round(cost_credits * 1.5)),), jobs=4)
        yield Condition("no credits", account=(("available_credits", 0),), jobs=2)


def _example_credits(provider: Provider) -> float:
    """Return the price of the first model's example, as far as it is known in advance."""
    world = World([provider], Chance(0), WorldRules(), {provider.name: "http://localhost"})
    state, model = world.providers[provider.name], next(iter(provider.models.values()))
    operation = next(each for each in provider.operations.values() if each.role == "submit")
    key = provider.key
    headers = {**key.header_with(key.example), "Content-Type": "application/json"}
    request = Request(operation.method, operation.path, headers, json.dumps(model.example or {}).encode())
    world.handle(state, state.router.find(request.method, request.path), request, 0)
    return state.account(key.example, 0).reserved_ucr / UCR


def sweep(provider: Provider, *, callbacks: bool, jobs: bool = True, seed: int = 0) -> list[Situation]:
    """Return one situation for each condition, with nothing else in it.

    `jobs` says whether several jobs may run at once.
    """
    return [
        Situation(
            provider.name,
            () if condition.is_plain else (condition,),
            condition.jobs if jobs else 1,
            condition.callbacks,
            seed,
        )
        for condition in conditions(provider, callbacks=callbacks)
        if jobs or condition.jobs == 1
    ]


def most_important_first(situations: Iterable[Situation]) -> list[Situation]:
    """Sort the situations of a sweep, so that a time limit cuts variants of what was met already.

    First come those without faults, then forged callbacks, then one of each kind, then the second of each kind.
    """
    seen: Counter[str] = Counter()

    def rank(situation: Situation) -> tuple[int, int]:
        if not situation.events:
            return 0, 0
        group = situation.conditions[0].group
        seen[group] += 1
        forged = any(all_faults()[event.fault].forges_signature for event in situation.events)
        return (0, 1) if forged else (seen[group], 2)

    ranks = [(rank(each), number, each) for number, each in enumerate(situations)]
    return [each for _, _, each in sorted(ranks, key=lambda item: item[:2])]
