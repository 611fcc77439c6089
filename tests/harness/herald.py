"""Herald itself, whole: in the test's own loop, or as a child process that can be killed and started again."""

from __future__ import annotations

import asyncio
import io
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import jwt
from aiohttp import web
from sqlalchemy import func, select
from yarl import URL

from adapters.slack.installations import DIRECTORY
from adapters.teams.capture import MEMBER_CHORE
from app import DATABASE, build_app
from console.commands.serve import listen, runner_of
from settings import load
from simulator.slack.apps import DEFAULT_APP_ID as SLACK_APP_ID
from simulator.slack.apps import (
    DEFAULT_BOT_TOKEN,
    DEFAULT_CLIENT_ID,
    DEFAULT_CLIENT_SECRET,
    DEFAULT_SIGNING_SECRET,
)
from simulator.teams.apps import DEFAULT_APP_ID, DEFAULT_MULTI_TENANT_APP_ID, DEFAULT_PASSWORD
from simulator.teams.people import tenant_id
from storage import tables
from tests.harness import canaries
from tests.harness.described import problems, wrong
from tests.harness.platforms import CHANNELS, MSTEAMS, PATIENCE, SLACK, Pauses, Platforms

Json = dict[str, Any]
ROOT: Final = Path(__file__).parents[2]
BOT: Final = "st-00000000-0000-5000-8000-000000000001"
CLIENT: Final = "cs-payroll"
SECRET: Final = "the shared secret of the backend in these tests"
ENCRYPTION_KEY: Final = "an encryption key of the tests, long enough to be one"
MULTI_TENANT: Final[Json] = {"app_id": DEFAULT_MULTI_TENANT_APP_ID, "app_type": "MultiTenant"}
CATALOG_APP_ID: Final = DEFAULT_APP_ID.replace("a990", "ca7a")  # as the simulator's catalogue lists it
FINAL: Final = ("SUCCESS", "FAILURE", "PARTIAL_SUCCESS")
JUDGED: Final = 5  # entries of a record that are held against the description
STOP_SECONDS: Final = 30.0
HELLO: Final = "a canary in the text of a message"
AT_ONCE: Final[Json] = {
    "teams_requests_per_second": 5000.0,
    "graph_batches_per_second": 100.0,
    "slack_posts_per_second": 5000.0,
    "slack_burst": 1000,
    "slack_in_flight": 32,
    "slack_lookups_per_minute": 1000,
    "slack_lists_per_minute": 1000,
}
"""A pace that no test waits for."""


# ---------------------------------------------------------------------- settings


def teams_side(**changes: Any) -> Json:
    """The default app of the simulator, at home in the first tenant."""
    return {
        "app_id": DEFAULT_APP_ID,
        "app_password": DEFAULT_PASSWORD,
        "tenant_id": tenant_id(0),
        **changes,
    }


def slack_side(**changes: Any) -> Json:
    """The default app of the simulator, by its bot token."""
    return {"signing_secret": DEFAULT_SIGNING_SECRET, "bot_token": DEFAULT_BOT_TOKEN, **changes}


def slack_oauth(**changes: Any) -> Json:
    """The default app of the simulator, to be installed by OAuth."""
    return {
        "signing_secret": DEFAULT_SIGNING_SECRET,
        "client_id": DEFAULT_CLIENT_ID,
        "client_secret": DEFAULT_CLIENT_SECRET,
        "optional_scopes": ["im:history", "im:write"],
        **changes,
    }


def bot(
    number: int = 1, *, msteams: Json | None = None, slack: Json | None = None, clients: Sequence[Json] | None = None
) -> Json:
    """One bot with one client; by default bot number 1 with its client."""
    named = {"id": f"{BOT[:-1]}{number}", "name": f"Bot {number}"}
    sides = {name: side for name, side in (("msteams", msteams), ("slack", slack)) if side is not None}
    client = CLIENT if number == 1 else f"{CLIENT}-{number}"
    callers = [{"client_id": client, "secret": secret_of(client)}]
    return {**named, **sides, "clients": list(callers if clients is None else clients)}


