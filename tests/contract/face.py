"""The API's public face on a real server, with requests kept in memory: what a caller sees before any delivery."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import jwt
from aiohttp import web

from adapters.base import BotId, ChannelName
from notify.api import Api, RequestsDoor
from notify.auth import PROACTIVE_SCOPE, Client, Door, Key
from notify.body import Bot
from notify.dry_run import Outlook, Rehearsal
from notify.errors import INVALID_ARGUMENTS
from notify.front import FrontRunner
from notify.health import health_routes
from notify.ids import new_id
from notify.message import Kind
from notify.personal import Personal, Ready, Writer
from notify.prospects import Prospect, Question, Standing
from notify.quota import Quota
from notify.records import IdempotencyKey, RequestRecord, RequestStatus, Submission, Submitter
from notify.strangers import Strangers
from notify.wire import Call
from tests.harness.described import API, problems

BOT = BotId("st-00000000-0000-5000-8000-000000000001")
SLACK_ONLY = BotId("st-00000000-0000-5000-8000-000000000002")
UNKNOWN_BOT = BotId("st-00000000-0000-5000-8000-00000000ffff")
SECRET = "the shared secret of one backend, 64 bytes long, so that HS512 fits"
ADMIN_SECRET = "the shared secret of the administrators, 64 bytes long and more."
SCOPES = frozenset({PROACTIVE_SCOPE})
CLIENT = Client("cs-payroll", "HS256", (Key(SECRET),), SCOPES, frozenset({BOT, SLACK_ONLY}))
ADMIN = Client("cs-admin", "HS256", (Key(ADMIN_SECRET),), SCOPES, None)
READER = Client("cs-reader", "HS256", (Key(SECRET),), frozenset({"somewhere:else"}), frozenset({BOT}))
BOTS = {
    BOT: Bot(BOT, frozenset(ChannelName)),
    SLACK_ONLY: Bot(SLACK_ONLY, frozenset({ChannelName.SLACK})),
}
IDS_KEY = b"k" * 32

TEXT_SAMPLE: Mapping[str, Any] = {
    "channel": "msteams",
    "userIdentityType": "resolve",
    "message": {"type": "text", "val": "Please reset your password."},
    "identities": ["john.doe@example.com"],
}


def token(
    claims: Mapping[str, Any] | None = None, *, key: Any = SECRET, algorithm: str = "HS256", client: str = "cs-payroll"
) -> str:
    """A caller's token; without claims the shape of the API documentation, for ever valid."""
    return jwt.encode(dict(claims) if claims is not None else {"sub": "1234567890", "appId": client}, key, algorithm)


def body(**changes: Any) -> dict[str, Any]:
    """The documented text sample with some members replaced; None takes a member out."""
    return {name: value for name, value in (dict(TEXT_SAMPLE) | changes).items() if value is not None}


def wrong(field: str, message: list[str]) -> bool:
    """Whether Kore's sentence comes first and one further entry names the field."""
    return message[0] == INVALID_ARGUMENTS and any(entry.startswith(f"{field}:") for entry in message[1:])


def native(submission: Submission) -> Mapping[str, Any]:
    """The payload of a message that is the same for everybody."""
    assert submission.message.kind is Kind.NATIVE
    assert isinstance(submission.message.body, dict)
    return submission.message.body


class RequestsInMemory:
    """The two verbs without a database."""

    def __init__(self) -> None:
        self.submissions: list[Submission] = []
        self.records: dict[tuple[BotId, str], RequestRecord] = {}
        self.failure: Exception | None = None

    async def answered(self, _submitter: Submitter, _key: IdempotencyKey, *, now: float) -> bytes | None:
        return None

    async def accept(
        self,
        submission: Submission,
        *,
        now: float,
        write: Callable[[RequestRecord], bytes],
        key: IdempotencyKey | None = None,
    ) -> bytes:
        if self.failure is not None:
            raise self.failure
        record = RequestRecord(
            id=new_id("ds"),
            bot_id=submission.bot_id,
            channel=submission.channel,
            created_by=submission.created_by,
            route=submission.route,
            status=RequestStatus.IN_PROGRESS,
            total=len(submission.entries),
            done=0,
            succeeded=0,
            created_at=now,
            changed_at=now,
        )
        self.submissions.append(submission)
        self.records[record.bot_id, record.id] = record
        return write(record)

    async def status(self, bot_id: BotId, request_id: str) -> RequestRecord | None:
        if self.failure is not None:
            raise self.failure
        return self.records.get((bot_id, request_id))


