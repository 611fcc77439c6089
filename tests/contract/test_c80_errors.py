"""C-80: every error has exactly Kore's shape on the API's routes, RFC 9457 elsewhere, and leaks nothing."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from urllib.parse import urlsplit

import pytest
from sqlalchemy.exc import OperationalError

from notify.ids import new_id
from tests.contract import samples
from tests.contract.face import BOT, SECRET, Face, running, token

SECRETIVE = "/srv/herald/secret-path row=('db')"


class TestKoreShape:
    @pytest.mark.parametrize(
        "path", ["/api/public/", "/api/public/bot", f"/api/public/bot/{BOT}/notifyV3", f"/api/public/bot/{BOT}/notify/"]
    )
    async def test_unknown_path(self, face: Face, path: str) -> None:
        """C-80: an unknown path under the API is 404 in Kore's shape."""
        answer = await face.call("GET", path)

        assert answer.refusal == (404, 404, "Not Found")

    async def test_our_fault(self, face: Face, caplog: pytest.LogCaptureFixture) -> None:
        """C-80: our own fault is 500 and says nothing of the inside."""
        face.requests.failure = RuntimeError(SECRETIVE)

        sent, asked = await face.send(), await face.status(new_id("ds"))

        assert sent.raw == asked.raw == b'{"errors":[{"msg":"Internal Server Error","code":500}]}'
        assert [record.__dict__["action"] for record in caplog.records if record.levelno >= logging.ERROR] == [
            "call_failed",
            "call_failed",
        ]

    @pytest.mark.parametrize(
        "failure",
        [OperationalError(SECRETIVE, None, Exception(SECRETIVE)), OSError(28, SECRETIVE)],
        ids=["sql", "disk"],
    )
    async def test_storage_refuses(self, face: Face, failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
        """C-80: a database that refuses is 503 with a time to try again, for both routes."""
        face.requests.failure = failure

        sent, asked = await face.send(), await face.status(new_id("ds"))

        assert sent.refusal[:2] == asked.refusal[:2] == (503, 503)
        assert sent.headers["Retry-After"] == "5"
        assert "secret-path" not in sent.raw.decode() + caplog.text

    async def test_expectation(self, face: Face) -> None:
        """C-80: an expectation that nobody can meet is refused in Kore's shape."""
        answer = await face.send(Expect="miracles")

        assert answer.refusal == (417, 417, "Expectation Failed")

    async def test_continue(self, face: Face) -> None:
        """A caller that asks first, as curl does with large bodies, is told to go on."""
        path, headers = f"/api/public/bot/{BOT}/notify", {"auth": token(), "Content-Type": "application/json"}

        answer = await face.call("POST", path, data=samples.TEXT, headers=headers, expect100=True)

        assert answer.status == 200

    async def test_slow_body(self) -> None:
        """C-80: a body that never ends is given up in Kore's shape."""
        async with running(body_seconds=0.2) as face:
            reader, writer = await connect(face, f"auth: {token()}\r\nContent-Length: 100\r\n")
            writer.write(b"{")

            head, content = (await reader.read()).split(b"\r\n\r\n", 1)

            writer.close()
            await writer.wait_closed()

        assert head.startswith(b"HTTP/1.1 408 ")
        assert json.loads(content)["errors"][0]["code"] == 408

    async def test_cut_body(self, face: Face, caplog: pytest.LogCaptureFixture) -> None:
        """A caller that goes away in the middle of a body is no fault of ours, and nothing is stored."""
        _, writer = await connect(face, f"auth: {token()}\r\nContent-Length: 1000\r\n")
        writer.write(samples.TEXT[:50])
        await writer.drain()
        writer.transport.abort()

        assert (await face.send()).status == 200
        assert len(face.requests.submissions) == 1
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]

    async def test_bad_encoding(self, face: Face, caplog: pytest.LogCaptureFixture) -> None:
        """A body that is not compressed as declared is refused as invalid, and is no fault of ours."""
        answer = await face.send(raw=samples.TEXT, Content_Encoding="gzip")

        assert answer.refusal[:2] == (412, 412)
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]

    async def test_bomb(self, face: Face) -> None:
        """S20: what is small on the wire and huge when unpacked is refused by its real size, and nothing is stored."""
        answer = await face.send(raw=gzip.compress(b" " * 100_000_000), Content_Encoding="gzip")

        assert answer.refusal[:2] == (413, 413)
        assert face.requests.submissions == []

    async def test_logs_keep_secrets(self, face: Face, caplog: pytest.LogCaptureFixture) -> None:
        """No token, e-mail or text of a call stands in a log, whether the call is accepted or refused."""
        caplog.set_level(logging.DEBUG, "herald")
        await face.send()
        await face.send(auth=token(key="a wrong secret of a backend, long enough for its algorithm......"))
        await face.send(raw=b'{"john.doe@example.com":1}')

        logged = " ".join(str(record.__dict__) for record in caplog.records if record.name.startswith("herald"))

        assert "caller_refused" in logged
        assert not [found for found in ("eyJ", SECRET, "example.com", "reset your password") if found in logged]


class TestElsewhere:
    async def test_problem_json(self, face: Face) -> None:
        """Outside Kore's routes errors are RFC 9457 problems."""
        answer = await face.call("GET", "/nowhere")

        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json == {"type": "about:blank", "title": "Not Found", "status": 404}

    async def test_health(self, face: Face) -> None:
        """The health routes need no token."""
        live, ready = await face.call("GET", "/health/live"), await face.call("GET", "/health/ready")

        assert (live.status, live.json) == (200, {"status": "live"})
        assert (ready.status, ready.json) == (200, {"status": "ready", "checks": {}})


async def connect(face: Face, headers: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(face.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = (
        f"POST /api/public/bot/{BOT}/notify HTTP/1.1\r\nHost: herald\r\nContent-Type: application/json\r\n{headers}\r\n"
    )
    writer.write(head.encode())
    await writer.drain()
    return reader, writer
