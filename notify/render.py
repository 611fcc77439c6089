"""PURE: a message → the native payload of a platform, or the problems that keep it from being one.

Text is plain text on both channels: nothing in it can mention anybody or become a link with another face. Markup is
the platform's own, as its author wrote it. A native payload passes as the caller wrote it, within the platform's own
limits; what addresses or authorises is ours. Nothing is ever cut.

    text | markup | native payload ──▶ Rendered(payload) | Unfit(problems)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, assert_never

import orjson

from adapters.base import ChannelName
from notify import templates
from notify.slack_limits import MAX_BLOCKS, MAX_TEXT, slack_limit_problems
from notify.slack_text import escape

Payload = Mapping[str, Any]

TEAMS_MAX_BYTES: Final = 80 * 1024  # documented ceiling about 100 KB in UTF-16; the rest is for what the wire adds
FALLBACK: Final = templates.UNSAID
TEXT_ALONE: Final = "only its text is shown"
_UNKNOWN: Final = "is a template of a kind that Herald does not know"
TEAMS_SUMMARY_MOST: Final = 200  # characters; nothing documents how much of a summary a notification shows
_PICTURE: Final = "data:image/"
_PICTURE_IN_JSON: Final = f'"{_PICTURE}'.encode()  # where it is missing there is none, and nothing has to be walked

# Compared without case, because the Teams connector reads names without case.
TEAMS_RESERVED: Final = frozenset({"from", "recipient", "conversation", "serviceurl", "channelid", "id"})
SLACK_RESERVED: Final = frozenset(
    {
        *("channel", "token", "metadata", "username", "as_user", "team_id", "client_msg_id"),
        "reply_broadcast",  # nothing to broadcast to in a direct message
    }
)
_SLACK_RESERVED_PREFIX: Final = "icon_"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one field, and what to do about it."""

    field: str
    says: str
    too_large: bool = False  # beyond a limit of the platform

    def __str__(self) -> str:
        return f"{self.field}: {self.says}" if self.field else self.says


@dataclass(frozen=True, slots=True)
class Rendered:
    """The payload, ready for the platform, and what its author would want to know about it."""

    payload: Payload
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unfit:
    """The message cannot be sent on this channel."""

    problems: tuple[Problem, ...]


def text(channel: ChannelName, said: str, field: str) -> Rendered | Unfit:
    """Plain text, the same words on both channels."""
    if not said.strip():
        return Unfit((Problem(field, "must not be empty: write the text of the message"),))
    return _checked(channel, _text_payload(channel, said), field)


def markup(channel: ChannelName, said: str, field: str) -> Rendered | Unfit:
    """Words in the platform's own markup (Slack mrkdwn, Teams Markdown), sent as they are written."""
    if not said.strip():
        return Unfit((Problem(field, "must not be empty: write the text of the message"),))
    return _checked(channel, _markup_payload(channel, said), field)


def native(channel: ChannelName, payload: Payload, field: str) -> Rendered | Unfit:
    """A payload in the platform's own words, or a template of Kore's SDK."""
    if templates.is_template(payload):
        return _template(channel, payload, field)
    reserved = tuple(_reserved(channel, payload, field))
    if reserved:
        return Unfit(reserved)
    shape, complete = (
        (_teams_problems, _as_message) if channel is ChannelName.MSTEAMS else (_slack_problems, _with_fallback)
    )
    problems = tuple(shape(payload, field))
    return Unfit(problems) if problems else _checked(channel, complete(payload), field)


def utf16_bytes(payload: Payload) -> int:
    """The size that Teams counts: the serialised activity in UTF-16, embedded pictures left out."""
    raw = orjson.dumps(payload)
    size = 2 * len(raw) if raw.isascii() else len(raw.decode().encode("utf-16-le"))
    return size - 2 * sum(_picture_sizes(payload)) if _PICTURE_IN_JSON in raw else size


