"""The log of refusals: a few lines, then a number."""

from __future__ import annotations

from adapters.tally import LINES, WINDOW, Tally


class TestTally:
    def test_lines(self) -> None:
        """The first refusals of an address in a minute have a line each; the rest is counted in one."""
        tally = Tally()

        assert [tally.tell("a", 0.0) for _ in range(LINES + 3)] == [True] * LINES + [False] * 3
        assert tally.tell("b", 1.0)
        assert list(tally.due(WINDOW - 0.001)) == []
        assert list(tally.due(WINDOW)) == [("a", 3)]
        assert tally.tell("a", WINDOW)
        assert tally.next_due == WINDOW + 1

    def test_silence(self) -> None:
        """Nothing is due of an address whose every refusal had a line, and nothing is remembered of it."""
        tally = Tally()
        tally.tell("a", 0.0)

        assert tally.next_due == WINDOW
        assert list(tally.due(WINDOW)) == []
        assert tally.next_due is None

    def test_many(self) -> None:
        """What comes from more addresses than are counted is one number for all of them."""
        tally = Tally(addresses=2)

        assert [tally.tell(address, 0.0) for address in ("a", "b", "c", "d")] == [True, True, False, False]
        assert list(tally.due(WINDOW)) == [(None, 2)]
        assert list(tally.due(WINDOW)) == []
