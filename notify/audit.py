"""The self-audit: once a minute the invariants of the delivery log are read back, and the audit record is chained.

Counts in a request equal the counts of its rows; a finished request was closed exactly once; no open row is without
a next time; no claim has outlived its time. It reads open requests and those changed since the last round. A finding
is shown in `/health/ready` and as a gauge and is never a reason to take the server out of rotation.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Gauge

from notify.chaining import Chaining
from storage import deliveries, lanes, requests
from storage.engine import UNAVAILABLE, Database, describe

log = logging.getLogger("herald.audit")

EVERY_SECONDS = 60.0
OVERLAP_SECONDS = 30.0
FIRST_LOOK_SECONDS = 86_400.0  # what changed longer before the start was looked at by the one before
EXPIRED_CLAIM_SECONDS = 120.0  # a dead owner's lane is taken over long before


@dataclass(frozen=True, slots=True)
class Findings:
    """What one round found wrong; all zero when the log is true."""

    miscounted: tuple[str, ...]  # request ids
    without_next_time: int
    expired_claims: int
    at: float
    chain_broken: int | None = None  # the first place of the audit record that was seen not to hold

    @property
    def count(self) -> int:
        broken = 0 if self.chain_broken is None else 1
        return len(self.miscounted) + self.without_next_time + self.expired_claims + broken


class Audit:
    """Runs the rounds and keeps the last findings."""

    def __init__(
        self,
        database: Database,
        chaining: Chaining,
        *,
        clock: Callable[[], float],
        registry: CollectorRegistry | None = None,
    ) -> None:
        self._database = database
        self._chaining = chaining
        self._now = clock
        self._last_round = clock() - FIRST_LOOK_SECONDS
        self.findings: Findings | None = None
        self._gauge = Gauge(
            "herald_audit_findings", "Invariants of the delivery log that do not hold", ["kind"], registry=registry
        )

    async def run(self) -> None:
        """One round a minute, for as long as the server runs."""
        while True:
            try:
                await self.round()
            except UNAVAILABLE as error:
                log.error("audit failed", extra={"action": "database_unavailable", "error": describe(error)})
            except Exception:
                log.exception("audit failed", extra={"action": "round_failed", "round": "audit"})
            await asyncio.sleep(EVERY_SECONDS)

    async def round(self) -> Findings:
        """Read the invariants back; returns and keeps what does not hold."""
        now = self._now()
        await self._chaining.round()  # first: nothing that the invariants meet may keep a row out of the chain
        async with self._database.read() as tx:
            wrong = await requests.miscounts(tx, changed_since=self._last_round - OVERLAP_SECONDS)
            orphans = await deliveries.without_next_time(tx)
            expired = await lanes.expired(tx, slack=EXPIRED_CLAIM_SECONDS)
        self._last_round = now
        self.findings = Findings(tuple(row.request_id for row in wrong), orphans, expired, now, self._chaining.broken)
        self._report(self.findings)
        return self.findings

    def _report(self, findings: Findings) -> None:
        self._gauge.labels("miscounted_requests").set(len(findings.miscounted))
        self._gauge.labels("rows_without_next_time").set(findings.without_next_time)
        self._gauge.labels("expired_claims").set(findings.expired_claims)
        self._gauge.labels("broken_audit_record").set(findings.chain_broken is not None)
        if findings.count:
            log.error(
                "the database does not hold what it should",
                extra={
                    "action": "audit_findings",
                    "requests": findings.miscounted,
                    "rows_without_next_time": findings.without_next_time,
                    "expired_claims": findings.expired_claims,
                    "chain_broken": findings.chain_broken,
                },
            )

    async def finding(self) -> str:
        """For `/health/ready`: the last round in a few words; raises AuditFailed when something does not hold."""
        if self.findings is None:
            return "not run yet"
        if self.findings.count:
            raise AuditFailed
        ago = max(0.0, self._now() - self.findings.at)
        return f"ok, {ago:.0f} s ago; the record stands at {self._chaining.head.position}"


class AuditFailed(RuntimeError):
    """An invariant of the delivery log or the audit record does not hold; the log says which."""
