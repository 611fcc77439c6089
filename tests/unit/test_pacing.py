"""Pacing in injected time: no window above its limit, a ceiling that is learnt, fair turns, an honest finish time."""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from adapters.base import MethodPace
from notify.pacing import Bucket, FairQueue, Learner, Pacer, Share, finish_time

TEAMS = MethodPace(rate=48.0, burst=1.48)
TEAMS_LIMIT = 50  # requests in any second
SLACK = MethodPace(rate=4.0, burst=30.0)
EXAMPLES = settings().max_examples


def fullest_window(moments: Sequence[float], seconds: float) -> int:
    """The most calls that any closed window of this length holds; by looking at every window that starts at a call."""
    ordered = sorted(moments)
    first = fullest = 0
    for last, moment in enumerate(ordered):
        while moment - ordered[first] > seconds:
            first += 1
        fullest = max(fullest, last - first + 1)
    return fullest


class TestWindows:
    """What the platform counts must never exceed its limit, whatever our own process does."""

    @settings(max_examples=3 * EXAMPLES // 2, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.one_of(st.floats(0.0, 0.05), st.floats(0.0, 3.0)),  # idle, or late by that much
                st.integers(1, 40),  # so many want to go
                st.floats(0.0, 0.05),  # the commit before the wire is foreseen to last so long
                st.one_of(st.floats(0.0, 0.06), st.floats(0.0, 2.0)),  # and lasts so long
            ),
            max_size=300,
        )
    )
    def test_teams(self, pattern: list[tuple[float, int, float, float]]) -> None:
        """No second holds more than 50 calls: not after a stall, a late wake-up, or a slow commit."""
        now = 10.0
        bucket = Bucket(TEAMS, now)
        calls: list[float] = []
        for gap, wanted, lead, took in pattern:
            now = max(now + gap, bucket.ready_at(now) - lead)
            count = bucket.available(now + lead, wanted)
            if not count:
                continue
            bucket.take(now + lead, count)
            on_the_wire = now + max(lead, took)
            if took > lead:
                bucket.settle(on_the_wire, count)
            calls += [on_the_wire] * count
            now = max(now, on_the_wire)

        assert fullest_window(calls, 1.0) <= TEAMS_LIMIT

    @settings(max_examples=3 * EXAMPLES // 2, deadline=None)
    @given(
        st.floats(0.2, 100.0),
        st.floats(1.0, 40.0),
        st.floats(0.1, 30.0),
        st.lists(st.one_of(st.floats(0.0, 0.1), st.floats(0.0, 20.0)), max_size=300),
    )
    def test_any_pace(self, rate: float, burst: float, window: float, gaps: list[float]) -> None:
        """A window of T seconds never holds more than rate · T + burst calls, however greedily they are taken."""
        now = 0.0
        bucket = Bucket(MethodPace(rate, burst), now)
        calls: list[float] = []
        for gap in gaps:
            now += gap
            while count := bucket.available(now, 1000):
                bucket.take(now, count)
                calls += [now] * count

        assert fullest_window(calls, window) <= math.floor(rate * window + burst + 1e-6)

    @pytest.mark.parametrize("late", [0.0, 0.005, 0.0099])
    def test_small_delays_cost_no_pace(self, late: float) -> None:
        """F05: Wake-ups that are late by less than the tolerance do not slow the lane."""
        dice = random.Random(1)
        bucket, now, calls = Bucket(TEAMS, 0.0), 0.0, 0
        while now < 60.0:
            now = bucket.ready_at(now) + dice.uniform(0.0, late)
            bucket.take(now)
            calls += 1

        assert calls / now >= 0.999 * TEAMS.rate

    def test_no_catching_up(self) -> None:
        """After ten idle seconds one call may go, not four hundred and eighty."""
        bucket = Bucket(TEAMS, 0.0)
        bucket.take(0.0)

        assert bucket.available(10.0, 1000) == 1

    def test_a_slow_commit_is_not_caught_up(self) -> None:
        """A call that went on the wire late moves the next ones."""
        bucket = Bucket(TEAMS, 0.0)
        bucket.take(0.0)
        bucket.settle(5.0, 1)

        assert bucket.ready_at(5.0) >= 5.0 + 0.5 / TEAMS.rate

    def test_burst(self) -> None:
        """An idle Slack lane sends 30 at once and then goes on at its rate."""
        bucket = Bucket(SLACK, 0.0)
        for start in (0.0, 3600.0):
            at_once = 0
            while count := bucket.available(start, 8):
                bucket.take(start, count)
                at_once += count

            assert at_once == 30
            assert bucket.ready_at(start) == pytest.approx(start + 0.25)

    def test_the_moment_it_names_is_good(self) -> None:
        """At `ready_at` a call may go, at any uptime of the machine."""
        for uptime in (0.0, 1e3, 1e5, 3e6):
            bucket = Bucket(TEAMS, uptime)
            now = uptime
            for _ in range(1000):
                now = bucket.ready_at(now)
                assert bucket.available(now, 1) == 1
                bucket.take(now)


class TestHolds:
    def test_retry_after(self) -> None:
        """Nothing goes until the time the platform gave has passed."""
        bucket = Bucket(SLACK, 0.0)

        assert bucket.hold(10.0, 7.0) == 17.0
        assert (bucket.available(16.99, 30), bucket.ready_at(10.0)) == (0, 17.0)

    def test_no_burst_afterwards(self) -> None:
        """Who asked us to wait gets an even pace afterwards."""
        bucket = Bucket(SLACK, 0.0)
        end = bucket.hold(10.0, 7.0)

        assert bucket.available(end, 30) == 1

    def test_the_longer_hold_wins(self) -> None:
        """A shorter hold never ends a longer one."""
        bucket = Bucket(SLACK, 0.0)
        bucket.hold(10.0, 60.0)

        assert bucket.hold(11.0, 1.0) == 70.0

    def test_without_a_time(self) -> None:
        """Without Retry-After each further hold is twice as long: 2, 4, 8, 16, 32, then 60 s at most."""
        bucket = Bucket(SLACK, 0.0)
        waits, now = [], 0.0
        for _ in range(7):
            end = bucket.hold(now, None)
            waits.append(end - now)
            now = end

        assert waits == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]

    def test_those_on_the_wire_together_count_once(self) -> None:
        """Eight 429s of calls that left together are one hold."""
        bucket = Bucket(SLACK, 0.0)
        ends = {bucket.hold(0.0, None) for _ in range(8)}

        assert ends == {2.0}

    def test_begins_small_again(self) -> None:
        """An answer in between makes the next hold short."""
        bucket = Bucket(SLACK, 0.0)
        now = 0.0
        for _ in range(5):
            now = bucket.hold(now, None)
        bucket.went_well()

        assert bucket.hold(now, None) == now + 2.0

    def test_a_hold_long_ago_is_forgotten(self) -> None:
        """A bucket that is told of no success still begins small again, five minutes after its last hold."""
        bucket = Bucket(MethodPace(10.0, 1.0), 0.0)
        now = 0.0
        for _ in range(4):
            now = bucket.hold(now, None)
        assert bucket.hold(now + 300.0, None) == now + 302.0

    def test_an_answer_during_a_hold(self) -> None:
        """A success that arrives while the bucket is held does not make the hold shorter than the first one."""
        bucket = Bucket(SLACK, 0.0)
        bucket.hold(0.0, None)
        bucket.went_well()

        assert bucket.hold(1.9, None) == pytest.approx(3.9)

    def test_for_days(self) -> None:
        """A platform that is away for days is still asked once a minute."""
        bucket = Bucket(SLACK, 0.0)
        now = 0.0
        for _ in range(5000):
            now = bucket.hold(now, None)

        assert bucket.hold(now, None) == now + 60.0


