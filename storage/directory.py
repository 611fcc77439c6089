"""The directory: our mirror of a tenant's people, their e-mails, and the e-mails known to belong to nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, bindparam, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.tables import conversation_references, emails, mirrors, misses, people
from storage.upsert import upsert

LOOKUP_CHUNK = 500  # SQLite and PostgreSQL both plan an IN list of this size well


@dataclass(frozen=True, slots=True)
class Person:
    """One person of a tenant. `emails` are normal forms; the first is the main one. `kind`: member, guest, bot."""

    user_id: str
    emails: tuple[str, ...]
    name: str = ""
    locale: str = ""
    kind: str = "member"
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class KnownPerson:
    """What is stored about the owner of an e-mail in one tenant, with the conversation reference if there is one."""

    tenant_id: str
    email: str
    user_id: str
    name: str
    kind: str
    disabled: bool
    source: str
    seen_at: float
    channel_id: str | None
    conversation_id: str | None
    service_url: str | None
    reference_active: bool | None  # None: no reference
    inactive_reason: str | None
    learned_at: float | None


@dataclass(frozen=True, slots=True)
class Miss:
    """An e-mail that a tenant said belongs to nobody."""

    tenant_id: str
    email: str
    reason: str
    seen_at: float


@dataclass(frozen=True, slots=True)
class Mirror:
    """How complete the mirror of a tenant is."""

    completed_at: float | None
    started_at: float | None
    members: int
    page_size: int


async def learn(
    tx: AsyncConnection,
    *,
    bot_id: str,
    channel: str,
    tenant_id: str,
    persons: Sequence[Person],
    source: str,
    now: float,
) -> None:
    """Store people with exactly these e-mails: an address a person no longer has stops leading to them."""
    if not persons:
        return
    lane = {"bot_id": bot_id, "channel": channel, "tenant_id": tenant_id}
    await upsert(
        tx,
        people,
        [
            {
                **lane,
                "user_id": person.user_id,
                "name": person.name,
                "locale": person.locale,
                "kind": person.kind,
                "disabled": person.disabled,
                "source": source,
                "seen_at": now,
            }
            for person in persons
        ],
        update=("name", "locale", "kind", "disabled", "source", "seen_at"),
    )
    addresses = [
        {**lane, "email": email, "user_id": person.user_id, "seen_at": now}
        for person in persons
        for email in dict.fromkeys(person.emails)
    ]
    await upsert(tx, emails, addresses, update=("seen_at",))
    await tx.execute(
        delete(emails).where(
            emails.c.bot_id == bot_id,
            emails.c.channel == channel,
            emails.c.tenant_id == tenant_id,
            emails.c.user_id == bindparam("person"),
            emails.c.seen_at < now,
        ),
        [{"person": person.user_id} for person in persons],
    )
    if addresses:
        await tx.execute(
            delete(misses).where(
                misses.c.bot_id == bot_id,
                misses.c.channel == channel,
                misses.c.tenant_id == tenant_id,
                misses.c.email == bindparam("address"),
            ),
            [{"address": row["email"]} for row in addresses],
        )


async def add_email(
    tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str, user_id: str, email: str, now: float
) -> None:
    """One more address that leads to a person (an alias a look-up proved)."""
    await upsert(
        tx,
        emails,
        [
            {
                "bot_id": bot_id,
                "channel": channel,
                "tenant_id": tenant_id,
                "email": email,
                "user_id": user_id,
                "seen_at": now,
            }
        ],
        update=("seen_at",),
    )


async def set_disabled(
    tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str, user_id: str, disabled: bool, now: float
) -> None:
    """The platform told us that a person was deactivated or came back."""
    await tx.execute(
        update(people)
        .where(
            people.c.bot_id == bot_id,
            people.c.channel == channel,
            people.c.tenant_id == tenant_id,
            people.c.user_id == user_id,
        )
        .values(disabled=disabled, seen_at=now)
    )


async def forget(tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str, user_id: str) -> None:
    """Drop a person whose id the platform no longer knows; the next look-up starts afresh."""
    for table in (emails, people):
        await tx.execute(
            delete(table).where(
                table.c.bot_id == bot_id,
                table.c.channel == channel,
                table.c.tenant_id == tenant_id,
                table.c.user_id == user_id,
            )
        )


async def remember_misses(
    tx: AsyncConnection,
    *,
    bot_id: str,
    channel: str,
    tenant_id: str,
    reasons: Sequence[tuple[str, str]],
    now: float,
    until: float,
) -> None:
    """Remember (email, reason) pairs that a tenant does not know, until `until`."""
    rows = [
        {
            "bot_id": bot_id,
            "channel": channel,
            "tenant_id": tenant_id,
            "email": email,
            "reason": reason,
            "seen_at": now,
            "until": until,
        }
        for email, reason in reasons
    ]
    await upsert(tx, misses, rows, update=("reason", "seen_at", "until"))


async def lookup(
    tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str | None, addresses: Sequence[str]
) -> list[KnownPerson]:
    """Everyone known under these normal-form e-mails, in one tenant or (None) in all of the bot's tenants."""
    found: list[KnownPerson] = []
    for start in range(0, len(addresses), LOOKUP_CHUNK):
        found += await _lookup_chunk(tx, bot_id, channel, tenant_id, addresses[start : start + LOOKUP_CHUNK])
    return found


