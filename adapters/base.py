"""What the rest of Herald sees of a platform: addresses, outcomes, and the Channel protocol.

Pure: no input, no output. An outcome crosses this seam as a value and is matched exhaustively; exceptions stay
on the side that raised them.

    Outcome = Sent | NotSent | Uncertain | Refused
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, NewType, Protocol

BotId = NewType("BotId", str)
TenantId = NewType("TenantId", str)
DeliveryId = NewType("DeliveryId", str)

ENTRY = TenantId("")
"""The tenant of a bot's entry lane: deliveries whose tenant is not known yet."""


class ChannelName(StrEnum):
    """The platform's name on the wire and in the database."""

    MSTEAMS = "msteams"
    SLACK = "slack"


@dataclass(frozen=True, slots=True)
class Lane:
    """The scope in which a platform counts our calls: (bot, channel, tenant)."""

    bot: BotId
    channel: ChannelName
    tenant: TenantId

    @property
    def is_entry(self) -> bool:
        return self.tenant == ENTRY

    def __str__(self) -> str:
        return f"{self.bot}/{self.channel}/{self.tenant or '-'}"


@dataclass(frozen=True, slots=True)
class Address:
    """Where to send.

    `user_id` is what the platform takes to open a conversation (Teams: Entra object id or `29:…`; Slack: `U…`/`W…`).
    `channel_id` is what a caller is shown (Teams: `29:…` where known). `conversation_id` and `service_url` are
    known once the platform has told them.
    """

    tenant: TenantId
    user_id: str
    channel_id: str
    conversation_id: str | None = None
    service_url: str | None = None


class FaultClass(StrEnum):
    """What a platform's code means for the delivery that met it."""

    NOT_SENT = "not_sent"  # safe to repeat
    UNCERTAIN = "uncertain"  # may have been delivered
    REFUSED = "refused"  # final
    CONFIGURATION = "configuration"  # nothing was sent and the lane is at fault, not the person


class Repair(Enum):
    """What to drop, once, before a refused delivery is tried again."""

    CONVERSATION = "conversation"  # the conversation id is stale: open it again
    IDENTITY = "identity"  # the user id is stale: resolve the person again
    SERVICE_URL = "service_url"  # the platform told us to use its other host


@dataclass(frozen=True, slots=True)
class Fault:
    """A platform's error code with our class, reason and remedy.

    `reason` is a stable slug shared by both channels; `code` is the platform's own word (or `http_502`, …) and
    `detail` its bounded text, both kept for the person who looks into it.
    """

    klass: FaultClass
    reason: str
    remedy: str
    code: str
    detail: str = ""
    repair: Repair | None = None
    costs_attempt: bool = True


@dataclass(frozen=True, slots=True)
class Sent:
    """The platform stored the message and named it."""

    message_id: str
    conversation_id: str | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """The message is certainly not delivered; repeating is safe.

    `retry_after` (seconds) with `method` says what the platform paused. A fault of class CONFIGURATION belongs
    to the lane.
    """

    fault: Fault
    retry_after: float | None = None
    method: str | None = None


@dataclass(frozen=True, slots=True)
class Uncertain:
    """The request was written, the answer says nothing we can trust."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class Refused:
    """The platform said no, for this person or this message."""

    fault: Fault


Outcome = Sent | NotSent | Uncertain | Refused


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One step of a resolution: which source was asked, how old its answer was, and what it said.

    `code` is the platform's own word, where it said one; `tenant` is named when more than one is asked.
    """

    source: str
    result: str
    age_seconds: float | None = None
    code: str = ""
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class MethodPace:
    """How fast one bucket of a lane may go: calls per second, and how many may follow each other at once."""

    rate: float
    burst: float


