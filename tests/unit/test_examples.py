"""The examples: every ready request is one that Herald takes, and the client in them works against the real API."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.base import BotId, ChannelName
from console.commands.parameters import read_parameters
from notify import wire, wire_preview, wire_v2
from notify.body import Bot, Problems
from notify.findings import findings
from notify.message import Kind, Message
from notify.personal import Personal, Ready, Writer, printed
from notify.records import LogEntry, RequestRecord, RequestStatus
from notify.script.context import Recipient, context
from notify.script.pool import ScriptPool
from notify.script.results import Printed, Result
from notify.wire import Call
from tests.contract.face import BOT, Face, RequestsInMemory, running

EXAMPLES = Path(__file__).parents[2] / "examples"
REQUESTS = sorted(EXAMPLES.glob("requests/*.json"))
GUIDE = (EXAMPLES.parent / "docs" / "messages.md").read_text(encoding="utf-8")
SAID = re.findall(r"^say (\w+) <<'END'\n(.*?)^END$", GUIDE, re.MULTILINE | re.DOTALL)
SCRIPTS = sorted(EXAMPLES.glob("scripts/*.js"))


class DeliveredAtOnce(RequestsInMemory):
    """Everybody has got it by the time the caller asks for the second time."""

    async def status(self, bot_id: BotId, request_id: str) -> RequestRecord | None:
        key = bot_id, request_id
        asked = self.records[key]
        people = next(s.entries for s in self.submissions if len(s.entries) == asked.total)
        entries = [
            LogEntry(f"nl-{place}", person.original, True, "sent", 1.0, place, user_id="U1", channel_id="U1")
            for place, person in enumerate(people)
        ]
        self.records[key] = replace(asked, status=RequestStatus.SUCCESS, done=asked.total, entries=entries)
        return asked


@pytest.fixture(name="face")
async def _face() -> AsyncIterator[Face]:
    requests = DeliveredAtOnce()
    async with running(requests=requests) as opened:
        opened.requests = requests
        yield opened


async def run(face: Face, *command: str) -> tuple[int, str]:
    """A command as a person would run it, from another folder."""
    environ = {"PATH": os.environ["PATH"], "HERALD_URL": face.url, "HERALD_BOT": BOT, "HERALD_TOKEN": face.auth}
    process = await asyncio.create_subprocess_exec(
        *command, env=environ, cwd="/", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


def call_of(path: Path) -> Call:
    """What Herald makes of a request file: v2 where the people are objects."""
    raw = path.read_bytes()
    parse = wire_v2.parse if isinstance(json.loads(raw)["identities"][0], dict) else wire.parse
    call = parse(raw, Bot(BotId("st-1"), frozenset(ChannelName)))
    assert isinstance(call, Call), call
    return call


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
def test_every_request_is_accepted(path: Path) -> None:
    """Each request file is a body that Herald accepts, on the channel in its name."""
    assert path.stem.endswith({"msteams": "teams", "slack": "slack"}[call_of(path).channel])


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
def test_every_request_is_well_formed(path: Path) -> None:
    """Nothing is probably wrong with any of them, and no placeholder is without a value."""
    call = call_of(path)
    for entry in call.entries:
        message = entry.message or call.message
        if message.kind is Kind.SCRIPT:
            continue
        ready = written(call, message, entry.values)

        assert isinstance(ready, Ready)
        assert (ready.notes.warnings, findings(call.channel, ready.payload)) == ((), ())


def written(call: Call, message: Message, values: Mapping[str, str]) -> Personal:
    """A message for one person."""
    if message.kind is Kind.NATIVE and isinstance(message.body, Mapping):
        return Ready(message.body)
    return Writer(call.channel, message).write(values)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_is_a_request(path: Path) -> None:
    """A ready request holds each script as it stands."""
    source = path.read_text(encoding="utf-8")

    assert source in [json.loads(file.read_bytes()).get("content", {}).get("value") for file in REQUESTS]


@pytest.mark.parametrize("channel", ChannelName)
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_runs(path: Path, channel: ChannelName) -> None:
    """A script prints a message that the channel takes, for each person of its table."""
    people = read_parameters((EXAMPLES / f"{path.stem}.csv").read_bytes(), "resolve")
    recipients = [Recipient(email, "resolve", "Ada Park", parameters=its) for email, its in people.items()]
    contexts = [context("Bot", "st-1", channel, recipient) for recipient in recipients]

    for result in asyncio.run(outputs(path.read_text(encoding="utf-8"), contexts)):
        ready = printed(channel, result, markup=False)
        assert isinstance(ready, Ready), ready
        assert "Dear Ada, " in json.dumps(ready.payload)
        assert findings(channel, ready.payload) == ()


async def outputs(source: str, contexts: Sequence[Mapping[str, Any]]) -> list[Result]:
    """What a script prints in the sandbox."""
    pool = ScriptPool()
    try:
        return await pool.begin(source).render(contexts)
    finally:
        await pool.close()


@pytest.mark.parametrize(("route", "raw"), SAID, ids=map(str, range(len(SAID))))
def test_guide(route: str, raw: str) -> None:
    """Every call in the guide is accepted as it stands."""
    bot = Bot(BotId("st-1"), frozenset(ChannelName))
    found: Call | Problems | wire_preview.Calls
    match route:
        case "preview":
            found = wire_preview.parse(raw.encode(), bot)
        case "notifyV2":
            found = wire_v2.parse(raw.encode(), bot)
        case _:
            found = wire.parse(raw.encode(), bot)

    assert not isinstance(found, tuple), found


def test_script_of_the_guide() -> None:
    """The script in the guide prints what the guide says."""
    [source] = re.findall(r"^```js\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    people = [Recipient("a@x.example", "resolve", "Ada Park", parameters={"days": days}) for days in ("0", "9")]

    none, nine = asyncio.run(outputs(source, [context("Bot", "st-1", "slack", person) for person in people]))

    assert none == Printed("Dear Ada, you have taken all your leave.", ("a@x.example: 0",))
    assert nine == Printed('{"text":"Dear Ada, you have 9 days of leave left."}', ("a@x.example: 9",))


def test_every_request_is_described() -> None:
    """The README names every request."""
    said = (EXAMPLES / "README.md").read_text(encoding="utf-8")

    assert [path.name for path in REQUESTS if path.name not in said] == []


class TestPrograms:
    async def test_send_and_follow(self, face: Face) -> None:
        """The client sends a file to the people named, waits for the end, and reports each person."""
        file = str(EXAMPLES / "requests" / "reminder_slack.json")

        code, said = await run(face, sys.executable, str(EXAMPLES / "herald_client.py"), file, "x@example.com")

        assert code == 0
        assert said.splitlines()[0].endswith("  SUCCESS")
        assert said.splitlines()[1] == "SUCCESS x@example.com  Notification has been sent successfully"

    async def test_v2(self, face: Face) -> None:
        """A request for people with values of their own goes to notifyV2, and they keep them."""
        file = str(EXAMPLES / "requests" / "payslip_slack.json")

        code, _ = await run(face, sys.executable, str(EXAMPLES / "herald_client.py"), file, "ben.osei@example.com")

        assert code == 0
        [submission] = face.requests.submissions
        assert (submission.route, submission.entries[0].values["first_name"]) == ("v2", "Ben")

    async def test_two_channels(self, face: Face) -> None:
        """The password example sends one request for each channel."""
        code, said = await run(face, sys.executable, str(EXAMPLES / "password_expiry.py"))

        assert (code, said.count("SUCCESS ")) == (0, 2)
        assert {submission.channel for submission in face.requests.submissions} == set(ChannelName)

    @pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
    async def test_curl(self, face: Face) -> None:
        """The same goes with curl alone."""
        v2 = EXAMPLES / "requests" / "payslip_slack.json"
        for arguments in ((str(REQUESTS[0]),), (str(v2), "notifyV2")):
            code, said = await run(face, str(EXAMPLES / "send.sh"), *arguments)

            assert code == 0, said
            assert json.loads(said)["status"] == "IN_PROGRESS"

    async def test_refused(self, face: Face, tmp_path: Path) -> None:
        """A refused call ends with everything that is to be mended."""
        wrong = tmp_path / "wrong.json"
        right = EXAMPLES / "requests" / "reminder_slack.json"
        wrong.write_text(right.read_text(encoding="utf-8").replace('"slack"', '"fax"'), encoding="utf-8")

        code, said = await run(face, sys.executable, str(EXAMPLES / "herald_client.py"), str(wrong))

        assert code == 1
        assert "412: Validation errors/ Invalid arguments; channel: must be" in said