async def _lookup_chunk(
    tx: AsyncConnection, bot_id: str, channel: str, tenant_id: str | None, addresses: Sequence[str]
) -> list[KnownPerson]:
    references = conversation_references
    same_person = and_(
        people.c.bot_id == emails.c.bot_id,
        people.c.channel == emails.c.channel,
        people.c.tenant_id == emails.c.tenant_id,
        people.c.user_id == emails.c.user_id,
    )
    same_reference = and_(
        references.c.bot_id == emails.c.bot_id,
        references.c.channel == emails.c.channel,
        references.c.tenant_id == emails.c.tenant_id,
        references.c.user_id == emails.c.user_id,
    )
    statement = (
        select(
            emails.c.tenant_id,
            emails.c.email,
            emails.c.user_id,
            people.c.name,
            people.c.kind,
            people.c.disabled,
            people.c.source,
            people.c.seen_at,
            references.c.channel_id,
            references.c.conversation_id,
            references.c.service_url,
            references.c.active,
            references.c.inactive_reason,
            references.c.learned_at,
        )
        .select_from(emails.join(people, same_person).outerjoin(references, same_reference))
        .where(emails.c.bot_id == bot_id, emails.c.channel == channel, emails.c.email.in_(addresses))
    )
    if tenant_id is not None:
        statement = statement.where(emails.c.tenant_id == tenant_id)
    return [KnownPerson(*tuple(row)) for row in (await tx.execute(statement)).all()]


async def find_misses(
    tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str, addresses: Sequence[str], now: float
) -> list[Miss]:
    """The still valid misses among these e-mails."""
    found: list[Miss] = []
    for start in range(0, len(addresses), LOOKUP_CHUNK):
        rows = await tx.execute(
            select(misses.c.tenant_id, misses.c.email, misses.c.reason, misses.c.seen_at).where(
                misses.c.bot_id == bot_id,
                misses.c.channel == channel,
                misses.c.tenant_id == tenant_id,
                misses.c.until > now,
                misses.c.email.in_(addresses[start : start + LOOKUP_CHUNK]),
            )
        )
        found += [Miss(*row) for row in rows.all()]
    return found


async def mirror(tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str) -> Mirror | None:
    """How complete the mirror of this tenant is; None if it was never listed."""
    row = (
        await tx.execute(
            select(mirrors.c.completed_at, mirrors.c.started_at, mirrors.c.members, mirrors.c.page_size).where(
                mirrors.c.bot_id == bot_id, mirrors.c.channel == channel, mirrors.c.tenant_id == tenant_id
            )
        )
    ).first()
    return None if row is None else Mirror(*row)


async def note_mirror(tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str, state: Mirror) -> None:
    """Record how far a listing has come."""
    await upsert(
        tx,
        mirrors,
        [
            {
                "bot_id": bot_id,
                "channel": channel,
                "tenant_id": tenant_id,
                "completed_at": state.completed_at,
                "started_at": state.started_at,
                "members": state.members,
                "page_size": state.page_size,
            }
        ],
        update=("completed_at", "started_at", "members", "page_size"),
    )


async def disable_unseen(
    tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str, before: float, source: str
) -> int:
    """After a full listing: whoever that source showed before and not this time is gone."""
    result = await tx.execute(
        update(people)
        .where(
            people.c.bot_id == bot_id,
            people.c.channel == channel,
            people.c.tenant_id == tenant_id,
            people.c.source == source,
            people.c.seen_at < before,
            people.c.disabled.is_(False),
        )
        .values(disabled=True)
    )
    return result.rowcount


async def count_people(tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str) -> int:
    """How many people of this tenant are in the directory."""
    statement = (
        select(func.count())
        .select_from(people)
        .where(people.c.bot_id == bot_id, people.c.channel == channel, people.c.tenant_id == tenant_id)
    )
    return (await tx.execute(statement)).scalar_one()
