"""PURE: Slack's text objects and rich text → HTML (docs.slack.dev/reference/block-kit)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.pages.markup import Html, Piece, div, element, joined, lines, link, span, unknown
from simulator.pages.mrkdwn import mrkdwn, plain
from simulator.pages.reading import inner, kind_of, several, words


def text_object(value: object) -> Html:
    """A `plain_text` or `mrkdwn` object."""
    kind = kind_of(value)
    said = words(value, "text")
    match kind:
        case "plain_text":
            return plain(said, emoji=not isinstance(value, Mapping) or value.get("emoji") is not False)
        case "mrkdwn":
            return mrkdwn(said, verbatim=isinstance(value, Mapping) and value.get("verbatim") is True)
        case _:
            return unknown(f"text of type {kind}")


def rich_text(block: Mapping[str, Any]) -> Html:
    """A `rich_text` block: sections, lists, quotations and preformatted words."""
    return joined(*map(_part, several(block, "elements")))


def _part(part: object) -> Html:
    pieces = several(part, "elements")
    match kind := kind_of(part):
        case "rich_text_section":
            return div("rich", *map(_run, pieces))
        case "rich_text_preformatted":
            return element("pre", *map(_run, pieces), class_="code")
        case "rich_text_quote":
            return div("quote", *map(_run, pieces))
        case "rich_text_list":
            ordered = words(part, "style") == "ordered"
            depth = words(part, "indent") or "0"
            items = (element("li", *map(_run, several(item, "elements"))) for item in pieces)
            return element("ol" if ordered else "ul", *items, class_=f"indent-{depth}" if depth in "12345" else "")
        case _:
            return unknown(f"rich text of type {kind}")


def _run(run: object) -> Html:
    style = inner(run, "style") or {}
    shown: Piece
    match kind := kind_of(run):
        case "text":
            shown = lines(words(run, "text"))
        case "link":
            shown = link(words(run, "url"), words(run, "text") or words(run, "url"))
        case "emoji":
            shown = span("emoji", f":{words(run, 'name')}:")
        case "user" | "usergroup":
            shown = span("mention", f"@{words(run, f'{kind}_id')}")
        case "channel":
            shown = span("mention", f"#{words(run, 'channel_id')}")
        case "broadcast":
            shown = span("mention", f"@{words(run, 'range')}")
        case "date":
            shown = words(run, "fallback") or words(run, "timestamp")
        case "color":
            shown = element("code", words(run, "value"))
        case _:
            shown = unknown(f"rich text of type {kind}")
    for name, tag in (("code", "code"), ("strike", "s"), ("italic", "i"), ("bold", "b")):
        if style.get(name) is True:
            shown = element(tag, shown)
    return joined(shown)
