"""A client that sends what the spec declares is judged fairly, whatever its media type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from support.edge import serving
from support.small import KEY, multipart, spec, submit

from contracts import judge_journal, of_records

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = {"type": "object", "required": ["prompt"], "properties": {"prompt": {"type": "string"}}}
CONTENT: dict[str, Any] = {each: {"schema": SCHEMA} for each in ("multipart/form-data", "application/json")}


async def test_a_documented_form_is_no_violation(tmp_path: Path) -> None:
    """Beside JSON, which is still judged."""
    file = tmp_path / "small.json"
    file.write_bytes(orjson.dumps(spec({"/jobs": submit(content=CONTENT)})))
    form = multipart(("prompt", "a kite", None, None))
    json = {"Content-Type": "application/json"}
    verdicts = []
    for body, headers in (form, (b'{"prompt": "a kite"}', json), (b'{"prompt": 7}', json)):
        async with serving(specs=[file]) as edge:
            await edge.call("POST", "/small/jobs", data=body, headers={**headers, "Authorization": f"Bearer {KEY}"})
            records = list(edge.mock.journal)
            (journal,) = of_records(records, [edge.provider("small")])
            found = {each.clause.id: each.violations for each in judge_journal(journal)}
            assert not found["submit.content-type"]
            verdicts.append(bool(found["submit.body-as-documented"]))
    assert verdicts == [False, False, True]
