"""PURE: how fast a lane may go, and who is next. The clock (monotonic seconds) is an argument.

Three nouns:

- `Bucket`, one per (lane, method): a generic cell rate algorithm. `tat` is the theoretical arrival time of the next
  call; a call may go when `now >= tat - tolerance`. So no window of any length T holds more than rate · T + burst
  calls, and a stall is never followed by a catch-up beyond the burst. `not_before` is what a 429 set; after it the
  pace is even, because whoever said "wait" has no burst to give.
- `Learner`: Slack does not publish a workspace's ceiling. The rate rises by 5 % of the start rate for each minute
  that was used to the full without a 429 and is multiplied by 0.9 by a 429. It is kept across restarts.
- `FairQueue`: whose turn it is. Callers take turns, a caller that arrives goes first in the running round; inside one
  caller every second turn goes to the smallest request and the others go round, so a small request never waits behind
  a large one and no large one starves.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from adapters.base import MethodPace
from notify.windows import Windows

HOLD_BASE = 2.0  # a 429 without Retry-After: Microsoft's sample waits 2 s to 20 s, exponentially
HOLD_CAP = 60.0
HOLD_FORGOTTEN = 300.0  # after a hold has ended: the next one begins small again
RISE_EVERY = 60.0
RISE_BY = 0.05  # of the start rate
FALL_TO = 0.9
RATE_FLOOR = 0.1  # of the start rate
RATE_CEILING = 10.0  # times the start rate
FULL_USE = 0.8  # of the rate: a minute with fewer sends did not try the ceiling
BLAME_WINDOW = 1.0  # 429s of calls that were on the wire together count once


class Bucket:
    """One method's budget in one lane."""

    def __init__(self, pace: MethodPace, now: float) -> None:
        self._rate = pace.rate
        self._burst = max(pace.burst, 1.0)
        self._tat = now
        self.not_before = now
        self._holds = 0

    @property
    def rate(self) -> float:
        """Calls per second."""
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        self._rate = rate

    def ready_at(self, now: float) -> float:
        """The first moment a call may go."""
        tolerance = (self._burst - 1.0) / self._rate
        return max(now, self.not_before, self._tat - tolerance)

    def available(self, now: float, most: int) -> int:
        """How many calls may go at this moment, at most `most`."""
        if now < self.not_before:
            return 0
        interval = 1.0 / self._rate
        spare = now - self._tat + (self._burst - 1.0) * interval
        if spare < -1e-9:
            return 0
        return min(most, int((spare + 1e-9) / interval) + 1, int(self._burst))

    def take(self, now: float, count: int = 1) -> None:
        """Account for `count` calls that go now."""
        self._tat = max(self._tat, now) + count / self._rate

    def settle(self, now: float, count: int) -> None:
        """The `count` calls last taken go on the wire only now: no catching up for the delay."""
        self._tat = max(self._tat, now + count / self._rate)

    def hold(self, now: float, retry_after: float | None) -> float:
        """Let nothing go for `retry_after` seconds (None: exponential); returns the moment it ends."""
        if now >= self.not_before + HOLD_FORGOTTEN:
            self._holds = 0
        if now >= self.not_before:
            self._holds += 1
        exponent = min(max(self._holds - 1, 0), 30)
        growing = min(HOLD_BASE * 2.0**exponent, HOLD_CAP)
        if retry_after is None:
            wait = growing
        elif self._holds > 1:  # the platform's word did not help last time
            wait = max(retry_after, growing / 2)
        else:
            wait = retry_after
        self.not_before = max(self.not_before, now + wait)
        self._tat = max(self._tat, self.not_before + (self._burst - 1.0) / self._rate)
        return self.not_before

    def went_well(self) -> None:
        """A call was answered: the next 429 without Retry-After starts small again."""
        self._holds = 0


@dataclass(slots=True)
class Learner:
    """Additive increase, multiplicative decrease around a start rate."""

    start: float
    rate: float
    changed_at: float
    blamed_at: float = field(default=float("-inf"))
    sends: int = 0  # since the rate was looked at

    @classmethod
    def begin(cls, start: float, now: float, remembered: float | None = None) -> Learner:
        """Start at the documented rate, or at what was learnt before a restart."""
        rate = start if remembered is None else min(max(remembered, start * RATE_FLOOR), start * RATE_CEILING)
        return cls(start=start, rate=rate, changed_at=now)

    def throttled(self, now: float) -> float:
        """A 429 arrived; 429s within one window are one lesson."""
        if now - self.blamed_at >= BLAME_WINDOW:
            self.rate = max(self.rate * FALL_TO, self.start * RATE_FLOOR)
            self.blamed_at = self.changed_at = now
            self.sends = 0
        return self.rate

    def sent(self, now: float, count: int) -> float:
        """So many sends go now: rise after a minute without a 429, unless it was too quiet to teach anything."""
        elapsed = now - self.changed_at
        if elapsed >= RISE_EVERY:
            if self.sends >= FULL_USE * self.rate * elapsed:
                self.rate = min(self.rate + self.start * RISE_BY, self.start * RATE_CEILING)
            self.changed_at, self.sends = now, 0
        self.sends += count
        return self.rate


