"""Who may speak to us as Teams: every check of an inbound connector token, in one place.

botbuilder's own validation answers most bad tokens with a 500, blocks the event loop and locks real traffic out after
a key roll-over, so it is not used. The token is checked first, by itself; the body is read only after that, and then
both must agree. Claims: learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-authentication.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jwt
from jwt.types import Options

from adapters.teams.keys import KeySet
from adapters.teams.service_urls import ServiceUrls

LEEWAY: Final = 300.0  # documented: five minutes of clock skew
MAX_TOKEN: Final = 8192
MAX_KID: Final = 256
CHANNEL: Final = "msteams"
_FAR: Final = 1e12


class TokenRefused(Exception):
    """The request does not come from Teams for this app; `reason` is for the log, the caller learns nothing."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BodyRefused(Exception):
    """The token is good, the activity is not one we take."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ConnectorToken:
    """A token that Teams signed for our app."""

    claims: Mapping[str, Any]
    service_url: str


class ConnectorTokens:
    """Checks the tokens that one app receives."""

    def __init__(
        self,
        keys: KeySet,
        *,
        app_id: str,
        issuer: str,
        service_urls: ServiceUrls,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._app_id = app_id.lower()
        self._issuer = issuer
        self._service_urls = service_urls
        self._now = now

    async def check(self, authorization: Sequence[str]) -> ConnectorToken:
        """The token of a request's Authorization headers.

        Raises TokenRefused, or KeysUnavailable while no key was ever loaded.
        """
        token = _bearer(authorization)
        kid = self._preview(token)
        key = await self._keys.get(kid)
        if key is None:
            raise TokenRefused("unknown_key")
        if CHANNEL not in key.endorsements:
            raise TokenRefused("key_not_endorsed")
        try:
            claims = jwt.decode(token, key.public_key, algorithms=["RS256"], options=_SIGNATURE_ONLY)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise TokenRefused("bad_signature") from error
        self._check_claims(claims)
        service_url = claims.get("serviceurl")
        if not isinstance(service_url, str) or not service_url:
            raise TokenRefused("no_serviceurl_claim")
        return ConnectorToken(claims, service_url)

    def check_activity(self, token: ConnectorToken, activity: Mapping[str, Any]) -> None:
        """What the body must say beside this token. Raises TokenRefused where they differ, else BodyRefused."""
        if activity.get("channelId") != CHANNEL:
            raise BodyRefused("wrong_channel")
        service_url = activity.get("serviceUrl")
        if not isinstance(service_url, str):
            raise BodyRefused("no_service_url")
        if service_url != token.service_url:
            raise TokenRefused("serviceurl_differs")
        if not self._service_urls.permits(service_url):
            raise BodyRefused("service_url_not_allowed")
        if not isinstance(activity.get("type"), str):
            raise BodyRefused("no_type")

    def _preview(self, token: str) -> str:
        """Refuse, before any key is looked up, what is not meant for us; return the key id."""
        try:
            header = jwt.get_unverified_header(token)
            claims = jwt.decode(token, options=_NOTHING)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise TokenRefused("not_a_token") from error
        if header.get("alg") != "RS256":
            raise TokenRefused("wrong_algorithm")
        if "crit" in header or "b64" in header:
            raise TokenRefused("critical_header")
        kid = header.get("kid")
        if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID:
            raise TokenRefused("no_key_id")
        self._check_parties(claims)
        return kid

    def _check_parties(self, claims: Mapping[str, Any]) -> None:
        if claims.get("iss") != self._issuer:
            raise TokenRefused("wrong_issuer")
        audience = claims.get("aud")  # one string: a list is not what the connector sends
        if not isinstance(audience, str) or audience.lower() != self._app_id:
            raise TokenRefused("wrong_audience")

    def _check_claims(self, claims: Mapping[str, Any]) -> None:
        self._check_parties(claims)
        now = self._now()
        expires = _numeric_date(claims, "exp")
        if expires is None:
            raise TokenRefused("no_expiry")
        if now >= expires + LEEWAY:
            raise TokenRefused("expired")
        for name in ("nbf", "iat"):
            moment = _numeric_date(claims, name)
            if moment is not None and moment > now + LEEWAY:
                raise TokenRefused("not_yet_valid")


# the claims are checked above with our own clock; PyJWT checks the signature
_SIGNATURE_ONLY: Final[Options] = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}
_NOTHING: Final[Options] = {**_SIGNATURE_ONLY, "verify_signature": False}


def _bearer(authorization: Sequence[str]) -> str:
    if len(authorization) != 1:
        raise TokenRefused("no_authorization" if not authorization else "two_authorizations")
    scheme, _, token = authorization[0].partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise TokenRefused("no_bearer_token")
    if len(token) > MAX_TOKEN or token.count(".") != 2 or not token.isascii() or not token.isprintable():
        raise TokenRefused("not_a_token")
    return token


def _numeric_date(claims: Mapping[str, Any], name: str) -> float | None:
    """RFC 7519 NumericDate: a JSON number, fractions allowed."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_FAR < value < _FAR:  # NaN fails too
        raise TokenRefused("bad_date")
    return float(value)
