"""The state machine of a delivery: every state with every event, every class of answer, and what never happens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from adapters.base import Address, Fault, FaultClass, NotSent, Outcome, Refused, Repair, Sent, TenantId, Uncertain
from notify.delivery import (
    FINAL,
    WAITING,
    Answered,
    Cancelled,
    CannotLook,
    DeadlinePassed,
    Delivery,
    DropAddress,
    Effect,
    Event,
    Evidence,
    HoldBucket,
    ImpossibleEvent,
    Intended,
    Looked,
    LookPostponed,
    LookupPostponed,
    NotReachable,
    OnUncertain,
    PauseLane,
    Policy,
    Resolved,
    State,
    Step,
    Verdict,
    backoff,
    step,
)

NOW = 1_000.0
POLICY = Policy()
EXAMPLES = settings().max_examples
HOME = Address(TenantId("T1"), "U1", "U1", "D1")

UNKNOWN_PERSON = Verdict("person_not_found", remedy="Check the address.")
BUSY = Fault(FaultClass.NOT_SENT, "conversation_busy", "Send again later.", "http_412")
THROTTLED = Fault(FaultClass.NOT_SENT, "throttled", "Send again later.", "ratelimited", costs_attempt=False)
UNREACHABLE = Fault(FaultClass.NOT_SENT, "platform_unreachable", "Check the network.", "refused", costs_attempt=False)
REVOKED = Fault(FaultClass.CONFIGURATION, "installation_revoked", "Install the app again.", "token_revoked")
UNCLEAR = Fault(FaultClass.UNCERTAIN, "no_clear_answer", "Ask the person.", "http_502", "Bad gateway")
BLOCKED = Fault(FaultClass.REFUSED, "blocked_by_recipient", "Only the person can.", "user_blocked", "blocked the app")
STALE = Fault(FaultClass.REFUSED, "conversation_not_found", "Install.", "channel_not_found", repair=Repair.CONVERSATION)
MOVED = replace(BUSY, code="wrong_host", repair=Repair.SERVICE_URL)

EVENTS: dict[str, Event] = {
    "resolved": Resolved(HOME),
    "not reachable": NotReachable(UNKNOWN_PERSON),
    "look-up postponed": LookupPostponed(7.0, THROTTLED),
    "intended": Intended(),
    "answered: sent": Answered(Sent("M1")),
    "answered: busy": Answered(NotSent(BUSY)),
    "answered: throttled": Answered(NotSent(THROTTLED, 3.0, "post")),
    "answered: configuration": Answered(NotSent(REVOKED)),
    "answered: unclear": Answered(Uncertain(UNCLEAR)),
    "answered: refused": Answered(Refused(BLOCKED)),
    "answered: stale": Answered(Refused(STALE)),
    "looked: found": Looked("M1"),
    "looked: absent": Looked(None),
    "look postponed": LookPostponed(9.0),
    "cannot look": CannotLook(Verdict("no_clear_answer")),
    "evidence": Evidence("M1", "read receipt"),
    "deadline": DeadlinePassed(),
    "cancelled": Cancelled(),
}

# what each event makes of a fresh delivery in each state; "." is impossible
TABLE = """
                          accepted   ready      sending      uncertain    sent  refused  unconfirmed  skipped  cancelled