class TestLearner:
    def test_falls(self) -> None:
        """A 429 multiplies the rate by 0.9."""
        learner = Learner.begin(4.0, 0.0)

        assert learner.throttled(10.0) == pytest.approx(3.6)

    def test_those_on_the_wire_together_are_one_lesson(self) -> None:
        """429s within a second teach once."""
        learner = Learner.begin(4.0, 0.0)
        for moment in (10.0, 10.2, 10.9):
            learner.throttled(moment)

        assert learner.rate == pytest.approx(3.6)
        assert learner.throttled(11.1) == pytest.approx(3.24)

    def test_rises(self) -> None:
        """Each minute at full pace without a 429 adds 5 % of the start rate."""
        learner = Learner.begin(4.0, 0.0)
        for tick in range(1, 4 * 181):
            learner.sent(tick / 4.0, 1)

        assert learner.rate == pytest.approx(4.6)

    def test_a_429_begins_the_minute_anew(self) -> None:
        """The minute is counted from the last 429."""
        learner = Learner.begin(4.0, 0.0)
        for tick in range(1, 4 * 59):
            learner.sent(tick / 4.0, 1)
        learner.throttled(59.0)
        for tick in range(4 * 59, 4 * 118):
            learner.sent(tick / 4.0, 1)

        assert learner.rate == pytest.approx(3.6)

    def test_a_quiet_lane_learns_nothing(self) -> None:
        """An hour with one message a minute says nothing about the ceiling."""
        learner = Learner.begin(4.0, 0.0)
        for minute in range(60):
            learner.sent(60.0 * minute, 1)

        assert learner.rate == 4.0

    @given(st.floats(allow_nan=False))
    def test_a_remembered_rate_is_believed_within_reason(self, remembered: float) -> None:
        """What was learnt before a restart is kept between a tenth and ten times the start rate."""
        learner = Learner.begin(4.0, 0.0, remembered)

        assert learner.rate == min(max(remembered, 0.4), 40.0)

    @given(st.lists(st.tuples(st.floats(0.0, 120.0), st.booleans()), max_size=400))
    def test_stays_within_reason(self, events: list[tuple[float, bool]]) -> None:
        """No sequence of lessons leads to a rate of zero or without bound."""
        learner, now = Learner.begin(4.0, 0.0), 0.0
        for gap, throttled in events:
            now += gap
            if throttled:
                learner.throttled(now)
            else:
                learner.sent(now, 1000)

        assert 0.4 <= learner.rate <= 40.0


