"""Worlds: warm ones, of people whom the server has reached before, so that a send is one call; and cold ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import Child, Json, running
from bench.rig import TEXT, UNPACED, Herald, Platform, folder, herald, platform, settings, write_settings
from simulator.slack.apps import DEFAULT_SIGNING_SECRET
from simulator.teams.apps import DEFAULT_APP_ID, DEFAULT_PASSWORD

APP_IDS = "b9900000-0000-4000-8000-"
Target = dict[str, str]


@dataclass
class World:
    """A simulator, a folder with settings and database, and the people by bot (Slack) or tenant (Teams)."""

    platform: Platform
    folder: Path
    settings: Json
    people: list[list[str]]
    targets: list[Target]
    tokens: dict[str, str]

    @asynccontextmanager
    async def server(
        self,
        pace: Json | None = None,
        program: Sequence[str] = ("app.py", "serve"),
        environment: Mapping[str, str] | None = None,
        **changes: Any,
    ) -> AsyncIterator[Herald]:
        """A server on the warm database."""
        values = {**self.settings, "pace": UNPACED if pace is None else pace, **changes}
        async with herald(write_settings(self.folder, values), program, environment) as found:
            yield found

    def plan(self) -> Json:
        """What the reference loops need to know."""
        return {
            "targets": self.targets,
            "text": TEXT,
            "app_id": DEFAULT_APP_ID,
            "app_password": DEFAULT_PASSWORD,
            "login": f"{self.platform.url}/{self.targets[0]['tenant']}/oauth2/v2.0/token",
            "slack": f"{self.platform.url}/api/",
            "slack_secure": f"{self.platform.secure_url}/api/",
            "tokens": self.tokens,
        }

    async def warm(self, channel: str) -> None:
        """Reach everyone once."""
        async with self.server() as server:
            await asyncio.gather(
                *(server.accept(channel, each, bot=number) for number, each in enumerate(self.people, 1))
            )
            await server.until_stored()
            assert not server.refused(), "the warm-up did not reach everyone"
            self.targets = targets_of(server)
        await self.platform.post("/reset", {})

    @asynccontextmanager
    async def reference(self, environment: Mapping[str, str] | None = None) -> AsyncIterator[Child]:
        """The process of the reference loops."""
        path = self.folder / "targets.json"
        path.write_text(json.dumps(self.plan()))
        arguments = ["-m", "bench.reference", str(path)]
        async with running(arguments, lambda line: bool(line.get("ready")), environment) as (child, _):
            yield child


def targets_of(server: Herald) -> list[Target]:
    """Everyone whom the server has reached, once."""
    sql = (
        "SELECT tenant_id, user_id, conversation_id, service_url FROM deliveries WHERE state = 'sent'"
        " GROUP BY bot_id, tenant_id, user_id ORDER BY min(seq)"
    )
    names = ("tenant", "user", "conversation", "service_url")
    with server.rows() as rows:
        return [dict(zip(names, row, strict=True)) for row in rows.execute(sql)]


@asynccontextmanager
async def teams(
    people: int = 1000, tenants: int = 1, *, cold: bool = False, apps: bool = True, **config: Any
) -> AsyncIterator[World]:
    """Teams: one bot at home in each tenant; everyone has its app, is in the directory, and has a chat.

    Cold, nobody is in the directory; without `apps` nobody has the app, which stands in the tenant's catalogue.
    """
    async with platform(people=people, tenants=tenants, **config) as sim, folder() as place:
        bots, mails = [], []
        for number, entry in enumerate((await sim.get("/state"))["teams"]["tenants"]):
            app = {"app_id": DEFAULT_APP_ID if number == 0 else f"{APP_IDS}{number:012d}"}
            known = await sim.post("/teams/apps", {**app, "password": DEFAULT_PASSWORD, "tenant": entry["id"]})
            if apps:
                await sim.post("/teams/installs", {**app, "tenant": entry["id"], "all_with_app": True, "notify": False})
            found = await sim.get("/teams/people", tenant=entry["id"], limit=people)
            mails.append([person["email"] for person in found["people"]])
            catalog = {} if apps else {"catalog_app_id": known["catalog_app_id"]}
            bots.append({"msteams": {**app, "app_password": DEFAULT_PASSWORD, "tenant_id": entry["id"], **catalog}})
        world = World(sim, place, settings(sim.endpoints(), bots, UNPACED), mails, [], {})
        if not cold:
            await world.warm("msteams")
        yield world


@asynccontextmanager
async def slack(
    people: int, workspaces: int, certificate: Path | None = None, *, cold: bool = False, **config: Any
) -> AsyncIterator[World]:
    """Slack: one bot in each workspace, everyone in the directory; cold, nobody is."""
    given = {**config, "certificate": str(certificate)} if certificate else config
    async with platform(people=people, tenants=1, workspaces=workspaces, **given) as sim, folder() as place:
        bots, mails, tokens = [], [], {}
        for number, entry in enumerate((await sim.get("/state"))["slack"]["workspaces"]):
            token = f"xoxb-bench-{number}"
            await sim.post("/slack/installs", {"team": entry["id"], "token": token})
            tokens[entry["id"]] = token
            found = (await sim.get("/slack/people", team=entry["id"], limit=people + 10))["people"]
            usable = [each for each in found if each["email"] and not (each["is_bot"] or each["is_stranger"])]
            mails.append([each["email"] for each in usable][:people])
            bots.append({"slack": {"signing_secret": f"{DEFAULT_SIGNING_SECRET}-{number}", "bot_token": token}})
        world = World(sim, place, settings(sim.endpoints(), bots, UNPACED), mails, [], tokens)
        if not cold:
            await world.warm("slack")
        yield world
