"""Result files: of any media type, in variants, for their owner alone, in the answer itself."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from support.edge import serving
from support.small import KEY, PATH, Small, issues, spec, submit

if TYPE_CHECKING:
    from pathlib import Path

OK = {"200": {"description": "It"}}
SHOWN = {
    "role": "query",
    "task": "$request.path.id",
    "reply": {
        "status": 200,
        "body": {"url": "$task.result_url", "urls": "$task.result_urls", "base64": "$task.result_base64"},
    },
}
FILE = {"media": "image/png", "short_side_px": 64, "ratio": "1:1"}


def query(name: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a query parameter."""
    return {"name": name, "in": "query", "schema": schema or {"type": "string"}}


def serving_files(
    file: dict[str, Any], path: str | None = None, mock: dict[str, Any] | None = None, **entry: Any
) -> dict[str, Any]:
    """Return a spec whose jobs have a file, and an operation that serves it."""
    job = {"get": {"operationId": "showJob", "responses": OK, "x-mock": SHOWN}, "parameters": PATH}
    paths: dict[str, Any] = {"/jobs": submit(), "/jobs/{id}": job}
    if path is not None:
        names = [each[1:-1] for each in path.split("/") if each.startswith("{")]
        get = {"operationId": "getFile", "responses": OK, "x-mock": {"role": "result", **(mock or {})}, **entry}
        get["parameters"] = [*get.get("parameters", ()), *({**PATH[0], "name": name} for name in names)]
        paths[path] = {"get": get}
    return spec(paths, {"results": {"file": file}})


MEDIA = {
    "image/png": b"\x89PNG",
    "image/jpeg": b"\xff\xd8\xff",
    "image/webp": b"RIFF",
    "image/gif": b"GIF89a",
    "audio/mpeg": b"\xff\xfb",
    "audio/wav": b"RIFF",
    "application/zip": b"PK\x03\x04",
    "application/pdf": b"%PDF-",
    "model/gltf-binary": b"glTF",
    "application/json": b"{",
    "text/plain": b"Made",
    "text/vtt": b"WEBVTT",
}


async def test_files_of_any_media_type(tmp_path: Path) -> None:
    """Each has its type and begins as such files do; what a spec writes is what is served; ranges are served."""
    kinds = {media: {"media": media} for media in MEDIA} | {
        "json": {"media": "application/json", "content": {"id": "$task.id", "lines": ["a", "b"]}},
        "other": {"media": "application/x-own", "content": "own {$task.id}"},
    }
    data = serving_files({"media": "text/plain"}, "/files/{task_id}")
    by = {"by": "$request.query.as", "values": kinds}
    data["paths"]["/files/{task_id}"]["get"] |= {"security": []}
    data["x-mock"]["results"]["file"] = {"media": "text/plain", "path": "/files/{task_id}", "variants": by}
    file = tmp_path / "small.json"
    file.write_bytes(orjson.dumps(data))
    async with serving(specs=[file]) as edge:
        headers = {"Authorization": f"Bearer {KEY}"}
        job = (await edge.call("POST", "/small/jobs", headers=headers)).json["id"]
        await edge.advance(100)
        url = (await edge.call("GET", f"/small/jobs/{job}", headers=headers)).json["url"]
        for media, start in MEDIA.items():
            answer = await edge.call("GET", f"{url}?as={media}")
            assert (answer.status, answer.headers["Content-Type"]) == (200, media)
            assert answer.body.startswith(start), media
        made = await edge.call("GET", f"{url}?as=json")
        assert made.json == {"id": job, "lines": ["a", "b"]}
        own = await edge.call("GET", f"{url}?as=other", headers={"Range": "bytes=0-2"})
        assert (own.status, own.body, own.headers["Content-Type"]) == (206, b"own", "application/x-own")


CONTENT = {"path": "/videos/{video}/content", "task": "$request.path.video"}
VARIED = FILE | {
    "path": CONTENT["path"],
    "lifetime_s": 60,
    "variants": {"by": "$request.query.variant", "values": {"image": {}, "text": {"media": "text/plain"}}},
    "refusals": {
        "missing": {"status": 404, "content_type": "text/plain", "body": "none"},
        "expired": {"status": 410, "content_type": "text/plain", "body": "gone"},
    },
}


def test_bytes_are_for_their_owner(tmp_path: Path) -> None:
    """Under the provider's own names; not before the end, nor for other keys, nor too late; variants by query."""
    data = serving_files(VARIED, CONTENT["path"], {"task": CONTENT["task"]}, parameters=[query("variant")])
    small = Small(tmp_path, data)
    job = small.json("POST", "/jobs")["id"]
    target = f"/videos/{job}/content"

    def got(more: str = "", at_s: float = 100, key: str | None = KEY) -> tuple[int, str]:
        answer = small.send("GET", target + more, at_s=at_s, key=key)
        return answer.status, answer.content_type

    problem = "application/json"
    assert got(at_s=50) == (404, problem)
    assert got() == got("?variant=image") == (200, "image/png")
    assert got("?variant=text") == (200, "text/plain")
    assert got("?variant=sound") == (404, problem)
    assert got(key=None) == (401, problem)
    assert got(key="another") == (404, problem)
    assert got(at_s=161) == (410, "text/plain")
    assert small.json("GET", f"/jobs/{job}", at_s=100)["url"] == f"http://mock.test/small{target}"
    assert small.send("GET", "/videos/nothing/content").status == 404


