"""How many members each tenant has under an e-mail's domain, as far as they are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import Lane
from storage import directory

MANY: Final = 1000  # who are fewer are counted each time, which costs nothing
COUNT_SECONDS: Final = 5 * 60.0  # so long the count of many is believed


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
        self._counts |= {
            (lane.bot, lane.channel, domain): _Count(now, members)
            for domain, members in fresh.items()
            if sum(members.values()) >= MANY
        }
        return found | fresh
