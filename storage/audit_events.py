"""The audit record: who did what to what, and when. Rows are only added; `position` and `hash` chain them later."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.tables import audit_events as table

MAX_TEXT = 255


async def append(
    tx: AsyncConnection,
    *,
    at: float,
    kind: str,
    actor: str,
    subject: str,
    bot_id: str = "",
    channel: str = "",
    tenant_id: str = "",
    detail: Mapping[str, object] | None = None,
) -> None:
    """Record what this transaction does; it stands there exactly when the transaction is committed.

    `actor` and `subject` are ids, never a name, an e-mail address or a text.
    """
    await tx.execute(
        insert(table).values(
            at=at,
            kind=kind,
            bot_id=bot_id,
            channel=channel,
            tenant_id=tenant_id,
            actor=actor[:MAX_TEXT],
            subject=subject[:MAX_TEXT],
            detail=json.dumps(dict(detail or {}), sort_keys=True),
        )
    )
