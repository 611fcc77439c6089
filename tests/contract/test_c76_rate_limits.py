"""C-76 to C-78: 600 calls in any minute and 18 000 in any hour per bot, over rolling windows."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import given, settings
from hypothesis import strategies as st

from notify.quota import Quota
from tests.contract.face import BOT, SLACK_ONLY, body, running, token

MINUTE_TEXT = "You've exceeded the per-minute rate limit. Please wait for sometime before retrying."
HOUR_TEXT = "You've exceeded the hourly rate limit. Please wait for sometime before retrying."


class Clock:
    """Monotonic seconds that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_c76_the_minute() -> None:
    """C-76: the call beyond the minute's budget is 429 with Kore's text, and passes after Retry-After."""
    clock = Clock()
    async with running(quota=Quota(per_minute=3, per_hour=100), monotonic=clock) as face:
        passed = [(await face.send()).status for _ in range(3)]
        clock.now += 20
        refused = await face.send()
        wait = int(refused.headers["Retry-After"])
        clock.now += wait
        later = await face.send()

    assert passed == [200, 200, 200]
    assert refused.refusal == (429, 429, MINUTE_TEXT)
    assert wait == 40
    assert later.status == 200


async def test_c77_the_hour() -> None:
    """C-77: a full hour refuses with the hourly text, although the minute is free."""
    clock = Clock()
    async with running(quota=Quota(per_minute=100, per_hour=2), monotonic=clock) as face:
        for _ in range(2):
            await face.send()
            clock.now += 100
        refused = await face.send()

    assert refused.refusal == (429, 429, HOUR_TEXT)
    assert refused.headers["Retry-After"] == "3400"


async def test_c78_shared_and_separate() -> None:
    """C-78: sending and asking share one counter, other bots have their own, refused callers consume nothing."""
    async with running(quota=Quota(per_minute=2, per_hour=100), monotonic=Clock()) as face:
        for _ in range(5):
            assert (
                await face.send(auth=token(key="not the secret of this client, but long enough..........."))
            ).status == 401
        first = await face.send()
        await face.status(first.json["_id"])
        third = await face.status(first.json["_id"])
        other = await face.send(body(channel="slack"), bot=SLACK_ONLY)

    assert third.status == 429
    assert other.status == 200


def test_the_window_rolls() -> None:
    """C-78: each call leaves the window sixty seconds after it came, and refused ones were never in it."""
    quota = Quota(per_minute=2, per_hour=100)
    assert quota.take(BOT, 0.0) is None
    assert quota.take(BOT, 30.0) is None
    assert quota.take(BOT, 59.0) is not None

    assert quota.take(BOT, 60.0) is None
    assert quota.take(BOT, 61.0) is not None
    assert quota.take(BOT, 90.0) is None


@given(
    gaps=st.lists(st.floats(0.0, 40.0), min_size=1, max_size=60),
    per_minute=st.integers(1, 5),
    per_hour=st.integers(1, 12),
)
@settings(max_examples=60)
def test_k15_to_the_second(gaps: list[float], per_minute: int, per_hour: int) -> None:
    """K15: after the time to wait a call passes; a second earlier it would not, whichever window is full."""
    quota, now = Quota(per_minute=per_minute, per_hour=per_hour), 0.0
    for gap in gaps:
        now += gap
        exceeded = quota.take(BOT, now)
        if exceeded is not None:
            wait = exceeded.retry_after
            assert deepcopy(quota).take(BOT, now + wait - 1.001) is not None
            assert deepcopy(quota).take(BOT, now + wait) is None
            assert wait in {each.more_in for each in quota.left(BOT, now) if each.left == 0}


async def test_k15_on_every_route() -> None:
    """K15: every call of a bot beyond the budget names the time to wait, and a call after it passes."""
    clock = Clock()
    async with running(quota=Quota(per_minute=1, per_hour=100), monotonic=clock) as face:
        sent = await face.send()
        clock.now += 10.4
        refused = [
            await face.send(),
            await face.send(route="notifyV2"),
            await face.status(sent.json["_id"]),
            await face.status(sent.json["_id"], route="notifyV2"),
            await face.explain({}),
            await face.preview({}),
        ]
        clock.now += 50
        later = await face.status(sent.json["_id"])

    assert [(429, "50")] * 6 == [(answer.status, answer.headers["Retry-After"]) for answer in refused]
    assert later.status == 200


async def test_the_windows_in_headers() -> None:
    """Every answer to a known caller carries both windows as they stand, refusals included; others learn nothing."""
    clock = Clock()
    async with running(quota=Quota(per_minute=2, per_hour=100), monotonic=clock) as face:
        first = await face.send()
        clock.now += 20
        wrong = await face.send({})
        refused = await face.send()
        stranger = await face.send(auth="abc")

    assert first.headers["RateLimit-Policy"] == '"minute";q=2;w=60, "hour";q=100;w=3600'
    assert first.headers["RateLimit"] == '"minute";r=1;t=60, "hour";r=99;t=3600'
    assert (wrong.status, wrong.headers["RateLimit"]) == (412, '"minute";r=0;t=40, "hour";r=98;t=3580')
    assert (refused.status, refused.headers["RateLimit"]) == (429, '"minute";r=0;t=40, "hour";r=98;t=3580')
    assert refused.headers["Retry-After"] == "40"
    assert not [name for name in stranger.headers if name.startswith("RateLimit")]
