"""A configuration fault holds the lane, visibly, and nobody fails for it; one try now and then finds out when it heals.

PURE but for an event to wait on: the clock is an argument. What has changed waits in `unwritten` for the next commit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from adapters.base import Fault, Lane
from storage import lanes

log = logging.getLogger("herald.drain")

PROBE_FIRST_SECONDS = 2.0
PROBE_MOST_SECONDS = 300.0


class LanePause:
    """How one lane stands; `now` is the wall clock, `changed` is called when the pump should look."""

    def __init__(
        self, lane: Lane, found: lanes.Pause | None, *, now: Callable[[], float], changed: Callable[[], None]
    ) -> None:
        self._lane = lane
        self._now = now
        self._changed = changed
        self._resumed = asyncio.Event()
        self._lookup_fault: str | None = None
        self.current = found
        self.unwritten: lanes.Pause | None = None
        self.unwritten_end = False

    @property
    def is_unwritten(self) -> bool:
        """Whether people do not see yet how the lane stands."""
        return self.unwritten is not None or self.unwritten_end

    def begin(self, fault: Fault) -> None:
        """Hold the lane with the fault's reason; the next probe comes later each time one fails."""
        now = self._now()
        if self.current is not None and now < self.current.probe_at:
            return  # others that were on the wire together met the same fault
        probes = self.current.probes + 1 if self.current is not None else 0
        wait = min(PROBE_FIRST_SECONDS * 2.0 ** min(probes, 30), PROBE_MOST_SECONDS)
        since = self.current.paused_at if self.current is not None else now
        self.current = lanes.Pause(fault.reason, fault.code[:255], fault.remedy, since, now + wait, probes)
        self.unwritten, self.unwritten_end = self.current, False
        details = {"lane": str(self._lane), "reason": fault.reason, "code": fault.code, "probe_in": wait}
        log.error("lane paused", extra={"action": "lane_paused", **details})
        self._changed()

    def end(self) -> None:
        """The fault is healed, if there was one."""
        if self.current is None:
            return
        self.current, self.unwritten, self.unwritten_end = None, None, True
        self._resumed.set()
        log.info("lane resumed", extra={"action": "lane_resumed", "lane": str(self._lane)})
        self._changed()

    async def until_probe(self) -> None:
        """Wait until a paused lane may try again."""
        while self.current is not None and (wait := self.current.probe_at - self._now()) > 0:
            self._resumed.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._resumed.wait()
            except TimeoutError:
                pass

    def take(self) -> tuple[lanes.Pause | None, bool]:
        """What the next commit writes: a pause, or that it ended."""
        taken = (self.unwritten, self.unwritten_end)
        self.unwritten, self.unwritten_end = None, False
        return taken

    def give_back(self, pause: lanes.Pause | None, ended: bool) -> None:
        """The commit failed: it is written with the next one, unless the lane has changed since."""
        if not self.is_unwritten:
            self.unwritten, self.unwritten_end = pause, ended

    def lookups_at_fault(self, fault: Fault) -> None:
        """Look-ups are misconfigured: shown as a pause of the lane, while known people are still reached."""
        if self.current is None and self._lookup_fault != fault.reason:
            now = self._now()
            self._lookup_fault = fault.reason
            self.unwritten = lanes.Pause(fault.reason, fault.code[:255], fault.remedy, now, now, 0)
            details = {"lane": str(self._lane), "reason": fault.reason, "code": fault.code}
            log.error("look-ups misconfigured", extra={"action": "lookups_paused", **details})
            self._changed()

    def lookups_healed(self) -> None:
        """A look-up was answered."""
        if self._lookup_fault is not None:
            self._lookup_fault = None
            if self.current is None:
                self.unwritten, self.unwritten_end = None, True
                self._changed()
