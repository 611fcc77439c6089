"""PURE: what a person pressed or chose in a message, from the payload of an interaction.

https://docs.slack.dev/reference/interaction-payloads/block_actions-payload, and for the buttons and menus of
attachments https://docs.slack.dev/legacy/legacy-messaging/legacy-interactive-message-field-guide. Every element of
Block Kit says in a member of its own what was chosen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from adapters.evidence import Press
from adapters.ids import MAX_ID, words

BLOCKS: Final = "block_actions"
ATTACHMENTS: Final = "interactive_message"
MOST_OBJECTS: Final = 100  # the options of a menu; of actions Slack sends one

_CHOSEN: Final = (
    *("selected_user", "selected_users", "selected_channel", "selected_channels"),
    *("selected_conversation", "selected_conversations"),
    *("selected_date", "selected_time", "selected_date_time", "rich_text_value", "value"),
)


def presses_of(body: Mapping[str, Any]) -> tuple[Press, ...]:
    """Everything that a `block_actions` or `interactive_message` payload says was pressed; total.

    An action without a moment has nothing to know its repetition by, and is left out.
    """
    read = _of_attachments if body.get("type") == ATTACHMENTS else _of_blocks
    return tuple(read(body))


def _of_blocks(body: Mapping[str, Any]) -> Iterator[Press]:
    for action in _objects(body.get("actions")):
        moment = action.get("action_ts")
        if not isinstance(moment, str) or not moment:
            continue
        action_id, block_id = words(action.get("action_id"), MAX_ID), words(action.get("block_id"), MAX_ID)
        value, label = _chosen(action)
        yield Press(_key(moment, block_id, action_id), value, label or _text(action.get("text")), action_id, block_id)


def _of_attachments(body: Mapping[str, Any]) -> Iterator[Press]:
    moment, attachment = body.get("action_ts"), words(body.get("attachment_id"), MAX_ID)
    if not isinstance(moment, str) or not moment:
        return
    for action in _objects(body.get("actions")):
        name = words(action.get("name"), MAX_ID)
        options = [option.get("value") for option in _objects(action.get("selected_options"))]
        value = options[0] if len(options) == 1 else options or action.get("value")
        yield Press(_key(moment, attachment, name), value, _legacy_label(body, name, value), name)


def _chosen(action: Mapping[str, Any]) -> tuple[Any, str]:
    """The value and the words of what was chosen; a choice that was taken back has neither."""
    if "selected_options" in action:
        options = _objects(action["selected_options"])
        return [option.get("value") for option in options], ", ".join(_text(option.get("text")) for option in options)
    option = action.get("selected_option")
    if isinstance(option, dict):
        return option.get("value"), _text(option.get("text"))
    return next((action[name] for name in _CHOSEN if name in action), None), ""


def _legacy_label(body: Mapping[str, Any], name: str, value: object) -> str:
    """The words on a button of an attachment, which stand in the message only."""
    message = body.get("original_message")
    for attachment in _objects(message.get("attachments")) if isinstance(message, dict) else ():
        for action in _objects(attachment.get("actions")):
            if action.get("name") == name and action.get("value") == value:
                return words(action.get("text"))
    return ""


def _text(value: object) -> str:
    return words(value.get("text")) if isinstance(value, dict) else ""


def _objects(value: object) -> list[Mapping[str, Any]]:
    listed = value[:MOST_OBJECTS] if isinstance(value, list) else []
    return [each for each in listed if isinstance(each, dict)]


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()
