"""PURE: what a caller gave as a message → a Message, or the problems that keep it from ever being one.

What is the same for everybody is rendered here, once, so that its limits are known before anything is accepted. What
differs from person to person is held against the limits with its shortest values: what is too large even so is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from adapters.base import ChannelName
from notify import personal, render, strict_json
from notify.message import Kind, Message
from notify.placeholders import fill_payload, fill_text, names_in
from notify.render import Problem, Rendered, Unfit

MAX_SCRIPT: Final = 256 * 1024  # characters of source
MAX_PLACEHOLDERS: Final = 200  # places of a message that are filled
MAX_TEMPLATE: Final = 512 * 1024  # bytes of a message with placeholders, before it is filled
_PLACEHOLDER: Final = re.compile(rb"\{[A-Za-z_][A-Za-z0-9_]*\}")
_SHORTEST: Final = "x"


@dataclass(frozen=True, slots=True)
class Style:
    """How words are read: as markup of the platform, and whether `{name}` stands for a value."""

    markup: bool = False
    placeholders: bool = False


def read(channel: ChannelName, kind: str, value: str | dict[str, Any], style: Style, at: str) -> Message | Unfit:
    """A message of the type `text`, `template` or `script`."""
    match kind, value:
        case "script", str():
            return _script(channel, value, style, at)
        case "text" | "template", str():
            return words(channel, value, style, at)
        case "script" | "template", dict():
            return _payload(channel, value, style, at)
        case _:
            return _unfit(at, 'must be text when the type is "text": for an object use another type')


def words(channel: ChannelName, said: str, style: Style, at: str) -> Message | Unfit:
    """Text, plain or in the platform's markup."""
    write, kind = (render.markup, Kind.MARKUP) if style.markup else (render.text, Kind.TEXT)
    message = Message(kind, said)
    refused = _too_much(message, at) if style.placeholders else None
    if refused is not None:
        return refused
    if not personal.is_personal(message, placeholders=style.placeholders):
        return _same_for_all(write(channel, said, at))
    shortest = fill_text(channel, said, _shortest(said), markup=style.markup)
    tried = write(channel, shortest.value, at)
    return tried if isinstance(tried, Unfit) else message


def _payload(channel: ChannelName, payload: dict[str, Any], style: Style, at: str) -> Message | Unfit:
    message = Message(Kind.TEMPLATE, payload)
    refused = _too_much(message, at) if style.placeholders else None
    if refused is not None:
        return refused
    if not personal.is_personal(message, placeholders=style.placeholders):
        return _same_for_all(render.native(channel, payload, at))
    tried = render.native(channel, fill_payload(channel, payload, _shortest(payload)).value, at)
    return tried if isinstance(tried, Unfit) else message


def _script(channel: ChannelName, source: str, style: Style, at: str) -> Message | Unfit:
    """JSON text of an object is the native payload; anything else is JavaScript."""
    source = strict_json.without_mark(source)
    try:
        payload = strict_json.object_in(source)
        if payload is None and strict_json.is_broken_object(source):
            strict_json.read(source)  # raises, and says where the slip is
    except strict_json.NotJson as error:
        return _unfit(at, str(error))
    if payload is not None:
        return _payload(channel, payload, style, at)
    if not source.strip():
        return _unfit(at, "must not be empty: write the script")
    if len(source) > MAX_SCRIPT:
        return Unfit(
            (
                Problem(
                    at,
                    f"is too long for a script: at most {MAX_SCRIPT} characters, {len(source)} given: shorten it",
                    too_large=True,
                ),
            )
        )
    return Message(Kind.SCRIPT, source)


def _too_much(message: Message, at: str) -> Unfit | None:
    """Filling costs by what is filled, for each person: what nobody needs is refused before it is read."""
    raw = orjson.dumps(message.body)
    if len(raw) > MAX_TEMPLATE:
        says = f"is too long to be filled: at most {MAX_TEMPLATE} bytes, {len(raw)} given: shorten it"
        return Unfit((Problem(at, says, too_large=True),)) if _PLACEHOLDER.search(raw) else None
    count = sum(1 for _ in _PLACEHOLDER.finditer(raw))
    if count > MAX_PLACEHOLDERS:
        return _unfit(at, f"has too many placeholders: at most {MAX_PLACEHOLDERS}, {count} given: remove some")
    return None


def _same_for_all(rendered: Rendered | Unfit) -> Message | Unfit:
    return rendered if isinstance(rendered, Unfit) else Message(Kind.NATIVE, dict(rendered.payload), rendered.warnings)


def _shortest(body: str | Mapping[str, Any]) -> dict[str, str]:
    return dict.fromkeys(names_in(body), _SHORTEST)


def _unfit(at: str, says: str) -> Unfit:
    return Unfit((Problem(at, says),))
