"""PURE: whose call it is, when trusted proxies stand between the caller and us.

    X-Forwarded-For: what the caller wrote, the caller, outer proxy      <- the connection comes from the inner proxy

Each proxy appends whom it heard, so only the right end is known: the first address from there that is no trusted
proxy's is the caller's, and everything left of it is the caller's own invention. It is never read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from itertools import islice
from typing import Final

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

MOST_HOPS: Final = 16
_LONGEST: Final = 80  # an IPv6 address with brackets, zone and port
_BRACKETED: Final = re.compile(r"\[([^\[\]]*)\](?::[0-9]{1,5})?")
_WITH_PORT: Final = re.compile(r"([0-9.]+):[0-9]{1,5}")


def caller(peer: str | None, forwarded: Sequence[str], trusted: Sequence[Network]) -> str | None:
    """The caller's address; the peer's own whenever the headers are not to be believed or say nothing sure."""
    if not is_trusted(peer, trusted):
        return peer
    farthest = None
    for hop in islice(_from_the_right(forwarded), MOST_HOPS):
        address = _address(hop)
        if address is None:
            return peer
        farthest = str(address)
        if not _within(address, trusted):
            return farthest
    return farthest or peer


def is_trusted(peer: str | None, trusted: Sequence[Network]) -> bool:
    """Whether the other end of the connection is a proxy whose word counts."""
    address = None if peer is None else _address(peer)
    return address is not None and _within(address, trusted)


def _from_the_right(forwarded: Sequence[str]) -> Iterator[str]:
    """The hops of all headers as of one, the nearest first (RFC 9110 section 5.3: several are one, in their order)."""
    for header in reversed(forwarded):
        yield from reversed(header.rsplit(",", MOST_HOPS))


def _address(hop: str) -> Address | None:
    """An address as proxies write it: alone, with a port, in brackets, with a zone; None for anything else."""
    text = hop.strip(" \t")
    if len(text) > _LONGEST:
        return None
    found = _BRACKETED.fullmatch(text) or _WITH_PORT.fullmatch(text)
    bare = (found[1] if found else text).partition("%")[0]  # a zone means something to the proxy alone
    try:
        address = ip_address(bare)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
