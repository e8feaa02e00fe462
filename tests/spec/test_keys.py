"""Null values and unknown keywords: what OpenAPI's own schema lets pass, and other tools do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mockserver.spec.check import check_files
from mockserver.spec.vocabulary import builtin_specs

if TYPE_CHECKING:
    from pathlib import Path

EVOLINK = next(path for path in builtin_specs() if "evolink" in path.stem).read_text(encoding="utf-8")
PROGRESS = "progress: {type: integer, minimum: 0, maximum: 100,"
DIALECT = "      patch:\n        x-mock:\n          errors:\n            invalid_request:"

#: what is written, what is written instead, and what the message says
MISTAKES = [
    (PROGRESS, f"{PROGRESS} description: In percent, from 0,", "from 0: has no value (quote the text before it"),
    (
        PROGRESS,
        "progress: {type: integer, minimun: 0, maximum: 100,",
        "unknown key of a schema: minimun (did you mean minimum?)",
    ),
    (PROGRESS, "progress: {type: integer, minimum: null, maximum: 100,", "minimum: has no value"),
    ("      summary: Submit a text-to-video task\n", "      summary:\n", "summary: has no value"),
    (
        "        callback_url:\n          type: string\n",
        "        callback_url:\n          typ: string\n",
        "did you mean type?",
    ),
    (
        DIALECT,
        DIALECT.replace("        x-mock:", "        components: {schemas: {Task: {propertys: {}}}}\n        x-mock:"),
        "in the dialect invalid_task_id, components/schemas/Task/propertys: unknown key",
    ),
]


@pytest.mark.parametrize(("right", "wrong", "message"), MISTAKES)
def test_each_is_refused_with_its_line(tmp_path: Path, right: str, wrong: str, message: str) -> None:
    """`check` names the key, the line and the fix."""
    assert EVOLINK.count(right) >= 1
    file = tmp_path / "spec.yaml"
    file.write_text(EVOLINK.replace(right, wrong, 1), encoding="utf-8")
    issues = check_files([file])
    assert message in "\n".join(map(str, issues))
    assert all(issue.line is not None for issue in issues)


@pytest.mark.parametrize(
    ("right", "allowed"),
    [
        (PROGRESS, "progress: {type: [integer, 'null'], default: null, minimum: 0, maximum: 100,"),
        (PROGRESS, "progress: {type: integer, x-note: null, minimum: 0, maximum: 100,"),
        (PROGRESS, "progress: {type: integer, enum: [0, 1, null], minimum: 0, maximum: 100,"),
        ("        type:\n          type: string\n", "        typed:\n          type: string\n"),
    ],
)
def test_where_null_is_a_value(tmp_path: Path, right: str, allowed: str) -> None:
    """Null is a value in defaults, enums, examples and x- keys; names of properties are free."""
    file = tmp_path / "spec.yaml"
    file.write_text(EVOLINK.replace(right, allowed, 1), encoding="utf-8")
    assert "has no value" not in "\n".join(map(str, check_files([file])))
    assert "unknown key" not in "\n".join(map(str, check_files([file])))
