"""What schemathesis cannot read out of crun's schema; loaded by name from schemathesis.toml."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import schemathesis

if TYPE_CHECKING:
    from schemathesis import Case, HookContext


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Let the stretch of a source video end after it starts, where the body is meant to be valid."""
    if case.meta is None or not case.meta.generation.mode.is_positive or not isinstance(case.body, dict):
        return
    for video in case.body.get("input", {}).get("video_list", ()):
        if video["ends"] <= video["start"]:
            video["ends"] = math.nextafter(video["start"], math.inf)
