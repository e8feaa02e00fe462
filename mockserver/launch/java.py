"""A trust store for Java, which reads no PEM files: its own one, and our CA in it. It is made by Java's `keytool`."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

PASSWORD = "changeit"  # noqa: S105 - the one of every trust store that comes with Java
_LONGEST_S = 60.0


def trust_store(certificate: Path) -> Path | None:
    """Return a trust store with a CA and all that Java trusts; None without a `keytool` that can make one.

    It is kept beside the CA, and made again when one of the two has changed.
    """
    keytool = shutil.which("keytool", path=_search_path())
    if keytool is None:
        return None
    own = _own_store(Path(keytool).resolve())
    mark = hashlib.sha256(certificate.read_bytes())
    if own is not None:
        mark.update(f"{own} {own.stat().st_mtime_ns}".encode())
    store = certificate.with_name(f"java-{mark.hexdigest()[:16]}.p12")
    if store.exists() or _make(keytool, own, certificate, store):
        return store
    return None


def _search_path() -> str:
    home = os.environ.get("JAVA_HOME")
    path = os.environ.get("PATH", os.defpath)
    return f"{home}/bin{os.pathsep}{path}" if home else path


def _own_store(keytool: Path) -> Path | None:
    """Find the trust store that comes with Java."""
    home = keytool.parent.parent
    places = [home / "lib/security/cacerts", home / "jre/lib/security/cacerts"]
    return next((place for place in places if place.is_file()), None)


def _make(keytool: str, own: Path | None, certificate: Path, store: Path) -> bool:
    """Make a trust store; tell whether that was possible."""
    command = (
        *(keytool, "-importcert", "-noprompt", "-alias", "mockserver", "-file", str(certificate)),
        *("-storepass", PASSWORD, "-keystore"),
    )
    environment = {name: value for name, value in os.environ.items() if name != "JAVA_TOOL_OPTIONS"}
    failures = (OSError, subprocess.SubprocessError)
    with contextlib.suppress(*failures), tempfile.TemporaryDirectory(dir=store.parent) as aside:
        made = Path(aside) / "store"
        if own is not None:
            shutil.copyfile(own, made)
        subprocess.run(  # noqa: S603 - Java's own program
            (*command, str(made)),
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LONGEST_S,
            check=True,
        )
        for old in store.parent.glob("java-*.p12"):
            old.unlink(missing_ok=True)
        made.replace(store)
        return True
    return False
