"""Directories of CAs, as OpenSSL reads them: a file for each CA, named after a hash of whom it certifies.

A program that is told nothing by its environment looks there, and not into the system's bundle.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

_DIRECTORIES = ("/etc/ssl/certs", "/etc/pki/tls/certs")
_NAME = re.compile(r"[0-9a-f]{8}\.\d+")
_SEQUENCE, _SET, _UTF8, _INTEGER, _VERSION = 0x30, 0x31, 0x0C, 0x02, 0xA0
#: Kinds of text that count as the same, however they are spelled (ASN.1: UTF8, Printable, IA5, Visible).
_TEXTS = (_UTF8, 0x13, 0x16, 0x1A)


def hashed_directories() -> list[Path]:
    """Return the directories of this system in which OpenSSL finds CAs by their hashes."""
    names = (*_DIRECTORIES, ssl.get_default_verify_paths().openssl_capath)
    found = dict.fromkeys(Path(name).resolve() for name in names if Path(name).is_dir())
    return [each for each in found if any(_NAME.fullmatch(path.name) for path in each.iterdir())]


def hashed_name(certificate: bytes, directory: Path) -> str:
    """Return the name of the file that a certificate (PEM) has in a directory: one that is free."""
    mark = _subject_hash(ssl.PEM_cert_to_DER_cert(certificate.decode()))
    number = 0
    while (directory / f"{mark}.{number}").is_symlink() or (directory / f"{mark}.{number}").exists():
        number += 1
    return f"{mark}.{number}"


def _subject_hash(certificate: bytes) -> str:
    """Hash the subject of a certificate (DER): its canonical form, without the outermost header."""
    (_, whole), *_ = _parts(certificate)
    (_, signed), *_ = _parts(whole)
    # Version (optional), number, algorithm, issuer, validity, subject.
    fields = [content for tag, content in _parts(signed) if tag not in (_VERSION, _INTEGER)]
    canonical = b"".join(
        _part(_SET, b"".join(_canonical(attribute) for _, attribute in _parts(name))) for _, name in _parts(fields[3])
    )
    return f"{int.from_bytes(hashlib.sha1(canonical, usedforsecurity=False).digest()[:4], 'little'):08x}"


def _canonical(attribute: bytes) -> bytes:
    (kind, name), (tag, value) = _parts(attribute)
    if tag in _TEXTS:
        tag, value = _UTF8, b" ".join(value.split()).lower()
    return _part(_SEQUENCE, _part(kind, name) + _part(tag, value))


def _parts(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the values of a sequence: tag and content (DER)."""
    at = 0
    while at < len(content):
        tag, length = content[at], content[at + 1]
        at += 2
        if length & 0x80:
            more = length & 0x7F
            length = int.from_bytes(content[at : at + more], "big")
            at += more
        yield tag, content[at : at + length]
        at += length


def _part(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content
