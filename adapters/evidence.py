"""Late evidence: what a person did that proves a message reached them. Values only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import BotId, ChannelName, TenantId

EvidenceKind = Literal["reply", "button", "reaction", "read"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A person answered, pressed, reacted to or read the message the platform calls `message_id`.

    For `read` the person has seen that message and everything before it in the conversation. Without a message id
    only the conversation is known to be alive.
    """

    bot: BotId
    channel: ChannelName
    tenant: TenantId
    user_id: str
    conversation_id: str
    message_id: str | None
    kind: EvidenceKind
    at: float


EvidenceSink = Callable[[AsyncConnection, Evidence], Awaitable[None]]
"""Takes evidence inside the transaction that stores the event."""
