"""Where a delivery goes on when a bot has several tenants: out of the entry lane, and from one tenant to the next.

What is decided stands in `plan`; here it is asked, done and told. A delivery without a plan (the only tenant's, or
pinned by the caller) is never moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from adapters.base import Fault, FaultClass, TenantId, TraceStep
from identity.answers import Found
from identity.placement import Placement
from notify import delivery as machine
from notify import plan as plans
from notify.delivery import State, Verdict
from notify.item import Item
from notify.ledger import Move
from notify.plan import Between, Go, Nowhere, Plan, Sighting, Stay
from notify.tenants import Tenants
from notify.texts import REASONS
from notify.workshop import Workshop

if TYPE_CHECKING:
    from notify.drain import Drain
    from notify.feed import Feed

NO_INSTALLATION_SECONDS = 60.0  # an install wakes the lane at once; this is the slow way
NO_INSTALLATION = Fault(
    FaultClass.CONFIGURATION, "installation_missing", REASONS["installation_missing"].remedy, "no_installation"
)
ASK_AGAIN_SECONDS = 60.0  # until a tenant that could not be asked is asked once more


class Placing:
    """The moves of one drain's deliveries to other tenants."""

    def __init__(self, drain: Drain, shop: Workshop, feed: Feed) -> None:
        self._drain = drain
        self._shop = shop
        self._feed = feed
        self._moves: list[Move] = []
        self._healings = 0
        self._tenants: Tenants | None = None

    # ------------------------------------------------------------------ what the drain asks

    @property
    def has_moves(self) -> bool:
        return bool(self._moves)

    def take_moves(self) -> list[Move]:
        """The deliveries that go to another lane with the next commit."""
        moves, self._moves = self._moves, []
        return moves

    def return_moves(self, moves: list[Move]) -> None:
        """That commit failed."""
        self._moves = moves + self._moves

    def healed(self) -> None:
        """An install may have come."""
        self._healings += 1

    def goes_elsewhere(self, item: Item, fault: Fault) -> bool:
        """Whether another tenant is still to be asked about a delivery that this one refused on the wire."""
        plan = plans.read(item.row.candidates)
        return plan is not None and fault.reason in plans.NOT_HERE and _leads_on(plan)

    # ------------------------------------------------------------------ the entry lane

    async def place(self, by_mail: Sequence[Item], by_id: Sequence[Item]) -> None:
        """Decide which tenant's lane each delivery of the entry lane belongs to."""
        resolver, lane, healings = self._shop.resolver, self._drain.lane, self._healings
        placements: dict[str, Placement] = {}
        if by_mail:
            placements |= await resolver.choose_tenant(lane, [item.row.identity for item in by_mail])
        if by_id:
            placements |= await resolver.tenants_of_ids(lane, [item.row.identity for item in by_id])
        for item in (*by_mail, *by_id):
            placement = placements[item.row.identity]
            if placement.tenants:
                item.trace.extend(placement.trace)
                first, *rest = placement.tenants
                self._move(item, first, Plan(tuple(rest), home=placement.home, sure=placement.sure) if rest else None)
            elif self._healings != healings:  # an install came while we read that there is none
                self._feed.again(item)
            else:
                self._await_install(item)
        if self._moves:
            self._drain.pause.end()
            self._drain.wake_pump()

    def _await_install(self, item: Item) -> None:
        item.trace.clear()
        self._drain.pause.begin(NO_INSTALLATION)
        waiting = replace(NO_INSTALLATION, klass=FaultClass.NOT_SENT)
        self._drain.steps.apply(item, machine.LookupPostponed(NO_INSTALLATION_SECONDS, waiting))
        self._feed.again(item)

    # ------------------------------------------------------------------ a tenant's lane

    async def survey(self, items: Iterable[Item]) -> None:
        """Read once which tenants there are, if one of these deliveries may have to be told about them."""
        if self._tenants is not None or all(item.row.candidates is None for item in items):
            return
        lane = self._drain.lane
        async with self._shop.database.read() as tx:
            self._tenants = await Tenants.read(tx, lane.bot, lane.channel)

    def stays(self, item: Item, resolution: Found) -> bool:
        """This tenant has the person: whether the delivery is sent here, or the others are asked before."""
        plan = plans.read(item.row.candidates)
        if plan is None or item.request.identity_type != "resolve":
            return True
        here = Sighting(self._drain.lane.tenant, resolution.talked_at, resolution.guest)
        step = plans.found(plan, here, () if self._tenants is None else self._tenants.kin(here.tenant))
        if isinstance(step, Stay):
            return True
        self._follow(item, step, refusal("person_not_found", ""))
        return False

    def not_here(self, item: Item, verdict: Verdict) -> None:
        """This tenant cannot reach the person; the next candidate is asked, the last one's answer is final."""
        plan = plans.read(item.row.candidates)
        if plan is None or verdict.reason not in plans.NOT_HERE:
            self._drain.steps.apply(item, machine.NotReachable(verdict))
            return
        self._follow(item, plans.missing(plan, verdict.reason), verdict)

    def passes(self, item: Item, fault: Fault) -> bool:
        """Whether others are asked because this tenant's look-ups are at fault; else it is waited for."""
        plan = plans.read(item.row.candidates)
        if plan is None or fault.klass is not FaultClass.CONFIGURATION:
            return False
        step = plans.at_fault(plan, self._drain.lane.tenant)
        if isinstance(step, Go) and step.to == self._drain.lane.tenant:
            return False
        self._follow(item, step, refusal("person_not_found", ""))
        return True

    def _follow(self, item: Item, step: Go | Between | Nowhere, verdict: Verdict) -> None:
        match step:
            case Go(to, plan, later):
                item.delivery = replace(item.delivery, state=State.ACCEPTED, address=None)
                self._move(item, to, plan, ASK_AGAIN_SECONDS if later else 0.0)
                self._drain.wake_pump()
            case Between(tenants):
                item.trace.conclude(TraceStep("tenants", f"found in {len(tenants)}: {', '.join(tenants)}"))
                remedy = "" if self._tenants is None else self._tenants.choice(tenants)
                self._drain.steps.apply(item, machine.NotReachable(refusal("person_ambiguous", remedy)))
            case Nowhere(reason):
                best = verdict if reason == verdict.reason else refusal(reason, "")
                self._drain.steps.apply(item, machine.NotReachable(best))
            case _:
                assert_never(step)

    def _move(self, item: Item, to: TenantId, plan: Plan | None, after: float = 0.0) -> None:
        item.unwritten = True
        self._moves.append(Move(item, to, None if plan is None else plans.as_text(plan), after))


def refusal(reason: str, remedy: str) -> Verdict:
    """A refusal of our own, with the remedy of the table of texts unless the source gave a better one."""
    known = REASONS.get(reason)
    return Verdict(reason, remedy=remedy or (known.remedy if known else ""))


def _leads_on(plan: Plan) -> bool:
    return bool(plan.ask or plan.found or plan.unasked)
