"""Empties one lane: load → resolve → pace → commit the intent → send → record. One drain per lane, under one term.

    rows ──load──▶ resolve ──▶ open ──▶ ready ──release──▶ ┌ one transaction ┐ ──▶ send ──▶ outcome ─┐
                     │  ▲ look-up (gate)     fair order    │ results+intents │                       │
                     ▼  │                                  └────────▲────────┘ ◀─────────────────────┘
                    cold                                            results wait here for the next commit

The pump is the only one that commits. Each of its rounds writes, in one transaction, what became of the deliveries
that were answered and the intents of those that the pacer releases now; only then those go on the wire. So a kill
leaves in doubt what was on the wire and nothing else, and at full speed one disk flush serves many deliveries.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from adapters.base import (
    TOO_LATE,
    BotId,
    Channel,
    ChannelPace,
    DeliveryId,
    Fault,
    FaultClass,
    Lane,
    Looker,
    NotSent,
    Outcome,
    Refused,
    Sent,
    TraceStep,
    Uncertain,
)
from identity.resolver import Resolver
from notify import delivery as machine
from notify.chores import ChoreBook
from notify.claim import ClaimWatch
from notify.delivery import FINAL, Delivery, Policy, State, Verdict
from notify.feed import Feed
from notify.forecast import Traffic
from notify.gate import ChoreGate, LaneGate
from notify.item import Item
from notify.ledger import CLAIM_SECONDS, Batch, Ledger
from notify.looks import Looks
from notify.metrics import Metrics
from notify.pacing import Learner, Pacer, finish_time
from notify.pause import LanePause
from notify.records import Progress
from notify.texts import REASONS
from storage import deliveries, failpoints, lanes
from storage.engine import UNAVAILABLE, Database, describe

log = logging.getLogger("herald.drain")

RESULTS_WAIT_SECONDS = 0.02  # answers wait at most this long for the next intents, to share their commit
RESULTS_MOST = 64
LEAD_MOST_SECONDS = 0.05
GATHER_FROM, GATHER_SECONDS = 32, 0.002  # calls on the wire, and how long the next commit then waits for company
UPKEEPS_IN_A_CLAIM = 4
LINGER_SECONDS = 1.0
DATABASE_RETRY_SECONDS = 1.0
EXPIRED_AT_ONCE = 500
HEAL_SECONDS, HEAL_FAULT_SECONDS = 30.0, 2.0  # between two attempts that events set off
UNCLEAR_MOST = 20  # unclear answers in a row after which the lane slows down to one at a time


@dataclass(frozen=True, slots=True)
class Clocks:
    """Wall time for what is stored, monotonic time for what is waited for, and a source of jitter in [-1, 1]."""

    wall: Callable[[], float]
    monotonic: Callable[[], float]
    jitter: Callable[[], float] = field(default=lambda: random.uniform(-1, 1))  # noqa: S311 - spreads retries


@dataclass(frozen=True, slots=True)
class Workshop:
    """What every drain of a channel works with."""

    database: Database
    channel: Channel
    resolver: Resolver
    looker: Looker | None
    chores: ChoreBook
    policy: Policy
    clocks: Clocks
    wake: Callable[[Lane, bool], None]  # the lane, and whether rows were moved into it
    claim_seconds: float = CLAIM_SECONDS
    metrics: Metrics = field(default_factory=Metrics)


class DrainFailed(RuntimeError):
    """A part of a drain broke down; everything is in the database and is taken up again."""


class Drain:
    """One lane's work, from a claim to its release."""

    def __init__(self, lane: Lane, shop: Workshop, claim: lanes.Claim, pacer: Pacer | None = None) -> None:
        """`pacer` is what the lane's last drain in this process knew of its pace."""
        self.lane = lane
        self._shop = shop
        self._ledger = Ledger(shop.database, lane, claim.term, claim_seconds=shop.claim_seconds)
        self._claim = ClaimWatch(
            shop.claim_seconds,
            forever=shop.database.is_sqlite,
            clock=shop.clocks.monotonic,
            frozen=self._claim_ended,
        )
        self._pace = shop.channel.pace()
        self.pacer = pacer or _new_pacer(self._pace, shop.clocks.monotonic(), claim.learned.get("rate"))
        self.gate = LaneGate(
            self.pacer, clock=shop.clocks.monotonic, left=self._left_the_gate, well=self._part_answered_well
        )
        self.feed = Feed(self, shop, self._ledger.key, self._pace)
        self._chore_gate = ChoreGate(
            self.gate, self.pacer, clock=shop.clocks.monotonic, busy=lambda: len(self.feed.ready) > 0
        )
        self.pause = LanePause(lane, claim.paused, now=shop.clocks.wall, changed=self.wake_pump)
        self._results: list[Item] = []
        self._results_since = 0.0
        self._flying: dict[asyncio.Task[None], Item] = {}
        self._lead = 0.0
        self._answer_takes = 0.0
        self._gates_turn = False
        self._is_warm = False
        self._committed_at = 0.0
        self._unclear_in_a_row = 0
        self._healed_at = float("-inf")
        self._abandoned = False
        self._wakeup = asyncio.Event()
        self._stopping = self._failed = False
        self._looks = Looks(lane, shop.looker, self.gate, shop.policy, wall=shop.clocks.wall, apply=self.apply)
        self._tasks: set[asyncio.Task[None]] = set()
        self.written_rate = self.pacer.learner.rate if self.pacer.learner else None

    # ------------------------------------------------------------------ life

    async def run(self) -> None:
        """Work until nothing is left or `stop` is called. Raises LaneLost when the lane was taken over."""
        await self._recover()
        self.spawn(self.feed.run())
        self.spawn(self._upkeep())
        self.spawn(self._warm())
        self.spawn(self._shop.chores.run(self.lane, self._chore_gate, self.feed.chores_wanted, self.wake_pump))
        try:
            await self._pump()
            if self._failed:
                raise DrainFailed(f"a task of lane {self.lane} failed; the log says which")
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.shield(self._leave())
            self._claim.close()

    def wake(self, *, everywhere: bool = False) -> None:
        """There may be new work; `everywhere`: also older rows, moved here from another lane."""
        self.feed.look_again(everywhere=everywhere)
        self._wakeup.set()

    def stop(self) -> None:
        """Release nothing more; `run` returns when what is on the wire has been answered and written."""
        self._stopping = True
        self._wakeup.set()

    def progress(self, request_id: str) -> Progress | None:
        """How a request goes in this lane: its rate now, and when its last delivery will have ended."""
        shares = self.feed.shares()
        left = next((share.pending for share in shares if share.request == request_id), 0)
        if not left:
            return None
        now = self._shop.clocks.monotonic()
        rate = self.pacer.send.rate
        if len(self._flying) >= self._pace.in_flight:  # answers are slower than the pace: they set it
            rate = min(rate, self.feed.rate() or rate)
        start = self.pacer.send.ready_at(now)
        at_once = max(self.pacer.send.available(now, left) - 1, 0)  # what the burst still allows leaves without waiting
        last = max(now, finish_time(now, request_id, shares, rate, start) - at_once / rate)
        wait = last - now + self._answer_takes
        return Progress(round(self.feed.rate_of(request_id), 2), self._shop.clocks.wall() + wait)

    def traffic(self) -> Traffic:
        """What the lane does now."""
        return Traffic(self.pacer.send.rate, self.feed.shares())

    def abandon(self) -> None:
        """The grace time is over: what is still on the wire stays in doubt, what is not written is tried once more."""
        self._abandoned = self._stopping = True
        self._wakeup.set()
        for task in self._flying:
            task.cancel()

    async def _recover(self) -> None:
        """What a former owner left in flight is in doubt; look for it before anything else."""
        now, started = self._shop.clocks.wall(), self._shop.clocks.monotonic()
        async with self._shop.database.write() as tx:
            await lanes.fence(tx, self._ledger.key, term=self._ledger.term, ttl=self._shop.claim_seconds)
            count = await deliveries.recover(tx, self._ledger.key, term=self._ledger.term, now=now)
            await deliveries.adopt(tx, self._ledger.key, term=self._ledger.term)
        self._claim.renewed(started)
        failpoints.reach("lane.recovered")
        if count:
            log.warning("found in flight", extra={"action": "lane_recovered", "lane": str(self.lane), "count": count})
        await self.feed.load_uncertain(self._ledger.term)

    async def _warm(self) -> None:
        """Nothing is released before: what waits for one token together would leave together, whatever the pace."""
        try:
            await self._shop.channel.warm(self.lane.bot)
        finally:
            self._is_warm = True
            self.wake_pump()

    async def _leave(self) -> None:
        await asyncio.gather(*self._flying, return_exceptions=True)
        try:
            await self._commit([])
            await self._ledger.release()
        except lanes.LaneLost:
            log.warning("lane lost", extra={"action": "lane_lost", "lane": str(self.lane)})
        except UNAVAILABLE as error:
            log.error(
                "last results not written; they will be in doubt",
                extra={"action": "database_unavailable", "lane": str(self.lane), "error": describe(error)},
            )

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a part of the drain's work beside it; if it breaks, the drain ends and is started afresh."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wakeup.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("lane task failed", exc_info=error, extra={"action": "lane_task_failed", "lane": str(self.lane)})
            self._failed = self._stopping = True  # the runner starts the lane afresh

    # ------------------------------------------------------------------ the pump

    async def _pump(self) -> None:
        quiet_since: float | None = None
        while True:
            await self._gather()
            self._wakeup.clear()
            if self._abandoned:
                return
            group = [] if self._stopping else self._release()
            if group or self._results_are_due():
                quiet_since = None
                await self._commit_and_launch(group)
                self._committed_at = self._shop.clocks.monotonic()
                continue
            if self._stopping and not self._flying and not self._results:
                return
            if self._is_done():
                now = self._shop.clocks.monotonic()
                quiet_since = now if quiet_since is None else quiet_since
                if now - quiet_since >= LINGER_SECONDS:
                    return
            else:
                quiet_since = None
            await self._sleep(LINGER_SECONDS if quiet_since is not None else None)

    async def _gather(self) -> None:
        """With much on the wire, answers come one by one: after a moment more of them share a commit."""
        if len(self._flying) < GATHER_FROM or self._stopping:
            return
        wait = self._committed_at + GATHER_SECONDS - self._shop.clocks.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)

    def _is_done(self) -> bool:
        return not (self._flying or self._results or self._looks.asking or self.feed.busy)

    async def _sleep(self, most: float | None) -> None:
        """Until something happens or the next moment that matters."""
        moments = []
        now = self._shop.clocks.monotonic()
        if self._results:
            moments.append(self._results_since + RESULTS_WAIT_SECONDS)
        if self._is_warm and len(self.feed.ready) and len(self._flying) < self._pace.in_flight and not self._stopping:
            ready_at = self.pacer.send.ready_at(now)
            if self.pause.current is not None:
                if not any(item.probe for item in self._flying.values()):
                    probe_at = now + self.pause.current.probe_at - self._shop.clocks.wall()
                    moments.append(max(probe_at, ready_at, now + 0.0005))
            elif not self._must_step_back():
                moments.append(max(ready_at - self._lead, now + 0.0005))
        if most is not None:
            moments.append(now + most)
        timeout = max(min(moments) - now, 0.0) if moments else None
        if timeout is None:
            await self._wakeup.wait()
            return
        try:
            async with asyncio.timeout(timeout):
                await self._wakeup.wait()
        except TimeoutError:
            pass

    def _release(self) -> list[Item]:
        """The deliveries that may leave now, in fair order."""
        slots = self._pace.in_flight - len(self._flying)
        if slots <= 0 or not self._is_warm or not len(self.feed.ready):
            return []
        if self.pause.current is not None:
            return self._release_probe()
        if self._must_step_back():
            return []
        if self._is_doubtful():
            slots = 1 - len(self._flying)
        now = self._shop.clocks.monotonic()
        count = self.pacer.send.available(now + self._lead, max(min(slots, len(self.feed.ready)), 0))
        group = self._pop(count)
        if group:
            self._gates_turn = True
            self.pacer.took_send(now + self._lead, len(group))
        return group

    def _is_doubtful(self) -> bool:
        """So many unclear answers came in a row that the platform must be broken: one at a time until it is not."""
        return self._unclear_in_a_row >= UNCLEAR_MOST

    def _must_step_back(self) -> bool:
        """Sends and the other calls of their bucket (openings, look-ups) take turns while both wait."""
        return self._gates_turn and self.gate.others_wait_for_send_bucket

    def _left_the_gate(self, went: bool) -> None:
        if went:
            self._gates_turn = False
        self._wakeup.set()

    def _release_probe(self) -> list[Item]:
        """A paused lane tries one delivery when the time for it has come."""
        if self.pause.current is None or any(item.probe for item in self._flying.values()):
            return []
        if (
            self._shop.clocks.wall() < self.pause.current.probe_at
            or self.pacer.send.ready_at(self._shop.clocks.monotonic()) > self._shop.clocks.monotonic()
        ):
            return []
        group = self._pop(1)
        for item in group:
            item.probe = True
            self.pacer.took_send(self._shop.clocks.monotonic(), 1)
        return group

    def _pop(self, count: int) -> list[Item]:
        group: list[Item] = []
        before = len(self.feed.ready)
        while len(group) < count and len(self.feed.ready):
            item = self.feed.ready.pop()
            if item.delivery.state in FINAL:
                continue  # the deadline overtook it while it waited
            if item.delivery.deadline_at <= self._shop.clocks.wall():
                self.apply(item, machine.DeadlinePassed())
                continue
            if not self._fits(item):
                continue
            group.append(item)
        if len(self.feed.ready) < before:
            self.feed.hungry()
        return group

    def _fits(self, item: Item) -> bool:
        """Whether the person's conversation may get one more now; else it comes back when it may."""
        now, conversation = self._shop.clocks.monotonic(), _conversation(item)
        wait = self.pacer.windows.ready_at(conversation, now) - now
        if wait <= 0:
            self.pacer.windows.took(conversation, now)
            return True
        item.delivery = replace(item.delivery, next_at=self._shop.clocks.wall() + wait)
        self.feed.again(item)
        return False

    async def _commit_and_launch(self, group: list[Item]) -> None:
        """Commit results and intents together; only then put the group on the wire."""
        now = self._shop.clocks.wall()
        for item in group:
            item.delivery = self._step(item, machine.Intended(), now).delivery
        started = self._shop.clocks.monotonic()
        try:
            await asyncio.shield(self._commit(group))
        except UNAVAILABLE as error:
            self._take_back(group)
            log.error(
                "database not writable; holding results",
                extra={"action": "database_unavailable", "lane": str(self.lane), "error": describe(error)},
            )
            await asyncio.sleep(DATABASE_RETRY_SECONDS)
            return
        if not group:
            return
        await self._await_turn(started, len(group))
        moment = self._shop.clocks.monotonic()
        for conversation, count in Counter(map(_conversation, group)).items():
            self.pacer.windows.went(conversation, count, moment)
        for item in group:
            item.was, item.term, item.wire_started_at = State.SENDING, self._ledger.term, now
            task = asyncio.create_task(self._send(item))
            self._flying[task] = item

    async def _await_turn(self, started: float, count: int) -> None:
        """The commit was foreseen to last `lead`: wait the rest if it was faster, move the bucket if it was slower."""
        planned = started + self._lead
        now = self._shop.clocks.monotonic()
        self._lead = min(0.8 * self._lead + 0.2 * (now - started), LEAD_MOST_SECONDS)
        if now < planned and self.pacer.send.rate < 1000:
            await asyncio.sleep(planned - now)
        elif now > planned:
            self.pacer.send.settle(now, count)

    def _take_back(self, group: list[Item]) -> None:
        """The intents were not committed: nothing left, so the deliveries keep their places."""
        for item in reversed(group):
            item.delivery = replace(item.delivery, state=State.READY, attempts=item.delivery.attempts - 1)
            item.probe = False
            self.feed.put_back(item)

    async def _commit(self, group: list[Item]) -> None:
        """One transaction for everything that waits to be written, and the group's intents."""
        results, self._results = self._results, []
        pause, resume = self.pause.take()
        batch = Batch(
            results=results,
            moves=self.feed.placing.take_moves(),
            intents=group,
            pause=pause,
            resume=resume,
            learned=self._lesson(),
        )
        if not batch:
            return
        started = self._shop.clocks.monotonic()
        try:
            written = await self._ledger.commit(batch, now=self._shop.clocks.wall())
        except BaseException:
            self._results = results + self._results
            self.feed.placing.return_moves(batch.moves)
            self.pause.give_back(pause, resume)
            raise
        self._claim.renewed(started)
        if results:
            failpoints.reach("record.committed")
        if group:
            failpoints.reach("intent.committed")
        if batch.moves:
            failpoints.reach("lane.moved")
        for item in results:
            if item.id in written.overtaken:
                self.feed.gone(item)  # evidence was faster: it is final
            else:
                self._after_write(item)
        moved_to: set[Lane] = set()
        for move in batch.moves:
            self.feed.gone(move.item)
            moved_to.add(replace(self.lane, tenant=move.to))
        for lane in moved_to:
            self._shop.wake(lane, True)
        self._shop.metrics.closed.inc(len(written.closed))
        for request_id in written.closed:
            log.info("request closed", extra={"action": "request_closed", "request": request_id})

    def _lesson(self) -> dict[str, float] | None:
        """What pacing has learnt since it was last written, rounded so that it is not written for nothing."""
        learner = self.pacer.learner
        if learner is None or learner.rate == self.written_rate:
            return None
        self.written_rate = learner.rate
        return {"rate": learner.rate}

    def _after_write(self, item: Item) -> None:
        item.was = item.delivery.state
        item.term = self._ledger.term
        item.unwritten = False
        match item.delivery.state:
            case State.READY | State.ACCEPTED:
                self.feed.again(item)
            case State.UNCERTAIN:
                self.look_for(item)
            case State.SENDING:
                raise machine.ImpossibleEvent("a result cannot leave a delivery in flight")
            case _:
                self.feed.gone(item)

    def _results_are_due(self) -> bool:
        if self.pause.is_unwritten or self.feed.placing.has_moves:
            return True
        if not self._results:
            return False
        waited = self._shop.clocks.monotonic() - self._results_since
        return waited >= RESULTS_WAIT_SECONDS or len(self._results) >= RESULTS_MOST or self._stopping

    # ------------------------------------------------------------------ one send

    async def _send(self, item: Item) -> None:
        """Exactly one call on the wire, and its outcome into the machine."""
        task = asyncio.current_task()
        address = item.delivery.address
        started = self._shop.clocks.monotonic()
        try:
            if address is None:
                raise machine.ImpossibleEvent("a delivery without an address was released")
            failpoints.reach("wire.before")
            if self._claim.is_over():
                self._frozen()
                return
            if not self._shop.database.is_sqlite:
                TOO_LATE.set(self._claim.is_over)
            outcome = await self._shop.channel.send(BotId(self.lane.bot), address, item.prepared, DeliveryId(item.id))
        except asyncio.CancelledError as error:
            if self._abandoned:
                raise
            outcome = Uncertain(_internal(error))  # nobody of ours cancelled it: what it came to is not known
        except Exception as error:
            log.exception("adapter failed", extra={"action": "adapter_failed", "delivery": item.id})
            outcome = Uncertain(_internal(error))
        finally:
            if task is not None:
                self._flying.pop(task, None)
        self._answer_takes += 0.1 * (self._shop.clocks.monotonic() - started - self._answer_takes)
        failpoints.reach("wire.answered")
        self._shop.metrics.answers.labels(self.lane.channel, type(outcome).__name__).inc()
        self._note(outcome, item)
        item.trace.extend(_sent_steps(outcome))
        self.apply(item, machine.Answered(outcome))

    def _note(self, outcome: Outcome, item: Item) -> None:
        """What an answer says about the lane as a whole."""
        item.probe = False
        match outcome:
            case Uncertain() | NotSent(Fault(reason="platform_unreachable")):
                self._unclear_in_a_row += 1
                if self._is_doubtful():
                    self.hold(self._pace.send, None)
            case NotSent(fault) if fault.klass is FaultClass.CONFIGURATION or not fault.costs_attempt:
                return
            case Sent() | Refused() | NotSent():
                self._unclear_in_a_row = 0
                self._answered_well()
            case _:
                assert_never(outcome)

    def hold(self, bucket: str, retry_after: float | None) -> None:
        """Let nothing of a bucket go for a while, longer each time until an answer is good; no lesson for the pace."""
        now = self._shop.clocks.monotonic()
        seconds = round(self.pacer.hold(bucket, now, retry_after, lesson=False) - now, 1)
        details = {"lane": str(self.lane), "method": bucket, "seconds": seconds}
        log.warning("lane held", extra={"action": "lane_held", **details})

    def apply(self, item: Item, event: machine.Event) -> None:
        """Run the machine and do what it asks; a changed stored state waits for the next commit."""
        before = item.delivery
        step = self._step(item, event, self._shop.clocks.wall())
        item.delivery = step.delivery
        if item.delivery.state is State.REFUSED and _refusal(event) is not None:
            self._try_elsewhere(item, event)
        for effect in step.effects:
            self._do(effect, item, before)
        if _must_be_written(item):
            if not self._results:
                self._results_since = self._shop.clocks.monotonic()
            self._results.append(item)
            item.unwritten = True
        self._wakeup.set()

    def _try_elsewhere(self, item: Item, event: machine.Event) -> None:
        """A person whom this tenant does not know may be another tenant's: back to be moved there."""
        fault = _refusal(event)
        if fault is not None and self.feed.placing.goes_elsewhere(item, fault):
            item.elsewhere = Verdict(fault.reason, fault.code, fault.detail, fault.remedy)
            now = self._shop.clocks.wall()
            item.delivery = replace(item.delivery, state=State.ACCEPTED, address=None, next_at=now, final_at=None)

    def _step(self, item: Item, event: machine.Event, now: float) -> machine.Step:
        return machine.step(item.delivery, event, now=now, policy=self._shop.policy, jitter=self._shop.clocks.jitter())

    def _do(self, effect: machine.Effect, item: Item, before: Delivery) -> None:
        match effect:
            case machine.HoldBucket(bucket, retry_after):
                lesson = bucket is not None
                if lesson:
                    self._shop.metrics.throttled.labels(self.lane.channel).inc()
                self.pacer.hold(bucket, self._shop.clocks.monotonic(), retry_after, lesson=lesson)
                log.info(
                    "platform paused a method",
                    extra={"action": "throttled", "lane": str(self.lane), "method": bucket, "seconds": retry_after},
                )
            case machine.PauseLane(fault):
                self.pause.begin(fault)
            case machine.DropAddress(repair):
                if before.address is not None:
                    self.feed.forget(item, before.address, repair)
            case _:
                assert_never(effect)

    # ------------------------------------------------------------------ how the lane stands

    def healed(self) -> None:
        """Something happened that may have healed the lane (an install, a new token): try at once, not in a storm."""
        self.feed.placing.healed()
        now = self._shop.clocks.monotonic()
        if now - self._healed_at >= (HEAL_FAULT_SECONDS if self.pause.is_at_fault else HEAL_SECONDS):
            self._healed_at = now
            self.pause.end()
            self.feed.retry_now()
        self.wake(everywhere=True)

    def _answered_well(self) -> None:
        """The platform answered a send as it should: a pause is over."""
        self.pacer.send.went_well()
        self.pause.end()

    def _part_answered_well(self, bucket: str) -> None:
        """The same for a call that went through the gate."""
        if self.pacer.bucket(bucket) is self.pacer.send:
            self.pause.end()
        else:
            self.pause.beside_healed(bucket)

    def wake_pump(self) -> None:
        """Something is ready, or has to be written."""
        self._wakeup.set()

    def _claim_ended(self) -> None:
        if self._flying:
            self._frozen()

    def _frozen(self) -> None:
        """Cut what is on the wire and end; whoever drains the lane next finds it in doubt."""
        log.error("lane was frozen", extra={"action": "lane_frozen", "lane": str(self.lane)})
        self.abandon()

    def look_for(self, item: Item) -> None:
        """Ask the platform whether an uncertain delivery arrived, where that is possible."""
        if item.id not in self._looks.asking:
            self._looks.asking.add(item.id)
            self.spawn(self._looks.look(item))

    # ------------------------------------------------------------------ upkeep

    async def _upkeep(self) -> None:
        """Keep the claim while nothing is written, and end what is past its deadline."""
        while True:
            started = self._shop.clocks.monotonic()
            try:
                await self._ledger.renew()
                self._claim.renewed(started)
                await self._expire()
                if not self._shop.database.is_sqlite:
                    self.feed.look_again(
                        everywhere=True
                    )  # what another server accepted for this lane rings no bell here
            except UNAVAILABLE as error:
                log.error(
                    "claim not renewed",
                    extra={"action": "database_unavailable", "lane": str(self.lane), "error": describe(error)},
                )
            await asyncio.sleep(self._shop.claim_seconds / UPKEEPS_IN_A_CLAIM)

    async def _expire(self) -> None:
        now = self._shop.clocks.wall()
        async with self._shop.database.read() as tx:
            rows = await deliveries.past_deadline(tx, self._ledger.key, now=now, limit=EXPIRED_AT_ONCE)
        for item in await self.feed.items_of(rows, self._ledger.term):
            busy = item.unwritten or item.id in self._looks.asking
            if item.delivery.state in (State.ACCEPTED, State.READY, State.UNCERTAIN) and not busy:
                self.apply(item, machine.DeadlinePassed())


