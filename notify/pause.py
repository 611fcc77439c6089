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
        self._beside: dict[str, lanes.Pause] = {}
        self.current = None if found is None or _is_beside(found) else found
        self.unwritten: lanes.Pause | None = None
        self.unwritten_end = found is not None and self.current is None  # whoever finds it again writes it again

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
        self.current = None
        self._resumed.set()
        log.info("lane resumed", extra={"action": "lane_resumed", "lane": str(self._lane)})
        self._show_beside()

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

    def beside(self, what: str, fault: Fault) -> None:
        """Look-ups or installs are misconfigured: shown as a pause, while everybody else is still reached."""
        known = self._beside.get(what)
        if known is not None and known.reason == fault.reason:
            return
        now = self._now()
        self._beside[what] = lanes.Pause(fault.reason, fault.code[:255], fault.remedy, now, now, 0)
        details = {"lane": str(self._lane), "what": what, "reason": fault.reason, "code": fault.code}
        log.error("a part of the lane is misconfigured", extra={"action": "lane_part_paused", **details})
        self._show_beside()

    def beside_healed(self, what: str) -> None:
        """A call of this kind was answered as it should be."""
        if self._beside.pop(what, None) is not None:
            self._show_beside()

    @property
    def is_at_fault(self) -> bool:
        """Whether the lane or a part of it waits to be healed."""
        return self.current is not None or bool(self._beside)

    def _show_beside(self) -> None:
        if self.current is None:
            shown = next(iter(self._beside.values()), None)
            self.unwritten, self.unwritten_end = shown, shown is None
            self._changed()


def _is_beside(pause: lanes.Pause) -> bool:
    """Whether a stored pause held a part of the lane only: nothing had to be probed."""
    return pause.probe_at <= pause.paused_at