resolved                  ready      .          .            .            .     .        .            .        .
not reachable             refused    refused    .            .            .     .        .            .        .
look-up postponed         accepted   accepted   .            .            .     .        .            .        .
intended                  sending    sending    .            .            .     .        .            .        .
answered: sent            .          .          sent         .            .     .        .            .        .
answered: busy            .          .          ready        .            .     .        .            .        .
answered: throttled       .          .          ready        .            .     .        .            .        .
answered: configuration   .          .          ready        .            .     .        .            .        .
answered: unclear         .          .          uncertain    .            .     .        .            .        .
answered: refused         .          .          refused      .            .     .        .            .        .
answered: stale           .          .          accepted     .            .     .        .            .        .
looked: found             .          .          .            sent         .     .        .            .        .
looked: absent            .          .          .            uncertain    .     .        .            .        .
look postponed            .          .          .            uncertain    .     .        .            .        .
cannot look               .          .          .            unconfirmed  .     .        .            .        .
evidence                  .          .          .            sent         .     .        sent         .        .
deadline                  skipped    skipped    .            unconfirmed  .     .        .            .        .
cancelled                 cancelled  cancelled  .            .            .     .        .            .        .
"""


def delivery(state: State, **changes: object) -> Delivery:
    """A delivery in a state, with its address, one attempt made once it may have left."""
    final = state in FINAL
    fresh = Delivery(
        state=state,
        deadline_at=NOW + 86_400.0,
        next_at=None if final else NOW - 1.0,
        attempts=0 if state in WAITING else 1,
        address=HOME,
        final_at=NOW - 5.0 if final else None,
    )
    return replace(fresh, **changes)  # type: ignore[arg-type]  # keyword arguments of a test


def after(before: Delivery, event: Event, *, policy: Policy = POLICY, jitter: float = 0.0) -> Step:
    return step(before, event, now=NOW, policy=policy, jitter=jitter)


def cells() -> Iterator[tuple[State, str, str]]:
    """(state, event, expected) of every cell of the table."""
    head, *rows = TABLE.strip("\n").splitlines()
    states = [State(word) for word in head.split()]
    for row in rows:
        name, *expected = re.split(r"  +", row.strip())
        for state, word in zip(states, expected, strict=True):
            yield state, name, word


class TestTable:
    def test_is_complete(self) -> None:
        """Every state meets every kind of event somewhere in the table."""
        listed = list(cells())

        assert set(State) == {state for state, _, _ in listed}
        assert set(EVENTS) == {name for _, name, _ in listed}
        assert len(State) * len(EVENTS) == len(listed)
        assert set(Event.__args__) == {type(event) for event in EVENTS.values()}

    @pytest.mark.parametrize(("state", "name", "expected"), list(cells()))
    def test_cell(self, state: State, name: str, expected: str) -> None:
        """An event leads where the table says, or changes nothing and is called impossible."""
        before = delivery(state)
        if expected == ".":
            with pytest.raises(ImpossibleEvent):
                after(before, EVENTS[name])
            return

        found = after(before, EVENTS[name]).delivery

        assert expected == found.state
        assert (found.state in FINAL) == (found.next_at is None) == (found.final_at is not None)


class TestResolving:
    def test_found(self) -> None:
        """A found person's delivery is ready at once, at this address."""
        found = after(delivery(State.ACCEPTED, address=None), Resolved(HOME)).delivery

        assert (found.state, found.address, found.next_at) == (State.READY, HOME, NOW)

    def test_unknown(self) -> None:
        """An unknown person's delivery is refused with the reason and the remedy."""
        found = after(delivery(State.ACCEPTED), NotReachable(UNKNOWN_PERSON)).delivery

        assert (found.state, found.verdict, found.final_at) == (State.REFUSED, UNKNOWN_PERSON, NOW)

    def test_throttled(self) -> None:
        """A throttled look-up waits as long as the platform asked, and costs nothing."""
        found = after(delivery(State.ACCEPTED), LookupPostponed(7.0, THROTTLED)).delivery

        assert (found.state, found.next_at, found.attempts) == (State.ACCEPTED, NOW + 7.0, 0)

    def test_unreachable(self) -> None:
        """A look-up that failed without a time is repeated after the first backoff."""
        found = after(delivery(State.ACCEPTED), LookupPostponed(0.0, UNREACHABLE)).delivery

        assert found.next_at == NOW + 2.0

    def test_misconfigured(self) -> None:
        """A look-up that the lane's configuration prevents pauses the lane."""
        found = after(delivery(State.ACCEPTED), LookupPostponed(7.0, REVOKED))

        assert (found.delivery.state, found.delivery.next_at) == (State.ACCEPTED, NOW)
        assert (PauseLane(REVOKED),) == found.effects

    def test_nowhere_to_send(self) -> None:
        """An intent needs an address."""
        with pytest.raises(ImpossibleEvent, match="without an address"):
            after(delivery(State.READY, address=None), Intended())


