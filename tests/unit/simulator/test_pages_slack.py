"""The mailbox page shows Slack's messages as Slack does, and says what it does not know."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.pages.slack_view import slack_message


def block(**fields: Any) -> str:
    """The HTML of a message with one block."""
    return slack_message({"text": "only for notifications", "blocks": [fields]})


def mrkdwn(text: str) -> str:
    """The HTML of a text in Slack's markup."""
    return slack_message({"text": text})


class TestText:
    def test_literal(self) -> None:
        """With `mrkdwn` off a text is shown letter by letter, its three escaped characters decoded."""
        shown = slack_message({"text": "*a* &lt;!channel&gt; &amp;amp; :tada:\nb", "mrkdwn": False})

        assert '<div class="text">*a* &lt;!channel&gt; &amp;amp; :tada:<br>b</div>' == shown

    @pytest.mark.parametrize(
        ("text", "html"),
        [
            ("*bold* _italic_ ~gone~", "<b>bold</b> <i>italic</i> <s>gone</s>"),
            ("*bold _both_*", "<b>bold <i>both</i></b>"),
            ("2*3*4 snake_case_name a~b~c", "2*3*4 snake_case_name a~b~c"),
            ("`*a* &lt;b&gt;`", "<code>*a* &lt;b&gt;</code>"),
            ("&lt;!channel&gt; &amp;lt;", "&lt;!channel&gt; &amp;lt;"),
            (":tada: 10:30:00", '<span class="emoji">:tada:</span> 10:30:00'),
            ("> a\n&gt; b\nc", '<div class="quote">a<br>b</div>c'),
            ("a\n```\n*b*\n```\nc", 'a<pre class="code">*b*</pre>c'),
            ("<!date^1^{date}|Monday>", "Monday"),
        ],
    )
    def test_markup(self, text: str, html: str) -> None:
        """Markup becomes what it means; what is escaped, code, or inside a word stays as it is."""
        assert f'<div class="text">{html}</div>' == mrkdwn(text)

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            *(("<!channel>", "@channel"), ("<!here|here>", "@here"), ("<!subteam^S1|@team>", "@team")),
            *(("<@U1>", "@U1"), ("<@U1|ada>", "@ada"), ("<#C1|news>", "#news"), ("<#C1>", "#C1")),
        ],
    )
    def test_mention(self, text: str, shown: str) -> None:
        """A mention looks like one."""
        assert f'<div class="text"><span class="mention">{shown}</span></div>' == mrkdwn(text)

    def test_links(self) -> None:
        """Web addresses are links that tell the other side nothing; another kind leaves its words, and is named."""
        shown = mrkdwn("<https://a.example/?x=1&amp;y=2|here> <javascript:alert(1)|there>")

        assert 'href="https://a.example/?x=1&amp;y=2"' in shown
        assert 'rel="noopener noreferrer" target="_blank">here</a>' in shown
        assert "javascript" not in shown.replace("Not shown: a link to “javascript:alert(1)”", "")
        assert "there" in shown

    def test_markdown_text(self) -> None:
        """A text that was sent as Markdown is shown as Markdown."""
        said = "**Hi** <!channel> &lt;!here&gt; <b>x</b>"
        shown = slack_message({"text": said, "markdown_text": said})

        assert '<p><b>Hi</b> <span class="mention">@channel</span> &lt;!here&gt; &lt;b&gt;x&lt;/b&gt;</p>' in shown


class TestBlocks:
    def test_instead_of_text(self) -> None:
        """Beside blocks the text is not shown."""
        assert "only for" not in block(type="divider")

    def test_section(self) -> None:
        """A section shows its words, its fields and what stands beside it."""
        shown = block(
            type="section",
            text={"type": "plain_text", "text": "*plain*"},
            fields=[{"type": "mrkdwn", "text": "*a*"}, {"type": "plain_text", "text": "b"}],
            accessory={"type": "image", "image_url": "https://a.example/i.png", "alt_text": "A cat"},
        )

        assert '<div class="text">*plain*</div>' in shown
        assert '<div class="field"><b>a</b></div><div class="field">b</div>' in shown
        assert '<img src="https://a.example/i.png" alt="A cat" class="thumbnail"' in shown

    def test_actions(self) -> None:
        """A button with an address is a link, and its style shows."""
        go = {"type": "button", "text": {"type": "plain_text", "text": "Go"}, "url": "https://a.example"}
        no = {"type": "button", "text": {"type": "plain_text", "text": "No"}, "style": "danger"}
        shown = block(type="actions", elements=[go, no, {"type": "static_select"}])

        assert '<a class="button" href="https://a.example"' in shown
        assert '<span class="button danger">No</span>' in shown
        assert '<span class="picked">Select ▾</span>' in shown

    def test_rich_text(self) -> None:
        """Styles, lists and preformatted words of rich text show; nothing in them is markup."""
        shown = block(
            type="rich_text",
            elements=[
                {"type": "rich_text_section", "elements": [{"type": "text", "text": "*a*", "style": {"bold": True}}]},
                {
                    "type": "rich_text_list",
                    "style": "ordered",
                    "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "one"}]}],
                },
                {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "a  b\n<c>"}]},
            ],
        )

        assert "<b>*a*</b>" in shown
        assert "<ol><li>one</li></ol>" in shown
        assert '<pre class="code">a  b<br>&lt;c&gt;</pre>' in shown

    def test_table(self) -> None:
        """Columns of a table keep their alignment, and wrap only where they are told to."""
        row = [{"type": "raw_text", "text": said} for said in ("<i>", "b", "c")]
        settings = [{"align": "right", "is_wrapped": True}, {"align": "left"}]
        shown = block(type="table", rows=[row], column_settings=settings)

        cells = '<td class="right">&lt;i&gt;</td><td class="unwrapped">b</td><td class="unwrapped">c</td>'
        assert f"<table><tr>{cells}</tr></table>" in shown

    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({"type": "hologram"}, "a block of type hologram"),
            ({"type": "actions", "elements": [{"type": "lever"}]}, "an element of type lever"),
            ({"type": "rich_text", "elements": [{"type": "rich_text_song"}]}, "rich text of type rich_text_song"),
            (
                {"type": "image", "image_url": "file:///etc/passwd", "alt_text": "x"},
                "a picture from “file:///etc/passwd”",
            ),
            ({}, "a block of type without a type"),
        ],
    )
    def test_unknown(self, fields: dict[str, Any], named: str) -> None:
        """What is not known has a box that names it."""
        assert f'<span class="unknown" role="note">Not shown: {named}</span>' in block(**fields)


class TestAttachments:
    def test_bar(self) -> None:
        """An attachment has its colour at its side, and nothing but a colour."""
        green = slack_message({"text": "a", "attachments": [{"color": "#2EB67D", "text": "*b*"}]})
        odd = slack_message({"text": "a", "attachments": [{"color": "red;background:url(//x)", "text": "b"}]})

        assert 'style="border-left-color:#2EB67D"' in green
        assert "<b>b</b>" in green
        assert 'style="border-left-color:#dddddd"' in odd

    def test_blocks_inside(self) -> None:
        """Blocks of an attachment are blocks."""
        inside = [{"type": "header", "text": {"type": "plain_text", "text": "Hi"}}]

        assert '<div class="block header">Hi</div>' in slack_message({"text": "", "attachments": [{"blocks": inside}]})
