"""The examples: every ready request is one that Herald takes, and the client in them works against the real API."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.base import BotId, ChannelName
from notify.body import Bot
from notify.records import LogEntry, RequestRecord, RequestStatus
from notify.wire import Call, parse
from tests.contract.face import BOT, Face, RequestsInMemory, running

EXAMPLES = Path(__file__).parents[2] / "examples"
REQUESTS = sorted(EXAMPLES.glob("requests/*.json"))


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


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
def test_every_request_is_accepted(path: Path) -> None:
    """Each request file is a body that Herald accepts, on the channel in its name where it names one."""
    call = parse(path.read_bytes(), Bot(BotId("st-1"), frozenset(ChannelName)))

    assert isinstance(call, Call), call
    assert path.stem.endswith({"msteams": "teams", "slack": "slack"}[call.channel])


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

    async def test_two_channels(self, face: Face) -> None:
        """The password example sends one request for each channel."""
        code, said = await run(face, sys.executable, str(EXAMPLES / "password_expiry.py"))

        assert (code, said.count("SUCCESS ")) == (0, 2)
        assert {submission.channel for submission in face.requests.submissions} == set(ChannelName)

    @pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
    async def test_curl(self, face: Face) -> None:
        """The same goes with curl alone."""
        code, said = await run(face, str(EXAMPLES / "send.sh"), str(REQUESTS[0]))

        assert code == 0
        assert json.loads(said)["status"] == "IN_PROGRESS"

    async def test_refused(self, face: Face, tmp_path: Path) -> None:
        """A refused call ends with everything that is to be mended."""
        wrong = tmp_path / "wrong.json"
        wrong.write_text(REQUESTS[0].read_text(encoding="utf-8").replace('"slack"', '"fax"'), encoding="utf-8")

        code, said = await run(face, sys.executable, str(EXAMPLES / "herald_client.py"), str(wrong))

        assert code == 1
        assert "412: Validation errors/ Invalid arguments; channel: must be" in said
