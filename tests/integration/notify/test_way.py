"""The way of a request: accepted, resolved, sent, counted, closed; on both databases."""

from __future__ import annotations

import asyncio
import json
import time

from sqlalchemy import event

from adapters.base import ChannelName, MethodPace, NotSent, Refused, Repair, Uncertain
from storage.engine import Database
from tests.integration.notify.kit import (
    BLOCKED,
    BUSY,
    HOME,
    UNCLEAR,
    People,
    Platform,
    Server,
    crowd,
    row,
    rows,
    serving,
    times_closed,
    until,
    user_id,
)


class TestToTheEnd:
    async def test_everybody_gets_one(self, database: Database) -> None:
        """1000 people, found and unknown: each has one final row, each found one exactly one message."""
        people = People()
        people.add(HOME, *crowd(700))
        async with serving(database, people=people) as server:
            await server.install(HOME)
            request = await server.accept(crowd(1000))
            (record,) = await server.closed(request)

        assert (record.status, record.total, record.done, record.succeeded) == ("PARTIAL_SUCCESS", 1000, 1000, 700)
        assert server.platform.mailbox == {user_id(email): 1 for email in crowd(700)}
        assert {entry.reason for entry in record.entries if not entry.succeeded} == {"person_not_found"}
        assert await times_closed(database, request) == 1

    async def test_counts_grow_with_the_rows(self, database: Database) -> None:
        """At every moment the request's counts are those of its rows."""
        people = People()
        people.add(HOME, *crowd(60))
        platform = Platform(pace=MethodPace(100.0, 1.0))
        async with serving(database, platform, people) as server:
            await server.install(HOME)
            request = await server.accept(crowd(60))
            seen = set()
            while (record := await server.record(request)).status == "IN_PROGRESS":
                assert record.done == len(record.entries)
                assert record.succeeded == sum(entry.succeeded for entry in record.entries)
                seen.add(record.done)

        assert len(seen) > 3

    async def test_a_sent_row(self, database: Database) -> None:
        """A sent delivery keeps the platform's id, ours, where it went and how the person was found."""
        people = People()
        people.add(HOME, "ann@x.example")
        async with serving(database, people=people) as server:
            await server.install(HOME)
            request = await server.accept(["Ann@X.example "])
            await server.closed(request)
            found = await row(database, request)

        assert (found["state"], found["attempts"], found["tenant_id"], found["user_id"]) == ("sent", 1, HOME, "UANN")
        assert (found["message_id"], found["conversation_id"]) == ("m-1", "D-UANN")
        assert found["store_id"].startswith("ms-")
        assert found["original_id"] == "Ann@X.example "
        assert "test directory" in found["trace"]
        assert (found["reason"], found["next_at"]) == (None, None)

    async def test_duplicates_mirror_the_first(self, database: Database) -> None:
        """The same address three times is one message, three equal results, and one person counted three times."""
        people = People()
        people.add(HOME, "ann@x.example", "bob@x.example")
        platform = Platform()
        platform.will("UBOB", Refused(BLOCKED))
        async with serving(database, platform, people) as server:
            await server.install(HOME)
            request = await server.accept(
                ["ann@x.example", "bob@x.example", "ANN@x.example", "bob@x.example", " ann@x.example"]
            )
            (record,) = await server.closed(request)
            found = await rows(database, request)

        assert (record.done, record.succeeded, len(platform.calls)) == (5, 3, 2)
        assert [each["state"] for each in found] == ["sent", "refused", "sent", "refused", "sent"]
        assert [each["duplicate_of"] for each in found] == [None, None, found[0]["id"], found[1]["id"], found[0]["id"]]
        assert {each["message_id"] for each in found if each["state"] == "sent"} == {found[0]["message_id"]}
        assert {each["code"] for each in found if each["state"] == "refused"} == {"user_blocked"}

    async def test_refused(self, database: Database) -> None:
        """A refusal is final at once, with reason, code, detail and remedy, and is not repeated."""
        people = People()
        people.add(HOME, "ann@x.example")
        platform = Platform()
        platform.will("UANN", Refused(BLOCKED))
        async with serving(database, platform, people) as server:
            await server.install(HOME)
            request = await server.accept(["ann@x.example"])
            (record,) = await server.closed(request)
            found = await row(database, request)

        assert (record.status, len(platform.calls)) == ("FAILURE", 1)
        assert (found["reason"], found["code"], found["detail"], found["remedy"]) == (
            "blocked_by_recipient",
            "user_blocked",
            "blocked the app",
            "Only the person can.",
        )

    async def test_any_text_of_the_platform_can_be_stored(self, database: Database) -> None:
        """What no database stores as text (NUL, a lone surrogate, too much of it) holds nothing up."""
        people = People()
        people.add(HOME, "ann@x.example")
        platform = Platform()
        odd = "a\x00b\ud800c"
        platform.will("UANN", Refused(type(BLOCKED)(BLOCKED.klass, "unknown_code", odd, odd * 200, odd)))
        async with serving(database, platform, people) as server:
            await server.install(HOME)
            request = await server.accept(["ann@x.example"])
            await server.closed(request)
            found = await row(database, request)

        assert (found["state"], found["reason"], len(platform.calls)) == ("refused", "unknown_code", 1)
        assert found["code"].startswith("a\ufffdb")

    async def test_gives_up(self, database: Database) -> None:
        """A conversation that stays busy costs five attempts and then the delivery, with the last answer."""
        people = People()
        people.add(HOME, "ann@x.example")
        platform = Platform()
        platform.will("UANN", *[NotSent(BUSY)] * 9)
        async with serving(database, platform, people) as server:
            await server.install(HOME)
            request = await server.accept(["ann@x.example"])
            await server.closed(request)
            found = await row(database, request)

        assert (found["state"], found["reason"], found["code"]) == ("refused", "gave_up", "http_412")
        assert (found["attempts"], len(platform.calls)) == (5, 5)
        assert json.loads(found["trace"])[-1] == {"source": "send", "result": "conversation_busy", "code": "http_412"}
        assert found["trace"].count("conversation_busy") == 1

    async def test_a_stale_conversation_is_repaired_once(self, database: Database) -> None:
        """What was stored is forgotten, the person is found afresh, and the second refusal is final."""
        people = People()
        people.add(HOME, "ann@x.example", "bob@x.example")
        platform = Platform()
        stale = Refused(type(BLOCKED)(BLOCKED.klass, "conversation_not_found", "", "gone", repair=Repair.IDENTITY))
        platform.will("UANN", stale)
        platform.will("UBOB", stale, stale)
        async with serving(database, platform, people) as server:
            await server.install(HOME)
            request = await server.accept(["ann@x.example", "bob@x.example"])
            await server.closed(request)
            ann, bob = await rows(database, request)

        assert (ann["state"], ann["repairs"], bob["state"], bob["repairs"]) == ("sent", 1, "refused", 1)
        assert people.asked.count((HOME, "ann@x.example")) == 2
        assert len(platform.calls) == 4

    async def test_a_stale_conversation_is_not_used_again(self, database: Database) -> None:
        """The repaired delivery never meets the conversation that was found stale."""
        emails = crowd(40)
        platform = Platform(ChannelName.MSTEAMS)
        stale = Refused(type(BLOCKED)(BLOCKED.klass, "conversation_not_found", "", "gone", repair=Repair.CONVERSATION))
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(emails)
            await server.write_to(emails, conversation="a:stale")
            for email in emails:
                platform.will(user_id(email), stale)
            request = await server.accept(emails)
            (record,) = await server.closed(request)

        assert record.succeeded == 40
        assert [call.conversation for call in platform.calls].count("a:stale") == 40

    async def test_ids_are_taken_as_they_are(self, database: Database) -> None:
        """With donotresolve nobody is looked up; an id that cannot be anybody's is refused without a call."""
        async with serving(database) as server:
            await server.install(HOME)
            request = await server.accept(["U1", "W2", "nonsense"], identity_type="donotresolve")
            await server.closed(request)
            found = await rows(database, request)

        assert [each["state"] for each in found] == ["sent", "sent", "refused"]
        assert found[2]["reason"] == "identity_invalid"
        assert server.people.asked == []
        assert {call.user for call in server.platform.calls} == {"U1", "W2"}

    async def test_an_address_that_is_none(self, database: Database) -> None:
        """What cannot be an e-mail is refused without asking anybody."""
        async with serving(database) as server:
            await server.install(HOME)
            request = await server.accept(["not an address"])
            await server.closed(request)
            found = await row(database, request)

        assert (found["state"], found["reason"], server.people.asked) == ("refused", "identity_invalid", [])
        assert found["remedy"] == "The identity holds a blank: an e-mail address has none."

    async def test_own_payload(self, database: Database) -> None:
        """The payload goes to the platform as it was accepted."""
        people = People()
        people.add(HOME, "ann@x.example")
        async with serving(database, people=people) as server:
            await server.install(HOME)
            request = await server.accept(["ann@x.example"], payload={"text": "Grüße", "blocks": [1, None, 2.5]})
            await server.closed(request)

        assert server.platform.calls[0].payload == {"text": "Grüße", "blocks": [1, None, 2.5]}


