"""Every way to misbehave, seen from the real slack_sdk or a raw client."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from simulator.app import Running
from simulator.clock import ManualClock
from simulator.slack.apps import DEFAULT_BOT_TOKEN

PERSON = "U00000000"
POST = "chat.postMessage"


async def post(slack: AsyncWebClient, text: str = "Hello", person: str = PERSON) -> Any:
    return await slack.chat_postMessage(channel=person, text=text)


class TestAnswers:
    @pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
    async def test_error_before_storing(self, slack: AsyncWebClient, control: Any, status: int) -> None:
        """An error answer stores nothing unless told so, and is spent after its times."""
        await control.fault(operation=POST, status=status, times=1)
        with pytest.raises(SlackApiError) as caught:
            await post(slack)

        assert caught.value.response.status_code == status
        assert await control.received() == []

        await post(slack)
        assert await control.received() == ["Hello"]

    async def test_error_after_storing(self, slack: AsyncWebClient, control: Any) -> None:
        """A stored error was an error only for the caller."""
        await control.fault(operation=POST, status=500, stored=True, times=1)
        with pytest.raises(SlackApiError):
            await post(slack)

        assert await control.received() == ["Hello"]

    async def test_code(self, slack: AsyncWebClient, control: Any) -> None:
        """A code alone comes as HTTP 200 in Slack's own body."""
        await control.fault(operation=POST, code="restricted_action")
        with pytest.raises(SlackApiError) as caught:
            await post(slack)

        assert caught.value.response.status_code == 200
        assert caught.value.response.data == {"ok": False, "error": "restricted_action"}

    @pytest.mark.parametrize("retry_after", ["7", "1.5", "-3", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", None])
    async def test_retry_after_is_verbatim(self, slack: AsyncWebClient, control: Any, retry_after: str | None) -> None:
        """A 429 carries the header exactly as given, garbage and absence included, and is counted as one."""
        await control.fault(operation=POST, status=429, retry_after=retry_after)
        with pytest.raises(SlackApiError) as caught:
            await post(slack)

        assert caught.value.response.status_code == 429
        assert caught.value.response["error"] == "ratelimited"
        assert caught.value.response.headers.get("Retry-After") == retry_after
        assert (await control.get("counters"))["counters"][0]["throttled"] == 1

    async def test_raw_body(self, simulator: Running, http: ClientSession, control: Any) -> None:
        """Body, content type and headers can be anything."""
        await control.fault(body="<h1>", status=200, content_type="text/html", headers={"X-Odd": "1"})
        async with http.get(f"{simulator.url}/api/auth.test") as response:
            assert await response.text() == "<h1>"
            assert response.headers["Content-Type"] == "text/html"
            assert response.headers["X-Odd"] == "1"

    async def test_headers_alone(self, slack: AsyncWebClient, control: Any) -> None:
        """Headers and content type alone change the answer of a call that took effect."""
        await control.fault(operation=POST, content_type="application/json; charset=utf-16", headers={"X-Odd": "1"})
        with pytest.raises((SlackApiError, UnicodeError)):
            await post(slack)

        assert await control.received() == ["Hello"]


class TestWhom:
    async def test_person_by_email_or_id(self, slack: AsyncWebClient, simulator: Running, control: Any) -> None:
        """A fault for a person falls on every call about them, whether by id, conversation or e-mail."""
        ada = simulator.world.people_of(0)[0]
        channel = (await slack.conversations_open(users=PERSON))["channel"]["id"]
        await control.fault(person=ada.email, code="internal_error")

        for call in (post(slack), post(slack, person=channel), slack.users_lookupByEmail(email=ada.email)):
            with pytest.raises(SlackApiError, match="internal_error"):
                await call
        await post(slack, person="U00000001")

    async def test_every_second_call(self, slack: AsyncWebClient, control: Any) -> None:
        """A fault can fall on each second call only."""
        await control.fault(operation=POST, status=500, every=2)
        outcomes = []
        for number in range(4):
            try:
                await post(slack, person=f"U0000000{number}")
                outcomes.append("sent")
            except SlackApiError:
                outcomes.append("failed")

        assert outcomes == ["sent", "failed", "sent", "failed"]

    async def test_list_and_remove(self, slack: AsyncWebClient, control: Any) -> None:
        """Faults are listed with how often they were met and applied, and can be removed."""
        fault = await control.fault(operation=POST, status=500, skip=1)
        await post(slack)
        listed = (await control.get("faults"))["faults"]

        assert [(each["id"], each["seen"], each["fired"]) for each in listed] == [(fault["id"], 1, 0)]

        await control.call("DELETE", f"faults/{fault['id']}")
        await control.call("DELETE", f"faults/{fault['id']}", status=404)
        await post(slack)

    async def test_mistake_is_refused(self, control: Any) -> None:
        """A fault with a misspelt field is refused with the reason."""
        answer = await control.post("faults", {"platform": "slack", "statsu": 500}, 400)

        assert answer == {"error": "unknown fields: statsu"}


class TestConnections:
    @pytest.mark.parametrize(
        ("drop", "stored"),
        [("before", []), ("after", ["Hello"]), ("mid_answer", ["Hello"]), ("mid_answer_fin", ["Hello"])],
    )
    async def test_dropped(self, slack: AsyncWebClient, control: Any, drop: str, stored: list[str]) -> None:
        """A connection can be dropped before and after storing, and in the middle of the answer by RST or FIN."""
        await control.fault(operation=POST, drop=drop, times=1)
        with pytest.raises((aiohttp.ClientError, SlackApiError)):
            await post(slack)

        assert await control.received() == stored

    async def test_torn_answer_is_half_there(self, simulator: Running, http: ClientSession, control: Any) -> None:
        """A torn answer begins with its status and promises more than it sends."""
        await control.fault(operation="auth.test", drop="mid_answer_fin")
        headers = {"Authorization": f"Bearer {DEFAULT_BOT_TOKEN}"}
        async with http.post(f"{simulator.url}/api/auth.test", headers=headers) as response:
            assert response.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()

    @pytest.mark.parametrize(("stored", "expected"), [(False, []), (True, ["Hello"])])
    async def test_hang(self, slack: AsyncWebClient, control: Any, stored: bool, expected: list[str]) -> None:
        """A call that hangs is never answered, with the message stored or not."""
        await control.fault(operation=POST, hang=True, stored=stored, times=1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(post(slack), 0.3)

        assert await control.received() == expected

    async def test_delay(self, slack: AsyncWebClient, control: Any, clock: ManualClock) -> None:
        """A delayed call takes effect and is answered after its time on the simulator's clock."""
        await control.fault(operation=POST, delay=30, times=1)
        call = asyncio.create_task(post(slack))
        await clock.until_sleeping()

        assert clock.sleepers() == [30]
        assert await control.received() == []

        clock.advance(30)
        assert (await call)["ok"]

    async def test_latency(self, slack: AsyncWebClient, control: Any, clock: ManualClock) -> None:
        """Latency lies between the effect and the answer."""
        await control.post("settings", {"latency": 5})
        call = asyncio.create_task(post(slack))
        await clock.until_sleeping()

        assert await control.received() == ["Hello"]

        clock.advance(5)
        assert (await call)["ok"]

    async def test_trickle(self, simulator: Running, http: ClientSession, control: Any, clock: ManualClock) -> None:
        """A trickled answer comes one byte a second."""
        await control.fault(operation="auth.test", body="abc", trickle=True)
        async with http.post(f"{simulator.url}/api/auth.test") as response:
            for byte in (b"a", b"b", b"c"):
                await clock.until_sleeping()
                assert clock.sleepers() == [1]
                clock.advance(1)
                assert await response.content.readexactly(1) == byte
