"""What can go wrong, on demand: a book of faults, and one way of applying them for all platforms.

```
 request ──▶ match ──▶ apply_before ──▶ the operation ──▶ apply_after ──▶ answer
                       delay, hang,     (stores the       error although stored, dropped,
                       dropped, error    message)         torn or trickled answer
```
"""

import asyncio
import base64
import gzip
import itertools
import json
import socket
import struct
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from aiohttp import web
from multidict import CIMultiDict

from simulator.clock import Clock

FaultPlatform = Literal["slack", "connector", "entra", "graph"]
Drop = Literal["before", "after", "mid_answer", "mid_answer_fin"]
Shape = Callable[["Fault"], web.Response]
"""Builds the platform's own error answer for a fault."""

_POLL = 0.05


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave; None in a filter field means any.

    operation: a Slack method name, or create, send, reply, update, delete, members, token, users, batch, …
    person: user id or e-mail. code: put into the platform's own body. body: raw text that replaces the answer's body;
    body_base64: the same for bytes; bulk: that many bytes instead; gzip: the body is sent compressed.
    retry_after: verbatim, in addition to one in `headers`. delay: seconds before the operation.
    drop: before = closed before anything is stored; after = stored, then closed without an answer; mid_answer = stored,
    half an answer, then RST; mid_answer_fin = the same with an early FIN. stored: the operation is done first, then
    the error (or the hang) follows. hang: never answers. trickle: seconds between single bytes of the answer.
    times: how often (None = for ever); every: each n-th matching call; skip: let so many matching calls pass first.
    """

    id: str
    platform: FaultPlatform
    operation: str | None = None
    tenant: str | None = None
    person: str | None = None
    status: int | None = None
    code: str | None = None
    body: str | None = None
    body_base64: str | None = None
    bulk: int | None = None
    gzip: bool = False
    content_type: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    retry_after: str | None = None
    delay: float = 0.0
    drop: Drop | None = None
    stored: bool = False
    hang: bool = False
    trickle: float | None = None
    times: int | None = None
    every: int = 1
    skip: int = 0

    @property
    def answers(self) -> bool:
        """Whether the fault brings an answer of its own; headers and content type alone change the operation's."""
        given = (self.status, self.code, self.body, self.body_base64, self.bulk, self.retry_after)
        return any(value is not None for value in given)

    def as_json(self) -> dict[str, Any]:
        """The fault as the control API shows it."""
        return asdict(self)


class BadFault(ValueError):
    """The description of a fault is not valid."""


def parse_fault(data: object, new_id: str) -> Fault:
    """A fault from JSON; unknown or wrongly typed fields are refused, so a typo cannot make a test pass."""
    if not isinstance(data, dict):
        raise BadFault("a fault is a JSON object")
    unknown = set(data) - {each.name for each in fields(Fault)}
    if unknown:
        raise BadFault(f"unknown fields: {', '.join(sorted(unknown))}")
    if data.get("platform") not in get_args(FaultPlatform):
        raise BadFault(f"platform must be one of {', '.join(get_args(FaultPlatform))}")
    if data.get("drop") is not None and data["drop"] not in get_args(Drop):
        raise BadFault(f"drop must be one of {', '.join(get_args(Drop))}")
    values = dict(data)
    if values.get("trickle") is True:
        values["trickle"] = 1.0
    _check_types(values)
    return Fault(**{**values, "id": str(values.get("id") or new_id)})


_TEXT = ("operation", "tenant", "person", "code", "body", "body_base64", "content_type", "retry_after")
_WHOLE = ("status", "bulk", "times")


def _check_types(values: dict[str, Any]) -> None:
    for name in _TEXT:
        if not isinstance(values.get(name), str | None):
            raise BadFault(f"{name} must be a string")
    for name in _WHOLE:
        if not isinstance(values.get(name), int | None) or isinstance(values.get(name), bool):
            raise BadFault(f"{name} must be a whole number")
    for name, default in (("every", 1), ("skip", 0)):
        value = values.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < default:
            raise BadFault(f"{name} must be a whole number of at least {default}")
    for name in ("stored", "hang", "gzip"):
        if not isinstance(values.get(name, False), bool):
            raise BadFault(f"{name} must be true or false")
    for name in ("delay", "trickle"):
        value = values.get(name)
        if value is not None and (not isinstance(value, int | float) or isinstance(value, bool) or value < 0):
            raise BadFault(f"{name} must be a number of seconds")
    headers = values.get("headers", {})
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise BadFault("headers must be an object of strings")


@dataclass(slots=True)
class _Armed:
    fault: Fault
    seen: int = 0
    fired: int = 0

    def fits(self, platform: str, operation: str, tenant: str | None, persons: Collection[str]) -> bool:
        fault = self.fault
        return (
            fault.platform == platform
            and (fault.operation is None or fault.operation == operation)
            and (fault.tenant is None or fault.tenant == tenant)
            and (fault.person is None or fault.person in persons)
        )

    def fires(self) -> bool:
        """Count a matching call and tell whether the fault falls on it."""
        self.seen += 1
        beyond = self.seen - self.fault.skip
        if beyond <= 0 or beyond % self.fault.every:
            return False
        if self.fault.times is not None and self.fired >= self.fault.times:
            return False
        self.fired += 1
        return True


