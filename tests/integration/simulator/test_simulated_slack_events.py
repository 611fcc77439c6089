"""Signed events from the simulated Slack to an app."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from slack_sdk.signature import Clock as VerifierClock
from slack_sdk.signature import SignatureVerifier

from simulator.clock import ManualClock
from simulator.slack.apps import DEFAULT_BOT_TOKEN, DEFAULT_SIGNING_SECRET

PERSON = "U00000000"


class Now(VerifierClock):
    """Lets the SDK's verifier live in the simulator's time."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def now(self) -> float:
        return self._clock.now().timestamp()


@pytest.fixture
def verifier(clock: ManualClock) -> SignatureVerifier:
    return SignatureVerifier(DEFAULT_SIGNING_SECRET, Now(clock))


@pytest.fixture
async def subscribed(control: Any, receiver: Any) -> Any:
    """The default app with the receiver's address."""
    return await control.call("PATCH", "slack/apps/A0SIMAPP0", {"events_url": receiver.url})


class TestAddress:
    async def test_url_verification(self, control: Any, receiver: Any, verifier: SignatureVerifier) -> None:
        """A new address is taken when it returns the challenge."""
        app = await control.post(
            "slack/apps",
            {"client_id": "1.1", "client_secret": "s", "signing_secret": "sign", "events_url": receiver.url},
            201,
        )

        assert app["events_url"] == receiver.url
        assert receiver.heard == []

    async def test_wrong_address(self, control: Any, receiver: Any) -> None:
        """An address that does not answer as it must is refused, unless verification is waived."""
        wrong = {"events_url": receiver.url + "/elsewhere"}
        answer = await control.call("PATCH", "slack/apps/A0SIMAPP0", wrong, 409)

        assert answer == {"error": "events_url was not verified: HTTP 404"}

        await control.call("PATCH", "slack/apps/A0SIMAPP0", {**wrong, "verify": False})


@pytest.mark.usefixtures("subscribed")
class TestEvents:
    async def test_signature(self, control: Any, receiver: Any, verifier: SignatureVerifier) -> None:
        """Every event is signed over its raw body; a tampered signature or an old timestamp does not verify."""
        await control.post("slack/events", {"type": "app_home_opened", "user": PERSON, "wait": True})
        await control.post("slack/events", {"type": "app_home_opened", "wait": True, "bad_signature": True})
        await control.post("slack/events", {"type": "app_home_opened", "wait": True, "timestamp_offset": -301})

        valid = [verifier.is_valid_request(each.body, each.headers) for each in receiver.heard]

        assert valid == [True, False, False]

    async def test_envelope(self, control: Any, receiver: Any, slack: Any) -> None:
        """The outer event names app, team and authorization; opening the home gives person and conversation."""
        await control.post("slack/events", {"type": "app_home_opened", "user": PERSON, "tab": "home", "wait": True})
        outer = receiver.heard[0].json
        channel = (await slack.conversations_open(users=PERSON))["channel"]["id"]

        assert outer["type"] == "event_callback"
        assert (outer["team_id"], outer["api_app_id"]) == ("T0SIM0000", "A0SIMAPP0")
        assert outer["authorizations"][0]["team_id"] == "T0SIM0000"
        assert outer["authorizations"][0]["is_enterprise_install"] is False
        assert outer["event_id"].startswith("Ev")
        assert outer["event"]["user"] == PERSON
        assert outer["event"]["channel"] == channel
        assert outer["event"]["tab"] == "home"

    async def test_people(self, control: Any, receiver: Any, slack: Any) -> None:
        """Who joins, changes their e-mail or is deactivated is told to the app and found accordingly."""
        new = await control.post("slack/people", {"email": "new@contoso.example", "wait": True}, 201)
        await control.call("PATCH", f"slack/people/{new['id']}", {"email": "newer@contoso.example", "wait": True})
        found = await slack.users_lookupByEmail(email="newer@contoso.example")
        await control.call("PATCH", f"slack/people/{new['id']}", {"deleted": True, "wait": True})

        assert [each.json["event"]["type"] for each in receiver.heard] == ["team_join", "user_change", "user_change"]
        assert receiver.heard[0].json["event"]["user"]["profile"]["email"] == "new@contoso.example"
        assert receiver.heard[2].json["event"]["user"]["deleted"] is True
        assert found["user"]["id"] == new["id"]
        people = await control.get("slack/people?email=newer@contoso.example")
        assert people["people"][0]["deleted"] is True

    async def test_silent_change(self, control: Any, receiver: Any) -> None:
        """A change can happen without its event, as when Slack drops one."""
        await control.call("PATCH", f"slack/people/{PERSON}", {"email": None, "silent": True})
        await control.post("slack/events", {"type": "user_change", "wait": True})

        assert len(receiver.heard) == 1
        assert "email" not in receiver.heard[0].json["event"]["user"]["profile"]

    async def test_uninstall(self, control: Any, receiver: Any) -> None:
        """Removing the app sends both events, in either order."""
        order = ["app_uninstalled", "tokens_revoked"]
        await control.post("slack/uninstall", {"token": DEFAULT_BOT_TOKEN, "order": order, "wait": True})

        assert [each.json["event"]["type"] for each in receiver.heard] == order
        assert receiver.heard[1].json["event"]["tokens"]["bot"][0].startswith("U0BOT")

    async def test_copies(self, control: Any, receiver: Any) -> None:
        """The same event can arrive several times with one id."""
        await control.post("slack/events", {"type": "app_home_opened", "copies": 3, "wait": True})

        assert len(receiver.heard) == 3
        assert len({each.json["event_id"] for each in receiver.heard}) == 1

    async def test_any_event(self, control: Any, receiver: Any) -> None:
        """A whole inner event can be given."""
        event = {"type": "user_change", "user": {"id": "U1"}}
        await control.post("slack/events", {"event": event, "wait": True})

        assert receiver.heard[0].json["event"] == event

    async def test_unsubscribed(self, control: Any, receiver: Any) -> None:
        """What the app did not subscribe to is not sent."""
        await control.call("PATCH", "slack/apps/A0SIMAPP0", {"bot_events": ["team_join"]})
        await control.post("slack/events", {"type": "app_home_opened"}, 400)
        await control.call("PATCH", f"slack/people/{PERSON}", {"deleted": True, "wait": True})

        assert receiver.heard == []


