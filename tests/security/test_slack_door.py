"""S04: who may speak to us as Slack."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import ClassVar
from urllib.parse import urlencode

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from adapters.slack import door
from storage import references
from storage.engine import Database
from tests.integration.slack.kit import (
    BOT,
    SIGNING_SECRET,
    TEAM,
    Clock,
    SlackSide,
    serving,
    serving_side,
    signed,
    slack_side,
    wrapped,
)

NOW = int(Clock().now)
BOM = b"\xef\xbb\xbf"
OPENED = {"type": "app_home_opened", "user": "U1", "channel": "D1", "tab": "messages"}


@pytest.fixture
def database_kind() -> str:
    """The door does not depend on the database; its effects are tested on both elsewhere."""
    return "sqlite"


@pytest.fixture(name="side")
async def installed_side(database: Database) -> AsyncIterator[SlackSide]:
    async with slack_side(database, "http://127.0.0.1:9") as side:
        await side.install()
        yield side


@pytest.fixture(name="url")
async def served_url(side: SlackSide) -> AsyncIterator[str]:
    async with serving_side(side) as url:
        yield url


async def post(
    side: SlackSide, url: str, raw: bytes | io.BytesIO, headers: dict[str, str], path: str = "events"
) -> int:
    async with side.http.post(f"{url}/slack/{BOT}/{path}", data=raw, headers=headers) as answer:
        return answer.status


async def captured(side: SlackSide) -> bool:
    async with side.database.read() as tx:
        return bool(await references.find(tx, bot_id=BOT, channel="slack", tenant_id=TEAM, persons=["U1"]))


class TestSignature:
    """S04, the pure half: the decision on raw bytes."""

    RAW = b'{"type":"event_callback"}'

    def verdict(self, timestamp: str | None, signature: str | None, raw: bytes = RAW, now: float = NOW) -> bool:
        return door.is_genuine(SIGNING_SECRET.encode(), timestamp, signature, raw, now)

    def good(self, timestamp: str = str(NOW), raw: bytes = RAW) -> str:
        return door.signature(SIGNING_SECRET.encode(), timestamp, raw).decode()

    def test_the_published_example_is_genuine(self) -> None:
        """The example of Slack's own page passes."""
        raw = (
            b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
            b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
            b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
            b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
        )
        signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"

        assert door.is_genuine(b"8f742231b10e8888abcd99yyyzzz85a5", "1531420618", signature, raw, 1531420618.0)

    @pytest.mark.parametrize("age", [-300, -299, 0, 299, 300])
    def test_five_minutes_both_ways_are_accepted(self, age: int) -> None:
        """A clock may differ by five minutes in either direction."""
        assert self.verdict(str(NOW), self.good(), now=NOW + age)

    @pytest.mark.parametrize("age", [-301, 301, 3600, -3600])
    def test_older_or_later_is_refused(self, age: int) -> None:
        """S04: stale and future requests are refused."""
        assert not self.verdict(str(NOW), self.good(), now=NOW + age)

    @pytest.mark.parametrize(
        "timestamp", ["", "abc", "1.7e9", "-1", " 1700000000", "+1700000000", "1700000000.0", "١٧٠٠٠٠٠٠٠٠", "9" * 400]
    )
    def test_a_timestamp_is_decimal_digits(self, timestamp: str) -> None:
        """Anything but plain digits is refused, also when it is signed."""
        assert not self.verdict(timestamp, self.good(timestamp))

    @pytest.mark.parametrize(
        "signature", ["", "v0=", "v0=é", "v0=" + "0" * 64, "\udcff", "x" * 100_000], ids=lambda each: repr(each[:8])
    )
    def test_a_wrong_signature_is_refused_whatever_it_holds(self, signature: str) -> None:
        """S04: non-ASCII and huge signatures are refused without an exception."""
        assert not self.verdict(str(NOW), signature)

    def test_v1_is_not_v0(self) -> None:
        """S04: another version of the scheme is refused."""
        assert not self.verdict(str(NOW), self.good().replace("v0=", "v1="))

    def test_missing_headers_are_refused(self) -> None:
        """S04: no timestamp, no signature."""
        assert not self.verdict(None, self.good())
        assert not self.verdict(str(NOW), None)

    @given(st.integers(0, len(RAW) - 1), st.integers(1, 255))
    def test_one_changed_byte_is_noticed(self, place: int, change: int) -> None:
        """S04: each byte counts."""
        changed = bytearray(self.RAW)
        changed[place] ^= change

        assert not self.verdict(str(NOW), self.good(), bytes(changed))

    @given(st.binary(max_size=200), st.text(max_size=80), st.text(max_size=20))
    def test_nothing_raises(self, raw: bytes, signature: str, timestamp: str) -> None:
        """Whatever comes, the answer is yes or no."""
        assert self.verdict(timestamp, signature, raw) in (True, False)