class FaultBook:
    """The faults in force. The first one that falls on a call is applied."""

    def __init__(self) -> None:
        self._armed: dict[str, _Armed] = {}
        self._ids = itertools.count(1)

    @property
    def empty(self) -> bool:
        """Whether no fault is in force, so that a platform need not find out who is meant."""
        return not self._armed

    def next_id(self) -> str:
        """An id that no fault has."""
        return next(each for each in (f"fault-{n}" for n in self._ids) if each not in self._armed)

    def add(self, fault: Fault) -> Fault:
        """Put a fault in force; one with the same id is replaced and counts anew."""
        self._armed[fault.id] = _Armed(fault)
        return fault

    def remove(self, fault_id: str) -> bool:
        """Take a fault out of force; False when it is unknown."""
        return self._armed.pop(fault_id, None) is not None

    def clear(self) -> None:
        """Take every fault out of force."""
        self._armed.clear()

    def match(
        self, platform: str, operation: str, tenant: str | None = None, person: str | Collection[str] | None = None
    ) -> Fault | None:
        """The fault that falls on this call, counted down; `person` may be all names of one person."""
        if not self._armed:
            return None
        persons: Collection[str] = (person,) if isinstance(person, str) else person or ()
        for armed in self._armed.values():
            if armed.fits(platform, operation, tenant, persons) and armed.fires():
                return armed.fault
        return None

    def as_json(self) -> list[dict[str, Any]]:
        """Every fault with how often it was met (`seen`) and applied (`fired`)."""
        return [{**armed.fault.as_json(), "seen": armed.seen, "fired": armed.fired} for armed in self._armed.values()]


async def apply_before(request: web.Request, fault: Fault, shape: Shape, clock: Clock) -> web.StreamResponse | None:
    """What happens before the operation. An answer ends the call; None lets the operation go on."""
    if fault.delay:
        await clock.sleep(fault.delay)
    if fault.drop == "before":
        return _drop(request)
    if fault.drop is not None or fault.stored:
        return None
    if fault.hang:
        return await _hang(request)
    if fault.answers:
        return await _send(request, fault, shape(fault), clock)
    return None


async def apply_after(
    request: web.Request, fault: Fault, answer: web.Response, shape: Shape, clock: Clock
) -> web.StreamResponse:
    """What happens after the operation was done and `answer` would be sent."""
    if fault.drop == "after":
        return _drop(request)
    if fault.hang:
        return await _hang(request)
    return await _send(request, fault, shape(fault) if fault.answers else _changed(fault, answer), clock)


def fault_response(fault: Fault, default_status: int, default_body: object) -> web.Response:
    """The fault's answer; what the fault leaves open comes from the platform's defaults.

    `default_body` is sent as JSON unless it is a string.
    """
    headers = CIMultiDict(fault.headers)
    if fault.retry_after is not None:
        headers.add("Retry-After", fault.retry_after)
    body = _raw_body(fault, default_body)
    if fault.gzip:
        body = gzip.compress(body)
        headers["Content-Encoding"] = "gzip"
    if "Content-Type" not in headers:
        headers["Content-Type"] = fault.content_type or "application/json; charset=utf-8"
    status = default_status if fault.status is None else fault.status
    return web.Response(status=status, body=body, headers=headers)


def _changed(fault: Fault, answer: web.Response) -> web.Response:
    """The operation's own answer under other headers."""
    if not (fault.headers or fault.content_type or fault.gzip):
        return answer
    headers = CIMultiDict(answer.headers)
    headers.update(fault.headers)
    if fault.content_type is not None:
        headers["Content-Type"] = fault.content_type
    body = bytes(answer.body) if isinstance(answer.body, bytes | bytearray) else b""
    if fault.gzip:
        body = gzip.compress(body)
        headers["Content-Encoding"] = "gzip"
    headers.popall("Content-Length", None)
    return web.Response(status=answer.status, body=body, headers=headers)


def _raw_body(fault: Fault, default_body: object) -> bytes:
    if fault.bulk is not None:
        return b" " * fault.bulk
    if fault.body_base64 is not None:
        return base64.b64decode(fault.body_base64)
    if fault.body is not None:
        return fault.body.encode()
    return (default_body if isinstance(default_body, str) else json.dumps(default_body)).encode()


async def _send(request: web.Request, fault: Fault, answer: web.Response, clock: Clock) -> web.StreamResponse:
    if fault.drop in ("mid_answer", "mid_answer_fin"):
        return await _tear(request, answer, reset=fault.drop == "mid_answer")
    if fault.trickle is not None:
        return await _trickle(request, answer, fault.trickle, clock)
    return answer


def _drop(request: web.Request) -> web.Response:
    """Close the connection; the answer that is returned can no longer be written."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


async def _hang(request: web.Request) -> web.Response:
    """Never answer: ends when either side closes the connection, for which aiohttp has no event to wait for."""
    while (transport := request.transport) is not None and not transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(_POLL)
    return web.Response()


async def _begin(request: web.Request, answer: web.Response) -> tuple[web.StreamResponse, bytes]:
    """Send the head of `answer`, promising its full length, and return its body still to be sent."""
    body = bytes(answer.body) if isinstance(answer.body, bytes | bytearray) else b""
    stream = web.StreamResponse(status=answer.status, headers=answer.headers)
    stream.content_length = len(body)
    await stream.prepare(request)
    return stream, body


async def _tear(request: web.Request, answer: web.Response, *, reset: bool) -> web.StreamResponse:
    stream, body = await _begin(request, answer)
    await stream.write(body[: max(1, len(body) // 2)])
    transport = request.transport
    if transport is None:
        return stream
    if reset:
        raw: socket.socket | None = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
    return stream


async def _trickle(request: web.Request, answer: web.Response, seconds: float, clock: Clock) -> web.StreamResponse:
    stream, body = await _begin(request, answer)
    for position in range(len(body)):
        await clock.sleep(seconds)
        if request.transport is None or request.transport.is_closing():
            return stream
        await stream.write(body[position : position + 1])
    await stream.write_eof()
    return stream
