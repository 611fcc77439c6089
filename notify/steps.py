"""Runs the state machine for the deliveries of one drain, and does what it asks: effects, and results to be written."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from adapters.base import Fault, Refused
from notify import delivery as machine
from notify.delivery import Delivery, State, Verdict
from notify.item import Item
from notify.workshop import Workshop

if TYPE_CHECKING:
    from notify.drain import Drain

log = logging.getLogger("herald.drain")


class Steps:
    """Every step that a delivery of one drain takes."""

    def __init__(self, drain: Drain, shop: Workshop) -> None:
        self._drain = drain
        self._shop = shop

    def step(self, item: Item, event: machine.Event, now: float) -> machine.Step:
        """What the machine says of an event; nothing is changed."""
        return machine.step(item.delivery, event, now=now, policy=self._shop.policy, jitter=self._shop.clocks.jitter())

    def apply(self, item: Item, event: machine.Event) -> None:
        """Run the machine and do what it asks; a changed stored state waits for the next commit."""
        before = item.delivery
        step = self.step(item, event, self._shop.clocks.wall())
        item.delivery = step.delivery
        if item.delivery.state is State.REFUSED and (fault := _refusal(event)) is not None:
            self._try_elsewhere(item, fault)
        for effect in step.effects:
            self._do(effect, before)
        if _must_be_written(item):
            self._drain.results.add(item)
        self._drain.wake_pump()

    def _try_elsewhere(self, item: Item, fault: Fault) -> None:
        """A person whom this tenant does not know may be another tenant's: back to be moved there."""
        if self._drain.feed.placing.goes_elsewhere(item, fault):
            item.elsewhere = Verdict(fault.reason, fault.code, fault.detail, fault.remedy)
            now = self._shop.clocks.wall()
            item.delivery = replace(item.delivery, state=State.ACCEPTED, address=None, next_at=now, final_at=None)

    def _do(self, effect: machine.Effect, before: Delivery) -> None:
        match effect:
            case machine.HoldBucket(bucket, retry_after):
                self._hold(bucket, retry_after)
            case machine.PauseLane(fault):
                self._drain.pause.begin(fault)
            case machine.DropAddress(repair):
                if before.address is not None:
                    self._drain.feed.resolving.forget(before.address, repair)
            case _:
                assert_never(effect)

    def _hold(self, bucket: str | None, retry_after: float | None) -> None:
        """The platform asked for a pause; where it named what it counts, that is a lesson for the pace."""
        lesson = bucket is not None
        if lesson:
            self._shop.metrics.throttled.labels(self._drain.lane.channel).inc()
        self._drain.pacer.hold(bucket, self._shop.clocks.monotonic(), retry_after, lesson=lesson)
        details = {"lane": str(self._drain.lane), "method": bucket, "seconds": retry_after}
        log.info("platform paused a method", extra={"action": "throttled", **details})


def _refusal(event: machine.Event) -> Fault | None:
    """The fault of a refusal on the wire."""
    if isinstance(event, machine.Answered) and isinstance(event.outcome, Refused):
        return event.outcome.fault
    return None


def _must_be_written(item: Item) -> bool:
    """Waiting states live in memory until an intent or a result; everything else is written before it counts."""
    waiting = item.delivery.state in machine.WAITING
    return not (waiting and item.was in machine.WAITING) and item.delivery.state is not State.SENDING
