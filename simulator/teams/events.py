"""Signed activities: the connector token, and the POST to the bot's messaging endpoint.

Source: Bot Framework, "Authentication with the Bot Connector API" (issuer, audience, `serviceurl` claim, signing keys).
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import ClientError, ClientTimeout

from simulator.teams.activity_templates import Activity, Templates
from simulator.teams.apps import App
from simulator.teams.conversations import Conversation
from simulator.teams.entra import TOKEN_ISSUER
from simulator.teams.keys import sign
from simulator.teams.state import TeamsState

BOT_ANSWERS_WITHIN = ClientTimeout(total=15)
_TOKEN_SECONDS = 3600
_TOKEN_REUSED_SECONDS = 1800


@dataclass(frozen=True, slots=True)
class Posted:
    """What the bot answered; status 0 when it did not."""

    status: int
    body: str

    @property
    def accepted(self) -> bool:
        """Whether the bot took the activity."""
        return 200 <= self.status < 300

    def as_json(self) -> dict[str, Any]:
        """The answer as the control API shows it."""
        return {"status": self.status, "body": self.body}


class Events:
    """Tells bots what happens."""

    def __init__(self, state: TeamsState) -> None:
        self._state = state
        self.templates = Templates(state)
        self._tokens: dict[tuple[str, str, str], tuple[float, str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def claims(self, app_id: str, service_url: str) -> dict[str, Any]:
        """The claims of a connector token of this moment."""
        now = int(self._state.world.clock.now().timestamp())
        return {
            "iss": TOKEN_ISSUER,
            "aud": app_id,
            "serviceurl": service_url,
            "nbf": now,
            "exp": now + _TOKEN_SECONDS,
        }

    def token(self, app_id: str, service_url: str) -> str:
        """A connector token; one is reused for half its life."""
        key = self._state.bot_keys.current
        now = self._state.world.clock.now().timestamp()
        place = (app_id, service_url, key.kid)
        until, token = self._tokens.get(place, (0.0, ""))
        if until <= now:
            token = sign(key, {"alg": "RS256", "typ": "JWT", "kid": key.kid}, self.claims(app_id, service_url))
            self._tokens[place] = (now + _TOKEN_REUSED_SECONDS, token)
        return token

    async def send(self, app: App, activity: Activity) -> Posted:
        """Post one activity with a valid token."""
        token = self.token(app.app_id, str(activity["serviceUrl"]))
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json; charset=utf-8",
            "x-ms-conversation-id": activity["conversation"]["id"],
            "x-ms-tenant-id": activity["conversation"]["tenantId"],
        }
        return await self.post(app.messaging_endpoint, orjson.dumps(activity), headers)

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> Posted:
        """Post once; nothing is retried."""
        try:
            async with self._state.world.session.post(
                url, data=body, headers=headers, timeout=BOT_ANSWERS_WITHIN, allow_redirects=False
            ) as answer:
                return Posted(answer.status, await answer.text(errors="replace"))
        except (ClientError, TimeoutError, ValueError) as error:
            return Posted(0, f"{type(error).__name__}: {error}")

    async def tell(self, app: App, activities: list[Activity]) -> list[Posted]:
        """Post activities one after the other; an app without an endpoint hears nothing."""
        if not app.messaging_endpoint:
            return []
        return [await self.send(app, activity) for activity in activities]

    def in_background(self, work: Coroutine[Any, Any, list[Posted]]) -> None:
        """Post while the caller's own request is already answered."""

        async def run() -> None:
            await work

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Wait until everything in the background was posted."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """End what is still being posted."""
        for task in self._tasks:
            task.cancel()
        await self.settle()


def change_install(conversation: Conversation, action: str) -> bool:
    """Install (add, add-upgrade) or uninstall the app; False when nothing changed."""
    installed = action.startswith("add")
    changed = conversation.installed != installed
    conversation.installed = installed
    if installed:
        conversation.exists = True
    return changed
