"""Kore's routes: who calls, what the body says, and the records as answers. No logic of delivery.

Order of checks: route and method, caller, bot, scope, rate, content type, size, body. Nothing is stored for a call that
is refused, except that the `jti` of a valid token is used up.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from aiohttp import hdrs, web

from adapters.base import BotId
from notify import body, errors, idempotency, wire, wire_explain, wire_preview, wire_v2
from notify.answers import Answers, Sample, Shown
from notify.auth import HEADER, Client, Door, Refused
from notify.body import MAX_IDENTITIES, Bot, Problems
from notify.dry_run import Outlook, Rehearsal
from notify.errors import as_bytes, json_answer, literal_answer
from notify.findings import findings
from notify.ids import derived_id, has_shape
from notify.personal import Personal, Ready
from notify.prospects import Question
from notify.quota import Quota, quota_headers
from notify.records import IdempotencyKey, NotInstalled, RequestRecord, Submission, Submitter
from notify.render import Problem
from notify.strangers import Strangers
from notify.wire import Call
from storage.engine import UNAVAILABLE, describe

log = logging.getLogger("herald.api")

Parsed = TypeVar("Parsed")

MAX_BODY: Final = 8 * 1024 * 1024
MAX_OTHER_BODY: Final = 1024 * 1024  # where no message and no audience is sent
BODY_SECONDS: Final = 30.0
LARGE_BODY: Final = 256 * 1024  # reading more than this JSON takes long enough to be noticed by other callers
DRY_RUN: Final = "dryRun"
NOT_INSTALLED_THERE: Final = Problem(
    "options.tenant",
    "the app is not installed there: install it, name another tenant, or leave the option out",
)


@dataclass(frozen=True, slots=True)
class Version:
    """One of Kore's two send calls: its name in the database, and how its body is read."""

    name: str
    parse: Callable[..., Call | Problems]


V1: Final = Version("v1", wire.parse)
V2: Final = Version("v2", wire_v2.parse)


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

    async def rehearse(self, question: Question, caller: str, rendered: Sequence[Personal]) -> Rehearsal:
        """How a send call with this audience and these messages would go. Raises NotInstalled."""

    async def explain(self, question: Question, caller: str, *, look_up: bool) -> Outlook:
        """How one person stands. Raises NotInstalled."""


class TrialDoor(Protocol):
    """What this room needs of messages that nobody is to receive (`notify.trial.Trial`)."""

    async def render(self, bot: BotId, call: Call, *, whole: bool = True) -> list[Personal]:
        """The message of each identity, in their order; not `whole`: only the first payload is kept as it is."""


