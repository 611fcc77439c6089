"""What became of deliveries and is not written yet, and the one transaction that writes it beside the next intents."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from adapters.base import Lane
from notify import delivery as machine
from notify.delivery import State
from notify.item import Item
from notify.ledger import Batch, Ledger, Written
from notify.workshop import Workshop
from storage import failpoints

if TYPE_CHECKING:
    from notify.drain import Drain

log = logging.getLogger("herald.drain")

WAIT_SECONDS = 0.02  # answers wait at most this long for the next intents, to share their commit
MOST = 64


class Results:
    """What one drain has to write."""

    def __init__(self, drain: Drain, shop: Workshop, ledger: Ledger) -> None:
        self._drain = drain
        self._shop = shop
        self._ledger = ledger
        self._items: list[Item] = []
        self._since = 0.0
        self._written_rate = drain.pacer.learner.rate if drain.pacer.learner else None

    @property
    def are_waiting(self) -> bool:
        """Whether a delivery's result is not written."""
        return bool(self._items)

    @property
    def due_at(self) -> float | None:
        """When the results that wait are written at the latest, with or without intents; monotonic."""
        return self._since + WAIT_SECONDS if self._items else None

    def are_due(self) -> bool:
        """Whether something is to be written now, even if no delivery leaves."""
        if self._drain.pause.is_unwritten or self._drain.feed.placing.has_moves:
            return True
        if not self._items:
            return False
        waited = self._shop.clocks.monotonic() - self._since
        return waited >= WAIT_SECONDS or len(self._items) >= MOST or self._drain.stopping

    def add(self, item: Item) -> None:
        """A delivery's stored state changed."""
        if not self._items:
            self._since = self._shop.clocks.monotonic()
        self._items.append(item)
        item.unwritten = True

    async def commit(self, intents: list[Item]) -> None:
        """One transaction for everything that waits to be written, and these intents."""
        items, self._items = self._items, []
        pause, resume = self._drain.pause.take()
        batch = Batch(
            results=items,
            moves=self._drain.feed.placing.take_moves(),
            intents=intents,
            pause=pause,
            resume=resume,
            learned=self._lesson(),
        )
        if not batch:
            return
        started = self._shop.clocks.monotonic()
        try:
            written = await self._ledger.commit(batch, now=self._shop.clocks.wall())
        except BaseException:
            self._items = items + self._items
            self._drain.feed.placing.return_moves(batch.moves)
            self._drain.pause.give_back(pause, resume)
            raise
        self._drain.claim.renewed(started)
        self._after_commit(batch, written)

    def _lesson(self) -> dict[str, float] | None:
        """What pacing has learnt since it was last written, rounded so that it is not written for nothing."""
        learner = self._drain.pacer.learner
        if learner is None or learner.rate == self._written_rate:
            return None
        self._written_rate = learner.rate
        return {"rate": learner.rate}

    def _after_commit(self, batch: Batch, written: Written) -> None:
        if batch.results:
            failpoints.reach("record.committed")
        if batch.intents:
            failpoints.reach("intent.committed")
        if batch.moves:
            failpoints.reach("lane.moved")
        for item in batch.results:
            if item.id in written.overtaken:
                self._drain.feed.gone(item)  # evidence was faster: it is final
            else:
                self._go_on(item)
        moved_to: set[Lane] = set()
        for move in batch.moves:
            self._drain.feed.gone(move.item)
            moved_to.add(replace(self._drain.lane, tenant=move.to))
        for lane in moved_to:
            self._shop.wake(lane, True)
        self._shop.metrics.closed.inc(len(written.closed))
        for request_id in written.closed:
            log.info("request closed", extra={"action": "request_closed", "request": request_id})

    def _go_on(self, item: Item) -> None:
        """A delivery whose result is written: its next way."""
        item.was = item.delivery.state
        item.term = self._ledger.term
        item.unwritten = False
        match item.delivery.state:
            case State.READY | State.ACCEPTED:
                self._drain.feed.again(item)
            case State.UNCERTAIN:
                self._drain.look_for(item)
            case State.SENDING:
                raise machine.ImpossibleEvent("a result cannot leave a delivery in flight")
            case _:
                self._drain.feed.gone(item)
