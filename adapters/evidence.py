"""Late evidence: what a person did that proves a message reached them, and what they pressed. Values only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import BotId, ChannelName, TenantId

EvidenceKind = Literal["reply", "button", "reaction", "read"]


@dataclass(frozen=True, slots=True)
class Press:
    """One button, or one choice of another element, as the platform says it; `key` is the platform's own id of it."""

    key: str
    value: Any = None  # JSON
    label: str = ""
    action_id: str = ""
    block_id: str = ""
    verb: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """A short text that a person sent, by hand or by a button that sends its text for them."""

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """A person answered, pressed, reacted to or read the message the platform calls `message_id`.

    For `read` the person has seen that message and everything before it in the conversation. Without a message id
    only the conversation is known to be alive. `channel_id` is the person's other id where the platform has two.
    """

    bot: BotId
    channel: ChannelName
    tenant: TenantId
    user_id: str
    conversation_id: str
    message_id: str | None
    kind: EvidenceKind
    at: float
    channel_id: str | None = None
    presses: tuple[Press, ...] = ()
    said: Said | None = None


EvidenceSink = Callable[[AsyncConnection, Evidence], Awaitable[None]]
"""Takes evidence inside the transaction that stores the event."""
