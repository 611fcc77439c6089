"""C-49 … C-60: the v2 send call, as far as the body decides."""

from __future__ import annotations

import json
from typing import Any

import pytest

from notify.errors import INVALID_ARGUMENTS
from notify.message import Kind, Message
from tests.contract import samples
from tests.contract.face import BOT, Answer, Face, native, wrong

ROUTE = "notifyV2"
TEXT: dict[str, Any] = {"type": "text", "value": "Hello!"}
ANN: dict[str, Any] = {"email": "ann@example.com"}


def v2(**changes: Any) -> dict[str, Any]:
    """A valid body with some members replaced; None takes a member out."""
    whole: dict[str, Any] = {"channel": "msteams", "content": TEXT, "identities": [ANN]}
    return {name: value for name, value in (whole | changes).items() if value is not None}


async def send(face: Face, **changes: Any) -> Answer:
    """The v2 send call of such a body."""
    return await face.send(v2(**changes), route=ROUTE)


class TestC49Names:
    @pytest.mark.parametrize("outer", ["message", "content"])
    @pytest.mark.parametrize("inner", ["value", "val"])
    async def test_either(self, face: Face, outer: str, inner: str) -> None:
        """C-49: `message` or `content`, with `value` or `val`."""
        answer = await send(face, **{"content": None, outer: {"type": "text", inner: "Hi"}})

        assert answer.status == 200
        assert native(face.requests.submissions[0])["text"] == "Hi"

    async def test_both(self, face: Face) -> None:
        """C-49: both names of a pair are refused, by the second."""
        outer = await send(face, message=TEXT)
        inner = await send(face, content={**TEXT, "val": "Hello!"})

        assert wrong("content", outer.messages)
        assert wrong("content.val", inner.messages)

    async def test_neither(self, face: Face) -> None:
        """Without a message the call says which field is missing."""
        outer = await send(face, content=None)
        inner = await send(face, content={"type": "text"})

        assert wrong("message", outer.messages)
        assert wrong("content.value", inner.messages)

    async def test_answer(self, face: Face) -> None:
        """The answer is v1's record, with the id first."""
        answer = await send(face)

        assert next(iter(answer.json)) == "_id"
        assert answer.json["status"] == "IN_PROGRESS"
        assert face.requests.submissions[0].route == "v2"


class TestC50Identities:
    async def test_forms(self, face: Face) -> None:
        """C-50: v2 takes objects and v1 takes strings."""
        strings = await send(face, identities=["ann@example.com"])
        objects = await face.send({**json.loads(samples.TEXT), "identities": [ANN]})

        assert wrong("identities[0]", strings.messages)
        assert wrong("identities[0]", objects.messages)

    @pytest.mark.parametrize("count", [0, 1001])
    async def test_count(self, face: Face, count: int) -> None:
        """C-50: none and too many are refused with the number given."""
        answer = await send(face, identities=[ANN] * count)

        assert answer.messages == [
            INVALID_ARGUMENTS,
            f"identities: between 1 and 1000 items are required, {count} given",
        ]

    async def test_nul(self, face: Face) -> None:
        """A NUL, which no address has, is named with its place."""
        assert wrong("identities[0].email", (await send(face, identities=[{"email": "a\x00@x.example"}])).messages)


class TestC51Channel:
    @pytest.mark.parametrize("channel", ["ivr", "hangouts", "hangoutchat", "whatsapp", "msteam", "", 5])
    async def test_others(self, face: Face, channel: Any) -> None:
        """C-51: Kore's other channels are refused by name."""
        assert wrong("channel", (await send(face, channel=channel)).messages)

    async def test_webhook(self, face: Face) -> None:
        """C-51: the name of an IVR webhook is accepted and means nothing."""
        assert (await send(face, webhookInstanceName="Webhook")).status == 200

    @pytest.mark.parametrize(
        "sample", samples.V2, ids=["custom-message", "placeholders", "template-text", "teams-card"]
    )
    async def test_published(self, face: Face, sample: bytes) -> None:
        """Kore's published bodies are accepted on the channels that we have."""
        for channel in ("msteams", "slack"):
            body = json.loads(sample) | {"channel": channel}
            if "attachments" in str(body) and channel == "slack":
                continue  # a Teams card is no Slack message

            assert (await face.send(body, route=ROUTE)).status == 200


