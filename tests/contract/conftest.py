"""The API's face on a real server; and a whole Herald with the platforms, for what only a delivery shows."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.face import Face, running
from tests.scenario.conftest import canary, channel, herald, platforms, starting

__all__ = ["canary", "channel", "face", "herald", "platforms", "starting"]


@pytest.fixture
async def face() -> AsyncIterator[Face]:
    """A server with two bots, three clients and requests in memory."""
    async with running() as opened:
        yield opened
