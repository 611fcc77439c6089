"""C-01 … C-12: the v1 send call."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from notify.errors import INVALID_ARGUMENTS
from notify.ids import UUID_SHAPE
from notify.message import Kind, Message
from tests.contract import samples
from tests.contract.face import BOT, SLACK_ONLY, Face, body, native, running, wrong


class TestC01Accepted:
    async def test_text_sample(self, face: Face) -> None:
        """C-01: the documented text sample is accepted with every documented field."""
        answer = await face.send(raw=samples.TEXT)

        record = answer.json
        assert answer.status == 200
        assert set(record) == {
            "status", "percentageComplete", "streamId", "createdBy", "jobType", "action", "statusLogs", "_id", "lMod",
            "createdOn", "requestedTime", "__v", "store", "countOfDockStatuses",
        }  # fmt: skip
        assert (record["status"], record["percentageComplete"], record["statusLogs"]) == ("IN_PROGRESS", 0, [])
        assert (record["jobType"], record["action"]) == ("PROACTIVE_NOTIFICATIONS_API", "PROACTIVE_NOTIFICATIONS")
        assert (record["streamId"], record["__v"]) == (BOT, 0)
        assert re.fullmatch(f"u-{UUID_SHAPE}", record["createdBy"])

    @pytest.mark.parametrize("sample", [samples.THREE, samples.CARD], ids=["three", "card"])
    async def test_other_published_samples(self, face: Face, sample: bytes) -> None:
        """C-01: the other published bodies are accepted as they stand."""
        answer = await face.send(raw=sample)

        assert answer.status == 200
        assert answer.json["store"]["identitiesCount"] == len(json.loads(sample)["identities"])

    async def test_created_by_is_the_caller(self, face: Face) -> None:
        """C-01: `createdBy` is stable for a client."""
        first, second = await face.send(), await face.send()

        assert first.json["createdBy"] == second.json["createdBy"]

    async def test_c02_ids(self, face: Face) -> None:
        """C-02: ids have the shape that BotKit checks, and two sends give unrelated ones."""
        first, second = await face.send(), await face.send()

        assert re.fullmatch(f"ds-{UUID_SHAPE}", first.json["_id"])
        assert re.fullmatch(f"st-{UUID_SHAPE}", first.json["streamId"])
        assert first.json["_id"][:20] != second.json["_id"][:20]

    async def test_c03_times(self, face: Face) -> None:
        """C-03: `createdOn` equals `requestedTime` to the millisecond; `lMod` is cut to the second."""
        record = (await face.send()).json

        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["createdOn"])
        assert record["createdOn"] == record["requestedTime"]
        assert record["lMod"] == record["createdOn"][:-4] + "000Z"

    async def test_c04_counts(self, face: Face) -> None:
        """C-04: `identitiesCount` counts duplicates, `countOfDockStatuses` is always 1."""
        record = (await face.send(body(identities=["a@example.com", " A@Example.com ", "b@example.com"]))).json

        assert record["store"] == {"identitiesCount": 3}
        assert record["countOfDockStatuses"] == 1


class TestC06Body:
    async def test_c06_how_many(self, face: Face) -> None:
        """C-06: 1000 identities pass; 1001 and none are refused by name."""
        people = [f"person{number}@example.com" for number in range(1001)]

        passed, too_many, none = [await face.send(body(identities=some)) for some in (people[:1000], people, [])]

        assert passed.status == 200
        assert passed.json["store"]["identitiesCount"] == 1000
        assert too_many.messages == [INVALID_ARGUMENTS, "identities: between 1 and 1000 items are required, 1001 given"]
        assert none.messages == [INVALID_ARGUMENTS, "identities: between 1 and 1000 items are required, 0 given"]
        assert {too_many.status, none.status} == {412}

    @pytest.mark.parametrize("field", ["channel", "userIdentityType", "message", "identities"])
    async def test_c07_missing(self, face: Face, field: str) -> None:
        """C-07: each required field that is missing is named after Kore's own sentence."""
        answer = await face.send(body(**{field: None}))

        assert answer.status == 412
        assert answer.messages == [INVALID_ARGUMENTS, f"{field}: is required: add it"]

    @pytest.mark.parametrize("field", ["type", "val"])
    async def test_c07_missing_in_message(self, face: Face, field: str) -> None:
        """C-07: so is each required field of the message."""
        message = {"type": "text", "val": "hi"}
        del message[field]

        answer = await face.send(body(message=message))

        assert answer.messages == [INVALID_ARGUMENTS, f"message.{field}: is required: add it"]

    async def test_c08_unknown_keys(self, face: Face) -> None:
        """C-08: an unknown key is refused by name, at the top, in the message and in the options."""
        top = await face.send(body(priority="high"))
        inner = await face.send(body(message={"type": "text", "val": "hi", "lang": "en"}))
        option = await face.send(body(options={"colour": "red"}))

        assert wrong("priority", top.messages)
        assert wrong("message.lang", inner.messages)
        assert wrong("options.colour", option.messages)

    async def test_c08_options(self, face: Face) -> None:
        """C-08: `options` itself is accepted; values that are not offered are refused, never ignored."""
        empty = await face.send(body(options={}))
        members = await face.send(body(options={"onUncertain": "perhaps", "format": "html"}))

        assert empty.status == 200
        assert members.messages == [
            INVALID_ARGUMENTS,
            "options.onUncertain: must be hold or resend",
            "options.format: must be plain or markup",
        ]

    @pytest.mark.parametrize(
        ("channel", "value", "says"),
        [
            ("msteams", "T0SIM0000", "must be the id of a Teams tenant, a GUID"),
            ("msteams", 7, "must be the id of a Teams tenant, a GUID"),
            ("msteams", "contoso.onmicrosoft.com", "must be the id of a Teams tenant, a GUID"),
            ("slack", "t0sim0000", "must be the id of a Slack workspace (T…)"),
            ("slack", None, "must be the id of a Slack workspace (T…)"),
            ("slack", "E0SIMORG0", "is a Slack organisation: name one of its workspaces (T…)"),
        ],
    )
    async def test_c08_tenant(self, face: Face, channel: str, value: object, says: str) -> None:
        """C-08: a tenant is named by the id that its platform gives it; an organisation is not one."""
        answer = await face.send(body(channel=channel, options={"tenant": value}))

        assert answer.messages == [INVALID_ARGUMENTS, f"options.tenant: {says}"]

    @pytest.mark.parametrize(
        ("channel", "value"), [("msteams", "0a1b2c3d-0000-4000-8000-00000000000F"), ("slack", "T0SIM0000")]
    )
    async def test_c08_tenant_given(self, face: Face, channel: str, value: str) -> None:
        """C-08: a tenant in its platform's shape is taken."""
        answer = await face.send(body(channel=channel, options={"tenant": value}))

        assert answer.status == 200
        assert face.requests.submissions[-1].options == {"tenant": value}

    @pytest.mark.parametrize(
        ("field", "change"),
        [
            ("channel", {"channel": "whatsapp"}),
            ("channel", {"channel": "Slack"}),
            ("channel", {"channel": 1}),
            ("userIdentityType", {"userIdentityType": "guess"}),
            ("message.type", {"message": {"type": "card", "val": "x"}}),
            ("message.type", {"message": {"type": "template", "val": "x"}}),
            ("message", {"message": "hello"}),
            ("identities", {"identities": "john@example.com"}),
            ("options", {"options": []}),
        ],
    )
    async def test_c09_bad_values(self, face: Face, field: str, change: dict[str, Any]) -> None:
        """C-09: a value that is not offered is refused by name."""
        answer = await face.send(body(**change))

        assert answer.status == 412
        assert wrong(field, answer.messages)

    async def test_c10_val_object(self, face: Face) -> None:
        """C-10: an object is a native payload with `script` and refused with `text`."""
        payload = {"text": "hello", "attachments": []}

        script = await face.send(body(message={"type": "script", "val": payload}))
        text = await face.send(body(message={"type": "text", "val": payload}))

        assert script.status == 200
        assert native(face.requests.submissions[-1]) == {"type": "message", **payload}
        assert wrong("message.val", text.messages)

    @pytest.mark.parametrize("identity", [1, None, {"email": "a@example.com"}, ["a@example.com"], True])
    async def test_c10_identity(self, face: Face, identity: Any) -> None:
        """C-10: an identity that is no text is refused by its place."""
        answer = await face.send(body(identities=["a@example.com", identity]))

        assert wrong("identities[1]", answer.messages)

    @pytest.mark.parametrize("script", [samples.SCRIPT, samples.QA_SCRIPT], ids=["example-2", "qa"])
    async def test_javascript(self, face: Face, script: bytes) -> None:
        """JavaScript is accepted as it is, to be run for each person."""
        message = json.loads(script)

        answer = await face.send(body(message=message))

        assert answer.status == 200
        assert face.requests.submissions[0].message == Message(Kind.SCRIPT, message["val"])

    @pytest.mark.parametrize("value", ["[1]", "1", '"text"', "null", "true"])
    async def test_c37_json_that_is_no_object(self, face: Face, value: str) -> None:
        """C-37: JSON that is no object is a script."""
        await face.send(body(message={"type": "script", "val": value}))

        assert face.requests.submissions[0].message == Message(Kind.SCRIPT, value)


