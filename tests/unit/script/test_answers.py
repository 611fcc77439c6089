"""A child's frames as results; the frames of real children are in the tests of the pool and of S10."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify.script.answers import GarbageError, frame_most, named, place, result
from notify.script.limits import Limits
from notify.script.results import Failed, Printed, Why, bounded

LIMITS = Limits()


def frame(verdict: str = "=", words: str = "", **told: Any) -> bytes:
    values = {"state": "done", "output": "", "log": [], "dropped": 0, "over": False, "error": "", "stack": ""} | told
    return f"{verdict}{words}\0{json.dumps(list(values.values()))}".encode()


class TestResults:
    def test_printed(self) -> None:
        """What was printed and logged."""
        assert Printed("hi", ("a", "… and 2 more")) == result(frame(output="hi", log=["a"], dropped=2), "", LIMITS)

    def test_interrupted(self) -> None:
        """Where the time ran out, and the log until then."""
        words = "InternalError: interrupted\n    at f (<input>:3:7)\n    at eval (native)\n"

        assert Failed(Why.TIME, "The script used more than 100 ms of processor time", 3, 7, ("a",)) == result(
            frame("T", words, state="idle", log=["a"]), "", LIMITS
        )

    @pytest.mark.parametrize("error", ["InternalError: out of memory", "InternalError: out of memory here"])
    def test_memory(self, error: str) -> None:
        """Memory is its own reason, whoever noticed."""
        said = "The script needed more than 32 MB of memory"

        assert Failed(Why.MEMORY, said) == result(frame(state="failed", error=error), "", LIMITS)
        assert Failed(Why.MEMORY, said) == result(f"M{error}\n\0".encode(), "", LIMITS)

    def test_output_over_all(self) -> None:
        """Too much output is the reason, whatever else went wrong because of it."""
        assert Failed(Why.OUTPUT, "The script printed more than 256 KB") == result(frame("T", over=True), "", LIMITS)

    def test_other(self) -> None:
        """An error that the engine raises outside of the script's reach is still one sentence."""
        words = "RangeError: Maximum call stack size exceeded\n    at f (<input>:1:2)\n"

        assert Failed(Why.THROWN, "RangeError: Maximum call stack size exceeded", 1, 2) == result(
            frame("X", words), "", LIMITS
        )

    @pytest.mark.parametrize(
        "garbage",
        [
            b"",
            b"=",
            b"=\0",
            b"=\0{}",
            b"=\0[]",
            b"=\0null",
            b"=\0[1,2,3,4,5,6,7]",
            b"\xff\xff\0",
            b"=\xff\0[]",
            b"?\0" + frame()[2:],
            frame(state="odd"),
            frame(state="idle"),
            frame(output=5),
            frame(over=0),
            frame(dropped=True),
            frame(log=[1]),
            frame(log=None),
            b"=\0" + b"[" * 100_000,
        ],
    )
    def test_garbage(self, garbage: bytes) -> None:
        """What no honest child writes is garbage, never a result."""
        with pytest.raises(GarbageError):
            result(garbage, "", LIMITS)

    @given(st.binary(max_size=60))
    def test_any_bytes(self, content: bytes) -> None:
        """No bytes raise anything else."""
        with contextlib.suppress(GarbageError):
            result(content, "", LIMITS)

    def test_longest(self) -> None:
        """The longest honest frame is shorter than the longest that is read."""
        lines = ["\ud800" * (LIMITS.log_characters + 1)] * LIMITS.log_lines
        told = frame(output="\ud800" * LIMITS.output_bytes, log=lines, error="\0" * 600, stack="\0" * 2000)

        assert len(told) < frame_most(LIMITS)


class TestPlaces:
    @pytest.mark.parametrize(
        ("stack", "found"),
        [
            ("    at <eval> (<input>:2:9)\n    at eval (native)\n    at (run) (<input>:49:5)\n", (2, 9)),
            ("    at parse (native)\n    at f (<input>:7:1)\n    at <eval> (<input>:9:1)\n", (7, 1)),
            ("    at (shown) (<input>:9:9)\n    at (print) (<input>:8:8)\n    at <eval> (<input>:1:3)\n", (1, 3)),
            ("    at <input>:1:2\n    at parse (native)\n    at <eval> (<input>:4:5)\n", (4, 5)),
            ("    at (run) (<input>:49:5)\n", (None, None)),
            ("made up by the script", (None, None)),
            ("", (None, None)),
        ],
    )
    def test_innermost_of_the_caller(self, stack: str, found: tuple[int | None, int | None]) -> None:
        """The place is the innermost one in the caller's source, not in ours and not in data that was parsed."""
        assert found == place(stack)

    @pytest.mark.parametrize(
        ("source", "line", "column", "name"),
        [
            ("context.get('x')", 1, 8, "context.get"),
            ("\n context.get('x')", 2, 10, "context.get"),
            (" let f=1; f()", 1, 10, "f"),
            ("\r\n\u2028 a . b?.(1)", 3, 6, "a . b"),
        ],
    )
    def test_name(self, source: str, line: int, column: int, name: str) -> None:
        """What is not a function is named from the source; the engine does not say it."""
        assert f"TypeError: {name} is not a function" == named("TypeError: not a function", source, line, column)

    @pytest.mark.parametrize(("line", "column"), [(None, None), (1, 1), (1, 99), (9, 1), (0, 0), (1, 0)])
    def test_no_name(self, line: int | None, column: int | None) -> None:
        """Where no name stands the engine's words are kept."""
        assert named("TypeError: not a function", "[1][0]()", line, column) == "TypeError: not a function"

    @pytest.mark.parametrize("filling", ["a.", "a ", " ", "?.", "a"])
    def test_long_line(self, filling: str) -> None:
        """A source that is one long line costs no more time than a short one."""
        source = filling * 200_000
        begun = time.process_time()
        for column in (1, 200_000, 399_999):
            named("TypeError: not a function", source, 1, column)

        assert time.process_time() - begun < 0.5

    @given(st.text(max_size=30), st.integers(0, 40), st.integers(0, 40))
    def test_any_place(self, source: str, line: int, column: int) -> None:
        """No source and no place raise anything."""
        assert named("TypeError: not a function", source, line, column).endswith("not a function")


class TestSentences:
    def test_says(self) -> None:
        """An error is said with its place, as far as it is known."""
        assert "E (line 3, column 5)" == Failed(Why.THROWN, "E", 3, 5).says
        assert "E (line 3)" == Failed(Why.THROWN, "E", 3).says
        assert "E" == Failed(Why.THROWN, "E").says

    def test_bounded(self) -> None:
        """A sentence is one line of at most 500 characters, and shows that it was cut."""
        assert "a b c" == bounded(" a\n b\tc ")
        assert ("x" * 499 + "…") == bounded("x" * 501)
        assert "x" * 500 == bounded("x" * 500)
