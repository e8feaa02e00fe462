"""What each of the five documents prints, met by the engine: figures, tables and the shapes of its examples.

The facts are restated in data of our own; each names the document and the section that it stands in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from support.engine import RECEIVER, RUDE, START_MS, Client, due_deliveries, headers_of, loads, new_world

from mockserver.engine.messages import FileWanted
from mockserver.engine.targets import url_problem
from mockserver.spec.document import Document
from mockserver.spec.vocabulary import builtin_specs

if TYPE_CHECKING:
    from pathlib import Path

    from mockserver.engine.messages import Response

GUIDE = "Gemini Omni API Model Guide"
FLASH = "Gemini Omni Flash"
CRUN = "Gemini Omni"
EVOLINK = "Gemini Omni Flash Text-to-Video"
TUTORIAL = "Calling Gemini Omni from Your App: A Developer's Guide"
SECOND = 1000
DAY_MS = 86_400_000


def sent(
    provider: str, body: dict[str, Any], *, dialects: dict[str, list[str]] | None = None
) -> tuple[Client, Response]:
    """Submit a body in a fresh world."""
    client = Client(new_world(dialects=dialects), provider)
    return client, client.submit(START_MS, body)


# -- which bodies are taken -------------------------------------------------------------------------

OMNI = {"model": "gemini_omni", "prompt": "A heron waits in the reeds"}
OMNI_FLASH = {"model": "gemini-omni-flash", "prompt": "A heron waits in the reeds"}
CRUN_BODY = {"model": "google/gemini-omni", "input": {"prompt": "A heron waits in the reeds"}}
EVO = {"model": "gemini-omni-flash-text-to-video", "prompt": "A heron waits in the reeds"}
VIDEO = {"model": "gemini-omni-video", "prompt": "A heron waits", "resolution": "1080p", "duration": 8}
CHARACTER = {
    "model": "gemini-omni-character",
    "prompt": "The guide waves",
    "referenceUrl": "https://client.example/guide.jpg",
    "resolution": "1080p",
    "duration": 8,
}
VOICE = {
    "model": "gemini-omni-audio",
    "script": "Good morning.",
    "language": "en-US",
    "voiceProfile": "professional-male",
}

#: document, section, provider, body, status
BODIES = [
    (GUIDE, "Minimal Request", "toapis", {**OMNI, "aspect_ratio": "16:9", "duration": 6, "resolution": "720P"}, 200),
    (GUIDE, "Key Parameters", "toapis", OMNI, 200),
    (GUIDE, "Key Parameters", "toapis", {**OMNI, "aspect_ratio": "9:16", "duration": 10}, 200),
    (GUIDE, "Key Parameters", "toapis", {**OMNI, "aspect_ratio": "1:1"}, 400),
    (GUIDE, "Key Parameters", "toapis", {**OMNI, "duration": 8}, 400),
    (GUIDE, "Key Parameters", "toapis", {**OMNI, "duration": "6"}, 400),
    (GUIDE, "Key Parameters", "toapis", {**OMNI, "resolution": "1080P"}, 400),
    (GUIDE, "Key Parameters", "toapis", {"model": "gemini_omni"}, 400),
    (GUIDE, "Key Parameters", "toapis", {"prompt": "A heron"}, 400),
    (GUIDE, "Key Parameters", "toapis", {**OMNI, "model": "gemini_omni_ultra"}, 400),
    (FLASH, "parameter table", "toapis", OMNI_FLASH, 200),
    (FLASH, "request preview", "toapis", {**OMNI_FLASH, "model": "gemini_omni_flash", "duration": 6}, 200),
    (FLASH, "parameter table", "toapis", {**OMNI_FLASH, "duration": 7}, 400),
    (FLASH, "prompt form", "toapis", {**OMNI_FLASH, "prompt": "x" * 1200}, 200),
    (FLASH, "prompt form", "toapis", {**OMNI_FLASH, "prompt": "x" * 1201}, 400),
    (CRUN, "Body", "crun", CRUN_BODY, 200),
    (CRUN, "Body", "crun", {**CRUN_BODY, "callback_url": RECEIVER}, 200),
    (CRUN, "Body", "crun", {**CRUN_BODY, "model": "gemini-omni"}, 422),
    (CRUN, "Body", "crun", {"model": "google/gemini-omni"}, 422),
    (EVOLINK, "Body", "evolink", EVO, 200),
    *[(EVOLINK, "Body, duration", "evolink", {**EVO, "duration": each}, 200) for each in (3, 4, 9, 10, "auto")],
    *[
        (EVOLINK, "Body, duration", "evolink", {**EVO, "duration": each}, 400)
        for each in (2, 11, 3.5, "5", "automatic")
    ],
    *[
        (EVOLINK, "Body, aspect_ratio", "evolink", {**EVO, "aspect_ratio": each}, 200)
        for each in ("16:9", "9:16", "auto")
    ],
    (EVOLINK, "Body, aspect_ratio", "evolink", {**EVO, "aspect_ratio": "4:3"}, 400),
    (EVOLINK, "Body, prompt", "evolink", {**EVO, "prompt": "一只苍鹭在芦苇丛中等待"}, 200),
    (EVOLINK, "Body, callback_url", "evolink", {**EVO, "callback_url": RECEIVER}, 200),
    (EVOLINK, "Body, callback_url", "evolink", {**EVO, "callback_url": RECEIVER.replace("https", "http")}, 400),
    (EVOLINK, "Body, callback_url", "evolink", {**EVO, "callback_url": "https://10.1.2.3/hook"}, 400),
    (EVOLINK, "Body, callback_url", "evolink", {**EVO, "callback_url": "https://client.example/" + "x" * 2026}, 400),
    (TUTORIAL, "Text-to-video", "googlegeminiomni", VIDEO, 200),
    (TUTORIAL, "Image-to-video", "googlegeminiomni", {**VIDEO, "imageUrl": "https://client.example/first.jpg"}, 200),
    (TUTORIAL, "Character video", "googlegeminiomni", CHARACTER, 200),
    (TUTORIAL, "AI voice", "googlegeminiomni", VOICE, 200),
    (TUTORIAL, "Lip-sync", "googlegeminiomni", {**VOICE, "videoUrl": "https://client.example/guide.mp4"}, 200),
    (TUTORIAL, "Register a callback URL", "googlegeminiomni", {**VIDEO, "callbackUrl": RECEIVER}, 200),
    (TUTORIAL, "5. Handle errors", "googlegeminiomni", {**VIDEO, "model": "gemini-omni-opera"}, 400),
    (TUTORIAL, "5. Handle errors", "googlegeminiomni", {**VIDEO, "prompt": ""}, 400),
    (TUTORIAL, "5. Handle errors", "googlegeminiomni", {"model": "gemini-omni-video"}, 400),
]


@pytest.mark.parametrize(("document", "section", "provider", "body", "status"), BODIES)
def test_bodies(document: str, section: str, provider: str, body: dict[str, Any], status: int) -> None:
    """A body that the document shows or describes is taken; one outside its tables is refused."""
    _, reply = sent(provider, body)
    assert reply.status == status, (document, section, reply.body)


# -- what the answers look like ---------------------------------------------------------------------


def test_toapis_submit_answer() -> None:
    """Model Guide, Minimal Response: id with its prefix, object, model, first status, Unix time."""
    client, reply = sent("toapis", OMNI)
    answer = loads(reply)
    assert set(answer) == {"id", "object", "model", "status", "created_at"}
    assert answer["id"].startswith("video_01")
    assert (answer["object"], answer["model"], answer["status"]) == ("generation.task", "gemini_omni", "queued")
    assert answer["created_at"] == START_MS // SECOND
    assert loads(client.query(answer["id"], START_MS))["status"] == "queued"


def test_toapis_answers_with_the_name_that_was_sent() -> None:
    """Gemini Omni Flash prints two names for one model; each is taken, and comes back."""
    for name in ("gemini-omni-flash", "gemini_omni_flash"):
        assert loads(sent("toapis", {**OMNI_FLASH, "model": name})[1])["model"] == name


def test_toapis_defaults() -> None:
    """Key Parameters: without them a task is 16:9, 6 s, 720P, which is what it costs and what its file is."""
    client, reply = sent("toapis", OMNI)
    whole = client.submit(START_MS, {**OMNI, "aspect_ratio": "16:9", "duration": 6, "resolution": "720P"})
    longer = client.submit(START_MS, {**OMNI, "duration": 10})
    assert reply.task_id and whole.task_id and longer.task_id  # noqa: PT018 - one fact
    prices = [client.task(each).reserved_ucr for each in (reply.task_id, whole.task_id, longer.task_id)]
    assert prices[0] == prices[1] < prices[2]
    (url,) = client.links(reply.task_id, START_MS + DAY_MS // 2)
    file = client.fetch(url, START_MS + DAY_MS // 2).file
    assert file is not None
    assert (file.duration_s, file.short_side_px, file.ratio) == (6.0, 720, "16:9")  # type: ignore[union-attr]


def test_toapis_errors() -> None:
    """Common Errors: 400, 401, 429 and 500 with their types; a request id on each answer."""
    errors = {each.status: each.type for each in Client(new_world(), "toapis").provider.errors.values()}
    assert errors[400] == "invalid_request_error"
    assert errors[401] == "authentication_error"
    assert errors[429] == "rate_limit_exceeded"
    assert errors[500] == "internal_error"
    client = Client(new_world(), "toapis", "bad key")
    reply = client.submit(START_MS, OMNI)
    assert (reply.status, loads(reply)["error"]["type"]) == (401, "authentication_error")
    assert headers_of(reply)["X-Request-Id"]


def test_toapis_chat_trap() -> None:
    """FAQ: a video model at the chat endpoint fails with its odd apitype, costs all the same, and makes no task."""
    client = Client(new_world(), "toapis")
    before = client.account.available_ucr
    reply = client.ask("decoy", START_MS, {"model": "gemini_omni", "messages": []})
    assert reply.status == 400
    assert "invalid apitype: -1" in loads(reply)["error"]["message"]
    assert client.account.available_ucr < before
    assert not client.account.tasks


def test_toapis_new_accounts() -> None:
    """Gemini Omni Flash: a new account holds 10 credits (with `--credits documented`)."""
    assert Client(new_world(), "toapis").provider.documented_ucr == 10_000_000


def test_crun_codes() -> None:
    """Response: the ten codes of the envelope, each an error of the spec or a success."""
    codes = {each.code for each in Client(new_world(), "crun").provider.errors.values()}
    assert {401, 402, 404, 422, 429, 455, 500, 501, 505} <= codes
    _, reply = sent("crun", CRUN_BODY)
    assert {key: loads(reply)[key] for key in ("code", "message")} == {"code": 200, "message": "success"}


def test_crun_key_header() -> None:
    """Authorizations: the key stands in x-api-key; nowhere else will do."""
    rule = Client(new_world(), "crun").provider.key
    assert (rule.header.lower(), rule.bearer) == ("x-api-key", False)


@pytest.mark.parametrize("ends_well", [True, False])
def test_crun_callback_is_the_data_of_the_query(ends_well: bool) -> None:
    """Body, callback_url: when the job ends, well or not, its `data` is posted; only HTTP 200 will do."""
    client = Client(new_world(), "crun")
    body = client.body(callback=RECEIVER) if ends_well else client.body(callback=RECEIVER, text=RUDE)
    reply = client.submit(START_MS, body)
    ((_, delivery),) = due_deliveries(client.world, START_MS + DAY_MS)
    assert reply.task_id
    assert delivery.body in client.query(reply.task_id, delivery.due_ms).body
    assert delivery.rule.acknowledged == {200}


def test_evolink_submit_answer() -> None:
    """Response: time, id of its shape, model, kinds, progress 0, status pending, task_info, usage."""
    _, reply = sent("evolink", EVO)
    answer = loads(reply)
    assert re.fullmatch(r"task-unified-[0-9]{10}-[0-9a-z]{8}", answer["id"])
    assert answer["id"].split("-")[2] == str(answer["created"]) == str(START_MS // SECOND)
    assert (answer["object"], answer["type"]) == ("video.generation.task", "video")
    assert (answer["progress"], answer["status"], answer["model"]) == (0, "pending", EVO["model"])
    assert answer["task_info"]
    assert answer["usage"]


def test_evolink_default_duration_and_charge() -> None:
    """Body, duration: 10 s by default; what is charged follows from the video that was made."""
    client, reply = sent("evolink", EVO)
    assert reply.task_id
    (url,) = client.links(reply.task_id, START_MS + DAY_MS // 2)
    file = client.fetch(url, START_MS + DAY_MS // 2).file
    assert file is not None
    assert file.duration_s == 10  # type: ignore[union-attr]
    task = client.task(reply.task_id)
    assert 0 < task.settles_ucr < task.reserved_ucr


def test_evolink_callback_rules() -> None:
    """Body, callback_url: three ends, 10 s, retries after 1, 2 and 4 s, any 2xx, after billing, like the query."""
    client = Client(new_world(), "evolink")
    rule = client.provider.callbacks
    assert rule is not None
    assert set(rule.events) == {"completed", "failed", "cancelled"}
    assert (rule.timeout_s, rule.retry_after_ms) == (10, (1000, 2000, 4000))
    assert rule.acknowledged == set(range(200, 300))
    reply = client.submit(START_MS, client.body(callback=RECEIVER))
    ((at_ms, delivery),) = due_deliveries(client.world, START_MS + DAY_MS)
    assert client.account.reserved_ucr == 0
    assert client.account.spent_ucr > 0
    assert reply.task_id
    assert delivery.body == client.query(reply.task_id, at_ms).body
    for url in (
        "http://a.example/",
        "https://127.0.0.1/",
        "https://10.0.0.1/",
        "https://172.16.0.1/",
        "https://172.31.9.9/",
    ):
        assert url_problem(url, rule.target, "documented"), url
    assert url_problem("https://192.168.1.1/", rule.target, "documented")
    assert url_problem("https://a.example/" + "x" * 2030, rule.target, "documented") is None
    assert url_problem("https://a.example/" + "x" * 2031, rule.target, "documented")


@pytest.mark.parametrize(("provider", "days"), [("toapis", 1), ("evolink", 1), ("googlegeminiomni", 7)])
def test_links_live_as_long_as_the_document_says(provider: str, days: int) -> None:
    """A link works to the last millisecond of its 24 hours or 7 days, counted from the second in which it ended."""
    client = Client(new_world(), provider)
    reply = client.submit(START_MS, client.body())
    assert reply.task_id
    ended_ms = client.task(reply.task_id).ends_ms
    (url,) = client.links(reply.task_id, ended_ms)
    dies_ms = ended_ms // 1000 * 1000 + days * DAY_MS
    assert client.fetch(url, dies_ms - 1).status == 200
    assert client.fetch(url, dies_ms).status in (403, 404)


def test_tutorial_submit_answer() -> None:
    """2. Submit: jobId with its prefix, status accepted, 150 credits and 60 s for 8 s of 1080p."""
    answer = loads(sent("googlegeminiomni", VIDEO)[1])
    assert answer["jobId"].startswith("job_")
    assert {key: answer[key] for key in ("status", "creditCost", "estimatedSeconds")} == {
        "status": "accepted",
        "creditCost": 150,
        "estimatedSeconds": 60,
    }


def test_tutorial_key_form() -> None:
    """1. Get your API key: gomni_ and 64 hexadecimal digits; anything else is 401."""
    for key in ("gomni_" + "a" * 63, "gomni_" + "g" * 64, "sk-" + "a" * 64, "a" * 64):
        assert Client(new_world(), "googlegeminiomni", key).submit(START_MS, VIDEO).status == 401
    assert Client(new_world(), "googlegeminiomni", "gomni_" + "a" * 64).submit(START_MS, VIDEO).status == 200


def test_tutorial_statuses_and_webhooks() -> None:
    """3. Poll, Webhook payload: accepted, generating, done; both bodies by field; the signature over the bytes."""
    client = Client(new_world(), "googlegeminiomni")
    good = client.submit(START_MS, {**VIDEO, "callbackUrl": RECEIVER})
    bad = client.submit(START_MS, {**VIDEO, "prompt": RUDE, "callbackUrl": RECEIVER})
    assert good.task_id
    assert bad.task_id
    seen = {loads(client.query(good.task_id, START_MS + ms))["status"] for ms in range(0, 120_000, 500)}
    assert seen == {"accepted", "generating", "done"}
    told = {}
    for _, delivery in due_deliveries(client.world, START_MS + DAY_MS):
        payload = loads_bytes(delivery.body)
        told[payload["event"]] = payload
        expected = hmac.new(b"mock-webhook-secret", delivery.body, hashlib.sha256).hexdigest()
        assert dict(delivery.headers)["X-Gemini-Signature"] == expected
        assert delivery.rule.retry_after_ms == (30_000, 300_000, 1_800_000)
    done, failed = told["job.completed"], told["job.failed"]
    assert set(done) == {"event", "jobId", "status", "outputUrl", "creditCost", "model", "timestamp"}
    assert (done["status"], done["creditCost"], done["model"]) == ("done", 150, "gemini-omni-video")
    assert re.search(r"/omni/usr_\w+/job_\w+/output\.mp4", done["outputUrl"])
    assert set(failed) == {"event", "jobId", "status", "error", "creditCost", "timestamp"}
    assert (failed["status"], failed["creditCost"]) == ("failed", 0)
    for payload in (done, failed):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", payload["timestamp"])
    assert client.account.spent_ucr == 150_000_000


def loads_bytes(body: bytes) -> Any:
    """Parse a body."""
    return json.loads(body)


def test_tutorial_errors() -> None:
    """5. Handle errors: the eight statuses of the table are errors of the spec."""
    statuses = {each.status for each in Client(new_world(), "googlegeminiomni").provider.errors.values()}
    assert {400, 401, 402, 403, 404, 429, 500, 503} <= statuses


@pytest.mark.parametrize(("plan", "minute", "hour", "at_once"), [("pro", 30, 200, 5), ("premium", 60, 500, 10)])
def test_tutorial_rate_limits(plan: str, minute: int, hour: int, at_once: int) -> None:
    """Rate limits by plan: requests a minute, requests an hour, jobs at once."""
    found = Client(new_world(), "googlegeminiomni").provider.plans[plan]
    assert (found.requests_per_minute, found.requests_per_hour, found.concurrent_tasks) == (minute, hour, at_once)


def test_tutorial_bulk_pattern_stays_within_the_limits() -> None:
    """8. Bulk generation: five jobs at a time, each polled every 3 s, pass Pro's limits from the first to the 50th."""
    client = Client(new_world(), "googlegeminiomni")
    waiting, now_ms = 50, START_MS
    running: list[str | None] = []
    while waiting or running:
        while waiting and len(running) < 5:
            reply = client.submit(now_ms, VIDEO)
            assert reply.status == 200, reply.body
            running.append(reply.task_id)
            waiting -= 1
        now_ms += 3 * SECOND
        polled = {task_id: client.query(str(task_id), now_ms) for task_id in running}
        assert {reply.status for reply in polled.values()} == {200}
        running = [task_id for task_id, reply in polled.items() if loads(reply)["status"] != "done"]
    assert now_ms - START_MS < 50 * 180 * SECOND


