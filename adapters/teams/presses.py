"""PURE: what a person pressed on a card, or sent by a button that speaks for them.

Shapes: msteams-docs `task-modules-and-cards/cards/cards-actions.md`, and for `Action.Execute` the universal action
model of adaptivecards.io.

    Action.Submit, messageBack   a message with `value`
    imBack                       a message with the button's text, like one that was typed
    Action.Execute               invoke adaptiveCard/action: `value.action`
    task/fetch                   invoke task/fetch: `value.data`
    invoke                       an invoke without a name: `value`

Other invokes are no buttons of a message, and some carry tokens: their value is never read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from adapters.evidence import Press, Said
from adapters.ids import MAX_ID, words

MAX_SAID: Final = 1000  # characters; no button is longer


def press_of(body: Mapping[str, Any], key: str | None) -> Press | None:
    """What was pressed; None for an activity that is no press, or that has no id to know its repetition by."""
    if key is None:
        return None
    value = body.get("value")
    if body["type"] == "message":
        return None if value is None else Press(key, _submitted(value))
    if body["type"] != "invoke":
        return None
    match body.get("name"):
        case "adaptiveCard/action":
            return _executed(_object(value), key)
        case "task/fetch":
            return Press(key, _object(value).get("data"))
        case None | "":
            return Press(key, value)
    return None


def said_of(body: Mapping[str, Any], key: str | None) -> Said | None:
    """The text of a message that carries nothing else; None if it is longer than any button says."""
    if key is None or body["type"] != "message" or body.get("value") is not None:
        return None
    text = body.get("text")
    if not isinstance(text, str) or not 0 < len(text.strip()) <= MAX_SAID:
        return None
    return Said(key, text.strip())


def _submitted(value: Any) -> Any:
    """What a button was given to say; by itself where it is nothing but a value, as Slack's buttons have it."""
    if isinstance(value, dict) and list(value) == ["value"] and isinstance(value["value"], str):
        return value["value"]
    return value


def _executed(value: Mapping[str, Any], key: str) -> Press | None:
    """An Action.Execute; a card that refreshes itself sends the same without anybody having pressed."""
    if value.get("trigger") == "automatic":
        return None
    action = _object(value.get("action"))
    return Press(
        key,
        action.get("data"),
        words(action.get("title")),
        action_id=words(action.get("id"), MAX_ID),
        verb=words(action.get("verb"), MAX_ID),
    )


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