def settings(platforms: Platforms, database_url: str, *bots: Json, **sections: Json) -> Json:
    """Settings against the simulator, at a pace that no test waits for; `sections` change single keys."""
    whole: Json = {
        "server": {"port": 0, "shutdown_grace_seconds": 4.0},
        "storage": {"url": database_url, "encryption_key": ENCRYPTION_KEY},
        "bots": list(bots) or [bot(msteams=teams_side(), slack=slack_side())],
        "endpoints": platforms.settings(),
        "pace": AT_ONCE,
        "limits": {
            "requests_per_minute": 1_000_000,
            "requests_per_hour": 1_000_000,
            "bad_tokens_per_minute": 1_000_000,
        },
        "delivery": {"settle_seconds": 1.0},
    }
    for name, changes in sections.items():
        whole[name] = {**whole.get(name, {}), **changes}
    return whole


def write_settings(folder: Path, values: Json) -> Path:
    """Write settings as the TOML file that an operator would have."""
    canaries.settings(values)
    path = folder / "herald.toml"
    path.write_text("".join(f"{key} = {_toml(value)}\n" for key, value in values.items()), encoding="utf-8")
    return path


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


# ---------------------------------------------------------------------- a caller


def secret_of(client: str) -> str:
    """Every client has a secret of its own; that of the usual one is SECRET."""
    return SECRET if client == CLIENT else f"{SECRET}, as {client} has it"


def caller_token(client: str = CLIENT, secret: str | None = None) -> str:
    """A caller's token in the shape of the API documentation."""
    return jwt.encode({"sub": "1234567890", "appId": client}, secret or secret_of(client), "HS256")


def v2_body(channel: str, content: Json, identities: Sequence[Json], **more: Any) -> Json:
    """A body of the v2 send call."""
    return {"channel": channel, "content": content, "identities": list(identities), **more}


def text_body(channel: str, identities: Sequence[str], text: str = HELLO, **more: Any) -> Json:
    """A plain text for people by e-mail."""
    message = {"type": "text", "val": text}
    return {
        "channel": channel,
        "userIdentityType": "resolve",
        "message": message,
        "identities": list(identities),
        **more,
    }


