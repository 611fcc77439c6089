"""What is old goes: contents of requests past their time, people nobody shows, memories that have done their work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from adapters.base import ChannelName
from identity.resolver import KEPT_SECONDS
from notify.emptying import empty_old
from notify.piecemeal import AT_ONCE, piece, until_done
from storage import inbox, leftovers, misses, requests, used_tokens
from storage.engine import UNAVAILABLE, Database, describe
from storage.persons import Somebody

log = logging.getLogger("herald.housekeeping")

EVERY_SECONDS = 3600.0
SMALL_ONES = 1000  # rows of a few bytes, found by looking through a table: few looks are better than many
LOOKED_AT = 1000  # people read at once
SECONDS_PER_DAY = 86_400.0
INBOX_SECONDS: Mapping[ChannelName, float] = {
    ChannelName.SLACK: 4 * 3600.0,  # Slack drops what it could not deliver within two hours
    ChannelName.MSTEAMS: 7 * SECONDS_PER_DAY,  # so long an answer or a receipt may name a person's own message
}


@dataclass(frozen=True, slots=True)
class Tidied:
    """What one round came to."""

    requests: int  # emptied
    people: int  # rows about people of tenants that removed the app, and people whom nobody shows


async def keep_house(database: Database, *, days: float, key: bytes, clock: Callable[[], float]) -> None:
    """Tidy once an hour, for as long as the server runs."""
    while True:
        try:
            await tidy(database, days=days, key=key, now=clock())
        except UNAVAILABLE as error:
            log.error("tidying failed", extra={"action": "database_unavailable", "error": describe(error)})
        except Exception:
            log.exception("tidying failed", extra={"action": "round_failed", "round": "tidying"})
        await asyncio.sleep(EVERY_SECONDS)


async def tidy(database: Database, *, days: float, key: bytes, now: float) -> Tidied:
    """One round; `key` makes the hashes that stay."""
    kept = days * SECONDS_PER_DAY
    await _forget_memories(database, now)
    people = await _forget_tenants(database, now - kept)
    people += await _forget_people(database, now - max(kept, KEPT_SECONDS))  # so long one is used unconfirmed
    emptied = await empty_old(database, closed_before=now - kept, key=key, now=now)  # last: it may take hours
    await database.empty_log()
    if emptied:
        log.info("old requests emptied", extra={"action": "requests_purged", "count": emptied})
    if people:
        log.info("people forgotten", extra={"action": "people_forgotten", "count": people})
    return Tidied(emptied, people)


async def _forget_memories(database: Database, now: float) -> None:
    for channel, seconds in INBOX_SECONDS.items():
        await until_done(
            database, partial(inbox.forget_before, moment=now - seconds, channel=channel, limit=SMALL_ONES)
        )
    await until_done(database, partial(used_tokens.forget_before, moment=now, limit=SMALL_ONES))
    await until_done(database, partial(requests.purge_answers, now=now, limit=AT_ONCE))
    await until_done(database, partial(misses.forget, now=now, limit=SMALL_ONES))


async def _forget_tenants(database: Database, removed_before: float) -> int:
    async with database.read() as tx:
        tenants = await leftovers.abandoned(tx, removed_before=removed_before)
    count = 0
    for tenant in tenants:
        work = partial(leftovers.forget_tenant, key=tenant, removed_before=removed_before, limit=AT_ONCE)
        count += await until_done(database, work)
    return count


async def _forget_people(database: Database, before: float) -> int:
    """They are looked for outside the writing transactions: no index says who was not seen for long."""
    count = 0
    async with database.read() as tx:
        unseen = await leftovers.unseen(tx, before=before, limit=LOOKED_AT)
        unused = await leftovers.unused(tx, before=before, limit=LOOKED_AT)
    for some in _pieces(unseen):
        count += await piece(database, partial(leftovers.forget_unseen, persons=some, before=before))
    for some in _pieces(unused):
        count += await piece(database, partial(leftovers.forget_unused, persons=some, before=before))
    return count


def _pieces(persons: Sequence[Somebody]) -> list[Sequence[Somebody]]:
    return [persons[start : start + AT_ONCE] for start in range(0, len(persons), AT_ONCE)]
