"""What is measured: a simulator, a Herald server and a caller, each in its own process."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import jwt

from bench.processes import Child, Json, running

TEXT = "The canteen is closed today. A cold lunch is served on the third floor."
PLAIN: Json = {"type": "text", "val": TEXT}
V1, V2 = "notify", "notifyV2"
ENCRYPTION_KEY = "an encryption key of the benchmark, long enough"
UNPACED: Json = {
    "teams_requests_per_second": 100_000.0,
    "teams_in_flight": 64,
    "graph_batches_per_second": 100.0,
    "slack_posts_per_second": 100_000.0,
    "slack_burst": 10_000,
    "slack_in_flight": 8,
    "slack_lookups_per_minute": 1000,
    "slack_lists_per_minute": 1000,
}
"""No pace at all: what remains is the number of calls in flight."""


def bot_id(number: int) -> str:
    return f"st-00000000-0000-5000-8000-{number:012d}"


def client_id(number: int) -> str:
    return f"cs-bench-{number}"


def secret(number: int) -> str:
    return f"the shared secret of backend {number} in the benchmark"


# ---------------------------------------------------------------------- the platforms


@dataclass
class Platform:
    """The simulator and its control API."""

    child: Child
    url: str
    secure_url: str | None
    http: aiohttp.ClientSession

    async def get(self, path: str, **query: Any) -> Any:
        """Ask a control route."""
        async with self.http.get(f"{self.url}/_sim{path}?{urlencode(query)}") as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Tell a control route something."""
        async with self.http.post(f"{self.url}/_sim{path}", json=body) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def throttled(self) -> int:
        """How many calls were answered 429."""
        return sum(row["throttled"] for row in (await self.get("/counters"))["counters"])

    async def calls(self, *operations: str) -> int:
        """How many calls of these operations arrived."""
        rows = (await self.get("/counters"))["counters"]
        return sum(row["calls"] for row in rows if row["operation"] in operations)

    async def first_send(self) -> float:
        """The moment (monotonic) at which the first message arrived, as soon as there is one."""
        async with asyncio.timeout(60):
            while True:
                for row in (await self.get("/counters", arrivals=1))["counters"]:
                    if row["operation"] in ("send", "chat.postMessage"):
                        return float(row["arrivals"][0])
                await asyncio.sleep(0.05)

    def endpoints(self, *, secure: bool = False) -> Json:
        """The `[endpoints]` table of a server that uses this simulator."""
        return endpoints(self.url, self.secure_url if secure else None)


def endpoints(url: str, slack: str | None = None) -> Json:
    """The `[endpoints]` table of a server that uses the simulator at this address, and for Slack's API at another."""
    return {
        "dangerously_allow_http_endpoints": True,
        "slack_api": f"{slack or url}/api",
        "slack_authorize": f"{url}/oauth/v2/authorize",
        "entra_login": url,
        "bot_openid": f"{url}/v1/.well-known/openidconfiguration",
        "graph": url,
        "teams_service_urls": [url],
        "teams_default_service_url": f"{url}/teams/",
    }


@asynccontextmanager
async def platform(**config: Any) -> AsyncIterator[Platform]:
    """A simulator in its own process; limits are off unless given."""
    given = {"limits": False, "latency": 0.05, **config}
    async with (
        running(["-m", "bench.platform", json.dumps(given)], lambda line: bool(line.get("ready"))) as (child, ready),
        _session() as http,
    ):
        yield Platform(child, ready["url"], ready["secure_url"], http)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=120),
    )


# ---------------------------------------------------------------------- the server under test


