"""The journal: each thing that went over the wire stands in it once, without secrets, in the published shape."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jsonschema
import orjson
import pytest
from aiohttp import FormData
from support.edge import OTHER_KEYS, PROVIDERS, Edge, example, receiving, request_bytes, serving
from support.tables import for_each

import mockserver.spec.vocabulary
from mockserver.clock import MANUAL_START_MS, iso_of
from mockserver.engine.messages import Response
from mockserver.journal.har import har
from mockserver.journal.journal import Journal
from mockserver.journal.record import Exchange

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA: dict[str, Any] = json.loads(
    (mockserver.spec.vocabulary.specs_directory() / "journal.schema.json").read_text(encoding="utf-8")
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def written(
    journal: Journal, *, sent: bytes = b"", answered: bytes = b"", headers: Any = (), target: str = "/"
) -> None:
    """Write an exchange down, of which only some parts matter."""
    response, size = Response(200, answered), len(answered)
    journal.exchange(
        Exchange(MANUAL_START_MS, "evolink", response, "POST", target, headers, sent, 200, (), answered, size)
    )


def everything(edge: Edge) -> str:
    """Return all that the journal can be read as, in one text."""
    records = edge.mock.journal.find()
    return "\n".join(
        (edge.mock.journal.ndjson().decode(), json.dumps(records, ensure_ascii=False), json.dumps(har(records, "1")))
    )


# -- the schema -----------------------------------------------------------------------------------


def subschemas(schema: Any) -> Iterator[dict[str, Any]]:
    """Walk a schema and all that stand in it."""
    if isinstance(schema, dict):
        yield schema
        for each in schema.values():
            yield from subschemas(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from subschemas(each)


def test_schema_is_one() -> None:
    """The published schema is JSON Schema 2020-12."""
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_schema_is_closed_and_described() -> None:
    """Every object of the schema is closed, its fields are all required or told when they are absent, all described."""
    objects = [each for each in subschemas(SCHEMA) if "object" in (each.get("type") or ())]
    assert len(objects) == 6
    for each in objects:
        assert each["additionalProperties"] is False
        assert set(each["properties"]) - set(each["required"]) <= {
            "body_base64",
            "served_as",
            "hint",
            "commanded",
            "own_plan",
            "replayed",
            "transfer_s",
            "upstream",
        }
        for name, field in each["properties"].items():
            where = SCHEMA["$defs"][field["$ref"].rpartition("/")[2]] if "description" not in field else field
            assert where["description"].endswith("."), name


async def test_schema_refuses() -> None:
    """The schema tells records from what is none: it is not satisfied by just anything."""
    async with serving() as edge:
        await edge.submit("evolink")
        (record,) = edge.mock.journal.find()
        VALIDATOR.validate(record)
        for change in ({"seq": 0}, {"kind": "rumour"}, {"at": "today"}, {"more": 1}, {"gate": "keeper"}):
            assert not VALIDATOR.is_valid({**record, **change}), change
        for name in record:
            assert not VALIDATOR.is_valid({key: value for key, value in record.items() if key != name}), name


async def all_kinds(edge: Edge) -> tuple[int, int]:
    """Make exchanges and deliveries of every kind; return how many of each."""
    name = "googlegeminiomni"
    exchanges = 0

    async def call(status: int, method: str, path: str, **how: Any) -> Any:
        nonlocal exchanges
        exchanges += 1
        reply = await edge.call(method, path, **how)
        assert reply.status == status, reply.body
        return reply

    keyed = edge.key_headers(name)
    async with receiving(500) as failing, receiving() as receiver:
        body = {**example(edge.provider(name), "gemini-omni-audio"), "callbackUrl": receiver.url()}
        done = (await call(200, "POST", f"/{name}/api/v1/generate", headers=keyed, json=body)).json["jobId"]
        body["callbackUrl"] = failing.url()
        await call(200, "POST", f"/{name}/api/v1/generate", headers=keyed, json=body)
        body["callbackUrl"] = "http://127.0.0.1:1/"
        await call(200, "POST", f"/{name}/api/v1/generate", headers=keyed, json=body)
        await edge.mock.clock.advance(86_400)
    link = (await call(200, "GET", f"/{name}/api/v1/jobs/{done}", headers=keyed)).json["outputUrl"]
    etag = (await call(200, "GET", link)).headers["ETag"]
    await call(206, "GET", link, headers={"Range": "bytes=0-9"})
    await call(304, "GET", link, headers={"If-None-Match": etag})
    await call(416, "GET", link, headers={"Range": "bytes=99999999-"})
    await call(200, "HEAD", link)
    await call(403, "GET", f"{link}x")
    form = FormData()
    form.add_field("file", io.BytesIO(b"\xff\x00"), filename="a.png", content_type="image/png")
    stored = (await call(200, "POST", f"/{name}/api/v1/upload", headers=keyed, data=form)).json["url"]
    await call(200, "GET", stored)
    await call(404, "GET", f"/{name}/nothing")
    await call(405, "PUT", f"/{name}/api/v1/generate")
    await call(401, "GET", f"/{name}/api/v1/jobs/x")
    await call(404, "GET", f"/{name}/api/v1/jobs/x", headers=keyed)
    await call(400, "POST", f"/{name}/api/v1/generate", headers=keyed, data=b"{")
    await call(413, "POST", f"/{name}/api/v1/generate", headers=keyed, data=b"x" * 2_000_000)
    await call(200, "GET", "/evolink/v1/credits?a=b", headers=edge.key_headers("evolink"))
    return exchanges, 1 + 4 + 4


async def test_each_once() -> None:
    """Every exchange and every delivery attempt stands in the journal once, numbered in the order they came."""
    async with serving() as edge:
        exchanges, deliveries = await all_kinds(edge)
        journal = edge.mock.journal
        assert journal.count(kind="exchange") == exchanges
        assert journal.count(kind="delivery") == deliveries
        assert [record["seq"] for record in journal] == list(range(1, exchanges + deliveries + 1))
        assert len(journal) == exchanges + deliveries


async def test_every_record_is_valid() -> None:
    """Records of every kind are as the schema says, in memory and as NDJSON."""
    async with serving() as edge:
        await all_kinds(edge)
        for record in edge.mock.journal:
            VALIDATOR.validate(record)
        for line in edge.mock.journal.ndjson().splitlines():
            VALIDATOR.validate(orjson.loads(line))


async def test_what_an_exchange_says() -> None:
    """An exchange says who asked what of whom, what was answered, and what it was about."""
    async with serving() as edge:
        task_id = await edge.submit("evolink", prompt="Ein Drachen, 风筝")
        await edge.mock.clock.advance(1.5)
        await edge.call("GET", f"/evolink/v1/tasks/{task_id}?x=%20y", headers=edge.key_headers("evolink"))
        submit, query = edge.mock.journal.find()
        account = edge.mock.account("evolink").id
        assert (submit["at"], query["at"]) == (iso_of(MANUAL_START_MS), iso_of(MANUAL_START_MS + 1500))
        assert (submit["operation"], query["operation"]) == ("createVideo", "getTask")
        for record in (submit, query):
            assert (record["provider"], record["task"], record["account"]) == ("evolink", task_id, account)
            assert (record["gate"], record["error"], record["faults"]) == (None, None, [])
        assert (query["request"]["path"], query["request"]["query"]) == (f"/evolink/v1/tasks/{task_id}", "x=%20y")
        assert orjson.loads(submit["request"]["body"])["prompt"] == "Ein Drachen, 风筝"
        assert orjson.loads(submit["response"]["body"])["id"] == task_id
        assert submit["request"]["body_bytes"] == len(submit["request"]["body"].encode())
        names = [name for name, _ in submit["response"]["headers"]]
        assert "Content-Type" in names
        assert "X-Request-Id" in names


async def test_what_a_refusal_says() -> None:
    """A refused exchange says at which gate and with which error; another account's task is not named."""
    async with serving() as edge:
        task_id = await edge.submit("evolink")
        await edge.query("evolink", task_id, key=OTHER_KEYS["evolink"])
        await edge.try_submit("evolink", duration=99)
        _, query, submit = edge.mock.journal.find()
        assert (query["gate"], query["error"], query["task"]) == ("query", "not_found", None)
        assert (submit["gate"], submit["error"]) == ("schema", "invalid_request")


