"""A spec that `check` accepts can be served: a good spec is changed in one place, and what passes is lived with."""

from __future__ import annotations

import random
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import yaml
from multidict import CIMultiDict
from support.engine import KILN, START_MS

from mockserver.chance import Chance
from mockserver.engine.messages import Form, Request
from mockserver.engine.world import World, WorldRules
from mockserver.spec.catalog import load_providers
from mockserver.spec.check import check_files
from mockserver.spec.vocabulary import specs_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mockserver.provider import Operation, Provider

SPECS = [
    *(
        specs_directory() / f"{name}.yaml"
        for name in ("evolink-gemini-omni-flash", "googlegeminiomni", "crun-gemini-omni")
    ),
    KILN,
]
#: More were tried by hand; these hold one that passes and several that do not.
SEEDS = range(30, 36)
#: Seconds after its submit at which a task is asked after.
LATER_S = (0, 5, 100, 1000, 100_000)
BODIES = (b"", b"{", b"[]", b"null", b"{}", b'{"model": 7, "prompt": null, "input": []}')

OF_EACH_TYPE: tuple[Any, ...] = (None, True, -1, 0, 7.5, "", "text", [], {})


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value below a value."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(value[key], (*path, key))


def changed(data: dict[str, Any], chance: random.Random) -> tuple[dict[str, Any], str]:
    """Return a spec with one change, and what it is."""
    out = deepcopy(data)
    wanted = [path for path in places(data) if "x-mock" in path or chance.random() < 0.3]
    path = chance.choice(wanted)
    holder = out
    for key in path[:-1]:
        holder = holder[key]
    last, was = path[-1], holder[path[-1]]
    what = chance.choice(("delete", "rename", "other type", "other value"))
    if what == "delete":
        del holder[last]
    elif what == "rename" and isinstance(holder, dict):
        holder[f"{last}x"] = holder.pop(last)
    elif what == "other type":
        holder[last] = chance.choice([each for each in OF_EACH_TYPE if type(each) is not type(was)])
    else:
        same = [each for each in (_at(data, other) for other in places(data)) if type(each) is type(was)]
        holder[last] = deepcopy(chance.choice(same))
    return out, f"{what} {'/'.join(map(str, path))}: {holder.get(last) if isinstance(holder, dict) else holder!r}"


def _at(data: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        data = data[key]
    return data


class Life:
    """Asks a provider for everything that it offers, rightly and wrongly."""

    def __init__(self, provider: Provider) -> None:
        self.world = World(
            [provider], Chance(7), WorldRules("loopback"), {provider.name: f"http://mock/{provider.name}"}
        )
        self.state = self.world.providers[provider.name]
        self.provider = provider

    def live(self) -> None:
        """Submit, ask, and ask wrongly; any exception is a failure of `check`."""
        of_role: dict[str, list[Operation]] = {}
        for each in self.provider.operations.values():
            of_role.setdefault(each.role, []).append(each)
        for model in self.provider.models.values():
            for submit in of_role.get("submit", ()):
                self.send(submit, "", START_MS, orjson.dumps(model.example))
        for operation in self.provider.operations.values():
            for body in BODIES:
                self.send(operation, "none", START_MS, body)
            for key in (None, "", self.provider.key.example, *self.provider.key.test_keys):
                self.send(operation, "none", START_MS, b"{}", key=key or "")
        for task_id in list(self.state.tasks):
            for role in ("query", "list", "cancel", "result", "account", "estimate", "result"):
                for operation in of_role.get(role, ()):
                    for later_s in LATER_S:
                        self.send(operation, task_id, START_MS + later_s * 1000, b"")

    def send(self, operation: Operation, task_id: str, now_ms: int, body: bytes, *, key: str | None = None) -> None:
        """Send a request about a task."""
        path, query = operation.path, ""
        for parameter in operation.parameters:
            if parameter.place == "path":
                path = path.replace(f"{{{parameter.name}}}", task_id if parameter.name != "index" else "0")
            elif parameter.required:
                query += f"&{parameter.name}={task_id}"
        rule = self.provider.key
        text = rule.example if key is None else key
        headers = CIMultiDict({rule.header: f"Bearer {text}" if rule.bearer else text})
        headers["Content-Type"] = "application/json"
        form = Form(b"bytes", "image/png", "a.png") if operation.role == "upload" and task_id == "none" else None
        request = Request(operation.method, path, headers, body, query.removeprefix("&"), form=form)
        outcome = self.world.handle(self.state, self.state.router.find(operation.method, path), request, now_ms)
        assert 200 <= outcome.response.status < 600


def tried(spec: Path, file: Path, seed: int) -> str:
    """Change a spec once; return what `check` said, or "served"."""
    data, what = changed(yaml.load(spec.read_text(encoding="utf-8"), yaml.CSafeLoader), random.Random(seed))
    file.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")
    try:
        issues = check_files([file])
        assert all(issue.line is not None and issue.message for issue in issues), issues
        if issues:
            return "\n".join(map(str, issues))
        name = data["x-mock"]["provider"]
        Life(next(each for each in load_providers([file]) if each.name == name)).live()
    except Exception as error:
        raise AssertionError(f"{spec.name}, seed {seed}: {what}") from error
    return "served"


@pytest.mark.slow(about_s=10)
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_what_passes_is_served(spec: Path, tmp_path: Path) -> None:
    """No change leads to an exception, whether it is refused or not."""
    said = [tried(spec, tmp_path / "spec.yaml", seed) for seed in SEEDS]
    assert 0 < said.count("served") < len(said), said
