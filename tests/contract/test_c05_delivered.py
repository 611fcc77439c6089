"""C-05, C-13 … C-22, C-25 … C-30, C-33: what a caller sees of requests that are really delivered."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Iterable

import pytest

from tests.contract.samples import CARD, TEXT, THREE
from tests.harness.herald import Herald, Json
from tests.harness.oracle import lies, outcomes, reasons, text_of
from tests.harness.platforms import MSTEAMS, SLACK, Platforms, simulated
from tests.scenario.conftest import Starting

NOT_ASSOCIATED = "'Identity is not associated with the channel'"
SENT = "Notification has been sent successfully"
UNKNOWN = "nobody@contoso.example"
RECIPIENT = {"koreId", "channelId", "messagestoreId"}


async def hire(platforms: Platforms, channel: str, emails: Iterable[str]) -> None:
    """People with these addresses, who have the app."""
    for email in emails:
        where = "teams/people" if channel == MSTEAMS else "slack/people"
        await platforms.control(where, {"email": email})
    if channel == MSTEAMS:
        await platforms.teams_setup_policy()


def as_channel(sample: bytes, channel: str) -> Json:
    """A published body for either channel."""
    body: Json = json.loads(sample)
    return {**body, "channel": channel}


class TestSamples:
    async def test_c05_three(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-05: the published sample with three identities is delivered three times."""
        body = as_channel(THREE, channel)
        await hire(platforms, channel, body["identities"])

        record = await herald.final(await herald.accept(body))

        messages = await platforms.messages(channel)
        assert [text_of(each) for each in messages] == ["hello"] * 3
        assert lies(record, messages) == []

    async def test_text_sample(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-01, C-13: the published text sample arrives as it is written."""
        body = as_channel(TEXT, channel)
        await hire(platforms, channel, body["identities"])

        record = await herald.final(await herald.accept(body))

        assert record["status"] == "SUCCESS"
        assert [text_of(each) for each in await platforms.messages(channel)] == ["Please reset your password."]

    async def test_c33_card(self, herald: Herald, platforms: Platforms) -> None:
        """C-33: the published stringified activity, sent to the byte, arrives as a card."""
        sent = json.loads(CARD)
        await hire(platforms, MSTEAMS, sent["identities"])

        record = await herald.final(await herald.accept(CARD))

        messages = await platforms.messages(MSTEAMS)
        assert reasons(record) == {}
        assert len(messages) == 2
        for message in messages:
            assert message["body"]["attachments"] == json.loads(sent["message"]["val"])["attachments"]
            assert message["body"]["type"] == "message"

    @pytest.mark.parametrize("text", ["<!channel> & <@U1> *bold*", "Grüße, 世界 🎉\nsecond line", "<at>all</at>"])
    async def test_c47_literal(self, herald: Herald, platforms: Platforms, channel: str, text: str) -> None:
        """C-47: text arrives literally, whatever it looks like."""
        record = await herald.deliver(channel, platforms.emails(2), text)

        shown = [
            text_of(each).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
            if channel == SLACK
            else text_of(each)
            for each in await platforms.messages(channel)
        ]
        assert record["status"] == "SUCCESS"
        assert shown == [text] * 2
        body = (await platforms.messages(channel))[0]["body"]
        assert channel == SLACK or body["textFormat"] == "plain"
        assert channel == MSTEAMS or ("<!" not in body["text"] and "<@" not in body["text"])


class TestStatus:
    async def test_c13_success(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-13, C-16, C-18, C-19: all delivered is SUCCESS at 100 %, each entry with its comment and its three ids."""
        people = platforms.emails(3)

        record = await herald.deliver(channel, people)

        assert (record["status"], record["percentageComplete"], record["count"]) == ("SUCCESS", 100, 3)
        assert {entry["originalId"] for entry in record["statusLogs"]} == set(people)
        for entry in record["statusLogs"]:
            [message] = await platforms.messages(channel, email=entry["originalId"])
            assert entry["comments"] == SENT
            assert entry.keys() >= RECIPIENT
            assert entry["koreId"].startswith("u-")
            assert entry["messagestoreId"].startswith("ms-")
            if channel == SLACK:
                assert entry["channelId"] == message["user_id"]
            else:
                chat = await platforms.teams_chat(entry["originalId"])
                assert entry["channelId"] in (chat["user_id"], chat["aad_object_id"])

    async def test_c19_captured(self, herald: Herald, platforms: Platforms) -> None:
        """C-19: where the app's events have taught the `29:` id of a person, `channelId` is that id."""
        people = platforms.emails(2)
        await platforms.teams_install(people)
        await herald.idle()

        record = await herald.deliver(MSTEAMS, people)

        for entry in record["statusLogs"]:
            assert entry["channelId"].startswith("29:")
            assert entry["channelId"] == (await platforms.teams_chat(entry["originalId"]))["user_id"]

    async def test_c14_failure(self, herald: Herald, channel: str) -> None:
        """C-14, C-17, C-18: nobody delivered is FAILURE, with Kore's comment in its quotes and none of the ids."""
        record = await herald.deliver(channel, [UNKNOWN, "somebody.else@contoso.example"])

        assert (record["status"], record["percentageComplete"], record["count"]) == ("FAILURE", 100, 2)
        for entry in record["statusLogs"]:
            assert (entry["status"], entry["comments"]) == ("FAILURE", NOT_ASSOCIATED)
            assert not RECIPIENT & entry.keys()

    async def test_c15_mixed(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-15, C-19: a mixed result is PARTIAL_SUCCESS; `originalId` is what the caller wrote, to the byte."""
        written = f"  {platforms.emails(1)[0].upper()} "

        record = await herald.deliver(channel, [written, UNKNOWN])

        assert record["status"] == "PARTIAL_SUCCESS"
        assert {entry["originalId"]: entry["status"] for entry in record["statusLogs"]} == {
            written: "SUCCESS",
            UNKNOWN: "FAILURE",
        }

    async def test_c20_while_running(self, platforms: Platforms, starting: Starting, channel: str) -> None:
        """C-20, C-21: a running request shows final entries in one growing order; `lMod` moves, `createdOn` stays."""
        pace = {"teams_requests_per_second": 20.0, "slack_posts_per_second": 20.0, "slack_burst": 1}
        records: list[Json] = []
        await platforms.teams_setup_policy()
        async with starting(platforms, pace=pace) as herald:
            _, answer = await herald.post(
                {
                    "channel": channel,
                    "userIdentityType": "resolve",
                    "message": {"type": "text", "val": "One after the other"},
                    "identities": [*platforms.emails(40), UNKNOWN],
                }
            )

            def keep(record: Json) -> bool:
                records.append(record)
                return str(record["status"]) != "IN_PROGRESS"

            await herald.until(answer["_id"], keep)

        percentages = [record["percentageComplete"] for record in records]
        assert len(set(percentages)) > 4
        assert percentages == sorted(percentages)
        assert [record["status"] for record in records if record["percentageComplete"] == 100] == ["PARTIAL_SUCCESS"]
        for earlier, later in itertools.pairwise(records):
            ids = [entry["_id"] for entry in earlier["statusLogs"]]
            assert [entry["_id"] for entry in later["statusLogs"]][: len(ids)] == ids
        for record in records:
            assert {entry["status"] for entry in record["statusLogs"]} <= {"SUCCESS", "FAILURE"}
            assert record["count"] == len(record["statusLogs"])
            assert record["createdOn"] == answer["createdOn"]
        assert records[-1]["lMod"] > answer["lMod"]
        assert all(re.fullmatch(r".*\.000Z", record["lMod"]) for record in records)

    @pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
    async def test_c26_deadline(self, platforms: Platforms, starting: Starting, channel: str) -> None:
        """C-26: what cannot be sent before the deadline is a failure that says so, and closes the request."""
        people = platforms.emails(5)
        await platforms.teams_setup_policy()
        await platforms.send_fault(channel, person=people[0], status=429, retry_after="600")
        async with starting(platforms, delivery={"deadline_hours": 0.0005}) as herald:
            record = await herald.deliver(channel, people)

        assert outcomes(record)["skipped"] >= 1
        assert {entry["comments"] for entry in record["statusLogs"] if entry["status"] == "FAILURE"} == {
            "Notification was not sent before its deadline"
        }
        assert lies(record, await platforms.messages(channel)) == []


class TestDuplicates:
    async def test_c27_one_message(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-27: one address in several spellings gives one message, and each spelling its entry."""
        first = platforms.emails(1)[0]
        spellings = [first, f" {first.upper()} ", first.title()]

        record = await herald.deliver(channel, [*spellings, UNKNOWN, UNKNOWN.upper()])

        entries = {entry["originalId"]: entry for entry in record["statusLogs"]}
        assert record["status"] == "PARTIAL_SUCCESS"
        assert {entries[spelling]["status"] for spelling in spellings} == {"SUCCESS"}
        assert {entries[spelling]["details"].get("duplicateOf") for spelling in spellings[1:]} == {
            entries[first]["_id"]
        }
        assert len({entries[spelling]["messagestoreId"] for spelling in spellings}) == 1
        assert entries[UNKNOWN.upper()]["details"]["duplicateOf"] == entries[UNKNOWN]["_id"]
        assert entries[UNKNOWN.upper()]["comments"] == NOT_ASSOCIATED
        assert lies(record, await platforms.messages(channel)) == []


class TestNotResolved:
    async def test_c28_teams(self, herald: Herald, platforms: Platforms) -> None:
        """C-28: on Teams `29:…` ids and object ids are used as they are, and no directory is asked."""
        people = platforms.emails(4)
        chats = [await platforms.teams_chat(person) for person in people]
        ids = [chats[0]["user_id"], chats[1]["aad_object_id"], chats[2]["user_id"], chats[3]["aad_object_id"]]

        record = await herald.deliver(MSTEAMS, ids, userIdentityType="donotresolve")

        aliases = dict(zip(ids, people, strict=True))
        assert reasons(record) == {}
        assert lies(record, await platforms.messages(MSTEAMS), aliases=aliases) == []
        assert {entry["originalId"]: entry["channelId"] for entry in record["statusLogs"]} == {
            each: each for each in ids
        }
        assert await platforms.calls("graph") == 0
        assert await platforms.calls("connector", "member", "members", "paged_members") == 0

    async def test_c28_slack(self, herald: Herald, platforms: Platforms) -> None:
        """C-28: on Slack `U…` ids are used as they are, and nobody is looked up."""
        people = platforms.emails(3)
        ids = {(await platforms.slack_user(person))["id"]: person for person in people}

        record = await herald.deliver(SLACK, list(ids), userIdentityType="donotresolve")

        assert lies(record, await platforms.messages(SLACK), aliases=ids) == []
        assert reasons(record) == {}
        assert await platforms.calls("slack", "users.info", "users.lookupByEmail") == 0
        sources = {step["source"] for entry in record["statusLogs"] for step in entry["details"]["trace"]}
        assert sources <= {"caller", "installations", "reference"}  # the mirror may be read meanwhile, not for this

    async def test_c28_org(self, starting: Starting) -> None:
        """C-28: so are the `W…` ids of an Enterprise org."""
        async with simulated(workspaces=1, enterprise=True, people=5) as org, starting(org) as herald:
            people = org.emails(3)
            ids = {(await org.slack_user(person))["id"]: person for person in people}

            record = await herald.deliver(SLACK, list(ids), userIdentityType="donotresolve")

            assert all(each.startswith("W") for each in ids)
            assert lies(record, await org.messages(SLACK), aliases=ids) == []
            assert reasons(record) == {}

    async def test_c29_exact(self, herald: Herald, platforms: Platforms) -> None:
        """C-29: ids that differ in case are two recipients, and an id of a wrong shape fails alone."""
        chat = await platforms.teams_chat(platforms.emails(1)[0])
        known, swapped = chat["user_id"], chat["user_id"].swapcase()

        record = await herald.deliver(
            MSTEAMS, [known, f" {known}", swapped, "somebody@contoso.example"], userIdentityType="donotresolve"
        )

        entries = {entry["originalId"]: entry for entry in record["statusLogs"]}
        assert [entries[each]["status"] for each in (known, f" {known}", swapped)] == ["SUCCESS", "SUCCESS", "FAILURE"]
        assert entries[f" {known}"]["details"]["duplicateOf"] == entries[known]["_id"]
        assert "duplicateOf" not in entries[swapped]["details"]
        details = entries["somebody@contoso.example"]["details"]
        assert (details["reason"], details["who"]) == ("identity_invalid", "sender")
        assert "userIdentityType resolve" in details["remedy"]
        assert len(await platforms.messages(MSTEAMS)) == 1

    @pytest.mark.parametrize("wrong", ["29:", "u12345", "C0GENERAL", "W", "<@U123>", "U12 34", "29:1abc\n"])
    async def test_c29_shape(self, herald: Herald, platforms: Platforms, channel: str, wrong: str) -> None:
        """C-29: what is no person's id of the channel never reaches the platform."""
        record = await herald.deliver(channel, [wrong], userIdentityType="donotresolve")

        assert record["status"] == "FAILURE"
        assert await platforms.sends(channel) == 0


class TestSideBySide:
    async def test_status_while_sending(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-20: any number of callers may watch one request, and all see the same end."""
        request = await herald.notify(channel, platforms.emails(20))

        records = await asyncio.gather(*(herald.final(request) for _ in range(5)))

        assert all(record["statusLogs"] == records[0]["statusLogs"] for record in records)