async def test_what_a_delivery_says() -> None:
    """A delivery attempt says how it went, which it was, what was sent and answered, and when the next follows."""
    async with serving() as edge, receiving(503) as receiver:
        task_id = await edge.submit("googlegeminiomni", callbackUrl=receiver.url("/hook?a=b"))
        await edge.mock.task(task_id).complete()
        (record,) = edge.mock.journal.find(kind="delivery")
        assert (record["task"], record["event"], record["attempt"]) == (task_id, "done", 1)
        assert (record["outcome"], record["detail"]) == ("refused", "status 503")
        assert record["next_attempt_at"] == iso_of(MANUAL_START_MS + 30_000)
        assert record["request"]["url"] == receiver.url("/hook?a=b")
        assert record["request"]["body"].encode() == receiver.got[0].body
        headers = dict(record["request"]["headers"])
        assert headers["X-Gemini-Signature"] == receiver.got[0].headers["X-Gemini-Signature"]
        assert record["response"]["status"] == 503


async def test_what_is_not_wanted() -> None:
    """A search by a word that records do not have is an error, not an empty answer."""
    async with serving() as edge:
        with pytest.raises(TypeError, match="unknown filter provdier; use kind, provider"):
            edge.mock.journal.find(provdier="evolink")


# -- secrets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROVIDERS)
async def test_keys_are_taken_out(name: str) -> None:
    """A key stands nowhere in the journal: in no header, path, query, body, callback address or answer."""
    key = OTHER_KEYS[name]

    async with serving() as edge, receiving() as receiver:
        headers = {**edge.key_headers(name, key), "X-Copy": f"key={key};"}
        await edge.call("GET", f"/{name}/keys/{key}?key={key}&again=x{key}x", headers=headers)
        fields = (
            {}
            if name == "toapis"
            else {"callback_url": receiver.url(f"/{key}"), "callbackUrl": receiver.url(f"/?k={key}")}
        )
        task_id = await edge.submit(name, key=key, note=f"my key is {key}", **fields)
        await edge.query(name, task_id, key=key)
        await edge.mock.task(task_id).complete()
        assert len(receiver.got) == (name != "toapis")
        text = everything(edge)
        assert key not in text
        assert f"[key of {edge.mock.account(name, key).id}]" in text


