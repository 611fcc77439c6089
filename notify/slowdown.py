"""How long the answer to a bad token waits, by the address that it came from.

PURE: the clock (monotonic seconds) is an argument. Within a minute an address has so many free; each further answer
waits half a second longer than the one before, up to five. Only answers wait: every token is judged at once, so a
stranger locks nobody out, not even a neighbour behind the same address (docs/decisions/0015).
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final

WINDOW: Final = 60.0
STEP: Final = 0.5
LONGEST: Final = 5.0
ADDRESSES: Final = 10_000
PLACES: Final = 256
_STEPS: Final = math.ceil(LONGEST / STEP)


@dataclass(frozen=True, slots=True)
class Pause:
    """The answer waits so long; 0: not at all. Whoever waited gives the place back with `leave`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Crowded:
    """No further answer can wait: it is given at once, and asks for a pause instead."""

    retry_after: int


class Slowdown:
    """The bad tokens of each address, as far as they still count."""

    def __init__(self, *, free: int, places: int = PLACES, addresses: int = ADDRESSES) -> None:
        self._free = free
        self._places = places
        self._addresses = addresses
        self._waiting = 0
        self._strikes: OrderedDict[str, deque[float]] = OrderedDict()

    def strike(self, address: str, now: float) -> Pause | Crowded:
        """Count one bad token of an address."""
        strikes = self._strikes.pop(address, None) or deque[float](maxlen=self._free + _STEPS)
        self._strikes[address] = strikes  # now the newest
        if len(self._strikes) > self._addresses:
            self._strikes.popitem(last=False)
        strikes.append(now)
        beyond = _recent(strikes, now) - self._free
        if beyond <= 0:
            return Pause(0.0)
        if self._waiting >= self._places:
            return Crowded(math.ceil(LONGEST))
        self._waiting += 1
        return Pause(min(beyond * STEP, LONGEST))

    def leave(self) -> None:
        """An answer that waited was given, or nobody wants it any more."""
        self._waiting -= 1

    def is_suspect(self, address: str, now: float) -> bool:
        """Whether an address has used up what is free."""
        strikes = self._strikes.get(address)
        return strikes is not None and _recent(strikes, now) >= max(self._free, 1)


def _recent(strikes: deque[float], now: float) -> int:
    while strikes and strikes[0] <= now - WINDOW:
        strikes.popleft()
    return len(strikes)
