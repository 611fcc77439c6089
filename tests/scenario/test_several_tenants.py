"""One bot in two tenants or workspaces: people move between them, change their names, leave and come back."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy import update

from app import DATABASE
from simulator.slack.apps import DEFAULT_APP_ID as SLACK_APP_ID
from simulator.teams.apps import DEFAULT_MULTI_TENANT_APP_ID
from simulator.teams.people import tenant_id
from storage.tables import misses
from tests.harness.herald import Herald, Json, text_body
from tests.harness.oracle import outcomes, reasons, text_of
from tests.harness.platforms import MSTEAMS, SLACK, Platforms, workspace_id
from tests.scenario.conftest import Two

ANN = "ann.moves@mail.example"
TEAMS_APP = {"app_id": DEFAULT_MULTI_TENANT_APP_ID}

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


def place(channel: str, number: int) -> str:
    """The id of tenant or workspace number 0 or 1."""
    return tenant_id(number) if channel == MSTEAMS else workspace_id(number)


class Somebody:
    """One person, who may have an account in each of two tenants. What happens to them `silently`, no event tells."""

    def __init__(self, platforms: Platforms, channel: str) -> None:
        self._platforms = platforms
        self._channel = channel
        self._slack_ids: dict[int, str] = {}

    async def join(self, number: int, email: str = ANN, *, silently: bool = False, guest: bool = False) -> None:
        """An account in tenant number 0 or 1; on Teams with the app, which guests cannot have."""
        if self._channel == SLACK:
            joins = {"team": workspace_id(number), "email": email, "silent": silently, "wait": True}
            joins |= {"is_restricted": guest}
            self._slack_ids[number] = (await self._platforms.control("slack/people", joins))["id"]
            return
        where = {"tenant": tenant_id(number)}
        await self._platforms.control("teams/people", {**where, "email": email, "guest": guest})
        if guest:
            return
        await self._platforms.control(
            "teams/installs", {**where, **TEAMS_APP, "emails": [email], "notify": not silently}
        )

    async def leave(self, number: int, email: str = ANN) -> None:
        """The account is deleted (Teams) or deactivated (Slack)."""
        if self._channel == SLACK:
            await self._change_slack(number, deleted=True)
        else:
            await self._change_teams(number, email, left=True)

    async def come_back(self, number: int, email: str = ANN) -> None:
        """On Slack the old account is active again; on Teams there is a new one."""
        if self._channel == SLACK:
            await self._change_slack(number, deleted=False)
        else:
            await self.join(number, email)

    async def rename(self, number: int, old: str, new: str) -> None:
        """Another e-mail; Teams tells nobody."""
        if self._channel == SLACK:
            await self._change_slack(number, email=new)
        else:
            await self._change_teams(number, old, email=new, upn=new)

    async def talk(self, number: int, email: str = ANN) -> None:
        """The person turns to the bot in tenant number 0 or 1."""
        if self._channel == SLACK:
            where = {"app_id": SLACK_APP_ID, "team": workspace_id(number), "user": self._slack_ids[number]}
            await self._platforms.slack_event("message.im", **where)
        else:
            await self._platforms.teams_install([email], **TEAMS_APP, tenant=tenant_id(number))

    async def _change_slack(self, number: int, **changes: Any) -> None:
        await self._platforms.control(f"slack/people/{self._slack_ids[number]}", {**changes, "wait": True}, "PATCH")

    async def _change_teams(self, number: int, person: str, **changes: Any) -> None:
        await self._platforms.teams_person(person, tenant=tenant_id(number), **changes)


async def deliver(herald: Herald, channel: str, text: str, email: str = ANN, **options: Any) -> Json:
    """Send to one person: the record, which is final."""
    more = {"options": options} if options else {}
    return await herald.final(await herald.accept(text_body(channel, [email], text, **more)))


async def mailboxes(platforms: Platforms, channel: str, text: str) -> list[str]:
    """In which tenants a text arrived."""
    return [message["tenant"] for message in await platforms.messages(channel) if text_of(message) == text]


def details(record: Json) -> Json:
    """The details of the only delivery."""
    (entry,) = record["statusLogs"]
    found: Json = entry["details"]
    return found


async def next_second() -> None:
    """Wait until the clock shows another second."""
    await asyncio.sleep(1.01 - time.time() % 1.0)


async def a_quarter_of_an_hour_later(herald: Herald) -> None:
    """Who was not found a while ago is asked for again."""
    assert herald.app is not None
    async with herald.app[DATABASE].write() as tx:
        await tx.execute(update(misses).values(until=0.0))


class TestBetweenTwo:
    async def test_nobody_guesses(self, pair: Platforms, two: Two, channel: str) -> None:
        """Whoever has an account in both is refused with both names, and reached in the one that the caller names."""
        ann = Somebody(pair, channel)
        async with two(channel) as herald:
            await ann.join(0, silently=True)
            await ann.join(1, silently=True)
            guess = await deliver(herald, channel, "Guess")
            pinned = await deliver(herald, channel, "Pinned", tenant=place(channel, 1))

        assert reasons(guess) == {ANN: "person_ambiguous"}
        assert all(place(channel, number) in details(guess)["remedy"] for number in (0, 1))
        assert "options.tenant" in details(guess)["remedy"]
        assert {step["tenant"] for step in details(guess)["trace"] if "tenant" in step} == {
            place(channel, 0),
            place(channel, 1),
        }
        assert outcomes(pinned) == {"sent": 1}
        assert await mailboxes(pair, channel, "Guess") == []
        assert await mailboxes(pair, channel, "Pinned") == [place(channel, 1)]

    async def test_pinned_to_the_other(self, pair: Platforms, two: Two, channel: str) -> None:
        """Whoever is not in the tenant that the caller names is not written to in another."""
        person = pair.emails(1, 1)[0]
        async with two(channel) as herald:
            record = await deliver(herald, channel, "Pinned", person, tenant=place(channel, 0))

        assert reasons(record) == {person: "person_not_found"}
        assert await mailboxes(pair, channel, "Pinned") == []

    async def test_at_home(self, pair: Platforms, two: Two, channel: str) -> None:
        """Whoever has an account in both, but shares the e-mail's domain with the people of one, is reached there."""
        colleague = pair.emails(1, 1)[0]
        email = f"new.colleague@{colleague.partition('@')[2]}"
        ann = Somebody(pair, channel)
        async with two(channel) as herald:
            await deliver(herald, channel, "Before", colleague)
            await ann.join(0, email, silently=True)
            await ann.join(1, email, silently=True)
            record = await deliver(herald, channel, "Home", email)

        assert outcomes(record) == {"sent": 1}
        assert await mailboxes(pair, channel, "Home") == [place(channel, 1)]

    async def test_a_guest_in_one(self, pair: Platforms, two: Two, channel: str) -> None:
        """Whoever is a guest in the one is a member of the other, and is reached there."""
        ann = Somebody(pair, channel)
        async with two(channel) as herald:
            await ann.join(0, silently=True, guest=True)
            await ann.join(1, silently=True)
            record = await deliver(herald, channel, "Home")

        assert reasons(record) == {}
        assert await mailboxes(pair, channel, "Home") == [place(channel, 1)]

    async def test_look_ups_at_fault(self, pair: Platforms, two: Two, channel: str) -> None:
        """A tenant whose look-ups lack a permission holds nobody whom the other one has."""
        ann = Somebody(pair, channel)
        denied: Json = {"platform": "graph", "operation": "batch", "status": 403, "code": "Authorization_RequestDenied"}
        if channel == SLACK:
            denied = {"platform": "slack", "operation": "users.lookupByEmail", "status": 200, "code": "missing_scope"}
        async with two(channel) as herald:
            trouble = await pair.fault(**denied, tenant=place(channel, 0))
            await ann.join(1, silently=True)
            record = await deliver(herald, channel, "There")
            fired = (await pair.faults())[trouble]["fired"]

        assert reasons(record) == {}
        assert fired
        assert await mailboxes(pair, channel, "There") == [place(channel, 1)]

    async def test_talked_to_us_last(self, pair: Platforms, two: Two, channel: str) -> None:
        """Whoever has an account in both is reached where they turned to the bot last."""
        ann = Somebody(pair, channel)
        arrived: list[list[str]] = []
        async with two(channel) as herald:
            for number in (0, 1):
                await ann.join(number)
            for number in (1, 0, 1):
                await ann.talk(number)
                await herald.idle()
                await next_second()  # Slack's events tell no less apart
                text = f"After {len(arrived)}"
                await deliver(herald, channel, text)
                arrived.append(await mailboxes(pair, channel, text))

        assert arrived == [[place(channel, number)] for number in (1, 0, 1)]


