"""A SQLite database is read by its owner alone, whatever the umask of whoever starts Herald."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.engine import Database
from storage.migrate import migrate


@pytest.fixture
def _careless() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def rights(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}


@pytest.mark.usefixtures("_careless")
@pytest.mark.parametrize("exclusive", [True, False])
async def test_new_files(tmp_path: Path, exclusive: bool) -> None:
    """Every file that a database needs is made for its owner, locked to one process or not."""
    database = Database.open(f"sqlite:///{tmp_path}/herald.db", exclusive=exclusive)
    await migrate(database)
    made = rights(tmp_path)
    await database.close()

    assert set(made) == {"herald.db", "herald.db-wal", "herald.db-shm"} | ({"herald.db.lock"} if exclusive else set())
    assert set(made.values()) == {0o600}


@pytest.mark.usefixtures("_careless")
async def test_old_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Files that others could read are closed to them before they are used, and the log names each."""
    names = ["herald.db", "herald.db-shm", "herald.db-wal", "herald.db.lock"]
    for name in names:
        (tmp_path / name).touch(0o666)
    database = Database.open(f"sqlite:///{tmp_path}/herald.db", exclusive=True)
    before = rights(tmp_path)
    await migrate(database)
    after = rights(tmp_path)
    await database.close()

    assert before == after == dict.fromkeys(names, 0o600)
    tightened = [each.__dict__ for each in caplog.records if each.__dict__.get("action") == "storage_tightened"]
    assert sorted(str(each["file"]) for each in tightened) == names


@pytest.mark.usefixtures("_careless")
async def test_without_the_lock(tmp_path: Path) -> None:
    """Whoever only looks at a database leaves its rights as they are."""
    (tmp_path / "herald.db").touch(0o644)
    await Database.open(f"sqlite:///{tmp_path}/herald.db").close()

    assert rights(tmp_path) == {"herald.db": 0o644}
