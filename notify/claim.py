"""How long a drain may still put messages on the wire: the end of its claim, seen from inside the process.

The term fences what is written into the database; nothing fences the wire. A process that was stopped with its
intents committed and wakes up when its lane has long been taken over would still send, and its successor, which
found nothing when it looked, has sent already. So a send begins only while the claim is certainly ours, and one that
has not come to its end by then was frozen: its call is cut before it can go on.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable


class ClaimWatch:
    """Knows, in monotonic seconds, until when nobody else can have taken the lane; `frozen` is called when sends
    are on the wire beyond that. With `forever` (SQLite's file lock) nobody ever can."""

    def __init__(
        self, seconds: float, *, forever: bool, clock: Callable[[], float], frozen: Callable[[], None]
    ) -> None:
        self._seconds = seconds
        self._forever = forever
        self._clock = clock
        self._frozen = frozen
        self._until = -math.inf
        self._fuse: asyncio.TimerHandle | None = None

    def renewed(self, started: float) -> None:
        """The claim was renewed by a transaction that began at `started`, so it lasts at least from there."""
        if self._forever:
            self._until = math.inf
            return
        self._until = max(self._until, started + self._seconds)
        if self._fuse is None:
            self._set_fuse()

    def is_over(self) -> bool:
        """Whether somebody else may have taken the lane."""
        return self._clock() >= self._until

    def close(self) -> None:
        """The drain has ended."""
        if self._fuse is not None:
            self._fuse.cancel()

    def _set_fuse(self) -> None:
        wait = self._until - self._clock()
        self._fuse = asyncio.get_running_loop().call_later(max(wait, 0.0), self._burnt)

    def _burnt(self) -> None:
        self._fuse = None
        if self.is_over():
            self._frozen()
        else:
            self._set_fuse()
