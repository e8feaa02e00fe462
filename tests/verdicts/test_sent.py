"""What submits say: in forms, with the model elsewhere; and states that no field shows."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from support.gallery import provider_of

from contracts import judge_journal, of_records
from contracts.analysis import end_sent, error_inside, model_name, retry_chains, status_of
from contracts.sent import sent
from contracts.shapes import state_shown
from mockserver.spec.compile.shapes import shapes_of

OPENAI, GOOGLE = "openai-videos", "google-veo"
VEO = "/google-veo/v1beta/models/{}:predictLongRunning"


def record(operation: str, path: str, body: Any = None, **more: Any) -> dict[str, Any]:
    """Return a record of our journal."""
    kind = more.pop("content_type", "application/json")
    status, answer = more.pop("status", 200), more.pop("answer", {})
    provider = "google-veo" if path.startswith("/google-veo") else "openai"
    text = body if isinstance(body, str | bytes) or body is None else json.dumps(body)
    base = {"body": None, "body_base64": base64.b64encode(body).decode()} if isinstance(body, bytes) else {"body": text}
    return {
        "seq": more.pop("seq", 1),
        "kind": "exchange",
        "at": "2026-06-05T00:00:00Z",
        "provider": provider,
        "operation": operation,
        "task": None,
        "account": "acct_1",
        "faults": [],
        **more,
        "request": {"method": "POST", "path": path, "query": "", "headers": [["Content-Type", kind]], **base},
        "response": {"status": status, "headers": [], "body": json.dumps(answer), "body_bytes": 9},
    }


def form(boundary: str, *, file: bytes | None = None, **fields: str) -> dict[str, Any]:
    """Return a form, as a part of a record."""
    text = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    end = f"--{boundary}--\r\n"
    kind = f"multipart/form-data; boundary={boundary}"
    if file is None:
        return {"body": text + end, "content_type": kind}
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="input_reference"; filename="a.png"\r\n\r\n'
    return {"body": text.encode() + head.encode() + file + b"\r\n" + end.encode(), "content_type": kind}


def judged(name: str, *records: dict[str, Any]) -> str:
    """Return what the clause on bodies says."""
    (journal,) = of_records(records, [provider_of(name)])
    return next(each for each in judge_journal(journal) if each.clause.id == "submit.body-as-documented").judgement


@pytest.mark.parametrize("file", [None, b"\x89PNG\xff\x00"])
def test_a_form_is_read(file: bytes | None) -> None:
    """Also where a file in it is no text; a value that is not documented is one here, too."""
    good = record("createVideo", "/openai/v1/videos", **form("x1", file=file, prompt="A kite", seconds="8"))
    (journal,) = of_records([good], [provider_of(OPENAI)])
    told = sent(journal, journal.exchanges[0])
    assert told.value["prompt"] == "A kite"
    assert model_name(journal, journal.exchanges[0]) == "sora-2"  # the default
    assert judged(OPENAI, good) == "kept"
    wrong = record(
        "createVideo", "/openai/v1/videos", **form("x1", file=file, prompt="A kite", seconds="5"), status=400
    )
    assert judged(OPENAI, wrong) == "violated"


def test_the_same_form_is_the_same_request() -> None:
    """Whatever stands between its parts; another field makes it another request."""
    tries = [
        record("createVideo", "/openai/v1/videos", **form(mark, prompt=prompt), status=503, seq=seq)
        for seq, (mark, prompt) in enumerate([("x1", "A kite"), ("x2", "A kite"), ("x3", "A boat")], 1)
    ]
    (journal,) = of_records(tries, [provider_of(OPENAI)])
    assert [len(chain) for chain in retry_chains(journal, journal.exchanges)] == [2, 1]


def test_a_form_in_the_url_s_notation_is_read_as_text() -> None:
    """What identifies a job is found in it."""
    kind = "application/x-www-form-urlencoded"
    sent_form = record("createVideo", "/openai/v1/videos", "prompt=A+kite%21", content_type=kind)
    (journal,) = of_records([sent_form], [provider_of(OPENAI)])
    assert journal.exchanges[0].said == "prompt=A kite!"


@pytest.mark.parametrize(("model", "judgement"), [("veo-3.1-generate-preview", "kept"), ("imagen-9", "violated")])
def test_the_model_is_in_the_path(model: str, judgement: str) -> None:
    """Where the spec reads it."""
    asked = record("generateVideos", VEO.format(model), {"instances": [{"prompt": "A kite"}]}, status=400)
    (journal,) = of_records([asked], [provider_of(GOOGLE)])
    assert model_name(journal, journal.exchanges[0]) == model
    assert judged(GOOGLE, asked) == judgement


NAMED = {"name": "models/veo-3.1-generate-preview/operations/abc"}
VIDEO = {"generateVideoResponse": {"generatedSamples": [{"video": {"uri": "https://a.example/b"}}]}}
FILTERED = {"generateVideoResponse": {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": ["No."]}}


@pytest.mark.parametrize(
    ("more", "state", "kind"),
    [
        ({}, "running", None),
        ({"metadata": {"x": 1}}, "running", None),
        ({"done": True, "response": VIDEO}, "succeeded", "success"),
        ({"done": True, "response": VIDEO, "extra": 1}, "succeeded", "success"),
        ({"done": True, "response": FILTERED}, "failed", "failure"),
        ({"done": True, "error": {"code": 13, "message": "No."}}, "failed", "failure"),
    ],
)
def test_an_answer_shows_its_state_by_its_shape(more: dict[str, Any], state: str, kind: str | None) -> None:
    """No field of it is the status; an error in it is the task's, not the request's."""
    asked = record("getOperation", "/google-veo/v1beta/" + NAMED["name"], answer={**NAMED, **more})
    (journal,) = of_records([asked], [provider_of(GOOGLE)])
    exchange = journal.exchanges[0]
    assert status_of(journal.provider, exchange) == state
    end = end_sent(journal, exchange)
    assert (None if end is None else end.kind) == kind
    assert error_inside(journal.provider, exchange) is None


def test_a_refusal_shows_no_state() -> None:
    """It has nothing of a task."""
    asked = record("getOperation", "/google-veo/v1beta/" + NAMED["name"], answer={"error": {"code": 503}})
    (journal,) = of_records([asked], [provider_of(GOOGLE)])
    assert status_of(journal.provider, journal.exchanges[0]) is None
    assert error_inside(journal.provider, journal.exchanges[0]) == {"code": 503}


def test_shapes_that_are_alike_tell_nothing() -> None:
    """Of two states with the same answers, none is told; a choice by the status is resolved."""
    states = ("queued", "running", "done")
    assert shapes_of({"id": "$task.id"}, {}, states) == {}
    body = {"id": "$task.id", "done": {"by": "$task.status", "values": {"done": True}, "otherwise": False}}
    shapes = shapes_of(body, {}, states)
    assert state_shown(shapes, {"id": "a", "done": False}) is None
    assert state_shown(shapes, {"id": "a", "done": True}) == "done"
    assert state_shown(shapes, {"id": "a", "done": 1}) is None
