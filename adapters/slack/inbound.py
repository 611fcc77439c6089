"""Slack's requests to us: the door, then Bolt, then one transaction, then the answer.

    POST /slack/{BotID}/events          signed raw bytes --door--> Bolt --> SlackEvents.store   --> 200, or 500: repeat
    POST /slack/{BotID}/interactivity   signed raw bytes --door--> Bolt --> SlackEvents.pressed --> 200

What the database has not stored in time is answered with 503: Slack hangs up half a second later anyway, and repeats.

Bolt runs with `process_before_response`: by default it acknowledges first and runs the listener in a task that nobody
waits for, so a crash or a failing database would lose the event. Its own signature check is off, because the door has
already made it: Bolt's comes after it has parsed the body, answers garbage with 500, and logs whole bodies. Bolt is
given only what it decides by, read and checked: it raises for an id that is a number or a list, and the 500 would make
Slack repeat what can never be taken. Event and press themselves go beside it, in Bolt's context.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.authorization.async_authorize import AsyncAuthorize
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.async_context import AsyncBoltContext
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy.exc import SQLAlchemyError

from adapters import intake
from adapters.base import BotId, TenantId
from adapters.evidence import EvidenceSink
from adapters.slack import door, envelope
from adapters.slack.config import Clock, NormalForm, SlackApp, Wake
from adapters.slack.events import SlackEvents
from adapters.slack.installations import SlackInstallations
from adapters.slack.limits import ANSWER_SECONDS
from adapters.slack.presses import ATTACHMENTS, BLOCKS
from adapters.strangers import Refusals
from storage.engine import Database
from storage.vault import WrongKey

logger = logging.getLogger(__name__)

# Bolt logs a badly signed request with its body at INFO; it copies this level into every logger it makes for our app.
_bolt_logger = logging.getLogger(f"{__name__}.bolt")
_bolt_logger.setLevel(logging.WARNING)

_ANY = re.compile("")

EVENT, PRESS = "herald.event", "herald.press"  # where the listeners find what was sent
_A_PRESS: Mapping[str, Any] = {"type": BLOCKS, "actions": [{"action_id": "any", "block_id": "any"}]}


class SlackInbound:
    """Everything that Slack sends to one bot."""

    def __init__(
        self,
        app: SlackApp,
        database: Database,
        installations: SlackInstallations,
        *,
        normal_form: NormalForm,
        evidence: EvidenceSink,
        wake: Wake,
        clock: Clock = time.time,
        answer_seconds: float = ANSWER_SECONDS,
        most_bytes: int = intake.MOST_BYTES,
        read_seconds: float = intake.READ_SECONDS,
    ) -> None:
        self._bot = app.bot
        self._most_bytes = most_bytes
        self._read_seconds = read_seconds
        self._secret = app.signing_secret.encode()
        self._refusals = Refusals(logger, "slack.inbound.refused")
        self._clock = clock
        self._database = database
        self._answer_seconds = answer_seconds
        self._events = SlackEvents(
            app.bot, database, installations, normal_form=normal_form, evidence=evidence, wake=wake, clock=clock
        )
        self._bolt = _bolt_app(app.bot, self._events, installations)

    async def events(self, request: web.Request) -> web.Response:
        """POST /slack/{BotID}/events."""
        by = self._answer_by()
        raw = await self._genuine(request)
        body = self._parsed(door.json_object, raw)
        kind = body.get("type")
        if kind == "url_verification":
            return await self._dispatch(by, {"type": kind, "challenge": envelope.text(body.get("challenge")) or ""})
        known = envelope.read(body)
        if kind == "event_callback" and known is not None:
            return await self._dispatch(by, _as_event(known), {EVENT: known})
        self._note_other(body)
        return web.Response()

    async def interactivity(self, request: web.Request) -> web.Response:
        """POST /slack/{BotID}/interactivity: what is pressed is stored, everything else is acknowledged."""
        by = self._answer_by()
        raw = await self._genuine(request)
        body = self._parsed(door.form_payload, raw)
        if body.get("type") not in (BLOCKS, ATTACHMENTS):
            return web.Response()
        return await self._dispatch(by, _A_PRESS, {PRESS: body})

    def _answer_by(self) -> float:
        return asyncio.get_running_loop().time() + self._answer_seconds

    async def _genuine(self, request: web.Request) -> bytes:
        """The raw body, once Slack's signature on it is checked."""
        raw = await intake.read(request, self._most_bytes, self._read_seconds)
        timestamp, given = (
            request.headers.get("X-Slack-Request-Timestamp"),
            request.headers.get("X-Slack-Signature"),
        )
        if not door.is_genuine(self._secret, timestamp, given, raw, self._clock()):
            self._refusals.note(request.remote, bot=self._bot)
            raise web.HTTPUnauthorized(text="the signature is not valid")
        return raw

    def _parsed(self, parse: Callable[[bytes], dict[str, Any]], raw: bytes) -> dict[str, Any]:
        try:
            return parse(raw)
        except door.Malformed as error:
            logger.warning(
                "a signed request was malformed", extra={"action": "slack.inbound.malformed", "bot": self._bot}
            )
            raise web.HTTPBadRequest(text=str(error)) from error

    async def _dispatch(
        self, by: float, body: Mapping[str, Any], context: dict[str, Any] | None = None
    ) -> web.Response:
        """Hand a checked request to Bolt, and answer by that time of the event loop."""
        request = AsyncBoltRequest(
            body=json.dumps(body), headers={"content-type": ["application/json"]}, context=context or {}
        )
        try:
            answer = await self._database.in_time(self._bolt.async_dispatch(request), by)
        except TimeoutError:
            return self._too_late(body)
        said = answer.body if answer.status == web.HTTPOk.status_code else ""
        return web.Response(status=answer.status, text=said, content_type=_content_type(said))

    def _too_late(self, body: Mapping[str, Any]) -> web.Response:
        logger.error(
            "the database was too slow for an answer in time",
            extra={"action": "slack.event.late", "bot": self._bot, "event_id": envelope.text(body.get("event_id"))},
        )
        return web.Response(status=503)

    def _note_other(self, body: Mapping[str, Any]) -> None:
        """app_rate_limited has no inner event: Slack drops our events of that minute (30 000 an hour are allowed)."""
        limited = body.get("type") == "app_rate_limited"
        logger.warning(
            "Slack drops events" if limited else "an event was not understood",
            extra={
                "action": "slack.events.rate_limited" if limited else "slack.events.ignored",
                "bot": self._bot,
                "tenant": envelope.text(body.get("team_id")),
            },
        )


