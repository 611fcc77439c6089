"""The platform misbehaves on the wire: nothing is lost, nothing comes twice, and what is not known is said so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tests.harness.herald import Herald, Json, bot
from tests.harness.oracle import lies, outcomes, reasons
from tests.harness.platforms import MSTEAMS, SLACK, Platforms
from tests.scenario.conftest import Starting, Two

Faults = Mapping[str, Json]
OTHERS = 5

NOT_STORED: Faults = {
    **{str(status): {"status": status, "body": "busy"} for status in (408, 500, 502, 503, 504)},
    "closed": {"drop": "before"},
}
STORED: Faults = {
    **{f"{status} after all": {"status": status, "body": "", "stored": True} for status in (408, 500, 502, 503, 504)},
    "closed after it": {"drop": "after"},
    "reset mid answer": {"drop": "mid_answer"},
    "end mid answer": {"drop": "mid_answer_fin"},
    "html": {"status": 200, "stored": True, "body": "<html>Sign in</html>", "content_type": "text/html"},
    "cut json": {"status": 200, "stored": True, "body": '{"ok": true, "id": "17'},
    "wrong charset": {"status": 200, "stored": True, "body_base64": "/v8AewA=", "content_type": "application/json"},
    "empty": {"status": 200, "stored": True, "body": ""},
    "no content": {"status": 204, "stored": True, "body": ""},
    "no id": {"status": 200, "stored": True, "body": '{"ok": true}'},
    "a list": {"status": 200, "stored": True, "body": "[1, 2]"},
    "no gzip": {"status": 200, "stored": True, "body": "plain", "headers": {"Content-Encoding": "gzip"}},
    "gzip bomb": {"status": 200, "stored": True, "bulk": 30_000_000, "gzip": True},
}
SILENT: Faults = {
    "never answers": {"hang": True},
    "stored, never answers": {"hang": True, "stored": True},
    "a byte a second": {"trickle": 1.0},
}


async def befall(platforms: Platforms, channel: str, faults: Faults, **more: Any) -> list[str]:
    """One person for each fault, which falls on them once; and some others."""
    people = platforms.emails(len(faults) + OTHERS)
    for person, fault in zip(people, faults.values(), strict=False):
        await platforms.send_fault(channel, person=person, times=1, **fault, **more)
    return people


def by_outcome(record: Json, outcome: str) -> set[str]:
    return {entry["originalId"] for entry in record["statusLogs"] if entry["details"]["outcome"] == outcome}


class TestUnclear:
    async def test_not_stored(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """P07, P09, P10: an error before storing leads to no second copy; where we may look, to the first one."""
        people = await befall(platforms, channel, NOT_STORED)

        record = await herald.deliver(channel, people)

        doubtful = set(people[: len(NOT_STORED)]) if channel == MSTEAMS else set()
        assert by_outcome(record, "unconfirmed") == doubtful
        assert by_outcome(record, "sent") == set(people) - doubtful
        assert lies(record, await platforms.messages(channel)) == []

    async def test_stored(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """P08, P09, P10, P13, P16: a bad answer after storing leaves one copy, known by looking or said to be open."""
        people = await befall(platforms, channel, STORED)

        record = await herald.deliver(channel, people)

        doubtful = set(people[: len(STORED)]) if channel == MSTEAMS else set()
        assert by_outcome(record, "unconfirmed") == doubtful
        assert by_outcome(record, "sent") == set(people) - doubtful
        messages = await platforms.messages(channel)
        assert len(messages) == len(people)
        assert lies(record, messages) == []

    async def test_c25_says_so(self, herald: Herald, platforms: Platforms) -> None:
        """C-25: what may have arrived is a failure whose comment says so and whose remedy warns of a second copy."""
        [person] = platforms.emails(1)
        await platforms.send_fault(MSTEAMS, status=502, stored=True, body="bad gateway")

        record = await herald.deliver(MSTEAMS, [person])

        [entry] = record["statusLogs"]
        assert (record["status"], entry["status"]) == ("FAILURE", "FAILURE")
        assert entry["details"]["outcome"] == "unconfirmed"
        assert entry["comments"] == (
            "The message may have arrived: the channel gave no clear answer and cannot be asked"
        )
        assert "second copy" in entry["details"]["remedy"]
        assert not {"koreId", "channelId", "messagestoreId"} & set(entry)

    async def test_resend(self, herald: Herald, platforms: Platforms) -> None:
        """A caller that chose to resend gets the message through, and knows the price: there may be two."""
        people = platforms.emails(4)
        await platforms.send_fault(MSTEAMS, person=people[0], times=1, status=502, body="")
        await platforms.send_fault(MSTEAMS, person=people[1], times=1, status=502, body="", stored=True)

        record = await herald.deliver(MSTEAMS, people, options={"onUncertain": "resend"})

        assert reasons(record) == {}
        copies = [len(await platforms.messages(MSTEAMS, email=person)) for person in people]
        assert copies == [1, 2, 1, 1]

    async def test_looking_not_permitted(self, platforms: Platforms, starting: Starting) -> None:
        """Without the scope to look back a Slack delivery in doubt is held as well, and its remedy names the scope."""
        person, other = platforms.emails(2)
        token = "xoxb-simulator-without-history"
        scopes = ["chat:write", "users:read", "users:read.email"]
        app = {"client_id": "2000000000002.2", "client_secret": "another secret", "signing_secret": "signing secret"}
        await platforms.control("slack/apps", app)
        await platforms.control("slack/installs", {"client_id": app["client_id"], "token": token, "scopes": scopes})
        await platforms.send_fault(SLACK, person=person, times=1, drop="after")
        slack = {"signing_secret": app["signing_secret"], "bot_token": token}
        async with starting(platforms, bot(slack=slack)) as herald:
            record = await herald.deliver(SLACK, [person, other])

        assert by_outcome(record, "unconfirmed") == {person}
        [entry] = [each for each in record["statusLogs"] if each["originalId"] == person]
        assert "im:history" in entry["details"]["remedy"]
        assert lies(record, await platforms.messages(SLACK)) == []

    async def test_evidence(self, herald: Herald, platforms: Platforms) -> None:
        """Late evidence makes it true: whoever reacts to a message has it, and the entry says sent from then on."""
        people = platforms.emails(3)
        await platforms.teams_install(people)
        await herald.idle()
        await platforms.send_fault(MSTEAMS, person=people[0], drop="after")
        request = await herald.notify(MSTEAMS, people)
        before = await herald.final(request)
        [message] = await platforms.messages(MSTEAMS, email=people[0])
        event = {"person": people[0], "kind": "reaction", "message_id": message["message_id"], "reactions": ["like"]}
        await platforms.control("teams/events", event)

        record = await herald.until(request, lambda found: found["status"] == "SUCCESS")

        assert before["status"] == "PARTIAL_SUCCESS"
        assert lies(record, await platforms.messages(MSTEAMS)) == []


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
class TestSilence:
    async def test_silence(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """P09, P11, P12: an answer that does not come, or comes a byte a second, is given up within the deadline."""
        people = await befall(platforms, channel, SILENT)
        began = asyncio.get_running_loop().time()

        request = await herald.notify(channel, people)
        await herald.until(request, lambda record: len(record["statusLogs"]) >= OTHERS, 10.0)
        record = await herald.final(request)

        doubtful = set(people[: len(SILENT)]) if channel == MSTEAMS else set()
        assert by_outcome(record, "unconfirmed") == doubtful
        assert by_outcome(record, "sent") == set(people) - doubtful
        assert asyncio.get_running_loop().time() - began < 45
        assert lies(record, await platforms.messages(channel)) == []


class TestRefused:
    async def test_redirect(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """P17: a redirect is not followed, so no token reaches another host."""
        heard: list[bytes] = []

        async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.read(1))
            writer.close()

        trap = await asyncio.start_server(hear, "127.0.0.1", 0)
        port = trap.sockets[0].getsockname()[1]
        faults = {
            str(status): {"status": status, "body": "", "headers": {"Location": f"http://127.0.0.1:{port}/"}}
            for status in (301, 302, 307, 308)
        }
        people = await befall(platforms, channel, faults)

        record = await herald.deliver(channel, people)

        trap.close()
        await trap.wait_closed()
        assert heard == []
        assert lies(record, await platforms.messages(channel)) == []

    async def test_unknown_code(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """P15: a code that nobody knows is a refusal of this person alone, and the code is kept."""
        people = platforms.emails(3)
        body = {"ok": False, "error": "moon_phase", "errorCode": "moon_phase", "message": "wrong moon"}
        await platforms.send_fault(
            channel, person=people[1], status=400 if channel == MSTEAMS else 200, body=json.dumps(body)
        )

        record = await herald.deliver(channel, people)

        [entry] = [each for each in record["statusLogs"] if each["status"] == "FAILURE"]
        assert (entry["originalId"], entry["details"]["reason"]) == (people[1], "unknown_code")
        assert entry["details"]["code"] == "moon_phase"
        assert lies(record, await platforms.messages(channel)) == []

    async def test_too_large(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """P14: a message that the platform finds too large fails for that person with that reason."""
        people = platforms.emails(3)
        fault: Json = {"status": 413, "code": "MessageSizeTooBig"}
        if channel == SLACK:
            fault = {"status": 200, "code": "msg_too_long"}
        await platforms.send_fault(channel, person=people[0], **fault)

        record = await herald.deliver(channel, people)

        assert reasons(record) == {people[0]: "message_too_large"}
        assert lies(record, await platforms.messages(channel)) == []


class TestThrottled:
    async def test_every_form(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """P01, P02, P03, P04: whatever a 429 says of the time to wait, nothing is lost and no attempt is burnt."""
        soon = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
        past = format_datetime(datetime.now(UTC) - timedelta(days=400), usegmt=True)
        forms = ["1", "0.5", soon, past, None, "-5", "soon", "", "1, 1"]
        faults: Faults = {
            str(number): {"status": 429} | ({} if form is None else {"retry_after": form})
            for number, form in enumerate(forms)
        }
        people = await befall(platforms, channel, faults)

        record = await herald.deliver(channel, people)

        assert outcomes(record) == {"sent": len(people)}
        assert {entry["details"]["attempts"] for entry in record["statusLogs"]} == {1}
        assert lies(record, await platforms.messages(channel)) == []

    async def test_storm(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """P05: 429 on every second call loses nothing, burns no attempt, and makes no call but those it takes."""
        people = platforms.emails(30)
        storm = await platforms.send_fault(channel, status=429, retry_after="0", every=2)

        record = await herald.deliver(channel, people)

        assert (await platforms.faults())[storm]["fired"] == 29
        assert await platforms.sends(channel) == 30 + 29
        assert outcomes(record) == {"sent": 30}
        assert {entry["details"]["attempts"] for entry in record["statusLogs"]} == {1}
        assert lies(record, await platforms.messages(channel)) == []

    async def test_one_tenant(self, pair: Platforms, two: Two, channel: str) -> None:
        """P06: a tenant that throttles slows nobody in another one."""
        held, free = pair.emails(15), pair.emails(15, 1)
        async with two(channel) as herald:
            tenant = (await pair.control("state", method="GET"))["teams" if channel == MSTEAMS else "slack"]
            first = tenant["tenants" if channel == MSTEAMS else "workspaces"][0]["id"]
            storm = await pair.send_fault(channel, tenant=first, status=429, retry_after="1")
            request = await herald.notify(channel, [*held, *free])

            there = await herald.until(request, lambda record: len(record["statusLogs"]) >= len(free))
            await pair.fired(storm)
            refused = (await pair.faults())[storm]["fired"]
            others = await pair.sends(channel) - refused
            await pair.heal(storm)
            record = await herald.final(request)

        assert {entry["originalId"] for entry in there["statusLogs"]} == set(free)
        assert refused > 0
        assert others == len(free)
        assert outcomes(record) == {"sent": 30}
        assert {entry["details"]["attempts"] for entry in record["statusLogs"]} == {1}
        assert lies(record, await pair.messages(channel)) == []

    async def test_look_ups(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """A 429 or an error of a look-up delays the people it was about, and nobody is called unknown for it."""
        people = platforms.emails(10)
        if channel == MSTEAMS:
            await platforms.fault(platform="graph", operation="batch", status=429, retry_after="1", times=1)
        else:
            for operation in ("users.lookupByEmail", "users.list"):
                await platforms.fault(platform="slack", operation=operation, status=429, retry_after="1", times=1)

        record = await herald.deliver(channel, people)

        assert outcomes(record) == {"sent": 10}
        assert lies(record, await platforms.messages(channel)) == []

    async def test_openings(self, herald: Herald, platforms: Platforms) -> None:
        """Creating a conversation may be repeated: its throttling, errors and torn answers cost nobody the message."""
        people = platforms.emails(8)
        faults: list[Json] = [
            {"status": 429, "retry_after": "1"},
            {"status": 502, "body": ""},
            {"status": 502, "body": "", "stored": True},
            {"drop": "before"},
            {"drop": "mid_answer"},
            {"status": 201, "body": "{}", "stored": True},
        ]
        for person, fault in zip(people, faults, strict=False):
            await platforms.fault(platform="connector", operation="create", person=person, times=1, **fault)

        record = await herald.deliver(MSTEAMS, people)

        assert outcomes(record) == {"sent": 8}
        assert lies(record, await platforms.messages(MSTEAMS)) == []
