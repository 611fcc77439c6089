"""The v1 body: whatever comes in, a Call or problems come out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import BotId, ChannelName
from notify.body import MAX_PROBLEMS, Bot
from notify.wire import Call, parse
from tests.contract import samples
from tests.contract.face import TEXT_SAMPLE, body

BOT = Bot(BotId("st-00000000-0000-5000-8000-000000000001"), frozenset(ChannelName))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def parsed(**changes: Any) -> Call:
    found = parse(json.dumps(body(**changes)).encode(), BOT)
    assert isinstance(found, Call), found
    return found


def problems(raw: bytes) -> list[str]:
    found = parse(raw, BOT)
    assert isinstance(found, tuple), found
    return [str(problem) for problem in found]


class TestTotal:
    @given(st.binary())
    def test_bytes(self, raw: bytes) -> None:
        """No bytes are anything else than a call or named problems."""
        found = parse(raw, BOT)

        assert isinstance(found, Call) or all(problem.says for problem in found)

    @given(st.sampled_from([*TEXT_SAMPLE, "options", "other"]), JSON)
    def test_one_field(self, name: str, value: object) -> None:
        """Whatever stands in one field, the answer is a call or a bounded number of printable sentences."""
        found = parse(json.dumps(dict(TEXT_SAMPLE) | {name: value}).encode(), BOT)

        if not isinstance(found, Call):
            assert 1 <= len(found) <= MAX_PROBLEMS + 1
            assert all(str(problem).isprintable() for problem in found)

    @given(st.sampled_from(["text", "script"]), JSON, st.sampled_from(ChannelName))
    def test_message(self, kind: str, value: object, channel: ChannelName) -> None:
        """Whatever the message holds, as a value or as its JSON text."""
        for val in (value, json.dumps(value)):
            raw = json.dumps(body(channel=channel, message={"type": kind, "val": val})).encode()

            assert isinstance(parse(raw, BOT), Call | tuple)


class TestCall:
    def test_card(self) -> None:
        """The published card sample, JSON text in a `script` message, is the native payload."""
        call = parse(samples.CARD, BOT)

        assert isinstance(call, Call)
        assert isinstance(call.message.body, dict)
        assert call.message.body["attachments"][0]["contentType"] == "application/vnd.microsoft.card.adaptive"
        assert [entry.identity for entry in call.entries] == ["john.doe@example.com", "jane.doe@example.com"]

    def test_text_and_object_are_one(self) -> None:
        """A native payload is the same as an object and as its JSON text, blanks around it included."""
        payload = {"text": "hi", "attachments": []}

        as_text = parsed(message={"type": "script", "val": f"\n {json.dumps(payload)} "})
        as_object = parsed(message={"type": "script", "val": payload})

        assert as_text.message == as_object.message

    def test_identities(self) -> None:
        """Identities keep their order and their spelling."""
        call = parsed(identities=["b@x.example", " A@X.example", "a@x.example"])

        assert [(entry.original, entry.identity) for entry in call.entries] == [
            ("b@x.example", "b@x.example"),
            (" A@X.example", "a@x.example"),
            ("a@x.example", "a@x.example"),
        ]

    def test_operator_may_allow_fewer(self) -> None:
        """An operator's own limit is named with its number."""
        found = parse(json.dumps(body(identities=["a@x.example"] * 3)).encode(), BOT, max_identities=2)

        assert [str(problem) for problem in found if not isinstance(found, Call)] == [  # type: ignore[union-attr]
            "identities: between 1 and 2 items are required, 3 given"
        ]


class TestProblems:
    def test_almost_json(self) -> None:
        """A payload with a slip in its JSON is told where: it can be no script either."""
        raw = json.dumps(body(message={"type": "script", "val": '{"text":"hi",}'})).encode()

        (problem,) = problems(raw)

        assert problem.startswith("message.val: is not valid JSON in UTF-8: ")
        assert "line 1 column" in problem

    def test_double_name_in_payload(self) -> None:
        """Payload text that names a key twice is refused for that."""
        raw = json.dumps(body(message={"type": "script", "val": '{"text":"a","text":"b"}'})).encode()

        assert "twice" in problems(raw)[0]

    @pytest.mark.parametrize("channel", list(ChannelName))
    def test_reserved(self, channel: ChannelName) -> None:
        """A payload that addresses is refused at once, by the name of its field."""
        raw = json.dumps(
            body(channel=channel, message={"type": "script", "val": {"text": "x", "channel": "C1", "from": {}}})
        )

        assert problems(raw.encode())[0].split(":")[0] in {"message.val.channel", "message.val.from"}

    def test_no_value_is_quoted(self) -> None:
        """No problem shows what the caller wrote into a value."""
        raw = json.dumps(body(channel="secret-1", userIdentityType="secret-2", identities=[{"secret-3": 1}])).encode()

        assert not [problem for problem in problems(raw) if "secret" in problem]
