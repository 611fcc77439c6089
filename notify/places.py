"""PURE: which strings of a payload a platform parses, and as what.

Everything that is not named here is taken literally by the platform: `plain_text`, the texts of `rich_text`, TextRuns,
titles of actions, addresses, ids, data, `altText`, `summary`, `speak`. So is every string of a template of Kore's
SDK: its words are escaped when it is turned into blocks or a card.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, assert_never

from adapters.base import ChannelName
from notify import templates
from notify.cards import CONTENT_TYPE as ADAPTIVE
from notify.escaping import Place

Path = tuple[str | int, ...]
Find = Callable[[Path, Mapping[str, Any]], Place]
"""The place of the string at a path, which is a member of this object (or of a list that is one)."""

_CONNECTOR: Final = "application/vnd.microsoft.teams.card.o365connector"
_CONNECTOR_TEXTS: Final = frozenset({"text", "title", "activitytitle", "activitysubtitle", "activitytext", "value"})

_SLACK_TOP: Final = {"text": Place.MRKDWN, "markdown_text": Place.SLACK_MARKDOWN}
_SLACK_OBJECTS: Final = {"mrkdwn": Place.MRKDWN, "markdown": Place.SLACK_MARKDOWN}
_SLACK_ATTACHMENT: Final = frozenset({"text", "pretext", "title", "fallback", "footer", "author_name"})
_TEXT_FORMATS: Final = {"plain": Place.LITERAL, "xml": Place.TEAMS_XML}
# The renderers show the labels and choices of inputs in TextBlocks, so Markdown is read there too.
_CARD_ELEMENTS: Final[Mapping[str, frozenset[str]]] = {
    "textblock": frozenset({"text"}),
    "input.toggle": frozenset({"title"}),
    "adaptivecard": frozenset({"fallbacktext"}),
}
_CARD_MEMBERS: Final = frozenset().union(*_CARD_ELEMENTS.values())
_CARD_ANYWHERE: Final = frozenset({"label", "errormessage"})
_CARD_LISTS: Final[Mapping[str, frozenset[str]]] = {
    "facts": frozenset({"title", "value"}),
    "choices": frozenset({"title"}),
}


def places(channel: ChannelName, payload: Mapping[str, Any]) -> Find:
    """What each string of this payload is read as."""
    if templates.is_template(payload):
        return lambda path, owner: Place.LITERAL
    match channel:
        case ChannelName.SLACK:
            return _slack
        case ChannelName.MSTEAMS:
            return lambda path, owner: _teams(path, owner, payload)
        case _:
            assert_never(channel)


def _slack(path: Path, owner: Mapping[str, Any]) -> Place:
    kind = owner.get("type")
    if path[-1] == "text" and isinstance(kind, str) and (kind in _SLACK_OBJECTS or "{" in kind):
        return _SLACK_OBJECTS.get(kind, Place.MRKDWN)  # a type that is put in can be the one that is parsed
    match path:
        case (str(name),):
            return _SLACK_TOP.get(name, Place.LITERAL)
        case ("attachments", int(), str(name)) if name in _SLACK_ATTACHMENT:
            return Place.MRKDWN
        case ("attachments", int(), "fields", int(), "title" | "value"):
            return Place.MRKDWN
        case _:
            return Place.LITERAL


def _teams(path: Path, owner: Mapping[str, Any], payload: Mapping[str, Any]) -> Place:
    match tuple(_lower(step) for step in path):
        case ("text",):
            return _TEXT_FORMATS.get(_word(owner, "textformat"), Place.TEAMS_MARKDOWN)
        case ("attachments", int(index), "content", *rest):
            attachment = payload[str(path[0])][index]
            return _attachment(_word(attachment, "contenttype"), tuple(rest), owner)
        case _:
            return Place.LITERAL


def _attachment(kind: str, path: Path, owner: Mapping[str, Any]) -> Place:
    if kind == ADAPTIVE:
        return Place.CARD if _is_card_markdown(path, owner) else Place.LITERAL
    markdown = path == ("text",) or (kind == _CONNECTOR and path[-1] in _CONNECTOR_TEXTS)
    return Place.TEAMS_MARKDOWN if markdown else Place.LITERAL


def _is_card_markdown(path: Path, owner: Mapping[str, Any]) -> bool:
    match path:
        case (*_, str(within), int(), str(name)) if name in _CARD_LISTS.get(within, ()):
            return True
        case (*_, str(name)):
            element = _word(owner, "type")
            if "{" in element:
                return name in _CARD_MEMBERS
            return name in _CARD_ELEMENTS.get(element, ()) or (element.startswith("input.") and name in _CARD_ANYWHERE)
        case _:
            return False


def _lower(step: str | int) -> str | int:
    """The Teams connector reads names without case."""
    return step.lower() if isinstance(step, str) else step


def _word(owner: Mapping[str, Any], lower: str) -> str:
    found = next((value for name, value in owner.items() if name.lower() == lower), None)
    return found.lower() if isinstance(found, str) else ""
