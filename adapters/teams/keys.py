"""The keys that sign the connector's tokens: OpenID metadata, then its key set, over the shared session.

Kept for 24 hours by the monotonic clock. An unknown key id asks again at most once in five minutes, concurrent askers
share one request, and while the endpoint is down the keys we have stay usable: a stranger's made-up key id can
neither make us download for each request nor lock real traffic out.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from adapters.http import CallFailed, call

logger = logging.getLogger(__name__)

MAX_AGE: Final = 24 * 3600.0
REFRESH_PAUSE: Final = 300.0
FIRST_PAUSE: Final = 5.0  # between any two attempts
DEADLINE: Final = 5.0
MIN_BITS: Final = 2048


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One public key and the channels its owner may speak for."""

    public_key: RSAPublicKey
    endorsements: frozenset[str]


class KeysUnavailable(Exception):
    """No key set was ever loaded: nobody's token can be checked now."""


class KeySet:
    """The signing keys of one OpenID metadata address."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        metadata_url: str,
        *,
        allow_http: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._metadata_url = metadata_url
        self._schemes = ("https://", "http://") if allow_http else ("https://",)
        self._clock = clock
        self._keys: dict[str, SigningKey] = {}
        self._loaded_at: float | None = None
        self._tried_at: float | None = None
        self._searched_at: float | None = None
        self._refreshing: asyncio.Task[None] | None = None

    async def get(self, kid: str) -> SigningKey | None:
        """The key of this id; None if the issuer has none. Raises KeysUnavailable before the first load."""
        if self._is_old():
            await self._refresh(FIRST_PAUSE if self._loaded_at is None else REFRESH_PAUSE)
        if kid not in self._keys:
            await self._search()
        if self._loaded_at is None:
            raise KeysUnavailable
        return self._keys.get(kid)

    async def _search(self) -> None:
        """Ask for a key that is not in the set. The pause counts from the last search, not from the load by age: the
        set may be rolled minutes after that, and then the first genuine token must not wait."""
        if self._searched_at is not None and self._clock() - self._searched_at < REFRESH_PAUSE:
            return
        if await self._refresh(FIRST_PAUSE):
            self._searched_at = self._clock()

    def _is_old(self) -> bool:
        return self._loaded_at is None or self._clock() - self._loaded_at >= MAX_AGE

    async def _refresh(self, pause: float) -> bool:
        """Join the running refresh, or start one; False if the last attempt was less than `pause` ago."""
        if self._refreshing is None:
            if self._tried_at is not None and self._clock() - self._tried_at < pause:
                return False
            self._tried_at = self._clock()
            self._refreshing = asyncio.create_task(self._load())
        await asyncio.shield(self._refreshing)
        return True

    async def _load(self) -> None:
        try:
            keys = await self._download()
        except (CallFailed, ValueError, TimeoutError) as error:
            logger.warning("teams_keys_unavailable", extra={"action": "teams_keys_unavailable", "code": repr(error)})
        else:
            self._keys, self._loaded_at = keys, self._clock()
        finally:
            self._refreshing = None

    async def _download(self) -> dict[str, SigningKey]:
        async with asyncio.timeout(DEADLINE):
            metadata = await self._fetch(self._metadata_url)
            address = metadata.get("jwks_uri")
            if not isinstance(address, str) or not address.startswith(self._schemes):
                raise ValueError("jwks_uri is missing or not https")
            listed = (await self._fetch(address)).get("keys")
        keys = dict(_usable(listed if isinstance(listed, list) else []))
        if not keys:
            raise ValueError("the key set holds no usable key")
        return keys

    async def _fetch(self, url: str) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=DEADLINE)
        answer = await call(self._session, "GET", url, headers={"Accept": "application/json"}, timeout=timeout)
        if answer.status != 200:
            raise ValueError(f"status {answer.status}")
        parsed = orjson.loads(answer.body)
        if not isinstance(parsed, dict):
            raise ValueError("no JSON object")
        return parsed


def _usable(listed: Iterable[object]) -> Iterable[tuple[str, SigningKey]]:
    """RSA signing keys of enough bits, by their id; everything else is left out."""
    for entry in listed:
        if not isinstance(entry, dict) or entry.get("kty") != "RSA" or entry.get("use", "sig") != "sig":
            continue
        kid, endorsements = entry.get("kid"), entry.get("endorsements", [])
        try:
            key = jwt.PyJWK(entry, algorithm="RS256").key
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        if isinstance(kid, str) and isinstance(key, RSAPublicKey) and key.key_size >= MIN_BITS:
            named = endorsements if isinstance(endorsements, list) else []
            yield kid, SigningKey(key, frozenset(name for name in named if isinstance(name, str)))
