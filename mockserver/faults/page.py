"""Writes mockserver/faults/README.md: how to add a fault, and tables made from the code.

Run `python -m mockserver.faults.page`; a test checks that the page is up to date.
"""

from __future__ import annotations

import json
from pathlib import Path

from mockserver.faults import FAMILIES, all_faults, described
from mockserver.faults.directives import test_values

PAGE = Path(__file__).with_name("README.md")
_HEAD = """# Faults

Made by `python -m mockserver.faults.page`; do not edit.

A fault is one file in this folder, found by its name. It says what it breaks and how a client notices, and lists its
parameters with their units. A *rule* says where a fault applies (provider, operation, key, task, model, prompt, phase),
when (after so many matches, every nth, with a probability from the seed, between two instants of mock time, for some
time after its first hit), and how often. Rules apply in the order in which they were added, then those that a request
itself asks for; of several responses that replace the engine's the first one counts, everything else adds up. The
journal names the faults that changed an exchange or a delivery.

## How to request one

| where | example |
|---|---|
| in a prompt, with no other set-up | `a red kite mock:429x3` |
| for one request | `X-Mock-Fault: latency;seconds=2, extra_fields` |
| as in other mock servers | `Prefer: code=503`, `Prefer: example=NAME` |
| for a running server | `POST /__admin/faults {"fault": "error", "with": {"status": 503}, "when": {"every": 2}}` |
| in a script of faults | a scenario file: `mockserver serve --scenario black_friday` |
| in a test | `mock_server.evolink.inject("latency", seconds=2, operation="query", times=1)` |

## How to add one

A whole fault, `mockserver/faults/stale_retry_after.py`:

```python
from __future__ import annotations  # required: the types of parameters are read as text

from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import ClassVar

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.errors import error_asked_for
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class StaleRetryAfter(Fault):
    \"\"\"A refusal whose Retry-After is a date in the past.\"\"\"

    family: ClassVar[str] = "answers"
    effect: ClassVar[str] = "The request is refused with 429, and Retry-After is a date in the past."
    symptom: ClassVar[str] = "A client that computes a negative wait fails, or tries again at once."

    ago_s: int = parameter(60, "How long ago the date was.", "seconds of mock time", least=1)

    def replace_response(self, injection: Injection, context: RequestContext) -> Response | None:
        \"\"\"Answer with the provider's error 429.\"\"\"
        response = error_asked_for(context, 429, "")
        headers = tuple(pair for pair in response.headers if pair[0] != "Retry-After")
        date = formatdate(context.now_ms // 1000 - self.ago_s, usegmt=True)
        return replace(response, headers=(*headers, ("Retry-After", date)))
```

1. Write `mockserver/faults/NAME.py`: a frozen dataclass that derives from `mockserver.engine.faults.Fault`, named like
   the file (`lost_answer.py`: `LostAnswer`), with `family` (answers, transport, meaning, results or callbacks),
   `effect` and `symptom`: sentences for the tables below. Each parameter is a field made by
   `support.parameters.parameter(default, summary, unit)`; the first one is what `mock:NAME=VALUE` sets. If it applies
   only to some operations, list their roles in `roles`; if it cannot apply to a provider, `never_at` says why, and
   requests for it are refused there. `mockserver/faults/support/` has what several faults need: errors in a provider's
   form, changes of JSON, deliveries of callbacks.
2. Define the hooks that it needs; `mockserver/engine/faults.py` lists them in the order in which they run. A hook that
   changes nothing returns None, and does not count as a hit.

   | hook | gets | returns |
   |---|---|---|
   | `replace_response` | the context of a request, before any gate | a response instead of the engine's |
   | `alter_view` | how the response shows tasks | another view |
   | `alter_response` | the engine's response | another response |
   | `alter_transmission` | the bytes that are about to be sent | True if it changed how they are sent |
   | `alter_task` | a new task | another task |
   | `alter_deliveries` | the deliveries of a callback | other deliveries |

3. Draw only from `injection.chance(slot)`: the same seed then gives the same run.
4. Write a test in `tests/faults/test_FAMILY.py` that shows it on the wire, marked `@shows("NAME")`, with the helpers in
   `tests/support/faults.py` (`untouched` is in `test_answers.py`). That nothing else was changed needs no new test:
   `test_isolation.py` tries every fault (if yours takes wall time, give it a short one in `GENTLY` there).

   ```python
   @shows("stale_retry_after")
   async def test_stale_retry_after() -> None:
       \"\"\"A submit is refused with 429 and a date in the past; no task exists.\"\"\"
       async with world() as edge:
           await put(edge, "stale_retry_after", {"provider": "evolink", "operation": "submit"}, {"times": 1}, ago_s=30)
           seen = await look(edge, submit_bytes(edge, "evolink"))
           assert seen.status == 429
           await untouched(edge, "evolink")
   ```

5. Run `python -m mockserver.faults.page`, then
   `.venv/bin/python -m pytest tests/faults -k "NAME or catalogue or page"` (with your fault's name).

Everything else (the control plane, the headers, the test values, scenario files, the live page, this page) finds it,
and so does `contracts run`: it is one more situation for every client, and the report (`--html`) lists it. To choose
how clients meet it, see [Adding a situation](../../contracts/README.md#adding-a-situation).

"""

_TEST_VALUES = (
    "They work in the prompt, at every provider whose spec says which field that is (`content_policy.texts`). `xN` at",
    "the end says how often.",
)


def written() -> str:
    """Write the page."""
    lines = ["## Test values", "", *_TEST_VALUES, ""]
    lines += ["| value | what it does |", "|---|---|"]
    lines += [f"| `{value}` | {summary} |" for value, summary in test_values()]
    lines += ["", "`mockserver providers` lists the test keys.", ""]
    faults = [described(kind) for kind in all_faults().values()]
    for family in FAMILIES:
        lines += [
            f"## {family.capitalize()}",
            "",
            "| fault | breaks | a client notices | parameters |",
            "|---|---|---|---|",
        ]
        for fault in faults:
            if fault["family"] == family:
                words = "<br>".join(_parameter(each) for each in fault["parameters"])
                lines.append(f"| `{fault['name']}` | {fault['breaks']} | {fault['notice']} | {words} |")
        lines.append("")
    return _HEAD + "\n".join(lines)


def _parameter(parameter: dict[str, object]) -> str:
    unit = f" {parameter['unit']}" if parameter["unit"] else ""
    choices = parameter["choices"]
    among = f" ({', '.join(choices)})" if isinstance(choices, list) and choices else ""
    return f"`{parameter['name']}` = {json.dumps(parameter['default'])}{unit}: {parameter['summary']}{among}"


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
