"""What is old goes, a few rows at a time, and what is left tells nobody who it was about; on both databases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import func, select, update

from identity.resolver import KEPT_SECONDS
from notify import housekeeping
from notify.piecemeal import AT_ONCE
from notify.requests import Requests
from storage import directory, installations, leftovers, misses, references, tables
from storage import requests as request_store
from storage.directory import Person
from storage.engine import Database
from storage.installations import Installation
from storage.references import Reference
from tests.integration.notify.kit import BOT, HOME, People, crowd, is_sound, serving, user_id
from tests.integration.notify.past import DAY, KEY, NOW, TEXT, Watched, closed, legible, watched

DAYS = 90
LATER = NOW + DAYS * DAY + 60


@pytest.fixture(name="seen")
async def _seen(database_url: str) -> AsyncIterator[Watched]:
    opened = watched(database_url)
    yield opened
    await opened.close()


async def tidy(database: Database, now: float = LATER) -> housekeeping.Tidied:
    """One round."""
    return await housekeeping.tidy(database, days=DAYS, key=KEY, now=now)


async def the(database: Database, request: str) -> Any:
    """The row of a request."""
    table = tables.requests
    async with database.read() as tx:
        return (await tx.execute(select(table).where(table.c.id == request))).one()


async def count(database: Database, *names: str) -> list[int]:
    """How many rows these tables have."""
    counted = [select(func.count()).select_from(tables.metadata.tables[name]) for name in names]
    async with database.read() as tx:
        return [int((await tx.execute(each)).scalar_one()) for each in counted]


class TestRequests:
    async def test_emptied(self, seen: Watched, database_url: str) -> None:
        """90 days after it was closed a request keeps its counts and a digest; no text, e-mail or id can be read."""
        await closed(seen, "ds-old", crowd(60))
        before = await legible(seen, database_url)

        tidied = await tidy(seen)

        row, after = await the(seen, "ds-old"), await legible(seen, database_url)
        assert (1, [0, 0]) == (tidied.requests, await count(seen, "deliveries", "responses"))
        assert (60, 60, "SUCCESS", b"", "{}") == (row.total, row.succeeded, row.status, bytes(row.payload), row.options)
        assert {"sent": 60} == json.loads(row.digest)["states"]
        secrets = (TEXT, "p7@x.example", "P7@x.example", user_id("p7@x.example"), "Fine by me")
        assert ([True] * 5, [False] * 5) == ([each in before for each in secrets], [each in after for each in secrets])

    async def test_is_unknown(self, seen: Watched) -> None:
        """The status of an emptied request is that of an unknown one, also while it is being emptied."""
        requests = Requests(seen, wake=lambda _: None, deadline_hours=24.0)
        await closed(seen, "ds-old", ["ann@x.example"])
        async with seen.write() as tx:
            await tx.execute(update(tables.requests).values(kind="removed", options='{"states":{}}'))

        between = await requests.status(BOT, "ds-old")
        await tidy(seen)

        assert (None, None) == (between, await requests.status(BOT, "ds-old"))

    async def test_young(self, seen: Watched) -> None:
        """A request that is open, or was closed more recently, is left alone."""
        await closed(seen, "ds-young", ["ann@x.example"], closed_at=LATER - DAYS * DAY + 1)
        await closed(seen, "ds-open", ["bob@x.example"], state="accepted")

        tidied = await tidy(seen)

        assert (0, [2]) == (tidied.requests, await count(seen, "deliveries"))

    async def test_few_at_once(self, seen: Watched) -> None:
        """No transaction deletes more than a few deliveries, and the audit finds nothing wrong between two of them."""
        await closed(seen, "ds-old", crowd(3 * AT_ONCE + 1))
        for number in range(30):
            await closed(seen, f"ds-{number}", ["ann@x.example"])
        audited = asyncio.create_task(_audit_until_empty(seen))

        tidied = await tidy(seen)

        assert (31, 3 * AT_ONCE + 31, AT_ONCE) == (tidied.requests, sum(seen.pieces), max(seen.pieces))
        assert {()} == await audited

    async def test_while_others_are_sent(self, seen: Watched) -> None:
        """Requests are accepted and sent while old ones are emptied; each is true at its end."""
        people = People()
        people.add(HOME, *crowd(40))
        for number in range(4):
            await closed(seen, f"ds-{number}", crowd(2 * AT_ONCE, f"old{number}x"))
        async with serving(seen, people=people) as server:
            await server.install(HOME)
            tidying = asyncio.create_task(tidy(seen))
            requests: list[str] = []
            while not tidying.done() or not requests:
                requests.append(await server.accept(crowd(40)))
                await server.closed(requests[-1])

        records = await server.closed(*requests)
        assert (4, {"SUCCESS"}) == ((await tidying).requests, {str(record.status) for record in records})
        assert {user_id(email): len(requests) for email in crowd(40)} == server.platform.mailbox
        await is_sound(seen)


async def _audit_until_empty(database: Database) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    while (await count(database, "deliveries"))[0]:
        async with database.read() as tx:
            found.add(tuple(each.request_id for each in await request_store.miscounts(tx, changed_since=0.0)))
    return found


class TestLog:
    async def test_in_the_way(self, seen: Watched) -> None:
        """Whoever reads for long is not waited for: the log is emptied the next time."""
        await closed(seen, "ds-old", ["ann@x.example"])
        async with seen.read() as tx:
            await tx.execute(select(tables.requests))
            await closed(seen, "ds-new", ["ann@x.example"])
            first = await seen.empty_log()
        second = await seen.empty_log()

        assert (not seen.is_sqlite, True) == (first, second)


class TestDirectory:
    async def test_uninstalled(self, seen: Watched) -> None:
        """90 days after the app was removed nothing about a tenant's people is left; the tombstone stays."""
        for tenant in ("T1", "T2"):
            await _tenant(seen, tenant)
        async with seen.write() as tx:
            await installations.remove(
                tx, bot_id=BOT, channel="slack", tenant_id="T1", event_at=LATER - DAYS * DAY - 1, now=LATER
            )

        await tidy(seen)

        held = ("people", "emails", "conversation_references", "misses", "installations")
        async with seen.read() as tx:
            left = {
                name: set((await tx.execute(select(tables.metadata.tables[name].c.tenant_id))).scalars())
                for name in held
            }
            again = await leftovers.abandoned(tx, removed_before=LATER)
        assert {**{name: {"T2"} for name in held}, "installations": {"T1", "T2"}} == left
        assert again == []

    async def test_installed_again(self, seen: Watched) -> None:
        """A tenant that has the app again keeps its people."""
        await _tenant(seen, "T1")
        async with seen.write() as tx:
            await installations.remove(tx, bot_id=BOT, channel="slack", tenant_id="T1", event_at=2.0, now=2.0)
            await installations.save(tx, Installation(BOT, "slack", "T1", installed_at=3.0), 3.0)

        tidied = await tidy(seen)

        assert (0, [3]) == (tidied.people, await count(seen, "people"))

    async def test_unseen(self, seen: Watched) -> None:
        """Whom no listing, look-up or event has shown for 90 days is forgotten; who can be reached stays reachable."""
        await _tenant(seen, "T1", seen_at=LATER - KEPT_SECONDS - 1)
        async with seen.write() as tx:
            await directory.learn(
                tx, bot_id=BOT, channel="slack", tenant_id="T1", persons=[Person("U0", ("0@x",))], source="e", now=LATER
            )
            inactive = tables.conversation_references
            await tx.execute(update(inactive).where(inactive.c.user_id == "U2").values(active=False))

        tidied = await tidy(seen)

        assert (3, [1, 1, 2]) == (tidied.people, await count(seen, "people", "emails", "conversation_references"))


async def _tenant(database: Database, tenant: str, seen_at: float = LATER) -> None:
    """The app is installed in a tenant with three people, with whom it has conversations, and a miss."""
    persons = [Person(f"U{number}", (f"{number}@x",)) for number in range(3)]
    async with database.write() as tx:
        await installations.save(tx, Installation(BOT, "slack", tenant, installed_at=1.0), 1.0)
        await directory.learn(
            tx, bot_id=BOT, channel="slack", tenant_id=tenant, persons=persons, source="event", now=seen_at
        )
        for person in persons:
            place = Reference(BOT, "slack", tenant, person.user_id, person.user_id, "D1", None, seen_at)
            await references.capture(tx, place, seen_at)
        reasons = [("nobody@x", "person_not_found")]
        await misses.remember(
            tx, bot_id=BOT, channel="slack", tenant_id=tenant, reasons=reasons, now=LATER, until=LATER + 900
        )
