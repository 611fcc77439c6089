"""S14: what a stranger's bytes meet first, by raw sockets: every answer has our shape, and no byte is read twice."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final

import pytest
from aiohttp import web

from adapters.tally import LINES
from notify.front import ALWAYS, FrontRunner
from tests.contract.face import BOT, TEXT_SAMPLE, Face, running

PATIENCE: Final = 10.0
LARGE: Final = 32 * 1024 * 1024  # more than a system keeps for somebody who does not read
CANARY: Final = b"canary"
LAST: Final = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
"""A second call behind each odd one: answered alone after one call, never after a refused head."""
GET: Final = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
BODY: Final = json.dumps(TEXT_SAMPLE).encode()
LENGTH: Final = b"Content-Length: %d\r\n" % len(BODY)
CHUNKS: Final = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer as it was on the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def answers(raw: bytes) -> list[Seen]:
    """The answers in what a connection gave."""
    found = []
    while raw:
        head, _, rest = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        size = int(headers["Content-Length"])
        found.append(Seen(int(first.split()[1]), headers, rest[:size]))
        raw = rest[size:]
    return found


async def connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def say(url: str, raw: bytes) -> list[Seen]:
    """Write bytes on a connection of their own, and read until the server ends it."""
    reader, writer = await connect(url)
    try:
        async with asyncio.timeout(PATIENCE):
            writer.write(raw)
            return answers(await reader.read())
    finally:
        writer.close()


@pytest.fixture(name="face")
async def _face() -> AsyncIterator[Face]:
    async with running() as opened:
        yield opened


def post(face: Face) -> bytes:
    """The head of a send call up to what says how long its body is."""
    return f"POST /api/public/bot/{BOT}/notify HTTP/1.1\r\nHost: x\r\nauth: {face.auth}\r\n".encode()


MALFORMED: Final[Mapping[str, bytes]] = {
    "folded header": GET + b"X-A: canary\r\n b\r\n\r\n",
    "bare LF": GET.replace(b"\r\n", b"\n") + b"X-A: canary\n\n",
    "bare CR": GET + b"X-A: canary\rX-B: b\r\n\r\n",
    "NUL in a value": GET + b"X-A: canary\x00b\r\n\r\n",
    "NUL in a name": GET + b"X\x00canary: b\r\n\r\n",
    "space before the colon": GET + b"X-canary : b\r\n\r\n",
    "no colon": GET + b"canary\r\n\r\n",
    "empty name": GET + b": canary\r\n\r\n",
    "no host": b"GET /canary HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"Host: canary\r\n\r\n",
    "authority as a target": b"GET canary.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "broken target": b"GET http://[::1/canary HTTP/1.1\r\nHost: x\r\n\r\n",
    "byte that is no UTF-8": b"GET /canary/\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "space in the target": b"GET /health/live /canary HTTP/1.1\r\nHost: x\r\n\r\n",
    "markup": b"<script>canary</script>\r\n\r\n",
    "markup as a method": b"G<script>canary /health/live HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": b"GET /canary HTTP/9.9\r\nHost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03canary",
    "old websocket": GET + b"Sec-WebSocket-Key1: canary\r\n\r\n",
    "200 headers": GET + b"".join(b"X-canary-%d: a\r\n" % number for number in range(200)) + b"\r\n",
}
TOO_LONG: Final[Mapping[str, bytes]] = {
    "target": b"GET /" + b"canary" * 2000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "value": GET + b"X-A: " + b"canary" * 9000 + b"\r\n\r\n",
    "name": GET + b"canary" * 9000 + b": a\r\n\r\n",
    "value without an end": GET + b"X-A: " + b"canary" * 9000,
}
SMUGGLED: Final[Mapping[str, bytes]] = {
    "length and chunks": LENGTH + CHUNKED + b"\r\n" + CHUNKS,
    "chunks and length": CHUNKED + LENGTH + b"\r\n" + CHUNKS,
    "two lengths": LENGTH + b"Content-Length: 5\r\n\r\n" + BODY,
    "one length twice": LENGTH + LENGTH + b"\r\n" + BODY,
    "list of lengths": b"Content-Length: 5, 5\r\n\r\n" + BODY,
    "length with a sign": b"Content-Length: +5\r\n\r\n" + BODY,
    "negative length": b"Content-Length: -5\r\n\r\n" + BODY,
    "length in hex": b"Content-Length: 0x5\r\n\r\n" + BODY,
    "length beyond 64 bits": b"Content-Length: 99999999999999999999999\r\n\r\n" + BODY,
    "length before a space": b"Content-Length : 5\r\n\r\n" + BODY,
    "chunks not last": b"Transfer-Encoding: chunked, gzip\r\n\r\n" + CHUNKS,
    "nearly chunked": b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS,
    "two codings": CHUNKED + b"Transfer-Encoding: identity\r\n\r\n" + CHUNKS,
    "coding behind a vertical tab": b"Transfer-Encoding:\x0bchunked\r\n\r\n" + CHUNKS,
    "size that is no number": CHUNKED + b"\r\nzz\r\n" + CHUNKS,
    "negative size": CHUNKED + b"\r\n-1\r\n" + CHUNKS,
    "chunks by bare LF": CHUNKED + b"\r\n" + CHUNKS.replace(b"\r\n", b"\n"),
}
ONE_CALL: Final[Mapping[str, bytes]] = {
    "length": LENGTH + b"\r\n" + BODY,
    "chunks": CHUNKED + b"\r\n" + CHUNKS,
    "capitals": b"Transfer-Encoding: CHUNKED\r\n\r\n" + CHUNKS,
    "tab": b"Transfer-Encoding:\tchunked\r\n\r\n" + CHUNKS,
    "chunk extension": CHUNKED + b"\r\n" + CHUNKS.replace(b"\r\n", b";a=b\r\n", 1),
}


def is_refused(seen: Sequence[Seen], status: int) -> bool:
    """Whether there is one answer, a problem of this status that says nothing of the input, and the end after it."""
    (answer,) = seen
    problem = json.loads(answer.body)
    return (
        answer.status == problem["status"] == status
        and set(problem) == {"type", "title", "status"}
        and answer.headers["Content-Type"] == "application/problem+json"
        and dict(ALWAYS).items() <= answer.headers.items()
        and CANARY not in answer.body
    )


class TestMalformed:
    async def test_s14_heads(self, face: Face) -> None:
        """S14: a malformed head is answered with 400 and the end; nothing behind it is read as another call."""
        for name, raw in MALFORMED.items():
            assert is_refused(await say(face.url, raw + LAST), 400), name

    async def test_s14_too_long(self, face: Face) -> None:
        """S14: a target or header that is too long is answered with 431 and the end, whether or not it has one."""
        for name, raw in TOO_LONG.items():
            (answer,) = await say(face.url, raw)
            assert is_refused([answer], 431), name

    async def test_s14_smuggling(self, face: Face) -> None:
        """S14: a body whose length could be understood in two ways is no body: 400 and the end, nothing accepted."""
        for name, raw in SMUGGLED.items():
            seen = await say(face.url, post(face) + raw + LAST)
            assert [answer.status for answer in seen] == [400], name
        assert face.requests.submissions == []

    async def test_one_call(self, face: Face) -> None:
        """S14: the usual ways to write a body are one call each, and the next call begins where it ends."""
        for name, raw in ONE_CALL.items():
            seen = await say(face.url, post(face) + raw + LAST)
            assert [answer.status for answer in seen] == [200, 200], name
        assert len(face.requests.submissions) == len(ONE_CALL)

    async def test_old_versions(self, face: Face) -> None:
        """HTTP/1.0 is answered and ended; with chunks, which it does not know, too; HTTP/0.9 is refused."""
        one = await say(face.url, b"GET /health/live HTTP/1.0\r\n\r\n")
        chunked = await say(face.url, post(face).replace(b"HTTP/1.1", b"HTTP/1.0") + CHUNKED + b"\r\n" + CHUNKS)
        nine = await say(face.url, b"GET /health/live HTTP/0.9\r\n\r\n")

        assert [[answer.status for answer in seen] for seen in (one, chunked, nine)] == [[200], [200], [505]]

    async def test_pipeline(self, face: Face) -> None:
        """Calls written one behind the other are answered in order; with a malformed one among them none is taken."""
        calls = GET + b"\r\n" + post(face) + LENGTH + b"\r\n" + BODY
        good = await say(face.url, calls + LAST)
        taken = len(face.requests.submissions)
        bad = await say(face.url, calls + MALFORMED["bare CR"] + LAST)

        assert [(answer.status, b"IN_PROGRESS" in answer.body) for answer in good] == [
            (200, False),
            (200, True),
            (200, False),
        ]
        assert [answer.status for answer in bad] == [400]
        assert taken == len(face.requests.submissions) == 1

    async def test_upgrades(self, face: Face) -> None:
        """S14: no protocol is changed: what follows an upgrade or CONNECT is the next call."""
        upgrade = await say(face.url, GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + LAST)
        connect_to = await say(face.url, b"CONNECT canary.example:443 HTTP/1.1\r\nHost: x\r\n\r\n" + LAST)

        assert [answer.status for answer in upgrade] == [200, 200]
        assert [answer.status for answer in connect_to] == [404, 200]

    async def test_s14_targets(self, face: Face) -> None:
        """S14: a target is matched as it is written: no dots are walked, no byte is anybody's bot."""
        bot = f"/api/public/bot/{BOT}"
        expected = {
            "http://canary.example/health/live": 200,
            "/health/%6cive": 200,
            "//canary.example/health/live": 404,
            "/api/public/bot/../../../health/live": 404,
            "/health/live/": 404,
            "/api/public/bot/%2e%2e/notify/status/ds-1": 401,
            "/api/public/bot/%00/notify/status/ds-1": 401,
            "/api/public/bot/%ff/notify/status/ds-1": 401,
            f"{bot}%2f..%2fx/notify/status/ds-1": 401,
            f"{bot}/notify/status/%00": 400,
            f"{bot}/notify/status/%ed%a0%80": 400,
            f"{bot}/notify/status/..%2f..": 400,
        }
        for target, status in expected.items():
            head = f"GET {target} HTTP/1.1\r\nHost: x\r\nauth: {face.auth}\r\n\r\n".encode()
            seen = await say(face.url, head + LAST)
            assert [answer.status for answer in seen] == [status, 200], target
            assert CANARY not in seen[0].body

    async def test_expectations(self, face: Face) -> None:
        """An expectation that nobody can fulfil is refused in the shape of its route, there or not, unquoted."""
        for path in ("/health/live", "/nowhere", f"/api/public/bot/{BOT}/notify/status/x"):
            head = f"GET {path} HTTP/1.1\r\nHost: x\r\nExpect: canary\r\n\r\n".encode()
            refused, last = await say(face.url, head + LAST)
            assert (refused.status, last.status) == (417, 200)
            assert CANARY not in refused.body
            assert json.loads(refused.body)

    async def test_unpacked(self, face: Face) -> None:
        """S20: a body in a compression that is not known here, or is not what it says, is refused and the end."""
        for coding in (b"br", b"zstd", b"gzip", b"deflate"):
            seen = await say(face.url, post(face) + LENGTH + b"Content-Encoding: " + coding + b"\r\n\r\n" + BODY + LAST)
            assert [answer.status for answer in seen] in ([400], [412]), coding
        assert face.requests.submissions == []

    async def test_log(self, face: Face, caplog: pytest.LogCaptureFixture) -> None:
        """S12: a malformed call is one event, without trace and without what was written."""
        caplog.set_level(logging.INFO)
        await say(face.url, MALFORMED["no colon"])
        await say(face.url, TOO_LONG["value"])

        events = [record.__dict__ for record in caplog.records if record.__dict__.get("action") == "call_malformed"]
        assert [(event["status"], event["remote"]) for event in events] == [(400, "127.0.0.1"), (431, "127.0.0.1")]
        assert not [record for record in caplog.records if "canary" in str(record.__dict__) or record.exc_info]

    async def test_log_of_many(self, caplog: pytest.LogCaptureFixture) -> None:
        """Of an address that sends nothing else the first few are told: a log can be flooded as well."""
        caplog.set_level(logging.INFO)
        async with fronted() as url:
            for _ in range(3 * LINES):
                await say(url, MALFORMED["no colon"])

        assert LINES == sum(record.__dict__.get("action") == "call_malformed" for record in caplog.records)


