"""Sending through chat.postMessage against a stub that misbehaves (P01 to P04, P07 to P18)."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

import pytest
import trustme
from aiohttp import web

from adapters.base import BotId, DeliveryId, NotSent, Outcome, Refused, Repair, Sent, TenantId, Uncertain
from adapters.slack import faults
from adapters.slack.client import proxy_for
from storage import installations as rows
from storage.engine import Database
from tests.integration.slack.kit import (
    BOT,
    ORG,
    TEAM,
    TOKEN,
    Heard,
    SlackSide,
    StubSlack,
    address,
    slack_side,
)

NL = DeliveryId("nl-1")
GOOD = {"ok": True, "channel": "D1", "ts": "1700000000.000100"}


@pytest.fixture
def database_kind() -> str:
    """What Slack answers does not depend on the database."""
    return "sqlite"


@pytest.fixture(name="side")
async def installed(side: SlackSide) -> SlackSide:
    await side.install()
    return side


async def send(side: SlackSide, payload: dict[str, Any] | None = None, to: str = "U1") -> Outcome:
    channel = side.channel()
    return await channel.send(BOT, address(to), channel.prepare(payload or {"text": "hello"}), NL)


def answering(stub: StubSlack, reply: Callable[[Heard], Any]) -> None:
    stub.replies["chat.postMessage"] = reply


class TestTheCall:
    """Exactly one call, and what is in it."""

    async def test_a_message_is_sent(self, side: SlackSide, stub: StubSlack) -> None:
        """The answer's ids come back; the delivery's id travels as metadata."""
        answering(stub, lambda _: GOOD)

        outcome = await send(side, {"text": "hello", "blocks": [{"type": "divider"}]})

        assert outcome == Sent("1700000000.000100", "D1")
        [call] = stub.heard
        assert call.arguments == {
            "text": "hello",
            "blocks": [{"type": "divider"}],
            "unfurl_links": False,
            "unfurl_media": False,
            "channel": "U1",
            "team_id": TEAM,
            "metadata": {"event_type": "herald_delivery", "event_payload": {"delivery": NL}},
        }
        assert call.headers["Authorization"] == f"Bearer {TOKEN}"
        assert call.query == ""

    async def test_reserved_fields_never_leave(self, side: SlackSide, stub: StubSlack) -> None:
        """A payload cannot say who it goes to, who it is from, or what marks it."""
        answering(stub, lambda _: GOOD)
        stolen = {"channel": "U2", "token": "x", "team_id": "T2", "metadata": {}, "username": "boss", "icon_url": "x"}
        threaded = {"thread_ts": "1700000000.000100"}

        await send(side, {"text": "hello", **stolen, **threaded, "reply_broadcast": True})

        sent = stub.heard[0].arguments
        assert (sent["channel"], sent["team_id"]) == ("U1", TEAM)
        assert sent["metadata"]["event_payload"] == {"delivery": NL}
        assert not {"token", "username", "icon_url", "reply_broadcast"} & sent.keys()
        assert sent["thread_ts"] == threaded["thread_ts"]

    async def test_links_unfold_where_the_payload_says_so(self, side: SlackSide, stub: StubSlack) -> None:
        """The default is no; the caller may choose."""
        answering(stub, lambda _: GOOD)

        await send(side, {"text": "hello", "unfurl_links": True})

        assert (stub.heard[0].arguments["unfurl_links"], stub.heard[0].arguments["unfurl_media"]) == (True, False)

    async def test_one_prepared_payload_serves_many(self, side: SlackSide, stub: StubSlack) -> None:
        """Preparing is done once; sends do not change it."""
        answering(stub, lambda _: GOOD)
        channel = side.channel()
        prepared = channel.prepare({"text": "hello", "blocks": [{"type": "divider"}]})

        for person in ("U1", "U2", "U3"):
            await channel.send(BOT, address(person), prepared, DeliveryId(f"nl-{person}"))

        assert [call.arguments["channel"] for call in stub.heard] == ["U1", "U2", "U3"]
        assert [call.arguments["metadata"]["event_payload"]["delivery"] for call in stub.heard] == [
            "nl-U1",
            "nl-U2",
            "nl-U3",
        ]
        assert [call.arguments["blocks"] for call in stub.heard] == [[{"type": "divider"}]] * 3

    @pytest.mark.parametrize("odd", ["half a \ud800 pair", 10**30, [10**30, "\udfff"], {"a": float("nan")}])
    async def test_odd_values_do_no_harm(self, side: SlackSide, stub: StubSlack, odd: object) -> None:
        """K01: what JSON can barely carry is Slack's to judge, and never an exception of ours."""
        answering(stub, lambda _: {"ok": False, "error": "invalid_arguments"})

        assert isinstance(await send(side, {"text": "hello", "extra": odd}), Refused)

    async def test_the_address_needs_no_opening(self, side: SlackSide, stub: StubSlack) -> None:
        """Slack opens the direct message itself."""
        assert await side.channel().open(BOT, address(), side.gate) == address()
        assert stub.heard == []
        assert not side.channel().pace().opens


