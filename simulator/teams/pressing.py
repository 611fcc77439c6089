"""What a person can press on a card, and the activity that Teams then sends to the bot.

Sources: Microsoft Teams, "Card actions" (imBack, messageBack, invoke, task/fetch, and their inbound activities) and
Adaptive Cards, "Universal Action Model" (Action.Execute).
"""

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from simulator.teams.activities import ADAPTIVE_CARD
from simulator.teams.activity_templates import Activity

Json = dict[str, Any]


class NotThereError(ValueError):
    """The message has no such button, or the bot hears nothing of it."""


def find(message: Activity, title: str) -> Json:
    """The one action with this title, on any card of the message."""
    found = [each for each in _actions(message) if each.get("title") == title]
    if len(found) != 1:
        raise NotThereError(f"{len(found)} buttons of the message have this title, not one")
    return found[0]


def activity_of(action: Json, inputs: Json, message_id: str, *, names_message: bool) -> Activity:
    """What is sent, beside what all activities share; `names_message` decides for imBack, which may or may not."""
    build = _BUILD.get(str(action.get("type")))
    if build is None:
        raise NotThereError(f"the bot hears nothing of {action.get('type')}")
    activity = build(action, inputs)
    if activity.pop("typed", False) and not names_message:
        return activity
    return {**activity, "replyToId": message_id}


def _actions(message: Activity) -> Iterator[Json]:
    for attachment in message.get("attachments") or ():
        content = attachment.get("content")
        if attachment.get("contentType") == ADAPTIVE_CARD:
            yield from _of_adaptive_card(content)
        elif isinstance(content, dict):
            yield from content.get("buttons") or ()
    yield from (message.get("suggestedActions") or {}).get("actions") or ()


def _of_adaptive_card(node: Any) -> Iterator[Json]:
    """Every action of a card, its containers and the cards that it shows."""
    if isinstance(node, list):
        for child in node:
            yield from _of_adaptive_card(child)
    elif isinstance(node, dict):
        if str(node.get("type", "")).startswith("Action."):
            yield node
        for name, child in node.items():
            if name != "data":
                yield from _of_adaptive_card(child)


def _submit(action: Json, inputs: Json) -> Activity:
    """An Action.Submit: a message without text; `data.msteams` may make a card action of it."""
    data = action.get("data")
    given: Json = data if isinstance(data, dict) else {}
    wanted = given.get("msteams")
    if not isinstance(wanted, dict):
        return {"type": "message", "value": {**given, **inputs} if isinstance(data, dict | None) else data}
    kind, rest = wanted.get("type"), {name: each for name, each in given.items() if name != "msteams"}
    if kind == "task/fetch":
        return {"type": "invoke", "name": "task/fetch", "value": _fetched({**rest, **inputs, "type": "task/fetch"})}
    if kind == "messageBack":
        back = _message_back(wanted, {})
        value: Any = back.get("value", {})
        return {**back, "value": {**rest, **inputs, **value}} if isinstance(value, dict) else back
    if kind == "invoke":
        return {"type": "invoke", "name": "task/fetch", "value": _fetched(_parsed(wanted.get("value")))}
    return _card_action(wanted)


def _card_action(action: Json) -> Activity:
    build = _BUILD.get(str(action.get("type")))
    if build is None or str(action["type"]).startswith("Action."):
        raise NotThereError(f"the bot hears nothing of {action.get('type')}")
    return build(action, {})


def _execute(action: Json, inputs: Json) -> Activity:
    said: Json = {name: action[name] for name in ("id", "title", "verb") if name in action}
    data: Json = action.get("data", {})
    executed = {"type": "Action.Execute", **said, "data": {**data, **inputs}}
    value = {"action": executed, "trigger": "manual"}
    return {"type": "invoke", "name": "adaptiveCard/action", "value": value}


def _im_back(action: Json, inputs: Json) -> Activity:
    """As if the person had typed it."""
    text = str(action.get("value", ""))
    html = {"contentType": "text/html", "content": f"<p>{text}</p>"}
    return {"type": "message", "text": text, "textFormat": "plain", "attachments": [html], "typed": True}


def _message_back(action: Json, inputs: Json) -> Activity:
    text = {"text": action["text"]} if "text" in action else {}
    return {"type": "message", **text, **({"value": _parsed(action["value"])} if "value" in action else {})}


def _invoke(action: Json, inputs: Json) -> Activity:
    return {"type": "invoke", "value": _parsed(action.get("value"))}


def _fetched(data: Any) -> Json:
    return {"data": data, "context": {"theme": "default"}}


def _parsed(value: Any) -> Any:
    """A value may be JSON written as a text; the bot gets what it says."""
    try:
        return orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        return value


_BUILD: dict[str, Callable[[Json, Json], Activity]] = {
    "Action.Submit": _submit,
    "Action.Execute": _execute,
    "imBack": _im_back,
    "messageBack": _message_back,
    "invoke": _invoke,
}
