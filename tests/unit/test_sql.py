"""S17: the database is spoken to in statements that SQLAlchemy builds; no word of anybody's becomes part of one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.test_architecture import PROVING, ROOT, files

LITERAL = frozenset({"text", "exec_driver_sql", "literal_column", "DDL"})
"""What takes SQL as a string."""
DIRECT = frozenset({"execute", "executemany", "executescript", "scalar", "scalars", "stream"})
"""What also takes one from a driver."""
WRITTEN = re.compile(
    r"\s*(SELECT\b.*\bFROM|INSERT\s+INTO|UPDATE\s+\w*\s*SET|DELETE\s+FROM|DROP\s|ALTER\s|CREATE\s+(TABLE|INDEX)|SET\s|PRAGMA\b)",
    re.DOTALL,
)

PERMITTED = {
    ("storage/engine.py", "f'PRAGMA {pragma}'"): "our own constants; SQLite takes no parameter there",
    ("storage/engine.py", "f'SET idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_MS}'"): "our own number",
    ("storage/engine.py", "f'PRAGMA busy_timeout={BUSY_TIMEOUT_MS}'"): "our own number",
    ("storage/engine.py", "f'PRAGMA busy_timeout={CHECKPOINT_MS}'"): "our own number",
    ("storage/engine.py", "*arguments"): "hands on what storage/ready.py gives",
    ("storage/ready.py", "compiled.sql"): "what SQLAlchemy compiled once, with its placeholders",
    ("storage/migrations/versions/0002_domains_of_members.py", "_FILL"): "a constant of the same file",
}
"""What is no literal, and why it holds nobody's words."""


def literal(node: ast.expr) -> bool:
    """Whether the source itself says what the SQL is."""
    if isinstance(node, ast.IfExp):
        return literal(node.body) and literal(node.orelse)
    return isinstance(node, ast.Constant)


def named(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def from_sqlalchemy(call: ast.Call, tree: ast.Module) -> bool:
    """`text` is also a word of ours: it counts where it is SQLAlchemy's."""
    if named(call) != "text":
        return True
    if isinstance(call.func, ast.Attribute):
        return getattr(call.func.value, "id", "") in ("sa", "sqlalchemy")
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return any(
        node.module and node.module.startswith("sqlalchemy") and "text" in {each.name for each in node.names}
        for node in imports
    )


def written(node: ast.expr) -> bool:
    """Whether a string begins as a statement does."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and WRITTEN.match(node.value) is not None


def built(tree: ast.Module) -> Iterator[str]:
    """Every place that hands SQL on which is not a literal, or builds some out of pieces."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            first = node.args[0]
            takes = named(node) in LITERAL and from_sqlalchemy(node, tree)
            pieces = named(node) in DIRECT and isinstance(first, ast.JoinedStr | ast.BinOp)
            if (takes or pieces) and not literal(first):
                yield ast.unparse(first)
        if isinstance(node, ast.JoinedStr):
            head = "".join(str(part.value) if isinstance(part, ast.Constant) else "?" for part in node.values)
            if WRITTEN.match(head):
                yield ast.unparse(node)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod | ast.Add) and written(node.left):
            yield ast.unparse(node)
        if isinstance(node, ast.Attribute) and node.attr == "format" and written(node.value):
            yield ast.unparse(node)


def product() -> list[Path]:
    return [path for path in files(".py") if path.relative_to(ROOT).parts[0] not in (*PROVING, "simulator")]


class TestStatements:
    def test_s17_none_is_built(self) -> None:
        """S17: outside of the list above every piece of SQL is a literal of the source."""
        found = {
            (path.relative_to(ROOT).as_posix(), place)
            for path in product()
            for place in built(ast.parse(path.read_text(encoding="utf-8")))
        }

        assert set(PERMITTED) == found

    @pytest.mark.parametrize(
        "source",
        [
            "from sqlalchemy import text\ntext(f'SELECT {x}')",
            "from sqlalchemy import text\ntext(statement)",
            "tx.exec_driver_sql('SELECT ' + x)",
            "tx.exec_driver_sql(x)",
            "cursor.execute('x = %s' % x)",
            "cursor.execute(f'VACUUM {x}')",
            "sa.text(x)",
            "column = literal_column(x)",
            "query = f'DELETE FROM people WHERE id = {x}'",
            "query = 'SELECT a FROM b WHERE c = ' + x",
            "query = 'SELECT a FROM {}'.format(x)",
            "query = 'DROP TABLE %s' % x",
        ],
    )
    def test_s17_would_be_found(self, source: str) -> None:
        """S17: the search above sees SQL that is built from strings, in each way to build it."""
        assert list(built(ast.parse(source)))
