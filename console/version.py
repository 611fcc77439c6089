"""Which Herald this is."""

import tomllib
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).parents[1] / "pyproject.toml"


def version() -> str:
    """The version that stands in the project's file; Herald runs from its folder (docs/decisions/0007)."""
    return str(tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["version"])
