"""Namespaces of Linux: a network without any other machine in it, and files that only those in there see.

Every address is that of this machine there: what nothing listens on is refused at once, instead of running into a
timeout. All of it ends with the last process in it. The kernel's interfaces are spoken directly: `ip` and `mount` need
not be there.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

_NEWNS, _NEWUSER, _NEWNET = 0x00020000, 0x10000000, 0x40000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_MNT_DETACH = 2
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
#: rtnetlink: a new local route of the loopback interface, in the table of local addresses.
_RTM_NEWROUTE, _NLM_F = 24, 0x1 | 0x4 | 0x400  # request, acknowledge, create
_TABLE_LOCAL, _PROTOCOL_BOOT, _SCOPE_HOST, _TYPE_LOCAL = 255, 3, 254, 2
_RTA_OIF, _LOOPBACK_INDEX = 4, 1
_NLMSG_ERROR = 2


#: Settings of kernels that keep users from making namespaces: the value that does, and one that does not.
_SWITCHES = (
    ("user/max_user_namespaces", "0", "10000"),
    ("kernel/unprivileged_userns_clone", "0", "1"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
)


class NamespaceError(OSError):
    """The system does not allow it; the message says what is missing."""


def check_platform() -> None:
    """Check that this system has namespaces.

    Raises:
        NamespaceError: it has none.
    """
    if sys.platform != "linux":
        system = {"darwin": "macOS", "win32": "Windows"}.get(sys.platform, sys.platform)
        raise NamespaceError(f"--isolate needs the namespaces of Linux, and this is {system}: use it in a container")


def enter() -> None:
    """Move this process, which must have a single thread, to namespaces of its own.

    Its user stays the same there, with the same files. Root keeps its access to the files of all users.

    Raises:
        NamespaceError: the system does not allow it.
    """
    check_platform()
    try:
        _move()
        _mount("none", "/", _MS_REC | _MS_PRIVATE)
        _start_loopback()
    except OSError as error:
        raise NamespaceError(f"--isolate is not possible: {_missing(error)}") from None


def _move() -> None:
    user, group, is_root = os.geteuid(), os.getegid(), os.geteuid() == 0
    with _mapping_all(wanted=is_root) as map_all:
        try:
            _call("unshare", _NEWUSER | _NEWNET | _NEWNS)
        except OSError:
            if not is_root:
                raise
            _call("unshare", _NEWNET | _NEWNS)
            return
        if map_all():
            return
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")


@contextlib.contextmanager
def _mapping_all(*, wanted: bool) -> Iterator[Callable[[], bool]]:
    """Give what maps all users to themselves, once this process has moved: a child does it, which stays outside."""
    if not wanted:
        yield lambda: False
        return
    waiting, go = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(go)
        os._exit(0 if os.read(waiting, 1) and _mapped_all(parent) else 1)
    os.close(waiting)
    left = [child]

    def map_all() -> bool:
        os.write(go, b"!")
        return os.waitpid(left.pop(), 0)[1] == 0

    try:
        yield map_all
    finally:
        os.close(go)
        for pid in left:
            os.waitpid(pid, 0)


def _mapped_all(parent: int) -> bool:
    """Map the users and groups of this process to themselves in the parent; tell whether that is allowed."""
    try:
        for name in ("gid_map", "uid_map"):
            ranges = [line.split() for line in Path(f"/proc/self/{name}").read_text(encoding="ascii").splitlines()]
            same = "\n".join(f"{first} {first} {count}" for first, _, count in ranges)
            Path(f"/proc/{parent}/{name}").write_text(same, encoding="ascii")
    except (OSError, ValueError):
        return False
    return True


def replace_files(
    contents: Mapping[Path, bytes], *, added: Mapping[Path, bytes] | None = None, hidden: Iterable[Path] = ()
) -> None:
    """Give files other contents, add files, and hide directories: for this process and its children alone.

    Raises:
        NamespaceError: the system does not allow it.
    """
    # In a file system that is not left anywhere: what is mounted from it lives on.
    aside = next(Path(each) for each in ("/mnt", "/tmp", "/") if Path(each).is_dir())  # noqa: S108
    try:
        for directory in filter(Path.is_dir, hidden):
            _mount("tmpfs", directory, 0, kind="tmpfs", options="mode=755,size=64k")
        _mount("tmpfs", aside, 0, kind="tmpfs", options="mode=755")
        for number, (path, content) in enumerate((added or {}).items()):
            copy = aside / f"directory-{number}"
            _copy(path.parent, copy)
            _write(copy / path.name, content)
            _mount(copy, path.parent, _MS_BIND | _MS_REC)
        for number, (path, content) in enumerate(contents.items()):
            new = aside / f"file-{number}"
            _write(new, content)
            _mount(new, path.resolve(), _MS_BIND)
        _call("umount2", bytes(aside), _MNT_DETACH)
    except OSError as error:
        raise NamespaceError(f"--isolate is not possible: {_missing(error)}") from None


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o644)


def _copy(directory: Path, copy: Path) -> None:
    """Copy a directory: its links and files; the directories in it are mounted there."""
    copy.mkdir()
    for each in directory.iterdir():
        new = copy / each.name
        if each.is_symlink():
            new.symlink_to(each.readlink())
        elif each.is_dir():
            new.mkdir()
            _mount(each, new, _MS_BIND | _MS_REC)
        elif each.is_file():
            _write(new, each.read_bytes())


def _call(name: str, *arguments: Any) -> None:
    """Call a function of the C library.

    Raises:
        OSError: it fails.
    """
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _mount(source: str | Path, target: str | Path, flags: int, *, kind: str = "", options: str = "") -> None:
    _call(
        "mount",
        *(os.fsencode(source), os.fsencode(target), kind.encode() or None, ctypes.c_ulong(flags)),
        options.encode() or None,
    )


def _start_loopback() -> None:
    """Start the loopback interface, and make every address one of it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        _set_up(control)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as netlink:
        _add_route(netlink, socket.AF_INET)
        with contextlib.suppress(OSError):  # a kernel without IPv6
            _add_route(netlink, socket.AF_INET6)


