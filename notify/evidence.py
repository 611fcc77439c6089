"""Late evidence: a reply, a button, a reaction or a read receipt proves that an unclear delivery arrived.

What was pressed is recorded on the delivery afterwards, so that a press can prove its message and be kept.

After an unclear answer we do not know the platform's id of the message. Both platforms put the moment of storing
into the id (Teams: milliseconds, Slack: seconds with fraction), so an id that belongs to no delivery we know, in the
same conversation, made between the start of our call and the end of its deadline, is the message we look for; if two
deliveries could claim it, neither does.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import ChannelName
from adapters.evidence import Evidence
from notify import responses
from notify.ids import new_id
from storage import deliveries, requests

log = logging.getLogger("herald.evidence")

SKEW_SECONDS = 5.0  # between the platform's clock and ours
CALL_SECONDS = 60.0  # a call that was written is stored within its deadline, or not at all


def stored_at(channel: ChannelName, message_id: str) -> float | None:
    """When the platform stored a message, by its id; epoch seconds."""
    try:
        moment = float(message_id)
    except ValueError:
        return None
    if not math.isfinite(moment):
        return None
    return moment / 1000.0 if channel is ChannelName.MSTEAMS else moment


class EvidenceBook:
    """Takes evidence inside the transaction that stores the event; an `adapters.evidence.EvidenceSink`."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._now = clock

    async def __call__(self, tx: AsyncConnection, evidence: Evidence) -> None:
        """Turn the one delivery that the evidence proves into sent, and record what was pressed."""
        await self._prove(tx, evidence)
        await responses.take(tx, evidence)

    async def _prove(self, tx: AsyncConnection, evidence: Evidence) -> None:
        if evidence.message_id is None:
            return
        moment = stored_at(evidence.channel, evidence.message_id)
        if moment is None:
            return
        lane = {"bot_id": evidence.bot, "channel": str(evidence.channel), "tenant_id": evidence.tenant}
        if await deliveries.is_known_message(tx, **lane, message_id=evidence.message_id):
            return
        rows = await deliveries.in_doubt(
            tx,
            **lane,
            user_id=evidence.user_id,
            conversation_id=evidence.conversation_id,
            earliest=moment - CALL_SECONDS,
            latest=moment + SKEW_SECONDS,
        )
        if len(rows) != 1:
            return
        await self._settle(tx, rows[0], evidence)

    async def _settle(self, tx: AsyncConnection, row: deliveries.DoubtfulRow, evidence: Evidence) -> None:
        now = self._now()
        message_id = evidence.message_id or ""
        if not await deliveries.prove(tx, row.id, was=row.state, message_id=message_id, store_id=new_id("ms"), now=now):
            return
        weight = 1 + row.copies
        if row.state == "uncertain":
            await requests.count_results(tx, {row.request_id: (weight, weight)}, now=now)
        else:
            await requests.recount(tx, row.request_id, now=now, succeeded=weight)
        log.info(
            "evidence", extra={"action": "evidence_found", "delivery": row.id, "kind": evidence.kind, "was": row.state}
        )
