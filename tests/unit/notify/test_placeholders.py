"""Placeholders: what a person's values do to a text or payload, and what no value can do."""

from __future__ import annotations

import copy
import html
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from adapters.base import ChannelName
from notify import render
from notify.placeholders import fill_payload, fill_text, names_in, read_payload
from notify.render import Rendered
from notify.teams_text import APART

TEAMS, SLACK = ChannelName.MSTEAMS, ChannelName.SLACK
ADAPTIVE = "application/vnd.microsoft.card.adaptive"
HERO = "application/vnd.microsoft.card.hero"
EVIL = [
    *("<!channel>", "<@U1>", "<https://evil.example|bank>", "<at>Ann</at>", "[bank](https://evil.example)", "]", "["),
    *("(https://evil.example)", "[x]", "<", ">", "&lt;", "[x]: https://evil.example", "[x][y]", "![", "<a href='x'>"),
    *("!channel", "@U1", "at>", "/at>", "|bank", "@here", "#general", "\\", "`", "{a}", "{b}", "{{a}}", "&", "\n", " "),
]
VALUE = st.lists(st.sampled_from(EVIL) | st.text(max_size=4), max_size=5).map("".join)
VALUES = st.fixed_dictionaries({"a": VALUE, "b": VALUE})
FRAMES = ["{a}", "Hi {a}{b}", "[{a}]{b}", "[{a}]{a}{b}", "<{a}>", "<{a}{b}>", "{a}({b})", "**{a}** {b}!", "<{a}|this>"]


def card(*body: dict[str, Any], **more: Any) -> dict[str, Any]:
    content = {"type": "AdaptiveCard", "version": "1.5", "body": list(body), **more}
    return {"type": "message", "attachments": [{"contentType": ADAPTIVE, "content": content}]}


def strings(value: object) -> Iterator[str]:
    """Every string that is a value."""
    if isinstance(value, str):
        yield value
    for child in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from strings(child)


def disguised(said: str) -> list[tuple[str, str]]:
    """The links that CommonMark reads and that do not show their address, each with its face."""
    anchors = re.findall(r'<a href="([^"]*)"[^>]*>(.*?)</a>', MarkdownIt().render(said), re.DOTALL)
    return [(at, face) for at, face in anchors if _address(at) != _address(face)]


def _address(written: str) -> str:
    return unquote(html.unescape(written)).removeprefix("mailto:").rstrip("/")


class TestNames:
    def test_names(self) -> None:
        """A name is a letter or underscore, then letters, digits and underscores; anything else is text."""
        assert names_in("{a} {_b1} {a} {1c} { d } {e-f} {} {{g}} {é}") == ("a", "_b1", "g")

    def test_names_of_a_payload(self) -> None:
        """Names are found in values, in their order, and never in the names of members."""
        assert names_in({"{key}": ["{b}", {"x": "{a} {b}"}], "n": 1, "t": None}) == ("b", "a")


class TestText:
    def test_plain(self) -> None:
        """In plain text a value is what it is: whoever escapes the text does it once, for all of it."""
        filled = fill_text(SLACK, "Hi <b> {a}", {"a": "<!channel> & co"}, markup=False)

        assert filled.value == "Hi <b> <!channel> & co"

    def test_one_pass(self) -> None:
        """A value is never read again."""
        assert fill_text(TEAMS, "{a}{b}", {"a": "{b}", "b": "{a}"}, markup=False).value == "{b}{a}"

    def test_unknown(self) -> None:
        """A name without a value stays as it is written and is reported once; a value that nobody asked for is not."""
        filled = fill_text(SLACK, "{x} {a} {y} {x}", {"a": "1", "z": "2"}, markup=True)

        assert filled.value == "{x} 1 {y} {x}"
        assert filled.missing == ("x", "y")

    @pytest.mark.parametrize(
        ("channel", "said", "shown"),
        [
            (SLACK, "*Hi* {a}", "*Hi* &lt;!channel&gt; R&amp;D"),
            (TEAMS, "**Hi** {a}", "**Hi** &lt;!channel> R&D"),
        ],
    )
    def test_markup(self, channel: ChannelName, said: str, shown: str) -> None:
        """In markup the author's words are markup and a value is words."""
        assert fill_text(channel, said, {"a": "<!channel> R&D"}, markup=True).value == shown

    @pytest.mark.parametrize("said", ["Reset it at {link}", "Reset it <{link}|here>", "Reset it [here]({link})"])
    @pytest.mark.parametrize("channel", list(ChannelName))
    def test_address(self, channel: ChannelName, said: str) -> None:
        """An address stays an address, bare or behind a face that the author gave it."""
        link = "https://x.example/@ann/reset?a=1&b=2#top"
        wanted = html.escape(link) if channel is SLACK else link

        assert fill_text(channel, said, {"link": link}, markup=True).value == said.replace("{link}", wanted)

    @pytest.mark.parametrize(
        "name", ["Ann", "O'Neil-Smith", "ann@x.example", "C# & co", "#12", "A[1]/B (x)", "a < b > c"]
    )
    def test_names_of_people_are_untouched(self, name: str) -> None:
        """What is dangerous nowhere is shown as it is: nothing invisible is put into ordinary words."""
        for channel in ChannelName:
            assert APART not in fill_text(channel, "Hi {a}, [x]({a})", {"a": name}, markup=True).value
        block = fill_payload(TEAMS, card({"type": "TextBlock", "text": "Hi {a}"}), {"a": name}).value
        assert block["attachments"][0]["content"]["body"][0]["text"] == f"Hi {name}"


