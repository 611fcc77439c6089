"""What the platform does to a lane: throttling, silence, faults of configuration, unclear answers, deadlines."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque

import pytest

from adapters.base import (
    Address,
    BotId,
    ChannelName,
    DeliveryId,
    FaultClass,
    Gate,
    Lane,
    Look,
    LookLater,
    MethodPace,
    NotSent,
    NotThere,
    Outcome,
    SeenAs,
    Sent,
    Uncertain,
)
from identity.answers import LookupFailed
from notify.runner import Runner
from storage.engine import Database
from tests.integration.notify.kit import (
    ELSEWHERE,
    HOME,
    REVOKED,
    THROTTLED,
    UNCLEAR,
    UNREACHABLE,
    Looking,
    People,
    Platform,
    crowd,
    row,
    rows,
    serving,
    soon,
    until,
    user_id,
)


def throttled(seconds: float) -> NotSent:
    """A 429 for the sends."""
    return NotSent(THROTTLED, seconds, "post")


class TestThrottled:
    async def test_waits_and_burns_nothing(self, database: Database) -> None:
        """After a 429 nothing leaves for the time it gave, and nobody loses an attempt."""
        platform = Platform(pace=MethodPace(500.0, 1.0), in_flight=1)
        platform.will(user_id(crowd(10)[3]), throttled(0.4))
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(crowd(10))
            request = await server.accept(crowd(10))
            (record,) = await server.closed(request)
            found = await rows(database, request)

        gaps = [after.at - before.at for before, after in zip(platform.calls, platform.calls[1:], strict=False)]
        assert record.succeeded == 10
        assert {each["attempts"] for each in found} == {1}
        assert max(gaps) >= 0.4
        assert len(platform.calls) == 11

    async def test_everybody_once(self, database: Database) -> None:
        """P05: a platform that throttles every first try loses nobody and doubles nothing."""
        platform = Platform()
        for email in crowd(30):
            platform.will(user_id(email), throttled(0.05))
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(crowd(30))
            request = await server.accept(crowd(30))
            await server.closed(request)
            found = await rows(database, request)

        assert Counter(each["state"] for each in found) == {"sent": 30}
        assert {each["attempts"] for each in found} == {1}
        assert set(platform.mailbox.values()) == {1}

    async def test_another_tenant_goes_on(self, database: Database) -> None:
        """F02, P06: a throttled tenant slows nobody else."""
        platform = Platform()
        platform.will("UANN", throttled(3.0))
        async with serving(database, platform) as server:
            await server.install(HOME, ELSEWHERE)
            await server.know(["ann@x.example"], HOME)
            await server.know(crowd(20), ELSEWHERE)
            slow = await server.accept(["ann@x.example"])
            await platform.called(1)
            begun = time.monotonic()
            (record,) = await server.closed(await server.accept(crowd(20)))

            assert record.succeeded == 20
            assert time.monotonic() - begun < 2.5
            assert (await server.record(slow)).status == "IN_PROGRESS"

            await server.closed(slow)


class TestUnreachable:
    async def test_waits_and_burns_nothing(self, database: Database) -> None:
        """A host that cannot be reached costs no attempt; the lane tries again after two seconds."""
        platform = Platform()
        platform.will("UANN", NotSent(UNREACHABLE))
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(["ann@x.example"])
            request = await server.accept(["ann@x.example"])
            await server.closed(request)
            found = await row(database, request)

        assert (found["state"], found["attempts"]) == ("sent", 1)
        assert platform.calls[1].at - platform.calls[0].at >= 1.95  # the row's time is wall time, the call's is not


class Broken:
    """Answers with a fault of the lane until it is mended."""

    def __init__(self) -> None:
        self.mended = asyncio.Event()

    async def __call__(self) -> Outcome:
        """One answer."""
        return Sent("m-after") if self.mended.is_set() else NotSent(REVOKED)


class TestConfiguration:
    async def test_is_shown_and_heals_by_itself(self, database: Database) -> None:
        """P20, P27: the lane pauses with reason and remedy, one delivery tries now and then, and nobody fails."""
        platform, broken = Platform(), Broken()
        for email in crowd(40):
            platform.will(user_id(email), *[broken] * 50)
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(crowd(40))
            request = await server.accept(crowd(40))

            async def paused() -> bool:
                return await server.pause() is not None

            await until(paused, "the lane's row shows the pause")
            pause = await server.pause()
            record = await server.record(request)
            together = len(platform.calls)
            await platform.called(together + 1)  # the probe, two seconds later
            assert platform.on_the_wire <= 1
            broken.mended.set()
            (final,) = await server.closed(request)
            await until(lambda: _gone(server.pause()), "the pause is over")
            found = await rows(database, request)

        assert pause is not None
        assert (pause.reason, pause.remedy, pause.code) == (
            "installation_revoked",
            "Install the app again.",
            "token_revoked",
        )
        assert [(each.tenant_id, each.reason) for each in record.paused] == [(HOME, "installation_revoked")]
        assert record.entries == []
        assert (final.status, together <= 16) == ("SUCCESS", True)
        assert {each["attempts"] for each in found} == {1}
        assert set(platform.mailbox.values()) == {1}

    async def test_heals_at_once(self, database: Database) -> None:
        """An event that may have healed the lane lets it try without waiting for its time."""
        platform, broken = Platform(), Broken()
        platform.will("UANN", *[broken] * 50)
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(["ann@x.example"])
            request = await server.accept(["ann@x.example"])
            await until(lambda: _there(server.pause()), "the lane's row shows the pause")
            broken.mended.set()
            begun = time.monotonic()
            server.runner.heal(server.lane())
            await server.closed(request)

            assert time.monotonic() - begun < 1.5

    async def test_heals_all_the_time(self, database: Database) -> None:
        """P31: a storm of installs, each of which may have healed the lane, keeps nobody waiting for the message."""
        platform = Platform()
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(crowd(40))
            storm = asyncio.create_task(_heal_for_ever(server.runner, server.lane()))
            (record,) = await server.closed(await server.accept(crowd(40)))
            storm.cancel()

        assert record.succeeded == 40
        assert set(platform.mailbox.values()) == {1}

    async def test_of_an_opening(self, database: Database) -> None:
        """Credentials that are rejected while a conversation is opened pause the lane just as well."""
        platform = Platform(ChannelName.MSTEAMS)
        platform.openings["UANN"].append(NotSent(REVOKED))
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(["ann@x.example"])
            request = await server.accept(["ann@x.example"])
            await until(lambda: _there(server.pause()), "the lane's row shows the pause")
            (record,) = await server.closed(request)
            await until(lambda: _gone(server.pause()), "the pause is over")

        assert (record.status, len(platform.calls)) == ("SUCCESS", 1)

    async def test_a_restart_tries_at_once(self, database: Database) -> None:
        """A server that starts with new credentials does not wait for a probe."""
        platform, broken = Platform(), Broken()
        platform.will("UANN", *[broken] * 50)
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(["ann@x.example"])
            request = await server.accept(["ann@x.example"])
            await until(lambda: _there(server.pause()), "the lane's row shows the pause")
        broken.mended.set()
        begun = time.monotonic()
        async with serving(database, platform) as server:
            await server.closed(request)

        assert time.monotonic() - begun < 1.5


async def _heal_for_ever(runner: Runner, lane: Lane) -> None:
    """An install at each turn of the event loop."""
    while True:
        runner.heal(lane)
        await asyncio.sleep(0)


async def _there(pause: object) -> bool:
    return await pause is not None  # type: ignore[misc]  # any awaitable


async def _gone(pause: object) -> bool:
    return await pause is None  # type: ignore[misc]  # any awaitable


class TestLookUps:
    async def test_later(self, database: Database) -> None:
        """A look-up that is throttled is repeated; the others do not wait for it."""
        people = People()
        people.add(HOME, "ann@x.example", *crowd(5))
        people.failures["ann@x.example"].append(LookupFailed(THROTTLED, 0.3))
        async with serving(database, people=people) as server:
            await server.install(HOME)
            request = await server.accept(["ann@x.example", *crowd(5)])
            (record,) = await server.closed(request)

        assert record.succeeded == 6
        assert server.platform.calls[-1].user == "UANN"

    async def test_misconfigured(self, database: Database) -> None:
        """Without permission to look people up the lane says so, and those who are known get theirs all the same."""
        people = People()
        people.add(HOME, "ann@x.example")
        people.failures["ann@x.example"].append(LookupFailed(REVOKED, 1.0))
        async with serving(database, people=people) as server:
            await server.install(HOME)
            await server.know(crowd(5))
            request = await server.accept(["ann@x.example", *crowd(5)])
            await until(lambda: _there(server.pause()), "the lane's row shows the pause")
            await server.platform.called(5)
            pause = await server.pause()
            (record,) = await server.closed(request)
            await until(lambda: _gone(server.pause()), "the pause is over")

        assert pause is not None
        assert pause.reason == "installation_revoked"
        assert record.succeeded == 6

    async def test_a_source_that_breaks(self, database: Database) -> None:
        """A people source that raises, or leaves somebody out, costs nobody the message."""

        class Careless(People):
            name = "careless"

            async def find(self, *question: object) -> object:  # type: ignore[override]  # broken on purpose
                if not self.asked:
                    self.asked.append((HOME, "first"))
                    raise ValueError("a bug in an adapter")
                async for answers in super().find(*question):  # type: ignore[arg-type]
                    yield answers

        people = Careless()
        people.add(HOME, "ann@x.example")
        async with serving(database, people=people) as server:
            await server.install(HOME)
            request = await server.accept(["ann@x.example"])
            await until(lambda: _asked(people), "the source was asked")
            server.runner.heal(server.lane())  # not to wait half a minute here
            (record,) = await server.closed(request)

        assert record.status == "SUCCESS"


async def _asked(people: People) -> bool:
    return bool(people.asked)


class TestInDoubt:
    async def test_found(self, database: Database) -> None:
        """P08: an unclear answer whose message is found is sent, under the platform's id, without a second copy."""
        platform = Platform()
        platform.will("UANN", Uncertain(UNCLEAR))
        looker = Looking(deque([SeenAs("m-found")]))
        before = time.time()
        async with serving(database, platform, looker=looker) as server:
            await server.install(HOME)
            await server.know(["ann@x.example"])
            request = await server.accept(["ann@x.example"])
            await server.closed(request)
            found = await row(database, request)

        assert (found["state"], found["message_id"], len(platform.calls)) == ("sent", "m-found", 1)
        assert [found["id"]] == [delivery for delivery, _ in looker.since]
        assert before <= looker.since[0][1] <= platform.calls[0].at - time.monotonic() + time.time()

    async def test_absent_twice(self, database: Database) -> None:
        """P07: what is not there on two looks with a pause between them is sent again."""
        platform = Platform()
        platform.will("UANN", Uncertain(UNCLEAR))
        looker = Looking(deque([NotThere(), NotThere()]))
        async with serving(database, platform, looker=looker) as server:
            await server.install(HOME)
            await server.know(["ann@x.example"])
            request = await server.accept(["ann@x.example"])
            await server.closed(request)
            found = await row(database, request)

        assert (found["state"], found["attempts"], len(looker.since)) == ("sent", 2, 2)
        assert platform.mailbox["UANN"] == 1

    async def test_the_look_goes_back_to_the_intent(self, database: Database) -> None:
        """However late the answer was unclear, the look begins at the moment the request went out."""
        platform = Platform()

        async def late() -> Outcome:
            await asyncio.sleep(0.5)  # the platform's silence
            return Uncertain(UNCLEAR)

        platform.will("UANN", late)
        looker = Looking(deque([SeenAs("m-found")]))
        async with serving(database, platform, looker=looker) as server:
            await server.install(HOME)
            await server.know(["ann@x.example"])
            await server.closed(await server.accept(["ann@x.example"]))

        wire = platform.calls[0].at - time.monotonic() + time.time()
        assert looker.since[0][1] <= wire + 0.01

    async def test_a_look_that_is_throttled_is_repeated(self, database: Database) -> None:
        """A look that could not be taken says nothing."""
        platform = Platform()
        platform.will("UANN", Uncertain(UNCLEAR))
        looker = Looking(deque([NotThere(), LookLater(0.1, THROTTLED), SeenAs("m-found")]))
        async with serving(database, platform, looker=looker) as server:
            await server.install(HOME)
            await server.know(["ann@x.example"])
            request = await server.accept(["ann@x.example"])
            await server.closed(request)
            found = await row(database, request)

        assert (found["state"], len(platform.calls), len(looker.since)) == ("sent", 1, 3)

    async def test_may_not_look(self, database: Database) -> None:
        """Where the platform does not let us look the delivery ends unconfirmed, and says what would have helped."""
        platform = Platform()
        platform.will("UANN", Uncertain(UNCLEAR))
        async with serving(database, platform, looker=Looking()) as server:
            await server.install(HOME)
            await server.know(["ann@x.example"])
            request = await server.accept(["ann@x.example"])
            await server.closed(request)
            found = await row(database, request)

        assert (found["state"], found["remedy"], len(platform.calls)) == ("unconfirmed", "Grant im:history.", 1)

    async def test_resend(self, database: Database) -> None:
        """Who chose to resend gets another attempt where nobody may look; at most five in all."""
        platform = Platform()
        platform.will("UANN", Uncertain(UNCLEAR))
        platform.will("UBOB", *[Uncertain(UNCLEAR)] * 9)
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(["ann@x.example", "bob@x.example"])
            request = await server.accept(["ann@x.example", "bob@x.example"], onUncertain="resend")
            await server.closed(request)
            ann, bob = await rows(database, request)

        assert (ann["state"], ann["attempts"]) == ("sent", 2)
        assert (bob["state"], bob["attempts"]) == ("unconfirmed", 5)

    async def test_an_adapter_that_raises(self, database: Database) -> None:
        """A mistake of ours after the request may have left is an unclear answer, not a lost delivery."""
        platform = Platform()

        async def broken() -> Outcome:
            raise ValueError("a bug in an adapter")

        platform.will("UANN", broken)
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(["ann@x.example", "bob@x.example"])
            request = await server.accept(["ann@x.example", "bob@x.example"])
            await server.closed(request)
            ann, bob = await rows(database, request)

        assert (ann["state"], ann["code"], bob["state"]) == ("unconfirmed", "internal_error", "sent")

    async def test_a_looker_that_raises_stops_nobody(self, database: Database) -> None:
        """One delivery that cannot be looked for does not keep the lane from its work."""

        class Broken:
            asked = asyncio.Event()

            async def __call__(
                self, bot: BotId, address: Address, delivery: DeliveryId, since: float, gate: Gate
            ) -> Look:
                self.asked.set()
                raise ValueError("a bug in an adapter")

        platform, looker = Platform(), Broken()
        platform.will("UANN", Uncertain(UNCLEAR))
        async with serving(database, platform, looker=looker, claim_seconds=1.0) as server:
            await server.install(HOME)
            await server.know(["ann@x.example", *crowd(20)])
            first = await server.accept(["ann@x.example"])
            await soon(looker.asked, "the looker was asked")
            drain = server.drain()
            (record,) = await server.closed(await server.accept(crowd(20)))

            assert record.succeeded == 20
            assert server.drain() is drain
            assert (await server.record(first)).status == "IN_PROGRESS"