class TestAnswers:
    """One test for each row of the meaning of an answer."""

    def answered(self, outcome: Outcome, **changes: object) -> Step:
        return after(delivery(State.SENDING, **changes), Answered(outcome))

    def test_sent(self) -> None:
        """A message id makes the delivery final, with the id and the conversation that was learnt."""
        found = self.answered(Sent("M1", "D2")).delivery

        assert (found.state, found.message_id, found.final_at, found.next_at) == (State.SENT, "M1", NOW, None)
        assert replace(HOME, conversation_id="D2") == found.address

    def test_sent_without_a_new_conversation(self) -> None:
        """An answer that names no conversation keeps the known one."""
        assert self.answered(Sent("M1")).delivery.address == HOME

    def test_unreachable(self) -> None:
        """A host that cannot be reached costs no attempt; the send bucket waits for a time the pacer chooses."""
        found = self.answered(NotSent(UNREACHABLE), attempts=3)

        assert (found.delivery.state, found.delivery.attempts, found.delivery.next_at) == (State.READY, 2, NOW)
        assert (HoldBucket(None, None),) == found.effects

    def test_throttled(self) -> None:
        """A 429 costs no attempt; the bucket it names waits as long as the platform asked."""
        found = self.answered(NotSent(THROTTLED, 30.0, "post"), attempts=5)

        assert (found.delivery.state, found.delivery.attempts) == (State.READY, 4)
        assert (HoldBucket("post", 30.0),) == found.effects

    def test_busy(self) -> None:
        """A 412 costs the attempt and is repeated after a backoff."""
        found = self.answered(NotSent(BUSY), attempts=3)

        assert (found.delivery.state, found.delivery.attempts, found.delivery.next_at) == (State.READY, 3, NOW + 8.0)
        assert found.effects == ()

    def test_busy_with_a_time(self) -> None:
        """A time that the platform gave goes before our backoff."""
        assert self.answered(NotSent(BUSY, 11.0)).delivery.next_at == NOW + 11.0

    def test_attempts_spent(self) -> None:
        """The last attempt that fails ends the delivery as given up, with the last fault."""
        found = self.answered(NotSent(BUSY), attempts=5).delivery

        assert found.state == State.REFUSED
        assert Verdict("gave_up", "http_412", "", "Send again later.") == found.verdict

    def test_unclear(self) -> None:
        """An answer that says nothing leaves the delivery uncertain, to be looked for at once."""
        found = self.answered(Uncertain(UNCLEAR), looks=1).delivery

        assert (found.state, found.next_at, found.looks, found.attempts) == (State.UNCERTAIN, NOW, 0, 1)
        assert Verdict("no_clear_answer", "http_502", "Bad gateway", "Ask the person.") == found.verdict

    def test_refused(self) -> None:
        """A refusal is final, with the platform's code and our remedy."""
        found = self.answered(Refused(BLOCKED)).delivery

        assert found.state == State.REFUSED
        assert Verdict("blocked_by_recipient", "user_blocked", "blocked the app", "Only the person can.") == (
            found.verdict
        )

    def test_unknown_code(self) -> None:
        """A refusal with a code that no table knows keeps the raw code."""
        odd = Fault(FaultClass.REFUSED, "unknown_code", "Report it.", "brand_new_error")
        found = self.answered(Refused(odd)).delivery

        assert found.verdict is not None
        assert (found.state, found.verdict.code) == (State.REFUSED, "brand_new_error")

    def test_repairable(self) -> None:
        """A stale conversation is dropped and the delivery begins again."""
        found = self.answered(Refused(STALE))

        assert (found.delivery.state, found.delivery.address, found.delivery.repairs) == (State.ACCEPTED, None, 1)
        assert (DropAddress(Repair.CONVERSATION),) == found.effects

    def test_repaired_already(self) -> None:
        """The same fault a second time is final."""
        found = self.answered(Refused(STALE), repairs=1)

        assert (found.delivery.state, found.effects) == (State.REFUSED, ())

    def test_told_to_move(self) -> None:
        """A refusal to this host before anything was taken is repaired without costing the attempt."""
        found = self.answered(NotSent(MOVED))

        assert (found.delivery.state, found.delivery.attempts, found.delivery.repairs) == (State.ACCEPTED, 0, 1)
        assert (DropAddress(Repair.SERVICE_URL),) == found.effects

    def test_told_to_move_again(self) -> None:
        """The second time it counts as any other failure."""
        found = self.answered(NotSent(MOVED), repairs=1)

        assert (found.delivery.state, found.delivery.attempts, found.effects) == (State.READY, 1, ())

    def test_configuration(self) -> None:
        """A fault of the lane costs the delivery nothing and pauses the lane."""
        found = self.answered(NotSent(REVOKED), attempts=5)

        assert (found.delivery.state, found.delivery.attempts, found.delivery.next_at) == (State.READY, 4, NOW)
        assert (PauseLane(REVOKED),) == found.effects


