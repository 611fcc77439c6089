"""Rendering: text and native payloads become what the platforms take, or problems that name a field."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import ChannelName
from notify import render
from notify.render import (
    FALLBACK,
    SLACK_RESERVED,
    TEAMS_MAX_BYTES,
    TEAMS_RESERVED,
    Payload,
    Rendered,
    Unfit,
    utf16_bytes,
)
from notify.slack_text import escape

TEAMS, SLACK = ChannelName.MSTEAMS, ChannelName.SLACK
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LEAF = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
JSON = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
PICTURE = st.builds("{}data:image/{}".format, st.sampled_from(["", "", " ", '"', "\\", '\\"']), TEXT)  # or nearly one
JSON_WITH_PICTURES = st.recursive(
    LEAF | PICTURE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT | PICTURE, inner, max_size=4),
    max_leaves=12,
)
FIELDS = [
    "type",
    "text",
    "attachments",
    "blocks",
    "payload",
    "markdown_text",
    "channel",
    "from",
    "icon_url",
    "metadata",
]


def native(channel: ChannelName, payload: Mapping[str, Any]) -> Payload:
    """The rendered payload of one that is expected to be fit."""
    found = render.native(channel, payload, "message.val")
    assert isinstance(found, Rendered), found
    return found.payload


def card(content: dict[str, Any]) -> dict[str, Any]:
    """An attachment."""
    return {"contentType": "application/vnd.microsoft.card.adaptive", "content": content}


def problems(channel: ChannelName, payload: Mapping[str, Any]) -> list[str]:
    """The fields of one that is expected to be unfit."""
    found = render.native(channel, payload, "message.val")
    assert isinstance(found, Unfit), found
    return [problem.field for problem in found.problems]


def pictures_in(value: object) -> Iterator[str]:
    """Every embedded picture, wherever it stands as a value."""
    if isinstance(value, str) and value.startswith("data:image/"):
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        yield from pictures_in(each)


class TestText:
    @given(TEXT)
    def test_total(self, said: str) -> None:
        """Every text is rendered or refused, never an exception, and what is rendered can be written."""
        for channel in ChannelName:
            found = render.text(channel, said, "message.val")

            assert isinstance(found, Unfit) is (not said.strip())
            if isinstance(found, Rendered):
                assert orjson.dumps(found.payload)

    @given(TEXT)
    def test_escaping(self, said: str) -> None:
        """Escaped text holds no control character of Slack's, and unescaping gives the same text back."""
        escaped = escape(said)

        assert "<" not in escaped
        assert ">" not in escaped
        assert escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == said

    @given(st.sampled_from(["<!channel>", "<@U1>", "&lt;!here&gt;", "<!subteam^S1>"]), TEXT, TEXT)
    def test_no_mention_survives(self, mention: str, before: str, after: str) -> None:
        """Wherever a mention stands in a text, it is written out."""
        found = render.text(SLACK, before + mention + after, "message.val")

        assert isinstance(found, Rendered)
        assert html.unescape(escape(mention)) in found.payload["text"].replace("&lt;", "<").replace(
            "&gt;", ">"
        ).replace("&amp;", "&")
        assert "<" not in found.payload["text"]