class TestTheRoute:
    """S04 over HTTP."""

    async def test_a_genuine_event_is_taken(self, side: SlackSide, url: str) -> None:
        """A signed event has its effect."""
        assert await side.deliver(url, OPENED) == 200
        assert await captured(side)

    async def test_wrong_missing_and_stale_signatures_are_refused(self, side: SlackSide, url: str) -> None:
        """401, and nothing happens."""
        raw = json.dumps(wrapped(OPENED)).encode()
        wrong = signed(raw, NOW, "another secret")
        missing = {"Content-Type": "application/json"}
        stale, future = signed(raw, NOW - 301), signed(raw, NOW + 301)

        statuses = [await post(side, url, raw, headers) for headers in (wrong, missing, stale, future)]

        assert statuses == [401, 401, 401, 401]
        assert not await captured(side)

    async def test_a_replay_changes_nothing(self, side: SlackSide, url: str) -> None:
        """The same signed request again is acknowledged and has no second effect."""
        message = {"type": "message", "channel_type": "im", "user": "U1", "channel": "D1", "text": "hi", "ts": "1.1"}

        assert await side.deliver(url, message) == 200
        assert await side.deliver(url, message) == 200
        assert len(side.evidence) == 1

    async def test_url_verification_needs_a_signature(self, side: SlackSide, url: str) -> None:
        """The challenge is returned only to Slack."""
        raw = json.dumps({"type": "url_verification", "challenge": "c-123", "token": "t"}).encode()

        assert await post(side, url, raw, {"Content-Type": "application/json"}) == 401

        async with side.http.post(f"{url}/slack/{BOT}/events", data=raw, headers=signed(raw, NOW)) as answer:
            assert (answer.status, await answer.json()) == (200, {"challenge": "c-123"})

    @pytest.mark.parametrize("path", ["events", "interactivity"])
    async def test_ssl_check_needs_a_signature(self, side: SlackSide, url: str, path: str) -> None:
        """ssl_check unsigned is refused like everything else."""
        assert await post(side, url, b"ssl_check=1&token=x", {"Content-Type": "x-www-form-urlencoded"}, path) == 401

    async def test_a_signed_ssl_check_is_acknowledged(self, side: SlackSide, url: str) -> None:
        """Slack's certificate probe gets its 200."""
        raw = b"ssl_check=1&token=x"

        assert await post(side, url, raw, signed(raw, NOW), "interactivity") == 200

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"not json",
            b"[1,2]",
            b'"text"',
            b"null",
            b"\xff\xfe{}",
            b"{",
            b'{"a":NaN}',
            b"payload=%7B%7D",
            b"\xef\xbb\xbf{}",
        ],
    )
    async def test_signed_garbage_is_400(self, side: SlackSide, url: str, raw: bytes) -> None:
        """S04: a form for JSON and other bodies that are no JSON object are the sender's fault, never a 500."""
        assert await post(side, url, raw, signed(raw, NOW)) == 400

    @pytest.mark.parametrize(
        "raw", [b"payload=[1]", b"payload=%7B", b"payload", b"\xff=1", b"payload=%FF&a", b"a=1&" * 50]
    )
    async def test_signed_garbage_as_a_form_is_400(self, side: SlackSide, url: str, raw: bytes) -> None:
        """The same for interactions."""
        assert await post(side, url, raw, signed(raw, NOW), "interactivity") == 400

    @pytest.mark.parametrize("raw", [b"", b"not json", b"[1,2]"])
    async def test_unsigned_garbage_is_401(self, side: SlackSide, url: str, raw: bytes) -> None:
        """Nothing is parsed before the signature is checked."""
        assert await post(side, url, raw, {"Content-Type": "application/json"}) == 401

    @pytest.mark.parametrize(
        "event",
        [
            {"type": "event_callback"},
            {"type": "event_callback", "event": []},
            {"type": "event_callback", "event": {}},
            {"type": "event_callback", "event": {"type": "team_join"}, "event_id": 7, "event_time": 1},
            {"type": "event_callback", "event": {"type": "team_join"}, "event_id": "Ev1", "event_time": "soon"},
            {"type": "event_callback", "event": {"type": 5}, "event_id": "Ev1", "event_time": 1},
            {**wrapped(OPENED), "authorizations": ["x"]},
            {**wrapped(OPENED), "authorizations": {"team_id": "T"}},
            {"type": "something_new"},
            {},
        ],
    )
    async def test_odd_envelopes_are_acknowledged(self, side: SlackSide, url: str, event: dict[str, object]) -> None:
        """What Slack signed and we do not understand is no failure of Slack's."""
        raw = json.dumps(event).encode()

        assert await post(side, url, raw, signed(raw, NOW)) == 200
        assert not await captured(side)

    async def test_a_large_body_is_413(self, side: SlackSide, url: str) -> None:
        """The body is bounded, with and without a length in front."""
        raw = b'{"a":"' + b"x" * (1024 * 1024) + b'"}'

        async def chunked() -> AsyncIterator[bytes]:
            yield raw

        headers = signed(raw, NOW)
        assert await post(side, url, io.BytesIO(raw), headers) == 413
        async with side.http.post(f"{url}/slack/{BOT}/events", data=chunked(), headers=headers) as answer:
            assert answer.status == 413

    async def test_another_bot_is_404(self, side: SlackSide, url: str) -> None:
        """A signature for one bot opens no other address."""
        raw = json.dumps(wrapped(OPENED)).encode()
        async with side.http.post(f"{url}/slack/st-other/events", data=raw, headers=signed(raw, NOW)) as answer:
            assert answer.status == 404

    async def test_a_refused_request_leaves_no_trace_of_its_body(
        self, side: SlackSide, url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """S12: neither body nor signature of a refused request is logged."""
        caplog.set_level("DEBUG")
        raw = json.dumps(wrapped({**OPENED, "text": "a secret text"})).encode()
        headers = signed(raw, NOW, "another secret")

        await post(side, url, raw, headers)

        assert "a secret text" not in caplog.text
        assert headers["X-Slack-Signature"] not in caplog.text
        assert "slack.inbound.refused" in {getattr(record, "action", None) for record in caplog.records}


class TestButtons:
    """Interactions are acknowledged, and a button press is evidence."""

    PRESS: ClassVar[dict[str, object]] = {
        "type": "block_actions",
        "team": {"id": TEAM},
        "user": {"id": "U1", "team_id": TEAM},
        "container": {"type": "message", "message_ts": "1700000000.000100", "channel_id": "D1"},
        "actions": [{"action_id": "ok", "block_id": "b", "type": "button"}],
    }

    async def test_a_press_is_evidence(self, side: SlackSide, url: str) -> None:
        """It names the message."""
        raw = urlencode({"payload": json.dumps(self.PRESS)}).encode()

        assert await post(side, url, raw, signed(raw, NOW), "interactivity") == 200

        [evidence] = side.evidence
        assert (evidence.kind, evidence.conversation_id, evidence.message_id) == ("button", "D1", "1700000000.000100")
        assert (evidence.bot, evidence.tenant, evidence.user_id) == (BOT, TEAM, "U1")

    @pytest.mark.parametrize(
        "payload",
        [
            {"type": "view_submission", "view": {}},
            {"type": "shortcut", "callback_id": "x"},
            {"type": "block_actions"},
            {"type": "block_actions", "actions": []},
            {"type": "block_actions", "actions": ["x"]},
            {"type": "block_actions", "actions": [{"action_id": "x"}], "user": "U1", "container": []},
            {},
        ],
    )
    async def test_everything_else_is_acknowledged(self, side: SlackSide, url: str, payload: dict[str, object]) -> None:
        """A person never sees a warning sign because we are not interested."""
        raw = urlencode({"payload": json.dumps(payload)}).encode()

        assert await post(side, url, raw, signed(raw, NOW), "interactivity") == 200
        assert side.evidence == []


async def test_the_environment_changes_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """SLACK_… variables that Bolt would read on its own neither break nor change the intake."""
    for name in ("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_VERIFICATION_TOKEN"):
        monkeypatch.setenv(name, "xoxb-from-the-environment")
    async with slack_side(database, "http://127.0.0.1:9") as side:
        await side.install()
        inbound = side.inbound()
        routes = [web.post("/slack/{BotID}/events", inbound.events)]
        async with serving(routes) as url:
            assert await side.deliver(url, OPENED) == 200
            assert await captured(side)