class TestUncertain:
    def test_found(self) -> None:
        """A message that is found on the platform is sent."""
        found = after(delivery(State.UNCERTAIN), Looked("M9")).delivery

        assert (found.state, found.message_id, found.final_at) == (State.SENT, "M9", NOW)

    def test_absent_once(self) -> None:
        """Not seen once is not absent: we look again after a pause."""
        found = after(delivery(State.UNCERTAIN), Looked(None)).delivery

        assert (found.state, found.looks, found.next_at) == (State.UNCERTAIN, 1, NOW + 5.0)

    def test_absent_twice(self) -> None:
        """Not seen twice is absent: it is sent again, and counts as the attempt it was."""
        found = after(delivery(State.UNCERTAIN, looks=1), Looked(None)).delivery

        assert (found.state, found.looks, found.attempts, found.next_at) == (State.READY, 0, 1, NOW)

    def test_absent_and_spent(self) -> None:
        """Absent after the last attempt is a refusal, because it certainly did not arrive."""
        before = delivery(State.UNCERTAIN, looks=1, attempts=5, verdict=Verdict("no_clear_answer", "http_502"))
        found = after(before, Looked(None)).delivery

        assert found.verdict is not None
        assert (found.state, found.verdict.reason) == (State.REFUSED, "gave_up")

    def test_look_postponed(self) -> None:
        """A look that the platform did not answer is repeated later and is no look."""
        found = after(delivery(State.UNCERTAIN, looks=1), LookPostponed(9.0)).delivery

        assert (found.looks, found.next_at) == (1, NOW + 9.0)

    def test_unseen_and_held(self) -> None:
        """Who asked to hold gets `unconfirmed` where nobody may look."""
        found = after(delivery(State.UNCERTAIN), CannotLook(Verdict("no_clear_answer"))).delivery

        assert found.state == State.UNCONFIRMED

    def test_unseen_and_resent(self) -> None:
        """Who asked to resend gets another attempt where nobody may look."""
        before = delivery(State.UNCERTAIN, on_uncertain=OnUncertain.RESEND)
        found = after(before, CannotLook(Verdict("no_clear_answer"))).delivery

        assert (found.state, found.next_at) == (State.READY, NOW)

    def test_unseen_resent_and_spent(self) -> None:
        """Resending ends with the attempts, as `unconfirmed`."""
        before = delivery(State.UNCERTAIN, on_uncertain=OnUncertain.RESEND, attempts=5)
        found = after(before, CannotLook(Verdict("no_clear_answer"))).delivery

        assert found.state == State.UNCONFIRMED

    def test_resend_does_not_skip_the_look(self) -> None:
        """Resend changes only the last step: what can be looked for is looked for twice."""
        before = delivery(State.UNCERTAIN, on_uncertain=OnUncertain.RESEND)

        assert after(before, Looked(None)).delivery.state == State.UNCERTAIN

    def test_late_evidence(self) -> None:
        """A receipt turns unconfirmed into sent and leaves the moment it became final as it was."""
        found = after(delivery(State.UNCONFIRMED), Evidence("M1", "read receipt")).delivery

        assert (found.state, found.message_id, found.final_at) == (State.SENT, "M1", NOW - 5.0)


class TestDeadline:
    @pytest.mark.parametrize("state", [State.ACCEPTED, State.READY])
    def test_before_it_left(self, state: State) -> None:
        """What never left is skipped, for the reason that held it up."""
        before = delivery(state, verdict=Verdict("throttled", "ratelimited"))
        found = after(before, DeadlinePassed()).delivery

        assert (State.SKIPPED, Verdict("throttled", "ratelimited")) == (found.state, found.verdict)

    def test_nothing_held_it_up(self) -> None:
        """What had not met any trouble is skipped for the deadline alone."""
        found = after(delivery(State.READY), DeadlinePassed()).delivery

        assert (State.SKIPPED, Verdict("deadline")) == (found.state, found.verdict)

    def test_a_doubt_that_is_over(self) -> None:
        """What was proven absent and then waited too long is skipped, and asks nobody whether it arrived."""
        doubtful = delivery(State.UNCERTAIN, looks=1, verdict=Verdict("no_clear_answer", "http_502"))
        found = after(after(doubtful, Looked(None)).delivery, DeadlinePassed()).delivery

        assert (State.SKIPPED, Verdict("deadline")) == (found.state, found.verdict)

    def test_in_doubt(self) -> None:
        """What may have arrived ends unconfirmed, not skipped."""
        before = delivery(State.UNCERTAIN, verdict=Verdict("no_clear_answer", "http_502"))
        found = after(before, DeadlinePassed()).delivery

        assert (State.UNCONFIRMED, before.verdict) == (found.state, found.verdict)


