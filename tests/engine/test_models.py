"""Which model a name stands for: its own, an alias or a pattern of the spec, a user's alias, or the nearest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from support.engine import ALL, KILN, START_MS, Client, changed_at, loads, new_world

from mockserver.chance import Chance
from mockserver.engine.models import documented_model
from mockserver.engine.world import World, WorldRules
from mockserver.provider import ProviderRules
from mockserver.spec.catalog import load_providers
from mockserver.spec.check import check_files
from mockserver.spec.document import Document, merge_patch

if TYPE_CHECKING:
    from pathlib import Path

    from mockserver.engine.messages import Response

STRANGE = "strange-model-9"


def client_of(name: str, **rules: Any) -> Client:
    """Return a client of a provider with these rules."""
    return Client(new_world(rules={name: ProviderRules(**rules)}), name)


def asked(client: Client, model: str, of: str | None = None) -> dict[str, Any]:
    """Return the example body of a model, or of the first, that asks for another model."""
    return changed_at(client.body(of), client.operation("submit").model_keys, model)


def submitted(client: Client, model: str) -> Response:
    """Submit for a model."""
    return client.submit(START_MS, asked(client, model))


@pytest.mark.parametrize("name", ALL)
def test_every_name_is_served_with_shape_and_price_of_the_nearest(name: str) -> None:
    """With any_model a strange name makes a task that costs what the nearest model's does, and is told."""
    client = client_of(name, any_model=True)
    base = next(iter(client.provider.models))
    known, strange = client.submit(START_MS, client.body()), submitted(client, STRANGE)
    assert strange.status == known.status, strange.body
    assert strange.remarks == {"served_as": base}
    tasks = client.state.tasks
    assert tasks[str(strange.task_id)].reserved_ucr == tasks[str(known.task_id)].reserved_ucr
    assert tasks[str(strange.task_id)].settles_ucr == tasks[str(known.task_id)].settles_ucr
    assert tasks[str(strange.task_id)].result is tasks[str(known.task_id)].result


@pytest.mark.parametrize("name", ALL)
def test_answers_show_the_name_that_was_asked_for(name: str) -> None:
    """Where an answer shows the model of a task, it shows the client's name, and otherwise nothing differs."""
    client, other = client_of(name, any_model=True), client_of(name)
    base = next(iter(client.provider.models))
    for at_ms in (START_MS, START_MS + 900_000):
        if at_ms == START_MS:
            strange, known = loads(submitted(client, STRANGE)), loads(other.submit(START_MS, other.body()))
        else:
            strange = loads(client.query(next(iter(client.state.tasks)), at_ms))
            known = loads(other.query(next(iter(other.state.tasks)), at_ms))
        assert str(strange).replace(STRANGE, base) == str(known)
        assert (STRANGE in str(strange)) == (base in str(known))


@pytest.mark.parametrize("name", ALL)
def test_a_strange_model_is_refused_by_default_with_a_hint_for_the_journal_only(name: str) -> None:
    """The refusal is the provider's own; the switch that helps stands in the remarks."""
    client = client_of(name)
    refused = submitted(client, STRANGE)
    assert refused.error == client.provider.refusals["unknown_model"].name
    assert refused.remarks is not None
    assert f"--model-alias {STRANGE}=" in refused.remarks["hint"]
    assert "--any-model" in refused.remarks["hint"]
    assert b"--" not in refused.body


def test_the_nearest_model_is_that_with_most_words_in_common() -> None:
    """Most words in common, fewest others, the longest common beginning, then what the body fits, then the first."""
    client = client_of("toapis", any_model=True)
    for name, base in {
        "gemini-omni-flash-2": "gemini-omni-flash",
        "Gemini_Omni": "gemini_omni",
        "gemini_omni_pro": "gemini_omni",
        "flash": "gemini-omni-flash",
    }.items():
        reply = client.submit(START_MS, asked(client, name, base))
        assert reply.remarks == {"served_as": base}, (name, reply.remarks, reply.body)
    for base in client.provider.models:  # no word in common: the body tells
        reply = client.submit(START_MS, asked(client, STRANGE, base))
        assert reply.status == 200, reply.body


