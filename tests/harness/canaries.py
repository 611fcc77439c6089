"""What may never be found where Herald writes: secrets, tokens, texts, names and whole e-mails are canaries.

`watching` listens to every logger of the process at DEBUG, set up as `serve` sets them up. The harness tells it of
every secret that stands in settings, every text that a caller sends and every line that a child process writes.
What looks like a token, an e-mail or a person's name is a canary whoever made it.
"""

from __future__ import annotations

import json
import logging
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from console.commands.logs import QUIET, JsonEvents, hush
from simulator import people

SECRET, TEXT, ONE_TIME = "secret", "text", "one-time code"
TOKEN, EMAIL, NAME = "token", "e-mail", "name"
SHORTEST: Final = 8
"""A shorter word may stand anywhere by accident."""

_NAMES = f"(?:{'|'.join(people.FIRST_NAMES)}) (?:{'|'.join(people.LAST_NAMES)})"
LOOKS: Final[Mapping[str, re.Pattern[str]]] = {
    TOKEN: re.compile(r"(?<![\w-])eyJ[\w-]{5,}\.[\w-]{2,}|xox[a-z]-[\w-]{4,}|[Bb]earer [\w.~+/-]{8,}"),
    EMAIL: re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?!unq\.|thread\.)(?:[\w-]{1,63}\.)+[a-z]{2,}", re.IGNORECASE),
    NAME: re.compile(rf"\b{_NAMES}\b"),
}
"""What is a canary by its looks. None begins in the middle of a word, which would make long texts slow to search."""

_SECRET_KEYS = frozenset(
    {"secret", "value", "app_password", "client_secret", "signing_secret", "bot_token", "encryption_key"}
)
_SAYING_KEYS = ("message", "content", "parameters", "customMessage", "options", "identities", "text", "values", "data")

MEANT: Final[Mapping[str, frozenset[str]]] = {
    EMAIL: frozenset(
        {
            "deliveries.original_id",
            "deliveries.identity",
            "deliveries.parameters",
            "deliveries.payload",
            "deliveries.notes",
            "requests.payload",
            "emails.email",
            "misses.email",
            "chores.detail",
        }
    ),
    TEXT: frozenset(
        {
            "requests.payload",
            "requests.options",
            "deliveries.payload",
            "deliveries.parameters",
            "deliveries.notes",
            "deliveries.detail",
            "deliveries.remedy",  # where a script failed, in its own words
            "responses.detail",
        }
    ),
    NAME: frozenset(
        {"people.name", "requests.payload", "deliveries.payload", "deliveries.parameters", "deliveries.notes"}
    ),
}
"""The columns that are there for a kind; whatever else is a canary stands in none."""


@dataclass
class Watch:
    """One test's canaries, and everything that was written while it ran."""

    values: dict[str, set[str]] = field(default_factory=dict)
    lines: list[tuple[str, str]] = field(default_factory=list)
    """Where it was written (the action of an event, the name of a page), and what."""

    def note(self, kind: str, *values: str) -> None:
        """These are canaries."""
        self.values.setdefault(kind, set()).update(value for value in values if len(value) >= SHORTEST)

    def kinds(self, text: str) -> list[str]:
        """The kinds of canaries that stand in a text, bare or as JSON would have them."""
        looks = [kind for kind, look in LOOKS.items() if look.search(text)]
        return looks + [kind for kind, values in self.values.items() if any(_holds(text, value) for value in values)]

    def leaks(self) -> list[str]:
        """Which kind of canary stands in which line, and not what it says."""
        if not self.kinds("\n".join(line for _, line in self.lines)):
            return []
        return sorted({f"{kind} in {where}" for where, line in self.lines for kind in self.kinds(line)})

    def stored(self, url: str) -> list[str]:
        """Which kind of canary stands in which column that is not meant for it, and in the bytes of the file."""
        wrong = {
            f"{kind} in {column}"
            for column, text in _columns(url)
            for kind in self.kinds(text)
            if column not in MEANT.get(kind, ())
        }
        raw = "".join(_file(url))
        return sorted(wrong | {f"{kind} in the file" for kind in set(self.kinds(raw)) & {SECRET, TOKEN, ONE_TIME}})


