"""S02: one list of hostile service URLs, tried when an activity names them and again when they stand in the database.

Every name leads to one listener here, whatever the port, so "the token goes nowhere" is seen and not assumed.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from aiohttp import ClientSession, DummyCookieJar, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from sqlalchemy import insert, select

from adapters.base import Address, ChannelName, Chore, ChoreDone, DeliveryId, Lane, NotSent, Refused
from adapters.teams.auth import BodyRefused, ConnectorToken, ConnectorTokens, TokenRefused
from adapters.teams.keys import KeySet
from adapters.teams.members import MemberChore
from adapters.teams.outbound import TeamsChannel
from adapters.teams.service_urls import ServiceUrls
from identity.email import normal_form
from storage import references, tables
from storage.engine import Database
from tests.integration.teams import kit
from tests.integration.teams.kit import APP_ID, BOT, CONVERSATION, ISSUER, PERSON, TEAMS_ID, TENANT, FakeGate
from tests.security.canned import Canned
from tests.security.test_teams_tokens import opened

REAL: Final = "https://smba.trafficmanager.net"
HOSTILE: Final[Mapping[str, str]] = {
    "http": "http://smba.trafficmanager.net/emea/",
    "ftp": "ftp://smba.trafficmanager.net/emea/",
    "scheme in capitals": "HTTPS://smba.trafficmanager.net/emea/",
    "scheme missing": "//smba.trafficmanager.net/emea/",
    "no address": "smba.trafficmanager.net",
    "empty": "",
    "blank": " ",
    "userinfo": "https://smba.trafficmanager.net@evil.test/",
    "userinfo before the real host": "https://evil.test@smba.trafficmanager.net/",
    "password": "https://user:password@smba.trafficmanager.net/",
    "longer host": "https://smba.trafficmanager.net.evil.test/",
    "host within a host": "https://evilsmba.trafficmanager.net/",
    "sister host": "https://evil.trafficmanager.net/",
    "parent host": "https://trafficmanager.net/",
    "host in the path": "https://evil.test/smba.trafficmanager.net/",
    "host in the query": "https://evil.test?smba.trafficmanager.net",
    "host in the fragment": "https://evil.test#@smba.trafficmanager.net/",
    "trailing dot": "https://smba.trafficmanager.net./emea/",
    "two dots": "https://smba..trafficmanager.net/emea/",
    "default port": "https://smba.trafficmanager.net:443/emea/",
    "other port": "https://smba.trafficmanager.net:8443/emea/",
    "empty port": "https://smba.trafficmanager.net:/emea/",
    "port in other digits": "https://smba.trafficmanager.net:４４３/emea/",
    "backslash": "https://evil.test\\@smba.trafficmanager.net/",
    "backslash behind the host": "https://smba.trafficmanager.net\\.evil.test/",
    "backslashes for slashes": "https:\\\\smba.trafficmanager.net\\emea\\",
    "percent in the host": "https://smba.trafficmanager.net%2eevil.test/",
    "percent NUL": "https://smba.trafficmanager.net%00.evil.test/",
    "percent in the path": "https://smba.trafficmanager.net/%2e%2e/%2e%2e/",
    "dots in the path": "https://smba.trafficmanager.net/emea/../../x/",
    "a dot in the path": "https://smba.trafficmanager.net/./emea/",
    "empty segment": "https://smba.trafficmanager.net//evil.test/",
    "query": "https://smba.trafficmanager.net/emea/?next=evil",
    "fragment": "https://smba.trafficmanager.net/emea/#evil",
    "parameters": "https://smba.trafficmanager.net/emea;x=1/",
    "Cyrillic letter": "https://ѕmba.trafficmanager.net/",
    "full-width letter": "https://ｓmba.trafficmanager.net/",
    "ideographic dots": "https://smba。trafficmanager。net/",
    "punycode": "https://xn--mba-rxc.trafficmanager.net/",
    "soft hyphen": "https://smba\u00ad.trafficmanager.net/",
    "zero width": "https://smba\u200b.trafficmanager.net/",
    "right to left": "https://\u202etest.live\u202csmba.trafficmanager.net/",
    "tab": "https://smba.\ttrafficmanager.net/",
    "blank in front": " https://smba.trafficmanager.net/",
    "blank behind": "https://smba.trafficmanager.net/ ",
    "line break": "https://smba.trafficmanager.net/\r\nHost: evil.test",
    "NUL": "https://smba.trafficmanager.net/\0",
    "IPv4": "https://127.0.0.1/",
    "IPv4 as a number": "https://2130706433/",
    "IPv4 in hexadecimal": "https://0x7f000001/",
    "IPv4 in octal": "https://0177.0.0.1/",
    "IPv4 in short": "https://127.1/",
    "metadata of clouds": "https://169.254.169.254/latest/",
    "IPv6": "https://[::1]/",
    "IPv4 within IPv6": "https://[::ffff:127.0.0.1]/",
    "IPv6 with a zone": "https://[fe80::1%25eth0]/",
    "localhost": "https://localhost/",
    "file": "file:///etc/passwd",
    "data": "data:text/plain,x",
    "too long": f"https://smba.trafficmanager.net/{'a' * 600}",
}  # fmt: skip


KEYS: Final = KeySet(Canned().as_session(), "https://x.invalid")
DOOR: Final = ConnectorTokens(KEYS, app_id=APP_ID, issuer=ISSUER, service_urls=ServiceUrls([REAL]))


def test_none_is_lost() -> None:
    """S02: the list has at least these addresses."""
    assert len(HOSTILE) >= 60


class TestNamed:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_refused(self, name: str) -> None:
        """S02: an activity that names it is refused, even where a good token names the same."""
        url = HOSTILE[name]
        activity = {"type": "message", "channelId": "msteams", "serviceUrl": url}

        with pytest.raises(BodyRefused):
            DOOR.check_activity(ConnectorToken({"serviceurl": url}, url), activity)

    @pytest.mark.parametrize(
        ("claim", "body"),
        [
            (f"{REAL}/emea/", f"{REAL}/amer/"),
            (f"{REAL}/emea/", f"{REAL}/emea"),
            (f"{REAL}/emea", f"{REAL}/emea/"),
            (f"{REAL}/emea/", f"{REAL}/EMEA/"),
            (f"{REAL}/emea/", "https://SMBA.trafficmanager.net/emea/"),
            ("https://evil.test/", f"{REAL}/emea/"),
            (f"{REAL}/emea/", "https://evil.test/"),
        ],
        ids=["region", "slash-less", "slash-more", "case-of-path", "case-of-host", "foreign-claim", "foreign-body"],
    )
    def test_differing(self, claim: str, body: str) -> None:
        """S02: claim and body are the same to the letter, or the token was not made for this activity."""
        activity = {"type": "message", "channelId": "msteams", "serviceUrl": body}

        with pytest.raises(TokenRefused, match="serviceurl_differs"):
            DOOR.check_activity(ConnectorToken({"serviceurl": claim}, claim), activity)

    async def test_nothing_is_stored(self, tmp_path: Path) -> None:
        """S02: over HTTP, with a genuine token for each of them: 400 or 401, and no reference is kept."""
        async with opened(tmp_path) as door:
            answers = {}
            for name, url in HOSTILE.items():
                activity = door.cloud.activity("message", serviceUrl=url)
                answers[name] = await door.post(door.cloud.sign({"serviceurl": url}), activity)
            database = Database.open(f"sqlite:///{tmp_path / 'herald.db'}")
            async with database.read() as tx:
                stored = (await tx.execute(select(tables.conversation_references.c.service_url))).all()
            await database.close()

        assert set(answers.values()) <= {400, 401}
        assert stored == []


@dataclass
class Listener(AbstractResolver):
    """Where every name leads to, and what was said there."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        there: ResolveResult = {
            "hostname": host,
            "host": "127.0.0.1",
            "port": self.port,
            "family": socket.AF_INET,
            "proto": 0,
            "flags": socket.AI_NUMERICHOST,
        }
        return [there]

    async def close(self) -> None:
        """Nothing is open."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(await reader.read(4096))
        writer.close()


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[Listener, ClientSession]]:
    """The listener, and a session for which it is the whole world."""
    listener = Listener()
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        async with ClientSession(connector=TCPConnector(resolver=listener), cookie_jar=DummyCookieJar()) as session:
            yield listener, session
    finally:
        server.close()
        await server.wait_closed()


async def poison(database: Database, url: str) -> Address:
    """Write the row past every door, as somebody with the database could, and read it back as the product does."""
    async with database.write() as tx:
        await tx.execute(tables.conversation_references.delete())
        row = {
            "bot_id": BOT,
            "channel": "msteams",
            "tenant_id": TENANT,
            "user_id": PERSON,
            "channel_id": TEAMS_ID,
            "conversation_id": CONVERSATION,
            "service_url": url,
            "active": True,
            "learned_at": 1.0,
            "changed_at": 1.0,
        }
        await tx.execute(insert(tables.conversation_references).values(**row))
    async with database.read() as tx:
        found = await references.find(tx, bot_id=BOT, channel="msteams", tenant_id=TENANT, persons=[PERSON])
    reference, active = found[PERSON]
    assert active
    return Address(TENANT, reference.user_id, TEAMS_ID, reference.conversation_id, reference.service_url)


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
class TestStored:
    async def test_never_sent(self, database: Database) -> None:
        """S02: a poisoned row gets neither token nor message, from a send, an opening or a chore."""
        async with kit.cloud() as cloud, listening() as (listener, session):
            bots = kit.bots(cloud, session, allowed=(REAL,))
            channel, chore = TeamsChannel(bots, database), MemberChore(bots, database, normal_form=normal_form)
            prepared = channel.prepare({"type": "message", "text": "secret"})
            lane = Lane(BOT, ChannelName.MSTEAMS, TENANT)
            for name, url in HOSTILE.items():
                if "\0" in url:
                    continue  # no row of PostgreSQL's can hold it
                address = await poison(database, url)
                detail = {"conversation_id": CONVERSATION, "user_id": PERSON, "service_url": url}

                outcome = await channel.send(BOT, address, prepared, DeliveryId("nl-1"))
                opened_ = await channel.open(BOT, address, FakeGate())
                done = await chore(Chore(1, lane, "teams.member", PERSON, detail), FakeGate())

                assert isinstance(outcome, Refused), name
                assert isinstance(opened_, Address | NotSent), name
                assert not isinstance(opened_, Address) or opened_.service_url == f"{cloud.url}/teams/", name
                assert done == ChoreDone("service url not allowed"), name

        assert (listener.heard, listener.asked, cloud.asked) == ([], [], [])

    async def test_the_listener_hears(self, database: Database) -> None:
        """The same with a permitted address reaches the listener, so its silence above means something."""
        async with kit.cloud() as cloud, listening() as (listener, session):
            bots = kit.bots(cloud, session, allowed=(REAL,))
            channel = TeamsChannel(bots, database)
            address = await poison(database, f"{REAL}/emea/")

            outcome = await channel.send(
                BOT, address, channel.prepare({"type": "message", "text": "x"}), DeliveryId("nl-1")
            )

        assert isinstance(outcome, NotSent)
        assert listener.asked == ["smba.trafficmanager.net"]
        assert len(listener.heard) == 1
