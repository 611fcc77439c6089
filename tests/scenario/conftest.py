"""A whole Herald against the simulated platforms, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from simulator.teams.apps import DEFAULT_MULTI_TENANT_APP_ID
from simulator.teams.people import tenant_id
from tests.harness.canaries import Watch, watching
from tests.harness.herald import (
    MULTI_TENANT,
    Child,
    Herald,
    Json,
    bot,
    children,
    served,
    settings,
    slack_oauth,
    teams_side,
    write_settings,
)
from tests.harness.platforms import CHANNELS, MSTEAMS, Platforms, simulated, workspace_id

Starting = Callable[..., AbstractAsyncContextManager[Herald]]
StartingChildren = Callable[..., AbstractAsyncContextManager[Child]]


@pytest.fixture(autouse=True)
def canary() -> Iterator[Watch]:
    """S12: whatever a test of this folder is about, nothing that Herald writes in it holds a canary."""
    with watching() as watch:
        yield watch
    assert [] == watch.leaks()


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
async def big() -> AsyncIterator[Platforms]:
    """One tenant, one workspace, 1000 people."""
    async with simulated(people=1000) as opened:
        yield opened


@pytest.fixture
async def pair() -> AsyncIterator[Platforms]:
    """Two tenants and two workspaces that know nothing of each other."""
    async with simulated(tenants=2, workspaces=2, people=20) as opened:
        yield opened


@pytest.fixture
def starting(database_url: str, tmp_path: Path, canary: Watch) -> Iterator[Starting]:
    """Starts Herald against given platforms: `starting(platforms, *bots, **sections of the settings)`."""

    def start(platforms: Platforms, *bots: Json, **sections: Any) -> AbstractAsyncContextManager[Herald]:
        return served(write_settings(tmp_path, settings(platforms, database_url, *bots, **sections)))

    yield start
    assert [] == canary.stored(database_url)


@pytest.fixture
def starting_children(database_url: str, tmp_path: Path, canary: Watch) -> Iterator[StartingChildren]:
    """The same as child processes."""

    def start(platforms: Platforms, *bots: Json, **sections: Any) -> AbstractAsyncContextManager[Child]:
        return children(write_settings(tmp_path, settings(platforms, database_url, *bots, **sections)))

    yield start
    assert [] == canary.stored(database_url)


@pytest.fixture
async def herald(platforms: Platforms, starting: Starting) -> AsyncIterator[Herald]:
    """A Herald with one bot on both channels: Slack by its bot token, Teams in its home tenant by a setup policy."""
    async with starting(platforms) as opened:
        await opened.connect(platforms)
        await platforms.teams_setup_policy()
        yield opened


Two = Callable[[str], AbstractAsyncContextManager[Herald]]


@pytest.fixture
def two(pair: Platforms, starting: Starting) -> Two:
    """Starts a Herald whose one bot is installed in two tenants of the given channel, through the real flows."""

    @asynccontextmanager
    async def start(channel: str) -> AsyncIterator[Herald]:
        on_teams = channel == MSTEAMS
        notifier = bot(msteams=teams_side(**MULTI_TENANT)) if on_teams else bot(slack=slack_oauth())
        async with starting(pair, notifier) as opened:
            await opened.connect(pair, channel, teams_app=DEFAULT_MULTI_TENANT_APP_ID)
            for number in (0, 1):
                if on_teams:
                    place = {"app_id": DEFAULT_MULTI_TENANT_APP_ID, "tenant": tenant_id(number)}
                    await pair.teams_install(pair.emails(20, number), **place)
                else:
                    await opened.install_slack(pair, team=workspace_id(number))
            await opened.idle()
            yield opened

    return start
