"""The architecture as far as import-linter cannot see it: single files, import names, and what no file may say."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("adapters", "console", "identity", "notify", "simulator", "storage")
FILES = ("app", "cli", "settings")
OURS = (*FILES, *ROOMS)
PROVING = ("tests", "bench", "examples")  # may import everything
NOT_OURS = {
    ".venv",
    ".venv-supply",
    ".git",
    "__pycache__",
    ".hypothesis",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
}
NOT_OURS |= {".venv-supply", ".import_linter_cache", ".demo", "htmlcov", "logs"}

IMPORTERS = {
    "app": set(),
    "cli": {"app"},
    "settings": {"app", "cli", "console"},
    "simulator": {"console.commands.demo", "simulator"},
    "console": {"app", "cli", "console"},
}
"""Who of the product may import a name; everything else about directions stands in pyproject.toml."""


def files(suffix: str = "") -> Iterator[Path]:
    """Every file of the project with this ending."""
    for path in ROOT.rglob(f"*{suffix}"):
        if path.is_file() and not NOT_OURS & set(path.relative_to(ROOT).parts):
            yield path


def dotted(path: Path) -> str:
    """The module that a file is."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> set[str]:
    """The top-level names that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def belongs(module: str, allowed: set[str]) -> bool:
    """Whether a module is one of these or lies inside one."""
    return any(module == name or module.startswith(f"{name}.") for name in allowed)


class TestDirections:
    @pytest.mark.parametrize("name", IMPORTERS)
    def test_importers(self, name: str) -> None:
        """Only the rooms that may do so import app, cli, settings, the commands and the simulator."""
        product = [path for path in files(".py") if path.relative_to(ROOT).parts[0] not in PROVING]
        found = {dotted(path) for path in product if name in imported(path)}

        assert set() == {module for module in found if not belongs(module, IMPORTERS[name])}

    def test_everything_has_a_room(self) -> None:
        """Every Python file lies in a room that this test and import-linter know."""
        assert set() == {dotted(path).partition(".")[0] for path in files(".py")} - {*OURS, *PROVING}


class TestNames:
    @pytest.mark.parametrize("name", OURS)
    def test_ours(self, name: str) -> None:
        """What is imported under our names lies in this repository: some of them exist as packages of others."""
        found = importlib.import_module(name).__file__

        assert found is not None
        assert Path(found).resolve().is_relative_to(ROOT.resolve())

    @pytest.mark.parametrize("name", OURS)
    def test_free(self, name: str) -> None:
        """No installed package and no part of Python uses one of our names."""
        assert name not in sys.stdlib_module_names
        assert name not in packages_distributions()


SECRETS = {"signature", "secret", "token", "state", "nonce", "digest", "mac", "hmac", "password", "challenge", "cookie"}
COMPARED = {
    ("adapters.slack.installations", "cached[0].token == installed.token"): "both are ours",
}
"""Comparisons of two secrets that need no constant time, and why. The database compares SQL, through its index."""


class TestSecrets:
    def test_constant_time(self) -> None:
        """S16: no file of the product compares two secrets by `==`, which tells by its time how much was right."""
        rooms = [path for path in files(".py") if path.relative_to(ROOT).parts[0] not in (*PROVING, "simulator")]

        found = {(dotted(path), text) for path in rooms for text in self.compared(path)}

        assert set() == found - set(COMPARED)
        assert set() == set(COMPARED) - found, "is no longer there"

    def compared(self, path: Path) -> Iterator[str]:
        """Every `==` and `!=` of two things that are no constants and of which one is named like a secret."""
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare) and any(isinstance(each, ast.Eq | ast.NotEq) for each in node.ops):
                sides = [node.left, *node.comparators]
                if any(map(self.is_fixed, sides)):
                    continue
                if any(SECRETS & set(self.last_name(side).split("_")) for side in sides):
                    yield ast.unparse(node)

    @staticmethod
    def is_fixed(side: ast.expr) -> bool:
        """A literal, a number of things, a name of the whole file, or a column of a table."""
        name = TestSecrets.last_name(side)
        if isinstance(side, ast.Attribute) and isinstance(side.value, ast.Attribute) and side.value.attr == "c":
            return True
        return isinstance(side, ast.Constant) or (name.isupper() and bool(name)) or name == "len"

    @staticmethod
    def last_name(side: ast.expr) -> str:
        """The name that a value goes by: of an attribute, a member by its key, or a call's function."""
        match side:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                return name
            case ast.Subscript(slice=ast.Constant(value=str(name))):
                return name
            case ast.Call(func=function):
                return TestSecrets.last_name(function)
        return ""


class TestText:
    FORBIDDEN = re.compile(  # one letter of each in brackets, so that this file does not match itself
        r"--(?:extra-)?index-ur[l]|--find-link[s]|index\.url\s*=|pypi\.or[g]/simple|files\.pythonhoste[d]"
        r"|(?<![\w.:/-])/(?:roo[t]|hom[e])/"
    )

    def test_no_index_and_no_home(self) -> None:
        """No file names a package index or somebody's home directory."""
        texts = ((path, path.read_bytes().decode("utf-8", "ignore")) for path in files() if path.suffix != ".png")

        found = {str(path.relative_to(ROOT)) for path, text in texts if self.FORBIDDEN.search(text)}

        assert set() == found