def sizes(channel: ChannelName, payload: Payload) -> dict[str, int]:
    """How large a payload is in the platform's own count, beside what the platform permits."""
    match channel:
        case ChannelName.MSTEAMS:
            return {"bytes": utf16_bytes(payload), "limit": TEAMS_MAX_BYTES}
        case ChannelName.SLACK:
            text, blocks = payload.get("text", ""), payload.get("blocks") or []
            return {"characters": len(text), "limit": MAX_TEXT, "blocks": len(blocks), "blocksLimit": MAX_BLOCKS}
        case _:
            assert_never(channel)


def _text_payload(channel: ChannelName, said: str) -> dict[str, Any]:
    match channel:
        case ChannelName.MSTEAMS:
            return {"type": "message", "text": said, "textFormat": "plain"}
        case ChannelName.SLACK:
            return {
                "text": escape(said),
                "mrkdwn": False,
                "parse": "none",
                "link_names": False,
                "unfurl_links": False,
                "unfurl_media": False,
            }
        case _:
            assert_never(channel)


def _markup_payload(channel: ChannelName, said: str) -> dict[str, Any]:
    match channel:
        case ChannelName.MSTEAMS:
            return {"type": "message", "text": said, "textFormat": "markdown"}
        case ChannelName.SLACK:
            return {"text": said, "mrkdwn": True, "unfurl_links": False, "unfurl_media": False}
        case _:
            assert_never(channel)


def _template(channel: ChannelName, payload: Payload, field: str) -> Rendered | Unfit:
    """Natively where we know the kind; else its text; without one there is nothing to show."""
    built = templates.render(channel, payload)
    if built is not None:
        return _of_template(native(channel, built, field), field)
    said, slip = templates.text_of(payload), templates.slip(payload)
    if said is None:
        return Unfit((Problem(f"{field}.payload", slip or f"{_UNKNOWN}, and has no text: send the native payload"),))
    rendered = text(channel, said, f"{field}.payload.text")
    if isinstance(rendered, Unfit):
        return rendered
    return replace(rendered, warnings=(f"{field}.payload: {slip or _UNKNOWN}: {TEXT_ALONE}",))


def _of_template(found: Rendered | Unfit, field: str) -> Rendered | Unfit:
    """What a template became is named beside the template, which is what the caller wrote."""
    if isinstance(found, Rendered):
        return found
    became = (problem.field.removeprefix(field).removeprefix(".") or "the message" for problem in found.problems)
    return Unfit(
        tuple(
            Problem(f"{field}.payload", f"becomes {what}, which {problem.says}")
            for what, problem in zip(became, found.problems, strict=True)
        )
    )


def _reserved(channel: ChannelName, payload: Payload, field: str) -> Iterator[Problem]:
    for name in payload:
        lower = name.lower()
        match channel:
            case ChannelName.MSTEAMS:
                taken = lower in TEAMS_RESERVED
            case ChannelName.SLACK:
                taken = lower in SLACK_RESERVED or lower.startswith(_SLACK_RESERVED_PREFIX)
            case _:
                assert_never(channel)
        if taken:
            yield Problem(f"{field}.{name}", "is set by Herald, which knows where to send: remove it")


def _teams_problems(payload: Payload, field: str) -> Iterator[Problem]:
    if payload.get("type", "message") != "message":
        yield Problem(f"{field}.type", 'must be "message": only messages can be sent')
    said, attachments = payload.get("text", ""), payload.get("attachments", [])
    if not isinstance(said, str):
        yield Problem(f"{field}.text", "must be text")
    if not isinstance(attachments, list) or not all(_is_attachment(item) for item in attachments):
        yield Problem(f"{field}.attachments", "must be a list of objects, each with a contentType")
    elif isinstance(said, str) and not said.strip() and not attachments:
        yield Problem(field, "shows nothing: give text or attachments")


