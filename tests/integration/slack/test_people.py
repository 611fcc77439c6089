"""Finding people by e-mail and keeping the directory, against a stub of Slack, on both databases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import select

from adapters.base import Chore, ChoreDone, ChoreLater, Fault, Lane, TenantId
from adapters.slack import faults
from adapters.slack.installations import DIRECTORY
from identity.answers import LookupFailed, NoPerson
from identity.slack import LIST, LOOK_UP, SlackPeople
from identity.slack_listing import Page
from storage.directory import Person
from storage.mirrors import Mirror
from storage.tables import people as people_table
from tests.integration.slack.kit import BOT, TEAM, Heard, SlackSide, StubSlack, user
from tests.integration.slack.people_kit import (
    LANE,
    SLACK,
    ShutGate,
    a,
    daily,
    find,
    listing,
    mirror,
    people,
    run,
    stored,
    was_listed,
    workspace,
)


@pytest.fixture(name="side")
async def installed(side: SlackSide) -> SlackSide:
    await side.install()
    return side


class TestLookUps:
    """A few addresses: one call each."""

    async def test_known_and_unknown(self, side: SlackSide, stub: StubSlack) -> None:
        """A person, or the reason why there is none."""
        workspace(stub, 2)

        found = await find(side, [a(0), "nobody@example.com"])

        person, nobody = found[a(0)], found["nobody@example.com"]
        assert isinstance(person, Person)
        assert (person.user_id, person.emails) == ("U0", (a(0),))
        assert isinstance(nobody, NoPerson)
        assert (nobody.reason, nobody.remember, nobody.code) == ("person_not_found", True, "users_not_found")
        assert side.gate.entered == [LOOK_UP, LOOK_UP]

    async def test_the_address_travels_in_the_body(self, side: SlackSide, stub: StubSlack) -> None:
        """Nothing about a person stands in a URL, where proxies would log it."""
        workspace(stub, 1)

        await find(side, [a(0)])

        [call] = stub.heard
        assert (call.query, call.arguments) == ("", {"email": a(0), "team_id": TEAM})

    @pytest.mark.parametrize("odd", [{"team": "T0ELSE"}, {"is_stranger": True}, {"is_bot": True}])
    async def test_who_cannot_be_written_to(self, side: SlackSide, stub: StubSlack, odd: dict[str, Any]) -> None:
        """S19: an address that somebody elsewhere claims, or a bot has, leads to nobody here, and it says why."""
        stub.replies[LOOK_UP] = lambda _: {"ok": True, "user": user("U9", "x@example.com", **odd)}

        nobody = (await find(side, ["x@example.com"]))["x@example.com"]

        assert isinstance(nobody, NoPerson)
        assert nobody.reason == "recipient_unreachable"

    async def test_a_name_cut_in_half(self, side: SlackSide, stub: StubSlack) -> None:
        """Half of an emoji in one name, which strict readers refuse, hides nobody."""
        cut = user("U1", "ann@example.com") | {"real_name": "Ann \ud83d"}
        page = json.dumps({"ok": True, "members": [cut, user("U2", "bob@example.com")]})
        stub.replies[LIST] = lambda _: web.Response(text=page, content_type="application/json")
        await was_listed(side, 1)

        found = await find(side, [a(number) for number in range(30)] + ["ann@example.com", "bob@example.com"])

        ann = found["ann@example.com"]
        assert isinstance(ann, Person)
        assert ann.name == "Ann ?"
        assert isinstance(found["bob@example.com"], Person)

    async def test_an_alias_leads_to_the_person(self, side: SlackSide, stub: StubSlack) -> None:
        """Slack may know somebody under another address than their profile shows."""
        stub.replies[LOOK_UP] = lambda _: {"ok": True, "user": user("U9", "Main@example.com")}

        found = await find(side, ["alias@example.com"])

        person = found["alias@example.com"]
        assert isinstance(person, Person)
        assert person.emails == ("main@example.com", "alias@example.com")

    async def test_no_addresses_no_calls(self, side: SlackSide, stub: StubSlack) -> None:
        """Nothing asked, nothing called."""
        assert await find(side, []) == {}
        assert stub.heard == []

    @pytest.mark.parametrize("code", ["token_revoked", "missing_scope", "invalid_auth"])
    async def test_a_misconfigured_lane_fails_all_with_one_call_each_worker(
        self, side: SlackSide, stub: StubSlack, code: str
    ) -> None:
        """No address is burnt, and the rest is not even asked."""
        stub.replies[LOOK_UP] = lambda _: {"ok": False, "error": code, "needed": "users:read.email"}

        found = await find(side, [a(number) for number in range(20)])

        answers = list(found.values())
        assert all(isinstance(each, LookupFailed) for each in answers)
        assert {each.fault.reason for each in answers if isinstance(each, LookupFailed)} == {faults.FAULTS[code].reason}
        assert len(stub.heard) <= 8

    async def test_an_unreachable_slack_leaves_all_for_later(self, side: SlackSide, stub: StubSlack) -> None:
        """An unclear answer to a question leaves nothing in doubt."""
        stub.replies[LOOK_UP] = lambda _: web.Response(status=502)

        found = await find(side, [a(0), a(1)])

        assert [each.fault.reason for each in found.values() if isinstance(each, LookupFailed)] == [
            "platform_unreachable",
            "platform_unreachable",
        ]

    async def test_a_short_throttling_is_waited_for(self, side: SlackSide, stub: StubSlack) -> None:
        """P01 for look-ups: the gate is told, the address asked again."""
        workspace(stub, 1)
        answers = [web.Response(status=429, headers={"Retry-After": "3"})]
        usual = stub.replies[LOOK_UP]
        stub.replies[LOOK_UP] = lambda call: answers.pop() if answers else usual(call)

        found = await find(side, [a(0)])

        assert isinstance(found[a(0)], Person)
        assert side.gate.held == [(LOOK_UP, 3.0)]

    async def test_a_long_throttling_is_handed_back(self, side: SlackSide, stub: StubSlack) -> None:
        """After a few refusals in a row the caller decides what to do meanwhile."""
        stub.replies[LOOK_UP] = lambda _: web.Response(status=429, headers={"Retry-After": "30"})

        found = await find(side, [a(0)])

        answer = found[a(0)]
        assert isinstance(answer, LookupFailed)
        assert (answer.fault.reason, answer.retry_after) == ("throttled", 30.0)
        assert len(stub.heard) == 4

    async def test_a_refusal_of_one_address_concerns_only_it(self, side: SlackSide, stub: StubSlack) -> None:
        """An unknown code for one person does not stop the others, and is not remembered."""
        workspace(stub, 2)
        usual = stub.replies[LOOK_UP]
        stub.replies[LOOK_UP] = lambda call: (
            {"ok": False, "error": "odd_address"} if call.arguments["email"] == a(0) else usual(call)
        )

        found = await find(side, [a(0), a(1)])

        odd = found[a(0)]
        assert isinstance(odd, NoPerson)
        assert (odd.reason, odd.remember) == ("unknown_code", False)
        assert isinstance(found[a(1)], Person)

    @pytest.mark.parametrize("body", [{"ok": True}, {"ok": True, "user": []}])
    async def test_an_answer_without_user_is_asked_again_later(
        self, side: SlackSide, stub: StubSlack, body: dict[str, Any]
    ) -> None:
        """Silence is not absence."""
        stub.replies[LOOK_UP] = lambda _: body

        assert isinstance((await find(side, [a(0)]))[a(0)], LookupFailed)


class TestListing:
    """Many addresses: everybody at once."""

    async def test_a_thousand_cold_addresses_need_few_calls(self, side: SlackSide, stub: StubSlack) -> None:
        """With look-ups held back, the listing answers all of them."""
        workspace(stub, 1000, page=300)
        gate = ShutGate()

        found = await find(side, [a(number) for number in range(1000)], gate)

        assert all(isinstance(each, Person) for each in found.values())
        assert len(stub.calls(LIST)) == 4
        assert stub.calls(LOOK_UP) == []

    async def test_look_ups_help_while_the_listing_runs(self, side: SlackSide, stub: StubSlack) -> None:
        """With the listing held back, look-ups go on; each address is answered once."""
        workspace(stub, 30)
        gate = ShutGate(shut=LIST)

        found = await find(side, [a(number) for number in range(30)], gate)

        assert all(isinstance(each, Person) for each in found.values())
        assert len(stub.calls(LOOK_UP)) == 30
        assert stub.calls(LIST) == []

    async def test_pages_are_stored_as_they_come(self, side: SlackSide, stub: StubSlack) -> None:
        """A listing that breaks off has not been for nothing; the answers of its pages are given."""
        workspace(stub, 40, page=20)
        usual = stub.replies[LIST]
        stub.replies[LIST] = lambda call: (
            usual(call) if not call.arguments.get("cursor") else {"ok": False, "error": "token_revoked"}
        )
        await was_listed(side, 40)

        found = await find(side, [a(number) for number in range(40)])

        assert [isinstance(found[a(number)], Person) for number in (0, 19, 20, 39)] == [True, True, False, False]
        assert await stored(side, a(19)) == [("U19", False, LIST)]
        assert await stored(side, a(20)) == []

    async def test_who_is_not_listed_does_not_exist(self, side: SlackSide, stub: StubSlack) -> None:
        """After the last page the rest is unknown, without a look-up each."""
        workspace(stub, 10)
        await was_listed(side, 10)

        found = await find(side, [f"nobody{number}@example.com" for number in range(30)])

        assert {each.reason for each in found.values() if isinstance(each, NoPerson)} == {"person_not_found"}
        assert [call.method for call in stub.heard] == [LIST]

    async def test_deactivated_people_are_known_to_be(self, side: SlackSide, stub: StubSlack) -> None:
        """`deleted` becomes disabled, and the directory keeps it."""
        workspace(stub, 10, U3={"deleted": True})
        await was_listed(side, 10)

        found = await find(side, [a(number) for number in range(10)])

        gone = found[a(3)]
        assert isinstance(gone, NoPerson)
        assert (gone.reason, gone.remember) == ("person_disabled", False)
        assert await stored(side, a(3)) == [("U3", True, LIST)]

    async def test_an_active_account_wins_over_a_deactivated_one(self, side: SlackSide, stub: StubSlack) -> None:
        """A person who came back under a new id is found, on whatever page."""
        members = [user("U1", "x@example.com", deleted=True), user("U2", "x@example.com"), user("U3", "y@example.com")]
        stub.replies[LIST] = lambda _: {"ok": True, "members": members}
        await was_listed(side, 3)

        found = await find(side, ["x@example.com", "y@example.com", "z@example.com"])

        person = found["x@example.com"]
        assert isinstance(person, Person)
        assert person.user_id == "U2"

    async def test_bots_and_strangers_are_left_out_and_guests_kept(self, side: SlackSide, stub: StubSlack) -> None:
        """The directory holds people of the workspace only."""
        members = [
            user("U1", "bot@example.com", is_bot=True),
            user("USLACKBOT", "slackbot@example.com"),
            user("U2", "stranger@example.com", is_stranger=True),
            user("U3", "other@example.com", team="T0ELSE"),
            user("U4", "guest@example.com", is_restricted=True),
        ]
        stub.replies[LIST] = lambda _: {"ok": True, "members": members}
        await was_listed(side, 5)
        addresses = [each["profile"]["email"] for each in members]

        found = await find(side, addresses)

        assert [address for address in addresses if isinstance(found[address], Person)] == ["guest@example.com"]

    async def test_limit_required_is_obeyed(self, side: SlackSide, stub: StubSlack) -> None:
        """Pages of 200, remembered for the next time."""
        workspace(stub, 500)
        usual = stub.replies[LIST]
        stub.replies[LIST] = lambda call: (
            {"ok": False, "error": "limit_required"} if int(call.arguments["limit"]) > 200 else usual(call)
        )
        await was_listed(side, 500)

        await find(side, [a(number) for number in range(100)])

        assert [int(call.arguments["limit"]) for call in stub.calls(LIST)] == [1000, 200]
        known = await mirror(side)
        assert known is not None
        assert known.page_size == 200

    async def test_a_listing_that_times_out_is_tried_in_smaller_pages(self, side: SlackSide, stub: StubSlack) -> None:
        """Big workspaces cannot be listed in big pages."""
        workspace(stub, 300)
        usual = stub.replies[LIST]
        stub.replies[LIST] = lambda call: (
            web.Response(status=504) if int(call.arguments["limit"]) > 200 else usual(call)
        )
        await was_listed(side, 300)

        found = await find(side, [a(number) for number in range(300)])

        assert all(isinstance(each, Person) for each in found.values())

    async def test_a_failing_listing_falls_back_to_look_ups(self, side: SlackSide, stub: StubSlack) -> None:
        """What cannot be listed is asked one by one."""
        workspace(stub, 30)
        stub.replies[LIST] = lambda _: {"ok": False, "error": "never_seen"}
        await was_listed(side, 30)

        found = await find(side, [a(number) for number in range(30)])

        assert all(isinstance(each, Person) for each in found.values())
        assert len(stub.calls(LIST)) == 1

    async def test_an_expired_cursor_begins_again(self, side: SlackSide, stub: StubSlack) -> None:
        """Once more from the first page."""
        workspace(stub, 40, page=20)
        usual = stub.replies[LIST]
        expired = [{"ok": False, "error": "invalid_cursor"}]
        stub.replies[LIST] = lambda call: expired.pop() if call.arguments.get("cursor") and expired else usual(call)
        await was_listed(side, 40)

        found = await find(side, [a(number) for number in range(40)])

        assert all(isinstance(each, Person) for each in found.values())
        assert len(stub.calls(LIST)) == 4

    async def test_a_listing_without_addresses_proves_nothing(self, side: SlackSide, stub: StubSlack) -> None:
        """Without users:read.email nobody has an address: a missing permission, not missing people."""
        stub.replies[LIST] = lambda _: {"ok": True, "members": [user("U1"), user("U2")]}
        await was_listed(side, 2)

        found = await find(side, [a(number) for number in range(30)])

        reasons = {each.fault.reason for each in found.values() if isinstance(each, LookupFailed)}
        assert reasons == {"permission_missing"}

    async def test_a_missing_scope_is_known_without_asking(self, side: SlackSide, stub: StubSlack) -> None:
        """The granted scopes say it."""
        await side.install(scopes=("chat:write", "users:read"))

        found = await find(side, [a(0)])

        answer = found[a(0)]
        assert isinstance(answer, LookupFailed)
        assert "users:read.email" in answer.fault.remedy
        assert stub.heard == []

    async def test_two_questions_share_one_listing(self, side: SlackSide, stub: StubSlack) -> None:
        """Single flight: who asks meanwhile reads what the first one stored."""
        workspace(stub, 60, page=30)
        shared = listing(side)
        source = SlackPeople(side.client, side.installations, shared)
        first, second = [a(number) for number in range(30)], [a(number) for number in range(30, 60)]
        usual = stub.replies[LIST]

        def advance(call: Heard) -> Any:
            side.clock.now += 1
            return usual(call)

        stub.replies[LIST] = advance
        flight = shared.flight(BOT, TEAM)
        async with flight:  # until both have asked
            asking = [
                asyncio.create_task(find(side, [*some, other], ShutGate(), source))
                for some, other in ((first, "nobody@example.com"), (second, "no-one@example.com"))
            ]
            async with asyncio.timeout(20):
                while len(getattr(flight, "_waiters") or ()) < 2:  # noqa: ASYNC110, B009 - a lock tells nobody
                    await asyncio.sleep(0.001)
        one, two = await asyncio.gather(*asking)

        assert len(stub.calls(LIST)) == 2
        assert sum(isinstance(each, Person) for each in (one | two).values()) == 60

    async def test_without_installation_nothing_is_asked(self, side: SlackSide, stub: StubSlack) -> None:
        """The lane is at fault."""
        source = people(side)
        answers = [each async for each in source.find(BOT, TenantId("T0NOWHERE"), [a(0)], side.gate)]

        assert answers == [{a(0): LookupFailed(faults.NOT_INSTALLED, 60.0)}]
        assert stub.heard == []

    async def test_leaving_early_ends_the_work(self, side: SlackSide, stub: StubSlack) -> None:
        """A caller who stops asking leaves no call behind."""
        workspace(stub, 100, page=10)
        await was_listed(side, 100)
        answers: AsyncIterator[Any] = people(side).find(BOT, TEAM, [a(number) for number in range(100)], side.gate)

        await anext(answers)
        await answers.aclose()  # type: ignore[attr-defined]  # it is a generator

        assert len(stub.calls(LIST)) < 10
        assert [each for each in asyncio.all_tasks() if "SlackPeople" in repr(each)] == []

    async def test_a_failing_database_is_raised(self, side: SlackSide, stub: StubSlack) -> None:
        """Only the platform's answers are values."""
        workspace(stub, 5)
        await was_listed(side, 5)
        async with side.database.write() as tx:
            await tx.exec_driver_sql("ALTER TABLE people RENAME TO hidden")

        with pytest.raises(Exception, match="people"):
            await find(side, [a(number) for number in range(5)])