async def test_keys_that_open_nothing_are_taken_out() -> None:
    """What stands where a key belongs is taken out even where it opened no account, cookies and the like as well."""
    async with serving() as edge:
        secrets = {
            "Authorization": "Bearer gomni_not-a-good-one",
            "Proxy-Authorization": "Basic dXNlcjpwYXNz",
            "X-API-Key": "some-other-key",
            "Cookie": "session=0123456789",
            "X-Admin-Token": "token-0123456789",
        }
        await edge.call("GET", "/googlegeminiomni/api/v1/jobs/x", headers=secrets)
        await edge.call("GET", "/googlegeminiomni/nothing", headers=secrets)
        text = everything(edge)
        for value in secrets.values():
            assert value.rpartition(" ")[2] not in text
        headers = dict(edge.mock.journal.find()[0]["request"]["headers"])
        assert headers["Authorization"] == "Bearer [redacted]"
        assert headers["X-API-Key"] == "[redacted]"


def test_headers_of_other_providers() -> None:
    """The headers in which providers of the user's own want their keys are known to carry secrets."""
    journal = Journal(dict, secret_headers=["X-Studio-Pass"])
    written(journal, headers=(("x-studio-pass", "hush-hush"), ("X-Other", "seen")))
    (record,) = journal.records()
    assert record["request"]["headers"] == [["x-studio-pass", "[redacted]"], ["X-Other", "seen"]]


async def test_webhook_secrets_are_taken_out() -> None:
    """Webhook secrets and the admin token are taken out wherever a client repeats them."""
    async with serving(admin_token="admin-token-0123") as edge:
        edge.mock.account("googlegeminiomni").set_secret("whsec_0123456789")
        words = "mock-webhook-secret, whsec_0123456789, admin-token-0123"
        await edge.submit("googlegeminiomni", prompt=words)
        text = everything(edge)
        for secret in words.split(", "):
            assert secret not in text
        assert "[webhook secret of usr_" in text
        assert "[webhook secret]" in text
        assert "[admin token]" in text


@pytest.mark.parametrize("secret", ['k"e\\y/1', "k+e/y=1", "ключ-1"])
def test_spellings(secret: str) -> None:
    """A secret is found as JSON and as URLs spell it, too."""
    journal = Journal(lambda: {secret: "key"})
    written(journal, sent=json.dumps({"a": secret}).encode())
    written(journal, sent=orjson.dumps({"a": secret}))
    written(journal, target=f"/x?key={quote(secret, safe='')}")
    records = list(journal.records())
    if secret.isascii():
        assert orjson.loads(records[0]["request"]["body"]) == {"a": "[key]"}
    assert orjson.loads(records[1]["request"]["body"]) == {"a": "[key]"}
    assert records[2]["request"]["query"] == "key=[key]"