def _as_message(payload: Payload) -> dict[str, Any]:
    """A card without words of its own beside it is announced by its first ones: a notification would say "Card"."""
    message = {"type": "message", **payload}
    if _said(payload.get("text")).strip() or any(name.lower() == "summary" for name in payload):
        return message
    words = next(_words_of(payload.get("attachments")), FALLBACK)
    return message | {"summary": words if len(words) <= TEAMS_SUMMARY_MOST else FALLBACK}


def _words_of(value: object) -> Iterator[str]:
    """The texts of a card, in the order in which they are read."""
    if isinstance(value, dict):
        said = _said(value.get("title")) or _said(value.get("text"))
        if said.strip() and value.get("type", "TextBlock") == "TextBlock":
            yield said
        for child in value.values():
            yield from _words_of(child)
    elif isinstance(value, list):
        for child in value:
            yield from _words_of(child)


def _is_attachment(item: object) -> bool:
    return isinstance(item, dict) and isinstance(item.get("contentType"), str)


def _slack_problems(payload: Payload, field: str) -> Iterator[Problem]:
    for name in ("text", "markdown_text"):
        if not isinstance(payload.get(name, ""), str):
            yield Problem(f"{field}.{name}", "must be text")
    for name in ("blocks", "attachments"):
        items = payload.get(name, [])
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            yield Problem(f"{field}.{name}", "must be a list of objects")
    if payload.get("markdown_text") and (payload.get("text") or payload.get("blocks")):
        yield Problem(f"{field}.markdown_text", "cannot stand beside text or blocks: keep one of them")
    if not any(payload.get(name) for name in ("text", "markdown_text", "blocks", "attachments")):
        yield Problem(field, "shows nothing: give text, blocks or attachments")


def _with_fallback(payload: Payload) -> dict[str, Any]:
    """Give push notifications and screen readers something to read where the caller did not.

    Beside blocks `text` is only the fallback. Without blocks Slack would show it as the body, above the attachments,
    so there the fallback goes into the attachments themselves (docs.slack.dev, chat.postMessage, `text`).
    """
    complete = {"unfurl_links": False, "unfurl_media": False, **payload}
    if payload.get("text") or payload.get("markdown_text"):
        return complete
    attachments = payload.get("attachments", [])
    if payload.get("blocks"):
        return complete | {"text": _first_text(attachments)}
    return complete | {
        "attachments": [{"fallback": _said(item.get("text")) or FALLBACK, **item} for item in attachments]
    }


def _first_text(attachments: list[dict[str, Any]]) -> str:
    said = next((_said(item.get("text")) for item in attachments if _said(item.get("text"))), FALLBACK)
    return said if len(said) <= MAX_TEXT else FALLBACK


def _said(value: object) -> str:
    return value if isinstance(value, str) else ""


def _checked(channel: ChannelName, payload: dict[str, Any], field: str) -> Rendered | Unfit:
    match channel:
        case ChannelName.MSTEAMS:
            problems = tuple(_teams_size(payload, field))
        case ChannelName.SLACK:
            problems = tuple(Problem(at, says, too_large=True) for at, says in slack_limit_problems(payload, field))
        case _:
            assert_never(channel)
    return Unfit(problems) if problems else Rendered(payload)


def _teams_size(payload: Payload, field: str) -> Iterator[Problem]:
    size = utf16_bytes(payload)
    if size > TEAMS_MAX_BYTES:
        yield Problem(
            field,
            f"is too large for Teams: at most {TEAMS_MAX_BYTES} bytes in UTF-16, {size} given: shorten it",
            too_large=True,
        )


def _picture_sizes(value: object) -> Iterator[int]:
    """How many characters embedded pictures take; Teams does not count base64 pictures."""
    if isinstance(value, str):
        if value.startswith(_PICTURE):
            yield len(value)
    elif isinstance(value, Mapping):
        for child in value.values():
            yield from _picture_sizes(child)
    elif isinstance(value, list):
        for child in value:
            yield from _picture_sizes(child)
