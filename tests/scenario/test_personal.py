"""A word for each person: placeholders, messages of one's own, and what status and rehearsal say about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.harness.herald import Herald, Json, text_body, v2_body
from tests.harness.oracle import outcomes, person_of, reasons, text_of
from tests.harness.platforms import MSTEAMS, SLACK, Platforms

CARD: Json = {
    "type": "message",
    "attachments": [
        {
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.0",
                "body": [{"type": "TextBlock", "text": "Hello {name}", "wrap": True}],
            },
        }
    ],
}
BLOCKS: Json = {"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "*Hello* {name}"}}]}


def plain(channel: str, said: str) -> str:
    """What stands in a mailbox for words that were sent literally."""
    escaped = said.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped if channel == SLACK else said


async def by_person(platforms: Platforms, channel: str) -> dict[str, list[Json]]:
    """What each person got, by e-mail."""
    got: dict[str, list[Json]] = {}
    for message in await platforms.messages(channel):
        got.setdefault(person_of(message), []).append(message)
    return got


def entries(record: Json) -> Mapping[str, Json]:
    """The entries of a record by identity; equal identities show their last."""
    return {entry["originalId"]: entry for entry in record["statusLogs"]}


class TestPlaceholders:
    async def test_c54_main_message(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-54: each person's values stand in the message; a name without one stays and is reported; one pass only."""
        ann, bob, eve = platforms.emails(3)
        content = {"type": "text", "value": "Hello {name}! Your number is {refId}."}
        people = [
            {"email": ann, "parameters": {"name": "Charlie", "refId": "XYZ-789"}},
            {"email": bob, "parameters": {"name": "{refId}", "refId": "UVW-012"}},
            {"email": eve, "parameters": {"name": "Eve"}},
        ]

        record = await herald.final(await herald.accept(v2_body(channel, content, people), "notifyV2"))

        got = await by_person(platforms, channel)
        assert {email: [text_of(each) for each in messages] for email, messages in got.items()} == {
            ann: ["Hello Charlie! Your number is XYZ-789."],
            bob: ["Hello {refId}! Your number is UVW-012."],
            eve: ["Hello Eve! Your number is {refId}."],
        }
        told = {email: entry["details"].get("warnings") for email, entry in entries(record).items()}
        assert told == {ann: None, bob: None, eve: ["{refId} has no value and stays as it is written"]}

    async def test_values_are_words(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """S11: a value shows itself: it mentions nobody and is no link."""
        values = ["<!channel> & <@U1>", "<https://evil.test|bank>", "[x](https://evil.test)", "<at>Ann</at>"]
        people = platforms.emails(len(values))
        named: list[Json] = [
            {"email": email, "parameters": {"name": value}} for email, value in zip(people, values, strict=True)
        ]
        content = {"type": "text", "value": "Hello {name}"}

        await herald.final(await herald.accept(v2_body(channel, content, named), "notifyV2"))

        said = {person_of(each): text_of(each) for each in await platforms.messages(channel)}
        assert said == {email: plain(channel, f"Hello {value}") for email, value in zip(people, values, strict=True)}

    async def test_v1(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """The same in v1 by `options.parameters`; without them braces are words like all others."""
        ann, bob = platforms.emails(2)
        options = {"parameters": {ann.upper(): {"name": "Ann"}}}
        await herald.final(await herald.accept(text_body(channel, [ann, bob], "Hi {name}", options=options)))
        record = await herald.deliver(channel, [bob], "Hi {name}")

        got = await by_person(platforms, channel)
        assert [text_of(each) for each in got[ann]] == ["Hi Ann"]
        assert [text_of(each) for each in got[bob]] == ["Hi {name}", "Hi {name}"]
        assert "warnings" not in record["statusLogs"][0]["details"]

    async def test_c55_card(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-55: in a payload string values change, and neither quotes nor braces of a value can break it."""
        [ann] = platforms.emails(1)
        content = {"type": "template", "value": CARD if channel == MSTEAMS else BLOCKS}
        people = [{"email": ann, "parameters": {"name": 'A"}],"x":[{"'}}]

        await herald.final(await herald.accept(v2_body(channel, content, people), "notifyV2"))

        [message] = await platforms.messages(channel)
        body = message["body"]
        if channel == MSTEAMS:
            [shown] = body["attachments"][0]["content"]["body"]
            assert shown["text"].startswith("Hello A")
            assert shown["wrap"] is True
        else:
            assert body["blocks"][0]["text"]["text"] == '*Hello* A"}],"x":[{"'

    async def test_markup(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """In markup the author's words work and a person's values do not."""
        [ann] = platforms.emails(1)
        bold = "**Dear**" if channel == MSTEAMS else "*Dear*"
        options = {"format": "markup", "parameters": {ann: {"name": "<!here>"}}}

        await herald.final(await herald.accept(text_body(channel, [ann], f"{bold} {{name}}", options=options)))

        [message] = await platforms.messages(channel)
        assert text_of(message).startswith(f"{bold} ")
        assert "<!here>" not in text_of(message)


class TestOwnMessage:
    @pytest.mark.parametrize("kind", ["text", "template", "script"])
    async def test_c56_replaces(self, herald: Herald, platforms: Platforms, channel: str, kind: str) -> None:
        """C-56: a message of one's own replaces text, template and script, for its recipient alone."""
        ann, bob = platforms.emails(2)
        people: list[Json] = [
            {"email": ann, "customMessage": "Hi {who}", "parameters": {"who": "Ann"}},
            {"email": bob},
        ]
        value = {"text": "Hi all", "template": {"text": "Hi all"}, "script": "print('Hi all')"}[kind]

        record = await herald.final(
            await herald.accept(v2_body(channel, {"type": kind, "value": value}, people), "notifyV2")
        )

        assert reasons(record) == {}
        got = await by_person(platforms, channel)
        assert (text_of(got[ann][0]), text_of(got[bob][0])) == ("Hi Ann", "Hi all")

    async def test_c57_duplicates(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-57: one e-mail gets two different messages, and the same one only once, whatever made it the same."""
        [ann] = platforms.emails(1)
        people: list[Json] = [
            {"email": ann, "customMessage": "Hi John"},
            {"email": ann},
            {"email": ann, "parameters": {"name": "John"}},
            {"email": ann.upper(), "parameters": {"name": "Jane", "unused": "x"}},
            {"email": ann, "parameters": {"name": "Jane"}},
        ]
        content = {"type": "text", "value": "Hi {name}"}

        record = await herald.final(await herald.accept(v2_body(channel, content, people), "notifyV2"))

        assert sorted(map(text_of, await platforms.messages(channel))) == ["Hi Jane", "Hi John", "Hi {name}"]
        assert outcomes(record) == {"sent": 5}
        assert sum("duplicateOf" in entry["details"] for entry in record["statusLogs"]) == 2

    async def test_c61_status(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-61: both status routes answer for both kinds, with v1's fields."""
        [ann] = platforms.emails(1)
        first = await herald.accept(v2_body(channel, {"type": "text", "value": "Hi"}, [{"email": ann}]), "notifyV2")
        second = await herald.notify(channel, [ann])
        await herald.final(first)
        await herald.final(second)

        for request in (first, second):
            record = await herald.status(request)
            assert await herald.status(request, "notifyV2") == record
            assert {"statusLogs", "count", "status", "streamId", "percentageComplete", "_id"} <= set(record)


class TestTooLarge:
    async def test_for_one(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-48: values that take a message over the limit fail their person alone, with the limit and the size."""
        ann, bob = platforms.emails(2)
        room = 40_000 if channel == SLACK else 40_960
        said = "x" * (room - 250) + "{a}{b}"
        long = {"a": "y" * 200, "b": "y" * 200}
        people = [{"email": ann, "parameters": long}, {"email": bob, "parameters": {"a": "y", "b": "y"}}]
        content: Any = {"type": "text", "value": said}

        record = await herald.final(await herald.accept(v2_body(channel, content, people), "notifyV2"))

        assert reasons(record) == {ann: "message_too_large"}
        failed = entries(record)[ann]
        assert failed["status"] == "FAILURE"
        assert "at most" in failed["details"]["remedy"]
        assert [person_of(each) for each in await platforms.messages(channel)] == [bob]


class TestRehearsed:
    async def test_dry_run(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """A dry run shows a sample and names each placeholder without a value; nobody gets anything."""
        ann, bob = platforms.emails(2)
        people: list[Json] = [{"email": ann, "parameters": {"name": "Ann"}}, {"email": bob}]
        body = v2_body(channel, {"type": "text", "value": "Hi {name}"}, people)

        status, answer = await herald.post(body, "notifyV2?dryRun=true")

        assert status == 200, answer
        assert answer["details"]["sample"]["text"] == "Hi Ann"
        told = [entry["details"].get("warnings") for entry in answer["statusLogs"]]
        assert told == [None, ["{name} has no value and stays as it is written"]]
        assert await platforms.messages(channel) == []

    async def test_preview(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """A preview shows each identity's own payload and its size in the platform's count."""
        ann, bob = platforms.emails(2)
        people: list[Json] = [{"email": ann, "parameters": {"name": "Ann"}}, {"email": bob}]

        status, answer = await herald.post(v2_body(channel, {"type": "text", "value": "Hi {name}"}, people), "preview")

        assert status == 200, answer
        shown = answer["previews"]
        assert [(each["originalId"], each["payload"]["text"]) for each in shown] == [
            (ann, "Hi Ann"),
            (bob, "Hi {name}"),
        ]
        assert shown[1]["warnings"] == ["{name} has no value and stays as it is written"]
        assert 0 < shown[0]["size"]["bytes" if channel == MSTEAMS else "characters"] < shown[0]["size"]["limit"]
        assert await platforms.messages(channel) == []

    async def test_preview_on_both(self, herald: Herald, platforms: Platforms) -> None:
        """Without a channel one source is shown on both, and a channel that would refuse it says why."""
        [ann] = platforms.emails(1)
        template = {"type": "template", "payload": {"template_type": "button", "text": "Done?", "buttons": [
            {"type": "postback", "title": "Yes", "payload": "yes"}]}}  # fmt: skip
        both = v2_body(MSTEAMS, {"type": "template", "value": template}, [{"email": ann}])
        one = v2_body(MSTEAMS, {"type": "template", "value": {"blocks": BLOCKS["blocks"]}}, [{"email": ann}])
        del both["channel"], one["channel"]

        _, shown = await herald.post(both, "preview")
        _, partly = await herald.post(one, "preview")

        assert [each["channel"] for each in shown["previews"]] == [MSTEAMS, SLACK]
        assert [each["channel"] for each in partly["previews"]] == [SLACK]
        assert "shows nothing" in partly["refused"][MSTEAMS][0]
