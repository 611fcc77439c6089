"""One call to a platform over the shared aiohttp session, and what its failure proves.

A call ends in an `Answer`, or raises one of two errors that say whether the platform can have seen the request:

    CallFailed
    ├── NeverWritten   no connection: name, address, TLS or time ran out before the first byte; safe to repeat
    └── NoAnswer       the request may have been read: reset, timeout, early end
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from adapters.base import TOO_LATE

MAX_RETRY_AFTER = 3600.0
MAX_ANSWER = 1024 * 1024
_CHUNK = 64 * 1024


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """The seconds a `Retry-After` asks for (a number or an HTTP date, RFC 9110 section 10.2.3), within 0 and 3600.

    None when the header is missing or says nothing that can be understood.
    """
    if value is None:
        return None
    text = value.strip()
    if not text.isascii():
        return None
    try:
        seconds = float(text)
    except ValueError:
        return _until(text, now)
    return None if math.isnan(seconds) else min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _until(text: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return min(max((moment - now).total_seconds(), 0.0), MAX_RETRY_AFTER)
    except (ValueError, OverflowError):
        return None


class CallFailed(Exception):
    """The platform gave no answer."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(type(cause).__name__)  # the cause's own text may hold an address; its name never does
        self.code = type(cause).__name__


class NeverWritten(CallFailed):
    """No byte of the request left this process."""


class NoAnswer(CallFailed):
    """The request may have been read by the platform."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and the body after decompression; `whole` is False when the body broke off or was too big."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool = True


# aiohttp raises these only while a connection is being made (aiohttp/client.py: the request is written after it)
_BEFORE_WRITING = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,  # the proxy refused to connect us
    aiohttp.ConnectionTimeoutError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)


class _Fenced(aiohttp.BytesPayload):
    """A body that asks, at the last moment before it is written, whether it may still leave.

    aiohttp writes it in a task of its own, one turn of the loop after the call has begun, and the head together with
    it; a process that was frozen in between must send neither.
    """

    def __init__(self, body: bytes, too_late: Callable[[], bool]) -> None:
        super().__init__(body)
        self._too_late = too_late

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write the body, unless it is too late; then the connection fails."""
        if self._too_late():
            raise TimeoutError("the right to send has run out")
        await super().write_with_length(writer, content_length)


async def call(
    session: aiohttp.ClientSession,
    method: str,
    url: str | URL,
    *,
    headers: Mapping[str, str],
    data: bytes | Mapping[str, str] | None = None,
    timeout: aiohttp.ClientTimeout,
    limit: int = MAX_ANSWER,
    proxy: str | None = None,
) -> Answer:
    """Make one call: no redirect is followed, the deadline is total, the answer is bounded after decompression."""
    too_late = TOO_LATE.get()
    body_of_call = _Fenced(data, too_late) if too_late is not None and isinstance(data, bytes) else data
    try:
        async with session.request(
            method, url, headers=headers, data=body_of_call, timeout=timeout, allow_redirects=False, proxy=proxy
        ) as response:
            body = await _read(response, limit)
            return Answer(response.status, response.headers, body or b"", whole=body is not None)
    except _BEFORE_WRITING as error:
        raise NeverWritten(error) from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise NoAnswer(error) from error


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """The body, or None if it broke off, could not be decoded or passed the limit; the connection is then dropped."""
    parts: list[bytes] = []
    size = 0
    try:
        async for part in response.content.iter_chunked(_CHUNK):
            size += len(part)
            if size > limit:
                response.close()
                return None
            parts.append(part)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        response.close()
        return None
    return b"".join(parts)
