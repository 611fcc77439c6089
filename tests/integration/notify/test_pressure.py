"""A lane under pressure: outages, people who cannot be looked up, tenants that refuse, quiet moments."""

from __future__ import annotations

from adapters.base import ENTRY, ChannelName, Fault, FaultClass, MethodPace, NotSent, Refused, Uncertain
from identity.answers import LookupFailed
from storage.engine import Database
from tests.integration.notify.kit import (
    ELSEWHERE,
    HOME,
    REVOKED,
    UNCLEAR,
    Platform,
    crowd,
    rows,
    serving,
    user_id,
)

NOBODY = Fault(FaultClass.REFUSED, "person_not_found", "Check the id.", "user_not_found")
CREATE_FAILED = Fault(FaultClass.NOT_SENT, "platform_unreachable", "Wait.", "http_502")


class TestConversations:
    async def test_who_is_in_many_requests_at_once(self, database: Database) -> None:
        """F04: a conversation gets no more than its platform allows in a span, and nobody else waits for it."""
        platform = Platform(windows=((0.5, 2),))
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(crowd(6))
            requests = [await server.accept(["p0@x.example"]) for _ in range(5)]
            others = await server.accept(crowd(6)[1:])
            await server.closed(others, *requests)

        sent = [call.at for call in platform.calls if call.user == user_id("p0@x.example")]
        rest = [call.at for call in platform.calls if call.user != user_id("p0@x.example")]
        assert len(sent) == 5
        assert min(later - first for first, later in zip(sent, sent[2:], strict=False)) >= 0.5
        assert max(rest) < max(sent)


class TestOutage:
    async def test_a_broken_platform_costs_few(self, database: Database) -> None:
        """While every answer is unclear the lane slows down to one at a time instead of burning the whole request."""
        platform = Platform(in_flight=8)
        people = crowd(200)
        for email in people:
            platform.will(user_id(email), *[Uncertain(UNCLEAR)] * 5)
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(people)
            request = await server.accept(people)
            await platform.called(21)  # twenty unclear answers, what was on the wire with them, and one alone
            states = [each["state"] for each in await rows(database, request)]

        assert states.count("accepted") + states.count("ready") > 150

    async def test_goes_on_when_it_is_over(self, database: Database) -> None:
        """After one good answer the lane is back at its pace."""
        platform = Platform(in_flight=4)
        people = crowd(40)
        for email in people[:6]:
            platform.will(user_id(email), Uncertain(UNCLEAR))
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(people)
            (record,) = await server.closed(await server.accept(people), within=40.0)

        assert record.succeeded == 34


class TestStuckPeople:
    async def test_known_people_pass_unknown_ones(self, database: Database) -> None:
        """However many people cannot be looked up now, those who are known are reached."""
        platform = Platform()
        strangers, known = crowd(250, "s"), crowd(120, "k")
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(known)
            for email in strangers:
                server.people.failures[email].extend([LookupFailed(REVOKED, 60.0)] * 50)
            await server.accept([*strangers, *known])
            await platform.called(len(known))

        assert {call.user for call in platform.calls} == {user_id(email) for email in known}


class TestElsewhere:
    async def test_an_id_that_the_first_tenant_refuses(self, database: Database) -> None:
        """A channel id that one tenant does not know is tried in the next; the first refusal is no final answer."""
        platform = Platform()
        platform.will("UANN", Refused(NOBODY))
        async with serving(database, platform) as server:
            await server.install(HOME, ELSEWHERE)
            request = await server.accept(["UANN"], identity_type="donotresolve")
            (record,) = await server.closed(request)

        assert [call.tenant for call in platform.calls] == [HOME, ELSEWHERE]
        assert (record.status, platform.mailbox["UANN"]) == ("SUCCESS", 1)

    async def test_an_id_that_nobody_knows(self, database: Database) -> None:
        """When every tenant refuses the id, the last refusal is the answer."""
        platform = Platform()
        platform.will("UANN", Refused(NOBODY), Refused(NOBODY))
        async with serving(database, platform) as server:
            await server.install(HOME, ELSEWHERE)
            request = await server.accept(["UANN", "UANN"], identity_type="donotresolve")
            (record,) = await server.closed(request)

        assert [entry.reason for entry in record.entries] == ["person_not_found", "person_not_found"]
        assert len({entry.tenant_id for entry in record.entries}) == 1


class TestOpenings:
    async def test_have_a_budget(self, database: Database) -> None:
        """A conversation that can never be opened ends its delivery after the attempts that the settings allow."""
        platform = Platform(ChannelName.MSTEAMS)
        platform.openings["UANN"].extend([NotSent(CREATE_FAILED)] * 50)
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(["ann@x.example"])
            (record,) = await server.closed(await server.accept(["ann@x.example"]))

        assert [(entry.reason, entry.code) for entry in record.entries] == [("gave_up", "http_502")]
        assert len(platform.opened) == 5


class TestQuietMoments:
    async def test_the_pace_is_not_forgotten(self, database: Database) -> None:
        """A lane that was idle long enough to be let go does not get its burst anew with its next request."""
        platform = Platform(pace=MethodPace(rate=0.5, burst=3.0))
        async with serving(database, platform) as server:
            await server.install(HOME)
            people = crowd(4)
            await server.know(people)
            await server.closed(await server.accept(people[:3]))
            await server.idle()
            before = len(platform.calls)
            await server.accept(people[3:])
            await platform.called(before + 1)

        started = platform.calls[0].at
        assert platform.calls[-1].at - started >= 1.5

    async def test_entry_lane_lets_go(self, database: Database) -> None:
        """An entry lane that moved everything on is let go like any other."""
        platform = Platform()
        async with serving(database, platform) as server:
            await server.install(HOME, ELSEWHERE)
            await server.know(["ann@x.example"], ELSEWHERE)
            await server.closed(await server.accept(["ann@x.example"]))
            await server.idle()

            assert server.drain(ENTRY) is None

        assert [call.tenant for call in platform.calls] == [ELSEWHERE]
