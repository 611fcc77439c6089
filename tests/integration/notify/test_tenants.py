"""Several tenants: the entry lane finds where a person is, and nobody waits for a tenant that is not there."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import func, select, update

from adapters.base import Fault, FaultClass, Refused
from identity.answers import LookupFailed, NoPerson
from notify.records import NotInstalled
from storage import installations, references
from storage.engine import Database
from storage.installations import Installation
from storage.tables import deliveries
from tests.integration.notify.kit import (
    BOT,
    ELSEWHERE,
    HOME,
    REVOKED,
    People,
    Platform,
    build,
    crowd,
    row,
    rows,
    serving,
    soon,
    until,
    user_id,
)

ENTRY = ""
GONE = Fault(FaultClass.REFUSED, "person_not_found", "Check the address.", "user_not_found")


class TestEntryLane:
    async def test_known_in_one_tenant(self, database: Database) -> None:
        """A person whom the directory knows among others of the domain goes straight to the tenant that knows them."""
        async with serving(database) as server:
            await server.install(HOME, ELSEWHERE)
            await server.know(["ann@x.example", "bob@x.example"], ELSEWHERE)
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


class TestSeveral:
    async def test_nobody_guesses(self, database: Database) -> None:
        """A person whom two tenants have, as far as nothing tells them apart, is refused with the names of both."""
        people = People()
        people.add(HOME, "ann@x.example")
        people.add(ELSEWHERE, "ann@x.example")
        async with serving(database, people=people) as server:
            await server.install(HOME, ELSEWHERE, "T3")
            await name(database, HOME, "Acme")
            request = await server.accept(["ann@x.example"])
            (record,) = await server.closed(request)

        (entry,) = record.entries
        assert (entry.outcome, entry.reason) == ("refused", "person_ambiguous")
        assert entry.remedy == "The address is known in T1 (Acme) and T2: name one of them in options.tenant."
        assert [(step["source"], step.get("tenant")) for step in entry.trace] == [
            ("installations", None),
            ("directory (test directory)", HOME),
            ("directory (test directory)", ELSEWHERE),
            ("test directory", "T3"),
            ("tenants", None),
        ]
        assert entry.trace[-1]["result"] == "found in 2: T1, T2"
        assert server.platform.calls == []

    async def test_talked_to_us_last(self, database: Database) -> None:
        """Of two tenants that have the person, the one where they talked to us last is sent to, without a question."""
        async with serving(database) as server:
            await server.install(HOME, ELSEWHERE)
            for tenant, at in ((HOME, 5.0), (ELSEWHERE, 9.0)):
                await server.know(["ann@x.example"], tenant)
                await server.write_to(["ann@x.example"], tenant, at=at)
            request = await server.accept(["ann@x.example"])
            await server.closed(request)
            found = await row(database, request)

        assert (found["state"], found["tenant_id"], server.people.asked) == ("sent", ELSEWHERE, [])

    async def test_our_own_message_is_no_talk(self, database: Database) -> None:
        """That we wrote to a person in a tenant does not make it theirs."""
        people = People()
        people.add(HOME, "ann@x.example")
        async with serving(database, people=people) as server:
            await server.install(HOME)
            await server.closed(await server.accept(["ann@x.example"]))
            people.add(ELSEWHERE, "ann@x.example")
            await server.install(ELSEWHERE)
            request = await server.accept(["ann@x.example"])
            await server.closed(request)
            found = await row(database, request)

        assert (found["state"], found["reason"]) == ("refused", "person_ambiguous")

    async def test_a_talk_that_was_not_known(self, database: Database) -> None:
        """A conversation whose person is only found by asking decides as well."""
        people = People()
        people.add(HOME, "ann@x.example")
        people.add(ELSEWHERE, "ann@x.example")
        async with serving(database, people=people) as server:
            await server.install(HOME, ELSEWHERE, "T3")
            await server.write_to(["ann@x.example"], HOME)  # whose e-mail is not known yet
            request = await server.accept(["ann@x.example"])
            await server.closed(request)
            found = await row(database, request)

        assert (found["state"], found["tenant_id"]) == ("sent", HOME)
        assert len(people.asked) == 3

    async def test_home_by_domain(self, database: Database) -> None:
        """A stranger is looked for where the members have the domain, and guests and strays do not count as such."""
        people = People()
        for tenant in (HOME, ELSEWHERE):
            people.add(tenant, "ann@x.example")
        async with serving(database, people=people) as server:
            await server.install(HOME, ELSEWHERE)
            await server.know(crowd(18), ELSEWHERE)
            await server.know(crowd(2, "stray"), HOME)
            await server.know(crowd(50, "visitor"), HOME, kind="guest")
            request = await server.accept(["ann@x.example"])
            await server.closed(request)
            found = await row(database, request)

        assert (found["state"], found["tenant_id"]) == ("sent", ELSEWHERE)
        assert people.asked == [(ELSEWHERE, "ann@x.example")]

    async def test_no_home(self, database: Database) -> None:
        """A domain that two tenants share is at home in neither; most of its members say whom to ask first."""
        people = People()
        for tenant in (HOME, ELSEWHERE):
            people.add(tenant, "ann@x.example")
        async with serving(database, people=people) as server:
            await server.install(HOME, ELSEWHERE)
            await server.know(crowd(17), ELSEWHERE)
            await server.know(crowd(3, "other"), HOME)
            request = await server.accept(["ann@x.example"])
            await server.closed(request)
            found = await row(database, request)

        assert (found["state"], found["reason"]) == ("refused", "person_ambiguous")
        assert [tenant for tenant, _ in people.asked] == [ELSEWHERE, HOME]

    async def test_a_guest_is_found_nowhere_else(self, database: Database) -> None:
        """Where a channel reaches guests, one is sent to in the tenant that has them if no other has them as member."""
        people = People()
        people.add(HOME, "ann@x.example", "bob@y.example", kind="guest")
        people.add(ELSEWHERE, "ann@x.example")
        async with serving(database, people=people) as server:
            await server.install(HOME, ELSEWHERE)
            request = await server.accept(["ann@x.example", "bob@y.example"])
            await server.closed(request)
            found = await rows(database, request)

        assert [(each["state"], each["tenant_id"]) for each in found] == [("sent", ELSEWHERE), ("sent", HOME)]

    async def test_one_organisation(self, database: Database) -> None:
        """The workspaces of one organisation have the same accounts: the first that finds the person is enough."""
        people = People()
        for tenant in (HOME, ELSEWHERE):
            people.add(tenant, "ann@x.example")
        async with serving(database, people=people) as server:
            for tenant in (HOME, ELSEWHERE):
                await server.install(tenant)
                await name(database, tenant, tenant, enterprise="E1")
            request = await server.accept(["ann@x.example"])
            await server.closed(request)
            found = await row(database, request)

        assert (found["state"], found["tenant_id"], len(people.asked)) == ("sent", HOME, 1)

    async def test_look_ups_at_fault(self, database: Database) -> None:
        """A tenant whose look-ups are misconfigured holds nobody whom another tenant has, and shows its fault."""
        people = People()
        people.failures["ann@x.example"].append(LookupFailed(REVOKED, 3600.0))  # the first tenant to be asked
        people.add(ELSEWHERE, "ann@x.example")
        async with serving(database, people=people) as server:
            await server.install(HOME, ELSEWHERE)
            request = await server.accept(["ann@x.example"])
            await server.closed(request)
            found = await row(database, request)
            pause = await server.pause(HOME)

        assert (found["state"], found["tenant_id"]) == ("sent", ELSEWHERE)
        assert pause is not None
        assert pause.reason == REVOKED.reason

    async def test_only_the_one_at_fault_may_have_them(self, database: Database) -> None:
        """Whom no other tenant has waits for the one that could not be asked, and is found when it can."""
        people = People()
        people.failures["ann@x.example"].append(LookupFailed(REVOKED, 3600.0))
        people.add(HOME, "ann@x.example")
        async with serving(database, people=people) as server:
            await server.install(HOME, ELSEWHERE)
            request = await server.accept(["ann@x.example"])

            async def back() -> bool:
                found = await row(database, request)
                return bool(found["tenant_id"] == HOME and found["next_at"] > server.wall() + 1)

            await until(back, "the delivery waits in the first tenant again")
            server.wall.ahead += 61.0
            server.runner.wake(server.lane(HOME), True)
            await server.closed(request)
            found = await row(database, request)

        assert (found["state"], found["tenant_id"]) == ("sent", HOME)

    async def test_refused_on_the_wire(self, database: Database) -> None:
        """Whom the best tenant refuses is looked for in the others, and the trace says who refused and how."""
        people, platform = People(), Platform()
        people.add(ELSEWHERE, "ann@x.example")
        platform.will("UANN", Refused(GONE))
        async with serving(database, platform, people) as server:
            await server.install(HOME, ELSEWHERE)
            await server.know(["ann@x.example"], HOME)
            await server.write_to(["ann@x.example"], HOME)
            request = await server.accept(["ann@x.example"])
            (record,) = await server.closed(request)

        assert [call.tenant for call in platform.calls] == [HOME, ELSEWHERE]
        steps = [(step["source"], step.get("tenant"), step.get("code")) for step in record.entries[0].trace]
        assert ("send", HOME, "user_not_found") in steps
        assert record.entries[0].tenant_id == ELSEWHERE

    async def test_without_the_app(self, database: Database) -> None:
        """Whoever removed the app in one tenant is reached in another, and told of only when no other has them."""
        people = People()
        people.add(ELSEWHERE, "ann@x.example")
        everybody = ["ann@x.example", "bob@x.example"]
        async with serving(database, people=people) as server:
            await server.install(HOME, ELSEWHERE)
            await server.know(everybody, HOME)
            await server.write_to(everybody, HOME)
            async with database.write() as tx:
                for email in everybody:
                    await references.deactivate(
                        tx,
                        bot_id=BOT,
                        channel="slack",
                        tenant_id=HOME,
                        person=user_id(email),
                        reason="app_not_installed",
                        learned_at=2.0,
                        now=server.wall(),
                    )
            request = await server.accept(everybody)
            await server.closed(request)
            found = await rows(database, request)

        assert [(each["state"], each["reason"]) for each in found] == [("sent", None), ("refused", "app_not_installed")]

    async def test_a_restart_between_two_answers(self, database: Database) -> None:
        """Who was found where is in the row: a successor that finds nobody in the last tenant sends in the first."""
        people = People()
        people.add(HOME, "ann@x.example")
        async with serving(database, people=people) as server:
            await server.install(HOME, ELSEWHERE)
            hold = people.hold(ELSEWHERE)
            request = await server.accept(["ann@x.example"])
            await soon(hold, "the last tenant is asked")
        people.held.clear()
        carried = await row(database, request)
        async with serving(database, people=people) as server:
            await server.closed(request)
            found = await row(database, request)

        assert (carried["tenant_id"], json.loads(carried["candidates"])) == (
            ELSEWHERE,
            {"ask": [], "found": [{"tenant": HOME}]},
        )
        assert (found["state"], found["tenant_id"]) == ("sent", HOME)

    async def test_a_list_of_an_earlier_version(self, database: Database) -> None:
        """A row that an earlier version moved is taken up where it was left."""
        people = People()
        people.add(ELSEWHERE, "ann@x.example")
        server = build(database, Platform(), people)
        await server.install(HOME, ELSEWHERE)
        request = await server.accept(["ann@x.example"])
        async with database.write() as tx:
            await tx.execute(update(deliveries).values(tenant_id=HOME, candidates='["T2"]'))
        async with serving(database, people=people) as successor:
            (record,) = await successor.closed(request)

        assert record.status == "SUCCESS"


class TestPinned:
    async def test_straight_there(self, database: Database) -> None:
        """A delivery whose caller names the tenant goes there, whatever is known of the person elsewhere."""
        people = People()
        people.add(HOME, "ann@x.example")
        async with serving(database, people=people) as server:
            await server.install(HOME, ELSEWHERE)
            await server.know(["ann@x.example"], ELSEWHERE)
            await server.write_to(["ann@x.example"], ELSEWHERE)
            request = await server.accept(["ann@x.example"], tenant=HOME)
            accepted = await row(database, request)
            await server.closed(request)
            found = await row(database, request)

        assert accepted["tenant_id"] == HOME
        assert (found["state"], found["tenant_id"]) == ("sent", HOME)
        assert people.asked == [(HOME, "ann@x.example")]

    async def test_never_moved(self, database: Database) -> None:
        """Whom the named tenant does not have, or refuses on the wire, is not looked for in another."""
        people, platform = People(), Platform()
        people.add(ELSEWHERE, "ann@x.example", "bob@x.example")
        people.add(HOME, "bob@x.example")
        platform.will("UBOB", Refused(GONE))
        async with serving(database, platform, people) as server:
            await server.install(HOME, ELSEWHERE)
            request = await server.accept(["ann@x.example", "bob@x.example"], tenant=HOME)
            await server.closed(request)
            found = await rows(database, request)

        assert [(each["state"], each["reason"]) for each in found] == [("refused", "person_not_found")] * 2
        assert {each["tenant_id"] for each in found} == {HOME}
        assert {tenant for tenant, _ in people.asked} == {HOME}

    async def test_the_platforms_spelling(self, database: Database) -> None:
        """A GUID may be written in capitals."""
        tenant = "0a1b2c3d-0000-4000-8000-00000000000f"
        people = People()
        people.add(tenant, "ann@x.example")
        async with serving(database, people=people) as server:
            await server.install(HOME, tenant)
            request = await server.accept(["ann@x.example"], tenant=tenant.upper())
            await server.closed(request)

            assert (await row(database, request))["tenant_id"] == tenant

    async def test_not_installed_there(self, database: Database) -> None:
        """A tenant without the app is refused, and nothing is stored."""
        async with serving(database) as server:
            await server.install(HOME, ELSEWHERE)
            with pytest.raises(NotInstalled):
                await server.accept(["ann@x.example"], tenant="T3")

            assert await server.requests.status(BOT, "ds-any") is None
            async with database.read() as tx:
                assert (await tx.execute(select(func.count()).select_from(deliveries))).scalar_one() == 0


async def name(database: Database, tenant: str, text: str, *, enterprise: str | None = None) -> None:
    """An installation's name, and the organisation that it belongs to."""
    async with database.write() as tx:
        named = Installation(BOT, "slack", tenant, installed_at=2.0, name=text, enterprise_id=enterprise)
        await installations.save(tx, named, 2.0)


async def _moved(database: Database, request: str) -> bool:
    return bool((await row(database, request))["tenant_id"] != ENTRY)
