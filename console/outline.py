"""The settings as flat keys, so that two of them can be compared; what is secret is told apart by its type.

Bots and clients stand under their own ids, so that another order is no change.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from notify.starts import Concealed, Outline, Plain
from settings import Settings, Table

LONGEST = 200  # what is longer is a key, and is compared without being shown


def outline(settings: Settings) -> Outline:
    """Each key with its value."""
    return dict(_table("", settings))


def _table(prefix: str, table: Table) -> Iterator[tuple[str, Plain | Concealed]]:
    for name in type(table).model_fields:
        yield from _value(f"{prefix}{name}", getattr(table, name))


def _value(key: str, value: Any) -> Iterator[tuple[str, Plain | Concealed]]:
    match value:
        case Table():
            yield from _table(f"{key}.", value)
        case tuple() if any(isinstance(each, Table | SecretStr) for each in value):
            for number, each in enumerate(value):
                yield from _value(f"{key}[{_name(each, number)}]", each)
        case tuple():
            yield key, " ".join(map(str, value))
        case SecretStr():
            yield key, Concealed(value.get_secret_value())
        case Path():
            yield key, str(value)
            yield f"{key} (contents)", Concealed(_contents(value))
        case datetime():
            yield key, value.isoformat()
        case str() if len(value) > LONGEST:
            yield key, Concealed(value)
        case _:
            yield key, value


def _contents(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _name(each: object, number: int) -> str:
    return str(getattr(each, "id", None) or getattr(each, "client_id", None) or number)
