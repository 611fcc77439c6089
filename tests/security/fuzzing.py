"""Mutated bytes: valid samples that a tape of random bytes bends in place, type, depth, size, number and character.

A tape instead of nested strategies keeps an example under a millisecond, and still shrinks: an empty tape changes
nothing. Every run takes the same examples; `HERALD_FUZZ_EXAMPLES` says how many of them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, Final, TypeVar

import orjson
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

T = TypeVar("T")

ASKED: Final = int(os.environ.get("HERALD_FUZZ_EXAMPLES", "0"))
FEW: Final = 30
TAPES: Final = st.binary(min_size=2, max_size=40)
SECONDS: Final = 1.0  # of processor time for one input; the slowest honest one takes some milliseconds
MANY: Final = 20_000

TEXTS: Final[tuple[str, ...]] = (
    *("", " ", "\0", "a\0b", "\n", "\r\n", "\u2028", "\ufeff", "\ud83d", "\udc00", "\u202e", "\u200d", "\u0410", "ſ"),
    *("x" * 300, "\u1234" * 1000, "\U0001f600" * 300, "ß", "İ", "％", "９", "١٢٣", "a@b", "A@B.example", "ü@ü.example"),
    *("{name}", "{{", "}", "{a}{a}", "<!channel>", "<@U1>", "<at>x</at>", "](", "[a](https://x.example)", "&amp;", "<"),
    *("https://", "https://x", "http://[::1", "https://a:99999/", "//", "../../x", "%00", "%2e%2e", "\\", "'", '"'),
    *("1e400", "NaN", "-0", "9" * 5000, "1" * 400, "0x10", "1_000", "true", "null", "[]", "{}", "[" * 2000),
    *("T0WORK", "U1", "D1", "29:1", "a:1", "19:x", "28:x", "7e000000-0000-4000-8000-00000000000a", "msteams", "slack"),
    *(
        "type",
        "text",
        "AdaptiveCard",
        "section",
        "template",
        "__proto__",
        "id",
        "value",
        "Thu, 01 Jan 1970 00:00:00 GMT",
    ),
)
NUMBERS: Final[tuple[float, ...]] = (
    *(0, -1, 1, 2, 255, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**30, 1e308, -1e308, 1e-320, 0.1),
    *(float("nan"), float("inf"), float("-inf"), 253402300800, -62135596801),
)
ODD: Final[tuple[Any, ...]] = (
    *(None, True, False, [], {}, [[]], [None], {"": None}, {"id": "\0"}, [{"id": "\0"}], ["a"] * 50, {"a": {"a": {}}}),
    *TEXTS,
    *NUMBERS,
)
PIECES: Final[tuple[bytes, ...]] = (
    *(b"\0", b"\xff", b"\xef\xbb\xbf", b"\xc3\x28", b"\xed\xa0\x80", b"\xf5", b"\\ud800", b"\\u0000", b"\r\n", b"\t"),
    *(b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"[" * 3000, b'{"a":' * 1200, b"]" * 70, b"9" * 5000, b"1e999"),
    *(b"NaN", b"null", b"true", b".", b"=", b"&", b"%", b"+", b";", b"'", b"\n", b" " * 3000, b"-", b"#"),
)


def fuzz(share: float = 1.0) -> settings:
    """How a fuzz test runs; a costly parser gets a `share` of the examples, unless a number is asked for."""
    return settings(
        max_examples=ASKED or max(10, int(FEW * share)),
        deadline=None,
        database=None,
        derandomize=True,
        print_blob=True,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


class Tape:
    """Choices, one byte or two each; at its end it chooses the first of everything."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    @property
    def is_over(self) -> bool:
        return self._at >= len(self._raw)

    def byte(self) -> int:
        if self.is_over:
            return 0
        self._at += 1
        return self._raw[self._at - 1]

    def below(self, most: int) -> int:
        """A number from 0 to most - 1."""
        if most <= 1:
            return 0
        drawn = self.byte() if most <= 256 else self.byte() << 8 | self.byte()
        return drawn % most

    def one_of(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]