def test_a_body_is_held_to_the_shape_of_the_model_that_it_is_served_as() -> None:
    """What the nearest model refuses is refused for the strange name, too."""
    client = client_of("evolink", any_model=True)
    for wrong in ({"duration": 99}, {"prompt": ""}):
        refused = client.submit(START_MS, {**asked(client, STRANGE), **wrong})
        assert (refused.status, refused.gate) == (400, "schema")
    unnamed: tuple[Any, ...] = ("", None, 7)
    for name in unnamed:
        assert client.submit(START_MS, {**client.body(), "model": name}).status in (400, 404)


def test_an_alias_of_the_user_stands_for_one_model_only() -> None:
    """A mapped name is served; other strange names are refused."""
    client = client_of("evolink", model_alias={"veo": "gemini-omni-flash-text-to-video"})
    assert submitted(client, "veo").remarks == {"served_as": "gemini-omni-flash-text-to-video"}
    assert loads(submitted(client, "veo"))["model"] == "veo"
    assert submitted(client, "veo-2").status == 404


def spec_with(tmp_path: Path, words: dict[str, Any], **more: Any) -> Path:
    """Write a spec of the kiln whose model has more words."""
    data = merge_patch(Document.read(KILN).data, {"x-mock": {"models": {"celadon": words, **more}}})
    path = tmp_path / "kiln.json"
    path.write_bytes(orjson.dumps(data))
    return path


def test_aliases_and_patterns_of_a_spec_are_served_by_default(tmp_path: Path) -> None:
    """A name, a wildcard and a pattern of the spec stand for the model, exact names first."""
    words = {"aliases": ["jade", "green-*", "v?"], "patterns": ["sea[0-9]+"]}
    second = {**Document.read(KILN).data["x-mock"]["models"]["celadon"], "example": None, "aliases": ["green-tea"]}
    spec = spec_with(tmp_path, words, matcha=second)
    (kiln,) = load_providers([spec], builtin=False)
    operation = next(each for each in kiln.operations.values() if each.role == "submit")
    found = {
        name: None if (model := documented_model(kiln, operation, name)) is None else model.shape
        for name in ("celadon", "jade", "green-leaf", "green-tea", "v2", "v22", "sea12", "sea", "Jade", "xsea1")
    }
    assert found == {
        **dict.fromkeys(("celadon", "jade", "green-leaf", "v2", "sea12"), "celadon"),
        "green-tea": "matcha",
        "v22": None,
        "sea": None,
        "Jade": None,
        "xsea1": None,
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"aliases": []}, "aliases"),
        ({"aliases": "jade"}, "aliases"),
        ({"aliases": [7]}, "aliases"),
        ({"aliases": [""]}, "aliases"),
        ({"aliases": ["jade", "jade"]}, "aliases"),
        ({"aliases": ["celadon"]}, "'celadon' is already the name of a model"),
        ({"patterns": ["sea("]}, "is not a regular expression"),
        ({"patterns": ["(?=sea)"]}, "is not a regular expression"),
        ({"pattern": ["sea"]}, "pattern"),
        ({"alias": ["jade"]}, "alias"),
    ],
    ids=str,
)
def test_check_refuses_misuse(tmp_path: Path, words: dict[str, Any], said: str) -> None:
    """Each misuse of the words is one line that names it."""
    issues = check_files([spec_with(tmp_path, words)])
    assert len(issues) == 1, issues
    assert said in str(issues[0])
    assert issues[0].line is not None


def test_check_refuses_an_alias_of_two_models(tmp_path: Path) -> None:
    """One name cannot stand for two models."""
    second = {**Document.read(KILN).data["x-mock"]["models"]["celadon"], "example": None, "aliases": ["jade"]}
    (issue,) = check_files([spec_with(tmp_path, {"aliases": ["jade"]}, matcha=second)])
    assert "'jade' is also one of celadon" in str(issue)


def test_a_choice_by_the_model_takes_the_model_that_is_served(tmp_path: Path) -> None:
    """A template that chooses by the task's model chooses for the one whose shape is served."""
    data = Document.read(KILN).data
    patch = {"x-mock": {"reply": {"body": {"colour": {"by": "$task.model", "values": {"celadon": "green"}}}}}}
    data = merge_patch(
        data, {"paths": {"/pieces": {"post": patch}}, "x-mock": {"models": {"celadon": {"aliases": ["jade"]}}}}
    )
    path = tmp_path / "kiln.json"
    path.write_bytes(orjson.dumps(data))
    world = World(load_providers([path], builtin=False), Chance(0), WorldRules(), {"kiln": "http://mock.test/kiln"})
    client = Client(world, "kiln")
    assert loads(submitted(client, "jade"))["colour"] == "green"
