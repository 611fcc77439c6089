"""Which refusals are written to the log: the first few of an address in a minute; the rest is one line with a count.

PURE: the clock (monotonic seconds) is an argument.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

WINDOW: Final = 60.0
LINES: Final = 5
ADDRESSES: Final = 1_000


@dataclass(slots=True)
class _Count:
    since: float
    seen: int = 0


class Tally:
    """The refusals of each address in its minute, which begins with the first of them."""

    def __init__(self, *, lines: int = LINES, addresses: int = ADDRESSES, window: float = WINDOW) -> None:
        self._lines = lines
        self._addresses = addresses
        self._window = window
        self._counts: OrderedDict[str, _Count] = OrderedDict()  # in the order in which the minutes began
        self._unlisted = _Count(0.0)

    def tell(self, address: str, now: float) -> bool:
        """Count one refusal: whether it gets a line of its own."""
        count = self._counts.get(address)
        if count is None:
            if len(self._counts) >= self._addresses:
                self._unlisted.seen += 1
                return False
            count = self._counts[address] = _Count(now)
        count.seen += 1
        return count.seen <= self._lines

    def due(self, now: float) -> Iterator[tuple[str | None, int]]:
        """Forget the minutes that are over; yields address and number of the refusals that got no line.

        Without an address: of all the addresses together that came when there was no room for more.
        """
        while self._counts:
            address, count = next(iter(self._counts.items()))
            if count.since > now - self._window:
                break
            del self._counts[address]
            if count.seen > self._lines:
                yield address, count.seen - self._lines
        if self._unlisted.seen and len(self._counts) < self._addresses:
            yield None, self._unlisted.seen
            self._unlisted.seen = 0

    @property
    def next_due(self) -> float | None:
        """When the oldest minute is over; None: nothing is counted."""
        return next((count.since + self._window for count in self._counts.values()), None)


def network(remote: str | None) -> str:
    """The address that counts: of IPv6 the /64, because a household has all of one."""
    try:
        found = ipaddress.ip_address((remote or "").partition("%")[0])
    except ValueError:
        return remote or "unknown"
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))
