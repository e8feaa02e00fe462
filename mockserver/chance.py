"""The one source of randomness: every random value is drawn here, from the seed.

A draw has a name: what it is for (provider, account, ordinal, purpose). The same seed and name always give the
same bytes, whatever else has been drawn, so other traffic has no effect.
"""

from __future__ import annotations

import hashlib
import re
import struct
import uuid
from collections.abc import Callable
from typing import Any

DRAW_BYTES = 64
#: Ids use the first bytes of a draw, fractions the last.
_ID_BYTES = 32

#: Each reads one slot of a draw, from the end.
_SLOTS = tuple(struct.Struct(f">{DRAW_BYTES - 4 * (slot + 1)}xI").unpack_from for slot in range(8))

#: Turns drawn bytes and the Unix time in seconds into an id.
IdFormat = Callable[[bytes, int], str]

_ALPHABETS = {
    "base36": "0123456789abcdefghijklmnopqrstuvwxyz",
    "base32": "0123456789ABCDEFGHJKMNPQRSTVWXYZ",
    "digits": "0123456789",
}
_PLACEHOLDER = re.compile(r"\{(?:(unix_s)|(uuid)|(hex|base36|base32|digits):(\d+))\}")


class Chance:
    """Random bytes by name, from one seed."""

    __slots__ = ("_root", "seed")

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._root = hashlib.blake2b(key=str(seed).encode()[:64], digest_size=DRAW_BYTES)

    def draw(self, name: str) -> bytes:
        """Return the 64 bytes that belong to `name`."""
        root = self._root.copy()
        root.update(name.encode())
        return root.digest()


def fraction(drawn: bytes, slot: int) -> float:
    """Return a number in [0, 1) from one of the eight 4-byte slots at the end of a draw."""
    drawn_number: int = _SLOTS[slot](drawn)[0]
    return drawn_number / 4294967296


def id_format(text: str) -> IdFormat:
    """Compile an id format such as ``task-{unix_s}-{base36:8}``.

    Raises:
        ValueError: a placeholder is unknown, or the id needs more bytes than a draw has.
    """
    source = ""
    names: dict[str, Any] = {"UUID": uuid.UUID}
    position = start = 0

    def literal(piece: str) -> str:
        if "{" in piece or "}" in piece:
            raise ValueError(
                f"id format {text!r}: a placeholder must be one of "
                "{unix_s}, {uuid}, {hex:N}, {base36:N}, {base32:N}, {digits:N}"
            )
        names[f"n{len(names)}"] = piece
        return f"{{n{len(names) - 1}}}"

    for found in _PLACEHOLDER.finditer(text):
        source += literal(text[position : found.start()])
        position = found.end()
        unix_s, a_uuid, alphabet, length = found.groups()
        if unix_s:
            source += "{unix_s}"
            continue
        stop = start + (16 if a_uuid else -(-int(length) // 2) if alphabet == "hex" else int(length))
        if a_uuid:
            source += f"{{UUID(bytes=drawn[{start}:{stop}], version=4)}}"
        elif alphabet == "hex":
            source += f"{{drawn[{start}:{stop}].hex()[:{length}]}}"
        else:
            names[alphabet] = _letter_of(_ALPHABETS[alphabet])
            source += f"{{drawn[{start}:{stop}].translate({alphabet}).decode()}}"
        start = stop
    source += literal(text[position:])
    if start > _ID_BYTES:
        raise ValueError(f"id format {text!r} is too long: a draw has {_ID_BYTES} bytes for ids")
    made: IdFormat = eval(f"lambda drawn, unix_s: f{source!r}", names)  # noqa: S307 - the text of the format is bound, not written
    return made


def possible_ids(text: str) -> int:
    """Return how many different ids a format can give at one instant."""
    ids = 1
    for unix_s, a_uuid, alphabet, length in _PLACEHOLDER.findall(text):
        letters = 16 if alphabet == "hex" else len(_ALPHABETS.get(alphabet, ""))
        ids *= 1 if unix_s else 2**122 if a_uuid else letters ** min(int(length), _ID_BYTES)
    return ids


def _letter_of(alphabet: str) -> bytes:
    """Return the letter of each byte."""
    return "".join(alphabet[byte % len(alphabet)] for byte in range(256)).encode()
