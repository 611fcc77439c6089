"""What a refused call is told: Kore's shape on Kore's routes, RFC 9457 everywhere else, and nothing of the inside.

CallRefused                      one status, one or more entries of Kore's `errors` list
├─ raised by auth, api           with the sentences of the table below
└─ everything else that escapes  404 · 405 · 413 … of the web server by their status, any other exception as 500
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final

import orjson
from aiohttp import hdrs, web

log = logging.getLogger("herald.api")

API_PREFIX: Final = "/api/public/"
INVALID_ARGUMENTS: Final = "Validation errors/ Invalid arguments"  # Kore's literal text
RETRY_AFTER_SECONDS: Final = 5

FURTHER_HEADERS: Final = web.RequestKey("further_headers", dict[str, str])  # of the answer, whatever it will be

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class CallRefused(Exception):
    """A call that is answered with Kore's error shape."""

    def __init__(
        self,
        status: int,
        *messages: str,
        code: int | None = None,
        headers: Mapping[str, str] | None = None,
        close: bool = False,
    ) -> None:
        super().__init__(f"{status} {messages[0]}")
        self.status = status
        self.messages = messages
        self.code = status if code is None else code
        self.headers = dict(headers or {})
        self.close = close  # the connection cannot be used again


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────
def invalid_credentials() -> CallRefused:
    """No token, unknown client, bad signature or claims: one answer, so that nobody can probe for the difference."""
    return CallRefused(401, "Invalid SDK credentials", code=4002)


def invalid_token() -> CallRefused:
    """Not a JWT at all."""
    return CallRefused(401, "Invalid JWT token", code=4002)


def scope_missing() -> CallRefused:
    """The client is known, and may not send notifications."""
    return CallRefused(401, "Permission denied. Scope is incorrect!", code=4002)


def jti_lives_too_long() -> CallRefused:
    """A token for one use must be short-lived."""
    return CallRefused(401, 'error verifying the jwt: if "jti" claim "exp" must be <= 1 hour(s)')


def jti_replayed() -> CallRefused:
    """A token for one use came a second time."""
    return CallRefused(401, "error verifying the jwt: possibly a replay")


def unknown_bot() -> CallRefused:
    """Only a client of all bots learns that a bot does not exist."""
    return CallRefused(400, "Invalid StreamId")


def unknown_request() -> CallRefused:
    """Unknown, of another bot, past its retention: the same answer."""
    return CallRefused(400, "Invalid request ID")


def invalid_arguments(problems: Sequence[str]) -> CallRefused:
    """Kore's text first, for a client that compares; then one entry per field, for a person who reads."""
    return CallRefused(412, INVALID_ARGUMENTS, *problems)


def body_too_large(limit: int) -> CallRefused:
    """Larger than this server reads, compressed or not."""
    return CallRefused(413, f"The body is larger than {limit} bytes, compressed or not: make it smaller")


def wrong_content_type() -> CallRefused:
    """The caller declared something that is not JSON in UTF-8."""
    return CallRefused(415, "The body must be JSON in UTF-8: send the header Content-Type: application/json")


def unknown_encoding() -> CallRefused:
    """The body is packed in a way that this server does not unpack."""
    return CallRefused(415, "Content-Encoding: must be gzip or deflate: send the body as it is, without this header")


def body_too_slow(seconds: float) -> CallRefused:
    """The rest of the body never came."""
    return CallRefused(408, f"The body did not arrive within {seconds:g} seconds", close=True)


def body_not_decodable() -> CallRefused:
    """Compressed or chunked otherwise than declared."""
    return CallRefused(412, INVALID_ARGUMENTS, "the body is not encoded as its headers say: send it again", close=True)


def too_many_calls(*, hourly: bool, retry_after: int) -> CallRefused:
    """A rolling window of the bot is full."""
    window = "hourly" if hourly else "per-minute"
    return CallRefused(
        429,
        f"You've exceeded the {window} rate limit. Please wait for sometime before retrying.",  # Kore's words
        headers={hdrs.RETRY_AFTER: str(retry_after)},
    )


