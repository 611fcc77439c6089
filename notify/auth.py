"""Callers: the JWT in the header `auth`, as Kore's clients send it, judged by the record of the client alone.

    shape ─▶ client id ─▶ algorithm of the record ─▶ signature ─▶ exp, nbf, iat ─▶ jti ─▶ bot ─▶ scope

The token's header chooses nothing: not the algorithm, not the key. RFC 8725 is followed with one known deviation:
a token without `exp` passes unless the client's record forbids it, because Kore's documented tokens have none.
"""

from __future__ import annotations

import base64
import logging
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

import jwt
from jwt.algorithms import Algorithm

from adapters.base import BotId
from notify import errors, strict_json

log = logging.getLogger("herald.auth")

HEADER: Final = "auth"
PROACTIVE_SCOPE: Final = "channel_management:proactive_messages"
MAX_TOKEN: Final = 8 * 1024
MAX_JTI_SECONDS: Final = 3600.0
_PART: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Key:
    """A shared secret, or a public key as PEM; after `until` (epoch seconds) it opens nothing."""

    value: str = field(repr=False)
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """A backend that may call. `bots` None: all of them."""

    client_id: str
    algorithm: Literal["HS256", "HS512", "RS256", "RS512"]
    keys: tuple[Key, ...]
    scopes: frozenset[str]
    bots: frozenset[BotId] | None
    require_exp: bool = False
    enforce_jti: bool = False


class SeenTokens(Protocol):
    """Remembers the `jti` of tokens, for the whole fleet."""

    async def first_use(self, client_id: str, jti: str, until: float) -> bool:
        """True exactly once for a client's `jti`; it may be forgotten after `until` (epoch seconds)."""


class _Refused(Exception):
    """Why a token was refused, as a slug for the log; the caller is told less."""


@dataclass(frozen=True, slots=True)
class _Token:
    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class _Verifier:
    """A client with its keys made ready once."""

    client: Client
    algorithm: Algorithm
    keys: tuple[tuple[Any, float | None], ...]  # the key's type is the algorithm's business

    @classmethod
    def of(cls, client: Client) -> _Verifier:
        algorithm = jwt.get_algorithm_by_name(client.algorithm)
        return cls(client, algorithm, tuple((algorithm.prepare_key(key.value), key.until) for key in client.keys))

    def check_signature(self, token: _Token, now: float) -> None:
        if token.header.get("alg") != self.client.algorithm:
            raise _Refused("algorithm")
        if "crit" in token.header or token.header.get("b64", True) is not True:
            raise _Refused("critical_header")
        valid = [key for key, until in self.keys if until is None or now < until]
        if not any(self.algorithm.verify(token.signed, key, token.signature) for key in valid):
            raise _Refused("signature")


