"""PURE: bodies to begin with. The texts are Kore's own published samples; tests hold that every one is accepted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Bodies = Mapping[str, Mapping[str, Any]]

_JOHN: Final = "john.doe@example.com"
_CARD: Final[Mapping[str, Any]] = {
    "type": "message",
    "attachments": [
        {
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "type": "AdaptiveCard",
                "version": "1.4",
                "fallbackText": "Order {orderId} has been shipped.",
                "body": [{"type": "TextBlock", "text": "Order {orderId} has been shipped.", "wrap": True}],
            },
        }
    ],
}
_SHIPPED: Final = "Hello! Your order has been shipped."
_OWN_WORDS: Final = {"email": _JOHN, "customMessage": "Hi John, your package is on the way!"}
_OWN_VALUES: Final = {"email": _JOHN, "parameters": {"name": "John", "refId": "XYZ-789"}}
_REFERENCE: Final = "Hello {name}! Your reference number is {refId}."

V1: Final[Bodies] = {
    "text": {
        "channel": "msteams",
        "userIdentityType": "resolve",
        "message": {"type": "text", "val": "Please reset your password."},
        "identities": [_JOHN],
    },
    "script": {
        "channel": "msteams",
        "userIdentityType": "resolve",
        "message": {
            "type": "script",
            "val": "var envMsg = 'John'; var channel = context.session.BotUserSession.lastMessage.channel; "
            "print(JSON.stringify({text: 'Hi ' + envMsg + ' message is from ' + channel + ' channel'}));",
        },
        "identities": [_JOHN],
    },
    "blocks": {
        "channel": "slack",
        "userIdentityType": "resolve",
        "message": {
            "type": "script",
            "val": {
                "text": "Lunch is ready",
                "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "*Lunch* is ready"}}],
            },
        },
        "identities": [_JOHN],
    },
    "values": {
        "channel": "slack",
        "userIdentityType": "resolve",
        "message": {"type": "text", "val": _REFERENCE},
        "identities": [_JOHN],
        "options": {"parameters": {_JOHN: {"name": "John", "refId": "XYZ-789"}}, "onUncertain": "hold"},
    },
}
V2: Final[Bodies] = {
    "contentAndValue": {
        "channel": "slack",
        "userIdentityType": "resolve",
        "content": {"type": "text", "value": _SHIPPED},
        "identities": [_OWN_WORDS, {"email": "jane.doe@example.com"}],
    },
    "messageAndVal": {
        "channel": "slack",
        "message": {"type": "text", "val": _REFERENCE},
        "identities": [_OWN_VALUES],
    },
    "messageAndValue": {
        "channel": "msteams",
        "message": {"type": "template", "value": _CARD},
        "identities": [{"email": _JOHN, "parameters": {"orderId": "ABC-123"}}],
    },
    "contentAndVal": {
        "channel": "msteams",
        "content": {"type": "text", "val": _SHIPPED},
        "identities": [{"email": _JOHN}],
        "options": {"format": "markup"},
    },
}
PREVIEW: Final[Bodies] = {
    "everyChannel": {"content": {"type": "text", "value": _REFERENCE}, "identities": [_OWN_VALUES]},
    "oneChannel": V1["text"],
}
EXPLAIN: Final[Bodies] = {
    "stored": {"channel": "slack", "identity": _JOHN},
    "lookedUp": {"channel": "slack", "identity": _JOHN, "lookUp": True},
}
