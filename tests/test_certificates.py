"""The local CA: made once, kept where only its user can read it, the same for all processes, remade when it ends."""

from __future__ import annotations

import datetime as dt
import errno
import os
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest
import trustme
from cryptography.x509 import load_pem_x509_certificate
from support.tables import for_each

from mockserver import certificates
from mockserver.certificates import Authority, AuthorityError, cache_directory
from mockserver.cli import main


def mode_of(path: Path) -> int:
    """Return who may do what with a file."""
    return path.stat().st_mode & 0o777


def handshake(authority: Authority, name: str, trusted: Path) -> ssl.SSLObject:
    """Connect a client that trusts a file with a server of this name; return the client's side."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cafile=trusted).wrap_bio(to_client, to_server, server_hostname=name)
    server = authority.context(name).wrap_bio(to_server, to_client, server_side=True)
    sides = [client, server]
    while sides:
        for side in list(sides):
            try:
                side.do_handshake()
                sides.remove(side)
            except ssl.SSLWantReadError:
                pass
    return client


def test_nothing_before_it_is_asked_for(tmp_path: Path) -> None:
    """An authority that nobody uses writes no file."""
    authority = Authority(tmp_path / "ca")
    assert not authority.directory.exists()
    assert authority.certificate.exists()


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    """A server whose clients speak plain HTTP loads neither library."""
    code = "import sys, mockserver.edge.build; print({'trustme', 'cryptography'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_only_its_user_can_read_it(tmp_path: Path) -> None:
    """The directory is 0700 and the key 0600; the certificate is there for all to read."""
    authority = Authority(tmp_path / "cache" / "ca")
    authority.bundle  # noqa: B018 - it is made
    assert mode_of(authority.directory) == 0o700
    assert mode_of(authority.directory / "authority.pem") == 0o600
    assert mode_of(authority.certificate) == mode_of(authority.bundle) == 0o644
    assert "PRIVATE" not in authority.certificate.read_text() + authority.bundle.read_text()
    holding_keys = [each for each in authority.directory.iterdir() if b"PRIVATE" in each.read_bytes()]
    assert [each.name for each in holding_keys] == ["authority.pem"]


def test_a_directory_of_the_users_own_keeps_its_mode(tmp_path: Path) -> None:
    """A directory that exists is not changed: it may be anything that the user has named."""
    tmp_path.chmod(0o755)
    assert Authority(tmp_path).certificate.parent == tmp_path
    assert mode_of(tmp_path) == 0o755


def test_it_is_kept(tmp_path: Path) -> None:
    """What one process has made, the next reads; a certificate file that was lost is written again."""
    first = Authority(tmp_path).certificate.read_bytes()
    (tmp_path / "ca.pem").unlink()
    assert Authority(tmp_path).certificate.read_bytes() == first


@for_each("name", ["api.evolink.ai", "localhost", "127.0.0.1", "::1", "192.168.1.5", "mock", "xn--bcher-kva.example"])
def test_a_certificate_for_each_name(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A client that trusts the CA accepts the server under each name and address."""
    authority = Authority(tmp_path_factory.mktemp("ca"))
    assert handshake(authority, name, authority.certificate).version() == "TLSv1.3"
    assert authority.context(name) is authority.context(name)


def test_this_machine_has_one_certificate(tmp_path: Path) -> None:
    """A client that gives an address names no host: one certificate holds all names of this machine."""
    authority = Authority(tmp_path)
    assert authority.context("::1") is authority.context("localhost") is authority.context("127.0.0.1")


def test_contexts_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names come from clients: only so many contexts are kept."""
    monkeypatch.setattr(certificates, "_CONTEXTS_KEPT", 2)
    authority = Authority(tmp_path)
    first = authority.context("a.test")
    assert authority.context("b.test") is authority.context("b.test")
    authority.context("c.test")
    assert authority.context("a.test") is not first


@for_each("name", ["my_mock", "a..b", "ü" * 70])
def test_no_host_name(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is no host name is refused in words."""
    with pytest.raises(ValueError, match="is not a host name"):
        Authority(tmp_path_factory.mktemp("ca")).context(name)


def test_the_bundle_holds_the_systems_too(tmp_path: Path) -> None:
    """A client that is given the bundle trusts the CA and all that the system trusts."""
    authority = Authority(tmp_path)
    own = ssl.create_default_context(cafile=authority.certificate).get_ca_certs(binary_form=True)
    system = ssl.create_default_context().get_ca_certs(binary_form=True)
    both = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    both.load_verify_locations(cafile=authority.bundle)
    assert {*own, *system} == {*both.get_ca_certs(binary_form=True)} | {*own}
    assert handshake(authority, "api.evolink.ai", authority.bundle).version() == "TLSv1.3"


