"""Slack's answers: nearly always HTTP 200 with `ok`, a code, and what else belongs to it."""

from typing import Any

import orjson
from aiohttp import web

from simulator.faults import Fault, fault_response

_HEADERS = {"Content-Type": "application/json; charset=utf-8"}


class SlackError(Exception):
    """Slack refuses the call with this code."""

    def __init__(self, code: str, **more: Any) -> None:
        super().__init__(code)
        self.body: dict[str, Any] = {"ok": False, "error": code, **more}


def bad_arguments(*messages: str) -> SlackError:
    """`invalid_arguments` with Slack's explanations."""
    return SlackError("invalid_arguments", response_metadata={"messages": [f"[ERROR] {each}" for each in messages]})


def missing_scope(needed: str, provided: tuple[str, ...]) -> SlackError:
    """The token lacks a scope; Slack names both sides."""
    return SlackError("missing_scope", needed=needed, provided=",".join(provided))


def answer(body: dict[str, Any], headers: dict[str, str] | None = None) -> web.Response:
    """HTTP 200 with a JSON body."""
    return web.Response(body=orjson.dumps(body), headers={**_HEADERS, **headers} if headers else _HEADERS)


def throttled(seconds: int) -> web.Response:
    """HTTP 429 with `Retry-After` in whole seconds."""
    body = orjson.dumps({"ok": False, "error": "ratelimited"})
    return web.Response(status=429, body=body, headers={**_HEADERS, "Retry-After": str(seconds)})


def shape_fault(fault: Fault) -> web.Response:
    """A fault in Slack's form: a code with HTTP 200, a status alone with the code that Slack uses for it."""
    status = fault.status if fault.status is not None else 429 if fault.retry_after is not None else 200
    code = fault.code or _CODE_OF_STATUS.get(status, "internal_error" if status >= 500 else "fatal_error")
    return fault_response(fault, status, {"ok": False, "error": code})


_CODE_OF_STATUS = {
    200: "internal_error",
    401: "invalid_auth",
    408: "request_timeout",
    429: "ratelimited",
    503: "service_unavailable",
}
