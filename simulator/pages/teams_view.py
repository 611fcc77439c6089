"""PURE: a Teams message → HTML: its text, its attachments, and the actions that it suggests."""

from __future__ import annotations

from typing import Final

from simulator.pages.markup import Html, Piece, div, joined, link, picture, span, unknown
from simulator.pages.reading import Json, inner, kind_of, several, words
from simulator.pages.teams_card import adaptive_card
from simulator.pages.teams_text import message_text, xml

_ADAPTIVE: Final = "application/vnd.microsoft.card.adaptive"
_HERO: Final = "application/vnd.microsoft.card.hero"
_THUMBNAIL: Final = "application/vnd.microsoft.card.thumbnail"


def teams_message(body: Json) -> Html:
    """What the person sees; the summary stands only in notifications."""
    said = [div("text", message_text(body))] if words(body, "text").strip() else []
    suggested = several(inner(body, "suggestedActions"), "actions")
    below = [div("actions suggested", *map(_button, suggested))] if suggested else []
    return joined(*said, *map(_attachment, several(body, "attachments")), *below)


def _attachment(found: object) -> Html:
    kind = kind_of(found, "contentType")
    content = inner(found, "content")
    if kind == _ADAPTIVE and content is not None:
        return adaptive_card(content)
    if kind in (_HERO, _THUMBNAIL) and content is not None:
        return _hero(content, small=kind == _THUMBNAIL)
    if kind.startswith("image/"):
        return picture(words(found, "contentUrl"), words(found, "name"))
    return div("card", unknown(f"an attachment of type {kind}"))


def _hero(content: Json, *, small: bool) -> Html:
    """A hero card has its picture above its words, a thumbnail card beside them."""
    shape = "thumbnail" if small else "picture"
    pictures = [picture(words(each, "url"), words(each, "alt"), shape) for each in several(content, "images")]
    said: list[Piece] = []
    for name, classes in (("title", "text size-large weight-bolder"), ("subtitle", "text subtle")):
        if words(content, name):
            said.append(div(classes, words(content, name)))
    if words(content, "text"):
        said.append(div("text", xml(words(content, "text"))))
    buttons = several(content, "buttons")
    below = [div("actions", *map(_button, buttons))] if buttons else []
    frame = "card hero beside" if small else "card hero"
    return div(frame, *pictures, div("words", *said, *below))


def _button(action: object) -> Html:
    title, value = words(action, "title"), words(action, "value")
    return link(value, title, classes="button") if kind_of(action) == "openUrl" else span("button", title)
