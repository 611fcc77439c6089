"""The Events API towards the app: signed, acknowledged within three seconds, repeated up to three times; and presses.

Sources: docs.slack.dev/apis/events-api (envelope, retries, X-Slack-No-Retry) and
docs.slack.dev/authentication/verifying-requests-from-slack (signature v0). The shapes of the events follow their pages.
"""

import asyncio
import hashlib
import hmac
import itertools
import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import orjson
from aiohttp import ClientConnectorSSLError, ClientError, ClientTimeout, TooManyRedirects

from simulator.slack import limits
from simulator.slack.apps import App, Install
from simulator.slack.directory import User, Workspace
from simulator.world import World

RETRIES = "slack_event_retry_seconds"
TIMEOUT = "slack_event_timeout"
_KEPT = 1000
_RETRY_REFUSED = "no_retry"


@dataclass(frozen=True, slots=True)
class Tampering:
    """How a delivery lies, to test the receiving side."""

    bad_signature: bool = False
    timestamp_offset: int = 0


HONEST = Tampering()


@dataclass(slots=True)
class Delivery:
    """One event on its way to one app."""

    app: App
    envelope: dict[str, Any]
    tampering: Tampering = HONEST
    attempts: list[dict[str, Any]] = field(default_factory=list)
    acknowledged: bool | None = None
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    def as_json(self) -> dict[str, Any]:
        """The delivery as the control API shows it; `acknowledged` is null while it is on its way."""
        return {
            "event_id": self.envelope.get("event_id"),
            "app_id": self.app.id,
            "type": self.envelope.get("event", {}).get("type", self.envelope["type"]),
            "attempts": self.attempts,
            "acknowledged": self.acknowledged,
            "envelope": self.envelope,
        }


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """Slack's signature v0 over a raw body."""
    return "v0=" + hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()