def _content_type(body: str) -> str:
    return "application/json" if body.startswith("{") else "text/plain"


def _as_event(known: envelope.Envelope) -> dict[str, Any]:
    """What Bolt decides by: the kind, whose token it is, and whether we did it ourselves."""
    place = {"team_id": known.tenant, "enterprise_id": known.enterprise}
    return {
        "type": "event_callback",
        "event_id": known.event_id,
        "authorizations": [{**place, "is_enterprise_install": known.org_wide}],
        "event": {name: known.text(name) for name in ("type", "user", "bot_id")},
        **place,
    }


class _FromStore(AsyncAuthorize):
    """Bolt's question whose token an event belongs to, answered from memory or the database, never by HTTP.

    Bolt's default calls auth.test for each event and answers 200 when that call fails, which loses the event. Here a
    database error escapes, becomes a 500, and Slack repeats. An unknown workspace is no error: the listeners decide.
    """

    def __init__(self, bot: BotId, installations: SlackInstallations) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Bolt left its signature open
        self._bot = bot
        self._installations = installations

    async def __call__(
        self,
        *,
        context: AsyncBoltContext,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None,
        actor_enterprise_id: str | None = None,
        actor_team_id: str | None = None,
        actor_user_id: str | None = None,
    ) -> AuthorizeResult:
        place = team_id or enterprise_id
        try:
            found = None if place is None else await self._installations.token_for(self._bot, TenantId(place))
        except WrongKey:
            found = None  # events need no token; sends report the key
        return AuthorizeResult(
            enterprise_id=enterprise_id,
            team_id=team_id,
            user_id=user_id,
            bot_token=None if found is None else found.token,
            bot_id=None if found is None else found.platform_bot_id,
            bot_user_id=None if found is None else found.bot_user_id,
        )


def _bolt_app(bot: BotId, events: SlackEvents, installations: SlackInstallations) -> AsyncApp:
    """One AsyncApp for one bot. Its client has no token, so SLACK_BOT_TOKEN in the environment means nothing."""
    app = AsyncApp(
        logger=_bolt_logger,
        name=f"herald-{bot}",
        client=AsyncWebClient(token=None, retry_handlers=[]),
        authorize=_FromStore(bot, installations),
        process_before_response=True,
        request_verification_enabled=False,
    )

    async def on_event(context: AsyncBoltContext) -> None:
        await events.store(context[EVENT])

    async def on_press(ack: AsyncAck, context: AsyncBoltContext) -> None:
        await events.pressed(context[PRESS])
        await ack()

    async def on_error(error: Exception, body: dict[str, Any]) -> BoltResponse:
        logger.error(
            "an event could not be stored; Slack will repeat it",
            exc_info=None if isinstance(error, SQLAlchemyError) else error,  # its text holds the row's values
            extra={
                "action": "slack.event.failed",
                "bot": bot,
                "event_id": envelope.text(body.get("event_id")),
                "error": type(error).__name__,
            },
        )
        return BoltResponse(status=500)

    app.event(_ANY)(on_event)  # every type: one without a listener would be a 404, which Slack counts as failed
    app.action(_ANY)(on_press)
    app.error(on_error)
    return app
