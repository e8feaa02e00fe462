"""An overlay that is being drafted, and its text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from mockserver.spec.drafting.states import Status
from mockserver.spec.overlay import query_of


@dataclass
class Draft:
    """An overlay, and what could not be worked out."""

    actions: list[tuple[str, str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    #: The status of tasks, where it stands in the answers of the query, and where that of the submit has the id.
    status: Status = field(default_factory=lambda: Status((), (), {}))
    id_path: tuple[str, ...] = ()
    has_file: bool = True
    #: The field of the submit that says where callbacks go.
    callback: tuple[str, ...] | None = None

    def add(self, comment: str, target: tuple[str, ...], update: Any) -> None:
        """Add an action."""
        self.actions.append((comment, query_of(target), update))

    def text(self, extends: str, title: str) -> str:
        """Return the overlay as YAML."""
        head = {
            "overlay": "1.1.0",
            "info": {"title": f"{title}: how it behaves", "version": "1.0.0"},
            "extends": extends,
        }
        parts = [_dumped(head), "actions:\n"]
        for comment, target, update in self.actions:
            parts.append(f"# {comment}\n" + _dumped([{"target": target, "update": update}]))
        return "".join(parts)


class _Dumper(yaml.SafeDumper):
    """Writes small mappings and lists in one line, and repeats what is said twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - its base says it
        return True


def _mapping(dumper: _Dumper, data: dict[str, Any]) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", data.items(), flow_style=_is_short(data))


def _is_short(data: Any) -> bool:
    text = str(data)
    return len(text) < 70 and "\n" not in text


_Dumper.add_representer(dict, _mapping)
_Dumper.add_representer(
    list,
    lambda dumper, data: dumper.represent_sequence(
        "tag:yaml.org,2002:seq", data, flow_style=_is_short(data) and data != []
    ),
)


def _dumped(data: Any) -> str:
    if isinstance(data, dict):
        return "".join(_one(key, each) for key, each in data.items())
    return "".join(
        f"- target: {_one_line(each['target'])}\n" + _indented(_one("update", each["update"])) for each in data
    )


def _one(key: str, value: Any) -> str:
    if isinstance(value, dict) and value and not _is_short({key: value}):
        return f"{_one_line(key)}:\n" + _indented("".join(_one(name, each) for name, each in value.items()))
    text = yaml.dump(
        {key: value}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 20, default_flow_style=False
    )
    return text[1:-2] + "\n" if text.startswith("{") else text


def _one_line(value: Any) -> str:
    return (
        yaml.dump(value, Dumper=_Dumper, width=1 << 20, allow_unicode=True).removesuffix("\n...\n").removesuffix("\n")
    )


def _indented(text: str) -> str:
    return "".join(f"  {line}" for line in text.splitlines(keepends=True))
