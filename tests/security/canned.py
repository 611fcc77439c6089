"""A transport with one canned answer in the place of aiohttp's session: answers by the thousand, without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from aiohttp import ClientSession
from multidict import CIMultiDict


@dataclass(slots=True)
class Reply:
    """Status, headers and body as the session gives them."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"{}"


@dataclass(slots=True)
class _Body:
    raw: bytes

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        for at in range(0, len(self.raw), size):
            yield self.raw[at : at + size]


@dataclass(slots=True)
class _Response:
    status: int
    headers: CIMultiDict[str]
    content: _Body

    def close(self) -> None:
        """Nothing is open."""


@dataclass(slots=True)
class Canned:
    """Answers each request with the next reply, and from then on with the last."""

    replies: Sequence[Reply] = ()
    asked: list[str] = field(default_factory=list)
    options: list[Mapping[str, Any]] = field(default_factory=list)
    closed: bool = False

    @asynccontextmanager
    async def request(self, _method: str, url: object, **options: Any) -> AsyncIterator[_Response]:
        reply = self.replies[min(len(self.asked), len(self.replies) - 1)]
        self.asked.append(str(url))
        self.options.append(options)
        yield _Response(reply.status, CIMultiDict(reply.headers), _Body(reply.body))

    def as_session(self) -> ClientSession:
        """The same for those who want the type."""
        return cast(ClientSession, self)
