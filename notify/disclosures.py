"""Who asked about whom: each explanation of a person stands in the audit record before its answer is given."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from notify.identities import comparable
from notify.prospects import Question
from storage import audit_events
from storage.engine import Database

KIND = "person_explained"


def mark(key: bytes, identity: str) -> str:
    """What stands in the record for a person: the same for the same identity, and nothing without the key."""
    return hmac.digest(key, b"identity\0" + identity.encode("utf-8", "surrogatepass"), "sha256").hex()[:32]


class Disclosures:
    """Writes the record of explanations. `key` is that of the audit record."""

    def __init__(self, database: Database, key: bytes, *, clock: Callable[[], float]) -> None:
        self._database = database
        self._key = key
        self._now = clock

    async def record(self, question: Question, caller: str, *, look_up: bool) -> None:
        """Record that a caller asks about a person; `look_up`: the platform may be asked for it."""
        identity = comparable(question.identity_type, question.identities[0])
        async with self._database.write() as tx:
            await audit_events.append(
                tx,
                at=self._now(),
                kind=KIND,
                actor=caller,
                subject=mark(self._key, identity),
                bot_id=question.bot,
                channel=question.channel,
                detail={"lookUp": look_up},
            )
