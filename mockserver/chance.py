"""The one source of chance: everything that is drawn is drawn here, from the seed.

A draw is named by what it is for (provider, account, ordinal, purpose). The same seed and
the same name give the same bytes whatever else has been drawn, so other traffic changes nothing.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable

DRAW_BYTES = 64
#: Ids are made of the first bytes of a draw, fractions of the last.
_ID_BYTES = 32

#: Turns drawn bytes and the Unix time in seconds into an id.
IdFormat = Callable[[bytes, int], str]

_ALPHABETS = {
    "hex": "0123456789abcdef",
    "base36": "0123456789abcdefghijklmnopqrstuvwxyz",
    "base32": "0123456789ABCDEFGHJKMNPQRSTVWXYZ",
    "digits": "0123456789",
}
_PLACEHOLDER = re.compile(r"\{(?:(unix_s)|(uuid)|(hex|base36|base32|digits):(\d+))\}")


class Chance:
    """Bytes by name, from one seed."""

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
    """Return the number in [0, 1) that stands in the last bytes of a draw; there are eight slots of 4 bytes."""
    stop = DRAW_BYTES - 4 * slot
    return int.from_bytes(drawn[stop - 4 : stop], "big") / 4294967296


def id_format(text: str) -> IdFormat:
    """Compile an id format such as ``task-{unix_s}-{base36:8}``.

    Raises:
        ValueError: a placeholder is unknown, or more is asked for than a draw holds.
    """
    pieces: list[tuple[str, str, int]] = []
    position = 0
    needed_bytes = 0
    for found in _PLACEHOLDER.finditer(text):
        pieces.append(("text", text[position : found.start()], 0))
        position = found.end()
        unix_s, uuid, alphabet, length = found.groups()
        if unix_s:
            pieces.append(("unix_s", "", 0))
        elif uuid:
            pieces.append(("uuid", "", 0))
            needed_bytes += 16
        else:
            pieces.append((alphabet, "", int(length)))
            needed_bytes += -(-int(length) * 6 // 8)
    pieces.append(("text", text[position:], 0))
    if any("{" in words or "}" in words for _, words, _ in pieces):
        raise ValueError(
            f"id format {text!r}: a placeholder is one of "
            "{unix_s}, {uuid}, {hex:N}, {base36:N}, {base32:N}, {digits:N}"
        )
    if needed_bytes > _ID_BYTES:
        raise ValueError(f"id format {text!r} asks for more chance than a draw has for ids")
    if [kind for kind, _, _ in pieces] == ["text", "hex", "text"]:
        before, after, length = pieces[0][1], pieces[2][1], pieces[1][2]
        return lambda drawn, _unix_s: before + drawn.hex()[:length] + after
    makers = _makers(pieces)

    def make(drawn: bytes, unix_s: int) -> str:
        return "".join([maker(drawn, unix_s) for maker in makers])

    return make


def _makers(pieces: list[tuple[str, str, int]]) -> list[IdFormat]:
    """Give each piece the bytes that are its own."""
    makers: list[IdFormat] = []
    start = 0
    for kind, words, length in pieces:
        if kind == "text":
            if words:
                makers.append(_text(words))
        elif kind == "unix_s":
            makers.append(lambda _drawn, unix_s: str(unix_s))
        else:
            stop = start + (16 if kind == "uuid" else -(-length * 6 // 8))
            makers.append(_uuid(start, stop) if kind == "uuid" else _letters(_ALPHABETS[kind], length, start, stop))
            start = stop
    return makers


def _text(words: str) -> IdFormat:
    return lambda _drawn, _unix_s: words


def _uuid(start: int, stop: int) -> IdFormat:
    return lambda drawn, _unix_s: str(uuid.UUID(bytes=drawn[start:stop], version=4))


def _letters(alphabet: str, length: int, start: int, stop: int) -> IdFormat:
    """Write a number in an alphabet, two letters at a time."""
    pairs = [one + other for one in alphabet for other in alphabet]
    size = len(pairs)
    steps, odd = divmod(length, 2)

    def make(drawn: bytes, _unix_s: int) -> str:
        number = int.from_bytes(drawn[start:stop], "big")
        out = ""
        for _ in range(steps):
            number, pair = divmod(number, size)
            out += pairs[pair]
        return out + alphabet[number % len(alphabet)] if odd else out

    return make
