"""INSERT … ON CONFLICT, spelled the same for both engines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.ready import Ready

Excluded = Any  # the row that could not be inserted; SQLAlchemy types it as a column collection of Any
Condition = Callable[[Excluded], ColumnElement[bool]]
KEPT = 64  # statements; the product has two dozen


async def upsert(
    tx: AsyncConnection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    update: Sequence[str],
    only_if: Condition | None = None,
) -> int:
    """Insert `rows`; where the primary key exists, set the `update` columns if `only_if` holds.

    With `update` empty an existing row is left alone. All rows must have the same keys. `only_if` is a function of a
    module: its statement is made once. Returns the number of rows inserted or changed for a single row, -1 where the
    driver cannot tell.
    """
    if not rows:
        return 0
    statement = _statement(tx.dialect.name, table, tuple(rows[0]), tuple(update), only_if)
    return await statement.run(tx, rows)


@lru_cache(KEPT)
def _statement(
    dialect: str,
    table: Table,
    columns: tuple[str, ...],
    update: tuple[str, ...],
    only_if: Condition | None,
) -> Ready:
    insert = sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
    keys = [column.name for column in table.primary_key.columns]
    if not update:
        return Ready(insert.on_conflict_do_nothing(index_elements=keys), columns)
    statement = insert.on_conflict_do_update(
        index_elements=keys,
        set_={name: insert.excluded[name] for name in update},
        where=None if only_if is None else only_if(insert.excluded),
    )
    return Ready(statement, columns)
