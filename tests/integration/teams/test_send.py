"""One send, and every odd answer a platform can give to it (P01-P04, P07-P13, P15-P17)."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import time
from typing import Any

import aiohttp
import orjson
import pytest
import trustme
from aiohttp import ClientSession, TCPConnector, web
from aiohttp.abc import AbstractResolver, ResolveResult

from adapters.base import Address, DeliveryId, FaultClass, NotSent, Outcome, Refused, Repair, Sent, Uncertain
from adapters.teams.outbound import TeamsChannel
from storage import references
from storage.engine import Database
from storage.references import Reference
from tests.integration.teams import kit
from tests.integration.teams.kit import BOT, CONVERSATION, PERSON, TEAMS_ID, TENANT, Cloud

DELIVERY = DeliveryId("nl-1")
SHORT = aiohttp.ClientTimeout(total=0.3, connect=0.3)


def address(cloud: Cloud, **changes: Any) -> Address:
    values: dict[str, Any] = {
        "tenant": TENANT,
        "user_id": PERSON,
        "channel_id": TEAMS_ID,
        "conversation_id": CONVERSATION,
        "service_url": cloud.service_url,
    }
    return Address(**values | changes)


@pytest.fixture(name="channel")
async def _channel(cloud: Cloud, session: ClientSession, database: Database) -> TeamsChannel:
    return TeamsChannel(kit.bots(cloud, session), database)


async def send(channel: TeamsChannel, to: Address, payload: dict[str, Any] | None = None) -> Outcome:
    return await channel.send(BOT, to, channel.prepare(payload or {"type": "message", "text": "Hello"}), DELIVERY)


def answering(status: int, body: Any = None, headers: dict[str, str] | None = None) -> kit.Handler:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=raw, headers={"Content-Type": "application/json"} | (headers or {}))

    return answer


async def stored(database: Database) -> tuple[Reference, bool] | None:
    async with database.read() as tx:
        found = await references.find(tx, bot_id=BOT, channel="msteams", tenant_id=TENANT, persons=[PERSON])
    return found.get(PERSON)


async def remember(database: Database, cloud: Cloud, at: float = 100.0) -> None:
    reference = Reference(BOT, "msteams", TENANT, PERSON, TEAMS_ID, CONVERSATION, cloud.service_url, at)
    async with database.write() as tx:
        await references.capture(tx, reference, at)


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
class TestSend:
    async def test_is_one_post_with_the_persons_own_parts(self, channel: TeamsChannel, cloud: Cloud) -> None:
        """A send is exactly one POST to the conversation; only from, conversation and recipient are put in."""
        outcome = await send(channel, address(cloud), {"type": "message", "text": "Grüße", "from": {"id": "forged"}})

        assert Sent("1700000000000") == outcome
        assert [
            {
                "type": "message",
                "text": "Grüße",
                "from": {"id": f"28:{kit.APP_ID}"},
                "conversation": {"id": CONVERSATION},
                "recipient": {"id": TEAMS_ID},
            }
        ] == cloud.sent()
        assert cloud.count("/emea/v3/conversations/a:1conversation/activities") == 1

    async def test_shares_one_token(self, channel: TeamsChannel, cloud: Cloud) -> None:
        """Thirty-two sends at once ask the login endpoint once."""
        outcomes = await asyncio.gather(*(send(channel, address(cloud)) for _ in range(32)))

        assert [Sent("1700000000000")] * 32 == outcomes
        assert cloud.tokens_given == 1

    @pytest.mark.parametrize(
        ("header", "wait"),
        [
            ({"Retry-After": "7"}, 7.0),
            ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
            ({}, None),
            ({"Retry-After": "-5"}, 0.0),
            ({"Retry-After": "999999999"}, 3600.0),
            ({"Retry-After": "soon"}, None),
            ({"Retry-After": "1, 2"}, None),
        ],
        ids=["P01-seconds", "P02-date", "P03-none", "P04-negative", "P04-huge", "P04-garbage", "P04-doubled"],
    )
    async def test_throttled(
        self, channel: TeamsChannel, cloud: Cloud, header: dict[str, str], wait: float | None
    ) -> None:
        """P01-P04: 429 is not sent and costs no attempt; its pause is bounded and garbage counts as none."""
        cloud.connector = answering(429, {"error": {"code": "Throttled", "message": "slow"}}, header)

        outcome = await send(channel, address(cloud))

        assert isinstance(outcome, NotSent)
        assert ("throttled", "connector", wait) == (outcome.fault.reason, outcome.method, outcome.retry_after)
        assert not outcome.fault.costs_attempt

    @pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 302, 307])
    async def test_unclear_status(self, channel: TeamsChannel, cloud: Cloud, status: int) -> None:
        """P07-P09, P17: what says nothing about the message is uncertain, after exactly one request."""
        cloud.connector = answering(status, b"<html>gateway</html>", {"Location": f"{cloud.url}/elsewhere"})

        outcome = await send(channel, address(cloud))

        assert isinstance(outcome, Uncertain)
        assert outcome.fault.reason == "no_clear_answer"
        assert cloud.count("/v3/conversations") == 1
        assert cloud.count("/elsewhere") == 0

    @pytest.mark.parametrize(
        "body",
        [
            b"<html>",
            b'{"id": "17',
            b'{"id":"1"}'.decode().encode("utf-16"),
            b"",
            b"{}",
            b'{"id":5}',
            b"[]",
            b'{"id":""}',
            b'{"id":"17\\u0000"}',
            b'{"id":"%b"}' % (b"1" * 256),
        ],
        ids=["html", "cut", "charset", "empty", "no-id", "number", "list", "blank", "nul", "long"],
    )
    async def test_success_without_an_id(self, channel: TeamsChannel, cloud: Cloud, body: bytes) -> None:
        """P13: a success whose id cannot be read is uncertain, not sent."""
        cloud.connector = answering(201, body)

        outcome = await send(channel, address(cloud))

        assert isinstance(outcome, Uncertain)
        assert outcome.fault.code == "http_201_without_id"

    @pytest.mark.parametrize("status", [400, 403, 404, 405, 407])
    async def test_refused_by_something_else(self, channel: TeamsChannel, cloud: Cloud, status: int) -> None:
        """P13: a page of a proxy in place of Teams' refusal refuses nobody: it is tried again."""
        cloud.connector = answering(status, b"<html>Access denied</html>", {"Content-Type": "text/html"})

        outcome = await send(channel, address(cloud))

        assert isinstance(outcome, NotSent)
        assert (outcome.fault.code, outcome.fault.costs_attempt) == (f"http_{status}_html", True)

    async def test_unknown_code(self, channel: TeamsChannel, cloud: Cloud) -> None:
        """P15: an unknown code in a valid refusal is refused, and the raw code is kept."""
        cloud.connector = answering(403, {"error": {"code": "NewPolicy2027", "message": "no"}})

        outcome = await send(channel, address(cloud))

        assert isinstance(outcome, Refused)
        assert (
            outcome.fault.reason,
            outcome.fault.code,
            outcome.fault.detail,
        ) == ("unknown_code", "NewPolicy2027", "no")

    async def test_gzip_bomb(self, channel: TeamsChannel, cloud: Cloud) -> None:
        """P16: 100 MB behind a small gzip answer are not read; the outcome is uncertain."""
        bomb = gzip.compress(b"\0" * (100 * 1024 * 1024), 1)
        cloud.connector = answering(201, bomb, {"Content-Encoding": "gzip"})

        outcome = await send(channel, address(cloud))

        assert isinstance(outcome, Uncertain)

    async def test_refused_connection(self, cloud: Cloud, session: ClientSession, database: Database) -> None:
        """A connection that never opened is not sent and costs no attempt."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            closed = f"http://127.0.0.1:{unused.getsockname()[1]}"
        channel = TeamsChannel(kit.bots(cloud, session, allowed=(closed,)), database)

        outcome = await send(channel, address(cloud, service_url=f"{closed}/"))

        assert isinstance(outcome, NotSent)
        assert (outcome.fault.reason, outcome.fault.costs_attempt) == ("platform_unreachable", False)

    async def test_rejected_credentials(self, channel: TeamsChannel, cloud: Cloud) -> None:
        """A 401 belongs to the lane; the token is dropped and the next send asks for a new one."""
        cloud.connector = answering(401, {"error": {"code": "BotNotRegistered", "message": ""}})

        outcome = await send(channel, address(cloud))
        cloud.connector = None
        second = await send(channel, address(cloud))

        assert isinstance(outcome, NotSent)
        assert (outcome.fault.klass, outcome.fault.reason) == (FaultClass.CONFIGURATION, "credentials_rejected")
        assert Sent("1700000000000") == second
        assert cloud.tokens_given == 2

    @pytest.mark.parametrize(
        ("status", "body", "code"),
        [
            (
                400,
                b'{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret"}',
                "invalid_client",
            ),
            (500, b"oops", "http_500"),
            (200, b"{}", "http_200"),
        ],
    )
    async def test_token_endpoint_failing(
        self, channel: TeamsChannel, cloud: Cloud, status: int, body: bytes, code: str
    ) -> None:
        """P20: without a token nothing is posted, and the fault is the lane's, not the person's."""
        cloud.token = answering(status, body)

        outcome = await send(channel, address(cloud))

        assert isinstance(outcome, NotSent)
        assert (FaultClass.CONFIGURATION, "token_unavailable", code, False) == (
            outcome.fault.klass,
            outcome.fault.reason,
            outcome.fault.code,
            outcome.fault.costs_attempt,
        )
        assert cloud.count("/v3/") == 0

    async def test_cancellation(self, channel: TeamsChannel, cloud: Cloud) -> None:
        """Cancelling a send is not an outcome: it propagates."""
        reached, never = asyncio.Event(), asyncio.Event()

        async def hang(_request: web.Request) -> web.StreamResponse:
            reached.set()
            await never.wait()
            return web.Response()

        cloud.connector = hang
        task = asyncio.create_task(send(channel, address(cloud)))
        await reached.wait()
        task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await task
        never.set()

    async def test_unknown_conversation(self, channel: TeamsChannel, cloud: Cloud) -> None:
        """An address that was never opened is refused with the repair, without a request."""
        outcome = await send(channel, address(cloud, conversation_id=None))

        assert isinstance(outcome, Refused)
        assert Repair.CONVERSATION is outcome.fault.repair
        assert cloud.count("/") == 0


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await kit.read_request(reader)
    writer.transport.abort()


async def early_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await kit.read_request(reader)
    writer.write(b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{")
    await writer.drain()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await kit.read_request(reader)
    await reader.read()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await kit.read_request(reader)
    writer.write(b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)  # the slowness under test


async def no_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await kit.read_request(reader)
    writer.write(b"\x15\x03\x01\x00\x02\x02\x28 this is not HTTP\r\n\r\n")
    await writer.drain()


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
class TestBrokenWire:
    @pytest.mark.parametrize("script", [reset, early_end, silent, drip, no_http])
    async def test_after_writing(
        self, script: kit.RawScript, cloud: Cloud, session: ClientSession, database: Database
    ) -> None:
        """P09-P12: reset, early end, silence, one byte at a time, no HTTP: uncertain, within the total deadline."""
        async with kit.raw_server(script) as url:
            channel = TeamsChannel(kit.bots(cloud, session, allowed=(url,)), database, timeout=SHORT)

            async with asyncio.timeout(3):
                outcome = await send(channel, address(cloud, service_url=f"{url}/"))

        assert isinstance(outcome, Uncertain)
        assert outcome.fault.reason == "no_clear_answer"


class NoNames(AbstractResolver):
    """A resolver that knows no host."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        raise OSError(socket.EAI_AGAIN, "Temporary failure in name resolution")

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
class TestBeforeWriting:
    @pytest.mark.parametrize("name", ["localhost", "other.example"], ids=["unknown-authority", "wrong-host"])
    async def test_tls(self, cloud: Cloud, session: ClientSession, database: Database, name: str) -> None:
        """P18: a certificate that cannot be trusted ends before the request: not sent, the token is not shown."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert(name).configure_cert(context)
        seen: list[bytes] = []

        async def listen(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            seen.append(await reader.read())

        async with kit.raw_server(listen, context) as url:
            channel = TeamsChannel(kit.bots(cloud, session, allowed=(url,)), database)
            outcome = await send(channel, address(cloud, service_url=f"{url}/"))

        assert isinstance(outcome, NotSent)
        assert outcome.fault.reason == "platform_unreachable"
        assert b"".join(seen) == b""

    async def test_dns(self, cloud: Cloud, database: Database) -> None:
        """P19: a name that does not resolve is not sent and costs no attempt."""
        elsewhere = "https://smba.infra.gcc.teams.microsoft.com"
        async with ClientSession(connector=TCPConnector(resolver=NoNames())) as nameless:
            channel = TeamsChannel(kit.bots(cloud, nameless, allowed=(elsewhere,)), database)
            outcome = await send(channel, address(cloud, service_url=f"{elsewhere}/teams/"))

        assert isinstance(outcome, NotSent)
        assert (outcome.fault.reason, outcome.fault.costs_attempt) == ("platform_unreachable", False)

    async def test_poisoned_reference(self, channel: TeamsChannel, cloud: Cloud) -> None:
        """S02: a service URL that is not permitted gets neither token nor message, whatever was stored."""
        outcome = await send(channel, address(cloud, service_url="https://smba.trafficmanager.net.evil.test/"))

        assert isinstance(outcome, Refused)
        assert outcome.fault.repair is Repair.SERVICE_URL
        assert cloud.asked == []

    async def test_poisoned_address_is_not_opened(self, channel: TeamsChannel, cloud: Cloud) -> None:
        """S02: opening replaces a service URL that is not permitted by the tenant's or the cloud's own."""
        opened = await channel.open(BOT, address(cloud, service_url="https://evil.test/"), kit.FakeGate())

        assert isinstance(opened, Address)
        assert opened.service_url == f"{cloud.url}/teams/"


class TestWhatRefusalsTeach:
    @pytest.mark.parametrize(
        ("code", "reason"),
        [
            ("BotNotInConversationRoster", "app_not_installed"),
            ("ForbiddenOperationException", "app_not_installed"),
            ("ConversationBlockedByUser", "blocked_by_recipient"),
        ],
    )
    async def test_unusable(
        self, channel: TeamsChannel, cloud: Cloud, database: Database, code: str, reason: str
    ) -> None:
        """A block or an uninstall refuses the delivery and deactivates the reference."""
        await remember(database, cloud)
        cloud.connector = answering(403, {"error": {"code": code, "message": ""}})

        outcome = await send(channel, address(cloud))

        found = await stored(database)
        assert isinstance(outcome, Refused)
        assert reason == outcome.fault.reason
        assert found is not None
        assert not found[1]

    async def test_any_later_event_wins(self, cloud: Cloud, session: ClientSession, database: Database) -> None:
        """A clock of ours that is an hour ahead does not make the mark outlive the next install."""
        ahead = time.time() + 3600
        channel = TeamsChannel(kit.bots(cloud, session), database, now=lambda: ahead)
        await remember(database, cloud)
        cloud.connector = answering(403, {"error": {"code": "BotNotInConversationRoster", "message": ""}})
        await send(channel, address(cloud))
        refused = await stored(database)
        async with database.write() as tx:
            reinstalled = Reference(BOT, "msteams", TENANT, PERSON, TEAMS_ID, CONVERSATION, None, time.time())
            await references.capture(tx, reinstalled, ahead)
        found = await stored(database)

        assert refused is not None
        assert found is not None
        assert (refused[1], found[1]) == (False, True)

    async def test_stale_conversation(self, channel: TeamsChannel, cloud: Cloud, database: Database) -> None:
        """P23: ConversationNotFound is refused, repairable; the id is forgotten before the answer is given."""
        await remember(database, cloud)
        cloud.connector = answering(404, {"error": {"code": "ConversationNotFound", "message": ""}})

        outcome = await send(channel, address(cloud))

        found = await stored(database)
        assert isinstance(outcome, Refused)
        assert Repair.CONVERSATION is outcome.fault.repair
        assert found is not None
        assert (found[0].conversation_id, found[1]) == (None, True)

    async def test_other_host(self, cloud: Cloud, session: ClientSession, database: Database) -> None:
        """InvalidBotApiHost moves the tenant and the person to the other permitted host, once."""
        await remember(database, cloud)
        elsewhere = "https://smba.infra.gcc.teams.microsoft.com"
        channel = TeamsChannel(kit.bots(cloud, session, allowed=(elsewhere,)), database)
        cloud.connector = answering(403, {"error": {"code": "InvalidBotApiHost", "message": ""}})

        outcome = await send(channel, address(cloud))

        found = await stored(database)
        assert isinstance(outcome, NotSent)
        assert Repair.SERVICE_URL is outcome.fault.repair
        assert found is not None
        assert f"{elsewhere}/teams/" == found[0].service_url

    async def test_no_other_host(self, channel: TeamsChannel, cloud: Cloud, database: Database) -> None:
        """Where no other host is permitted, the settings are at fault: the lane, and nobody fails."""
        await remember(database, cloud)
        cloud.connector = answering(403, {"error": {"code": "InvalidBotApiHost", "message": ""}})

        outcome = await send(channel, address(cloud))

        assert isinstance(outcome, NotSent)
        assert (outcome.fault.klass, outcome.fault.code) == (FaultClass.CONFIGURATION, "InvalidBotApiHost")


class TestOpen:
    async def test_creates_and_stores(self, channel: TeamsChannel, cloud: Cloud, database: Database) -> None:
        """A cold person costs one create call through the gate; the conversation is stored."""
        gate = kit.FakeGate()
        cold = address(cloud, conversation_id=None, service_url=None, channel_id=PERSON)

        opened = await channel.open(BOT, cold, gate)

        found = await stored(database)
        created = next(orjson.loads(body) for _, path, body, _ in cloud.asked if path == "/teams/v3/conversations")
        assert isinstance(opened, Address)
        assert (CONVERSATION, f"{cloud.url}/teams/") == (opened.conversation_id, opened.service_url)
        assert gate.entered == ["connector"]
        assert found is not None
        assert found[0].conversation_id == CONVERSATION
        assert created["channelData"] == {"tenant": {"id": TENANT}}
        assert ([{"id": PERSON}], {"id": f"28:{kit.APP_ID}"}) == (created["members"], created["bot"])

    async def test_known_conversation(self, channel: TeamsChannel, cloud: Cloud) -> None:
        """A known conversation makes no call."""
        gate = kit.FakeGate()

        opened = await channel.open(BOT, address(cloud), gate)

        assert address(cloud) == opened
        assert (gate.entered, cloud.count("/")) == ([], 0)

    @pytest.mark.parametrize(
        ("answer", "kind", "reason"),
        [
            (answering(403, {"error": {"code": "ForbiddenOperationException"}}), Refused, "app_not_installed"),
            (answering(500, b"<html>"), NotSent, "no_clear_answer"),
            (answering(502, b"<html>", {"Content-Type": "text/html"}), NotSent, "no_clear_answer"),
            (answering(201, b"{}"), NotSent, "no_clear_answer"),
            (answering(201, b"<html>"), NotSent, "no_clear_answer"),
            (answering(302, b"", {"Location": "/x"}), NotSent, "no_clear_answer"),
            (answering(429, b"{}", {"Retry-After": "3"}), NotSent, "throttled"),
            (answering(401, b"{}"), NotSent, "credentials_rejected"),
            (answering(403, {"error": {"code": "BotDisabledByAdmin"}}), NotSent, "bot_disabled"),
        ],
        ids=["forbidden", "500", "502-html", "no-id", "html", "redirect", "429", "401", "disabled"],
    )
    async def test_failures_may_be_repeated(
        self, channel: TeamsChannel, cloud: Cloud, answer: kit.Handler, kind: type[Outcome], reason: str
    ) -> None:
        """Creating returns the same id again, so nothing about it is ever uncertain."""
        cloud.connector = answer
        gate = kit.FakeGate()

        outcome = await channel.open(BOT, address(cloud, conversation_id=None), gate)

        assert isinstance(outcome, kind)
        assert isinstance(outcome, NotSent | Refused)
        assert reason == outcome.fault.reason
        assert outcome.fault.klass is not FaultClass.UNCERTAIN
        assert isinstance(outcome, Refused) or outcome.retry_after == (3.0 if reason == "throttled" else None)
        assert ([("connector", 3.0)] if reason == "throttled" else []) == gate.pauses

    async def test_trouble_costs_an_attempt(self, channel: TeamsChannel, cloud: Cloud) -> None:
        """An opening that the platform fails costs an attempt, and its own word says when to try again."""
        cloud.connector = answering(503, b"", {"Retry-After": "40"})

        outcome = await channel.open(BOT, address(cloud, conversation_id=None), kit.FakeGate())

        assert isinstance(outcome, NotSent)
        assert (outcome.retry_after, outcome.fault.costs_attempt) == (40.0, True)

    async def test_nobody_there_costs_none(self, cloud: Cloud, session: ClientSession, database: Database) -> None:
        """A connector that cannot be reached is nobody's fault."""
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{closed.getsockname()[1]}"
            outcome = await TeamsChannel(kit.bots(cloud, session, allowed=(url,)), database).open(
                BOT, address(cloud, conversation_id=None, service_url=f"{url}/"), kit.FakeGate()
            )

        assert isinstance(outcome, NotSent)
        assert (outcome.fault.reason, outcome.fault.costs_attempt) == ("platform_unreachable", False)
        assert outcome.retry_after is None

    @pytest.mark.parametrize("created", ["", "a:\x001", "a:" + "1" * 3000, None])
    async def test_unreadable_conversation(self, channel: TeamsChannel, cloud: Cloud, created: object) -> None:
        """A conversation whose id cannot be kept was not opened."""
        cloud.connector = answering(201, {"id": created})

        outcome = await channel.open(BOT, address(cloud, conversation_id=None), kit.FakeGate())

        assert isinstance(outcome, NotSent)
        assert (outcome.fault.reason, outcome.fault.costs_attempt) == ("no_clear_answer", True)

    async def test_broken_wire(self, cloud: Cloud, session: ClientSession, database: Database) -> None:
        """A reset while creating is not sent."""
        async with kit.raw_server(reset) as url:
            outcome = await TeamsChannel(kit.bots(cloud, session, allowed=(url,)), database).open(
                BOT, address(cloud, conversation_id=None, service_url=f"{url}/"), kit.FakeGate()
            )

        assert isinstance(outcome, NotSent)
        assert outcome.fault.reason == "platform_unreachable"
