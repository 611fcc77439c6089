"""Statements of the hot path: compiled once for each engine, so that running one costs what the database needs.

SQLAlchemy finds a statement's compiled form by walking the statement, and builds every row's parameters by name; for
the few statements of which each delivery needs two, and each event six, that took more CPU than SQLite itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Delete, Dialect, Insert, Select, Update
from sqlalchemy.ext.asyncio import AsyncConnection

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Compiled:
    sql: str
    parameters: Callable[[Row], Any]


class Ready:
    """A statement whose parameters are all named: by `bindparam`, or as the `columns` of an insert."""

    def __init__(self, statement: Update | Insert | Delete | Select[Any], columns: Sequence[str] | None = None) -> None:
        self._statement = statement
        self._columns = columns
        self._compiled: dict[str, _Compiled] = {}

    async def run(self, tx: AsyncConnection, rows: Sequence[Row]) -> int:
        """Run it for every row; returns how many rows of the table it hit. There is at least one row."""
        compiled = self._for(tx.dialect)
        parameters = [compiled.parameters(row) for row in rows]
        result = await tx.exec_driver_sql(compiled.sql, parameters if len(parameters) > 1 else parameters[0])
        return int(result.rowcount)

    async def read(self, tx: AsyncConnection, row: Row) -> Sequence[tuple[Any, ...]]:
        """What a select finds, as the driver gives it: the engines agree on texts, numbers and bytes."""
        compiled = self._for(tx.dialect)
        found = await tx.exec_driver_sql(compiled.sql, compiled.parameters(row))
        return [tuple(each) for each in found.all()]

    def _for(self, dialect: Dialect) -> _Compiled:
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = _compile(self._statement, dialect, self._columns)
        return compiled


def _compile(
    statement: Update | Insert | Delete | Select[Any], dialect: Dialect, columns: Sequence[str] | None
) -> _Compiled:
    compiled = statement.compile(dialect=dialect, column_keys=None if columns is None else list(columns))
    own = {name: value for name, value in compiled.params.items() if not compiled.binds[name].required}
    order = compiled.positiontup
    if order is not None:  # SQLite: a tuple in the order of the question marks
        return _Compiled(
            compiled.string, lambda row: tuple([own[name] if name in own else row[name] for name in order])
        )
    given = [name for name in compiled.params if name not in own]
    return _Compiled(compiled.string, lambda row: own | {name: row[name] for name in given})
