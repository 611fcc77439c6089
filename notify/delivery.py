"""PURE: the state machine of one delivery: (delivery, event) -> (delivery, effects).

    accepted --address known--> ready --intent committed--> sending --> sent | refused
       |  ^                       ^  |                        |
       |  '--look-up later        |  '--attempts spent        +--> ready      certainly not sent: repeat
       '--> refused               |                           +--> accepted   repairable once: address dropped
                                  |                           '--> uncertain  unclear answer, or the process died
                                  '------ absent, or resend ------' |
                                     sent <-- found --------------- + --> unconfirmed  cannot be seen
    unconfirmed --late evidence--> sent          accepted, ready --deadline--> skipped

Clock and randomness are arguments. What left for the wire and was not answered is `uncertain`, never `ready`: a
repeat could be a second copy. What a dead process left `sending` becomes so in one statement for the whole lane
(`storage.deliveries.recover`), before anything else of it is looked at. Only evidence leads out of a final state.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from adapters.base import Address, Fault, FaultClass, NotSent, Outcome, Refused, Repair, Sent, Uncertain


class State(StrEnum):
    """Where a delivery stands; the values are stored."""

    ACCEPTED = "accepted"  # the caller has our word; the address is not known yet
    READY = "ready"  # address and payload are known
    SENDING = "sending"  # the intent is committed; the request may be on the wire
    UNCERTAIN = "uncertain"  # it may have been delivered; we are looking
    SENT = "sent"
    REFUSED = "refused"
    UNCONFIRMED = "unconfirmed"  # it may have been delivered; we cannot see
    SKIPPED = "skipped"  # the deadline passed before it left
    CANCELLED = "cancelled"


FINAL = frozenset({State.SENT, State.REFUSED, State.UNCONFIRMED, State.SKIPPED, State.CANCELLED})
WAITING = frozenset({State.ACCEPTED, State.READY})


class OnUncertain(StrEnum):
    """What the caller wants when we may not know."""

    HOLD = "hold"
    RESEND = "resend"


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers of the machine; seconds. Settings give them."""

    max_attempts: int = 5
    max_repairs: int = 1
    backoff_base: float = 2.0
    backoff_cap: float = 60.0
    look_pause: float = 5.0
    looks_until_absent: int = 2
    settle_seconds: float = 60.0  # so long after a call began its message may still be stored


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a delivery stands where it stands: our slug, the platform's word, and what a person can do."""

    reason: str
    code: str = ""
    detail: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the machine knows of one delivery. `next_at` is set in every state that is not final."""

    state: State
    deadline_at: float
    next_at: float | None
    attempts: int = 0
    repairs: int = 0
    looks: int = 0
    on_uncertain: OnUncertain = OnUncertain.HOLD
    address: Address | None = None
    message_id: str | None = None
    verdict: Verdict | None = None
    final_at: float | None = None


@dataclass(frozen=True, slots=True)
class Resolved:
    """The person was found."""

    address: Address


@dataclass(frozen=True, slots=True)
class NotReachable:
    """The person is not known, not usable, or the payload cannot be sent to them."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class LookupPostponed:
    """The look-up could not be answered now."""

    retry_after: float
    fault: Fault


@dataclass(frozen=True, slots=True)
class Intended:
    """The intent is being committed; the send follows."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A send came to this outcome."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Looked:
    """A look at the platform: the message's id when it was found, None when it was not there."""

    message_id: str | None


@dataclass(frozen=True, slots=True)
class LookPostponed:
    """The platform could not be asked now."""

    retry_after: float


@dataclass(frozen=True, slots=True)
class CannotLook:
    """We may not look, or looking has failed to the end."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Evidence:
    """The platform told us, unasked, that the person has the message."""

    message_id: str
    kind: str


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The time the caller gave us is over."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The caller took it back before it left."""


Event = (
    Resolved
    | NotReachable
    | LookupPostponed
    | Intended
    | Answered
    | Looked
    | LookPostponed
    | CannotLook
    | Evidence
    | DeadlinePassed
    | Cancelled
)


