"""The real slack_sdk against the simulated Slack."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import ClientSession
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from simulator.app import Running
from simulator.clock import ManualClock
from simulator.slack.apps import DEFAULT_BOT_TOKEN

PERSON = "U00000000"
GUEST, DEACTIVATED = "U0000002P", "U0000002Q"
BOT, STRANGER = "U0ROBOT000", "U0STRANGER"


async def error_of(awaitable: Any) -> str:
    """The code that Slack refuses with."""
    with pytest.raises(SlackApiError) as caught:
        await awaitable
    return str(caught.value.response["error"])


class TestTokens:
    async def test_auth_test(self, slack: AsyncWebClient) -> None:
        """A bot token says which workspace and which bot it is."""
        answer = await slack.auth_test()

        assert answer["team_id"] == "T0SIM0000"
        assert answer["user_id"].startswith("U0BOT")
        assert answer["bot_id"].startswith("B0")
        assert answer["is_enterprise_install"] is False
        assert answer.headers["X-OAuth-Scopes"].startswith("chat:write,users:read")

    async def test_api_test(self, http: ClientSession, simulator: Running) -> None:
        """api.test needs no token and says back what it is told."""
        url = f"{simulator.url}/api/api.test"
        async with http.post(url) as response:
            assert await response.json() == {"ok": True}
        async with http.post(url, data={"foo": "bar", "error": "my_error"}) as response:
            assert await response.json() == {
                "ok": False,
                "error": "my_error",
                "args": {"foo": "bar", "error": "my_error"},
            }

    async def test_tokens_that_are_refused(self, slack: AsyncWebClient, control: Any, http: ClientSession) -> None:
        """No token, a foreign one, a revoked one and one of a removed app have codes of their own."""
        assert await error_of(slack.auth_test(token="xoxb-nonsense")) == "invalid_auth"

        await control.post("slack/revoke", {"token": DEFAULT_BOT_TOKEN})
        assert await error_of(slack.auth_test()) == "token_revoked"

        install = await control.post("slack/installs", status=201)
        await control.post("slack/uninstall", {"token": install["access_token"]})
        assert await error_of(slack.auth_test(token=install["access_token"])) == "account_inactive"

        async with http.post(f"{slack.base_url}auth.test") as response:
            assert await response.json() == {"ok": False, "error": "not_authed"}

    async def test_missing_scope(self, slack: AsyncWebClient, control: Any) -> None:
        """A missing scope is named, with those that were granted."""
        await control.post("slack/revoke", {"token": DEFAULT_BOT_TOKEN})
        install = await control.post("slack/installs", {"scopes": ["chat:write", "users:read"]}, 201)
        slack.token = install["access_token"]
        with pytest.raises(SlackApiError) as caught:
            await slack.conversations_open(users=PERSON)
        listed = await slack.users_list(limit=5)

        assert caught.value.response["error"] == "missing_scope"
        assert caught.value.response["needed"] == "im:write"
        assert caught.value.response["provided"] == "chat:write,users:read"
        assert not any("email" in each["profile"] for each in listed["members"])

    async def test_unknown_method(self, slack: AsyncWebClient) -> None:
        """A method that does not exist is refused by name."""
        assert await error_of(slack.api_call("chat.shout")) == "unknown_method"


class TestWaysOfPassingArguments:
    async def send(self, http: ClientSession, url: str, **request: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {DEFAULT_BOT_TOKEN}", **request.pop("headers", {})}
        async with http.post(url, headers=headers, **request) as response:
            assert response.status == 200
            answer: dict[str, Any] = await response.json()
            return answer

    async def test_json_is_ignored_by_reading_methods(self, http: ClientSession, simulator: Running) -> None:
        """users.lookupByEmail does not read a JSON body."""
        email = simulator.world.people_of(0)[0].email
        url = f"{simulator.url}/api/users.lookupByEmail"

        assert (await self.send(http, url, json={"email": email}))["error"] == "invalid_arguments"
        assert (await self.send(http, url, data={"email": email}))["user"]["id"] == PERSON

    @pytest.mark.parametrize(
        ("body", "content_type", "error"),
        [
            (b"{", "application/json; charset=utf-8", "invalid_json"),
            (b"[1]", "application/json; charset=utf-8", "json_not_object"),
            (b"{}", "application/json; charset=utf-16", "invalid_charset"),
            (b"<a/>", "application/xml", "invalid_post_type"),
            (b'{"na me": 1}', "application/json; charset=utf-8", "invalid_arg_name"),
            (b'{"token": "xoxb"}', "application/json; charset=utf-8", "channel_not_found"),
        ],
    )
    async def test_bodies_that_are_refused(
        self, http: ClientSession, simulator: Running, body: bytes, content_type: str, error: str
    ) -> None:
        """A body that Slack cannot read is refused with Slack's code."""
        url = f"{simulator.url}/api/chat.postMessage"

        assert (await self.send(http, url, data=body, headers={"Content-Type": content_type}))["error"] == error

    async def test_charset_warnings(self, http: ClientSession, simulator: Running) -> None:
        """JSON without a charset works and is warned about."""
        url = f"{simulator.url}/api/chat.postMessage"
        body, headers = f'{{"channel": "{PERSON}", "text": "hi"}}'.encode(), {"Content-Type": "application/json"}
        answer = await self.send(http, url, data=body, headers=headers)

        assert answer["ok"]
        assert answer["warning"] == "missing_charset"
        assert answer["response_metadata"]["warnings"] == ["missing_charset"]

    async def test_token_in_form(self, http: ClientSession, simulator: Running) -> None:
        """A token may stand in the form, not in the query."""
        url = f"{simulator.url}/api/auth.test"
        async with http.post(url, data={"token": DEFAULT_BOT_TOKEN}) as response:
            assert (await response.json())["ok"]
        async with http.get(url, params={"token": DEFAULT_BOT_TOKEN}) as response:
            assert (await response.json())["error"] == "invalid_auth"


