"""Processes that die, against platforms that remember.

Starting processes is slow, so a plain run visits each moment on SQLite; `HERALD_CRASH_DATABASES=postgresql` (or
`sqlite,postgresql`) chooses, and `.ci/run` visits them all on both.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.crash.child import Servers, servers
from tests.crash.judge import Scene
from tests.harness.platforms import CHANNELS, Platforms, simulated
from tests.scenario.conftest import canary

__all__ = ["canary"]


@pytest.fixture(params=os.environ.get("HERALD_CRASH_DATABASES", "sqlite").split(","))
def database_kind(request: pytest.FixtureRequest) -> str:
    """The engines of this run."""
    kind: str = request.param
    return kind


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
async def processes(tmp_path: Path) -> AsyncIterator[Servers]:
    """Starts processes; ends those that are left."""
    async with servers(tmp_path) as opened:
        yield opened


@pytest.fixture
def scene(channel: str, platforms: Platforms, processes: Servers, tmp_path: Path, database_url: str) -> Scene:
    """One channel, one database, one simulator."""
    return Scene(channel, platforms, processes, tmp_path, database_url)
