"""PURE: what a child's frame says, as a result; anything else in a frame is garbage."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from notify.script.limits import Limits
from notify.script.results import Failed, Printed, Result, Why, bounded

FRAME = re.compile(r"^    at (?P<name>.*) \(<input>:(?P<line>\d{1,9}):(?P<column>\d{1,9})\)$")
UNPARSED = re.compile(r"^    at <input>:(\d{1,9}):(\d{1,9})\n    at eval \(native\)\n    at \(run\) \(<input>:")
CALLED = re.compile(r"[\w$]+(?:\s*\??\.\s*[\w$]+)*$")
ENDING = re.compile(r"[.?\s]*[\w$]+(?=\s*(?:\?\.)?\s*\()")  # on the first line the engine points one too far left
LINE_END = re.compile(r"\r\n|[\n\r\u2028\u2029]")

NAME_CHARACTERS: Final = 100
NOT_A_FUNCTION: Final = "TypeError: not a function"
OUT_OF_MEMORY: Final = "InternalError: out of memory"
STATES: Final = frozenset(("idle", "pending", "done", "failed", "null"))
UNSHOWN: Final = "The script threw a value that cannot be shown"
NULL: Final = "null was thrown: by the script, or because its memory was used up"
PENDING: Final = "The script ended while it waited for a promise that can never settle"
SILENT: Final = "The script printed nothing"
LEAST_WRAPPING: Final = 64 * 1024  # of a frame around the output: error, stack and log are short


class GarbageError(ValueError):
    """A frame that no honest child writes."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the prelude tells of one turn."""

    state: str = "idle"
    output: str = ""
    log: tuple[str, ...] = ()
    over: bool = False
    error: str = ""
    stack: str = ""


def frame_most(limits: Limits) -> int:
    """The most bytes of an honest frame: in JSON a character takes up to six."""
    return 6 * (limits.output_bytes + limits.log_lines * (limits.log_characters + 8)) + LEAST_WRAPPING


def result(frame: bytes, source: str, limits: Limits) -> Result:
    """The result of one turn; raises GarbageError."""
    verdict, (words, _, telling) = frame[:1], frame[1:].partition(b"\0")
    try:
        told = _told(telling.decode()) if telling else Told()
        return _result(verdict, words.decode(), told, source, limits)
    except (ValueError, TypeError, RecursionError) as error:
        raise GarbageError("not the answer of a child") from error


def _result(verdict: bytes, words: str, told: Told, source: str, limits: Limits) -> Result:
    if told.over:
        return _too_much(told.log, limits)
    error, _, stack = words.partition("\n")
    match verdict:
        case b"=":
            return _ended(told, source, limits)
        case b"T":
            said = f"The script used more than {limits.cpu_seconds * 1000:.0f} ms of processor time"
            return Failed(Why.TIME, said, *place(stack), told.log)
        case b"M":
            return _memory(stack, told.log, limits)
        case b"X":
            return Failed(Why.THROWN, bounded(error) or UNSHOWN, *place(stack), told.log)
        case _:
            raise GarbageError("no such verdict")


def _ended(told: Told, source: str, limits: Limits) -> Result:
    match told.state:
        case "done" if len(told.output.encode()) > limits.output_bytes:
            return _too_much(told.log, limits)
        case "done" if told.output.strip():
            return Printed(told.output, told.log)
        case "done":
            return Failed(Why.SILENT, SILENT, log=told.log)
        case "pending":
            return Failed(Why.THROWN, PENDING, log=told.log)
        case "null":
            return Failed(Why.MEMORY, NULL, log=told.log)
        case "failed" if told.error.startswith(OUT_OF_MEMORY):
            return _memory(told.stack, told.log, limits)
        case "failed":
            return _thrown(told, source)
        case _:
            raise GarbageError("a turn that never began")


def _thrown(told: Told, source: str) -> Failed:
    unparsed = UNPARSED.match(told.stack) if told.error.startswith("SyntaxError") else None
    if unparsed:
        return Failed(Why.SYNTAX, bounded(told.error), int(unparsed[1]), int(unparsed[2]), told.log)
    line, column = place(told.stack)
    error = named(told.error, source, line, column)
    return Failed(Why.THROWN, bounded(error) or UNSHOWN, line, column, told.log)


def _too_much(log: tuple[str, ...], limits: Limits) -> Failed:
    return Failed(Why.OUTPUT, f"The script printed more than {limits.output_bytes // 1024} KB", log=log)


def _memory(stack: str, log: tuple[str, ...], limits: Limits) -> Failed:
    said = f"The script needed more than {limits.memory_bytes // 1024**2} MB of memory"
    return Failed(Why.MEMORY, said, *place(stack), log)


def place(stack: str) -> tuple[int | None, int | None]:
    """Line and column of the innermost frame that is the caller's own; ours have their names in brackets."""
    for line in stack.splitlines():
        found = FRAME.match(line)
        if found and not (found["name"] or "").startswith("("):
            return int(found["line"]), int(found["column"])
    return None, None


def named(error: str, source: str, line: int | None, column: int | None) -> str:
    """The engine says only that something is not a function; the caller wants to know what."""
    if error != NOT_A_FUNCTION or line is None or column is None:
        return error
    lines = _lines(source)
    if not 0 < line <= len(lines) or column < 1:
        return error
    start = max(0, column - 1 - NAME_CHARACTERS)
    near = lines[line - 1][start : column - 1 + NAME_CHARACTERS]  # no pattern meets more of a source than this
    end = ENDING.match(near, column - 1 - start)
    called = CALLED.search(near[: end.end()]) if end else None
    return f"TypeError: {called[0]} is not a function" if called else error


@lru_cache(maxsize=8)
def _lines(source: str) -> list[str]:
    return LINE_END.split(source)


def _told(telling: str) -> Told:
    read: Any = json.loads(telling)
    state, output, log, dropped, over, error, stack = read
    texts = (state, output, error, stack, *log)
    if not all(isinstance(text, str) for text in texts) or type(over) is not bool or type(dropped) is not int:
        raise GarbageError("values of other types")
    if state not in STATES:
        raise GarbageError("no such state")
    lines = [_well_formed(line) for line in log]
    if dropped:
        lines.append(f"… and {dropped} more")
    return Told(state, _well_formed(output), tuple(lines), over, _well_formed(error), _well_formed(stack))


def _well_formed(text: str) -> str:
    """JavaScript's text may hold half of a pair; like a browser, show U+FFFD for it."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
