"""The control of the local platforms, as a program would use it: plain JSON over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp

from console.commands.demo.verdict import Message
from console.commands.tools import Trouble

TIMEOUT = aiohttp.ClientTimeout(total=120, connect=10)


class LocalPlatforms:
    """Slack and Teams on this machine."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self.url = url

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Self]:
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
            yield cls(session, url)

    @property
    def page(self) -> str:
        """Where a person can look at them."""
        return f"{self.url}/_sim"

    async def get(self, path: str) -> Any:
        """The answer of a control route."""
        return await self._call("GET", path, None)

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Tell a control route something."""
        return await self._call("POST", path, body)

    async def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Change something by a control route."""
        return await self._call("PATCH", path, body)

    async def calls(self, platform: str, operation: str) -> int:
        """How often an operation was called."""
        rows = await self._counters()
        return sum(row["calls"] for row in rows if (row["platform"], row["operation"]) == (platform, operation))

    async def refused_for_speed(self, platforms: Sequence[str]) -> int:
        """How many calls got 429."""
        return sum(row["throttled"] for row in await self._counters() if row["platform"] in platforms)

    async def mailboxes(self, platform: str) -> list[Message]:
        """Every message that really arrived."""
        found = await self.get(f"/mailboxes?platform={platform}")
        return [Message(each["email"] or each["user_id"], str(each["body"].get("text"))) for each in found["messages"]]

    async def _counters(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await self.get("/counters"))["counters"]
        return rows

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        try:
            async with self._session.request(method, f"{self.page}{path}", json=body) as answer:
                if answer.status >= 400:
                    said = (await answer.text())[:300]
                    raise Trouble(f"The local platforms refused {method} {path} ({answer.status}): {said}")
                return await answer.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Trouble(f"The local platforms do not answer ({type(error).__name__}).") from error
