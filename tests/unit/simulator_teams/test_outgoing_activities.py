"""What the simulated connector takes as an activity."""

from typing import Any

import orjson
import pytest

from simulator.teams.activities import ADAPTIVE_CARD, check_activity, check_size, parse_body
from simulator.teams.errors import ConnectorError, connector_body

CARD = {"type": "AdaptiveCard", "version": "1.5", "body": [{"type": "TextBlock", "text": "Hello"}]}


def _with_card(card: object) -> dict[str, Any]:
    return {"type": "message", "attachments": [{"contentType": ADAPTIVE_CARD, "content": card}]}


class TestActivity:
    @pytest.mark.parametrize(
        "activity",
        [
            {"type": "message", "text": "Hello"},
            {"type": "message", "text": "Hello", "textFormat": "markdown", "summary": "s"},
            {"type": "typing"},
            _with_card(CARD),
            _with_card({**CARD, "actions": [{"type": "Action.OpenUrl"}]}),
            {"type": "message", "attachments": [{"contentType": "image/png", "contentUrl": "https://x.test/a.png"}]},
            {
                "type": "message",
                "attachments": [{"contentType": "application/vnd.microsoft.card.hero", "content": {}}],
            },
        ],
    )
    def test_accepted(self, activity: dict[str, Any]) -> None:
        """Text, cards, pictures and typing are accepted."""
        check_activity(activity)

    @pytest.mark.parametrize(
        "activity",
        [
            {},
            {"type": ""},
            {"type": 5},
            {"type": "trace"},
            {"type": "message"},
            {"type": "message", "text": "  "},
            {"type": "message", "text": 5},
            {"type": "message", "text": "a", "textFormat": "html"},
            {"type": "message", "text": "a", "from": "me"},
            {"type": "message", "text": "a", "attachments": {}},
            {"type": "message", "attachments": ["card"]},
            {"type": "message", "attachments": [{"contentType": "application/pdf"}]},
            {"type": "message", "attachments": [{"contentType": "image/png"}]},
            {"type": "message", "attachments": [{"contentType": "application/vnd.microsoft.card.hero"}]},
            _with_card(None),
            _with_card("{}"),
            _with_card({**CARD, "type": "Card"}),
            _with_card({**CARD, "version": 1.5}),
            _with_card({**CARD, "version": "one"}),
            _with_card({**CARD, "body": {}}),
            _with_card({**CARD, "body": [{"text": "no type"}]}),
            _with_card({**CARD, "actions": ["x"]}),
        ],
    )
    def test_refused(self, activity: dict[str, Any]) -> None:
        """What Teams would not show is a bad argument."""
        with pytest.raises(ConnectorError, match="Bad Argument"):
            check_activity(activity)


class TestBody:
    @pytest.mark.parametrize(("raw", "code"), [(b"{", "BadSyntax"), (b"", "BadSyntax"), (b"[]", "Bad Argument")])
    def test_must_be_an_object(self, raw: bytes, code: str) -> None:
        """A body that is not a JSON object is refused."""
        with pytest.raises(ConnectorError, match=code):
            parse_body(raw)

    @pytest.mark.parametrize(
        ("text", "fits"),
        [
            ("x" * 487, True),
            ("x" * 491, False),
            ("ä" * 487, True),
            ("ä" * 491, False),
            ("😀" * 243, True),
            ("😀" * 246, False),
            ("data:image/png;base64," + "A" * 5000, True),
        ],
    )
    def test_size_is_counted_in_utf_16(self, text: str, fits: bool) -> None:
        """An ASCII letter and an umlaut weigh two bytes, an emoji four, an inline image nothing."""
        raw = orjson.dumps({"text": text})
        if fits:
            check_size(raw, 1000)
        else:
            with pytest.raises(ConnectorError, match="MessageSizeTooBig"):
                check_size(raw, 1000)


class TestErrors:
    def test_plain_code(self) -> None:
        """Most refusals carry code and message in `error`."""
        status, body = connector_body("ConversationNotFound")

        assert (
            status,
            body,
        ) == (404, {"error": {"code": "ConversationNotFound", "message": "Conversation not found."}})

    def test_blocked(self) -> None:
        """A blocked chat is told as JSON inside a string."""
        status, body = connector_body("MessageWritesBlocked")
        inner = orjson.loads(body["message"])

        assert (status, body["errorCode"], inner["subCode"]) == (403, 209, "MessageWritesBlocked")
        assert {"subCode", "details", "errorCode", "errorSubCode"} == set(inner)

    def test_unknown_code(self) -> None:
        """A code that a test invents is passed on with 500."""
        assert (connector_body("Novel")[0], connector_body("Novel")[1]["error"]["code"]) == (500, "Novel")
