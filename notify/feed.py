"""What a drain works on: open rows are loaded, their people found, and what is ready is kept in fair order.

    rows ──stock──▶ resolving ──▶ opening (if needed) ──▶ ready
                       │  ▲
                       │  └────── later: a moment that was named, or a repair
                       └──placing──▶ another tenant's lane

Everything here is memory only: a row changes when the drain commits.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from adapters.base import ChannelPace
from notify.delivery import FINAL, State
from notify.item import Item
from notify.opening import Openings
from notify.pacing import FairQueue
from notify.placing import Placing
from notify.rendering import Rendering
from notify.resolving import COLD_MOST, Resolving
from notify.stock import Stock
from notify.workshop import Workshop
from storage.engine import UNAVAILABLE, describe
from storage.lanes import Key

if TYPE_CHECKING:
    from notify.drain import Drain

log = logging.getLogger("herald.drain")

BEGIN_AGAIN_SECONDS = 0.25  # between two readings from the oldest row, so that a storm of installs ends none of them


class Feed:
    """What one drain works on, from the stored rows to the ready queue."""

    def __init__(self, drain: Drain, shop: Workshop, key: Key, pace: ChannelPace) -> None:
        self._drain = drain
        self._shop = shop
        self.stock = Stock(drain.lane, shop, key, pace)
        self.placing = Placing(drain, shop, self)
        self.resolving = Resolving(drain, self, shop)
        self.rendering = Rendering(drain, self, shop)
        self.openings = Openings(drain, self, shop, opens=pace.opens, send_bucket=pace.send)
        self.ready: FairQueue[Item] = FairQueue()
        self.chores_wanted = asyncio.Event()
        self._rescan = True
        self._rescan_at: float | None = None
        self._unresolved: list[Item] = []
        self._later: list[tuple[float, int, Item]] = []
        self._ticket = itertools.count()
        self._hunger = asyncio.Event()
        self._began_at = float("-inf")
        self._begin_again_at: float | None = None

    # ------------------------------------------------------------------ what the drain asks

    @property
    def busy(self) -> bool:
        """Whether anything is in memory, being worked on, or still to be loaded."""
        to_read = self._rescan or self._begin_again_at is not None or not self.stock.is_empty
        return to_read or self.placing.has_moves or self.chores_wanted.is_set()

    def hungry(self) -> None:
        """The ready queue got shorter."""
        self._hunger.set()

    def look_again(self, *, everywhere: bool) -> None:
        """There may be new rows or chores; `everywhere`: also among rows that are older than the newest loaded."""
        self._rescan = True
        if everywhere and self._begin_again_at is None:
            self._begin_again_at = self._began_at + BEGIN_AGAIN_SECONDS
        self.chores_wanted.set()
        self._hunger.set()

    def enqueue(self, item: Item) -> None:
        """A delivery that only waits for its turn."""
        item.mark(stuck=False)
        self.ready.add(item.request.client_id, item.request.id, item.request.total, item)
        self._drain.wake_pump()

    def put_back(self, item: Item) -> None:
        """A delivery whose intent was not committed keeps its place."""
        item.mark(stuck=False)
        self.ready.put_back(item.request.client_id, item.request.id, item.request.total, item)
        self._drain.wake_pump()

    def again(self, item: Item) -> None:
        """A delivery that came back from the wire (or from a repair) and may be tried again."""
        now = self._shop.clocks.wall()
        due = item.delivery.next_at or now
        if due > now:
            item.mark(stuck=True)
            heapq.heappush(self._later, (due, next(self._ticket), item))
        elif item.delivery.state is State.ACCEPTED:
            item.mark(stuck=False)
            self._unresolved.append(item)
        else:
            self.put_back(item)
        self._hunger.set()

    def gone(self, item: Item) -> None:
        """A delivery is final and written, or belongs to another lane now."""
        if self.stock.remove(item):
            self.openings.give_up(item)
            self.rendering.left(item)
            self._hunger.set()

    def retry_now(self) -> None:
        """Something was healed: what waits for a later moment is tried at once."""
        waiting, self._later = self._later, []
        for _, _, item in waiting:
            if item.delivery.state not in FINAL:
                item.delivery = replace(item.delivery, next_at=self._shop.clocks.wall())
                self.again(item)

    # ------------------------------------------------------------------ the loop

    async def run(self) -> None:
        """Keep the ready queue stocked."""
        try:
            while True:
                self._hunger.clear()
                self._take_due()
                if await self._restock():
                    continue
                self._drain.wake_pump()  # the lane may be done
                await self._sleep()
        finally:
            await self._stop_parts()

    async def _stop_parts(self) -> None:
        running = [*self.openings.running, *self.resolving.running]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _restock(self) -> bool:
        """Look for requests if somebody rang, and one piece of work; False when there is nothing to do now."""
        try:
            looked = self._rescan
            if looked:
                await self._find_requests()
            if self._unresolved:  # whatever is found, what is there goes on: somebody may ring all the time
                await self._resolve_some()
                return True
            request = self.stock.neediest()
            if request is None:
                return looked
            for item in await self.stock.load(request):
                self._admit(item)
        except UNAVAILABLE as error:
            log.error(
                "database not readable",
                extra={"action": "database_unavailable", "lane": str(self._drain.lane), "error": describe(error)},
            )
            await asyncio.sleep(1.0)
        return True

    async def _resolve_some(self) -> None:
        batch, self._unresolved = self._unresolved[:COLD_MOST], self._unresolved[COLD_MOST:]
        try:
            await self.resolving.resolve(batch)
        except UNAVAILABLE:
            open_ones = [item for item in batch if item.delivery.state is State.ACCEPTED and not item.unwritten]
            self._unresolved = open_ones + self._unresolved  # what was moved is gone already
            raise

    async def _sleep(self) -> None:
        moments = [moment for moment in (self._rescan_at, self._later[0][0] if self._later else None) if moment]
        waits = [moment - self._shop.clocks.wall() for moment in moments]
        if self._begin_again_at is not None:
            waits.append(self._begin_again_at - self._shop.clocks.monotonic())
        timeout = max(min(waits), 0.001) if waits else None
        try:
            async with asyncio.timeout(timeout):
                await self._hunger.wait()
        except TimeoutError:
            pass

    def _take_due(self) -> None:
        now = self._shop.clocks.wall()
        while self._later and self._later[0][0] <= now:
            item = heapq.heappop(self._later)[2]
            if item.delivery.state not in FINAL:
                self.again(item)
        if self._rescan_at is not None and self._rescan_at <= now:
            self._rescan_at = None
            self._start_over()
        if self._begin_again_at is not None and self._begin_again_at <= self._shop.clocks.monotonic():
            self._start_over()

    def _start_over(self) -> None:
        """Read the lane from its oldest row again; what is in memory is passed over."""
        self._began_at, self._begin_again_at = self._shop.clocks.monotonic(), None
        self._rescan = True
        self.stock.start_over()

    # ------------------------------------------------------------------ loading

    async def _find_requests(self) -> None:
        self._rescan = False
        try:
            due = await self.stock.find_requests()
        except UNAVAILABLE:
            self._rescan = True
            raise
        if due is not None:
            self._rescan_at = due if self._rescan_at is None else min(due, self._rescan_at)

    def _admit(self, item: Item) -> None:
        if item.delivery.state is State.READY and item.delivery.address is not None:
            self.rendering.take(item)
        else:
            item.delivery = replace(item.delivery, state=State.ACCEPTED, address=None)
            self._unresolved.append(item)