class Pacer:
    """The buckets of one lane. `send` names the bucket of a send."""

    def __init__(
        self,
        send: str,
        paces: Mapping[str, MethodPace],
        now: float,
        learner: Learner | None = None,
        windows: Sequence[tuple[float, int]] = (),
    ) -> None:
        self.windows = Windows(windows)
        self._buckets = {name: Bucket(pace, now) for name, pace in paces.items()}
        self.send = self._buckets[send]
        self._send_name = send
        self.learner = learner
        if learner is not None:
            self.send.rate = learner.rate

    def bucket(self, name: str) -> Bucket:
        """The named bucket; calls without one of their own are counted with the sends."""
        return self._buckets.get(name, self.send)

    def took_send(self, now: float, count: int) -> None:
        """`count` sends go on the wire now."""
        if self.learner is not None:
            self.send.rate = self.learner.sent(now, count)
        self.send.take(now, count)

    def hold(self, name: str | None, now: float, retry_after: float | None, *, lesson: bool) -> float:
        """The platform paused a bucket; a `lesson` also slows the learnt rate. Returns the end of the hold."""
        bucket = self.send if name is None else self.bucket(name)
        if lesson and bucket is self.send and self.learner is not None:
            self.send.rate = self.learner.throttled(now)
        return bucket.hold(now, retry_after)


T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Request(Generic[T]):
    id: str
    size: int
    items: deque[T] = field(default_factory=deque)


@dataclass(slots=True, eq=False)
class _Caller(Generic[T]):
    name: str
    round: int  # in which it is served next
    fresh: bool = True  # not served since it arrived
    requests: dict[str, _Request[T]] = field(default_factory=dict)
    ring: deque[str] = field(default_factory=deque)
    turn: int = 0


class FairQueue(Generic[T]):
    """Items of many requests of many callers, in fair order.

    Each round serves every caller once. Who arrives goes first in the running round, unless it has had its turn in it.
    """

    def __init__(self) -> None:
        self._callers: dict[str, _Caller[T]] = {}
        self._left: dict[str, int] = {}  # callers that had their turn and then ran out: their next round
        self._round = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, caller: str, request: str, size: int, item: T) -> None:
        """Put an item at the end of its request. `size` is the number of deliveries the request has in all."""
        self._request(caller, request, size).items.append(item)
        self._size += 1

    def put_back(self, caller: str, request: str, size: int, item: T) -> None:
        """Put an item at the front of its request: it keeps its place."""
        self._request(caller, request, size).items.appendleft(item)
        self._size += 1

    def pop(self) -> T:
        """The next item. Raises IndexError when the queue is empty."""
        if not self._size:
            raise IndexError("pop from an empty FairQueue")
        caller = min(self._callers.values(), key=lambda each: (each.round, not each.fresh))
        if caller.round > self._round:
            self._round = caller.round
            self._left = {name: due for name, due in self._left.items() if due > self._round}
        caller.round, caller.fresh = self._round + 1, False
        request = self._choose(caller)
        item = request.items.popleft()
        self._size -= 1
        if not request.items:
            del caller.requests[request.id]
            caller.ring.remove(request.id)
        if not caller.requests:
            del self._callers[caller.name]
            self._left[caller.name] = caller.round
        return item

    def _request(self, caller: str, request: str, size: int) -> _Request[T]:
        known = self._callers.get(caller)
        if known is None:
            due = self._left.pop(caller, self._round)
            known = self._callers[caller] = _Caller(caller, due)
        found = known.requests.get(request)
        if found is None:
            found = known.requests[request] = _Request(request, size)
            known.ring.append(request)
        return found

    @staticmethod
    def _choose(caller: _Caller[T]) -> _Request[T]:
        caller.turn += 1
        if caller.turn % 2:
            return min(caller.requests.values(), key=lambda request: request.size)
        caller.ring.rotate(-1)
        return caller.requests[caller.ring[-1]]


@dataclass(frozen=True, slots=True)
class Share:
    """What one request still wants of a lane. `size` is the number of deliveries it has in all."""

    caller: str
    request: str
    size: int
    pending: int


def finish_time(now: float, request: str, shares: Sequence[Share], rate: float, not_before: float) -> float:
    """When a request's last delivery leaves if a FairQueue shares the lane's rate among what is pending now.

    Callers take equal turns: until this one is done, each other one takes as many turns as it has left, at most as
    many as this one.
    """
    mine = next(share for share in shares if share.request == request)
    own = _turns(request, [share for share in shares if share.caller == mine.caller])
    left: Counter[str] = Counter()
    for share in shares:
        if share.caller != mine.caller:
            left[share.caller] += share.pending
    return max(now, not_before) + (own + sum(min(count, own) for count in left.values())) / rate


def _turns(request: str, shares: Sequence[Share]) -> float:
    """How many turns one caller takes until a request is done: half go to the smallest, half go round."""
    waiting = sorted(shares, key=lambda share: share.size)
    by_left = sorted(waiting, key=lambda share: share.pending, reverse=True)
    done: set[str] = set()
    turns = each = extra = 0.0  # `each` has got so much from going round, the smallest `extra` on top
    while True:
        while waiting[0].request in done:
            del waiting[0]
            extra = 0.0
        while by_left[-1].request in done:
            by_left.pop()
        smallest, least = waiting[0], by_left[-1]
        part = 0.5 / (len(shares) - len(done))
        step = max(smallest.pending - each - extra, 0.0) / (0.5 + part)
        ended = smallest
        if least is not smallest and (shorter := max(least.pending - each, 0.0) / part) < step:
            step, ended = shorter, least
        turns, each, extra = turns + step, each + step * part, extra + step / 2
        done.add(ended.request)
        if ended.request == request:
            return turns