def _holds(text: str, value: str) -> bool:
    return value in text or json.dumps(value)[1:-1] in text


_watches: list[Watch] = []


@contextmanager
def watching() -> Iterator[Watch]:
    """Take down everything that is logged, at DEBUG except for the libraries that `serve` keeps quiet."""
    watch, root = Watch(), logging.getLogger()
    ear = _Ear(watch)
    before = root.level, {name: logging.getLogger(name).level for name in QUIET}
    root.addHandler(ear)
    root.setLevel(logging.DEBUG)
    hush()
    _watches.append(watch)
    try:
        yield watch
    finally:
        _watches.remove(watch)
        root.removeHandler(ear)
        root.setLevel(before[0])
        for name, level in before[1].items():
            logging.getLogger(name).setLevel(level)


class _Ear(logging.Handler):
    """Writes every event down as the product would write it."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(JsonEvents())
        self._watch = watch

    def emit(self, record: logging.LogRecord) -> None:
        self._watch.lines.append((str(getattr(record, "action", record.name)), self.format(record)))


# ── what the harness tells ──────────────────────────────────────────────────────────────────────────────────
def is_watching() -> bool:
    """Whether a test listens."""
    return bool(_watches)


def note(kind: str, *values: str) -> None:
    """These are canaries, if a test listens."""
    for watch in _watches:
        watch.note(kind, *values)


def heard(where: str, text: str) -> None:
    """Something was written, if a test listens."""
    for watch in _watches:
        watch.lines.append((where, text))


def heard_line(line: str) -> None:
    """A child process wrote a line."""
    if not _watches:
        return
    action = re.search(r'"action": "([\w.]+)"', line)
    heard(action[1] if action else "output", line)


def settings(values: Any) -> None:
    """Every secret of these settings is one."""
    for key, value in _leaves(values):
        if key in _SECRET_KEYS:
            note(SECRET, value)


def said(body: Any) -> None:
    """What somebody says in this body: its sentences, wherever a body has place for them."""
    if _watches and isinstance(body, Mapping):
        spoken = (body[name] if name == "identities" else {name: body[name]} for name in _SAYING_KEYS if name in body)
        leaves = (leaf for part in spoken for leaf in _leaves(part))
        note(TEXT, *(value for key, value in leaves if " " in value.strip() and key not in ("", "id")))


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _leaves(each, str(name))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _leaves(each, key)


# ── the database ────────────────────────────────────────────────────────────────────────────────────────────
def _columns(url: str) -> Iterator[tuple[str, str]]:
    """Every column of every table that holds letters or bytes, with all that stands in it."""
    for table, names, rows in _sqlite(url) if _is_sqlite(url) else _postgres(url):
        for place, name in enumerate(names):
            text = "\n".join(_text(row[place]) for row in rows)
            if text.strip():
                yield f"{table}.{name}", text


def _is_sqlite(url: str) -> bool:
    return make_url(url).get_backend_name() == "sqlite"


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


Table = tuple[str, list[str], list[Any]]


def _sqlite(url: str) -> Iterable[Table]:
    connection = sqlite3.connect(str(make_url(url).database))
    try:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in found:
            cursor = connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - a name from the schema
            yield table, [each[0] for each in cursor.description], cursor.fetchall()
    finally:
        connection.close()


def _postgres(url: str) -> Iterable[Table]:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in found:
            cursor = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))
            yield table, [each.name for each in cursor.description or ()], cursor.fetchall()


def _file(url: str) -> Iterator[str]:
    if _is_sqlite(url):
        for suffix in ("", "-wal"):
            path = Path(f"{make_url(url).database}{suffix}")
            if path.exists():
                yield path.read_bytes().decode("latin-1")
