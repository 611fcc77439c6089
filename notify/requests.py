"""Accepting a request in one transaction, and reading its record back.

The answer is given after the commit: what the caller was told is on disk. The delivery rows are the queue.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import BotId, ChannelName, Lane
from notify import notes, personal, presses, responses
from notify.held import held_lanes
from notify.idempotency import KeyReused, Turnstile
from notify.ids import new_id
from notify.records import (
    Entry,
    IdempotencyKey,
    LogEntry,
    PausedLane,
    Progress,
    RequestRecord,
    RequestStatus,
    Response,
    Submission,
    Submitter,
)
from notify.tenants import Tenants
from storage import audit_events, failpoints
from storage import requests as store
from storage.engine import Database

log = logging.getLogger("herald.requests")

SECONDS_PER_HOUR = 3600.0
SECONDS_PER_DAY = 86_400.0


class Requests:
    """The verbs of the notify API over the database. `wake` is told which lanes have new work.

    `progress` says how fast a running request goes in this process (None: nobody here drains it).
    """

    def __init__(
        self,
        database: Database,
        *,
        wake: Callable[[Lane], None],
        deadline_hours: float,
        idempotency_days: float = 30.0,
        progress: Callable[[str, str, str], Progress | None] = lambda *_: None,
    ) -> None:
        self._database = database
        self._wake = wake
        self._deadline = deadline_hours * SECONDS_PER_HOUR
        self._remembered = idempotency_days * SECONDS_PER_DAY
        self._progress = progress
        self._turnstile = Turnstile()

    async def answered(self, submitter: Submitter, key: IdempotencyKey, *, now: float) -> bytes | None:
        """The literal answer that the key was given before, if it was. Raises KeyReused for another body."""
        async with self._database.read() as tx:
            return await _stored(tx, submitter, key, now)

    async def accept(
        self,
        submission: Submission,
        *,
        now: float,
        write: Callable[[RequestRecord], bytes],
        key: IdempotencyKey | None = None,
    ) -> bytes:
        """Store the request, all its deliveries and the answer in one transaction; returns the literal answer.

        A repeated key gets the first answer and stores nothing. Raises KeyReused, KeyBusy, NotInstalled, and the
        database's own errors; nothing is stored then.
        """
        if key is None:
            return await self._store(submission, now, write, None)
        by = submission.submitter
        async with self._turnstile.one_at_a_time(by.bot_id, by.client_id, by.route, key.key):
            return await self._store(submission, now, write, key)

    async def _store(
        self, submission: Submission, now: float, write: Callable[[RequestRecord], bytes], key: IdempotencyKey | None
    ) -> bytes:
        request_id = new_id("ds")
        record = _first_record(submission, request_id, now)
        answer = write(record)
        request = _request_row(submission, request_id, now, self._deadline)
        rows = await _rows_of(submission, request_id, now)

        async def write_all(tx: AsyncConnection) -> tuple[bytes, Lane | None]:
            if key is not None:
                earlier = await self._claim_key(tx, submission, key, answer, now)
                if earlier is not None:
                    return earlier, None
            tenants = await Tenants.read(tx, submission.bot_id, submission.channel)
            lane = tenants.lane(submission.options.get("tenant"))
            await store.store(tx, request, [row | {"tenant_id": lane.tenant} for row in rows])
            await _record(tx, submission, request_id, lane, now)
            failpoints.reach("accept.before_commit")
            return answer, lane

        stored, lane = await self._database.transact(write_all)
        if lane is None:
            return stored
        failpoints.reach("accept.committed")
        log.info(
            "request accepted",
            extra={
                "action": "request_accepted",
                "request": request_id,
                "bot": submission.bot_id,
                "client": submission.client_id,
                "people": record.total,
            },
        )
        self._wake(lane)
        return stored

    async def _claim_key(
        self, tx: AsyncConnection, submission: Submission, key: IdempotencyKey, answer: bytes, now: float
    ) -> bytes | None:
        """Bind the key to the answer that is about to be true; the earlier answer if another call was faster."""
        by = submission.submitter
        earlier = await _stored(tx, by, key, now)
        if earlier is not None:
            return earlier
        bound = await store.store_answer(
            tx,
            bot_id=by.bot_id,
            client_id=by.client_id,
            route=by.route,
            key=key.key,
            body_hash=key.body_hash,
            answer=answer,
            expires_at=now + self._remembered,
            now=now,
        )
        return None if bound else await _stored(tx, by, key, now)

    async def status(self, bot_id: BotId, request_id: str) -> RequestRecord | None:
        """The record of one of this bot's requests; None for any other id."""
        async with self._database.read() as tx:
            row = await store.get(tx, bot_id=bot_id, request_id=request_id)
            if row is None:
                return None
            log = await store.log(tx, request_id)
            answered = await responses.of_request(tx, request_id) if row.succeeded else {}
            paused = await self._paused(tx, row) if row.status == store.OPEN else ()
        progress = self._progress(row.bot_id, row.channel, row.id) if row.status == store.OPEN else None
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
            entries=[_log_entry(entry, answered.get(entry["duplicate_of"] or entry["id"], ())) for entry in log],
            paused=paused,
            rate=None if progress is None else progress.rate,
            estimated_completion=None if progress is None or paused else progress.finishes_at,
        )

    @staticmethod
    async def _paused(tx: AsyncConnection, row: store.RequestRow) -> Sequence[PausedLane]:
        held = await held_lanes(tx, row.bot_id, row.channel)
        if not held:
            return ()
        tenants = {tenant for tenant, _ in await store.open_lanes(tx, row.id)}
        return [lane for lane in held if lane.tenant_id in tenants]


