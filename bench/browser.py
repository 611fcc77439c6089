"""A real browser without a window: Chromium, spoken to in its own protocol over one web socket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

Json = dict[str, Any]
NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
FLAGS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--hide-scrollbars", "--force-device-scale-factor=1", "--remote-debugging-port=0"),
)
START_SECONDS: Final = 30.0
ANSWER_SECONDS: Final = 20.0
_PORT_FILE: Final = "DevToolsActivePort"
_MARGIN: Final = 4


def found() -> str | None:
    """The browser of this machine, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@dataclass
class Page:
    """One tab, with what it asked the network for and every script that wanted to speak."""

    socket: aiohttp.ClientWebSocketResponse
    asked: list[str] = field(default_factory=list)
    spoke: list[str] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def open(self, url: str) -> None:
        """Go to an address and wait until everything on it is loaded, or has failed to."""
        self.asked.clear()
        self.spoke.clear()
        await self._call("Page.navigate", url=url)
        async with asyncio.timeout(ANSWER_SECONDS):
            while (await self._event())["method"] != "Page.loadEventFired":
                pass

    async def evaluate(self, expression: str) -> Any:
        """What an expression is in the page; it is the debugger's, so the page's policy does not stop it."""
        answer = await self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def words(self, selector: str) -> str:
        """The words that a person sees in one element."""
        return str(await self.evaluate(f"document.querySelector({selector!r}).innerText"))

    async def screenshot(self, selector: str) -> bytes:
        """One element as a PNG image, with a little room around it."""
        x, y, width, height = await self.evaluate(
            f"(r => [r.x, r.y, r.width, r.height])(document.querySelector({selector!r}).getBoundingClientRect())"
        )
        top = max(0, y - _MARGIN)
        clip = {"x": x, "y": top, "width": width, "height": y + height + _MARGIN - top, "scale": 1}
        image = await self._shot(clip)
        async with asyncio.timeout(ANSWER_SECONDS):
            while (again := await self._shot(clip)) != image:  # right after loading, round corners can be a shade off
                image = again
        return base64.b64decode(image)

    async def _shot(self, clip: Mapping[str, float]) -> str:
        shot = await self._call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        return str(shot["data"])

    async def prepare(self, width: int, height: int) -> None:
        """Listen to the page, and give its window a size."""
        for domain in ("Page", "Network", "Runtime"):
            await self._call(f"{domain}.enable")
        await self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    async def _call(self, method: str, **parameters: Any) -> Json:
        number = next(self._numbers)
        await self.socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(ANSWER_SECONDS):
            while (answer := await self._event()).get("id") != number:
                pass
        assert "error" not in answer, f"{method}: {answer}"
        result: Json = answer["result"]
        return result

    async def _event(self) -> Json:
        """The next thing that the browser says; requests, dialogs and the console are written down."""
        event: Json = await self.socket.receive_json()
        given = event.get("params", {})
        match event.setdefault("method", ""):
            case "Network.requestWillBeSent":
                self.asked.append(given["request"]["url"])
            case "Runtime.consoleAPICalled":
                self.spoke.append("console")
            case "Page.javascriptDialogOpening":
                self.spoke.append(given["message"])
        return event


@asynccontextmanager
async def browser(width: int = 720, height: int = 900) -> AsyncIterator[Page]:
    """A browser with one empty page, for the length of a `with` block; its profile is new and thrown away."""
    program = found()
    assert program is not None, "no Chromium on this machine: apt-get install chromium"
    with tempfile.TemporaryDirectory(prefix="herald-browser-", ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            program,
            *FLAGS,
            f"--user-data-dir={profile}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            port = await _port(Path(profile) / _PORT_FILE, process)
            async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
                address = await _first_page(http, port)
                async with http.ws_connect(address, max_msg_size=0) as socket:
                    page = Page(socket)
                    await page.prepare(width, height)
                    yield page
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            await _ended(process)


async def _port(file: Path, process: asyncio.subprocess.Process) -> int:
    """The port that the browser took."""
    async with asyncio.timeout(START_SECONDS):
        while (port := _written(file)) is None:
            assert process.returncode is None, f"the browser ended with {process.returncode}"
            await asyncio.sleep(0.02)
    return port


def _written(file: Path) -> int | None:
    """The first line of the file that the browser writes when it listens, once it is whole."""
    first, end, _ = (file.read_text() if file.exists() else "").partition("\n")
    return int(first) if end else None


async def _first_page(http: aiohttp.ClientSession, port: int) -> str:
    async with asyncio.timeout(START_SECONDS):
        while True:
            async with http.get(f"http://127.0.0.1:{port}/json/list") as answer:
                for target in await answer.json(content_type=None):
                    if target["type"] == "page":
                        return str(target["webSocketDebuggerUrl"])
            await asyncio.sleep(0.02)


async def _ended(process: asyncio.subprocess.Process) -> None:
    try:
        async with asyncio.timeout(10):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
