"""PURE: the `context` that a script sees, in Kore's shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

RESOLVE: Final = "resolve"
DEFAULT_LANGUAGE: Final = "en"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom the script is run for; what is not known is empty."""

    identity: str
    identity_type: str
    name: str = ""
    locale: str = ""
    user_id: str = ""
    org_id: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


def context(bot_name: str, bot_id: str, channel: str, recipient: Recipient) -> dict[str, Any]:
    """Everything that Kore documents is there; what nobody can know has the empty value of its kind."""
    return {
        "bot": bot_name,
        "botid": bot_id,
        "intent": "",
        "entities": {},
        "history": [],
        "currentLanguage": recipient.locale or DEFAULT_LANGUAGE,
        "session": {
            "EnterpriseContext": {},
            "BotContext": {},
            "UserSession": {},
            "UserContext": _user(channel, recipient),
            "BotUserSession": {
                "isReturningUser": False,
                "lastUserMessageTime": None,
                "lastMessage": {"channel": channel, "messagePayload": {}},
                "channels": [{"type": channel}],
            },
            "opts": {"userId": recipient.user_id, "streamId": bot_id},
        },
    }


def _user(channel: str, recipient: Recipient) -> dict[str, Any]:
    first, last = _names(recipient.name)
    by_email = recipient.identity_type == RESOLVE
    return {
        "_id": recipient.user_id,
        "emailId": recipient.identity if by_email else "",
        "firstName": first,
        "lastName": last,
        "orgId": recipient.org_id,
        "customData": dict(recipient.parameters),
        "identities": [{"val": recipient.identity, "type": "email" if by_email else channel}],
    }


def _names(name: str) -> tuple[str, str]:
    """First and last name of a display name, which is "John Doe" or "Doe, John"."""
    last, comma, first = name.partition(",")
    if not comma:
        first, _, last = name.strip().partition(" ")
    return first.strip(), last.strip()
