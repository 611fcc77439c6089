"""The rights on a SQLite database's files: people, messages and sealed tokens are in them; only their owner reads.

SQLite makes its -wal and -shm with the rights of the database itself (`findCreateFileMode` in its os_unix.c), so it is
enough that the database has the right ones before SQLite opens it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

OWNER_ONLY: Final = 0o600
_OTHERS: Final = 0o077


def create(path: Path) -> None:
    """An empty file that only its owner may read, unless it is there; SQLite itself would obey the umask."""
    with suppress(OSError):  # SQLite says better what is wrong with the place
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY))


def wide(path: Path) -> Iterator[Path]:
    """The files of a database that others than its owner may read or write."""
    for file in (path, *(Path(f"{path}{ending}") for ending in ("-wal", "-shm", ".lock"))):
        with suppress(OSError):
            if file.stat().st_mode & _OTHERS:
                yield file


def tighten(path: Path) -> None:
    """Take these rights away, where the files are ours."""
    for file in wide(path):
        with suppress(OSError):  # of another owner: `herald check` tells
            file.chmod(file.stat().st_mode & ~_OTHERS & 0o777)
            logger.warning(
                "the database was open to other users", extra={"action": "storage_tightened", "file": file.name}
            )
