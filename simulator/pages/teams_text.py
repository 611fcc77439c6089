"""PURE: the text of a Teams message → HTML, in each of its three formats (Bot Framework, `textFormat`)."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Final

from simulator.pages.markdown import Size, markdown
from simulator.pages.markup import Html, Piece, element, joined, lines, link, picture, span
from simulator.pages.reading import Json, kind_of, several, words

_PLAIN_TAGS: Final = frozenset(
    {
        *("b", "strong", "i", "em", "u", "s", "strike", "del", "code", "span", "p", "div", "pre", "blockquote"),
        *("h1", "h2", "h3", "ul", "ol", "li", "table", "tr", "th", "td"),
    }
)
_TAGS: Final = _PLAIN_TAGS | {"a", "at"}
_DEEPEST: Final = 40


def message_text(body: Json) -> Html:
    """The text as the person sees it; without a format it is Markdown."""
    said = words(body, "text")
    match words(body, "textFormat").lower():
        case "plain":
            return lines(said)
        case "xml":
            return xml(said)
        case _:
            return markdown(said, Size.MESSAGE, mentioned(body))


def mentioned(found: object) -> frozenset[str]:
    """Whom the entities of a message or of a card mention, by the names in its text."""
    texts = (words(each, "text") for each in several(found, "entities") if kind_of(each) == "mention")
    return frozenset(each[4:-5] for each in texts if each.startswith("<at>") and each.endswith("</at>"))


def xml(said: str) -> Html:
    """The subset of HTML that Teams shows; every other tag stands as it was written."""
    reader = _Reader()
    reader.feed(said)
    reader.close()
    return reader.whole()


class _Reader(HTMLParser):
    """Builds the known elements anew; nothing of the source passes unescaped."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[tuple[str, str, list[Piece]]] = [("", "", [])]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("br", "hr"):
            self._add(element(tag))
        elif tag == "img":
            self._add(picture(given.get("src"), given.get("alt")))
        elif tag in _TAGS and len(self._open) < _DEEPEST:
            self._open.append((tag, given.get("href") or "", []))
        else:
            self._add(self.get_starttag_text() or f"<{tag}>")

    def handle_endtag(self, tag: str) -> None:
        if not any(tag == name for name, _, _ in self._open):
            self._add(f"</{tag}>")
            return
        while self._open[-1][0] != tag:
            self._close()
        self._close()

    def handle_data(self, data: str) -> None:
        self._add(data)

    def handle_comment(self, data: str) -> None:
        self._add(f"<!--{data}-->")

    def handle_decl(self, decl: str) -> None:
        self._add(f"<!{decl}>")

    def unknown_decl(self, data: str) -> None:
        self._add(f"<![{data}]>")

    def handle_pi(self, data: str) -> None:
        self._add(f"<?{data}>")

    def whole(self) -> Html:
        """Everything, with what was left open closed."""
        while len(self._open) > 1:
            self._close()
        return joined(*self._open[0][2])

    def _add(self, piece: Piece) -> None:
        self._open[-1][2].append(piece)

    def _close(self) -> None:
        tag, href, pieces = self._open.pop()
        if tag == "a":
            self._add(link(href, *pieces))
        elif tag == "at":
            self._add(span("mention", *pieces))
        else:
            self._add(element(tag, *pieces))
