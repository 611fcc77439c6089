"""The chain of the audit record: what was done to it behind its back is found, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from notify.chain import START, Broken, Flaw, Head, Walk, canonical, extend
from storage.audit_events import Entry

KEY = b"k" * 32
TEXTS = ("kind", "bot_id", "channel", "tenant_id", "actor", "subject", "detail")

text = st.text(max_size=6)
entries = st.lists(
    st.builds(
        Entry,
        seq=st.just(0),
        at=st.floats(0, 2e9),
        kind=text,
        bot_id=text,
        channel=text,
        tenant_id=text,
        actor=text,
        subject=text,
        detail=text,
    ),
    min_size=1,
    max_size=8,
).map(lambda rows: [replace(row, seq=3 * number + 1) for number, row in enumerate(rows)])


def chained(rows: Sequence[Entry], key: bytes = KEY, head: Head = START) -> list[Entry]:
    links = extend(key, head, rows)
    return [replace(row, position=link.position, hash=link.hash) for row, link in zip(rows, links, strict=True)]


def plain(count: int) -> list[Entry]:
    return [Entry(seq, 1e9 + seq, "kind", "b", "slack", "T1", "cs-1", f"ds-{seq}", "{}") for seq in range(1, count + 1)]


def walked(rows: Sequence[Entry], noted: Head | None = None, key: bytes = KEY) -> Broken | None:
    walk = Walk(key, noted)
    for row in sorted(rows, key=lambda row: row.position or 0):
        walk.over([row])
    return walk.end()


def numbered(rows: Sequence[Entry]) -> list[Entry]:
    """As somebody would number them who hides what they did."""
    return [replace(row, position=place) for place, row in enumerate(rows, 1)]


class TestChain:
    @settings(max_examples=15)
    @given(rows=entries)
    def test_holds(self, rows: list[Entry]) -> None:
        """A record that nobody touched holds, and goes on from its head."""
        first, rest = rows[:3], rows[3:]
        whole = chained(first)
        whole += chained(rest, head=Head(len(whole), whole[-1].hash or ""))

        assert walked(whole) is None
        assert whole == chained(rows)

    @settings(max_examples=25)
    @given(rows=entries, data=st.data())
    def test_changed(self, rows: list[Entry], data: st.DataObject) -> None:
        """Any change of any column is found at its place."""
        whole = chained(rows)
        place = data.draw(st.integers(0, len(whole) - 1))
        column = data.draw(st.sampled_from((*TEXTS, "at", "seq", "hash")))
        given = getattr(whole[place], column)
        new = given + "0" if isinstance(given, str) else given + 1
        changed: Any = {column: new}
        found = walked([*whole[:place], replace(whole[place], **changed), *whole[place + 1 :]])

        assert found is not None
        assert place + 1 == found.position

    @settings(max_examples=15)
    @given(rows=entries, data=st.data())
    def test_removed_inserted_moved(self, rows: list[Entry], data: st.DataObject) -> None:
        """A removed, inserted, repeated or moved row is found, also when the others are numbered anew around it."""
        whole = chained(rows)
        place = data.draw(st.integers(0, len(whole) - 1))
        other = data.draw(st.integers(0, len(whole) - 1))
        without = [*whole[:place], *whole[place + 1 :]]
        cases = {
            "removed": without,
            "inserted": [*whole[:place], replace(whole[place], seq=99, hash="0" * 64), *whole[place:]],
            "repeated": [*whole[:place], whole[place], *whole[place:]],
            "moved": [*without[:other], whole[place], *without[other:]],
        }
        noted = Head(len(whole), whole[-1].hash or "")
        for case, bent in cases.items():
            if case != "moved" or place != other:
                assert walked(numbered(bent), noted) is not None, case

    def test_swapped(self) -> None:
        """Two rows that change places, contents or numbers, are found at the first of them."""
        whole = chained(plain(5))
        contents = [whole[0], replace(whole[3], position=2), whole[2], replace(whole[1], position=4), whole[4]]

        found = walked(contents)

        assert found is not None
        assert 2 == found.position

    def test_reasons(self) -> None:
        """What is wrong is told apart: a changed row, missing rows, hashes of another key."""
        whole = chained(plain(4))
        changed = [whole[0], replace(whole[1], actor="other"), *whole[2:]]

        assert Broken(2, Flaw.CHANGED) == walked(changed)
        assert Broken(4, Flaw.ALTERED) == walked([*whole[:3], replace(whole[3], actor="other")])
        assert Broken(2, Flaw.MISSING) == walked([whole[0], *whole[2:]])
        assert Broken(1, Flaw.MISSING) == walked(whole[1:])
        assert Broken(1, Flaw.FOREIGN) == walked(whole, key=b"another key")
        assert Broken(3, Flaw.FOREIGN) == walked([*whole[:2], *chained(plain(4), b"forged")[2:]])

    def test_noted_head(self) -> None:
        """A tail that was cut off, or cut off and written anew, is found by a head that was noted before."""
        whole = chained(plain(4))
        noted = Head(3, whole[2].hash or "")
        anew = chained([*plain(2), replace(plain(3)[2], actor="other")])

        assert walked(whole, noted) is None
        assert Broken(3, Flaw.NOT_THERE) == walked(whole[:2], noted)
        assert walked(whole[:2]) is None  # without a noted head nobody can know
        assert Broken(3, Flaw.OTHER_HEAD) == walked(anew, noted)

    @settings(max_examples=15)
    @given(one=entries, two=entries)
    def test_unambiguous(self, one: list[Entry], two: list[Entry]) -> None:
        """Different rows never have the same bytes, wherever one column ends and the next begins."""
        first, second = one[0], two[0]

        assert (first == second) == (canonical(first) == canonical(second))
        assert canonical(replace(first, actor="ab", subject="c")) != canonical(replace(first, actor="a", subject="bc"))
