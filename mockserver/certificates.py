"""Certificates: a local authority (CA), made once and kept, and a certificate for each name that clients use.

The authority is kept in the user's cache directory, which other users cannot read. It is made when a client first
speaks TLS, or when its path is asked for; until then no file is written and no library of this loaded. Nothing is
installed: clients are given the file (`Authority.certificate`), or one with the system's authorities (`bundle`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import logging
import os
import ssl
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import trustme

#: Names of this machine, which share a certificate: a client that gives an address names none.
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_AUTHORITY, _CERTIFICATE, _BUNDLE, _LOCK = "authority.pem", "ca.pem", "bundle.pem", "lock"
#: An authority that ends this soon is made anew, so that none ends during a run.
_LEAST_LEFT = dt.timedelta(days=30)
_CONTEXTS_KEPT = 256
_PEM_END = b"-----END CERTIFICATE-----"
#: A file or directory that may only be read, or a file system.
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
_LOG = logging.getLogger("mockserver")


def cache_directory() -> Path:
    """Return the directory in which this user's files of this program are kept."""
    given = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME", "")
    if given and Path(given).is_absolute():
        return Path(given) / "mockserver"
    try:
        home = Path.home()
    except RuntimeError:  # a user without an entry in passwd
        home = Path(tempfile.gettempdir()) / f"mockserver-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "mockserver"


class AuthorityError(OSError):
    """The authority cannot be kept in its directory; the message says why, and what helps."""


class Authority:
    """The local authority of this user.

    Args:
        directory: where it is kept; None for the user's cache directory.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = (cache_directory() / "ca" if directory is None else directory).absolute()
        self._is_chosen = directory is not None
        self._loaded: trustme.CA | None = None
        self._contexts: OrderedDict[str, ssl.SSLContext] = OrderedDict()

    @property
    def is_loaded(self) -> bool:
        """Whether it is at hand, so that `load` takes no time."""
        return self._loaded is not None

    @property
    def certificate(self) -> Path:
        """The file with the authority's certificate (PEM); it is made where there is none.

        Raises:
            AuthorityError: it can be neither read nor made.
        """
        self.load()
        return self.directory / _CERTIFICATE

    @property
    def bundle(self) -> Path:
        """A file with the authority's certificate and those that the system trusts (PEM).

        Raises:
            AuthorityError: it can be neither read nor made.
        """
        content = self.certificate.read_bytes() + _system_certificates()
        path = self.directory / _BUNDLE
        with self._explained():
            if _content_of(path) != content:
                _write(path, content, 0o644)
        return path

    def load(self) -> None:
        """Load the authority; make it where there is none, or it ends soon. Two processes get the same one.

        Raises:
            AuthorityError: it can be neither read nor made.
        """
        if self._loaded is not None:
            return
        with self._explained():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            owner = self.directory.stat().st_uid
            if hasattr(os, "getuid") and owner not in (os.getuid(), 0) and not self._is_chosen:
                raise PermissionError(errno.EPERM, "it belongs to another user")
            try:
                with _locked(self.directory / _LOCK):
                    found = self._read()
                    self._loaded = self._made_instead(found) if isinstance(found, str) else found
            except OSError as error:
                if error.errno not in _READ_ONLY or isinstance(found := self._read(), str):
                    raise
                self._loaded = found  # what is kept there is good, and may only be read

    def context(self, name: str) -> ssl.SSLContext:
        """Return what a server needs to speak TLS under a host name or address; made on first use.

        Raises:
            AuthorityError: the authority can be neither read nor made.
            ValueError: no certificate can be made for this name.
        """
        name = LOOPBACK_NAMES[0] if name in LOOPBACK_NAMES else name
        context = self._contexts.get(name)
        if context is None:
            context = self._contexts[name] = self._new_context(name)
            if len(self._contexts) > _CONTEXTS_KEPT:
                self._contexts.popitem(last=False)
        return context

    def _new_context(self, name: str) -> ssl.SSLContext:
        self.load()
        assert self._loaded is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        names = LOOPBACK_NAMES if name in LOOPBACK_NAMES else (name,)
        try:
            leaf = self._loaded.issue_cert(*names, organization_name="mockserver", organization_unit_name=name[:64])
        except UnicodeError as error:  # what the idna library raises
            raise ValueError(f"{name!r} is not a host name: {error}") from None
        leaf.configure_cert(context)
        return context

    def _read(self) -> trustme.CA | str:
        """Read the kept authority; where it cannot be used, return why; empty where there is none."""
        pem = _content_of(self.directory / _AUTHORITY)
        if pem is None:
            return ""
        import trustme  # noqa: PLC0415 - a server that nobody asks for TLS does not load it
        from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415

        certificate, _, key = pem.partition(_PEM_END)
        certificate += _PEM_END + b"\n"
        try:
            ends = load_pem_x509_certificate(certificate).not_valid_after_utc
            found = trustme.CA.from_pem(certificate, key.lstrip())
        except (ValueError, TypeError):  # half a file, or another's
            return "is damaged"
        if ends - dt.datetime.now(dt.UTC) < _LEAST_LEFT:
            return f"ends on {ends:%Y-%m-%d}"
        if _content_of(self.directory / _CERTIFICATE) != certificate:
            _write(self.directory / _CERTIFICATE, certificate, 0o644)
        return found

    def _made_instead(self, why: str) -> trustme.CA:
        """Make an authority and keep it: key and certificate in one file, so that they always match."""
        import trustme  # noqa: PLC0415 - a server that nobody asks for TLS does not load it

        if why:
            _LOG.warning("the CA in %s %s: clients need the new one that takes its place", self.directory, why)
        made = trustme.CA(organization_name="mockserver", organization_unit_name="Local CA of mockserver")
        certificate = made.cert_pem.bytes()
        _write(self.directory / _AUTHORITY, certificate + made.private_key_pem.bytes(), 0o600)
        _write(self.directory / _CERTIFICATE, certificate, 0o644)
        return made

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AuthorityError(
                f"the CA cannot be kept in {self.directory}: {error.strerror}; choose another directory with --ca-dir"
            ) from None


def _content_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file as a whole: readers see the old content or the new."""
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other processes out, where the system can."""
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        yield
        return
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _system_certificates() -> bytes:
    """Return what the system trusts: its file, or what its store holds."""
    file = ssl.get_default_verify_paths().cafile
    if file is not None and (content := _content_of(Path(file))):
        return content
    known = ssl.create_default_context().get_ca_certs(binary_form=True)
    return "".join(map(ssl.DER_cert_to_PEM_cert, known)).encode()