class TestMisses:
    async def test_are_remembered(self, database: Database) -> None:
        """A person nobody knows is asked for once in a quarter of an hour."""
        async with serving(database) as server:
            await server.install(HOME)
            for _ in range(2):
                await server.closed(await server.accept(["ghost@x.example"]))

            assert server.people.asked == [(HOME, "ghost@x.example")]

            server.wall.ahead += 16 * 60.0
            await server.closed(await server.accept(["ghost@x.example"]))

            assert len(server.people.asked) == 2


class TestFairness:
    async def test_a_small_request_overtakes(self, database: Database) -> None:
        """F01: one person behind a request of 1000 of the same caller gets the message within two seconds."""
        platform = Platform(pace=MethodPace(50.0, 1.0))
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(crowd(1000))
            await server.know(["ann@x.example"])
            await server.accept(crowd(1000))
            await platform.called(20)
            begun = time.monotonic()
            small = await server.accept(["ann@x.example"])
            await server.closed(small)

            assert next(call.at for call in platform.calls if call.user == "UANN") - begun <= 2.0
            assert len(platform.calls) < 200

    async def test_a_person_whose_conversation_is_not_open(self, database: Database) -> None:
        """F01 holds as well for somebody who must be looked up and whose conversation must be opened first."""
        platform = Platform(ChannelName.MSTEAMS, pace=MethodPace(48.0, 1.48), in_flight=32)
        platform_people = People()
        platform_people.add(HOME, "ann@x.example")
        async with serving(database, platform, platform_people) as server:
            await server.install(HOME)
            await server.know(crowd(1000))
            await server.write_to(crowd(1000))
            await server.accept(crowd(1000))
            await platform.called(50)
            begun = time.monotonic()
            await server.closed(await server.accept(["ann@x.example"]))

            assert next(call.at for call in platform.calls if call.user == "UANN") - begun <= 2.0

    async def test_two_callers_share(self, database: Database) -> None:
        """Two callers with the same number of people are served in turns."""
        platform = Platform(pace=MethodPace(200.0, 1.0))
        one, two = crowd(100, "one"), crowd(100, "two")
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(one + two)
            first = await server.accept(one, client="cs-1")
            second = await server.accept(two, client="cs-2")
            await server.closed(first, second)

        halfway = [call.user.startswith("UONE") for call in platform.calls[20:120]]
        assert 40 <= sum(halfway) <= 60


