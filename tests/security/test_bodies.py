"""S20, P32: how much of a body is read, for how long, and what odd JSON comes to, on every route that takes one."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import web

from adapters.teams.inbound import TeamsInbound
from notify.front import FrontRunner
from storage.engine import Database
from tests.contract.face import BOT, Face, running
from tests.integration.slack.kit import BOT as SLACK_BOT
from tests.integration.slack.kit import SlackSide, signed, slack_side, wrapped
from tests.integration.teams import kit
from tests.integration.teams.kit import Cloud
from tests.integration.teams.test_inbound import NOW
from tests.security.test_front import answers, connect, ended

ROUTES: Final = ("notify", "notifyV2", "preview", "identities/explain")
BOMBS: Final[Mapping[str, bytes]] = {
    "gzip": gzip.compress(b" " * 12_000_000),
    "deflate": zlib.compress(b" " * 12_000_000),
}
DEEP: Final = b"[" * 1000 + b"]" * 1000
ODD: Final = (
    b'{"type":"event_callback","a":' + b"[" * 100_000,
    b'{"type":"event_callback","a":NaN}',
    b'{"type":"event_callback","a":Infinity}',
    b'{"type":"event_callback","a":"\\ud800"}',
    b'{"type":"event_callback","a":"\xed\xa0\x80"}',
    b'{"type":"event_callback","a":1e400}',
)


@pytest.fixture
def database_kind() -> str:
    """A body is read before any database."""
    return "sqlite"


@pytest.fixture(name="side")
async def _side(database: Database) -> AsyncIterator[SlackSide]:
    async with slack_side(database, "http://127.0.0.1:9") as side:
        await side.install()
        yield side


def path(route: str) -> str:
    return f"/api/public/bot/{BOT}/{route}"


async def stalled(url: str, target: str, *headers: str) -> tuple[int, bool]:
    """The status of the answer to a body that stops in its middle, and whether the connection ended with it."""
    reader, writer = await connect(url)
    lines = (f"POST {target} HTTP/1.1", "Host: x", "Content-Length: 100", "Content-Type: application/json", *headers)
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n{")
    (answer,) = answers(await ended(reader))
    writer.close()
    return answer.status, answer.headers.get("Connection") == "close"


class TestApi:
    async def test_slow(self) -> None:
        """On each of the four routes a body that stops is given up, and so is its connection."""
        async with running(body_seconds=0.2) as face:
            seen = await asyncio.gather(*(stalled(face.url, path(each), f"auth: {face.auth}") for each in ROUTES))

        assert seen == [(408, True)] * 4

    async def test_large(self) -> None:
        """A send call and a preview may be as large as one setting says, a question about one person as another."""
        async with running(max_body=4000, max_other_body=2000) as face:
            found = [[(await _post(face, each, b" " * size)).status for size in (1999, 3999, 4001)] for each in ROUTES]

        assert found == [[412, 412, 413], [412, 412, 413], [412, 412, 413], [412, 413, 413]]

    async def test_s20_bombs(self) -> None:
        """S20: on each route what is small on the wire and huge when unpacked is refused by its real size."""
        async with running() as face:
            for route in ROUTES:
                for coding, bomb in BOMBS.items():
                    answer = await _post(face, route, bomb, {"Content-Encoding": coding})
                    assert answer.status == 413, (route, coding)

    async def test_s20_nobody(self) -> None:
        """S20: what somebody without a token sends packed is never unpacked, not even to be polite."""
        async with running() as face:
            answer = await _post(face, "notify", BOMBS["gzip"], {"Content-Encoding": "gzip", "auth": "x"})

        assert (answer.status, answer.headers["Connection"]) == (401, "close")


async def _post(face: Face, route: str, raw: bytes, headers: Mapping[str, str] | None = None) -> aiohttp.ClientResponse:
    given = {"auth": face.auth, "Content-Type": "application/json", **(headers or {})}
    async with face.http.post(f"{face.url}{path(route)}", data=raw, headers=given) as answer:
        await answer.read()
        return answer


@asynccontextmanager
async def fronted(*routes: web.RouteDef) -> AsyncIterator[str]:
    """Routes behind the front; yields its address."""
    app = web.Application()
    app.add_routes(routes)
    runner = FrontRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class TestSlack:
    EVENTS, PRESSES = f"/slack/{SLACK_BOT}/events", f"/slack/{SLACK_BOT}/interactivity"

    def routes(self, side: SlackSide, **more: Any) -> list[web.RouteDef]:
        inbound = side.inbound(**more)
        return [web.post(self.EVENTS, inbound.events), web.post(self.PRESSES, inbound.interactivity)]

    async def test_slow(self, side: SlackSide) -> None:
        """A body that stops is given up, before anybody knows whose it is, and so is its connection."""
        async with fronted(*self.routes(side, read_seconds=0.2)) as url:
            seen = await asyncio.gather(*(stalled(url, each) for each in (self.EVENTS, self.PRESSES)))

        assert seen == [(408, True)] * 2

    async def test_large(self, side: SlackSide) -> None:
        """S20: a body is bounded by the setting as it is when unpacked; one that is not what it says is refused."""
        async with fronted(*self.routes(side, most_bytes=2000)) as url:
            for target in (self.EVENTS, self.PRESSES):
                assert [await self.post(side, url + target, b" " * size) for size in (2000, 2001)] == [400, 413]
                for coding, bomb in BOMBS.items():
                    assert await self.post(side, url + target, bomb, **{"Content-Encoding": coding}) == 413
                    assert await self.post(side, url + target, b"{}", **{"Content-Encoding": coding}) == 400

    async def test_odd_json(self, side: SlackSide) -> None:
        """Signed JSON that is none, or is nested without end, is the sender's fault: 400, or acknowledged."""
        nested = json.dumps(wrapped({"type": "app_home_opened", "user": "U1", "channel": "D1"})).encode()
        nested = nested.replace(b'"type": "app_home_opened"', b'"type": "app_home_opened", "blocks": ' + DEEP)
        async with fronted(*self.routes(side)) as url:
            for raw in ODD:
                assert await self.post(side, url + self.EVENTS, raw) == 400, raw[:60]
                form = urlencode({"payload": raw}).encode()
                assert await self.post(side, url + self.PRESSES, form) == 400, raw[:60]
            assert await self.post(side, url + self.EVENTS, nested) == 200
            press = b'{"type":"block_actions","actions":' + DEEP + b"}"
            assert await self.post(side, url + self.PRESSES, urlencode({"payload": press}).encode()) == 200

    async def post(self, side: SlackSide, url: str, raw: bytes, **headers: str) -> int:
        """Post what Slack signed."""
        given = {**signed(raw, int(side.clock.now)), **headers}
        async with side.http.post(url, data=raw, headers=given) as answer:
            return answer.status


