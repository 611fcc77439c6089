"""Opens what must be open before the first send to a person, each through the lane's gate.

ready, no conversation ──open──▶ ready queue
                         │ the lane's fault          pauses the lane
                         │ a part's fault (installs)  is shown, and everybody else goes on
                         │ silence                    holds what was asked, and is tried again
                         ▼ refused                    ends here, or goes to another tenant
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final, assert_never

from adapters.base import Address, Fault, FaultClass, NotSent, Refused
from notify import delivery as machine
from notify.delivery import State, Verdict
from notify.item import Item
from notify.workshop import Workshop
from storage import failpoints

if TYPE_CHECKING:
    from notify.drain import Drain
    from notify.feed import Feed

log = logging.getLogger("herald.drain")

AT_ONCE: Final = 128  # they wait most of the time: for the gate, or for the event of an install
BROKEN_SECONDS: Final = 30.0


class Openings:
    """The openings of one lane."""

    def __init__(self, drain: Drain, feed: Feed, shop: Workshop, *, opens: bool, send_bucket: str) -> None:
        self._drain = drain
        self._feed = feed
        self._shop = shop
        self._opens = opens
        self._send_bucket = send_bucket
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def make_ready(self, item: Item) -> None:
        """Queue a delivery whose address is known, once its conversation is."""
        address = item.delivery.address
        if self._opens and address is not None and address.conversation_id is None:
            item.mark(stuck=True)
            task = self._tasks[item.id] = self._drain.spawn(self._open(item, address))
            task.add_done_callback(lambda _: self._tasks.pop(item.id, None))
            return
        self._feed.enqueue(item)

    @property
    def running(self) -> list[asyncio.Task[None]]:
        """The openings under way."""
        return list(self._tasks.values())

    def give_up(self, item: Item) -> None:
        """A delivery that is final needs no conversation any more."""
        task = self._tasks.get(item.id)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    async def _open(self, item: Item, address: Address) -> None:
        """Complete an address so that one call reaches it. Repeatable, so it needs no intent."""
        async with self._slots:
            if self._drain.pause.current is not None:
                await self._drain.pause.until_probe()
            if not _is_wanted(item):
                return
            opened = await self._try(item, address)
        failpoints.reach("resolve.opened")
        if not _is_wanted(item):
            return
        match opened:
            case Address():
                item.delivery = replace(item.delivery, address=opened)
                self._feed.enqueue(item)
            case NotSent(fault, retry_after, method):
                self._not_opened(item, fault, retry_after, method or self._send_bucket)
            case Refused(fault):
                self._feed.placing.not_here(item, Verdict(fault.reason, fault.code, fault.detail, fault.remedy))
            case _:
                assert_never(opened)
        self._drain.wake_pump()

    async def _try(self, item: Item, address: Address) -> Address | NotSent | Refused:
        try:
            return await self._shop.channel.open(self._drain.lane.bot, address, self._drain.gate, item.trace.append)
        except Exception as error:
            log.exception("adapter failed", extra={"action": "adapter_failed", "delivery": item.id})
            fault = Fault(FaultClass.NOT_SENT, "platform_unreachable", "", "internal_error", type(error).__name__)
            return NotSent(fault, BROKEN_SECONDS)

    def _not_opened(self, item: Item, fault: Fault, retry_after: float | None, bucket: str) -> None:
        """Nothing was opened: a fault pauses what it belongs to, silence holds it, a person's trouble waits."""
        of_sends = bucket == self._send_bucket
        if fault.klass is FaultClass.CONFIGURATION:
            if of_sends:
                self._drain.pause.begin(fault)
            else:
                self._drain.pause.beside(bucket, fault)
        elif not fault.costs_attempt:
            self._drain.hold(bucket, retry_after)
        else:
            item.openings += 1
        if item.openings >= self._shop.policy.max_attempts:
            last = Verdict("gave_up", fault.code or fault.reason, fault.detail, fault.remedy)
            self._drain.steps.apply(item, machine.NotReachable(last))
            return
        growing = machine.backoff(item.openings, self._shop.policy, self._shop.clocks.jitter())
        wait = max(retry_after or 0.0, growing)
        self._drain.steps.apply(item, machine.LookupPostponed(wait, replace(fault, klass=FaultClass.NOT_SENT)))
        self._feed.again(item)


def _is_wanted(item: Item) -> bool:
    """Whether the delivery still waits for its conversation; it may have ended meanwhile."""
    return item.delivery.state is State.READY
