"""Fixtures of the Teams tests: the stub cloud, the shared session, and both databases from the root conftest."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from tests.integration.teams import kit


@pytest.fixture(name="cloud")
async def _cloud() -> AsyncIterator[kit.Cloud]:
    async with kit.cloud() as stub:
        yield stub


@pytest.fixture(name="session")
async def _session() -> AsyncIterator[ClientSession]:
    async with kit.shared_session() as session:
        yield session
