"""What each role of an operation does after admission."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from support.engine import ALL, RUDE, SHIPPED, START_MS, Client, headers_of, loads, new_world, providers
from support.tables import for_each

from mockserver.engine.commands import NoSuchEndError, UnknownReasonError, run_command
from mockserver.engine.messages import FileWanted, Form, StoredFile
from mockserver.engine.task import status_at
from mockserver.provider import UCR, ProviderRules

WEEK_MS = 7 * 86_400_000
DAY_MS = 86_400_000
#: How long each provider's links live, by its document.
LIFETIMES_MS = {"toapis": DAY_MS, "crun": DAY_MS, "evolink": DAY_MS, "googlegeminiomni": WEEK_MS, "kiln": 60_000}


def finished(client: Client, model: str | None = None) -> tuple[str, int, list[str]]:
    """Submit a task; return its id, the instant of its end, and the links it then has."""
    task = client.task(client.submit(START_MS, model=model).task_id)
    return task.id, task.ends_ms, client.links(task.id, task.ends_ms)


# -- submit and query -------------------------------------------------------------------------------

#: The forms of task ids in the documents and on the providers' pages.
ID_FORMS = {
    "toapis": r"video_01[0-9A-HJKMNP-TV-Z]{24}",
    "crun": r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "evolink": rf"task-unified-{START_MS // 1000}-[0-9a-z]{{8}}",
    "googlegeminiomni": r"job_[0-9a-z]{12}",
    "kiln": r"piece-[0-9]{12}",
}


@for_each("name", ALL)
def test_a_submit_makes_a_task_with_an_id_of_the_documented_form(name: str) -> None:
    """Each submit makes one task, whose id has the provider's form and is in the answer."""
    client = Client(new_world(), name)
    ids = set()
    for model in client.provider.models:
        reply = client.submit(START_MS, model=model)
        assert reply.status == client.operation("submit").status
        assert reply.task_id is not None
        assert re.fullmatch(ID_FORMS[name], reply.task_id)
        assert reply.task_id in reply.body.decode()
        assert reply.account_id == client.account.id
        ids.add(reply.task_id)
    assert list(client.state.tasks) == client.account.tasks
    assert len(ids) == len(client.provider.models)


def test_a_reply_carries_the_headers_of_the_spec() -> None:
    """What a spec gives a reply as headers is on the answer, beside the request id."""
    assert headers_of(Client(new_world(), "kiln").submit(START_MS)) == {
        "X-Shelf": "upper",
        "X-Kiln-Trace": "trace-" + headers_of(Client(new_world(), "kiln").submit(START_MS))["X-Kiln-Trace"][6:],
    }


@for_each("name", ALL)
def test_a_query_tells_the_state_of_its_instant(name: str) -> None:
    """At the first and last millisecond of each state the query's body is that state's, and it is that of the task."""
    client = Client(new_world(), name)
    task = client.task(client.submit(START_MS).task_id)
    edges = [task.submitted_ms, *task.entered_ms, task.ends_ms]
    for at_ms in [edge + shift for edge in edges for shift in (-1, 0, 1) if edge + shift >= START_MS]:
        reply = client.query(task.id, at_ms)
        assert (reply.status, reply.task_id) == (200, task.id)
        words = [state.name for state in task.model.states] + list(client.provider.lifecycle.ends)
        shown = [word for word in words if f'"{word}"' in reply.body.decode().replace('"message":"success"', "")]
        assert shown == [status_at(task, at_ms).status]