@dataclass(frozen=True, slots=True)
class ChannelPace:
    """A channel's documented pace: one bucket per name in `buckets`; `send` names the bucket of a send."""

    send: str
    buckets: Mapping[str, MethodPace]
    in_flight: int
    learns: bool = False  # the send bucket's ceiling is undisclosed and is learnt from 429s
    opens: bool = False  # a conversation must be opened before the first send to a person
    installs: str | None = None  # the bucket of installing the app for people
    windows: tuple[tuple[float, int], ...] = ()  # (seconds, sends): what one person's conversation may get in any span


TOO_LATE: ContextVar[Callable[[], bool] | None] = ContextVar("too_late", default=None)
"""Whether the right to send has run out since the send was released; asked right before a body is written."""


class Gate(Protocol):
    """The lane's turnstile, lent by its drain to whoever makes a call that the platform counts."""

    async def enter(self, bucket: str) -> None:
        """Wait until one call of this bucket may go on the wire."""

    def throttled(self, bucket: str, retry_after: float | None) -> None:
        """Tell the lane that the platform answered 429 to a call of this bucket."""

    def went_well(self, bucket: str) -> None:
        """Tell the lane that the platform answered a call of this bucket as it should, if only by a refusal."""


@dataclass(frozen=True, slots=True)
class Chore:
    """Low-priority work of a lane that an install or an event asked for, e.g. one members call."""

    id: int
    lane: Lane
    kind: str
    key: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class ChoreDone:
    """The chore is finished, or can never be done (`note` says why)."""

    note: str = ""


@dataclass(frozen=True, slots=True)
class ChoreLater:
    """Try again after so many seconds; `detail` replaces the chore's own (a cursor, for example)."""

    after: float
    fault: Fault | None = None
    detail: Mapping[str, Any] | None = None


ChoreOutcome = ChoreDone | ChoreLater


class ChoreHandler(Protocol):
    """Does one kind of chore, making its calls through the lane's gate."""

    async def __call__(self, chore: Chore, gate: Gate) -> ChoreOutcome: ...


@dataclass(frozen=True, slots=True)
class SeenAs:
    """The message is on the platform, under this id."""

    message_id: str
    conversation_id: str | None = None


@dataclass(frozen=True, slots=True)
class NotThere:
    """The conversation was read back to before the send, and the message is not in it."""


@dataclass(frozen=True, slots=True)
class MayNotLook:
    """The platform does not let us look; `reason` and `remedy` say what is missing."""

    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class LookLater:
    """The platform could not be asked now."""

    after: float
    fault: Fault


Look = SeenAs | NotThere | MayNotLook | LookLater


class Looker(Protocol):
    """Looks at the platform for a delivery whose answer was unclear. Never raises for a platform's answer."""

    async def __call__(self, bot: BotId, address: Address, delivery: DeliveryId, since: float, gate: Gate) -> Look: ...


Note = Callable[[TraceStep], None]
"""Takes the steps of a trace as they happen."""


def unheard(_step: TraceStep) -> None:
    """For who wants no trace."""


class Channel(Protocol):
    """One platform, able to open a conversation and to send one message. Never raises for a platform's answer."""

    name: ChannelName

    def pace(self) -> ChannelPace:
        """The pace to start with."""

    def prepare(self, payload: Mapping[str, Any]) -> object:
        """Serialise a native payload once; the result goes to every `send` of that payload."""

    def shows(self, prepared: object) -> bool:
        """Whether a later look at the conversation would show the message (an answer in a thread stands elsewhere)."""

    async def warm(self, bot: BotId) -> None:
        """Fetch what the first calls would otherwise all wait for, and then go on the wire in one moment. Its failure
        is for them to report."""

    async def open(self, bot: BotId, address: Address, gate: Gate, note: Note = unheard) -> Address | NotSent | Refused:
        """Complete an address so that one send call reaches it (Teams: install the app where wanted, open the chat).

        Repeatable. Trouble that names a `method` other than the sends' bucket concerns this person's opening alone.
        """

    async def send(self, bot: BotId, address: Address, prepared: object, delivery: DeliveryId) -> Outcome:
        """Make exactly one send call on the wire. The caller has paced it."""
