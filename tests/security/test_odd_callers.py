"""K13, S17: callers who leave in the middle of a call, and who write SQL into everything."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import struct
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import quote, urlsplit

import pytest
from sqlalchemy import func, select

from notify.requests import Requests
from storage import tables
from storage.engine import Database
from tests.contract.face import BOT, TEXT_SAMPLE, Face, running, token
from tests.harness.herald import Json, text_body
from tests.harness.platforms import SLACK
from tests.security.test_isolation import Pair, _pair

__all__ = ["_pair"]

GOOD: Final = json.dumps(TEXT_SAMPLE).encode()
LONG: Final = len(GOOD) + 1000
CUT: Final = {
    "headers": f"Content-Length: {LONG}\r\n",
    "nothing of the body": f"Content-Length: {LONG}\r\n\r\n",
    "half of the body": f"Content-Length: {LONG}\r\n\r\n{GOOD.decode()}",
    "half of a chunk": f"Transfer-Encoding: chunked\r\n\r\n{LONG:x}\r\n{GOOD.decode()}",
    "no last chunk": f"Transfer-Encoding: chunked\r\n\r\n{len(GOOD):x}\r\n{GOOD.decode()}\r\n",
}
HOSTILE: Final = (
    "'; DROP TABLE deliveries; --",
    '"; DELETE FROM requests; --',
    "%",
    "_%_",
    "' OR '1'='1",
    "\\' OR 1=1 --",
    "%(id)s :id ? $1 {0}",
    "\x1a'\x00--",
)


async def count(database: Database, table: str) -> int:
    async with database.read() as tx:
        return (await tx.execute(select(func.count()).select_from(tables.metadata.tables[table]))).scalar_one()


class TestGone:
    @pytest.fixture(name="face")
    async def _face(self, database: Database) -> AsyncIterator[Face]:
        async with running(requests=Requests(database, wake=lambda _: None, deadline_hours=24)) as opened:
            yield opened

    async def test_k13_in_the_middle(self, face: Face, database: Database, caplog: pytest.LogCaptureFixture) -> None:
        """K13: of a call whose caller leaves in the middle, politely or not, nothing is stored, nothing is reported as
        our fault, and the next call is served."""
        caplog.set_level(logging.DEBUG)
        place = urlsplit(face.url)
        head = f"POST /api/public/bot/{BOT}/notify HTTP/1.1\r\nHost: x\r\nauth: {token()}\r\n"
        head += "Content-Type: application/json\r\n"
        for part in CUT.values():
            for abrupt in (False, True):
                reader, writer = await asyncio.open_connection(place.hostname, place.port)
                writer.write((head + part).encode())
                await writer.drain()
                if abrupt:  # a reset instead of an end
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                else:
                    writer.write_eof()
                    with contextlib.suppress(TimeoutError, ConnectionError):
                        async with asyncio.timeout(0.05):
                            await reader.read()
                writer.close()
        answer = await face.send()

        assert answer.status == 200
        assert await count(database, "requests") == 1
        assert [] == [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


class TestHostile:
    async def test_s17_every_place(self, pair: Pair) -> None:
        """S17: whatever a caller writes into any place is a value: it is refused or kept as it was written, and what
        others have stored stays as it is."""
        ours = await pair.first.deliver(SLACK, pair.platforms.emails(2))
        before = await pair.first.status(ours["_id"])
        sent: dict[str, set[str]] = {}
        for person, said in zip(pair.platforms.emails(10)[2:], HOSTILE, strict=True):  # nobody gets two at once
            clean = said.replace("\x00", "")
            asked = [clean, f"{clean.replace(' ', '').replace('@', '')}@x.example", person]
            message: Json = text_body(SLACK, asked, clean + " {name}")
            message["options"] = {"parameters": {person: {"name": clean}}}
            header = "".join(letter for letter in clean if 32 <= ord(letter) < 127)
            status, answer = await pair.first.post(message, **{"Idempotency-Key": header})
            assert status == 200, answer
            sent[answer["_id"]] = set(asked)
            for route, body in (
                ("notify?dryRun=true", message),
                ("preview", message),
                ("identities/explain", {"channel": SLACK, "identity": clean}),
            ):
                assert (await pair.first.post(body, route))[0] == 200, (route, said)
            pinned = message | {"options": {"tenant": said}}
            assert (await pair.first.post(pinned))[0] == 412
            for path in (
                f"bot/{pair.first.bot}/notify/status/{quote(said, safe='')}",
                f"bot/{quote(said, safe='')}/notify",
            ):
                url = f"{pair.first.url}/api/public/{path}"
                async with pair.first.http.get(url, headers={"auth": pair.first.token}) as reply:
                    assert reply.status in (400, 404, 405), path
        for request, people in sent.items():
            record = await pair.first.final(request)
            assert {each["originalId"] for each in record["statusLogs"]} == people
        texts = {each["body"]["text"] for each in await pair.platforms.messages(SLACK)}

        assert {f"{said} {said}" for said in HOSTILE if not set(said) & set("&<>{\x00")} <= texts
        assert before == await pair.first.status(ours["_id"])
