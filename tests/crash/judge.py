"""What the crash tests share: a request of mixed people, a look into the database, and the verdict."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
from sqlalchemy import text

from notify.audit import EXPIRED_CLAIM_SECONDS
from simulator.slack.apps import DEFAULT_APP_ID as SLACK_APP_ID
from simulator.teams.apps import DEFAULT_APP_ID
from storage import deliveries, lanes, requests
from storage.engine import Database
from tests.crash.child import Ended, Server, Servers
from tests.harness.herald import Herald, Json, bot, settings, slack_side, teams_side, text_body, write_settings
from tests.harness.oracle import lies
from tests.harness.platforms import DISABLED, MSTEAMS, SLACK, Platforms

IN_FLIGHT: Final = 4
PACE: Final[Json] = {"teams_in_flight": IN_FLIGHT, "slack_in_flight": IN_FLIGHT}
TEXT: Final = "The lift is out of order"


@dataclass(frozen=True, slots=True)
class People:
    """Who a request goes to."""

    stored: Sequence[str]
    """Written to before, so their addresses are known."""
    cold: Sequence[str]
    """Reachable, and unknown to Herald."""
    hopeless: Sequence[str]
    """Nobody, and somebody whose account is disabled."""

    @property
    def identities(self) -> list[str]:
        """All of them mixed, and one of them twice."""
        mixed = [each for pair in zip(self.stored, self.cold, strict=False) for each in pair]
        mixed += [*self.stored[len(self.cold) :], *self.cold[len(self.stored) :]]
        return [*mixed[:5], *self.hopeless, *mixed[5:], self.stored[0]]


def mixed_people(platforms: Platforms, stored: int = 12, cold: int = 14) -> People:
    """Some of each kind."""
    everybody = [person.email for person in platforms.people()]
    strangers = [f"nobody.{number}@{everybody[0].rpartition('@')[2]}" for number in (1, 2)]
    return People(everybody[:stored], everybody[stored : stored + cold], [*strangers, everybody[DISABLED]])


def one_bot(channel: str, teams: Json, slack: Json) -> Json:
    """A bot that speaks on one channel only."""
    return bot(msteams=teams) if channel == MSTEAMS else bot(slack=slack)


async def blind_bot(platforms: Platforms) -> Json:
    """A bot on Slack without the scopes that let it look for a message."""
    token = "xoxb-simulator-without-history"
    scopes = ["chat:write", "users:read", "users:read.email"]
    await platforms.control(
        "slack/installs", {"app_id": SLACK_APP_ID, "team": "T0SIM0000", "scopes": scopes, "token": token}
    )
    return bot(slack=slack_side(bot_token=token))


@dataclass
class Scene:
    """One channel on one database against one simulator, and the processes that come and go on it."""

    channel: str
    platforms: Platforms
    servers: Servers
    folder: Path
    database_url: str
    sections: dict[str, Json] = field(default_factory=dict)
    bots: list[Json] = field(default_factory=list)
    may_look: bool | None = None
    """Whether the platform lets the bot look for a message; by default Slack does and Teams does not."""
    key: str = field(default_factory=lambda: secrets.token_hex(8))

    def config(self, **sections: Json) -> Path:
        """A settings file; sections given here add to those of the scene."""
        folder = self.folder / secrets.token_hex(4)
        folder.mkdir()
        merged: dict[str, Json] = {"pace": PACE, **self.sections}
        for name, changes in sections.items():
            merged[name] = {**merged.get(name, {}), **changes}
        return write_settings(
            folder,
            settings(
                self.platforms,
                self.database_url,
                *(self.bots or [one_bot(self.channel, teams_side(), slack_side())]),
                **merged,
            ),
        )

    def start(self, failpoint: str = "", **sections: Json) -> Server:
        """A new process."""
        return self.servers.start(self.config(**sections), failpoint)

    async def prepare_people(self) -> None:
        """The app is installed for everybody, who is still unknown to Herald."""
        if self.channel == MSTEAMS:
            everybody = [person.email for person in self.platforms.people()]
            await self.platforms.teams_install(everybody, notify=False)

    async def prepare(self, people: People) -> None:
        """A first life of the server: the app is installed for everybody, and those who are stored were written to."""
        await self.prepare_people()
        server = self.start()
        herald = await server.listening()
        if people.stored:
            record = await herald.deliver(self.channel, people.stored, "Welcome")
            assert record["status"] == "SUCCESS", record
        await server.kill()

    async def post(self, herald: Herald, identities: Sequence[str], **more: Any) -> str | None:
        """The caller's POST with its key; None when the server died before it answered."""
        try:
            status, answer = await herald.post(
                text_body(self.channel, identities, TEXT, **more), **{"Idempotency-Key": self.key}
            )
        except (aiohttp.ClientError, TimeoutError):
            return None
        assert status == 200, answer
        return str(answer["_id"])

    async def post_while_alive(self, server: Server, identities: Sequence[str]) -> str | None:
        """Post as soon as the server listens, if it lives so long."""
        try:
            herald = await server.listening()
        except Ended:
            return None
        return await self.post(herald, identities)

    async def messages(self) -> list[Json]:
        """What arrived, apart from what was sent before the test began."""
        found = await self.platforms.messages(self.channel)
        return [message for message in found if message["body"].get("text") == TEXT]

    async def in_doubt(self) -> set[str]:
        """The identities whose intent is committed and whose answer is not."""
        rows = await self.query("SELECT original_id FROM deliveries WHERE state IN ('sending', 'uncertain')")
        return {row["original_id"] for row in rows}

    async def query(self, statement: str, **values: Any) -> Sequence[Mapping[str, Any]]:
        """Read the database from outside."""
        database = Database.open(self.database_url)
        try:
            async with database.read() as tx:
                return [dict(row) for row in (await tx.execute(text(statement), values)).mappings().all()]
        finally:
            await database.close()

    async def execute(self, statement: str, **values: Any) -> None:
        """Change the database from outside."""
        database = Database.open(self.database_url)
        try:
            async with database.write() as tx:
                await tx.execute(text(statement), values)
        finally:
            await database.close()

    async def finish(self, request: str | None, people: Sequence[str], seconds: float = 60.0) -> Json:
        """A last life of the server: post again what was not answered, and wait for the end of it."""
        server = self.start()
        herald = await server.listening()
        request = await self.post(herald, people) if request is None else request
        assert request is not None, server.text()
        return await herald.final(request, seconds)