class TestWhateverTheValues:
    def test_disguise(self) -> None:
        """The judge of the following tests sees a disguised link, and lets an honest one pass."""
        assert [("https://x.example", "bank")] == disguised(
            "[bank](https://x.example) <https://x.example/> <a@b.example>"
        )

    @given(st.sampled_from(FRAMES), VALUES)
    def test_slack(self, frame: str, values: dict[str, str]) -> None:
        """On Slack no value brings an angle bracket, so none mentions anybody or changes the face of an address."""
        value = fill_text(SLACK, frame, values, markup=True).value

        assert value.count("<") == frame.count("<")
        assert value.count(">") == frame.count(">")
        assert not re.search(r"<[!@#]", value)
        assert not re.search(r"(?<![^\W_])(?<![/.=&?%~+-])@(here|channel|everyone)", value)
        assert value.count("|") == frame.count("|") or not frame.startswith("<")

    @given(st.sampled_from(FRAMES), VALUES)
    def test_markdown_on_slack(self, frame: str, values: dict[str, str]) -> None:
        """In Slack's standard Markdown a value brings neither angle brackets nor links with another face."""
        value = fill_payload(SLACK, {"markdown_text": frame}, values).value["markdown_text"]

        assert value.count("<") == frame.count("<")
        assert not re.search(r"<[!@#]", value)
        assert not re.search(r"\][(\[:]", value)

    @given(st.sampled_from(FRAMES), VALUES)
    def test_text_on_teams(self, frame: str, values: dict[str, str]) -> None:
        """In the text of a Teams message a value brings no tag and no link but one that shows its address."""
        value = fill_text(TEAMS, frame, values, markup=True).value

        assert value.count("<") == frame.count("<")
        assert not re.search(r"</?at", value)
        assert [] == disguised(value)

    @given(st.sampled_from(FRAMES), VALUES)
    def test_cards(self, frame: str, values: dict[str, str]) -> None:
        """In a card no value mentions anybody, and none is a link with another face."""
        payload = card(
            {"type": "TextBlock", "text": frame}, {"type": "FactSet", "facts": [{"title": "t", "value": frame}]}
        )
        filled = fill_payload(TEAMS, payload, values).value["attachments"][0]["content"]["body"]

        for value in (filled[0]["text"], filled[1]["facts"][0]["value"]):
            assert not re.search(r"</?at", value)
            assert [] == disguised(value)

    @given(st.text(), VALUES)
    def test_no_names(self, said: str, values: dict[str, str]) -> None:
        """Words without a placeholder stay as they are, in every form."""
        if not names_in(said):
            for channel in ChannelName:
                assert fill_text(channel, said, values, markup=True).value == said
                assert fill_payload(channel, {"text": said}, values).value == {"text": said}

    @given(VALUES)
    def test_authors_words(self, values: dict[str, str]) -> None:
        """The author's markup stays as it is around whatever is put in."""
        for channel in ChannelName:
            value = fill_text(channel, "<@U1> [x](y) & {a} <!here>", values, markup=True).value

            assert value.startswith("<@U1> [x](y) & ")
            assert value.endswith(" <!here>")


