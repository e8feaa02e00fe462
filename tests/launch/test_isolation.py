"""What isolation is made of: names, refusals, files, and what a system may lack. `test_clients` sees it as a whole."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import ssl
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.tables import for_each

from mockserver.certificates import Authority
from mockserver.cli import main
from mockserver.launch import hashed, isolation, lookout, namespaces
from mockserver.launch.hashed import hashed_name
from mockserver.launch.lookout import Resolver, read_question, refused_address

A, AAAA, TXT = 1, 28, 16


def query(name: str, kind: int = A, *, number: bytes = b"ab") -> bytes:
    """Return a DNS query, as resolvers send it."""
    labels = b"".join(bytes((len(each),)) + each.encode() for each in name.split(".") if each)
    return number + struct.pack(">5H", 0x0100, 1, 0, 0, 1) + labels + b"\0" + struct.pack(">HH", kind, 1) + b"more"


def answered(resolver: Resolver, name: str, kind: int = A) -> tuple[int, list[str]]:
    """Ask; return the code of the answer, and its addresses."""
    answer = resolver.answer_to(query(name, kind))
    assert answer is not None
    number, flags, questions, answers, *_ = struct.unpack_from(">2s5H", answer)
    assert (number, questions, flags & 0x8000) == (b"ab", 1, 0x8000)
    size = 16 if kind == AAAA else 4
    at = len(answer) - answers * size
    return flags & 0xF, [str(ipaddress.ip_address(answer[at:]))] if answers else []


def test_names() -> None:
    """Mocked hosts lead to this machine, in both kinds of address; other names do not exist, and are noted."""
    noted: list[str] = []
    resolver = Resolver({"api.evolink.ai"}, noted.append)
    assert answered(resolver, "api.evolink.ai") == (0, ["127.0.0.1"])
    assert answered(resolver, "API.Evolink.ai.", AAAA) == (0, ["::1"])
    assert answered(resolver, "api.evolink.ai", TXT) == (0, [])
    assert noted == []
    assert answered(resolver, "api.openai.com") == (3, [])
    assert answered(resolver, "1.0.0.127.in-addr.arpa", 12) == (3, [])
    assert noted == ["api.openai.com"]


def test_one_look_up_counts_once() -> None:
    """Programs ask for both kinds of address at once; those that ask for one only are counted as well."""
    noted: list[str] = []
    resolver = Resolver((), noted.append)
    for kind in (A, AAAA, AAAA, A):
        answered(resolver, "a.example", kind)
    answered(resolver, "b.example", AAAA)
    assert noted == ["a.example", "a.example", "b.example"]


@for_each(
    "message",
    {
        "nothing": b"",
        "a header": query("a.example")[:12],
        "half a name": query("a.example")[:16],
        "no kind": query("a.example")[:23],
        "an answer": b"ab" + struct.pack(">5H", 0x8180, 1, 0, 0, 0) + query("a")[12:],
        "two questions": b"ab" + struct.pack(">5H", 0x0100, 2, 0, 0, 0) + query("a")[12:],
        "a pointer": query("a")[:12] + b"\xc0\x0c\0\1\0\1",
        "no ASCII": query("a")[:12] + b"\1\xff\0\0\1\0\1",
    }.values(),
)
def test_malformed_queries(message: bytes) -> None:
    """What is no question is not answered, and does no harm."""
    assert read_question(message) is None
    assert Resolver((), lambda _name: None).answer_to(message) is None


def test_refusals() -> None:
    """A refused connection is named by its address; one of this machine is a client's own affair."""
    v4, v6 = lookout._LAYOUTS
    for address, expected in (("192.0.2.7", "192.0.2.7:8080"), ("127.0.0.1", None), ("127.9.9.9", None)):
        head = bytearray(24)  # with an option: TCP begins later
        head[0], head[12:16] = 0x46, ipaddress.ip_address(address).packed
        assert refused_address(bytes(head) + struct.pack(">H", 8080), v4) == expected
    for address, expected in (("2001:db8::7", "[2001:db8::7]:443"), ("::1", None)):
        head = bytearray(40)
        head[0], head[8:24] = 0x60, ipaddress.ip_address(address).packed
        assert refused_address(bytes(head) + struct.pack(">H", 443), v6) == expected


def test_the_file_of_hosts() -> None:
    """The mocked hosts have our addresses alone, and come last: the first name of an address is what it is called."""
    old = "# ours\n127.0.0.1 localhost # this\n::1 localhost ip6\n10.0.0.7\tAPI.evolink.ai db  # a\n"
    old += "10.0.0.8 api.evolink.ai\n"
    assert isolation.hosts_file(old, ["api.evolink.ai"], ["127.0.0.1", "::1"]) == (
        "127.0.0.1 localhost\n::1 localhost ip6\n10.0.0.7 db\n127.0.0.1 api.evolink.ai\n::1 api.evolink.ai\n"
    )


