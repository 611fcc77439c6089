"""PURE: what is kept of a press, and which button of a Teams message says a text for the person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from adapters.evidence import Press, Said

MOST_BYTES: Final = 2048  # of a value, as JSON
MOST_DEEP: Final = 32  # levels of a value, so that every answer with it can be written
MOST_LABEL: Final = 200
_ECHOES: Final[Mapping[str, str]] = {"imBack": "value", "messageBack": "text"}  # which member the person says


def detail(press: Press) -> str:
    """What is stored of a press and shown to callers, as JSON; a value that is too large or too deep becomes a note."""
    kept = {
        "value": press.value,
        "label": press.label[:MOST_LABEL],
        "actionId": press.action_id,
        "blockId": press.block_id,
        "verb": press.verb,
    }
    note = _too_much(press.value)
    if note:
        kept |= {"value": None, "note": note}
    return orjson.dumps({name: value for name, value in kept.items() if value not in (None, "")}).decode()


def echoes(body: bytes) -> bool:
    """Whether a message may have buttons that speak for the person who presses them."""
    return any(kind.encode() in body for kind in _ECHOES)


def pressed_by(payload: bytes, said: Said) -> Press | None:
    """The button of a Teams message that says exactly this text for the person; None if there is none."""
    if not echoes(payload):
        return None
    try:
        found = dict(_echoes(orjson.loads(payload), ""))
    except orjson.JSONDecodeError:
        return None
    label = found.get(said.text)
    return None if label is None else Press(said.key, said.text, label)


def _echoes(node: object, title: str) -> Iterator[tuple[str, str]]:
    """Every text that a button of the message says, with the button's title."""
    if isinstance(node, list):
        for child in node:
            yield from _echoes(child, title)
    elif isinstance(node, dict):
        own = node.get("title")
        title = own if isinstance(own, str) else title  # an Action.Submit has its title outside of `data.msteams`
        kind = node.get("type")
        text = node.get(_ECHOES.get(kind, "")) if isinstance(kind, str) else None
        if isinstance(text, str) and text.strip():
            yield text.strip(), title
        for child in node.values():
            yield from _echoes(child, title)


def _too_much(value: Any) -> str:
    try:
        size = len(orjson.dumps(value))
    except TypeError:  # deeper than the platform's own answers could be
        size = None
    if size is None or (size <= MOST_BYTES and _is_deep(value, MOST_DEEP)):
        return f"the value is nested more than {MOST_DEEP} deep and was not kept"
    return f"the value has {size} bytes and was not kept: at most {MOST_BYTES} are" if size > MOST_BYTES else ""


def _is_deep(value: object, most: int) -> bool:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return most == 0 or any(_is_deep(child, most - 1) for child in children)
