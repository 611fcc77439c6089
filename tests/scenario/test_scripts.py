"""Scripts: Kore's own, what they see, and what becomes of those that fail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.contract import samples
from tests.harness.herald import Herald, Json, v2_body
from tests.harness.oracle import person_of, reasons, text_of
from tests.harness.platforms import MSTEAMS, SLACK, Platforms


def script(channel: str, source: str, identities: list[str], **more: Any) -> Json:
    """A body of the v1 send call."""
    message = {"type": "script", "val": source}
    return {"channel": channel, "userIdentityType": "resolve", "message": message, "identities": identities, **more}


async def texts(platforms: Platforms, channel: str) -> Mapping[str, str]:
    """What each person reads; nobody has two messages."""
    messages = await platforms.messages(channel)
    got = {person_of(message): text_of(message) for message in messages}
    assert len(got) == len(messages)
    return got


async def one(herald: Herald, platforms: Platforms, channel: str, source: str) -> str:
    """What a script prints for one person."""
    [ann] = platforms.emails(1)
    record = await herald.final(await herald.accept(script(channel, source, [ann])))
    assert reasons(record) == {}
    return (await texts(platforms, channel))[ann]


def details(record: Json) -> Mapping[str, Json]:
    """The details of each identity's entry."""
    return {entry["originalId"]: entry["details"] for entry in record["statusLogs"]}


