"""How often a bot's callers may call: rolling windows of a minute and an hour, one counter for all calls of a bot.

PURE: the clock (monotonic seconds) is an argument. Refused calls are not counted. The windows live in this process.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MINUTE: Final = 60.0
HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Exceeded:
    """Which window is full, and in how many whole seconds a call would pass."""

    hourly: bool
    retry_after: int


@dataclass(frozen=True, slots=True)
class Window:
    """One window as it stands: how many calls it still has, and in how many whole seconds one more."""

    name: str
    limit: int
    seconds: int
    left: int
    more_in: int


class Quota:
    """The windows of every bot."""

    def __init__(self, *, per_minute: int, per_hour: int) -> None:
        self._per_minute = per_minute
        self._per_hour = per_hour
        self._calls: dict[str, deque[float]] = {}

    def take(self, bot: str, now: float) -> Exceeded | None:
        """Count one call of a bot, unless a window is full. The hour speaks first when both are."""
        calls = self._calls.setdefault(bot, deque())
        while calls and calls[0] <= now - HOUR:
            calls.popleft()
        hour = self._wait(calls, self._per_hour, HOUR, now)
        minute = self._wait(calls, self._per_minute, MINUTE, now)
        if hour or minute:
            return Exceeded(hourly=hour > 0, retry_after=math.ceil(max(hour, minute)))
        calls.append(now)
        return None

    def left(self, bot: str, now: float) -> tuple[Window, ...]:
        """Both windows of a bot."""
        calls = self._calls.get(bot, deque())
        return (
            self._window("minute", calls, self._per_minute, MINUTE, now),
            self._window("hour", calls, self._per_hour, HOUR, now),
        )

    @staticmethod
    def _window(name: str, calls: deque[float], limit: int, window: float, now: float) -> Window:
        inside = len(calls) - bisect_right(calls, now - window)
        oldest = calls[-inside] if inside else now - window
        return Window(name, limit, int(window), max(limit - inside, 0), math.ceil(oldest + window - now))

    @staticmethod
    def _wait(calls: deque[float], limit: int, window: float, now: float) -> float:
        """Seconds until the window has room: until the `limit`-th newest call leaves it."""
        if len(calls) < limit:
            return 0.0
        return max(calls[-limit] + window - now, 0.0)


def quota_headers(windows: Iterable[Window]) -> dict[str, str]:
    """`RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers."""
    given = list(windows)
    return {
        "RateLimit-Policy": ", ".join(f'"{each.name}";q={each.limit};w={each.seconds}' for each in given),
        "RateLimit": ", ".join(f'"{each.name}";r={each.left};t={each.more_in}' for each in given),
    }
