"""How strictly the form of requests is taken: strict, lenient, off."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from support.edge import PROVIDERS, serving
from support.engine import START_MS, Client, new_world

from mockserver.provider import ProviderRules, Validation
from mockserver.settings import ConfigError, Settings, read_config
from mockserver.terminal import differences

LEAST: dict[str, Any] = {"model": "gemini-omni-flash-text-to-video", "prompt": "a kite", "duration": 6}
#: What is changed in a good body, and the words under which it is accepted.
BODIES: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"strict", "lenient", "off"}),
    ({"prompt": ""}, {"lenient", "off"}),
    ({"aspect_ratio": "7:1"}, {"lenient", "off"}),
    ({"duration": 600}, {"lenient", "off"}),
    ({"duration": "six"}, {"lenient", "off"}),
    ({"duration": [6]}, {"off"}),
    ({"prompt": None}, {"off"}),
    ({"prompt": ...}, {"off"}),
    ({"model": ...}, set()),
    ({"model": "no-such-model"}, set()),
]


@pytest.mark.parametrize("validation", get_args(Validation))
@pytest.mark.parametrize(("changes", "accepted"), BODIES, ids=[str(changes) for changes, _ in BODIES])
def test_how_strictly_a_body_is_taken(changes: dict[str, Any], accepted: set[str], validation: Validation) -> None:
    """Lenient refuses what is missing or of another type; off refuses only what makes no task."""
    client = Client(new_world(rules={"evolink": ProviderRules(validation=validation)}), "evolink")
    body = {name: value for name, value in {**LEAST, **changes}.items() if value is not ...}
    answer = client.submit(START_MS, body)
    assert (answer.status == 200) is (validation in accepted), answer.body
    if answer.status == 200:  # whatever it holds, it lives through its task
        assert client.query(str(answer.task_id), START_MS + 10_000_000).status == 200


async def test_the_setting_is_for_all_providers_or_for_one(tmp_path: Any) -> None:
    """A provider's own counts."""
    file = tmp_path / "mockserver.toml"
    file.write_text("validation = 'off'\n[providers.evolink]\nvalidation = 'lenient'\n", encoding="utf-8")
    settings = Settings(**read_config(file))
    async with serving(validation="off", providers={"evolink": {"validation": "lenient"}}) as edge:
        rules = {name: edge.state(name).rules.validation for name in PROVIDERS}
    assert rules == {**dict.fromkeys(PROVIDERS, "off"), "evolink": "lenient"}
    told = differences(settings, 1)
    assert "no request is refused for its form (--validation strict)" in told
    assert any(each.startswith("at evolink, requests are refused only if") for each in told)
    assert not any("--validation" in each for each in differences(Settings(), 1))
    file.write_text("validation = 'loose'\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="strict, lenient, off"):
        read_config(file)
