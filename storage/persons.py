"""One person in everything that is stored: found for a request to be forgotten, and taken out, a few rows at a time.

No index leads to a person over all bots, tenants and requests. The readers go through the tables in ranges, which
holds up nobody; the writers name their rows by key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, delete, exists, func, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.requests import REMOVED
from storage.tables import chores, conversation_references, deliveries, emails, misses, people, requests, responses

DIRECTORY = (emails, people, conversation_references)


@dataclass(frozen=True, slots=True)
class Scope:
    """The bot and the channel that are meant; None: all."""

    bot_id: str | None = None
    channel: str | None = None

    def of(self, table: Table) -> ColumnElement[bool]:
        """The condition for a table's rows."""
        return and_(
            true() if self.bot_id is None else table.c.bot_id == self.bot_id,
            true() if self.channel is None else table.c.channel == self.channel,
        )


@dataclass(frozen=True, order=True, slots=True)
class Somebody:
    """A person of a tenant."""

    bot_id: str
    channel: str
    tenant_id: str
    user_id: str


@dataclass(frozen=True, slots=True)
class Addressed:
    """A delivery that may be a person's."""

    seq: int
    request_id: str
    channel: str
    tenant_id: str
    identity: str
    user_id: str | None
    channel_id: str | None
    is_final: bool
    reason: str | None
    deadline_at: float


def is_person(table: Table, person: Somebody) -> ColumnElement[bool]:
    """The rows of a table of the directory that are about a person."""
    return and_(
        table.c.bot_id == person.bot_id,
        table.c.channel == person.channel,
        table.c.tenant_id == person.tenant_id,
        table.c.user_id == person.user_id,
    )


async def owners(tx: AsyncConnection, scope: Scope, address: str) -> set[Somebody]:
    """Everybody to whom a directory ties this normal-form e-mail."""
    rows = await tx.execute(_who(emails).where(scope.of(emails), emails.c.email == address))
    return {Somebody(*tuple(row)) for row in rows.all()}


async def of_id(tx: AsyncConnection, scope: Scope, user_id: str) -> set[Somebody]:
    """Everybody with this user id, or with this further id of the platform."""
    found: set[Somebody] = set()
    for table in DIRECTORY:
        rows = await tx.execute(_who(table).where(scope.of(table), table.c.user_id == user_id))
        found |= {Somebody(*tuple(row)) for row in rows.all()}
    table = conversation_references
    rows = await tx.execute(_who(table).where(scope.of(table), table.c.channel_id == user_id))
    return found | {Somebody(*tuple(row)) for row in rows.all()}


def _who(table: Table) -> Select[Any]:
    return select(table.c.bot_id, table.c.channel, table.c.tenant_id, table.c.user_id)


async def addresses(tx: AsyncConnection, person: Somebody) -> set[str]:
    """The e-mails that a directory ties to somebody."""
    return set((await tx.execute(select(emails.c.email).where(is_person(emails, person)))).scalars().all())


async def channel_ids(tx: AsyncConnection, person: Somebody) -> set[str]:
    """The further ids under which the platform knows somebody."""
    table = conversation_references
    return set((await tx.execute(select(table.c.channel_id).where(is_person(table, person)))).scalars().all())


async def last_seq(tx: AsyncConnection) -> int:
    """The newest delivery's number; 0: none."""
    return int((await tx.execute(select(func.coalesce(func.max(deliveries.c.seq), 0)))).scalar_one())


