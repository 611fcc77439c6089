"""After an unclear answer on Slack: looked for, found or proven absent, and never two copies. On Teams: only proof."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from simulator.clock import RealClock
from tests.harness.herald import Herald, text_body
from tests.harness.oracle import lies, outcomes, reasons
from tests.harness.platforms import MSTEAMS, SLACK, Platforms, simulated
from tests.scenario.conftest import Starting


class OtherClock(RealClock):
    """A platform whose clock is not ours."""

    def __init__(self, ahead: float) -> None:
        self._ahead = timedelta(seconds=ahead)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead


class TestFound:
    @pytest.mark.parametrize("ahead", [-120.0, 120.0])
    async def test_with_another_clock(self, starting: Starting, ahead: float) -> None:
        """M01: a message whose answer was lost is found although our clock and Slack's are minutes apart."""
        async with simulated(clock=OtherClock(ahead)) as platforms, starting(platforms) as herald:
            people = platforms.emails(4)
            for person in people[:2]:
                await platforms.send_fault(SLACK, person=person, times=1, drop="after")

            record = await herald.deliver(SLACK, people)

            assert outcomes(record) == {"sent": 4}
            assert lies(record, await platforms.messages(SLACK)) == []
            assert await platforms.calls("slack", "conversations.history") == 2

    async def test_in_a_known_conversation(self, herald: Herald, platforms: Platforms) -> None:
        """A second message is told apart from the first by its mark, not by its text."""
        people = platforms.emails(2)
        await herald.deliver(SLACK, people, "The same")
        await platforms.send_fault(SLACK, person=people[0], times=1, status=503, body="", stored=True)
        await platforms.send_fault(SLACK, person=people[1], times=1, status=503, body="")

        record = await herald.deliver(SLACK, people, "The same")

        copies = [len(await platforms.messages(SLACK, email=person)) for person in people]
        assert (outcomes(record), copies) == ({"sent": 2}, [2, 2])

    async def test_a_wish_to_resend_does_not_forgo_the_look(self, herald: Herald, platforms: Platforms) -> None:
        """Where looking is possible, whoever chose to resend gets one copy all the same."""
        people = platforms.emails(3)
        await platforms.send_fault(SLACK, person=people[0], times=1, drop="after")
        await platforms.send_fault(SLACK, person=people[1], times=1, drop="before")

        record = await herald.deliver(SLACK, people, options={"onUncertain": "resend"})

        assert outcomes(record) == {"sent": 3}
        assert lies(record, await platforms.messages(SLACK)) == []

    async def test_a_failing_look_is_repeated(self, herald: Herald, platforms: Platforms) -> None:
        """An error of the look itself is no absence."""
        [person] = platforms.emails(1)
        await platforms.send_fault(SLACK, person=person, times=1, drop="after")
        failing = {"platform": "slack", "operation": "conversations.history"}
        await platforms.fault(**failing, times=1, status=503, body='{"ok":false,"error":"service_unavailable"}')

        record = await herald.deliver(SLACK, [person])

        assert outcomes(record) == {"sent": 1}
        assert lies(record, await platforms.messages(SLACK)) == []


class TestNotHidden:
    async def test_threads(self, herald: Herald, platforms: Platforms) -> None:
        """An answer in a thread does not stand in the conversation: after a lost answer nobody says it is not there."""
        [person] = platforms.emails(1)
        await herald.deliver(SLACK, [person])
        [first] = await platforms.messages(SLACK)
        await platforms.send_fault(SLACK, person=person, times=1, drop="after")
        body = text_body(SLACK, [person])
        body["message"] = {"type": "script", "val": {"text": "hi", "thread_ts": first["message_id"]}}
        status, answer = await herald.post(body)
        assert status == 200

        record = await herald.final(answer["_id"])

        assert outcomes(record) == {"unconfirmed": 1}
        assert "thread" in record["statusLogs"][0]["details"]["remedy"]
        assert len(await platforms.messages(SLACK)) == 2

    async def test_something_in_between(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """P13: a firewall's page in place of an answer refuses nobody; when it is gone, everybody gets one copy."""
        people = platforms.emails(5)
        page = {"status": 403, "body": "<html>Access denied</html>", "content_type": "text/html"}
        blocked = await platforms.send_fault(channel, person=people[0], **page)
        request = await herald.notify(channel, people)
        await platforms.fired(blocked, 2)
        await platforms.heal(blocked)

        record = await herald.final(request)

        assert reasons(record) == {}
        assert lies(record, await platforms.messages(channel)) == []


class TestProof:
    async def test_their_own_message_is_none(self, herald: Herald, platforms: Platforms) -> None:
        """What a person writes, reads and marks beside a message that never arrived does not make it sent."""
        [person] = platforms.emails(1)
        await platforms.teams_install([person])
        await herald.idle()
        await platforms.send_fault(MSTEAMS, person=person, times=1, status=502, body="")
        request = await herald.notify(MSTEAMS, [person])
        await herald.final(request)
        written = await platforms.control("teams/events", {"person": person, "kind": "message", "text": "thanks"})
        own = str(written["activity"]["id"])
        for kind in ("read", "reaction"):
            await platforms.control("teams/events", {"person": person, "kind": kind, "message_id": own})

        record = await herald.status(request)

        assert outcomes(record) == {"unconfirmed": 1}
