"""The environment in which a client, as it is, reaches the mock: its proxy, the CA that it is to trust, and its keys.

Other hosts than loopback are reached through the proxy, which is the mock; so NO_PROXY is not inherited: it could name
a provider's host. Whatever else a program is told by its environment stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from mockserver.certificates import Authority
from mockserver.launch import java

#: Where a command finds the mock, its control plane included.
URL_VARIABLE = "MOCKSERVER_URL"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY")
_LOOPBACK = "localhost,127.0.0.1,::1"
#: Variables that name a file with all CAs.
_BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "GIT_SSL_CAINFO")
#: More of them, of programs that trust the system's CAs as long as these are not set.
_MORE_BUNDLES = (
    *("PIP_CERT", "NIX_SSL_CERT_FILE", "HTTPLIB2_CA_CERTS", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"),
    *("CARGO_HTTP_CAINFO", "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE"),
)
#: Variables that name a file with CAs which are trusted in addition.
_EXTRA = ("NODE_EXTRA_CA_CERTS", "DENO_CERT")
_NODE_PRELOAD = Path(__file__).with_name("preloads") / "node_proxy.cjs"


class ClientFiles(NamedTuple):
    """Files that the variables name: the mock's CA, all CAs, what Node loads, and a trust store for Java, if any."""

    certificate: Path
    bundle: Path
    preload: Path = _NODE_PRELOAD
    java: Path | None = None

    @classmethod
    def of(cls, authority: Authority) -> ClientFiles:
        """Return the files of this machine; make those that are not there yet.

        Raises:
            AuthorityError: the CA can be neither read nor made.
        """
        certificate = authority.certificate
        return cls(certificate, authority.bundle, java=java.trust_store(certificate))

    def within(self, directory: str) -> ClientFiles:
        """Return the same files in another directory."""
        there = Path(directory)
        store = None if self.java is None else there / self.java.name
        return ClientFiles(there / self.certificate.name, there / self.bundle.name, there / self.preload.name, store)


def client_environment(url: str, files: ClientFiles, keys: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are to be set for a client.

    Args:
        url: the root URL of the mock.
        files: the files that it is to trust or load.
        keys: the API keys, by variable.
        own: the environment that the client would have otherwise.
    """
    ca = str(files.certificate)
    return {
        **{name: url for upper in _PROXIES for name in (upper, upper.lower())},
        **dict.fromkeys(("NO_PROXY", "no_proxy"), _LOOPBACK),
        **dict.fromkeys(_BUNDLES, str(files.bundle)),
        **{name: str(files.bundle) for name in _MORE_BUNDLES if name in own},
        # Where others were trusted as well, all are: one of them may be for a host that is let through.
        **{name: str(files.bundle if own.get(name) not in (None, "", ca) else ca) for name in _EXTRA},
        "NODE_USE_ENV_PROXY": "1",
        "NODE_OPTIONS": _with(own.get("NODE_OPTIONS"), f"--require {_quoted(str(files.preload))}"),
        **_java(url, files, own),
        URL_VARIABLE: url,
        **keys,
    }


def _java(url: str, files: ClientFiles, own: Mapping[str, str]) -> dict[str, str]:
    if files.java is None:
        return {}
    parts = urlsplit(url)
    where = {"Host": parts.hostname, "Port": parts.port or (443 if parts.scheme == "https" else 80)}
    proxies = {f"{scheme}.proxy{name}": value for scheme in ("http", "https") for name, value in where.items()}
    options = [f"-D{name}={value}" for name, value in proxies.items()]
    options += ["-Dhttp.nonProxyHosts=localhost|127.*|[::1]", f"-Djavax.net.ssl.trustStorePassword={java.PASSWORD}"]
    options.append(_quoted(f"-Djavax.net.ssl.trustStore={files.java}"))
    return {"JAVA_TOOL_OPTIONS": _with(own.get("JAVA_TOOL_OPTIONS"), " ".join(options))}


def _quoted(text: str) -> str:
    """Quote what has blanks, as Node and Java read their options."""
    return f'"{text}"' if " " in text else text


def _with(before: str | None, more: str) -> str:
    """Add to what a variable says, once."""
    if not before or more in before:
        return before or more
    return f"{before} {more}"
