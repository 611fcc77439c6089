"""Exact rate limits: sliding windows and a token bucket, both in injected time.

The platforms' numbers stand in `simulator/slack/limits.py` and `simulator/teams/limits.py`.
"""

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `limit` units in any `seconds`."""

    limit: int
    seconds: float


class Window:
    """An exact sliding window: at most `limit` units in any span of `seconds`. What is refused does not count."""

    __slots__ = ("_taken", "_used", "limit", "seconds")

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self._taken: deque[tuple[float, int]] = deque()
        self._used = 0

    def wait(self, now: float, cost: int = 1) -> float:
        """Seconds until `cost` units fit; 0.0 when they fit now."""
        while self._taken and self._taken[0][0] + self.seconds <= now:
            self._used -= self._taken.popleft()[1]
        excess = self._used + cost - self.limit
        if excess <= 0:
            return 0.0
        for at, units in self._taken:
            excess -= units
            if excess <= 0:
                return at + self.seconds - now
        return self.seconds

    def take(self, now: float, cost: int = 1) -> None:
        """Count `cost` units at this moment."""
        self._taken.append((now, cost))
        self._used += cost


class Limiter:
    """Windows by key. A call passes when every window of its key has room, and only then counts in all of them."""

    def __init__(self) -> None:
        self.enabled = True
        self._windows: dict[Hashable, list[Window]] = {}

    def take(self, key: tuple[Hashable, ...], rates: Sequence[Rate], now: float, cost: int = 1) -> float | None:
        """None when the call passes, else the seconds after which it would (Retry-After, unrounded)."""
        if not self.enabled:
            return None
        windows = self._windows.get(key)
        if windows is None:
            windows = self._windows[key] = [Window(rate.limit, rate.seconds) for rate in rates]
        wait = 0.0
        for window in windows:
            wait = max(wait, window.wait(now, cost))
        if wait > 0:
            return wait
        for window in windows:
            window.take(now, cost)
        return None

    def clear(self) -> None:
        """Forget everything that was counted."""
        self._windows.clear()


class Bucket:
    """A token bucket: `burst` at once, refilled with `rate` tokens a second."""

    __slots__ = ("_level", "_seen", "burst", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._level = burst
        self._seen: float | None = None

    def take(self, now: float) -> float | None:
        """None when a token was there, else the seconds until there will be one."""
        if self._seen is not None:
            self._level = min(self.burst, self._level + (now - self._seen) * self.rate)
        self._seen = now
        if self._level >= 1 - 1e-9:
            self._level -= 1
            return None
        return (1 - self._level) / self.rate

    def give_back(self) -> None:
        """Return the token of a call that another limit refused."""
        self._level = min(self.burst, self._level + 1)
