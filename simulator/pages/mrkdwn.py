"""PURE: Slack's text → HTML.

Source: docs.slack.dev/messaging/formatting-message-text. Code first, then what stands in angle brackets, then emphasis;
the three escaped characters come back last, so that an escaped bracket begins nothing.
"""

from __future__ import annotations

import re
from typing import Final

from simulator.pages.markup import Html, Piece, div, element, escaped, joined, lines, link, span

_BLOCK: Final = re.compile(r"```\n?(.+?)\n?```", re.DOTALL)
_INLINE: Final = re.compile(
    r"`(?P<code>[^`\n]+)`"
    r"|<(?P<angle>[^<>\n]+)>"
    r"|(?<![\w*])\*(?P<bold>[^\s*](?:[^*\n]*[^\s*])?)\*(?![\w*])"
    r"|(?<![\w_])_(?P<italic>[^\s_](?:[^_\n]*[^\s_])?)_(?![\w_])"
    r"|(?<![\w~])~(?P<strike>[^\s~](?:[^~\n]*[^\s~])?)~(?![\w~])"
    r"|(?P<bare>https?://[^\s<>|]*[^\s<>|.,;:!?)\"'])"
    r"|(?<![\w:]):(?P<emoji>[a-z0-9_+-]+):(?![\w:])"
)
_EMOJI: Final = re.compile(r"(?<![\w:]):([a-z0-9_+-]+):(?![\w:])")
_QUOTE: Final = re.compile(r"(?:&gt;|>) ?")


def unescaped(text: str) -> str:
    """Slack's three characters, decoded once."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def literal(text: str) -> Html:
    """Text that was sent with `mrkdwn` off: as it is, the three characters decoded."""
    return lines(unescaped(text))


def plain(text: str, emoji: bool = True) -> Html:
    """A `plain_text` object: no markup; with `emoji`, `:name:` is a picture."""
    if not emoji:
        return lines(unescaped(text))
    pieces = _EMOJI.split(text)
    return joined(*(_emoji(piece) if place % 2 else lines(unescaped(piece)) for place, piece in enumerate(pieces)))


def mrkdwn(text: str, verbatim: bool = False) -> Html:
    """Text in Slack's markup; `verbatim` leaves bare addresses alone."""
    split = _BLOCK.split(text)
    pieces: list[Piece] = []
    for place, piece in enumerate(split):
        if place % 2:
            pieces.append(element("pre", _code(piece), class_="code"))
            continue
        between = piece if place == 0 else piece.removeprefix("\n")  # a block of code stands on lines of its own
        between = between if place == len(split) - 1 else between.removesuffix("\n")
        pieces.append(_paragraphs(between, verbatim))
    return joined(*pieces)


def _paragraphs(text: str, verbatim: bool) -> Html:
    """Lines, of which those that begin with `>` stand together as a quotation."""
    shown: list[Piece] = []
    quoted: list[Piece] = []
    fresh = True  # nothing stands yet on the line
    for line in text.split("\n"):
        mark = _QUOTE.match(line)
        if mark:
            quoted.append(_inline(line[mark.end() :], verbatim))
            continue
        if quoted:
            shown.append(_quotation(quoted))
            quoted, fresh = [], True
        shown.append(_inline(line, verbatim) if fresh else joined(Html("<br>"), _inline(line, verbatim)))
        fresh = False
    return joined(*shown, *([_quotation(quoted)] if quoted else []))


def _quotation(quoted: list[Piece]) -> Html:
    return div("quote", Html("<br>".join(map(escaped, quoted))))


def _inline(text: str, verbatim: bool) -> Html:
    pieces: list[Piece] = []
    end = 0
    for found in _INLINE.finditer(text):
        pieces += [unescaped(text[end : found.start()]), _token(found, verbatim)]
        end = found.end()
    return joined(*pieces, unescaped(text[end:]))


def _token(found: re.Match[str], verbatim: bool) -> Piece:
    name = str(found.lastgroup)
    inside = found[name]
    match name:
        case "code":
            return element("code", _code(inside))
        case "angle":
            return _angle(inside)
        case "bold":
            return element("b", _inline(inside, verbatim))
        case "italic":
            return element("i", _inline(inside, verbatim))
        case "strike":
            return element("s", _inline(inside, verbatim))
        case "bare":
            return unescaped(inside) if verbatim else link(unescaped(inside), unescaped(inside))
        case _:
            return _emoji(inside)


def _angle(inside: str) -> Piece:
    """A mention, a channel, a date or a link."""
    target, _, label = inside.partition("|")
    shown = unescaped(label)
    match target[0]:
        case "@":
            return span("mention", f"@{(shown or unescaped(target[1:])).removeprefix('@')}")
        case "#":
            return span("mention", f"#{shown or unescaped(target[1:])}")
        case "!" if target.startswith("!date^"):
            return shown or unescaped(target)
        case "!":
            word = target[1:].partition("^")[0]
            return span("mention", f"@{(shown or unescaped(word)).removeprefix('@')}")
        case _:
            return link(unescaped(target), shown or unescaped(target).removeprefix("mailto:"))


def _code(inside: str) -> Html:
    """Code: no emphasis; a link shows its words."""
    bare = re.sub(r"<(?:[^<>|\n]*\|)?([^<>|\n]+)>", r"\1", inside)
    return escaped(unescaped(bare))


def _emoji(name: str) -> Html:
    return span("emoji", f":{name}:")
