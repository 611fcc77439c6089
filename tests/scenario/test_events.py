"""The platforms' events come in masses, and at the worst moment: they are taken in time, and the sending goes on."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import func, select

from app import DATABASE
from simulator.slack.apps import DEFAULT_SIGNING_SECRET
from simulator.slack.limits import EVENT_TIMEOUT
from storage import tables
from tests.harness.databases import locked
from tests.harness.herald import Herald, Json
from tests.harness.oracle import lies, outcomes
from tests.harness.platforms import MSTEAMS, PATIENCE, SLACK, Platforms, workspace_id
from tests.integration.slack.kit import signed, user, wrapped
from tests.scenario.conftest import Starting

EVENTS, AT_ONCE = 600, 20
INSTALLS = 200
MARK = "Ev0STORM"


@dataclass
class Storm:
    """Slack sends events without a pause, until there were enough of them and whoever watches has seen enough."""

    herald: Herald
    statuses: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0
    raging: asyncio.Event = field(default_factory=asyncio.Event)
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def rage(self) -> None:
        """All of it."""
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._send())

    async def _send(self) -> None:
        url = f"{self.herald.url}/slack/{self.herald.bot}/events"
        while (number := next(self._numbers)) < EVENTS or not self.enough.is_set():
            raw = json.dumps(happening(number)).encode()
            began = time.monotonic()
            headers = signed(raw, int(time.time()), DEFAULT_SIGNING_SECRET)
            async with self.herald.http.post(url, data=raw, headers=headers) as answer:
                self.statuses[answer.status] += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            if self.statuses.total() >= AT_ONCE:
                self.raging.set()


def happening(number: int) -> Json:
    """Somebody joins, changes, or opens the app."""
    person = f"U9STORM{number}"
    somebody = user(person, f"storm{number}@example.com", workspace_id(0))
    inner: list[Json] = [
        {"type": "team_join", "user": somebody},
        {"type": "user_change", "user": somebody},
        {"type": "app_home_opened", "user": person, "channel": f"D9STORM{number}", "tab": "messages"},
    ]
    outer = {"team": workspace_id(0), "event_id": f"{MARK}{number}", "event_time": int(time.time())}
    return wrapped(inner[number % len(inner)], **outer)


async def announced(platforms: Platforms, enough: asyncio.Event) -> list[Json]:
    """Teams announces its installs, and again until whoever watches has seen enough: its reports."""
    reports: list[Json] = []
    while not reports or not enough.is_set():
        body = {"count": INSTALLS, "concurrency": AT_ONCE}
        reports.append(await platforms.control("teams/installs", body))
    return reports


async def handled(herald: Herald, mark: str = "") -> int:
    """How many events whose ids begin like this are stored."""
    assert herald.app is not None
    stored = select(func.count()).select_from(tables.inbox).where(tables.inbox.c.event_id.startswith(mark))
    async with herald.app[DATABASE].read() as tx:
        return int((await tx.execute(stored)).scalar_one())


class TestStorm:
    async def test_slack(self, herald: Herald, platforms: Platforms) -> None:
        """P31: six hundred events, twenty at once, are all stored in time, and a request in the midst of them ends."""
        people = platforms.emails(30)
        await herald.deliver(SLACK, people[:1], "Before")
        storm = Storm(herald)
        raging = asyncio.create_task(storm.rage())
        await storm.raging.wait()
        record = await herald.deliver(SLACK, people, "In the midst")
        storm.enough.set()
        await raging

        assert {200} == set(storm.statuses)
        assert EVENTS <= storm.statuses.total() == await handled(herald, MARK)
        assert storm.slowest < EVENT_TIMEOUT
        assert outcomes(record) == {"sent": len(people)}
        assert lies(record, await platforms.messages(SLACK), text="In the midst") == []

    async def test_teams(self, big: Platforms, starting: Starting) -> None:
        """P31: hundreds of installs, twenty at once, are all taken in time, and a request in the midst of them ends."""
        people = big.emails(30)
        async with starting(big) as herald:
            await herald.connect(big, MSTEAMS)
            await big.teams_install(people)
            await herald.idle()
            before = await handled(herald)
            enough = asyncio.Event()
            raging = asyncio.create_task(announced(big, enough))
            async with asyncio.timeout(PATIENCE):
                while await handled(herald) < before + AT_ONCE:  # noqa: ASYNC110 - the database is asked
                    await asyncio.sleep(0.02)
            record = await herald.deliver(MSTEAMS, people, "In the midst")
            enough.set()
            reports = await raging

        assert {(report["accepted"], report["failed"]) for report in reports} == {(INSTALLS, 0)}
        assert outcomes(record) == {"sent": len(people)}
        assert lies(record, await big.messages(MSTEAMS), text="In the midst") == []


class TestSlowDatabase:
    async def test_repeated(self, herald: Herald, platforms: Platforms, database_url: str) -> None:
        """P32: an event that a locked database cannot take gets 503 before Slack hangs up, and is taken once later."""
        [person] = platforms.emails(1)
        await herald.deliver(SLACK, [person], "Before")
        changed = await platforms.slack_person(person, email="somebody@new.example", silent=True)
        await platforms.control("settings", {"slack_event_retry_seconds": [0.0] * 5})
        async with locked(database_url):
            await platforms.slack_event("user_change", user=changed["id"], event_id="Ev0LATE", wait=False)
            first = (await attempts(platforms, "Ev0LATE", 1))[0]
        await acknowledged(platforms, "Ev0LATE")

        record = await herald.deliver(SLACK, ["somebody@new.example"], "After")

        assert (first["status"], first["reason"]) == (503, "http_error")
        assert await handled(herald, "Ev0LATE") == 1
        assert lies(record, await platforms.messages(SLACK), text="After") == []


async def delivery(platforms: Platforms, event_id: str) -> Json:
    """What became of an event that Slack sends."""
    sent = (await platforms.control("slack/events", method="GET"))["deliveries"]
    [found] = [each for each in sent if each["event_id"] == event_id]
    answer: Json = found
    return answer


async def attempts(platforms: Platforms, event_id: str, count: int) -> list[Json]:
    """The attempts to send an event, as soon as there were so many."""
    async with asyncio.timeout(PATIENCE):
        while len(made := (await delivery(platforms, event_id))["attempts"]) < count:  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.02)
    found: list[Json] = made
    return found


async def acknowledged(platforms: Platforms, event_id: str) -> None:
    """Wait until Slack has its answer."""
    async with asyncio.timeout(PATIENCE):
        while not (await delivery(platforms, event_id))["acknowledged"]:  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.02)
