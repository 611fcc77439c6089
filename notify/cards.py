"""PURE: neutral parts → a Teams message with one Adaptive Card (version 1.5, the newest that Teams renders)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, assert_never

from notify.parts import Choice, Grid, Item, Part, Picture, Said
from notify.teams_text import take_links_apart, take_tags_apart

CONTENT_TYPE: Final = "application/vnd.microsoft.card.adaptive"
ACTIONS_A_ROW: Final = 6  # Teams hides what is more behind a menu


def render(parts: Sequence[Part], summary: str) -> dict[str, Any]:
    """The whole activity; `summary` is what a notification and an old client show."""
    actions = [_action(part) for part in parts if isinstance(part, Choice)]
    body = [_element(part) for part in parts if not isinstance(part, Choice)]
    is_one_row = len(actions) <= ACTIONS_A_ROW
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.5",
        "fallbackText": _words(summary),
        "body": body if is_one_row else [*body, *_rows(actions)],
        **({"actions": actions} if actions and is_one_row else {}),
        **({"msteams": {"width": "Full"}} if any(isinstance(part, Grid) for part in parts) else {}),
    }
    return {
        "type": "message",
        "summary": summary,
        "attachments": [{"contentType": CONTENT_TYPE, "content": card}],
    }


def _element(part: Said | Picture | Item | Grid) -> dict[str, Any]:
    match part:
        case Said(text):
            return _paragraph(text)
        case Picture(url, alt):
            return {"type": "Image", "url": url, "altText": alt or "Picture"}
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
        words += _rows([_action(choice) for choice in item.choices])
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
        "columns": [{"width": 1, "horizontalCellContentAlignment": side.value} for side in grid.sides],
        "rows": [_row(grid.header, {"weight": "Bolder"}), *(_row(cells, {}) for cells in grid.rows)],
    }


def _row(cells: Sequence[str], look: dict[str, str]) -> dict[str, Any]:
    return {"type": "TableRow", "cells": [{"type": "TableCell", "items": [_paragraph(cell) | look]} for cell in cells]}


def _rows(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Actions in rows that are shown as a whole."""
    starts = range(0, len(actions), ACTIONS_A_ROW)
    return [{"type": "ActionSet", "actions": actions[start : start + ACTIONS_A_ROW]} for start in starts]


def _action(choice: Choice) -> dict[str, Any]:
    picture = {"iconUrl": choice.picture} if choice.picture else {}
    if choice.url is not None:
        return {"type": "Action.OpenUrl", "title": choice.title, "url": choice.url, **picture}
    answer = {"value": choice.value or choice.title}  # it names its message, and an app that only notifies may have it
    return {"type": "Action.Submit", "title": choice.title, "data": answer, **picture}


def _paragraph(text: str) -> dict[str, Any]:
    return {"type": "TextBlock", "text": _words(text), "wrap": True}


def _words(text: str) -> str:
    """A card reads Markdown, but the words of a template are words, and its lines are lines."""
    lines = filter(None, (line.strip() for line in text.split("\n")))
    return take_tags_apart(take_links_apart("\n\n".join(lines)))