SLACK_PAYLOAD: dict[str, Any] = {
    "text": "{a}",
    "blocks": [
        {"type": "header", "text": {"type": "plain_text", "text": "{a}"}},
        {"type": "section", "block_id": "{a}", "text": {"type": "mrkdwn", "text": "{a}"}},
        {"type": "section", "fields": [{"type": "mrkdwn", "text": "{a}"}, {"type": "plain_text", "text": "{a}"}]},
        {"type": "markdown", "text": "{a}"},
        {"type": "image", "image_url": "{a}", "alt_text": "{a}"},
        {
            "type": "actions",
            "elements": [
                {"type": "button", "text": {"type": "plain_text", "text": "{a}"}, "url": "{a}", "value": "{a}"}
            ],
        },
        {
            "type": "rich_text",
            "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "{a}"}]}],
        },
        {"type": "table", "rows": [[{"type": "raw_text", "text": "{a}"}]]},
    ],
    "attachments": [{"text": "{a}", "title_link": "{a}", "fields": [{"title": "{a}", "value": "{a}", "short": True}]}],
}
MRKDWN, MARKDOWN = "&lt;!here&gt; [x](y)", f"&lt;!here&gt; [x]{APART}(y)"
RAW = "<!here> [x](y)"


class TestPlaces:
    def test_slack(self) -> None:
        """On Slack a value is escaped in mrkdwn, taken apart in Markdown, and left alone where nobody parses it."""
        shown = list(strings(fill_payload(SLACK, SLACK_PAYLOAD, {"a": RAW}).value))
        filled = [said for said in shown if "here" in said]

        assert filled == [
            *(MRKDWN, RAW, RAW, MRKDWN, MRKDWN, RAW, MARKDOWN, RAW, RAW, RAW, RAW, RAW, RAW, RAW),
            *(MRKDWN, RAW, MRKDWN, MRKDWN),
        ]

    @pytest.mark.parametrize(
        ("form", "shown"),
        [
            ({}, f"&lt;!here> [x]{APART}(y)"),
            ({"textFormat": "markdown"}, f"&lt;!here> [x]{APART}(y)"),
            ({"textFormat": "plain"}, RAW),
            ({"textformat": "Plain"}, RAW),
            ({"textFormat": "xml"}, "&lt;!here&gt; [x](y)"),
        ],
    )
    def test_text_formats(self, form: dict[str, str], shown: str) -> None:
        """The text of a Teams message is read as its `textFormat` says, and as Markdown without one."""
        assert fill_payload(TEAMS, {"text": "{a}", **form}, {"a": RAW}).value["text"] == shown

    def test_card(self) -> None:
        """In an Adaptive Card a value is taken apart where Markdown is read, and left alone everywhere else."""
        payload = card(
            {"type": "TextBlock", "text": "{a}", "id": "{a}"},
            {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": "{a}"}, "{a}"]},
            {"type": "FactSet", "facts": [{"title": "{a}", "value": "{a}"}]},
            {"type": "Image", "url": "{a}", "altText": "{a}"},
            {"type": "Input.ChoiceSet", "id": "c", "label": "{a}", "choices": [{"title": "{a}", "value": "{a}"}]},
            actions=[{"type": "Action.OpenUrl", "title": "{a}", "url": "{a}"}],
            speak="{a}",
            fallbackText="{a}",
        )
        apart = f"<{APART}!here> [x]{APART}(y)"

        filled = [said for said in strings(fill_payload(TEAMS, payload, {"a": RAW}).value) if "here" in said]

        assert filled == [apart, RAW, RAW, RAW, apart, apart, RAW, RAW, apart, apart, RAW, RAW, RAW, RAW, apart]

    def test_mention_of_the_author(self) -> None:
        """The author may mention somebody; a value that looks the same is not the mention."""
        mention = {"type": "mention", "text": "<at>{a}</at>", "mentioned": {"id": "29:1", "name": "{a}"}}
        payload = card({"type": "TextBlock", "text": "<at>{a}</at> {b}"}, msteams={"entities": [mention]})

        content = fill_payload(TEAMS, payload, {"a": "Ann", "b": "<at>Ann</at>"}).value["attachments"][0]["content"]

        assert content["body"][0]["text"] == f"<at>Ann</at> <{APART}at>Ann<{APART}/at>"
        assert content["msteams"]["entities"][0]["text"] == "<at>Ann</at>"

    def test_type_that_is_put_in(self) -> None:
        """Where the type itself is put in, a value is treated as if it were parsed."""
        values = {"a": RAW, "text": "mrkdwn", "element": "TextBlock"}
        slack = {"blocks": [{"type": "section", "text": {"type": "{text}", "text": "{a}"}}]}
        teams = card({"type": "{element}", "text": "{a}"})

        assert MRKDWN in list(strings(fill_payload(SLACK, slack, values).value))
        assert f"<{APART}!here> [x]{APART}(y)" in list(strings(fill_payload(TEAMS, teams, values).value))

    def test_hero_card(self) -> None:
        """A hero card reads markup in its text only."""
        hero = {"contentType": HERO, "content": {"title": "{a}", "text": "{a}", "buttons": [{"title": "{a}"}]}}

        content = fill_payload(TEAMS, {"attachments": [hero]}, {"a": RAW}).value["attachments"][0]["content"]

        assert content == {"title": RAW, "text": f"&lt;!here> [x]{APART}(y)", "buttons": [{"title": RAW}]}

    @pytest.mark.parametrize("channel", list(ChannelName))
    def test_templates(self, channel: ChannelName) -> None:
        """A template of Kore's SDK is filled first; its words are escaped once, when it becomes the platform's own."""
        element = {"title": "{a}", "subtitle": "<at>x</at>"}
        payload = {"type": "template", "payload": {"template_type": "list", "elements": [element]}}

        filled = fill_payload(channel, payload, {"a": RAW}).value
        shown = render.native(channel, filled, "message.val")

        assert filled["payload"]["elements"][0]["title"] == RAW
        assert isinstance(shown, Rendered)
        apart = f"*{html.escape(RAW)}*\n&lt;at&gt;x&lt;/at&gt;" if channel is SLACK else f"<{APART}!here> [x]{APART}(y)"
        assert apart in list(strings(shown.payload))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(FRAMES) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "{a}", "attachments", "content", "facts"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)


