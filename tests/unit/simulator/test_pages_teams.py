"""The mailbox page shows Teams' messages as Teams does, and says what it does not know."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.pages.teams_view import teams_message

ADAPTIVE = "application/vnd.microsoft.card.adaptive"


def card(*body: dict[str, Any], **more: Any) -> str:
    """The HTML of a message with one Adaptive Card."""
    content = {"type": "AdaptiveCard", "version": "1.5", "body": list(body), **more}
    return teams_message({"type": "message", "attachments": [{"contentType": ADAPTIVE, "content": content}]})


def text(said: str, **fields: Any) -> dict[str, Any]:
    """A text block."""
    return {"type": "TextBlock", "text": said, "wrap": True, **fields}


class TestText:
    def test_plain(self) -> None:
        """A plain text is shown letter by letter."""
        shown = teams_message({"text": "**a** <b>\nc", "textFormat": "plain"})

        assert '<div class="text">**a** &lt;b&gt;<br>c</div>' == shown

    @pytest.mark.parametrize("fields", [{}, {"textFormat": "markdown"}])
    def test_markdown(self, fields: dict[str, str]) -> None:
        """Without a format a text is Markdown with some HTML; every other tag stands as it was written."""
        shown = teams_message({"text": "**a** _b_ [c](https://c.example)\n- d\n\n<i>e</i> <svg>", **fields})

        assert "<b>a</b> <i>b</i> <a href=" in shown
        assert "<ul><li>d</li></ul>" in shown
        assert "<i>e</i> &lt;svg&gt;" in shown

    def test_xml(self) -> None:
        """Known tags are built anew, every other one stands as it was written, and what was left open is closed."""
        shown = teams_message(
            {"text": '<b onclick="x">a<script>b</script><a href="javascript:x">c', "textFormat": "xml"}
        )

        assert "<b>a&lt;script&gt;b&lt;/script&gt;c " in shown
        assert "Not shown: a link to “javascript:x”</span></b></div>" in shown

    def test_mention(self) -> None:
        """`<at>` is a mention only when an entity says so."""
        said = "<at>Ada</at> and <at>Eve</at>"
        shown = teams_message({"text": said, "entities": [{"type": "mention", "text": "<at>Ada</at>"}]})

        assert '<p><span class="mention">Ada</span> and &lt;at&gt;Eve&lt;/at&gt;</p>' in shown

    def test_mention_in_a_card(self) -> None:
        """The entities of a card say whom it mentions."""
        entities = [{"type": "mention", "text": "<at>Ada</at>", "mentioned": {"id": "29:1", "name": "Ada"}}]
        said = text("<at>Ada</at> and <at>Eve</at>")

        assert '<span class="mention">Ada</span> and &lt;at&gt;' in card(said, msteams={"entities": entities})
        assert "mention" not in card(said)


class TestCard:
    def test_text_block(self) -> None:
        """A text block has its size, weight and colour, and Markdown's small part."""
        shown = card(text("**a** `b` # c \\*d\\*", size="Large", weight="bolder", isSubtle=True))

        assert '<div class="text size-large weight-bolder subtle"><p><b>a</b> `b` # c *d*</p></div>' in shown

    @pytest.mark.parametrize(
        ("said", "html"),
        [
            ("<b>a</b> ~~b~~ `c`", "&lt;b&gt;a&lt;/b&gt; ~~b~~ `c`"),
            ("![a](https://a.example/i.png)", '!<a href="https://a.example/i.png"'),
            ("<https://a.example>", '<a href="https://a.example"'),
            ("[a](javascript:x)", "<p>a <span"),
            ("[a]\u200b(https://a.example)", "<p>[a]\u200b(https://a.example)</p>"),
            ("2 * 3 * 4, snake_case_name", "<p>2 * 3 * 4, snake_case_name</p>"),
            ("&#42;a&#42; \\[b\\](c)", "<p>*a* [b](c)</p>"),
            ("- a\r- b", "<ul><li>a</li><li>b</li></ul>"),
            ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
            ("# a\n\n> b", "<p># a</p><p>&gt; b</p>"),
        ],
    )
    def test_markdown(self, said: str, html: str) -> None:
        """A card knows bold, italic, lists and links; everything else stays as it was written."""
        assert html in card(text(said))

    def test_no_wrap(self) -> None:
        """A text that may not wrap is cut off on one line, as Teams does."""
        assert '<div class="text  one-line">' in card({"type": "TextBlock", "text": "long"})

    def test_columns(self) -> None:
        """Columns take the width that they ask for; odd widths are nothing but the usual one."""
        widths = ["auto", "stretch", 2, "40px", "1;background:url(//x)"]
        columns = [{"type": "Column", "width": width, "items": [text("a")]} for width in widths]
        shown = card({"type": "ColumnSet", "columns": columns})

        styles = [part.split('"')[0] for part in shown.split('style="')[1:]]
        assert ["flex:0 0 auto", "flex:1 1 0", "flex:2 1 0", "flex:0 0 40px", "flex:1 1 0"] == styles

    def test_table(self) -> None:
        """The first row of a table is its header, unless the card says otherwise."""
        rows = [{"type": "TableRow", "cells": [{"type": "TableCell", "items": [text(said)]}]} for said in ("a", "b")]
        table = {"type": "Table", "columns": [{"width": 1}], "rows": rows}

        assert 1 == card(table).count('role="columnheader"')
        assert 0 == card({**table, "firstRowAsHeader": False}).count('role="columnheader"')

    def test_alignment(self) -> None:
        """The cells of a row keep to the side that the row names, else the column, else the table."""
        cells = [{"type": "TableCell", "items": [text(said)]} for said in ("a", "b")]
        side = "horizontalCellContentAlignment"
        columns = [{"width": 1, side: "right"}, {"width": 1}]
        rows = [{"type": "TableRow", "cells": cells}, {"type": "TableRow", "cells": cells, side: "Left"}]
        shown = card({"type": "Table", "columns": columns, "rows": rows, side: "center"})

        classes = [part.split('"')[0] for part in shown.split('<div class="')[1:]]
        assert "grid align-center lined" in classes
        assert ["cell align-right", "cell", *["cell align-left"] * 2] == [
            each for each in classes if each[:4] == "cell"
        ]

    def test_full_width(self) -> None:
        """A card can ask for all the room there is."""
        assert '<div class="card full">' in card(text("a"), msteams={"width": "Full"})

    def test_actions(self) -> None:
        """An action that opens an address is a link; the others are buttons."""
        shown = card(
            actions=[
                {"type": "Action.OpenUrl", "title": "Open", "url": "https://a.example"},
                {"type": "Action.Submit", "title": "Send", "style": "positive"},
                {"type": "Action.Execute", "title": "Run"},
            ]
        )

        assert '<a class="button" href="https://a.example"' in shown
        assert '<span class="button action-positive">Send</span><span class="button">Run</span>' in shown

    def test_select_action(self) -> None:
        """What opens an address as a whole is one link."""
        action = {"type": "Action.OpenUrl", "url": "https://a.example"}

        assert '<a class="above" href="https://a.example"' in card({"type": "Container", "selectAction": action})

    def test_version(self) -> None:
        """Of a card that is newer than Teams only the text for that case is shown."""
        shown = card(text("new"), version="1.9", fallbackText="Please **update**")

        assert "Please <b>update</b>" in shown
        assert "new" not in shown
        assert "Not shown: a card of version 1.9" in card(version="1.9")

    @pytest.mark.parametrize(
        ("found", "named"),
        [
            ({"type": "Hologram"}, "an element of type Hologram"),
            ({"type": "Input.Song"}, "an input of type Input.Song"),
            ({"type": "ActionSet", "actions": [{"type": "Action.Sing"}]}, "an action of type Action.Sing"),
            ({"type": "Image", "url": "javascript:x"}, "a picture from “javascript:x”"),
        ],
    )
    def test_unknown(self, found: dict[str, Any], named: str) -> None:
        """What is not known has a box that names it."""
        assert f"Not shown: {named}</span>" in card(found)

    def test_fallback(self) -> None:
        """An unknown element with something to take its place is shown as that, or dropped as it asks."""
        assert "instead" in card({"type": "Hologram", "fallback": text("instead")})
        assert "Not shown" not in card({"type": "Hologram", "fallback": "drop"})

    def test_depth(self) -> None:
        """What is nested too deeply is said to be."""
        nested = text("deep")
        for _ in range(200):
            nested = {"type": "Container", "items": [nested]}

        assert "Not shown: what stands deeper inside" in card(nested)


class TestOtherCards:
    def test_hero(self) -> None:
        """A hero card shows its words, pictures and buttons."""
        content = {
            "title": "<T>",
            "text": "a <b>c</b>",
            "images": [{"url": "https://a.example/i.png", "alt": "A cat"}],
            "buttons": [{"type": "openUrl", "title": "Go", "value": "https://a.example"}],
        }
        kind = "application/vnd.microsoft.card.hero"
        shown = teams_message({"attachments": [{"contentType": kind, "content": content}]})

        for part in ("&lt;T&gt;", "a <b>c</b>", 'alt="A cat"', '<a class="button" href="https://a.example"'):
            assert part in shown

    def test_unknown(self) -> None:
        """An attachment of another kind is named."""
        shown = teams_message({"attachments": [{"contentType": "application/x-song", "content": {}}]})

        assert "Not shown: an attachment of type application/x-song" in shown