class TestC11Transport:
    @pytest.mark.parametrize("raw", [b"", b"{", b"hello", b"[]", b"null", b'{"channel":}', b"\xff\xfe{\x00}\x00"])
    async def test_malformed(self, face: Face, raw: bytes) -> None:
        """C-11: what is not a JSON object is refused as invalid, and nothing is stored."""
        answer = await face.send(raw=raw)

        assert answer.refusal == (412, 412, INVALID_ARGUMENTS)
        assert len(answer.messages) == 2
        assert face.requests.submissions == []

    @pytest.mark.parametrize(
        "declared",
        ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "multipart/form-data"],
    )
    async def test_content_type(self, face: Face, declared: str) -> None:
        """C-11: another declared content type is 415."""
        answer = await face.send(raw=samples.TEXT, Content_Type=declared)

        assert answer.refusal[:2] == (415, 415)
        assert "application/json" in answer.messages[0]
        assert face.requests.submissions == []

    @pytest.mark.parametrize("declared", ["application/json; charset=UTF-8", "Application/JSON"])
    async def test_json_in_other_words(self, face: Face, declared: str) -> None:
        """C-11: JSON may be declared in any case and with its only charset."""
        assert (await face.send(raw=samples.TEXT, Content_Type=declared)).status == 200

    async def test_undeclared(self, face: Face) -> None:
        """C-11: a caller that declares nothing is believed to send JSON."""
        path = f"/api/public/bot/{BOT}/notify"

        answer = await face.call(
            "POST", path, data=samples.TEXT, headers={"auth": face.auth}, skip_auto_headers=["Content-Type"]
        )

        assert answer.status == 200

    async def test_oversized(self) -> None:
        """C-11: a body over the limit is 413, declared or not, and nothing is stored."""

        async def dribble() -> Any:
            yield samples.TEXT
            yield b" " * 2048

        async with running(max_body=1024) as face:
            declared = await face.send(raw=samples.TEXT + b" " * 1024)
            chunked = await face.call(
                "POST",
                f"/api/public/bot/{BOT}/notify",
                data=dribble(),
                headers={"auth": face.auth, "Content-Type": "application/json"},
            )

            assert declared.refusal[:2] == (413, 413)
            assert chunked.refusal[:2] == (413, 413)
            assert face.requests.submissions == []

    async def test_c12_channel_of_the_bot(self, face: Face) -> None:
        """C-12: a channel that the bot is not set up for is refused by name."""
        answer = await face.send(body(channel="msteams"), bot=SLACK_ONLY)

        assert answer.refusal[:2] == (412, 412)
        assert wrong("channel", answer.messages)
        assert face.requests.submissions == []

    async def test_several_problems(self, face: Face) -> None:
        """Every wrong field is named in one answer."""
        answer = await face.send(body(channel="fax", identities=[], extra=1))

        assert all(wrong(field, answer.messages) for field in ("channel", "identities", "extra"))
