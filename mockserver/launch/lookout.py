"""Names what a client looks for in a network without other machines: hosts by their names, and by their addresses.

A resolver answers for the mocked hosts, and for this machine; it knows no other name. Connections to other addresses
are refused by the kernel, whose refusals are read on the loopback interface.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import ipaddress
import socket
import struct
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

_PORT = 53
_A, _AAAA, _CLASS = 1, 28, 1
#: Flags of an answer: it is one, recursion is available, no error; and the same with "no such name" (RFC 1035, 4.1.1).
_FOUND, _NOT_FOUND = 0x8180, 0x8183
_TTL_S = 1
_TO_THE_NAME = b"\xc0\x0c"  # the name of an answer: that of the question
_ETH_P_IP, _ETH_P_IPV6 = 0x0800, 0x86DD
_SO_ATTACH_FILTER = 26


class Question(NamedTuple):
    """What a client asks a resolver."""

    name: str
    kind: int
    #: The question as it came.
    content: bytes


def read_question(message: bytes) -> Question | None:
    """Read the question of a DNS message; None where it has none that is well-formed."""
    labels, at = [], 12
    with contextlib.suppress(IndexError, struct.error, UnicodeDecodeError):
        if message[2] & 0x80 or struct.unpack_from(">H", message, 4)[0] != 1:
            return None
        while length := message[at]:
            if length > 63:
                return None
            labels.append(message[at + 1 : at + 1 + length].decode("ascii").lower())
            at += 1 + length
        (kind,) = struct.unpack_from(">H", message, at + 1)
        return Question(".".join(labels), kind, message[12 : at + 5])
    return None


class Resolver:
    """Answers DNS queries.

    Args:
        known: the names that lead to this machine, in lower case.
        note: is told each other name, as often as a client looked it up.
    """

    def __init__(self, known: Collection[str], note: Callable[[str], None]) -> None:
        self._known = known
        self._note = note
        self._asked: Counter[tuple[str, int]] = Counter()
        self._noted: Counter[str] = Counter()

    def answer_to(self, query: bytes) -> bytes | None:
        """Return the answer to a query; None to what is none."""
        question = read_question(query)
        return None if question is None else query[:2] + self._answer(question)

    def _answer(self, question: Question) -> bytes:
        """Return the answer, without its number."""
        address = {_A: b"\x7f\0\0\1", _AAAA: bytes(15) + b"\1"}.get(question.kind)
        if question.name not in self._known:
            if address is not None:
                self._count(question)
            return struct.pack(">5H", _NOT_FOUND, 1, 0, 0, 0) + question.content
        if address is None:
            return struct.pack(">5H", _FOUND, 1, 0, 0, 0) + question.content
        record = _TO_THE_NAME + struct.pack(">HHIH", question.kind, _CLASS, _TTL_S, len(address)) + address
        return struct.pack(">5H", _FOUND, 1, 1, 0, 0) + question.content + record

    def _count(self, question: Question) -> None:
        """Note a name: one look-up may ask for both kinds of address."""
        self._asked[question.name, question.kind] += 1
        if self._asked[question.name, question.kind] > self._noted[question.name]:
            self._noted[question.name] += 1
            self._note(question.name)


class _Layout(NamedTuple):
    """Where a packet says who has sent it."""

    ether_type: int
    address: slice
    #: A program of the kernel's packet filter: it lets only refusals of a connection pass.
    program: tuple[tuple[int, int, int, int], ...]

    def port_at(self, packet: bytes) -> int:
        """Return where TCP begins, which is where its port stands."""
        return (packet[0] & 0xF) * 4 if self.ether_type == _ETH_P_IP else 40


_LOAD_BYTE, _LOAD_HALF, _LOAD_WORD = 0x30, 0x28, 0x20
_LOAD_BYTE_BEHIND, _LOAD_WORD_BEHIND, _HEADER_LENGTH = 0x50, 0x40, 0xB1
_IF_EQUAL, _IF_ANY, _RETURN = 0x15, 0x45, 0x06
_TCP, _RST = 6, 0x04
#: The kernel refuses a connection with RST, and the sequence number 0 (RFC 9293, 3.5.2); no other RST has that.
_LAYOUTS = (
    _Layout(
        _ETH_P_IP,
        slice(12, 16),
        (
            (_LOAD_BYTE, 0, 0, 9),
            (_IF_EQUAL, 0, 8, _TCP),
            (_LOAD_HALF, 0, 0, 6),
            (_IF_ANY, 6, 0, 0x1FFF),  # a fragment
            (_HEADER_LENGTH, 0, 0, 0),
            (_LOAD_BYTE_BEHIND, 0, 0, 13),
            (_IF_ANY, 0, 3, _RST),
            (_LOAD_WORD_BEHIND, 0, 0, 4),
            (_IF_EQUAL, 0, 1, 0),
            (_RETURN, 0, 0, 64),
            (_RETURN, 0, 0, 0),
        ),
    ),
    _Layout(
        _ETH_P_IPV6,
        slice(8, 24),
        (
            (_LOAD_BYTE, 0, 0, 6),
            (_IF_EQUAL, 0, 5, _TCP),
            (_LOAD_BYTE, 0, 0, 40 + 13),
            (_IF_ANY, 0, 3, _RST),
            (_LOAD_WORD, 0, 0, 40 + 4),
            (_IF_EQUAL, 0, 1, 0),
            (_RETURN, 0, 0, 64),
            (_RETURN, 0, 0, 0),
        ),
    ),
)


def refused_address(packet: bytes, layout: _Layout) -> str | None:
    """Return the address and port that a refusal came from; None for loopback, where a client's own servers are."""
    address = ipaddress.ip_address(packet[layout.address])
    (port,) = struct.unpack_from(">H", packet, layout.port_at(packet))
    if address.is_loopback:
        return None
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _refusals(layout: _Layout) -> socket.socket:
    """Open a socket that receives the refusals of connections."""
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    program = b"".join(struct.pack("HBBI", *each) for each in layout.program)
    buffer = ctypes.create_string_buffer(program)
    opened.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(layout.program), ctypes.addressof(buffer))
    )
    opened.setblocking(False)
    opened.bind(("lo", layout.ether_type))
    return opened


