"""Situations: what there is to meet, and that all of it can be met."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from support.traffic import providers

import contracts
from contracts.client.catalogue import conditions, sweep
from contracts.client.draw import parts_of, situations
from contracts.client.situations import NO_FAULTS, Situation
from contracts.clients import GOOD
from contracts.rules import documented_rules
from mockserver.chance import Chance
from mockserver.edge.active_scenario import check_scenario
from mockserver.engine.world import World, WorldRules
from mockserver.faults import all_faults
from mockserver.scenarios.read import of_data, read

NAMES = sorted(GOOD)
EVOLINK, GOOGLE, TOAPIS = "evolink", "googlegeminiomni", "toapis"


def world(name: str) -> World:
    """Make a world with one provider in it."""
    return World([providers()[name]], Chance(0), WorldRules(), {name: "http://localhost"})


def read_back(situation: Situation, folder: Path, head: str = "") -> Situation:
    """Write a situation as a scenario file, and read that."""
    path = folder / "scenario.yaml"
    path.write_text(situation.yaml(head), encoding="utf-8")
    return replace(situation, conditions=(), file=read(path))


@pytest.mark.parametrize("name", NAMES)
def test_every_meeting_is_a_scenario_of_its_provider(name: str) -> None:
    """Each names only what is there, by words that go together, and is called by a name of its own."""
    menu = conditions(providers()[name], callbacks=True)
    assert len({condition.name for condition in menu}) == len(menu) > 40
    for situation in sweep(providers()[name], callbacks=True):
        scenario = situation.scenario()
        check_scenario(world(name), scenario)
        assert len(scenario.fault_requests) == len(situation.events)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("callbacks", "jobs"), [(True, True), (False, True), (False, False)])
def test_the_tour_leaves_nothing_out(name: str, callbacks: bool, jobs: bool) -> None:
    """One situation for each meeting with nothing else in it; those that need jobs at once only with these."""
    menu = [each for each in conditions(providers()[name], callbacks=callbacks) if jobs or each.jobs == 1]
    found = sweep(providers()[name], callbacks=callbacks, jobs=jobs, seed=9)
    assert len(found) == len(menu)
    assert all(len(each.conditions) <= 1 and each.seed == 9 for each in found)
    met = {condition.group for each in found for condition in each.conditions}
    plain = {each.group for each in menu if not each.events and not each.account}
    assert met | plain == {each.group for each in menu}
    assert max(each.jobs for each in found) == (max(each.jobs for each in menu) if jobs else 1)
    called = callbacks and providers()[name].callbacks is not None
    assert any(each.callbacks for each in found) is called


def test_what_there_is_to_meet_is_what_the_provider_has() -> None:
    """Refusals with its statuses, failures with its reasons; callbacks and older statuss where it has them."""
    names = {name: {each.name for each in conditions(providers()[name], callbacks=True)} for name in NAMES}
    for name, found in names.items():
        statuses = {error.status for error in providers()[name].errors.values()}
        for met in found:
            if met.startswith("submit refused: "):
                assert int(met.rpartition(" ")[2]) in statuses
        for end in providers()[name].lifecycle.ends.values():
            assert end.kind != "failure" or {f"task fails: {reason}" for reason in end.reasons} <= found
    assert "submit fails temporarily: 455 x1" in names["crun"]
    assert not any("455" in met for met in names[EVOLINK])
    assert "older status" in names[TOAPIS]
    assert "older status" not in names[EVOLINK]
    assert "callback lost" in names[EVOLINK]
    assert not any("callback" in met for met in names[TOAPIS])
    forged = {name: sum(met.startswith("callback forged") for met in found) for name, found in names.items()}
    assert {name for name, number in forged.items() if number} == {GOOGLE}
    assert not any("callback" in each.name for each in conditions(providers()[GOOGLE], callbacks=False))


def test_accounts_are_short_of_credits_for_all_jobs() -> None:
    """What runs out pays for one job, and not for two."""
    menu = {each.name: each for each in conditions(providers()[GOOGLE], callbacks=False)}
    ((_, left),) = menu["credits run out"].account
    none = dict(menu["no credits"].account)
    assert left > 0
    assert menu["credits run out"].jobs > 2
    assert none == {"available_credits": 0}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_reads_back(name: str, tmp_path: Path) -> None:
    """A scenario file says what the situation was; its head is a comment."""
    for situation in sweep(providers()[name], callbacks=True, seed=3):
        written = read_back(situation, tmp_path, "a rule: in words\ncontracts run --provider 'x'")
        scenario, original = written.scenario(), situation.scenario()
        check_scenario(world(name), scenario)
        for field in ("name", "seed", "accounts", "fault_requests", "expect"):
            assert getattr(scenario, field) == getattr(original, field)
        assert scenario.seed == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_drawn_situations_can_be_met(name: str) -> None:
    """Up to three things of different kinds at once, each at its provider's, and sizes that are as they say."""
    provider, stage = providers()[name], world(name)
    seen: set[int] = set()

    @settings(max_examples=60)
    @given(situations(provider, callbacks=provider.callbacks is not None))
    def check(situation: Situation) -> None:
        check_scenario(stage, situation.scenario())
        groups = [condition.group for condition in situation.conditions]
        assert len(set(groups)) == len(groups) <= 3
        assert situation.size == (len(situation.events), situation.jobs, len(groups))
        assert situation.callbacks or not any(condition.callbacks for condition in situation.conditions)
        assert of_data(yaml.safe_load(situation.yaml())).fault_requests == situation.scenario().fault_requests
        seen.add(len(groups))

    check()
    assert seen == {0, 1, 2, 3}


