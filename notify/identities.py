"""PURE: what an identity is compared by, and whether it can belong to anybody at all."""

from __future__ import annotations

import re
from typing import Final, assert_never

from adapters.base import ChannelName
from identity.email import looks_valid, normal_form

# Teams: `29:…` is per bot and person, the Entra object id is global. Slack: people's ids start with U or W.
_TEAMS_ID: Final = re.compile(r"29:[A-Za-z0-9_.~:+/=-]{1,252}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SLACK_ID: Final = re.compile(r"[UW][A-Z0-9]{1,63}")


def comparable(identity_type: str, original: str) -> str:
    """The form in which two identities are the same: an e-mail's normal form, or the trimmed opaque id."""
    return normal_form(original) if identity_type == "resolve" else original.strip()


def identity_problem(channel: ChannelName, identity_type: str, normal: str) -> str | None:
    """The reason why no look-up can find this identity, in normal form; None when it is worth asking."""
    if identity_type == "resolve":
        return None if looks_valid(normal) else "person_not_found"
    return None if _channel_id(channel).fullmatch(normal) else "identity_invalid"


def _channel_id(channel: ChannelName) -> re.Pattern[str]:
    match channel:
        case ChannelName.MSTEAMS:
            return _TEAMS_ID
        case ChannelName.SLACK:
            return _SLACK_ID
        case _:
            assert_never(channel)