class TestThrottling:
    """P01 to P04."""

    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            ("30", 30.0),
            ("1.5", 1.5),
            ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
            ("-5", 0.0),
            ("999999999", 3600.0),
            ("soon", None),
            ("30, 30", None),
            (None, None),
        ],
    )
    async def test_retry_after(
        self, side: SlackSide, stub: StubSlack, header: str | None, expected: float | None
    ) -> None:
        """P01-P04: seconds, a date, nothing, negative, huge, garbage, doubled."""
        headers = {} if header is None else {"Retry-After": header}
        answering(stub, lambda _: web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers))

        outcome = await send(side)

        assert isinstance(outcome, NotSent)
        assert (outcome.retry_after, outcome.method, outcome.fault.reason) == (
            expected,
            "chat.postMessage",
            "throttled",
        )
        assert not outcome.fault.costs_attempt
        assert len(stub.heard) == 1

    async def test_the_older_code_with_200(self, side: SlackSide, stub: StubSlack) -> None:
        """`rate_limited` may come with HTTP 200."""
        answering(stub, lambda _: {"ok": False, "error": "rate_limited"})

        outcome = await send(side)

        assert isinstance(outcome, NotSent)
        assert outcome.fault.reason == "throttled"

    async def test_a_429_of_html(self, side: SlackSide, stub: StubSlack) -> None:
        """A proxy's 429 page counts as well."""
        answering(stub, lambda _: web.Response(status=429, text="<html>", content_type="text/html"))

        outcome = await send(side)

        assert isinstance(outcome, NotSent)
        assert outcome.fault.code == "http_429"


class TestRefusals:
    """P14, P15: every known code and an unknown one, as Slack gives them."""

    @pytest.mark.parametrize("code", sorted(faults.FAULTS))
    async def test_a_known_code(self, side: SlackSide, stub: StubSlack, code: str) -> None:
        """P14: each code ends in the outcome of its row, with one call made."""
        answering(stub, lambda _: {"ok": False, "error": code})

        outcome = await send(side)

        row = faults.FAULTS[code]
        expected = {"not_sent": NotSent, "configuration": NotSent, "refused": Refused, "uncertain": Uncertain}
        assert isinstance(outcome, expected[row.klass])
        assert not isinstance(outcome, Sent)
        assert (outcome.fault.reason, outcome.fault.code) == (row.reason, code)
        assert len(stub.heard) == 1

    async def test_an_unknown_code(self, side: SlackSide, stub: StubSlack) -> None:
        """P15: refused, the raw code kept."""
        answering(stub, lambda _: {"ok": False, "error": "never_seen"})

        outcome = await send(side)

        assert isinstance(outcome, Refused)
        assert (outcome.fault.reason, outcome.fault.code) == ("unknown_code", "never_seen")

    async def test_a_stale_id_is_repairable(self, side: SlackSide, stub: StubSlack) -> None:
        """P28: the person is to be looked up again."""
        answering(stub, lambda _: {"ok": False, "error": "channel_not_found"})

        outcome = await send(side)

        assert isinstance(outcome, Refused)
        assert outcome.fault.repair is Repair.IDENTITY


