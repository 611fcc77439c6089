"""Who called what how often: the rate oracle of tests and benchmarks."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

ARRIVALS_KEPT = 100_000


@dataclass(slots=True)
class Tally:
    """Calls of one operation of one tenant."""

    calls: int = 0
    throttled: int = 0
    arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=ARRIVALS_KEPT))


class Counters:
    """Calls and 429s by (platform, operation, tenant), with the newest arrival times."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str, str], Tally] = {}

    def call(self, platform: str, operation: str, tenant: str, at: float) -> Tally:
        """Count one arrival (monotonic time) and return its tally."""
        key = (platform, operation, tenant)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = Tally()
        tally.calls += 1
        tally.arrivals.append(at)
        return tally

    def throttle(self, platform: str, operation: str, tenant: str) -> None:
        """Count one 429 of a call that was counted before."""
        self._tallies[(platform, operation, tenant)].throttled += 1

    def of(self, platform: str, operation: str, tenant: str) -> Tally:
        """The tally of one key; empty when nothing called it."""
        return self._tallies.get((platform, operation, tenant)) or Tally()

    def total(self, platform: str, operation: str) -> Tally:
        """Calls and 429s of one operation over all tenants, without arrivals."""
        found = [tally for key, tally in self._tallies.items() if key[:2] == (platform, operation)]
        return Tally(sum(tally.calls for tally in found), sum(tally.throttled for tally in found))

    def clear(self) -> None:
        """Start counting anew."""
        self._tallies.clear()

    def as_json(self, arrivals: bool = False) -> list[dict[str, Any]]:
        """One row for each key."""
        rows = []
        for (platform, operation, tenant), tally in sorted(self._tallies.items()):
            row: dict[str, Any] = {
                "platform": platform,
                "operation": operation,
                "tenant": tenant,
                "calls": tally.calls,
                "throttled": tally.throttled,
            }
            if arrivals:
                row["arrivals"] = list(tally.arrivals)
            rows.append(row)
        return rows
