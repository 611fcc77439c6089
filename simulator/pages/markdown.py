r"""PURE: Markdown → HTML, in three sizes.

    CARD      what an Adaptive Card's text knows: bold, italic, lists, links (Microsoft, "Text features")
    MESSAGE   what a Teams message knows besides: headings, quotations, code, strike-through
    SLACK     what Slack's markdown block knows: the same; a table is shown as its source

Whatever a size does not know stays as it was written, which is what the platform shows too.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from simulator.pages.markup import Html, Piece, element, joined, link


class Size(Enum):
    """How much of Markdown is understood."""

    CARD = "card"
    MESSAGE = "message"
    SLACK = "slack"


_INLINE: Final = re.compile(
    r"\\(?P<escape>[!-/:-@\[-`{-~])"
    r"|`(?P<code>[^`\n]+)`"
    r"|\[(?P<label>(?:\\.|[^\[\]\\\n])+)\]\((?P<target>(?:\\.|[^()\s\\])+)\)"
    r"|\*\*(?P<bold>(?=\S)(?:\\.|[^*\\\n]|\*(?!\*))+?(?<=\S))\*\*"
    r"|(?<!\w)__(?P<bold2>(?=\S)(?:\\.|[^_\\\n]|_(?!_))+?(?<=\S))__(?!\w)"
    r"|~~(?P<strike>(?=\S)(?:\\.|[^~\\\n])+?)~~"
    r"|\*(?P<italic>(?=\S)(?:\\.|[^*\\\n])+?(?<=\S))\*"
    r"|(?<!\w)_(?P<italic2>(?=\S)(?:\\.|[^_\\\n])+?(?<=\S))_(?!\w)"
)
_ITEM: Final = re.compile(r"\s{0,3}(?:(?P<bullet>[-*+])|(?P<number>\d{1,9})[.)])\s+(?P<words>.*)")
_HEADING: Final = re.compile(r"(#{1,6})\s+(.*?)\s*#*")
_QUOTE: Final = re.compile(r"\s{0,3}> ?(.*)")
_ESCAPE: Final = re.compile(r"\\([!-/:-@\[-`{-~])")


@dataclass(frozen=True, slots=True)
class _Line:
    """One line, by what it is: `p`, `ul`, `ol`, `quote`, `h1`…, `pre` or nothing at all."""

    kind: str
    words: str
    number: str = ""


def markdown(text: str, size: Size) -> Html:
    """The whole text."""
    shown: list[Piece] = []
    run: list[_Line] = []
    for line in _lines(text, size):
        if run and (line.kind != run[0].kind or line.kind == ""):
            shown.append(_run(run, size))
            run = []
        if line.kind:
            run.append(line)
    return joined(*shown, *([_run(run, size)] if run else []))


def _lines(text: str, size: Size) -> Iterator[_Line]:
    fenced = False
    for raw in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if size is not Size.CARD and raw.strip().startswith("```"):
            fenced = not fenced
            continue
        yield _Line("pre", raw) if fenced else _line(raw, size)


def _line(raw: str, size: Size) -> _Line:
    item = _ITEM.fullmatch(raw)
    if item:
        return _Line("ul" if item["bullet"] else "ol", item["words"], item["number"] or "")
    if size is not Size.CARD:
        heading, quote = _HEADING.fullmatch(raw), _QUOTE.fullmatch(raw)
        if heading:
            return _Line(f"h{len(heading[1])}", heading[2])
        if quote:
            return _Line("quote", quote[1])
        if size is Size.SLACK and raw.lstrip().startswith("|"):
            return _Line("pre", raw)
    return _Line("p" if raw.strip() else "", raw.strip())


def _run(run: list[_Line], size: Size) -> Html:
    """Lines of one kind as one element."""
    kind = run[0].kind
    if kind == "pre":
        return element("pre", "\n".join(line.words for line in run), class_="code")
    if kind in ("ul", "ol"):
        start = run[0].number if run[0].number != "1" else ""
        return element(kind, *(element("li", _inline(line.words, size)) for line in run), start=start)
    shown = Html("<br>".join(_inline(line.words, size) for line in run))
    if kind == "quote":
        return element("blockquote", shown)
    return element(kind, shown)


def _inline(text: str, size: Size) -> Html:
    pieces: list[Piece] = []
    end = 0
    for found in _INLINE.finditer(text):
        pieces += [html.unescape(text[end : found.start()]), _token(found, size)]
        end = found.end()
    return joined(*pieces, html.unescape(text[end:]))


def _token(found: re.Match[str], size: Size) -> Piece:
    match found.lastgroup:
        case "escape":
            return found["escape"]
        case "target":
            return link(html.unescape(_ESCAPE.sub(r"\1", found["target"])), _inline(found["label"], size))
        case "bold" | "bold2":
            return element("b", _inline(found[found.lastgroup], size))
        case "italic" | "italic2":
            return element("i", _inline(found[found.lastgroup], size))
        case "code":
            known = size is not Size.CARD
            return element("code", found["code"]) if known else joined("`", _inline(found["code"], size), "`")
        case _:
            inside = _inline(found["strike"], size)
            return joined("~~", inside, "~~") if size is Size.CARD else element("s", inside)
