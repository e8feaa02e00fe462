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

1. Write `mockserver/faults/NAME.py`: a frozen dataclass that derives from `mockserver.engine.faults.Fault`, with
   `family`, `effect` and `symptom`. Each parameter is a field made by `support.parameters.parameter(default, summary,
   unit)`. If it applies only to some operations, list their roles in `roles`; if it cannot apply to a provider,
   `never_at` says why, and requests for it are refused there.
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
4. Write its test in `tests/faults/`: one that shows it on the wire, one that shows that nothing else was changed.
5. Run `python -m mockserver.faults.page`.

Everything else (the control plane, the headers, the test values, scenario files, the live page, this page) finds it.

"""


def written() -> str:
    """Write the page."""
    lines = ["## Test values", "", "They work in the prompt, at every provider. `xN` at the end says how often.", ""]
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
