"""A stub of Slack and our side of it, on each database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from storage.engine import Database
from tests.integration.slack.kit import SlackSide, StubSlack, slack_side, stub_slack


@pytest.fixture
async def stub() -> AsyncIterator[StubSlack]:
    async with stub_slack() as running:
        yield running


@pytest.fixture
async def side(database: Database, stub: StubSlack) -> AsyncIterator[SlackSide]:
    async with slack_side(database, stub.url) as made:
        yield made
