"""The lane's turnstile: the pure pacer, with waiting. A drain owns it and lends it to resolver, adapters and chores."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from notify.pacing import Pacer

CHORE_SHARE_SECONDS = 1.0
"""While sends are waiting, chores get one call of the send bucket in this many seconds."""


class LaneGate:
    """Implements adapters.base.Gate for look-ups and conversations being opened; `clock` is monotonic seconds.

    `left` is told each time somebody leaves the queue for the send bucket, and whether their call went; `well` of each
    bucket whose call was answered as it should be.
    """

    def __init__(
        self,
        pacer: Pacer,
        *,
        clock: Callable[[], float],
        left: Callable[[bool], None] = lambda _went: None,
        well: Callable[[str], None] = lambda _bucket: None,
    ) -> None:
        self._pacer = pacer
        self._clock = clock
        self._left = left
        self._well = well
        self._waiting: Counter[int] = Counter()

    async def enter(self, bucket: str) -> None:
        """Wait until one call of this bucket may go on the wire."""
        found = self._pacer.bucket(bucket)
        self._waiting[id(found)] += 1
        went = False
        try:
            # each sleep lasts until the moment the pacer names; a hold may have moved it meanwhile
            while (wait := found.ready_at(self._clock()) - self._clock()) > 0:  # noqa: ASYNC110 - not a poll
                await asyncio.sleep(wait)
            found.take(self._clock())
            went = True
        finally:
            self._waiting[id(found)] -= 1
            if found is self._pacer.send:
                self._left(went)

    def throttled(self, bucket: str, retry_after: float | None) -> None:
        """The platform answered 429 to a call of this bucket."""
        self._pacer.hold(bucket, self._clock(), retry_after, lesson=True)

    def went_well(self, bucket: str) -> None:
        """The platform answered a call of this bucket as it should."""
        self._pacer.bucket(bucket).went_well()
        self._well(bucket)

    @property
    def others_wait_for_send_bucket(self) -> bool:
        """Whether a look-up or an opening waits for the bucket that the sends use."""
        return self._waiting[id(self._pacer.send)] > 0


class ChoreGate:
    """The same turnstile for chores: they step back while deliveries wait for the same bucket."""

    def __init__(self, gate: LaneGate, pacer: Pacer, *, clock: Callable[[], float], busy: Callable[[], bool]) -> None:
        self._gate = gate
        self._pacer = pacer
        self._clock = clock
        self._busy = busy
        self._last = float("-inf")
        self._turn = asyncio.Lock()

    async def enter(self, bucket: str) -> None:
        """Wait until deliveries leave room for one call of this bucket."""
        if self._pacer.bucket(bucket) is self._pacer.send:
            async with self._turn:
                if self._busy() and (wait := self._last + CHORE_SHARE_SECONDS - self._clock()) > 0:
                    await asyncio.sleep(wait)
                self._last = self._clock()
        await self._gate.enter(bucket)

    def throttled(self, bucket: str, retry_after: float | None) -> None:
        """The platform answered 429 to a chore's call."""
        self._gate.throttled(bucket, retry_after)

    def went_well(self, bucket: str) -> None:
        """A chore's call was answered as it should be."""
        self._gate.went_well(bucket)
