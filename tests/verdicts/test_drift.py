"""`contracts drift`: recorded answers against the spec, each difference with its records, its line and its edit."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from support.engine import ALL, KILN, providers
from support.whole_day import whole_day

from contracts import of_records
from contracts.drift import Difference, Differences, DocumentedSpec, compiled, differences, documented
from mockserver.spec.check import check_files
from mockserver.spec.document import Document

if TYPE_CHECKING:
    from collections.abc import Iterable

Records = list[dict[str, Any]]
FILES = {"kiln": (KILN,)}
#: Every dialect of every provider, and what it changes: words of the places that its differences may have.
DIALECTS = {
    ("crun", "always_200"): ("/x-mock/errors/",),
    ("evolink", "invalid_task_id"): ("/x-mock/errors",),
    ("googlegeminiomni", "accepted_202"): ("~1generate/post/responses",),
    ("googlegeminiomni", "validation_422"): ("~1generate/post/responses",),
    ("googlegeminiomni", "docs"): ("/schemas/JobAccepted/", "/schemas/Job/", "/x-mock/reply/body/status"),
    ("googlegeminiomni", "count_all_requests"): ("/x-mock/accounts/counted_requests",),
    ("googlegeminiomni", "fixed_windows"): ("/x-mock/accounts/rate_window",),
    ("googlegeminiomni", "retries_from_first_attempt"): ("/x-mock/callbacks/",),
    ("toapis", "public_page"): ("/schemas/Task/properties", "/schemas/VideoRequest/properties/"),
    ("toapis", "older_status_words"): ("/schemas/Status/", "/x-mock/reply/body/status"),
    ("toapis", "top_level_url"): ("/schemas/Task/properties",),
    ("toapis", "string_error_code"): (
        "/schemas/Error/properties/error/properties/code",
        "/x-mock/error_body/error/code",
    ),
}
_ROUNDS = 6


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


@pytest.mark.parametrize("name", ALL)
async def test_ours_against_ours_is_empty(name: str) -> None:
    """A journal of the mock has no difference from the spec that it was made from, and most kinds were looked for."""
    differences_ = found(await day_of(name), spec_of(name))
    assert [each.seen for each in differences_.all()] == []
    assert {"statuses", "headers", "fields", "values", "errors", "states", "transitions", "durations", "links"} <= set(
        differences_.tested
    )


def test_the_table_names_every_dialect() -> None:
    """A new dialect has its line."""
    known = {(name, each.name) for name, provider in providers().items() for each in provider.dialects}
    assert known == set(DIALECTS)


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


def written(spec: DocumentedSpec, folder: Path) -> list[Path]:
    """Write the files of a spec."""
    files = [folder / f"{Path(each.name).stem}.json" for each in spec.files]
    for file, each in zip(files, spec.files, strict=True):
        file.write_bytes(orjson.dumps(each.data))
    return files


@pytest.mark.parametrize(("name", "dialect"), DIALECTS, ids=str)
async def test_a_dialect_is_found_and_nothing_else(name: str, dialect: str, tmp_path: Path) -> None:
    """A dialect is found only in what it changes; the proposed edits close it; against itself it has no difference."""
    spec, records = spec_of(name), await day_of(name, dialect)
    assert told(records, spec_of(name, dialect)) == []
    places = [each.place.pointer for each in found(records, spec).all()]
    assert places
    for place in places:
        assert any(word in place for word in DIALECTS[name, dialect]), place
    for _ in range(_ROUNDS):
        left = found(records, spec).all()
        if not left:
            break
        assert all(each.proposal is not None for each in left), told(records, spec)
        assert all("\n" not in str(each.proposal) for each in left)
        spec = edited(spec, left)
    assert told(records, spec) == []
    assert check_files(written(spec, tmp_path)) == []
