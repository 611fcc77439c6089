"""Promises of people, mailboxes, counters, settings and injected time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from simulator.clock import ManualClock
from simulator.counters import Counters
from simulator.mailbox import Mailboxes, count_by_person
from simulator.people import PLAIN, Shares, generate
from simulator.world import BadSetting, Settings

AT = datetime(2026, 1, 5, tzinfo=UTC)


class TestPeople:
    def test_same_seed_same_people(self) -> None:
        """A seed always gives the same people, and a larger population begins with the smaller one."""
        assert generate(7, 50, "contoso.example") == generate(7, 200, "contoso.example")[:50]
        assert generate(7, 50, "contoso.example") != generate(8, 50, "contoso.example")

    def test_unique_addresses(self) -> None:
        """Nobody shares an e-mail."""
        people = generate(7, 20_000, "contoso.example")

        assert len(people) == len({each.email for each in people})

    def test_first_people_are_plain(self) -> None:
        """The first 97 people are active members with the app; then one of a hundred is special in each way."""
        people = generate(7, 1000, "contoso.example")

        assert all(each.user_type == "member" and not each.disabled and each.has_app for each in people[:97])
        assert [each.index for each in people[:200] if each.user_type == "guest"] == [97, 197]
        assert [each.index for each in people[:200] if each.disabled] == [98, 198]
        assert [each.index for each in people[:200] if not each.has_app] == [99, 199]
        assert sum(each.disabled for each in people) == 10

    def test_forced_shares(self) -> None:
        """Shares can be forced to all or nothing."""
        assert all(each.disabled for each in generate(7, 30, "contoso.example", Shares(disabled=1)))
        assert not any(each.disabled for each in generate(7, 300, "contoso.example", PLAIN))


class TestMailboxes:
    @staticmethod
    def mailboxes() -> Mailboxes:
        mailboxes = Mailboxes()
        for number in (1, 2):
            mailboxes.deliver("slack", "T1", "U1", "D1", f"{number}", {"text": f"m{number}"}, AT, "ada@contoso.example")
        mailboxes.deliver("teams", "t-1", "29:1", "a:1", "1", {"text": "m3"}, AT)
        return mailboxes

    def test_order_and_owner(self) -> None:
        """A person's messages are theirs alone and keep their order."""
        mailboxes = self.mailboxes()

        assert [each.body["text"] for each in mailboxes.of("slack", "T1", "U1")] == ["m1", "m2"]
        assert mailboxes.of("slack", "T2", "U1") == []

    def test_edit_and_delete(self) -> None:
        """An edit replaces what is seen and keeps the history; a deleted message is seen no more."""
        mailboxes = self.mailboxes()
        edited = mailboxes.edit("slack", "T1", "D1", "1", {"text": "new"}, AT)
        mailboxes.delete("slack", "T1", "D1", "2", AT)

        assert edited is not None
        assert edited.edits == [(AT, {"text": "m1"})]
        assert [each.body["text"] for each in mailboxes.of("slack", "T1", "U1")] == ["new"]
        assert len(mailboxes.of("slack", "T1", "U1", with_deleted=True)) == 2
        assert mailboxes.edit("slack", "T1", "D1", "2", {}, AT) is None

    def test_counts(self) -> None:
        """Messages are counted by e-mail and by user id."""
        counts = count_by_person(self.mailboxes().all())

        assert counts == {"by_email": {"ada@contoso.example": 2}, "by_user_id": {"U1": 2, "29:1": 1}}

    def test_filters(self) -> None:
        """A selection fits every filter, e-mails without case."""
        mailboxes = self.mailboxes()

        assert len(list(mailboxes.select(platform="teams"))) == 1
        assert len(list(mailboxes.select(tenant="T1", email="ADA@contoso.example"))) == 2


class TestCounters:
    def test_calls_and_throttles(self) -> None:
        """Calls and 429s are counted by platform, operation and tenant, with arrival times."""
        counters = Counters()
        counters.call("slack", "auth.test", "T1", 1.0)
        counters.call("slack", "auth.test", "T2", 2.0)
        counters.throttle("slack", "auth.test", "T2")

        assert list(counters.of("slack", "auth.test", "T2").arrivals) == [2.0]
        assert counters.total("slack", "auth.test").calls == 2
        assert counters.total("slack", "auth.test").throttled == 1


class TestSettings:
    def test_unknown_and_wrong_are_refused(self) -> None:
        """One wrong value refuses the whole change."""
        settings = Settings()
        settings.declare("limits", True)
        settings.declare("latency", 0.0)

        for wrong in ({"limit": True}, {"limits": 1}, {"latency": True}, {"latency": -1}):
            with pytest.raises(BadSetting):
                settings.update({"latency": 5, **wrong})

        assert settings["latency"] == 0.0


class TestManualClock:
    async def test_advance_wakes_in_order(self) -> None:
        """Sleepers wake when time has come, the soonest first."""
        clock, woken = ManualClock(), list[str]()

        async def sleep(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append(name)

        tasks = [asyncio.create_task(sleep("late", 2)), asyncio.create_task(sleep("soon", 1))]
        await clock.until_sleeping(2)
        clock.advance(1)
        await tasks[1]

        assert woken == ["soon"]
        assert clock.sleepers() == [1]

        clock.advance(1)
        await asyncio.gather(*tasks)

        assert woken == ["soon", "late"]
        assert (clock.now() - ManualClock().now()).total_seconds() == 2
