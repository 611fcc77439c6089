"""The small doors of the database keep their promises on both engines."""

from __future__ import annotations

from sqlalchemy import func, select

from notify.housekeeping import tidy
from storage import chores, directory, inbox, installations, misses, oauth_states
from storage.engine import Database
from storage.installations import Installation
from storage.tables import misses as misses_table


async def test_an_event_is_handled_once(database: Database) -> None:
    """The second arrival of an event id is told apart from the first."""
    async with database.write() as tx:
        first = await inbox.first_time(tx, bot_id="b", channel="slack", event_id="Ev1", now=1.0)
        second = await inbox.first_time(tx, bot_id="b", channel="slack", event_id="Ev1", now=2.0)

    assert (True, False) == (first, second)


async def test_a_late_removal_leaves_a_newer_install(database: Database) -> None:
    """An uninstall event older than the reinstall does not remove it."""
    async with database.write() as tx:
        await installations.save(tx, Installation("b", "slack", "T1", installed_at=100.0), 100.0)
        removed = await installations.remove(tx, bot_id="b", channel="slack", tenant_id="T1", event_at=99.0, now=101.0)

    assert not removed


async def test_a_late_install_does_not_undo_a_removal(database: Database) -> None:
    """An install event older than the tombstone does not revive the installation; a newer one does."""
    async with database.write() as tx:
        await installations.save(tx, Installation("b", "slack", "T1", installed_at=5.0), 5.0)
        await installations.remove(tx, bot_id="b", channel="slack", tenant_id="T1", event_at=7.0, now=7.0)
        late = await installations.save(tx, Installation("b", "slack", "T1", installed_at=6.0), 8.0)
        newer = await installations.save(tx, Installation("b", "slack", "T1", installed_at=8.0), 8.0)
        alive = await installations.active(tx, bot_id="b", channel="slack")

    assert (False, True) == (late, newer)
    assert [8.0] == [row.installed_at for row in alive]


async def test_a_person_is_found_under_the_current_addresses_only(database: Database) -> None:
    """An address that a person gave up no longer leads to them."""
    async with database.write() as tx:
        for now, addresses in ((1.0, ("old@x", "kept@x")), (2.0, ("kept@x", "new@x"))):
            await directory.learn(
                tx,
                bot_id="b",
                channel="slack",
                tenant_id="T1",
                persons=[directory.Person("U1", addresses)],
                source="event",
                now=now,
            )
        found = await directory.lookup(
            tx, bot_id="b", channel="slack", tenant_id=None, addresses=["old@x", "kept@x", "new@x"]
        )

    assert {"kept@x", "new@x"} == {person.email for person in found}


async def test_an_address_given_up_is_gone_whatever_the_clock_says(database: Database) -> None:
    """A clock that was set back does not keep an old address alive."""
    async with database.write() as tx:
        for now, addresses in ((100.0, ("old@x",)), (50.0, ("new@x",))):
            await directory.learn(
                tx,
                bot_id="b",
                channel="slack",
                tenant_id="T1",
                persons=[directory.Person("U1", addresses)],
                source="event",
                now=now,
            )
        found = await directory.lookup(tx, bot_id="b", channel="slack", tenant_id="T1", addresses=["old@x", "new@x"])

    assert ["new@x"] == [person.email for person in found]


async def test_a_thousand_people_keep_exactly_their_addresses(database: Database) -> None:
    """A page of a thousand is stored as a whole: the addresses given up go, those of others stay."""
    pages = [
        [directory.Person(f"U{number}", (f"{number}@x", f"{number}{kind}@x")) for number in range(1000)]
        for kind in ("old", "new")
    ]
    async with database.write() as tx:
        other = [directory.Person("V", ("7old@x",))]
        for persons in (pages[0], other, pages[1]):
            await directory.learn(
                tx, bot_id="b", channel="slack", tenant_id="T1", persons=persons, source="users.list", now=1.0
            )
        asked = [f"{number}{kind}@x" for number in range(1000) for kind in ("", "old", "new")]
        found = await directory.lookup(tx, bot_id="b", channel="slack", tenant_id="T1", addresses=asked)

    kept = {(f"{number}{kind}@x", f"U{number}") for number in range(1000) for kind in ("", "new")}
    assert kept | {("7old@x", "V")} == {(person.email, person.user_id) for person in found}


async def test_misses_are_forgotten_when_they_end(database: Database) -> None:
    """An e-mail that belonged to nobody is not kept longer than it is believed."""
    async with database.write() as tx:
        await misses.remember(
            tx,
            bot_id="b",
            channel="slack",
            tenant_id="T1",
            reasons=[("a@x", "person_not_found")],
            now=0.0,
            until=10.0,
        )
    await tidy(database, days=90.0, key=b"k", now=9.0)
    async with database.read() as tx:
        early = await tx.scalar(select(func.count()).select_from(misses_table))
    await tidy(database, days=90.0, key=b"k", now=10.0)
    async with database.read() as tx:
        late = await tx.scalar(select(func.count()).select_from(misses_table))

    assert (1, 0) == (early, late)


async def test_asking_for_a_waiting_chore_only_brings_it_forward(database: Database) -> None:
    """One chore per (lane, kind, key), at the earliest of the times asked for."""
    async with database.write() as tx:
        for at in (50.0, 30.0, 40.0):
            await chores.add(
                tx, bot_id="b", channel="slack", tenant_id="T1", kind="sync", key="T1", detail={"page": 1}, at=at
            )
        due = await chores.due(tx, bot_id="b", channel="slack", tenant_id="T1", now=30.0, limit=10)
        next_due = await chores.next_due(tx, bot_id="b", channel="slack", tenant_id="T1")

    assert [("sync", "T1", {"page": 1})] == [(row.kind, row.key, row.detail) for row in due]
    assert 30.0 == next_due


async def test_an_oauth_state_is_good_once_and_for_its_bot(database: Database) -> None:
    """A state is consumed by its own bot before it expires, exactly once."""
    async with database.write() as tx:
        await oauth_states.issue(tx, state="s", bot_id="b", now=0.0, expires_at=10.0)
        foreign = await oauth_states.consume(tx, state="s", bot_id="other", now=5.0)
        first = await oauth_states.consume(tx, state="s", bot_id="b", now=5.0)
        second = await oauth_states.consume(tx, state="s", bot_id="b", now=5.0)

    assert (False, True, False) == (foreign, first, second)
