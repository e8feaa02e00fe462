"""The one source of chance: everything that is drawn is drawn here, from the seed.

A draw is named by what it is for (provider, account, ordinal, purpose). The same seed and
the same name give the same bytes whatever else has been drawn, so other traffic changes nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

DRAW_BYTES = 64

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
    needed_bits = 0
    for found in _PLACEHOLDER.finditer(text):
        pieces.append(("text", text[position : found.start()], 0))
        position = found.end()
        unix_s, uuid, alphabet, length = found.groups()
        if unix_s:
            pieces.append(("unix_s", "", 0))
        elif uuid:
            pieces.append(("uuid", "", 0))
            needed_bits += 128
        else:
            pieces.append((alphabet, "", int(length)))
            needed_bits += 5 * int(length)
    pieces.append(("text", text[position:], 0))
    if any("{" in words or "}" in words for _, words, _ in pieces):
        raise ValueError(
            f"id format {text!r}: a placeholder is one of "
            "{unix_s}, {uuid}, {hex:N}, {base36:N}, {base32:N}, {digits:N}"
        )
    if needed_bits > 256:
        raise ValueError(f"id format {text!r} asks for more than 256 bits of chance")
    if len([kind for kind, _, _ in pieces if kind != "text"]) == 1 and pieces[1][0] == "hex":
        before, after, length = pieces[0][1], pieces[2][1], pieces[1][2]
        return lambda drawn, _unix_s: before + drawn.hex()[:length] + after

    def make(drawn: bytes, unix_s: int) -> str:
        number = int.from_bytes(drawn[:32], "big")
        out: list[str] = []
        for kind, words, length in pieces:
            if kind == "text":
                out.append(words)
            elif kind == "unix_s":
                out.append(str(unix_s))
            elif kind == "uuid":
                number, bits = divmod(number, 1 << 128)
                digits = f"{bits & ~(0xF << 76) & ~(0x3 << 62) | (4 << 76) | (2 << 62):032x}"
                out.append(f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}")
            else:
                alphabet = _ALPHABETS[kind]
                size = len(alphabet)
                for _ in range(length):
                    number, digit = divmod(number, size)
                    out.append(alphabet[digit])
        return "".join(out)

    return make
