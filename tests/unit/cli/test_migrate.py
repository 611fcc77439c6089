"""`herald migrate`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from storage.engine import Database
from storage.migrate import head

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Shell


class TestMigrate:
    def test_twice(self, shell: Shell) -> None:
        """An empty database is brought to this version; a second run changes nothing."""
        outputs = [shell.run("migrate").stdout for _ in range(2)]

        assert outputs == [
            f"The database went from empty to {head()}.\n",
            f"The database is at {head()} already.\n",
        ]

    def test_no_folder(self, shell: Shell) -> None:
        """A folder that does not exist is named as the thing to mend."""
        shell.text = shell.text.replace("sqlite:///herald.db", "sqlite:///none/herald.db")

        result = shell.run("migrate")

        assert result.exit_code == 4
        assert "check that the folder in storage.url exists" in result.stderr

    def test_in_use(self, shell: Shell) -> None:
        """A database that a running server holds is left alone."""
        database = Database.open(f"sqlite:///{shell.folder}/herald.db", exclusive=True)
        try:
            result = shell.run("migrate")
        finally:
            asyncio.run(database.close())

        assert result.exit_code == 4
        assert "herald" in result.stderr.lower()
