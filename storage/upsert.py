"""INSERT … ON CONFLICT, spelled the same for both engines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Table, case
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

Excluded = Any  # the row that could not be inserted; SQLAlchemy types it as a column collection of Any


async def upsert(
    tx: AsyncConnection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    update: Sequence[str],
    greatest: Sequence[str] = (),
    only_if: Callable[[Excluded], ColumnElement[bool]] | None = None,
) -> int:
    """Insert `rows`; where the primary key exists, set the `update` columns if `only_if` holds.

    A column of `greatest` keeps what is stored where that is greater. With `update` empty an existing row is left
    alone. All rows must have the same keys. Returns the number of rows
    inserted or changed for a single row, -1 where the driver cannot tell.
    """
    if not rows:
        return 0
    insert = sqlite.insert(table) if tx.dialect.name == "sqlite" else postgresql.insert(table)
    keys = [column.name for column in table.primary_key.columns]
    if not update:
        statement = insert.on_conflict_do_nothing(index_elements=keys)
    else:
        statement = insert.on_conflict_do_update(
            index_elements=keys,
            set_={name: insert.excluded[name] for name in update}
            | {
                name: case((table.c[name] > insert.excluded[name], table.c[name]), else_=insert.excluded[name])
                for name in greatest
            },
            where=None if only_if is None else only_if(insert.excluded),
        )
    counted = {"preserve_rowcount": True}
    if len(rows) == 1:
        return (await tx.execute(statement.values(**rows[0]), execution_options=counted)).rowcount
    return (await tx.execute(statement, list(rows), execution_options=counted)).rowcount