@dataclass
class Herald:
    """A Herald that listens, and a caller of it."""

    url: str
    http: aiohttp.ClientSession
    bot: str = BOT
    token: str = field(default_factory=caller_token)
    app: web.Application | None = None
    """The application, when it runs in this process."""

    def as_bot(self, number: int) -> Herald:
        """The same server as seen by the client of another bot."""
        return Herald(self.url, self.http, f"{BOT[:-1]}{number}", caller_token(f"{CLIENT}-{number}"), self.app)

    async def post(self, body: Json | bytes, route: str = "notify", **headers: str) -> tuple[int, Json]:
        """The send call, or another of the bot's: HTTP status and answer."""
        given = {"auth": self.token, "Content-Type": "application/json", **headers}
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        path = f"{self.url}/api/public/bot/{self.bot}/{route}"
        canaries.said(body)
        async with self.http.post(path, data=raw, headers=given) as answer:
            if answer.status in (401, 403, 500):
                canaries.heard(f"answer {answer.status}", await answer.text())
            found: Json = await answer.json()
            self._as_described(answer, found)
            return answer.status, found

    def _as_described(self, answer: aiohttp.ClientResponse, body: Json) -> None:
        few = {**body, "statusLogs": body["statusLogs"][:JUDGED]} if "statusLogs" in body else body
        assert problems("POST", answer.url.path, answer.status, answer.headers, few) == []

    async def accept(self, body: Json | bytes, route: str = "notify") -> str:
        """The send call of a valid body: the request's id."""
        status, answer = await self.post(body, route)
        assert status == 200, answer
        return str(answer["_id"])

    async def notify(self, channel: str, identities: Sequence[str], text: str = HELLO, **more: Any) -> str:
        """Send a plain text: the request's id."""
        return await self.accept(text_body(channel, identities, text, **more))

    async def status(self, request: str, route: str = "notify") -> Json:
        """The status call."""
        path = f"{self.url}/api/public/bot/{self.bot}/{route}/status/{request}"
        async with self.http.get(path, headers={"auth": self.token}) as answer:
            record: Json = await answer.json()
            assert answer.status == 200, record
            return record

    async def until(self, request: str, condition: Callable[[Json], object], seconds: float = PATIENCE) -> Json:
        """The record, as soon as the condition holds for it."""
        record: Json = {}
        between = Pauses()
        try:
            async with asyncio.timeout(seconds):
                while not condition(record := await self.status(request)):
                    await between.next()
        except TimeoutError:
            raise AssertionError(f"not within {seconds} s: {json.dumps(record)[:3000]}") from None
        return record

    async def final(self, request: str, seconds: float = PATIENCE) -> Json:
        """The record, as soon as every delivery is final."""
        record = await self.until(request, lambda record: record["status"] in FINAL, seconds)
        few = {**record, "statusLogs": record["statusLogs"][:JUDGED]}
        assert wrong("components/schemas/Status", few) == []
        return record

    async def paused(self, request: str, reason: str, seconds: float = PATIENCE) -> Json:
        """The record, as soon as it shows a lane paused for this reason."""
        return await self.until(request, lambda record: reason in pauses(record), seconds)

    async def deliver(self, channel: str, identities: Sequence[str], text: str = HELLO, **more: Any) -> Json:
        """Send a plain text and wait for the end of it."""
        return await self.final(await self.notify(channel, identities, text, **more))

    async def connect(
        self, platforms: Platforms, *channels: str, teams_app: str = DEFAULT_APP_ID, slack_app: str = SLACK_APP_ID
    ) -> None:
        """Tell the platforms (both, unless named) where the bot's events go, as an operator would."""
        if MSTEAMS in (channels or CHANNELS):
            await platforms.teams_app(teams_app, messaging_endpoint=f"{self.url}/teams/{self.bot}/messages")
        if SLACK in (channels or CHANNELS):
            ours = f"{self.url}/slack/{self.bot}"
            address = {"events_url": f"{ours}/events", "interactivity_url": f"{ours}/interactivity", "verify": True}
            await platforms.control(f"slack/apps/{slack_app}", address, "PATCH")

    async def idle(self, seconds: float = PATIENCE) -> None:
        """Wait until what installs asked for is done: everybody's e-mail is known (or not to be learned)."""
        assert self.app is not None, "only of a server in this process"
        soon = time.time() + 3600  # what comes again in some days has been done
        learning = (tables.chores.c.kind.in_((MEMBER_CHORE, DIRECTORY)), tables.chores.c.next_at < soon)
        open_ones = select(func.count()).select_from(tables.chores).where(*learning)
        between = Pauses()
        async with asyncio.timeout(seconds):
            while True:
                async with self.app[DATABASE].read() as tx:
                    if (await tx.execute(open_ones)).scalar_one() == 0:
                        return
                await between.next()

    async def install_slack(self, platforms: Platforms, **place: str) -> str:
        """Install the Slack app by OAuth as a browser would; returns the page that the person sees at the end."""
        async with self.http.get(f"{self.url}/slack/{self.bot}/install", allow_redirects=False) as answer:
            assert answer.status in (302, 303, 307), await answer.text()
            consent = answer.headers["Location"]
            cookies = {name: morsel.value for name, morsel in answer.cookies.items()}
        back = (await platforms.control("slack/authorize", {"authorize_url": consent, **place}))["location"]
        canaries.note(canaries.ONE_TIME, URL(back).query["code"], URL(back).query["state"])
        async with self.http.get(back, cookies=cookies) as answer:
            page = await answer.text()
            assert answer.status == 200, page
            return page


def pauses(record: Json) -> dict[str, Json]:
    """The paused lanes of a record by reason."""
    return {lane["reason"]: lane for lane in record.get("details", {}).get("paused", [])}


# ---------------------------------------------------------------------- servers


def _session() -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=30)
    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout)


@asynccontextmanager
async def served(path: Path) -> AsyncIterator[Herald]:
    """A real server of a settings file on a free port, in this loop; stopped in order at the end."""
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    whole = load(path, {}).listening_on(port)
    app = await build_app(whole)
    runner = runner_of(app, whole, shutdown_timeout=1)
    try:
        await runner.setup()
        await web.SockSite(runner, listener).start()
        async with _session() as http:
            yield Herald(f"http://127.0.0.1:{port}", http, app=app)
            if canaries.is_watching():
                await _overhear(http, f"http://127.0.0.1:{port}")
    finally:
        await _stop(runner)
        listener.close()


