"""The program of the child stands alone."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from notify.script import child


def test_imports_nothing_of_ours() -> None:
    """The child imports only Python's own modules: it is started by its path, without any package."""
    tree = ast.parse(Path(child.__file__).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert set() == {name.partition(".")[0] for name in names} - sys.stdlib_module_names
