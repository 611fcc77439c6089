r"""PURE: Markdown → HTML, in three sizes.

    CARD      what an Adaptive Card's text knows: bold, italic, lists, links (Microsoft, "Text features")
    MESSAGE   what a Teams message knows besides: headings, quotations, code, strike-through, pictures, some HTML
    SLACK     what Slack's markdown block knows: the same without HTML, and mentions; a table is shown as its source

Whatever a size does not know stays as it was written, which is what the platform shows too.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from simulator.pages.markup import Html, Piece, element, joined, link, picture, span


class Size(Enum):
    """How much of Markdown is understood."""

    CARD = "card"
    MESSAGE = "message"
    SLACK = "slack"


_INLINE: Final = re.compile(
    r"\\(?P<escape>[!-/:-@\[-`{-~])"
    r"|`(?P<code>[^`\n]+)`"
    r"|<(?P<bare>(?:https?://|mailto:)[^\s<>|]+)>"
    r"|<(?P<mention>[@#!][^<>\n]+)>"
    r"|<at>(?P<at>[^<\n]*)</at>"
    r"|<(?P<tag>b|strong|i|em|u|s|strike|del|code)>(?P<inside>[^<\n]*)</(?P=tag)>"
    r"|<a\s[^<>]*?href=[\"'](?P<href>[^\"'<>]*)[\"'][^<>]*>(?P<face>[^<\n]*)</a>"
    r"|(?P<break><br\s*/?>)"
    r"|!\[(?P<alt>(?:\\.|[^\[\]\\\n])*)\]\((?P<source>(?:\\.|[^()\s\\])+)\)"
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


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a text: how much of Markdown is understood, and who is mentioned in it."""

    size: Size
    mentions: frozenset[str]


def markdown(text: str, size: Size, mentions: frozenset[str] = frozenset()) -> Html:
    """The whole text; `<at>…</at>` is a mention of those who are named."""
    known = _Known(size, mentions)
    shown: list[Piece] = []
    run: list[_Line] = []
    for line in _lines(text, size):
        if run and (line.kind != run[0].kind or line.kind == ""):
            shown.append(_run(run, known))
            run = []
        if line.kind:
            run.append(line)
    return joined(*shown, *([_run(run, known)] if run else []))


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


def _run(run: list[_Line], known: _Known) -> Html:
    """Lines of one kind as one element."""
    kind = run[0].kind
    if kind == "pre":
        return element("pre", "\n".join(line.words for line in run), class_="code")
    if kind in ("ul", "ol"):
        start = run[0].number if run[0].number != "1" else ""
        return element(kind, *(element("li", _inline(line.words, known)) for line in run), start=start)
    shown = Html("<br>".join(_inline(line.words, known) for line in run))
    if kind == "quote":
        return element("blockquote", shown)
    return element(kind, shown)


def _inline(text: str, known: _Known) -> Html:
    pieces: list[Piece] = []
    end = 0
    for found in _INLINE.finditer(text):
        pieces += [html.unescape(text[end : found.start()]), _token(found, known)]
        end = found.end()
    return joined(*pieces, html.unescape(text[end:]))


def _token(found: re.Match[str], known: _Known) -> Piece:
    name = str(found.lastgroup)
    if name == "at":
        return span("mention", found["at"]) if found["at"] in known.mentions else found[0]
    if known.size in _ONLY.get(name, Size):
        return _TOKENS[name](found, known)
    return joined(found[0][0], _inline(found[0][1:], known))  # not a token here: its first character is a character


def _address(written: str) -> str:
    return html.unescape(_ESCAPE.sub(r"\1", written))


def _wrapped(tag: str) -> Callable[[re.Match[str], _Known], Piece]:
    return lambda found, known: element(tag, _inline(found[str(found.lastgroup)], known))


_MORE: Final = frozenset({Size.MESSAGE, Size.SLACK})
_HTML: Final = frozenset({Size.MESSAGE})
_ONLY: Final[Mapping[str, frozenset[Size]]] = {
    "code": _MORE,
    "strike": _MORE,
    "source": _MORE,
    "mention": frozenset({Size.SLACK}),
    "inside": _HTML,
    "face": _HTML,
    "break": _HTML,
}
"""Which sizes know a token; what is not named here they all know."""

_TOKENS: Final[Mapping[str, Callable[[re.Match[str], _Known], Piece]]] = {
    "escape": lambda found, known: found["escape"],
    "code": lambda found, known: element("code", found["code"]),
    "bare": lambda found, known: link(html.unescape(found["bare"]), html.unescape(found["bare"])),
    "mention": lambda found, known: span("mention", "@" + found["mention"].lstrip("@#!")),
    "inside": lambda found, known: element(found["tag"], _inline(found["inside"], known)),
    "face": lambda found, known: link(html.unescape(found["href"]), _inline(found["face"], known)),
    "break": lambda found, known: element("br"),
    "source": lambda found, known: picture(_address(found["source"]), html.unescape(found["alt"])),
    "target": lambda found, known: link(_address(found["target"]), _inline(found["label"], known)),
    "bold": _wrapped("b"),
    "bold2": _wrapped("b"),
    "italic": _wrapped("i"),
    "italic2": _wrapped("i"),
    "strike": _wrapped("s"),
}