class TestPublished:
    async def test_c31_example(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-31: Kore's Example 2 gives the documented sentence, with the name of the request's channel."""
        said = await one(herald, platforms, channel, json.loads(samples.SCRIPT)["val"])

        assert said == f"Hi John message is from {channel} channel"

    async def test_c32_quality_assurance(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-32: the script that Kore's own tests send."""
        source = json.loads(samples.QA_SCRIPT)["val"]

        assert await one(herald, platforms, channel, source) == "Enterprise Plan JS"


class TestOutput:
    @pytest.mark.parametrize(
        ("source", "said"),
        [
            ("print('a'); print('b', 1)", "ab1"),
            ("print('Lunch is ready')", "Lunch is ready"),
            ('print(\' {"text": "hi"}\\n\')', "hi"),
            ("print({text: 'hi'})", "hi"),
            ("print('[1]')", "[1]"),
            ("print(5)", "5"),
            ("print('\"x\"')", '"x"'),
            ("let a = [1, 2]; const b = {}; for (const n of a) print(`${n}${b?.c ?? '-'}`)", "1-2-"),
        ],
        ids=["C-34", "C-35", "C-36", "object", "C-37-list", "C-37-number", "C-37-text", "C-38"],
    )
    async def test_forms(self, herald: Herald, platforms: Platforms, channel: str, source: str, said: str) -> None:
        """C-34 … C-38: prints are joined, an object is a payload, anything else is text, and the language is new."""
        assert await one(herald, platforms, channel, source) == said

    async def test_c37_source(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-37: as a source, JSON that is no object is JavaScript, which prints nothing here."""
        people = platforms.emails(1)
        for source in ("[1]", "5", '"text"'):
            record = await herald.final(await herald.accept(script(channel, source, people)))
            assert reasons(record) == {people[0]: "script_failed"}

        assert await platforms.messages(channel) == []

    async def test_c46_slack(self, herald: Herald, platforms: Platforms) -> None:
        """C-46: attachments get a fallback, blocks pass as they are, and what addresses is refused."""
        [ann] = platforms.emails(1)
        blocks = '{blocks: [{type: "section", text: {type: "plain_text", text: "hi"}}]}'
        attachment = "{attachments: [{text: 'Exception occurred', color: '#FFCC00'}]}"
        for source in (f"print({attachment})", f"print({blocks})"):
            assert reasons(await herald.final(await herald.accept(script(SLACK, source, [ann])))) == {}
        refused = await herald.final(await herald.accept(script(SLACK, "print({text: 'x', channel: 'C1'})", [ann])))

        first, second = [message["body"] for message in await platforms.messages(SLACK)]
        assert first["attachments"][0]["fallback"] == "Exception occurred"
        assert second["blocks"][0]["text"]["text"] == "hi"
        assert reasons(refused) == {ann: "message_invalid"}
        assert "channel: is set by Herald" in details(refused)[ann]["remedy"]


class TestContext:
    async def test_c39_occasion(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-39: the channel stands in both places where scripts look for it."""
        source = """const its = context.session.BotUserSession;
            const { channel, messagePayload } = its.lastMessage;
            print([channel, JSON.stringify(messagePayload), its.channels[0].type].join())"""

        assert await one(herald, platforms, channel, source) == f"{channel},{{}},{channel}"

    async def test_c40_person(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-40: everybody sees their own address, name and parameters, and the id that the status has."""
        ann, bob = platforms.emails(2)
        source = """const user = context.session.UserContext;
            print([user.emailId, user.firstName !== "", user.customData.n, user._id].join())"""
        people = [{"email": ann, "parameters": {"n": "1"}}, {"email": bob, "parameters": {"n": "2"}}]

        record = await herald.final(
            await herald.accept(v2_body(channel, {"type": "script", "value": source}, people), "notifyV2")
        )

        ids = {entry["originalId"]: entry["koreId"] for entry in record["statusLogs"]}
        assert await texts(platforms, channel) == {ann: f"{ann},true,1,{ids[ann]}", bob: f"{bob},true,2,{ids[bob]}"}


class TestFailures:
    async def test_c41_one(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-41: the one for whom it throws fails alone, with the error and its place; the log is shown with each."""
        ann, bob = platforms.emails(2)
        source = f"""koreDebugger.log("asked");
if (context.session.UserContext.emailId === "{ann}") throw new Error("no such month");
print("hi")"""

        record = await herald.final(await herald.accept(script(channel, source, [ann, bob])))

        assert await texts(platforms, channel) == {bob: "hi"}
        failed = details(record)[ann]
        assert (failed["reason"], failed["code"], failed["who"]) == ("script_failed", "thrown", "sender")
        assert "Error: no such month (line 2, column" in failed["remedy"]
        assert [each["scriptLog"] for each in details(record).values()] == [["asked"]] * 2

    @pytest.mark.parametrize(
        ("source", "code", "says"),
        [
            ("let x = ;", "syntax", "SyntaxError"),
            ("let x = 1", "silent", "printed nothing"),
            ("for (;;) {}", "time", "processor time"),
            ("koreUtil.x()", "thrown", "koreUtil is not defined"),
            ("fetch('x')", "thrown", "fetch is not defined"),
            ("require('fs')", "thrown", "require is not defined"),
            ("process.exit()", "thrown", "process is not defined"),
        ],
        ids=["C-42", "C-43", "C-44", "C-45-koreUtil", "C-45-fetch", "C-45-require", "C-45-process"],
    )
    async def test_all(
        self, herald: Herald, platforms: Platforms, channel: str, source: str, code: str, says: str
    ) -> None:
        """C-42 … C-45, S10: what fails for everybody says what to mend; nobody gets the source, others are served."""
        ann, bob, eve = platforms.emails(3)
        request = await herald.accept(script(channel, source, [ann, bob]))
        await herald.deliver(channel, [eve], "Hello")

        failed = details(await herald.final(request))
        assert {each["code"] for each in failed.values()} == {code}
        assert all(says in each["remedy"] for each in failed.values())
        assert await texts(platforms, channel) == {eve: "Hello"}

    async def test_c48_large_output(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-48: an output of the platform's limit is sent, one character more fails its person alone."""
        ann, bob = platforms.emails(2)
        most = 40_000 if channel == SLACK else (81_920 - 98) // 2  # beside the text there is the activity
        source = f'print("x".repeat({most} + (context.session.UserContext.emailId === "{ann}" ? 1 : 0)))'

        record = await herald.final(await herald.accept(script(channel, source, [ann, bob])))

        assert reasons(record) == {ann: "message_too_large"}
        assert {person: len(said) for person, said in (await texts(platforms, channel)).items()} == {bob: most}


class TestVersion2:
    async def test_c59_script(self, herald: Herald, platforms: Platforms) -> None:
        """C-59: a script in version 2 is that of version 1; text that it prints is markup where the options say so."""
        [ann] = platforms.emails(1)
        content = {"type": "script", "value": "print('<https://x.example|Hi> {name}')"}
        people = [{"email": ann, "parameters": {"name": "Ann"}}]

        body = v2_body(SLACK, content, people, options={"format": "markup"})
        await herald.final(await herald.accept(body, "notifyV2"))

        [message] = await platforms.messages(SLACK)
        assert text_of(message) == "<https://x.example|Hi> {name}"

    async def test_payload(self, herald: Herald, platforms: Platforms) -> None:
        """C-59: an object as a script is the payload, and its placeholders are filled."""
        [ann] = platforms.emails(1)
        people = [{"email": ann, "parameters": {"name": "Ann"}}]

        await herald.final(
            await herald.accept(
                v2_body(MSTEAMS, {"type": "script", "value": {"text": "Hi {name}"}}, people), "notifyV2"
            )
        )

        assert await texts(platforms, MSTEAMS) == {ann: "Hi Ann"}