class EventSender:
    """Sends events in the background and remembers the newest."""

    def __init__(self, world: World) -> None:
        world.settings.declare(RETRIES, list(limits.EVENT_RETRIES))
        world.settings.declare(TIMEOUT, limits.EVENT_TIMEOUT)
        self._world = world
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)
        self.deliveries: deque[Delivery] = deque(maxlen=_KEPT)

    def next_id(self) -> str:
        """A new event id."""
        return f"Ev{next(self._numbers):09d}"

    def send(self, app: App, envelope: dict[str, Any], tampering: Tampering = HONEST) -> Delivery | None:
        """Begin to deliver; None when the app has no address or did not subscribe to this type."""
        if app.events_url is None or _subscription(envelope) not in app.bot_events:
            return None
        delivery = Delivery(app, envelope, tampering)
        self.deliveries.append(delivery)
        task = asyncio.get_running_loop().create_task(self._deliver(delivery, app.events_url))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return delivery

    async def verify_url(self, app: App, url: str) -> str | None:
        """Slack's check of a new address: it must return the challenge. None when it did, else what was wrong."""
        challenge = secrets.token_hex(16)
        envelope = {"token": app.verification_token, "challenge": challenge, "type": "url_verification"}
        delivery = Delivery(app, envelope)
        body = orjson.dumps(envelope)
        try:
            async with self._world.session.post(
                url, data=body, headers=self._headers(delivery, body, 0, ""), timeout=self._timeout()
            ) as response:
                text = await response.text()
        except (ClientError, TimeoutError) as error:
            return _reason(error)
        if response.status != 200:
            return f"HTTP {response.status}"
        return None if challenge in text else "the answer does not hold the challenge"

    async def interact(self, app: App, payload: dict[str, Any], tampering: Tampering = HONEST) -> dict[str, Any]:
        """Post one interaction as a form; it is not repeated, the person sees a warning instead."""
        body = urlencode({"payload": orjson.dumps(payload).decode()}).encode()
        headers = self._headers(Delivery(app, payload, tampering), body, 0, "")
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            async with self._world.session.post(
                str(app.interactivity_url), data=body, headers=headers, timeout=self._timeout(), allow_redirects=False
            ) as response:
                return {"status": response.status, "body": await response.text(errors="replace")}
        except (ClientError, TimeoutError) as error:
            return {"status": None, "body": _reason(error)}

    async def close(self) -> None:
        """Give up what is still on its way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(self, delivery: Delivery, url: str) -> None:
        body = orjson.dumps(delivery.envelope)
        waits: list[float] = self._world.settings[RETRIES]
        reason = await self._attempt(delivery, url, body, 0, "")
        for number, wait in enumerate(waits, start=1):
            if reason is None or reason == _RETRY_REFUSED:
                break
            await self._world.clock.sleep(wait)
            reason = await self._attempt(delivery, url, body, number, reason)
        delivery.acknowledged = reason is None
        delivery.finished.set()

    async def _attempt(self, delivery: Delivery, url: str, body: bytes, number: int, last: str) -> str | None:
        """One POST; None when it was acknowledged, else the reason that the next one carries."""
        status: int | None = None
        reason: str | None = None
        try:
            async with self._world.session.post(
                url,
                data=body,
                headers=self._headers(delivery, body, number, last),
                timeout=self._timeout(),
                max_redirects=limits.REDIRECTS,
            ) as response:
                await response.read()
                status = response.status
                if not 200 <= status < 300:
                    reason = _RETRY_REFUSED if response.headers.get("X-Slack-No-Retry") == "1" else "http_error"
        except (ClientError, TimeoutError) as error:
            reason = _reason(error)
        at = self._world.clock.now().isoformat()
        delivery.attempts.append({"retry": number, "at": at, "status": status, "reason": reason})
        return reason

    def _timeout(self) -> ClientTimeout:
        return ClientTimeout(total=float(self._world.settings[TIMEOUT]))

    def _headers(self, delivery: Delivery, body: bytes, number: int, reason: str) -> dict[str, str]:
        tampering = delivery.tampering
        timestamp = int(self._world.clock.now().timestamp()) + tampering.timestamp_offset
        signature = sign(delivery.app.signing_secret, timestamp, body)
        if tampering.bad_signature:
            signature = "v0=" + ("0" if signature[3] != "0" else "1") + signature[4:]
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "X-Slack-Request-Timestamp": str(timestamp),
            "X-Slack-Signature": signature,
        }
        if number:
            headers |= {"X-Slack-Retry-Num": str(number), "X-Slack-Retry-Reason": reason}
        return headers


def _subscription(envelope: dict[str, Any]) -> str:
    event = envelope["event"]
    kind: str = event["type"]
    return f"message.{event.get('channel_type', 'im')}" if kind == "message" else kind


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "http_timeout"
    if isinstance(error, TooManyRedirects):
        return "too_many_redirects"
    if isinstance(error, ClientConnectorSSLError):
        return "ssl_error"
    return "connection_failed"


def envelope(
    install: Install, event: dict[str, Any], event_id: str, event_time: int, workspace: Workspace | None = None
) -> dict[str, Any]:
    """The outer event. Without a workspace it concerns the whole installation (for an org: no team)."""
    team_id = workspace.id if workspace is not None else install.team_id
    enterprise_id = install.enterprise_id
    # Slack marks these two as not org-wide although only org-wide installations receive them.
    org_wide = install.is_enterprise_install and not event["type"].startswith("team_access_")
    outer: dict[str, Any] = {
        "token": install.app.verification_token,
        "team_id": team_id,
        "api_app_id": install.app.id,
        "event": event,
        "type": "event_callback",
        "event_id": event_id,
        "event_time": event_time,
        "authorizations": [
            {
                "enterprise_id": enterprise_id,
                "team_id": team_id,
                "user_id": install.bot_user_id,
                "is_bot": True,
                "is_enterprise_install": org_wide,
            }
        ],
        "is_ext_shared_channel": False,
        "context_team_id": team_id,
        "context_enterprise_id": enterprise_id,
    }
    return {**outer, "enterprise_id": enterprise_id} if enterprise_id is not None else outer


def user_event(kind: str, user: User, install: Install, now: float) -> dict[str, Any]:
    """team_join or user_change."""
    with_email = "users:read.email" in install.scopes
    return {"type": kind, "user": user.as_json(with_email), "cache_ts": int(now), "event_ts": f"{now:.6f}"}


def home_opened(user_id: str, channel: str, tab: str, now: float) -> dict[str, Any]:
    """app_home_opened, sent at every opening of either tab."""
    return {"type": "app_home_opened", "user": user_id, "channel": channel, "tab": tab, "event_ts": f"{now:.6f}"}


def direct_message(user_id: str, channel: str, team_id: str, text: str, ts: str) -> dict[str, Any]:
    """message.im: the person wrote to the bot."""
    return {
        "type": "message",
        "channel": channel,
        "channel_type": "im",
        "user": user_id,
        "team": team_id,
        "text": text,
        "ts": ts,
        "event_ts": ts,
    }


def tokens_revoked(install: Install, now: float) -> dict[str, Any]:
    """tokens_revoked names users, not tokens."""
    tokens = {"oauth": [], "bot": [install.bot_user_id]}
    return {"type": "tokens_revoked", "tokens": tokens, "event_ts": f"{now:.6f}"}


def app_uninstalled(now: float) -> dict[str, Any]:
    """app_uninstalled."""
    return {"type": "app_uninstalled", "event_ts": f"{now:.6f}"}


def team_access(kind: str, team_ids: list[str], now: float) -> dict[str, Any]:
    """team_access_granted or team_access_revoked."""
    return {"type": kind, "team_ids": team_ids, "event_ts": f"{now:.6f}"}
