"""Hypothesis strategies over situations: any mixture of conditions, and what is left of one when parts are removed."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from contracts.client.catalogue import conditions
from contracts.client.situations import Condition, Situation
from mockserver.provider import Provider


def situations(provider: Provider, *, callbacks: bool, jobs: bool = True) -> st.SearchStrategy[Situation]:
    """Draw situations: up to three conditions at once, mostly few jobs."""
    groups: dict[str, list[Condition]] = {}
    for condition in conditions(provider, callbacks=callbacks):
        groups.setdefault(condition.group, []).append(condition)
    one = st.sampled_from(sorted(groups)).flatmap(lambda group: st.sampled_from(groups[group]))
    return st.builds(
        _situation,
        st.just(provider.name),
        st.lists(one, max_size=3, unique_by=lambda condition: condition.group),
        st.sampled_from((1, 1, 1, 2, 3, 5)) if jobs else st.just(1),
        st.booleans() if callbacks else st.just(False),
        st.integers(0, 2**32 - 1),
    )


def _situation(provider: str, chosen: list[Condition], jobs: int, callbacks: bool, seed: int) -> Situation:
    callbacks = callbacks or any(condition.callbacks for condition in chosen)
    real = tuple(condition for condition in chosen if not condition.is_plain)
    most_jobs = max([jobs, *(condition.jobs for condition in chosen if jobs > 1)])
    return Situation(provider, real, most_jobs, callbacks, seed)


def parts_of(situation: Situation) -> st.SearchStrategy[Situation]:
    """Draw what is left of a situation when parts of it are removed."""
    return st.builds(
        lambda kept, jobs, callbacks, seed: replace(
            situation,
            conditions=tuple(each for each, keep in zip(situation.conditions, kept, strict=True) if keep),
            jobs=jobs,
            callbacks=callbacks,
            seed=seed,
        ),
        st.tuples(*(st.booleans() for _ in situation.conditions)),
        st.integers(1, situation.jobs),
        st.sampled_from(sorted({False, situation.callbacks})),
        st.sampled_from(sorted({0, situation.seed})),
    )