class TestWarm:
    async def test_nothing_leaves_before_the_credentials_are_there(self, database: Database) -> None:
        """What waits for the first token would leave in one moment when it comes, faster than the platform allows."""
        platform = Platform(pace=MethodPace(20.0, 1.0))
        platform.credentials.clear()
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(crowd(5))
            request = await server.accept(crowd(5))
            await until(lambda: _stocked(server, 5), "the lane has all five at hand")
            early = len(platform.calls)
            platform.credentials.set()
            await server.closed(request)

        gaps = [after.at - before.at for before, after in zip(platform.calls, platform.calls[1:], strict=False)]
        assert early == 0
        assert min(gaps) > 0.025

    async def test_a_stop_does_not_wait_for_them(self, database: Database) -> None:
        """A server that still waits for credentials stops at once, and its successor sends."""
        platform = Platform()
        platform.credentials.clear()
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(crowd(5))
            request = await server.accept(crowd(5))
            await until(lambda: _stocked(server, 5), "the lane has all five at hand")
        platform.credentials.set()
        async with serving(database, platform) as successor:
            (record,) = await successor.closed(request)

        assert record.succeeded == 5


async def _stocked(server: Server, count: int) -> bool:
    drain = server.drain()
    return drain is not None and len(drain.feed.ready) >= count


async def _sent(database: Database, request: str, count: int) -> bool:
    return [each["state"] for each in await rows(database, request)].count("sent") >= count


class TestQuiet:
    async def test_nothing_to_do_costs_nothing(self, database: Database) -> None:
        """When everything is sent the server leaves the database alone."""
        people = People()
        people.add(HOME, "ann@x.example")
        async with serving(database, people=people) as server:
            await server.install(HOME)
            await server.closed(await server.accept(["ann@x.example"]))
            last = time.monotonic()

            def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
                nonlocal last
                if statement not in ("SELECT 1", "BEGIN"):
                    last = time.monotonic()

            async def quiet() -> bool:
                return time.monotonic() - last >= 3.0

            event.listen(database.engine.sync_engine, "before_cursor_execute", note)
            await server.idle()
            await until(quiet, "the database left alone for three seconds")
            event.remove(database.engine.sync_engine, "before_cursor_execute", note)

    async def test_waiting_for_the_pace_costs_nothing(self, database: Database) -> None:
        """A lane that may send only now and then sleeps in between: it hardly asks what time it is."""
        platform = Platform(pace=MethodPace(0.1, 1.0))
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(crowd(5))
            request = await server.accept(crowd(5))
            await until(lambda: _sent(database, request, 1), "the first answer is written")
            await until(lambda: _stocked(server, 4), "the rest is stocked")
            before = server.wall.asked
            await asyncio.sleep(2.0)  # nothing may happen, and nothing can signal that
            turns = server.wall.asked - before

        assert turns < 50


class TestInDoubt:
    async def test_nobody_may_look(self, database: Database) -> None:
        """An unclear answer where nobody may look ends unconfirmed, once, with one request on the wire."""
        people = People()
        people.add(HOME, "ann@x.example")
        platform = Platform()
        platform.will("UANN", Uncertain(UNCLEAR))
        async with serving(database, platform, people) as server:
            await server.install(HOME)
            request = await server.accept(["ann@x.example"])
            (record,) = await server.closed(request)
            found = await row(database, request)

        assert (record.status, found["state"], found["code"]) == ("FAILURE", "unconfirmed", "http_502")
        assert len(platform.calls) == 1