class Door:
    """Lets callers in. Raises `errors.CallRefused` with Kore's words; the reason goes to the log alone."""

    def __init__(
        self,
        clients: Iterable[Client],
        bots: Collection[BotId],
        seen: SeenTokens,
        *,
        clock: Callable[[], float],
        leeway: float = 60.0,
    ) -> None:
        """Raises jwt.InvalidKeyError for a key that does not fit its algorithm."""
        self._verifiers = {client.client_id: _Verifier.of(client) for client in clients}
        self._bots = frozenset(bots)
        self._seen = seen
        self._clock = clock
        self._leeway = leeway

    async def admit(self, tokens: Sequence[str], bot_id: str, scope: str = PROACTIVE_SCOPE) -> Client:
        """The client that sent these `auth` headers, if it may use this bot in this scope."""
        client = await self._authenticate(tokens)
        if bot_id not in self._bots or (client.bots is not None and bot_id not in client.bots):
            _report("bot", client.client_id)
            raise errors.unknown_bot() if client.bots is None else errors.invalid_credentials()
        if scope not in client.scopes:
            _report("scope", client.client_id)
            raise errors.scope_missing()
        return client

    async def _authenticate(self, tokens: Sequence[str]) -> Client:
        if len(tokens) != 1 or not tokens[0].strip():
            _report("header")
            raise errors.invalid_credentials()
        token, now = _read(tokens[0]), self._clock()
        verifier = self._verifiers.get(_client_id(token.claims) or "")
        if verifier is None:
            _report("client")
            raise errors.invalid_credentials()
        client = verifier.client
        try:
            verifier.check_signature(token, now)
            expires = self._check_times(client, token.claims, now)
            jti = _jti(token.claims)
        except _Refused as refused:
            _report(str(refused), client.client_id)
            raise errors.invalid_credentials() from None
        await self._use_once(client, jti, expires, now)
        return client

    def _check_times(self, client: Client, claims: Mapping[str, Any], now: float) -> float | None:
        """Check `exp`, `nbf` and `iat` where present; returns `exp`."""
        expires, not_before, issued = (_moment(claims, name) for name in ("exp", "nbf", "iat"))
        if expires is None and client.require_exp:
            raise _Refused("exp_missing")
        if expires is not None and expires + self._leeway <= now:
            raise _Refused("expired")
        if any(moment is not None and moment - self._leeway > now for moment in (not_before, issued)):
            raise _Refused("not_yet_valid")
        return expires

    async def _use_once(self, client: Client, jti: str | None, expires: float | None, now: float) -> None:
        if jti is None:
            if client.enforce_jti:
                _report("jti_missing", client.client_id)
                raise errors.invalid_credentials()
            return
        if expires is None or expires - now > MAX_JTI_SECONDS:
            _report("jti_lives_too_long", client.client_id)
            raise errors.jti_lives_too_long()
        if not await self._seen.first_use(client.client_id, jti, expires + self._leeway):
            _report("replay", client.client_id)
            raise errors.jti_replayed()


def _read(token: str) -> _Token:
    """Take a compact JWS apart. Five parts would be encrypted, which is not offered: no JWT to us."""
    parts = token.strip(" \t").split(".")
    if len(parts) != 3 or len(token) > MAX_TOKEN:
        _report("not_a_jwt")
        raise errors.invalid_token()
    header, claims = _json_part(parts[0]), _json_part(parts[1])
    if header is None or claims is None:
        _report("not_a_jwt")
        raise errors.invalid_token()
    return _Token(header, claims, f"{parts[0]}.{parts[1]}".encode(), _decode(parts[2]) or b"")


def _json_part(part: str) -> dict[str, Any] | None:
    raw = _decode(part)
    try:
        value = None if raw is None else strict_json.read(raw)
    except strict_json.NotJson:
        return None
    return value if isinstance(value, dict) else None


def _decode(part: str) -> bytes | None:
    """Base64url without padding, in its one canonical spelling (Python's own reader skips what it does not know)."""
    if not _PART.fullmatch(part) or len(part) % 4 == 1:
        return None
    raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    return raw if base64.urlsafe_b64encode(raw).rstrip(b"=") == part.encode() else None


def _client_id(claims: Mapping[str, Any]) -> str | None:
    """`appId`, else `iss`, else `kore_iss`; several must agree."""
    found = [claims[name] for name in ("appId", "iss", "kore_iss") if name in claims]
    if not found or not isinstance(found[0], str) or any(other != found[0] for other in found):
        return None
    return found[0]


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _Refused(f"{name}_invalid")
    return float(value)


def _jti(claims: Mapping[str, Any]) -> str | None:
    found = [claims[name] for name in ("jti", "kore_jti") if name in claims]
    if not found:
        return None
    if not isinstance(found[0], str) or not found[0] or any(other != found[0] for other in found):
        raise _Refused("jti_invalid")
    return found[0]


def _report(reason: str, client_id: str | None = None) -> None:
    """`client_id` is one of ours; what a stranger claims to be is not logged."""
    log.warning("caller refused", extra={"action": "caller_refused", "reason": reason, "client": client_id})
