"""`herald preview`, and the messages and files of values that it shares with `herald send`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.cli.conftest import BOT

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Shell, StubHerald

ANN: Mapping[str, Any] = {
    "channel": "slack",
    "originalId": "ann@example.com",
    "payload": {"text": "Grüß dich, Ann", "mrkdwn": True},
    "size": {"characters": 14, "limit": 40000, "blocks": 2, "blocksLimit": 50},
}
BOB: Mapping[str, Any] = {
    "channel": "slack",
    "originalId": "bob@example.com",
    "reason": "script_failed",
    "code": "thrown",
    "remedy": "Correct the script: Error: no name (line 1, column 5)",
    "scriptLog": ["asked for bob"],
}
TABLE = "e-mail,first_name,net\nann@example.com,Ann,2104\nbob@example.com,Bob,1980\n"


def answer(*previews: Mapping[str, Any], **more: Any) -> tuple[int, Any]:
    return 200, {"streamId": BOT, "previews": list(previews), **more}


def preview(herald: StubHerald, *more: str) -> list[str]:
    return ["preview", "--url", herald.url, "--bot", BOT, "--token", "t", *more]


def hello(herald: StubHerald, *more: str) -> list[str]:
    return preview(herald, "--text", "Hi {first_name}", *more)


def written(shell: Shell, name: str, text: str | bytes) -> str:
    path = shell.folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


class TestPreview:
    async def test_request(self, shell: Shell, herald: StubHerald) -> None:
        """The bot's preview route gets the body of a send call, without a channel where none was given."""
        herald.answers = [answer(ANN)]

        result = await shell.run_beside(*hello(herald, "--identity", "ann@example.com"))

        assert result.exit_code == 0
        assert (herald.seen[0].method, herald.seen[0].path) == ("POST", f"/api/public/bot/{BOT}/preview")
        assert herald.bodies[0] == {
            "userIdentityType": "resolve",
            "message": {"type": "text", "val": "Hi {first_name}"},
            "identities": ["ann@example.com"],
        }

    async def test_shown(self, shell: Shell, herald: StubHerald) -> None:
        """Each person stands with payload, size beside its limits, warnings and log, or with what to mend."""
        herald.answers = [answer({**ANN, "warnings": ["{x} has no value"]}, BOB)]

        lines = (await shell.run_beside(*hello(herald, "--identity", "a"))).stdout.splitlines()

        assert lines == [
            "ann@example.com on slack",
            "  {",
            '    "text": "Grüß dich, Ann",',
            '    "mrkdwn": true',
            "  }",
            "  14 of 40000 characters, 2 of 50 blocks",
            "  warning: {x} has no value",
            "bob@example.com on slack",
            "  nothing: script_failed, thrown",
            "  Correct the script: Error: no name (line 1, column 5)",
            "  log: asked for bob",
        ]

    async def test_size_on_teams(self, shell: Shell, herald: StubHerald) -> None:
        """A size is shown in the platform's own count."""
        herald.answers = [answer({**ANN, "size": {"bytes": 150, "limit": 81920}})]

        assert "  150 of 81920 bytes\n" in (await shell.run_beside(*hello(herald, "--identity", "a"))).stdout

    @pytest.mark.parametrize(
        ("given", "code"),
        [
            (answer(ANN), 0),
            (answer(ANN, BOB), 1),
            (answer(ANN, refused={"msteams": ["message.val: shows nothing"]}), 1),
            (answer(BOB), 2),
            (answer(), 2),
        ],
        ids=["everybody", "somebody", "one-channel", "nobody", "nothing"],
    )
    async def test_exit_code(self, shell: Shell, herald: StubHerald, given: tuple[int, Any], code: int) -> None:
        """The exit code tells whether somebody would get nothing, as --help says."""
        herald.answers = [given]

        assert (await shell.run_beside(*hello(herald, "--identity", "a"))).exit_code == code
        assert "1 somebody would not" in shell.run("preview", "--help").stdout

    async def test_refused_channel(self, shell: Shell, herald: StubHerald) -> None:
        """A channel on which the call would be refused says why."""
        herald.answers = [answer(ANN, refused={"msteams": ["message.val: shows nothing"]})]

        said = (await shell.run_beside(*hello(herald, "--identity", "a"))).stdout

        assert said.endswith("msteams would refuse it\n  message.val: shows nothing\n")

    async def test_markup_is_text(self, shell: Shell, herald: StubHerald) -> None:
        """What the server says is printed, never interpreted as terminal markup or control codes."""
        odd = {**ANN, "payload": {"text": "[red]x[/red] \x9b31m"}, "warnings": ["\x1b[31my"]}
        herald.answers = [answer(odd)]

        said = (await shell.run_beside(*hello(herald, "--identity", "a"))).stdout

        assert "[red]x[/red]" in said
        assert "\x1b" not in said
        assert "\x9b" not in said

    async def test_first_ten(self, shell: Shell, herald: StubHerald) -> None:
        """Of many people the first ten are shown, with their values alone."""
        herald.answers = [answer(ANN)]
        table = "id,name\n" + "".join(f"p{number}@x.example,P{number}\n" for number in range(12))
        people = [f"p{number}@x.example" for number in range(10)]

        result = await shell.run_beside(*hello(herald, "--parameters", written(shell, "p.csv", table)))

        assert "The first 10 of 12 people" in result.stderr
        assert herald.bodies[0]["identities"] == list(herald.bodies[0]["options"]["parameters"]) == people


