"""Messages that differ from person to person, in a lane: nothing that one caller prints holds up another."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from adapters.base import ChannelName
from notify.drain import Drain
from notify.message import Kind, Message
from notify.records import Entry, Submission
from notify.renderer import BREATH_SECONDS, SLICE, Occasion, Person, Renderer, Wish
from notify.requests import Requests
from notify.script.pool import ScriptPool
from storage.engine import Database
from tests.integration.notify.kit import BOT, HOME, People, Platform, Server, crowd, serving, until

LARGE = "print('{\"text\":\"x\",\"a\":['+'{},'.repeat(80000)+'1]}')"
MEANWHILE_SECONDS = 2.0


async def longest_stall(work: asyncio.Task[Any]) -> float:
    """The longest time for which nobody else had a turn while some work was done."""
    longest, last = 0.0, time.monotonic()
    while not work.done():
        await asyncio.sleep(0.001)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    await work
    return longest


async def _true(fact: bool) -> bool:
    return fact


async def running(server: Server) -> Drain:
    """The drain at work."""

    async def there() -> bool:
        return server.drain() is not None

    await until(there, "a drain at work")
    drain = server.drain()
    assert drain is not None
    return drain


class TestTurns:
    async def test_large_outputs(self) -> None:
        """However large and odd what scripts print is, others have their turn between any two recipients."""
        pool = ScriptPool()
        renderer = Renderer(pool, key=b"k" * 32, names={BOT: "Herald"})
        message = Message(Kind.SCRIPT, LARGE)
        occasion = Occasion(BOT, ChannelName.MSTEAMS, "resolve", script=renderer.begin(message))
        wishes = [Wish(message, Person(email)) for email in crowd(40)]
        try:
            began = time.monotonic()
            stall = await longest_stall(asyncio.create_task(renderer.render(occasion, wishes)))
            took = time.monotonic() - began
        finally:
            await pool.close()

        assert BREATH_SECONDS < took
        assert stall < took / 4

    async def test_equal_identities(self, database: Database) -> None:
        """Comparing a thousand messages to one person happens before the transaction and beside everything else."""
        requests = Requests(database, wake=lambda _lane: None, deadline_hours=24)
        sections = [{"type": "section", "text": {"type": "mrkdwn", "text": "{a} <" * 4}}] * 45
        entries = [Entry("a@x.example", "a@x.example", values={"a": str(number)}) for number in range(500)]
        message = Message(Kind.TEMPLATE, {"blocks": sections})
        submission = Submission(BOT, ChannelName.SLACK, "cs-1", "u-1", "v2", "resolve", message, entries)
        accepting = asyncio.create_task(requests.accept(submission, now=time.time(), write=lambda _record: b"{}"))

        assert await longest_stall(accepting) < MEANWHILE_SECONDS


class TestMemory:
    async def test_bounded(self, database: Database) -> None:
        """What is rendered waits in memory up to a bound; the rest is rendered when that has left, and all is sent."""
        platform, emails = Platform(), crowd(200)
        platform.credentials.clear()
        async with serving(database, platform, People(), rendered_bytes=500_000) as server:
            await server.install(HOME)
            await server.know(emails)
            script = Message(Kind.SCRIPT, "print({text: 'x'.repeat(30000)})")
            request = await server.accept(emails, message=script)
            drain = await running(server)
            await until(lambda: _true(len(drain.feed.ready) >= SLICE), "a slice is rendered")
            rendered = len(drain.feed.ready)
            platform.credentials.set()
            [record] = await server.closed(request)

        assert rendered == SLICE
        assert record.succeeded == 200
