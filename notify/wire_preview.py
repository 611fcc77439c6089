"""The body of a preview: that of a send call of either version, for at most ten identities.

Without `channel` it is read for each channel of the bot, so that a template can be seen on both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from adapters.base import ChannelName
from notify import wire, wire_v2
from notify.body import Bot, Problems, read
from notify.render import Problem
from notify.wire import Call

MOST: Final = 10
Calls = Mapping[ChannelName, Call | Problems]
"""What the body would be on each channel it asks about, or why it would be refused there."""


def parse(raw: bytes, bot: Bot) -> Calls | Problems:
    """What to render, or why nothing can be."""
    value = read(raw)
    if isinstance(value, tuple):
        return value
    if not isinstance(value, dict):
        return (Problem("the body", "must be an object"),)
    if "channel" in value:
        call = _parse(value, bot)
        return call if isinstance(call, tuple) else {call.channel: call}
    if not bot.channels:
        return (Problem("channel", "none is set up for this bot: ask its operator"),)
    calls = {channel: _parse({**value, "channel": channel.value}, bot) for channel in sorted(bot.channels)}
    refused = [call for call in calls.values() if isinstance(call, tuple)]
    return refused[0] if len(refused) == len(calls) else calls


def _parse(value: dict[str, Any], bot: Bot) -> Call | Problems:
    parse_value = wire_v2.parse_value if _is_v2(value) else wire.parse_value
    return parse_value(value, bot, max_identities=MOST)


def _is_v2(value: dict[str, Any]) -> bool:
    """What only v2 has: `content`, a message's `value`, and identities that are objects."""
    message, identities = value.get("message"), value.get("identities")
    first = identities[0] if isinstance(identities, list) and identities else None
    return "content" in value or (isinstance(message, dict) and "value" in message) or isinstance(first, dict)
