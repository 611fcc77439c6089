"""From e-mails to people: nobody known, everybody known, and nobody who has the app."""

from __future__ import annotations

import asyncio
import gc
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from adapters.base import BotId, ChannelName, Lane, TenantId
from bench.measure import Row, within
from bench.rig import Herald, bot_id
from bench.warm import World, slack, teams
from identity.answers import Found, PersonAnswer
from identity.resolver import Resolver
from storage.engine import Database

WORKSPACE = 10_000
ASKED = 1000
FREE_POSTING = {"slack_posts_per_second": 100_000.0, "slack_burst": 10_000}
"""At the documented pace of posting the last of a thousand messages leaves after four minutes."""


async def measure_cold_slack(quick: bool) -> list[Row]:
    """1000 of 10 000 people nobody has ever asked for; look-ups and listings at their documented tiers."""
    people, asked = (2000, 200) if quick else (WORKSPACE, ASKED)
    async with slack(people, 1, cold=True, limits=True) as world:
        await world.platform.post("/settings", {"slack_ceiling_per_minute": 0, "slack_burst": 10_000})
        wanted = world.people[0][:: people // asked]
        async with world.server(pace=FREE_POSTING) as server:
            taken = await _taken(world, server, "slack", wanted)
        pages, look_ups = await world.platform.calls("users.list"), await world.platform.calls("users.lookupByEmail")
        throttled = await world.platform.throttled()
    what = f"{len(wanted)} cold Slack e-mails of {people}"
    alone = f"look-ups alone: {len(wanted) / 50:.0f} min"
    return [
        within(f"{what}: resolved", taken.resolved, 60, "s", reference=alone),
        within(f"{what}: first message out", taken.first, 5, "s", reference=f"{pages} pages, {look_ups} look-ups"),
        within(f"{what}: calls answered 429", float(throttled), 0, ""),
    ]


async def measure_cold_teams(quick: bool) -> list[Row]:
    """1000 people of one tenant who have the app and have never been asked for, at the documented limits."""
    people = 200 if quick else ASKED
    async with teams(people, cold=True, limits=True) as world:
        async with world.server(pace={}) as server:
            taken = await _taken(world, server, "msteams", world.people[0])
        batches, throttled = await world.platform.calls("batch"), await world.platform.throttled()
    what = f"{people} cold Teams e-mails"
    return [
        within(f"{what}: resolved", taken.resolved, 10, "s"),
        within(f"{what}: Graph calls", float(batches), 60, ""),
        within(f"{what}: first message out", taken.first, 2, "s"),
        within(f"{what}: calls answered 429", float(throttled), 0, ""),
    ]


async def measure_appless_teams(quick: bool) -> list[Row]:
    """1000 people without the app, which Herald may install for them, at the documented limits."""
    people = 200 if quick else ASKED
    async with teams(people, cold=True, apps=False, limits=True) as world, world.server(pace={}) as server:
        begun = time.monotonic()
        await server.accept("msteams", world.people[0])
        seconds = await server.until_stored(180.0) - begun
        refused, throttled = server.refused(), await world.platform.throttled()
    what = f"{people} Teams people without the app: all sent"
    reference = f"{refused} refused, {throttled} calls answered 429"
    return [within(what, seconds, 60, "s", reference=reference, also=not refused and not throttled)]


async def measure_warm(quick: bool) -> list[Row]:
    """What is stored about 1000 people, read by the resolver itself."""
    people = 200 if quick else ASKED
    rows = []
    async with slack(people, 1) as one, teams(people) as other:
        for channel, world in ((ChannelName.SLACK, one), (ChannelName.MSTEAMS, other)):
            async with world.server() as server:
                await server.accept(channel, world.people[0])
                await server.until_stored()
            asked = await world.platform.calls("users.lookupByEmail", "batch", "users")
            taken, plain = await _reading(world, channel)
            what = f"{people} warm {'Slack' if channel is ChannelName.SLACK else 'Teams'} identities"
            rows.append(within(f"{what}: read", taken * 1000, 20, "ms", reference=f"sqlite3: {plain * 1000:.1f} ms"))
            rows.append(within(f"{what}: calls that look up", float(asked), 0, ""))
    return rows


@dataclass(frozen=True, slots=True)
class _Taken:
    """Seconds from the request to the first message, and to the last e-mail of which the owner is stored."""

    first: float
    resolved: float


async def _taken(world: World, server: Herald, channel: str, wanted: Sequence[str]) -> _Taken:
    """Send to everyone; everyone must have got it at the end."""
    begun = time.monotonic()
    await server.accept(channel, wanted)
    resolved = await _all_known(server, wanted) - begun
    await server.until_stored()
    assert not server.refused()
    return _Taken(await world.platform.first_send() - begun, resolved)


async def _all_known(server: Herald, wanted: Sequence[str]) -> float:
    """The moment (monotonic) at which the directory holds an owner of every e-mail."""
    known = "SELECT count(DISTINCT email) FROM emails WHERE email IN (SELECT value FROM json_each(?))"
    emails = json.dumps([each.lower() for each in wanted])
    with server.rows() as rows:
        async with asyncio.timeout(1800):
            while rows.execute(known, (emails,)).fetchone()[0] < len(wanted):  # noqa: ASYNC110 - another process writes
                await asyncio.sleep(0.05)
    return time.monotonic()


class _Unasked:
    """A platform that must not be asked."""

    name = "nobody"

    def unasked(self, _bot: BotId) -> None:
        """It is not known to be switched off."""

    async def seconds(self, bot: BotId, tenant: TenantId, unknown: int) -> float:
        """Nobody is asked."""
        return 0.0

    def find(self, *_: object) -> AsyncIterator[Mapping[str, PersonAnswer]]:
        raise AssertionError("somebody who is known was asked for")


async def _reading(world: World, channel: ChannelName) -> tuple[float, float]:
    """Seconds to resolve everyone from the database (median of 20), and to read the same rows by plain sqlite3."""
    file = world.folder / "herald.db"
    wanted = [each.lower() for each in world.people[0]]
    lane = Lane(BotId(bot_id(1)), channel, TenantId(world.targets[0]["tenant"]))
    database = Database.open(f"sqlite:///{file}")
    resolver = Resolver(database, _Unasked(), clock=time.time)
    ours, plain = [], []
    gc.collect()
    gc.freeze()  # what this process holds besides is not looked at again and again, as in the server
    try:
        for _ in range(20):
            begun = time.perf_counter()
            found = await resolver.known(lane, wanted)
            ours.append(time.perf_counter() - begun)
            assert len(found) == len(wanted)
            assert all(isinstance(each, Found) for each in found.values())
            plain.append(_plainly(file, lane, wanted))
    finally:
        await database.close()
    return median(ours), median(plain)


_STORED = """
    SELECT emails.email, people.user_id, people.disabled, known.conversation_id
    FROM emails CROSS JOIN people USING (bot_id, channel, tenant_id, user_id)
    LEFT JOIN conversation_references AS known USING (bot_id, channel, tenant_id, user_id)
    WHERE emails.email IN (SELECT value FROM json_each(?))
        AND emails.bot_id = ? AND emails.channel = ? AND emails.tenant_id = ?
"""


def _plainly(file: Path, lane: Lane, wanted: Sequence[str]) -> float:
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    begun = time.perf_counter()
    rows = connection.execute(_STORED, (json.dumps(wanted), lane.bot, lane.channel, lane.tenant)).fetchall()
    taken = time.perf_counter() - begun
    connection.close()
    assert len(rows) == len(wanted)
    return taken