class TestTeams:
    ROUTE = "/teams/st-teams/messages"

    @pytest.fixture(name="cloud")
    async def _cloud(self) -> AsyncIterator[Cloud]:
        async with kit.cloud() as opened:
            yield opened

    @asynccontextmanager
    async def serving(self, cloud: Cloud, database: Database, **more: Any) -> AsyncIterator[str]:
        async with kit.shared_session() as session:

            async def nothing(*_: Any) -> None:
                """No delivery waits for evidence."""

            bots = kit.bots(cloud, session, now=lambda: NOW)
            parts: dict[str, Any] = {"evidence": nothing, "wake": lambda _lane: None, "now": lambda: NOW}
            inbound = TeamsInbound(bots, database, **parts, **more)
            async with fronted(web.post(self.ROUTE, inbound.handler(kit.BOT))) as url:
                yield url

    def genuine(self, cloud: Cloud) -> str:
        return f"Bearer {cloud.sign({'exp': int(NOW) + 3600, 'nbf': int(NOW)})}"

    async def test_slow(self, cloud: Cloud, database: Database) -> None:
        """Of whoever is genuine too a body that stops is given up, and so is its connection."""
        async with self.serving(cloud, database, read_seconds=0.2) as url:
            assert await stalled(url, self.ROUTE, f"Authorization: {self.genuine(cloud)}") == (408, True)

    async def test_large_and_odd(self, cloud: Cloud, database: Database) -> None:
        """A genuine body is bounded by the setting; JSON that is none, or is nested without end, is refused: 400."""
        plain = json.dumps(cloud.activity("message")).encode()
        deep = plain[:-1] + b', "value": ' + DEEP + b"}"
        headers = {"Authorization": self.genuine(cloud), "Content-Type": "application/json"}

        async def post(raw: bytes, **more: str) -> int:
            async with http.post(url + self.ROUTE, data=raw, headers={**headers, **more}) as answer:
                return answer.status

        async with self.serving(cloud, database, most_bytes=200_000) as url, aiohttp.ClientSession() as http:
            assert [await post(raw) for raw in ODD] == [400] * len(ODD)
            assert await post(deep) in (200, 400)
            assert [await post(b" " * size) for size in (200_000, 200_001)] == [400, 413]
            assert await post(BOMBS["gzip"], **{"Content-Encoding": "gzip"}) == 415
            assert await post(plain, **{"Content-Type": "text/plain"}) == 415
            assert await post(plain, **{"Content-Type": "application/json; charset=utf-8"}) == 200
