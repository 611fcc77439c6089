"""Events about whoever is refused at a door: the first few of an address in a minute, then one with their number."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from adapters.tally import Tally, network


class Refusals:
    """Writes one kind of event, so that nobody can fill the log by knocking."""

    def __init__(
        self,
        logger: logging.Logger,
        action: str,
        *,
        level: int = logging.WARNING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logger
        self._action = action
        self._level = level
        self._clock = clock
        self._tally = Tally()

    def note(self, remote: str | None, **ids: object) -> None:
        """Somebody at this address was refused. The rest of a minute is told with the next one that comes after it."""
        now, address = self._clock(), network(remote)
        for whose, count in self._tally.due(now):
            self._write(remote=whose, count=count)
        if self._tally.tell(address, now):
            self._write(remote=address, **ids)

    def _write(self, **fields: object) -> None:
        self._logger.log(self._level, "refused", extra={"action": self._action, **fields})
