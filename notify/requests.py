"""Accepting a request in one transaction, and reading its record back.

The answer is given after the commit: what the caller was told is on disk. The delivery rows are the queue.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import ENTRY, BotId, ChannelName, Lane, TenantId
from notify.ids import new_id
from notify.records import Entry, LogEntry, PausedLane, RequestRecord, RequestStatus, Submission
from storage import failpoints, installations, lanes
from storage import requests as store
from storage.engine import Database

SECONDS_PER_HOUR = 3600.0


class Requests:
    """The two verbs of the notify API over the database. `wake` is told which lanes have new work."""

    def __init__(self, database: Database, *, wake: Callable[[Lane], None], deadline_hours: float) -> None:
        self._database = database
        self._wake = wake
        self._deadline = deadline_hours * SECONDS_PER_HOUR

    async def accept(self, submission: Submission, *, now: float) -> RequestRecord:
        """Store the request and all its deliveries in one transaction; returns its first record.

        Raises the database's own errors; nothing is stored then.
        """
        request_id = new_id("ds")
        async with self._database.write() as tx:
            lane = await self._lane_for(tx, submission)
            request = _request_row(submission, request_id, now, self._deadline)
            await store.store(tx, request, _delivery_rows(submission, request_id, lane, now))
            failpoints.reach("accept.before_commit")
        failpoints.reach("accept.committed")
        self._wake(lane)
        return RequestRecord(
            id=request_id,
            bot_id=submission.bot_id,
            channel=submission.channel,
            created_by=submission.created_by,
            route=submission.route,
            status=RequestStatus.IN_PROGRESS,
            total=len(submission.entries),
            done=0,
            succeeded=0,
            created_at=now,
            changed_at=now,
        )

    async def status(self, bot_id: BotId, request_id: str) -> RequestRecord | None:
        """The record of one of this bot's requests; None for any other id."""
        async with self._database.read() as tx:
            row = await store.get(tx, bot_id=bot_id, request_id=request_id)
            if row is None:
                return None
            log = await store.log(tx, request_id)
            paused = await self._paused(tx, row) if row.status == store.OPEN else ()
        return RequestRecord(
            id=row.id,
            bot_id=BotId(row.bot_id),
            channel=ChannelName(row.channel),
            created_by=row.created_by,
            route=row.route,
            status=RequestStatus(row.status),
            total=row.total,
            done=row.done,
            succeeded=row.succeeded,
            created_at=row.created_at,
            changed_at=row.changed_at,
            entries=[_log_entry(entry) for entry in log],
            paused=paused,
        )

    async def _lane_for(self, tx: AsyncConnection, submission: Submission) -> Lane:
        """The only installation's lane where there is one, else the bot's entry lane."""
        rows = await installations.active(tx, bot_id=submission.bot_id, channel=submission.channel)
        tenants = [row.tenant_id for row in rows if not row.is_org]
        tenant = TenantId(tenants[0]) if len(tenants) == 1 else ENTRY
        return Lane(submission.bot_id, submission.channel, tenant)

    @staticmethod
    async def _paused(tx: AsyncConnection, row: store.RequestRow) -> Sequence[PausedLane]:
        held = await lanes.paused(tx, bot_id=row.bot_id, channel=row.channel)
        if not held:
            return ()
        tenants = {tenant for tenant, _ in await store.open_lanes(tx, row.id)}
        return [
            PausedLane(tenant_id=key[2], reason=pause.reason, remedy=pause.remedy, since=pause.paused_at)
            for key, pause in held.items()
            if key[2] in tenants
        ]


def _request_row(submission: Submission, request_id: str, now: float, deadline: float) -> Mapping[str, Any]:
    return {
        "id": request_id,
        "bot_id": submission.bot_id,
        "channel": str(submission.channel),
        "client_id": submission.client_id,
        "created_by": submission.created_by,
        "route": submission.route,
        "identity_type": submission.identity_type,
        "payload": orjson.dumps(submission.payload),
        "options": json.dumps(dict(submission.options)),
        "total": len(submission.entries),
        "status": str(RequestStatus.IN_PROGRESS),
        "created_at": now,
        "changed_at": now,
        "deadline_at": now + deadline,
    }


def _delivery_rows(submission: Submission, request_id: str, lane: Lane, now: float) -> list[Mapping[str, Any]]:
    """One row for each identity; an equal identity with the same message mirrors the first one."""
    payloads = [None if entry.payload is None else orjson.dumps(entry.payload) for entry in submission.entries]
    firsts: dict[tuple[str, bytes | None], str] = {}
    ids = [new_id("nl") for _ in submission.entries]
    originals = []
    for entry, payload, own in zip(submission.entries, payloads, ids, strict=True):
        first = firsts.setdefault((entry.identity, payload), own)
        originals.append(None if first == own else first)
    copies = Counter(first for first in originals if first is not None)
    return [
        _delivery_row(entry, payload, position, request_id, lane, now)
        | {"id": own, "duplicate_of": first, "copies": copies[own]}
        for position, (entry, payload, own, first) in enumerate(
            zip(submission.entries, payloads, ids, originals, strict=True)
        )
    ]


def _delivery_row(
    entry: Entry, payload: bytes | None, position: int, request_id: str, lane: Lane, now: float
) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "position": position,
        "bot_id": lane.bot,
        "channel": str(lane.channel),
        "tenant_id": lane.tenant,
        "original_id": entry.original,
        "identity": entry.identity,
        "state": "accepted",
        "next_at": now,
        "payload": payload,
    }


def _log_entry(row: RowMapping) -> LogEntry:
    return LogEntry(
        id=row["id"],
        original_id=row["original_id"],
        succeeded=row["state"] == "sent",
        outcome=row["state"],
        final_at=row["final_at"],
        position=row["position"],
        reason=row["reason"],
        code=row["code"],
        remedy=row["remedy"],
        duplicate_of=row["duplicate_of"],
        user_id=row["user_id"],
        channel_id=row["channel_id"],
        tenant_id=row["tenant_id"],
        store_id=row["store_id"],
        attempts=row["attempts"],
        trace=json.loads(row["trace"]) if row["trace"] else (),
    )