async def verdict(
    scene: Scene, record: Json, identities: Sequence[str], *, doubtful: Collection[str] = ()
) -> list[str]:
    """Everything that is wrong after the last life; an empty list is the promise kept.

    `doubtful` are the identities whose intent was committed and whose answer was not when a process died.
    """
    found = lies(record, await scene.messages())
    told, asked = Counter(entry["originalId"] for entry in record["statusLogs"]), Counter(identities)
    found += [f"{each}: {told[each]} entries of {asked[each]}" for each in told | asked if told[each] != asked[each]]
    left = unconfirmed(record)
    if scene.channel == SLACK if scene.may_look is None else scene.may_look:
        found += [f"{each}: unconfirmed, although we may look" for each in left]
    found += [f"{each}: unconfirmed, but was not on the wire" for each in left - set(doubtful)]
    return found + await audit(scene)


def unconfirmed(record: Json) -> set[str]:
    """The identities of which nobody knows."""
    return {
        entry["originalId"]
        for entry in record["statusLogs"]
        if entry["details"]["outcome"] == "unconfirmed" and entry["details"].get("duplicateOf") is None
    }


async def audit(scene: Scene) -> list[str]:
    """What does not hold in the database when everything is final."""
    database = Database.open(scene.database_url)
    try:
        async with database.read() as tx:
            found = [f"miscounted: {miscount}" for miscount in await requests.miscounts(tx, changed_since=0.0)]
            if orphans := await deliveries.without_next_time(tx):
                found.append(f"{orphans} open rows without a next time")
            if expired := await lanes.expired(tx, slack=EXPIRED_CLAIM_SECONDS):
                found.append(f"{expired} claims have outlived their time")
            wrong = await tx.execute(
                text(
                    "SELECT r.id, r.status, r.total, r.done, r.times_closed, count(d.id) AS rows_found,"
                    " count(d.final_at) AS rows_final"
                    " FROM requests r LEFT JOIN deliveries d ON d.request_id = r.id"
                    " GROUP BY r.id, r.status, r.total, r.done, r.times_closed"
                )
            )
            for row in wrong.mappings():
                if not row["total"] == row["done"] == row["rows_found"] == row["rows_final"]:
                    found.append(f"not whole: {dict(row)}")
                if row["times_closed"] != 1 or row["status"] == requests.OPEN:
                    found.append(f"not closed once: {dict(row)}")
    finally:
        await database.close()
    return found


async def hear_from_teams(platforms: Platforms, herald: Herald, app_id: str = DEFAULT_APP_ID) -> None:
    """Tell the simulated Teams where this server is."""
    await platforms.teams_app(app_id, messaging_endpoint=f"{herald.url}/teams/{herald.bot}/messages")
