"""The open requests of one lane and their deliveries in memory.

A request's rows are loaded in chunks, so memory stays small however long the queue is.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Sequence

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import ChannelPace, Lane
from notify.delivery import OnUncertain, State
from notify.item import Item, OpenRequest, item_from_row
from notify.message import Kind, Message
from notify.options import MARKUP
from notify.pacing import Share
from notify.workshop import Workshop
from storage import deliveries
from storage import requests as requests_store
from storage.deliveries import QueuedRow
from storage.lanes import Key
from storage.requests import StoredMessage

CHUNK = 200  # rows loaded at once for one request
MEMORY_MOST = 20_000  # deliveries of one lane in memory
RATE_WINDOW_SECONDS = 10.0


class Stock:
    """What one drain holds in memory."""

    def __init__(self, lane: Lane, shop: Workshop, key: Key, pace: ChannelPace) -> None:
        self._lane = lane
        self._shop = shop
        self._key = key
        self._chunk = max(CHUNK, 4 * pace.in_flight)
        self._held: dict[str, Item] = {}
        self._requests: dict[str, OpenRequest] = {}
        self._last_seq = 0

    # ------------------------------------------------------------------ what is there

    @property
    def is_empty(self) -> bool:
        """Whether no delivery is in memory and none is known to be left to load."""
        return not (self._held or self._requests)

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

    def remove(self, item: Item) -> bool:
        """A delivery is final and written, or belongs to another lane now; False if it was not here any more."""
        if self._held.pop(item.id, None) is None:
            return False
        item.mark(stuck=False)
        request = item.request
        request.loaded -= 1
        request.remaining -= 1
        request.recent.append(self._shop.clocks.monotonic())
        while request.recent and request.recent[0] < request.recent[-1] - RATE_WINDOW_SECONDS:
            request.recent.popleft()
        self._close_if_done(request)
        return True

    def _close_if_done(self, request: OpenRequest) -> None:
        if request.exhausted and request.loaded <= 0:
            self._requests.pop(request.id, None)

    # ------------------------------------------------------------------ requests

    async def find_requests(self) -> float | None:
        """Take up the requests with open rows that are not known yet; returns when the next postponed row is due."""
        now = self._shop.clocks.wall()
        async with self._shop.database.read() as tx:
            found = await deliveries.open_requests(tx, self._key, after_seq=self._last_seq)
            messages = await self._messages(tx, found)
            due = await deliveries.next_due(tx, self._key, after=now)
        for row in found:
            self._last_seq = max(self._last_seq, row.last_seq)
            if row.request_id not in self._requests:
                self._requests[row.request_id] = self._request(row, messages[row.request_id])
            else:
                self._requests[row.request_id].exhausted = False
        return due

    async def _messages(self, tx: AsyncConnection, found: Sequence[deliveries.OpenRequest]) -> dict[str, StoredMessage]:
        """The messages of the requests that are new here."""
        return await requests_store.messages(
            tx, [row.request_id for row in found if row.request_id not in self._requests]
        )

    def _request(self, row: deliveries.OpenRequest, stored: StoredMessage) -> OpenRequest:
        options = json.loads(row.options)
        message, prepared = self._read(stored.kind, stored.body)
        return OpenRequest(
            id=row.request_id,
            client_id=row.client_id,
            total=row.total,
            identity_type=row.identity_type,
            deadline_at=row.deadline_at,
            on_uncertain=_on_uncertain(options.get("onUncertain")),
            message=message,
            prepared=prepared,
            markup=options.get("format") == MARKUP,
            remaining=row.remaining,
        )

    def start_over(self) -> None:
        """Read the lane from its oldest row again; what is in memory is passed over."""
        self._last_seq = 0
        for request in self._requests.values():
            request.cursor, request.exhausted = 0, False

    # ------------------------------------------------------------------ deliveries

    def neediest(self) -> OpenRequest | None:
        """The request that should be loaded next: the smallest of those that run low."""
        if len(self._held) >= MEMORY_MOST:
            return None
        low = [r for r in self._requests.values() if not r.exhausted and r.loaded - r.stuck < self._chunk / 2]
        return min(low, key=lambda request: (request.loaded > 0, request.total), default=None)

    async def load(self, request: OpenRequest) -> list[Item]:
        """The next deliveries of a request."""
        now = self._shop.clocks.wall()
        async with self._shop.database.read() as tx:
            rows = await deliveries.load(
                tx, self._key, request.id, after_seq=request.cursor, now=now, limit=self._chunk
            )
        if rows:
            request.cursor = rows[-1].seq
        request.exhausted = len(rows) < self._chunk
        loaded = [self._item(row, request) for row in rows if row.id not in self._held]
        self._close_if_done(request)
        return loaded

    def _item(self, row: QueuedRow, request: OpenRequest, *, term: int = 0) -> Item:
        own = None if row.payload is None else self._read(row.kind or Kind.NATIVE, row.payload)
        item = item_from_row(row, request, self._lane, own, term=term)
        self._held[item.id] = item
        request.loaded += 1
        return item

    def _read(self, kind: str, body: bytes) -> tuple[Message, object | None]:
        """A stored message, and prepared if it can be sent as it is."""
        message = Message(Kind(kind), orjson.loads(body))
        if message.kind is Kind.NATIVE and isinstance(message.body, dict):
            return message, self._shop.channel.prepare(message.body)
        return message, None

    async def uncertain(self, term: int) -> list[Item]:
        """Deliveries that are in doubt since before this drain began."""
        async with self._shop.database.read() as tx:
            rows = await deliveries.in_state(tx, self._key, str(State.UNCERTAIN), limit=MEMORY_MOST)
        return await self.items_of(rows, term)

    async def items_of(self, rows: Iterable[QueuedRow], term: int) -> list[Item]:
        """The items of these rows, from memory where they are there already."""
        rows = list(rows)
        unknown = [row for row in rows if row.id not in self._held]
        if any(row.request_id not in self._requests for row in unknown):
            async with self._shop.database.read() as tx:
                found = await deliveries.open_requests(tx, self._key, after_seq=0)
                messages = await self._messages(tx, found)
            for open_request in found:
                if open_request.request_id not in self._requests:
                    stored = messages[open_request.request_id]
                    self._requests[open_request.request_id] = self._request(open_request, stored)
        items = []
        for row in rows:
            request = self._requests.get(row.request_id)
            if row.id in self._held:
                items.append(self._held[row.id])
            elif request is not None:
                items.append(self._item(row, request, term=term))
        return items


def _rate(moments: deque[float], now: float) -> float:
    """Events per second in the window that ends now; a window that began later than it is long counts as it is."""
    inside = [moment for moment in moments if moment >= now - RATE_WINDOW_SECONDS]
    if not inside:
        return 0.0
    return len(inside) / max(min(now - inside[0], RATE_WINDOW_SECONDS), 1.0)


def _on_uncertain(value: object) -> OnUncertain:
    """The caller's wish; a value of another version means the safe one."""
    return OnUncertain.RESEND if value == OnUncertain.RESEND else OnUncertain.HOLD