# -- variants and closed lists ----------------------------------------------------------------------

CLOSED = {200, 401, 402, 404, 422, 429, 455, 500, 501, 505}


@pytest.mark.parametrize("dialects", [[], ["always_200"]], ids=str)
def test_crun_answers_with_no_code_beyond_the_list(dialects: list[str]) -> None:
    """Gemini Omni, Response: every error of ours has one of the ten codes, whatever its HTTP status."""
    client = Client(new_world(dialects={"crun": dialects}), "crun")
    assert {error.code for error in client.provider.errors.values()} <= CLOSED
    for reply in (
        client.send("PUT", client.operation("submit").path, START_MS),
        client.send("POST", client.operation("submit").path, START_MS, oversized=True),
        client.send("POST", client.operation("submit").path, START_MS, stalled=True),
    ):
        assert loads(reply)["code"] in CLOSED


def test_crun_tells_the_credits_of_a_task() -> None:
    """TaskInfo has `credits`, a number: what the task costs, and nothing once it has failed."""
    client = Client(new_world(), "crun")
    for text, at_the_end in ((None, 80), (RUDE, 0)):
        reply = client.submit(START_MS, client.body(text=text))
        for at_ms, credits_shown in ((START_MS, 80), (START_MS + DAY_MS, at_the_end)):
            assert loads(client.query(str(reply.task_id), at_ms))["data"]["credits"] == credits_shown