class Lookout:
    """Sees what a client looks for, in the running event loop, until it is closed.

    Args:
        known: the names that lead to this machine, in lower case.
        note: is told each other host, with the port where it is an address.
    """

    def __init__(self, known: Collection[str], note: Callable[[str], None]) -> None:
        self._resolver = Resolver(known, note)
        self._note = note
        self._close = contextlib.ExitStack()

    def start(self) -> None:
        """Begin."""
        for opened in _datagram_sockets():
            self._read_from(opened, self._answer, opened)
        for layout in _LAYOUTS:
            opened = _refusals(layout)
            self._read_from(opened, self._see, opened, layout)

    def _read_from(self, opened: socket.socket, read: Callable[..., None], *arguments: Any) -> None:
        """Let a socket be read when something has arrived, until the end."""
        self._close.enter_context(opened)
        loop = asyncio.get_running_loop()
        loop.add_reader(opened, read, *arguments)
        self._close.callback(loop.remove_reader, opened)

    def _answer(self, opened: socket.socket) -> None:
        with contextlib.suppress(OSError):  # nothing more has arrived, or its sender has gone
            while True:
                query, sender = opened.recvfrom(4096)
                answer = self._resolver.answer_to(query)
                if answer is not None:
                    opened.sendto(answer, sender)

    def _see(self, opened: socket.socket, layout: _Layout) -> None:
        with contextlib.suppress(BlockingIOError):
            while packet := opened.recv(128):
                host = refused_address(packet, layout)
                if host is not None:
                    self._note(host)

    def close(self) -> None:
        """Stop."""
        self._close.close()


def _datagram_sockets() -> Iterator[socket.socket]:
    """Open the sockets of the resolver: at every address, because a client may know another resolver."""
    for family, everywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104 - no other machine
        with contextlib.suppress(OSError):  # a kernel without IPv6
            opened = socket.socket(family, socket.SOCK_DGRAM)
            if family == socket.AF_INET6:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            opened.bind((everywhere, _PORT))
            opened.setblocking(False)
            yield opened
