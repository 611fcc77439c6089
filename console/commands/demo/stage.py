"""Sets the stage: settings for the server, people on both platforms, and the installs, each through its real flow."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from console.commands.demo.audience import (
    GUEST,
    GUEST_SIGN_IN,
    Invited,
    SlackAudience,
    TeamsAudience,
    slack_audience,
    teams_audience,
)
from console.commands.demo.local import TIMEOUT, LocalPlatforms
from console.commands.tools import Trouble

BOT = "st-de300000-0000-5000-8000-000000000001"
CLIENT = "cs-demo"
TEAMS_APP = "de300000-0000-4000-8000-000000000001"
SLACK_CLIENT = "3000000000001.3000000000001"
LEARNING_SECONDS = 60.0

_SETTINGS = """\
# Written by `herald demo`; everything it names is on this machine and gone when the demo ends.
[server]
port = {port}
shutdown_grace_seconds = 4

[storage]
url = "sqlite:///herald.db"
encryption_key = {encryption_key}

[[bots]]
id = {bot}
name = "Herald demo"

  [bots.msteams]
  app_id = {teams_app}
  app_password = {teams_password}
  tenant_id = {tenant}

  [bots.slack]
  client_id = {slack_client}
  client_secret = {slack_secret}
  signing_secret = {signing_secret}
  optional_scopes = ["im:history", "im:write"]

  [[bots.clients]]
  client_id = {client}
  secret = {client_secret}

[endpoints]
dangerously_allow_http_endpoints = true
slack_api = {slack_api}
slack_authorize = {slack_authorize}
entra_login = {entra_login}
bot_openid = {bot_openid}
graph = {graph}
teams_service_urls = [{teams_default_service_url}]
teams_default_service_url = {teams_default_service_url}
"""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the platforms give to an app, and an operator to a client; made anew for every run."""

    teams_password: str
    slack_secret: str
    signing_secret: str
    client_secret: str
    encryption_key: str

    @classmethod
    def new(cls) -> Credentials:
        return cls(*(secrets.token_urlsafe(32) for _ in range(5)))


def write_settings(file: Path, port: int, credentials: Credentials, endpoints: Mapping[str, str], tenant: str) -> None:
    """The settings file of the demo's server."""
    values = {
        "bot": BOT,
        "client": CLIENT,
        "tenant": tenant,
        "teams_app": TEAMS_APP,
        "slack_client": SLACK_CLIENT,
        "teams_password": credentials.teams_password,
        "slack_secret": credentials.slack_secret,
        "signing_secret": credentials.signing_secret,
        "client_secret": credentials.client_secret,
        "encryption_key": credentials.encryption_key,
        **endpoints,
    }
    # JSON's strings are strings of TOML too
    text = _SETTINGS.format(port=port, **{name: json.dumps(value) for name, value in values.items()})
    file.write_text(text, encoding="utf-8")


class Stage:
    """The local platforms with our two apps on them."""

    def __init__(self, platforms: LocalPlatforms, credentials: Credentials) -> None:
        self._platforms = platforms
        self._credentials = credentials
        self._slack_app = ""

    async def register(self) -> None:
        """What an operator does in the portals of Microsoft and Slack."""
        await self._platforms.post(
            "/teams/apps",
            {"app_id": TEAMS_APP, "password": self._credentials.teams_password, "name": "Herald demo"},
        )
        app = await self._platforms.post(
            "/slack/apps",
            {
                "client_id": SLACK_CLIENT,
                "client_secret": self._credentials.slack_secret,
                "signing_secret": self._credentials.signing_secret,
                "name": "Herald demo",
            },
        )
        self._slack_app = app["app_id"]

    async def connect(self, server: str) -> None:
        """Tell both platforms where the server is; Slack checks the address by its challenge."""
        await self._platforms.post(
            "/teams/apps", {"app_id": TEAMS_APP, "messaging_endpoint": f"{server}/teams/{BOT}/messages"}
        )
        ours = f"{server}/slack/{BOT}"
        await self._platforms.patch(
            f"/slack/apps/{self._slack_app}",
            {"events_url": f"{ours}/events", "interactivity_url": f"{ours}/interactivity"},
        )

    async def teams_people(self, count: int) -> TeamsAudience:
        """Choose the people of the Teams request, and make some of them difficult."""
        found = await self._platforms.get(f"/teams/people?limit={count}")
        audience = teams_audience(found["people"], count)
        for person in audience.disabled:
            await self._platforms.patch("/teams/people", {"person": person.mailbox, "enabled": False})
        await self._platforms.post(
            "/teams/people",
            {"email": GUEST, "upn": GUEST_SIGN_IN, "guest": True, "first": "Kim", "last": "Lee"},
        )
        return audience

    async def slack_people(self, count: int) -> SlackAudience:
        """Choose the people of the Slack request, and make some of them difficult."""
        people = (await self._platforms.get(f"/slack/people?limit={count}"))["people"]
        audience = slack_audience(people, count)
        ids = {person["email"]: person["id"] for person in people}
        for person in audience.deactivated:
            await self._change_slack(ids[person.mailbox or ""], {"deleted": True})
        await self._change_slack(ids[audience.guest.identity], {"is_restricted": True})
        return audience

    async def _change_slack(self, user_id: str, changes: Mapping[str, Any]) -> None:
        await self._platforms.patch(f"/slack/people/{user_id}", {**changes, "silent": True})

    async def install_slack(self, server: str) -> str:
        """The three pages that a person sees who installs the app; returns the last one's title."""
        # the state cookie belongs to an IP address here, which a jar refuses unless told otherwise
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(timeout=TIMEOUT, cookie_jar=jar) as browser:
            consent = await _location(browser, f"{server}/slack/{BOT}/install")
            approved = await self._platforms.post("/slack/authorize", {"authorize_url": consent})
            async with browser.get(approved["location"], allow_redirects=False) as answer:
                page = await answer.text()
                if answer.status != 200:
                    raise Trouble(f"The Slack app could not be installed ({answer.status}): {_title(page)}")
                return _title(page)

    async def install_teams(self, audience: TeamsAudience) -> int:
        """Install the app for people; for most of them Teams posts signed activities to the server."""
        told = await self._install(audience.installed, notify=True)
        if told["failed"] or told["accepted"] != len(audience.installed):
            raise Trouble(f"The server refused {told['failed']} activities of Teams: {told['failures'][:1]}")
        await self._install(audience.quiet, notify=False)
        return int(told["accepted"])

    async def _install(self, people: Sequence[Invited], *, notify: bool) -> Any:
        emails = [person.mailbox for person in people]
        return await self._platforms.post("/teams/installs", {"app_id": TEAMS_APP, "emails": emails, "notify": notify})

    async def learned(self, count: int) -> bool:
        """Wait until Herald has asked Teams about `count` people; False if that takes too long."""
        end = time.monotonic() + LEARNING_SECONDS
        while await self._platforms.calls("connector", "member") < count:
            if time.monotonic() > end:
                return False
            await asyncio.sleep(0.2)
        return True

    async def block(self, person: Invited) -> None:
        """This person blocks the app."""
        await self._platforms.patch("/teams/people", {"person": person.mailbox, "block": "MessageWritesBlocked"})


async def _location(browser: aiohttp.ClientSession, url: str) -> str:
    async with browser.get(url, allow_redirects=False) as answer:
        if "Location" not in answer.headers:
            raise Trouble(f"The install page answered {answer.status}: {_title(await answer.text())}")
        return answer.headers["Location"]


def _title(page: str) -> str:
    return page.partition("<title>")[2].partition("</title>")[0] or page[:200]
