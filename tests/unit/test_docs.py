"""The pages for people say what the code says: reasons, actions, settings, commands, and which promises are tested."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import cli
from adapters.base import ChannelName, Fault
from adapters.slack import faults as slack
from adapters.teams import faults as teams
from bench.pictures import samples
from notify import render
from settings import Settings
from tests.harness.reasons import table

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ID = re.compile(r"\b[XPMKFS]\d{2}\b")


def page(name: str) -> str:
    """The text of one page."""
    return (ROOT / name).read_text(encoding="utf-8")


def alone(module: object) -> set[str]:
    """The reasons of a module's faults that stand outside its table."""
    return {value.reason for value in vars(module).values() if isinstance(value, Fault)}


TEAMS = alone(teams) | {row.reason for row in teams.TABLE}
SLACK = alone(slack) | {row.reason for row in slack.ROWS}


class TestReasons:
    @pytest.mark.parametrize("reason", sorted(TEAMS))
    def test_teams(self, reason: str) -> None:
        """Administrators of Teams find every reason with its remedy."""
        assert f"| `{reason}` |" in page("docs/teams.md")

    @pytest.mark.parametrize("reason", sorted(SLACK))
    def test_slack(self, reason: str) -> None:
        """Administrators of Slack find every reason with its remedy."""
        assert f"| `{reason}` |" in page("docs/slack.md")

    def test_page(self) -> None:
        """One page holds every reason of the table: where it is met, what it means, who can act, what to do."""
        rows = [line for line in page("docs/reasons.md").splitlines() if line.startswith("| `")]

        assert table() == rows


class TestActions:
    def test_every_action(self) -> None:
        """Operators find every action that a log can hold."""
        explained = page("docs/operations.md")
        rooms = ("adapters", "console", "identity", "notify", "storage")
        sources = "".join(path.read_text(encoding="utf-8") for room in rooms for path in (ROOT / room).rglob("*.py"))
        logged = set(re.findall(r'"action": "([a-z_.]+)"', sources))

        assert set() == {action for action in logged if f"`{action}`" not in explained}


class TestCommands:
    def test_documented_commands(self) -> None:
        """Every `herald …` in the pages is a command."""
        pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *DOCS.glob("*.md")))
        named = set(re.findall(r"(?:bin/|`)herald ([a-z-]+)", pages))

        assert set() == named - set(cli.group().commands)

    def test_documented_settings(self) -> None:
        """Every `section.key` in the pages is a setting."""
        pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *DOCS.glob("*.md")))
        sections = {name: field.annotation for name, field in Settings.model_fields.items()}
        for section, key in re.findall(
            r"`(server|storage|endpoints|pace|delivery|retention|limits)\.([a-z_]+)`", pages
        ):
            assert key in getattr(sections[section], "model_fields", {}), f"{section}.{key}"


class TestTemplates:
    KINDS = ("text", "button", "quick_replies", "list", "table", "image")
    LARGEST = 60 * 1024

    def test_kinds(self) -> None:
        """The page holds one example of every kind of template, and each becomes a message on both platforms."""
        assert self.KINDS == tuple(samples())
        for payload in samples().values():
            for channel in ChannelName:
                found = render.native(channel, payload, "message.val")
                assert isinstance(found, render.Rendered)
                assert found.payload.get("blocks") or found.payload.get("attachments")

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("platform", ["slack", "teams"])
    def test_images(self, platform: str, kind: str) -> None:
        """Each kind has a small image of what it looks like on each platform, and the page shows it."""
        name = f"pictures/{platform}-{kind}.png"
        image = (DOCS / name).read_bytes()

        assert image.startswith(b"\x89PNG")
        assert len(image) < self.LARGEST
        assert f"]({name})" in page("docs/templates.md")


class TestPromises:
    def test_marks(self) -> None:
        """What the page marks as tested is tested, and every id of a test stands on a page."""
        tests = (path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__))
        used = {found for path in tests for found in ID.findall(path.read_text(encoding="utf-8"))}
        promises = page("docs/promises.md")
        marked = set(re.findall(r"^- ✓ ([A-Z]\d{2}) ", promises, re.MULTILINE))

        assert set() == marked - used
        assert set() == used - set(ID.findall(promises))