async def _record(tx: AsyncConnection, submission: Submission, request_id: str, lane: Lane, now: float) -> None:
    await audit_events.append(
        tx,
        at=now,
        kind="request_accepted",
        actor=submission.client_id,
        subject=request_id,
        bot_id=submission.bot_id,
        channel=submission.channel,
        tenant_id=lane.tenant,
        detail={"people": len(submission.entries), "route": submission.route},
    )


async def _stored(tx: AsyncConnection, by: Submitter, key: IdempotencyKey, now: float) -> bytes | None:
    for name, body_hash in ((key.key, key.body_hash), key.former):
        stored = await store.stored_answer(
            tx, bot_id=by.bot_id, client_id=by.client_id, route=by.route, key=name, now=now
        )
        if stored is None:
            continue
        if stored.body_hash != body_hash:
            raise KeyReused
        return stored.answer
    return None


def _first_record(submission: Submission, request_id: str, now: float) -> RequestRecord:
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


def _request_row(submission: Submission, request_id: str, now: float, deadline: float) -> Mapping[str, Any]:
    body = orjson.dumps(submission.message.body)
    return {
        "id": request_id,
        "bot_id": submission.bot_id,
        "channel": str(submission.channel),
        "echoes": submission.channel is ChannelName.MSTEAMS and presses.echoes(body),
        "client_id": submission.client_id,
        "created_by": submission.created_by,
        "route": submission.route,
        "identity_type": submission.identity_type,
        "kind": str(submission.message.kind),
        "payload": body,
        "options": json.dumps(dict(submission.options)),
        "total": len(submission.entries),
        "status": str(RequestStatus.IN_PROGRESS),
        "created_at": now,
        "changed_at": now,
        "deadline_at": now + deadline,
    }


async def _rows_of(submission: Submission, request_id: str, now: float) -> list[dict[str, Any]]:
    """Where identities are named twice their messages are compared, which can take long: others go on meanwhile."""
    if len({entry.identity for entry in submission.entries}) == len(submission.entries):
        return _rows(submission, request_id, now)
    return await asyncio.to_thread(_rows, submission, request_id, now)


def _rows(submission: Submission, request_id: str, now: float) -> list[dict[str, Any]]:
    """One row for each identity, without its tenant; an equal identity with the same message mirrors the first one."""
    ids = [new_id("nl") for _ in submission.entries]
    originals = _originals(submission, ids)
    copies = Counter(first for first in originals if first is not None)
    return [
        _row(submission, entry, position)
        | {"id": own, "request_id": request_id, "next_at": now, "duplicate_of": first, "copies": copies[own]}
        for position, (entry, own, first) in enumerate(zip(submission.entries, ids, originals, strict=True))
    ]


def _originals(submission: Submission, ids: Sequence[str]) -> list[str | None]:
    """For each entry the id of the first one that says the same to the same identity; None for that one itself."""
    often = Counter(entry.identity for entry in submission.entries)
    signatures = personal.Signatures(submission.channel)
    firsts: dict[tuple[str, bytes], str] = {}
    originals: list[str | None] = []
    for entry, own in zip(submission.entries, ids, strict=True):
        if often[entry.identity] == 1:
            originals.append(None)
            continue
        says = signatures.of(entry.message or submission.message, entry.values)
        first = firsts.setdefault((entry.identity, says), own)
        originals.append(None if first == own else first)
    return originals


def _row(submission: Submission, entry: Entry, position: int) -> dict[str, Any]:
    return {
        "position": position,
        "bot_id": submission.bot_id,
        "channel": str(submission.channel),
        "original_id": entry.original,
        "identity": entry.identity,
        "state": "accepted",
        "kind": None if entry.message is None else str(entry.message.kind),
        "payload": None if entry.message is None else orjson.dumps(entry.message.body),
        "parameters": json.dumps(dict(entry.values)) if entry.values else None,
    }


def _log_entry(row: RowMapping, answered: Sequence[Response]) -> LogEntry:
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
        notes=notes.read(row["notes"]),
        responses=answered,
    )
