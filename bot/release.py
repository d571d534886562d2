"""Which version of Undertone this is."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path


def program_version() -> str:
    """That of the installation; of the checkout where nothing is installed, as on hosts that read requirements.txt."""
    try:
        return metadata.version("undertone")
    except metadata.PackageNotFoundError:
        stated = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
        return str(stated["project"]["version"])
