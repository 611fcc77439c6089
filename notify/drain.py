"""Empties one lane: load → resolve → pace → commit the intent → send → record. One drain per lane, under one term.

    rows ──load──▶ resolve ──▶ open ──▶ ready ──release──▶ ┌ one transaction ┐ ──▶ send ──▶ outcome ─┐
                     │  ▲ look-up (gate)     fair order    │ results+intents │                       │
                     ▼  │                                  └────────▲────────┘ ◀─────────────────────┘
                    cold                                            results wait here for the next commit

    feed ── stock · resolving · placing · opening          pump ────── results ──────── sender ── steps

Here is the life of a drain, from the claim to its release, and how its lane stands; each part has a file of its name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from adapters.base import ChannelPace, Lane
from notify.claim import ClaimWatch
from notify.feed import Feed
from notify.forecast import Traffic
from notify.gate import ChoreGate, LaneGate
from notify.item import Item
from notify.ledger import Ledger
from notify.looks import Looks
from notify.pacing import Learner, Pacer, finish_time
from notify.pause import LanePause
from notify.pump import Pump
from notify.records import Progress
from notify.results import Results
from notify.sender import Sender
from notify.steps import Steps
from notify.upkeep import Upkeep
from notify.workshop import Workshop
from storage import deliveries, failpoints, lanes
from storage.engine import UNAVAILABLE, describe

log = logging.getLogger("herald.drain")

HEAL_SECONDS, HEAL_FAULT_SECONDS = 30.0, 2.0  # between two attempts that events set off


class DrainFailed(RuntimeError):
    """A part of a drain broke down; everything is in the database and is taken up again."""


class Drain:
    """One lane's work, from a claim to its release."""

    def __init__(self, lane: Lane, shop: Workshop, claim: lanes.Claim, pacer: Pacer | None = None) -> None:
        """`pacer` is what the lane's last drain in this process knew of its pace."""
        clocks, pace = shop.clocks, shop.channel.pace()
        self.lane = lane
        self._shop = shop
        self._pace = pace
        self._ledger = Ledger(shop.database, lane, claim.term, claim_seconds=shop.claim_seconds)
        self.claim = ClaimWatch(
            shop.claim_seconds,
            forever=shop.database.is_sqlite,
            clock=clocks.monotonic,
            frozen=self._claim_ended,
        )
        self.pacer = pacer or _new_pacer(pace, clocks.monotonic(), claim.learned.get("rate"))
        self.gate = LaneGate(
            self.pacer, clock=clocks.monotonic, left=self._left_the_gate, well=self._part_answered_well
        )
        self.pause = LanePause(lane, claim.paused, now=clocks.wall, changed=self.wake_pump)
        self.feed = Feed(self, shop, self._ledger.key, pace)
        self.steps = Steps(self, shop)
        self.sender = Sender(self, shop, pace)
        self.results = Results(self, shop, self._ledger)
        self.looks = Looks(
            lane,
            shop.looker,
            self.gate,
            shop.policy,
            wall=clocks.wall,
            shows=shop.channel.shows,
            apply=self.steps.apply,
        )
        self._pump = Pump(self, shop, pace, self._ledger.term)
        self._upkeep = Upkeep(self, shop, self._ledger)
        self._chore_gate = ChoreGate(
            self.gate, self.pacer, clock=clocks.monotonic, busy=lambda: len(self.feed.ready) > 0
        )
        self._healed_at = float("-inf")
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_warm = self.stopping = self.abandoned = self._failed = False

    # ------------------------------------------------------------------ life

    async def run(self) -> None:
        """Work until nothing is left or `stop` is called. Raises LaneLost when the lane was taken over."""
        await self._recover()
        self.spawn(self.feed.run())
        self.spawn(self._upkeep.run())
        self.spawn(self._warm())
        self.spawn(self._shop.chores.run(self.lane, self._chore_gate, self.feed.chores_wanted, self.wake_pump))
        try:
            await self._pump.run()
            if self._failed:
                raise DrainFailed(f"a task of lane {self.lane} failed; the log says which")
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.shield(self._leave())
            self.claim.close()

    def wake(self, *, everywhere: bool = False) -> None:
        """There may be new work; `everywhere`: also older rows, moved here from another lane."""
        self.feed.look_again(everywhere=everywhere)
        self.wake_pump()

    def stop(self) -> None:
        """Release nothing more; `run` returns when what is on the wire has been answered and written."""
        self.stopping = True
        self.wake_pump()

    def abandon(self) -> None:
        """The grace time is over: what is still on the wire stays in doubt, what is not written is tried once more."""
        self.abandoned = self.stopping = True
        self.wake_pump()
        self._pump.cut()

    async def _recover(self) -> None:
        """What a former owner left in flight is in doubt; look for it before anything else."""
        now, started = self._shop.clocks.wall(), self._shop.clocks.monotonic()
        async with self._shop.database.write() as tx:
            await lanes.fence(tx, self._ledger.key, term=self._ledger.term, ttl=self._shop.claim_seconds)
            count = await deliveries.recover(tx, self._ledger.key, term=self._ledger.term, now=now)
            await deliveries.adopt(tx, self._ledger.key, term=self._ledger.term)
        self.claim.renewed(started)
        failpoints.reach("lane.recovered")
        if count:
            log.warning("found in flight", extra={"action": "lane_recovered", "lane": str(self.lane), "count": count})
        for item in await self.feed.stock.uncertain(self._ledger.term):
            self.look_for(item)

    async def _warm(self) -> None:
        """Nothing is released before: what waits for one token together would leave together, whatever the pace."""
        try:
            await self._shop.channel.warm(self.lane.bot)
        finally:
            self.is_warm = True
            self.wake_pump()

    async def _leave(self) -> None:
        await self._pump.landed()
        try:
            await self.results.commit([])
            await self._ledger.release()
        except lanes.LaneLost:
            log.warning("lane lost", extra={"action": "lane_lost", "lane": str(self.lane)})
        except UNAVAILABLE as error:
            log.error(
                "last results not written; they will be in doubt",
                extra={"action": "database_unavailable", "lane": str(self.lane), "error": describe(error)},
            )

    # ------------------------------------------------------------------ for its parts

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a part of the drain's work beside it; if it breaks, the drain ends and is started afresh."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.wake_pump()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("lane task failed", exc_info=error, extra={"action": "lane_task_failed", "lane": str(self.lane)})
            self._failed = self.stopping = True  # the runner starts the lane afresh

    def wake_pump(self) -> None:
        """Something is ready, or has to be written."""
        self._pump.wake()

    def look_for(self, item: Item) -> None:
        """Ask the platform whether an uncertain delivery arrived, where that is possible."""
        if item.id not in self.looks.asking:
            self.looks.asking.add(item.id)
            self.spawn(self.looks.look(item))

    # ------------------------------------------------------------------ what others ask

    def progress(self, request_id: str) -> Progress | None:
        """How a request goes in this lane: its rate now, and when its last delivery will have ended."""
        stock = self.feed.stock
        shares = stock.shares()
        left = next((share.pending for share in shares if share.request == request_id), 0)
        if not left:
            return None
        now = self._shop.clocks.monotonic()
        rate = self.pacer.send.rate
        if self._pump.is_full:  # answers are slower than the pace: they set it
            rate = min(rate, stock.rate() or rate)
        start = self.pacer.send.ready_at(now)
        at_once = max(self.pacer.send.available(now, left) - 1, 0)  # what the burst still allows leaves without waiting
        last = max(now, finish_time(now, request_id, shares, rate, start) - at_once / rate)
        wait = last - now + self.sender.answer_takes
        return Progress(round(stock.rate_of(request_id), 2), self._shop.clocks.wall() + wait)

    def traffic(self) -> Traffic:
        """What the lane does now."""
        return Traffic(self.pacer.send.rate, self.feed.stock.shares())

    # ------------------------------------------------------------------ how the lane stands

    def healed(self) -> None:
        """Something happened that may have healed the lane (an install, a new token): try at once, not in a storm."""
        self.feed.placing.healed()
        now = self._shop.clocks.monotonic()
        if now - self._healed_at >= (HEAL_FAULT_SECONDS if self.pause.is_at_fault else HEAL_SECONDS):
            self._healed_at = now
            self.pause.end()
            self.feed.retry_now()
        self.wake(everywhere=True)

    def hold(self, bucket: str, retry_after: float | None) -> None:
        """Let nothing of a bucket go for a while, longer each time until an answer is good; no lesson for the pace."""
        now = self._shop.clocks.monotonic()
        seconds = round(self.pacer.hold(bucket, now, retry_after, lesson=False) - now, 1)
        details = {"lane": str(self.lane), "method": bucket, "seconds": seconds}
        log.warning("lane held", extra={"action": "lane_held", **details})

    def freeze(self) -> None:
        """The claim is over: cut what is on the wire and end; whoever drains the lane next finds it in doubt."""
        log.error("lane was frozen", extra={"action": "lane_frozen", "lane": str(self.lane)})
        self.abandon()

    def _claim_ended(self) -> None:
        if self._pump.is_flying:
            self.freeze()

    def _left_the_gate(self, went: bool) -> None:
        self._pump.left_the_gate(went)

    def _part_answered_well(self, bucket: str) -> None:
        """The platform answered a call through the gate as it should: a pause of what it belongs to is over."""
        if self.pacer.bucket(bucket) is self.pacer.send:
            self.pause.end()
        else:
            self.pause.beside_healed(bucket)


def _new_pacer(pace: ChannelPace, now: float, remembered: float | None) -> Pacer:
    """The documented pace, or where the platform does not document one, what was learnt before."""
    learner = Learner.begin(pace.buckets[pace.send].rate, now, remembered) if pace.learns else None
    return Pacer(pace.send, pace.buckets, now, learner, pace.windows)
