"""P11, P12, P16, P17: every kind of call that leaves, against every answer that wants too much.

A kind is tried with a good answer first, so that its failure with a bent one means something.
"""

from __future__ import annotations

import functools
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

import aiohttp
import orjson
import pytest
from aiohttp import ClientSession, web
from botbuilder.schema import ConversationParameters

from adapters.base import Address, DeliveryId, Sent
from adapters.http import CallFailed
from adapters.slack import limits
from adapters.slack.client import Answer, SlackClient
from adapters.slack.config import SlackEndpoints
from adapters.teams import graph
from adapters.teams.bots import TeamsBots
from adapters.teams.connector import Answered, result_of
from adapters.teams.keys import KeySet, KeysUnavailable
from adapters.teams.outbound import TeamsChannel
from adapters.teams.tokens import TokenUnavailable
from console.commands.checks.platforms import SlackProbe, TeamsProbe, openid_metadata
from identity.teams import MAX_ANSWER, GraphPeople
from settings import Endpoints
from settings import SlackApp as SlackSettings
from settings import TeamsApp as TeamsSettings
from storage.directory import Person
from storage.engine import Database
from tests.integration.teams import kit
from tests.integration.teams.kit import BOT, CONVERSATION, ISSUER, PERSON, TEAMS_ID, TENANT, Cloud, FakeGate
from tests.security.canned import Canned, Reply

Json = dict[str, Any]
LARGEST: Final = max(limits.LIST_ANSWER_BYTES, MAX_ANSWER)
USER: Final[Json] = {"id": PERSON, "mail": "ada@contoso.example", "userPrincipalName": "ada@contoso.example"}
GRANT: Final[Json] = {"access_token": "the-token", "expires_in": 3599}


