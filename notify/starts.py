"""Each start of a server stands in the audit record, and what changed in the settings since the last recorded one.

Plain values are recorded as they are. Of a secret only a keyed hash is kept: that it changed can be seen, and nothing
of what it was.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from storage import audit_events
from storage.engine import Database

Plain = str | int | float | bool | None

CHANGED: Final = "settings_changed"
HIDDEN: Final = "hidden:"


@dataclass(frozen=True, slots=True)
class Concealed:
    """A value that the record must not hold."""

    text: str = field(repr=False)


Outline = Mapping[str, Plain | Concealed]
Snapshot = Mapping[str, Plain]


def snapshot(key: bytes, outline: Outline) -> dict[str, Plain]:
    """What the record may hold of the settings."""
    return {
        name: _mark(key, name, value.text) if isinstance(value, Concealed) else value for name, value in outline.items()
    }


def changes(old: Snapshot, new: Snapshot) -> dict[str, object]:
    """The keys that differ, each with its old and new value; of a secret only that it was added, changed or removed."""
    return {
        name: _change(name in old, old.get(name), name in new, new.get(name))
        for name in sorted(old.keys() | new.keys())
        if (name in old, old.get(name)) != (name in new, new.get(name))
    }


def _change(was: bool, old: Plain, is_now: bool, new: Plain) -> object:
    if any(isinstance(value, str) and value.startswith(HIDDEN) for value in (old, new)):
        return "changed" if was and is_now else "added" if is_now else "removed"
    return {**({"old": old} if was else {}), **({"new": new} if is_now else {})}


def _mark(key: bytes, name: str, text: str) -> str:
    said = f"setting\0{name}\0{text}".encode("utf-8", "surrogatepass")
    return HIDDEN + hmac.digest(key, said, "sha256").hex()[:32]


async def record(database: Database, key: bytes, outline: Outline, *, version: str, now: float) -> dict[str, object]:
    """Record a start; returns what changed since the last one."""
    new = snapshot(key, outline)
    async with database.write() as tx:
        last = await audit_events.last_start(tx)
        changed = {} if last is None else changes(json.loads(last.detail)["settings"], new)
        if changed:
            await audit_events.append(
                tx, at=now, kind=CHANGED, actor=audit_events.OPERATOR, subject="settings", detail=changed
            )
        detail = {"version": version, "settings": new}
        await audit_events.append(
            tx,
            at=now,
            kind=audit_events.STARTED,
            actor=audit_events.OPERATOR,
            subject=f"version {version}",
            detail=detail,
        )
    return changed
