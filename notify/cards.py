"""PURE: neutral parts → a Teams message with one Adaptive Card (version 1.5, the newest that Teams renders)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, assert_never

from notify.parts import Choice, Grid, Item, Part, Picture, Said
from notify.teams_text import take_links_apart, take_tags_apart

CONTENT_TYPE: Final = "application/vnd.microsoft.card.adaptive"


def render(parts: Sequence[Part], summary: str) -> dict[str, Any]:
    """The whole activity; `summary` is what a notification and an old client show."""
    actions = [_action(part) for part in parts if isinstance(part, Choice)]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.5",
        "body": [_element(part) for part in parts if not isinstance(part, Choice)],
        **({"actions": actions} if actions else {}),
    }
    return {
        "type": "message",
        **({"summary": summary} if summary else {}),
        "attachments": [{"contentType": CONTENT_TYPE, "content": card}],
    }


def _element(part: Said | Picture | Item | Grid) -> dict[str, Any]:
    match part:
        case Said(text):
            return _paragraph(text)
        case Picture(url, alt):
            return {"type": "Image", "url": url, "altText": alt}
        case Item():
            return _item(part)
        case Grid():
            return _grid(part)
        case _:
            assert_never(part)


def _item(item: Item) -> dict[str, Any]:
    words = [_paragraph(item.title) | {"weight": "Bolder"}]
    if item.subtitle:
        words.append(_paragraph(item.subtitle) | {"isSubtle": True, "spacing": "None"})
    if item.choices:
        words.append({"type": "ActionSet", "actions": [_action(choice) for choice in item.choices]})
    columns: list[dict[str, Any]] = [{"type": "Column", "width": "stretch", "items": words}]
    if item.picture:
        picture = {"type": "Image", "url": item.picture, "size": "Medium", "altText": item.title}
        columns.append({"type": "Column", "width": "auto", "items": [picture]})
    shown: dict[str, Any] = {"type": "ColumnSet", "columns": columns, "separator": True}
    return shown | ({"selectAction": {"type": "Action.OpenUrl", "url": item.link}} if item.link else {})


def _grid(grid: Grid) -> dict[str, Any]:
    return {
        "type": "Table",
        "firstRowAsHeader": True,
        "columns": [{"width": 1} for _ in grid.header],
        "rows": [_row(cells) for cells in (grid.header, *grid.rows)],
    }


def _row(cells: Sequence[str]) -> dict[str, Any]:
    return {"type": "TableRow", "cells": [{"type": "TableCell", "items": [_paragraph(cell)]} for cell in cells]}


def _action(choice: Choice) -> dict[str, Any]:
    if choice.url is not None:
        return {"type": "Action.OpenUrl", "title": choice.title, "url": choice.url}
    answer = {"type": "imBack", "value": choice.value or choice.title}
    return {"type": "Action.Submit", "title": choice.title, "data": {"msteams": answer}}


def _paragraph(text: str) -> dict[str, Any]:
    """A TextBlock reads Markdown, but the words of a template are words."""
    return {"type": "TextBlock", "text": take_tags_apart(take_links_apart(text)), "wrap": True}