def test_hashed_names(tmp_path: Path) -> None:
    """OpenSSL finds a CA by its name in a directory; a name that is taken is not taken again."""
    authority = Authority(tmp_path / "ca")
    certificate = authority.certificate.read_bytes()
    directory = tmp_path / "certs"
    directory.mkdir()
    name = hashed_name(certificate, directory)
    (directory / name).write_bytes(certificate)
    assert name.endswith(".0")
    assert hashed_name(certificate, directory) == f"{name[:-1]}1"
    # It is trusted by that: the handshake of a client in memory.
    client, server = ssl.create_default_context(capath=str(directory)), authority.context("a.example")
    ends = [ssl.MemoryBIO() for _ in range(4)]
    near = client.wrap_bio(ends[0], ends[1], server_hostname="a.example")
    far = server.wrap_bio(ends[2], ends[3], server_side=True)
    for _ in range(3):
        for side, sent, received in ((near, ends[1], ends[2]), (far, ends[3], ends[0])):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
            received.write(sent.read())
    assert near.getpeercert()


def test_long_names_are_hashed() -> None:
    """Lengths of all sizes are read and written."""
    for size in (3, 200, 70_000):
        part = hashed._part(0x30, bytes(size))
        assert list(hashed._parts(part + part)) == [(0x30, bytes(size))] * 2


@for_each(("platform", "name"), [("darwin", "macOS"), ("win32", "Windows"), ("freebsd14", "freebsd14")])
def test_other_systems(platform: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no namespaces, one line says so, with exit code 2."""
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(namespaces.NamespaceError, match=f"needs the namespaces of Linux, and this is {name}"):
        namespaces.enter()


def test_what_a_kernel_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting that forbids it is named, with the one that allows it; without one, what a container needs."""
    refused = OSError(errno.EPERM, "unshare: Operation not permitted")
    allowed = [("no/such", "0", "1"), (str(tmp_path / "setting"), "0", "1")]
    monkeypatch.setattr(namespaces, "_SWITCHES", allowed)
    assert "Operation not permitted); a container needs --privileged, or --security-opt" in namespaces._missing(refused)
    (tmp_path / "setting").write_text("0\n", encoding="ascii")
    said = namespaces._missing(refused)
    assert said.startswith("this kernel keeps users from making namespaces (sysctl -w ")
    assert said.endswith("setting=1)")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_refused_by_the_kernel() -> None:
    """A process that may not make namespaces is told so in one line, without a traceback, and nothing has changed."""
    program = (
        "import ctypes, sys\n"
        "from mockserver.launch import namespaces\n"
        "def refuse(name, *arguments): raise PermissionError(1, f'{name}: Operation not permitted')\n"
        "namespaces._call = refuse\n"
        "try: namespaces.enter()\n"
        "except namespaces.NamespaceError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("--isolate is not possible: ")
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


@for_each("words", [["--passthrough"], ["--allow-host", "a.example"]])
def test_nothing_is_let_through(words: list[str]) -> None:
    """Isolation and hosts that are let through exclude each other."""
    done = CliRunner().invoke(main, ["exec", "--isolate", "--only", "evolink", *words, "--", "true"])
    assert done.exit_code == 2
    assert done.stderr.startswith("mockserver: --isolate lets nothing through")


@pytest.mark.slow
def test_a_user_without_rights(tmp_path: Path) -> None:
    """A plain user isolates as well: as itself, with its own files, and without any right in there."""
    program = (
        "import os, socket, sys\n"
        "from pathlib import Path\n"
        "from mockserver.launch import namespaces\n"
        "user = os.getuid(), os.getgid()\n"
        "namespaces.enter()\n"
        "namespaces.replace_files({Path('/etc/hosts'): b'127.0.0.1 x.example\\n'})\n"
        "assert (os.getuid(), os.getgid()) == user\n"
        "Path(sys.argv[1]).write_text('mine')\n"
        "assert socket.gethostbyname('x.example') == '127.0.0.1'\n"
        "with socket.create_server(('127.0.0.1', 443)): pass\n"
        "for address in ('192.0.2.7', '2001:db8::7'):\n"
        "    try: socket.create_connection((address, 80), 20)\n"
        "    except ConnectionRefusedError: pass\n"
        "os.execvp('grep', ['grep', 'CapEff', '/proc/self/status'])\n"
    )
    before = Path("/etc/hosts").read_bytes()
    # Here, root has to become a plain user first: it is one in a namespace of users.
    become = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []
    command = [*become, sys.executable, "-c", program, str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "not possible" in done.stderr or done.stderr.startswith("unshare:"):
        pytest.skip(done.stderr.strip().rpartition("\n")[2])
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[1], 16) == 0
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"
    assert Path("/etc/hosts").read_bytes() == before
