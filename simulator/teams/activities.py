"""What the connector accepts as an activity from a bot, and how large it may be.

Sources: Bot Framework, "Connector API reference"; Microsoft Teams, "Messages in bot conversations" and "Format your
bot messages" (about 100 KB, counted as UTF-16, inline images not counted).
"""

import re
from typing import Any

import orjson

from simulator.teams.errors import ConnectorError

Activity = dict[str, Any]

ADAPTIVE_CARD = "application/vnd.microsoft.card.adaptive"
_CARDS = frozenset(
    {
        "application/vnd.microsoft.card.hero",
        "application/vnd.microsoft.card.thumbnail",
        "application/vnd.microsoft.card.receipt",
        "application/vnd.microsoft.card.signin",
        "application/vnd.microsoft.card.oauth",
        "application/vnd.microsoft.teams.card.o365connector",
        "application/vnd.microsoft.teams.card.list",
        "application/vnd.microsoft.teams.card.file.consent",
        "application/vnd.microsoft.teams.card.file.info",
    }
)
_MEDIA = frozenset({"image/png", "image/jpeg", "image/jpg", "image/gif", "image/*"})
_TYPES = frozenset({"message", "typing", "event"})
_TEXT_FORMATS = frozenset({"plain", "markdown", "xml"})
_VERSION = re.compile(r"[1-9]\d*\.\d+")
_INLINE_IMAGE = re.compile(r"data:image/[a-z+.-]+;base64,[A-Za-z0-9+/=]+")


def parse_body(raw: bytes) -> dict[str, Any]:
    """The JSON object of a request."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ConnectorError("BadSyntax", "Invalid JSON in the request body.") from error
    if not isinstance(body, dict):
        raise ConnectorError("Bad Argument", "The request body must be a JSON object.")
    return body


def check_size(raw: bytes, limit: int) -> None:
    """Refuse what is larger than `limit` bytes in UTF-16. (No UTF-8 byte is more than one UTF-16 unit.)"""
    if len(raw) * 2 <= limit:
        return
    text = _INLINE_IMAGE.sub("", orjson.dumps(orjson.loads(raw)).decode())
    if len(text.encode("utf-16-le", "surrogatepass")) > limit:
        raise ConnectorError("MessageSizeTooBig")


def check_activity(activity: Activity) -> None:
    """Refuse an activity that Teams would not show."""
    kind = activity.get("type")
    if not isinstance(kind, str) or not kind:
        raise ConnectorError("Bad Argument", "The activity must have a type.")
    if kind not in _TYPES:
        raise ConnectorError("Bad Argument", f"Unknown activity type '{kind}'.")
    for name in ("from", "recipient", "conversation"):
        if not isinstance(activity.get(name), dict | None):
            raise ConnectorError("Bad Argument", f"'{name}' must be an object.")
    if kind == "message":
        _check_message(activity)


def _check_message(activity: Activity) -> None:
    for name in ("text", "summary", "textFormat"):
        if not isinstance(activity.get(name), str | None):
            raise ConnectorError("Bad Argument", f"'{name}' must be a string.")
    if activity.get("textFormat") not in _TEXT_FORMATS | {None}:
        raise ConnectorError("Bad Argument", "Unknown text format.")
    attachments = activity.get("attachments")
    if attachments is not None and not isinstance(attachments, list):
        raise ConnectorError("Bad Argument", "'attachments' must be an array.")
    if not attachments and not (activity.get("text") or "").strip():
        raise ConnectorError("Bad Argument", "The message has neither text nor attachments.")
    for attachment in attachments or ():
        _check_attachment(attachment)


def _check_attachment(attachment: object) -> None:
    if not isinstance(attachment, dict):
        raise ConnectorError("Bad Argument", "An attachment must be an object.")
    kind = attachment.get("contentType")
    if kind == ADAPTIVE_CARD:
        _check_adaptive_card(attachment.get("content"))
    elif kind in _CARDS:
        if not isinstance(attachment.get("content"), dict):
            raise ConnectorError("Bad Argument", f"The content of '{kind}' must be an object.")
    elif kind in _MEDIA:
        if not isinstance(attachment.get("contentUrl"), str):
            raise ConnectorError("Bad Argument", "A picture needs a contentUrl.")
    else:
        raise ConnectorError("Bad Argument", f"Unknown attachment type '{kind}'.")


def _check_adaptive_card(card: object) -> None:
    if not isinstance(card, dict) or card.get("type") != "AdaptiveCard":
        raise ConnectorError("Bad Argument", "The content of an Adaptive Card must have the type 'AdaptiveCard'.")
    version = card.get("version")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise ConnectorError("Bad Argument", "An Adaptive Card needs a version.")
    for name in ("body", "actions"):
        elements = card.get(name, [])
        if not isinstance(elements, list) or not all(_is_element(each) for each in elements):
            raise ConnectorError("Bad Argument", f"Each element of '{name}' in an Adaptive Card needs a type.")


def _is_element(element: object) -> bool:
    return isinstance(element, dict) and isinstance(element.get("type"), str)
