"""Whatever a message holds, its page is HTML of ours: nothing fails, nothing of it becomes markup."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.mailbox import Message, MessagePlatform
from simulator.pages.markup import Html, element, joined, link, picture
from simulator.pages.page import mailbox_page, people_page

_NAMES = (
    "type text title subtitle url image_url alt_text altText elements fields accessory blocks attachments color style"
    " contentType content body actions columns rows cells items facts inlines choices width height size version value"
    " label placeholder element selectAction fallback name images buttons entities textFormat markdown_text"
)
_TYPES = (
    "section header divider image context actions rich_text table markdown input button plain_text mrkdwn raw_text"
    " rich_text_section rich_text_list AdaptiveCard TextBlock Image ColumnSet Column Container FactSet ActionSet Table"
    " RichTextBlock TextRun Input.Text Input.ChoiceSet Action.OpenUrl Action.Submit"
    " application/vnd.microsoft.card.adaptive application/vnd.microsoft.card.hero plain xml"
)
NAMES, TYPES = _NAMES.split(), _TYPES.split()


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects with names that the views look for."""
    return st.dictionaries(st.sampled_from(NAMES), inner, max_size=5)


SAID = st.sampled_from(
    ["<script>x</script>", "</div>", "'\" onload=x", "javascript:x", "data:text/html,x", "*a* <b|c> `d`", "**a [b](c)"]
)
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(TYPES) | SAID
ANY = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | objects(inner), max_leaves=25)
ALLOWED = {
    "html",
    "head",
    "meta",
    "title",
    "link",
    "body",
    "header",
    "main",
    "article",
    "div",
    "span",
    "a",
    "img",
    "time",
}
ALLOWED |= {
    "b",
    "i",
    "s",
    "u",
    "p",
    "br",
    "hr",
    "ul",
    "ol",
    "li",
    "pre",
    "code",
    "blockquote",
    "table",
    "tr",
    "th",
    "td",
}
ALLOWED |= {"h1", "h2", "h3", "h4", "h5", "h6", "mark", "strong", "em", "strike", "del"}


class Tags(HTMLParser):
    """Notes every element and attribute, and that each is closed where it was opened."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.opened: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(name, value or "") for name, value in attrs}
        if tag not in ("meta", "link", "img", "br", "hr"):
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.opened.pop()


def shown(platform: MessagePlatform, body: dict[str, Any], name: str = "Ada", sender: str = "Bot") -> str:
    """The page with one message."""
    at = datetime(2026, 3, 2, 15, 5, tzinfo=UTC)
    message = Message(platform, "T1", "U1", "ada@a.example", "D1", "1.2", body, at, name, sender)
    return mailbox_page(platform, "ada@a.example", [message])


class TestAnyMessage:
    @pytest.mark.parametrize("platform", ["slack", "teams"])
    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
    @given(body=objects(ANY))
    def test_only_our_markup(self, platform: MessagePlatform, body: dict[str, Any]) -> None:
        """Every element is one of ours and closed, no attribute is a handler, and every address is harmless."""
        tags = Tags()
        tags.feed(shown(platform, body))

        assert set() == tags.tags - ALLOWED
        assert [] == tags.opened
        for name, value in tags.attributes:
            assert not name.startswith("on")
            if name in ("href", "src"):
                assert (
                    value.startswith(("http://", "https://", "mailto:", "data:image/", "/_sim/")) or value == "data:,"
                )

    @pytest.mark.parametrize("platform", ["slack", "teams"])
    def test_names(self, platform: MessagePlatform) -> None:
        """The names of people and apps are words."""
        page = shown(platform, {"text": "x"}, name="<script>a", sender="<script>b")

        assert "<script" not in page
        assert "&lt;script&gt;a" in page
        assert "&lt;script&gt;b" in page


class TestPage:
    def test_head(self) -> None:
        """A message has its app's name, its time, and on Slack the mark of an app."""
        page = shown("slack", {"text": "x"})

        assert '<span class="sender">Bot</span><span class="badge">APP</span>' in page
        assert ">3:05 PM</time>" in page
        assert "Monday, March 2" in page

    def test_people(self) -> None:
        """Everybody who has mail is listed once for each platform, with a link to the mailbox."""
        at = datetime(2026, 3, 2, tzinfo=UTC)
        two = [Message("slack", "T", "U", "a+b@a.example", "D", str(each), {}, at, "Ada") for each in range(2)]
        page = people_page(two)

        assert 1 == page.count('<a href="/_sim/mailbox?platform=slack&amp;email=a%2Bb%40a.example">Ada</a>')
        assert "<td>2</td>" in page

    def test_empty(self) -> None:
        """A mailbox without messages says so."""
        assert "No message has arrived here." in mailbox_page("teams", "a@a.example", [])


class TestMarkup:
    def test_escaped(self) -> None:
        """Text is escaped when it enters, markup is not, and markup that was treated as text is text again."""
        assert '<b title="&quot;">&lt;i&gt;</b>' == element("b", "<i>", title='"')
        assert "<b></b>&amp;" == joined(element("b"), "&")
        assert "&lt;b&gt;x" == joined(Html("<b>") + "x")

    @pytest.mark.parametrize(
        "url", ["https://a.example/x?y=1#z", "http://a.example", "mailto:a@a.example", "HTTPS://A"]
    )
    def test_links(self, url: str) -> None:
        """Web and mail addresses are links."""
        assert link(url, "x").startswith("<a href=")

    @pytest.mark.parametrize(
        "url",
        [
            *("javascript:alert(1)", " https://a.example", "java\nscript:x", "data:text/html,x", "//a.example", "/etc"),
            *("", None, 7, "file:///etc", "https://a example", "vbscript:x", "\x01https://a.example"),
        ],
    )
    def test_no_links(self, url: object) -> None:
        """Every other address is named and no link."""
        assert "<a" not in link(url, "x")
        assert "Not shown: a link to" in link(url, "x")

    @pytest.mark.parametrize("url", ["https://a.example/i.png", "data:image/png;base64,iVBORw0KGgo="])
    def test_pictures(self, url: str) -> None:
        """Pictures come from the web or are embedded, and always have an `alt`."""
        assert f'<img src="{url}" alt="" class="picture" referrerpolicy="no-referrer">' == picture(url, None)

    @pytest.mark.parametrize("url", ["javascript:x", "data:text/html;base64,AAAA", "data:image/png,<x>", "x.png", None])
    def test_no_pictures(self, url: object) -> None:
        """Every other address is named and no picture."""
        assert "<img" not in picture(url, "x")
