"""One send: exactly one call on the wire, and what its answer says about the delivery and about the lane."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, assert_never

from adapters.base import (
    TOO_LATE,
    BotId,
    ChannelPace,
    DeliveryId,
    Fault,
    FaultClass,
    NotSent,
    Outcome,
    Refused,
    Sent,
    TraceStep,
    Uncertain,
)
from notify import delivery as machine
from notify.item import Item
from notify.texts import REASONS
from notify.workshop import Workshop
from storage import failpoints

if TYPE_CHECKING:
    from notify.drain import Drain

log = logging.getLogger("herald.drain")

UNCLEAR_MOST = 20  # unclear answers in a row after which the lane slows down to one at a time


class Sender:
    """Sends one drain's deliveries; `answer_takes` is how many seconds the platform needs for an answer."""

    def __init__(self, drain: Drain, shop: Workshop, pace: ChannelPace) -> None:
        self._drain = drain
        self._shop = shop
        self._bucket = pace.send
        self._unclear_in_a_row = 0
        self.answer_takes = 0.0

    @property
    def is_doubtful(self) -> bool:
        """So many unclear answers came in a row that the platform must be broken: one at a time until it is not."""
        return self._unclear_in_a_row >= UNCLEAR_MOST

    async def send(self, item: Item) -> Outcome | None:
        """Exactly one call on the wire; None if it was not begun, because the lane may be somebody else's by now."""
        address = item.delivery.address
        started = self._shop.clocks.monotonic()
        try:
            if address is None or item.prepared is None:
                raise machine.ImpossibleEvent("a delivery without an address or a message was released")
            failpoints.reach("wire.before")
            if self._drain.claim.is_over():
                self._drain.freeze()
                return None
            if not self._shop.database.is_sqlite:
                TOO_LATE.set(self._drain.claim.is_over)
            bot = BotId(self._drain.lane.bot)
            outcome = await self._shop.channel.send(bot, address, item.prepared, DeliveryId(item.id))
        except asyncio.CancelledError as error:
            if self._drain.abandoned:
                raise
            outcome = Uncertain(_internal(error))  # nobody of ours cancelled it: what it came to is not known
        except Exception as error:
            log.exception("adapter failed", extra={"action": "adapter_failed", "delivery": item.id})
            outcome = Uncertain(_internal(error))
        self.answer_takes += 0.1 * (self._shop.clocks.monotonic() - started - self.answer_takes)
        return outcome

    def answered(self, item: Item, outcome: Outcome) -> None:
        """Its outcome into the machine."""
        failpoints.reach("wire.answered")
        self._shop.metrics.answers.labels(self._drain.lane.channel, type(outcome).__name__).inc()
        item.probe = False
        self._note(outcome)
        item.trace.extend(_sent_steps(outcome))
        self._drain.steps.apply(item, machine.Answered(outcome))

    def _note(self, outcome: Outcome) -> None:
        """What an answer says about the lane as a whole."""
        match outcome:
            case Uncertain() | NotSent(Fault(reason="platform_unreachable")):
                self._unclear_in_a_row += 1
                if self.is_doubtful:
                    self._drain.hold(self._bucket, None)
            case NotSent(fault) if fault.klass is FaultClass.CONFIGURATION or not fault.costs_attempt:
                return
            case Sent() | Refused() | NotSent():  # as it should: a pause is over
                self._unclear_in_a_row = 0
                self._drain.pacer.send.went_well()
                self._drain.pause.end()
            case _:
                assert_never(outcome)


def _sent_steps(outcome: Outcome) -> tuple[TraceStep, ...]:
    """What a send leaves in the trace: why it was not the end, or not a good one."""
    match outcome:
        case Sent():
            return ()
        case Refused(fault) | NotSent(fault) | Uncertain(fault):
            return (TraceStep("send", fault.reason, code=fault.code),)
        case _:
            assert_never(outcome)


def _internal(error: BaseException) -> Fault:
    return Fault(
        FaultClass.UNCERTAIN,
        "no_clear_answer",
        REASONS["no_clear_answer"].remedy,
        "internal_error",
        type(error).__name__,
    )
