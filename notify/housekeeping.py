"""What is old goes: closed requests past their retention, and the memories that have done their work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from adapters.base import ChannelName
from storage import failpoints, inbox, misses, requests, used_tokens
from storage.engine import UNAVAILABLE, Database, describe

log = logging.getLogger("herald.housekeeping")

EVERY_SECONDS = 3600.0
AT_ONCE = 20  # requests deleted in one transaction, so that nobody waits for it
SECONDS_PER_DAY = 86_400.0
INBOX_SECONDS: Mapping[ChannelName, float] = {
    ChannelName.SLACK: 4 * 3600.0,  # Slack drops what it could not deliver within two hours
    ChannelName.MSTEAMS: 7 * SECONDS_PER_DAY,  # so long an answer or a receipt may name a person's own message
}


async def keep_house(database: Database, *, retention_days: float, clock: Callable[[], float]) -> None:
    """Tidy once an hour, for as long as the server runs."""
    while True:
        try:
            await tidy(database, retention_days=retention_days, now=clock())
        except UNAVAILABLE as error:
            log.error("tidying failed", extra={"action": "database_unavailable", "error": describe(error)})
        except Exception:
            log.exception("tidying failed", extra={"action": "round_failed", "round": "tidying"})
        await asyncio.sleep(EVERY_SECONDS)


async def tidy(database: Database, *, retention_days: float, now: float) -> int:
    """One round; returns the number of requests deleted."""
    async with database.write() as tx:
        for channel, seconds in INBOX_SECONDS.items():
            await inbox.forget_before(tx, now - seconds, channel=channel)
        await used_tokens.forget_before(tx, now)
        await requests.purge_answers(tx, now)
        await misses.forget(tx, now)
    deleted = 0
    while True:
        async with database.write() as tx:
            count = await requests.purge(tx, closed_before=now - retention_days * SECONDS_PER_DAY, limit=AT_ONCE)
            failpoints.reach("purge.before_commit")
        deleted += count
        if count < AT_ONCE:
            break
    if deleted:
        log.info("old requests deleted", extra={"action": "requests_purged", "count": deleted})
    return deleted