def shape(value: object) -> object:
    """A payload without what its strings say."""
    if isinstance(value, str):
        return str
    if isinstance(value, Mapping):
        return {key: shape(child) for key, child in value.items()}
    return [shape(child) for child in value] if isinstance(value, list) else value


class TestPayload:
    @given(st.dictionaries(st.sampled_from(["text", "blocks", "attachments", "{b}"]), JSON), VALUES)
    def test_total(self, payload: dict[str, Any], values: dict[str, str]) -> None:
        """Whatever the payload, its members and everything but strings stay, and the given one is not changed."""
        for channel in ChannelName:
            before = copy.deepcopy(payload)

            filled = fill_payload(channel, payload, values)

            assert payload == before
            assert shape(payload) == shape(filled.value)
            assert filled.missing == ()

    def test_missing(self) -> None:
        """What has no value is reported once, wherever it stands."""
        assert fill_payload(SLACK, {"text": "{x}", "blocks": ["{y}", "{x}"]}, {}).missing == ("x", "y")

    def test_nothing_is_expensive(self) -> None:
        """However a text is made, it is read and filled in a moment."""
        started = time.process_time()

        for piece in ("{a}", "]{a}", "<{a}", "<http://x{a}", " {a}", "[{a}(", "@{a}"):
            said = piece * (10_000 // len(piece))
            for channel in ChannelName:
                fill_text(channel, said, {"a": "]"}, markup=True)

        assert time.process_time() - started < 2

    def test_fast(self) -> None:
        """A thousand people cost a quarter of a second with a card of 6.5 KB and three names: it is read once."""
        body = [{"type": "TextBlock", "text": f"An ordinary line, the {index}th", "wrap": True} for index in range(85)]
        template = read_payload(TEAMS, card(*body, {"type": "TextBlock", "text": "{a} {b} {c}"}))
        started = time.process_time()

        for index in range(1000):
            template.fill({"a": str(index), "b": "b", "c": "c"})

        assert time.process_time() - started < 0.25
