"""What the provider chooses for each task: the same for one seed, and the same in the bill and in the file."""

from __future__ import annotations

import pytest
from support.engine import START_MS, Client, new_world

from mockserver.engine.messages import FileWanted
from mockserver.provider import UCR
from mockserver.spec.expressions import ExpressionError, compile_value

AUTO = {
    "model": "gemini-omni-flash-text-to-video",
    "prompt": "A heron waits in the reeds",
    "duration": "auto",
    "aspect_ratio": "auto",
}
CREDITS_PER_S = 5.858608


def files(seed: int, count: int) -> list[tuple[float, str]]:
    """Submit tasks that leave duration and ratio to the model; return what their files have."""
    client = Client(new_world(seed=seed), "evolink")
    out = []
    for _ in range(count):
        task = client.task(client.submit(START_MS, AUTO).task_id)
        path = f"/files/{task.id}/0.mp4"
        wanted, again = (client.send("GET", path, task.ends_ms).file for _ in range(2))
        assert isinstance(wanted, FileWanted)
        assert wanted == again
        out.append((wanted.duration_s, wanted.ratio))
        assert task.settles_ucr == pytest.approx(wanted.duration_s * CREDITS_PER_S * UCR, abs=UCR / 100)
    return out


def test_auto_is_drawn_by_the_seed() -> None:
    """`auto` gives 3 to 10 s and either ratio, which differ from task to task and not from run to run."""
    drawn = files(7, 60)
    assert {duration for duration, _ in drawn} == set(range(3, 11))
    assert {ratio for _, ratio in drawn} == {"16:9", "9:16"}
    assert drawn == files(7, 60)
    assert drawn != files(8, 60)


def test_an_unknown_draw_is_refused() -> None:
    """A template may read only draws that the spec has."""
    with pytest.raises(ExpressionError, match="unknown draw 'mood'") as raised:
        compile_value("$draw.mood")
    assert raised.value.fix == "known: none"
