"""Findings: what is probably wrong with a payload is said with its place; what is right is not."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft6Validator  # type: ignore[import-untyped]  # ships no types

from adapters.base import ChannelName
from notify import card_schema
from notify.findings import LONGEST, MOST, findings

TEAMS, SLACK = ChannelName.MSTEAMS, ChannelName.SLACK
ADAPTIVE = "application/vnd.microsoft.card.adaptive"
SCHEMA = Path(card_schema.__file__).parent / "data" / "adaptive-card-1.5.json"
AT = "attachments[0].content"
TEXT: dict[str, Any] = {"type": "TextBlock", "text": "Hello", "wrap": True}
PLAIN: dict[str, Any] = {"type": "plain_text", "text": "x"}
BUTTON: dict[str, Any] = {"type": "button", "text": PLAIN, "action_id": "a"}


def message(card: object) -> dict[str, Any]:
    return {"type": "message", "summary": "Hello", "attachments": [{"contentType": ADAPTIVE, "content": card}]}


def card(*body: Any, **more: Any) -> dict[str, Any]:
    return message({"type": "AdaptiveCard", "version": "1.5", "body": list(body), **more})


def of_card(*body: Any, **more: Any) -> tuple[str, ...]:
    """What is found in a card, without the place of the card itself."""
    return tuple(found.replace(f"{AT}.", "").replace(AT, "card") for found in findings(TEAMS, card(*body, **more)))


def of_blocks(*blocks: Any, **more: Any) -> tuple[str, ...]:
    return findings(SLACK, {"text": "t", "blocks": list(blocks), **more})


RIGHT: list[dict[str, Any]] = [
    {**TEXT, "size": "large", "weight": "Bolder", "spacing": "None", "color": None},
    {"type": "RichTextBlock", "inlines": ["a", {"type": "TextRun", "text": "b"}]},
    {"type": "ColumnSet", "columns": [{"type": "Column", "width": "auto", "items": [TEXT]}, {"width": 2}]},
    {"type": "Image", "url": "https://x.example/i.png", "height": "50px", "msteams": {"allowExpand": True}},
    {
        "type": "Container",
        "items": [TEXT],
        "backgroundImage": "https://x.example/i.png",
        "targetWidth": "atLeast:narrow",
    },
    {"type": "Table", "columns": [{"width": 1}], "rows": [{"type": "TableRow", "cells": [{"items": [TEXT]}]}]},
    {"type": "Input.ChoiceSet", "id": "c", "choices": [{"title": "a", "value": "b"}]},
    {"type": "FactSet", "facts": [{"title": "a", "value": "b"}], "fallback": "drop"},
    {"type": "CodeBlock", "codeSnippet": "x"},
    {"type": "Chart.Pie", "data": []},
    {
        "type": "ActionSet",
        "actions": [{"type": "Action.Submit", "title": "Go", "data": {"msteams": {"type": "imBack"}}}],
    },
    {"type": "Badge", "text": "x", "fallback": TEXT},
]


class TestCards:
    @pytest.mark.parametrize("element", RIGHT, ids=lambda element: str(element["type"]))
    def test_right(self, element: dict[str, Any]) -> None:
        """What the schema or Teams knows is no finding."""
        assert () == of_card(element)

    @pytest.mark.parametrize(
        ("element", "found"),
        [
            ({"type": "TextBlok", "text": "x"}, 'body[0].type: "TextBlok" is not known here: did you mean TextBlock?'),
            ({**TEXT, "warp": True}, "body[0].warp: is not known in TextBlock: did you mean wrap?"),
            ({"type": "TextBlock"}, "body[0]: has no text"),
            ({"type": "TextBlock", "text": 1}, "body[0].text: must be text"),
            ({**TEXT, "wrap": "yes"}, "body[0].wrap: must be true or false"),
            (
                {**TEXT, "size": "huge"},
                "body[0].size: is not known here: one of default, small, medium, large, extraLarge",
            ),
            ({"type": "ColumnSet", "columns": [{"items": [{**TEXT, "x": 1}]}]}, "body[0].columns[0].items[0].x: "),
            ({"type": "Container", "items": TEXT}, "body[0].items: must be a list"),
            ("TextBlock", "body[0]: must be an object"),
            ({"text": "x"}, "body[0]: has no type: one of ActionSet, "),
            ({"type": "Image", "url": "x", "size": []}, "body[0].size: is not known here: one of auto, "),
            ({"type": "Input.Text"}, "body[0]: has no id"),
            ({**TEXT, "fallback": {"type": "Nothing"}}, 'body[0].fallback.type: "Nothing" is not known here: one of '),
        ],
    )
    def test_schema(self, element: Any, found: str) -> None:
        """What the published schema does not know or misses is named with its place, once."""
        (only,) = of_card(element)

        assert only.startswith(found)

    @pytest.mark.parametrize(
        ("more", "found"),
        [
            ({"version": "1.6"}, "version: is 1.6, and Teams shows 1.5: it shows the fallback text instead"),
            ({"version": 1.5}, 'version: must name the version that the card needs, such as "1.5"'),
            ({"version": "1.2", "rtl": True}, "rtl: came with version 1.5 of Adaptive Cards, and the card says 1.2"),
            (
                {"actions": [{"type": "Action.Submit", "isEnabled": False}]},
                "actions[0].isEnabled: is not honoured by Teams on Action.Submit",
            ),
            (
                {"actions": [{"type": "Action.OpenUrl", "url": "x", "style": "Positive"}]},
                'actions[0].style: "Positive" is not shown by Teams',
            ),
            (
                {"actions": [{"type": "Action.OpenUrl", "url": "intranet/help"}]},
                "actions[0].url: must be an address that begins with https://, http:// or mailto:",
            ),
            (
                {"selectAction": {"type": "Action.OpenUrl", "url": "javascript:alert(1)"}},
                "selectAction.url: must be an address that begins with https://, http:// or mailto:",
            ),
            ({"body": []}, "card: shows nothing: give a body or actions"),
            (
                {"body": [{**TEXT, "id": "a"}, {**TEXT, "id": "a"}]},
                'card: has the id "a" 2 times: phones do not show such a card',
            ),
        ],
    )
    def test_teams(self, more: dict[str, Any], found: str) -> None:
        """What the schema allows and Teams does not is named too."""
        assert found in of_card(TEXT, **more)

    @pytest.mark.parametrize("url", ["https://x.example", "HTTP://x.example/a?b=c#d", "mailto:ann@x.example"])
    def test_address(self, url: str) -> None:
        """What a press can open is no finding, on either platform."""
        assert () == of_card(TEXT, actions=[{"type": "Action.OpenUrl", "title": "Go", "url": url}])
        assert () == of_blocks({"type": "actions", "elements": [{**BUTTON, "url": url}]})

    def test_file(self) -> None:
        """Nobody can upload a file from a card."""
        assert "body[0]: cannot be used: Teams uploads no files from a card" in of_card({"type": "Input.File"})

    def test_summary(self) -> None:
        """A card needs something for notifications and old clients: its fallbackText, or the message's summary."""
        bare = card(TEXT)
        del bare["summary"]

        assert [f"{AT}: has no fallbackText"] == [found[: len(AT) + 21] for found in findings(TEAMS, bare)]
        assert () == findings(TEAMS, bare | {"text": "Hello"})
        assert () == of_card(TEXT, fallbackText="Hello")

    @pytest.mark.parametrize("content", [None, "{}", []])
    def test_no_object(self, content: object) -> None:
        """A card that is no object is named."""
        assert (f"{AT}: must be the card as an object",) == findings(TEAMS, message(content))

    def test_message(self) -> None:
        """Around the card, words that Teams does not know and markup of Slack's are named."""
        found = findings(TEAMS, {"text": "Hi <!here> <https://x.example|x>", "textFormat": "html"})

        assert found[0] == "textFormat: must be one of plain, markdown, xml, extendedmarkdown"
        assert found[1].startswith("text: looks like Slack's markup")

    def test_other_cards(self) -> None:
        """Cards of other kinds are not looked at."""
        hero = {"contentType": "application/vnd.microsoft.card.hero", "content": {"text": "x"}}

        assert () == findings(TEAMS, {"attachments": [hero]})

    def test_bounded(self) -> None:
        """However wrong a payload is, the list ends."""
        assert len(of_card(*[{"type": "TextBlock"}] * 100)) == MOST

    def test_fast(self) -> None:
        """A card of 6.5 KB is looked at in far less than 50 ms."""
        body = [{"type": "ColumnSet", "columns": [{"type": "Column", "items": [TEXT]}]} for _ in range(60)]
        findings(TEAMS, card(TEXT))
        started = time.process_time()

        assert () == of_card(*body)
        assert time.process_time() - started < 0.05