def test_the_longer_secret_first() -> None:
    """Of two secrets of which one begins like the other, the longer one is taken out whole."""
    journal = Journal(lambda: {"abcd": "short", "abcd-efgh": "long"})
    written(journal, sent=b"abcd-efgh abcd")
    (record,) = journal.records()
    assert record["request"]["body"] == "[long] [short]"


def test_secrets_in_bytes() -> None:
    """A body that is no text is searched for secrets as well."""
    journal = Journal(lambda: {"hush-hush": "key"})
    written(journal, sent=b"\xff\xfehush-hush\x00")
    (record,) = journal.records()
    assert record["request"]["body"] is None
    assert base64.b64decode(record["request"]["body_base64"]) == b"\xff\xfe[key]\x00"


@for_each("kept", range(4, 9))
def test_secrets_that_were_cut(kept: int) -> None:
    """Where a body was cut in the middle of a secret, what is left of that is taken out."""
    journal = Journal(lambda: {"hush-hush": "key"}, body_limit=10 + kept)
    written(journal, sent=b"x" * 10 + b"hush-hush and more")
    (record,) = journal.records()
    assert record["request"]["body"] == "x" * 10 + "[key]"


# -- bodies ---------------------------------------------------------------------------------------


@for_each(("size", "cut"), [(0, False), (99, False), (100, False), (101, True), (100_000, True)])
async def test_bodies_are_cut(size: int, cut: bool) -> None:
    """Of a body beyond the limit the beginning is kept, with its true length."""
    async with serving(journal_body_bytes=100) as edge:
        headers = edge.key_headers("evolink")
        await edge.call("POST", "/evolink/v1/videos/generations", headers=headers, data=b"x" * size)
        (record,) = edge.mock.journal.find()
        request = record["request"]
        assert request["body"] == "x" * min(size, 100)
        assert (request["body_bytes"], request["body_cut"]) == (size, cut)


async def test_answers_are_cut() -> None:
    """Answers, callbacks and what receivers say are cut like everything else."""
    async with serving(journal_body_bytes=10) as edge, receiving() as receiver:
        task_id = await edge.submit("evolink", callback_url=receiver.url())
        await edge.mock.task(task_id).complete()
        exchange, delivery = edge.mock.journal.find()
        for message in (exchange["response"], delivery["request"]):
            assert (len(message["body"]), message["body_cut"]) == (10, True)
            assert message["body_bytes"] > 200
        assert len(receiver.got[0].body) == delivery["request"]["body_bytes"]
        VALIDATOR.validate(delivery)


@for_each("limit", range(1, 9))
def test_cut_inside_a_character(limit: int) -> None:
    """A text that is cut stays a text: of a character that was cut through nothing is kept."""
    journal = Journal(dict, body_limit=limit)
    written(journal, sent="风筝🪁".encode(), answered="é".encode() * 5)
    (record,) = journal.records()
    assert record["request"]["body"] == "风筝🪁".encode()[:limit].decode(errors="ignore")
    assert record["request"]["body_cut"] is True
    assert "body_base64" not in record["request"]
    VALIDATOR.validate(record)


def test_nothing_kept_of_bodies() -> None:
    """With a limit of 0, lengths are kept and bodies are not."""
    journal = Journal(dict, body_limit=0)
    written(journal, sent=b"abc")
    written(journal)
    cut, empty = journal.records()
    assert (cut["request"]["body"], cut["request"]["body_bytes"], cut["request"]["body_cut"]) == ("", 3, True)
    assert (empty["request"]["body"], empty["request"]["body_bytes"], empty["request"]["body_cut"]) == ("", 0, False)


async def test_bytes() -> None:
    """A body that is no UTF-8 is kept in base64; a result file is only measured."""
    async with serving() as edge:
        content = b"\x89PNG\xff\x00"
        form = FormData()
        form.add_field("file", io.BytesIO(content), filename="a.png", content_type="image/png")
        headers = edge.key_headers("googlegeminiomni")
        url = (await edge.call("POST", "/googlegeminiomni/api/v1/upload", headers=headers, data=form)).json["url"]
        await edge.call("GET", url)
        task_id = await edge.submit("googlegeminiomni", of="gemini-omni-audio")
        await edge.mock.clock.advance(60)
        link = (await edge.query("googlegeminiomni", task_id)).json["outputUrl"]
        size = len((await edge.call("GET", link)).body)
        upload, download, _, _, result = edge.mock.journal.find()
        assert content in base64.b64decode(upload["request"]["body_base64"])
        assert base64.b64decode(download["response"]["body_base64"]) == content
        assert result["response"]["body"] is None
        assert (result["response"]["body_bytes"], result["response"]["body_cut"]) == (size, False)