class TestBackoff:
    def test_doubles_up_to_its_cap(self) -> None:
        """2, 4, 8, … seconds, never above a minute."""
        assert [backoff(tries, POLICY, 0.0) for tries in range(1, 8)] == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]

    @given(st.integers(0, 10_000), st.floats(-1.0, 1.0))
    def test_stays_within_a_fifth(self, attempts: int, jitter: float) -> None:
        """Jitter moves a backoff by at most 20 %."""
        plain = backoff(attempts, POLICY, 0.0)

        assert 0.8 * plain - 1e-9 <= backoff(attempts, POLICY, jitter) <= 1.2 * plain + 1e-9


# ---------------------------------------------------------------------- any sequence of events

_faults = st.sampled_from([BUSY, THROTTLED, UNREACHABLE, REVOKED, MOVED])
_seconds = st.one_of(st.none(), st.floats(0.0, 3600.0))
_outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Sent, st.just("M1"), st.sampled_from([None, "D2"])),
    st.builds(NotSent, _faults, _seconds, st.sampled_from([None, "post"])),
    st.builds(Uncertain, st.just(UNCLEAR)),
    st.builds(Refused, st.sampled_from([BLOCKED, STALE])),
)
_events: st.SearchStrategy[Event] = st.one_of(
    st.just(EVENTS["resolved"]),
    st.just(EVENTS["not reachable"]),
    st.builds(LookupPostponed, st.floats(0.0, 3600.0), st.sampled_from([THROTTLED, UNREACHABLE, REVOKED])),
    st.just(Intended()),
    st.builds(Answered, _outcomes),
    st.builds(Looked, st.sampled_from([None, "M1"])),
    st.builds(LookPostponed, st.floats(0.0, 3600.0)),
    st.just(EVENTS["cannot look"]),
    st.just(EVENTS["evidence"]),
    st.just(DeadlinePassed()),
    st.just(Cancelled()),
)


