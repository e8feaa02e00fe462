"""The page of the faults: a how-to, and tables made from the code.

`python -m mockserver.faults.page` writes mockserver/faults/README.md anew; a test sees that it is up to date.
"""

from __future__ import annotations

import json
from pathlib import Path

from mockserver.faults import FAMILIES, all_faults, described
from mockserver.faults.directives import test_values

PAGE = Path(__file__).with_name("README.md")
_HEAD = """# Faults

Made by `python -m mockserver.faults.page`; do not edit.

A fault is one file in this folder, found by its name. It says what it breaks and how a client would notice, its
parameters with their units, and what it does. A *rule* puts a fault in force: where (provider, operation, key, task,
model, prompt, phase), when (after so many, every nth, with a probability from the seed, between two instants of mock
time, for so long after its first hit), and how often. Rules strike in the order in which they were added, then those
that a request itself asks for; of several answers in the engine's place the first one counts, everything else adds up.
The journal names each fault in every exchange and delivery that it touched.

## How to ask for one

| how | as |
|---|---|
| in a prompt, with no other set-up | `a red kite mock:429x3` |
| for one request | `X-Mock-Fault: latency;seconds=2, extra_fields` |
| as other mock servers have it | `Prefer: code=503`, `Prefer: example=NAME` |
| for a running server | `POST /__admin/faults {"fault": "error", "with": {"status": 503}, "when": {"every": 2}}` |
| for a day | a scenario file: `mockserver serve --scenario black_friday` |
| in a test | `mock_server.evolink.inject("latency", seconds=2, operation="query", times=1)` |

## How to add one

1. Write `mockserver/faults/NAME.py`: a frozen dataclass that derives from `mockserver.engine.faults.Fault`, with
   `family`, `breaks` and `notice`, and each parameter as a field made by `tools.parameters.parameter(default, summary,
   unit)`. If it strikes only some operations, say which in `roles`; where it can never strike, `never_at` says
   why, and whoever names such a provider is refused.
2. Define the hooks that it needs; `mockserver/engine/faults.py` lists them in the order in which they run. A hook that
   changes nothing returns None, and does not count as a hit.

   | hook | is given | returns |
   |---|---|---|
   | `instead` | the scope of a request, before any gate | a reply in the engine's place |
   | `shown` | the scope of a request | nothing: it sets up what the answer will say |
   | `answered` | the engine's reply | another reply |
   | `sent` | the bytes on their way out | True if it changed how they go |
   | `made` | a task that has just been made | another course for it |
   | `called` | the deliveries of a callback | other deliveries |

3. Take what is drawn from `strike.chance(slot)`, never from anywhere else: the same seed gives the same day.
4. Write its test in `tests/faults/`: one that shows it on the wire, one that shows that nothing else was touched.
5. Run `python -m mockserver.faults.page`.

Everything else (the control plane, the headers, the test values, scenario files, the live page, this page) finds it.

"""


def written() -> str:
    """Write the page."""
    lines = ["## Test values", "", "Words of a prompt, at every provider. `xN` at the end says how often.", ""]
    lines += ["| value | what it does |", "|---|---|"]
    lines += [f"| `{value}` | {summary} |" for value, summary in test_values()]
    lines += ["", "Keys that bring a situation with them are listed by `mockserver providers`.", ""]
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
