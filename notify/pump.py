"""Releases what may leave now, has its intents committed, and puts it on the wire; the lane's heart.

The pump is the only one that commits. Each of its rounds writes, in one transaction, what became of the deliveries
that were answered and the intents of those that the pacer releases now; only then those go on the wire. So a kill
leaves in doubt what was on the wire and nothing else, and at full speed one disk flush serves many deliveries.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from adapters.base import ChannelPace
from notify import delivery as machine
from notify.delivery import FINAL, State
from notify.item import Item
from notify.workshop import Workshop
from storage.engine import UNAVAILABLE, describe

if TYPE_CHECKING:
    from notify.drain import Drain

log = logging.getLogger("herald.drain")

LEAD_MOST_SECONDS = 0.05
GATHER_FROM, GATHER_SECONDS = 32, 0.002  # calls on the wire, and how long the next commit then waits for company
LINGER_SECONDS = 1.0
DATABASE_RETRY_SECONDS = 1.0


class Pump:
    """One drain's loop, and the deliveries it has put on the wire."""

    def __init__(self, drain: Drain, shop: Workshop, pace: ChannelPace, term: int) -> None:
        self._drain = drain
        self._shop = shop
        self._pace = pace
        self._term = term
        self._flying: dict[asyncio.Task[None], Item] = {}
        self._wakeup = asyncio.Event()
        self._lead = 0.0  # a group is released so much before its turn, because its intents are committed first
        self._gates_turn = False
        self._committed_at = 0.0

    # ------------------------------------------------------------------ what the drain asks

    @property
    def is_flying(self) -> bool:
        """Whether anything is on the wire."""
        return bool(self._flying)

    @property
    def is_full(self) -> bool:
        """Whether as much is on the wire as may be at once."""
        return len(self._flying) >= self._pace.in_flight

    def wake(self) -> None:
        """Something is ready, or has to be written."""
        self._wakeup.set()

    def left_the_gate(self, went: bool) -> None:
        """Somebody left the gate's queue for the send bucket; `went`: with a call, so the sends are next."""
        if went:
            self._gates_turn = False
        self._wakeup.set()

    def cut(self) -> None:
        """End every call that is on the wire."""
        for task in self._flying:
            task.cancel()

    async def landed(self) -> None:
        """Wait until nothing is on the wire."""
        await asyncio.gather(*self._flying, return_exceptions=True)

    # ------------------------------------------------------------------ the loop

    async def run(self) -> None:
        """Until the drain is stopped or abandoned, or nothing has been left to do for a moment."""
        quiet_since: float | None = None
        while True:
            await self._gather()
            self._wakeup.clear()
            if self._drain.abandoned:
                return
            group = [] if self._drain.stopping else self._release()
            if group or self._drain.results.are_due():
                quiet_since = None
                await self._commit_and_launch(group)
                self._committed_at = self._shop.clocks.monotonic()
                continue
            if self._drain.stopping and not self._flying and not self._drain.results.are_waiting:
                return
            if self._is_done():
                now = self._shop.clocks.monotonic()
                quiet_since = now if quiet_since is None else quiet_since
                if now - quiet_since >= LINGER_SECONDS:
                    return
            else:
                quiet_since = None
            await self._sleep(LINGER_SECONDS if quiet_since is not None else None)

    async def _gather(self) -> None:
        """With much on the wire, answers come one by one: after a moment more of them share a commit."""
        if len(self._flying) < GATHER_FROM or self._drain.stopping:
            return
        wait = self._committed_at + GATHER_SECONDS - self._shop.clocks.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)

    def _is_done(self) -> bool:
        drain = self._drain
        return not (self._flying or drain.results.are_waiting or drain.looks.asking or drain.feed.busy)

    async def _sleep(self, most: float | None) -> None:
        """Until something happens or the next moment that matters."""
        now = self._shop.clocks.monotonic()
        moments = [
            moment
            for moment in (
                self._drain.results.due_at,
                self._next_release(now),
                None if most is None else now + most,
            )
            if moment is not None
        ]
        if not moments:
            await self._wakeup.wait()
            return
        try:
            async with asyncio.timeout(max(min(moments) - now, 0.0)):
                await self._wakeup.wait()
        except TimeoutError:
            pass

    def _next_release(self, now: float) -> float | None:
        """When the next delivery may leave, as far as the clock decides it."""
        drain = self._drain
        if not drain.is_warm or not len(drain.feed.ready) or self.is_full or drain.stopping:
            return None
        ready_at = drain.pacer.send.ready_at(now)
        if drain.pause.current is not None:
            if self._is_probing():
                return None
            probe_at = now + drain.pause.current.probe_at - self._shop.clocks.wall()
            return max(probe_at, ready_at, now + 0.0005)
        if self._must_step_back():
            return None
        return max(ready_at - self._lead, now + 0.0005)

    # ------------------------------------------------------------------ release

    def _release(self) -> list[Item]:
        """The deliveries that may leave now, in fair order."""
        drain = self._drain
        slots = self._pace.in_flight - len(self._flying)
        if slots <= 0 or not drain.is_warm or not len(drain.feed.ready):
            return []
        if drain.pause.current is not None:
            return self._release_probe(drain.pause.current.probe_at)
        if self._must_step_back():
            return []
        if drain.sender.is_doubtful:
            slots = 1 - len(self._flying)
        now = self._shop.clocks.monotonic()
        count = drain.pacer.send.available(now + self._lead, max(min(slots, len(drain.feed.ready)), 0))
        group = self._pop(count)
        if group:
            self._gates_turn = True
            drain.pacer.took_send(now + self._lead, len(group))
        return group

    def _must_step_back(self) -> bool:
        """Sends and the other calls of their bucket (openings, look-ups) take turns while both wait."""
        return self._gates_turn and self._drain.gate.others_wait_for_send_bucket

    def _is_probing(self) -> bool:
        return any(item.probe for item in self._flying.values())

    def _release_probe(self, probe_at: float) -> list[Item]:
        """A paused lane tries one delivery when the time for it has come."""
        now = self._shop.clocks.monotonic()
        if self._is_probing() or self._shop.clocks.wall() < probe_at or self._drain.pacer.send.ready_at(now) > now:
            return []
        group = self._pop(1)
        for item in group:
            item.probe = True
            self._drain.pacer.took_send(self._shop.clocks.monotonic(), 1)
        return group

    def _pop(self, count: int) -> list[Item]:
        group: list[Item] = []
        ready = self._drain.feed.ready
        before = len(ready)
        while len(group) < count and len(ready):
            item = ready.pop()
            if item.delivery.state in FINAL:
                continue  # the deadline overtook it while it waited
            if item.delivery.deadline_at <= self._shop.clocks.wall():
                self._drain.steps.apply(item, machine.DeadlinePassed())
                continue
            if not self._fits(item):
                continue
            group.append(item)
        if len(ready) < before:
            self._drain.feed.hungry()
        return group

    def _fits(self, item: Item) -> bool:
        """Whether the person's conversation may get one more now; else it comes back when it may."""
        now, conversation, windows = self._shop.clocks.monotonic(), _conversation(item), self._drain.pacer.windows
        wait = windows.ready_at(conversation, now) - now
        if wait <= 0:
            windows.took(conversation, now)
            return True
        item.delivery = replace(item.delivery, next_at=self._shop.clocks.wall() + wait)
        self._drain.feed.again(item)
        return False

    # ------------------------------------------------------------------ launch

    async def _commit_and_launch(self, group: list[Item]) -> None:
        """Commit results and intents together; only then put the group on the wire."""
        now = self._shop.clocks.wall()
        for item in group:
            item.delivery = self._drain.steps.step(item, machine.Intended(), now).delivery
        started = self._shop.clocks.monotonic()
        try:
            await asyncio.shield(self._drain.results.commit(group))
        except UNAVAILABLE as error:
            self._take_back(group)
            log.error(
                "database not writable; holding results",
                extra={"action": "database_unavailable", "lane": str(self._drain.lane), "error": describe(error)},
            )
            await asyncio.sleep(DATABASE_RETRY_SECONDS)
            return
        if not group:
            return
        await self._await_turn(started, len(group))
        moment = self._shop.clocks.monotonic()
        for conversation, count in Counter(map(_conversation, group)).items():
            self._drain.pacer.windows.went(conversation, count, moment)
        for item in group:
            item.was, item.term, item.wire_started_at = State.SENDING, self._term, now
            if item.rendered is not None:  # it is stored
                item.rendered = None
                self._drain.feed.rendering.left(item)
            task = asyncio.create_task(self._fly(item))
            self._flying[task] = item

    async def _await_turn(self, started: float, count: int) -> None:
        """The commit was foreseen to last `lead`: wait the rest if it was faster, move the bucket if it was slower."""
        planned = started + self._lead
        now = self._shop.clocks.monotonic()
        self._lead = min(0.8 * self._lead + 0.2 * (now - started), LEAD_MOST_SECONDS)
        bucket = self._drain.pacer.send
        if now < planned and bucket.rate < 1000:
            await asyncio.sleep(planned - now)
        elif now > planned:
            bucket.settle(now, count)

    def _take_back(self, group: list[Item]) -> None:
        """The intents were not committed: nothing left, so the deliveries keep their places."""
        for item in reversed(group):
            item.delivery = replace(item.delivery, state=State.READY, attempts=item.delivery.attempts - 1)
            item.probe = False
            self._drain.feed.put_back(item)

    async def _fly(self, item: Item) -> None:
        task = asyncio.current_task()
        try:
            outcome = await self._drain.sender.send(item)
        finally:
            if task is not None:
                self._flying.pop(task, None)
        if outcome is not None:
            self._drain.sender.answered(item, outcome)


def _conversation(item: Item) -> str:
    """What the platform counts as one conversation: the person, with one bot."""
    address = item.delivery.address
    return item.row.identity if address is None else address.user_id
