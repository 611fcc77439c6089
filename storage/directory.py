"""The directory: our mirror of a tenant's people and their e-mails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, bindparam, delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.ready import Ready
from storage.tables import conversation_references, emails, misses, people
from storage.tables import emails as email_table
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
    seen_at: float  # when the platform last said that the e-mail is theirs
    channel_id: str | None
    conversation_id: str | None
    service_url: str | None
    reference_active: bool | None  # None: no reference
    inactive_reason: str | None
    learned_at: float | None  # the platform's time
    reference_changed_at: float | None  # ours


async def learn(
    tx: AsyncConnection,
    *,
    bot_id: str,
    channel: str,
    tenant_id: str,
    persons: Sequence[Person],
    source: str,
    now: float,
    forget_emails: bool = True,
) -> None:
    """Store people with exactly these e-mails: an address a person no longer has stops leading to them.

    Without `forget_emails` what was not told is not gone: the e-mails that are stored stay.
    """
    if not persons:
        return
    persons = sorted(persons, key=lambda person: person.user_id)  # rows are locked in the same order by everybody
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
        {**lane, "email": email, "user_id": person.user_id, "seen_at": now, "domain": _member_domain(person, email)}
        for person in persons
        for email in dict.fromkeys(person.emails)
    ]
    await upsert(tx, emails, addresses, update=("seen_at", "domain"))
    if forget_emails:
        wanted = {(row["email"], row["user_id"]) for row in addresses}
        theirs = await _stored_emails(tx, "user_id", lane, [person.user_id for person in persons])
        await _delete_emails(tx, lane, [pair for pair in theirs if pair not in wanted])
    if addresses:
        await _FORGET_MISS.run(tx, addresses)


def _of_tenant(table: Table) -> ColumnElement[bool]:
    return and_(*(table.c[name] == bindparam(name) for name in ("bot_id", "channel", "tenant_id")))


_PAIRS = select(emails.c.email, emails.c.user_id).where(_of_tenant(emails))
_OF_ONE = {name: Ready(_PAIRS.where(emails.c[name] == bindparam("value"))) for name in ("email", "user_id")}
_OF_MANY = {
    name: _PAIRS.where(emails.c[name].in_(bindparam("values", expanding=True))) for name in ("email", "user_id")
}
_DELETE_EMAIL = Ready(
    delete(emails).where(
        _of_tenant(emails), emails.c.email == bindparam("email"), emails.c.user_id == bindparam("user_id")
    )
)
_FORGET_MISS = Ready(delete(misses).where(_of_tenant(misses), misses.c.email == bindparam("email")))


def domain_of(email: str) -> str | None:
    """The domain of a normal-form e-mail."""
    return email.rpartition("@")[2] or None if "@" in email else None


def _member_domain(person: Person, email: str) -> str | None:
    return domain_of(email) if person.kind == "member" and not person.disabled else None


async def members_by_domain(
    tx: AsyncConnection, *, bot_id: str, channel: str, domains: Sequence[str]
) -> dict[str, dict[str, int]]:
    """How many e-mails of members each tenant has in each of these domains, as far as its directory is known."""
    found: dict[str, dict[str, int]] = {domain: {} for domain in domains}
    for start in range(0, len(domains), LOOKUP_CHUNK):
        rows = await tx.execute(
            select(emails.c.domain, emails.c.tenant_id, func.count())
            .where(
                emails.c.bot_id == bot_id,
                emails.c.channel == channel,
                emails.c.domain.in_(domains[start : start + LOOKUP_CHUNK]),
            )
            .group_by(emails.c.domain, emails.c.tenant_id)
        )
        for domain, tenant, count in rows.all():
            found[domain][tenant] = count
    return found


async def _stored_emails(
    tx: AsyncConnection, column: str, lane: Mapping[str, str], values: Sequence[str]
) -> list[tuple[str, str]]:
    """The (e-mail, user id) pairs of a tenant whose `column` has one of these values."""
    if len(values) == 1:  # as each event asks
        return [(email, user_id) for email, user_id in await _OF_ONE[column].read(tx, {**lane, "value": values[0]})]
    found: list[tuple[str, str]] = []
    for start in range(0, len(values), LOOKUP_CHUNK):
        rows = await tx.execute(_OF_MANY[column], {**lane, "values": values[start : start + LOOKUP_CHUNK]})
        found += [(row.email, row.user_id) for row in rows.all()]
    return found


async def _delete_emails(tx: AsyncConnection, lane: Mapping[str, str], pairs: Iterable[tuple[str, str]]) -> None:
    rows = [{**lane, "email": email, "user_id": user_id} for email, user_id in sorted(pairs)]
    if rows:
        await _DELETE_EMAIL.run(tx, rows)


async def take(tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str, owners: Mapping[str, str]) -> None:
    """The platform says to which user id each of these e-mails leads: they stop leading to anybody else."""
    lane = {"bot_id": bot_id, "channel": channel, "tenant_id": tenant_id}
    stored = await _stored_emails(tx, "email", lane, list(owners))
    await _delete_emails(tx, lane, [(email, user_id) for email, user_id in stored if user_id != owners[email]])


async def disown(tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str, addresses: Sequence[str]) -> None:
    """The platform says that these e-mails lead to nobody: they stop leading to anyone active.

    A deactivated owner keeps them. Nothing is sent to one, and to some platforms deactivated and unknown are the same.
    """
    active = exists().where(
        people.c.bot_id == emails.c.bot_id,
        people.c.channel == emails.c.channel,
        people.c.tenant_id == emails.c.tenant_id,
        people.c.user_id == emails.c.user_id,
        people.c.disabled.is_(False),
    )
    for start in range(0, len(addresses), LOOKUP_CHUNK):
        await tx.execute(
            delete(emails).where(
                emails.c.bot_id == bot_id,
                emails.c.channel == channel,
                emails.c.tenant_id == tenant_id,
                emails.c.email.in_(addresses[start : start + LOOKUP_CHUNK]),
                active,
            )
        )


@dataclass(frozen=True, slots=True)
class Named:
    """How a person is called, and the language they use; empty where the platform did not say."""

    name: str
    locale: str


async def named(
    tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str, user_ids: Sequence[str]
) -> dict[str, Named]:
    """Names and locales of people of a tenant, by user id."""
    here = (people.c.bot_id == bot_id, people.c.channel == channel, people.c.tenant_id == tenant_id)
    found: dict[str, Named] = {}
    for start in range(0, len(user_ids), LOOKUP_CHUNK):
        chunk = user_ids[start : start + LOOKUP_CHUNK]
        rows = await tx.execute(
            select(people.c.user_id, people.c.name, people.c.locale).where(*here, people.c.user_id.in_(chunk))
        )
        found |= {row.user_id: Named(row.name, row.locale) for row in rows}
    return found


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of an e-mail in one tenant, and how they are called."""

    email: str
    tenant_id: str
    user_id: str
    name: str
    locale: str