@dataclass
class Herald:
    """A server in its own process, and a caller of it."""

    child: Child
    url: str
    database: Path
    http: aiohttp.ClientSession
    tokens: dict[int, str] = field(default_factory=dict)

    async def accept(
        self, channel: str, identities: Sequence[str | Json], *, bot: int = 1, message: Json = PLAIN, call: str = V1
    ) -> str:
        """The send call; returns the request's id."""
        body = {
            "channel": channel,
            "userIdentityType": "resolve",
            "message": message,
            "identities": list(identities),
        }
        path = f"{self.url}/api/public/bot/{bot_id(bot)}/{call}"
        async with self.http.post(path, json=body, headers={"auth": self._token(bot)}) as answer:
            said = await answer.json()
            assert answer.status == 200, said
            return str(said["_id"])

    async def status(self, request: str, *, bot: int = 1) -> Json:
        """The status call."""
        path = f"{self.url}/api/public/bot/{bot_id(bot)}/notify/status/{request}"
        async with self.http.get(path, headers={"auth": self._token(bot)}) as answer:
            assert answer.status == 200
            found: Json = await answer.json()
            return found

    async def lateness(self) -> list[float]:
        """How late the event loop was since the last question; of a server with a stopwatch."""
        async with self.http.post(f"{self.url}/bench/lateness") as answer:
            found: list[float] = await answer.json()
            return found

    def _token(self, number: int) -> str:
        if number not in self.tokens:
            self.tokens[number] = jwt.encode({"sub": "1234567890", "appId": client_id(number)}, secret(number), "HS256")
        return self.tokens[number]

    @contextmanager
    def rows(self) -> Iterator[sqlite3.Connection]:
        """The stored truth, read beside the server so that looking costs it nothing."""
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, isolation_level=None)
        try:
            yield connection
        finally:
            connection.close()

    async def until_stored(self, seconds: float = 120.0) -> float:
        """Wait until no request is open; returns the moment (monotonic) at which that was seen."""
        open_one = "SELECT 1 FROM requests WHERE status = 'IN_PROGRESS' LIMIT 1"
        end = time.monotonic() + seconds
        with self.rows() as rows:
            while rows.execute(open_one).fetchone():
                if time.monotonic() > end or self.child.ended:
                    count = "SELECT state, count(*) FROM deliveries GROUP BY state"
                    left = dict(rows.execute(count).fetchall())
                    raise RuntimeError(f"not done within {seconds:g} s: {left}\n{self.child.last_words}")
                await asyncio.sleep(0.005)
        return time.monotonic()

    def refused(self) -> int:
        """Deliveries that ended otherwise than sent."""
        with self.rows() as rows:
            sql = "SELECT count(*) FROM deliveries WHERE final_at IS NOT NULL AND state <> 'sent'"
            return int(rows.execute(sql).fetchone()[0])


def settings(endpoints: Json, bots: Sequence[Json], pace: Json) -> Json:
    """A whole settings file; each bot has one caller."""
    return {
        "server": {"port": 0, "shutdown_grace_seconds": 4.0},
        "storage": {"url": "sqlite:///herald.db", "encryption_key": ENCRYPTION_KEY},
        "bots": [
            {
                "id": bot_id(number),
                "name": f"Bench {number}",
                **sides,
                "clients": [{"client_id": client_id(number), "secret": secret(number)}],
            }
            for number, sides in enumerate(bots, 1)
        ],
        "endpoints": endpoints,
        "pace": pace,
        "limits": {"requests_per_minute": 1_000_000, "requests_per_hour": 1_000_000},
    }


def write_settings(folder: Path, values: Json) -> Path:
    """As the TOML file that an operator would have."""
    path = folder / "herald.toml"
    path.write_text("".join(f"{key} = {_toml(value)}\n" for key, value in values.items()), encoding="utf-8")
    return path


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


@asynccontextmanager
async def folder() -> AsyncIterator[Path]:
    """A folder on a real disk: a disk flush must cost what it costs."""
    with tempfile.TemporaryDirectory(prefix="herald-bench-") as name:
        yield Path(name)


@asynccontextmanager
async def herald(
    file: Path, program: Sequence[str] = ("app.py", "serve"), environment: Mapping[str, str] | None = None
) -> AsyncIterator[Herald]:
    """`python app.py serve` on a settings file."""
    arguments = [*program, "--config", str(file), "--log-format", "json"]
    async with (
        running(arguments, lambda line: line.get("action") == "listening", environment) as (child, ready),
        _session() as http,
    ):
        yield Herald(child, ready["address"], file.parent / "herald.db", http)
