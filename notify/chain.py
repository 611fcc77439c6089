"""PURE: the chain of the audit record. Each row's hash is made with a key over the row and the hash before it.

Whoever lacks the key can neither change, remove, insert nor move a chained row so that the hashes still fit. What was
cut off at the end is found by a head that was noted elsewhere.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from storage.audit_events import Entry, Link

GENESIS: Final = "0" * 64  # what stands before the first row


class Flaw(StrEnum):
    """Why a place of the chain does not hold."""

    CHANGED = "the row was changed"
    MISSING = "rows are missing before this place"
    FOREIGN = "its hash was changed, or made with another key"
    ALTERED = "the row or its hash was changed, or the hash was made with another key"
    NOT_THERE = "no row stands at the noted head: the end of the chain was cut off"
    OTHER_HEAD = "the row at the noted head has another hash"


@dataclass(frozen=True, slots=True)
class Head:
    """A place of the chain and the hash there; whoever noted one can prove later that all before it is as it was."""

    position: int
    hash: str

    def __str__(self) -> str:
        return f"{self.position}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Broken:
    """A place that does not hold."""

    position: int
    flaw: Flaw

    def __str__(self) -> str:
        return f"position {self.position}: {self.flaw}"


START: Final = Head(0, GENESIS)


def canonical(entry: Entry) -> bytes:
    """Every column but the hash, so that no two different rows have the same bytes."""
    texts = (entry.kind, entry.bot_id, entry.channel, entry.tenant_id, entry.actor, entry.subject, entry.detail)
    numbers = struct.pack(">qqd", entry.position or 0, entry.seq, entry.at)
    return numbers + b"".join(map(_measured, texts))


def _measured(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogatepass")
    return struct.pack(">q", len(raw)) + raw


def digest(key: bytes, before: str, entry: Entry) -> str:
    """HMAC-SHA256 over the hash before and the row."""
    return hmac.digest(key, _measured(before) + canonical(entry), "sha256").hex()


def extend(key: bytes, head: Head, loose: Iterable[Entry]) -> Iterator[Link]:
    """The places and hashes of loose rows behind a head, in their order."""
    position, before = head.position, head.hash
    for entry in loose:
        position += 1
        before = digest(key, before, replace(entry, position=position))
        yield Link(entry.seq, position, before)


class Walk:
    """Follows a chain from its beginning, some rows at a time, until a place does not hold.

    Call `over` with the rows in order of position, then `end`.
    """

    def __init__(self, key: bytes, noted: Head | None = None) -> None:
        self._key = key
        self._noted = noted
        self._doubtful: Entry | None = None
        self.head = START
        self.broken: Broken | None = None

    def over(self, entries: Sequence[Entry]) -> bool:
        """Look at the next rows; False as soon as a place does not hold."""
        for entry in entries:
            if self.broken is None:
                self._step(entry)
        return self.broken is None

    def end(self) -> Broken | None:
        """What does not hold, now that there are no more rows."""
        if self.broken is None and self._doubtful is not None:
            self._break(self._doubtful.position, Flaw.ALTERED)
        if self.broken is None and self._noted is not None and self._noted.position > self.head.position:
            self._break(self._noted.position, Flaw.NOT_THERE)
        return self.broken

    def _step(self, entry: Entry) -> None:
        if self._doubtful is not None:
            self._break(self._doubtful.position, self._blame(self._doubtful, entry))
            return
        expected = self.head.position + 1
        if entry.position != expected:
            self._break(expected, Flaw.MISSING)
            return
        own = digest(self._key, self.head.hash, entry)
        if own != entry.hash:
            self._doubtful = entry  # the row after it tells whether the row or its hash was changed
            return
        self.head = Head(expected, own)
        if self._noted is not None and self._noted.position == expected and self._noted.hash != own:
            self._break(expected, Flaw.OTHER_HEAD)

    def _blame(self, entry: Entry, following: Entry) -> Flaw:
        """The row was changed if the next one still follows from its hash."""
        if following.position != (entry.position or 0) + 1:
            return Flaw.ALTERED
        return Flaw.CHANGED if follows(self._key, entry, following) else Flaw.FOREIGN

    def _break(self, position: int | None, flaw: Flaw) -> None:
        self.broken = Broken(position or 0, flaw)


def follows(key: bytes, before: Entry | None, entry: Entry) -> bool:
    """Whether one row holds behind the one before it (None: it is the first)."""
    above = START if before is None else head_at(before)
    holds = hmac.compare_digest(entry.hash or "", digest(key, above.hash, entry))
    return holds and entry.position == above.position + 1


def head_at(entry: Entry) -> Head:
    """What the chain goes on from behind a row."""
    return Head(entry.position or 0, entry.hash or "")
