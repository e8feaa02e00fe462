"""Writes specs/README.md from the specs: every rule of every document, and where it went.

python -m mockserver.spec.provenance          write it
python -m mockserver.spec.provenance --check  exit 1 if it is not up to date
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from mockserver.spec.document import Document
from mockserver.spec.vocabulary import builtin_specs, specs_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = """\
# The specs, and where each rule in them comes from

<!-- Written by `python -m mockserver.spec.provenance`; a test sees that it is up to date. -->

Each file is an OpenAPI 3.1 document derived from one provider document. Wire shapes stand in plain OpenAPI,
behaviour in `x-mock` beside it ([x-mock.schema.json](x-mock.schema.json) is its vocabulary; unknown words are
refused). Whatever goes over the wire is recorded in the shape of
[journal.schema.json](journal.schema.json); what `contracts` says of a client is in that of
[verdicts.schema.json](verdicts.schema.json).

`x-source` and `source` say where a thing comes from, with one of three standings:

| standing | meaning |
|---|---|
| *title* \u203a *section* | the document says so |
| `public pages 2026-11` | the document is silent; the provider's public API pages said so in November 2026 |
| `inferred` | neither says; what a client's author would expect |

In the tables, a rule asks something of the **provider** (the mock server does it) or of the **client**
(the contract suite judges it); the last column is the place in the file where the rule went.
"""


def provenance() -> str:
    """Return the text of specs/README.md."""
    parts = [_HEAD]
    documents = [(path.name, Document.read(path).data) for path in builtin_specs()]
    parts.append("| file | document | provider | rules | from the document | from public pages | inferred |")
    parts.append("|---|---|---|---|---|---|---|")
    for name, data in documents:
        standings = Counter(_standing(source) for source in _sources(data))
        about = data["x-document"]
        parts.append(
            f"| [{name}]({name}) | {about['title']} | {about['provider']} | {len(data['x-rules'])} "
            f"| {standings['document']} | {standings['public pages']} | {standings['inferred']} |"
        )
    for name, data in documents:
        parts += [
            "",
            f"## {data['x-document']['title']} ({name})",
            "",
            "| rule | says | section | asks | where it went |",
            "|---|---|---|---|---|",
        ]
        parts += [
            f"| `{rule['id']}` | {_cell(rule['rule'])} | {_cell(rule['section'])} | {rule['asks']} | `{rule['at']}` |"
            for rule in data["x-rules"]
        ]
    return "\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return str(text).replace("|", "\\|")


def _sources(value: Any) -> Iterator[str]:
    """Give every x-source and source of a document; dialects say theirs too."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key in ("x-source", "source") and isinstance(each, str):
                yield each
            elif key not in ("example", "examples"):
                yield from _sources(each)
    elif isinstance(value, list):
        for each in value:
            yield from _sources(each)


def _standing(source: str) -> str:
    if source.startswith("public pages"):
        return "public pages"
    return "inferred" if source == "inferred" else "document"


def main(arguments: list[str]) -> int:
    """Write the file, or check it."""
    path = specs_directory() / "README.md"
    text = provenance()
    if "--check" in arguments:
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return 0
        sys.stderr.write(f"{path} is not up to date; run `python -m mockserver.spec.provenance`\n")
        return 1
    path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
