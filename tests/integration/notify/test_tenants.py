"""Several tenants: the entry lane finds where a person is, and nobody waits for a tenant that is not there."""

from __future__ import annotations

from identity.answers import NoPerson
from storage.engine import Database
from tests.integration.notify.kit import (
    ELSEWHERE,
    HOME,
    People,
    crowd,
    row,
    rows,
    serving,
    until,
    user_id,
)

ENTRY = ""


class TestEntryLane:
    async def test_known_in_one_tenant(self, database: Database) -> None:
        """A person whom the directory knows goes straight to the tenant that knows them."""
        async with serving(database) as server:
            await server.install(HOME, ELSEWHERE)
            await server.know(["ann@x.example"], ELSEWHERE)
            request = await server.accept(["ann@x.example"])
            await server.closed(request)
            found = await row(database, request)

        assert (found["state"], found["tenant_id"], server.people.asked) == ("sent", ELSEWHERE, [])

    async def test_asked_in_turn(self, database: Database) -> None:
        """Strangers are asked for in every tenant: found in either, or refused when nobody has them."""
        people = People()
        people.add(HOME, *crowd(20, "home"))
        people.add(ELSEWHERE, *crowd(20, "away"))
        everybody = crowd(20, "home") + crowd(20, "away") + crowd(20, "ghost")
        async with serving(database, people=people) as server:
            await server.install(HOME, ELSEWHERE)
            request = await server.accept(everybody)
            (record,) = await server.closed(request)
            found = await rows(database, request)

        assert record.succeeded == 40
        assert [each["tenant_id"] for each in found] == [HOME] * 20 + [ELSEWHERE] * 40
        assert {each["reason"] for each in found[40:]} == {"person_not_found"}
        assert server.platform.mailbox == {user_id(email): 1 for email in everybody[:40]}
        assert len(people.asked) == 120  # who was found first might have been the other's as well

    async def test_three_tenants_while_one_is_busy(self, database: Database) -> None:
        """Rows that reach a tenant late, from a tenant that did not know them, do not wait for its backlog."""
        people = People()
        people.add("T3", "late@y.example")
        async with serving(database, people=people) as server:
            await server.install(HOME, ELSEWHERE, "T3")
            await server.know(crowd(200), "T3")
            early = await server.accept(["late@y.example"])
            busy = await server.accept(crowd(200))
            await server.closed(early, busy)

            assert (await row(database, early))["tenant_id"] == "T3"

    async def test_one_installation_needs_no_entry_lane(self, database: Database) -> None:
        """With one tenant a delivery begins in its lane."""
        async with serving(database) as server:
            await server.install(HOME)
            request = await server.accept(["ghost@x.example"])

            assert (await row(database, request))["tenant_id"] == HOME

            await server.closed(request)

    async def test_no_installation(self, database: Database) -> None:
        """Without any installation nothing fails: the entry lane says what is missing, and an install delivers."""
        async with serving(database) as server:
            request = await server.accept(["ann@x.example"])

            async def paused() -> bool:
                return await server.pause(ENTRY) is not None

            await until(paused, "the entry lane's row shows the pause")
            record = await server.record(request)
            await server.install(HOME)
            await server.know(["ann@x.example"])
            server.runner.heal(server.lane())
            (final,) = await server.closed(request)

            async def resumed() -> bool:
                return await server.pause(ENTRY) is None

            await until(resumed, "the pause is over")

        assert [(each.tenant_id, each.reason) for each in record.paused] == [(ENTRY, "installation_missing")]
        assert final.status == "SUCCESS"

    async def test_a_restart_keeps_the_place(self, database: Database) -> None:
        """Which tenants are still to be asked survives a restart between two of them."""
        people = People()
        people.add(ELSEWHERE, "ann@x.example")
        async with serving(database, people=people) as server:
            await server.install(HOME, ELSEWHERE)
            request = await server.accept(["ann@x.example"])
            await until(lambda: _moved(database, request), "the row left the entry lane")
        async with serving(database, people=people) as server:
            (record,) = await server.closed(request)

        assert record.status == "SUCCESS"

    async def test_ids(self, database: Database) -> None:
        """A user id that a tenant knows goes there; nobody is looked up."""
        async with serving(database) as server:
            await server.install(HOME, ELSEWHERE)
            await server.write_to(["ann@x.example"], ELSEWHERE)
            request = await server.accept(["UANN"], identity_type="donotresolve")
            await server.closed(request)
            found = await row(database, request)

        assert (found["state"], found["tenant_id"], server.people.asked) == ("sent", ELSEWHERE, [])

    async def test_a_guest_here_is_at_home_there(self, database: Database) -> None:
        """A tenant that knows the person only as a guest or as deactivated does not end the search."""
        people = People()
        people.known[HOME, "ann@x.example"] = NoPerson("guest_not_supported", "Use the home tenant.")
        people.known[HOME, "bob@x.example"] = NoPerson("person_disabled", "")
        people.known[HOME, "eve@x.example"] = NoPerson("person_disabled", "")
        people.add(ELSEWHERE, "ann@x.example", "bob@x.example")
        async with serving(database, people=people) as server:
            await server.install(HOME, ELSEWHERE)
            request = await server.accept(["ann@x.example", "bob@x.example", "eve@x.example"])
            await server.closed(request)
            found = await rows(database, request)

        assert [each["state"] for each in found] == ["sent", "sent", "refused"]
        assert found[2]["reason"] == "person_disabled"  # not: nobody has the address


async def _moved(database: Database, request: str) -> bool:
    return bool((await row(database, request))["tenant_id"] != ENTRY)
