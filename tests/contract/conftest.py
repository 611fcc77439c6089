"""The API's face on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.face import Face, running


@pytest.fixture
async def face() -> AsyncIterator[Face]:
    """A server with two bots, three clients and requests in memory."""
    async with running() as opened:
        yield opened
