"""What a drain works on: loads open rows, finds out where they go, and keeps the ready ones in fair order.

    rows → load → known (stored) ─────────────▶ open (if needed) ─▶ ready
                    │ unknown                      ▲
                    ▼                              │
                  cold ──look-up through the gate──┘

A request's rows are loaded in chunks, so memory stays small however long the queue is. Everything here is memory
only: a row changes when the drain commits.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
import logging
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import Address, ChannelPace, Fault, FaultClass, Repair
from identity.answers import Found, Later, Missing, Resolution
from notify import delivery as machine
from notify.delivery import FINAL, OnUncertain, State
from notify.identities import INVALID, identity_problem
from notify.item import Item, OpenRequest, item_from_row
from notify.opening import Openings
from notify.pacing import FairQueue, Share
from notify.placing import Placing, refusal
from storage import deliveries, failpoints
from storage import requests as requests_store
from storage.deliveries import QueuedRow
from storage.engine import UNAVAILABLE, describe
from storage.lanes import Key

if TYPE_CHECKING:
    from notify.drain import Drain, Workshop

log = logging.getLogger("herald.drain")

CHUNK = 200  # rows loaded at once for one request
COLD_MOST = 1000  # e-mails in one round of look-ups
BEGIN_AGAIN_SECONDS = 0.25  # between two readings from the oldest row, so that a storm of installs ends none of them
RATE_WINDOW_SECONDS = 10.0
LOOKUP_AGAIN_SECONDS = 30.0
LOOK_UPS = "look-ups"
MEMORY_MOST = 20_000  # deliveries of one lane in memory


class Feed:
    """The stock of one drain."""

    def __init__(self, drain: Drain, shop: Workshop, key: Key, pace: ChannelPace) -> None:
        self._drain = drain
        self._shop = shop
        self._key = key
        self._chunk = max(CHUNK, 4 * pace.in_flight)
        self.placing = Placing(drain, shop, self)
        self.ready: FairQueue[Item] = FairQueue()
        self.chores_wanted = asyncio.Event()
        self._held: dict[str, Item] = {}
        self._requests: dict[str, OpenRequest] = {}
        self._last_seq = 0
        self._rescan = True
        self._rescan_at: float | None = None
        self._unresolved: list[Item] = []
        self._cold: dict[str, list[Item]] = defaultdict(list)
        self._looking_up: asyncio.Task[None] | None = None
        self.openings = Openings(drain, self, shop, opens=pace.opens, send_bucket=pace.send)
        self._forgetting: set[asyncio.Task[None]] = set()
        self._later: list[tuple[float, int, Item]] = []
        self._ticket = itertools.count()
        self._hunger = asyncio.Event()
        self._began_at = float("-inf")
        self._begin_again_at: float | None = None

    # ------------------------------------------------------------------ what the drain asks

    @property
    def busy(self) -> bool:
        """Whether anything is in memory, being worked on, or still to be loaded."""
        to_read = self._rescan or self._begin_again_at is not None or self._requests
        return bool(self._held or to_read or self.placing.has_moves or self.chores_wanted.is_set())

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
        if self._held.pop(item.id, None) is None:
            return
        self.openings.give_up(item)
        item.mark(stuck=False)
        request = item.request
        request.loaded -= 1
        request.remaining -= 1
        request.recent.append(self._shop.clocks.monotonic())
        while request.recent and request.recent[0] < request.recent[-1] - RATE_WINDOW_SECONDS:
            request.recent.popleft()
        if request.exhausted and request.loaded <= 0:
            self._requests.pop(request.id, None)
        self._hunger.set()

    def forget(self, item: Item, address: Address, repair: Repair) -> None:
        """What was stored about a person proved stale."""
        task = self._drain.spawn(self._forget(address, person=repair is Repair.IDENTITY))
        self._forgetting.add(task)
        task.add_done_callback(self._forgetting.discard)

    async def _forget(self, address: Address, *, person: bool) -> None:
        while True:
            try:
                await self._shop.resolver.forget(self._drain.lane, address, person=person)
            except UNAVAILABLE as error:
                log.error(
                    "stale address not dropped yet",
                    extra={"action": "database_unavailable", "lane": str(self._drain.lane), "error": describe(error)},
                )
                await asyncio.sleep(1.0)
            else:
                return

    def retry_now(self) -> None:
        """Something was healed: what waits for a later moment is tried at once."""
        waiting, self._later = self._later, []
        for _, _, item in waiting:
            if item.delivery.state not in FINAL:
                item.delivery = replace(item.delivery, next_at=self._shop.clocks.wall())
                self.again(item)

    def shares(self) -> list[Share]:
        """What each request still wants of this lane."""
        return [
            Share(request.client_id, request.id, request.total, request.remaining)
            for request in self._requests.values()
            if request.remaining > 0
        ]

    def rate_of(self, request_id: str) -> float:
        """Deliveries of a request that ended per second, over the last seconds."""
        request = self._requests.get(request_id)
        now = self._shop.clocks.monotonic()
        return 0.0 if request is None else _rate(request.recent, now)

    def rate(self) -> float:
        """The same for the whole lane."""
        now = self._shop.clocks.monotonic()
        return sum(_rate(request.recent, now) for request in self._requests.values())

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
            await self._stop_helpers()

    async def _stop_helpers(self) -> None:
        helpers = [*self.openings.running, *self._forgetting, *([self._looking_up] if self._looking_up else [])]
        for task in helpers:
            task.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)

    async def _restock(self) -> bool:
        """Look for requests if somebody rang, and one piece of work; False when there is nothing to do now."""
        try:
            looked = self._rescan
            if looked:
                await self._find_requests()
            if self._unresolved:  # whatever is found, what is there goes on: somebody may ring all the time
                await self._resolve_some()
                return True
            request = self._neediest()
            if request is None:
                return looked
            await self._load(request)
        except UNAVAILABLE as error:
            log.error(
                "database not readable",
                extra={"action": "database_unavailable", "lane": str(self._drain.lane), "error": describe(error)},
            )
            await asyncio.sleep(1.0)
        return True

    async def _resolve_some(self) -> None:
        batch, self._unresolved = self._unresolved[:COLD_MOST], self._unresolved[COLD_MOST:]
        if self._forgetting:
            await asyncio.wait(self._forgetting)  # what proved stale must not be found again
        try:
            await self._resolve(batch)
        except UNAVAILABLE:
            self._unresolved = [item for item in batch if item.delivery.state is State.ACCEPTED] + self._unresolved
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
        self._last_seq = 0
        for request in self._requests.values():
            request.cursor, request.exhausted = 0, False

    # ------------------------------------------------------------------ loading

    async def _find_requests(self) -> None:
        """Requests with open rows in the lane that are not known yet, and when the next postponed row is due."""
        self._rescan = False
        now = self._shop.clocks.wall()
        try:
            async with self._shop.database.read() as tx:
                found = await deliveries.open_requests(tx, self._key, after_seq=self._last_seq)
                payloads = await self._payloads(tx, found)
                due = await deliveries.next_due(tx, self._key, after=now)
        except UNAVAILABLE:
            self._rescan = True
            raise
        for row in found:
            self._last_seq = max(self._last_seq, row.last_seq)
            if row.request_id not in self._requests:
                self._requests[row.request_id] = self._request(row, payloads[row.request_id])
            else:
                self._requests[row.request_id].exhausted = False
        if due is not None:
            self._rescan_at = due if self._rescan_at is None else min(due, self._rescan_at)

    async def _payloads(self, tx: AsyncConnection, found: Sequence[deliveries.OpenRequest]) -> dict[str, bytes]:
        """The payloads of the requests that are new here."""
        return await requests_store.payloads(
            tx, [row.request_id for row in found if row.request_id not in self._requests]
        )

    def _request(self, row: deliveries.OpenRequest, payload: bytes) -> OpenRequest:
        options = json.loads(row.options)
        return OpenRequest(
            id=row.request_id,
            client_id=row.client_id,
            total=row.total,
            identity_type=row.identity_type,
            deadline_at=row.deadline_at,
            on_uncertain=_on_uncertain(options.get("onUncertain")),
            prepared=self._shop.channel.prepare(orjson.loads(payload)),
            remaining=row.remaining,
        )

    def _neediest(self) -> OpenRequest | None:
        """The request that should be loaded next: the smallest of those that run low."""
        if len(self._held) >= MEMORY_MOST:
            return None
        low = [r for r in self._requests.values() if not r.exhausted and r.loaded - r.stuck < self._chunk / 2]
        return min(low, key=lambda request: (request.loaded > 0, request.total), default=None)

    async def _load(self, request: OpenRequest) -> None:
        now = self._shop.clocks.wall()
        async with self._shop.database.read() as tx:
            rows = await deliveries.load(
                tx, self._key, request.id, after_seq=request.cursor, now=now, limit=self._chunk
            )
        if rows:
            request.cursor = rows[-1].seq
        request.exhausted = len(rows) < self._chunk
        for row in rows:
            if row.id not in self._held:
                self._admit(self._item(row, request))
        if request.exhausted and request.loaded <= 0:
            self._requests.pop(request.id, None)

    def _item(self, row: QueuedRow, request: OpenRequest, *, term: int = 0) -> Item:
        prepared = request.prepared
        if row.payload is not None:
            prepared = self._shop.channel.prepare(orjson.loads(row.payload))
        item = item_from_row(row, request, self._drain.lane, prepared, term=term)
        self._held[item.id] = item
        request.loaded += 1
        return item

    def _admit(self, item: Item) -> None:
        if item.delivery.state is State.READY and item.delivery.address is not None:
            self.openings.make_ready(item)
        else:
            item.delivery = replace(item.delivery, state=State.ACCEPTED, address=None)
            self._unresolved.append(item)

    async def load_uncertain(self, term: int) -> None:
        """Deliveries that are in doubt since before this drain began."""
        async with self._shop.database.read() as tx:
            rows = await deliveries.in_state(tx, self._key, str(State.UNCERTAIN), limit=MEMORY_MOST)
        for item in await self.items_of(rows, term):
            self._drain.look_for(item)

    async def items_of(self, rows: Iterable[QueuedRow], term: int) -> list[Item]:
        """The items of these rows, from memory where they are there already."""
        rows = list(rows)
        unknown = [row for row in rows if row.id not in self._held]
        if any(row.request_id not in self._requests for row in unknown):
            async with self._shop.database.read() as tx:
                found = await deliveries.open_requests(tx, self._key, after_seq=0)
                payloads = await self._payloads(tx, found)
            for open_request in found:
                if open_request.request_id not in self._requests:
                    payload = payloads[open_request.request_id]
                    self._requests[open_request.request_id] = self._request(open_request, payload)
        items = []
        for row in rows:
            request = self._requests.get(row.request_id)
            if row.id in self._held:
                items.append(self._held[row.id])
            elif request is not None:
                items.append(self._item(row, request, term=term))
        return items

    # ------------------------------------------------------------------ resolving

    async def _resolve(self, items: Sequence[Item]) -> None:
        """From what is stored; what is not stored goes to the look-ups."""
        await self.placing.survey(items)
        for item in items:
            if item.elsewhere is not None:
                self.placing.not_here(item, item.elsewhere)
        items = [item for item in items if item.elsewhere is None]
        askable = [item for item in items if item.delivery.state is State.ACCEPTED and not self._is_hopeless(item)]
        by_mail = [item for item in askable if item.request.identity_type == "resolve"]
        by_id = [item for item in askable if item.request.identity_type != "resolve"]
        if self._drain.lane.is_entry:
            await self.placing.place(by_mail, by_id)
            return
        if by_id:
            found = await self._shop.resolver.known_ids(self._drain.lane, [item.row.identity for item in by_id])
            for item in by_id:
                self._resolved(item, found[item.row.identity])
        if by_mail:
            addresses = list(dict.fromkeys(item.row.identity for item in by_mail))
            known = await self._shop.resolver.known(self._drain.lane, addresses)
            failpoints.reach("resolve.known")
            for item in by_mail:
                resolution = known.get(item.row.identity)
                if resolution is None:
                    item.mark(stuck=True)
                    self._cold[item.row.identity].append(item)
                else:
                    self._resolved(item, resolution)
        self._start_look_ups()

    def _is_hopeless(self, item: Item) -> bool:
        """An identity that cannot be anybody's ends here, and so does what is past its deadline."""
        if item.delivery.deadline_at <= self._shop.clocks.wall():
            self._drain.apply(item, machine.DeadlinePassed())
            return True
        remedy = identity_problem(self._drain.lane.channel, item.request.identity_type, item.row.identity)
        if remedy is not None:
            self._drain.apply(item, machine.NotReachable(refusal(INVALID, remedy)))
        return remedy is not None

    def _resolved(self, item: Item, resolution: Resolution) -> None:
        if item.delivery.state is not State.ACCEPTED:
            return
        item.trace.extend(resolution.trace)
        match resolution:
            case Found(address):
                if self.placing.stays(item, resolution):
                    self._drain.apply(item, machine.Resolved(address))
                    self.openings.make_ready(item)
            case Missing(reason, remedy):
                self.placing.not_here(item, refusal(reason, remedy))
            case Later(retry_after, fault):
                self._postpone(item, retry_after, fault)
            case _:
                assert_never(resolution)

    def _postpone(self, item: Item, retry_after: float, fault: Fault) -> None:
        """The platform could not be asked about this person now; others go on."""
        if fault.klass is FaultClass.CONFIGURATION:
            self._drain.pause.beside(LOOK_UPS, fault)
        if self.placing.passes(item, fault):
            return
        self._drain.apply(item, machine.LookupPostponed(retry_after, replace(fault, klass=FaultClass.NOT_SENT)))
        self.again(item)

    # ------------------------------------------------------------------ look-ups

    def _start_look_ups(self) -> None:
        if self._cold and (self._looking_up is None or self._looking_up.done()):
            self._looking_up = self._drain.spawn(self._look_up())

    async def _look_up(self) -> None:
        """Ask the platform about everyone who is not stored; one round at a time."""
        while self._cold:
            addresses = list(itertools.islice(self._cold, COLD_MOST))
            asked = {address: self._cold.pop(address) for address in addresses}
            try:
                async for answers in self._shop.resolver.look_up(self._drain.lane, addresses, self._drain.gate):
                    failpoints.reach("resolve.learned")
                    self._answer(asked, answers)
            except Exception as error:
                log.exception("look-up failed", extra={"action": "lookup_failed", "lane": str(self._drain.lane)})
                fault = Fault(FaultClass.NOT_SENT, "lookup_failed", "", "internal_error", type(error).__name__)
                self._answer(asked, {address: Later(LOOKUP_AGAIN_SECONDS, fault) for address in list(asked)})
            if asked:
                log.error("look-up left people out", extra={"action": "lookup_incomplete", "count": len(asked)})
                fault = Fault(FaultClass.NOT_SENT, "lookup_failed", "", "no_answer")
                self._answer(asked, {address: Later(LOOKUP_AGAIN_SECONDS, fault) for address in list(asked)})

    def _answer(self, asked: dict[str, list[Item]], answers: Mapping[str, Resolution]) -> None:
        for address, resolution in answers.items():
            if not isinstance(resolution, Later) and not _is_unconfirmed(resolution):
                self._drain.pause.beside_healed(LOOK_UPS)
            for item in asked.pop(address, ()):
                self._resolved(item, resolution)


def _rate(moments: deque[float], now: float) -> float:
    """Events per second in the window that ends now; a window that began later than it is long counts as it is."""
    inside = [moment for moment in moments if moment >= now - RATE_WINDOW_SECONDS]
    if not inside:
        return 0.0
    return len(inside) / max(min(now - inside[0], RATE_WINDOW_SECONDS), 1.0)


def _on_uncertain(value: object) -> OnUncertain:
    """The caller's wish; a value of another version means the safe one."""
    return OnUncertain.RESEND if value == OnUncertain.RESEND else OnUncertain.HOLD


def _is_unconfirmed(resolution: Found | Missing) -> bool:
    """Whether the platform could not be asked, and what is stored was used instead."""
    return any("unconfirmed" in step.result for step in resolution.trace)