class Api:
    """The handlers of Kore's routes and of our own beside them."""

    def __init__(
        self,
        requests: RequestsDoor,
        door: Door,
        bots: Mapping[BotId, Bot],
        *,
        dry_run: DryRunDoor,
        trial: TrialDoor,
        quota: Quota,
        strangers: Strangers,
        ids_key: bytes,
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
        max_body: int = MAX_BODY,
        max_other_body: int = MAX_OTHER_BODY,
        max_identities: int = MAX_IDENTITIES,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self._requests = requests
        self._door = door
        self._dry_run = dry_run
        self._trial = trial
        self._bots = bots
        self._quota = quota
        self._strangers = strangers
        self._monotonic = monotonic
        self._ids_key = ids_key
        self._answers = Answers(ids_key)
        self._clock = clock
        self._max_body = max_body
        self._max_other_body = max_other_body
        self._max_identities = max_identities
        self._body_seconds = body_seconds

    def routes(self) -> list[web.RouteDef]:
        """The route table."""
        base = f"{errors.API_PREFIX}bot/{{bot_id}}"
        return [
            web.post(f"{base}/notify", self.send, expect_handler=expect),
            web.post(f"{base}/notifyV2", self.send_v2, expect_handler=expect),
            web.post(f"{base}/identities/explain", self.explain, expect_handler=expect),
            web.post(f"{base}/preview", self.preview, expect_handler=expect),
            web.get(f"{base}/notify/status/{{request_id}}", self.status, allow_head=False, expect_handler=expect),
            web.get(f"{base}/notifyV2/status/{{request_id}}", self.status, allow_head=False, expect_handler=expect),
        ]

    async def send(self, request: web.Request) -> web.Response:
        """`POST …/notify`: accept one message for up to 1000 people and answer at once."""
        return await self._send(request, V1)

    async def send_v2(self, request: web.Request) -> web.Response:
        """`POST …/notifyV2`: the same with a word for each person."""
        return await self._send(request, V2)

    async def _send(self, request: web.Request, version: Version) -> web.Response:
        client, bot = await self._admit(request)
        _only(request, DRY_RUN)
        rehearsal = _is_dry_run(request)
        _require_json(request)
        key = _key(request)
        raw = await self._body(request, self._max_body)
        if rehearsal:
            return await self._rehearse(client, bot, raw, version)
        bound = None if key is None else idempotency.bind(key, raw, self._ids_key)
        with _storage(), _keys():
            if bound is not None:
                by = Submitter(bot.id, client.client_id, version.name)
                earlier = await self._requests.answered(by, bound, now=self._clock())
                if earlier is not None:
                    return literal_answer(earlier)
        call = await self._parse(raw, bot, version)
        submission = self._submission(bot, client, call, version)
        with _storage(), _keys(), _pinned():
            answer = await self._requests.accept(submission, now=self._clock(), write=self._first_answer, key=bound)
        return literal_answer(answer)

    async def _rehearse(self, client: Client, bot: Bot, raw: bytes, version: Version) -> web.Response:
        """`…?dryRun=true`: what the call would come to; nothing is sent, stored or bound to a key."""
        call = await self._parse(raw, bot, version)
        identities = [entry.original for entry in call.entries]
        question = Question(bot.id, call.channel, call.identity_type, identities, call.options.get("tenant"))
        with _storage(), _pinned():
            rendered = await self._trial.render(bot.id, call, whole=False)
            rehearsal = await self._dry_run.rehearse(question, client.client_id, rendered)
        sample = await _sample(call, rendered)
        return json_answer(self._answers.rehearsed(rehearsal, self._created_by(client), sample, self._clock()))

    async def preview(self, request: web.Request) -> web.Response:
        """`POST …/preview`: one message for up to ten identities as each would get it, on each channel asked about."""
        _, bot = await self._admit(request)
        _only(request)
        _require_json(request)
        raw = await self._body(request, self._max_body)
        calls = _valid(await asyncio.to_thread(wire_preview.parse, raw, bot))
        shown = []
        for channel, call in calls.items():
            if isinstance(call, tuple):
                continue
            with _storage():
                rendered = await self._trial.render(bot.id, call)
            distinct = {id(message): message for message in rendered}
            found = {own: await _found(call, message) for own, message in distinct.items()}
            shown += [
                Shown(channel, entry.original, message, found[id(message)])
                for entry, message in zip(call.entries, rendered, strict=True)
            ]
        refused = {channel: call for channel, call in calls.items() if isinstance(call, tuple)}
        return json_answer(self._answers.previewed(bot.id, shown, refused))

    async def explain(self, request: web.Request) -> web.Response:
        """`POST …/identities/explain`: how one person would be reached, or why not."""
        client, bot = await self._admit(request)
        _only(request)
        _require_json(request)
        parsed = _valid(wire_explain.parse(await self._body(request, self._max_other_body), bot))
        question = Question(bot.id, parsed.channel, parsed.identity_type, [parsed.identity], parsed.tenant)
        with _storage(), _pinned():
            outlook = await self._dry_run.explain(question, client.client_id, look_up=parsed.look_up)
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
        client = await self._known(request)
        bot = self._bots[BotId(request.match_info["bot_id"])]
        now = self._monotonic()
        exceeded = self._quota.take(bot.id, now)
        request[errors.FURTHER_HEADERS] = quota_headers(self._quota.left(bot.id, now))
        if exceeded is not None:
            raise errors.too_many_calls(hourly=exceeded.hourly, retry_after=exceeded.retry_after)
        return client, bot

    async def _known(self, request: web.Request) -> Client:
        """The caller, by the token alone."""
        tokens, bot_id = request.headers.getall(HEADER, []), request.match_info["bot_id"]
        try:
            with _storage():  # a `jti` is looked up there
                return await self._door.admit(tokens, bot_id, suspect=self._strangers.is_suspect(request))
        except Refused as refused:
            raise await self._strangers.turn_away(request, refused) from None

    async def _body(self, request: web.Request, most: int) -> bytes:
        """Read at most the permitted size, whatever the caller declares or compresses."""
        if (request.content_length or 0) > most:
            raise errors.body_too_large(most)
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_seconds):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > most:
                        raise errors.body_too_large(most)
        except TimeoutError:
            request.content.feed_eof()  # nobody waits for the rest
            raise errors.body_too_slow(self._body_seconds) from None
        except web.RequestPayloadError:
            request.content.feed_eof()  # nothing after this can be read
            raise errors.body_not_decodable() from None
        return bytes(body)

    async def _parse(self, raw: bytes, bot: Bot, version: Version) -> Call:
        if len(raw) <= LARGE_BODY:
            return _valid(version.parse(raw, bot, max_identities=self._max_identities))
        return _valid(await asyncio.to_thread(version.parse, raw, bot, max_identities=self._max_identities))

    def _submission(self, bot: Bot, client: Client, call: Call, version: Version) -> Submission:
        return Submission(
            bot_id=bot.id,
            channel=call.channel,
            client_id=client.client_id,
            created_by=self._created_by(client),
            route=version.name,
            identity_type=call.identity_type,
            message=call.message,
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


def _valid(parsed: Parsed | Problems) -> Parsed:
    if isinstance(parsed, tuple):
        raise errors.invalid_arguments([str(problem) for problem in parsed])
    return parsed


async def _sample(call: Call, rendered: Sequence[Personal]) -> Sample:
    """The first message that somebody would get."""
    first = next((message for message in rendered if isinstance(message, Ready)), None)
    return Sample(None) if first is None else Sample(first.payload, await _found(call, first))


async def _found(call: Call, message: Personal) -> tuple[str, ...]:
    """What is probably wrong with a message; holding a card against its schema takes too long for the event loop."""
    if not isinstance(message, Ready):
        return ()
    return await asyncio.to_thread(findings, call.channel, message.payload)


def _only(request: web.Request, *known: str) -> None:
    problems = body.unknown_names(request.query, known)
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
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() not in ("identity", "gzip", "deflate"):
        raise errors.unknown_encoding()  # aiohttp would hand the packed bytes on as they are
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
