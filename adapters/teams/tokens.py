"""Outbound tokens: one source per credentials and audience, cached, refreshed by one caller at a time.

Secrets go by a request of our own (msal blocks, has no deadline and cannot be pointed at another login host);
certificates and managed identities go through msal, in a thread. A token is renewed in the background five minutes
before it ends, so a login endpoint that is down for a moment is not noticed.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import aiohttp
import orjson

from adapters.base import Fault
from adapters.http import CallFailed, call
from adapters.ids import words
from adapters.teams.config import Certificate, TeamsApp
from adapters.teams.faults import MAX_CODE, TOKEN_UNAVAILABLE

logger = logging.getLogger(__name__)

RENEW_BEFORE: Final = 300.0
USABLE_UNTIL: Final = 30.0  # seconds before its end a token is no longer sent
RENEW_PAUSE: Final = 20.0  # between background attempts
DEADLINE: Final = 10.0
_TOKEN: Final = re.compile(r"[!-~]{1,65536}")  # what may stand in a header


class TokenUnavailable(Exception):
    """Entra gave no token; `fault` belongs to the lane, never to a person."""

    def __init__(self, code: str, detail: str = "") -> None:
        code = words(code, MAX_CODE)
        super().__init__(code)
        self.fault: Fault = replace(TOKEN_UNAVAILABLE, code=code, detail=words(detail, 200))


@dataclass(frozen=True, slots=True)
class Grant:
    """A token as the login endpoint gave it."""

    token: str = field(repr=False)
    expires_in: float


Grants = Callable[[], Awaitable[Grant]]
"""Asks for one token; raises TokenUnavailable."""


@dataclass(frozen=True, slots=True)
class _Held:
    header: str = field(repr=False)
    renew_at: float
    ends_at: float


class TokenSource:
    """The Authorization header for one audience."""

    def __init__(self, ask: Grants, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._held: _Held | None = None
        self._asking: asyncio.Task[_Held] | None = None
        self._next_renewal = 0.0

    async def header(self) -> str:
        """`Bearer …`, from the cache while fresh. Raises TokenUnavailable."""
        held, now = self._held, self._clock()
        if held is None or now >= held.ends_at:
            return (await asyncio.shield(self._start())).header
        if now >= held.renew_at and self._asking is None and now >= self._next_renewal:
            self._next_renewal = now + RENEW_PAUSE
            self._start()
        return held.header

    def expire(self, header: str) -> None:
        """Drop the token that was answered 401, unless it has been replaced already."""
        if self._held is not None and self._held.header == header:
            self._held = None

    def _start(self) -> asyncio.Task[_Held]:
        if self._asking is None:
            self._asking = asyncio.create_task(self._renew())
            self._asking.add_done_callback(self._finished)
        return self._asking

    async def _renew(self) -> _Held:
        grant = await self._ask()
        now = self._clock()
        life = max(grant.expires_in, 0.0)
        held = _Held(
            f"Bearer {grant.token}",
            renew_at=now + max(life - RENEW_BEFORE, life / 2),
            ends_at=now + max(life - USABLE_UNTIL, life / 2),
        )
        self._held = held
        return held

    def _finished(self, task: asyncio.Task[_Held]) -> None:
        self._asking = None
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("teams_token_unavailable", extra={"action": "teams_token_unavailable", "code": str(error)})


def secret_grants(session: aiohttp.ClientSession, token_url: str, client_id: str, secret: str, audience: str) -> Grants:
    """Client credentials with a secret (RFC 6749 section 4.4) at Entra's v2 token endpoint."""
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": secret,
        "scope": f"{audience}/.default",
    }
    timeout = aiohttp.ClientTimeout(total=DEADLINE, connect=5)

    async def ask() -> Grant:
        try:
            answer = await call(
                session, "POST", token_url, headers={"Accept": "application/json"}, data=form, timeout=timeout
            )
        except CallFailed as error:
            raise TokenUnavailable(error.code) from error
        return _read_grant(answer.status, _object(answer.body))

    return ask


def certificate_grants(authority: str, client_id: str, certificate: Certificate, audience: str) -> Grants:
    """Client credentials with a certificate, by msal in a thread; msal itself refuses an `http:` authority."""
    apps: list[Any] = []  # msal has no types; its constructor already calls the authority, so it runs in the thread

    def acquire() -> Mapping[str, Any]:
        import msal  # noqa: PLC0415  # slow to import and needed by few

        from adapters.teams.blocking import BoundedSession  # noqa: PLC0415

        if not apps:
            credential = {"private_key": certificate.private_key, "thumbprint": certificate.thumbprint.replace(":", "")}
            apps.append(
                msal.ConfidentialClientApplication(
                    client_id, authority=authority, client_credential=credential, http_client=BoundedSession()
                )
            )
        found: Mapping[str, Any] = apps[0].acquire_token_for_client(scopes=[f"{audience}/.default"])
        return found

    return threaded_grants(acquire)


def managed_identity_grants(client_id: str, audience: str) -> Grants:
    """The token of a user-assigned managed identity, by msal in a thread."""
    clients: list[Any] = []

    def acquire() -> Mapping[str, Any]:
        import msal  # noqa: PLC0415  # slow to import and needed by few

        from adapters.teams.blocking import BoundedSession  # noqa: PLC0415

        if not clients:
            identity = msal.UserAssignedManagedIdentity(client_id=client_id)
            clients.append(msal.ManagedIdentityClient(identity, http_client=BoundedSession()))
        found: Mapping[str, Any] = clients[0].acquire_token_for_client(resource=audience)
        return found

    return threaded_grants(acquire)


def threaded_grants(acquire: Callable[[], Mapping[str, Any]]) -> Grants:
    """Run a blocking acquisition in a thread; give up waiting at the deadline."""

    async def ask() -> Grant:
        try:
            async with asyncio.timeout(3 * DEADLINE):
                found = await asyncio.to_thread(acquire)
        except Exception as error:  # msal raises whatever its transport or key parser raises
            raise TokenUnavailable(type(error).__name__) from error
        return _read_grant(200 if "access_token" in found else 400, found)

    return ask


def grants_for(app: TeamsApp, tenant: str, audience: str, *, login: str, session: aiohttp.ClientSession) -> Grants:
    """The way this app's credentials get a token for an audience in a tenant."""
    if app.certificate is not None:
        return certificate_grants(f"{login}/{tenant}", app.app_id, app.certificate, audience)
    if app.password is not None:
        return secret_grants(session, f"{login}/{tenant}/oauth2/v2.0/token", app.app_id, app.password, audience)
    return managed_identity_grants(app.app_id, audience)


def _read_grant(status: int, found: Mapping[str, Any]) -> Grant:
    token, life = found.get("access_token"), found.get("expires_in")
    if status != 200 or not isinstance(token, str) or not _TOKEN.fullmatch(token):
        code = found.get("error")
        # the description names the app and a correlation id, never the secret (AADSTS7000215: "Invalid client secret")
        detail = str(found.get("error_description", "")).splitlines()[:1]
        raise TokenUnavailable(code if isinstance(code, str) else f"http_{status}", "".join(detail))
    try:
        seconds = float(str(life))
    except ValueError:
        seconds = 0.0  # used once, then asked for again
    return Grant(token, seconds if math.isfinite(seconds) else 0.0)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        parsed = orjson.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
