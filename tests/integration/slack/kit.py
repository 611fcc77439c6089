"""A small stub of Slack that answers what a test tells it to, and our Slack side put together around it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import aiohttp
from aiohttp import web
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import Address, BotId, Lane, TenantId
from adapters.evidence import Evidence
from adapters.slack.client import SlackClient
from adapters.slack.config import SlackApp, SlackEndpoints
from adapters.slack.events import SlackEvents
from adapters.slack.inbound import SlackInbound
from adapters.slack.install import SlackInstall, install_handler, redirect_handler
from adapters.slack.installations import Grant, SlackInstallations
from adapters.slack.outbound import SlackChannel
from identity.email import normal_form
from notify.front import FrontRunner
from storage import tables
from storage.engine import Database
from storage.vault import Vault

BOT = BotId("st-00000000-0000-5000-8000-000000000001")
TEAM = TenantId("T0WORK")
ORG = "E0ORG"
TOKEN = "xoxb-test-token"
SIGNING_SECRET = "a-signing-secret"
ALL_SCOPES = ("chat:write", "users:read", "users:read.email", "im:history", "im:write")


@dataclass(slots=True)
class Clock:
    """A clock that stands still."""

    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class OpenGate:
    """A gate that never makes anybody wait, and remembers."""

    entered: list[str] = field(default_factory=list)
    held: list[tuple[str, float | None]] = field(default_factory=list)

    async def enter(self, bucket: str) -> None:
        self.entered.append(bucket)
        await asyncio.sleep(0)

    def went_well(self, bucket: str) -> None:
        """Not looked at here."""

    def throttled(self, bucket: str, retry_after: float | None) -> None:
        self.held.append((bucket, retry_after))


@dataclass(frozen=True, slots=True)
class Heard:
    """One call that reached the stub."""

    method: str
    headers: dict[str, str]
    query: str
    arguments: dict[str, Any]


Reply = Callable[[Heard], web.StreamResponse | dict[str, Any]]


@dataclass(slots=True)
class StubSlack:
    """Answers `/api/{method}` with what `replies` holds for the method, and keeps every call."""

    url: str = ""
    replies: dict[str, Reply] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)

    def calls(self, method: str) -> list[Heard]:
        return [each for each in self.heard if each.method == method]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        is_json = request.content_type == "application/json"
        arguments = json.loads(raw) if is_json else dict(parse_qsl(raw.decode(), keep_blank_values=True))
        heard = Heard(request.match_info["method"], dict(request.headers), request.query_string, arguments)
        self.heard.append(heard)
        reply = self.replies[heard.method](heard)
        return web.json_response(reply) if isinstance(reply, dict) else reply


@asynccontextmanager
async def serving(routes: list[web.RouteDef]) -> AsyncIterator[str]:
    """A server on a free port for the length of a block; yields its address."""
    app = web.Application()
    app.add_routes(routes)
    runner = FrontRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def stub_slack() -> AsyncIterator[StubSlack]:
    stub = StubSlack()
    async with serving([web.route("*", "/api/{method}", stub.handle)]) as url:
        stub.url = url
        yield stub


@dataclass(slots=True)
class SlackSide:
    """Our Slack side with everything it was told and did."""

    database: Database
    installations: SlackInstallations
    client: SlackClient
    http: aiohttp.ClientSession
    endpoints: SlackEndpoints
    clock: Clock
    gate: OpenGate = field(default_factory=OpenGate)
    woken: list[Lane] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)

    async def take(self, tx: AsyncConnection, evidence: Evidence) -> None:
        """Look where the delivery would be, as the book of evidence does, and remember."""
        await tx.execute(select(tables.deliveries.c.id).limit(1))
        self.evidence.append(evidence)

    def channel(self) -> SlackChannel:
        return SlackChannel(self.client, self.installations)

    async def install(
        self, team: str | None = TEAM, token: str = TOKEN, enterprise: str | None = None, **more: Any
    ) -> None:
        """Store an installation as OAuth would."""
        given: dict[str, Any] = {"scopes": ALL_SCOPES, "bot_user_id": "U0BOT", "team_name": "Work", **more}
        async with self.database.write() as tx:
            await self.installations.install(tx, BOT, Grant(token, team, enterprise=enterprise, **given))
        self.installations.forget(BOT)

    def app(self, **more: Any) -> SlackApp:
        given: dict[str, Any] = {"client_id": "1.2", "client_secret": "client-secret", **more}
        return SlackApp(BOT, SIGNING_SECRET, **given)

    def inbound(self, **more: Any) -> SlackInbound:
        return SlackInbound(
            self.app(),
            self.database,
            self.installations,
            normal_form=normal_form,
            evidence=self.take,
            wake=self.woken.append,
            clock=self.clock,
            **more,
        )

    def events(self) -> SlackEvents:
        return SlackEvents(
            BOT,
            self.database,
            self.installations,
            normal_form=normal_form,
            evidence=self.take,
            wake=self.woken.append,
            clock=self.clock,
        )

    def oauth(self, redirect_uri: str | None = None) -> SlackInstall:
        return SlackInstall(
            self.app(redirect_uri=redirect_uri),
            self.endpoints,
            self.database,
            self.client,
            self.installations,
            self.woken.append,
            self.clock,
        )

    async def deliver(self, url: str, event: dict[str, Any], **outer: Any) -> int:
        """Send one signed event; returns the status of the answer."""
        return await self.post(f"{url}/slack/{BOT}/events", json.dumps(wrapped(event, **outer)).encode())

    async def press(self, url: str, payload: dict[str, Any]) -> int:
        """Send one signed press of a button; returns the status of the answer."""
        return await self.post(f"{url}/slack/{BOT}/interactivity", urlencode({"payload": json.dumps(payload)}).encode())

    async def post(self, url: str, raw: bytes) -> int:
        """Post signed bytes."""
        async with self.http.post(url, data=raw, headers=signed(raw, int(self.clock.now))) as answer:
            return answer.status


@asynccontextmanager
async def serving_side(side: SlackSide, **more: Any) -> AsyncIterator[str]:
    """Our four routes, with the redirect address that the consent page sends browsers to."""
    oauth: dict[BotId, SlackInstall] = {}
    inbound = side.inbound(**more)
    routes = [
        web.post(f"/slack/{BOT}/events", inbound.events),
        web.post(f"/slack/{BOT}/interactivity", inbound.interactivity),
        web.get("/slack/{BotID}/install", install_handler(oauth)),
        web.get("/slack/{BotID}/oauth_redirect", redirect_handler(oauth)),
    ]
    async with serving(routes) as url:
        oauth[BOT] = side.oauth(f"{url}/slack/{BOT}/oauth_redirect")
        yield url


@asynccontextmanager
async def slack_side(database: Database, url: str, clock: Any = None, seconds: float = 5.0) -> AsyncIterator[SlackSide]:
    clock = clock or Clock()
    endpoints = SlackEndpoints(api=f"{url}/api/", authorize=f"{url}/oauth/v2/authorize")
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
    ) as http:
        installations = SlackInstallations(database, Vault(["k" * 32]), clock, clock)
        client = SlackClient(http, endpoints, clock, seconds=seconds)
        yield SlackSide(database, installations, client, http, endpoints, clock)


def signed(raw: bytes, timestamp: int, secret: str = SIGNING_SECRET) -> dict[str, str]:
    """The headers of a genuine request (docs.slack.dev/authentication/verifying-requests-from-slack)."""
    digest = hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + raw, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-Slack-Request-Timestamp": str(timestamp),
        "X-Slack-Signature": f"v0={digest}",
    }


def wrapped(event: dict[str, Any], **outer: Any) -> dict[str, Any]:
    """The envelope of an event (docs.slack.dev/apis/events-api)."""
    team, enterprise = outer.pop("team", TEAM), outer.pop("enterprise", None)
    return {
        "token": "legacy",
        "team_id": team,
        "api_app_id": "A0APP",
        "event": event,
        "type": "event_callback",
        "event_id": "Ev0001",
        "event_time": 1_700_000_000,
        "authorizations": [
            {
                "enterprise_id": enterprise,
                "team_id": team,
                "user_id": "U0BOT",
                "is_bot": True,
                "is_enterprise_install": outer.pop("org_wide", False),
            }
        ],
        **outer,
    }


def user(identifier: str, email: str | None = None, team: str = TEAM, **more: Any) -> dict[str, Any]:
    """A user object (docs.slack.dev/reference/objects/user-object)."""
    profile = {"real_name": f"Name {identifier}"} | ({} if email is None else {"email": email})
    return {"id": identifier, "team_id": team, "deleted": False, "is_bot": False, "profile": profile, **more}


def address(user_id: str = "U1", tenant: TenantId = TEAM, conversation: str | None = None) -> Address:
    return Address(tenant, user_id, user_id, conversation)
