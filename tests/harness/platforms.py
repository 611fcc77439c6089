"""The other side: the simulated Slack, Teams connector, Entra and Graph on one free port, driven by its control API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp

from simulator.app import Running, running
from simulator.clock import Clock
from simulator.people import Person, Shares
from simulator.slack.apps import DEFAULT_BOT_TOKEN
from simulator.world import SimulatorConfig
from tests.harness import canaries

Json = dict[str, Any]
MSTEAMS, SLACK = "msteams", "slack"
CHANNELS = (MSTEAMS, SLACK)
SEND_OPERATION: Final[Mapping[str, Mapping[str, str]]] = {
    MSTEAMS: {"platform": "connector", "operation": "send"},
    SLACK: {"platform": "slack", "operation": "chat.postMessage"},
}
"""The one call that puts a message into a mailbox, as a fault names it."""
PATIENCE: Final = 40.0  # how long a condition may take to come true on a busy machine
PLAIN_PEOPLE = 90  # the first 97 people of a tenant are active members with the app
GUEST, DISABLED, WITHOUT_APP = 97, 98, 99  # who they are among the people of each tenant


@dataclass
class Pauses:
    """The time between two questions about the same fact: short at first, later a tenth of a second.

    Asking takes at most a third of the time: an answer about a thousand people would else keep busy who works on them.
    """

    began: float = field(default_factory=time.monotonic)
    asked: float = field(default_factory=time.monotonic)

    async def next(self) -> None:
        """Wait until it is worth while to ask again."""
        now = time.monotonic()
        waited, took = now - self.began, now - self.asked
        await asyncio.sleep(max(0.02, min(waited / 10, 0.1), min(2 * took, 0.5)))
        self.asked = time.monotonic()


@dataclass
class Platforms:
    """A running simulator and its control API."""

    simulator: Running
    http: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return self.simulator.url

    async def control(self, path: str, body: Mapping[str, Any] | None = None, method: str = "POST") -> Any:
        """One control call; whatever the simulator refuses fails the test."""
        content = None if method == "GET" else dict(body or {})
        canaries.said(content)
        async with self.http.request(method, f"{self.url}/_sim/{path}", json=content) as answer:
            text = await answer.text()
            assert answer.status < 400, f"{method} {path}: {answer.status} {text}"
            return await answer.json()

    def settings(self) -> Json:
        """The `[endpoints]` that make Herald speak to this simulator."""
        return {
            "dangerously_allow_http_endpoints": True,
            "slack_api": f"{self.url}/api",
            "slack_authorize": f"{self.url}/oauth/v2/authorize",
            "entra_login": self.url,
            "bot_openid": f"{self.url}/v1/.well-known/openidconfiguration",
            "graph": self.url,
            "teams_service_urls": [self.url],
            "teams_default_service_url": f"{self.url}/teams/",
        }

    # ------------------------------------------------------------------ people and mailboxes

    def people(self, count: int | None = None, tenant: int = 0) -> list[Person]:
        """The first people of a tenant (and of the workspace of the same number)."""
        return self.simulator.world.people_of(tenant)[:count]

    def emails(self, count: int, tenant: int = 0) -> list[str]:
        """The e-mails of the first `count` people; up to PLAIN_PEOPLE all of them can be reached."""
        return [person.email for person in self.people(count, tenant)]

    async def messages(self, channel: str, **filters: str) -> list[Json]:
        """Everything that arrived in the mailboxes of one platform, in order."""
        query = urlencode({"platform": "teams" if channel == MSTEAMS else channel, **filters})
        found: list[Json] = (await self.control(f"mailboxes?{query}", method="GET"))["messages"]
        return found

    async def arrived(self, channel: str, count: int, seconds: float = PATIENCE) -> list[Json]:
        """Wait until so many messages are in the mailboxes of one platform."""
        pauses = Pauses()
        async with asyncio.timeout(seconds):
            while len(found := await self.messages(channel)) < count:
                await pauses.next()
        return found

    # ------------------------------------------------------------------ faults and counters

    async def fault(self, **fields: Any) -> str:
        """Put a fault in force; the fields stand in simulator/faults.py."""
        return str((await self.control("faults", fields))["id"])

    async def send_fault(self, channel: str, **fields: Any) -> str:
        """A fault of the call that sends a message."""
        return await self.fault(**SEND_OPERATION[channel], **fields)

    async def heal(self, fault: str | None = None) -> None:
        """Take one fault out of force, or all of them."""
        await self.control("faults" if fault is None else f"faults/{fault}", method="DELETE")

    async def faults(self) -> dict[str, Json]:
        """The faults in force by id, with how often they were `seen` and `fired`."""
        return {each["id"]: each for each in (await self.control("faults", method="GET"))["faults"]}

    async def fired(self, fault: str, times: int = 1, seconds: float = PATIENCE) -> None:
        """Wait until a fault was applied so many times."""
        pauses = Pauses()
        async with asyncio.timeout(seconds):
            while (await self.faults())[fault]["fired"] < times:
                await pauses.next()

    async def calls(self, platform: str, *operations: str, tenant: str | None = None) -> int:
        """How many calls of these operations (any, without one) arrived."""
        rows = (await self.control("counters", method="GET"))["counters"]
        return sum(
            row["calls"]
            for row in rows
            if row["platform"] == platform
            and (not operations or row["operation"] in operations)
            and tenant in (None, row["tenant"])
        )

    async def sends(self, channel: str) -> int:
        """How many calls arrived that would put a message into a mailbox."""
        where = SEND_OPERATION[channel]
        return await self.calls(where["platform"], where["operation"])

    # ------------------------------------------------------------------ Teams

    async def teams_app(self, app_id: str, **fields: Any) -> Json:
        """Register an app, or change a known one."""
        changed: Json = await self.control("teams/apps", {"app_id": app_id, **fields})
        return changed

    async def teams_install(self, emails: Iterable[str], **fields: Any) -> Json:
        """Install the app for people; the bot gets the signed events, and must take them."""
        report: Json = await self.control("teams/installs", {"emails": list(emails), **fields})
        assert report.get("failed", 0) == 0, report
        return report

    async def teams_setup_policy(self) -> None:
        """Teams installs the app for everybody who may have it, and the bot hears nothing of it."""
        await self.control("teams/installs", {"all_with_app": True, "notify": False})

    async def teams_person(self, person: str, **changes: Any) -> Json:
        """Change somebody of a Teams tenant."""
        changed: Json = await self.control("teams/people", {"person": person, **changes}, "PATCH")
        return changed

    async def teams_chat(self, email: str, **where: str) -> Json:
        """The personal chat of a person."""
        query = urlencode({"person": email, **where})
        found: Json = await self.control(f"teams/conversations?{query}", method="GET")
        return found

    # ------------------------------------------------------------------ Slack

    async def slack_user(self, email: str, team: str | None = None) -> Json:
        """Somebody of a workspace."""
        query = urlencode({"email": email} | ({"team": team} if team else {}))
        found = (await self.control(f"slack/people?{query}", method="GET"))["people"]
        assert len(found) == 1, f"{email}: {found}"
        person: Json = found[0]
        return person

    async def slack_person(self, person: str, **changes: Any) -> Json:
        """Change somebody of the first workspace."""
        user = await self.slack_user(person)
        changed: Json = await self.control(f"slack/people/{user['id']}", changes, "PATCH")
        return changed

    async def slack_event(self, kind: str, **fields: Any) -> list[Json]:
        """Send an event of the default installation, and wait until it was acknowledged."""
        body = {"type": kind, "wait": True, **fields}
        if not {"token", "app_id", "client_id"} & set(fields):
            body["token"] = DEFAULT_BOT_TOKEN
        sent: list[Json] = (await self.control("slack/events", body))["deliveries"]
        return sent


def workspace_id(number: int) -> str:
    """The id of workspace number 0, 1, …"""
    return f"T0SIM{number:04}"


@asynccontextmanager
async def simulated(clock: Clock | None = None, **config: Any) -> AsyncIterator[Platforms]:
    """The platforms without limits, unless `limits=True`, and with 100 people in each tenant."""
    given = {"people": 100, "limits": False, "shares": Shares(), **config}
    timeout = aiohttp.ClientTimeout(total=60)
    async with (
        running(SimulatorConfig(**given), clock) as simulator,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout) as http,
    ):
        yield Platforms(simulator, http)