class TestC52Unknown:
    @pytest.mark.parametrize("name", ["spaceId", "phoneNumber", "colour"])
    async def test_of_an_identity(self, face: Face, name: str) -> None:
        """C-52: what names no e-mail is refused by its place."""
        answer = await send(face, identities=[ANN, ANN | {name: "x"}])

        assert wrong(f"identities[1].{name}", answer.messages)

    async def test_of_other_levels(self, face: Face) -> None:
        """C-52: so is an unknown key of the body, of the message and of the options."""
        top = await send(face, priority=1)
        inner = await send(face, content={**TEXT, "lang": "en"})
        option = await send(face, options={"colour": "red"})

        assert wrong("priority", top.messages)
        assert wrong("content.lang", inner.messages)
        assert wrong("options.colour", option.messages)

    async def test_parameters_of_v1(self, face: Face) -> None:
        """The option that v1 needs for parameters has no place here, and the refusal says where they go."""
        answer = await send(face, options={"parameters": {"ann@example.com": {"a": "b"}}})

        assert wrong("options.parameters", answer.messages)
        assert "each identity has parameters of its own" in answer.messages[1]


class TestC53Parameters:
    @pytest.mark.parametrize(
        ("parameters", "place"),
        [
            ({f"p{number}": "x" for number in range(20)}, None),
            ({f"p{number}": "x" for number in range(21)}, "identities[0].parameters"),
            ({"name": "x" * 200}, None),
            ({"name": "x" * 201}, "identities[0].parameters.name"),
            ({"name": 5}, "identities[0].parameters.name"),
            ({"name": None}, "identities[0].parameters.name"),
            ({"n" * 201: "x"}, f"identities[0].parameters.{'n' * 80}"),
            ([], "identities[0].parameters"),
        ],
        ids=["20", "21", "200", "201", "number", "null", "long-name", "list"],
    )
    async def test_limits(self, face: Face, parameters: Any, place: str | None) -> None:
        """C-53: at most 20 parameters, each a text of at most 200 characters."""
        answer = await send(face, identities=[ANN | {"parameters": parameters}])

        assert (answer.status, None) == (200, place) if place is None else wrong(place, answer.messages)

    @pytest.mark.parametrize(
        ("parameters", "place"),
        [
            ({"john.doe@example.com": {"name": "x" * 200}}, None),
            ({" John.Doe@example.com": {"name": "x"}}, None),
            ({"john.doe@example.com": {"name": "x" * 201}}, "options.parameters.john.doe@example.com.name"),
            ({"jane@example.com": {"name": "x"}}, "options.parameters.jane@example.com"),
            ({"john.doe@example.com": {}, "JOHN.DOE@example.com": {}}, "options.parameters.JOHN.DOE@example.com"),
            ({"john.doe@example.com": "x"}, "options.parameters.john.doe@example.com"),
            ([], "options.parameters"),
            (None, "options.parameters"),
        ],
        ids=["200", "other-spelling", "201", "stranger", "twice", "text", "list", "null"],
    )
    async def test_of_v1(self, face: Face, parameters: Any, place: str | None) -> None:
        """`options.parameters` of v1 has the same limits, and names nobody who is not addressed, nor anybody twice."""
        answer = await face.send({**json.loads(samples.TEXT), "options": {"parameters": parameters}})

        assert (answer.status, None) == (200, place) if place is None else wrong(place, answer.messages)