VALUES = st.sampled_from([None, True, 1, "x", "auto", "default", "drop", [], {}, TEXT, [TEXT], "1.5"])
TYPES = st.sampled_from(
    ["TextBlock", "Image", "Container", "ColumnSet", "Column", "FactSet", "Input.Text", "Table", "No"]
)
NAMES = [
    "text",
    "url",
    "items",
    "columns",
    "facts",
    "id",
    "size",
    "spacing",
    "fallback",
    "selectAction",
    "wrap",
    "rows",
]
ELEMENT = st.builds(
    lambda kind, members: {"type": kind, **members}, TYPES, st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3)
)
VALIDATOR = Draft6Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


class TestSchema:
    @given(st.lists(ELEMENT, max_size=3))
    def test_same_judgement(self, body: list[dict[str, Any]]) -> None:
        """Whether a card fits the schema is what a full validator says; only the words are ours."""
        content = card(*body)["attachments"][0]["content"]
        ours = list(card_schema.schema_findings(content, "card"))
        members = [member for element in body for member in element.items()]

        # Teams knows more members, and the schema's words are patterns, which let everything pass that is no text.
        if not any(
            name in card_schema.TEAMS_MEMBERS or (name == "size" and not isinstance(value, str))
            for name, value in members
        ):
            assert VALIDATOR.is_valid(content) is (not ours)

    def test_shipped(self) -> None:
        """The schema is published under a licence, and its notice is beside it."""
        assert "MIT License" in (SCHEMA.parent / "NOTICE").read_text(encoding="utf-8")


