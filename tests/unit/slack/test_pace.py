"""The pace Slack allows, and never more of it in any minute."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import MethodPace
from adapters.slack.config import SlackPace
from adapters.slack.outbound import buckets, in_any_minute
from notify.pacing import Bucket

# docs.slack.dev/apis/web-api/rate-limits
DOCUMENTED = {
    "users.lookupByEmail": 50,
    "users.list": 20,
    "conversations.open": 50,
    "conversations.history": 50,
    "auth.teams.list": 20,
    "auth.test": 600,
}


@given(st.integers(1, 600), st.floats(1, 60))
def test_no_minute_holds_more_than_documented(most: int, burst: float) -> None:
    """A caller who never rests makes at most the documented number of calls in any sixty seconds."""
    bucket = Bucket(in_any_minute(most, burst), 0.0)
    moments: list[float] = []
    now = 0.0
    while len(moments) < 3 * most:
        now = bucket.ready_at(now)
        bucket.take(now)
        moments.append(now)

    assert all(later - first >= 60 - 1e-6 for first, later in zip(moments, moments[most:], strict=False))


@pytest.mark.parametrize("method", DOCUMENTED)
def test_every_method_has_its_tier(method: str) -> None:
    """The defaults are the documented tiers."""
    pace = buckets(SlackPace())[method]

    assert pace.rate * 60 + pace.burst == pytest.approx(DOCUMENTED[method])


def test_posting_starts_at_four_a_second() -> None:
    """The learned bucket starts where the field report ends, with a burst of thirty."""
    assert buckets(SlackPace())["chat.postMessage"] == MethodPace(4.0, 30.0)


def test_the_numbers_are_the_operators() -> None:
    """Settings reach the buckets."""
    chosen = buckets(SlackPace(posts_per_second=1, burst=2, lookups_per_minute=10, lists_per_minute=4))

    assert chosen["chat.postMessage"] == MethodPace(1, 2)
    assert chosen["users.lookupByEmail"] == MethodPace(5 / 60, 5)
    assert chosen["users.list"] == MethodPace(2 / 60, 2)
