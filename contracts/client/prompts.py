"""Prompts that clients tend to spoil: letters of many scripts, quotes and escapes, and as long as is allowed."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from mockserver.provider import Model, Provider

#: How long a prompt is where a provider has no limit that is lower.
_LONG = 4000
#: What the first sentence of a prompt takes, which names the job.
_HEAD = 50
#: Where letters are drawn from: Latin to Cyrillic, the Middle East and India, the rest of plane 0, and above it.
_PLANES = ((0xA1, 0x58F), (0x590, 0x1FFF), (0x3041, 0xD7A3), (0x10000, 0x1F9FF))
_OF_EACH = 8
_KINDS = frozenset(("Lu", "Ll", "Lo", "So"))
_WORDS = "the kite climbs over the waves and turns in the light of the evening, "
_QUOTES = (
    """She says: "Look!" - it's 5 o'clock; `tick` \\ back\\slash \\n \\u00e9 %20 + """
    "& <b> {x} ${HOME} 50 % #1 / ? = ; |."
)


def prompts(provider: Provider) -> Iterator[tuple[str, str]]:
    """Yield what may follow the first sentence of a prompt, each with its name."""
    yield "many scripts", _letters(provider.name)
    yield "quotes and escapes", _QUOTES
    yield "near the limit", _long(min([_LONG, *(_most_characters(each) for each in provider.models.values())]) - _HEAD)


def _letters(seed: str) -> str:
    """Draw letters from all of Unicode; none that changes when it is normalised."""
    draw = random.Random(seed)  # noqa: S311 - it is to be the same each time
    words = []
    for first, last in _PLANES:
        known = [chr(code) for code in range(first, last + 1) if unicodedata.category(chr(code)) in _KINDS]
        word = ""
        while not word or not _is_stable(word):
            word = "".join(draw.sample(known, _OF_EACH))
        words.append(word)
    return f"{' '.join(words)} \N{KITE}\N{VARIATION SELECTOR-16} \N{SPARKLES}."


def _is_stable(text: str) -> bool:
    return all(unicodedata.is_normalized(form, text) for form in ("NFC", "NFKC"))


def _long(characters: int) -> str:
    text = (_WORDS * (characters // len(_WORDS) + 1))[: max(characters, 1) - 1]
    return f"{text.rstrip()}."


def _most_characters(model: Model) -> int:
    """Return how long a model's prompt may be, up to the longest that is tried."""
    least, most = 1, _LONG
    while least < most:
        middle = (least + most + 1) // 2
        if model.request.accepts(_with_prompt(deepcopy(dict(model.example or {})), "x" * middle)):
            least = middle
        else:
            most = middle - 1
    return least if least > _HEAD else _LONG


def _with_prompt(value: Any, prompt: str) -> Any:
    """Replace the prompt in a body, wherever it is."""
    if isinstance(value, dict):
        return {key: prompt if key == "prompt" else _with_prompt(each, prompt) for key, each in value.items()}
    return value