RIGHT_BLOCKS: list[dict[str, Any]] = [
    {"type": "header", "text": {**PLAIN, "emoji": True}},
    {"type": "section", "text": {"type": "mrkdwn", "text": "*x* <https://x.example|y>"}, "accessory": BUTTON},
    {"type": "section", "fields": [PLAIN], "expand": True},
    {"type": "actions", "elements": [BUTTON, {"type": "static_select", "action_id": "s", "placeholder": PLAIN}]},
    {"type": "context", "elements": [PLAIN, {"type": "image", "image_url": "https://x.example/i", "alt_text": "i"}]},
    {"type": "image", "image_url": "https://x.example/i.png", "alt_text": "i", "title": PLAIN},
    {"type": "input", "label": PLAIN, "element": {"type": "plain_text_input", "multiline": True}},
    {
        "type": "rich_text",
        "elements": [
            {"type": "rich_text_section", "elements": [{"type": "text", "text": "x", "style": {"bold": True}}]},
            {
                "type": "rich_text_list",
                "style": "bullet",
                "elements": [
                    {"type": "rich_text_section", "elements": [{"type": "link", "url": "https://x.example"}]},
                ],
            },
        ],
    },
    {"type": "table", "rows": [[{"type": "raw_text", "text": "x"}, {"type": "raw_number", "value": 1}]]},
    {"type": "markdown", "text": "**x**"},
    {"type": "divider", "block_id": "d"},
    {"type": "alert", "text": PLAIN, "level": "info"},
]
RIGHT_BLOCKS[3]["elements"][1]["options"] = [{"text": PLAIN, "value": "v"}]