class AnyLife(RuleBasedStateMachine):
    """One delivery under any events in any order; impossible ones are refused and change nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.policy = Policy()
        self.delivery = Delivery(State.ACCEPTED, NOW + 86_400.0, NOW)
        self.wires = 0  # sends that were paid for
        self.absent = 0  # looks without the message since the last doubt
        self.finals = 0

    @rule(choice=st.sampled_from(list(OnUncertain)), attempts=st.integers(1, 5), repairs=st.integers(0, 2))
    @precondition(lambda self: self.delivery.attempts == 0 and self.delivery.state is State.ACCEPTED)
    def begin(self, choice: OnUncertain, attempts: int, repairs: int) -> None:
        """The caller's choice and the operator's numbers."""
        self.delivery = replace(self.delivery, on_uncertain=choice)
        self.policy = Policy(max_attempts=attempts, max_repairs=repairs)

    @rule(event=_events, jitter=st.floats(-1.0, 1.0), seconds=st.floats(0.0, 100.0))
    def happens(self, event: Event, jitter: float, seconds: float) -> None:
        """One event, after some time."""
        self.now += seconds
        before = self.delivery
        try:
            found = step(before, event, now=self.now, policy=self.policy, jitter=jitter)
        except ImpossibleEvent:
            assert before is self.delivery
            return
        self._jitter_moves_only_the_time(before, event, found)
        self._leaves_final_by_evidence_only(before, event, found.delivery)
        self._burns_nothing_for_the_platform(before, event, found.delivery)
        self._repeats_only_what_is_absent(before, event, found.delivery)
        self.finals += found.delivery.state in FINAL and before.state not in FINAL
        self.delivery = found.delivery

    def _jitter_moves_only_the_time(self, before: Delivery, event: Event, found: Step) -> None:
        still = step(before, event, now=self.now, policy=self.policy, jitter=0.0)
        assert replace(still.delivery, next_at=None) == replace(found.delivery, next_at=None)
        assert still.effects == found.effects

    def _leaves_final_by_evidence_only(self, before: Delivery, event: Event, found: Delivery) -> None:
        if before.state in FINAL:
            assert (before.state, found.state) == (State.UNCONFIRMED, State.SENT)
            assert isinstance(event, Evidence)
            assert before.final_at == found.final_at

    def _burns_nothing_for_the_platform(self, before: Delivery, event: Event, found: Delivery) -> None:
        """Attempts rise only with an intent, and go back when the fault is the platform's or the lane's."""
        match event:
            case Intended():
                assert before.attempts + 1 == found.attempts
            case Answered(NotSent(fault)) if not fault.costs_attempt or fault.klass is FaultClass.CONFIGURATION:
                assert before.attempts - 1 == found.attempts
                assert found.state not in FINAL
            case Answered(NotSent(fault)) if found.repairs > before.repairs:
                assert before.attempts - 1 == found.attempts
            case _:
                assert before.attempts == found.attempts

    def _repeats_only_what_is_absent(self, before: Delivery, event: Event, found: Delivery) -> None:
        if before.state is State.SENDING and found.state is State.UNCERTAIN:
            self.absent = 0
        if isinstance(event, Looked) and event.message_id is None:
            self.absent += 1
        if before.state is State.UNCERTAIN and found.state is State.READY and not isinstance(event, CannotLook):
            assert self.absent >= 2
        if before.state is State.UNCERTAIN and found.state is State.READY and isinstance(event, CannotLook):
            assert OnUncertain.RESEND is before.on_uncertain

    @invariant()
    def is_taken_up_again(self) -> None:
        """Every delivery that is not final has a moment at which it goes on; every final one has an end."""
        final = self.delivery.state in FINAL
        assert final == (self.delivery.next_at is None)
        assert final == (self.delivery.final_at is not None)
        assert (self.delivery.state in FINAL) == (self.finals == 1)

    @invariant()
    def is_bounded(self) -> None:
        """Attempts and repairs end."""
        assert 0 <= self.delivery.attempts <= self.policy.max_attempts
        assert 0 <= self.delivery.repairs <= self.policy.max_repairs

    @invariant()
    def is_explained(self) -> None:
        """A final delivery says why, a sent one has the platform's id."""
        if self.delivery.state in FINAL:
            assert self.delivery.verdict is not None
        assert (self.delivery.state is State.SENT) == (self.delivery.message_id is not None)


AnyLife.TestCase.settings = settings(max_examples=3 * EXAMPLES, stateful_step_count=40, deadline=None)
TestAnyLife = AnyLife.TestCase


@given(st.sampled_from(list(OnUncertain)), st.integers(1, 8))
def test_unclear_answers_end(choice: OnUncertain, most: int) -> None:
    """However often the answer is unclear and nobody may look, at most `max_attempts` requests go out."""
    policy = Policy(max_attempts=most)
    current = Delivery(State.READY, NOW + 86_400.0, NOW, on_uncertain=choice, address=HOME)
    wires = 0
    for event in (Intended(), Answered(Uncertain(UNCLEAR)), CannotLook(Verdict("no_clear_answer"))) * (most + 1):
        if current.state in FINAL:
            break
        wires += isinstance(event, Intended)
        current = step(current, event, now=NOW, policy=policy).delivery

    assert current.state == State.UNCONFIRMED
    assert (1 if choice is OnUncertain.HOLD else most) == wires


@given(st.lists(st.tuples(_seconds, st.sampled_from([None, "post"])), max_size=50))
def test_a_platform_that_only_throttles_fails_nobody(holds: list[tuple[float | None, str | None]]) -> None:
    """429s and unreachable hosts, however many, leave the delivery ready with all its attempts."""
    current = Delivery(State.READY, NOW + 86_400.0, NOW, address=HOME)
    effects: list[Effect] = []
    for seconds, bucket in holds:
        current = step(current, Intended(), now=NOW, policy=POLICY).delivery
        found = step(current, Answered(NotSent(THROTTLED, seconds, bucket)), now=NOW, policy=POLICY)
        current = found.delivery
        effects += found.effects

    assert (current.state, current.attempts) == (State.READY, 0)
    assert [HoldBucket(bucket, seconds) for seconds, bucket in holds] == effects