def test_one_that_ends_soon_is_remade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An authority that ends within a month is replaced, with its certificate file."""
    soon = dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(days=29)
    with monkeypatch.context() as patch:
        patch.setattr(trustme, "DEFAULT_EXPIRY", soon)
        old = Authority(tmp_path).certificate.read_bytes()
    new = Authority(tmp_path).certificate.read_bytes()
    assert f"ends on {soon:%Y-%m-%d}" in caplog.text
    assert load_pem_x509_certificate(old).not_valid_after_utc.date() == soon.date()
    assert load_pem_x509_certificate(new).not_valid_after_utc > dt.datetime.now(dt.UTC) + dt.timedelta(days=3650)
    assert Authority(tmp_path).certificate.read_bytes() == new


@for_each("content", [b"", b"no PEM", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_broken_file_is_remade(
    content: bytes, tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a file, or another's, is replaced, which one line says."""
    caplog.clear()
    directory = tmp_path_factory.mktemp("ca")
    (directory / "authority.pem").write_bytes(content)
    authority = Authority(directory)
    assert handshake(authority, "localhost", authority.certificate).version() == "TLSv1.3"
    (said,) = [each.message for each in caplog.records]
    assert said == f"the CA in {directory} is damaged: clients need the new one that takes its place"


def test_a_certificate_without_its_key_is_remade(tmp_path: Path) -> None:
    """A file that has lost its key signs nothing: the authority is made anew."""
    Authority(tmp_path).load()
    kept = tmp_path / "authority.pem"
    kept.write_bytes(kept.read_bytes().partition(b"-----BEGIN EC")[0])
    authority = Authority(tmp_path)
    assert handshake(authority, "localhost", authority.certificate).version() == "TLSv1.3"


def test_made_by_many_at_once(tmp_path: Path) -> None:
    """Those that make it at the same moment all get the same one."""
    with ThreadPoolExecutor(8) as pool:
        made = [*pool.map(lambda _: Authority(tmp_path).certificate.read_bytes(), range(8))]
    assert len(set(made)) == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == ["authority.pem", "ca.pem", "lock"]


@pytest.mark.slow(about_s=3)
def test_made_by_processes_at_once(tmp_path: Path) -> None:
    """Two commands that make it at the same moment print the same path, and each can sign for its file."""
    command = [sys.executable, "-m", "mockserver", "ca", "--ca-dir", str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert {each.communicate(timeout=50)[0] for each in running} == {f"{tmp_path / 'ca.pem'}\n"}
    authority = Authority(tmp_path)
    assert handshake(authority, "localhost", authority.certificate).version() == "TLSv1.3"


def test_where_it_cannot_be_kept(tmp_path: Path) -> None:
    """A path that is no directory is told in one line, with what helps."""
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(AuthorityError, match="choose another directory with --ca-dir"):
        Authority(file).load()


def test_where_it_may_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a directory that may only be read, as one that is mounted so, a good one is used, and none is made."""

    def read_only(*_: object) -> NoReturn:
        raise OSError(errno.EROFS, "Read-only file system")

    made = Authority(tmp_path).certificate.read_bytes()
    monkeypatch.setattr(certificates, "_locked", read_only)
    monkeypatch.setattr(certificates, "_write", read_only)
    assert Authority(tmp_path).certificate.read_bytes() == made
    (tmp_path / "authority.pem").write_bytes(b"damaged")
    with pytest.raises(AuthorityError, match="Read-only file system"):
        Authority(tmp_path).load()


def test_a_relative_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients run anywhere: a path is absolute."""
    monkeypatch.chdir(tmp_path)
    assert Authority(Path("ca")).certificate == tmp_path / "ca" / "ca.pem"


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no owners here")
def test_another_users_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache directory that another user has made is not trusted; one that the user names is."""
    monkeypatch.setattr(certificates, "cache_directory", lambda: tmp_path)
    (tmp_path / "ca").mkdir()
    os_stat = os.stat_result((0o40700, 0, 0, 0, 4321, 0, 0, 0, 0, 0))
    monkeypatch.setattr(Path, "stat", lambda *_, **__: os_stat)
    with pytest.raises(AuthorityError, match="belongs to another user"):
        Authority().load()
    Authority(tmp_path / "ca").load()


def test_cache_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory is that of the platform; a relative one is ignored, as XDG says."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "mockserver"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_directory() == Path("/home/someone/.cache/mockserver")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_directory() == Path("/home/someone/Library/Caches/mockserver")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert cache_directory() == tmp_path / "mockserver"


def test_the_command_prints_a_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`mockserver ca` prints the path of the CA, or of the bundle, and nothing else."""
    for flags, name in (((), "ca.pem"), (("--bundle",), "bundle.pem")):
        with pytest.raises(SystemExit, match="0"):
            main(["ca", "--ca-dir", str(tmp_path / "ca"), *flags])
        assert capsys.readouterr().out == f"{tmp_path / 'ca' / name}\n"
        assert (tmp_path / "ca" / name).exists()


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where it cannot be kept, `mockserver ca` says so in one line and exits 2."""
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(SystemExit, match="2"):
        main(["ca", "--ca-dir", str(file / "ca")])
    assert capsys.readouterr().err.count("\n") == 1