class TestNative:
    @given(st.dictionaries(st.sampled_from(FIELDS) | TEXT, JSON, max_size=6))
    def test_total(self, payload: dict[str, Any]) -> None:
        """Every JSON object is rendered or refused, never an exception; nothing reserved passes."""
        for channel in ChannelName:
            found = render.native(channel, payload, "message.val")

            if isinstance(found, Rendered):
                assert orjson.dumps(found.payload)
                names = {name.lower() for name in found.payload}
                assert not names & (TEAMS_RESERVED if channel is TEAMS else SLACK_RESERVED | {"icon_url"})
            else:
                assert found.problems
                assert all(problem.field.startswith("message.val") and problem.says for problem in found.problems)

    @pytest.mark.parametrize(
        "name", ["from", "recipient", "conversation", "serviceUrl", "channelId", "id", "ServiceURL", "FROM"]
    )
    def test_reserved_on_teams(self, name: str) -> None:
        """Addressing is ours on Teams, in any case, because the connector reads names in any case."""
        assert problems(TEAMS, {"text": "hi", name: "x"}) == [f"message.val.{name}"]

    @pytest.mark.parametrize(
        "name",
        [
            *("channel", "token", "metadata", "username", "icon_url", "icon_emoji", "as_user", "team_id"),
            *("client_msg_id", "reply_broadcast", "Reply_Broadcast"),
        ],
    )
    def test_reserved_on_slack(self, name: str) -> None:
        """Addressing, authorisation, our own mark and the place where it is looked for are ours on Slack."""
        assert problems(SLACK, {"text": "hi", name: "x"}) == [f"message.val.{name}"]

    @pytest.mark.parametrize(
        ("content", "beside", "summary"),
        [
            ({"body": [{"type": "TextBlock", "text": "Your badge is ready"}]}, {}, "Your badge is ready"),
            ({"body": [{"type": "Image", "altText": "x"}]}, {}, FALLBACK),
            ({"body": [{"type": "TextBlock", "text": "x" * 201}]}, {}, FALLBACK),
            ({"title": "Lunch?", "text": "Today"}, {}, "Lunch?"),
            ({}, {"summary": "Badge"}, "Badge"),
            ({}, {"text": "Hi"}, None),
        ],
        ids=["first-words", "no-words", "too-many-words", "hero-card", "own", "text-beside"],
    )
    def test_announced_on_teams(self, content: dict[str, Any], beside: dict[str, Any], summary: str | None) -> None:
        """A card is announced by words: its summary, the text beside it, or its own first ones."""
        assert native(TEAMS, {"attachments": [card(content)], **beside}).get("summary") == summary

    def test_teams_message(self) -> None:
        """A Teams payload becomes a message and is otherwise left alone."""
        card = {"contentType": "application/vnd.microsoft.card.adaptive", "content": {"type": "AdaptiveCard"}}

        assert native(TEAMS, {"text": "**hi**"}) == {"type": "message", "text": "**hi**"}
        assert native(TEAMS, {"speak": "", "attachments": [card]})["attachments"] == [card]

    @pytest.mark.parametrize(
        ("payload", "field"),
        [
            ({"type": "typing", "text": "hi"}, "message.val.type"),
            ({"text": 1}, "message.val.text"),
            ({"attachments": {}}, "message.val.attachments"),
            ({"attachments": [{"content": {}}]}, "message.val.attachments"),
            ({}, "message.val"),
            ({"text": " "}, "message.val"),
        ],
    )
    def test_teams_problems(self, payload: dict[str, Any], field: str) -> None:
        """What Teams would refuse, or would show as nothing, is refused by its field."""
        assert field in problems(TEAMS, payload)

    @pytest.mark.parametrize(
        ("payload", "field"),
        [
            ({"text": 1}, "message.val.text"),
            ({"blocks": "x"}, "message.val.blocks"),
            ({"blocks": [1]}, "message.val.blocks"),
            ({"attachments": [[]]}, "message.val.attachments"),
            ({"markdown_text": "x", "text": "x"}, "message.val.markdown_text"),
            ({}, "message.val"),
            ({"text": "", "blocks": []}, "message.val"),
        ],
    )
    def test_slack_problems(self, payload: dict[str, Any], field: str) -> None:
        """What Slack would refuse, or would show as nothing, is refused by its field."""
        assert field in problems(SLACK, payload)

    def test_pictures_do_not_count(self) -> None:
        """Teams does not count embedded pictures, so neither do we."""
        picture = "data:image/png;base64," + "A" * TEAMS_MAX_BYTES
        card = {"contentType": "x", "content": {"type": "Image", "url": picture}}

        assert utf16_bytes(native(TEAMS, {"attachments": [card]})) < 1000
        assert problems(TEAMS, {"attachments": [card | {"name": "n" * TEAMS_MAX_BYTES}]}) == ["message.val"]

    @given(st.dictionaries(TEXT | PICTURE, JSON_WITH_PICTURES, max_size=4))
    def test_size_by_definition(self, payload: dict[str, Any]) -> None:
        """The size is that of the JSON text in UTF-16, less two bytes for each character of a picture."""
        written = orjson.dumps(payload).decode().encode("utf-16-le")

        assert len(written) - 2 * len("".join(pictures_in(payload))) == utf16_bytes(payload)


class TestSlackFallback:
    def test_documented_attachment(self) -> None:
        """Kore's documented attachment gets its text as fallback, and is not shown twice."""
        attachment = {"text": "Exception occurred during API execution", "color": "#FFCC00"}

        payload = native(SLACK, {"attachments": [attachment, {"color": "#fff"}, {"fallback": "mine", "text": "x"}]})

        assert "text" not in payload
        assert [item["fallback"] for item in payload["attachments"]] == [attachment["text"], FALLBACK, "mine"]

    def test_blocks(self) -> None:
        """Blocks without a text get one for notifications: the first attachment's, else a fixed sentence."""
        blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "*hi*"}}]

        assert native(SLACK, {"blocks": blocks})["text"] == FALLBACK
        assert native(SLACK, {"blocks": blocks, "attachments": [{"text": "a"}]})["text"] == "a"
        assert native(SLACK, {"blocks": blocks, "text": "mine"})["text"] == "mine"

    def test_links_stay_links(self) -> None:
        """Links are not unfurled unless the caller asks for it."""
        assert native(SLACK, {"text": "hi"})["unfurl_links"] is False
        assert native(SLACK, {"text": "hi", "unfurl_links": True})["unfurl_links"] is True