@dataclass(frozen=True, slots=True)
class HoldBucket:
    """The platform paused one bucket of the lane; None: the send bucket, for a time the pacer chooses."""

    bucket: str | None
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class PauseLane:
    """The lane is at fault: nothing leaves until it is healed."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class DropAddress:
    """What was stored about the person is stale: forget it before resolving again."""

    repair: Repair


Effect = HoldBucket | PauseLane | DropAddress


@dataclass(frozen=True, slots=True)
class Step:
    """The delivery after an event, and what the lane must do because of it."""

    delivery: Delivery
    effects: tuple[Effect, ...] = ()


class ImpossibleEvent(RuntimeError):
    """This event cannot happen to a delivery in this state; nothing was changed."""


def step(delivery: Delivery, event: Event, *, now: float, policy: Policy, jitter: float = 0.0) -> Step:
    """Apply one event. `jitter` in [-1, 1] spreads backoffs by 20 %. Raises ImpossibleEvent."""
    match event:
        case Resolved():
            _require(delivery, event, State.ACCEPTED)
            return Step(replace(delivery, state=State.READY, address=event.address, next_at=now))
        case NotReachable():
            _require(delivery, event, *WAITING)
            return Step(_final(delivery, State.REFUSED, now, event.verdict))
        case LookupPostponed():
            return _lookup_postponed(delivery, event, now, jitter, policy)
        case Intended():
            _require(delivery, event, *WAITING)
            if delivery.address is None:
                raise ImpossibleEvent("a delivery without an address cannot be sent")
            return Step(replace(delivery, state=State.SENDING, attempts=delivery.attempts + 1, next_at=now))
        case Answered():
            _require(delivery, event, State.SENDING)
            return _answered(delivery, event.outcome, now, policy, jitter)
        case Looked():
            _require(delivery, event, State.UNCERTAIN)
            return _looked(delivery, event, now, policy)
        case LookPostponed():
            _require(delivery, event, State.UNCERTAIN)
            return Step(replace(delivery, next_at=now + event.retry_after))
        case CannotLook():
            _require(delivery, event, State.UNCERTAIN)
            return _unseen(delivery, event.verdict, now, policy)
        case Evidence():
            _require(delivery, event, State.UNCERTAIN, State.UNCONFIRMED)
            return Step(_sent(delivery, event.message_id, delivery.final_at or now))
        case DeadlinePassed():
            return _deadline(delivery, event, now)
        case Cancelled():
            _require(delivery, event, *WAITING)
            return Step(_final(delivery, State.CANCELLED, now, Verdict("cancelled")))
        case _:
            assert_never(event)


def backoff(attempts: int, policy: Policy, jitter: float) -> float:
    """Seconds to wait before the next try: 2, 4, 8, … up to the cap, ±20 %."""
    exponent = min(max(attempts - 1, 0), 30)
    return min(policy.backoff_base * 2.0**exponent, policy.backoff_cap) * (1 + 0.2 * jitter)


def _require(delivery: Delivery, event: Event, *states: State) -> None:
    if delivery.state not in states:
        raise ImpossibleEvent(f"{type(event).__name__} cannot happen to a delivery that is {delivery.state}")


def _final(delivery: Delivery, state: State, now: float, verdict: Verdict) -> Delivery:
    return replace(delivery, state=state, next_at=None, final_at=now, verdict=verdict)


def _sent(delivery: Delivery, message_id: str, now: float) -> Delivery:
    return replace(
        delivery, state=State.SENT, next_at=None, final_at=now, message_id=message_id, verdict=Verdict("sent")
    )


def _uncertain(delivery: Delivery, verdict: Verdict, now: float) -> Delivery:
    return replace(delivery, state=State.UNCERTAIN, next_at=now, looks=0, verdict=verdict)


def _verdict(fault: Fault) -> Verdict:
    return Verdict(fault.reason, fault.code, fault.detail, fault.remedy)


def _lookup_postponed(delivery: Delivery, event: LookupPostponed, now: float, jitter: float, policy: Policy) -> Step:
    _require(delivery, event, *WAITING)
    wait = max(event.retry_after, 0.0) or backoff(1, policy, jitter)
    waiting = replace(delivery, state=State.ACCEPTED, next_at=now + wait, verdict=_verdict(event.fault))
    if event.fault.klass is FaultClass.CONFIGURATION:
        return Step(replace(waiting, next_at=now), (PauseLane(event.fault),))
    return Step(waiting)


def _answered(delivery: Delivery, outcome: Outcome, now: float, policy: Policy, jitter: float) -> Step:
    match outcome:
        case Sent():
            address = delivery.address
            if address is not None and outcome.conversation_id is not None:
                address = replace(address, conversation_id=outcome.conversation_id)
            return Step(replace(_sent(delivery, outcome.message_id, now), address=address))
        case NotSent():
            return _not_sent(delivery, outcome, now, policy, jitter)
        case Uncertain():
            return Step(_uncertain(delivery, _verdict(outcome.fault), now))
        case Refused():
            if outcome.fault.repair is not None and delivery.repairs < policy.max_repairs:
                return _repair(delivery, outcome.fault, outcome.fault.repair, now)
            return Step(_final(delivery, State.REFUSED, now, _verdict(outcome.fault)))
        case _:
            assert_never(outcome)


def _not_sent(delivery: Delivery, outcome: NotSent, now: float, policy: Policy, jitter: float) -> Step:
    fault = outcome.fault
    back = replace(delivery, state=State.READY, verdict=_verdict(fault))
    refunded = replace(back, attempts=delivery.attempts - 1)
    if fault.klass is FaultClass.CONFIGURATION:
        return Step(replace(refunded, next_at=now), (PauseLane(fault),))
    if fault.repair is not None and delivery.repairs < policy.max_repairs:
        return _repair(refunded, fault, fault.repair, now)
    if not fault.costs_attempt:  # a 429 or an unreachable host: the bucket waits, the delivery keeps its place
        return Step(replace(refunded, next_at=now), (HoldBucket(outcome.method, outcome.retry_after),))
    if delivery.attempts >= policy.max_attempts:
        last = _verdict(fault)
        return Step(_final(back, State.REFUSED, now, replace(last, reason="gave_up", code=last.code or last.reason)))
    wait = outcome.retry_after or backoff(delivery.attempts, policy, jitter)
    return Step(replace(back, next_at=now + wait))


def _repair(delivery: Delivery, fault: Fault, repair: Repair, now: float) -> Step:
    dropped = replace(
        delivery,
        state=State.ACCEPTED,
        address=None,
        repairs=delivery.repairs + 1,
        next_at=now,
        verdict=_verdict(fault),
    )
    return Step(dropped, (DropAddress(repair),))


def _looked(delivery: Delivery, event: Looked, now: float, policy: Policy) -> Step:
    if event.message_id is not None:
        return Step(_sent(delivery, event.message_id, now))
    looks = delivery.looks + 1
    if looks < policy.looks_until_absent:
        return Step(replace(delivery, looks=looks, next_at=now + policy.look_pause))
    if delivery.attempts >= policy.max_attempts:
        verdict = delivery.verdict or Verdict("no_clear_answer")
        return Step(_final(delivery, State.REFUSED, now, replace(verdict, reason="gave_up", code=verdict.reason)))
    return Step(replace(delivery, state=State.READY, looks=0, next_at=now, verdict=None))  # the doubt is over


def _unseen(delivery: Delivery, verdict: Verdict, now: float, policy: Policy) -> Step:
    if delivery.on_uncertain is OnUncertain.RESEND and delivery.attempts < policy.max_attempts:
        return Step(replace(delivery, state=State.READY, looks=0, next_at=now, verdict=verdict))
    return Step(_final(delivery, State.UNCONFIRMED, now, verdict))


def _deadline(delivery: Delivery, event: Event, now: float) -> Step:
    """Skipped says that the deadline passed; the reason is what held the delivery up, if anything did."""
    verdict = delivery.verdict or Verdict("deadline")
    if delivery.state in WAITING:
        return Step(_final(delivery, State.SKIPPED, now, verdict))
    _require(delivery, event, State.UNCERTAIN)
    return Step(_final(delivery, State.UNCONFIRMED, now, verdict))
