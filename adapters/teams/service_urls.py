"""The allow-list of connector addresses. Our bot token goes to whatever service URL an event named, so every URL is
checked when it arrives and again before each use: a stored one may have been poisoned earlier.

One strict spelling is accepted instead of a parser's guess: no userinfo, query, fragment, percent sign, backslash or
non-ASCII character, so no two readers can disagree about the host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_SHAPE: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?P<path>(?:/[A-Za-z0-9._~-]+)*)/?"
)


@dataclass(frozen=True, slots=True)
class _Place:
    scheme: str
    host: str
    port: str | None
    path: tuple[str, ...]

    @classmethod
    def read(cls, url: str) -> _Place | None:
        found = _SHAPE.fullmatch(url) if len(url) <= 512 else None
        if found is None:
            return None
        path = tuple(found["path"].split("/")[1:])
        if "." in path or ".." in path:
            return None
        return cls(found["scheme"], found["host"].lower(), found["port"], path)

    def covers(self, other: _Place) -> bool:
        """Scheme, host and port equal; the path begins with ours by whole segments."""
        return (self.scheme, self.host, self.port) == (other.scheme, other.host, other.port) and (
            other.path[: len(self.path)] == self.path
        )


class ServiceUrls:
    """Which service URLs our token may be sent to.

    Raises ValueError for an entry that is no plain address, or is `http:` or has a port without `allow_http`.
    """

    def __init__(self, allowed: Iterable[str], *, allow_http: bool = False) -> None:
        self._allowed = tuple(_entry(url, allow_http) for url in allowed)

    def permits(self, url: str) -> bool:
        """Whether the URL lies at or below an entry of the list."""
        place = _Place.read(url)
        return place is not None and any(entry.covers(place) for entry in self._allowed)

    def same_host(self, one: str, other: str) -> bool:
        """Whether two URLs name the same connector."""
        left, right = _Place.read(one), _Place.read(other)
        return left is not None and right is not None and (left.host, left.port) == (right.host, right.port)


def _entry(url: str, allow_http: bool) -> _Place:
    place = _Place.read(url)
    if place is None or ((place.scheme == "http" or place.port is not None) and not allow_http):
        raise ValueError(f"service URL {url!r} cannot be allowed: write https://host/path")
    return place
