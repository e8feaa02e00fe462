"""A spec that `check` accepts can be served: a good spec is changed in one place, and what passes is lived with."""

from __future__ import annotations

import random
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from support.driven import driven
from support.engine import KILN

from mockserver.spec.catalog import load_providers
from mockserver.spec.check import check_files
from mockserver.spec.vocabulary import specs_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


#: The specs that are changed, and how often; thousands of changes were tried by hand.
SPECS = [
    (KILN, 24),
    *(
        (specs_directory() / f"{name}.yaml", times)
        for name, times in (("evolink-gemini-omni-flash", 4), ("googlegeminiomni", 2), ("crun-gemini-omni", 2))
    ),
]

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


def tried(spec: Path, file: Path, seed: int) -> str:
    """Change a spec once; return what `check` said, or "served"."""
    good = yaml.load(spec.read_text(encoding="utf-8").partition("\nx-rules:")[0], yaml.CSafeLoader)
    data, what = changed(good, random.Random(seed))
    file.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")
    try:
        issues = check_files([file])
        assert all(issue.line is not None and issue.message for issue in issues), issues
        if issues:
            return "\n".join(map(str, issues))
        name = data["x-mock"]["provider"]
        wrong = driven(next(each for each in load_providers([file]) if each.name == name))
        assert not wrong, wrong
    except Exception as error:
        raise AssertionError(f"{spec.name}, seed {seed}: {what}") from error
    return "served"


@pytest.mark.slow(about_s=4)
@pytest.mark.parametrize(("spec", "times"), SPECS, ids=[spec.stem for spec, _ in SPECS])
def test_what_passes_is_served(spec: Path, times: int, tmp_path: Path) -> None:
    """What is not refused answers, ends its tasks, and sends no template as it stands."""
    said = [tried(spec, tmp_path / "spec.yaml", seed) for seed in range(30, 30 + times)]
    assert all(said)
    if spec == KILN:
        assert 0 < said.count("served") < times