class TestDeadline:
    @pytest.mark.parametrize("channel", list(ChannelName))
    async def test_skipped(self, database: Database, channel: ChannelName) -> None:
        """What could not leave before its deadline is skipped for what it met, if anything; the request is closed."""
        platform = Platform(channel)
        emails = crowd(5)
        for email in emails:
            platform.will(user_id(email), throttled(60.0))
            platform.openings[user_id(email)].append(NotSent(THROTTLED, 60.0))
        async with serving(database, platform, deadline_seconds=0.5, claim_seconds=1.0) as server:
            await server.install(HOME)
            await server.know(emails)
            request = await server.accept(emails)
            (record,) = await server.closed(request)
            found = await rows(database, request)

        assert record.status == "FAILURE"
        assert {each["state"] for each in found} == {"skipped"}
        assert {each["reason"] for each in found} <= {"throttled", "deadline"}

    async def test_in_doubt(self, database: Database) -> None:
        """What may have arrived is unconfirmed at its deadline, not skipped."""
        platform = Platform()
        platform.will("UANN", Uncertain(UNCLEAR))
        looker = Looking(deque([LookLater(0.1, THROTTLED)] * 100))
        async with serving(database, platform, looker=looker, deadline_seconds=3.0, claim_seconds=1.0) as server:
            await server.install(HOME)
            await server.know(["ann@x.example"])
            request = await server.accept(["ann@x.example"])
            await server.closed(request)

            assert (await row(database, request))["state"] == "unconfirmed"

    async def test_of_people_nobody_could_look_up(self, database: Database) -> None:
        """A look-up that never works ends with the deadline."""
        people = People()
        people.failures["ann@x.example"].extend([LookupFailed(UNREACHABLE, 0.1)] * 100)
        async with serving(database, people=people, deadline_seconds=0.5, claim_seconds=1.0) as server:
            await server.install(HOME)
            request = await server.accept(["ann@x.example"])
            await server.closed(request)

            assert (await row(database, request))["state"] == "skipped"


def test_the_faults_of_this_file_are_what_they_say() -> None:
    """The twins' faults have the class that their names promise."""
    assert REVOKED.klass is FaultClass.CONFIGURATION
    assert not THROTTLED.costs_attempt
