"""What is left of people and messages tells nobody who they were, and stays comparable."""

from __future__ import annotations

import json

from notify.digest import digest, pseudonym

KEY = b"k" * 32
PEOPLE = (("ann@x.example", "sent", None), ("bob@x.example", "refused", "person_not_found"))


class TestPseudonym:
    def test_recognisable(self) -> None:
        """The same identity has the same pseudonym, another one another, and another key another."""
        ann = pseudonym(KEY, "ann@x.example")

        assert ann == pseudonym(KEY, "ann@x.example")
        assert len({ann, pseudonym(KEY, "bob@x.example"), pseudonym(b"other", "ann@x.example")}) == 3
        assert "ann" not in ann

    def test_twice(self) -> None:
        """Whoever is forgotten already keeps the pseudonym."""
        ann = pseudonym(KEY, "ann@x.example")

        assert ann == pseudonym(KEY, ann)

    def test_odd(self) -> None:
        """An identity may be any text."""
        assert pseudonym(KEY, "\ud800") != pseudonym(KEY, "")


class TestDigest:
    def test_holds(self) -> None:
        """Counts by state and reason, two hashes and the moment; no identity and no text."""
        left = digest(KEY, b'{"text":"Hello"}', PEOPLE, removed_at=7.0)

        held = json.loads(left)
        assert ({"refused": 1, "sent": 1}, {"person_not_found": 1}, 7.0) == (
            held["states"],
            held["reasons"],
            held["removed_at"],
        )
        assert [64, 64] == [len(held["payload"]), len(held["audience"])]
        assert not any(word in left for word in ("ann", "bob", "Hello"))

    def test_same_audience(self) -> None:
        """The audience has the same hash whether or not one of it was forgotten before; another order has another."""

        def audience(*people: tuple[str, str, str | None]) -> str:
            return str(json.loads(digest(KEY, b"", people, removed_at=7.0))["audience"])

        forgotten = (pseudonym(KEY, "ann@x.example"), "sent", None)

        assert audience(*PEOPLE) == audience(forgotten, PEOPLE[1])
        assert audience(*PEOPLE) != audience(*reversed(PEOPLE))