async def addressed(
    tx: AsyncConnection,
    scope: Scope,
    *,
    after: int,
    upto: int,
    identities: Sequence[str],
    ids: Sequence[str],
    invalid: str,
) -> list[Addressed]:
    """The deliveries of a range that name one of these identities or ids, or hold one in what is no identity."""
    named = or_(
        deliveries.c.identity.in_(identities),
        deliveries.c.user_id.in_(ids),
        deliveries.c.channel_id.in_(ids),
        # in this order: the reason stands behind a message, which SQLite would read for every row
        *(and_(deliveries.c.identity.contains(each), deliveries.c.reason == invalid) for each in identities),
    )
    rows = await tx.execute(
        select(
            deliveries.c.seq,
            deliveries.c.request_id,
            deliveries.c.channel,
            deliveries.c.tenant_id,
            deliveries.c.identity,
            deliveries.c.user_id,
            deliveries.c.channel_id,
            deliveries.c.final_at.is_not(None),
            deliveries.c.reason,
            requests.c.deadline_at,
        )
        .join(requests, requests.c.id == deliveries.c.request_id)
        .where(deliveries.c.seq > after, deliveries.c.seq <= upto, scope.of(deliveries), named)
        .order_by(deliveries.c.seq)
    )
    return [Addressed(*tuple(row)) for row in rows.all()]


async def forget_deliveries(tx: AsyncConnection, seqs: Sequence[int], pseudonym: str) -> tuple[int, int]:
    """Final deliveries of one identity keep their place, state and reason; how many, and how many responses went."""
    final = and_(deliveries.c.seq.in_(seqs), deliveries.c.final_at.is_not(None))
    pressed = delete(responses).where(responses.c.delivery_id.in_(select(deliveries.c.id).where(final)))
    answered = (await tx.execute(pressed)).rowcount
    emptied = dict.fromkeys(
        (
            "candidates", "user_id", "channel_id", "conversation_id", "service_url", "kind", "payload", "parameters",
            "notes", "detail", "remedy", "trace", "message_id",
        )
    )  # fmt: skip
    changed = update(deliveries).where(final).values(**emptied, identity=pseudonym, original_id=pseudonym)
    return (await tx.execute(changed)).rowcount, answered


async def forget_messages(tx: AsyncConnection, ids: Iterable[str], pseudonyms: Sequence[str]) -> int:
    """Of these requests, those that had no other recipient lose their message; returns how many."""
    another = exists().where(deliveries.c.request_id == requests.c.id, deliveries.c.identity.not_in(pseudonyms))
    result = await tx.execute(
        update(requests)
        .where(
            requests.c.id.in_(sorted(ids)),
            requests.c.closed_at.is_not(None),
            requests.c.kind != REMOVED,
            func.length(requests.c.payload) > 0,  # read without the message
            ~another,
        )
        .values(payload=b"", echoes=False)
    )
    return result.rowcount


async def in_directory(tx: AsyncConnection, person: Somebody) -> int:
    """How many rows of the directory are about somebody."""
    counts = [
        (await tx.execute(select(func.count()).select_from(table).where(is_person(table, person)))).scalar_one()
        for table in DIRECTORY
    ]
    return int(sum(counts))


async def forget(tx: AsyncConnection, person: Somebody) -> int:
    """Delete what the directory has about somebody, and what was still to be asked; returns how many rows."""
    count = 0
    for table in DIRECTORY:
        count += (await tx.execute(delete(table).where(is_person(table, person)))).rowcount
    await tx.execute(
        delete(chores).where(
            chores.c.bot_id == person.bot_id,
            chores.c.channel == person.channel,
            chores.c.tenant_id == person.tenant_id,
            chores.c.key == person.user_id,
        )
    )
    return count


async def count_misses(tx: AsyncConnection, scope: Scope, addresses: Sequence[str]) -> int:
    """How many rows say of these e-mails that they belong to nobody."""
    found = select(func.count()).select_from(misses).where(scope.of(misses), misses.c.email.in_(addresses))
    return int((await tx.execute(found)).scalar_one())


async def forget_misses(tx: AsyncConnection, scope: Scope, addresses: Sequence[str]) -> int:
    """Delete what is remembered about e-mails that belong to nobody; returns how many rows."""
    return (await tx.execute(delete(misses).where(scope.of(misses), misses.c.email.in_(addresses)))).rowcount
