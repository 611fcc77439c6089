"""The templates of Kore's SDK, in their documented form, become cards on Teams and blocks on Slack."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import ChannelName
from notify import render, templates
from notify.findings import findings
from notify.render import Rendered, Unfit
from notify.slack_text import escape
from notify.teams_text import APART

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
ROW: dict[str, Any] = {"Values": ["1", "2"]}
NAMES = ["text", "buttons", "elements", "columns", "url", "quick_replies", "template_type", "heading"]
_INNER = st.dictionaries(
    st.sampled_from(["title", "url", "payload", "Values", "buttons"]),
    st.none() | st.text(max_size=3) | st.lists(st.integers()),
)
ODD = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.none() | _INNER)


def changed(template: dict[str, Any], **inner: Any) -> dict[str, Any]:
    return {**template, "payload": {**template["payload"], **inner}}


def replies(number: int) -> dict[str, Any]:
    return changed(QUICK, quick_replies=[{"title": f"Reply {index}"} for index in range(number)])


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
                "data": {"value": "USER_DEFINED_PAYLOAD"},
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
        assert card(IMAGE)["body"] == [{"type": "Image", "url": "https://i.example/i.jpg", "altText": "Picture"}]

    def test_many_buttons(self) -> None:
        """Teams shows six actions in a row and hides the rest, so more than six stand in rows of six."""
        content = card(replies(14))

        assert "actions" not in content
        assert [6, 6, 2] == [len(row["actions"]) for row in content["body"][1:]]
        assert 6 == len(card(replies(6))["actions"])

    def test_pictures_of_buttons(self) -> None:
        """The picture of a quick reply stands on its button."""
        reply = {"title": "Red", "image_url": "https://i.example/red.png"}

        assert "https://i.example/red.png" == card(changed(QUICK, quick_replies=[reply]))["actions"][0]["iconUrl"]

    def test_look_of_a_table(self) -> None:
        """A table has the whole width, an emphasised header and the sides that its columns name."""
        content = card(TABLE)

        assert {"width": "Full"} == content["msteams"]
        table = content["body"][-1]
        assert ["center", "left"] == [column["horizontalCellContentAlignment"] for column in table["columns"]]
        assert ["Bolder", None, None] == [row["cells"][0]["items"][0].get("weight") for row in table["rows"]]
        assert "msteams" not in card(BUTTON)

    def test_words_are_words(self) -> None:
        """In a card the words of a template mention nobody and are no links, and its lines stay lines."""
        content = card(changed(TEXT, text="[bank](https://evil.example) <at>Ann</at>\nHello"))

        words = f"[bank]{APART}(https://evil.example) <{APART}at>Ann<{APART}/at>\n\nHello"
        assert words == content["body"][0]["text"] == content["fallbackText"]


class TestSummary:
    @pytest.mark.parametrize(
        ("template", "summary"),
        [
            (BUTTON, "What do you want to do next?"),
            (LIST, "Classic <White>"),
            (IMAGE, "You have a new notification."),
            ({"type": "image", "payload": {"url": "https://i.example/i.jpg", "title": "A cat"}}, "A cat"),
            (TABLE, "Account details"),
            (
                {"type": "template", "payload": {"template_type": "table", "columns": ["A", "B"], "elements": [ROW]}},
                "A, B",
            ),
        ],
    )
    def test_summary(self, template: dict[str, Any], summary: str) -> None:
        """A notification, a screen reader and an old client always have words to show: the first that there are."""
        assert summary == shown(TEAMS, template)["summary"] == card(template)["fallbackText"].replace(APART, "")
        assert escape(summary) == shown(SLACK, template)["text"]


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
        blocks = shown(SLACK, replies(60))["blocks"][1:]

        assert [len(block["elements"]) for block in blocks] == [25, 25, 10]

    def test_list(self) -> None:
        """Words are escaped once; a picture stands beside them."""
        first, shop, line, second, more = shown(SLACK, LIST)["blocks"]

        assert line == {"type": "divider"}
        assert first["text"]["text"] == (
            "*<https://shop.example/view?item=100|Classic &lt;White&gt;>*\n100% Cotton &amp; more"
        )
        assert first["accessory"]["image_url"] == "https://shop.example/white.png"
        assert shop["elements"][0]["text"]["text"] == "Shop Now"
        assert second["text"]["text"] == "*Classic Blue*"
        assert more["elements"][0]["value"] == "more"

    @pytest.mark.parametrize(("entries", "lines"), [(25, 24), (26, 0), (50, 0)])
    def test_long_list(self, entries: int, lines: int) -> None:
        """Entries stand apart as long as that leaves room for all of them."""
        inner = {"template_type": "list", "elements": [{"title": "Entry"}] * entries}
        blocks = shown(SLACK, {"type": "template", "payload": inner})["blocks"]

        assert len(blocks) == entries + lines

    def test_table(self) -> None:
        """A table is a table: its header emphasised, its columns to their sides, no cell empty."""
        elements = [{"Values": ["Peter", 1500]}, {"Values": [None, 20.5]}]
        _, table = shown(SLACK, changed(TABLE, elements=elements))["blocks"]

        header, *rows = table["rows"]
        words = [cell["elements"][0]["elements"][0] for cell in header]
        assert [("Name", {"bold": True}), ("Amount", {"bold": True})] == [
            (word["text"], word["style"]) for word in words
        ]
        assert [["Peter", "1500"], [" ", "20.5"]] == [[cell["text"] for cell in row] for row in rows]
        assert ["center", "left"] == [column["align"] for column in table["column_settings"]]

    @pytest.mark.parametrize(
        ("columns", "rows", "kind"), [(20, 99, "table"), (20, 100, "rich_text"), (21, 1, "rich_text")]
    )
    def test_large_table(self, columns: int, rows: int, kind: str) -> None:
        """A table beyond Slack's size is drawn in columns of fixed width."""
        table = changed(TABLE, columns=["c"] * columns, elements=[{"Values": [""] * columns}] * rows)

        assert kind == shown(SLACK, table)["blocks"][-1]["type"]

    def test_long_table(self) -> None:
        """So is one with more characters than Slack takes in a table."""
        table = changed(TABLE, columns=["Name", "Amount"], elements=[{"Values": ["x" * 5000, "y" * 5000]}])

        drawn = shown(SLACK, table)["blocks"][-1]["elements"][0]["elements"][0]["text"]

        assert f"Name{' ' * 4998}Amount\n{'x' * 5000}  {'y' * 5000}" == drawn

    def test_long_text(self) -> None:
        """A text that is too long for one section goes on in the next, between two words."""
        said = " ".join(["word"] * 1500)

        blocks = shown(SLACK, changed(TEXT, text=said))["blocks"]

        assert said == " ".join(block["text"]["text"] for block in blocks)
        assert [2999, 2999, 1499] == [len(block["text"]["text"]) for block in blocks]
        assert ["x" * 3000, "x"] == [
            block["text"]["text"] for block in shown(SLACK, changed(TEXT, text="x" * 3001))["blocks"]
        ]

    def test_lines_of_a_title(self) -> None:
        """An emphasised title is one line, or it would not be emphasised."""
        (block,) = shown(SLACK, changed(LIST, buttons=[], elements=[{"title": " Two\nlines "}]))["blocks"]

        assert "*Two lines*" == block["text"]["text"]

    def test_too_long_for_a_button(self) -> None:
        """What a button cannot hold is refused by the template's name and by what is wrong with it, never cut."""
        long = {"title": "x" * 76, "payload": "y"}

        assert isinstance(render.native(TEAMS, changed(QUICK, quick_replies=[long]), "message.val"), Rendered)
        found = render.native(SLACK, changed(QUICK, quick_replies=[long]), "message.val")
        assert isinstance(found, Unfit)
        assert ["message.val.payload"] == [problem.field for problem in found.problems]
        assert found.problems[0].says.startswith("becomes blocks[1].elements[0].text.text, which is too long for Slack")

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
        "buttons",
        [
            *(None, {}, [], [1], [{}], [{"title": " "}], [{"title": "x", "url": "javascript:alert(1)"}]),
            [{"title": "x", "url": "https://x.example/a b"}],
        ],
    )
    def test_broken_form(self, buttons: Any) -> None:
        """A template that has not its documented form is sent as its text, and never guessed at."""
        payload = {"type": "template", "payload": {**BUTTON["payload"], "buttons": buttons}}

        assert shown(SLACK, payload)["text"] == "What do you want to do next?"
        assert "blocks" not in shown(SLACK, payload)

    @pytest.mark.parametrize(
        ("payload", "says"),
        [
            (changed(BUTTON, text=" "), "text: must not be empty"),
            (changed(BUTTON, text=None), "text: must be text"),
            (changed(QUICK, quick_replies=[{"payload": "x"}]), "quick_replies[0].title: must be text"),
            (changed(QUICK, quick_replies=["Red"]), "quick_replies[0]: must be an object"),
            (changed(LIST, buttons="More"), "buttons: must be a list"),
            (
                changed(LIST, elements=[{"title": "a"}, {"title": "b", "default_action": {"url": "b"}}]),
                "elements[1].default_action.url: must be an address that begins with http:// or https://",
            ),
            (
                changed(LIST, elements=[{"title": "a", "buttons": [{"title": "b", "url": "https://x.example/a b"}]}]),
                "elements[0].buttons[0].url: must be an address without blanks",
            ),
            (changed(TABLE, columns=[["Name"], [True]]), "columns[1]: must be text or a number"),
            (
                changed(TABLE, elements=[{"Values": ["Peter"]}]),
                "elements[0].Values: must have a value for each of the 2 columns, and has 1",
            ),
            (changed(TABLE, elements=[{"Values": ["Peter", []]}]), "elements[0].Values[1]: must be text or a number"),
            ({"type": "image", "payload": {"image_url": []}}, "image_url: must be text"),
        ],
    )
    def test_slip(self, payload: dict[str, Any], says: str) -> None:
        """A template that has not its documented form names the member, and what is wrong with it."""
        assert says == templates.slip(payload)

    def test_no_slip(self) -> None:
        """Nothing is wrong with a template in its form, nor with one of a kind that is not known."""
        nps = {"type": "template", "payload": {"template_type": "feedbackTemplate", "text": 1}}

        assert [None] * 7 == [templates.slip(each) for each in (BUTTON, QUICK, LIST, TABLE, IMAGE, TEXT, nps)]

    def test_warning(self) -> None:
        """Where only the text is shown, a warning names the member; where there is none, the refusal does."""
        found = render.native(SLACK, changed(BUTTON, buttons=[]), "message.val")
        refused = render.native(SLACK, changed(LIST, elements=[]), "message.val")

        says = "message.val.payload: {}: must be a list that is not empty"
        assert isinstance(found, Rendered)
        assert (f"{says.format('buttons')}: only its text is shown",) == found.warnings
        assert isinstance(refused, Unfit)
        assert [says.format("elements")] == list(map(str, refused.problems))

    @given(st.sampled_from([BUTTON, QUICK, LIST, TABLE, IMAGE, TEXT]), st.sampled_from(NAMES), ODD)
    def test_total(self, template: dict[str, Any], name: str, value: Any) -> None:
        """Whatever stands in a template, it is rendered or refused."""
        payload = {**template, "payload": {**template["payload"], name: value}}

        for channel in ChannelName:
            assert isinstance(render.native(channel, payload, "message.val"), Rendered | Unfit)


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="*["), max_size=12)
LONG = WORDS | st.sampled_from(["x" * 76, "x" * 2001, "word " * 900])
URL = st.sampled_from(["https://x.example/?a=1&b=<2>|3", "http://x.example/i.png"])
BUTTONS = st.lists(
    st.fixed_dictionaries({"title": LONG}, optional={"url": URL, "payload": LONG, "image_url": URL}), max_size=30
)
ELEMENTS = st.lists(
    st.fixed_dictionaries(
        {"title": LONG},
        optional={"subtitle": LONG, "image_url": URL, "default_action": st.builds(dict, url=URL), "buttons": BUTTONS},
    ),
    max_size=30,
)
CELL = WORDS | st.integers() | st.none()


