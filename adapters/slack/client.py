"""Calls to Slack's Web API: slack_sdk builds the request and judges the answer, we move the bytes.

slack_sdk's own transport follows redirects, reads an answer of any size, raises five kinds of exception for a broken
body and ignores its `timeout` when it is given a session. So its one transport method is replaced by `adapters.http`
(no redirects, a total deadline, a bounded answer), retry handlers are off (the default one posts twice after a dropped
connection), and what comes back is a value.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # unknown to typeshed

import aiohttp
import orjson
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from adapters import http
from adapters.base import Fault, FaultClass
from adapters.slack import faults, limits
from adapters.slack.config import Clock, SlackEndpoints

Body = Mapping[str, Any]  # a JSON object of Slack

_LISTS = frozenset({"users.list", "auth.teams.list"})
_JSON_METHODS = frozenset({"chat.postMessage"})  # read methods take forms only; a form keeps addresses out of the query


@dataclass(frozen=True, slots=True)
class Answer:
    """Slack said ok. `scopes` is what the token may do, where the answer names it."""

    body: Body
    scopes: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Slack said no, or nothing. `written` is False when no byte of the call left this process."""

    method: str
    fault: Fault
    retry_after: float | None = None
    written: bool = True

    @property
    def throttled(self) -> bool:
        return self.fault.reason == faults.THROTTLED.reason

    @property
    def is_configuration(self) -> bool:
        return self.fault.klass is FaultClass.CONFIGURATION

    @property
    def as_read(self) -> Fault:
        """The fault, for a call that changes nothing."""
        return faults.of_a_read(self.fault)


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """The proxy that the environment names for this URL, NO_PROXY respected (slack_sdk ignores NO_PROXY)."""
    parts = urlsplit(url)
    if not parts.hostname:
        return None
    given = {name.lower(): value for name, value in environ.items() if name.lower().endswith("_proxy") and value}
    proxies = {name.removesuffix("_proxy"): value for name, value in given.items()}
    if proxy_bypass_environment(parts.hostname, proxies):
        return None
    return proxies.get(parts.scheme)


class SlackClient:
    """The process's one client: every bot and workspace calls through it with its own token."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        endpoints: SlackEndpoints,
        clock: Clock = time.time,
        *,
        seconds: float = limits.CALL_SECONDS,
    ) -> None:
        self._clock = clock
        self._web = _WebClient(session, endpoints, seconds)

    async def call(self, method: str, token: str | None, /, **arguments: Any) -> Answer | Failure:
        """Make exactly one call. Every answer of the platform, and its silence, comes back as a value."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            if method in _JSON_METHODS:
                response = await self._web.api_call(method, json=arguments, headers=headers)
            else:
                response = await self._web.api_call(method, data=_form(arguments), headers=headers)
        except http.NeverWritten as error:
            return Failure(method, faults.not_written(error.code), written=False)
        except http.NoAnswer as error:
            return Failure(method, faults.not_answered(error.code))
        except SlackApiError as error:
            return self._failure(method, error.response)
        return Answer(_body(response) or {}, response.headers.get("x-oauth-scopes"))

    def _failure(self, method: str, response: AsyncSlackResponse) -> Failure:
        fault = faults.classify(response.status_code, _body(response))
        retry_after = None
        if fault.reason == faults.THROTTLED.reason:
            now = datetime.fromtimestamp(self._clock(), UTC)
            retry_after = http.parse_retry_after(response.headers.get("Retry-After"), now)
        return Failure(method, fault, retry_after)


class _WebClient(AsyncWebClient):
    """slack_sdk's client on our transport."""

    def __init__(self, session: aiohttp.ClientSession, endpoints: SlackEndpoints, seconds: float) -> None:
        super().__init__(token=None, base_url=endpoints.api, session=session, retry_handlers=[])
        self.proxy = endpoints.proxy  # after the constructor, which would take one from the environment
        self._transport = session
        self._deadline = aiohttp.ClientTimeout(total=seconds, connect=min(seconds / 3, limits.CONNECT_SECONDS))

    async def _request(self, *, http_verb: str, api_url: str, req_args: dict[str, Any]) -> dict[str, Any]:
        """Move one request; the body of the answer is {} unless it is a JSON object."""
        method = api_url.rpartition("/")[2]
        if self._transport.closed:
            raise http.NeverWritten(ConnectionAbortedError("the process is stopping"))
        answer = await http.call(
            self._transport,
            http_verb,
            api_url,
            headers=req_args["headers"],
            data=_encoded(req_args),
            timeout=self._deadline,
            limit=limits.LIST_ANSWER_BYTES if method in _LISTS else limits.ANSWER_BYTES,
            proxy=req_args["proxy"],
        )
        return {"data": _parsed(answer), "headers": answer.headers, "status_code": answer.status}


def _encoded(request: Mapping[str, Any]) -> bytes:
    if request["json"] is not None:
        return orjson.dumps(request["json"])
    return urlencode(request["data"] or {}, errors="replace").encode()


def _form(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Form fields as Slack reads them: booleans as words, structures as JSON text."""
    return {name: _field(value) for name, value in arguments.items() if value is not None}


def _field(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value)


def _parsed(answer: http.Answer) -> dict[str, Any]:
    if not answer.whole:
        return {}
    try:
        parsed = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        parsed = _leniently_parsed(answer.body)
    return parsed if isinstance(parsed, dict) else {}


def _leniently_parsed(body: bytes) -> object:
    """JSON with half of a character in it, as a cut name leaves: one such name must not hide a whole workspace."""
    try:
        return json.loads(body.decode())  # UTF-8 alone: json would also guess others
    except (ValueError, RecursionError):
        return None


def _body(response: AsyncSlackResponse) -> Body | None:
    """The JSON object of an answer; None when there was none."""
    data = response.data
    return data if isinstance(data, dict) and data else None