class TestPacer:
    def test_names(self) -> None:
        """Each method has its own bucket; a method without one is counted with the sends."""
        pacer = Pacer("post", {"post": SLACK, "lookup": MethodPace(1.0, 1.0)}, 0.0)

        assert pacer.bucket("post") is pacer.send
        assert pacer.bucket("conversations.open") is pacer.send
        assert pacer.bucket("lookup") is not pacer.send

    def test_a_held_method_holds_no_other(self) -> None:
        """A 429 for look-ups does not slow the sends, nor their rate."""
        pacer = Pacer("post", {"post": SLACK, "lookup": MethodPace(1.0, 1.0)}, 0.0, Learner.begin(SLACK.rate, 0.0))
        pacer.hold("lookup", 0.0, 60.0, lesson=True)

        assert (pacer.send.available(0.0, 5), pacer.send.rate) == (5, 4.0)

    def test_unreachable_is_no_lesson(self) -> None:
        """A host that cannot be reached holds the sends and teaches nothing about the ceiling."""
        pacer = Pacer("post", {"post": SLACK}, 0.0, Learner.begin(SLACK.rate, 0.0))
        pacer.hold(None, 0.0, None, lesson=False)

        assert (pacer.send.available(1.0, 5), pacer.send.rate) == (0, 4.0)


# ---------------------------------------------------------------------- a workspace with a hidden ceiling