@pytest.mark.parametrize("model", ["gemini_omni", "gemini-omni-flash", "gemini_omni_flash"])
def test_the_code_of_toapis_in_error_code(model: str) -> None:
    """In the dialect string_error_code, error.code is the Code of the documents' table."""
    for dialects, code in (([], 400), (["string_error_code"], "invalid_request_error")):
        _, reply = sent("toapis", {"model": model}, dialects={"toapis": dialects})
        assert reply.status == 400
        assert (loads(reply)["error"]["code"], loads(reply)["error"]["type"]) == (code, "invalid_request_error")


@pytest.mark.parametrize("model", ["gemini_omni", "gemini-omni-flash", "gemini_omni_flash"])
def test_the_public_page_of_toapis(model: str) -> None:
    """In the dialect public_page a task may have 4 s, 720p and 1080p, and its end has video_url."""
    body = {"model": model, "prompt": "A heron waits", "duration": 4, "resolution": "1080p"}
    assert sent("toapis", body)[1].status == 400
    client, reply = sent("toapis", body, dialects={"toapis": ["public_page"]})
    shown = loads(client.query(str(reply.task_id), START_MS + DAY_MS))
    assert shown["video_url"] == shown["result"]["data"][0]["url"]
    wanted = client.fetch(shown["video_url"], START_MS + DAY_MS - 1000).file
    assert isinstance(wanted, FileWanted)
    assert (wanted.duration_s, wanted.short_side_px) == (4, 1080)
    for resolution in ("720p", "720P"):
        assert client.submit(START_MS, {**body, "resolution": resolution}).status == 200


