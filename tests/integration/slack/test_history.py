"""Looking back for a delivery whose answer was lost."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from adapters.base import DeliveryId, FaultClass, LookLater, MayNotLook, NotThere, SeenAs, TenantId
from adapters.slack import faults
from adapters.slack.history import SlackLooker
from adapters.slack.outbound import marker
from tests.integration.slack.kit import BOT, TEAM, Heard, SlackSide, StubSlack, address

NL = DeliveryId("nl-1")
SINCE = 1_700_000_000.0


@pytest.fixture
def database_kind() -> str:
    """What Slack answers does not depend on the database."""
    return "sqlite"


@pytest.fixture(name="side")
async def installed(side: SlackSide) -> SlackSide:
    await side.install()
    return side


@pytest.fixture(name="look")
def looker(side: SlackSide) -> SlackLooker:
    return SlackLooker(side.client, side.installations)


def message(ts: str, delivery: str | None = None) -> dict[str, Any]:
    more = {} if delivery is None else {"metadata": marker(DeliveryId(delivery))}
    return {"type": "message", "ts": ts, "text": "x", **more}


def page(*messages: object, cursor: str = "") -> dict[str, Any]:
    return {"ok": True, "messages": list(messages), "response_metadata": {"next_cursor": cursor}}


class TestALook:
    """Seen, or proven absent, or later."""

    async def test_the_marked_message_is_found(self, side: SlackSide, stub: StubSlack, look: SlackLooker) -> None:
        """By the delivery id in its metadata, from a day before the send."""
        stub.replies["conversations.history"] = lambda _: page(
            message("3.0"), message("2.0", NL), message("1.0", "nl-2")
        )

        seen = await look(BOT, address(conversation="D1"), NL, SINCE, side.gate)

        [call] = stub.heard
        assert seen == SeenAs("2.0", "D1")
        assert call.arguments == {
            "channel": "D1",
            "team_id": TEAM,
            "oldest": "1699913600.000000",
            "limit": "15",
            "include_all_metadata": "true",
        }
        assert side.gate.entered == ["conversations.history"]

    async def test_an_unknown_conversation_is_opened_first(
        self, side: SlackSide, stub: StubSlack, look: SlackLooker
    ) -> None:
        """After a lost first answer only the person is known; opening is repeatable."""
        stub.replies["conversations.open"] = lambda _: {"ok": True, "channel": {"id": "D7"}}
        stub.replies["conversations.history"] = lambda _: page(message("2.0", NL))

        assert await look(BOT, address("U5"), NL, SINCE, side.gate) == SeenAs("2.0", "D7")
        assert [(call.method, call.arguments.get("users")) for call in stub.heard] == [
            ("conversations.open", "U5"),
            ("conversations.history", None),
        ]
        assert side.gate.entered == ["conversations.open", "conversations.history"]

    async def test_every_page_is_read_before_absence_is_said(
        self, side: SlackSide, stub: StubSlack, look: SlackLooker
    ) -> None:
        """Only the last page proves that it is not there."""
        pages = {"": page(message("3.0"), cursor="n"), "n": page(message("2.0"))}
        stub.replies["conversations.history"] = lambda call: pages[call.arguments.get("cursor", "")]

        assert await look(BOT, address(conversation="D1"), NL, SINCE, side.gate) == NotThere()
        assert len(stub.heard) == 2

    async def test_an_endless_conversation_proves_nothing(
        self, side: SlackSide, stub: StubSlack, look: SlackLooker
    ) -> None:
        """Neither seen nor absent; a second reading would be as long, so there is none."""
        stub.replies["conversations.history"] = lambda _: page(message("3.0"), cursor="n")

        answer = await look(BOT, address(conversation="D1"), NL, SINCE, side.gate)

        assert isinstance(answer, MayNotLook)
        assert "too many messages" in answer.remedy
        assert len(stub.heard) == 20

    @pytest.mark.parametrize("ahead", [90.0, 3600.0, 80_000.0, -3600.0])
    async def test_a_host_whose_clock_is_wrong(
        self, side: SlackSide, stub: StubSlack, look: SlackLooker, ahead: float
    ) -> None:
        """M01: a message is found although our clock, when it was sent, was far from Slack's."""
        stored = f"{SINCE:.6f}"

        def since_oldest(call: Heard) -> dict[str, Any]:
            return page(message(stored, NL)) if float(stored) > float(call.arguments["oldest"]) else page()

        stub.replies["conversations.history"] = since_oldest

        assert await look(BOT, address(conversation="D1"), NL, SINCE + ahead, side.gate) == SeenAs(stored, "D1")

    @pytest.mark.parametrize(
        "odd",
        [
            {"metadata": None},
            {"metadata": {"event_type": "other", "event_payload": {"delivery": NL}}},
            {"metadata": {"event_type": "herald_delivery", "event_payload": []}},
            {"metadata": {"event_type": "herald_delivery", "event_payload": {"delivery": "nl-12"}}},
        ],
    )
    async def test_other_messages_are_not_ours(
        self, side: SlackSide, stub: StubSlack, look: SlackLooker, odd: object
    ) -> None:
        """Only our type with exactly this id counts."""
        stub.replies["conversations.history"] = lambda _: page(odd)

        assert await look(BOT, address(conversation="D1"), NL, SINCE, side.gate) == NotThere()

    @pytest.mark.parametrize(
        "body",
        [
            {"ok": True},
            {"ok": True, "messages": "none"},
            {"ok": True, "messages": ["none"]},
            {"ok": True, "messages": [], "has_more": True},
            {"ok": True, "messages": [{"metadata": marker(NL)}]},
            {"ok": True, "messages": [{"ts": 5, "metadata": marker(NL)}]},
            {"ok": True, "messages": [{"ts": "1\x00", "metadata": marker(NL)}]},
            {"ok": True, "messages": [{"ts": "1" * 256, "metadata": marker(NL)}]},
        ],
    )
    async def test_what_cannot_be_read_is_no_absence(
        self, side: SlackSide, stub: StubSlack, look: SlackLooker, body: dict[str, Any]
    ) -> None:
        """Neither silence, nor half a list, nor our mark on a message without a readable id is absence."""
        stub.replies["conversations.history"] = lambda _: body

        assert isinstance(await look(BOT, address(conversation="D1"), NL, SINCE, side.gate), LookLater)