async def _overhear(http: aiohttp.ClientSession, url: str) -> None:
    """What everybody is told."""
    for page in ("/metrics", "/health/ready"):
        async with http.get(f"{url}{page}") as answer:
            canaries.heard(page, await answer.text())


async def _stop(runner: web.AppRunner) -> None:
    """Stop in order; a stop that hangs is a failure that says where, not a wait."""
    cleaning = asyncio.create_task(runner.cleanup())
    done, _ = await asyncio.wait([cleaning], timeout=STOP_SECONDS)
    if not done:
        report = io.StringIO()
        for task in asyncio.all_tasks():
            task.print_stack(file=report)
        cleaning.cancel()
        raise AssertionError(f"does not stop:\n{report.getvalue()}")
    await cleaning


@dataclass
class Process:
    """`python app.py serve` as a child, with the events that it logs."""

    child: asyncio.subprocess.Process
    events: list[Json] = field(default_factory=list)
    output: list[str] = field(default_factory=list)
    """Every line of both outputs as it was written."""
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _readers: list[asyncio.Task[None]] = field(default_factory=list)
    _open: int = 0

    def listen(self) -> None:
        """Begin to take down what the process writes."""
        for stream in (self.child.stdout, self.child.stderr):
            assert stream is not None
            self._open += 1
            self._readers.append(asyncio.create_task(self._read(stream)))

    async def _read(self, stream: asyncio.StreamReader) -> None:
        async for raw in stream:
            line = raw.decode()
            self.output.append(line)
            canaries.heard_line(line)
            if line.startswith("{"):
                self.events.append(json.loads(line))
            await self._tell()
        self._open -= 1
        await self._tell()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def until(self, action: str, seconds: float = PATIENCE) -> Json:
        """The first event of this action, as soon as it was logged (in JSON)."""

        def found() -> Json | None:
            return next((event for event in self.events if event["action"] == action), None)

        await self._until(lambda: found() is not None, seconds)
        event = found()
        assert event is not None, f"ended without {action}:\n{''.join(self.output)[-4000:]}"
        return event

    async def address(self, seconds: float = PATIENCE) -> str:
        """Where it listens, as soon as it says so in its log."""
        await self._until(lambda: any("listening" in line for line in self.output), seconds)
        found = next((line for line in self.output if "listening" in line), "")
        match = re.search(r"http://127\.0\.0\.1:\d+", found)
        assert match is not None, f"ended without listening:\n{''.join(self.output)[-4000:]}"
        return match.group()

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait for the condition, or the end of all output."""
        async with self._news, asyncio.timeout(seconds):
            await self._news.wait_for(lambda: condition() or self._open == 0)

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        self.child.send_signal(number)

    async def kill(self) -> None:
        """End the process at once, as a power cut would, and wait until it is gone."""
        if self.child.returncode is None:
            self.child.kill()
        await self.ended()

    async def ended(self, seconds: float = PATIENCE) -> int:
        """Wait until the process is gone and everything that it wrote was read: its exit code."""
        async with asyncio.timeout(seconds):
            code = await self.child.wait()
            await asyncio.gather(*self._readers)
        return code


@dataclass
class Child:
    """Starts Herald as child processes on one settings file, one after the other."""

    path: Path
    http: aiohttp.ClientSession
    started: list[Process] = field(default_factory=list)

    async def start(
        self, environment: Mapping[str, str] | None = None, *, log_format: str = "json"
    ) -> tuple[Process, Herald]:
        """Start it and wait until it listens."""
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "app.py"),
            *("serve", "--config", str(self.path), "--log-format", log_format),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=2**22,
            env={"PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1", **(environment or {})},
        )
        process = Process(child)
        process.listen()
        self.started.append(process)
        return process, Herald(await process.address(), self.http)


@asynccontextmanager
async def children(path: Path) -> AsyncIterator[Child]:
    """Herald as child processes; whatever still runs at the end is killed."""
    async with _session() as http:
        starter = Child(path, http)
        try:
            yield starter
        finally:
            for process in starter.started:
                await process.kill()