class TestMessage:
    async def test_markup(self, shell: Shell, herald: StubHerald) -> None:
        """--markup is text with the option that says so."""
        herald.answers = [answer(ANN)]

        await shell.run_beside(*preview(herald, "--markup", "*Hi*", "--identity", "a", "--tenant", "T1"))

        assert herald.bodies[0]["message"] == {"type": "text", "val": "*Hi*"}
        assert herald.bodies[0]["options"] == {"format": "markup", "tenant": "T1"}

    async def test_script(self, shell: Shell, herald: StubHerald) -> None:
        """--script sends the source of a file as it is."""
        herald.answers = [answer(ANN)]
        source = "const name = context.session.UserContext.firstName;\nprint(`Hi ${name}`);\n"

        await shell.run_beside(*preview(herald, "--script", written(shell, "hi.js", source), "--identity", "a"))

        assert herald.bodies[0]["message"] == {"type": "script", "val": source}

    def test_exactly_one(self, shell: Shell, herald: StubHerald) -> None:
        """One message has one source."""
        result = shell.run(*hello(herald, "--markup", "Hi", "--identity", "a"))

        assert (result.exit_code, herald.seen) == (2, [])
        assert "Give exactly one of --text, --markup, --json-file and --script." in result.stderr


class TestParameters:
    async def test_everybody_in_it(self, shell: Shell, herald: StubHerald) -> None:
        """The first column of a table is the identity, and everybody in it is addressed."""
        herald.answers = [answer(ANN)]

        await shell.run_beside(*hello(herald, "--parameters", written(shell, "p.csv", TABLE)))

        assert herald.bodies[0]["identities"] == ["ann@example.com", "bob@example.com"]
        assert herald.bodies[0]["options"]["parameters"] == {
            "ann@example.com": {"first_name": "Ann", "net": "2104"},
            "bob@example.com": {"first_name": "Bob", "net": "1980"},
        }

    @pytest.mark.parametrize(
        "text",
        [
            "e-mail,first_name\nann@example.com,Ann\n",
            "\ufeffe-mail;first_name\r\n ann@example.com ;Ann\r\n;\r\n",
            "e-mail\tfirst_name\n\nann@example.com\tAnn",
            '{"ann@example.com": {"first_name": "Ann"}}',
        ],
        ids=["comma", "spreadsheet", "tab", "json"],
    )
    async def test_forms(self, shell: Shell, herald: StubHerald, text: str) -> None:
        """What spreadsheets write is understood, and so is JSON."""
        herald.answers = [answer(ANN)]

        await shell.run_beside(*hello(herald, "--parameters", written(shell, "p", text)))

        assert herald.bodies[0]["options"] == {"parameters": {"ann@example.com": {"first_name": "Ann"}}}

    async def test_cells(self, shell: Shell, herald: StubHerald) -> None:
        """A cell in quotes may hold separators, quotes and lines."""
        herald.answers = [answer(ANN)]
        table = 'id,address\nann@example.com,"1, ""High"" St\nLeeds"\n'

        await shell.run_beside(*hello(herald, "--parameters", written(shell, "p.csv", table)))

        assert herald.bodies[0]["options"]["parameters"]["ann@example.com"] == {"address": '1, "High" St\nLeeds'}

    async def test_of_the_chosen(self, shell: Shell, herald: StubHerald) -> None:
        """Whoever is named besides, in any spelling, is addressed alone, with their own row."""
        herald.answers = [answer(ANN)]
        table = written(shell, "p.csv", TABLE)

        await shell.run_beside(*hello(herald, "--parameters", table, "--identity", "BOB@example.com"))

        assert herald.bodies[0]["identities"] == ["BOB@example.com"]
        assert list(herald.bodies[0]["options"]["parameters"]) == ["bob@example.com"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "is empty"),
            ("e-mail,a\nann@x.example", "line 2 has 1 cells, and the first line 2"),
            ("e-mail,a\n,x", "line 2 has no identity"),
            ("e-mail,a\nann@x.example,1\n\nANN@x.example,2", "has ANN@x.example in line 4 and in line 2"),
            ("e-mail,First name\nann@x.example,Ann", 'column 2 is called "First name"'),
            ("e-mail,First name\nann@x.example,Ann", "call it First_name"),
            ("e-mail,,b\nann@x.example,Ann,1", "call it value2"),
            ("e-mail,2nd\nann@x.example,Ann", "call it _2nd"),
            ("e-mail,a,a\nann@x.example,1,2", "column 3 is called a like another"),
            ('e-mail,a\nann@x.example,"x"y', "line 2 is no CSV"),
            ("e-mail;größe\nann@x.example;5".encode("cp1252"), 'save it again, in a spreadsheet as "CSV UTF-8"'),
            ("{", "is not JSON"),
            ('{"a@x.example": "b"}', "must hold an object of texts for a@x.example"),
            ('{"a@x.example": {}, "a@x.example": {}}', "has a@x.example in member 2 and in member 1"),
        ],
    )
    def test_unreadable(self, shell: Shell, herald: StubHerald, text: str | bytes, message: str) -> None:
        """What cannot be understood is said with its place, before anything is sent."""
        result = shell.run(*hello(herald, "--parameters", written(shell, "p", text)))

        assert (result.exit_code, herald.seen) == (2, [])
        assert message in result.stderr

    def test_without_a_row(self, shell: Shell, herald: StubHerald) -> None:
        """Who is named and has no row would read the placeholders: they are named instead."""
        people = ("--identity", "eve@example.com", "--identity", "fay@example.com")
        result = shell.run(*hello(herald, "--parameters", written(shell, "p.csv", TABLE), *people))

        assert (result.exit_code, herald.seen) == (2, [])
        assert "has nothing for eve@example.com and 1 more" in result.stderr

    async def test_of_ids(self, shell: Shell, herald: StubHerald) -> None:
        """User ids that differ in case are two people."""
        herald.answers = [answer(ANN)]
        table = written(shell, "p.csv", "id,a\n29:x,1\n29:X,2\n")

        await shell.run_beside(*hello(herald, "--parameters", table, "--donotresolve"))

        assert herald.bodies[0]["options"]["parameters"] == {"29:x": {"a": "1"}, "29:X": {"a": "2"}}
