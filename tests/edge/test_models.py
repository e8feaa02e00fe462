"""Models that no document names: served on request, and told in the banner, the journal and the terminal."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import pytest
from support.edge import ONE_DAILY, serving
from support.engine import changed_at

from contracts import judge_journal, of_records
from mockserver import MockServer
from mockserver.cli.options import settings_of
from mockserver.edge.build import providers_of
from mockserver.settings import ConfigError, ProviderSettings, Settings, read_config
from mockserver.terminal import differences

if TYPE_CHECKING:
    from pathlib import Path

    from support.edge import Edge, Response

    from mockserver.testing.running import RunningServer

STRANGE = "strange-model-9"
MODEL = "gemini-omni-flash-text-to-video"


async def asked(edge: Edge, name: str, model: str) -> Response:
    """Submit the example of a provider for another model."""
    submit = next(each for each in edge.provider(name).operations.values() if each.role == "submit")
    first = next(iter(edge.provider(name).models.values()))
    assert first.example is not None
    body = changed_at(first.example, submit.model_keys, model)
    return await edge.call("POST", f"/{name}{submit.path}", headers=edge.key_headers(name), json=body)


@pytest.mark.parametrize("name", ONE_DAILY)
async def test_any_model_lives_through_its_task_and_breaks_no_clause(name: str) -> None:
    """A strange model is polled to its end; the journal says what it was served as, and no clause blames the client."""
    async with serving(any_model=True) as edge:
        assert (await asked(edge, name, STRANGE)).status == 200
        task = next(iter(edge.state(name).tasks))
        for _ in range(30):
            await edge.advance(30)
            await edge.query(name, task)
        records = list(edge.mock.journal)
    submit = next(each for each in records if each["request"]["method"] == "POST")
    assert submit["served_as"] == next(iter(edge.provider(name).models))
    assert not any("served_as" in each for each in records if each is not submit)
    (journal,) = of_records(records, [edge.provider(name)])
    blamed = {each.clause.id for each in judge_journal(journal) if each.judgement == "violated"}
    assert not {each for each in blamed if "model" in each or each == "submit.body-as-documented"}


async def test_a_refusal_says_in_journal_and_terminal_what_helps(caplog: pytest.LogCaptureFixture) -> None:
    """The switch is told once on the terminal, in each record, and never to the client."""
    async with serving() as edge:
        for _ in range(2):
            refused = await asked(edge, "evolink", STRANGE)
            assert refused.status == 404
            assert b"--" not in refused.body
        hints = [each["hint"] for each in edge.mock.journal]
    assert len(hints) == 2
    assert f"--model-alias {STRANGE}={MODEL}" in hints[0]
    said = [each.getMessage() for each in caplog.records if each.name == "mockserver"]
    assert said == [f"EvoLink has no such model: {hints[0]}"]


@pytest.mark.parametrize("name", [" ", "two\nlines", "x" * 81, "\x1b[31mred"], ids=repr)
async def test_an_odd_name_is_not_repeated(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be written as a flag, or forges a line of the log, is not in the hint."""
    async with serving() as edge:
        await asked(edge, "evolink", name)
        (record,) = edge.mock.journal
    assert record["hint"] == "--any-model serves every name as the nearest model"
    assert [each.getMessage() for each in caplog.records] == [f"EvoLink has no such model: {record['hint']}"]


async def test_a_name_is_quoted_for_the_shell() -> None:
    """The hint can be pasted."""
    async with serving() as edge:
        await asked(edge, "evolink", "it's $HOME")
        (record,) = edge.mock.journal
    flag, value = shlex.split(record["hint"].partition("; ")[2])[:2]
    assert (flag, value) == ("--model-alias", f"it's $HOME={MODEL}")


@pytest.mark.mock_server(providers={"evolink": {"model_alias": {"veo": MODEL}}}, any_model=False)
def test_an_alias_by_the_marker(mock_server: RunningServer) -> None:
    """Python, the marker and the configuration file know the setting for all providers and for one."""
    assert mock_server.server.runtime.world.providers["evolink"].rules.model_alias == {"veo": MODEL}


def test_all_ways_to_set_it(tmp_path: Path) -> None:
    """Flags and file give the same settings."""
    file = tmp_path / "mockserver.toml"
    file.write_text(
        f'any_model = true\n[model_alias]\nveo = "{MODEL}"\n[providers.crun]\nany_model = false\n', encoding="utf-8"
    )
    flags = settings_of(None, {"any_model": True, "model_alias": (f"veo={MODEL}",)})
    read = Settings(**read_config(file))
    assert (read.any_model, read.model_alias) == (flags.any_model, flags.model_alias) == (True, {"veo": MODEL})
    assert read.providers == {"crun": ProviderSettings(any_model=False)}
    assert providers_of(read)
    said = "; ".join(differences(read, 1))
    assert "every model name is served, with the shape and price of the nearest model" in said
    assert f"the model veo is served as {MODEL}" in said
    assert "every model name of crun is served only where the documents have it" in said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model_alias": {"veo": "gemini-omni-flash-text-to-vid"}}, f"did you mean {MODEL}?"),
        ({"model_alias": {MODEL: MODEL}}, "is itself the name of a model"),
        ({"model_alias": ["veo"]}, "must be NAME=MODEL"),
        ({"model_alias": {"veo": 7}}, "must be NAME=MODEL"),
        ({"model_alias": {"": MODEL}}, "must be NAME=MODEL"),
        ({"any_model": "yes"}, "must be true or false"),
        ({"providers": {"crun": {"model_alias": {"veo": MODEL}}}}, "providers.crun.model_alias"),
    ],
    ids=str,
)
def test_wrong_use_is_refused(settings: dict[str, Any], said: str) -> None:
    """A wrong value names the setting and what is right."""
    with pytest.raises(ConfigError) as caught, MockServer(**settings):
        pass
    assert said in str(caught.value)
