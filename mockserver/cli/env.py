"""`mockserver env`: print the environment in which a client reaches a server that runs already."""

from __future__ import annotations

import os
from pathlib import Path

import click

from mockserver.cli.options import ca_dir_option, fail
from mockserver.cli.remote import DEFAULT_URL, Remote, check_url, which_server
from mockserver.launch.formats import FORMATS, IMAGE_DIRECTORY, left_out


@click.command()
@which_server
@click.option("--client-url", metavar="URL", help="The server as clients see it, such as http://mock:4010.")
@click.option(
    "--format", "name", type=click.Choice(list(FORMATS)), default="shell", show_default=True, help="Its form."
)
@ca_dir_option()
def env(url: str | None, client_url: str | None, name: str, admin_token: str | None, ca_dir: str | None) -> None:
    """Print the environment in which a client, as it is, reaches a server that runs.

    In a shell: eval "$(mockserver env)". In a GitHub workflow: mockserver env --format github >> "$GITHUB_ENV". In a
    Dockerfile, the instructions copy the files that are needed.
    """
    from mockserver.certificates import Authority  # noqa: PLC0415 - `--help` need not load this
    from mockserver.launch.environment import ClientFiles, client_environment  # noqa: PLC0415

    url = (url or DEFAULT_URL).rstrip("/")
    client_url = (client_url or url).rstrip("/")
    check_url(client_url)
    found = Remote(url, admin_token).ask("/proxy", ("ca", "keys"))
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