def _set_up(control: socket.socket) -> None:
    import fcntl  # noqa: PLC0415 - not on Windows

    request = struct.pack("16sH14x", b"lo", 0)
    (flags,) = struct.unpack_from("H", fcntl.ioctl(control, _SIOCGIFFLAGS, request), 16)
    fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def _add_route(netlink: socket.socket, family: int) -> None:
    """Add `local default dev lo`.

    Raises:
        OSError: the kernel refuses it.
    """
    route = struct.pack(
        "8BI", family, 0, 0, 0, _TABLE_LOCAL, _PROTOCOL_BOOT, _SCOPE_HOST, _TYPE_LOCAL, 0
    ) + struct.pack("HHi", 8, _RTA_OIF, _LOOPBACK_INDEX)
    netlink.send(struct.pack("IHHII", 16 + len(route), _RTM_NEWROUTE, _NLM_F, 1, 0) + route)
    answer = netlink.recv(4096)
    _, kind, _, _, _, code = struct.unpack_from("IHHIIi", answer)
    if kind == _NLMSG_ERROR and code != 0:
        raise OSError(-code, f"route: {os.strerror(-code)}")


def _missing(error: OSError) -> str:
    """Say what the system lacks, and how it is given."""
    for name, off, fix in _SWITCHES:
        with contextlib.suppress(OSError):
            if Path("/proc/sys", name).read_text(encoding="ascii").strip() == off:
                return f"this kernel keeps users from making namespaces (sysctl -w {name.replace('/', '.')}={fix})"
    return (
        f"the system refuses new namespaces ({error.strerror}); "
        "a container needs --privileged, or --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
    )
