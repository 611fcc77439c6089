"""A running simulator on a free port, in time that stands still, and what drives and hears it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, web
from slack_sdk.web.async_client import AsyncWebClient

from simulator.app import Running, SimulatorConfig, running
from simulator.clock import ManualClock
from simulator.slack.apps import DEFAULT_BOT_TOKEN


@dataclass(frozen=True, slots=True)
class Control:
    """The control API as a client sees it."""

    http: ClientSession
    url: str

    async def call(self, verb: str, path: str, data: Any = None, status: int = 200) -> Any:
        """One control call with the status that it must have."""
        async with self.http.request(verb, f"{self.url}/_sim/{path}", json=data) as response:
            assert status == response.status, await response.text()
            return await response.json(content_type=None)

    async def get(self, path: str) -> Any:
        return await self.call("GET", path)

    async def post(self, path: str, data: Any = None, status: int = 200) -> Any:
        return await self.call("POST", path, data, status)

    async def fault(self, **fault: Any) -> Any:
        return await self.post("faults", {"platform": "slack", **fault}, 201)

    async def received(self, **filters: str) -> list[str]:
        """The texts in the mailboxes."""
        query = "&".join(f"{name}={value}" for name, value in filters.items())
        return [each["body"]["text"] for each in (await self.get(f"mailboxes?{query}"))["messages"]]


@dataclass(slots=True)
class Heard:
    """One request that reached the app."""

    body: bytes
    headers: dict[str, str]
    json: dict[str, Any]


@dataclass(slots=True)
class Receiver:
    """A small app with one events address; `answers` are given in turn, then 200, and only while it is `free`."""

    url: str
    answers: list[web.Response] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    free: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        heard = Heard(body, dict(request.headers), await request.json())
        if heard.json["type"] == "url_verification":
            return web.json_response({"challenge": heard.json["challenge"]})
        async with self.arrived:
            self.heard.append(heard)
            self.arrived.notify_all()
        await self.free.wait()
        return self.answers.pop(0) if self.answers else web.Response()

    async def until(self, count: int) -> list[Heard]:
        """Everything heard, once it is at least `count` requests."""
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.heard) >= count)
        return self.heard


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def simulator(clock: ManualClock) -> AsyncIterator[Running]:
    async with running(SimulatorConfig(people=120), clock) as simulator:
        yield simulator


@pytest.fixture
async def org(clock: ManualClock) -> AsyncIterator[Running]:
    """Two workspaces of one Enterprise org."""
    async with running(SimulatorConfig(people=20, workspaces=2, enterprise=True), clock) as simulator:
        yield simulator


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession(cookie_jar=DummyCookieJar(), timeout=ClientTimeout(total=10)) as session:
        yield session


@pytest.fixture
def control(simulator: Running, http: ClientSession) -> Control:
    return Control(http, simulator.url)


@pytest.fixture
def org_control(org: Running, http: ClientSession) -> Control:
    return Control(http, org.url)


@pytest.fixture
def slack(simulator: Running, http: ClientSession) -> AsyncWebClient:
    """The real SDK with the token of the default app."""
    return AsyncWebClient(token=DEFAULT_BOT_TOKEN, base_url=f"{simulator.url}/api/", session=http, retry_handlers=[])


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver("")
    receiver.free.set()
    app = web.Application()
    app.router.add_post("/slack/events", receiver.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
    try:
        yield receiver
    finally:
        await runner.cleanup()
