"""Strict JSON: what passes is read as the standard library reads it, what does not is refused in words."""

from __future__ import annotations

import contextlib
import json

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from notify.strict_json import MAX_DEPTH, MAX_VALUES, NotJson, object_in, read

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)


class TestRead:
    @given(VALUES)
    def test_round_trip(self, value: object) -> None:
        """Every JSON value is read back, from bytes and from text."""
        written = json.dumps(value)

        assert read(written) == read(written.encode()) == value

    @given(st.binary() | st.text())
    @example(b"[" * 100_000)
    @example("\ud800")
    def test_total(self, raw: bytes | str) -> None:
        """Anything else is refused with one exception, and what passes can be written again."""
        with contextlib.suppress(NotJson):
            assert orjson.dumps(read(raw))

    def test_depth(self) -> None:
        """The deepest value passes, one level more does not."""
        assert read("[" * MAX_DEPTH + "]" * MAX_DEPTH)
        with pytest.raises(NotJson, match="deeper than 64"):
            read("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))

    @pytest.mark.parametrize("raw", ['{"a":1,"a":1}', '[{"b":{"a":1,"\\u0061":2}}]'])
    def test_double_names(self, raw: str) -> None:
        """One name twice in an object is refused, however it is written and however deep."""
        with pytest.raises(NotJson, match="twice"):
            read(raw)

    @pytest.mark.parametrize("digits", [str(2**64), str(-(2**63) - 1), "1" + "0" * 30, "9" * 5000, "-" + "9" * 5000])
    def test_numbers(self, digits: str) -> None:
        """A whole number that could not be written again is refused."""
        with pytest.raises(NotJson):
            read(digits)

    @pytest.mark.parametrize("each", ["{}", "[]", "1", '""', '{"a":1}'])
    def test_count(self, each: str) -> None:
        """More values than the most are refused before any is made; commas and brackets in a text are no values."""
        most = MAX_VALUES // 2
        assert read(f"[{','.join([each] * (most - 1))}]")
        with pytest.raises(NotJson, match="more than 200000 values"):
            read(f"[{','.join([each] * (MAX_VALUES + 1))}]")
        with pytest.raises(NotJson, match="more than 200000 values"):
            object_in(f'{{"a":[{",".join([each] * (MAX_VALUES + 1))}]}}')

    @pytest.mark.parametrize("text", [",[{", '\\",', "\\\\,,"])
    def test_text_is_one_value(self, text: str) -> None:
        """A long text is one value, whatever stands in it, escaped or not."""
        assert read(f'{{"a":"{text * MAX_VALUES}"}}')

    @pytest.mark.parametrize("raw", ['"' + '\\"' * MAX_VALUES, '{"a":"' + "," * MAX_VALUES * 2, ',"\\' * MAX_VALUES])
    def test_text_without_end(self, raw: str) -> None:
        """A text that never ends is refused in one way through it."""
        with pytest.raises(NotJson):
            read(raw)

    @pytest.mark.parametrize(
        ("raw", "found"),
        [
            ('{"a":"\\ud83d"}', r"\\ud83d, half of a character, at byte 6"),
            ('["\\uDC00\\uD83D"]', r"\\uDC00, .* byte 2"),
            ('["\\ud83d\\ude00\\\\\\ud800x"]', r"\\ud800, .* byte 16"),
            ('["ä\\ud83d\\ud83d\\ude00"]', r"\\ud83d, .* byte 4"),
        ],
    )
    def test_lone_surrogates(self, raw: str, found: str) -> None:
        """Half of a character is refused by its name and place, which no reader can guess from a parser's words."""
        with pytest.raises(NotJson, match=f"holds a lone surrogate {found}"):
            read(raw)

    @pytest.mark.parametrize("raw", ['["\\ud83d\\ude00"]', '["\\\\ud83d"]', '["\\\\\\ud83d\\ude00"]', '["😀"]'])
    def test_whole_characters(self, raw: str) -> None:
        """A pair is one character, and a backslash that stands for itself begins none."""
        assert json.loads(raw) == read(raw)


class TestObjectIn:
    @pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 2000, 100_000])
    def test_depth(self, levels: int) -> None:
        """However deep an object is, beyond the deepest it is refused and is no text."""
        with pytest.raises(NotJson, match="deeper than 64"):
            object_in('{"a":' * levels + "1" + "}" * levels)

    def test_mark(self) -> None:
        """A byte order mark at the very start is no part of the text; elsewhere it is one."""
        assert {"a": 1} == object_in('\ufeff{"a": 1}')
        assert object_in(' \ufeff{"a": 1}') is None
