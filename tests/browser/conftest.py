"""A real browser, and a whole Herald whose messages it looks at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.browser import Page, browser, found
from simulator.mailbox import MessagePlatform
from simulator.pages.page import address_of
from tests.harness.herald import Herald, served, settings, write_settings
from tests.harness.platforms import MSTEAMS, Platforms, simulated


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a browser there is nothing to try, and the run says so."""
    if found() is None:
        here = Path(__file__).parent
        missing = pytest.mark.skip(reason="no Chromium on this machine: apt-get install chromium")
        for item in items:
            if item.path.is_relative_to(here):
                item.add_marker(missing)


@dataclass
class Look:
    """Somebody who looks at the mailboxes."""

    page: Page
    herald: Herald
    platforms: Platforms

    @property
    def email(self) -> str:
        """The person whom everything is sent to."""
        return self.platforms.emails(1)[0]

    async def at(self, channel: str) -> Page:
        """The mailbox of the person on this channel."""
        platform: MessagePlatform = "teams" if channel == MSTEAMS else "slack"
        await self.page.open(f"{self.platforms.url}{address_of(platform, self.email)}")
        return self.page


@pytest.fixture
async def look(tmp_path: Path, sqlite_template: bytes) -> AsyncIterator[Look]:
    """A browser, a Herald on SQLite and the platforms; which database it is shows nowhere on the pages."""
    (tmp_path / "herald.db").write_bytes(sqlite_template)
    async with simulated(people=3) as platforms, browser() as page:
        await platforms.teams_setup_policy()
        path = write_settings(tmp_path, settings(platforms, f"sqlite:///{tmp_path / 'herald.db'}"))
        async with served(path) as herald:
            yield Look(page, herald, platforms)
