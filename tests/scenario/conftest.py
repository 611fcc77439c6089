"""A whole Herald against the simulated platforms, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.harness.herald import Child, Herald, Json, children, served, settings, write_settings
from tests.harness.platforms import CHANNELS, Platforms, simulated

Starting = Callable[..., AbstractAsyncContextManager[Herald]]
StartingChildren = Callable[..., AbstractAsyncContextManager[Child]]


@pytest.fixture(params=CHANNELS)
def channel(request: pytest.FixtureRequest) -> str:
    """Each test that asks for a channel runs once on each."""
    name: str = request.param
    return name


@pytest.fixture
async def platforms() -> AsyncIterator[Platforms]:
    """One tenant, one workspace, 100 people, no limits."""
    async with simulated() as opened:
        yield opened


@pytest.fixture
async def pair() -> AsyncIterator[Platforms]:
    """Two tenants and two workspaces that know nothing of each other."""
    async with simulated(tenants=2, workspaces=2, people=20) as opened:
        yield opened


@pytest.fixture
def starting(database_url: str, tmp_path: Path) -> Starting:
    """Starts Herald against given platforms: `starting(platforms, *bots, **sections of the settings)`."""

    def start(platforms: Platforms, *bots: Json, **sections: Any) -> AbstractAsyncContextManager[Herald]:
        return served(write_settings(tmp_path, settings(platforms, database_url, *bots, **sections)))

    return start


@pytest.fixture
def starting_children(database_url: str, tmp_path: Path) -> StartingChildren:
    """The same as child processes."""

    def start(platforms: Platforms, *bots: Json, **sections: Any) -> AbstractAsyncContextManager[Child]:
        return children(write_settings(tmp_path, settings(platforms, database_url, *bots, **sections)))

    return start


@pytest.fixture
async def herald(platforms: Platforms, starting: Starting) -> AsyncIterator[Herald]:
    """A Herald with one bot on both channels: Slack by its bot token, Teams in its home tenant."""
    async with starting(platforms) as opened:
        await opened.connect(platforms)
        yield opened
