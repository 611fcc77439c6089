"""Callers: the JWT in the header `auth`, as Kore's clients send it, judged by the record of the client alone.

    opened ─▶ shape ─▶ client id ─▶ algorithm of the record ─▶ signature ─▶ exp, nbf, iat ─▶ jti ─▶ bot ─▶ scope

The token's header chooses nothing: not the algorithm, not the key. RFC 8725 is followed with one known deviation:
a token without `exp` passes unless the client's record forbids it, because Kore's documented tokens have none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

import jwt
from jwt.algorithms import Algorithm

from adapters.base import BotId
from notify import compact, errors
from notify.jwe import PARTS, Opener

HEADER: Final = "auth"
PROACTIVE_SCOPE: Final = "channel_management:proactive_messages"
MAX_TOKEN: Final = 8 * 1024
MAX_JTI_SECONDS: Final = 3600.0


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


class Refused(Exception):
    """A call that may not pass: what its sender is told, and more for the log.

    A bad token is one that does not prove who sent it; `client_id` is known where it does.
    """

    def __init__(
        self, answer: errors.CallRefused, reason: str, client_id: str | None = None, *, bad_token: bool = True
    ) -> None:
        super().__init__(reason)
        self.answer = answer
        self.reason = reason
        self.client_id = client_id
        self.bad_token = bad_token


class _Doubt(Exception):
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
            raise _Doubt("algorithm")
        if "crit" in token.header or token.header.get("b64", True) is not True:
            raise _Doubt("critical_header")
        valid = [key for key, until in self.keys if until is None or now < until]
        if not any(self.algorithm.verify(token.signed, key, token.signature) for key in valid):
            raise _Doubt("signature")


class Door:
    """Lets callers in. Raises `Refused`, which holds Kore's words for the caller and the reason for the log."""

    def __init__(
        self,
        clients: Iterable[Client],
        bots: Collection[BotId],
        seen: SeenTokens,
        *,
        clock: Callable[[], float],
        leeway: float = 60.0,
        opener: Opener | None = None,
    ) -> None:
        """Raises jwt.InvalidKeyError for a key that does not fit its algorithm."""
        self._verifiers = {client.client_id: _Verifier.of(client) for client in clients}
        self._bots = frozenset(bots)
        self._seen = seen
        self._clock = clock
        self._leeway = leeway
        self._opener = opener or Opener()

    async def admit(
        self, tokens: Sequence[str], bot_id: str, scope: str = PROACTIVE_SCOPE, *, suspect: bool = False
    ) -> Client:
        """The client that sent these `auth` headers, if it may use this bot in this scope.

        `suspect`: many bad tokens came from the same address lately. It is judged like any other, in a longer line.
        """
        client = await self._authenticate(tokens, suspect)
        if bot_id not in self._bots or (client.bots is not None and bot_id not in client.bots):
            answer = errors.unknown_bot() if client.bots is None else errors.invalid_credentials()
            raise Refused(answer, "bot", client.client_id, bad_token=False)
        if scope not in client.scopes:
            raise Refused(errors.scope_missing(), "scope", client.client_id, bad_token=False)
        return client

    async def _authenticate(self, tokens: Sequence[str], suspect: bool) -> Client:
        if len(tokens) != 1 or not tokens[0].strip():
            raise Refused(errors.invalid_credentials(), "header")
        token, now = _read(await self._opened(tokens[0].strip(" \t"), suspect)), self._clock()
        verifier = self._verifiers.get(_client_id(token.claims) or "")
        if verifier is None:
            raise Refused(errors.invalid_credentials(), "client")
        client = verifier.client
        try:
            verifier.check_signature(token, now)
            expires = self._check_times(client, token.claims, now)
            jti = _jti(token.claims)
        except _Doubt as doubt:
            raise Refused(errors.invalid_credentials(), str(doubt), client.client_id) from None
        await self._use_once(client, jti, expires, now)
        return client

    async def _opened(self, token: str, suspect: bool) -> str:
        """A token that is not encrypted as it is; else what is inside."""
        if len(token) > MAX_TOKEN:
            raise _not_a_jwt()
        if token.count(".") != PARTS - 1:
            return token
        inside = await self._opener.open(token, suspect=suspect)
        if inside is None:
            raise Refused(errors.invalid_token(), "encryption")
        return inside

    def _check_times(self, client: Client, claims: Mapping[str, Any], now: float) -> float | None:
        """Check `exp`, `nbf` and `iat` where present; returns `exp`."""
        expires, not_before, issued = (_moment(claims, name) for name in ("exp", "nbf", "iat"))
        if expires is None and client.require_exp:
            raise _Doubt("exp_missing")
        if expires is not None and expires + self._leeway <= now:
            raise _Doubt("expired")
        if any(moment is not None and moment - self._leeway > now for moment in (not_before, issued)):
            raise _Doubt("not_yet_valid")
        return expires

    async def _use_once(self, client: Client, jti: str | None, expires: float | None, now: float) -> None:
        if jti is None:
            if client.enforce_jti:
                raise Refused(errors.invalid_credentials(), "jti_missing", client.client_id)
            return
        if expires is None or expires - now > MAX_JTI_SECONDS:
            raise Refused(errors.jti_lives_too_long(), "jti_lives_too_long", client.client_id)
        if not await self._seen.first_use(client.client_id, jti, expires + self._leeway):
            raise Refused(errors.jti_replayed(), "replay", client.client_id)


def _read(token: str) -> _Token:
    """Take a compact JWS apart. What was encrypted twice has five parts here, and is no token of ours."""
    parts = token.split(".")
    if len(parts) != 3:
        raise _not_a_jwt()
    header, claims = compact.decode_object(parts[0]), compact.decode_object(parts[1])
    if header is None or claims is None:
        raise _not_a_jwt()
    return _Token(header, claims, f"{parts[0]}.{parts[1]}".encode(), compact.decode(parts[2]) or b"")


def _not_a_jwt() -> Refused:
    return Refused(errors.invalid_token(), "not_a_jwt")


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
        raise _Doubt(f"{name}_invalid")
    return float(value)


def _jti(claims: Mapping[str, Any]) -> str | None:
    found = [claims[name] for name in ("jti", "kore_jti") if name in claims]
    if not found:
        return None
    if not isinstance(found[0], str) or not found[0] or any(other != found[0] for other in found):
        raise _Doubt("jti_invalid")
    return found[0]