class TestMessages:
    async def test_types(self, face: Face) -> None:
        """C-58: a template is a payload or text, a text is only text, a script is JavaScript or the payload."""
        payload = {"text": "hi", "attachments": []}
        await send(face, content={"type": "template", "value": payload})
        await send(face, content={"type": "template", "value": "Hello"})
        await send(face, content={"type": "script", "value": "print('hi')"})
        await send(face, content={"type": "script", "value": json.dumps(payload)})
        object_as_text = await send(face, content={"type": "text", "value": payload})
        number = await send(face, content={"type": "template", "value": 5})

        assert [each.message for each in face.requests.submissions] == [
            Message(Kind.NATIVE, {"type": "message", **payload}),
            Message(Kind.NATIVE, {"type": "message", "text": "Hello", "textFormat": "plain"}),
            Message(Kind.SCRIPT, "print('hi')"),
            Message(Kind.NATIVE, {"type": "message", **payload}),
        ]
        assert wrong("content.value", object_as_text.messages)
        assert wrong("content.value", number.messages)

    async def test_own(self, face: Face) -> None:
        """A message of one's own is checked like the main one, by its place; `null` is none."""
        empty = await send(face, identities=[ANN, ANN | {"customMessage": " "}])
        large = await send(face, identities=[ANN | {"customMessage": "x" * 41_000}])
        none = await send(face, identities=[ANN | {"customMessage": None, "parameters": None}])

        assert wrong("identities[1].customMessage", empty.messages)
        assert wrong("identities[0].customMessage", large.messages)
        assert none.status == 200

    async def test_never_small_enough(self, face: Face) -> None:
        """C-48: what is too large whatever the values is refused at once; what may fit is accepted."""
        fits = {"type": "text", "value": "x" * 40_000 + "{name}" * 40}
        never = {"type": "text", "value": "x" * 41_000 + "{name}"}

        assert (await send(face, content=fits)).status == 200
        assert wrong("content.value", (await send(face, content=never)).messages)

    @pytest.mark.parametrize(
        ("value", "status"),
        [
            ("{a}" * 200, 200),
            ("{a}" * 201, 412),
            ("x" * 524_280 + "{a}", 412),
            ("<" * 4000 + "{a}" * 80_000, 412),
        ],
        ids=["200", "201", "long", "many"],
    )
    async def test_placeholders(self, face: Face, value: str, status: int) -> None:
        """K03: what would take long to fill is refused by its number of placeholders, before any is."""
        answer = await send(face, content={"type": "text", "value": value})

        assert answer.status == status

    async def test_slip_between_versions(self, face: Face) -> None:
        """The name that the other version uses is named as what it is here."""
        answer = await face.send({**json.loads(samples.TEXT), "message": {"type": "text", "value": "x"}})

        assert "message.value: is not a field of this call: remove it" in answer.messages

    async def test_c60_identity_type(self, face: Face) -> None:
        """C-60: people are resolved; ids of the channel have no place in v2."""
        assert (await send(face, userIdentityType="resolve")).status == 200
        assert wrong("userIdentityType", (await send(face, userIdentityType="donotresolve")).messages)

    @pytest.mark.parametrize("most", [256 * 1024, 256 * 1024 + 1])
    async def test_script_size(self, face: Face, most: int) -> None:
        """A script has at most 256 KB of source."""
        answer = await send(face, content={"type": "script", "value": "//".ljust(most, "x")})

        assert answer.status == (200 if most == 256 * 1024 else 412)

    async def test_empty_script(self, face: Face) -> None:
        """A script of blanks is refused at once."""
        assert wrong("content.value", (await send(face, content={"type": "script", "value": " \n"})).messages)


class TestPreview:
    async def test_ten(self, face: Face) -> None:
        """A preview is for at most ten identities."""
        most = await face.preview(v2(identities=[ANN] * 10))
        over = await face.preview(v2(identities=[ANN] * 11))

        assert len(most.json["previews"]) == 10
        assert over.messages[1] == "identities: between 1 and 10 items are required, 11 given"

    async def test_either_version(self, face: Face) -> None:
        """It takes the body of either send call."""
        first = await face.preview(json.loads(samples.TEXT))
        second = await face.preview(v2())

        assert first.json["previews"][0]["payload"]["text"] == "Please reset your password."
        assert second.json["previews"][0]["payload"]["text"] == "Hello!"

    @pytest.mark.parametrize("raw", [b"", b"[]", b"5", b'{"identities":[]}', b"{}"])
    async def test_malformed(self, face: Face, raw: bytes) -> None:
        """What is no body is refused as a send call would be."""
        answer = await face.call(
            "POST", f"/api/public/bot/{BOT}/preview", headers={"auth": face.auth}, data=raw,
            skip_auto_headers=["Content-Type"],
        )  # fmt: skip

        assert answer.refusal == (412, 412, INVALID_ARGUMENTS)
