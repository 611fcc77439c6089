"""PURE: JSON as RFC 8259 means it, and nothing that two readers could understand differently.

Refused: anything but UTF-8, a byte order mark, NaN and infinities in every spelling, lone surrogates (no database
takes them), numbers beyond 64 bits, one name twice in an object, more than `MAX_DEPTH` levels, and more than
`MAX_VALUES` values: eight megabytes of empty objects are hundreds of megabytes once they are read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final

import orjson

MAX_DEPTH: Final = 64
MAX_VALUES: Final = 200_000  # a thousand people with two hundred values each
_OBJECT_BEGINS: Final = re.compile(r'\s*\{\s*"[^"\\\n]*"\s*:')
_TOO_DEEP: Final = f"is nested deeper than {MAX_DEPTH} levels"
_MARK: Final = "\ufeff"
# possessive, and a string that never ends is one up to the end: no text costs more than one way through it
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_LONE: Final = re.compile(
    rb"(?:[^\\]++|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\(?!u[dD][89a-fA-F][0-9a-fA-F]{2}).)*+"
    rb"(\\u[dD][89a-fA-F][0-9a-fA-F]{2})",
    re.DOTALL,
)
_Container = dict[str, object] | list[object]
_LOWEST, _HIGHEST = -(2**63), 2**64 - 1  # what orjson can write again


class NotJson(ValueError):
    """The text is not JSON that we accept; the message says why, without quoting the text."""


def read(raw: bytes | str) -> object:
    """The value of `raw`; raises NotJson.

    orjson decides what is JSON; the second reading finds what orjson tolerates (double names, huge numbers).
    """
    written = raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass")
    _check_count(written)
    try:
        value: object = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise NotJson(_lone_surrogate(written) or f"is not valid JSON in UTF-8: {error}") from None
    _check_depth(value)
    json.loads(raw, object_pairs_hook=_unique, parse_int=_bounded)
    return value


def object_in(text: str) -> dict[str, object] | None:
    """The object that a text is as JSON, if it is one; raises NotJson for one that could be understood in two ways."""
    text = without_mark(text).strip()
    if not text.startswith("{"):
        return None
    _check_count(text.encode("utf-8", "surrogatepass"))
    try:
        json.loads(text)
    except ValueError:
        return None
    except RecursionError:
        raise NotJson(_TOO_DEEP) from None
    value = read(text)
    return value if isinstance(value, dict) else None


def without_mark(text: str) -> str:
    """The text without the byte order mark that some editors put at the very start of a file."""
    return text.removeprefix(_MARK)


def is_broken_object(text: str) -> bool:
    """Whether a text that is no JSON begins as an object does in JSON, and no program in JavaScript and no prose."""
    return _OBJECT_BEGINS.match(text) is not None


def _check_count(raw: bytes) -> None:
    """Before anything is made of it: each value but the first of its container has a comma before it."""
    if _separators(raw) > MAX_VALUES and _separators(_STRING.sub(b"", raw)) > MAX_VALUES:
        raise NotJson(f"holds more than {MAX_VALUES} values")


def _separators(raw: bytes) -> int:
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def _lone_surrogate(raw: bytes) -> str | None:
    """The sentence on half a character, if there is one: JSON's grammar allows it, no encoding of text does."""
    found = _LONE.match(raw)
    if found is None:
        return None
    return f"holds a lone surrogate {found[1].decode()}, half of a character, at byte {found.start(1)}"


def _check_depth(value: object) -> None:
    """Level by level, so that no depth costs stack."""
    level = _containers([value])
    for _ in range(MAX_DEPTH):
        if not level:
            return
        level = [child for parent in level for child in _containers(_children(parent))]
    if level:
        raise NotJson(_TOO_DEEP)


def _containers(values: Iterable[object]) -> list[_Container]:
    return [value for value in values if isinstance(value, dict | list)]


def _children(parent: _Container) -> Iterable[object]:
    return parent.values() if isinstance(parent, dict) else parent


def _unique(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        raise NotJson("names one key twice in the same object")


def _bounded(digits: str) -> None:
    if len(digits) > 20 or not _LOWEST <= int(digits) <= _HIGHEST:
        raise NotJson("holds a whole number beyond 64 bits")