class TestUnclearAnswers:
    """P07 to P13, P16, P17: written, and nothing trustworthy came back."""

    @pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
    async def test_a_server_error(self, side: SlackSide, stub: StubSlack, status: int) -> None:
        """P07-P09: uncertain, and never sent a second time by us."""
        answering(stub, lambda _: web.Response(status=status, text="oops"))

        outcome = await send(side)

        assert isinstance(outcome, Uncertain)
        assert outcome.fault.code == f"http_{status}"
        assert len(stub.heard) == 1

    @pytest.mark.parametrize(
        ("status", "body", "content_type"),
        [
            (200, b"<html>maintenance</html>", "text/html"),
            (200, b"ok", "text/plain"),
            (200, b"", "application/json"),
            (204, b"", "application/json"),
            (200, b'{"ok":true,"ts":"17', "application/json"),
            (200, b"[1,2]", "application/json"),
            (200, b"null", "application/json"),
            (200, b'"ok"', "application/json"),
            (200, '{"ok":true,"ts":"1.1","channel":"D1"}'.encode("utf-16"), "application/json; charset=utf-16"),
            (200, b'{"ok":true,"ts":"1.1","channel":"\xff"}', "application/json"),
            (200, b'{"ok":"yes"', "application/json"),
            (403, b'{"ok":false}', "application/json"),
        ],
    )
    async def test_a_body_that_says_nothing(
        self, side: SlackSide, stub: StubSlack, status: int, body: bytes, content_type: str
    ) -> None:
        """P13: HTML, cut JSON, wrong charset, empty, lists."""
        answering(stub, lambda _: web.Response(status=status, body=body, headers={"Content-Type": content_type}))

        assert isinstance(await send(side), Uncertain)
        assert len(stub.heard) == 1

    @pytest.mark.parametrize(
        ("status", "body", "content_type"),
        [
            (404, b"not found", "text/plain"),
            (403, b"<html>proxy</html>", "text/html"),
            (407, b"", "text/html"),
        ],
    )
    async def test_a_refusal_by_something_else(
        self, side: SlackSide, stub: StubSlack, status: int, body: bytes, content_type: str
    ) -> None:
        """P13: a proxy in front of Slack that refuses is neither Slack's refusal nor a doubt."""
        answering(stub, lambda _: web.Response(status=status, body=body, headers={"Content-Type": content_type}))

        outcome = await send(side)

        assert isinstance(outcome, NotSent)
        assert (outcome.fault.reason, outcome.fault.costs_attempt) == ("platform_unreachable", True)

    @pytest.mark.parametrize(
        "answer",
        [
            {"ok": True},
            {"ok": True, "ts": ""},
            {"ok": True, "ts": 7, "channel": "D1"},
            {"ok": True, "ts": "17\x00", "channel": "D1"},
            {"ok": True, "ts": "1" * 256, "channel": "D1"},
            {"ok": True, "ts": "1.1", "channel": "D\x001"},
            {"ok": True, "ts": "1.1", "channel": "D" * 3000},
            {"ok": True, "ts": "1.1", "channel": {"id": "D1"}},
        ],
        ids=["none", "empty", "number", "nul", "long", "channel-nul", "channel-long", "channel-object"],
    )
    async def test_ok_without_a_message_id(self, side: SlackSide, stub: StubSlack, answer: dict[str, Any]) -> None:
        """P13: an ok that names no message in ids that can be kept proves nothing."""
        answering(stub, lambda _: answer)

        outcome = await send(side)

        assert isinstance(outcome, Uncertain)
        assert outcome.fault.code == "no_message_id"

    async def test_json_of_any_content_type_is_read(self, side: SlackSide, stub: StubSlack) -> None:
        """A good answer is good even when its header is not."""
        answering(stub, lambda _: web.Response(text=json.dumps(GOOD), content_type="text/plain"))

        assert await send(side) == Sent("1700000000.000100", "D1")

    async def test_a_gzip_bomb(self, side: SlackSide, stub: StubSlack) -> None:
        """P16: the answer is bounded after decompression."""
        bomb = gzip.compress(b'{"ok":true,"x":"' + b"x" * 20_000_000 + b'"}')
        answering(stub, lambda _: web.Response(body=bomb, headers={"Content-Encoding": "gzip"}))

        assert isinstance(await send(side), Uncertain)

    async def test_a_huge_answer(self, side: SlackSide, stub: StubSlack) -> None:
        """P16: no answer is read to an end it does not have."""

        async def endless(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            with contextlib.suppress(ConnectionError):
                while True:
                    await response.write(b"x" * 65536)
            return response

        async with (
            running(endless) as url,
            slack_side(side.database, url) as other,
        ):
            assert isinstance(await send(other), Uncertain)

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_a_redirect_is_not_followed(self, side: SlackSide, stub: StubSlack, status: int) -> None:
        """P17: neither the message nor the token goes anywhere else."""
        elsewhere = f"{stub.url}/api/elsewhere"
        answering(stub, lambda _: web.Response(status=status, headers={"Location": elsewhere}))

        assert isinstance(await send(side), Uncertain)
        assert [call.method for call in stub.heard] == ["chat.postMessage"]


@contextlib.asynccontextmanager
async def running(handler: Callable[[web.Request], Any]) -> AsyncIterator[str]:
    """One handler for all methods."""
    app = web.Application()
    app.router.add_route("*", "/api/{method}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def raw_server(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any], tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """A server that talks bytes."""

    talks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await talk(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    scheme = "http" if tls is None else "https"
    try:
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def whole_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    return await reader.readexactly(length)


class TestBrokenConnections:
    """P08 to P12, P18, P19: what the wire itself does."""

    async def test_a_reset_after_the_request(self, side: SlackSide) -> None:
        """P10: the request was read, then RST: uncertain, one request."""
        requests: list[bytes] = []

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            requests.append(await whole_request(reader))
            writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))

        async with raw_server(talk) as url, slack_side(side.database, url) as other:
            assert isinstance(await send(other), Uncertain)
        assert len(requests) == 1

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"ok":true',
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"ok":',
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot-hex\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: nonsense\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
            b"garbage\r\n\r\n",
        ],
    )
    async def test_an_early_end(self, side: SlackSide, answer: bytes) -> None:
        """P10: half an answer, or none, is uncertain."""

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await whole_request(reader)
            writer.write(answer)
            await writer.drain()

        async with raw_server(talk) as url, slack_side(side.database, url) as other:
            assert isinstance(await send(other), Uncertain)

    async def test_a_trickle_ends_at_the_deadline(self, side: SlackSide) -> None:
        """P11: bytes that keep coming do not move the total deadline."""

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await whole_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)

        async with raw_server(talk) as url, slack_side(side.database, url, seconds=0.3) as other:
            async with asyncio.timeout(5):
                assert isinstance(await send(other), Uncertain)

    async def test_silence_ends_at_the_deadline(self, side: SlackSide) -> None:
        """P09, P12: accepted, read, never answered."""

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        async with raw_server(talk) as url, slack_side(side.database, url, seconds=0.3) as other:
            outcome = await send(other)

        assert isinstance(outcome, Uncertain)

    async def test_a_refused_connection_is_not_sent(self, side: SlackSide, stub: StubSlack) -> None:
        """Nothing was written: safe to repeat, and no attempt is used up."""
        async with raw_server(lambda *_: asyncio.sleep(0)) as url:
            closed = url
        async with slack_side(side.database, closed) as other:
            outcome = await send(other)

        assert isinstance(outcome, NotSent)
        assert (outcome.fault.reason, outcome.fault.costs_attempt) == ("platform_unreachable", False)

    async def test_a_name_that_does_not_resolve_is_not_sent(self, side: SlackSide) -> None:
        """P19: DNS failing."""
        async with slack_side(side.database, "http://slack.invalid") as other:
            outcome = await send(other)

        assert isinstance(outcome, NotSent)
        assert outcome.fault.reason == "platform_unreachable"

    async def test_a_handshake_that_never_ends_is_not_sent(self, side: SlackSide) -> None:
        """P12: connected, but TLS never came about: no byte of the request was written."""

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        async with (
            raw_server(talk) as url,
            slack_side(side.database, url.replace("http", "https"), seconds=0.9) as other,
        ):
            outcome = await send(other)

        assert isinstance(outcome, NotSent)

    @pytest.mark.parametrize("host", ["127.0.0.1", "other.example"])
    async def test_a_certificate_we_do_not_trust(self, side: SlackSide, host: str) -> None:
        """P18: an unknown issuer or another host's certificate: nothing is sent."""
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert(host).configure_cert(tls)

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        async with raw_server(talk, tls) as url, slack_side(side.database, url) as other:
            outcome = await send(other)

        assert isinstance(outcome, NotSent)
        assert outcome.fault.reason == "platform_unreachable"

    async def test_a_closed_session_is_not_sent(self, side: SlackSide) -> None:
        """While the process stops, nothing opens a new connection behind our back."""
        await side.http.close()

        outcome = await send(side)

        assert isinstance(outcome, NotSent)
        assert outcome.fault.reason == "platform_unreachable"

    async def test_cancellation_goes_through(self, side: SlackSide) -> None:
        """A cancelled send is cancelled, not an outcome."""
        arrived = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await whole_request(reader)
            arrived.set()
            await reader.read()

        async with raw_server(talk) as url, slack_side(side.database, url) as other:
            task = asyncio.create_task(send(other))
            await arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


class TestTheInstallation:
    """Whose token is used, and what its state does."""

    async def test_without_installation_the_lane_is_at_fault(self, side: SlackSide, stub: StubSlack) -> None:
        """Nothing is sent, and no delivery fails for it."""
        channel = side.channel()
        nowhere = TenantId("T0NOWHERE")

        outcome = await channel.send(BOT, address(tenant=nowhere), channel.prepare({"text": "x"}), NL)

        assert outcome == NotSent(faults.NOT_INSTALLED)
        assert stub.heard == []

    async def test_a_revoked_token_marks_the_installation_until_it_works_again(
        self, side: SlackSide, stub: StubSlack
    ) -> None:
        """P27: dead is a note that any later success takes back; the token stays."""
        answering(stub, lambda _: {"ok": False, "error": "token_revoked"})
        outcome = await send(side)
        dead = await self.row(side)
        answering(stub, lambda _: GOOD)
        again = await send(side)
        alive = await self.row(side)

        assert isinstance(outcome, NotSent)
        assert outcome.fault.reason == "installation_revoked"
        assert (dead.dead_reason, dead.token is not None, dead.active) == ("installation_revoked", True, True)
        assert isinstance(again, Sent)
        assert alive.dead_reason is None

    async def test_rejected_credentials_are_marked(self, side: SlackSide, stub: StubSlack) -> None:
        """invalid_auth may be a missing entry in the app's list of addresses: kept apart from revocation."""
        answering(stub, lambda _: {"ok": False, "error": "invalid_auth"})

        outcome = await send(side)

        assert isinstance(outcome, NotSent)
        assert outcome.fault.reason == "credentials_rejected"
        assert (await self.row(side)).dead_reason == "credentials_rejected"

    async def test_a_workspace_of_an_org_uses_the_org_token(self, side: SlackSide, stub: StubSlack) -> None:
        """The org's token speaks in a workspace that has none of its own, and names the workspace."""
        answering(stub, lambda _: GOOD)
        await side.install(None, "xoxb-org", ORG)
        async with side.database.write() as tx:
            await side.installations.grant_access(tx, BOT, ORG, [("T0OTHER", "Other")], side.clock())
        side.installations.forget(BOT)
        channel = side.channel()

        await channel.send(BOT, address(tenant=TenantId("T0OTHER")), channel.prepare({"text": "x"}), NL)

        [call] = stub.heard
        assert (call.headers["Authorization"], call.arguments["team_id"]) == ("Bearer xoxb-org", "T0OTHER")

    async def test_a_key_that_is_gone_is_the_lanes_fault(self, side: SlackSide, stub: StubSlack) -> None:
        """A token that does not open is a setting to mend, not a refusal."""
        async with side.database.write() as tx:
            row = await rows.get(tx, bot_id=BOT, channel="slack", tenant_id=TEAM)
            assert row is not None
            await rows.save(tx, rows.Installation(BOT, "slack", TEAM, row.installed_at, token=b"sealed elsewhere"), 1.0)
        side.installations.forget(BOT)

        assert await send(side) == NotSent(faults.WRONG_KEY)
        assert stub.heard == []

    async def test_a_failing_database_is_not_sent(self, side: SlackSide, stub: StubSlack) -> None:
        """Without the token nothing goes on the wire: certainly not sent."""
        side.installations.forget(BOT)
        async with side.database.write() as tx:
            await tx.exec_driver_sql("ALTER TABLE installations RENAME TO hidden")

        outcome = await send(side)

        assert outcome == NotSent(faults.STORAGE_FAILED)
        assert stub.heard == []

    async def test_a_failing_note_does_not_lose_the_outcome(self, side: SlackSide, stub: StubSlack) -> None:
        """Marking an installation is only a note."""
        answering(stub, lambda _: {"ok": False, "error": "token_revoked"})
        await side.installations.token_for(BOT, TEAM)
        async with side.database.write() as tx:
            await tx.exec_driver_sql("ALTER TABLE installations RENAME TO hidden")

        outcome = await send(side)

        assert isinstance(outcome, NotSent)
        assert outcome.fault.reason == "installation_revoked"

    async def row(self, side: SlackSide) -> rows.Installation:
        async with side.database.read() as tx:
            found = await rows.get(tx, bot_id=BOT, channel="slack", tenant_id=TEAM)
        assert found is not None
        return found


class TestSecrets:
    """S12 for the sending side."""

    async def test_nothing_secret_is_logged_or_shown(
        self, side: SlackSide, stub: StubSlack, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Neither token nor text stands in a log or in a value's repr."""
        caplog.set_level("DEBUG")
        answering(stub, lambda _: {"ok": False, "error": "token_revoked"})

        outcome = await send(side, {"text": "a secret text"})

        shown = caplog.text + repr(outcome) + repr(await side.installations.token_for(BOT, TEAM)) + repr(side.app())
        for secret in (TOKEN, "a secret text", "a-signing-secret", "client-secret"):
            assert secret not in shown


class TestProxy:
    """The proxy is decided, not picked up."""

    @pytest.mark.parametrize(
        ("url", "environ", "expected"),
        [
            ("https://slack.com/api/", {"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
            ("https://slack.com/api/", {"https_proxy": "http://proxy:3128"}, "http://proxy:3128"),
            ("https://slack.com/api/", {"HTTP_PROXY": "http://proxy:3128"}, None),
            ("https://slack.com/api/", {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "slack.com"}, None),
            ("http://127.0.0.1:9/api/", {"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "127.0.0.1"}, None),
            ("http://127.0.0.1:9/api/", {"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "*"}, None),
            ("https://slack.com/api/", {"HTTPS_PROXY": ""}, None),
            ("not a url", {"HTTPS_PROXY": "http://proxy:3128"}, None),
        ],
    )
    def test_the_environment_is_read_with_no_proxy(
        self, url: str, environ: dict[str, str], expected: str | None
    ) -> None:
        """NO_PROXY counts, and the scheme decides."""
        assert proxy_for(url, environ) == expected

    async def test_the_environment_alone_changes_nothing(
        self, database: Database, stub: StubSlack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """slack_sdk would send everything through HTTP_PROXY; we go where the endpoints say."""
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        answering(stub, lambda _: GOOD)
        async with slack_side(database, stub.url) as side:
            await side.install()

            assert isinstance(await send(side), Sent)


async def test_bots_do_not_share_tokens(side: SlackSide, stub: StubSlack) -> None:
    """Another bot's installation in the same workspace is another installation."""
    channel = side.channel()

    outcome = await channel.send(BotId("st-other"), address(), channel.prepare({"text": "x"}), NL)

    assert outcome == NotSent(faults.NOT_INSTALLED)
    assert stub.heard == []
