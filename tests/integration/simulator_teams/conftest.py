"""A running simulator, a client that speaks to its Teams half, and a bot that listens."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import ClientSession, web

from simulator.app import Running, running
from simulator.clock import Clock, ManualClock
from simulator.teams.apps import DEFAULT_APP_ID, DEFAULT_PASSWORD
from simulator.teams.people import tenant_id
from simulator.world import SimulatorConfig

Json = dict[str, Any]
BOT_SCOPE = "https://api.botframework.com/.default"
GRAPH_SCOPE = "https://graph.microsoft.com/.default"


@dataclass
class Answer:
    """One HTTP answer."""

    status: int
    json: Any
    headers: dict[str, str]


@dataclass
class Teams:
    """A small client of the simulator; by default it is the default app in the first tenant."""

    simulator: Running
    http: ClientSession
    app_id: str = DEFAULT_APP_ID
    password: str = DEFAULT_PASSWORD
    tenant: str = tenant_id(0)
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.simulator.url

    @property
    def service_url(self) -> str:
        return f"{self.url}/teams/{self.tenant}"

    def mailbox(self, user_id: str) -> list[Json]:
        return [each.body for each in self.simulator.world.mailboxes.of("teams", self.tenant, user_id)]

    async def call(self, method: str, url: str, **options: Any) -> Answer:
        async with self.http.request(method, url, **options) as answer:
            raw = await answer.read()
            is_json = answer.content_type == "application/json" and raw
            return Answer(answer.status, await answer.json() if is_json else raw.decode(), dict(answer.headers))

    async def ask_token(self, authority: str | None = None, **form: str) -> Answer:
        fields = {
            "grant_type": "client_credentials",
            "client_id": self.app_id,
            "client_secret": self.password,
            "scope": BOT_SCOPE,
            **form,
        }
        data = {name: value for name, value in fields.items() if value}
        return await self.call("POST", f"{self.url}/{authority or self.tenant}/oauth2/v2.0/token", data=data)

    async def token(self, scope: str = BOT_SCOPE, authority: str | None = None) -> str:
        key = f"{scope} {authority}"
        if key not in self.tokens:
            self.tokens[key] = (await self.ask_token(authority, scope=scope)).json["access_token"]
        return self.tokens[key]

    async def bot(self, method: str, path: str, body: object = None, **options: Any) -> Answer:
        headers = {"Authorization": f"Bearer {await self.token()}", **options.pop("headers", {})}
        return await self.call(method, f"{self.service_url}/v3/{path}", json=body, headers=headers, **options)

    async def graph(self, method: str, path: str, body: object = None, **options: Any) -> Answer:
        headers = {"Authorization": f"Bearer {await self.token(GRAPH_SCOPE)}", **options.pop("headers", {})}
        json = {} if body is None else {"json": body}
        return await self.call(method, f"{self.url}/v1.0/{path}", headers=headers, **json, **options)

    async def control(self, path: str, body: object = None, method: str = "POST") -> Any:
        json = {} if body is None and method == "GET" else {"json": body or {}}
        return (await self.call(method, f"{self.url}/_sim/{path}", **json)).json

    async def person(self, index: int) -> Json:
        people = await self.control(f"teams/people?tenant={self.tenant}&offset={index}&limit=1", method="GET")
        person: Json = people["people"][0]
        return person

    async def installed(self, index: int) -> Json:
        """The personal chat of person number `index`, who has the app."""
        person = await self.person(index)
        place = {"app_id": self.app_id, "tenant": self.tenant, "person": person["id"]}
        await self.control("teams/installs", {**place, "notify": False})
        found: Json = await self.control(f"teams/conversations?{_query(place)}", method="GET")
        return found

    def opening(self, member: str, **changes: object) -> Json:
        """A well-formed request for a personal chat."""
        return {
            "isGroup": False,
            "bot": {"id": f"28:{self.app_id}"},
            "members": [{"id": member}],
            "tenantId": self.tenant,
            "channelData": {"tenant": {"id": self.tenant}},
            **changes,
        }


def _query(values: Json) -> str:
    return "&".join(f"{name}={value}" for name, value in values.items())


@asynccontextmanager
async def _serving(config: SimulatorConfig, clock: Clock | None = None) -> AsyncIterator[Teams]:
    async with running(config, clock) as simulator, ClientSession() as http:
        yield Teams(simulator, http)


Serving = Callable[..., Any]


@pytest.fixture(name="serving")
def _serving_fixture() -> Serving:
    """Starts a simulator of the given configuration as a context manager."""
    return _serving


@pytest.fixture(name="teams")
async def _teams() -> AsyncIterator[Teams]:
    """A simulator of two tenants without limits."""
    async with _serving(SimulatorConfig(people=200, tenants=2, limits=False)) as teams:
        yield teams


@pytest.fixture(name="clock")
def _clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(name="limited")
async def _limited(clock: ManualClock) -> AsyncIterator[Teams]:
    """A simulator with limits, in injected time."""
    async with _serving(SimulatorConfig(people=200), clock) as teams:
        yield teams


@dataclass
class Bot:
    """A messaging endpoint that takes down what arrives."""

    url: str
    requests: list[tuple[Json, dict[str, str]]] = field(default_factory=list)
    status: int = 200
    active: int = 0
    most_active: int = 0

    @property
    def activities(self) -> list[Json]:
        return [activity for activity, _ in self.requests]


@pytest.fixture(name="bot")
async def _bot() -> AsyncIterator[Bot]:
    bot = Bot("")

    async def receive(request: web.Request) -> web.Response:
        bot.active += 1
        bot.most_active = max(bot.most_active, bot.active)
        bot.requests.append((await request.json(), dict(request.headers)))
        await asyncio.sleep(0)
        bot.active -= 1
        return web.Response(status=bot.status, text="heard")

    async with _listening(receive) as url:
        bot.url = f"{url}/api/messages"
        yield bot


@asynccontextmanager
async def _listening(handler: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/api/messages", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