def _new_pacer(pace: ChannelPace, now: float, remembered: float | None) -> Pacer:
    """The documented pace, or where the platform does not document one, what was learnt before."""
    learner = Learner.begin(pace.buckets[pace.send].rate, now, remembered) if pace.learns else None
    return Pacer(pace.send, pace.buckets, now, learner, pace.windows)


def _refusal(event: machine.Event) -> Fault | None:
    """The fault of a refusal on the wire."""
    if isinstance(event, machine.Answered) and isinstance(event.outcome, Refused):
        return event.outcome.fault
    return None


def _sent_steps(outcome: Outcome) -> tuple[TraceStep, ...]:
    """What a send leaves in the trace: why it was not the end, or not a good one."""
    match outcome:
        case Sent():
            return ()
        case Refused(fault) | NotSent(fault) | Uncertain(fault):
            return (TraceStep("send", fault.reason, code=fault.code),)
        case _:
            assert_never(outcome)


def _must_be_written(item: Item) -> bool:
    """Waiting states live in memory until an intent or a result; everything else is written before it counts."""
    waiting = item.delivery.state in machine.WAITING
    return not (waiting and item.was in machine.WAITING) and item.delivery.state is not State.SENDING


def _conversation(item: Item) -> str:
    """What the platform counts as one conversation: the person, with one bot."""
    address = item.delivery.address
    return item.row.identity if address is None else address.user_id


def _internal(error: BaseException) -> Fault:
    return Fault(
        FaultClass.UNCERTAIN,
        "no_clear_answer",
        REASONS["no_clear_answer"].remedy,
        "internal_error",
        type(error).__name__,
    )
