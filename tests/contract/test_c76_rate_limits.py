"""C-76 to C-78: 600 calls in any minute and 18 000 in any hour per bot, over rolling windows."""

from __future__ import annotations

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
