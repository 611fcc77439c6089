"""What people pressed, written to the delivery whose message they pressed it in, and read back for callers.

A press names its message, and the message must have gone to the person who pressed, or into the conversation where it
was pressed. A button that speaks for the person (imBack) comes as a plain text, mostly without the message's id: it
belongs to the newest message of that person that has a button with exactly these words, and no other text is kept.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import ChannelName
from adapters.evidence import Evidence, Press
from notify.presses import detail, pressed_by
from notify.records import Response
from storage import responses as store

log = logging.getLogger("herald.responses")

LOOKED_AT: Final = 5  # the newest requests with such buttons in which one with these words is looked for


async def take(tx: AsyncConnection, evidence: Evidence) -> None:
    """Record what was pressed, in the transaction that stores the event."""
    if evidence.presses:
        sent = await _named(tx, evidence)
        if sent is not None:
            for press in evidence.presses:
                await _record(tx, sent, evidence, "button", press)
    elif evidence.said is not None and evidence.channel is ChannelName.MSTEAMS:
        for sent in await _perhaps_named(tx, evidence):
            found = pressed_by(sent.payload, evidence.said)
            if found is not None:
                await _record(tx, sent, evidence, "reply", found)
                return


async def of_request(tx: AsyncConnection, request_id: str) -> Mapping[str, Sequence[Response]]:
    """The responses to a request, by the id of the delivery."""
    found: dict[str, list[Response]] = {}
    for row in await store.of_request(tx, request_id):
        found.setdefault(row.delivery_id, []).append(Response(row.at, row.kind, json.loads(row.detail)))
    return found


async def _named(tx: AsyncConnection, evidence: Evidence) -> store.SentRow | None:
    """The delivery of the message that the press names."""
    if evidence.message_id is None:
        return None
    return await store.sent_as(
        tx,
        bot_id=evidence.bot,
        channel=str(evidence.channel),
        tenant_id=evidence.tenant,
        message_id=evidence.message_id,
        user_id=evidence.user_id,
        conversation_id=evidence.conversation_id,
    )


async def _perhaps_named(tx: AsyncConnection, evidence: Evidence) -> Sequence[store.SentRow]:
    """The deliveries whose button a text may come from, the likeliest first."""
    if evidence.message_id is not None:
        sent = await _named(tx, evidence)
        return () if sent is None else (sent,)
    ids = {evidence.user_id, evidence.channel_id or evidence.user_id}
    return await store.echoed_to(
        tx, bot_id=evidence.bot, tenant_id=evidence.tenant, user_ids=sorted(ids), limit=LOOKED_AT
    )


async def _record(tx: AsyncConnection, sent: store.SentRow, evidence: Evidence, kind: str, press: Press) -> None:
    kept = await store.record(
        tx,
        delivery_id=sent.id,
        event_key=press.key,
        at=evidence.at,
        kind=kind,
        user_id=evidence.user_id,
        detail=detail(press),
    )
    if kept != "repeated":
        action = "response_recorded" if kept == "recorded" else "response_not_kept"
        log.info("response", extra={"action": action, "delivery": sent.id, "kind": kind})
