"""What a person can press in a message, and what Slack then sends to the app.

Sources: docs.slack.dev/reference/interaction-payloads/block_actions-payload, …/reference/block-kit/block-elements (what
each element says when something is chosen) and, for attachments, …/legacy/legacy-messaging/legacy-interactive-messages.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


class NotThereError(ValueError):
    """The message has no such element, or nothing of that kind can be chosen in it."""


@dataclass(frozen=True, slots=True)
class Element:
    """One interactive element where it stands: in a block, or a legacy action of an attachment."""

    body: Json
    block_id: str
    attachment: int | None = None
    """The number of its attachment, from 1; None in the message's own blocks."""
    callback_id: str | None = None
    """Of a legacy attachment; None in a block."""

    @property
    def label(self) -> str:
        """The words that the person sees on it."""
        text = self.body.get("text") or self.body.get("placeholder") or ""
        return str(text.get("text", "")) if isinstance(text, dict) else str(text)

    @property
    def action_id(self) -> str:
        """What names it: of a legacy action its name."""
        return str(self.body["action_id"] if self.callback_id is None else self.body.get("name", ""))


def as_sent(message: Json) -> Json:
    """The message as Slack shows it: blocks and elements without an id have been given one."""
    numbers = itertools.count(1)
    shown = {**message, "blocks": _blocks(message.get("blocks"), numbers)}
    attachments = [
        {**each, "id": number, **({"blocks": _blocks(each["blocks"], numbers)} if each.get("blocks") else {})}
        for number, each in enumerate(message.get("attachments") or (), start=1)
    ]
    return {name: value for name, value in {**shown, "attachments": attachments}.items() if value != []}


def find(message: Json, wanted: Mapping[str, Any]) -> Element:
    """The one element that `action_id`, `block_id`, `label` and `value` describe, as far as they are given."""
    found = [each for each in _elements(message) if _fits(each, wanted)]
    if len(found) != 1:
        raise NotThereError(f"{len(found)} elements of the message are like that, not one")
    return found[0]


def action_of(element: Element, choice: Json, moment: str) -> Json:
    """The entry of `actions` in the payload."""
    body = element.body
    if element.callback_id is not None:
        return _legacy_action(body, choice)
    chosen = _CHOOSE.get(body["type"])
    if chosen is None:
        raise NotThereError(f"nothing can be done with a {body['type']}")
    return {
        "type": body["type"],
        "action_id": body["action_id"],
        "block_id": element.block_id,
        **chosen(body, choice),
        "action_ts": moment,
    }


def state_of(element: Element, action: Json) -> Json:
    """The values of the elements that keep one."""
    if element.body["type"] == "button":
        return {"values": {}}
    kept = {name: value for name, value in action.items() if name not in ("action_id", "block_id", "action_ts")}
    return {"values": {element.block_id: {element.action_id: kept}}}


def _blocks(blocks: Any, numbers: Iterator[int]) -> list[Json]:
    made = []
    for block in blocks or ():
        named = {**block, "block_id": block.get("block_id") or f"sim{next(numbers)}"}
        for place in ("accessory", "element"):
            if isinstance(named.get(place), dict):
                named[place] = _named(named[place], numbers)
        if named["type"] == "actions":
            named["elements"] = [_named(each, numbers) for each in named["elements"]]
        made.append(named)
    return made


def _named(element: Json, numbers: Iterator[int]) -> Json:
    return {**element, "action_id": element["action_id"] if element.get("action_id") else f"act{next(numbers)}"}


def _elements(message: Json) -> Iterator[Element]:
    yield from _of_blocks(message.get("blocks"), None)
    for attachment in message.get("attachments") or ():
        yield from _of_blocks(attachment.get("blocks"), attachment["id"])
        for action in attachment.get("actions") or ():
            if attachment.get("callback_id"):  # Slack shows no buttons without it
                yield Element(action, "", attachment["id"], str(attachment["callback_id"]))


def _of_blocks(blocks: Any, attachment: int | None) -> Iterator[Element]:
    for block in blocks or ():
        found = list(block.get("elements") or ()) if block["type"] == "actions" else []
        if block["type"] == "section" and block.get("accessory", {}).get("type") != "image":
            found += [block["accessory"]] if "accessory" in block else []
        if block["type"] == "input" and block.get("dispatch_action"):
            found.append(block["element"])
        for element in found:
            yield Element(element, block["block_id"], attachment)


def _fits(element: Element, wanted: Mapping[str, Any]) -> bool:
    known = {
        "action_id": element.action_id,
        "block_id": element.block_id,
        "label": element.label,
        "value": element.body.get("value"),
    }
    return all(known[name] == value for name, value in wanted.items())


def _legacy_action(body: Json, choice: Json) -> Json:
    named = {"name": body.get("name", ""), "type": body["type"]}
    if body["type"] == "select":
        return {**named, "selected_options": [{"value": _option(body, choice)["value"]}]}
    return {**named, "value": body.get("value", "")}


def _pressed(body: Json, choice: Json) -> Json:
    return {name: body[name] for name in ("text", "value", "style") if name in body}


def _one(body: Json, choice: Json) -> Json:
    return {"selected_option": _option(body, choice)}


def _many(body: Json, choice: Json) -> Json:
    return {"selected_options": [_option(body, {"option": each}) for each in choice.get("options", [])]}


def _option(body: Json, choice: Json) -> Json:
    for option in body.get("options") or ():
        if option.get("value") == choice.get("option"):
            found: Json = option
            return found
    raise NotThereError(f"there is no option {choice.get('option')!r}")


def _given(member: str) -> Callable[[Json, Json], Json]:
    def choose(body: Json, choice: Json) -> Json:
        if "given" not in choice:
            raise NotThereError(f"say with `given` what {member} is")
        return {member: choice["given"]}

    return choose


_CHOOSE: dict[str, Callable[[Json, Json], Json]] = {
    "button": _pressed,
    "static_select": _one,
    "overflow": _one,
    "radio_buttons": _one,
    "multi_static_select": _many,
    "checkboxes": _many,
    "users_select": _given("selected_user"),
    "multi_users_select": _given("selected_users"),
    "conversations_select": _given("selected_conversation"),
    "channels_select": _given("selected_channel"),
    "datepicker": _given("selected_date"),
    "timepicker": _given("selected_time"),
    "datetimepicker": _given("selected_date_time"),
    "plain_text_input": _given("value"),
}