@asynccontextmanager
async def fronted(**options: Any) -> AsyncIterator[str]:
    """A small application behind the front; yields its address."""

    async def live(_request: web.Request) -> web.Response:
        return web.Response(text="live")

    async def read(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    async def remote(request: web.Request) -> web.Response:
        return web.Response(text=f"{request.remote} {request.host} {request.scheme} {len(await request.read())}")

    async def large(_request: web.Request) -> web.Response:
        return web.Response(body=bytes(LARGE))

    async def broken(_request: web.Request) -> web.Response:
        raise ValueError("canary")

    app = web.Application()
    app.router.add_get("/health/live", live)
    app.router.add_post("/read", read)
    app.router.add_post("/remote", remote)
    app.router.add_get("/large", large)
    app.router.add_get("/broken", broken)
    runner = FrontRunner(app, shutdown_timeout=0.2, **options)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What came until the server ended the connection."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    except ConnectionError:
        return b""


class TestSlow:
    async def test_silence(self) -> None:
        """A connection that says nothing is ended; one whose call was answered may stay and call again."""
        async with fronted(head_seconds=0.2) as url:
            reader, writer = await connect(url)
            writer.write(GET + b"\r\n")
            await reader.readuntil(b"live")
            silent, other = await connect(url)

            assert await ended(silent) == b""
            writer.write(LAST)
            assert (await ended(reader)).endswith(b"live")
            writer.close()
            other.close()

    @pytest.mark.parametrize("before", [b"", GET + b"\r\n"], ids=["first", "second"])
    async def test_dribble(self, before: bytes) -> None:
        """A head of which a byte comes now and then is cut off in time, be it the first of its connection or not."""
        async with fronted(head_seconds=0.2) as url:
            reader, writer = await connect(url)
            writer.write(before)
            if before:
                await reader.readuntil(b"live")
            end = asyncio.create_task(ended(reader))
            head = iter([GET[:5], GET[5:], b"X-A: "])
            while not end.done():
                writer.write(next(head, b"a"))
                await asyncio.wait({end}, timeout=0.02)
            writer.close()

            assert await end == b""

    async def test_body(self) -> None:
        """The time for a head says nothing about a body, nor about the call behind it."""
        async with fronted(head_seconds=0.2) as url:
            reader, writer = await connect(url)
            silent, other = await connect(url)
            writer.write(b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab")
            await ended(silent)
            writer.write(b"c" + LAST)
            seen = answers(await ended(reader))
            writer.close()
            other.close()

            assert [answer.body for answer in seen] == [b"3", b"live"]

    async def test_unread(self) -> None:
        """A caller who does not take an answer is let go, and what was not sent yet with it."""
        async with fronted(answer_seconds=0.2, head_seconds=0.6) as url:
            reader, writer = await connect(url)
            silent, other = await connect(url)
            writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            await ended(silent)
            assert len(await ended(reader)) < LARGE
            writer.close()
            other.close()

    async def test_too_many(self) -> None:
        """Of too many connections the longest idle one goes, before others one that never called; never a busy one."""
        async with fronted(most_connections=3) as url:
            busy, called, silent = [await connect(url) for _ in range(3)]
            busy[1].write(b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
            called[1].write(GET + b"\r\n")
            await called[0].readuntil(b"live")
            fourth = await connect(url)
            assert await ended(silent[0]) == b""
            fourth[1].write(GET + b"\r\n")
            await fourth[0].readuntil(b"live")
            fifth = await connect(url)
            assert await ended(called[0]) == b""

            busy[1].write(b"x" + LAST)
            fifth[1].write(LAST)
            assert [answer.body for answer in answers(await ended(busy[0]))] == [b"1", b"live"]
            assert [answer.body for answer in answers(await ended(fifth[0]))] == [b"live"]
            for _, writer in (busy, called, silent, fourth, fifth):
                writer.close()


class TestProxies:
    CALL = b"POST /remote HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n"
    FORWARDED = (
        b"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 192.0.2.7, 127.0.0.9\r\n"
        b"X-Forwarded-Host: canary\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 203.0.113.9\r\n"
        b"Forwarded: for=203.0.113.9;host=canary;proto=https\r\n"
    )

    async def test_trusted(self) -> None:
        """A trusted proxy says whose call it is, and nothing else about it; the body is there as always."""
        async with fronted(trusted=[ip_network("127.0.0.0/8")]) as url:
            (forwarded,) = await say(url, self.CALL + self.FORWARDED + b"\r\nabc")
            (direct,) = await say(url, self.CALL + b"\r\nabc")

        assert (forwarded.body, direct.body) == (b"192.0.2.7 x http 3", b"127.0.0.1 x http 3")

    async def test_stranger(self) -> None:
        """Without a setting, and from any other peer, no header changes whose call it is."""
        for trusted in ((), (ip_network("10.0.0.0/8"),)):
            async with fronted(trusted=trusted) as url:
                (answer,) = await say(url, self.CALL + self.FORWARDED + b"\r\nabc")

            assert answer.body == b"127.0.0.1 x http 3"


class TestFailures:
    async def test_own_faults(self, caplog: pytest.LogCaptureFixture) -> None:
        """An error of ours is a 500 in our shape with every header, and its trace stands in the log alone."""
        async with fronted(https=True) as url:
            (answer,) = await say(url, b"GET /broken HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

        assert answer.status == 500
        assert {**dict(ALWAYS), "Strict-Transport-Security": "max-age=31536000"}.items() <= answer.headers.items()
        assert json.loads(answer.body) == {"type": "about:blank", "title": "Internal Server Error", "status": 500}
        assert [record for record in caplog.records if record.exc_info]
