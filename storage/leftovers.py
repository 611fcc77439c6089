"""What the directory keeps of tenants that removed the app, and of people whom nobody has shown for long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, Table, and_, delete, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.lanes import Key
from storage.persons import Somebody, is_person
from storage.tables import chores, conversation_references, emails, installations, mirrors, misses, people

_HELD: Final = (  # with what tells a tenant's rows apart
    (emails, emails.c.user_id),
    (people, people.c.user_id),
    (conversation_references, conversation_references.c.user_id),
    (misses, misses.c.email),
    (chores, chores.c.id),
    (mirrors, mirrors.c.tenant_id),
)


def _at(table: Table, key: Key) -> ColumnElement[bool]:
    return and_(table.c.bot_id == key[0], table.c.channel == key[1], table.c.tenant_id == key[2])


async def abandoned(tx: AsyncConnection, *, removed_before: float) -> list[Key]:
    """The tenants from which the app was removed long ago, and of which something is still there."""
    columns = (installations.c.bot_id, installations.c.channel, installations.c.tenant_id)
    held = or_(*(exists().where(*(table.c[each.name] == each for each in columns)) for table, _ in _HELD))
    rows = await tx.execute(select(*columns).where(installations.c.removed_at < removed_before, held))
    return [(row[0], row[1], row[2]) for row in rows.all()]


async def forget_tenant(tx: AsyncConnection, key: Key, *, removed_before: float, limit: int) -> int:
    """Delete about so many rows about a tenant's people, unless the app is back; returns how many."""
    gone = select(installations.c.tenant_id).where(_at(installations, key), installations.c.removed_at < removed_before)
    if (await tx.execute(gone)).first() is None:
        return 0
    count = 0
    for table, column in _HELD:
        if count >= limit:
            break
        some = select(column).where(_at(table, key)).limit(limit - count)
        count += (await tx.execute(delete(table).where(_at(table, key), column.in_(some)))).rowcount
    return count


async def unseen(tx: AsyncConnection, *, before: float, limit: int) -> list[Somebody]:
    """People whom no listing, look-up or event has shown since a moment."""
    where = people.c.seen_at < before
    columns = (people.c.bot_id, people.c.channel, people.c.tenant_id, people.c.user_id)
    return [Somebody(*tuple(row)) for row in (await tx.execute(select(*columns).where(where).limit(limit))).all()]


async def unused(tx: AsyncConnection, *, before: float, limit: int) -> list[Somebody]:
    """People whose conversation has been of no use since a moment."""
    table = conversation_references
    columns = (table.c.bot_id, table.c.channel, table.c.tenant_id, table.c.user_id)
    statement = select(*columns).where(table.c.active.is_(False), table.c.changed_at < before).limit(limit)
    return [Somebody(*tuple(row)) for row in (await tx.execute(statement)).all()]


async def forget_unseen(tx: AsyncConnection, persons: Sequence[Somebody], *, before: float) -> int:
    """Delete these people and their e-mails, except who was seen again; returns how many people."""
    count = 0
    for person in persons:
        gone = (await tx.execute(delete(people).where(is_person(people, person), people.c.seen_at < before))).rowcount
        if gone:
            await tx.execute(delete(emails).where(is_person(emails, person)))
        count += gone
    return count


async def forget_unused(tx: AsyncConnection, persons: Sequence[Somebody], *, before: float) -> int:
    """Delete the conversations with these people, except one that is of use again; returns how many."""
    table = conversation_references
    count = 0
    for person in persons:
        still = and_(is_person(table, person), table.c.active.is_(False), table.c.changed_at < before)
        count += (await tx.execute(delete(table).where(still))).rowcount
    return count
