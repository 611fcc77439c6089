"""PURE: what Teams in particular makes of an Adaptive Card that the schema allows.

https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-reference (support for
Adaptive Cards): version 1.5, no positive or destructive style, no upload of files, no `isEnabled` on Action.Submit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from notify.addresses import NO_ADDRESS, opens
from notify.card_schema import NEWEST, Found, version_of

_NO_STYLES: Final = frozenset({"positive", "destructive"})
_NOT_SHOWN: Final = frozenset({"fallback", "data"})  # instead of something else, or for nobody's eyes


def rule_findings(card: Mapping[str, Any], at: str, *, is_summed_up: bool) -> Iterator[Found]:
    """What will not look or work in Teams as it is written."""
    if card.get("type") != "AdaptiveCard":
        yield f"{at}.type", 'must be "AdaptiveCard"'
    yield from _version(card, at)
    if not is_summed_up and not card.get("fallbackText"):
        yield at, "has no fallbackText, and the message no summary: notifications and old clients have nothing to show"
    if not card.get("body") and not card.get("actions"):
        yield at, "shows nothing: give a body or actions"
    ids: Counter[str] = Counter()
    for where, element in _objects(card, at):
        yield from _element(element, where)
        if isinstance(element.get("id"), str) and isinstance(element.get("type"), str):
            ids[element["id"]] += 1
    for name, times in ids.items():
        if times > 1:
            yield at, f'has the id "{name[:40]}" {times} times: phones do not show such a card'


def _version(card: Mapping[str, Any], at: str) -> Iterator[Found]:
    version = version_of(card)
    if version is None:
        yield f"{at}.version", 'must name the version that the card needs, such as "1.5"'
    elif version > NEWEST:
        yield f"{at}.version", f"is {card['version']}, and Teams shows 1.5: it shows the fallback text instead"


def _element(element: Mapping[str, Any], at: str) -> Iterator[Found]:
    kind, style = element.get("type"), element.get("style")
    if isinstance(kind, str) and kind.startswith("Action."):
        if isinstance(style, str) and style.lower() in _NO_STYLES:
            yield f"{at}.style", f'"{style}" is not shown by Teams'
        if kind == "Action.Submit" and "isEnabled" in element:
            yield f"{at}.isEnabled", "is not honoured by Teams on Action.Submit"
        if kind == "Action.OpenUrl" and isinstance(element.get("url"), str) and not opens(element["url"]):
            yield f"{at}.url", NO_ADDRESS
    if kind == "Input.File":
        yield at, "cannot be used: Teams uploads no files from a card"


def _objects(value: object, at: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every object of the card that is shown, with its place."""
    if isinstance(value, Mapping):
        yield at, value
        for name, member in value.items():
            if name not in _NOT_SHOWN:
                yield from _objects(member, f"{at}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _objects(item, f"{at}[{index}]")
