"""Kore's routes: who calls, what the body says, and the records as answers. No logic of delivery.

Order of checks: route and method, caller, bot, scope, rate, content type, size, body. Nothing is stored for a call that
is refused, except that the `jti` of a valid token is used up.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Protocol

from aiohttp import hdrs, web

from adapters.base import BotId
from notify import errors, idempotency, wire
from notify.answers import Answers
from notify.auth import HEADER, Client, Door
from notify.dry_run import Outlook, Rehearsal
from notify.errors import as_bytes, json_answer, literal_answer
from notify.ids import derived_id, has_shape
from notify.prospects import Question
from notify.quota import Quota
from notify.records import IdempotencyKey, NotInstalled, RequestRecord, Submission, Submitter
from notify.render import Problem
from notify.wire import Bot
from storage.engine import UNAVAILABLE, describe

log = logging.getLogger("herald.api")

MAX_BODY: Final = 8 * 1024 * 1024
BODY_SECONDS: Final = 30.0
LARGE_BODY: Final = 256 * 1024  # reading more than this JSON takes long enough to be noticed by other callers
V1: Final = "v1"
DRY_RUN: Final = "dryRun"
NOT_INSTALLED_THERE: Final = Problem(
    "options.tenant",
    "the app is not installed there: install it, name another tenant, or leave the option out",
)


class RequestsDoor(Protocol):
    """What this room needs of the acceptance of requests (`notify.requests.Requests`)."""

    async def answered(self, submitter: Submitter, key: IdempotencyKey, *, now: float) -> bytes | None:
        """The literal answer the key was given before. Raises KeyReused."""

    async def accept(
        self,
        submission: Submission,
        *,
        now: float,
        write: Callable[[RequestRecord], bytes],
        key: IdempotencyKey | None = None,
    ) -> bytes:
        """Store a request with all its deliveries and the answer, or nothing.

        Raises KeyReused, KeyBusy, and NotInstalled for a tenant that the caller names.
        """

    async def status(self, bot_id: BotId, request_id: str) -> RequestRecord | None:
        """The request; None when unknown, of another bot, or past its retention."""


class DryRunDoor(Protocol):
    """What this room needs of rehearsals (`notify.dry_run.DryRun`)."""

    async def rehearse(self, question: Question, caller: str) -> Rehearsal:
        """How a send call with this audience would go. Raises NotInstalled."""

    async def explain(self, question: Question, *, look_up: bool) -> Outlook:
        """How one person stands. Raises NotInstalled."""


class Api:
    """The handlers of Kore's v1 routes."""

    def __init__(
        self,
        requests: RequestsDoor,
        door: Door,
        bots: Mapping[BotId, Bot],
        *,
        dry_run: DryRunDoor,
        quota: Quota,
        ids_key: bytes,
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
        max_body: int = MAX_BODY,
        max_identities: int = wire.MAX_IDENTITIES,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self._requests = requests
        self._door = door
        self._dry_run = dry_run
        self._bots = bots
        self._quota = quota
        self._monotonic = monotonic
        self._ids_key = ids_key
        self._answers = Answers(ids_key)
        self._clock = clock
        self._max_body = max_body
        self._max_identities = max_identities
        self._body_seconds = body_seconds

    def routes(self) -> list[web.RouteDef]:
        """The route table."""
        base = f"{errors.API_PREFIX}bot/{{bot_id}}"
        return [
            web.post(f"{base}/notify", self.send, expect_handler=expect),
            web.post(f"{base}/identities/explain", self.explain, expect_handler=expect),
            web.get(f"{base}/notify/status/{{request_id}}", self.status, allow_head=False, expect_handler=expect),
        ]

    async def send(self, request: web.Request) -> web.Response:
        """`POST …/notify`: accept one message for up to 1000 people and answer at once."""
        client, bot = await self._admit(request)
        _only(request, DRY_RUN)
        rehearsal = _is_dry_run(request)
        _require_json(request)
        key = _key(request)
        raw = await self._body(request)
        if rehearsal:
            return await self._rehearse(client, bot, raw)
        bound = None if key is None else idempotency.bind(key, raw)
        with _storage(), _keys():
            if bound is not None:
                by = Submitter(bot.id, client.client_id, V1)
                earlier = await self._requests.answered(by, bound, now=self._clock())
                if earlier is not None:
                    return literal_answer(earlier)
        call = await self._parse(raw, bot)
        if isinstance(call, tuple):
            raise errors.invalid_arguments([str(problem) for problem in call])
        submission = self._submission(bot, client, call)
        with _storage(), _keys(), _pinned():
            answer = await self._requests.accept(submission, now=self._clock(), write=self._first_answer, key=bound)
        return literal_answer(answer)

    async def _rehearse(self, client: Client, bot: Bot, raw: bytes) -> web.Response:
        """`POST …/notify?dryRun=true`: what the call would come to; nothing is sent, stored or bound to a key."""
        call = await self._parse(raw, bot)
        if isinstance(call, tuple):
            raise errors.invalid_arguments([str(problem) for problem in call])
        identities = [entry.original for entry in call.entries]
        question = Question(bot.id, call.channel, call.identity_type, identities, call.options.get("tenant"))
        with _storage(), _pinned():
            rehearsal = await self._dry_run.rehearse(question, client.client_id)
        answer = self._answers.rehearsed(rehearsal, self._created_by(client), call.payload, self._clock())
        return json_answer(answer)

    async def explain(self, request: web.Request) -> web.Response:
        """`POST …/identities/explain`: how one person would be reached, or why not."""
        _, bot = await self._admit(request)
        _only(request)
        _require_json(request)
        parsed = wire.parse_explain(await self._body(request), bot)
        if isinstance(parsed, tuple):
            raise errors.invalid_arguments([str(problem) for problem in parsed])
        question = Question(bot.id, parsed.channel, parsed.identity_type, [parsed.identity], parsed.tenant)
        with _storage(), _pinned():
            outlook = await self._dry_run.explain(question, look_up=parsed.look_up)
        return json_answer(self._answers.explained(question, outlook))

    def _first_answer(self, record: RequestRecord) -> bytes:
        return as_bytes(self._answers.sent(record))

    async def status(self, request: web.Request) -> web.Response:
        """`GET …/notify/status/{requestId}`: how every delivery of a request ended."""
        _, bot = await self._admit(request)
        _only(request)
        request_id = request.match_info["request_id"]
        record = None
        if has_shape("ds", request_id):
            with _storage():
                record = await self._requests.status(bot.id, request_id)
        if record is None:
            raise errors.unknown_request()
        return json_answer(self._answers.status(record))

    async def _admit(self, request: web.Request) -> tuple[Client, Bot]:
        with _storage():  # a `jti` is looked up there
            client = await self._door.admit(request.headers.getall(HEADER, []), request.match_info["bot_id"])
        bot = self._bots[BotId(request.match_info["bot_id"])]
        exceeded = self._quota.take(bot.id, self._monotonic())
        if exceeded is not None:
            raise errors.too_many_calls(hourly=exceeded.hourly, retry_after=exceeded.retry_after)
        return client, bot

    async def _body(self, request: web.Request) -> bytes:
        """Read at most the permitted size, whatever the caller declares or compresses."""
        if (request.content_length or 0) > self._max_body:
            raise errors.body_too_large(self._max_body)
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_seconds):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > self._max_body:
                        raise errors.body_too_large(self._max_body)
        except TimeoutError:
            request.content.feed_eof()  # nobody waits for the rest
            raise errors.body_too_slow(self._body_seconds) from None
        except web.RequestPayloadError:
            request.content.feed_eof()  # nothing after this can be read
            raise errors.body_not_decodable() from None
        return bytes(body)

    async def _parse(self, raw: bytes, bot: Bot) -> wire.Call | tuple[Problem, ...]:
        if len(raw) <= LARGE_BODY:
            return wire.parse(raw, bot, max_identities=self._max_identities)
        return await asyncio.to_thread(wire.parse, raw, bot, max_identities=self._max_identities)

    def _submission(self, bot: Bot, client: Client, call: wire.Call) -> Submission:
        return Submission(
            bot_id=bot.id,
            channel=call.channel,
            client_id=client.client_id,
            created_by=self._created_by(client),
            route=V1,
            identity_type=call.identity_type,
            payload=call.payload,
            entries=call.entries,
            options=call.options,
        )

    def _created_by(self, client: Client) -> str:
        """The caller's id as callers see it."""
        return derived_id("u", self._ids_key, "client", client.client_id)