class TestPeople:
    async def test_pages(self, slack: AsyncWebClient) -> None:
        """Pages follow next_cursor and together hold everybody once: people, bots, Slackbot, strangers, deactivated."""
        members: list[dict[str, Any]] = []
        async for page in await slack.users_list(limit=50):
            assert len(page["members"]) <= 50
            members += page["members"]
        by_id = {each["id"]: each for each in members}

        assert len(members) == len(by_id) == 123
        assert by_id[DEACTIVATED]["deleted"] is True
        assert by_id[GUEST]["is_restricted"] is True
        assert by_id[BOT]["is_bot"] is True
        assert by_id[STRANGER]["is_stranger"] is True
        assert "email" not in by_id[STRANGER]["profile"]
        assert "USLACKBOT" in by_id

    async def test_listing_refusals(self, slack: AsyncWebClient, control: Any) -> None:
        """A bad cursor, a page too large, and in big teams a missing limit are refused."""
        assert await error_of(slack.users_list(cursor="bm9wZQ==", limit=10)) == "invalid_cursor"
        assert await error_of(slack.users_list(limit=1001)) == "invalid_limit"

        await control.post("settings", {"slack_limit_required": True})
        assert await error_of(slack.users_list()) == "limit_required"

    async def test_short_pages(self, slack: AsyncWebClient, control: Any) -> None:
        """A page may hold fewer people than were asked for although more follow."""
        await control.post("settings", {"slack_users_page": 7})
        page = await slack.users_list(limit=100)

        assert len(page["members"]) == 7
        assert page["response_metadata"]["next_cursor"]

    async def test_lookup(self, slack: AsyncWebClient, simulator: Running) -> None:
        """An e-mail finds its active owner without regard to case; deactivated and unknown people look the same."""
        people = simulator.world.people_of(0)
        answer = await slack.users_lookupByEmail(email=people[3].email.upper())

        assert answer["user"]["profile"]["email"] == people[3].email
        assert await error_of(slack.users_lookupByEmail(email=people[98].email)) == "users_not_found"
        assert await error_of(slack.users_lookupByEmail(email="nobody@contoso.example")) == "users_not_found"

    async def test_info(self, slack: AsyncWebClient) -> None:
        """A person is found by id."""
        assert (await slack.users_info(user=PERSON))["user"]["id"] == PERSON
        assert await error_of(slack.users_info(user="U0NOBODY")) == "user_not_found"