@dataclass
class World:
    """All platforms on one port, and a stranger on another; `bent` is the path whose answer is not as it should be."""

    url: str = ""
    stranger: str = ""
    bent: str = ""
    bend: Callable[[bytes], web.StreamResponse] | None = None
    asked: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)

    def good(self, path: str) -> Json:
        """The answer that the real platform would give."""
        endings: Mapping[str, Json] = {
            "/openid": {"issuer": ISSUER, "jwks_uri": f"{self.url}/jwks"},
            "/jwks": {"keys": [kit.jwk("current")]},
            "/token": GRANT,
            "/activities": {"id": "1700000000000"},
            "/conversations": {"id": CONVERSATION},
            "/members/29:1": {"id": "29:1"},
            "/$batch": {"responses": [{"id": "0", "status": 200, "body": {"value": [USER]}}]},
            "/teamsApps": {"value": []},
        }
        return next((body for end, body in endings.items() if path.endswith(end)), {"ok": True, "ts": "1.1"})

    async def answer(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.asked.append(request.path)
        body = orjson.dumps(self.good(request.path))
        if self.bend is not None and request.path.endswith(self.bent):
            return self.bend(body)
        status = 201 if "/v3/" in request.path and request.method == "POST" else 200
        return web.Response(status=status, body=body, content_type="application/json")

    async def leak(self, request: web.Request) -> web.StreamResponse:
        self.leaked.append(request.path)
        return web.json_response(self.good(request.path))

    def bots(self, session: ClientSession) -> TeamsBots:
        endpoints = replace(Cloud(url=self.url).endpoints(), bot_openid=f"{self.url}/openid")
        return TeamsBots([kit.app()], endpoints, session)

    def slack(self, session: ClientSession) -> SlackClient:
        return SlackClient(session, SlackEndpoints(f"{self.url}/api/", f"{self.url}/authorize"))


@asynccontextmanager
async def serving(handler: kit.Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture(name="world")
async def _world() -> AsyncIterator[World]:
    world = World()
    async with serving(world.answer) as url, serving(world.leak) as stranger:
        world.url, world.stranger = url, stranger
        yield world


@pytest.fixture(name="session")
async def _session() -> AsyncIterator[ClientSession]:
    async with kit.shared_session() as session:
        yield session


@pytest.fixture
def database_kind() -> str:
    """What leaves does not depend on the database."""
    return "sqlite"


# ---------------------------------------------------------------------- the kinds of calls: did it succeed?

Try = Callable[[World, ClientSession, Database], Awaitable[bool]]


async def keys(world: World, session: ClientSession, _: Database) -> bool:
    try:
        found = await KeySet(session, f"{world.url}/openid", allow_http=True).get("current")
    except KeysUnavailable:
        return False
    return found is not None


async def entra(world: World, session: ClientSession, _: Database) -> bool:
    with suppress(TokenUnavailable):
        return bool(await world.bots(session).get(BOT).tokens.header())
    return False


async def sending(world: World, session: ClientSession, database: Database) -> bool:
    channel = TeamsChannel(world.bots(session), database)
    address = Address(TENANT, PERSON, TEAMS_ID, CONVERSATION, f"{world.url}/emea/")
    return isinstance(await channel.send(BOT, address, channel.prepare({"type": "message"}), DeliveryId("nl-1")), Sent)


async def opening(world: World, session: ClientSession, _: Database) -> bool:
    client = await world.bots(session).get(BOT).pool.create(f"{world.url}/emea/", ISSUER)
    with suppress(Answered, CallFailed, TokenUnavailable):
        found = await result_of(client.conversations.create_conversation(ConversationParameters(is_group=False)))
        return getattr(found, "id", None) is not None
    return False


async def member(world: World, session: ClientSession, _: Database) -> bool:
    client = await world.bots(session).get(BOT).pool.create(f"{world.url}/emea/", ISSUER)
    with suppress(Answered, CallFailed, TokenUnavailable):
        raw = await result_of(client.conversations.get_conversation_member("a:1", "29:1", raw=True))
        return b"29:1" in raw.response.content
    return False


async def batch(world: World, session: ClientSession, _: Database) -> bool:
    people = GraphPeople(world.bots(session))
    found = [each async for each in people.find(BOT, TENANT, ["ada@contoso.example"], FakeGate())]
    return any(isinstance(answer, Person) for each in found for answer in each.values())


async def catalog(world: World, session: ClientSession, _: Database) -> bool:
    timeout = aiohttp.ClientTimeout(total=15)
    with suppress(CallFailed, TokenUnavailable):
        path = "appCatalogs/teamsApps"
        return graph.found(await graph.ask(world.bots(session), BOT, TENANT, "GET", path, timeout=timeout)) is not None
    return False


async def slack(method: str, world: World, session: ClientSession, _: Database) -> bool:
    return isinstance(await world.slack(session).call(method, "xoxb-secret", text="x"), Answer)


KINDS: Final[Mapping[str, tuple[str, Try]]] = {
    "OpenID metadata": ("/openid", keys),
    "key set": ("/jwks", keys),
    "Entra token": ("/token", entra),
    "connector: send": ("/activities", sending),
    "connector: open": ("/conversations", opening),
    "connector: member": ("/members/29:1", member),
    "Graph: batch": ("/$batch", batch),
    "Graph: app catalog": ("/teamsApps", catalog),
    "Slack: message": ("/chat.postMessage", functools.partial(slack, "chat.postMessage")),
    "Slack: history": ("/conversations.history", functools.partial(slack, "conversations.history")),
    "Slack: list": ("/users.list", functools.partial(slack, "users.list")),
    "Slack: OAuth": ("/oauth.v2.access", functools.partial(slack, "oauth.v2.access")),
}


def test_none_is_lost() -> None:
    """P16, P17: every kind of call is here."""
    assert len(KINDS) >= 12


@pytest.mark.parametrize("kind", KINDS)
class TestKinds:
    async def test_redirects(self, kind: str, world: World, session: ClientSession, database: Database) -> None:
        """P17: no redirect is followed, whatever its status: neither the secret nor the question goes elsewhere."""
        world.bent, attempt = KINDS[kind]
        assert await attempt(world, session, database)
        for status in (301, 302, 303, 307, 308):

            def away(body: bytes, status: int = status) -> web.StreamResponse:
                headers = {"Location": f"{world.stranger}{world.bent}", "Content-Type": "application/json"}
                return web.Response(status=status, body=body, headers=headers)

            world.bend = away
            assert not await attempt(world, session, database), status

        assert world.leaked == []

    async def test_bombs(self, kind: str, world: World, session: ClientSession, database: Database) -> None:
        """P16: an answer is bounded after it was unpacked, in memory as well as in what is believed."""
        world.bent, attempt = KINDS[kind]
        for encoding, raw in bombs(orjson.dumps(world.good(world.bent))).items():

            def bomb(_: bytes, encoding: str = encoding, raw: bytes = raw) -> web.StreamResponse:
                headers = {"Content-Encoding": encoding} if encoding else {}
                return web.Response(body=raw, headers={**headers, "Content-Type": "application/json"})

            world.bend = bomb
            tracemalloc.start()
            try:
                assert not await attempt(world, session, database), encoding
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert peak < 2.5 * LARGEST, encoding

    async def test_bounds(self, kind: str, database: Database) -> None:
        """P11, P12: every call has a total deadline, follows nothing, and Teams' ones know no proxy."""
        world = World(url="https://world.invalid")
        path, attempt = KINDS[kind]
        needs_token = kind.startswith(("connector", "Graph"))
        answer = Reply(200, {"Content-Type": "application/json"}, orjson.dumps(world.good(path)))
        session = Canned([Reply(body=orjson.dumps(GRANT)), answer] if needs_token else [answer])

        await attempt(world, session.as_session(), database)

        assert session.options
        for options in session.options:
            assert options["allow_redirects"] is False
            assert 0 < options["timeout"].total <= 30
            assert options.get("proxy") is None


@functools.cache
def bombs(good: bytes) -> Mapping[str, bytes]:
    """The good answer followed by blanks, which are JSON too: only the limit refuses it."""
    large = good + b" " * (LARGEST + 1024 * 1024)
    return {
        "gzip": gzip.compress(large, 1),
        "deflate": zlib.compress(large, 1),
        "": large,
        "br": b"\x1b\x00\x00\x00" + b"\0" * 64,
        "zstd": b"\x28\xb5\x2f\xfd" + b"\0" * 64,
        "gzip, gzip": gzip.compress(gzip.compress(large, 1), 1),
        "unheard-of": b"\0" * 64,
    }


class TestCheck:
    """`herald check` asks with the same secrets."""

    async def test_redirects(self, world: World, session: ClientSession) -> None:
        """P17: the command that tries the credentials follows no redirect either."""
        endpoints = replace(
            Endpoints().resolved(),
            bot_openid=f"{world.url}/openid",
            slack_api=f"{world.url}/api/",
            entra_login=world.url,
        )
        slack_app = SlackSettings.model_validate({"signing_secret": "x" * 32, "bot_token": "xoxb-secret-1"})
        credentials = {"app_id": kit.APP_ID, "tenant_id": TENANT, "app_password": "teams-secret"}
        teams_app = TeamsSettings.model_validate(credentials)
        for status in (301, 302, 303, 307, 308):

            def away(_: bytes, status: int = status) -> web.StreamResponse:
                return web.Response(status=status, headers={"Location": f"{world.stranger}/openid"})

            world.bend = away
            found = [
                *await openid_metadata(session, endpoints),
                *await SlackProbe(session, endpoints, "Bot", slack_app).run(),
                *await TeamsProbe(session, endpoints, "Bot", teams_app).run(),
            ]
            assert len(found) == 3

        assert world.leaked == []