async def expect(request: web.Request) -> web.Response | None:
    """`Expect: 100-continue` is granted; any other expectation is refused in the shape of the route."""
    if request.headers.get(hdrs.EXPECT, "").lower() != "100-continue":
        return errors.kore_answer(errors.CallRefused(417, "Expectation Failed"))
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # the answer itself has not begun: as aiohttp's own handler does
    return None


def _only(request: web.Request, *known: str) -> None:
    problems = wire.unknown_names(request.query, known)
    if problems:
        raise errors.invalid_arguments([str(problem) for problem in problems])


def _is_dry_run(request: web.Request) -> bool:
    """What is neither yes nor no is refused: taken for a no it would send for real."""
    wish = request.query.get(DRY_RUN, "false").lower()
    if wish not in ("true", "false") or len(request.query.getall(DRY_RUN, [])) > 1:
        raise errors.invalid_arguments([f"{DRY_RUN}: must be true or false"])
    return wish == "true"


def _key(request: web.Request) -> str | None:
    try:
        return idempotency.read(request.headers.getall(idempotency.HEADER, []))
    except idempotency.MalformedKey as error:
        raise errors.malformed_key(str(error)) from None


@contextmanager
def _keys() -> Iterator[None]:
    try:
        yield
    except idempotency.KeyReused:
        raise errors.key_reused() from None
    except idempotency.KeyBusy:
        raise errors.key_busy() from None


@contextmanager
def _pinned() -> Iterator[None]:
    try:
        yield
    except NotInstalled:
        raise errors.invalid_arguments([str(NOT_INSTALLED_THERE)]) from None


def _require_json(request: web.Request) -> None:
    """A type need not be declared; a declared one must be JSON, and JSON is UTF-8 (RFC 8259 section 8.1)."""
    if hdrs.CONTENT_TYPE not in request.headers:
        return
    if request.content_type != "application/json" or (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
        raise errors.wrong_content_type()


@contextmanager
def _storage() -> Iterator[None]:
    """A database that refuses or does not answer is no fault of the caller, and not for ever."""
    try:
        yield
    except UNAVAILABLE as error:
        log.error("storage refused", extra={"action": "storage_refused", "error": describe(error)})
        raise errors.storage_unavailable() from None