class TestMessages:
    async def test_post_to_a_person(self, slack: AsyncWebClient, simulator: Running) -> None:
        """Posting to a user id opens the direct message, and the mailbox holds the message with its metadata."""
        metadata = {"event_type": "delivery", "event_payload": {"id": "nl-1"}}
        answer = await slack.chat_postMessage(channel=PERSON, text="Hello", metadata=metadata)
        again = await slack.chat_postMessage(channel=answer["channel"], text="Again")
        mailbox = simulator.world.mailboxes.of("slack", "T0SIM0000", PERSON)

        assert answer["channel"].startswith("D")
        assert answer["channel"] == again["channel"]
        assert answer["ts"] < again["ts"]
        assert answer["message"]["bot_id"].startswith("B0")
        assert [each.body["text"] for each in mailbox] == ["Hello", "Again"]
        assert mailbox[0].body["metadata"] == metadata
        assert mailbox[0].email == simulator.world.people_of(0)[0].email

    @pytest.mark.parametrize(
        ("channel", "post", "opening"),
        [
            ("U0NOBODY", "channel_not_found", "user_not_found"),
            (DEACTIVATED, "channel_not_found", "user_disabled"),
            (STRANGER, "channel_not_found", "invalid_user_combination"),
            (BOT, "cannot_dm_bot", "cannot_dm_bot"),
            ("USLACKBOT", "cannot_dm_bot", "cannot_dm_bot"),
        ],
    )
    async def test_special_people(
        self, slack: AsyncWebClient, simulator: Running, channel: str, post: str, opening: str
    ) -> None:
        """Who cannot be written to is refused, with more detail when opening than when posting."""
        assert await error_of(slack.chat_postMessage(channel=channel, text="Hello")) == post
        assert await error_of(slack.conversations_open(users=channel)) == opening
        assert list(simulator.world.mailboxes.all()) == []

    async def test_guest(self, slack: AsyncWebClient) -> None:
        """A guest is written to like anybody."""
        assert (await slack.chat_postMessage(channel=GUEST, text="Hello"))["ok"]

    @pytest.mark.parametrize(
        ("content", "error"),
        [
            ({}, "no_text"),
            ({"text": "   "}, "no_text"),
            ({"text": "a", "markdown_text": "b"}, "markdown_text_conflict"),
            ({"markdown_text": "b" * 12_001}, "msg_too_long"),
            ({"blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
            ({"blocks": [{"type": "section"}]}, "invalid_blocks"),
            ({"blocks": [{"type": "hologram"}]}, "invalid_blocks"),
            ({"blocks": [{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}]}, "invalid_blocks"),
            (
                {"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}]},
                "invalid_blocks",
            ),
            ({"blocks": [{"type": "markdown", "text": "x" * 7000}] * 2}, "msg_blocks_too_long"),
            ({"blocks": "[{"}, "invalid_blocks_format"),
            ({"blocks": {"type": "divider"}}, "invalid_blocks_format"),
            ({"attachments": [{"text": "x"}] * 101}, "too_many_attachments"),
            ({"text": "x", "metadata": {"event_type": "d"}}, "invalid_metadata_format"),
            ({"text": "x", "metadata": {"event_type": "d d", "event_payload": {}}}, "invalid_metadata_format"),
            (
                {"text": "x", "metadata": {"event_type": "d", "event_payload": {"a": "x" * 20_000}}},
                "metadata_too_large",
            ),
            ({"text": "x", "username": "Boss"}, "missing_scope"),
        ],
    )
    async def test_content_that_is_refused(
        self, slack: AsyncWebClient, simulator: Running, content: dict[str, Any], error: str
    ) -> None:
        """Content outside Slack's limits is refused and reaches nobody."""
        call = slack.api_call("chat.postMessage", json={"channel": PERSON, **content})

        assert await error_of(call) == error
        assert list(simulator.world.mailboxes.all()) == []

    async def test_mistakes_in_blocks_are_named(self, slack: AsyncWebClient) -> None:
        """A refused block is named with its place."""
        with pytest.raises(SlackApiError) as caught:
            await slack.chat_postMessage(channel=PERSON, text="x", blocks=[{"type": "divider"}, {"type": "image"}])

        assert caught.value.response["response_metadata"]["messages"] == [
            "[ERROR] missing required field: image_url [json-pointer:/blocks/1]",
            "[ERROR] missing required field: alt_text [json-pointer:/blocks/1]",
        ]

    async def test_long_text_is_cut(self, slack: AsyncWebClient) -> None:
        """Text beyond 40 000 characters is cut, with a warning."""
        answer = await slack.chat_postMessage(channel=PERSON, text="x" * 40_001)

        assert len(answer["message"]["text"]) == 40_000
        assert answer["warning"] == "message_truncated"

    async def test_update_and_delete(self, slack: AsyncWebClient, control: Any) -> None:
        """A message of our own is changed and deleted by conversation and ts, and the mailbox follows."""
        blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "x"}}]
        sent = await slack.chat_postMessage(channel=PERSON, text="First", blocks=blocks)
        where = {"channel": sent["channel"], "ts": sent["ts"]}
        updated = await slack.chat_update(**where, text="Second")

        assert updated["message"]["text"] == "Second"
        assert "blocks" not in updated["message"]
        assert await control.received() == ["Second"]
        assert await error_of(slack.chat_update(channel=PERSON, ts=sent["ts"], text="x")) == "channel_not_found"

        await slack.chat_delete(**where)

        assert await control.received() == []
        assert await control.received(deleted="1") == ["Second"]
        assert await error_of(slack.chat_update(**where, text="x")) == "message_not_found"
        assert await error_of(slack.chat_delete(**where)) == "message_not_found"

    async def test_messages_tab(self, slack: AsyncWebClient, control: Any) -> None:
        """An app without a Messages tab cannot write to anybody."""
        await control.call("PATCH", "slack/apps/A0SIMAPP0", {"messages_tab_enabled": False})

        assert await error_of(slack.chat_postMessage(channel=PERSON, text="x")) == "messages_tab_disabled"

    async def test_forgotten_conversation(self, slack: AsyncWebClient, control: Any) -> None:
        """A conversation id that went stale is not found; the person can still be written to."""
        sent = await slack.chat_postMessage(channel=PERSON, text="x")
        await control.post("slack/forget_conversation", {"channel": sent["channel"]})
        refused = await error_of(slack.chat_postMessage(channel=sent["channel"], text="y"))
        again = await slack.chat_postMessage(channel=PERSON, text="z")

        assert refused == "channel_not_found"
        assert again["channel"] != sent["channel"]