def test_a_file_that_is_not_ready_has_an_error_of_its_own(tmp_path: Path) -> None:
    """If the spec says so."""
    data = serving_files(VARIED, CONTENT["path"], {"task": CONTENT["task"]}, parameters=[query("variant")])
    data["x-mock"]["errors"] = {
        "preset": "http",
        "early": {"status": 425, "message": "{$problem.message}", "when": ["not_ready"]},
    }
    small = Small(tmp_path, data)
    target = f"/videos/{small.json('POST', '/jobs')['id']}/content"
    assert [small.send("GET", target, at_s=at_s).status for at_s in (50, 100)] == [425, 200]


def test_several_files_by_a_query_parameter(tmp_path: Path) -> None:
    """Links have the number where the operation reads it, signed or not."""
    signature = {"expires_parameter": "until", "signature_parameter": "seal"}
    for more in ({}, {"signature": signature}):
        names = {"task": "$request.query.job", "index": "$request.query.part"}
        file = FILE | {"path": "/part", "count": 2} | more
        data = serving_files(file, "/part", names, parameters=[query("job"), query("part")], security=[])
        small = Small(tmp_path, data)
        job = small.json("POST", "/jobs")["id"]
        urls = small.json("GET", f"/jobs/{job}", at_s=100)["urls"]
        assert [f"part={index}" in url for index, url in enumerate(urls)] == [True, True]
        for url in urls:
            assert small.send("GET", url.removeprefix("http://mock.test/small"), key=None, at_s=100).status == 200
        assert small.send("GET", f"/part?job={job}&part=2", key=None, at_s=100).status == 404
        unsigned = small.send("GET", f"/part?job={job}&part=1", key=None, at_s=100).status
        assert unsigned == (404 if more else 200)


def test_a_file_in_the_answer(tmp_path: Path) -> None:
    """In base64, without any link; null until the end."""
    small = Small(tmp_path, serving_files(FILE))
    job = small.json("POST", "/jobs")["id"]
    assert small.json("GET", f"/jobs/{job}", at_s=50) == {"url": None, "urls": [], "base64": None}
    told = small.json("GET", f"/jobs/{job}", at_s=100)
    assert told["urls"] == []
    assert base64.b64decode(told["base64"]).startswith(b"\x89PNG")


def test_an_operation_may_serve_a_kind_that_has_another_path(tmp_path: Path) -> None:
    """A link for everyone, and the same bytes for the owner."""
    data = serving_files(FILE | {"path": "/files/{task_id}"}, "/files/{task_id}", security=[])
    own = {"operationId": "own", "responses": OK, "parameters": PATH}
    own["x-mock"] = {"role": "result", "task": "$request.path.id", "result": "file"}
    data["paths"]["/jobs/{id}/file"] = {"get": own}
    small = Small(tmp_path, data)
    job = small.json("POST", "/jobs")["id"]
    wanted = [
        small.send("GET", target, at_s=100, key=key)
        for target, key in ((f"/files/{job}", None), (f"/jobs/{job}/file", KEY))
    ]
    assert wanted[0].file == wanted[1].file is not None
    assert small.send("GET", f"/jobs/{job}/file", at_s=100, key=None).status == 401


@pytest.mark.parametrize(
    ("file", "mock", "said"),
    [
        (FILE | {"media": "image/pmg"}, {}, "no image/pmg can be made: write its `content` (did you mean image/png?)"),
        (FILE | {"media": "png"}, {}, '"png" does not match'),
        (
            VARIED | {"variants": {"by": "$request.query.v", "value": {}}},
            {},
            "unknown key: value (did you mean values?)",
        ),
        (
            VARIED | {"variants": {"by": "$request.query.v", "values": {"x": {"media": "text/plan", "count": 2}}}},
            {},
            "unknown key: count",
        ),
        (VARIED | {"content": "$task.result_url"}, {}, "is worked out from this value itself"),
        (FILE, {"result": "fil"}, "unknown result 'fil' (did you mean file?)"),
        (FILE, {"result": "file", "task": "$request.path.vide"}, "has no path parameter 'vide' (did you mean video?)"),
        (VARIED, {"task": "$request.query.video"}, "has no query parameter 'video'"),
        (VARIED, {}, "{video} is sent as it stands"),
    ],
)
def test_check_tells_what_is_wrong(tmp_path: Path, file: dict[str, Any], mock: dict[str, Any], said: str) -> None:
    """In one line."""
    mock = {"task": CONTENT["task"], **mock} if mock or "content" in file else mock
    told = list(map(str, issues(tmp_path, serving_files(file, CONTENT["path"], mock or None))))
    assert any(said in each for each in told), told
