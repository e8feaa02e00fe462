"""`mockserver env`: print the environment in which a client reaches a server that runs already."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from mockserver.cli.options import ca_dir_option, fail, option
from mockserver.launch.formats import FORMATS, IMAGE_DIRECTORY, left_out
from mockserver.settings import DEFAULT_PORT

_LONGEST_S = 10.0


@click.command()
@option("--url", metavar="URL", help=f"The server (default http://127.0.0.1:{DEFAULT_PORT}).")
@click.option("--client-url", metavar="URL", help="The server as clients see it, such as http://mock:4010.")
@click.option(
    "--format", "name", type=click.Choice(list(FORMATS)), default="shell", show_default=True, help="Its form."
)
@option("--admin-token", help="Token of the control plane, if it requires one.")
@ca_dir_option()
def env(url: str | None, client_url: str | None, name: str, admin_token: str | None, ca_dir: str | None) -> None:
    """Print the environment in which a client, as it is, reaches a server that runs.

    In a shell: eval "$(mockserver env)". In a GitHub workflow: mockserver env --format github >> "$GITHUB_ENV". In a
    Dockerfile, the instructions copy the files that are needed.
    """
    from mockserver.certificates import Authority  # noqa: PLC0415 - `--help` need not load this
    from mockserver.launch.environment import ClientFiles, client_environment  # noqa: PLC0415

    url = (url or f"http://127.0.0.1:{DEFAULT_PORT}").rstrip("/")
    client_url = (client_url or url).rstrip("/")
    for each in (url, client_url):
        if urlsplit(each).scheme != "http" or not urlsplit(each).hostname:
            fail(f"the server's URL must begin with http://, which its port speaks beside https; got {each!r}")
    found = _asked(url, admin_token)
    certificate = Path(ca_dir) / "ca.pem" if ca_dir is not None else Path(found["ca"] or "")
    if not certificate.is_file():
        place = certificate if found["ca"] or ca_dir else "which it cannot make"
        fail(f"the CA of the server at {url} is not on this machine ({place}); copy it, and name its --ca-dir", 1)
    try:
        files = ClientFiles.of(Authority(certificate.parent))
    except OSError as error:
        fail(error, 1)
    is_image = name == "dockerfile"
    seen = files.within(IMAGE_DIRECTORY) if is_image else files
    variables = client_environment(client_url, seen, found["keys"], {} if is_image else os.environ)
    click.echo(FORMATS[name](variables, files), nl=False)
    if (missing := left_out(name, variables)) is not None:
        click.echo(f"mockserver: {missing}", err=True)


def _asked(url: str, token: str | None) -> dict[str, Any]:
    """Ask a server what it is for clients that use it as their proxy."""
    import urllib.error  # noqa: PLC0415 - slow to load
    import urllib.request  # noqa: PLC0415

    request = urllib.request.Request(f"{url}/__admin/proxy")  # noqa: S310 - it begins with http://
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with directly.open(request, timeout=_LONGEST_S) as answer:
            found = json.load(answer)
        return {"ca": found["ca"], "keys": dict(found["keys"])}
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 401:
            fail(f"the server at {url} requires its admin token: --admin-token", 1)
        fail(f"what answers at {url} is not a mockserver (status {error.code} of its control plane)", 1)
    except (TypeError, KeyError):
        fail(f"what answers at {url} is not a mockserver of this version", 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        why = getattr(reason, "strerror", None) or reason
        fail(f"no server answers at {url} ({why}): start `mockserver serve`, or name another with --url", 1)
