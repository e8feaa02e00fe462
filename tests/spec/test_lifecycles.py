"""The ways to write a lifecycle: the short forms say what the long form says."""

from __future__ import annotations

from support.engine import START_MS
from support.kilns import kiln, kiln_client, kiln_text

LONG = kiln_text().partition("    states:\n")[2].partition("  content_policy:")[0]
SHORT = """\
      drying: 10
      firing: {from: 100, to: 100, progress: [0, 90]}
      cooling: {lasts_s: 10, progress: [90, 99]}
    ends:
      glazed: success
      cracked:
        kind: failure
        reasons:
          shock: {message: It cooled too fast, at_fraction: 0.5}
          flaw: There was air in the clay
      withdrawn: {kind: cancellation, reasons: {asked: Its owner wanted it back}}
"""


def test_the_short_forms_say_the_same() -> None:
    """A duration alone, `from` and `to`, a pair of percents, a kind alone, a message alone: the same lifecycle."""
    assert kiln((LONG, SHORT)).lifecycle == kiln().lifecycle
    assert len(SHORT.splitlines()) < len(LONG.splitlines())


def test_a_range_is_drawn_by_the_seed() -> None:
    """A duration between `from` and `to` differs from task to task, and not from run to run."""
    change = ("drying: {lasts_s: 10}", "drying: {from: 3, to: 9}")

    def durations(seed: int) -> list[int]:
        client = kiln_client(change, seed=seed)
        tasks = [client.task(client.submit(START_MS).task_id) for _ in range(20)]
        return [task.entered_ms[0] - START_MS for task in tasks]

    assert durations(7) == durations(7)
    assert durations(7) != durations(8)
    assert len(set(durations(7))) > 10
    assert all(3000 <= each <= 9000 for each in durations(7))


def test_a_model_may_have_a_duration_of_its_own() -> None:
    """The duration of a model replaces that of a state in its short form; the progress stays."""
    client = kiln_client(
        (LONG, SHORT),
        ("      result: piece\n", "      result: piece\n      lasts_s: {drying: 3, firing: {from: 5, to: 5}}\n"),
    )
    task = client.task(client.submit(START_MS).task_id)
    assert task.entered_ms == (START_MS + 3000, START_MS + 8000)
    assert task.model.states[1].progress_to == 90
