"""PURE: how long it would take to send to so many people, by the lane's pace and what waits in it already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.base import ChannelPace
from notify.pacing import Share, finish_time

THIS = "this request"


@dataclass(frozen=True, slots=True)
class Work:
    """What an audience asks of one lane. `look_ups` are the seconds that looking people up takes."""

    caller: str
    people: int
    openings: int
    installs: int
    look_ups: float = 0.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a lane does now: the rate that it has learnt, and what the requests in it still want."""

    rate: float
    shares: Sequence[Share] = ()


def seconds(work: Work, pace: ChannelPace, traffic: Traffic | None) -> float:
    """Until the last of them is sent. Looking up, installing, opening and sending overlap; the slowest decides."""
    if not work.people:
        return 0.0
    now = traffic or Traffic(pace.buckets[pace.send].rate)
    calls = work.people + work.openings
    mine = Share(work.caller, THIS, work.people, calls)
    at_once = 0.0 if now.shares else min(pace.buckets[pace.send].burst, calls)  # what leaves without waiting
    sending = finish_time(0.0, THIS, [*now.shares, mine], now.rate, 0.0) - at_once / now.rate
    installing = 0.0
    if work.installs and pace.installs is not None:
        installing = work.installs / pace.buckets[pace.installs].rate
    return max(sending, installing, work.look_ups, 0.0)