class TestHistory:
    async def test_open_then_read(self, slack: AsyncWebClient, clock: ManualClock) -> None:
        """Opening is idempotent; history is newest first and shows metadata only when asked."""
        opened = await slack.conversations_open(users=PERSON, return_im=True)
        again = await slack.conversations_open(users=PERSON)
        channel = opened["channel"]["id"]
        metadata = {"event_type": "delivery", "event_payload": {"id": "nl-1"}}
        for number in range(3):
            clock.advance(2)
            await slack.chat_postMessage(channel=PERSON, text=f"m{number}", metadata=metadata)
        plain = await slack.conversations_history(channel=channel)
        full = await slack.conversations_history(channel=channel, include_all_metadata=True, limit=1)

        assert opened["channel"]["user"] == PERSON
        assert again["already_open"] is True
        assert [each["text"] for each in plain["messages"]] == ["m2", "m1", "m0"]
        assert "metadata" not in plain["messages"][0]
        assert full["messages"][0]["metadata"] == metadata
        assert full["has_more"] is True

    async def test_range_and_pages(self, slack: AsyncWebClient, clock: ManualClock) -> None:
        """Bounds are exclusive unless told otherwise, and a cursor goes on where the page ended."""
        stamps = []
        for number in range(5):
            clock.advance(2)
            stamps.append((await slack.chat_postMessage(channel=PERSON, text=f"m{number}"))["ts"])
        channel = (await slack.conversations_open(users=PERSON))["channel"]["id"]
        inner = await slack.conversations_history(channel=channel, oldest=stamps[0], latest=stamps[4])
        outer = await slack.conversations_history(channel=channel, oldest=stamps[1], latest=stamps[3], inclusive=True)
        first = await slack.conversations_history(channel=channel, oldest=stamps[0], limit=2)
        rest = await slack.conversations_history(
            channel=channel, oldest=stamps[0], limit=2, cursor=first["response_metadata"]["next_cursor"]
        )

        assert [each["ts"] for each in inner["messages"]] == stamps[3:0:-1]
        assert [each["ts"] for each in outer["messages"]] == stamps[3:0:-1]
        assert [each["ts"] for each in first["messages"] + rest["messages"]] == stamps[4:0:-1]
        assert rest["has_more"] is False

    async def test_refusals(self, slack: AsyncWebClient) -> None:
        """A user id is no channel, and bounds and limits must be valid."""
        channel = (await slack.conversations_open(users=PERSON))["channel"]["id"]

        assert await error_of(slack.conversations_history(channel=PERSON)) == "channel_not_found"
        assert await error_of(slack.conversations_history(channel=channel, oldest="yesterday")) == "invalid_ts_oldest"
        assert await error_of(slack.conversations_history(channel=channel, limit=1000)) == "invalid_limit"

    async def test_outside_the_marketplace(self, slack: AsyncWebClient, control: Any, clock: ManualClock) -> None:
        """A distributed app outside the Marketplace reads history once a minute, fifteen messages at most."""
        await control.call("PATCH", "slack/apps/A0SIMAPP0", {"outside_marketplace": True})
        channel = (await slack.conversations_open(users=PERSON))["channel"]["id"]
        for _ in range(16):
            clock.advance(1)
            await slack.chat_postMessage(channel=channel, text="x")
        page = await slack.conversations_history(channel=channel, limit=100)
        with pytest.raises(SlackApiError) as caught:
            await slack.conversations_history(channel=channel)

        assert len(page["messages"]) == 15
        assert caught.value.response.status_code == 429
        assert caught.value.response.headers["Retry-After"] == "60"