@for_each("name", ALL)
def test_two_queries_at_one_instant_agree(name: str) -> None:
    """However often and in whatever order of instants a task is queried, one instant has one body."""
    client = Client(new_world(), name)
    task = client.task(client.submit(START_MS).task_id)
    instants = [START_MS + (task.ends_ms - START_MS) * step // 10 for step in range(13)]
    forwards = [client.query(task.id, at_ms).body for at_ms in instants]
    backwards = [client.query(task.id, at_ms).body for at_ms in reversed(instants)]
    assert forwards == backwards[::-1]


@for_each("name", ALL)
def test_the_answer_of_an_ended_task_is_for_ever(name: str) -> None:
    """After the end, even a year later, the query's body has the same bytes."""
    client = Client(new_world(), name)
    for reason in (None, *client.provider.lifecycle.failure.reasons):
        task_id = client.submit(START_MS).task_id
        assert task_id is not None
        if reason is not None:
            run_command(client.world, task_id, "fail", START_MS + 1, reason)
        ends_ms = client.task(task_id).ends_ms
        bodies = {client.query(task_id, ends_ms + later_ms).body for later_ms in (0, 1, WEEK_MS, 365 * DAY_MS)}
        assert len(bodies) == 1


@for_each("name", ALL)
def test_a_task_of_another_key_is_not_found(name: str) -> None:
    """Another account's task is answered exactly as one that does not exist, and the journal learns nothing of it."""
    world = new_world()
    key = providers()[name].key.example
    owner, other = Client(world, name, key[:-1] + "a"), Client(world, name, key[:-1] + "b")
    task_id = owner.submit(START_MS).task_id
    assert task_id is not None
    missing = task_id[:-4] + "0000"
    stranger = other.query(task_id, START_MS)
    assert stranger.status == other.query(missing, START_MS).status == 404
    assert stranger.task_id is None
    bodies = [loads(other.query(each, START_MS)) for each in (task_id, missing)]
    for body in bodies:
        body.pop("trace", None)
    assert bodies[0] == bodies[1]
    assert owner.query(task_id, START_MS).status == 200


def test_toapis_says_task_not_found() -> None:
    """The public error body of an unknown task: integer code, the words `Task not found`, its type."""
    reply = Client(new_world(), "toapis").query("video_none", START_MS)
    assert loads(reply) == {"error": {"code": 404, "message": "Task not found", "type": "not_found_error"}}


def test_a_model_that_goes_by_two_names_is_echoed_as_it_was_sent() -> None:
    """ToAPIs takes gemini-omni-flash in both spellings of its document and answers with the one that came."""
    client = Client(new_world(), "toapis")
    for model in ("gemini_omni", "gemini-omni-flash", "gemini_omni_flash"):
        reply = client.submit(START_MS, model=model)
        assert loads(reply)["model"] == model
        assert reply.task_id is not None
        assert loads(client.query(reply.task_id, START_MS))["model"] == model


def test_crun_repeats_the_request_as_it_came() -> None:
    """`param` is the submit body, unknown fields and the order of keys included, and no default is added."""
    client = Client(new_world(), "crun")
    body = {"extra": {"b": 1, "a": [None]}, **client.body()}
    del body["input"]["resolution"]
    reply = client.submit(START_MS, body)
    assert reply.task_id is not None
    shown = loads(client.query(reply.task_id, START_MS))["data"]["param"]
    assert orjson.dumps(shown) == orjson.dumps(body)


def test_evolink_tells_what_went_wrong() -> None:
    """A task of a rude prompt ends failed with content_policy_violation, code and sentence."""
    client = Client(new_world(), "evolink")
    task = client.task(client.submit(START_MS, text=RUDE).task_id)
    assert loads(client.query(task.id, task.ends_ms - 1)).get("error") is None
    found = loads(client.query(task.id, task.ends_ms))
    assert (found["status"], found["error"]["code"]) == ("failed", "content_policy_violation")
    assert found["error"]["message"]


@for_each("name", ALL)
def test_a_policy_word_is_a_word(name: str) -> None:
    """The content policy refuses its words in any letter case, but not words that only contain them."""
    client = Client(new_world(), name)
    at_submit = client.provider.content_policy is not None and client.provider.content_policy.at_submit
    harmless = client.task(client.submit(START_MS, text="Gorehamxnsfwx" if name != "kiln" else "fine").task_id)
    assert harmless.end.kind == "success"
    reply = client.submit(START_MS, text="some NSFW thing")
    if at_submit:
        assert (reply.gate, reply.status) == ("content_policy", 422)
    else:
        assert client.task(reply.task_id).end.kind == "failure"


# -- chance -----------------------------------------------------------------------------------------


def test_tasks_fail_at_the_rate_that_was_set() -> None:
    """With a failure rate of 1 every task fails, for reasons that differ; with 0 none does; 0.3 is near 0.3."""
    shares = {}
    for rate in (0.0, 0.3, 1.0):
        world = new_world(rules={"evolink": ProviderRules(failure_rate=rate)})
        client = Client(world, "evolink")
        tasks = [client.task(client.submit(START_MS).task_id) for _ in range(400)]
        shares[rate] = sum(task.end.kind == "failure" for task in tasks) / 400
        if rate == 1:
            reasons = {task.reason.code for task in tasks if task.reason is not None}
            assert reasons == set(client.provider.lifecycle.failure.reasons)
    assert shares[0.0] == 0
    assert shares[1.0] == 1
    assert 0.2 < shares[0.3] < 0.4


def test_a_drawn_failure_ends_the_task_at_the_share_of_its_reason() -> None:
    """A reason with at_fraction 0.5 ends the task at half its time, one without at its end."""
    client = Client(new_world(rules={"kiln": ProviderRules(failure_rate=1)}), "kiln")
    ends = {}
    for _ in range(40):
        task = client.task(client.submit(START_MS).task_id)
        assert task.reason is not None
        ends[task.reason.code] = task.ends_ms - START_MS
    assert ends == {"shock": 60_000, "flaw": 120_000}


@pytest.mark.parametrize("name", SHIPPED)
def test_one_seed_gives_one_course(name: str) -> None:
    """Two worlds of one seed answer the same requests with the same bytes; another seed gives other tasks."""
    runs = []
    for seed in (1, 1, 2):
        client = Client(new_world(seed=seed), name)
        replies = [client.submit(START_MS + number) for number in range(3)]
        replies += [client.query(str(each.task_id), START_MS + 60_000) for each in replies]
        runs.append([(reply.status, reply.body, reply.headers) for reply in replies])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


@for_each("name", ALL)
def test_other_accounts_change_nothing(name: str) -> None:
    """An account's answers have the same bytes whether or not other accounts send requests in between."""
    key = providers()[name].key.example

    def course(noise: bool) -> list[tuple[int, bytes, object]]:
        world = new_world()
        mine, other = Client(world, name, key[:-1] + "1"), Client(world, name, key[:-1] + "2")
        out: list[tuple[int, bytes, object]] = []
        for number in range(4):
            if noise:
                other.submit(START_MS + number)
                other.query("nothing", START_MS)
                other.send("GET", "/nowhere", START_MS, headers={})
                if other.has("upload"):
                    other.upload(START_MS)
            reply = mine.submit(START_MS + number)
            out.append((reply.status, reply.body, reply.headers))
            asked = mine.query(str(reply.task_id), START_MS + 100_000)
            out.append((asked.status, asked.body, asked.headers))
            if mine.has("upload"):
                out.append((0, mine.upload(START_MS).body, None))
        return out

    assert course(noise=False) == course(noise=True)


# -- cancel -----------------------------------------------------------------------------------------


def test_a_cancelled_task_shows_its_end_at_once() -> None:
    """The answer to a cancel is the task in its cancelled state, with the reason, and a query agrees."""
    client = Client(new_world(), "kiln")
    task_id = client.submit(START_MS).task_id
    assert task_id is not None
    reply = client.cancel(task_id, START_MS + 60_000)
    assert reply.status == 200
    assert loads(reply) == {
        "ticket": task_id,
        "stage": "withdrawn",
        "percent": 45,
        "started": START_MS + 10_000,
        "ended": START_MS + 60_000,
        "why": "asked",
    }
    assert client.query(task_id, START_MS + DAY_MS).body == reply.body


def test_only_a_task_under_way_of_ones_own_can_be_cancelled() -> None:
    """Cancelling twice, after the end, another key's task or none is refused, each in its own way."""
    world = new_world()
    client, other = Client(world, "kiln", "pass-aaaa"), Client(world, "kiln", "pass-bbbb")
    first, second = (str(client.submit(START_MS).task_id) for _ in range(2))
    assert client.cancel(first, START_MS).status == 200
    assert client.cancel(first, START_MS).status == 409
    assert client.cancel(second, START_MS + 120_000).status == 409
    assert loads(client.query(second, START_MS + 120_000))["stage"] == "glazed"
    assert other.cancel(second, START_MS).status == 404
    assert client.cancel("bowl-1", START_MS).error == "wrong"


def test_a_held_task_can_be_cancelled() -> None:
    """A cancel ends a held task as it stood."""
    client = Client(new_world(), "kiln")
    task_id = str(client.submit(START_MS).task_id)
    run_command(client.world, task_id, "hold", START_MS + 5_000)
    found = loads(client.cancel(task_id, START_MS + DAY_MS))
    assert (found["stage"], found["percent"], found["ended"]) == ("withdrawn", 0, START_MS + DAY_MS)


def test_a_held_task_keeps_what_it_told() -> None:
    """When a task was started is told from that instant on, held or not, and not before."""
    client = Client(new_world(), "kiln")
    task_id = str(client.submit(START_MS).task_id)
    told = [loads(client.query(task_id, START_MS + at_ms))["started"] for at_ms in (9_999, 10_000)]
    run_command(client.world, task_id, "hold", START_MS + 20_000)
    told += [loads(client.query(task_id, START_MS + at_ms))["started"] for at_ms in (20_000, 500_000)]
    assert told == [None, START_MS + 10_000, START_MS + 10_000, START_MS + 10_000]
    early = str(client.submit(START_MS).task_id)
    run_command(client.world, early, "hold", START_MS + 9_999)
    assert loads(client.query(early, START_MS + 500_000))["started"] is None


# -- list -------------------------------------------------------------------------------------------


def test_a_list_goes_page_by_page_from_the_newest() -> None:
    """Pages have the default or the asked size, follow each other without gaps, and the last one says so."""
    client = Client(new_world(), "kiln")
    ids = [str(client.submit(START_MS + number).task_id) for number in range(5)][::-1]
    seen, query = [], ""
    for _ in range(3):
        page = loads(client.ask("list", START_MS + 10, query=query))
        assert page["total"] == 5
        seen += [piece["ticket"] for piece in page["pieces"]]
        query = f"after={page['next']}"
    assert (seen, page["next"]) == (ids, None)
    assert [piece["ticket"] for piece in loads(client.ask("list", START_MS, query="size=3"))["pieces"]] == ids[:3]
    assert loads(client.ask("list", START_MS, query=f"size=3&after={ids[1]}"))["next"] is None


def test_an_item_of_a_list_is_what_the_query_answers() -> None:
    """Each item has the shape of its own task's state, as a query at that instant shows it."""
    client = Client(new_world(), "kiln")
    done, running = str(client.submit(START_MS).task_id), str(client.submit(START_MS + 100_000).task_id)
    now_ms = START_MS + 120_000
    pieces = loads(client.ask("list", now_ms))["pieces"]
    assert pieces == [loads(client.query(each, now_ms)) for each in (running, done)]
    assert [piece["stage"] for piece in pieces] == ["firing", "glazed"]


def test_a_list_shows_only_ones_own() -> None:
    """Another key's tasks are neither listed nor counted, and cannot be the start of a page."""
    world = new_world()
    client, other = Client(world, "kiln", "pass-aaaa"), Client(world, "kiln", "pass-bbbb")
    theirs = other.submit(START_MS).task_id
    assert loads(client.ask("list", START_MS)) == {"pieces": [], "total": 0, "next": None}
    assert client.ask("list", START_MS, query=f"after={theirs}").status == 400


@for_each("size", ["0", "4", "-1", "x", "", "1.0", "%C2%B2", "9" * 5_000])
def test_a_page_of_another_size_is_refused(size: str) -> None:
    """A size that is no whole number from 1 to the limit is refused, however long it is."""
    reply = Client(new_world(), "kiln").ask("list", START_MS, query=f"size={size}")
    assert (reply.status, loads(reply)["about"]) == (400, "the limit is a whole number from 1 to 3")


# -- estimate, balance, decoy -----------------------------------------------------------------------


def test_an_estimate_is_what_a_submit_reserves() -> None:
    """Crun's estimate is the price that the same body then reserves, and costs nothing itself."""
    client = Client(new_world(), "crun")
    for duration, resolution in ((4, "720p"), (10, "720p"), (10, "4k")):
        body = client.body()
        body["input"] |= {"duration": duration, "resolution": resolution}
        before = client.account.available_ucr
        quoted = loads(client.ask("estimate", START_MS, body))["data"]
        assert client.account.available_ucr == before
        task = client.task(client.submit(START_MS, body).task_id)
        assert quoted == {"credits": task.reserved_ucr / UCR, "estimated": True}


def test_an_estimate_needs_no_credits() -> None:
    """An account without credits may ask what a task would cost."""
    client = Client(new_world(), "crun")
    client.account.grant(-client.account.available_ucr, START_MS)
    assert client.ask("estimate", START_MS, client.body()).status == 200


def test_a_balance_is_that_of_its_instant() -> None:
    """Crun's and EvoLink's balances go down with the reservation, and settle at the very end of the task."""
    for name, path in (("crun", ("data", "balance")), ("evolink", ("data", "token", "remaining_credits"))):
        client = Client(new_world(), name)

        def left(now_ms: int, client: Client = client, path: tuple[str, ...] = path) -> float:
            found = loads(client.ask("balance", now_ms))
            for key in path:
                found = found[key]
            return float(found)

        full = left(START_MS)
        task = client.task(client.submit(START_MS).task_id)
        price, cost = task.reserved_ucr / UCR, task.settles_ucr / UCR
        assert [left(at_ms) for at_ms in (START_MS, task.ends_ms - 1, task.ends_ms)] == [
            full - price,
            full - price,
            full - cost,
        ]


def test_whole_credits_are_integers() -> None:
    """A balance of whole credits is written without a fraction, another one with it."""
    client = Client(new_world(), "kiln")
    assert client.ask("balance", START_MS).body == b'{"left":500,"held":0,"gone":0}'
    client.account.grant(-UCR // 4, START_MS)
    assert client.ask("balance", START_MS).body == b'{"left":499.75,"held":0,"gone":0}'


@pytest.mark.parametrize(("name", "price"), [("toapis", 0.02), ("kiln", 4)])
def test_the_wrong_endpoint_charges_without_a_task(name: str, price: float) -> None:
    """The chat endpoint refuses a video model: no task is created, but credits are charged."""
    client = Client(new_world(), name)
    held = client.account.available_ucr
    reply = client.ask("decoy", START_MS, client.body())
    assert reply.status >= 400
    assert client.account.tasks == []
    assert client.state.tasks == {}
    assert client.account.available_ucr == held - price * UCR
    assert [entry.kind for entry in client.account.ledger] == ["grant", "charge"]


def test_toapis_says_invalid_apitype() -> None:
    """A video model at the chat endpoint fails with `invalid apitype: -1`, whichever of its models it is."""
    client = Client(new_world(), "toapis")
    for model in client.provider.models:
        reply = client.ask("decoy", START_MS, {"model": model, "messages": []})
        assert (reply.status, loads(reply)["error"]["message"]) == (400, "invalid apitype: -1")


def test_the_chat_endpoint_charges_only_for_video_models() -> None:
    """A model that does not exist, or none at all, is refused for nothing."""
    client = Client(new_world(), "toapis")
    for body in ({"model": "gpt"}, {}, {"model": 7}):
        assert client.ask("decoy", START_MS, body).status == 400
    assert client.account.spent_ucr == 0


def test_the_chat_trap_takes_no_more_than_there_is() -> None:
    """An account with too few credits is charged down to nothing, not below."""
    client = Client(new_world(), "kiln")
    client.account.grant(3 * UCR - client.account.available_ucr, START_MS)
    client.ask("decoy", START_MS, client.body())
    assert (client.account.available_ucr, client.account.spent_ucr) == (0, 3 * UCR)


# -- upload and file --------------------------------------------------------------------------------


def test_an_upload_is_served_back_as_it_came() -> None:
    """The address in the answer serves the same bytes under the same type, without a key."""
    client = Client(new_world(), "googlegeminiomni")
    content = bytes(range(256))
    found = loads(client.upload(START_MS, content, "image/jpeg", "a face.jpg"))
    assert (found["fileName"], found["contentType"], found["sizeBytes"]) == ("a face.jpg", "image/jpeg", 256)
    reply = client.fetch(found["url"], START_MS + WEEK_MS)
    assert (reply.status, reply.content_type) == (200, "image/jpeg")
    assert isinstance(reply.file, StoredFile)
    assert reply.file.content == content


def test_an_uploads_address_can_be_used_in_a_job() -> None:
    """What the upload answers goes into referenceUrl."""
    client = Client(new_world(), "googlegeminiomni")
    url = loads(client.upload(START_MS))["url"]
    assert client.submit(START_MS, {**client.body("gemini-omni-character"), "referenceUrl": url}).status == 200


def test_a_file_has_its_name_and_id() -> None:
    """A wrong id or name is not found."""
    client = Client(new_world(), "googlegeminiomni")
    url = loads(client.upload(START_MS, name="a.png"))["url"]
    assert client.fetch(url.replace("a.png", "b.png"), START_MS).status == 404
    assert client.fetch(url.replace("file_", "file_x"), START_MS).status == 404


@pytest.mark.parametrize(
    ("media_type", "status"), [("image/png", 200), ("text/plain", 200), ("text/html", 415), ("image", 415)]
)
def test_uploads_are_of_the_types_that_are_taken(media_type: str, status: int) -> None:
    """A type or a family of types that the spec names is taken, another is refused in shape."""
    assert Client(new_world(), "kiln").upload(START_MS, media_type=media_type).status == status


def test_a_broken_form_is_refused_in_shape() -> None:
    """A body that is no multipart, or whose file is missing, is the provider's 400 with the problem in words."""
    client = Client(new_world(), "googlegeminiomni")
    path = client.operation("upload").path
    for form, words in ((None, "multipart/form-data"), (Form(problem="file: is required"), "file: is required")):
        reply = client.send("POST", path, START_MS, form=form)
        assert (reply.gate, reply.status) == ("parse", 400)
        assert words in loads(reply)["error"]


def test_each_account_keeps_its_newest_uploads() -> None:
    """An account's oldest upload goes when it has too many; another account's uploads push none of them out."""
    world = new_world()
    mine, other = Client(world, "kiln", "pass-aaaa"), Client(world, "kiln", "pass-bbbb")
    urls = [loads(mine.upload(START_MS))["url"] for _ in range(2)]
    for _ in range(5):
        other.upload(START_MS)
    assert [mine.fetch(url, START_MS).status for url in urls] == [200, 200]
    urls.append(loads(mine.upload(START_MS))["url"])
    assert [mine.fetch(url, START_MS).status for url in urls] == [404, 200, 200]
    assert len(mine.state.files) == 4


# -- results ----------------------------------------------------------------------------------------


@for_each("name", ALL)
def test_a_link_works_from_the_end_to_its_last_second(name: str) -> None:
    """A file is there from the end of its task until its documented lifetime is over, to the second that links name."""
    client = Client(new_world(), name)
    for model in client.provider.models:
        _, ends_ms, links = finished(client, model)
        dies_ms = ends_ms // 1000 * 1000 + LIFETIMES_MS[name]
        for link in links:
            found = [
                client.fetch(link, at_ms) for at_ms in (ends_ms - 1, ends_ms, dies_ms - 1, dies_ms, dies_ms + DAY_MS)
            ]
            assert [reply.status < 400 for reply in found] == [False, True, True, False, False]
            assert [reply.error for reply in found] == [
                "result_missing",
                None,
                None,
                "result_expired",
                "result_expired",
            ]
            assert isinstance(found[1].file, FileWanted)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_store_refuses_in_its_own_way(name: str) -> None:
    """The file host answers with XML and a code, not with the provider's error body."""
    client = Client(new_world(), name)
    _, ends_ms, links = finished(client)
    reply = client.fetch(links[0], ends_ms + 10 * WEEK_MS)
    assert reply.content_type == "application/xml"
    assert reply.body.startswith(b"<?xml")
    assert b"<Code>" in reply.body
    assert reply.gate is None


def test_an_expiry_is_told_as_it_comes() -> None:
    """ToAPIs' expires_at is 86 400 s after completed_at."""
    client = Client(new_world(), "toapis")
    task_id, ends_ms, _ = finished(client)
    found = loads(client.query(task_id, ends_ms))
    assert found["expires_at"] - found["completed_at"] == 86_400


def test_a_signed_link_is_signed() -> None:
    """Googlegeminiomni's link names its expiry, seven days on, and fails when any part of it is touched."""
    client = Client(new_world(), "googlegeminiomni")
    task_id, ends_ms, (link,) = finished(client)
    parts = urlsplit(link)
    values = {key: value[0] for key, value in parse_qs(parts.query).items()}
    assert parts.path.endswith(f"/omni/{client.account.id}/{task_id}/output.mp4")
    assert int(values["Expires"]) == ends_ms // 1000 + 7 * 86_400
    assert re.fullmatch("[0-9a-f]{64}", values["Signature"])
    base = link.partition("?")[0]
    later = int(values["Expires"]) + 1
    for query in (
        "",
        f"Expires={values['Expires']}",
        f"Signature={values['Signature']}",
        f"Expires={later}&Signature={values['Signature']}",
        f"Expires={values['Expires']}&Signature={'0' * 64}",
        f"Expires={values['Expires']}&Signature={values['Signature'].upper()}",
        f"Expires={values['Expires']}&Signature=%FF",
        "Expires=\udcff&Signature=\udcff",
    ):
        reply = client.fetch(f"{base}?{query}", ends_ms)
        assert (reply.status, reply.error) == (403, "result_unsigned")
    assert client.fetch(f"{base}?Signature={values['Signature']}&Expires={values['Expires']}", ends_ms).status == 200


def test_a_signature_is_of_one_task() -> None:
    """The signature of one task's link does not open another's."""
    client = Client(new_world(), "googlegeminiomni")
    (_, ends_ms, (first,)), (_, _, (second,)) = finished(client), finished(client)
    mixed = f"{first.partition('?')[0]}?{second.partition('?')[2]}"
    assert client.fetch(mixed, ends_ms).error == "result_unsigned"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_task_that_failed_has_no_file(name: str) -> None:
    """After a failure, the link that a success would have is not found."""
    client = Client(new_world(), name)
    task_id = str(client.submit(START_MS).task_id)
    twin = Client(new_world(), name)
    twin_id, ends_ms, (link,) = finished(twin)
    assert twin_id == task_id
    run_command(client.world, task_id, "fail", START_MS)
    assert client.fetch(link, ends_ms).error == "result_missing"


def test_a_task_has_as_many_files_as_it_was_asked_for() -> None:
    """With three copies there are three links, each with a file behind it, and no fourth."""
    client = Client(new_world(), "kiln")
    task = client.task(client.submit(START_MS, {**client.body(), "copies": 3}).task_id)
    links = client.links(task.id, task.ends_ms)
    assert loads(client.query(task.id, task.ends_ms))["files"] == links
    assert [client.fetch(link, task.ends_ms).status for link in links] == [200, 200, 200]
    base = links[0].removesuffix("0")
    for index in ("3", "-1", "x", "00000000000", "²", "9" * 5_000):
        assert client.fetch(base + index, task.ends_ms).error == "result_missing"


def test_a_link_of_another_kind_leads_nowhere() -> None:
    """A video job has no audio file, nor one under another account's name."""
    client = Client(new_world(), "googlegeminiomni")
    _, ends_ms, (link,) = finished(client)
    assert client.fetch(link.replace("output.mp4", "output.m4a"), ends_ms).error == "result_missing"
    assert client.fetch(link.replace(client.account.id, "usr_0000000000"), ends_ms).error == "result_missing"


@for_each(
    ("name", "model", "changes", "wanted"),
    [
        ("toapis", None, {"duration": 10, "aspect_ratio": "9:16"}, FileWanted("video/mp4", 10.0, 720, "9:16")),
        ("toapis", "gemini-omni-flash", {}, FileWanted("video/mp4", 6.0, 720, "16:9")),
        ("evolink", None, {"duration": 3, "aspect_ratio": "9:16"}, FileWanted("video/mp4", 3.0, 720, "9:16")),
        ("googlegeminiomni", None, {"resolution": "4K", "duration": 10}, FileWanted("video/mp4", 10.0, 2160, "16:9")),
        ("googlegeminiomni", "gemini-omni-audio", {}, FileWanted("audio/mp4", 6.0, 720, "16:9")),
        (
            "googlegeminiomni",
            "gemini-omni-audio",
            {"videoUrl": "https://client.example/a.mp4"},
            FileWanted("video/mp4", 6.0, 720, "16:9"),
        ),
    ],
)
def test_a_file_is_what_was_asked_for(
    name: str, model: str | None, changes: dict[str, object], wanted: FileWanted
) -> None:
    """The length, ratio, size and kind of the file are those of the submit body, with the defaults filled in."""
    client = Client(new_world(), name)
    task = client.task(client.submit(START_MS, {**client.body(model), **changes}).task_id)
    assert client.fetch(client.links(task.id, task.ends_ms)[0], task.ends_ms).file == wanted


def test_crun_makes_the_file_of_its_input() -> None:
    """Crun's inner input decides on the file: 1080p, portrait, 10 s."""
    client = Client(new_world(), "crun")
    body = client.body()
    body["input"] |= {"duration": 10, "resolution": "1080p", "aspect_ratio": "9:16"}
    task = client.task(client.submit(START_MS, body).task_id)
    reply = client.fetch(client.links(task.id, task.ends_ms)[0], task.ends_ms)
    assert reply.file == FileWanted("video/mp4", 10.0, 1080, "9:16")


# -- commands ---------------------------------------------------------------------------------------


@for_each("name", ALL)
def test_a_task_can_fail_for_every_reason_of_its_provider(name: str) -> None:
    """Each reason that the spec knows can be chosen, and the query tells it; without one the first is taken."""
    client = Client(new_world(), name)
    reasons = client.provider.lifecycle.failure.reasons
    for code in (None, *reasons):
        task_id = str(client.submit(START_MS).task_id)
        task = run_command(client.world, task_id, "fail", START_MS, code)
        chosen = reasons[code] if code is not None else next(iter(reasons.values()))
        assert task.reason == chosen
        shown = client.query(task_id, START_MS).body.decode()
        assert chosen.message in shown or chosen.code in shown


@for_each("name", ALL)
def test_an_unknown_reason_is_refused_and_changes_nothing(name: str) -> None:
    """A reason that the provider does not know is refused with the list of those it knows."""
    client = Client(new_world(), name)
    task_id = str(client.submit(START_MS).task_id)
    before = client.query(task_id, START_MS).body
    with pytest.raises(UnknownReasonError, match=next(iter(client.provider.lifecycle.failure.reasons))):
        run_command(client.world, task_id, "fail", START_MS, "moon phase")
    assert client.query(task_id, START_MS).body == before


@pytest.mark.parametrize("name", ["toapis", "crun", "googlegeminiomni"])
def test_what_cannot_be_cancelled_is_not(name: str) -> None:
    """A provider without a cancelled state refuses the command by its name."""
    client = Client(new_world(), name)
    with pytest.raises(NoSuchEndError, match="has no cancelled state"):
        run_command(client.world, str(client.submit(START_MS).task_id), "cancel", START_MS)


def test_a_command_finds_a_task_at_any_provider() -> None:
    """A command needs only the id; one that no provider knows is a KeyError."""
    world = new_world()
    for name in ALL:
        task_id = str(Client(world, name).submit(START_MS).task_id)
        assert world.find_task(task_id)[0].provider.name == name
        assert run_command(world, task_id, "complete", START_MS).end.kind == "success"
    with pytest.raises(KeyError):
        run_command(world, "nothing", "hold", START_MS)
