"""What an activity says, read from documented and odd shapes."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.teams.events import READ_RECEIPT, TeamsPerson, read_event

NOW = 1_800_000_000.0
BOT = "28:bot"


def body(**changes: Any) -> dict[str, Any]:
    base = {
        "type": "installationUpdate",
        "action": "add",
        "id": "f:1",
        "timestamp": "2026-11-23T01:02:03Z",
        "serviceUrl": "https://smba.trafficmanager.net/emea/",
        "recipient": {"id": BOT},
        "from": {"id": "29:1", "aadObjectId": "oid"},
        "conversation": {"conversationType": "personal", "tenantId": "conv-tenant", "id": "a:1"},
        "channelData": {"tenant": {"id": "data-tenant"}},
    }
    return {name: value for name, value in (base | changes).items() if value is not None}


class TestTenant:
    @pytest.mark.parametrize(
        ("changes", "headers", "tenant"),
        [
            ({}, {"x-ms-tenant-id": "head-tenant"}, "data-tenant"),
            ({"channelData": None}, {"x-ms-tenant-id": "head-tenant"}, "conv-tenant"),
            ({"channelData": {"tenant": "text"}}, {}, "conv-tenant"),
            ({"channelData": None, "conversation": {"id": "a:1"}}, {"x-ms-tenant-id": "head-tenant"}, "head-tenant"),
            ({"channelData": None, "conversation": {"id": "a:1"}}, {}, None),
            ({"channelData": {"tenant": {"id": "../admin"}}}, {}, "conv-tenant"),
            ({"channelData": {"tenant": {"id": "x" * 65}}}, {}, "conv-tenant"),
        ],
    )
    def test_order_of_sources(self, changes: dict[str, Any], headers: dict[str, str], tenant: str | None) -> None:
        """The channel's own data first, then the conversation, then the header; nothing that is no tenant id."""
        assert read_event(body(**changes), headers, NOW).tenant == tenant


class TestScope:
    @pytest.mark.parametrize(
        ("conversation", "personal"),
        [
            ({"id": "a:1", "conversationType": "personal"}, True),
            ({"id": "a:1"}, True),
            ({"id": "19:x@thread.tacv2", "conversationType": "channel"}, False),
            ({"id": "19:x@thread.v2", "conversationType": "groupChat", "isGroup": True}, False),
            ({"id": "19:x"}, False),
            ({"id": "a:1", "isGroup": True}, False),
            ({}, False),
        ],
    )
    def test_only_personal_chats_have_a_person(self, conversation: dict[str, Any], personal: bool) -> None:
        """A team or group chat never becomes somebody's reference."""
        event = read_event(body(conversation=conversation), {}, NOW)

        assert (event.person is not None) == personal

    def test_object_id_else_teams_id(self) -> None:
        """The person's key is the Entra object id, else the Teams id."""
        with_both = read_event(body(), {}, NOW).person
        without = read_event(body(**{"from": {"id": "29:1"}}), {}, NOW).person

        assert with_both == TeamsPerson("oid", "29:1")
        assert without == TeamsPerson("29:1", "29:1")

    def test_the_bot_is_nobody(self) -> None:
        """When the bot itself is the sender, the added human is the person."""
        event = read_event(
            body(
                type="conversationUpdate",
                membersAdded=[{"id": BOT}, {"id": "29:2", "aadObjectId": "oid2"}],
                **{"from": {"id": BOT}},
            ),
            {},
            NOW,
        )

        assert event.person == TeamsPerson("oid2", "29:2")


class TestChange:
    @pytest.mark.parametrize(
        ("changes", "change"),
        [
            ({}, "installed"),
            ({"action": "add-upgrade"}, "installed"),
            ({"action": "remove"}, "removed"),
            ({"action": "remove-upgrade"}, "removed"),
            ({"action": "else"}, "none"),
            ({"type": "conversationUpdate", "membersAdded": [{"id": BOT}]}, "installed"),
            ({"type": "conversationUpdate", "membersRemoved": [{"id": BOT}]}, "removed"),
            ({"type": "conversationUpdate", "membersAdded": [{"id": "29:2"}]}, "none"),
            ({"type": "conversationUpdate", "membersAdded": "text"}, "none"),
            ({"type": "message"}, "seen"),
            ({"type": "messageUpdate"}, "none"),
            ({"type": "futureThing"}, "none"),
        ],
    )
    def test_every_type(self, changes: dict[str, Any], change: str) -> None:
        """Installs, removals and messages change a reference; nothing else does."""
        assert read_event(body(**changes), {}, NOW).change == change


class TestEvidence:
    @pytest.mark.parametrize(
        ("changes", "kind", "message"),
        [
            ({"type": "message", "replyToId": "17"}, "reply", "17"),
            ({"type": "message", "replyToId": "17", "value": {"secret": 1}}, "button", "17"),
            ({"type": "invoke", "replyToId": "17"}, "button", "17"),
            ({"type": "messageReaction", "replyToId": "17"}, "reaction", "17"),
            ({"type": "event", "name": READ_RECEIPT, "value": {"lastReadMessageId": "18"}}, "read", "18"),
            ({"type": "event", "name": READ_RECEIPT, "value": {}}, None, None),
            ({"type": "event", "name": "other", "replyToId": "17"}, None, None),
            ({"type": "message"}, None, None),
        ],
    )
    def test_what_names_a_message(self, changes: dict[str, Any], kind: str | None, message: str | None) -> None:
        """Replies, buttons, reactions and read receipts prove the message they name."""
        event = read_event(body(**changes), {}, NOW)

        assert (event.evidence, event.message_id) == (kind, message)


class TestTime:
    @pytest.mark.parametrize(
        ("value", "at"),
        [
            ("2026-11-23T01:02:03Z", 1_795_395_723.0),
            ("2026-11-23T01:02:03", 1_795_395_723.0),
            ("2026-11-23T02:02:03+01:00", 1_795_395_723.0),
            ("2999-01-01T00:00:00Z", NOW),
            ("yesterday", NOW),
            (None, NOW),
            (17, NOW),
        ],
    )
    def test_the_platforms_time_within_reason(self, value: object, at: float) -> None:
        """The platform's time is kept; one in the future, or none, is ours."""
        assert read_event(body(timestamp=value), {}, NOW).at == at


class TestKey:
    def test_same_activity_same_key(self) -> None:
        """A repeat has the same key; another conversation, type or action has not."""
        first = read_event(body(), {}, NOW).key

        assert read_event(body(), {}, NOW + 5).key == first
        for changes in (
            {"conversation": {"id": "a:2", "conversationType": "personal"}},
            {"type": "message"},
            {"action": "remove"},
        ):
            assert read_event(body(**changes), {}, NOW).key != first

    def test_no_id_no_key(self) -> None:
        """An activity without an id is never taken for a repeat."""
        assert read_event(body(id=None), {}, NOW).key is None
