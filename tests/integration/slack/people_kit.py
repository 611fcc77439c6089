"""What the tests about people share: a workspace that answers look-ups and listings, and what came of them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from adapters.base import ChannelName, Chore, ChoreLater, Lane
from adapters.slack.installations import DIRECTORY
from identity.answers import PersonAnswer
from identity.slack import LIST, LOOK_UP, SlackPeople
from identity.slack_listing import SlackDirectory, SlackListing
from storage import directory, mirrors
from storage.mirrors import Mirror
from tests.integration.slack.kit import BOT, TEAM, Heard, OpenGate, SlackSide, StubSlack, user

SLACK = ChannelName.SLACK
LANE = Lane(BOT, SLACK, TEAM)


@dataclass(slots=True)
class ShutGate(OpenGate):
    """A gate that lets one method wait until it is opened."""

    shut: str = LOOK_UP
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def enter(self, bucket: str) -> None:
        self.entered.append(bucket)
        if bucket == self.shut:
            await self.opened.wait()
        await asyncio.sleep(0)


def people(side: SlackSide) -> SlackPeople:
    return SlackPeople(side.client, side.installations, listing(side))


def listing(side: SlackSide) -> SlackListing:
    return SlackListing(side.client, side.installations, side.database, side.clock)


async def find(
    side: SlackSide, addresses: list[str], gate: OpenGate | None = None, source: SlackPeople | None = None
) -> dict[str, PersonAnswer]:
    """All answers; fails when an address is answered twice."""
    found: dict[str, PersonAnswer] = {}
    async for answers in (source or people(side)).find(BOT, TEAM, addresses, gate or side.gate):
        assert not found.keys() & answers.keys()
        found.update(answers)
    assert set(found) == set(addresses)
    return found


def a(number: int) -> str:
    return f"p{number}@example.com"


def workspace(stub: StubSlack, count: int, page: int = 1000, **of: dict[str, Any]) -> None:
    """A workspace of `count` people p0@… with ids U0…, answering look-ups and listings."""
    members = [user(f"U{number}", a(number), **of.get(f"U{number}", {})) for number in range(count)]
    by_email = {str(each["profile"].get("email")): each for each in members if not each["deleted"]}

    def look_up(call: Heard) -> dict[str, Any]:
        found = by_email.get(call.arguments["email"])
        return {"ok": True, "user": found} if found else {"ok": False, "error": "users_not_found"}

    def list_page(call: Heard) -> dict[str, Any]:
        start = int(call.arguments.get("cursor") or 0)
        end = start + min(page, int(call.arguments["limit"]))
        cursor = str(end) if end < len(members) else ""
        return {"ok": True, "members": members[start:end], "response_metadata": {"next_cursor": cursor}}

    stub.replies |= {LOOK_UP: look_up, LIST: list_page}


async def mirror(side: SlackSide) -> Mirror | None:
    async with side.database.read() as tx:
        return await mirrors.get(tx, bot_id=BOT, channel=SLACK, tenant_id=TEAM)


async def was_listed(side: SlackSide, members: int) -> None:
    async with side.database.write() as tx:
        number = await mirrors.begin_listing(tx, bot_id=BOT, channel=SLACK, tenant_id=TEAM)
        state = Mirror(side.clock() - 1, side.clock() - 2, members, 1000, completed=number)
        await mirrors.note(tx, bot_id=BOT, channel=SLACK, tenant_id=TEAM, state=state)


async def stored(side: SlackSide, address: str) -> list[tuple[str, bool, str]]:
    async with side.database.read() as tx:
        rows = await directory.lookup(tx, bot_id=BOT, channel=SLACK, tenant_id=TEAM, addresses=[address])
    return [(each.user_id, each.disabled, each.source) for each in rows]


def daily(side: SlackSide) -> SlackDirectory:
    """The chore that refreshes the directory."""
    return SlackDirectory(listing(side), side.installations)


async def run(side: SlackSide, handler: SlackDirectory) -> list[ChoreLater]:
    """Do the chore to its end, handing the detail on as the database would."""
    outcomes: list[ChoreLater] = []
    detail: dict[str, Any] = {}
    while not outcomes or outcomes[-1].after == 0.0:
        chore = Chore(1, LANE, DIRECTORY, "users", json.loads(json.dumps(detail)))
        outcome = await handler(chore, side.gate)
        assert isinstance(outcome, ChoreLater)
        outcomes.append(outcome)
        detail = dict(outcome.detail or {})
    return outcomes
