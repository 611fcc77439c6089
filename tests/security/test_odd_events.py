"""Whatever stands in a genuine event, a platform is never told to repeat it for ever."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import ClientSession, web
from hypothesis import given
from hypothesis import strategies as st

from adapters.slack import envelope
from adapters.teams.events import TeamsEvent, read_event
from adapters.teams.inbound import TeamsInbound
from notify.evidence import EvidenceBook
from storage.engine import Database
from tests.integration.slack import kit as slack
from tests.integration.slack.kit import ORG, TEAM, SlackSide, serving_side, signed, slack_side, user, wrapped
from tests.integration.teams import kit as teams

NOW = 1_769_200_000.0
ODD: tuple[Any, ...] = (
    *("\0", "a\0b", "x" * 300, "x" * 20_000, "\u1234" * 1000, "\U0001f600" * 1020, "\n", "", " "),
    *(7, -1, 2**63, 1e300, True, None, [], {}, ["\0"], [[]], {"id": "\0"}, [{"id": "\0"}]),
)
STEP = 3
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a body holds something, the insides of its objects and lists included."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*path, key)
        yield from places(each, (*path, key))


def replaced(body: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """The body with one of its values changed."""
    changed = copy.deepcopy(body)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = odd
    return changed


def spoiled(body: dict[str, Any], database: Database) -> Iterator[dict[str, Any]]:
    """The body with each of its values replaced by odd ones: every third of them, others in the next place.

    Each engine begins with another one, and so with another event: all are met in all kinds of places.
    """
    for number, path in enumerate(places(body), 0 if database.is_sqlite else 1):
        for odd in ODD[number % STEP :: STEP]:
            yield replaced(body, path, odd)


def is_kept(text: str | None, most: int) -> bool:
    """Whether both databases take a text as a key."""
    return text is None or ("\0" not in text and 0 < len(text.encode()) <= most)


# ---------------------------------------------------------------------- Slack

IN_ORG = {"team": None, "enterprise": ORG}
SLACK_EVENTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "opened": ({"type": "app_home_opened", "user": "U1", "channel": "D1", "tab": "home"}, {}),
    "answer": (
        {
            "type": "message",
            "channel_type": "im",
            "user": "U1",
            "channel": "D1",
            "ts": "9.1",
            "subtype": None,
            "thread_ts": "5.5",
            "parent_user_id": "U0BOT",
            "root": {"user": "U0BOT"},
        },
        {},
    ),
    "reaction": (
        {
            "type": "reaction_added",
            "user": "U1",
            "item_user": "U0BOT",
            "item": {"type": "message", "channel": "D1", "ts": "1700000000.5"},
        },
        {},
    ),
    "person": ({"type": "user_change", "user": user("U1", "a@example.com", locale="de", deleted=False)}, {}),
    "person of an org": (
        {
            "type": "user_change",
            "user": user("U1", "a@example.com", enterprise_user={"enterprise_id": ORG, "teams": [TEAM]}),
        },
        {**IN_ORG, "org_wide": True},
    ),
    "uninstalled": ({"type": "app_uninstalled"}, {}),
    "revoked": ({"type": "tokens_revoked", "tokens": {"oauth": [], "bot": ["U0BOT"]}}, {}),
    "granted": ({"type": "team_access_granted", "team_ids": ["T0A", "T0B"]}, IN_ORG),
    "taken away": ({"type": "team_access_revoked", "team_ids": ["T0A", "T0B"]}, IN_ORG),
}
PRESS: dict[str, Any] = {
    "type": "block_actions",
    "team": {"id": TEAM},
    "user": {"id": "U1", "team_id": TEAM},
    "container": {"type": "message", "message_ts": "1700000000.000100", "channel_id": "D1"},
    "actions": [
        {
            "action_id": "ok",
            "block_id": "b",
            "type": "button",
            "action_ts": "1700000000.000200",
            "text": {"type": "plain_text", "text": "OK"},
            "value": "1",
        },
        {
            "action_id": "many",
            "block_id": "b",
            "type": "checkboxes",
            "action_ts": "1700000000.000200",
            "selected_options": [{"text": {"type": "plain_text", "text": "A"}, "value": "a"}],
        },
    ],
}
LEGACY_PRESS: dict[str, Any] = {
    "type": "interactive_message",
    "team": {"id": TEAM},
    "user": {"id": "U1"},
    "channel": {"id": "D1"},
    "message_ts": "1700000000.000100",
    "action_ts": "1700000000.000200",
    "attachment_id": "1",
    "actions": [{"name": "a", "type": "select", "selected_options": [{"value": "x"}]}],
    "original_message": {"attachments": [{"actions": [{"name": "a", "value": "x", "text": "X"}]}]},
}


@pytest.fixture(name="side")
async def _side(database: Database) -> AsyncIterator[SlackSide]:
    async with slack_side(database, "http://127.0.0.1:9") as side:
        yield side


@pytest.fixture(name="url")
async def _url(side: SlackSide) -> AsyncIterator[str]:
    async with serving_side(side) as url:
        yield url


class TestSlack:
    @pytest.mark.parametrize("name", SLACK_EVENTS)
    async def test_events(self, database: Database, side: SlackSide, url: str, name: str) -> None:
        """A signed event with anything in any place is taken or refused, on both databases."""
        event, outer = SLACK_EVENTS[name]
        answers: dict[int, list[str]] = {}
        for number, body in enumerate(spoiled(wrapped(event, **outer), database)):
            if body.get("event_id") == "Ev0001":
                body["event_id"] = f"Ev{number}"
            if name in ("uninstalled", "revoked", "taken away") or number == 0:
                await side.install()
                await side.install(None, "xoxb-org", ORG)
            raw = json.dumps(body).encode()
            headers = signed(raw, int(side.clock.now))
            async with side.http.post(f"{url}/slack/{slack.BOT}/events", data=raw, headers=headers) as answer:
                answers.setdefault(answer.status, []).append(raw.decode()[:400])

        assert answers.keys() <= {200, 400}, {code: found[:3] for code, found in answers.items() if code >= 500}

    @pytest.mark.parametrize("press", [PRESS, LEGACY_PRESS], ids=["blocks", "attachments"])
    async def test_buttons(self, database: Database, side: SlackSide, url: str, press: dict[str, Any]) -> None:
        """The same for a button."""
        await side.install()
        answers: dict[int, list[str]] = {}
        for body in spoiled(press, database):
            raw = urlencode({"payload": json.dumps(body)}).encode()
            headers = signed(raw, int(side.clock.now))
            async with side.http.post(f"{url}/slack/{slack.BOT}/interactivity", data=raw, headers=headers) as answer:
                answers.setdefault(answer.status, []).append(json.dumps(body)[:400])

        assert answers.keys() <= {200, 400}, {code: found[:3] for code, found in answers.items() if code >= 500}

    @given(st.dictionaries(st.sampled_from([*wrapped({}), "enterprise_id"]), JSON))
    def test_envelopes(self, body: dict[str, Any]) -> None:
        """An envelope is read or not, and every id in it can be kept."""
        found = envelope.read(body)

        if found is not None:
            assert is_kept(found.event_id, 255)
            assert is_kept(found.kind, 255)
            assert is_kept(found.tenant, 64)
            assert is_kept(found.enterprise, 64)
            assert 0 <= found.at < 1e11


# ---------------------------------------------------------------------- Teams

TEAMS_EVENTS: dict[str, dict[str, Any]] = {
    "installed": {"type": "installationUpdate", "action": "add"},
    "added": {"type": "conversationUpdate", "membersAdded": [{"id": f"28:{teams.APP_ID}"}, {"id": teams.TEAMS_ID}]},
    "removed": {"type": "installationUpdate", "action": "remove"},
    "message": {"type": "message", "text": "hi", "replyToId": "1769130123456"},
    "button": {
        "type": "invoke",
        "name": "adaptiveCard/action",
        "replyToId": "1769130123456",
        "value": {"action": {"id": "ok", "title": "OK", "verb": "v", "data": {"x": 1}}, "trigger": "manual"},
    },
    "reaction": {"type": "messageReaction", "replyToId": "1769130123456", "reactionsAdded": [{"type": "like"}]},
    "read": {
        "type": "event",
        "name": "application/vnd.microsoft.readReceipt",
        "value": {"lastReadMessageId": "1769130123456"},
    },
}


@asynccontextmanager
async def listening(database: Database, cloud: teams.Cloud, session: ClientSession) -> AsyncIterator[str]:
    """The bot's route with the real evidence book behind it."""
    bots = teams.bots(cloud, session, now=lambda: NOW)
    book = EvidenceBook(clock=lambda: NOW)
    inbound = TeamsInbound(bots, database, evidence=book, wake=lambda _lane: None, now=lambda: NOW)
    app = web.Application()
    app.router.add_post("/messages", inbound.handler(teams.BOT))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/messages"
    finally:
        await runner.cleanup()