@dataclass
class Workspace:
    """A platform with an undisclosed ceiling: a token bucket that answers with whole seconds, as Slack does."""

    per_minute: float
    burst: float
    level: float = field(init=False)
    seen: float = 0.0

    def __post_init__(self) -> None:
        self.level = self.burst

    def call(self, now: float) -> float | None:
        """None when the message was taken, else `Retry-After`."""
        rate = self.per_minute / 60
        self.level = min(self.burst, self.level + (now - self.seen) * rate)
        self.seen = now
        if self.level >= 1.0:
            self.level -= 1.0
            return None
        return max(1.0, math.ceil((1.0 - self.level) / rate))


@dataclass
class Run:
    """What ten minutes of sending came to."""

    sent: list[float] = field(default_factory=list)
    throttled: int = 0

    def use(self, ceiling: float, since: float, until: float) -> float:
        """The part of the ceiling that was used between two moments."""
        return sum(since <= moment < until for moment in self.sent) / (ceiling / 60 * (until - since))


def ten_minutes(ceiling: float, *, latency: float, in_flight: int = 8) -> Run:
    """A lane that always has work, against a workspace with this ceiling; answers take `latency` on average."""
    dice = random.Random(7)
    workspace = Workspace(ceiling, 30.0)
    pacer = Pacer("post", {"post": SLACK}, 0.0, Learner.begin(SLACK.rate, 0.0))
    run, now = Run(), 0.0
    flying: list[tuple[float, int, float | None]] = []
    while now < 600.0:
        free = in_flight - len(flying)
        count = pacer.send.available(now, free) if free else 0
        if count:
            pacer.took_send(now, count)
        for _ in range(count):
            takes = latency * dice.uniform(0.5, 1.5)
            heapq.heappush(flying, (now + takes, len(run.sent) + run.throttled, workspace.call(now + takes / 2)))
        moments = [flying[0][0]] if flying else []
        if in_flight > len(flying):
            moments.append(pacer.send.ready_at(now))
        now = max(min(moments), now + 1e-6)
        while flying and flying[0][0] <= now:
            moment, _, retry_after = heapq.heappop(flying)
            if retry_after is None:
                run.sent.append(moment)
                pacer.send.went_well()
            else:
                run.throttled += 1
                pacer.hold("post", now, retry_after, lesson=True)
    return run


class TestHiddenCeiling:
    @pytest.mark.parametrize("latency", [0.1, 0.3, 1.0])
    def test_is_found(self, latency: float) -> None:
        """At 230 a minute: over 95 % of the ceiling in the last five minutes, at most 1 % of calls answered 429."""
        run = ten_minutes(230.0, latency=latency)

        assert run.use(230.0, 300.0, 600.0) >= 0.95
        assert run.throttled <= 0.01 * (len(run.sent) + run.throttled)

    @pytest.mark.parametrize("ceiling", [150.0, 180.0, 260.0, 300.0])
    def test_is_found_elsewhere(self, ceiling: float) -> None:
        """The same holds for ceilings from two thirds of the start rate to a quarter above it."""
        run = ten_minutes(ceiling, latency=0.3)

        assert run.use(ceiling, 300.0, 600.0) >= 0.95
        assert run.throttled <= 0.01 * (len(run.sent) + run.throttled)

    def test_is_found_far_below(self) -> None:
        """A workspace that allows one a second gets one a second."""
        run = ten_minutes(60.0, latency=0.3)

        assert run.use(60.0, 300.0, 600.0) >= 0.95


# ---------------------------------------------------------------------- whose turn it is

Item = tuple[str, str, int]  # caller, request, place in the request