async def owners_named(
    tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str | None, emails: Sequence[str]
) -> list[Owner]:
    """Who owns these normal-form e-mails, in one tenant or in all; the latest seen come last."""
    owned, own = email_table, people
    found: list[Owner] = []
    for start in range(0, len(emails), LOOKUP_CHUNK):
        statement = (
            select(owned.c.email, owned.c.tenant_id, owned.c.user_id, own.c.name, own.c.locale)
            .join(
                own,
                and_(
                    own.c.bot_id == owned.c.bot_id,
                    own.c.channel == owned.c.channel,
                    own.c.tenant_id == owned.c.tenant_id,
                    own.c.user_id == owned.c.user_id,
                ),
            )
            .where(
                owned.c.bot_id == bot_id,
                owned.c.channel == channel,
                owned.c.email.in_(emails[start : start + LOOKUP_CHUNK]),
            )
            .order_by(owned.c.seen_at)
        )
        if tenant_id is not None:
            statement = statement.where(owned.c.tenant_id == tenant_id)
        found += [Owner(*tuple(row)) for row in (await tx.execute(statement)).all()]
    return found


async def set_disabled(
    tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str, user_id: str, disabled: bool, now: float
) -> None:
    """The platform told us that a person was deactivated, and counts for no domain any more, or came back."""
    if disabled:
        await tx.execute(
            update(emails)
            .where(
                emails.c.bot_id == bot_id,
                emails.c.channel == channel,
                emails.c.tenant_id == tenant_id,
                emails.c.user_id == user_id,
            )
            .values(domain=None)
        )
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


async def lookup(
    tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str | None, addresses: Sequence[str]
) -> list[KnownPerson]:
    """Everyone known under these normal-form e-mails, in one tenant or (None) in all of the bot's tenants."""
    statement = _KNOWN_ANYWHERE if tenant_id is None else _KNOWN_HERE
    lane = {"bot_id": bot_id, "channel": channel} | ({} if tenant_id is None else {"tenant_id": tenant_id})
    found: list[KnownPerson] = []
    for start in range(0, len(addresses), LOOKUP_CHUNK):
        rows = await tx.execute(statement, {**lane, "addresses": addresses[start : start + LOOKUP_CHUNK]})
        found += [KnownPerson(*row) for row in rows.all()]
    return found


def _known_people() -> Select[Any]:
    references = conversation_references
    lane_and_person = ("bot_id", "channel", "tenant_id", "user_id")
    same_person = and_(*(people.c[name] == emails.c[name] for name in lane_and_person))
    same_reference = and_(*(references.c[name] == emails.c[name] for name in lane_and_person))
    return (
        select(
            emails.c.tenant_id,
            emails.c.email,
            emails.c.user_id,
            people.c.name,
            people.c.kind,
            people.c.disabled,
            people.c.source,
            emails.c.seen_at,
            references.c.channel_id,
            references.c.conversation_id,
            references.c.service_url,
            references.c.active,
            references.c.inactive_reason,
            references.c.learned_at,
            references.c.changed_at,
        )
        .select_from(emails.join(people, same_person).outerjoin(references, same_reference))
        .where(
            emails.c.bot_id == bindparam("bot_id"),
            emails.c.channel == bindparam("channel"),
            emails.c.email.in_(bindparam("addresses", expanding=True)),
        )
    )


_KNOWN_ANYWHERE = _known_people()
_KNOWN_HERE = _KNOWN_ANYWHERE.where(emails.c.tenant_id == bindparam("tenant_id"))
