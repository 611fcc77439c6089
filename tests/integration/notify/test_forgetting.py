"""A person who asks for it is forgotten: their rows tell nobody who they were, and nobody else's change."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select, update

from notify import forgetting
from notify.digest import pseudonym
from notify.forgetting import Found
from notify.piecemeal import AT_ONCE
from notify.requests import Requests
from storage import directory, misses, references, tables
from storage.directory import Person
from storage.engine import Database
from storage.persons import Scope
from storage.references import Reference
from tests.integration.notify.kit import BOT, HOME, People, crowd, is_sound, serving, user_id
from tests.integration.notify.past import KEY, NOW, TEXT, Watched, closed, legible, watched

ANN, BOB, ALIAS = "ann@x.example", "bob@x.example", "ann.old@x.example"
GONE = pseudonym(KEY, ANN)
MARK = "the mark of somebody in the record"


@pytest.fixture(name="seen")
async def _seen(database_url: str) -> AsyncIterator[Watched]:
    opened = watched(database_url)
    yield opened
    await opened.close()


async def find(
    database: Database, email: str | None = ANN, user: str | None = None, scope: Scope | None = None
) -> Found:
    """Who that is."""
    return await forgetting.find(database, forgetting.wanted(scope or Scope(), email=email, user_id=user))


async def forget(database: Database, **who: Any) -> forgetting.Forgotten:
    """Find and forget, as the command does."""
    return await forgetting.forget(database, await find(database, **who), key=KEY, mark=MARK, now=NOW)


async def know(database: Database, email: str = ANN, *more: str, tenant: str = HOME, person: str = "") -> None:
    """The directory has somebody, with a conversation and a miss of before."""
    person = person or user_id(email)
    async with database.write() as tx:
        await directory.learn(
            tx,
            bot_id=BOT,
            channel="slack",
            tenant_id=tenant,
            persons=[Person(person, (email, *more), "Ann Example")],
            source="event",
            now=NOW,
        )
        await references.capture(tx, Reference(BOT, "slack", tenant, person, person, "D-1", None, NOW), NOW)
        await misses.remember(
            tx,
            bot_id=BOT,
            channel="slack",
            tenant_id="T9",
            reasons=[(email, "person_not_found")],
            now=NOW,
            until=NOW + 900,
        )


async def names(database: Database) -> list[tuple[str, str, str | None]]:
    """Each delivery's identity, the identity as it was written, and the user id, in order."""
    table = tables.deliveries
    async with database.read() as tx:
        rows = await tx.execute(select(table.c.identity, table.c.original_id, table.c.user_id).order_by(table.c.seq))
    return [(row[0], row[1], row[2]) for row in rows]


async def payloads(database: Database) -> dict[str, bool]:
    """Whether each request has its message still."""
    table = tables.requests
    async with database.read() as tx:
        return {row.id: bool(row.payload) for row in await tx.execute(select(table.c.id, table.c.payload))}


