"""The templates of Kore's SDK, in their documented form, become cards on Teams and blocks on Slack."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import ChannelName
from notify import render
from notify.render import Rendered, Unfit

TEAMS, SLACK = ChannelName.MSTEAMS, ChannelName.SLACK
BUTTON: dict[str, Any] = {
    "type": "template",
    "payload": {
        "template_type": "button",
        "text": "What do you want to do next?",
        "buttons": [
            {"type": "web_url", "title": "Show Website", "url": "https://petersapparel.parseapp.com"},
            {"type": "postback", "title": "Start Chatting", "payload": "USER_DEFINED_PAYLOAD"},
        ],
    },
}
QUICK: dict[str, Any] = {
    "type": "template",
    "payload": {
        "template_type": "quick_replies",
        "text": "Pick a color:",
        "quick_replies": [
            {"content_type": "text", "title": "Red", "payload": "RED"},
            {"content_type": "text", "title": "Green", "payload": "GREEN"},
        ],
    },
}
LIST: dict[str, Any] = {
    "type": "template",
    "payload": {
        "template_type": "list",
        "elements": [
            {
                "title": "Classic <White>",
                "image_url": "https://shop.example/white.png",
                "subtitle": "100% Cotton & more",
                "default_action": {"type": "web_url", "url": "https://shop.example/view?item=100"},
                "buttons": [{"title": "Shop Now", "type": "web_url", "url": "https://shop.example/shop?item=100"}],
            },
            {"title": "Classic Blue"},
        ],
        "buttons": [{"title": "View More", "type": "postback", "payload": "more"}],
    },
}
TABLE: dict[str, Any] = {
    "type": "template",
    "payload": {
        "template_type": "table",
        "text": "Account details",
        "columns": [["Name", "center"], ["Amount"]],
        "elements": [{"Values": ["Peter", 1500]}, {"Values": ["Sam", 20.5]}],
    },
}
IMAGE: dict[str, Any] = {"type": "image", "payload": {"url": " https://i.example/i.jpg"}}
TEXT: dict[str, Any] = {"type": "template", "payload": {"template_type": "text", "text": "Hello"}}
NAMES = ["text", "buttons", "elements", "columns", "url", "quick_replies", "template_type", "heading"]
_INNER = st.dictionaries(
    st.sampled_from(["title", "url", "payload", "Values", "buttons"]),
    st.none() | st.text(max_size=3) | st.lists(st.integers()),
)
ODD = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.none() | _INNER)


def shown(channel: ChannelName, payload: dict[str, Any]) -> dict[str, Any]:
    found = render.native(channel, payload, "message.val")
    assert isinstance(found, Rendered), found
    return dict(found.payload)


def card(payload: dict[str, Any]) -> dict[str, Any]:
    (attachment,) = shown(TEAMS, payload)["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    content: dict[str, Any] = attachment["content"]
    return content


class TestTeams:
    def test_button(self) -> None:
        """A button opens its address, or answers as if the person had written its value."""
        assert card(BUTTON)["actions"] == [
            {"type": "Action.OpenUrl", "title": "Show Website", "url": "https://petersapparel.parseapp.com"},
            {
                "type": "Action.Submit",
                "title": "Start Chatting",
                "data": {"msteams": {"type": "imBack", "value": "USER_DEFINED_PAYLOAD"}},
            },
        ]
        assert card(BUTTON)["body"] == [{"type": "TextBlock", "text": "What do you want to do next?", "wrap": True}]
        assert shown(TEAMS, BUTTON)["summary"] == "What do you want to do next?"

    def test_quick_replies(self) -> None:
        """Quick replies are buttons."""
        assert [action["title"] for action in card(QUICK)["actions"]] == ["Red", "Green"]

    def test_list(self) -> None:
        """An element shows its words, its picture and its button, and opens its own address."""
        first, second = card(LIST)["body"]

        assert first["selectAction"] == {"type": "Action.OpenUrl", "url": "https://shop.example/view?item=100"}
        assert [item["type"] for item in first["columns"][0]["items"]] == ["TextBlock", "TextBlock", "ActionSet"]
        assert first["columns"][1]["items"][0]["url"] == "https://shop.example/white.png"
        assert len(second["columns"]) == 1

    def test_table(self) -> None:
        """A table keeps its header and every cell."""
        said, table = card(TABLE)["body"]

        cells = [[cell["items"][0]["text"] for cell in row["cells"]] for row in table["rows"]]
        assert said["text"] == "Account details"
        assert cells == [["Name", "Amount"], ["Peter", "1500"], ["Sam", "20.5"]]

    def test_image(self) -> None:
        """A picture is shown by its address."""
        assert card(IMAGE)["body"] == [{"type": "Image", "url": "https://i.example/i.jpg", "altText": ""}]


class TestSlack:
    def test_button(self) -> None:
        """The text is a section, the buttons one block, and the text also the notification."""
        payload = shown(SLACK, BUTTON)

        section, actions = payload["blocks"]
        assert payload["text"] == section["text"]["text"] == "What do you want to do next?"
        assert actions["elements"][0]["url"] == "https://petersapparel.parseapp.com"
        assert actions["elements"][1]["value"] == "USER_DEFINED_PAYLOAD"

    def test_many_buttons(self) -> None:
        """More buttons than one block takes are spread over several; none is lost."""
        replies = [{"title": f"Reply {number}"} for number in range(60)]
        payload = {"type": "template", "payload": {**QUICK["payload"], "quick_replies": replies}}

        blocks = shown(SLACK, payload)["blocks"][1:]

        assert [len(block["elements"]) for block in blocks] == [25, 25, 10]

    def test_list(self) -> None:
        """Words are escaped once; a picture stands beside them."""
        first, shop, second, more = shown(SLACK, LIST)["blocks"]

        assert first["text"]["text"] == (
            "*<https://shop.example/view?item=100|Classic &lt;White&gt;>*\n100% Cotton &amp; more"
        )
        assert first["accessory"]["image_url"] == "https://shop.example/white.png"
        assert shop["elements"][0]["text"]["text"] == "Shop Now"
        assert second["text"]["text"] == "*Classic Blue*"
        assert more["elements"][0]["value"] == "more"

    def test_table(self) -> None:
        """A table is drawn in columns."""
        _, table = shown(SLACK, TABLE)["blocks"]

        assert table["elements"][0]["elements"][0]["text"] == "Name   Amount\nPeter  1500\nSam    20.5"

    def test_address_cannot_break_out(self) -> None:
        """An address cannot end its brackets early and mention somebody."""
        element = {"title": "x", "default_action": {"url": "https://x.example/>|<!channel>"}}
        payload = {"type": "template", "payload": {"template_type": "list", "elements": [element]}}

        (block,) = shown(SLACK, payload)["blocks"]

        assert "<!channel>" not in block["text"]["text"]
        assert block["text"]["text"].count("<") == block["text"]["text"].count(">") == 1


class TestUnknown:
    @pytest.mark.parametrize("channel", list(ChannelName))
    def test_text(self, channel: ChannelName) -> None:
        """A kind that is not known is sent as its text."""
        nps = {
            "type": "template",
            "payload": {"template_type": "feedbackTemplate", "text": "How likely?", "view": "NPS"},
        }

        assert shown(channel, nps)["text"] == "How likely?"

    @pytest.mark.parametrize("channel", list(ChannelName))
    def test_nothing_to_show(self, channel: ChannelName) -> None:
        """Without a text there is nothing to show, and that is a problem with a name."""
        found = render.native(channel, {"type": "template", "payload": {"template_type": "carousel"}}, "message.val")

        assert isinstance(found, Unfit)
        assert [problem.field for problem in found.problems] == ["message.val.payload"]

    @pytest.mark.parametrize(
        "buttons", [None, {}, [], [1], [{}], [{"title": " "}], [{"title": "x", "url": "javascript:alert(1)"}]]
    )
    def test_broken_form(self, buttons: Any) -> None:
        """A template that has not its documented form is sent as its text, and never guessed at."""
        payload = {"type": "template", "payload": {**BUTTON["payload"], "buttons": buttons}}

        assert shown(SLACK, payload)["text"] == "What do you want to do next?"
        assert "blocks" not in shown(SLACK, payload)

    @given(st.sampled_from([BUTTON, QUICK, LIST, TABLE, IMAGE, TEXT]), st.sampled_from(NAMES), ODD)
    def test_total(self, template: dict[str, Any], name: str, value: Any) -> None:
        """Whatever stands in a template, it is rendered or refused."""
        payload = {**template, "payload": {**template["payload"], name: value}}

        for channel in ChannelName:
            assert isinstance(render.native(channel, payload, "message.val"), Rendered | Unfit)
