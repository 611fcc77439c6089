"""P32: Slack is answered in time, whatever the database does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from sqlalchemy import func, select

from adapters.slack import envelope
from adapters.slack.limits import ANSWER_SECONDS
from simulator.slack.limits import EVENT_TIMEOUT
from storage import installations, tables
from tests.harness.databases import locked
from tests.integration.slack.kit import BOT, ORG, TEAM, SlackSide, serving_side, user, wrapped

CROWD = 20  # more than there are connections
SOON = 0.2
ROUNDS, STEP = 60, 0.0005  # deadlines from at once to long after the commit
PRESSED = {
    "type": "block_actions",
    "team": {"id": TEAM},
    "user": {"id": "U1"},
    "container": {"type": "message", "channel_id": "D1", "message_ts": "5.5"},
    "actions": [{"action_id": "yes", "block_id": "b"}],
}


@pytest.fixture(name="url")
async def _url(side: SlackSide) -> AsyncIterator[str]:
    await side.install()
    async with serving_side(side) as url:
        yield url


@pytest.fixture(name="hurried")
async def _hurried(side: SlackSide, url: str) -> AsyncIterator[str]:
    """The same with a deadline that no test waits for."""
    async with serving_side(side, answer_seconds=SOON) as hurried:
        yield hurried


async def count(side: SlackSide, table: str) -> int:
    async with side.database.read() as tx:
        return int((await tx.execute(select(func.count()).select_from(tables.metadata.tables[table]))).scalar_one())


async def join(side: SlackSide, url: str) -> set[int]:
    """A crowd joins the workspace at once: every status that was answered."""
    events = ({"type": "team_join", "user": user(f"U{each}", f"p{each}@example.com")} for each in range(CROWD))
    return set(await asyncio.gather(*(side.deliver(url, event, event_id=f"Ev{at}") for at, event in enumerate(events))))


async def test_events(side: SlackSide, url: str, hurried: str, database_url: str) -> None:
    """P32: events that cannot be stored get 503 in time and leave nothing behind; repeated, they are stored once."""
    async with locked(database_url):
        began = time.monotonic()
        late = await join(side, hurried)
        took = time.monotonic() - began
    nothing = [await count(side, "inbox"), await count(side, "people")]
    again = await join(side, url)
    twice = await join(side, url)

    assert (late, again, twice) == ({503}, {200}, {200})
    assert took < EVENT_TIMEOUT
    assert nothing == [0, 0]
    assert [await count(side, "inbox"), await count(side, "people")] == [CROWD, CROWD]


async def test_presses(side: SlackSide, url: str, hurried: str, database_url: str) -> None:
    """P32: the press of a button that cannot be taken as evidence gets 503 in time as well."""
    side.installations.forget(BOT)
    async with locked(database_url):
        began = time.monotonic()
        late = await side.press(hurried, PRESSED)
        took = time.monotonic() - began
    again = await side.press(url, PRESSED)

    assert (late, again) == (503, 200)
    assert took < EVENT_TIMEOUT
    assert [each.message_id for each in side.evidence] == ["5.5"]


async def test_what_is_stored_is_known(side: SlackSide) -> None:
    """P32: a deadline that falls into the commit hides nothing: a workspace that was stored has its lane woken."""
    await side.install(None, "xoxb-org", ORG)
    events = side.events()
    for number in range(ROUNDS):
        granted = {"type": "team_access_granted", "team_ids": [f"T{number}"]}
        known = envelope.read(wrapped(granted, team=None, enterprise=ORG, event_id=f"Ev{number}"))
        assert known is not None
        by = asyncio.get_running_loop().time() + number * STEP
        with suppress(TimeoutError):
            await side.database.in_time(events.store(known), by)

    async with side.database.write() as tx:
        rows = await installations.of_org(tx, bot_id=BOT, channel="slack", enterprise_id=ORG)
    assert {row.tenant_id for row in rows if not row.is_org} <= {lane.tenant for lane in side.woken}


async def test_is_told(side: SlackSide, hurried: str, database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """P32: operators read in the log that the database was too slow for an event."""
    async with locked(database_url):
        await side.deliver(hurried, {"type": "team_join", "user": user("U1", "secret.person@example.com")})

    told = [record for record in caplog.records if getattr(record, "action", "") == "slack.event.late"]
    assert [(record.bot, record.event_id) for record in told] == [(BOT, "Ev0001")]  # type: ignore[attr-defined]
    assert "secret.person" not in caplog.text


def test_before_slack_hangs_up() -> None:
    """P32: what is answered in time leaves the answer half a second on its way."""
    assert ANSWER_SECONDS + 0.5 <= EVENT_TIMEOUT