class AnyTraffic(RuleBasedStateMachine):
    """A fair queue beside a model that only keeps each request's order."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: FairQueue[Item] = FairQueue()
        self.model: dict[tuple[str, str], deque[Item]] = defaultdict(deque)
        self.made: Counter[tuple[str, str]] = Counter()
        self.popped: list[Item] = []

    @rule(caller=st.sampled_from("abc"), request=st.sampled_from("xyz"), count=st.integers(1, 5))
    def add(self, caller: str, request: str, count: int) -> None:
        """More of a request arrives. Sizes differ by name: x is the smallest."""
        key = (caller, caller + request)
        for _ in range(count):
            item = (*key, self.made[key])
            self.made[key] += 1
            self.queue.add(*key, "xyz".index(request), item)
            self.model[key].append(item)

    @precondition(lambda self: len(self.queue) > 0)
    @rule()
    def pop(self) -> None:
        """One leaves: it is the first of its request."""
        item = self.queue.pop()
        assert item == self.model[item[:2]].popleft()
        self.popped.append(item)

    @precondition(lambda self: self.popped)
    @rule()
    def put_back(self) -> None:
        """The last one comes back, and is the first of its request again."""
        item = self.popped.pop()
        if self.model[item[:2]] and self.model[item[:2]][0][2] <= item[2]:
            return
        self.queue.put_back(*item[:2], "xyz".index(item[1][1]), item)
        self.model[item[:2]].appendleft(item)

    @invariant()
    def holds_the_same(self) -> None:
        """Nothing is lost, nothing is doubled."""
        assert len(self.queue) == sum(map(len, self.model.values()))

    def teardown(self) -> None:
        """What is left comes out, each request in order."""
        while len(self.queue):
            item = self.queue.pop()
            assert item == self.model[item[:2]].popleft()
        assert not any(self.model.values())


AnyTraffic.TestCase.settings = settings(max_examples=2 * EXAMPLES, stateful_step_count=50, deadline=None)
TestAnyTraffic = AnyTraffic.TestCase


def fill(queue: FairQueue[Item], caller: str, request: str, count: int) -> None:
    """A request of so many deliveries."""
    for place in range(count):
        queue.add(caller, request, count, (caller, request, place))


def pops_until(queue: FairQueue[Item], request: str) -> int:
    """How many leave until one of this request does, itself included."""
    for count in range(1, len(queue) + 1):
        if queue.pop()[1] == request:
            return count
    raise AssertionError(f"{request} never left")


class TestFairQueue:
    def test_empty(self) -> None:
        """An empty queue says so."""
        with pytest.raises(IndexError):
            FairQueue[Item]().pop()

    @pytest.mark.parametrize("rate", [SLACK.rate, TEAMS.rate])
    @pytest.mark.parametrize(("callers", "own"), [(1, True), (1, False), (10, False)])
    @pytest.mark.parametrize("before", [0, 1, 7, 500])
    def test_one_person_behind_ten_thousand(self, rate: float, callers: int, own: bool, before: int) -> None:
        """F01: one person behind ten requests of 1000 waits at most 2 s, at either pace.

        The ten may be the same caller's, another's, or ten others'.
        """
        queue: FairQueue[Item] = FairQueue()
        for number in range(10):
            fill(queue, f"caller {number % callers}", f"large {number}", 1000)
        burst = max(30 - before, 0)  # a lane that was idle has its burst
        for _ in range(before):
            queue.pop()
        fill(queue, "caller 0" if own else "another", "small", 1)

        waited = max(pops_until(queue, "small") - burst, 0) / rate

        assert waited <= 2.0

    def test_one_person_of_a_caller_among_ten(self) -> None:
        """Where ten callers share a lane, a caller's own small request leaves within its next two turns."""
        queue: FairQueue[Item] = FairQueue()
        for number in range(10):
            fill(queue, f"caller {number}", f"large {number}", 1000)
        queue.pop()
        fill(queue, "caller 0", "small", 1)

        assert pops_until(queue, "small") <= 20

    def test_no_caller_starves(self) -> None:
        """A caller who asks anew after each of its turns does not keep another one waiting."""
        queue: FairQueue[Item] = FairQueue()
        fill(queue, "patient", "large", 100)
        turns: Counter[str] = Counter()
        for number in range(100):
            fill(queue, "eager", f"small {number}", 1)
            turns[queue.pop()[0]] += 1

        assert turns["patient"] >= 49

    def test_no_request_starves(self) -> None:
        """Small requests that keep arriving take no more than their part of their caller's turns."""
        queue: FairQueue[Item] = FairQueue()
        fill(queue, "one", "large", 100)
        turns: Counter[str] = Counter()
        for number in range(100):
            if number % 2:
                fill(queue, "one", f"small {number}", 1)
            turns[queue.pop()[1].split()[0]] += 1

        assert turns["large"] >= 45

    def test_callers_are_equal(self) -> None:
        """Ten requests give a caller no more turns than one."""
        queue: FairQueue[Item] = FairQueue()
        fill(queue, "modest", "m", 300)
        for number in range(10):
            fill(queue, "greedy", f"g{number}", 300)
        turns = Counter(queue.pop()[0] for _ in range(400))

        assert turns == {"modest": 200, "greedy": 200}

    def test_put_back_keeps_the_place(self) -> None:
        """A group that could not leave comes back in its order."""
        queue: FairQueue[Item] = FairQueue()
        fill(queue, "one", "r", 5)
        group = [queue.pop() for _ in range(3)]
        for item in reversed(group):
            queue.put_back("one", "r", 5, item)

        assert [queue.pop()[2] for _ in range(5)] == [0, 1, 2, 3, 4]