class SeenInMemory:
    """Used tokens without a database."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, str]] = set()

    async def first_use(self, client_id: str, jti: str, until: float) -> bool:
        new = (client_id, jti) not in self.seen
        self.seen.add((client_id, jti))
        return new


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    raw: bytes
    json: Any

    @property
    def messages(self) -> list[str]:
        """The sentences of an error, after checking that the body has exactly Kore's shape."""
        assert list(self.json) == ["errors"]
        assert self.headers["Content-Type"] == "application/json; charset=utf-8"
        for entry in self.json["errors"]:
            assert set(entry) == {"msg", "code"}
            assert isinstance(entry["msg"], str)
            assert type(entry["code"]) is int
        return [entry["msg"] for entry in self.json["errors"]]

    @property
    def refusal(self) -> tuple[int, int, str]:
        """HTTP status, code and first sentence."""
        return self.status, self.json["errors"][0]["code"], self.messages[0]


@dataclass
class Face:
    """A running server and a client of it."""

    url: str
    http: aiohttp.ClientSession
    requests: RequestsInMemory
    auth: str = field(default_factory=token)

    async def call(self, method: str, path: str, **options: Any) -> Answer:
        """Any call; its answer is as the description says."""
        async with self.http.request(method, f"{self.url}{path}", **options) as answer:
            raw = await answer.read()
            is_json = "json" in answer.headers.get("Content-Type", "")
            body = await answer.json(content_type=None) if is_json else None
        if path.startswith(API) and method != "HEAD":
            found = problems(method, path, answer.status, answer.headers, body)
            assert found == [], found
        return Answer(answer.status, dict(answer.headers), raw, body)

    async def send(
        self,
        payload: Any = None,
        *,
        bot: str = BOT,
        auth: str | None = "",
        raw: bytes | None = None,
        route: str = "notify",
        **headers: str,
    ) -> Answer:
        """The send call; `auth` None leaves the header out. Header names are written with underscores."""
        given = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
        if auth is not None:
            given["auth"] = auth or self.auth
        content = {"data": raw} if raw is not None else {"json": TEXT_SAMPLE if payload is None else payload}
        return await self.call("POST", f"/api/public/bot/{bot}/{route}", headers=given, **content)

    async def explain(self, payload: Any, *, bot: str = BOT) -> Answer:
        """The call that explains one person."""
        path = f"/api/public/bot/{bot}/identities/explain"
        return await self.call("POST", path, headers={"auth": self.auth}, json=payload)

    async def preview(self, payload: Any, *, bot: str = BOT) -> Answer:
        """The call that shows a message without sending it."""
        return await self.call("POST", f"/api/public/bot/{bot}/preview", headers={"auth": self.auth}, json=payload)

    async def status(self, request_id: str, *, bot: str = BOT, auth: str = "", route: str = "notify") -> Answer:
        """The status call."""
        path = f"/api/public/bot/{bot}/{route}/status/{request_id}"
        return await self.call("GET", path, headers={"auth": auth or self.auth})


class RehearsalsInMemory:
    """Rehearsals of an audience in which everybody can be reached."""

    async def rehearse(self, question: Question, caller: str, rendered: Sequence[Personal]) -> Rehearsal:
        """Everybody."""
        prospects = [Prospect(each, Standing.REACHABLE) for each in question.identities]
        return Rehearsal(question, prospects, 0.0, {Standing.REACHABLE: len(prospects)})

    async def explain(self, question: Question, caller: str, *, look_up: bool) -> Outlook:
        """The one."""
        return Outlook(Prospect(question.identities[0], Standing.REACHABLE))


class TrialInMemory:
    """Messages for people whom no directory knows."""

    async def render(self, bot: BotId, call: Call, *, whole: bool = True) -> list[Personal]:
        """What is the same for everybody, and what has placeholders."""
        written: list[Personal] = []
        for entry in call.entries:
            message = entry.message or call.message
            if message.kind is Kind.NATIVE and isinstance(message.body, dict):
                written.append(Ready(message.body))
            else:
                written.append(Writer(call.channel, message).write(entry.values))
        return written


@asynccontextmanager
async def running(
    clients: Sequence[Client] = (CLIENT, ADMIN, READER), requests: RequestsDoor | None = None, **options: Any
) -> AsyncIterator[Face]:
    """A server on a free port, stopped at the end."""
    memory = RequestsInMemory()
    door = Door(clients, BOTS, SeenInMemory(), clock=time.time)
    options.setdefault("strangers", Strangers())
    options.setdefault("quota", Quota(per_minute=100_000, per_hour=100_000))
    options.setdefault("dry_run", RehearsalsInMemory())
    options.setdefault("trial", TrialInMemory())
    api = Api(requests or memory, door, BOTS, ids_key=IDS_KEY, clock=time.time, **options)
    app = web.Application()
    app.add_routes([*api.routes(), *health_routes()])
    runner = FrontRunner(app, max_field_size=32 * 1024, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession() as http:
            yield Face(f"http://{host}:{port}", http, memory)
    finally:
        await runner.cleanup()
