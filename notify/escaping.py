"""PURE: a value put into an author's words, so that it mentions nobody and disguises no link; markup it may format.

A value can mention nobody and can give no address another face; a bare address shows itself and stays. Where the
platform decodes entities a control character is written as one. A card cannot be escaped: Teams on phones shows
backslashes and entities as they are (microsoft/AdaptiveCards#5590, MarkDownParser.cpp), so there a character without
width takes the control characters apart.

    LITERAL         what no reader parses: plain text, addresses, ids, the data of a button
    MRKDWN          Slack's own markup
    SLACK_MARKDOWN  standard Markdown on Slack: entities are decoded, but `&amp;` inside an address is not
    TEAMS_MARKDOWN  the text of a Teams message or of a hero card: Markdown with some HTML
    TEAMS_XML       the text of a Teams message in `xml`
    CARD            the Markdown of an Adaptive Card
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from notify.slack_text import escape
from notify.teams_text import APART, take_links_apart, take_tags_apart

Insert = Callable[[str], str]


class Place(Enum):
    """Who reads a string."""

    LITERAL = auto()
    MRKDWN = auto()
    SLACK_MARKDOWN = auto()
    TEAMS_MARKDOWN = auto()
    TEAMS_XML = auto()
    CARD = auto()


# With `parse: full`, `link_names` or without `verbatim` Slack reads these words itself; inside an address it does not.
_ADDRESS: Final = r"https?://[^\s@]*(?:(?<=[\w/.=&?%~+-])@[^\s@]*)*"
_NAMES: Final = re.compile(rf"{_ADDRESS}|(?<![^\W_])([@#])(?=[^\W\d])", re.IGNORECASE)
_ENTITY: Final = re.compile(r"&(?=#?\w+;)")
_IN_ADDRESS: Final = re.compile(r"<[^\s<>|]*\Z")  # Slack: <address|face>
_AFTER_BRACKET: Final = re.compile(r"\][ \t]*\Z")
_AFTER_ANGLE: Final = re.compile(r"</?\Z")
_OPENS_MENTION: Final = re.compile(r"[!@#]")
_OPENS_ADDRESS: Final = re.compile(r"[(\[:]")
_OPENS_TAG: Final = re.compile(r"(?!https?://|mailto:)[A-Za-z/!?]", re.IGNORECASE)


def insertion(place: Place, before: str) -> Insert:
    """How a value is written in this place, after these words of the author's in the same string."""
    write = _WRITERS[place]
    if place is Place.MRKDWN and _IN_ADDRESS.search(before):
        write = _chain(write, lambda said: said.replace("|", "%7C"))
    for words, opens in _JOINTS[place]:
        if words.search(before):
            write = _chain(_apart(opens), write)
    return write


def _literal(said: str) -> str:
    return said


def _mrkdwn(said: str) -> str:
    return escape(_no_names(said))


def _slack_markdown(said: str) -> str:
    return _no_entities(take_links_apart(_no_names(said))).replace("<", "&lt;").replace(">", "&gt;")


def _teams_markdown(said: str) -> str:
    return _no_entities(take_links_apart(said)).replace("<", "&lt;")


def _card(said: str) -> str:
    return take_tags_apart(take_links_apart(said))


def _no_names(said: str) -> str:
    return _NAMES.sub(lambda found: f"{found[0]}{APART}" if found[1] else found[0], said)


def _no_entities(said: str) -> str:
    return _ENTITY.sub("&amp;", said)


def _apart(opens: re.Pattern[str]) -> Insert:
    return lambda said: f"{APART}{said}" if opens.match(said) else said


def _chain(first: Insert, then: Insert) -> Insert:
    return lambda said: then(first(said))


_WRITERS: Final[dict[Place, Insert]] = {
    Place.LITERAL: _literal,
    Place.MRKDWN: _mrkdwn,
    Place.SLACK_MARKDOWN: _slack_markdown,
    Place.TEAMS_MARKDOWN: _teams_markdown,
    Place.TEAMS_XML: html.escape,
    Place.CARD: _card,
}
# Where the author's words end in half of something, a value must not be the other half.
_BRACKET: Final = (_AFTER_BRACKET, _OPENS_ADDRESS)
_MENTION: Final = (_AFTER_ANGLE, _OPENS_MENTION)
_TAG: Final = (_AFTER_ANGLE, _OPENS_TAG)
_JOINTS: Final[dict[Place, tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]]] = {
    Place.LITERAL: (),
    Place.MRKDWN: (_MENTION,),
    Place.SLACK_MARKDOWN: (_BRACKET, _MENTION),
    Place.TEAMS_MARKDOWN: (_BRACKET, _TAG),
    Place.TEAMS_XML: (_TAG,),
    Place.CARD: (_BRACKET, _TAG),
}