def tables(width: int) -> st.SearchStrategy[dict[str, Any]]:
    row = st.lists(CELL, min_size=width, max_size=width)
    return st.fixed_dictionaries(
        {
            "template_type": st.just("table"),
            "columns": st.lists(
                st.tuples(WORDS, st.sampled_from(["left", "right", "x"])).map(list), min_size=width, max_size=width
            ),
            "elements": st.lists(st.builds(lambda values: {"Values": values}, row), max_size=5).map(
                lambda rows: rows * 30
            ),
        },
        optional={"text": LONG},
    )


INNER = st.one_of(
    st.fixed_dictionaries({"template_type": st.just("text"), "text": LONG}),
    st.fixed_dictionaries({"template_type": st.just("button"), "text": LONG, "buttons": BUTTONS}),
    st.fixed_dictionaries({"template_type": st.just("quick_replies"), "text": LONG, "quick_replies": BUTTONS}),
    st.fixed_dictionaries({"template_type": st.just("list"), "elements": ELEMENTS}, optional={"buttons": BUTTONS}),
    st.fixed_dictionaries({"template_type": st.just("image"), "url": URL}, optional={"text": LONG}),
    st.integers(1, 25).flatmap(tables),
)


class TestEverything:
    @given(INNER)
    def test_right_or_refused(self, inner: dict[str, Any]) -> None:
        """Whatever a template holds, what it becomes has no findings, or the template is refused by its name."""
        for channel in ChannelName:
            found = render.native(channel, {"type": "template", "payload": inner}, "message.val")

            if isinstance(found, Rendered):
                assert () == findings(channel, found.payload)
            else:
                assert all(problem.field.startswith("message.val.payload") for problem in found.problems)
