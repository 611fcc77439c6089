"""The command line as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest

import cli

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Shell

COMMANDS = [
    "audit",
    "check",
    "manifest",
    "migrate",
    "preview",
    "purge",
    "rotate-keys",
    "send",
    "serve",
    "status",
    "token",
]


class TestGroup:
    def test_commands(self) -> None:
        """These commands exist."""
        assert sorted(cli.group().commands) == COMMANDS

    def test_further_commands(self) -> None:
        """The composition root may add commands of its own."""
        assert "demo" in cli.group(click.Command("demo")).commands

    @pytest.mark.parametrize("command", [*[[name] for name in COMMANDS], ["manifest", "teams"], ["manifest", "slack"]])
    def test_help(self, shell: Shell, command: list[str]) -> None:
        """Every command explains itself."""
        result = shell.run(*command, "--help")

        assert result.exit_code == 0
        assert result.output.startswith("Usage: ")

    @pytest.mark.parametrize(
        "command", [["serve"], ["migrate"], ["token", "--client", "cs-1"], ["manifest", "slack"], ["status", "ds-1"]]
    )
    def test_broken_settings(self, shell: Shell, command: list[str]) -> None:
        """With settings that cannot be used, a command ends with code 4 and every problem."""
        shell.text = '[server]\nport = "x"\n'
        extra = ["--client", "cs-1"] if command[0] == "status" else []

        result = shell.run(*command, *extra)

        assert result.exit_code == 4
        assert "server.port: must be a whole number" in result.stderr
        assert "storage: is missing" in result.stderr
