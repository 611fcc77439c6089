"""S09: how long the answer to a bad token waits, and how much of it is remembered."""

from __future__ import annotations

import pytest

from adapters.tally import network
from notify.slowdown import WINDOW, Crowded, Pause, Slowdown


def waits(slowdown: Slowdown, count: int, *, address: str = "192.0.2.1", now: float = 0.0) -> list[float]:
    """So many bad tokens at one moment, each of whose answers has been given."""
    found = []
    for _ in range(count):
        verdict = slowdown.strike(address, now)
        assert isinstance(verdict, Pause)
        if verdict.seconds:
            slowdown.leave()
        found.append(verdict.seconds)
    return found


class TestSlowdown:
    def test_grows(self) -> None:
        """S09: ten are free, each further answer waits half a second longer, up to five."""
        assert waits(Slowdown(free=10), 23) == [0.0] * 10 + [each / 2 for each in range(1, 11)] + [5.0] * 3

    def test_a_minute(self) -> None:
        """S09: a bad token counts for a minute, to the moment."""
        early, late = Slowdown(free=2), Slowdown(free=2)
        waits(early, 2)
        waits(late, 2)

        assert waits(early, 1, now=WINDOW - 0.001) == [0.5]
        assert waits(late, 1, now=WINDOW) == [0.0]

    def test_others(self) -> None:
        """S09: one address does not slow another down."""
        slowdown = Slowdown(free=1)
        waits(slowdown, 50)

        assert waits(slowdown, 1, address="192.0.2.2") == [0.0]
        assert slowdown.is_suspect("192.0.2.1", 0.0)
        assert not slowdown.is_suspect("192.0.2.3", 0.0)
        assert not slowdown.is_suspect("192.0.2.1", WINDOW)

    def test_places(self) -> None:
        """S09: so many answers wait and no more; a place that is left is free again."""
        slowdown = Slowdown(free=0, places=2)
        verdicts = [slowdown.strike(f"192.0.2.{number}", 0.0) for number in range(3)]
        slowdown.leave()

        assert verdicts == [Pause(0.5), Pause(0.5), Crowded(5)]
        assert slowdown.strike("192.0.2.9", 0.0) == Pause(0.5)

    def test_memory(self) -> None:
        """S09: the addresses remembered are bounded, and the one that was silent longest is forgotten first."""
        slowdown = Slowdown(free=1, addresses=100)
        for number in range(300):
            waits(slowdown, 1, address=f"192.0.2.{number}")
            waits(slowdown, 1, address="198.51.100.1")

        assert waits(slowdown, 1, address="198.51.100.1") == [5.0]
        assert waits(slowdown, 1, address="192.0.2.299") == [0.5]
        assert waits(slowdown, 1, address="192.0.2.0") == [0.0]

    def test_memory_of_one(self) -> None:
        """S09: a flood from one address takes no more memory than its longest wait needs."""
        slowdown = Slowdown(free=10)
        waits(slowdown, 10_000)

        assert waits(slowdown, 1, now=WINDOW) == [0.0]

    def test_nothing_is_free(self) -> None:
        """Where no bad token is free an address is still above suspicion before its first, and a minute after it."""
        slowdown = Slowdown(free=0)
        before = slowdown.is_suspect("a", 0.0)
        slowdown.strike("a", 0.0)

        assert (False, True, False) == (before, slowdown.is_suspect("a", 1.0), slowdown.is_suspect("a", WINDOW))


@pytest.mark.parametrize(
    ("remote", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("backend", "backend"),
        (None, "unknown"),
        ("", "unknown"),
    ],
)
def test_network(remote: str | None, counted: str) -> None:
    """S09: of IPv6 the /64 counts, and an IPv4 address in IPv6 clothes is that address."""
    assert network(remote) == counted
