"""Promises of the simulator's limiters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.limits import Bucket, Limiter, Rate, Window
from simulator.slack.limits import TIER_3
from simulator.slack.methods import METHODS
from simulator.slack.throttle import Throttle
from simulator.world import Settings

METHOD = {method.name: method for method in METHODS}


class TestWindow:
    @given(
        gaps=st.lists(st.floats(0, 3), max_size=60),
        limit=st.integers(1, 6),
        seconds=st.sampled_from([0.5, 1.0, 5.0]),
    )
    def test_never_more_than_the_limit(self, gaps: list[float], limit: int, seconds: float) -> None:
        """In no span of the window's length pass more calls than its limit."""
        window, now, passed = Window(limit, seconds), 0.0, list[float]()
        for gap in gaps:
            now += gap
            if window.wait(now) == 0:
                window.take(now)
                passed.append(now)

        for start in passed:
            assert limit >= sum(start <= each < start + seconds for each in passed)

    def test_wait_is_exact(self) -> None:
        """The wait is the time until the oldest counted call leaves the window."""
        window = Window(2, 10)
        window.take(0)
        window.take(4)

        assert window.wait(5) == 5
        assert window.wait(10) == 0

    def test_cost(self) -> None:
        """A call may weigh more than one unit, and waits until all of them fit."""
        window = Window(5, 10)
        window.take(0, 2)
        window.take(1, 2)

        assert window.wait(2) == 0
        assert window.wait(2, 2) == 8
        assert window.wait(2, 4) == 9


class TestLimiter:
    def test_all_windows_must_have_room(self) -> None:
        """A call passes only when every window of its key has room; refused calls count nowhere."""
        limiter, rates = Limiter(), (Rate(2, 1), Rate(3, 60))

        assert [limiter.take(("a",), rates, 0) for _ in range(3)] == [None, None, 1]
        assert limiter.take(("a",), rates, 1) is None
        assert limiter.take(("a",), rates, 2) == 58

    def test_keys_are_independent(self) -> None:
        """What one key used is not missing to another."""
        limiter, rates = Limiter(), (Rate(1, 60),)
        limiter.take(("a", "x"), rates, 0)

        assert limiter.take(("a", "y"), rates, 0) is None

    def test_switched_off(self) -> None:
        """A limiter that is off lets everything pass."""
        limiter = Limiter()
        limiter.enabled = False

        assert [limiter.take(("a",), (Rate(1, 60),), 0) for _ in range(5)] == [None] * 5


class TestBucket:
    def test_burst_then_rate(self) -> None:
        """The burst passes at once, then one call for each refilled token."""
        bucket = Bucket(rate=2, burst=3)

        assert [bucket.take(0) for _ in range(4)] == [None, None, None, 0.5]
        assert bucket.take(0.25) == pytest.approx(0.25)
        assert bucket.take(0.5) is None

    def test_never_fuller_than_the_burst(self) -> None:
        """A long rest gives no more than the burst."""
        bucket = Bucket(rate=1, burst=2)
        bucket.take(0)

        assert [bucket.take(1000) is None for _ in range(3)] == [True, True, False]


class TestSlackThrottle:
    @staticmethod
    def throttle() -> tuple[Throttle, Settings]:
        settings = Settings()
        settings.declare("limits", True)
        return Throttle(settings), settings

    def test_tier_is_counted_by_method_and_workspace(self) -> None:
        """A tier is spent by one method in one workspace; others go on."""
        throttle, _ = self.throttle()
        lookup, info = METHOD["users.lookupByEmail"], METHOD["users.info"]
        passed = [throttle.take(lookup, None, "T1", "", 0) for _ in range(TIER_3.limit)]

        assert [None] * TIER_3.limit == passed
        assert throttle.take(lookup, None, "T1", "", 0) == 60
        assert throttle.take(lookup, None, "T2", "", 0) is None
        assert throttle.take(info, None, "T1", "", 0) is None

    def test_workspace_ceiling(self) -> None:
        """Posting to different people stops at the burst and goes on at the ceiling's rate."""
        throttle, settings = self.throttle()
        settings.update({"slack_ceiling_per_minute": 60, "slack_burst": 5})
        post = METHOD["chat.postMessage"]

        assert [throttle.take(post, None, "T1", f"U{n}", 0) for n in range(6)] == [None] * 5 + [1]
        assert throttle.take(post, None, "T1", "U9", 1) is None

    def test_one_conversation_a_second(self) -> None:
        """One conversation takes a short burst and then one message a second; refusals cost nothing."""
        throttle, settings = self.throttle()
        settings.update({"slack_ceiling_per_minute": 60, "slack_burst": 4, "slack_channel_burst": 2})
        post = METHOD["chat.postMessage"]

        assert [throttle.take(post, None, "T1", "U1", 0) for _ in range(9)] == [None, None] + [1] * 7
        assert [throttle.take(post, None, "T1", f"U{n}", 0) for n in (2, 3)] == [None, None]
