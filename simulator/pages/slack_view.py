"""PURE: a Slack message → HTML: its text or its blocks, and its attachments below."""

from __future__ import annotations

from typing import Any, Final

from simulator.pages.markdown import Size, markdown
from simulator.pages.markup import Html, Piece, colour, div, element, joined, link, picture
from simulator.pages.mrkdwn import literal, mrkdwn
from simulator.pages.reading import Json, several, words
from simulator.pages.slack_blocks import blocks

_NAMED: Final = {"good": "#2eb67d", "warning": "#ecb22e", "danger": "#e01e5a"}
_QUIET: Final = "#dddddd"
_FORMATTED: Final = ["text", "pretext"]  # what of an attachment is markup unless `mrkdwn_in` says otherwise


def slack_message(body: Json) -> Html:
    """What the person sees: beside blocks the text is only for notifications."""
    found = several(body, "blocks")
    shown = div("blocks", blocks(found)) if found else div("text", _text(body))
    return joined(shown, *map(_attachment, several(body, "attachments")))


def _text(body: Json) -> Html:
    said = words(body, "text")
    if words(body, "markdown_text"):
        return markdown(words(body, "markdown_text"), Size.SLACK)
    return literal(said) if body.get("mrkdwn") is False else mrkdwn(said)


def _attachment(found: object) -> Html:
    bar = _NAMED.get(words(found, "color")) or colour(words(found, "color")) or _QUIET
    inside = several(found, "blocks")
    beside = _thumbnail(found)
    content = div("words", blocks(inside) if inside else _secondary(found))
    before = [div("text", _marked(found, "pretext"))] if words(found, "pretext") and not inside else []
    frame = element("div", content, *beside, class_="attachment", style=f"border-left-color:{bar}")
    return joined(*before, frame)


def _secondary(found: object) -> Html:
    """An attachment of the old form, from its author down to its footer."""
    pieces: list[Piece] = []
    if words(found, "author_name"):
        pieces.append(div("author", _linked(found, "author_link", "author_name")))
    if words(found, "title"):
        pieces.append(div("title", _linked(found, "title_link", "title")))
    if words(found, "text"):
        pieces.append(div("text", _marked(found, "text")))
    if fields := several(found, "fields"):
        pieces.append(div("fields", *(_field(found, each) for each in fields)))
    if words(found, "image_url"):
        pieces.append(picture(words(found, "image_url"), words(found, "title") or words(found, "fallback")))
    if actions := several(found, "actions"):
        pieces.append(div("actions", *map(_action, actions)))
    if words(found, "footer"):
        pieces.append(div("footer", words(found, "footer")))
    if not pieces:
        pieces.append(div("text", literal(words(found, "fallback"))))
    return joined(*pieces)


def _linked(found: object, url: str, name: str) -> Piece:
    shown = literal(words(found, name))
    return link(words(found, url), shown) if words(found, url) else shown


def _field(found: object, field: object) -> Html:
    whole = not (isinstance(field, dict) and field.get("short") is True)
    value = words(field, "value")
    said = mrkdwn(value) if "fields" in _marked_names(found) else literal(value)
    return div("field whole" if whole else "field", element("b", literal(words(field, "title"))), div("", said))


def _marked(found: object, name: str) -> Html:
    return mrkdwn(words(found, name)) if name in _marked_names(found) else literal(words(found, name))


def _marked_names(found: object) -> list[Any]:
    return several(found, "mrkdwn_in") or _FORMATTED


def _action(action: object) -> Html:
    said = literal(words(action, "text"))
    classes = {"primary": "button primary", "danger": "button danger"}.get(words(action, "style"), "button")
    url = words(action, "url")
    return link(url, said, classes=classes) if url else element("span", said, class_=classes)


def _thumbnail(found: object) -> list[Html]:
    url = words(found, "thumb_url")
    return [div("accessory", picture(url, words(found, "title"), "thumbnail"))] if url else []
