"""The values that pass between the HTTP face, the acceptance of requests, and the database. No behaviour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from adapters.base import BotId, ChannelName
from notify.message import Message
from notify.notes import NO_NOTES, Notes


class NotInstalled(Exception):
    """The caller names a tenant in which the bot is not installed."""


class RequestStatus(StrEnum):
    """Kore's four words for a request."""

    IN_PROGRESS = "IN_PROGRESS"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    PARTIAL_SUCCESS = "PARTIAL_SUCCESS"


@dataclass(frozen=True, slots=True)
class Entry:
    """One identity of a submission: as the caller wrote it, in normal form, its own message and values if any."""

    original: str
    identity: str
    message: Message | None = None
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Submitter:
    """Who sends by which route: the scope of an idempotency key."""

    bot_id: BotId
    client_id: str
    route: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How a running request goes: deliveries that end per second now, and when the last should (epoch seconds)."""

    rate: float
    finishes_at: float | None


@dataclass(frozen=True, slots=True)
class Submission:
    """A valid send call, ready to be accepted. `message` is for everybody who has none of their own."""

    bot_id: BotId
    channel: ChannelName
    client_id: str
    created_by: str
    route: str
    identity_type: str
    message: Message
    entries: Sequence[Entry]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def submitter(self) -> Submitter:
        return Submitter(self.bot_id, self.client_id, self.route)


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """Keyed hashes of the caller's key and of the body it came with.

    `former` is the same as earlier versions stored it, in clear: what they answered still counts.
    """

    key: str
    body_hash: str
    former: tuple[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """What a person did with a message: a button pressed, or its words sent as a reply."""

    at: float
    kind: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One final delivery as the status call shows it. Times are epoch seconds."""

    id: str
    original_id: str
    succeeded: bool
    outcome: str  # sent, refused, unconfirmed, skipped, cancelled
    final_at: float
    position: int
    reason: str | None = None
    code: str | None = None
    remedy: str | None = None
    duplicate_of: str | None = None
    user_id: str | None = None
    channel_id: str | None = None
    tenant_id: str | None = None
    store_id: str | None = None
    attempts: int = 0
    trace: Sequence[Mapping[str, Any]] = ()
    notes: Notes = NO_NOTES
    responses: Sequence[Response] = ()


@dataclass(frozen=True, slots=True)
class PausedLane:
    """A lane that a configuration fault holds, as a caller may see it."""

    tenant_id: str
    reason: str
    remedy: str
    since: float


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request with its final deliveries, ordered by the moment they became final, then by place."""

    id: str
    bot_id: BotId
    channel: ChannelName
    created_by: str
    route: str
    status: RequestStatus
    total: int
    done: int
    succeeded: int
    created_at: float
    changed_at: float
    entries: Sequence[LogEntry] = ()
    rate: float | None = None
    estimated_completion: float | None = None
    paused: Sequence[PausedLane] = ()