@given(st.data())
@settings(max_examples=60)
def test_parts_are_never_more(data: st.DataObject) -> None:
    """What is left of a situation has nothing that the whole had not."""
    whole = data.draw(situations(providers()[GOOGLE], callbacks=True))
    part = data.draw(parts_of(whole))
    assert set(part.conditions) <= set(whole.conditions)
    assert part.size <= whole.size
    assert 1 <= part.jobs <= whole.jobs
    assert part.callbacks <= whole.callbacks
    assert part.seed in (0, whole.seed)
    assert part.provider == whole.provider


def test_without_jobs_or_callbacks_none_are_drawn() -> None:
    """Commands do one job each; who cannot be called back is not."""

    @settings(max_examples=40)
    @given(situations(providers()[GOOGLE], callbacks=False, jobs=False))
    def check(situation: Situation) -> None:
        assert (situation.jobs, situation.callbacks) == (1, False)

    check()


def test_how_a_situation_is_called() -> None:
    """By what is met, by the number of jobs, by how a job's end is learnt, and by its seed."""
    menu = {each.name: each for each in conditions(providers()[GOOGLE], callbacks=True)}
    assert str(Situation(GOOGLE)) == "no faults; 1 job, polling, seed 0"
    both = Situation(GOOGLE, (menu["answer to the submit lost"], menu["callback lost"]), 3, callbacks=True, seed=5)
    assert str(both) == "answer to the submit lost + callback lost; 3 jobs, callbacks, seed 5"
    assert both.data()["scenario"] == "answer to the submit lost, callback lost"
    assert NO_FAULTS.group == "no faults"
    assert menu["submit fails temporarily: 429 x2"].group == "submit fails temporarily"


def test_a_situation_from_a_file_is_that_file(tmp_path: Path) -> None:
    """Its scenario is the file's, and its name too."""
    (tmp_path / "s.yaml").write_text("scenario: a bad night\nseed: 4\ntimeline:\n  - fault: stuck\n", encoding="utf-8")
    situation = Situation(GOOGLE, seed=4, file=read(tmp_path / "s.yaml"))
    assert str(situation) == "a bad night; 1 job, polling, seed 4"
    assert situation.scenario().fault_requests[0]["fault"] == "stuck"


@pytest.mark.parametrize("name", NAMES)
def test_every_fault_is_in_a_situation(name: str) -> None:
    """A client meets every fault that its provider's server can show, unless the fault says why not."""
    provider = providers()[name]
    met = {event.fault for each in sweep(provider, callbacks=True) for event in each.events}
    for fault, kind in all_faults().items():
        asked = not kind.asked_by or any(
            rule.provider == name and rule.id.endswith(kind.asked_by) for rule in documented_rules()
        )
        possible = kind.never_at(provider) is None and not kind.not_for_clients and asked
        assert (fault in met) is possible, fault


def test_no_fault_is_named_in_contracts() -> None:
    """What a fault does to a client's duties is data on the fault: its name is no literal in contracts."""
    for path in sorted(Path(contracts.__file__).parent.rglob("*.py")):
        literals = {
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        # Some names are words of their own: a field of errors, an example of a model, a reason to fail.
        assert not literals & (set(all_faults()) - {"error", "example", "fail", "reset", "latency"}), path
