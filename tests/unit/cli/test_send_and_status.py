"""`herald send` and `herald status`: the API from a terminal, against any Herald."""

from __future__ import annotations

import io
import socket
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from rich.console import Console

from console.commands.rehearsal import show_rehearsal
from tests.unit.cli.conftest import BOT, CLIENT_SECRET

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Shell, StubHerald

SENT = {"originalId": "ann@example.com", "status": "SUCCESS", "comments": "Notification has been sent successfully"}
FAILED = {
    "originalId": "bob@example.com",
    "status": "FAILURE",
    "comments": "'Identity is not associated with the channel'",
    "details": {"outcome": "refused", "reason": "person_not_found", "remedy": "Check the address."},
}


def record(status: str, *logs: dict[str, Any], total: int = 2, **details: Any) -> tuple[int, dict[str, Any]]:
    body = {"_id": "ds-1", "status": status, "percentageComplete": 0, "statusLogs": list(logs), "details": details}
    return 200, body | {"store": {"identitiesCount": total}}


def rehearsal(outcomes: dict[str, int], person: str = "bob@example.com", **details: Any) -> tuple[int, dict[str, Any]]:
    how = {"outcome": "unreachable", "reason": "person_not_found", "who": "sender", "remedy": "Check the address."}
    logs = [{"originalId": person, "details": how}]
    return 200, {"status": "DRY_RUN", "statusLogs": logs, "details": {"outcomes": outcomes, **details}}


def send(herald: StubHerald, *more: str) -> list[str]:
    access = ["--url", herald.url, "--bot", BOT, "--token", "t"]
    return ["send", *access, "--channel", "slack", "--text", "hi", "--identity", "ann@example.com", *more]


def status(herald: StubHerald, *more: str) -> list[str]:
    return ["status", "ds-1", "--url", herald.url, "--bot", BOT, "--token", "t", *more]


