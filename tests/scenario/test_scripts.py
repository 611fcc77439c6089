"""Script messages from the POST to the mailbox: what they print arrives, and what they do wrong costs nobody else."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.contract import samples
from tests.harness.herald import Herald, Json, text_body, v2_body
from tests.harness.oracle import outcomes, person_of, reasons, text_of
from tests.harness.platforms import CHANNELS, MSTEAMS, SLACK, Platforms


def script_body(channel: str, people: list[str], source: str, **more: Any) -> Json:
    """A v1 body with a script."""
    return text_body(channel, people, **more) | {"message": {"type": "script", "val": source}}


async def scripted(herald: Herald, channel: str, people: list[str], source: str, **more: Any) -> Json:
    """The final record of a script for these people."""
    return await herald.final(await herald.accept(script_body(channel, people, source, **more)))


async def all_scripted(herald: Herald, channel: str, people: list[str], sources: Iterable[str]) -> list[Json]:
    """The final records of as many scripts as people, each for one of them, all at once."""
    bodies = [script_body(channel, [person], source) for person, source in zip(people, sources, strict=True)]
    requests = [await herald.accept(body) for body in bodies]
    return [await herald.final(request) for request in requests]


def details(record: Json) -> list[Json]:
    """The details of every entry."""
    return [entry["details"] for entry in record["statusLogs"]]


class TestOutput:
    async def test_c31_example_2(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-31, C-39: Kore's Example 2 gives the documented sentence."""
        source = json.loads(samples.SCRIPT)["val"]

        record = await scripted(herald, channel, platforms.emails(3), source)

        assert outcomes(record) == {"sent": 3}
        said = [text_of(each) for each in await platforms.messages(channel)]
        assert said == [f"Hi John message is from {channel} channel"] * 3

    async def test_c32_qa(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-32: so does the script of Kore's own tests."""
        await scripted(herald, channel, platforms.emails(1), json.loads(samples.QA_SCRIPT)["val"])

        assert [text_of(each) for each in await platforms.messages(channel)] == ["Enterprise Plan JS"]

    async def test_c33_activity_as_text(self, herald: Herald, platforms: Platforms) -> None:
        """C-33: the documented activity as JSON text arrives as a card."""
        body = json.loads(samples.CARD) | {"identities": platforms.emails(1)}

        await herald.final(await herald.accept(body))

        [message] = await platforms.messages(MSTEAMS)
        assert message["body"]["attachments"][0]["content"]["body"][0]["type"] == "ColumnSet"

    async def test_rules(self, herald: Herald, platforms: Platforms) -> None:
        """C-34 … C-38: prints are joined, an object is the payload and anything else is text."""
        printed = {
            "print('a'); print(1); print({b: 2})": 'a1{"b":2}',
            "print('Just a sentence.')": "Just a sentence.",
            'print(\'\\n  {"text": "spaced"}  \\n\')': "spaced",
            "print('[1]')": "[1]",
            "print(42)": "42",
            "print('{not json}')": "{not json}",
            "let o = {}; let s = ''; for (const x of [1, 2]) s += `${x}`; print(s + (o?.a?.c ?? 'none'))": "12none",
            "const main = async () => { const x = await Promise.resolve('later'); print(x) }; main()": "later",
        }
        people = platforms.emails(len(printed))

        records = await all_scripted(herald, SLACK, people, printed)

        assert [reasons(record) for record in records] == [{}] * len(printed)
        said = {person_of(each): text_of(each) for each in await platforms.messages(SLACK)}
        assert said == dict(zip(people, printed.values(), strict=True))

    async def test_c40_own_context(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-40: each person's script sees that person: e-mail, name, ids and parameters."""
        ann, bob = platforms.emails(2)
        await herald.deliver(channel, [ann, bob])
        source = (
            "const u = context.session.UserContext; "
            "print([u.emailId, u.firstName !== '', u.customData.plan ?? '-', context.session.opts.userId].join(' '))"
        )

        record = await scripted(
            herald, channel, [ann, bob], source, options={"parameters": {ann: {"plan": "gold"}}}
        )  # fmt: skip

        told = {person_of(each): text_of(each).split() for each in (await platforms.messages(channel))[2:]}
        kore = {entry["originalId"]: entry["koreId"] for entry in record["statusLogs"]}
        assert told == {
            ann: [ann, "true", "gold", kore[ann]],
            bob: [bob, "true", "-", kore[bob]],
        }

    async def test_markup(self, herald: Herald, platforms: Platforms) -> None:
        """What a script prints as text is literal, or markup where the caller says so."""
        people = platforms.emails(1)
        await scripted(herald, SLACK, people, "print('<!here> *b*')")
        await scripted(herald, SLACK, people, "print('<!here> *b*')", options={"format": "markup"})

        assert [text_of(each) for each in await platforms.messages(SLACK)] == ["&lt;!here&gt; *b*", "<!here> *b*"]

    async def test_template(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """A script may print a template of Kore's SDK."""
        source = (
            "print(JSON.stringify({type: 'template', payload: {template_type: 'quick_replies', text: 'Well?', "
            "quick_replies: [{title: 'Yes', payload: 'yes'}]}}))"
        )

        record = await scripted(herald, channel, platforms.emails(1), source)

        assert reasons(record) == {}
        [message] = await platforms.messages(channel)
        assert "attachments" in message["body"] if channel == MSTEAMS else message["body"]["blocks"]


class TestFailures:
    async def test_c41_one_of_many(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-41: a script that throws for one person fails that one, with its error, line and column."""
        people = platforms.emails(5)
        source = f"const me = context.session.UserContext.emailId;\nif (me === '{people[2]}') nobody.name;\nprint('Hi')"

        record = await scripted(herald, channel, people, source)

        assert reasons(record) == {people[2]: "script_failed"}
        [failed] = [entry for entry in record["statusLogs"] if entry["status"] == "FAILURE"]
        assert failed["comments"] == "The script failed for this recipient"
        assert failed["details"]["remedy"].startswith(
            "Correct the script: ReferenceError: nobody is not defined (line 2"
        )
        assert failed["details"]["code"] == "thrown"
        assert len(await platforms.messages(channel)) == 4

    async def test_c42_syntax(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-42: a syntax error fails everybody with its place; the source is never delivered."""
        record = await scripted(herald, channel, platforms.emails(40), "print('a';\nlet = 5")

        assert outcomes(record) == {"refused": 40}
        assert {entry["code"] for entry in details(record)} == {"syntax"}
        assert all("line 1" in entry["remedy"] for entry in details(record))
        assert await platforms.messages(channel) == []

    async def test_c43_c44(self, herald: Herald, platforms: Platforms) -> None:
        """C-43, C-44: no output, too much of it, and no end are failures; what follows is not held up."""
        failing = {
            "1 + 1": "silent",
            "print('  ')": "silent",
            "for (;;) {}": "time",
            "print('x'.repeat(300000))": "output",
        }
        people = platforms.emails(len(failing))

        records = await all_scripted(herald, SLACK, people, failing)
        other = await herald.deliver(SLACK, people, "Afterwards")

        assert [entry["code"] for record in records for entry in details(record)] == list(failing.values())
        assert outcomes(other) == {"sent": len(people)}

    async def test_c45_absent(self, herald: Herald, platforms: Platforms) -> None:
        """C-45: what Kore or a host has and Herald has not fails with its name."""
        names = ["koreUtil", "fetch", "require", "process", "env", "channelUtil", "setTimeout"]
        scripts = [f"{name}.anything(); print('x')" for name in names]

        records = await all_scripted(herald, SLACK, platforms.emails(len(names)), scripts)

        for name, record in zip(names, records, strict=True):
            [entry] = details(record)
            assert entry["reason"] == "script_failed"
            assert name in entry["remedy"]

    async def test_c45_log(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-45: what the script logs is shown with its delivery, whether it failed or not."""
        ann, bob = platforms.emails(2)
        source = (
            "koreDebugger.log('for', context.session.UserContext.emailId);"
            f"if (context.session.UserContext.emailId === '{bob}') throw new Error('no');"
            "print('Hi')"
        )

        record = await scripted(herald, channel, [ann, bob], source)

        logged = {entry["originalId"]: entry["details"]["scriptLog"] for entry in record["statusLogs"]}
        assert {email: email in lines[0] for email, lines in logged.items()} == {ann: True, bob: True}

    async def test_c46_payload(self, herald: Herald, platforms: Platforms) -> None:
        """C-46: printed attachments get a fallback, blocks pass, and what is reserved fails its delivery by name."""
        people = platforms.emails(1)
        kore = (
            "var message = {}; var attachments = []; "
            "var attachment = {'text':\"Exception occurred during API execution\",'color':'#FFCC00',"
            "'attachment_type':'default'}; attachments.push(attachment); "
            "message.attachments = attachments; print(JSON.stringify(message));"
        )
        block = {"type": "section", "text": {"type": "mrkdwn", "text": "*Hi*"}}
        await scripted(herald, SLACK, people, kore)
        await scripted(herald, SLACK, people, f"print({json.dumps({'blocks': [block]})})")
        reserved = await scripted(herald, SLACK, people, "print({text: 'x', channel: 'U999'})")

        first, second = await platforms.messages(SLACK)
        assert first["body"]["attachments"][0]["fallback"] == "Exception occurred during API execution"
        assert second["body"]["blocks"][0]["text"]["text"] == "*Hi*"
        [entry] = details(reserved)
        assert entry["reason"] == "message_invalid"
        assert "the script's output.channel" in entry["remedy"]

    async def test_c48_size(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-48: what a script prints may be as large as the platform permits, and one more fails."""
        most = 40_000 if channel == SLACK else 40 * 1024 - len('{"type":"message","text":"","textFormat":"plain"}')
        fits = await scripted(herald, channel, platforms.emails(1), f"print('x'.repeat({most}))")
        over = await scripted(herald, channel, platforms.emails(1), f"print('x'.repeat({most + 1}))")

        assert outcomes(fits) == {"sent": 1}
        assert [entry["reason"] for entry in details(over)] == ["message_too_large"]


class TestRehearsed:
    async def test_dry_run(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """A dry run runs the script for everybody: it shows for whom it fails, and its log; nothing is sent."""
        ann, bob = platforms.emails(2)
        source = (
            "koreDebugger.log('seen');"
            f"if (context.session.UserContext.emailId === '{bob}') throw new TypeError('bad');"
            "print('Hi')"
        )

        _, answer = await herald.post(script_body(channel, [ann, bob], source), "notify?dryRun=true")

        first, second = (entry["details"] for entry in answer["statusLogs"])
        assert first["scriptLog"] == ["seen"]
        assert (second["outcome"], second["reason"], second["who"]) == ("unreachable", "script_failed", "sender")
        assert "TypeError: bad" in second["remedy"]
        assert "Hi" in answer["details"]["sample"]["text"]
        assert await platforms.messages(channel) == []

    async def test_preview(self, herald: Herald, platforms: Platforms) -> None:
        """A preview without a channel runs the script for each, with that channel in its context."""
        [ann] = platforms.emails(1)
        body = script_body(MSTEAMS, [ann], json.loads(samples.SCRIPT)["val"])
        del body["channel"]

        _, answer = await herald.post(body, "preview")

        assert [each["payload"]["text"] for each in answer["previews"]] == [
            f"Hi John message is from {channel} channel" for channel in CHANNELS
        ]


class TestVersion2:
    async def test_c59_script(self, herald: Herald, platforms: Platforms) -> None:
        """C-59: a script in version 2 is that of version 1, and its source is no template."""
        [ann] = platforms.emails(1)
        content = {"type": "script", "value": "print('<https://x.example|Hi> {name}')"}
        people = [{"email": ann, "parameters": {"name": "Ann"}}]

        body = v2_body(SLACK, content, people, options={"format": "markup"})
        await herald.final(await herald.accept(body, "notifyV2"))

        [message] = await platforms.messages(SLACK)
        assert text_of(message) == "<https://x.example|Hi> {name}"

    async def test_c59_payload(self, herald: Herald, platforms: Platforms) -> None:
        """C-59: an object as a script is the payload, and its placeholders are filled."""
        [ann] = platforms.emails(1)
        people = [{"email": ann, "parameters": {"name": "Ann"}}]
        content = {"type": "script", "value": {"text": "Hi {name}"}}

        await herald.final(await herald.accept(v2_body(MSTEAMS, content, people), "notifyV2"))

        assert [text_of(each) for each in await platforms.messages(MSTEAMS)] == ["Hi Ann"]


class TestStored:
    async def test_run_once(self, herald: Herald, platforms: Platforms) -> None:
        """What a script printed for a person is stored before it is sent, and a repetition says the same."""
        people = platforms.emails(3)
        await platforms.send_fault(MSTEAMS, person=people[0], times=1, drop="after")

        record = await scripted(herald, MSTEAMS, people, "print(Math.random())", options={"onUncertain": "resend"})

        assert outcomes(record) == {"sent": 3}
        said = [(person_of(each), text_of(each)) for each in await platforms.messages(MSTEAMS)]
        assert len(said) == 4
        assert len(set(said)) == 3