class TestTeams:
    @pytest.mark.parametrize("name", TEAMS_EVENTS)
    async def test_activities(self, database: Database, name: str) -> None:
        """A genuine activity with anything in any place is taken or refused, on both databases."""
        answers: dict[int, list[str]] = {}
        async with teams.cloud() as cloud, teams.shared_session() as session, listening(database, cloud, session) as at:
            activity = cloud.activity(**TEAMS_EVENTS[name], kind=TEAMS_EVENTS[name]["type"])
            token = cloud.sign({"exp": int(NOW) + 3600, "nbf": int(NOW)})
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            for number, body in enumerate(spoiled(activity, database)):
                if body.get("id") == activity["id"]:
                    body["id"] = f"f:{number}"
                async with session.post(at, data=json.dumps(body).encode(), headers=headers) as answer:
                    answers.setdefault(answer.status, []).append(json.dumps(body)[:600])

        assert answers.keys() <= {200, 400, 401}, {code: found[:3] for code, found in answers.items() if code >= 500}

    @given(st.dictionaries(st.sampled_from(["id", "action", "from", "recipient", "conversation", "replyToId"]), JSON))
    def test_any_activity(self, changes: dict[str, Any]) -> None:
        """An activity is always read, and every id in what was read can be kept."""
        base = {"type": "message", "serviceUrl": "https://smba.trafficmanager.net/emea/"}
        self.check(read_event({**base, **changes}, {}, NOW))

    @given(JSON, JSON, JSON)
    def test_any_ids(self, one: Any, other: Any, third: Any) -> None:
        """The same for the ids of a personal chat."""
        body = {
            "type": "message",
            "serviceUrl": "https://smba.trafficmanager.net/emea/",
            "from": {"id": one, "aadObjectId": other},
            "conversation": {"id": third, "conversationType": "personal", "tenantId": other},
            "replyToId": third,
        }
        self.check(read_event(body, {}, NOW))

    def check(self, event: TeamsEvent) -> None:
        assert is_kept(event.conversation_id, 1024)
        assert is_kept(event.message_id, 255)
        assert is_kept(event.key, 64)
        assert is_kept(event.tenant, 64)
        if event.person is not None:
            assert is_kept(event.person.user_id, 255)
            assert is_kept(event.person.channel_id, 255)
