"""The route that Teams calls: check, read, store, answer. Never 200 unless stored, so that Teams tells us again.

415 not JSON · 401 not from Teams for this app · 413 too large · 408 too slow · 400 no activity we take
503 the database or the signing keys are not there now, or not in time · 200 stored, or nothing to store
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web
from botbuilder.core import ActivityHandler, InvokeResponse, TurnContext
from botbuilder.integration.aiohttp import CloudAdapter
from botbuilder.schema import Activity
from botframework.connector.auth import AuthenticateRequestResult, ClaimsIdentity
from msrest.exceptions import DeserializationError
from sqlalchemy.exc import SQLAlchemyError

from adapters import intake
from adapters.base import BotId, Lane
from adapters.evidence import EvidenceSink
from adapters.strangers import Refusals
from adapters.teams.auth import BodyRefused, ConnectorToken, TokenRefused
from adapters.teams.bots import TeamsBot, TeamsBots
from adapters.teams.capture import Capture
from adapters.teams.events import TeamsEvent, read_event
from adapters.teams.keys import KeysUnavailable
from adapters.teams.limits import ANSWER_SECONDS
from storage.engine import Database

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class TeamsInbound:
    """Makes one route handler for each bot."""

    def __init__(
        self,
        bots: TeamsBots,
        database: Database,
        *,
        evidence: EvidenceSink,
        wake: Callable[[Lane], None],
        now: Callable[[], float] = time.time,
        answer_seconds: float = ANSWER_SECONDS,
        most_bytes: int = intake.MOST_BYTES,
        read_seconds: float = intake.READ_SECONDS,
    ) -> None:
        self._most_bytes = most_bytes
        self._read_seconds = read_seconds
        self._bots = bots
        self._database = database
        self._answer_seconds = answer_seconds
        self._capture = Capture(database, evidence=evidence, wake=wake, now=now)
        self._now = now
        self._refusals = Refusals(logger, "teams_request_refused")

    def _refuse(self, request: web.Request, status: int, bot: BotId, reason: str) -> web.Response:
        self._refusals.note(request.remote, bot=bot, status=status, reason=reason)
        return web.Response(status=status)

    def handler(self, bot: BotId) -> Handler:
        """The handler of `POST /teams/{BotID}/messages` for this bot. Raises KeyError if it has no Teams side."""
        known = self._bots.get(bot)
        adapter = CloudAdapter(known.auth)

        async def messages(request: web.Request) -> web.StreamResponse:
            try:
                return await self._receive(known, adapter, request)
            except TokenRefused as refused:
                return self._refuse(request, 401, bot, refused.reason)
            except BodyRefused as refused:
                return self._refuse(request, 400, bot, refused.reason)
            except KeysUnavailable:
                return self._refuse(request, 503, bot, "keys_unavailable")
            except (SQLAlchemyError, OSError) as error:
                logger.error(
                    "teams_event_not_stored",
                    extra={"action": "teams_event_not_stored", "bot": bot, "code": type(error).__name__},
                )
                return self._refuse(request, 503, bot, "not_stored")

        return messages

    async def _receive(self, known: TeamsBot, adapter: CloudAdapter, request: web.Request) -> web.StreamResponse:
        if request.content_type != "application/json" or "Content-Encoding" in request.headers:
            raise web.HTTPUnsupportedMediaType
        by = asyncio.get_running_loop().time() + self._answer_seconds
        token = await known.inbound.check(request.headers.getall("Authorization", []))
        body = _activity(await intake.read(request, self._most_bytes, self._read_seconds))
        known.inbound.check_activity(token, body)
        event = read_event(body, request.headers, self._now())
        _check_tenant(known, event)
        turn = _Turn(known, event, self._capture)
        try:
            work = adapter.process_activity(_passport(known, token), _model(body), turn.on_turn)
            answer = await self._database.in_time(work, by)
        except TimeoutError:
            return _too_late(known.app.bot)
        if answer is None:
            return web.Response(status=200)
        return web.Response(status=int(answer.status), body=orjson.dumps(answer.body), content_type="application/json")


class _Turn(ActivityHandler):  # type: ignore[misc]  # botbuilder has no types
    """One activity's turn: it stores and, for an invoke, answers; it never sends.

    Not a TeamsActivityHandler: that one asks for the roster of every added member and raises on its errors.
    """

    def __init__(self, known: TeamsBot, event: TeamsEvent, capture: Capture) -> None:
        super().__init__()
        self._known = known
        self._event = event
        self._capture = capture

    async def on_turn(self, turn_context: TurnContext) -> None:
        """Store first, whatever the type."""
        await self._capture.store(self._known.app, self._event)
        if turn_context.activity.type == "invoke":
            await super().on_turn(turn_context)

    async def on_invoke_activity(self, turn_context: TurnContext) -> InvokeResponse:
        """Say 200, so that Teams shows the person no error."""
        if turn_context.activity.name == "adaptiveCard/action":
            # learn.microsoft.com/adaptive-cards/authoring-cards/universal-action-model: the answer's three members
            message = {"statusCode": 200, "type": "application/vnd.microsoft.activity.message", "value": "OK"}
            return InvokeResponse(status=200, body=message)
        return InvokeResponse(status=200, body={})


def _passport(known: TeamsBot, token: ConnectorToken) -> AuthenticateRequestResult:
    """Our own verdict in the form botbuilder takes instead of a header."""
    result = AuthenticateRequestResult()
    result.claims_identity = ClaimsIdentity(dict(token.claims), True)
    result.audience = token.claims["iss"]  # the connector's scope has the issuer's name
    result.caller_id = None
    result.connector_factory = known.auth.create_connector_factory(result.claims_identity)
    return result


def _check_tenant(known: TeamsBot, event: TeamsEvent) -> None:
    """A single-tenant app hears its own tenant only: another one's signed activity is refused like a foreign token."""
    home = known.app.home_tenant
    if event.tenant is None:
        if event.change != "none":
            raise BodyRefused("no_tenant")
    elif home is not None and event.tenant.lower() != home.lower():
        raise TokenRefused("foreign_tenant")


def _activity(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except ValueError:
        raise BodyRefused("not_json") from None
    if not isinstance(body, dict):
        raise BodyRefused("not_an_object")
    return body


def _model(body: dict[str, Any]) -> Activity:
    try:
        return Activity().deserialize(body)
    except (DeserializationError, ValueError, TypeError, AttributeError, RecursionError):
        raise BodyRefused("malformed_activity") from None


def _too_late(bot: BotId) -> web.Response:
    logger.error("teams_event_late", extra={"action": "teams_event_late", "bot": bot})
    return web.Response(status=503)