class TestPermission:
    """Whether we may look is known before anything is called."""

    @pytest.mark.parametrize(
        ("scopes", "conversation", "needed"),
        [
            (("chat:write",), "D1", "im:history"),
            (("chat:write", "im:write"), None, "im:history"),
            (("chat:write", "im:history"), None, "im:write"),
        ],
    )
    async def test_a_missing_scope(
        self,
        side: SlackSide,
        stub: StubSlack,
        look: SlackLooker,
        scopes: tuple[str, ...],
        conversation: str | None,
        needed: str,
    ) -> None:
        """The remedy names it; Slack is not asked."""
        await side.install(scopes=scopes)

        answer = await look(BOT, address(conversation=conversation), NL, SINCE, side.gate)

        assert isinstance(answer, MayNotLook)
        assert needed in answer.remedy
        assert stub.heard == []

    async def test_history_alone_is_enough_where_the_conversation_is_known(
        self, side: SlackSide, stub: StubSlack, look: SlackLooker
    ) -> None:
        """A second message to a person needs no opening."""
        await side.install(scopes=("chat:write", "im:history"))
        stub.replies["conversations.history"] = lambda _: page(message("2.0", NL))

        assert isinstance(await look(BOT, address(conversation="D1"), NL, SINCE, side.gate), SeenAs)


class TestTrouble:
    """A look that fails is repeated or given up, never guessed."""

    @pytest.mark.parametrize("code", ["internal_error", "service_unavailable", "token_revoked", "team_not_found"])
    async def test_later(self, side: SlackSide, stub: StubSlack, look: SlackLooker, code: str) -> None:
        """What may pass is asked again."""
        stub.replies["conversations.history"] = lambda _: {"ok": False, "error": code}

        answer = await look(BOT, address(conversation="D1"), NL, SINCE, side.gate)

        assert isinstance(answer, LookLater)
        assert answer.fault.code == code

    @pytest.mark.parametrize("method", ["conversations.open", "conversations.history"])
    @pytest.mark.parametrize("code", ["service_unavailable", "request_timeout", "internal_error", "new_word"])
    async def test_a_broken_server(
        self, side: SlackSide, stub: StubSlack, look: SlackLooker, method: str, code: str
    ) -> None:
        """A 5xx leaves nothing in doubt about a call that changes nothing, whatever word it carries."""
        stub.replies["conversations.open"] = lambda _: {"ok": True, "channel": {"id": "D1"}}
        stub.replies[method] = lambda _: web.json_response({"ok": False, "error": code}, status=503)

        answer = await look(BOT, address(), NL, SINCE, side.gate)

        assert isinstance(answer, LookLater)
        assert (answer.fault.klass, answer.fault.reason) == (FaultClass.NOT_SENT, "platform_unreachable")

    @pytest.mark.parametrize("channel", ["", "D1\x00", "D" * 256, 7, None])
    async def test_an_unreadable_conversation(
        self, side: SlackSide, stub: StubSlack, look: SlackLooker, channel: object
    ) -> None:
        """An opening that names no conversation we could keep is asked again."""
        stub.replies["conversations.open"] = lambda _: {"ok": True, "channel": {"id": channel}}

        assert isinstance(await look(BOT, address(), NL, SINCE, side.gate), LookLater)
        assert len(stub.heard) == 1

    @pytest.mark.parametrize("code", ["channel_not_found", "user_disabled", "missing_scope", "never_seen"])
    async def test_never(self, side: SlackSide, stub: StubSlack, look: SlackLooker, code: str) -> None:
        """What Slack refuses will not be seen."""
        stub.replies["conversations.open"] = lambda _: {"ok": False, "error": code}

        answer = await look(BOT, address(), NL, SINCE, side.gate)

        assert isinstance(answer, MayNotLook)
        assert answer.reason == faults.classify(200, {"error": code}).reason

    async def test_throttled(self, side: SlackSide, stub: StubSlack, look: SlackLooker) -> None:
        """The gate is told; the look waits as long."""

        def throttle(_: Heard) -> web.Response:
            return web.Response(status=429, headers={"Retry-After": "60"})

        stub.replies["conversations.history"] = throttle

        answer = await look(BOT, address(conversation="D1"), NL, SINCE, side.gate)

        assert isinstance(answer, LookLater)
        assert (answer.after, side.gate.held) == (60.0, [("conversations.history", 60.0)])

    async def test_without_installation(self, side: SlackSide, stub: StubSlack, look: SlackLooker) -> None:
        """A workspace that is installed again may still be looked at."""
        where = address(tenant=TenantId("T0NOWHERE"))

        assert await look(BOT, where, NL, SINCE, side.gate) == LookLater(10.0, faults.NOT_INSTALLED)
        assert stub.heard == []