class TestSend:
    async def test_request(self, shell: Shell, herald: StubHerald) -> None:
        """The request goes to the bot's notify route with the token in `auth`; its id is printed alone."""
        herald.answers = [record("IN_PROGRESS")]

        result = await shell.run_beside(*send(herald))

        assert (result.exit_code, result.stdout) == (0, "ds-1\n")
        assert (herald.seen[0].method, herald.seen[0].path) == ("POST", f"/api/public/bot/{BOT}/notify")
        assert herald.seen[0].headers["auth"] == "t"
        assert herald.bodies[0] == {
            "channel": "slack",
            "userIdentityType": "resolve",
            "message": {"type": "text", "val": "hi"},
            "identities": ["ann@example.com"],
        }

    async def test_defaults_from_settings(self, shell: Shell, herald: StubHerald) -> None:
        """Server, bot and token come from the settings when they are not given."""
        herald.answers = [record("IN_PROGRESS")]
        shell.text = shell.text.replace("https://herald.example.com", herald.url)

        result = await shell.run_beside(
            "send", "--client", "cs-1", "--channel", "slack", "--text", "hi", "--identity", "a"
        )

        assert result.exit_code == 0
        assert herald.seen[0].path == f"/api/public/bot/{BOT}/notify"
        assert jwt.decode(herald.seen[0].headers["auth"], CLIENT_SECRET, algorithms=["HS256"])["appId"] == "cs-1"

    async def test_client_beats_the_environment(
        self, shell: Shell, herald: StubHerald, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A client or token that is written in the command is stronger than the token of the environment."""
        herald.answers = [record("IN_PROGRESS")]
        monkeypatch.setenv("HERALD_TOKEN", "exported")
        without = [word for word in send(herald) if word not in ("--token", "t")]

        for arguments in ([*without, "--client", "cs-1"], send(herald), without):
            assert (await shell.run_beside(*arguments)).exit_code == 0

        minted, *rest = (request.headers["auth"] for request in herald.seen)
        assert jwt.decode(minted, CLIENT_SECRET, algorithms=["HS256"])["appId"] == "cs-1"
        assert ["t", "exported"] == rest

    async def test_identities_file(self, shell: Shell, herald: StubHerald) -> None:
        """A file gives one identity a line; blank lines and comments do not count."""
        herald.answers = [record("IN_PROGRESS")]
        people = shell.folder / "people.txt"
        people.write_text("# team\nbob@example.com\n\n  cid@example.com \n", encoding="utf-8")

        await shell.run_beside(*send(herald, "--identities-file", str(people)))

        assert herald.bodies[0]["identities"] == ["ann@example.com", "bob@example.com", "cid@example.com"]

    async def test_payload_and_key(self, shell: Shell, herald: StubHerald) -> None:
        """A JSON payload travels as JSON text of a script message; the idempotency key as a header."""
        herald.answers = [record("IN_PROGRESS")]
        payload = shell.folder / "card.json"
        payload.write_text('{"text": "hi"}', encoding="utf-8")
        arguments = [word for word in send(herald) if word not in ("--text", "hi")]

        await shell.run_beside(*arguments, "--json-file", str(payload), "--idempotency-key", "k1", "--donotresolve")

        assert herald.bodies[0]["message"] == {"type": "script", "val": '{"text": "hi"}'}
        assert herald.bodies[0]["userIdentityType"] == "donotresolve"
        assert herald.seen[0].headers["Idempotency-Key"] == "k1"

    async def test_payload_with_a_mark(self, shell: Shell, herald: StubHerald) -> None:
        """A JSON file may begin with the byte order mark that editors on Windows write."""
        herald.answers = [record("IN_PROGRESS")]
        payload = shell.folder / "card.json"
        payload.write_text('{"text": "hi"}', encoding="utf-8-sig")
        arguments = [word for word in send(herald) if word not in ("--text", "hi")]

        assert (await shell.run_beside(*arguments, "--json-file", str(payload))).exit_code == 0

        assert herald.bodies[0]["message"] == {"type": "script", "val": '{"text": "hi"}'}

    async def test_watch(self, shell: Shell, herald: StubHerald) -> None:
        """With --watch the request is followed to its end and decides the exit code."""
        herald.answers = [record("IN_PROGRESS"), record("PARTIAL_SUCCESS", SENT, FAILED)]

        result = await shell.run_beside(*send(herald, "--watch"))

        assert result.exit_code == 1
        assert "ds-1 PARTIAL_SUCCESS: 1 sent, 1 failed, 0 open" in result.stdout

    async def test_dry_run(self, shell: Shell, herald: StubHerald) -> None:
        """With --dry-run nothing is sent: each person is shown as they stand, with what to do."""
        herald.answers = [rehearsal({"unreachable": 1}, estimatedSeconds=0.0)]

        result = await shell.run_beside(*send(herald, "--dry-run", "--tenant", "T0123"))

        assert herald.seen[0].query_string == "dryRun=true"
        assert herald.bodies[0]["options"] == {"tenant": "T0123"}
        assert "bob@example.com" in result.stdout
        assert "sender" in result.stdout
        assert "nothing was sent: 1 unreachable; sending would take about 0.0 s" in result.stdout

    @pytest.mark.parametrize(
        ("outcomes", "code"),
        [({"reachable": 2, "not_looked_up": 1}, 0), ({"reachable": 2, "unreachable": 1}, 1), ({"unreachable": 1}, 2)],
    )
    async def test_dry_run_exit_code(
        self, shell: Shell, herald: StubHerald, outcomes: dict[str, int], code: int
    ) -> None:
        """The exit code of a dry run tells whether somebody is known to be unreachable, as --help says."""
        herald.answers = [rehearsal(outcomes, estimatedSeconds=0.0)]

        assert (await shell.run_beside(*send(herald, "--dry-run"))).exit_code == code
        assert "--dry-run: 0 nobody is known to be unreachable" in shell.run("send", "--help").stdout

    async def test_dry_run_in_a_narrow_terminal(self) -> None:
        """In eighty columns nothing is cut: every letter of who is meant can be read."""
        person = "bartholomew.featherstonehaugh@subsidiary.contoso.example"
        text = io.StringIO()
        show_rehearsal(rehearsal({"unreachable": 1}, person)[1], Console(file=text, width=80))

        cells = [line.split("│")[1].strip() for line in text.getvalue().splitlines() if "│" in line]
        assert "".join(cells) == person
        assert max(map(len, text.getvalue().splitlines())) == 80

    async def test_dry_run_warnings(self, shell: Shell, herald: StubHerald) -> None:
        """What is probably wrong with the message is shown, for a person and for all."""
        _, body = rehearsal({"reachable": 1}, warnings=["blocks[0]: looks odd"])
        body["statusLogs"][0]["details"] = {"outcome": "reachable", "warnings": ["{name} has no value"]}
        herald.answers = [(200, body)]

        said = (await shell.run_beside(*send(herald, "--dry-run"))).stdout

        assert "{name} has no value" in said
        assert "warning: blocks[0]: looks odd" in said

    async def test_dry_run_paused(self, shell: Shell, herald: StubHerald) -> None:
        """While a lane is paused the summary says why and what to do, and promises no time."""
        paused = [{"tenant": "T1", "reason": "credentials_rejected", "remedy": "Check the app id."}]
        herald.answers = [rehearsal({"reachable": 1}, paused=paused)]

        result = await shell.run_beside(*send(herald, "--dry-run"))

        assert "1 reachable; paused: credentials_rejected: Check the app id." in result.stdout
        assert "would take" not in result.stdout

    @pytest.mark.parametrize(
        ("drop", "add", "message"),
        [
            ((), ("--dry-run", "--watch"), "--dry-run sends nothing"),
            (("--identity", "ann@example.com"), (), "Nobody to send to"),
            (("--text", "hi"), (), "exactly one of --text, --markup, --json-file and --script"),
            ((), ("--client", "cs-1"), "exclude each other"),
            (("--token", "t"), (), "Give --token JWT"),
        ],
    )
    def test_usage(
        self, shell: Shell, herald: StubHerald, drop: tuple[str, ...], add: tuple[str, ...], message: str
    ) -> None:
        """What is missing or too much is said before anything is sent."""
        result = shell.run(*[word for word in send(herald) if word not in drop], *add)

        assert result.exit_code == 2
        assert message in result.stderr
        assert herald.seen == []


class TestStatus:
    @pytest.mark.parametrize(
        ("word", "code"), [("SUCCESS", 0), ("PARTIAL_SUCCESS", 1), ("FAILURE", 2), ("IN_PROGRESS", 3)]
    )
    async def test_exit_code(self, shell: Shell, herald: StubHerald, word: str, code: int) -> None:
        """The exit code tells the outcome."""
        herald.answers = [record(word)]

        assert (await shell.run_beside(*status(herald))).exit_code == code
        assert herald.seen[0].path == f"/api/public/bot/{BOT}/notify/status/ds-1"

    async def test_table(self, shell: Shell, herald: StubHerald) -> None:
        """Every person stands with outcome, reason and remedy; without details the comment is the reason."""
        plain = {key: value for key, value in FAILED.items() if key != "details"} | {"originalId": "cid"}
        herald.answers = [record("PARTIAL_SUCCESS", SENT, FAILED, plain, total=3)]

        lines = (await shell.run_beside(*status(herald))).stdout.splitlines()

        assert any("ann@example.com" in line and " sent " in line for line in lines)
        assert any("person_not_found" in line and "Check the address." in line for line in lines)
        assert any("cid" in line and "Identity is not associated" in line for line in lines)

    async def test_watch(self, shell: Shell, herald: StubHerald) -> None:
        """--watch asks until the request is final."""
        herald.answers = [record("IN_PROGRESS", SENT), record("SUCCESS", SENT, SENT)]

        assert (await shell.run_beside(*status(herald, "--watch"))).exit_code == 0
        assert len(herald.seen) == 2

    async def test_paused(self, shell: Shell, herald: StubHerald) -> None:
        """A held request says why and what to do."""
        herald.answers = [record("IN_PROGRESS", paused=[{"reason": "token_revoked", "remedy": "Install again."}])]

        assert "paused: token_revoked: Install again." in (await shell.run_beside(*status(herald))).stdout

    async def test_markup_is_text(self, shell: Shell, herald: StubHerald) -> None:
        """What the server says is printed, never interpreted as terminal markup or control codes."""
        odd = SENT | {"originalId": "[red]x[/red]\x1b[31my"}
        herald.answers = [record("SUCCESS", odd)]

        output = (await shell.run_beside(*status(herald))).stdout

        assert "[red]x[/red]" in output
        assert "\x1b[31my" not in output

    async def test_waits_out_the_rate_limit(self, shell: Shell, herald: StubHerald) -> None:
        """A 429 is waited out as long as the server asks."""
        herald.headers = {"Retry-After": "0"}
        herald.answers = [(429, {"errors": [{"msg": "slow", "code": 429}]}), record("SUCCESS")]

        assert (await shell.run_beside(*status(herald))).exit_code == 0

    async def test_odd_request_id(self, shell: Shell, herald: StubHerald) -> None:
        """A request id cannot lead to another path."""
        herald.answers = [record("SUCCESS")]
        arguments = [word.replace("ds-1", "../../x") for word in status(herald)]

        await shell.run_beside(*arguments)

        assert herald.seen[0].rel_url.raw_path.endswith("/notify/status/..%2F..%2Fx")


class TestTrouble:
    async def test_refusal(self, shell: Shell, herald: StubHerald) -> None:
        """The server's own lines are shown, one each."""
        lines = ["Validation errors/ Invalid arguments", "identities: too many"]
        herald.answers = [(412, {"errors": [{"msg": line, "code": 412} for line in lines]})]

        result = await shell.run_beside(*send(herald))

        assert result.exit_code == 4
        assert "refused (412):\n  - Validation errors/ Invalid arguments\n  - identities: too many" in result.stderr

    @pytest.mark.parametrize("answer", [(200, "<html>"), (502, "bad gateway"), (200, []), (404, {})])
    async def test_not_a_herald(self, shell: Shell, herald: StubHerald, answer: tuple[int, Any]) -> None:
        """An answer in another form asks whether this is a Herald."""
        herald.answers = [answer]

        result = await shell.run_beside(*status(herald))

        assert result.exit_code == 4
        assert "is --url a Herald?" in result.stderr

    def test_no_server(self, shell: Shell) -> None:
        """Without a server the error says what to look at, and never the token."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
        result = shell.run("status", "ds-1", "--url", url, "--bot", BOT, "--token", "secret-token")

        assert result.exit_code == 4
        assert f"Cannot reach {url}: is the server running (`herald serve`)" in result.stderr
        assert "secret-token" not in result.output

    def test_bad_url(self, shell: Shell) -> None:
        """An address that is none is refused."""
        assert "write it as https://host" in shell.run("status", "d", "--url", "h", "--bot", BOT, "--token", "t").stderr