class TestMoving:
    async def test_there_and_back(self, pair: Platforms, two: Two, channel: str) -> None:
        """A person who moved to the other tenant is reached there, and back in the first one again."""
        ann = Somebody(pair, channel)
        async with two(channel) as herald:
            await ann.join(0)
            await herald.idle()
            first = await deliver(herald, channel, "First")
            await ann.leave(0)
            await ann.join(1)
            await herald.idle()
            second = await deliver(herald, channel, "Second")
            await ann.leave(1)
            await ann.come_back(0)
            await herald.idle()
            third = await deliver(herald, channel, "Third")

        assert [reasons(record) for record in (first, second, third)] == [{}] * 3
        assert await mailboxes(pair, channel, "First") == [place(channel, 0)]
        assert await mailboxes(pair, channel, "Second") == [place(channel, 1)]
        assert await mailboxes(pair, channel, "Third") == [place(channel, 0)]

    async def test_arrived_silently(self, pair: Platforms, two: Two, channel: str) -> None:
        """Of an account of which no event told, the next look-up tells."""
        ann = Somebody(pair, channel)
        async with two(channel) as herald:
            await ann.join(0, silently=True)
            first = await deliver(herald, channel, "First")
            await ann.leave(0)
            await ann.join(1, silently=True)
            await a_quarter_of_an_hour_later(herald)
            second = await deliver(herald, channel, "Second")

        assert [reasons(record) for record in (first, second)] == [{}] * 2
        assert await mailboxes(pair, channel, "First") == [place(channel, 0)]
        assert await mailboxes(pair, channel, "Second") == [place(channel, 1)]

    async def test_renamed(self, pair: Platforms, two: Two, channel: str) -> None:
        """Under a new e-mail a person is reached where they are, in both tenants that may have them."""
        new = "ann.married@mail.example"
        ann = Somebody(pair, channel)
        async with two(channel) as herald:
            await ann.join(1)
            await herald.idle()
            first = await deliver(herald, channel, "First")
            await ann.rename(1, ANN, new)
            second = await deliver(herald, channel, "Second", new)

        assert [reasons(record) for record in (first, second)] == [{}] * 2
        assert await mailboxes(pair, channel, "First") == [place(channel, 1)]
        assert await mailboxes(pair, channel, "Second") == [place(channel, 1)]

    async def test_gone_from_both(self, pair: Platforms, two: Two, channel: str) -> None:
        """Whoever left both tenants is refused, and nobody gets the message."""
        ann = Somebody(pair, channel)
        async with two(channel) as herald:
            for number in (0, 1):
                await ann.join(number)
            await herald.idle()
            for number in (0, 1):
                await ann.leave(number)
            await herald.idle()
            record = await deliver(herald, channel, "Gone")

        expected = "app_not_installed" if channel == MSTEAMS else "person_disabled"
        assert reasons(record) == {ANN: expected}
        assert await mailboxes(pair, channel, "Gone") == []