class TestForgotten:
    async def test_illegible(self, seen: Watched, database_url: str) -> None:
        """Neither e-mail, user id, name nor text of the person can be read in the database afterwards."""
        await know(seen)
        await closed(seen, "ds-1", [ANN, ANN])
        before = await legible(seen, database_url)

        done = await forget(seen)

        after = await legible(seen, database_url)
        secrets = (ANN, "Ann@x", "Ann Example", "UANN", "D-UANN", "D-1", TEXT, "Fine by me")
        assert (2, 2, 1, 4, 0) == (done.deliveries, done.responses, done.messages, done.directory, done.still_open)
        assert [] == [each for each in secrets if each not in before]
        assert [] == [each for each in secrets if each in after]

    async def test_status(self, seen: Watched) -> None:
        """The status of a request goes on: as many entries in the same order, the person's under a keyed hash."""
        requests = Requests(seen, wake=lambda _: None, deadline_hours=24.0)
        await closed(seen, "ds-1", [BOB, ANN, ANN])

        await forget(seen)

        record = await requests.status(BOT, "ds-1")
        assert record is not None
        assert ("SUCCESS", 3) == (record.status, record.succeeded)
        assert ["Bob@x.example", GONE, GONE] == [entry.original_id for entry in record.entries]
        assert [(1, False), (0, False), (0, False)] == [
            (len(entry.responses), entry.succeeded is False) for entry in record.entries
        ]
        await is_sound(seen)

    async def test_others(self, seen: Watched) -> None:
        """Nobody else's rows change, and a message that others got stays."""
        for email in (ANN, BOB):
            await know(seen, email)
        await closed(seen, "ds-1", [ANN, BOB])
        await closed(seen, "ds-2", [ANN])
        await closed(seen, "ds-3", [BOB])

        done = await forget(seen)

        bob = (BOB, "Bob@x.example", "UBOB")
        assert [(GONE, GONE, None), bob, (GONE, GONE, None), bob] == await names(seen)
        assert {"ds-1": True, "ds-2": False, "ds-3": True} == await payloads(seen)
        assert (2, 1) == (done.deliveries, done.messages)
        assert 4 == (await find(seen, BOB)).directory

    async def test_every_name(self, seen: Watched) -> None:
        """Deliveries under a further e-mail, under the user id, and ones that only hold the address are found."""
        await know(seen, ANN, ALIAS)
        await closed(seen, "ds-1", [ANN])
        await closed(seen, "ds-2", [ALIAS], user_id=None, channel_id=None)
        await closed(seen, "ds-3", ["uann@x.example"], identity="UANN")
        await closed(
            seen, "ds-4", [f"ann <{ANN}>"], reason="identity_invalid", state="refused", user_id=None, channel_id=None
        )
        await closed(seen, "ds-5", [ALIAS], user_id="UOTHER", channel_id="UOTHER")
        await closed(seen, "ds-6", [BOB], user_id="UANN", tenant_id="T2", channel_id="UANN")

        done = await forget(seen)

        left = [name for name, _, _ in await names(seen) if not name.startswith("forgotten-")]
        assert (4, [ALIAS, BOB]) == (done.deliveries, left)

    async def test_by_user_id(self, seen: Watched) -> None:
        """A user id finds the person's e-mails, and their deliveries in every tenant."""
        await know(seen)
        await closed(seen, "ds-1", [ANN])
        await closed(seen, "ds-2", [ANN], user_id=None, channel_id=None)

        done = await forget(seen, email=None, user=" UANN ")

        assert (2, 4) == (done.deliveries, done.directory)

    async def test_scope(self, seen: Watched) -> None:
        """With a bot or a channel only its rows change."""
        await know(seen)
        await closed(seen, "ds-1", [ANN])

        other = [await forget(seen, scope=scope) for scope in (Scope("st-other"), Scope(BOT, "msteams"))]
        own = await forget(seen, scope=Scope(BOT, "slack"))

        assert [(0, 0), (0, 0), (1, 4)] == [(done.deliveries, done.directory) for done in (*other, own)]

    async def test_open(self, seen: Watched) -> None:
        """What is open is left alone with the directory that it needs; the same call takes the rest afterwards."""
        await know(seen)
        await closed(seen, "ds-1", [ANN])
        await closed(seen, "ds-2", [ANN], state="accepted")

        first = await forget(seen)
        between = await find(seen)
        async with seen.write() as tx:
            await tx.execute(update(tables.deliveries).values(state="skipped", final_at=NOW))
            await tx.execute(update(tables.requests).values(closed_at=NOW, done=1, times_closed=1, status="FAILURE"))
        second = await forget(seen)

        assert (1, 0, 1) == (first.deliveries, first.directory, first.still_open)
        assert (0, 1, 4) == (len(between.final), len(between.open), between.directory)
        assert (1, 4, 1, 0) == (second.deliveries, second.directory, second.messages, second.still_open)
        assert (await find(seen)).is_nothing

    async def test_interrupted(self, seen: Watched) -> None:
        """Ended in the middle, each piece is whole or undone, and the same call takes the rest."""
        await know(seen)
        for number in range(3):
            await closed(seen, f"ds-{number}", [ANN] * AT_ONCE)
        seen.last = 2

        with pytest.raises(OSError, match="gone"):
            await forget(seen)
        between = await find(seen)
        seen.last = None
        second = await forget(seen)

        assert (AT_ONCE, 4) == (len(between.final), between.directory)
        assert (AT_ONCE, 1, 4) == (second.deliveries, second.messages, second.directory)
        assert {f"ds-{number}": False for number in range(3)} == await payloads(seen)

    async def test_recorded(self, seen: Watched) -> None:
        """The audit record says that somebody was forgotten and how many rows it were, and not who."""
        await closed(seen, "ds-1", [ANN])

        await forget(seen)

        async with seen.read() as tx:
            (event,) = (await tx.execute(select(tables.audit_events))).all()
        assert ("person_purged", "operator", MARK) == (event.kind, event.actor, event.subject)
        assert 1 == json.loads(event.detail)["deliveries"]

    async def test_while_others_are_sent(self, seen: Watched) -> None:
        """Beside a server at full pace: a few rows in each transaction, and everybody else gets every message."""
        people = People()
        people.add(HOME, *crowd(40))
        for number in range(4):
            await closed(seen, f"ds-{number}", [ANN] * AT_ONCE)
        seen.pieces.clear()
        async with serving(seen, people=people) as server:
            await server.install(HOME)
            second = Database.open(str(seen.engine.url.render_as_string(hide_password=False)))
            found = await find(second)
            forgotten = asyncio.create_task(forgetting.forget(seen, found, key=KEY, mark=MARK, now=NOW))
            requests: list[str] = []
            while not forgotten.done() or not requests:
                requests.append(await server.accept(crowd(40)))
                await server.closed(requests[-1])
            await second.close()

        assert (4 * AT_ONCE, AT_ONCE) == ((await forgotten).deliveries, max(seen.pieces))
        assert {user_id(email): len(requests) for email in crowd(40)} == server.platform.mailbox