def too_many_bad_tokens(retry_after: int) -> CallRefused:
    """So many callers with bad tokens wait for their answers that this one cannot."""
    return CallRefused(
        429,
        "Too many calls with invalid tokens: correct the token and try again later",
        headers={hdrs.RETRY_AFTER: str(retry_after)},
    )


def malformed_key(why: str) -> CallRefused:
    """The Idempotency-Key cannot be used."""
    return CallRefused(400, f"Idempotency-Key: {why}")


def key_reused() -> CallRefused:
    """The key stands for another request."""
    return CallRefused(422, "Idempotency-Key: it was used with another body: use a new key for a new request")


def key_busy() -> CallRefused:
    """The first call with the key is still being accepted."""
    return CallRefused(
        409,
        "Idempotency-Key: the first call with it is still being accepted: try again in a moment",
        headers={hdrs.RETRY_AFTER: "1"},
    )


def storage_unavailable() -> CallRefused:
    """The database refuses or does not answer."""
    return CallRefused(
        503,
        "The database does not answer: nothing was changed, try again later",
        headers={hdrs.RETRY_AFTER: str(RETRY_AFTER_SECONDS)},
    )


# ── answering ───────────────────────────────────────────────────────────────────────────────────────────────
@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error leaves here in the shape of its route; it stands around the whole application."""
    answer = await _answered(request, handler)
    answer.headers.update(request.get(FURTHER_HEADERS, {}))
    return answer


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except CallRefused as refused:
        return kore_answer(refused)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        answer = _answer(request, error.status, _kept(error))
        return closing(answer) if error.status == HTTPStatus.REQUEST_TIMEOUT else answer
    except web.RequestPayloadError:
        return closing(_answer(request, 400, {}))  # chunked or compressed otherwise than declared
    except Exception as error:
        if isinstance(error, ConnectionError) and request.transport is None:
            return _answer(request, 400, {})  # the caller has gone in the middle of the body: nobody reads this
        log.exception("a call failed by our fault", extra={"action": "call_failed", "route": _route(request)})
        return _answer(request, 500, {})


def kore_body(refused: CallRefused) -> dict[str, list[dict[str, str | int]]]:
    """`{"errors":[{"msg":…,"code":…}]}`: `msg` and numbers only."""
    return {"errors": [{"msg": message, "code": refused.code} for message in refused.messages]}


def kore_answer(refused: CallRefused) -> web.Response:
    """A refusal on its way to the caller."""
    answer = json_answer(kore_body(refused), status=refused.status, headers=refused.headers)
    if refused.close:
        answer.force_close()
    return answer


def as_bytes(body: object) -> bytes:
    """A body as it goes on the wire."""
    return orjson.dumps(body)


def json_answer(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """JSON."""
    return literal_answer(as_bytes(body), status=status, headers=headers)


def literal_answer(body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """JSON that is written already."""
    return web.Response(
        body=body,
        status=status,
        content_type="application/json",
        charset="utf-8",
        headers=headers,
    )


def problem_answer(status: int, headers: Mapping[str, str] | None = None) -> web.Response:
    """RFC 9457, with the status and its phrase alone."""
    return web.Response(
        body=orjson.dumps({"type": "about:blank", "title": _phrase(status), "status": status}),
        status=status,
        content_type="application/problem+json",
        headers=headers,
    )


def closing(answer: web.Response) -> web.Response:
    """Nothing more can be read from this connection."""
    answer.force_close()
    return answer


def _answer(request: web.Request, status: int, headers: Mapping[str, str]) -> web.Response:
    if request.path.startswith(API_PREFIX):
        return kore_answer(CallRefused(status, _phrase(status), headers=headers))
    return problem_answer(status, headers)


def _kept(error: web.HTTPException) -> dict[str, str]:
    """Of the web server's own error only the headers that a client acts on."""
    return {name: error.headers[name] for name in (hdrs.ALLOW, hdrs.RETRY_AFTER) if name in error.headers}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _route(request: web.Request) -> str:
    """The route's pattern: a path may hold anything."""
    found = request._match_info  # none yet, if looking for the route itself failed
    resource = None if found is None else found.route.resource
    return resource.canonical if resource is not None else "unknown"
