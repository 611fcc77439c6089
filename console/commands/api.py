"""A caller of the API over HTTP, as any backend is one; it works against every Herald, not only this one."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
import click

from console.commands.token import token_for
from console.commands.tools import Decorated, Tools, Trouble, choose_bot

TIMEOUT = aiohttp.ClientTimeout(total=30, connect=10)
RENDERING = aiohttp.ClientTimeout(total=120, connect=10)  # a thousand people's scripts may take a minute
MOST_WAITS = 10  # how often one call waits out a 429 before it gives up


@dataclass(frozen=True, slots=True)
class Entry:
    """One person's line of a record."""

    identity: str
    succeeded: bool
    outcome: str
    comment: str
    reason: str
    remedy: str

    @classmethod
    def parse(cls, log: Mapping[str, Any]) -> Self:
        details = as_object(log.get("details"))
        succeeded = log.get("status") == "SUCCESS"
        return cls(
            identity=as_text(log.get("originalId")),
            succeeded=succeeded,
            outcome=as_text(details.get("outcome")) or ("sent" if succeeded else "failed"),
            comment=as_text(log.get("comments")),
            reason=as_text(details.get("reason")),
            remedy=as_text(details.get("remedy")),
        )


@dataclass(frozen=True, slots=True)
class Record:
    """What the status call says; our own `details` are used where a server gives them."""

    request_id: str
    status: str
    percent: int
    total: int
    entries: tuple[Entry, ...]
    rate: float | None
    finish: str | None
    paused: tuple[str, ...]

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        details, logs = as_object(body.get("details")), body.get("statusLogs")
        entries = tuple(Entry.parse(as_object(log)) for log in (logs if isinstance(logs, list) else []))
        total, percent, rate = as_object(body.get("store")).get("identitiesCount"), body.get("percentageComplete"), None
        if isinstance(details.get("rate"), int | float):
            rate = float(details["rate"])
        paused = details.get("paused")
        return cls(
            request_id=as_text(body.get("_id")),
            status=as_text(body.get("status")),
            percent=percent if isinstance(percent, int) else 0,
            total=total if isinstance(total, int) else len(entries),
            entries=entries,
            rate=rate,
            finish=as_text(details.get("estimatedCompletion")) or None,
            paused=tuple(_pause(as_object(lane)) for lane in (paused if isinstance(paused, list) else [])),
        )

    @property
    def final(self) -> bool:
        """Whether nothing more will come."""
        return self.status not in ("IN_PROGRESS", "")


def _pause(lane: Mapping[str, Any]) -> str:
    return ": ".join(as_text(lane[key]) for key in ("reason", "remedy") if lane.get(key)) or "paused"


def as_text(value: object) -> str:
    """A server's text for a terminal: control characters, which could act there, become blanks."""
    return "" if value is None else "".join(char if char.isprintable() else " " for char in str(value))


def as_texts(value: object) -> list[str]:
    """A server's list of texts, each for a terminal."""
    return [as_text(each) for each in value] if isinstance(value, list) else []


def as_object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


