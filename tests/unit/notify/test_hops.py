"""Whose call it is, behind proxies that are trusted and proxies that are not."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notify import hops

PROXIES = tuple(map(ip_network, ("127.0.0.0/8", "10.0.0.0/8", "::1", "fd00::/8")))


@pytest.mark.parametrize(
    ("expected", "peer", "forwarded"),
    [
        ("192.0.2.7", "127.0.0.1", ["192.0.2.7"]),
        ("192.0.2.7", "127.0.0.1", ["192.0.2.7, 10.1.1.1"]),
        ("192.0.2.7", "127.0.0.1", ["203.0.113.9, 192.0.2.7, 10.1.1.1, 10.1.1.2"]),
        ("192.0.2.7", "127.0.0.1", ["203.0.113.9", "192.0.2.7", "10.1.1.1"]),
        ("192.0.2.7", "127.0.0.1", ["<script>,,, , 192.0.2.7"]),
        ("192.0.2.7", "127.0.0.1", ["192.0.2.7:4711"]),
        ("192.0.2.7", "127.0.0.1", ["\t192.0.2.7 "]),
        ("192.0.2.7", "127.0.0.1", ["::ffff:192.0.2.7"]),
        ("192.0.2.7", "::ffff:127.0.0.1", ["192.0.2.7"]),
        ("192.0.2.7", "::1", ["192.0.2.7, [fd00::2%eth0]:443, fd00::1%0"]),
        ("2001:db8::1", "::1", ["2001:db8::1"]),
        ("2001:db8::1", "::1", ["[2001:DB8:0::1]"]),
        ("2001:db8::1", "::1", ["[2001:db8::1]:65535"]),
        ("fe80::1", "::1", ["fe80::1%<script>"]),
        ("10.1.1.2", "127.0.0.1", ["10.1.1.2, 10.1.1.1"]),
        ("127.0.0.1", "127.0.0.1", []),
    ],
)
def test_believed(expected: str, peer: str, forwarded: list[str]) -> None:
    """The first address from the right that is no trusted proxy's, in its usual spelling; of many headers as of one."""
    assert expected == hops.caller(peer, forwarded, PROXIES)


@pytest.mark.parametrize(
    "hop",
    [
        "", " ", "unknown", "_hidden", "192.0.2", "192.0.2.7.1", "192.0.2.07", "192.0.2.7:", "192.0.2.7:port",
        "192.0.2.7/24",
        "[192.0.2.7", "[[::2]]", "[::2]443", "::2]:443", "192.0.2.7;by=1", "for=192.0.2.7", '"192.0.2.7"',
        "192.0.2.7 10.1.1.1",
        "１９２.0.2.7", "0x7f.1", "2130706433", "a" * 10_000, "%eth0", "192.0.2.7\n", "\x00",
    ],
)  # fmt: skip
def test_malformed(hop: str) -> None:
    """What is no address, where one must stand, makes it the proxy's own call; nothing left of it counts."""
    assert hops.caller("10.0.0.1", [f"192.0.2.9, {hop}"], PROXIES) == "10.0.0.1"


@pytest.mark.parametrize("peer", ["192.0.2.1", "2001:db8::5", "", "/run/herald.sock", None])
def test_strangers(peer: str | None) -> None:
    """Whoever connects without being a trusted proxy is the caller, whatever the headers say."""
    assert peer == hops.caller(peer, ["127.0.0.1"], PROXIES)
    assert hops.caller("127.0.0.1", ["192.0.2.7"], ()) == "127.0.0.1"


def test_endless() -> None:
    """Sixteen proxies are the most that are walked over, so that a long header costs nothing."""
    assert hops.caller("127.0.0.1", ["192.0.2.7" + ",10.0.0.1" * 15], PROXIES) == "192.0.2.7"
    assert hops.caller("127.0.0.1", ["192.0.2.7" + ",10.0.0.1" * 16], PROXIES) == "10.0.0.1"
    assert hops.caller("127.0.0.1", ["192.0.2.7"] + ["10.0.0.1"] * 100_000, PROXIES) == "10.0.0.1"


@settings(max_examples=60)
@given(st.lists(st.text(max_size=40), max_size=4), st.text(max_size=60))
def test_invented(headers: list[str], left: str) -> None:
    """Nothing that a caller writes changes what the proxies saw."""
    assert hops.caller("127.0.0.1", [*headers, f"{left}, 192.0.2.7, 10.0.0.1"], PROXIES) == "192.0.2.7"