def bent(sample: Any, tape: Tape) -> Any:
    """A copy of a JSON value with up to four changes in it."""
    value = orjson.loads(orjson.dumps(sample))
    for _ in range(tape.below(5)):
        value = _changed(value, tape)
    return value


def _changed(value: Any, tape: Tape) -> Any:
    """The value with one change, somewhere in it."""
    holder: Any = None
    key: Any = None
    here = value
    while isinstance(here, dict | list) and here and (holder is None or tape.below(4)):
        holder, key = here, tape.one_of(list(here)) if isinstance(here, dict) else tape.below(len(here))
        here = here[key]
    if holder is None:
        return _other(here, tape)
    match tape.below(8):
        case 0 if isinstance(holder, dict):
            holder[tape.one_of(TEXTS)] = holder.pop(key)
        case 1:
            del holder[key]
        case 2 if isinstance(holder, dict):
            holder[tape.one_of(TEXTS)] = here
        case 2:
            holder.extend([here] * tape.below(40))
        case _:
            holder[key] = _other(here, tape)
    return value


def _other(value: Any, tape: Tape) -> Any:
    """Something else in the place of a value, of its own type or of any."""
    match tape.below(6):
        case 0 if isinstance(value, str):
            return bent_text(value, tape)
        case 1 if isinstance(value, int | float):
            return value + tape.one_of(NUMBERS)
        case 2:
            return nested(value, tape.one_of((1, 2, 60, 70, 400)))
        case 3:
            return str(value)
        case _:
            return deepcopy(tape.one_of(ODD))  # a later change is of this one alone


def nested(value: Any, levels: int) -> Any:
    """The value below so many lists and objects."""
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def bent_text(said: str, tape: Tape) -> str:
    """A text with up to three changes in it."""
    for _ in range(1 + tape.below(3)):
        at = tape.below(len(said) + 1)
        match tape.below(5):
            case 0:
                said = said[:at] + tape.one_of(TEXTS) + said[at:]
            case 1:
                said = said[:at]
            case 2:
                said = said[:at] + said[at + 1 :]
            case 3:
                said = said[:at] + chr(tape.below(0xD7FF)) + said[at:]
            case _:
                said = (said[:at] * (1 + tape.below(4))) + said[at:]
    return said[:MANY]


def bent_bytes(raw: bytes, tape: Tape) -> bytes:
    """Bytes with up to three changes in them."""
    for _ in range(tape.below(4)):
        at, piece = tape.below(len(raw) + 1), tape.one_of(PIECES)
        match tape.below(5):
            case 0:
                raw = raw[:at] + piece + raw[at:]
            case 1:
                raw = raw[:at]
            case 2:
                raw = raw[:at] + raw[at + 1 :]
            case 3:
                raw = raw[:at] + bytes([tape.byte()]) + raw[at + 1 :]
            case _:
                raw = raw[:at] + raw[at // 2 : at][:200] + raw[at:]
    return raw[: 4 * MANY]


def as_json(value: Any, tape: Tape) -> bytes:
    """A value as somebody may write it: escaped or not, with NaN, halves of characters and broken bytes."""
    try:
        text = json.dumps(value, ensure_ascii=not tape.below(2))
    except RecursionError:  # bent so deeply that Python cannot write it
        text = "[" * MANY
    return bent_bytes(text.encode("utf-8", "surrogatepass"), tape)


def bent_json(samples: Sequence[Any], tape: Tape) -> bytes:
    """One of the samples, bent as a value and then as bytes."""
    return as_json(bent(tape.one_of(samples), tape), tape)


@contextmanager
def in_time(seconds: float = SECONDS) -> Iterator[None]:
    """Fails for an input that costs more than this of a processor; what never ends is ended by the test's own limit."""
    begun = time.thread_time()
    yield
    assert time.thread_time() - begun < seconds


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("it waits")


def is_storable(value: object) -> bool:
    """Whether both databases take every text in a value: UTF-8 without NUL."""
    if isinstance(value, str):
        return "\0" not in value and value == value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return all(is_storable(name) and is_storable(each) for name, each in value.items())
    return not isinstance(value, list | tuple) or all(map(is_storable, value))