class TestTheDailyListing:
    """The chore slack.directory."""

    async def test_one_page_at_a_turn_then_a_day(self, side: SlackSide, stub: StubSlack) -> None:
        """Sends get their turn between pages; the next refresh is a day later."""
        workspace(stub, 25, page=10)

        outcomes = await run(side, daily(side))

        assert [each.after for each in outcomes] == [0.0, 0.0, 86400.0]
        assert outcomes[-1].detail == {}
        assert await mirror(side) == Mirror(side.clock(), side.clock(), 25, 1000, begun=1, completed=1)
        assert await stored(side, a(24)) == [("U24", False, LIST)]
        assert side.gate.entered == [LIST, LIST, LIST]

    async def test_it_resumes_where_it_stopped(self, side: SlackSide, stub: StubSlack) -> None:
        """A restart goes on from the cursor."""
        workspace(stub, 25, page=10)
        first = await daily(side)(Chore(1, LANE, DIRECTORY, "users", {}), side.gate)
        assert isinstance(first, ChoreLater)
        stub.heard.clear()

        await daily(side)(Chore(1, LANE, DIRECTORY, "users", first.detail or {}), side.gate)

        assert [call.arguments["cursor"] for call in stub.heard] == ["10"]

    async def test_who_is_no_longer_listed_is_disabled(self, side: SlackSide, stub: StubSlack) -> None:
        """Somebody who left the workspace without a trace."""
        workspace(stub, 3)
        await run(side, daily(side))
        side.clock.now += 86400
        workspace(stub, 2)
        await run(side, daily(side))

        assert [await stored(side, a(number)) for number in (1, 2)] == [[("U1", False, LIST)], [("U2", True, LIST)]]

    async def test_a_clock_set_back_disables_nobody(self, side: SlackSide, stub: StubSlack) -> None:
        """Whoever is listed is there, however the clock moves between the pages."""
        workspace(stub, 30, page=10)
        usual = stub.replies[LIST]

        def step_back(call: Heard) -> Any:
            side.clock.now -= 7200
            return usual(call)

        stub.replies[LIST] = step_back
        await run(side, daily(side))

        assert [("U0", False, LIST), ("U29", False, LIST)] == await stored(side, a(0)) + await stored(side, a(29))

    async def test_two_listings_at_once_disable_nobody(self, side: SlackSide, stub: StubSlack) -> None:
        """Two processes may list one workspace: who was seen by the later listing is there for both."""
        workspace(stub, 20, page=10)
        speaker = await side.installations.speaker(BOT, TEAM)
        assert not isinstance(speaker, Fault)
        here, there = listing(side), listing(side)
        first, second = await here.begin(BOT, TEAM), await there.begin(BOT, TEAM)

        one, two = await here.page(speaker, first, side.gate), await there.page(speaker, second, side.gate)
        for source, page in ((there, two), (here, one)):
            assert isinstance(page, Page)
            assert page.next is not None
            await source.page(speaker, page.next, side.gate)

        assert [("U0", False, LIST), ("U19", False, LIST)] == await stored(side, a(0)) + await stored(side, a(19))

    async def test_an_odd_profile_blocks_nobody(self, side: SlackSide, stub: StubSlack) -> None:
        """What no column takes is left out of one profile, and the rest of the page is stored."""
        workspace(
            stub,
            5,
            U1={"real_name": "N\0ul" + "l" * 999, "locale": "x" * 99},
            U2={"profile": {"email": "a" * 320 + "@example.com"}},
            U3={"id": "U" * 256},
            U4={"id": "U\0"},
        )
        await run(side, daily(side))

        async with side.database.read() as tx:
            rows = (await tx.execute(select(people_table).order_by(people_table.c.user_id))).all()
        assert ["U0", "U1", "U2"] == [row.user_id for row in rows]
        assert ("Nul" + "l" * 253, "x" * 32) == (rows[1].name, rows[1].locale)
        assert [("U0", False, LIST)] == await stored(side, a(0))

    async def test_a_failure_keeps_the_place(self, side: SlackSide, stub: StubSlack) -> None:
        """Throttled or unreachable: the cursor is kept, the pauses grow, nobody gives up."""
        workspace(stub, 25, page=10)
        handler = daily(side)
        first = await handler(Chore(1, LANE, DIRECTORY, "users", {}), side.gate)
        assert isinstance(first, ChoreLater)
        stub.replies[LIST] = lambda _: web.Response(status=429, headers={"Retry-After": "9"})

        outcome = await handler(Chore(1, LANE, DIRECTORY, "users", first.detail or {}), side.gate)

        assert isinstance(outcome, ChoreLater)
        assert (outcome.after, outcome.fault) == (9.0, None)
        assert (outcome.detail or {})["cursor"] == "10"
        assert side.gate.held == [(LIST, 9.0)]

    async def test_an_uninstalled_workspace_ends_it(self, side: SlackSide, stub: StubSlack) -> None:
        """Nothing is called for a workspace that is gone."""
        lane = Lane(BOT, SLACK, TenantId("T0GONE"))

        outcome = await daily(side)(Chore(1, lane, DIRECTORY, "users", {}), side.gate)

        assert isinstance(outcome, ChoreDone)
        assert stub.heard == []

    async def test_somebody_elses_fresh_listing_counts(self, side: SlackSide, stub: StubSlack) -> None:
        """A request listed everybody while the chore was between two pages."""
        workspace(stub, 25, page=10)
        handler = daily(side)
        first = await handler(Chore(1, LANE, DIRECTORY, "users", {}), side.gate)
        assert isinstance(first, ChoreLater)
        side.clock.now += 5
        await was_listed(side, 25)
        stub.heard.clear()

        outcome = await handler(Chore(1, LANE, DIRECTORY, "users", first.detail or {}), side.gate)

        assert outcome == ChoreLater(86400.0, detail={})
        assert stub.heard == []
