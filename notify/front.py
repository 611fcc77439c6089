"""The front: what a stranger's bytes meet before any route, and what every answer carries.

    bytes ─▶ Connection   the head comes whole within HEAD_SECONDS, or the connection ends
          ─▶ aiohttp      malformed: 400 or 431 in our shape, nothing of the input in it, and the connection ends
          ─▶ Listener     whose call it is, behind trusted proxies; every error in the shape of its route
          ─▶ the routes
    answer ◀─ Connection  the headers that every answer carries

aiohttp answers some calls before any middleware and signal (a malformed head, an unknown expectation), so this stands
around the application and not within it.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from typing import Any, Final

from aiohttp import HttpVersion10, hdrs, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from adapters.strangers import Refusals
from notify import hops
from notify.errors import answer_errors, closing, problem_answer

log = logging.getLogger("herald.front")

HEAD_SECONDS: Final = 15.0
ANSWER_SECONDS: Final = 60.0  # for the caller to take an answer in
IDLE_SECONDS: Final = 150.0  # longer than a proxy keeps a connection (Caddy: 120), so that it is the one to end it
MOST_CONNECTIONS: Final = 65536  # or half of the files that the process may open
FORWARDED_FOR: Final = "X-Forwarded-For"
TRANSPORT_SECURITY: Final = (hdrs.STRICT_TRANSPORT_SECURITY, "max-age=31536000")
ALWAYS: Final = (
    (hdrs.CACHE_CONTROL, "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    (hdrs.SERVER, "Herald"),  # aiohttp would name itself and Python, with their versions
)


class FrontRunner(web.AppRunner):
    """An application's runner with the front before it; `https` says whether the world reaches it by https only."""

    def __init__(
        self,
        app: web.Application,
        *,
        https: bool = False,
        trusted: Sequence[hops.Network] = (),
        head_seconds: float = HEAD_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
        most_connections: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(app, access_log=None, keepalive_timeout=IDLE_SECONDS, **options)
        self._headers = (*ALWAYS, TRANSPORT_SECURITY) if https else ALWAYS
        self._trusted = tuple(trusted)
        self._head_seconds = head_seconds
        self._answer_seconds = answer_seconds
        self._most_connections = most_connections or _half_of_the_files()

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return Listener(
            made,
            headers=self._headers,
            trusted=self._trusted,
            head_seconds=self._head_seconds,
            answer_seconds=self._answer_seconds,
            most_connections=self._most_connections,
        )


class Listener(web.Server):
    """aiohttp's server with our connections; it ends the longest idle one when there are too many.

    Those that never made a call go first: a backend's own connections rest between two calls.
    """

    def __init__(
        self,
        made: web.Server,
        *,
        headers: Sequence[tuple[str, str]],
        trusted: Sequence[hops.Network],
        head_seconds: float,
        answer_seconds: float,
        most_connections: int,
    ) -> None:
        self._answer: Callable[[Any], Awaitable[web.StreamResponse]] = made.request_handler
        super().__init__(self._handle, request_factory=made.request_factory, loop=made._loop, **made._kwargs)
        self.headers = headers
        self.head_seconds = head_seconds
        self.answer_seconds = answer_seconds
        self._trusted = trusted
        self._most_connections = most_connections
        self.malformed = Refusals(log, "call_malformed", level=logging.INFO)
        self.silent: dict[Connection, None] = {}  # never made a call, the oldest in front
        self.resting: dict[Connection, None] = {}  # wait for their next call, the longest idle in front

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)

    async def _handle(self, request: Any) -> web.StreamResponse:
        if request.version < HttpVersion10:
            return closing(problem_answer(505))  # HTTP/0.9 has no headers to be careful with
        if self._trusted:
            request = _from_caller(request, self._trusted)
        return await answer_errors(request, self._answer)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Take a connection, and let go one that waits for nothing if that makes too many."""
        super().connection_made(handler, transport)
        if len(self._connections) > self._most_connections:
            idle = (each for each in chain(self.silent, self.resting) if each is not handler and each.is_waiting)
            given_up = next(idle, None)
            if given_up is not None:
                given_up.force_close()
                given_up.is_busy()


class Connection(RequestHandler):
    """One connection: its heads come in time, its answers carry the headers, its errors have our shape."""

    __slots__ = ("_head_due", "_listener")

    def __init__(self, listener: Listener, **options: Any) -> None:
        super().__init__(listener, **options)
        self._listener = listener
        self._head_due: asyncio.TimerHandle | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether nothing is to be done until more bytes come."""
        return self._waiter is not None and not self._waiter.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection that says nothing is ended like one that never comes to the end."""
        super().connection_made(transport)
        self._listener.silent[self] = None
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """A head that has begun is there in time; what follows it has the limits of its route."""
        super().data_received(data)
        if self._messages or not self.is_waiting:
            self._have_head()
            self.is_busy()
        elif self._head_due is None:
            self._expect_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nothing is expected any more."""
        self._have_head()
        self.is_busy()
        super().connection_lost(exc)

    def is_busy(self) -> None:
        """It is none of those that could be let go."""
        self._listener.silent.pop(self, None)
        self._listener.resting.pop(self, None)

    def _expect_head(self) -> None:
        self._head_due = self._loop.call_later(self._listener.head_seconds, self.force_close)

    def _have_head(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What aiohttp itself refuses, without its trace and its quotation of the input in log and answer."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        status = 431 if isinstance(exc, LineTooLong) else status
        self._listener.malformed.note(request.remote, status=status)
        return closing(problem_answer(status))

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Every answer passes here before its first byte, and is taken in time or not at all."""
        for name, value in self._listener.headers:
            resp.headers.setdefault(name, value)
        if hdrs.CONTENT_ENCODING in request.headers and not request.content.is_eof():
            resp.force_close()
            self._lingering_time = 0.0  # reading on only to be polite would unpack it
        taken_by = self._loop.call_later(self._listener.answer_seconds, self._give_up)
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            taken_by.cancel()
            if self.transport is not None:
                self._listener.resting[self] = None

    def _give_up(self) -> None:
        """Drop what is not sent yet: a close would wait until the caller has read it."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()


def _half_of_the_files() -> int:
    """The other half is for the platforms, the database and its files."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if allowed == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, allowed // 2)


def _from_caller(request: web.Request, trusted: Sequence[hops.Network]) -> web.Request:
    """The request as the caller's own, if a trusted proxy hands it on."""
    forwarded = request.headers.getall(FORWARDED_FOR, [])
    remote = hops.caller(request.remote, forwarded, trusted) if forwarded else request.remote
    return request if remote is None or remote == request.remote else request.clone(remote=remote)