def test_header_bytes() -> None:
    """Header bytes that are no UTF-8 are written as escapes; the record stays valid and can be written out."""
    journal = Journal(dict)
    written(journal, headers=(("User-Agent", b"caf\xe9 \xff".decode("utf-8", "surrogateescape")), ("X-Ok", "café")))
    (record,) = journal.records()
    assert record["request"]["headers"] == [["User-Agent", "caf\\xe9 \\xff"], ["X-Ok", "café"]]
    assert orjson.loads(journal.ndjson()) == record


# -- ring and file --------------------------------------------------------------------------------


async def test_ring() -> None:
    """In memory only the latest entries are kept; their numbers tell how many went before."""
    async with serving(journal_entries=3) as edge:
        for _ in range(10):
            await edge.call("GET", "/evolink/v1/credits")
        assert [record["seq"] for record in edge.mock.journal] == [8, 9, 10]
        assert len(edge.mock.journal) == 3


async def test_file(tmp_path: Path) -> None:
    """The file has everything, whatever the ring keeps and what is reset, and is whole when the server has closed."""
    path = tmp_path / "journal.ndjson"

    async with serving(journal=path, journal_entries=3) as edge:
        for _ in range(5):
            await edge.call("GET", "/evolink/v1/credits", headers=edge.key_headers("evolink"))
        for what in ("journal", "all"):
            await edge.admin("POST", "/reset", {"what": what})
            await edge.submit("evolink")
    records = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert [record["seq"] for record in records] == list(range(1, 8))
    for record in records:
        VALIDATOR.validate(record)
    assert "sk-evolink-mock-key" not in path.read_text(encoding="utf-8")


async def test_file_is_appended_to(tmp_path: Path) -> None:
    """A second run writes behind the first."""
    path = tmp_path / "journal.ndjson"

    for count in (1, 2):
        async with serving(journal=str(path)) as edge:
            await edge.call("GET", "/evolink/v1/credits")
        assert len(path.read_bytes().splitlines()) == count


async def test_file_is_written_meanwhile(tmp_path: Path) -> None:
    """The file is written while the server runs, not only at its end."""
    path = tmp_path / "journal.ndjson"

    async with serving(journal=path) as edge, asyncio.timeout(20):
        await edge.call("GET", "/evolink/v1/credits")
        while not path.stat().st_size:
            await edge.admin("GET", "/health")
        assert path.read_bytes().count(b"\n") == 1


def test_flush_writes_once(tmp_path: Path) -> None:
    """What has been written is not written again, and a closed journal takes more without a file."""
    path = tmp_path / "journal.ndjson"
    journal = Journal(dict, file=path)
    written(journal)
    journal.flush()
    journal.flush()
    assert path.read_bytes().count(b"\n") == 1
    journal.close()
    journal.close()
    written(journal)
    assert len(journal) == 2
    assert path.read_bytes().count(b"\n") == 1


def test_wall_time() -> None:
    """Beside mock time each record has the wall's."""
    journal = Journal(dict, wall_s=lambda: 1.25)
    written(journal)
    (record,) = journal.records()
    assert (record["at"], record["wall"]) == (iso_of(MANUAL_START_MS), "1970-01-01T00:00:01.250Z")


async def test_absolute_targets() -> None:
    """A target in absolute form is written down as it was sent."""
    async with serving() as edge, edge.raw() as wire:
        headers = edge.key_headers("evolink")
        await wire.send(request_bytes("GET", "http://api.evolink.ai/v1/credits?a=b", headers=headers))
        assert await wire.answer() is not None
        (record,) = edge.mock.journal.find()
        assert (record["request"]["path"], record["request"]["query"]) == (
            "http://api.evolink.ai/v1/credits",
            "a=b",
        )
        (entry,) = har([record], "1")["log"]["entries"]
        assert entry["request"]["url"] == "http://api.evolink.ai/v1/credits?a=b"


def test_har_of_bytes() -> None:
    """In an HTTP archive, content that is no text stands in base64 and says so."""
    journal = Journal(dict)
    written(journal, answered=b"\x89PNG\xff")
    (entry,) = har(journal.records(), "1")["log"]["entries"]
    content = entry["response"]["content"]
    assert content["encoding"] == "base64"
    assert base64.b64decode(content["text"]) == b"\x89PNG\xff"
