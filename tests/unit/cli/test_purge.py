"""`herald purge`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from storage.engine import Database
from tests.integration.notify.past import closed

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Shell

ANN = "ann@x.example"


@pytest.fixture(name="stored")
def _stored(shell: Shell) -> Shell:
    """A database with two requests of Ann's."""
    shell.run("migrate")
    _store(shell, "ds-1", "sent")
    _store(shell, "ds-2", "sent")
    return shell


def _store(shell: Shell, request: str, state: str) -> None:
    async def work() -> None:
        database = Database.open(f"sqlite:///{shell.folder}/herald.db")
        await closed(database, request, [ANN], state=state)
        await database.close()

    asyncio.run(work())


class TestPurge:
    def test_asks(self, stored: Shell) -> None:
        """What there is is shown and asked about; without a yes nothing changes."""
        declined = stored.run("purge", "--identity", " ANN@x.example", stdin="n\n")
        again = stored.run("purge", "--identity", ANN, "--dry-run")

        assert (1, 0) == (declined.exit_code, again.exit_code)
        assert all("2 deliveries, 0 open" in result.stdout for result in (declined, again))
        assert "Forgotten" not in again.stdout

    def test_forgets_beside_a_server(self, stored: Shell) -> None:
        """With a yes it forgets while a server has the database; a second time there is nothing."""
        server = Database.open(f"sqlite:///{stored.folder}/herald.db", exclusive=True)
        try:
            first = stored.run("purge", "--identity", ANN, "--yes")
            second = stored.run("purge", "--identity", ANN, "--yes")
        finally:
            asyncio.run(server.close())

        assert (0, 0) == (first.exit_code, second.exit_code)
        assert "Forgotten: 2 deliveries, 2 responses, 2 messages that nobody else got" in first.stdout
        assert "Nothing is stored about this person.\n" == second.stdout

    def test_open_remain(self, stored: Shell) -> None:
        """Exit code 3 says that deliveries are open, and until when."""
        _store(stored, "ds-3", "accepted")

        result = stored.run("purge", "--user-id", "UANN", "--yes")

        assert 3 == result.exit_code
        assert "1 deliveries are still open" in result.stderr
        assert " UTC" in result.stderr

    @pytest.mark.parametrize("arguments", [(), ("--identity", ANN, "--user-id", "U1"), ("--identity", " ")])
    def test_one_name(self, stored: Shell, arguments: tuple[str, ...]) -> None:
        """It wants one name of one person."""
        assert 2 == stored.run("purge", *arguments).exit_code

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("--identity", f"Ann <{ANN}>"), "The identity"),
            (("--identity", "ann"), "The identity"),
            (("--identity", ""), "The identity is empty"),
            (("--user-id", "zzz"), "--user-id: give the id as the platform writes it"),
        ],
    )
    def test_nobody(self, stored: Shell, arguments: tuple[str, ...], said: str) -> None:
        """What can be nobody is refused with its remedy: that nothing is stored about it would prove nothing."""
        result = stored.run("purge", *arguments, "--yes")

        assert 2 == result.exit_code
        assert said in result.stderr

    def test_no_database(self, shell: Shell) -> None:
        """A database that does not exist is not made."""
        result = shell.run("purge", "--identity", ANN)

        assert 4 == result.exit_code
        assert not (shell.folder / "herald.db").exists()
