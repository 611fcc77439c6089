"""Promises of the book of faults."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from simulator.faults import BadFault, Fault, FaultBook, fault_response, parse_fault


def fired(book: FaultBook, calls: int) -> list[bool]:
    return [book.match("slack", "chat.postMessage", "T1", "U1") is not None for _ in range(calls)]


class TestMatching:
    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            ({}, True),
            ({"operation": "chat.postMessage"}, True),
            ({"operation": "chat.update"}, False),
            ({"tenant": "T1"}, True),
            ({"tenant": "T2"}, False),
            ({"person": "ada@contoso.example"}, True),
            ({"person": "U2"}, False),
        ],
    )
    def test_filters(self, fault: dict[str, Any], expected: bool) -> None:
        """A fault falls on the calls that fit all of its filters; a person has several names."""
        book = FaultBook()
        book.add(Fault("f", "slack", status=500, **fault))

        assert expected is (book.match("slack", "chat.postMessage", "T1", {"U1", "ada@contoso.example"}) is not None)
        assert book.match("graph", "chat.postMessage", "T1", "U1") is None

    def test_times(self) -> None:
        """A fault with `times` is spent after so many calls."""
        book = FaultBook()
        book.add(Fault("f", "slack", times=2))

        assert fired(book, 4) == [True, True, False, False]

    def test_every_and_skip(self) -> None:
        """`skip` lets calls pass first, `every` then takes each n-th."""
        book = FaultBook()
        book.add(Fault("f", "slack", every=2, skip=1))

        assert fired(book, 6) == [False, False, True, False, True, False]

    def test_next_fault_takes_over(self) -> None:
        """When the first fault is spent, the next one that fits is applied."""
        book = FaultBook()
        book.add(Fault("a", "slack", times=1))
        book.add(Fault("b", "slack"))
        found = [book.match("slack", "any") for _ in range(2)]

        assert [each.id for each in found if each] == ["a", "b"]

    def test_remove_and_clear(self) -> None:
        """A removed fault is applied no more, and only a known one can be removed."""
        book = FaultBook()
        book.add(Fault("a", "slack"))

        assert book.remove("a")
        assert not book.remove("a")
        assert book.empty


class TestParsing:
    @pytest.mark.parametrize(
        "wrong",
        [
            [],
            {},
            {"platform": "irc"},
            {"platform": "slack", "statis": 500},
            {"platform": "slack", "status": "500"},
            {"platform": "slack", "drop": "sometimes"},
            {"platform": "slack", "every": 0},
            {"platform": "slack", "delay": -1},
            {"platform": "slack", "hang": 1},
            {"platform": "slack", "headers": {"A": 1}},
            {"platform": "slack", "retry_after": 5},
        ],
    )
    def test_mistakes_are_refused(self, wrong: object) -> None:
        """A fault that could not do what its author meant is refused."""
        with pytest.raises(BadFault):
            parse_fault(wrong, "f")

    def test_trickle_true(self) -> None:
        """`trickle: true` is one byte a second."""
        assert parse_fault({"platform": "slack", "trickle": True}, "f").trickle == 1.0


class TestResponse:
    def test_defaults_of_the_platform(self) -> None:
        """What the fault leaves open comes from the platform."""
        response = fault_response(Fault("f", "slack"), 200, {"ok": False})

        assert response.status == 200
        assert response.body == b'{"ok": false}'
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"

    def test_everything_given(self) -> None:
        """Status, body, type and headers of the fault win, and Retry-After is sent verbatim and may be doubled."""
        fault = Fault(
            "f",
            "slack",
            status=429,
            body="<html>",
            content_type="text/html",
            headers={"Retry-After": "1"},
            retry_after="soon",
        )
        response = fault_response(fault, 200, {})

        assert response.status == 429
        assert response.body == b"<html>"
        assert response.headers["Content-Type"] == "text/html"
        assert response.headers.getall("Retry-After") == ["1", "soon"]

    def test_compressed_bulk(self) -> None:
        """A large answer can be sent compressed, as a bomb."""
        response = fault_response(Fault("f", "slack", bulk=1_000_000, gzip=True), 200, {})

        assert isinstance(response.body, bytes)
        assert len(response.body) < 10_000
        assert len(gzip.decompress(response.body)) == 1_000_000
