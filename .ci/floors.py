"""Write the lowest versions that pyproject.toml declares, as constraints for pip."""

import re
import sys
import tomllib
from itertools import chain
from pathlib import Path

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
for requirement in chain(project["dependencies"], *project["optional-dependencies"].values()):
    name, _, rest = requirement.partition(">=")
    lowest = re.match(r"\s*([\w.]+)", rest)
    if lowest:
        sys.stdout.write(f"{name}=={lowest[1]}\n")
    elif not name.startswith(project["name"]):
        sys.exit(f"pyproject.toml: {requirement} has no lowest version")
