"""How many members each tenant has under an e-mail's domain, as far as they are known; counted now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import Lane
from storage import directory

COUNT_SECONDS: Final = 5 * 60.0  # so long a count is believed
COUNTS_MOST: Final = 10_000  # in memory


@dataclass(frozen=True, slots=True)
class _Count:
    at: float
    members: Mapping[str, int]  # by tenant


class Domains:
    """The counts of one process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._now = clock
        self._counts: dict[tuple[str, str, str], _Count] = {}

    async def members(
        self, tx: AsyncConnection, lane: Lane, addresses: Iterable[str]
    ) -> Mapping[str, Mapping[str, int]]:
        """For each domain among these e-mails: the members of each tenant of the bot."""
        now = self._now()
        domains = {domain for address in addresses if (domain := directory.domain_of(address))}
        found: dict[str, Mapping[str, int]] = {}
        for domain in domains:
            count = self._counts.get((lane.bot, lane.channel, domain))
            if count is not None and abs(now - count.at) <= COUNT_SECONDS:
                found[domain] = count.members
        fresh = await directory.members_by_domain(
            tx, bot_id=lane.bot, channel=lane.channel, domains=sorted(domains - found.keys())
        )
        if len(self._counts) + len(fresh) > COUNTS_MOST:
            self._counts.clear()
        for domain, members in fresh.items():
            found[domain] = members
            self._counts[lane.bot, lane.channel, domain] = _Count(now, members)
        return found
