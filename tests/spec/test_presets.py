"""Errors by one word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from support.small import Small, issues, spec, submit

from mockserver.spec.vocabulary import conditions

if TYPE_CHECKING:
    from pathlib import Path

#: What each preset answers to a query of a task that is not there.
NOT_FOUND: dict[str, Any] = {
    "http": {
        "error": {
            "message": "there is no such task",
            "type": "invalid_request_error",
            "param": None,
            "code": "not_found",
        }
    },
    "envelope": {"code": "not_found", "message": "there is no such task", "request_id": ...},
    "problem+json": {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "there is no such task"},
    "rpc": {"error": {"code": 404, "message": "there is no such task", "status": "NOT_FOUND"}},
}


@pytest.mark.parametrize("preset", NOT_FOUND)
def test_one_word_covers_every_condition(tmp_path: Path, preset: str) -> None:
    """Each condition has an error with a status for it."""
    small = Small(tmp_path, spec({"/jobs": submit()}, {"errors": preset}))
    assert set(small.provider.refusals) == set(conditions())
    assert {each.status for each in small.provider.refusals.values()} == {
        *(400, 401, 402, 403, 404, 405, 408, 409, 413, 415, 429)
    }
    answer = small.send("GET", "/jobs/nothing")
    told = orjson.loads(answer.body)
    assert answer.status == 404
    assert told == {key: told[key] if each is ... else each for key, each in NOT_FOUND[preset].items()}
    is_problem = preset == "problem+json"
    assert answer.content_type == ("application/problem+json" if is_problem else "application/json")
    assert small.send("GET", "/jobs/nothing", key=None).status == 401


def test_a_preset_may_be_changed(tmp_path: Path) -> None:
    """By error, by condition, and by the body of all."""
    errors = {
        "preset": "http",
        "not_found": {"status": 410, "message": "gone"},
        "no_money": {"status": 400, "code": 7, "message": "no money", "when": ["insufficient_credits"]},
    }
    body = {"says": "$error.message", "code": "$error.code"}
    small = Small(tmp_path, spec({"/jobs": submit()}, {"errors": errors, "error_body": body}))
    answer = small.send("GET", "/jobs/nothing")
    assert (answer.status, orjson.loads(answer.body)) == (410, {"says": "gone", "code": "not_found"})
    assert small.provider.refusals["insufficient_credits"].code == 7


@pytest.mark.parametrize(
    ("mock", "said"),
    [
        ({"errors": "htp"}, "did you mean http?"),
        ({"errors": {"preset": "htp"}}, "did you mean http?"),
        ({"errors": {"preset": "http", "not_found": {"staus": 410}}}, "unknown key: staus (did you mean status?)"),
        ({"errors": {"preset": "http", "new": {"status": 410}}}, "missing required key `message`"),
        ({"errors": {"preset": "http", "not_found": {"content_type": "json"}}}, "content_type"),
        ({"errors": {"preset": "http", "not_found": {"when": ["unknwn_task"]}}}, "did you mean unknown_task?"),
    ],
)
def test_check_tells_what_is_wrong(tmp_path: Path, mock: Any, said: str) -> None:
    """In one line."""
    told = list(map(str, issues(tmp_path, spec({"/jobs": submit()}, mock))))
    assert [said in each for each in told] == [True], told


def test_a_body_of_errors_is_needed_without_a_preset(tmp_path: Path) -> None:
    """The line names the word that would do."""
    errors = {"all": {"status": 400, "message": "no", "when": list(conditions())}}
    told = list(map(str, issues(tmp_path, spec({"/jobs": submit()}, {"errors": None} | {"errors": errors}))))
    assert ["missing required key `error_body` (add it, or write `errors: http`)" in each for each in told] == [True]
