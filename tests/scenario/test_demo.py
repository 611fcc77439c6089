"""`herald demo` in a process of its own, as a newcomer starts it: what it ends with, and what it leaves behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 90.0
SMALL = ("--teams", "30", "--slack", "12")
LOST = (
    '{"platform": "connector", "operation": "send", "status": 201, "body": "{\\"id\\": \\"1\\"}", "times": 1}',
    "should have one message and has 0",
)
DROPPED = '{"platform": "slack", "operation": "chat.postMessage", "drop": "after", "every": 3}'
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/")
PLATFORMS = re.compile(r"http://127\.0\.0\.1:\d+/_sim")


class Demo:
    """A running demo and what it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.printed = ""

    async def until(self, words: str) -> None:
        """Read until a line with these words comes."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.printed += line.decode()
            if words in self.printed.rpartition("\n")[0].rpartition("\n")[2]:
                return
        raise AssertionError(f"no {words!r} in:\n{self.printed}")

    async def ends(self) -> int:
        """Read to the end; returns the exit code."""
        assert self.process.stdout is not None
        try:
            async with asyncio.timeout(SECONDS):
                async for line in self.process.stdout:
                    self.printed += line.decode()
                return await self.process.wait()
        except TimeoutError:
            raise AssertionError(f"not at its end after {SECONDS:.0f} s:\n{self.printed}") from None

    @property
    def ports(self) -> set[int]:
        """Where server and platforms listened."""
        return {int(port) for port in ADDRESS.findall(self.printed)}


Start = Callable[..., Awaitable[Demo]]


@pytest.fixture(name="temporary")
def _temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture(name="start")
async def _start(tmp_path: Path, temporary: Path) -> AsyncIterator[Start]:
    started: list[asyncio.subprocess.Process] = []
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    # a proxy that nobody answers, and settings that would break the server if they were heard
    hostile = {"http_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "HERALD_SERVER__PORT": "1"}

    async def start(*arguments: str) -> Demo:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-W",
            "error",
            str(ROOT / "app.py"),
            "demo",
            *arguments,
            cwd=elsewhere,
            env={**os.environ, **hostile, "TMPDIR": str(temporary)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        started.append(process)
        return Demo(process)

    yield start
    for process in started:
        if process.returncode is None:
            process.terminate()  # it ends its children
            await process.wait()
    assert list(elsewhere.iterdir()) == []


async def silent(ports: set[int]) -> bool:
    """Whether nobody listens there any more."""
    for port in ports:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            continue
        writer.close()
        await writer.wait_closed()
        return False
    return True


def files_in(folder: Path) -> list[Path]:
    """Everything below a folder."""
    return list(folder.rglob("*"))


class TestDemo:
    async def test_success(self, start: Start, temporary: Path) -> None:
        """It ends with 0 and its verdict, whatever folder, proxies or settings it finds, and leaves nothing behind."""
        demo = await start(*SMALL)

        assert await demo.ends() == 0, demo.printed
        assert "Every mailbox agrees with the log: 33 messages" in demo.printed
        assert "30/30  25 sent, 5 failed" in demo.printed
        assert "12/12  10 sent, 2 failed" in demo.printed
        assert len(demo.ports) == 2
        assert await silent(demo.ports)
        assert files_in(temporary) == []

    async def test_lost_message(self, start: Start) -> None:
        """A message that the platform confirmed and lost is found by comparing mailboxes, and the code is 1."""
        fault, difference = LOST
        demo = await start(*SMALL, "--fault", fault)

        assert await demo.ends() == 1, demo.printed
        assert "The mailboxes and the log differ in 1 places" in demo.printed
        assert difference in demo.printed
        assert await silent(demo.ports)

    async def test_dropped_answers(self, start: Start) -> None:
        """Answers that get lost on the way make no second copy and no untrue log."""
        demo = await start(*SMALL, "--fault", DROPPED)

        assert await demo.ends() == 0, demo.printed
        assert "Every mailbox agrees with the log: 33 messages" in demo.printed

    async def test_wrong_fault(self, start: Start, temporary: Path) -> None:
        """A demo that fails half-way says why, ends with 4, and leaves nothing behind."""
        demo = await start(*SMALL, "--fault", '{"platform": "fax"}')

        assert await demo.ends() == 4, demo.printed
        assert "platform must be one of" in demo.printed
        assert await silent(demo.ports)
        assert files_in(temporary) == []

    @pytest.mark.parametrize(
        ("moment", "number"),
        [
            ("with their real limits", signal.SIGINT),
            ("people on msteams", signal.SIGINT),
            ("people on msteams", signal.SIGTERM),
        ],
    )
    async def test_interrupted(self, start: Start, temporary: Path, moment: str, number: signal.Signals) -> None:
        """A signal at any moment ends everything that was started, with code 130."""
        demo = await start("--teams", "30", "--slack", "60")
        await demo.until(moment)
        demo.process.send_signal(number)

        assert await demo.ends() == 130, demo.printed
        assert await silent(demo.ports)
        assert files_in(temporary) == []

    async def test_addresses(self, start: Start) -> None:
        """Both platforms know where events go, and Slack also where presses go."""
        demo = await start(*SMALL, "--keep")
        await demo.until("Settings, database and logs")
        found = PLATFORMS.search(demo.printed)
        assert found is not None, demo.printed

        async with aiohttp.ClientSession() as session, session.get(f"{found[0]}/state") as answer:
            apps = (await answer.json())["slack"]["apps"]

        (ours,) = (app for app in apps if app["events_url"] is not None)
        assert ours["events_url"].replace("/events", "/interactivity") == ours["interactivity_url"]
        demo.process.send_signal(signal.SIGINT)
        assert await demo.ends() == 0, demo.printed

    async def test_keep(self, start: Start, temporary: Path) -> None:
        """With --keep everything runs on until Ctrl-C; then the folder stays and the processes do not."""
        demo = await start(*SMALL, "--keep")
        await demo.until("Settings, database and logs")

        assert not await silent(demo.ports)
        demo.process.send_signal(signal.SIGINT)
        assert await demo.ends() == 0, demo.printed
        assert await silent(demo.ports)
        assert {"herald.toml", "herald.db", "server.log"} <= {file.name for file in files_in(temporary)}