# ---------------------------------------------------------------------- when it will be done


def true_end(shares: Sequence[Share], request: str, rate: float) -> float:
    """When the request's last delivery leaves a FairQueue at this rate."""
    queue: FairQueue[Item] = FairQueue()
    for share in shares:
        for place in range(share.pending):
            queue.add(share.caller, share.request, share.size, (share.caller, share.request, place))
    left = next(share.pending for share in shares if share.request == request)
    turns = 0
    while left:
        turns += 1
        left -= queue.pop()[1] == request
    return turns / rate


_shares = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(1, 1000), st.floats(0.01, 1.0)), min_size=1, max_size=8
).map(
    lambda rows: [
        Share(caller, f"r{number}", size, max(1, int(size * part))) for number, (caller, size, part) in enumerate(rows)
    ]
)


class TestFinishTime:
    @settings(max_examples=2 * EXAMPLES, deadline=None)
    @given(_shares, st.data())
    def test_is_near_the_truth(self, shares: list[Share], data: st.DataObject) -> None:
        """F07: The estimate is within 10 % of what a fair queue then does, or one turn of its ring: all of a caller's
        requests have one ring, every second turn of the caller goes to it, and callers take turns."""
        request = data.draw(st.sampled_from([share.request for share in shares]))
        truth = true_end(shares, request, SLACK.rate)
        estimate = finish_time(0.0, request, shares, SLACK.rate, 0.0)

        caller = next(share.caller for share in shares if share.request == request)
        ring = sum(share.caller == caller for share in shares)
        callers = len({share.caller for share in shares})
        assert abs(estimate - truth) <= max(0.1 * truth, 2 * ring * callers / SLACK.rate)

    def test_alone(self) -> None:
        """Alone in its lane a request of 1000 takes 1000 turns."""
        assert finish_time(0.0, "r", [Share("a", "r", 1000, 1000)], 48.0, 0.0) == pytest.approx(1000 / 48.0)

    def test_beside_another_caller(self) -> None:
        """Beside a larger request of another caller it takes twice its turns."""
        shares = [Share("a", "r", 100, 100), Share("b", "q", 1000, 1000)]

        assert finish_time(0.0, "r", shares, 4.0, 0.0) == pytest.approx(50.0)

    def test_begins_when_the_hold_ends(self) -> None:
        """A hold moves the end by as much."""
        shares = [Share("a", "r", 100, 100)]

        assert finish_time(5.0, "r", shares, 4.0, 65.0) == pytest.approx(90.0)

    def test_is_quick(self) -> None:
        """A lane with thousands of requests is estimated without holding anything up."""
        shares = [Share("a", f"r{number}", number, number) for number in range(1, 5001)]

        assert finish_time(0.0, "r4999", shares, 4.0, 0.0) == pytest.approx(5000 * 5001 / 2 / 4.0, rel=1e-4)