@pytest.mark.usefixtures("subscribed")
class TestRetries:
    async def test_at_once_then_a_minute_then_five(
        self, control: Any, receiver: Any, clock: ManualClock, verifier: SignatureVerifier
    ) -> None:
        """A failed event is repeated three times, signed anew, with number and reason."""
        receiver.answers += [web.Response(status=500) for _ in range(4)]
        call = asyncio.create_task(control.post("slack/events", {"type": "app_home_opened", "wait": True}))
        await receiver.until(2)
        for count, seconds in ((3, 60), (4, 300)):
            await clock.until_sleeping()
            assert clock.sleepers() == [seconds]
            clock.advance(seconds)
            await receiver.until(count)
            assert verifier.is_valid_request(receiver.heard[-1].body, receiver.heard[-1].headers)
        delivery = (await call)["deliveries"][0]

        assert [each.headers.get("X-Slack-Retry-Num") for each in receiver.heard] == [None, "1", "2", "3"]
        assert receiver.heard[1].headers["X-Slack-Retry-Reason"] == "http_error"
        assert len({each.body for each in receiver.heard}) == 1
        assert delivery["acknowledged"] is False
        assert [each["status"] for each in delivery["attempts"]] == [500] * 4

    async def test_acknowledged_by_a_retry(self, control: Any, receiver: Any) -> None:
        """An acknowledgement ends the repetitions."""
        receiver.answers.append(web.Response(status=503))
        sent = await control.post("slack/events", {"type": "app_home_opened", "wait": True})

        assert sent["deliveries"][0]["acknowledged"] is True
        assert len(receiver.heard) == 2

    async def test_no_retry(self, control: Any, receiver: Any) -> None:
        """X-Slack-No-Retry ends the repetitions of a failed event."""
        receiver.answers.append(web.Response(status=500, headers={"X-Slack-No-Retry": "1"}))
        sent = await control.post("slack/events", {"type": "app_home_opened", "wait": True})

        assert sent["deliveries"][0]["acknowledged"] is False
        assert len(receiver.heard) == 1

    async def test_intervals_are_a_setting(self, control: Any, receiver: Any) -> None:
        """The intervals can be shortened for tests in real time."""
        await control.post("settings", {"slack_event_retry_seconds": [0, 0]})
        receiver.answers += [web.Response(status=500) for _ in range(3)]
        await control.post("slack/events", {"type": "app_home_opened", "wait": True})

        assert len(receiver.heard) == 3

    async def test_slow_receiver(self, control: Any, receiver: Any) -> None:
        """Who does not answer in time gets the event again with that reason."""
        await control.post("settings", {"slack_event_timeout": 0.05, "slack_event_retry_seconds": [0]})
        receiver.free.clear()
        sent = await control.post("slack/events", {"type": "app_home_opened", "wait": True})
        receiver.free.set()

        assert [each["reason"] for each in sent["deliveries"][0]["attempts"]] == ["http_timeout"] * 2
        assert receiver.heard[1].headers["X-Slack-Retry-Reason"] == "http_timeout"

    async def test_nobody_listens(self, control: Any) -> None:
        """A refused connection is a failed delivery."""
        await control.post("settings", {"slack_event_retry_seconds": []})
        gone = {"events_url": "http://127.0.0.1:9/", "verify": False}
        await control.call("PATCH", "slack/apps/A0SIMAPP0", gone)
        sent = await control.post("slack/events", {"type": "app_home_opened", "wait": True})

        assert sent["deliveries"][0]["attempts"][0]["reason"] == "connection_failed"
