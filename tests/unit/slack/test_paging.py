"""Following cursors: every list without end is seen to be one, and no other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.slack.paging import MOST_EMPTY, OddCursor, Trail, next_cursor


def followed(pages: Iterator[tuple[str, int]], most: int) -> tuple[int, str | None]:
    """(pages asked for, why no further one was) of a list that gives a cursor and so many entries each time."""
    trail = Trail()
    for number, (cursor, entries) in enumerate(pages, start=1):
        code = trail.endless(cursor, entries, most)
        if code is not None:
            return number, code
        trail = trail.further(cursor, entries)
    return number, None


class TestTrail:
    @given(st.integers(0, 60), st.integers(1, 60))
    def test_a_circle(self, before: int, length: int) -> None:
        """A circle of any length is seen, wherever it begins, within three rounds or twice the way to it."""
        pages = ((f"c{n if n < before else before + (n - before) % length}", 1) for n in range(10_000))

        number, code = followed(pages, most=10_000)

        assert code == "cursor_repeated"
        assert number <= 2 * before + 3 * length + 1

    @given(st.lists(st.integers(0, 3), min_size=1, max_size=200))
    def test_a_list_that_ends(self, sizes: list[int]) -> None:
        """Cursors that are all new lead to the end, with short and with some empty pages."""
        some = [size or int(number % 5 == 0) for number, size in enumerate(sizes)]

        assert followed(((f"c{n}", size) for n, size in enumerate(some)), most=201) == (len(sizes), None)

    def test_nobody_for_ever(self) -> None:
        """Empty pages are followed for a while only."""
        found = followed(((f"c{n}", 0) for n in range(1000)), most=1000)

        assert found == (MOST_EMPTY, "too_many_empty_pages")

    def test_always_more(self) -> None:
        """A list that never repeats itself ends at a number of pages."""
        assert followed(((f"c{n}", 7) for n in range(1000)), most=50) == (50, "too_many_pages")


class TestNextCursor:
    @pytest.mark.parametrize(
        ("metadata", "following"),
        [
            (None, None),
            ({}, None),
            ({"next_cursor": ""}, None),
            ({"next_cursor": None}, None),
            ({"next_cursor": "dXNlcjpV"}, "dXNlcjpV"),
            ({"next_cursor": 7}, OddCursor()),
            ({"next_cursor": 0}, OddCursor()),
            ({"next_cursor": []}, OddCursor()),
            ([], OddCursor()),
            ("next", OddCursor()),
        ],
    )
    def test_only_an_absent_cursor_is_the_end(self, metadata: object, following: object) -> None:
        """Whatever else cannot be sent back is no end of the list."""
        assert next_cursor({"response_metadata": metadata}) == following
