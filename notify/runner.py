"""Who runs drains: tasks in this process, one per lane with work; woken by accepts and events, and by a timer.

Nothing polls: the timer sleeps until the next row of any lane is due, and a sweep every half minute takes up what a
lost wake-up left. Lanes of another process are asked for again every few seconds, and taken over as soon as that
process is dead. Its claims would outlive it by up to half a minute; its sign of life (storage/lifesign.py) ends with
it, so a restarted server goes on where the killed one stopped without waiting for them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

from adapters.base import ENTRY, BotId, ChannelName, Lane, TenantId
from notify.drain import Drain
from notify.forecast import Traffic
from notify.ledger import CLAIM_SECONDS
from notify.pacing import Pacer
from notify.records import Progress
from notify.workshop import Workshop
from storage import failpoints, lanes, lifesign
from storage.engine import UNAVAILABLE, Database, describe
from storage.lifesign import LifeSign

log = logging.getLogger("herald.runner")

SWEEP_SECONDS = 30.0
RETRY_SECONDS = 1.0
ELSEWHERE_SECONDS = 5.0  # until a lane that another process holds is asked for again


class Runner:
    """Embedded mode: drains are tasks of this process."""

    def __init__(self, database: Database, *, owner: str, claim_seconds: float = CLAIM_SECONDS) -> None:
        self._database = database
        self._owner = owner
        self._claim_seconds = claim_seconds
        self._life = LifeSign(database, owner)
        self._shops: Mapping[ChannelName, Workshop] = {}
        self._drains: dict[Lane, Drain] = {}
        self._pacers: dict[Lane, tuple[int, Pacer]] = {}  # with the term of the drain that used it
        self._tasks: dict[Lane, asyncio.Task[None]] = {}
        self._again: set[Lane] = set()
        self._elsewhere: dict[Lane, float] = {}  # lanes of other processes: when to ask again (monotonic)
        self._timer: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._stopping = False

    async def start(self, shops: Mapping[ChannelName, Workshop]) -> None:
        """Begin with everything that is left from before; a restart also tries paused lanes afresh."""
        self._shops = shops
        await self._life.show()
        async with self._database.write() as tx:
            if self._database.is_sqlite:
                await lanes.release_all(tx)  # the file lock says that nobody else lives
            await lanes.resume_all(tx)
        await self._bury_the_dead()
        self._timer = asyncio.create_task(self._keep_time())

    async def stop(self, grace: float) -> None:
        """No new sends; answers on the wire get `grace` seconds to arrive and are written."""
        self._stopping = True
        for drain in self._drains.values():
            drain.stop()
        if self._timer is not None:
            self._timer.cancel()
            await asyncio.gather(self._timer, return_exceptions=True)
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=grace)
        for drain in self._drains.values():
            drain.abandon()
        await asyncio.gather(*list(self._tasks.values()), return_exceptions=True)
        await self._life.withdraw()

    def wake(self, lane: Lane, moved: bool = False) -> None:
        """The lane has new work; `moved`: rows that are older than its newest came from another lane."""
        if self._stopping or lane.channel not in self._shops:
            return
        if lane in self._tasks:
            self._again.add(lane)  # for a drain that is about to end
            drain = self._drains.get(lane)
            if drain is not None:
                drain.wake(everywhere=moved)
            return
        task = self._tasks[lane] = asyncio.create_task(self._drain(lane))
        task.add_done_callback(lambda _: self._ended(lane))

    def heal(self, lane: Lane) -> None:
        """Something happened that may let a held lane go on: an install, a new token, access granted."""
        for target in {lane, replace(lane, tenant=ENTRY)}:
            drain = self._drains.get(target)
            if drain is not None:
                drain.healed()
        self.wake(lane)
        self._changed.set()

    def drain_of(self, lane: Lane) -> Drain | None:
        """The drain at work on a lane in this process."""
        return self._drains.get(lane)

    def progress(self, bot: str, channel: str, request_id: str) -> Progress | None:
        """How a running request goes, over the lanes that this process drains."""
        found = [
            progress
            for lane, drain in self._drains.items()
            if lane.bot == bot and lane.channel == channel and (progress := drain.progress(request_id)) is not None
        ]
        if not found:
            return None
        moments = [progress.finishes_at for progress in found if progress.finishes_at is not None]
        return Progress(sum(progress.rate for progress in found), max(moments, default=None))

    def traffic(self, lane: Lane) -> Traffic | None:
        """What a lane does now, if this process drains it."""
        drain = self._drains.get(lane)
        return None if drain is None else drain.traffic()

    @property
    def active_lanes(self) -> int:
        return len(self._drains)

    async def _drain(self, lane: Lane) -> None:
        key = (lane.bot, str(lane.channel), lane.tenant)
        try:
            async with self._database.write() as tx:
                claim = await lanes.claim(tx, key, owner=self._owner, ttl=self._claim_seconds)
            if claim is None:  # another process drains it
                self._elsewhere[lane] = time.monotonic() + ELSEWHERE_SECONDS
                return
            self._elsewhere.pop(lane, None)
            failpoints.reach("lane.claimed")
            if self._stopping:  # `stop` came while we asked for the lane
                async with self._database.write() as tx:
                    await lanes.release(tx, key, term=claim.term)
                return
            drain = self._drains[lane] = Drain(lane, self._shops[lane.channel], claim, self._pacer(lane, claim.term))
            self._pacers[lane] = (claim.term, drain.pacer)
            self._again.discard(lane)
            await drain.run()
        except lanes.LaneLost:
            log.warning("lane lost", extra={"action": "lane_lost", "lane": str(lane)})
        except UNAVAILABLE as error:
            log.error(
                "lane stopped: database unavailable",
                extra={"action": "database_unavailable", "lane": str(lane), "error": describe(error)},
            )
            await asyncio.sleep(RETRY_SECONDS)
        except Exception:
            log.exception("drain failed", extra={"action": "drain_failed", "lane": str(lane)})
            await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._drains.pop(lane, None)

    def _pacer(self, lane: Lane, term: int) -> Pacer | None:
        """What the lane's last drain knew of its pace: the platform does not forget because we had a quiet moment.

        Not if somebody else has drained the lane since.
        """
        last_term, pacer = self._pacers.get(lane, (0, None))
        return pacer if term == last_term + 1 else None

    def _ended(self, lane: Lane) -> None:
        """Start afresh if work arrived while the drain was ending; else let the timer look when it is due."""
        self._tasks.pop(lane, None)
        self._changed.set()
        if lane in self._again:
            self._again.discard(lane)
            self.wake(lane)

    async def _keep_time(self) -> None:
        """Start lanes whose rows fall due."""
        while True:
            self._changed.clear()
            try:
                wait = await self._sweep()
            except UNAVAILABLE as error:
                log.error("sweep failed", extra={"action": "database_unavailable", "error": describe(error)})
                wait = RETRY_SECONDS
            except Exception:  # a row that nobody can read must not stop the timer of all the others
                log.exception("sweep failed", extra={"action": "round_failed", "round": "sweep"})
                wait = SWEEP_SECONDS
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _sweep(self) -> float:
        """Wake every idle lane with due work; returns the seconds until the next one is due."""
        await self._bury_the_dead()
        now = self._now()
        async with self._database.read() as tx:
            due = await lanes.due(tx, now)
            upcoming = await lanes.next_due(tx, after=now)
        idle = [lane for lane in _lanes(due) if lane not in self._tasks]
        moment = time.monotonic()
        held = [until for lane in idle if (until := self._elsewhere.get(lane, moment)) > moment]
        for lane in idle:
            if self._elsewhere.get(lane, moment) <= moment:
                self.wake(lane)
        wait = min((until - moment for until in held), default=SWEEP_SECONDS)
        return wait if upcoming is None else min(upcoming - now, wait)

    async def _bury_the_dead(self) -> None:
        """Let go of the lanes of processes that do not live any more."""
        if self._database.is_sqlite:
            return
        async with self._database.read() as tx:
            gone = await lifesign.dead(tx, await lanes.owners(tx))
        if not gone:
            return
        async with self._database.write() as tx:
            released = [key for owner in gone for key in await lanes.release_of(tx, owner)]
        for lane in _lanes(released):
            self._elsewhere.pop(lane, None)
            log.warning("owner is dead", extra={"action": "lane_inherited", "lane": str(lane)})

    def _now(self) -> float:
        shop = next(iter(self._shops.values()), None)
        return shop.clocks.wall() if shop is not None else 0.0


def _lanes(keys: Iterable[lanes.Key]) -> list[Lane]:
    """Stored keys as lanes; rows of a channel that this version does not know are left to the one that does."""
    channels = set(ChannelName)
    known = [key for key in keys if key[1] in channels]
    return [Lane(BotId(key[0]), ChannelName(key[1]), TenantId(key[2])) for key in known]
