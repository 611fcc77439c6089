"""A small cloud of our own for the Teams tests: login, OpenID, connector and Graph on one port, all of it scripted."""

from __future__ import annotations

import asyncio
import functools
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import jwt
import orjson
from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from adapters.base import BotId, TenantId
from adapters.teams.bots import TeamsBots
from adapters.teams.config import TeamsApp, TeamsEndpoints

APP_ID = "a9900000-0000-4000-8000-00000000000a"
PASSWORD = "teams-password-of-the-tests"
TENANT = TenantId("7e000000-0000-4000-8000-00000000000a")
OTHER_TENANT = TenantId("7e000000-0000-4000-8000-00000000000b")
BOT = BotId("st-teams")
ISSUER = "https://api.botframework.com"
PERSON = "0a000000-0000-4000-8000-000000000001"
TEAMS_ID = "29:1person"
CONVERSATION = "a:1conversation"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@functools.cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """One key for each name, for the whole session; the one called `weak` is."""
    return rsa.generate_private_key(public_exponent=65537, key_size=1024 if name == "weak" else 2048)


def jwk(name: str, *, endorsements: list[str] | None = None) -> dict[str, Any]:
    """The public half of a key as the key set lists it."""
    listed: dict[str, Any] = RSAAlgorithm.to_jwk(rsa_key(name).public_key(), as_dict=True)
    return listed | {"kid": name, "use": "sig", "endorsements": ["msteams"] if endorsements is None else endorsements}


@dataclass
class Cloud:
    """What the stub answers, and what it was asked."""

    url: str = ""
    keys: list[dict[str, Any]] = field(default_factory=lambda: [jwk("current")])
    asked: list[tuple[str, str, bytes, Mapping[str, str]]] = field(default_factory=list)
    connector: Handler | None = None
    graph: Handler | None = None
    token: Handler | None = None
    openid: Handler | None = None
    tokens_given: int = 0
    now: Callable[[], float] = time.time

    @property
    def service_url(self) -> str:
        """Where the connector is."""
        return f"{self.url}/emea/"

    def count(self, path: str) -> int:
        """How many requests came whose path contains `path`."""
        return sum(path in asked[1] for asked in self.asked)

    def sent(self) -> list[dict[str, Any]]:
        """The activities that were posted."""
        return [orjson.loads(body) for _, path, body, _ in self.asked if path.endswith("/activities")]

    def endpoints(self) -> TeamsEndpoints:
        """The addresses of this cloud."""
        return TeamsEndpoints(
            entra_login=self.url,
            bot_openid=f"{self.url}/v1/.well-known/openidconfiguration",
            bot_issuer=ISSUER,
            multi_tenant_login="botframework.com",
            graph=self.url,
            graph_audience="https://graph.microsoft.com",
            service_urls=(self.url,),
            default_service_url=f"{self.url}/teams/",
            allow_http=True,
        )

    def sign(
        self,
        claims: Mapping[str, Any] | None = None,
        *,
        header: Mapping[str, Any] | None = None,
        key: str = "current",
        without: tuple[str, ...] = (),
    ) -> str:
        """A token like the connector's, changed as wanted."""
        now = int(self.now())
        full = {"iss": ISSUER, "aud": APP_ID, "nbf": now - 60, "exp": now + 3600, "serviceurl": self.service_url}
        full |= dict(claims or {})
        kept = {name: value for name, value in full.items() if name not in without}
        return jwt.encode(kept, rsa_key(key), algorithm="RS256", headers={"kid": key} | dict(header or {}))

    def activity(self, kind: str, **more: Any) -> dict[str, Any]:
        """An activity of a personal chat."""
        return {
            "type": kind,
            "id": f"f:{kind}",
            "channelId": "msteams",
            "timestamp": "2026-01-23T01:02:03.456Z",
            "serviceUrl": self.service_url,
            "from": {"id": TEAMS_ID, "aadObjectId": PERSON},
            "recipient": {"id": f"28:{APP_ID}", "name": "Notify"},
            "conversation": {"conversationType": "personal", "tenantId": TENANT, "id": CONVERSATION},
            "channelData": {"tenant": {"id": TENANT}},
        } | more


async def _answer(cloud: Cloud, request: web.Request) -> web.StreamResponse:
    body = await request.read()
    cloud.asked.append((request.method, request.path, body, dict(request.headers)))
    if request.path.endswith("/openidconfiguration"):
        if cloud.openid is not None:
            return await cloud.openid(request)
        return web.json_response({"issuer": ISSUER, "jwks_uri": f"{cloud.url}/v1/.well-known/keys"})
    if request.path.endswith("/keys"):
        return web.json_response({"keys": cloud.keys})
    if request.path.endswith("/oauth2/v2.0/token"):
        if cloud.token is not None:
            return await cloud.token(request)
        cloud.tokens_given += 1
        return web.json_response({"access_token": f"token-{cloud.tokens_given}", "expires_in": 3599})
    if request.path.endswith("/$batch"):
        return await cloud.graph(request) if cloud.graph else web.json_response({"responses": []})
    if cloud.connector is not None:
        return await cloud.connector(request)
    if request.path.endswith("/v3/conversations"):
        return web.json_response({"id": CONVERSATION}, status=201)
    return web.json_response({"id": "1700000000000"}, status=201)


@asynccontextmanager
async def cloud() -> AsyncIterator[Cloud]:
    """The stub, listening."""
    stub = Cloud()
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", functools.partial(_answer, stub))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    stub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield stub
    finally:
        await runner.cleanup()


@asynccontextmanager
async def shared_session() -> AsyncIterator[ClientSession]:
    """The session a process has."""
    async with ClientSession(connector=TCPConnector(limit=0), cookie_jar=DummyCookieJar()) as session:
        yield session


def app(**changes: Any) -> TeamsApp:
    """The app of the tests."""
    values: dict[str, Any] = {"bot": BOT, "app_id": APP_ID, "tenant_id": TENANT, "password": PASSWORD}
    return TeamsApp(**values | changes)


def bots(stub: Cloud, session: ClientSession, *apps: TeamsApp, allowed: tuple[str, ...] = (), **more: Any) -> TeamsBots:
    """The Teams side of a process whose cloud is the stub; `allowed` are further connectors."""
    endpoints = stub.endpoints()
    endpoints = replace(endpoints, service_urls=(*endpoints.service_urls, *allowed))
    return TeamsBots(apps or (app(),), endpoints, session, **more)


@dataclass
class FakeGate:
    """Lets everything pass and remembers it."""

    entered: list[str] = field(default_factory=list)
    pauses: list[tuple[str, float | None]] = field(default_factory=list)

    async def enter(self, bucket: str) -> None:
        """Count the call."""
        self.entered.append(bucket)

    def went_well(self, bucket: str) -> None:
        """Not looked at here."""

    def throttled(self, bucket: str, retry_after: float | None) -> None:
        """Remember the pause."""
        self.pauses.append((bucket, retry_after))


@dataclass
class Clock:
    """A clock that moves when told."""

    at: float = 1000.0

    def __call__(self) -> float:
        return self.at


RawScript = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_server(script: RawScript, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A TCP or TLS server below HTTP, for answers that no HTTP server gives; yields its URL."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            await script(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        scheme = "http" if tls is None else "https"
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        for writer in writers:
            writer.transport.abort()
        server.close()
        await server.wait_closed()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """One whole HTTP request, with its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
    )
    return head + await reader.readexactly(length)
