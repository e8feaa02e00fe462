"""Several kinds of task in one spec, and tasks that go on from another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from support.engine import START_MS, Client, due_deliveries, loads
from support.kilns import issues, kiln_client

from mockserver.engine.commands import run_command
from mockserver.engine.messages import FileWanted
from mockserver.engine.rules import Match, Schedule
from mockserver.faults.fail import Fail
from mockserver.provider import UCR

if TYPE_CHECKING:
    from mockserver.engine.messages import Response

PATHS = (
    "  /quotes:\n",
    """\
  /pieces/{ticket}/again:
    parameters:
      - {name: ticket, in: path, required: true, schema: {type: string}}
    post:
      operationId: fireAgain
      requestBody:
        required: true
        content:
          application/json:
            schema: {type: object, required: [wish], properties: {wish: {type: string}}, additionalProperties: false}
      responses: {'200': {description: Taken in}}
      x-mock:
        role: submit
        kind: again
        parent: $request.path.ticket
        model: $parent.model
        reply: {status: 200, body: {ticket: $task.id, stage: $task.status, from: $parent.id, kind: $task.kind}}
  /chimes:
    post:
      operationId: chime
      requestBody: {content: {application/json: {schema: {type: object, properties: {of: {type: string}}}}}}
      responses: {'200': {description: Taken in}}
      x-mock:
        role: submit
        kind: chime
        parent: {task: '$request.body#/of', states: [cooling, glazed]}
        model: $parent.model
        reply: {status: 200, body: {ticket: $task.id, stage: $task.status}}
    get:
      operationId: listChimes
      responses: {'200': {description: The chimes}}
      x-mock: {role: list, kind: chime, item: $task.id, reply: {status: 200, body: {chimes: $list.items}}}
  /chimes/{ticket}:
    parameters:
      - {name: ticket, in: path, required: true, schema: {type: string}}
    get:
      operationId: showChime
      responses: {'200': {description: The chime}}
      x-mock:
        role: query
        kind: chime
        task: $request.path.ticket
        reply: {status: 200, body: {stage: $task.status, of: $parent.id, wish: $parent.request#/wish}}
  /chimes/{ticket}/polish:
    parameters:
      - {name: ticket, in: path, required: true, schema: {type: string}}
    post:
      operationId: polish
      responses: {'200': {description: Taken in}}
      x-mock:
        role: submit
        parent: {task: $request.path.ticket, kind: chime}
        model: $parent.model
        reply: {status: 200, body: {ticket: $task.id, copies: $input#/copies}}
  /quotes:
""",
)
KINDS = (
    "  content_policy:",
    """\
  kinds:
    again:
      price: {reserve: {each: $input#/copies, credits_per_unit: 2}}
    chime:
      lifecycle:
        states: {casting: 5, tuning: {from: 3, to: 3, progress: [20, 80]}}
        ends: {rung: success, dull: {kind: failure, reasons: {dull: It does not ring}}}
  content_policy:""",
)
ERRORS = ("callback_refused, malformed_task_id]", "callback_refused, malformed_task_id, parent_not_ready]")
ALL = (PATHS, KINDS, ERRORS)


def post(client: Client, path: str, now_ms: int, body: Any = None) -> Response:
    """Send a body to a path."""
    return client.send("POST", path, now_ms, body=b"" if body is None else orjson.dumps(body))


def finished(client: Client, **body: Any) -> tuple[str, int]:
    """Submit a piece; return its id and the instant of its end."""
    task = client.task(client.submit(START_MS, {**client.body(), **body}).task_id)
    return task.id, task.ends_ms


def test_a_child_goes_on_from_its_parent() -> None:
    """It has the parent's model, its own kind and body, and names its parent."""
    client = kiln_client(*ALL)
    task_id, at_ms = finished(client)
    reply = post(client, f"/pieces/{task_id}/again", at_ms, {"wish": "Bluer"})
    assert reply.status == 200
    assert loads(reply) == {"ticket": reply.task_id, "stage": "drying", "from": task_id, "kind": "again"}
    child = client.task(reply.task_id)
    assert (child.model.name, child.body) == ("celadon", {"wish": "Bluer"})
    assert client.query(child.id, child.ends_ms).status == 200


def test_a_child_has_what_only_its_parent_says() -> None:
    """Its price and its files are worked out with the fields of the parent's body that its own has not."""
    client = kiln_client(*ALL)
    task_id, at_ms = finished(client, copies=3)
    child = client.task(post(client, f"/pieces/{task_id}/again", at_ms, {"wish": "Bluer"}).task_id)
    assert child.reserved_ucr == child.settles_ucr == 6 * UCR
    assert len(client.links(child.id, child.ends_ms)) == 3
    grandchild = client.task(post(client, f"/pieces/{child.id}/again", child.ends_ms, {"wish": "Greener"}).task_id)
    assert grandchild.reserved_ucr == 6 * UCR
    assert isinstance(
        client.fetch(client.links(grandchild.id, grandchild.ends_ms)[2], grandchild.ends_ms).file, FileWanted
    )


def test_the_body_of_a_child_is_that_of_its_operation() -> None:
    """What the model asks of a body does not count; what the operation asks does."""
    client = kiln_client(*ALL)
    task_id, at_ms = finished(client)
    for body in ({}, {"wish": 3}, {"wish": "x", "glaze": "celadon"}):
        reply = post(client, f"/pieces/{task_id}/again", at_ms, body)
        assert (reply.status, reply.error, reply.gate) == (400, "wrong", "schema")


def test_the_parent_must_be_there_owned_and_done() -> None:
    """An unknown parent, another account's, or one that has not succeeded, gives the provider's error."""
    client = kiln_client(*ALL)
    task_id, at_ms = finished(client)
    other = Client(client.world, "kiln", "pass-1111")
    for who, which, status, error in (
        (client, "piece-000000000000", 404, "lost"),
        (other, task_id, 404, "lost"),
        (client, "brick-1", 400, "wrong"),
    ):
        reply = post(who, f"/pieces/{which}/again", at_ms, {"wish": "Bluer"})
        assert (reply.status, reply.error, reply.gate) == (status, error, "parent")
    reply = post(client, f"/pieces/{task_id}/again", at_ms - 1, {"wish": "Bluer"})
    assert (reply.status, reply.error, loads(reply)["about"]) == (400, "wrong", "the task is cooling")
    failed = str(client.submit(START_MS).task_id)
    run_command(client.world, failed, "fail", START_MS)
    assert post(client, f"/pieces/{failed}/again", at_ms, {"wish": "Bluer"}).status == 400
    assert client.account.opened == 2


def test_a_kind_has_a_lifecycle_of_its_own() -> None:
    """Its states, their times and its ends are those of its kind, and another task's are not."""
    client = kiln_client(*ALL)
    task_id, at_ms = finished(client)
    reply = post(client, "/chimes", at_ms - 1, {"of": task_id})
    assert (reply.status, loads(reply)["stage"]) == (200, "casting")
    chime = client.task(reply.task_id)
    assert (chime.entered_ms, chime.ends_ms) == ((at_ms - 1 + 5_000,), at_ms - 1 + 8_000)
    assert client.query(chime.id, at_ms + 5_000).body.count(b"tuning") == 1
    shown = loads(client.send("GET", f"/chimes/{chime.id}", chime.ends_ms))
    assert shown == {"stage": "rung", "of": task_id, "wish": client.body()["wish"]}


def test_failures_are_those_of_the_kind() -> None:
    """A command and a fault end a task in the failure of its kind."""
    client = kiln_client(*ALL)
    task_id, at_ms = finished(client)
    chime = str(post(client, "/chimes", at_ms, {"of": task_id}).task_id)
    ended = run_command(client.world, chime, "fail", at_ms)
    assert (ended.end.name, ended.reason and ended.reason.code) == ("dull", "dull")
    client.world.faults.add(Fail(), Match("kiln"), Schedule(times=1), at_ms)
    reply = post(client, "/chimes", at_ms, {"of": task_id})
    assert client.task(reply.task_id).end.name == "dull"
    assert due_deliveries(client.world, at_ms) == []


def test_an_operation_is_for_its_kind_alone() -> None:
    """A query and a list of one kind show no task of another; those without a kind show all."""
    client = kiln_client(*ALL)
    task_id, at_ms = finished(client)
    chime = str(post(client, "/chimes", at_ms, {"of": task_id}).task_id)
    assert client.send("GET", f"/chimes/{task_id}", at_ms).status == 404
    assert client.query(chime, at_ms).status == 200
    assert loads(client.send("GET", "/chimes", at_ms)) == {"chimes": [chime]}
    assert loads(client.ask("list", at_ms))["total"] == 2


def test_a_parent_of_one_kind_and_no_body() -> None:
    """A submit may ask for a parent of one kind; where no body is declared, none is needed."""
    client = kiln_client(*ALL)
    task_id, at_ms = finished(client, copies=2)
    chime = client.task(post(client, "/chimes", at_ms, {"of": task_id}).task_id)
    assert post(client, f"/chimes/{task_id}/polish", at_ms).status == 404
    reply = client.send("POST", f"/chimes/{chime.id}/polish", chime.ends_ms, headers={"X-Kiln-Pass": client.key})
    assert (reply.status, loads(reply)["copies"]) == (200, 2)
    assert client.task(reply.task_id).model.kind is None


def test_a_model_names_its_kind() -> None:
    """The tasks of a model with a kind are of that kind."""
    client = kiln_client(*ALL, ("      result: piece\n", "      result: piece\n      kind: chime\n"))
    task = client.task(client.submit(START_MS).task_id)
    assert (task.model.kind, task.model.lifecycle.success.name, task.ends_ms) == ("chime", "rung", START_MS + 8_000)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("        kind: again\n", "        kind: agian\n"), "there is no kind 'agian' (did you mean again?)"),
        (("kind: chime, item", "kind: chimes, item"), "there is no kind 'chimes' (did you mean chime?)"),
        (("      result: piece\n", "      result: piece\n      kind: chyme\n"), "(did you mean chime?)"),
        (("parent: $request.path.ticket", "parent: $request.path.tiket"), "(did you mean ticket?)"),
        (("parent: $request.path.ticket", "parent: ticket"), "'ticket' is no expression"),
        (("states: [cooling, glazed]", "states: [cooling, glased]"), "(did you mean glazed?)"),
        (("model: $parent.model", "model: $parent.modle"), "(did you mean model?)"),
        (("of: $parent.id", "of: $parent.ids"), "$parent has no 'ids' (did you mean id?)"),
        (("{casting: 5,", "{casting: five,"), '"five" is not of type "number"'),
        (("ends: {rung: success,", "ends: {rung: sucess,"), "(did you mean success?)"),
        (("{reserve: {each: $input#/copies,", "{reserve: {each: $input#/copis,"), "(did you mean copies?)"),
        (("  kinds:\n", "  kindes:\n"), "unknown key: kindes (did you mean kinds?)"),
        (("        parent: $request", "        parents: $request"), "unknown key: parents (did you mean parent?)"),
    ],
)
def test_misuse_is_told_in_one_line(change: tuple[str, str], said: str) -> None:
    """A mistake is told once, with its line."""
    (told,) = issues(*ALL, change)
    assert said in told
    assert told.partition(":")[0].isdecimal()