class TestLimits:
    async def test_429_and_recovery(self, slack: AsyncWebClient, control: Any, clock: ManualClock) -> None:
        """The 51st look-up in a minute gets 429 with Retry-After; after that time it passes. Counters know both."""
        for _ in range(50):
            await error_of(slack.users_lookupByEmail(email="nobody@contoso.example"))
        with pytest.raises(SlackApiError) as caught:
            await slack.users_lookupByEmail(email="nobody@contoso.example")
        response = caught.value.response
        clock.advance(int(response.headers["Retry-After"]))

        assert response.status_code == 429
        assert response["error"] == "ratelimited"
        assert await error_of(slack.users_lookupByEmail(email="nobody@contoso.example")) == "users_not_found"

        counted = (await control.get("counters?arrivals=1"))["counters"]
        row = next(each for each in counted if each["operation"] == "users.lookupByEmail")

        assert (row["calls"], row["throttled"], len(row["arrivals"])) == (52, 1, 52)

    async def test_conversation_and_workspace(
        self, slack: AsyncWebClient, simulator: Running, clock: ManualClock
    ) -> None:
        """Posting stops at a short burst to one person and at the ceiling to many; nothing refused is stored."""
        for _ in range(3):
            await slack.chat_postMessage(channel=PERSON, text="x")
        with pytest.raises(SlackApiError) as one:
            await slack.chat_postMessage(channel=PERSON, text="x")
        for number in range(1, 28):
            await slack.chat_postMessage(channel=f"U000000{number // 36}{_digit(number % 36)}", text="x")
        with pytest.raises(SlackApiError) as many:
            await slack.chat_postMessage(channel="U0000001Z", text="x")

        assert (one.value.response.status_code, many.value.response.status_code) == (429, 429)
        assert len(list(simulator.world.mailboxes.all())) == 30

        clock.advance(1)
        await slack.chat_postMessage(channel="U0000001Z", text="x")

    async def test_switched_off(self, slack: AsyncWebClient, control: Any) -> None:
        """Limits can be switched off."""
        await control.post("settings", {"limits": False})

        for _ in range(60):
            await slack.chat_postMessage(channel=PERSON, text="x")


def _digit(number: int) -> str:
    return "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number]
