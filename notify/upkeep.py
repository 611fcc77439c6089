"""What a drain does by the clock: it keeps the claim while nothing is written, and ends what is past its deadline."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from notify import delivery as machine
from notify.delivery import State
from notify.ledger import Ledger
from notify.workshop import Workshop
from storage import deliveries
from storage.engine import UNAVAILABLE, describe

if TYPE_CHECKING:
    from notify.drain import Drain

log = logging.getLogger("herald.drain")

ROUNDS_IN_A_CLAIM = 4
EXPIRED_AT_ONCE = 500


class Upkeep:
    """The rounds of one drain."""

    def __init__(self, drain: Drain, shop: Workshop, ledger: Ledger) -> None:
        self._drain = drain
        self._shop = shop
        self._ledger = ledger

    async def run(self) -> None:
        """One round after the other, several while a claim lasts."""
        while True:
            started = self._shop.clocks.monotonic()
            try:
                await self._ledger.renew()
                self._drain.claim.renewed(started)
                await self._expire()
                if not self._shop.database.is_sqlite:  # what another server accepted for this lane rings no bell here
                    self._drain.feed.look_again(everywhere=True)
            except UNAVAILABLE as error:
                log.error(
                    "claim not renewed",
                    extra={"action": "database_unavailable", "lane": str(self._drain.lane), "error": describe(error)},
                )
            await asyncio.sleep(self._shop.claim_seconds / ROUNDS_IN_A_CLAIM)

    async def _expire(self) -> None:
        now = self._shop.clocks.wall()
        async with self._shop.database.read() as tx:
            rows = await deliveries.past_deadline(tx, self._ledger.key, now=now, limit=EXPIRED_AT_ONCE)
        for item in await self._drain.feed.stock.items_of(rows, self._ledger.term):
            busy = item.unwritten or item.id in self._drain.looks.asking
            if item.delivery.state in (State.ACCEPTED, State.READY, State.UNCERTAIN) and not busy:
                self._drain.steps.apply(item, machine.DeadlinePassed())
