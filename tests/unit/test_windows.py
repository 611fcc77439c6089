"""What one conversation may get in any span of time."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.slack.limits import CHANNEL_WINDOWS
from adapters.teams.limits import THREAD_WINDOWS
from notify.windows import MARGIN_SECONDS, SWEEP_EVERY, Windows

LIMITS = [THREAD_WINDOWS, CHANNEL_WINDOWS]
JITTER = 0.2  # a call arrives so much later than another one that left at the same moment


def fullest(moments: list[float], seconds: float) -> int:
    """The most sends in any span that begins with one."""
    return max(sum(begin <= each < begin + seconds for each in moments) for begin in moments)


class TestWindows:
    @pytest.mark.parametrize("limits", LIMITS, ids=["teams", "slack"])
    def test_no_span_is_overfull(self, limits: tuple[tuple[float, int], ...]) -> None:
        """F04: sent to as often as allowed for two hours, no span of any length holds more than its number."""
        windows, now, arrived, dice = Windows(limits), 0.0, list[float](), random.Random(4)
        while now < 7200.0 and len(arrived) < 2500:
            now = windows.ready_at("a", now)
            windows.took("a", now)
            arrived.append(now + dice.uniform(0.0, JITTER))

        for seconds, most in limits:
            assert fullest(sorted(arrived), seconds) <= most
        assert len(arrived) > 1800

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.0, 3.0)), max_size=60))
    def test_nobody_else_waits(self, sends: list[tuple[str, float]]) -> None:
        """What the others get is nothing to a conversation: after its own spans it may get one at once."""
        windows, now = Windows(THREAD_WINDOWS), 0.0
        for name, pause in sends:
            now = windows.ready_at(name, now + pause)
            windows.took(name, now)

        assert windows.ready_at("d", now) == now

    def test_a_late_start_counts(self) -> None:
        """A span begins when a send goes on the wire, not when it was released."""
        windows = Windows(((1.0, 2),))
        windows.took("a", 10.0)
        windows.took("a", 10.0)
        windows.went("a", 2, 13.0)

        assert windows.ready_at("a", 13.5) >= 14.0

    def test_no_limits(self) -> None:
        """Without limits nothing waits and nothing is kept."""
        windows = Windows(())
        for _ in range(100):
            windows.took("a", 1.0)

        assert (windows.ready_at("a", 1.0), len(windows)) == (1.0, 0)

    def test_forgets(self) -> None:
        """Conversations that have been quiet for the longest span are forgotten."""
        windows = Windows(THREAD_WINDOWS)
        for number in range(SWEEP_EVERY - 1):
            windows.took(f"person {number}", 0.0)
        windows.took("somebody", 4000.0)

        assert len(windows) == 1

    @given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0.0, 4.0), st.booleans()), max_size=40))
    def test_remembers_every_send(self, sends: list[tuple[str, float, bool]]) -> None:
        """However few or many sends a conversation had, the answer is that of a full list of them."""
        limits = ((2.0, 1), (5.0, 2), (8.0, 4))
        windows, now, full = Windows(limits), 0.0, dict[str, list[float]](a=[], b=[])
        for name, pause, late in sends:
            now += pause
            windows.took(name, now)
            full[name].append(now)
            if late:
                now += 0.5
                windows.went(name, 1, now)
                full[name][-1] = now

            for each, moments in full.items():
                ends = [moments[-most] + seconds + MARGIN_SECONDS for seconds, most in limits if len(moments) >= most]
                assert max((now, *ends)) == windows.ready_at(each, now)

    def test_one_send_costs_little(self) -> None:
        """An hour of different people is no burden: each costs a few words beside the name."""
        people = [f"person {number}" for number in range(SWEEP_EVERY - 1)]
        windows = Windows(THREAD_WINDOWS)
        tracemalloc.start()
        for number, person in enumerate(people):
            windows.took(person, number / 48)
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert taken / len(people) < 150