class TestSlackLimits:
    @pytest.mark.parametrize(
        ("make", "most", "field"),
        [
            (lambda n: {"text": "x" * n}, 40_000, "text"),
            (lambda n: {"markdown_text": "x" * n}, 12_000, "markdown_text"),
            (lambda n: {"text": "t", "blocks": [{"type": "divider"}] * n}, 50, "blocks"),
            (lambda n: {"text": "t", "attachments": [{"text": "x"}] * n}, 100, "attachments"),
            (
                lambda n: one({"type": "section", "text": {"type": "mrkdwn", "text": "x" * n}}),
                3000,
                "blocks[0].text.text",
            ),
            (lambda n: one({"type": "section", "fields": [{"text": "x" * n}]}), 2000, "blocks[0].fields[0].text"),
            (lambda n: one({"type": "section", "fields": [{"text": "x"}] * n}), 10, "blocks[0].fields"),
            (
                lambda n: one({"type": "header", "text": {"type": "plain_text", "text": "x" * n}}),
                150,
                "blocks[0].text.text",
            ),
            (lambda n: one({"type": "actions", "elements": [{"type": "button"}] * n}), 25, "blocks[0].elements"),
            (
                lambda n: one({"type": "actions", "elements": [{"text": {"text": "x" * n}}]}),
                75,
                "blocks[0].elements[0].text.text",
            ),
            (lambda n: one({"type": "divider", "block_id": "x" * n}), 255, "blocks[0].block_id"),
            (
                lambda n: {"attachments": [{"blocks": [{"type": "header", "text": {"text": "x" * n}}]}]},
                150,
                "attachments[0].blocks[0].text.text",
            ),
        ],
    )
    def test_limits(self, make: Any, most: int, field: str) -> None:
        """Each documented limit holds to the character, and the problem names the field."""
        assert native(SLACK, make(most))
        assert problems(SLACK, make(most + 1)) == [f"message.val.{field}"]

    @pytest.mark.parametrize(
        ("make", "most", "field"),
        [
            (lambda n: {"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}] * n}, 10, "elements"),
            (
                lambda n: {"type": "context", "elements": [{"type": "mrkdwn", "text": "x" * n}]},
                3000,
                "elements[0].text",
            ),
            (lambda n: {"type": "context_actions", "elements": [{"type": "icon_button"}] * n}, 5, "elements"),
            (lambda n: {"type": "input", "label": {"type": "plain_text", "text": "x" * n}}, 2000, "label.text"),
            (lambda n: {"type": "video", "title": {"type": "plain_text", "text": "x" * n}}, 200, "title.text"),
            (lambda n: {"type": "video", "author_name": "x" * n}, 50, "author_name"),
            (lambda n: {"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]] * n}, 100, "rows"),
            (lambda n: {"type": "table", "rows": [[{"type": "raw_text", "text": "x"}] * n]}, 20, "rows[0]"),
            (lambda n: {"type": "table", "rows": [], "column_settings": [{}] * n}, 20, "column_settings"),
            (lambda n: accessory({"type": "overflow", "options": [{}] * n}), 5, "accessory.options"),
            (lambda n: accessory({"type": "checkboxes", "options": [{}] * n}), 10, "accessory.options"),
            (lambda n: accessory({"type": "static_select", "options": [{}] * n}), 100, "accessory.options"),
            (lambda n: accessory({"type": "static_select", "option_groups": [{}] * n}), 100, "accessory.option_groups"),
            (
                lambda n: accessory({"type": "static_select", "options": [{"text": {"text": "x" * n}}]}),
                75,
                "accessory.options[0].text.text",
            ),
            (
                lambda n: accessory({"type": "overflow", "options": [{"value": "x" * n}]}),
                150,
                "accessory.options[0].value",
            ),
            (lambda n: accessory({"type": "button", "text": {"text": "x" * n}}), 75, "accessory.text.text"),
            (lambda n: accessory({"type": "button", "url": "x" * n}), 3000, "accessory.url"),
            (lambda n: accessory({"type": "button", "value": "x" * n}), 2000, "accessory.value"),
            (
                lambda n: accessory({"type": "button", "confirm": {"text": {"text": "x" * n}}}),
                300,
                "accessory.confirm.text.text",
            ),
            (lambda n: {"type": "card", "body": {"text": "x" * n}}, 200, "body.text"),
            (lambda n: {"type": "carousel", "elements": [{}] * n}, 10, "elements"),
        ],
    )
    def test_limits_of_a_block(self, make: Any, most: int, field: str) -> None:
        """So does each documented limit inside a block and inside its elements."""
        assert native(SLACK, one(make(most)))
        assert problems(SLACK, one(make(most + 1))) == [f"message.val.blocks[0].{field}"]

    @pytest.mark.parametrize(
        ("make", "most"),
        [
            (lambda n: {"type": "markdown", "text": "x" * n}, 12_000),
            (lambda n: {"type": "table", "rows": [[{"type": "raw_text", "text": "x" * n}]]}, 10_000),
        ],
    )
    def test_limits_of_all_blocks_together(self, make: Any, most: int) -> None:
        """All Markdown of a message has one limit, and so have all its tables."""
        assert native(SLACK, {"text": "t", "blocks": [make(most - 1), make(1)]})
        assert problems(SLACK, {"text": "t", "blocks": [make(most), make(1)]}) == ["message.val"]

    def test_block_without_type(self) -> None:
        """A block without a type is named."""
        assert problems(SLACK, {"blocks": [{}]}) == ["message.val.blocks[0]"]


def accessory(element: dict[str, Any]) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": "t"}, "accessory": element}


def one(block: dict[str, Any]) -> dict[str, Any]:
    return {"text": "t", "blocks": [block]}
