"""The body of a platform's call to us: bounded in size and time, whatever its headers say."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

MOST_BYTES: Final = 1024 * 1024
READ_SECONDS: Final = 10.0


async def read(request: web.Request, most: int = MOST_BYTES, seconds: float = READ_SECONDS) -> bytes:
    """The raw body. Raises HTTPRequestEntityTooLarge, HTTPRequestTimeout, and RequestPayloadError for a broken one."""
    if (request.content_length or 0) > most:
        raise web.HTTPRequestEntityTooLarge(most, request.content_length or 0)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for part in request.content.iter_any():
                body += part
                if len(body) > most:
                    raise web.HTTPRequestEntityTooLarge(most, len(body))
    except TimeoutError:
        request.content.feed_eof()  # nobody waits for the rest
        raise web.HTTPRequestTimeout from None
    except web.RequestPayloadError:
        request.content.feed_eof()  # nothing after this can be read
        raise
    return bytes(body)