class TestBlocks:
    @pytest.mark.parametrize("block", RIGHT_BLOCKS, ids=lambda block: str(block["type"]))
    def test_right(self, block: dict[str, Any]) -> None:
        """What the documentation shows is no finding."""
        assert () == of_blocks(block)

    @pytest.mark.parametrize(
        ("block", "found"),
        [
            ({"type": "sectoin"}, 'type: "sectoin" is no block of Slack\'s: one of actions, '),
            ({"type": "header"}, " has no text, which header needs"),
            (
                {"type": "header", "text": {"type": "mrkdwn", "text": "x"}},
                'text.type: "mrkdwn" cannot stand here: one of plain_text',
            ),
            ({"type": "header", "text": "x"}, "text: must be a text object with a type: one of plain_text"),
            ({"type": "header", "text": {**PLAIN, "text": ""}}, "text.text: must be text that is not empty"),
            ({"type": "section"}, " has neither text nor fields"),
            ({"type": "section", "text": PLAIN, "color": "red"}, "color: is not known in section"),
            ({"type": "section", "text": PLAIN, "accessory": PLAIN}, 'accessory.type: "plain_text" cannot stand here'),
            ({"type": "actions", "elements": []}, "elements: must be a list that is not empty"),
            (
                {"type": "actions", "elements": [{**BUTTON, "style": "red"}]},
                "elements[0].style: must be one of primary",
            ),
            (
                {"type": "actions", "elements": [{**BUTTON, "url": "www.x.example"}]},
                "elements[0].url: must be an address that begins with https://, http:// or mailto:",
            ),
            (
                {
                    "type": "actions",
                    "elements": [{"type": "overflow", "options": [{"text": PLAIN, "value": "v", "url": "ftp://x"}]}],
                },
                "elements[0].options[0].url: must be an address",
            ),
            ({"type": "section", "text": PLAIN, "accessory": {**BUTTON, "url": "https://x y"}}, "accessory.url: must"),
            ({"type": "actions", "elements": [BUTTON, BUTTON]}, "elements[1].action_id: is used twice"),
            (
                {"type": "actions", "elements": [{"type": "overflow", "options": []}]},
                "elements[0].options: must be a list that is not empty",
            ),
            ({"type": "actions", "elements": [{"type": "plain_text_input"}]}, 'elements[0].type: "plain_text_input" '),
            ({"type": "context", "elements": [BUTTON]}, 'elements[0].type: "button" cannot stand here'),
            ({"type": "image", "alt_text": "x", "image_url": "i.png"}, "image_url: must be the https address"),
            ({"type": "image", "image_url": "https://x.example"}, " has no alt_text, which image needs"),
            (
                {"type": "section", "text": {"type": "mrkdwn", "text": "[x](https://x.example)"}},
                "text.text: looks like standard Markdown, and Slack's is *bold* and <address|face>",
            ),
            ({"type": "table", "rows": [[{"type": "raw_text", "text": ""}]]}, "rows[0][0].text: must be text that"),
        ],
    )
    def test_wrong(self, block: dict[str, Any], found: str) -> None:
        """What Slack would refuse, or show as it is written, is named with its place, once."""
        (only,) = of_blocks(block)

        assert only.startswith(f"blocks[0]:{found}" if found.startswith(" ") else f"blocks[0].{found}")

    def test_twice(self) -> None:
        """A block_id is used once in a message, attachments included."""
        divider = {"type": "divider", "block_id": "d"}

        assert ("attachments[0].blocks[0].block_id: is used twice: each must be its own",) == of_blocks(
            divider, attachments=[{"blocks": [divider]}]
        )

    def test_attachment_of_teams(self) -> None:
        """An attachment as Teams takes it is named, for Slack shows nothing of it."""
        card_ = {"contentType": ADAPTIVE, "content": {"type": "AdaptiveCard", "version": "1.5"}}

        assert ("attachments[1]: is an attachment of Teams, which Slack does not show",) == findings(
            SLACK, {"text": "t", "attachments": [{"text": "x"}, card_]}
        )

    def test_text(self) -> None:
        """Standard Markdown in a message's text is named, unless the text is no markup at all."""
        assert len(findings(SLACK, {"text": "**Hi**"})) == 1
        assert () == findings(SLACK, {"text": "**Hi**", "mrkdwn": False})
        assert () == findings(SLACK, {"text": "*Hi* <https://x.example|you>"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "blocks", "elements", "options", "body", "content", "version", "id", "rows"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


class TestEverything:
    @given(st.dictionaries(st.sampled_from(["text", "blocks", "attachments", "textFormat"]), JSON), JSON)
    def test_total(self, payload: dict[str, Any], content: Any) -> None:
        """Every payload is looked at, never an exception; each finding is a sentence with its place."""
        for given_ in (payload, message(content), {"blocks": [content]}, {"attachments": [{"blocks": [content]}]}):
            for channel in ChannelName:
                assert all(": " in found for found in findings(channel, given_))

    def test_nothing_is_expensive(self) -> None:
        """However a payload is made, it is looked at in a moment, and what is said of it stays short."""
        started = time.process_time()

        for piece in ("[", "**", "<https://x", "<@", "**a", "[a](http"):
            said = piece * (40_000 // len(piece))
            findings(SLACK, {"text": said})
            findings(TEAMS, {"text": said})
        found = of_card({**TEXT, **{f"textt{index}": 1 for index in range(5000)}}) + of_card({**TEXT, "x" * 40_000: 1})

        assert all(len(sentence) <= LONGEST for sentence in found)
        assert time.process_time() - started < 2

    def test_templates(self) -> None:
        """A template of Kore's SDK is neither a card nor blocks."""
        for channel in ChannelName:
            assert () == findings(channel, {"type": "template", "payload": {"text": "**x**"}})
