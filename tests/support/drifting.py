"""Journals of whole days, and what `contracts drift` finds in them."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson
from click.testing import CliRunner

from contracts import of_records
from contracts.cli import main
from contracts.drift import Difference, Differences, DocumentedSpec, compiled, differences, documented
from mockserver.spec.document import Document
from support.engine import KILN
from support.whole_day import whole_day

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from click.testing import Result

Records = list[dict[str, Any]]
FILES = {"kiln": (KILN,)}


@cache
def spec_of(name: str, *dialects: str) -> DocumentedSpec:
    """Return the spec of a provider, in dialects."""
    (spec,) = documented(FILES.get(name, ()), dialects, name)
    return spec


_DAYS: dict[tuple[str, str], Records] = {}


async def day_of(name: str, dialect: str = "") -> Records:
    """Return the journal of a day on which everything is done at a provider."""
    if (name, dialect) not in _DAYS:
        dialects = (dialect,) if dialect else ()
        chosen = {"providers": {name: {"dialects": list(dialects)}}} if dialect else {}
        specs = [str(each) for each in FILES.get(name, ())]
        _DAYS[name, dialect] = await whole_day(spec_of(name, *dialects), specs=specs, **chosen)
    return _DAYS[name, dialect]


def found(records: Records, spec: DocumentedSpec) -> Differences:
    """Return the differences of records from a spec."""
    (journal,) = of_records(records, [spec.provider])
    return differences(journal, spec)


def told(records: Records, spec: DocumentedSpec) -> list[str]:
    """Return the differences in words."""
    return [f"{each.kind}: {each.seen}" for each in found(records, spec).all()]


def edited(spec: DocumentedSpec, differences_: Iterable[Difference]) -> DocumentedSpec:
    """Return the spec with all proposed edits."""
    data = {each.name: deepcopy(each.data) for each in spec.files}
    for each in differences_:
        edit = each.proposal
        if edit is not None:
            data[edit.place.document.name] = edit.applied(data[edit.place.document.name])
    for content in data.values():  # which would be written for the spec as it is now
        content["x-mock"].pop("dialects", None)
    return compiled(Document(name, "", content) for name, content in data.items())


def drift(*arguments: object) -> Result:
    """Run `contracts drift`."""
    return CliRunner().invoke(main, ["drift", *map(str, arguments)])


def saved(records: Records, path: Path) -> Path:
    """Write a journal."""
    path.write_bytes(b"".join(orjson.dumps(each) + b"\n" for each in records))
    return path