class Caller:
    """Speaks the API for one bot with one token."""

    def __init__(self, session: aiohttp.ClientSession, url: str, bot: str, token: str) -> None:
        self._session = session
        self._bot = f"{url.rstrip('/')}/api/public/bot/{quote(bot, safe='')}"
        self._root = f"{self._bot}/notify"
        self._headers = {"auth": token}

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, bot: str, token: str) -> AsyncIterator[Self]:
        async with aiohttp.ClientSession(timeout=TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()) as session:
            yield cls(session, url, bot, token)

    async def notify(self, body: Mapping[str, Any], idempotency_key: str | None = None) -> Record:
        """Post one request; it is accepted or refused as a whole."""
        extra = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return Record.parse(await self._call("POST", self._root, json=body, headers=self._headers | extra))

    async def notify_each(self, body: Mapping[str, Any]) -> Record:
        """Post one request with a word for each person."""
        return Record.parse(await self._call("POST", f"{self._bot}/notifyV2", json=body, headers=self._headers))

    async def rehearse(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """What posting this request would come to."""
        url = f"{self._root}?dryRun=true"
        return await self._call("POST", url, json=body, headers=self._headers, timeout=RENDERING)

    async def preview(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The message of this request as each person would get it."""
        return await self._call("POST", f"{self._bot}/preview", json=body, headers=self._headers)

    async def status(self, request_id: str) -> Record:
        """Ask how far a request is."""
        return Record.parse(
            await self._call("GET", f"{self._root}/status/{quote(request_id, safe='')}", headers=self._headers)
        )

    async def _call(self, method: str, url: str, **arguments: Any) -> Mapping[str, Any]:
        for _ in range(MOST_WAITS):
            try:
                async with self._session.request(method, url, allow_redirects=False, **arguments) as response:
                    if response.status == 429 and method == "GET":
                        await asyncio.sleep(_wait(response))
                        continue
                    return _answer(response.status, await response.read())
            except aiohttp.ClientConnectionError as error:
                raise Trouble(unreachable(url, error)) from error
            except TimeoutError as error:
                raise Trouble(f"{_host(url)} did not answer in time: look at the server's log.") from error
        raise Trouble("The server keeps saying that this bot has used up its rate limit: try again in a minute.")


Result = TypeVar("Result")


def run(call: Coroutine[Any, Any, Result]) -> Result:
    """Run a call; Ctrl-C ends with 130, as in a shell, because 1 stands for PARTIAL_SUCCESS."""
    try:
        return asyncio.run(call)
    except KeyboardInterrupt:
        click.get_current_context().exit(130)


def unreachable(url: str, error: aiohttp.ClientConnectionError) -> str:
    """Why there is no connection, and what to look at."""
    if isinstance(error, aiohttp.ClientSSLError):
        return f"The TLS certificate of {_host(url)} is not accepted: check the address, or trust its authority."
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return f"{_host(url)} closed the connection: is it a Herald, and does the address begin with the right scheme?"
    return f"Cannot reach {_host(url)}: is the server running (`herald serve`), and is --url right?"


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _wait(response: aiohttp.ClientResponse) -> float:
    text = response.headers.get("Retry-After", "")
    return min(float(text), 120.0) if text.isdecimal() else 5.0


def _answer(status: int, raw: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if status == 200 and isinstance(body, dict):
        return body
    errors = as_object(body).get("errors")
    lines = [as_text(as_object(error).get("msg")) for error in (errors if isinstance(errors, list) else [])]
    if not any(lines):
        raise Trouble(f"The server answered {status} and nothing this program understands: is --url a Herald?")
    raise Trouble("\n".join([f"The server refused ({status}):", *(f"  - {line}" for line in lines if line)]))


# ── options that `send`, `preview` and `status` have ──────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Access:
    """Where to call, for which bot, with which token."""

    url: str
    bot: str
    token: str


def access_options(command: Decorated) -> Decorated:
    """Add --url, --bot, --token, --client, --private-key."""
    options = (
        click.option("--url", metavar="URL", help="the server; default: server.public_url of the settings"),
        click.option("--bot", metavar="ST-ID", help="bot id; default: the only bot of the settings"),
        click.option("--token", envvar="HERALD_TOKEN", metavar="JWT", help="or in the variable HERALD_TOKEN"),
        click.option(
            "--client",
            "client_id",
            metavar="CLIENT_ID",
            help="mint the token from this client instead; stronger than HERALD_TOKEN",
        ),
        click.option(
            "--private-key",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            metavar="FILE",
            help="PEM private key of an RS256 or RS512 client",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def find_access(
    tools: Tools,
    config: Path | None,
    *,
    url: str | None,
    bot: str | None,
    token: str | None,
    client_id: str | None,
    private_key: Path | None,
) -> Access:
    """Fill in from the settings what was not given; they are read only if something is missing."""
    if token and client_id:
        if not _is_from_environment("token"):
            raise click.UsageError("--token and --client exclude each other.")
        token = None
    if url and bot and token:
        return Access(_http(url), bot, token)
    settings = tools.settings_or_fail(config)
    if not token:
        token = token_for(settings, _only_client(client_id), expires=3600, private_key=private_key)
    return Access(_http(url or settings.server.public_url), bot or choose_bot(settings, None).id, token)


def _is_from_environment(option: str) -> bool:
    """Whether nobody wrote this option in the command line."""
    return click.get_current_context().get_parameter_source(option) is click.core.ParameterSource.ENVIRONMENT


def _only_client(client_id: str | None) -> str:
    if client_id is None:
        raise click.UsageError("Give --token JWT, or --client CLIENT_ID to mint one from the settings.")
    return client_id


def _http(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise click.BadParameter("write it as https://host", param_hint="--url")
    return url