def test_a_prompt_with_a_restricted_subject() -> None:
    """Webhook payload: the job is accepted, and fails with a sentence that begins as the document's example does."""
    for word in ("restricted subject matter", "graphic violence", "nudity", "NSFW"):
        client, reply = sent("googlegeminiomni", {**VIDEO, "prompt": f"A scene with {word} in it"})
        shown = loads(client.query(str(reply.task_id), START_MS + DAY_MS))
        assert shown["status"] == "failed"
        assert shown["error"].startswith("Content policy: ")
    for prompt in ("A restricted area sign", "A violent storm", "A nude lipstick"):
        client, reply = sent("googlegeminiomni", {**VIDEO, "prompt": prompt})
        assert loads(client.query(str(reply.task_id), START_MS + DAY_MS))["status"] == "done"


#: Values that the documents themselves print as examples.
PRINTED: dict[str, list[Any]] = {
    "toapis-gemini-omni": ["video_01JZEXAMPLE", 1779247407, "16:9", 6, "720P"],
    "toapis-gemini-omni-flash": ["gemini-omni-flash", "gemini_omni_flash", "16:9", 6, "720P"],
    "crun-gemini-omni": ["https://your-domain.com/api/callback", "success"],
    "evolink-gemini-omni-flash": [
        *(1757169743, "task-unified-1757169743-7cvnl5zw", "gemini-omni-flash-text-to-video", 6, "16:9"),
        "https://your-domain.com/webhooks/video-task-completed",
    ],
    "googlegeminiomni": [
        *("job_abc123", 150, 60, "1080p", 8, "en-US", "professional-male", "2026-05-15T14:23:00Z"),
        *("https://your-cdn.com/lighthouse.jpg", "https://your-cdn.com/reference-face.jpg"),
        *("https://your-cdn.com/character-clip.mp4", "https://your-app.com/webhooks/gemini-omni"),
        "https://r2.googlegeminiomni.com/omni/usr_xyz/job_abc123/output.mp4",
    ],
}


@pytest.mark.parametrize("path", builtin_specs(), ids=lambda path: path.stem)
def test_the_documents_own_examples_are_examples(path: Path) -> None:
    """Each value that a document prints as an example is an example in its spec's schemas."""
    found: list[Any] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            found.extend(value["examples"] if isinstance(value.get("examples"), list) else ())
            for each in value.values():
                walk(each)

    walk(Document.read(path).data["components"]["schemas"])
    assert [value for value in PRINTED[path.stem] if value not in found] == []


def test_what_the_windows_do_is_stated() -> None:
    """The specs with limits say whether their windows slide."""
    for path in builtin_specs():
        accounts = Document.read(path).data["x-mock"].get("accounts", {})
        if any("requests_per_minute" in plan for plan in accounts.get("plans", {}).values()):
            assert accounts["rate_window"] == "sliding"
            limited = [plan for plan in accounts["plans"].values() if "requests_per_minute" in plan]
            assert all("sliding window" in plan["summary"] for plan in limited)
